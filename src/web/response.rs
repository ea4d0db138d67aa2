//! Answers, the headers that all of them carry, and their compression.

use std::io;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};

use super::accept::IDENTITY;

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

/// Sets a header; one with a character that no header can have is left out.
pub(super) fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// 500; the cause is in the log only.
pub(super) fn internal_error() -> Response {
    let reason = "internal error; see the exporter's log";
    text(StatusCode::INTERNAL_SERVER_ERROR, reason)
}

/// 200 with a body that [`encode`] has encoded, and that depends on the request headers named in
/// `vary`.
pub(super) fn encoded(
    vary: &'static str,
    content_type: &'static str,
    coding: &'static str,
    body: io::Result<Bytes>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "rendering an answer failed");
            return internal_error();
        }
    };
    let response = with_header(with_type(StatusCode::OK, content_type, body), VARY, vary);
    match coding {
        IDENTITY => response,
        _ => with_header(response, CONTENT_ENCODING, coding),
    }
}

/// The output of `write`, in the encoding of this name. A large page is never kept as plain text.
pub(super) fn encode(
    coding: &str,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<Bytes> {
    let mut body = Vec::new();
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(&mut body, Compression::new(GZIP_LEVEL));
            write(&mut encoder)?;
            encoder.finish()?;
        }
        "zstd" => {
            let mut encoder = zstd::Encoder::new(&mut body, ZSTD_LEVEL)?;
            write(&mut encoder)?;
            encoder.finish()?;
        }
        _ => write(&mut body)?,
    }
    // Without the room that the body did not need.
    Ok(body.into_boxed_slice().into())
}
