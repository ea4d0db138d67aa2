//! What an answer to a list request means, once it has been read.

use std::time::Duration;

use super::error::{AuthError, Error};
use super::redact::Redactor;
use super::response::{Answer, ApiErrorBody, DecodeError};
use crate::session::SessionList;

/// Codes that speak of the credential: bad signature, user not found, unknown address, access
/// denied or not authorised, wrong code.
const AUTH_CODES: [i64; 5] = [4, 7, 8, 12, 14];

/// Words of errors about access.
const ACCESS_WORDS: [&str; 7] = [
    "access",
    "denied",
    "auth",
    "forbidden",
    "permission",
    "not logged",
    "invalid sid",
];

/// The verdict on a list request; the first match wins, in the order of the failure reasons.
pub(super) fn list(
    status: u16,
    retry_after: Option<Duration>,
    answer: Result<Answer, DecodeError>,
    redactor: &Redactor,
) -> Result<SessionList, Error> {
    let is_json = answer
        .as_ref()
        .map_or_else(|unreadable| unreadable.json, |_| true);
    let refused = status == 401 || (status == 403 && is_json);
    match answer {
        Ok(Answer::Error(envelope)) => Err(error(refused, envelope, redactor)),
        Ok(_) | Err(_) if refused => Err(Error::Auth(AuthError::Status(status))),
        _ if !(200..300).contains(&status) => Err(Error::HttpStatus {
            status,
            retry_after,
        }),
        Ok(Answer::Sessions(list)) => Ok(list),
        Err(unreadable) => Err(Error::Decode {
            detail: unreadable.what,
        }),
    }
}

/// An error event of a stream. Unlike an answer it has no status, and not always a code: then its
/// words decide whether it speaks of access.
pub(super) fn stream_error(envelope: ApiErrorBody, redactor: &Redactor) -> Error {
    let words = envelope.message.to_lowercase();
    let of_access = matches!(envelope.code, Some(401 | 403))
        || (envelope.code.is_none() && ACCESS_WORDS.iter().any(|word| words.contains(word)));
    error(of_access, envelope, redactor)
}

fn error(refused: bool, envelope: ApiErrorBody, redactor: &Redactor) -> Error {
    let code = envelope.code;
    let message = redactor.redact(&envelope.message);
    if refused || code.is_some_and(|code| AUTH_CODES.contains(&code)) {
        Error::Auth(AuthError::Refused { code, message })
    } else {
        Error::Api { code, message }
    }
}
