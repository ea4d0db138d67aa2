//! What an error of the API means: one table for answers to a list request, refused handshakes and
//! error events of streams. What a login's answer means is decided in `login`.
//!
//! The API sends errors with HTTP 200 as often as with 4xx, with codes that are missing or reused.
//! So words count too; the first row that matches decides.

use std::time::Duration;

use super::error::{AuthError, Error, ServerMessage};
use super::redact::Redactor;
use super::response::{Answer, ApiErrorBody, DecodeError};
use crate::session::SessionList;

/// Words of a limit or of maintenance: such an answer says nothing about a credential.
const TRANSIENT_WORDS: [&str; 6] = [
    "limit",
    "too many",
    "temporarily",
    "unavailable",
    "maintenance",
    "try again later",
];

/// The verdict on the answer to a list request.
pub(super) fn list(
    status: u16,
    retry_after: Option<Duration>,
    answer: Result<Answer, DecodeError>,
    redactor: &Redactor,
) -> Result<SessionList, Error> {
    let error = |envelope| error(Some(status), retry_after, envelope, redactor);
    match answer {
        Ok(Answer::Error(envelope)) => Err(error(Some(envelope)).unwrap_or(Error::Decode {
            detail: "its error is not one".to_owned(),
            retry_after,
        })),
        Ok(Answer::Sessions(list)) => error(None).map_or(Ok(list), Err),
        Err(unreadable) => Err(error(None).unwrap_or(Error::Decode {
            detail: unreadable.message,
            retry_after,
        })),
    }
}

/// An error event of a stream, which has no status.
pub(super) fn stream_error(envelope: ApiErrorBody, redactor: &Redactor) -> Error {
    let message = message(None, None, &envelope, redactor);
    error(None, None, Some(envelope), redactor).unwrap_or(Error::Api(message))
}

/// What is wrong, by status and error envelope; `None` for a 2xx without an envelope.
pub(super) fn error(
    status: Option<u16>,
    retry_after: Option<Duration>,
    envelope: Option<ApiErrorBody>,
    redactor: &Redactor,
) -> Option<Error> {
    let has_envelope = envelope.is_some();
    let envelope = envelope.unwrap_or_default();
    let text = envelope.message.to_lowercase();
    let has = |words: &str| text.contains(words);
    let code = envelope.code;
    let message = || message(status, retry_after, &envelope, redactor);

    if status == Some(429) || code == Some(429) || has("request limit") || has("too many requests")
    {
        return Some(Error::RateLimited(message()));
    }
    if has("security session") {
        return Some(Error::Auth(AuthError::MissingRight(message())));
    }
    if has("api key") || has("signature") {
        return Some(Error::Auth(AuthError::KeyPairRejected(message())));
    }
    let unauthorized = (status == Some(401) || code == Some(401)) && !is_transient(&text);
    let names_sid = text
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word == "sid");
    let dead_session = has("session") && (has("expired") || has("invalid") || has("dead"));
    let not_authorized = [
        "not authorized",
        "not authorised",
        "unauthorized",
        "invalid credentials",
    ];
    if names_sid
        || dead_session
        || not_authorized.into_iter().any(has)
        || unauthorized
        || code == Some(12)
    {
        return Some(Error::Auth(AuthError::SidRejected(message())));
    }
    if matches!(code, Some(4 | 7 | 8 | 14)) || (has_envelope && status == Some(403)) {
        return Some(Error::Auth(AuthError::Rejected(message())));
    }
    if has_envelope {
        return Some(Error::Api(message()));
    }
    let status = status.filter(|status| !(200..300).contains(status))?;
    Some(Error::HttpStatus {
        status,
        retry_after,
    })
}

/// Whether a text, in lower case, speaks of a limit or of maintenance.
pub(super) fn is_transient(text: &str) -> bool {
    TRANSIENT_WORDS
        .into_iter()
        .any(|words| text.contains(words))
}

