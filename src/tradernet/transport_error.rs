//! Requests that failed before there was an answer: why, and whether they may be sent again.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use super::error::Error;
use super::redact::Redactor;

/// A request without an answer.
pub(super) struct SendError {
    pub(super) error: Error,
    /// The connection ended after the request was sent, or while it was.
    pub(super) retryable: bool,
}

impl SendError {
    /// A second try has less time; the error reports the whole timeout.
    pub(super) fn into_error(self, timeout: Duration) -> Error {
        match self.error {
            Error::Timeout { .. } => Error::Timeout { after: timeout },
            error => error,
        }
    }
}

impl From<Error> for SendError {
    fn from(error: Error) -> Self {
        Self {
            error,
            retryable: false,
        }
    }
}

/// Whether a connection was made and ended without an answer.
pub(super) fn was_cut_off(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    if error.is_connect() || error.is_timeout() {
        return false;
    }
    chain(error).any(|error| {
        let ended = error.downcast_ref::<hyper::Error>();
        let broken = error.downcast_ref::<io::Error>();
        ended.is_some_and(hyper::Error::is_incomplete_message)
            || broken.is_some_and(|error| {
                matches!(
                    error.kind(),
                    BrokenPipe | ConnectionAborted | ConnectionReset
                )
            })
    })
}

/// Sorts a failed request into timeout, TLS and network.
pub(super) fn failure(error: reqwest::Error, timeout: Duration, redactor: &Redactor) -> Error {
    if error.is_timeout() {
        return Error::Timeout { after: timeout };
    }
    let decoding = error.is_decode();
    let error = error.without_url();
    // A body whose compression is broken arrived whole; without hyper's error nothing was cut.
    if decoding && chain(&error).all(|cause| !cause.is::<hyper::Error>()) {
        return Error::Decode {
            detail: "its compression is broken".to_owned(),
            retry_after: None,
        };
    }
    connection_error(&error, redactor)
}

/// Sorts a failed connection into TLS and network, in the words of the innermost cause: none of
/// these contains the URL.
pub(super) fn connection_error(error: &(dyn StdError + 'static), redactor: &Redactor) -> Error {
    let mut detail = String::new();
    for cause in chain(error) {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Error::Tls {
                detail: redactor.redact(&tls_message(tls)),
            };
        }
        detail = cause.to_string();
    }
    if detail.starts_with("tunnel error") {
        detail = format!("the proxy refused the connection ({detail})");
    }
    Error::Network {
        detail: redactor.redact(&detail),
    }
}

/// What was wrong with TLS; a mistake with own certificates in plain words.
fn tls_message(error: &rustls::Error) -> String {
    let text = error.to_string();
    match text.contains("CaUsedAsEndEntity") {
        true => "the server's own certificate is that of a CA: make it without CA:TRUE, or have the CA sign another".to_owned(),
        false => text,
    }
}

/// The error and its causes, outermost first.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// The next error inwards. An `io::Error` hides what it wraps from `source`, which then goes on
/// with what is further inside; and one may wrap another.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error
            .get_ref()
            .map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    }
}
