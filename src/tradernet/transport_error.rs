//! Requests without a complete answer: how far they came, and whether they may be sent again.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::Instant;
use url::Url;

use super::error::{Awaited, Error, Stage};
use super::redact::Redactor;

const REFUSED: &str = "the proxy opened no tunnel to the API";

tokio::task_local! {
    /// Whether the request waits for a connection; see [`noting_connections`].
    pub(super) static CONNECTING: Arc<AtomicBool>;
}

/// Notes for the request that this connection is made for that it waits for it. A request that
/// uses a kept connection never does.
pub(super) async fn noting_connections<C: Future>(connection: C) -> C::Output {
    let connecting = CONNECTING.try_with(Arc::clone).unwrap_or_default();
    connecting.store(true, Ordering::Relaxed);
    let made = connection.await;
    connecting.store(false, Ordering::Relaxed);
    made
}

/// The data that errors of one request need.
pub(super) struct RequestContext {
    /// Host and port of the API.
    pub(super) address: String,
    /// Host and port of the proxy, where there is one.
    pub(super) proxy: Option<String>,
    pub(super) connecting: Arc<AtomicBool>,
    pub(super) timeout: Duration,
    /// When the request was made.
    pub(super) start: Instant,
    pub(super) redactor: Redactor,
}

impl RequestContext {
    /// The error of a request, or of the body of its answer.
    pub(super) fn error(&self, error: reqwest::Error) -> Error {
        if error.is_timeout() {
            return self.timed_out();
        }
        // A body whose compression is broken arrived whole; without hyper's error nothing was cut.
        if error.is_decode() && chain(&error).all(|cause| !cause.is::<hyper::Error>()) {
            return Error::decode("its compression is broken");
        }
        if let Some(error) = unreadable(&error) {
            return error;
        }
        let before_answer = error.is_connect();
        self.connection_error(&error.without_url(), before_answer)
    }

    /// The error where something did not come in time; the connection, where it was not made.
    pub(super) fn late(&self, after: Duration, awaited: Awaited) -> Error {
        let is_connecting = self.connecting.load(Ordering::Relaxed);
        Error::Timeout {
            after,
            awaited: match is_connecting {
                true => Awaited::Connection,
                false => awaited,
            },
            address: self.route(),
        }
    }

    /// Host and port of the API, and of the proxy where there is one: the failure may be of either.
    fn route(&self) -> String {
        match &self.proxy {
            Some(proxy) => format!("{} (proxy: {proxy})", self.address),
            None => self.address.clone(),
        }
    }

    /// The error of a connection, in the words of the innermost cause: none of these
    /// contains the URL.
    pub(super) fn connection_error(
        &self,
        error: &(dyn StdError + 'static),
        connecting: bool,
    ) -> Error {
        let mut stage = match connecting {
            true => Stage::Connect,
            false => Stage::Response,
        };
        let mut detail = String::new();
        for cause in chain(error) {
            detail = cause.to_string();
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                (stage, detail) = (Stage::Tls, tls_message(tls));
                break;
            }
            // Their types are private.
            match detail.as_str() {
                "dns error" if stage == Stage::Connect => stage = Stage::Resolve,
                text if text.starts_with("tunnel error") => {
                    stage = Stage::Proxy;
                    detail = tunnel_message(text).to_owned();
                }
                "tls handshake eof" => stage = Stage::Tls,
                // A connection that is made and not yet used is in its TLS handshake.
                _ if stage == Stage::Connect && is_broken(cause) => stage = Stage::Tls,
                _ => {}
            }
        }
        self.connection_error_at(stage, &detail)
    }

    /// The error where a proxy refuses a tunnel, without the words that the proxy chose.
    pub(super) fn refused_by_proxy(&self, status: StatusCode) -> Error {
        let phrase = status.canonical_reason().unwrap_or_default();
        let detail = format!("the proxy answered HTTP {} {phrase}", status.as_u16());
        self.connection_error_at(Stage::Proxy, detail.trim_end())
    }

    pub(super) fn timed_out(&self) -> Error {
        self.late(self.timeout, Awaited::Answer { received: None })
    }

    pub(super) fn time_left(&self) -> Duration {
        self.timeout.saturating_sub(self.start.elapsed())
    }

    pub(super) fn connection_error_at(&self, stage: Stage, detail: &str) -> Error {
        let proxy = self.proxy.clone().filter(|_| stage == Stage::Proxy);
        Error::Connection {
            stage,
            address: proxy.unwrap_or_else(|| self.route()),
            detail: self.redactor.redact(detail),
        }
    }
}

/// The error where an answer is not HTTP, or its head is too large.
fn unreadable(error: &reqwest::Error) -> Option<Error> {
    use io::ErrorKind::{InvalidData, InvalidInput};
    chain(error).find_map(|cause| {
        let (http, io) = (cause.downcast_ref(), cause.downcast_ref::<io::Error>());
        if http.is_some_and(hyper::Error::is_parse_too_large) {
            return Some(Error::TooLarge { limit: None });
        }
        // TLS has its own errors inside.
        let is_broken_body = |error: &io::Error| {
            matches!(error.kind(), InvalidData | InvalidInput)
                && error
                    .get_ref()
                    .is_none_or(|inner| !inner.is::<rustls::Error>())
        };
        let is_broken = http.is_some_and(hyper::Error::is_parse)
            || (!error.is_connect() && io.is_some_and(is_broken_body));
        is_broken.then(|| Error::decode(format!("it is not HTTP: {cause}")))
    })
}

/// Host and port of a URL.
pub(super) fn address(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Whether a connection was made and ended without an answer.
pub(super) fn was_cut_off(error: &reqwest::Error) -> bool {
    if error.is_connect() || error.is_timeout() {
        return false;
    }
    chain(error).any(|error| {
        let ended = error.downcast_ref::<hyper::Error>();
        ended.is_some_and(hyper::Error::is_incomplete_message) || is_broken(error)
    })
}

/// Whether a connection that was made broke.
fn is_broken(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    error.downcast_ref().is_some_and(|error: &io::Error| {
        matches!(
            error.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset
        )
    })
}

/// Why a proxy opened no tunnel.
fn tunnel_message(text: &str) -> &str {
    match text {
        "tunnel error: proxy authorization required" => {
            "the proxy answered HTTP 407: it requires a user and a password"
        }
        "tunnel error: unsuccessful" => REFUSED,
        "tunnel error: unexpected end of file" => "the proxy closed the connection",
        text => text,
    }
}

/// Whether a proxy answered that it opens no tunnel, with a status other than 407.
pub(super) fn is_tunnel_refused(error: &Error) -> bool {
    matches!(error, Error::Connection { detail, .. } if detail == REFUSED)
}

/// The error of TLS; frequent mistakes in plain words.
fn tls_message(error: &rustls::Error) -> String {
    let text = error.to_string();
    match error {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => "the server does not speak TLS on this port".to_owned(),
        _ if text.contains("CaUsedAsEndEntity") => "the server's own certificate is that of a CA: make it without CA:TRUE, or have the CA sign another".to_owned(),
        _ => text,
    }
}

/// The error and its causes, outermost first.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        // An `io::Error` hides what it wraps from `source`.
        Some(error) => Some(error.get_ref()?),
        None => error.source(),
    }
}