/// The server's words as they may be shown.
pub(super) fn message(
    status: Option<u16>,
    retry_after: Option<Duration>,
    envelope: &ApiErrorBody,
    redactor: &Redactor,
) -> ServerMessage {
    ServerMessage {
        status,
        code: envelope.code,
        text: redactor.redact(&envelope.message),
        retry_after,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;

    /// The rows of the table, in short.
    fn row(status: u16, code: Option<i64>, text: &str) -> &'static str {
        let envelope = ApiErrorBody {
            code,
            message: text.to_owned(),
        };
        let redactor = Redactor::default();
        let answered = row_of(error(Some(status), None, Some(envelope.clone()), &redactor));
        if status == 200 {
            let pushed = row_of(Some(stream_error(envelope, &redactor)));
            assert_eq!(answered, pushed, "{code:?} {text}");
        }
        answered
    }

    fn row_of(error: Option<Error>) -> &'static str {
        match error {
            Some(Error::RateLimited(_)) => "limit",
            Some(Error::Auth(AuthError::MissingRight(_))) => "right",
            Some(Error::Auth(AuthError::KeyPairRejected(_))) => "key",
            Some(Error::Auth(AuthError::SidRejected(_))) => "sid",
            Some(Error::Auth(AuthError::Rejected(_))) => "auth",
            Some(Error::Api(_)) => "api",
            Some(Error::HttpStatus { .. }) => "http",
            None => "none",
            Some(error) => panic!("{error}"),
        }
    }

    #[test]
    fn limits_come_first() {
        for (status, code, text) in [
            (429, Some(12), "SID expired"),
            (200, Some(429), "SID expired"),
            (401, None, "Request limit exceeded, session expired"),
            (200, Some(12), "Too Many Requests"),
        ] {
            assert_eq!(row(status, code, text), "limit", "{text}");
        }
    }

    #[test]
    fn a_missing_right_is_no_dead_sid() {
        let text = "you need to open a security session";
        for (status, code) in [(403, None), (200, None), (401, Some(12)), (200, Some(4))] {
            assert_eq!(row(status, code, text), "right", "{status} {code:?}");
        }
        assert_eq!(
            row(200, None, "Security session expired, api key, SID"),
            "right"
        );
    }

    #[test]
    fn a_key_pair_is_named() {
        assert_eq!(row(403, None, "Invalid api key provided"), "key");
        assert_eq!(row(200, Some(4), "Bad SIGNATURE"), "key");
        assert_eq!(row(401, None, "API key of another SID"), "key");
    }

    #[test]
    fn a_dead_sid_is_named_in_many_ways() {
        for (status, code, text) in [
            (200, None, "SID expired"),
            (200, None, "bad sid: x"),
            (200, None, "Not authorized"),
            (200, None, "User is unauthorized"),
            (200, Some(401), "Invalid credentials"),
            (200, None, "Your session has expired"),
            (500, Some(5), "invalid session"),
            (200, None, "Session is dead"),
            (200, Some(12), "Access denied"),
            (403, Some(12), ""),
            (200, Some(401), "no"),
            (401, None, "no"),
        ] {
            assert_eq!(row(status, code, text), "sid", "{status} {code:?} {text}");
        }
        for text in [
            "inside the resident's",
            "sessions",
            "expired",
            "dead",
            "authorized",
        ] {
            assert_eq!(row(200, Some(5), text), "api", "{text}");
        }
    }

    #[test]
    fn a_limit_or_maintenance_with_401_is_no_dead_sid() {
        for text in [
            "Maintenance",
            "temporarily down",
            "service unavailable",
            "limit",
            "try again later",
        ] {
            assert_eq!(row(401, None, text), "api", "{text}");
            assert_eq!(row(200, Some(401), text), "api", "{text}");
            assert_eq!(row(401, Some(12), text), "sid", "{text}");
        }
        assert_eq!(row(401, Some(8), "Maintenance"), "auth");
    }

    #[test]
    fn codes_and_403_reject_the_credential() {
        for code in [4, 7, 8, 14] {
            for status in [200, 400, 500] {
                assert_eq!(row(status, Some(code), "no"), "auth");
            }
        }
        assert_eq!(row(403, Some(99), "no"), "auth");
        assert_eq!(row(403, None, ""), "auth");
    }

    #[test]
    fn other_envelopes_and_statuses_keep_their_names() {
        for code in [
            None,
            Some(1),
            Some(2),
            Some(3),
            Some(5),
            Some(400),
            Some(404),
        ] {
            for status in [200, 400, 500] {
                assert_eq!(row(status, code, "no"), "api");
            }
        }
        let without = |status| row_of(error(Some(status), None, None, &Redactor::default()));
        for (status, row) in [
            (200, "none"),
            (204, "none"),
            (302, "http"),
            (401, "sid"),
            (403, "http"),
            (404, "http"),
            (429, "limit"),
            (500, "http"),
        ] {
            assert_eq!(without(status), row, "{status}");
        }
    }

    #[test]
    fn retry_after_counts_whatever_the_reason() {
        let after = Some(Duration::from_secs(7));
        let redactor = Redactor::default();
        for (status, text) in [(429, ""), (401, ""), (403, "no"), (500, "no"), (503, "")] {
            let envelope = (!text.is_empty()).then(|| ApiErrorBody {
                code: None,
                message: text.to_owned(),
            });
            let error = error(Some(status), after, envelope, &redactor);
            assert_eq!(
                error.and_then(|error| error.retry_after()),
                after,
                "{status}"
            );
        }
        let unreadable = DecodeError {
            message: String::new(),
            is_json: false,
        };
        let decode = list(200, after, Err(unreadable), &redactor);
        assert_eq!(decode.err().and_then(|error| error.retry_after()), after);
    }
}
