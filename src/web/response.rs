//! Answers and the headers that all of them carry.

use std::io;
use std::sync::LazyLock;

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes};
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use tokio::task::spawn_blocking;

use super::compression::{self, Parts};
use super::negotiation::Coding;

/// An answer with its whole body.
pub(super) type Reply = Response<Full<Chain<Chain<Bytes, Bytes>, Bytes>>>;

/// What every answer carries. Copied whole, which is cheaper than to build it.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    // With room for what is added to a copy, which would otherwise be built anew to grow.
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, TEXT);
    // Every answer is true for this moment alone.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, NOTHING);
    headers
});
/// The same for answers that depend on what the client would rather have.
static NEGOTIATED: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HEADERS.clone();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers
});

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// What is not the status page loads nothing, runs nothing and is framed by nobody.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// A short text; a line feed is added.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Reply {
    let mut text = text.into();
    text.push('\n');
    whole(status, &HEADERS, compression::whole(text))
}

/// 405 with the methods that the route knows.
pub(super) fn method_not_allowed(allow: &'static str) -> Reply {
    let mut reply = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("method not allowed: use {allow}"),
    );
    let headers = reply.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    reply
}

/// What a successful answer is made of, before anybody knows how it is packed.
pub(super) struct Content<F> {
    pub(super) content_type: HeaderValue,
    /// Request headers that the answer depends on.
    pub(super) vary: HeaderValue,
    /// Whether making the body takes so long that it would hold up whoever shares the thread.
    pub(super) heavy: bool,
    /// Makes the body.
    pub(super) body: F,
}

impl<F: FnOnce() -> io::Result<Parts> + Send + 'static> Content<F> {
    /// 200 in the coding that was agreed on; 406 where none was.
    pub(super) async fn reply(self, coding: Option<Coding>) -> Reply {
        let mut reply = match coding {
            None => text(
                StatusCode::NOT_ACCEPTABLE,
                "no acceptable content coding: gzip, zstd and identity are to be had",
            ),
            Some(coding) => {
                let body = self.body;
                let make = move || compression::pack(body()?, coding);
                let made = if self.heavy {
                    spawn_blocking(make)
                        .await
                        .unwrap_or_else(|error| Err(error.into()))
                } else {
                    make()
                };
                match made {
                    Ok(body) => packed(self.content_type, coding, body),
                    Err(error) => {
                        tracing::error!(%error, "an answer could not be made");
                        internal_error()
                    }
                }
            }
        };
        let headers = reply.headers_mut();
        headers.insert(VARY, self.vary);
        reply
    }
}

fn packed(content_type: HeaderValue, coding: Coding, body: Parts) -> Reply {
    let mut reply = whole(StatusCode::OK, &NEGOTIATED, body);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    let name = match coding {
        Coding::Identity => return reply,
        Coding::Gzip => const { HeaderValue::from_static("gzip") },
        Coding::Zstd => const { HeaderValue::from_static("zstd") },
    };
    headers.insert(CONTENT_ENCODING, name);
    reply
}

/// 500 without a word about what went wrong: that is in the log.
pub(super) fn internal_error() -> Reply {
    text(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal error: see the exporter's log",
    )
}

fn whole(status: StatusCode, headers: &HeaderMap, body: Parts) -> Reply {
    let [first, second, third] = body;
    let mut reply = Response::new(Full::new(first.chain(second).chain(third)));
    *reply.status_mut() = status;
    reply.headers_mut().clone_from(headers);
    reply
}
