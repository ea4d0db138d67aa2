//! Answers, the headers that all of them carry, and their compression.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};

use super::accept::ContentCoding;

/// An answer with its whole body.
pub(super) type Response = hyper::Response<Bytes>;

// The fast end of both scales: the lines are so alike that more effort saves little.
const GZIP_LEVEL: u32 = 3;
const ZSTD_LEVEL: i32 = 1;

/// An answer with a content type.
pub(super) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        // An answer is true at its moment only.
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Only the status page loads or runs anything; it sets a policy of its own.
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A short text; a line feed is added.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response {
    let mut text = text.into();
    text.push('\n');
    with_type(status, "text/plain; charset=utf-8", text)
}

/// 405 with the methods of the route.
pub(super) fn method_not_allowed(allow: &'static str) -> Response {
    let reason = format!("method not allowed; use {allow}");
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, reason);
    (response.headers_mut()).insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// To the same path with a slash at its end, to which links within the pages are relative.
pub(super) fn redirect(path: &str) -> Response {
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "moved");
    if let Ok(location) = HeaderValue::from_str(&format!("{path}/")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// 500; the cause is in the log only.
pub(super) fn internal_error() -> Response {
    let reason = "internal error; see the exporter's log";
    text(StatusCode::INTERNAL_SERVER_ERROR, reason)
}

/// 200 with a body that [`compress`] has encoded, and that depends on the request headers named in
/// `vary`.
pub(super) fn encoded(
    vary: &'static str,
    content_type: &'static str,
    coding: ContentCoding,
    body: io::Result<Bytes>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "rendering an answer failed");
            return internal_error();
        }
    };
    let mut response = with_type(StatusCode::OK, content_type, body);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static(vary));
    if let Some(name) = coding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// Encodes a body.
pub(super) fn compress(body: Bytes, coding: ContentCoding) -> io::Result<Bytes> {
    Ok(match coding {
        ContentCoding::Identity => body,
        ContentCoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
            encoder.write_all(&body)?;
            encoder.finish()?.into()
        }
        ContentCoding::Zstd => zstd::encode_all(&*body, ZSTD_LEVEL)?.into(),
    })
}
