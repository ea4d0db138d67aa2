//! Requests that failed before there was an answer to judge: why, and whether another try is due.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use super::connect::in_words;
use super::error::Error;
use super::redact::Redactor;

/// A request that nothing came back to.
pub(super) struct Unanswered {
    pub(super) error: Error,
    /// The connection ended after the request was sent, or while it was.
    pub(super) was_cut_off: bool,
}

impl Unanswered {
    /// A second try has less time, and the account's failure tells of the whole.
    pub(super) fn into_error(self, timeout: Duration) -> Error {
        match self.error {
            Error::Timeout { .. } => Error::Timeout { after: timeout },
            error => error,
        }
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self {
            error,
            was_cut_off: false,
        }
    }
}

/// Whether a connection stood and ended without an answer.
pub(super) fn was_cut_off(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    if error.is_connect() || error.is_timeout() {
        return false;
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        let ended = match (
            error.downcast_ref::<hyper::Error>(),
            error.downcast_ref::<io::Error>(),
        ) {
            (Some(error), _) => error.is_incomplete_message(),
            (_, Some(error)) => matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset
            ),
            _ => false,
        };
        if ended {
            return true;
        }
        next = cause(error);
    }
    false
}

/// Sorts a failed request into timeout, TLS and network.
pub(super) fn failure(error: reqwest::Error, timeout: Duration, redactor: &Redactor) -> Error {
    if error.is_timeout() {
        return Error::Timeout { after: timeout };
    }
    let decoding = error.is_decode();
    let error = error.without_url();
    let mut innermost: &(dyn StdError + 'static) = &error;
    let mut transfer = false;
    loop {
        if let Some(tls) = innermost.downcast_ref::<rustls::Error>() {
            return Error::Tls {
                detail: redactor.redact(&in_words(tls)),
            };
        }
        transfer |= innermost.is::<hyper::Error>();
        match cause(innermost) {
            Some(cause) => innermost = cause,
            None => break,
        }
    }
    // A body that is not the gzip it says it is arrived well, it only cannot be read.
    if decoding && !transfer {
        return Error::Decode {
            detail: "its compression is broken".to_owned(),
            retry_after: None,
        };
    }
    Error::Network {
        detail: redactor.redact(&innermost.to_string()),
    }
}

/// The next error inwards. An `io::Error` hides what it wraps from `source`, which then goes on
/// with what is further inside; and one may wrap another.
pub(super) fn cause<'a>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error
            .get_ref()
            .map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    }
}
