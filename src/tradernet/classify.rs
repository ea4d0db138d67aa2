//! The meaning of the API's errors: one table for answers to a list request, refused handshakes and
//! error events of streams. Answers to a login are classified in `login`.
//!
//! The API sends errors with HTTP 200 as often as with 4xx, with codes that are missing or reused.
//! So words count too; the first row that matches decides.

use super::error::{AuthError, Error, ResponseHead, ServerMessage};
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

/// The verdict on the answer to a list request, or on the event of a stream, which has no status.
pub(super) fn list(
    head: ResponseHead,
    answer: Result<Answer, DecodeError>,
    redactor: &Redactor,
) -> Result<SessionList, Error> {
    match answer {
        Ok(Answer::Error(body)) => Err(envelope_error(head, &body, redactor)),
        Ok(Answer::Sessions(list)) => status_error(head).map_or(Ok(list), Err),
        Err(DecodeError(detail)) => {
            Err(status_error(head).unwrap_or(Error::Decode { detail, head }))
        }
    }
}

/// The error of a status without an envelope; `None` for 2xx.
fn status_error(head: ResponseHead) -> Option<Error> {
    let message = ServerMessage {
        head,
        ..ServerMessage::default()
    };
    match head.status? {
        200..300 => None,
        429 => Some(Error::RateLimited(message)),
        401 => Some(Error::Auth(AuthError::SidRejected(message))),
        _ => Some(Error::HttpStatus(head)),
    }
}

/// The error that an envelope reports.
fn envelope_error(head: ResponseHead, body: &ApiErrorBody, redactor: &Redactor) -> Error {
    let message = message(head, body, redactor);
    let text = body.message.to_lowercase();
    let has = |words: &str| text.contains(words);
    let is = |number: u16| head.status == Some(number) || body.code == Some(number.into());

    if is(429) || is_limit(&text) {
        return Error::RateLimited(message);
    }
    if has("security session") {
        return Error::Auth(AuthError::MissingRight(message));
    }
    if has("api key") || has("signature") {
        return Error::Auth(AuthError::KeyPairRejected(message));
    }
    let not_authorized = [
        "not authorized",
        "not authorised",
        "unauthorized",
        "invalid credentials",
    ];
    let names_sid = text
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word == "sid");
    let dead_session = has("session") && (has("expired") || has("invalid") || has("dead"));
    if names_sid
        || dead_session
        || not_authorized.into_iter().any(has)
        || (is(401) && !is_transient(&text))
        || body.code == Some(12)
    {
        return Error::Auth(AuthError::SidRejected(message));
    }
    if matches!(body.code, Some(4 | 7 | 8 | 14)) || head.status == Some(403) {
        return Error::Auth(AuthError::Rejected(message));
    }
    Error::Api(message)
}

/// Whether a text, in lower case, says that requests are limited.
pub(super) fn is_limit(text: &str) -> bool {
    text.contains("request limit") || text.contains("too many requests")
}

/// Whether a text, in lower case, speaks of a limit or of maintenance.
pub(super) fn is_transient(text: &str) -> bool {
    TRANSIENT_WORDS
        .into_iter()
        .any(|words| text.contains(words))
}

/// The server's words as they may be shown.
pub(super) fn message(
    head: ResponseHead,
    body: &ApiErrorBody,
    redactor: &Redactor,
) -> ServerMessage {
    ServerMessage {
        head,
        code: body.code,
        text: redactor.redact(&body.message),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    /// The rows of the table, in short.
    fn row(status: u16, code: Option<i64>, text: &str) -> &'static str {
        let envelope = ApiErrorBody {
            code,
            message: text.to_owned(),
        };
        row_of(answered(status, Ok(Answer::Error(envelope))).err())
    }

    fn answered(status: u16, answer: Result<Answer, DecodeError>) -> Result<SessionList, Error> {
        let head = ResponseHead {
            status: Some(status),
            retry_after: Some(Duration::from_secs(7)),
            ..ResponseHead::default()
        };
        list(head, answer, &Redactor::default())
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
    fn missing_right_does_not_reject_the_sid() {
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
    fn api_key_or_signature_rejects_the_key_pair() {
        assert_eq!(row(403, None, "Invalid api key provided"), "key");
        assert_eq!(row(200, Some(4), "Bad SIGNATURE"), "key");
        assert_eq!(row(401, None, "API key of another SID"), "key");
    }

    #[test]
    fn words_codes_and_statuses_of_a_rejected_sid() {
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
    fn limit_or_maintenance_with_401_does_not_reject_the_sid() {
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
        let empty = || Ok(Answer::Sessions(SessionList::default()));
        let without = |status| row_of(answered(status, empty()).err());
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
        let envelope = |text: &str| {
            Ok(Answer::Error(ApiErrorBody {
                code: None,
                message: text.to_owned(),
            }))
        };
        let unreadable = || Err(DecodeError(String::new()));
        for (status, answer) in [
            (429, unreadable()),
            (401, unreadable()),
            (503, unreadable()),
            (200, unreadable()),
            (403, envelope("no")),
            (500, envelope("no")),
            (200, envelope("no")),
            (200, envelope("Request limit exceeded")),
        ] {
            let error = answered(status, answer).unwrap_err();
            assert_eq!(error.retry_after(), after, "{status}");
            assert!(error.to_string().ends_with("; retry after 7s"), "{error}");
            if let Error::Auth(error) = error {
                let error = Error::Auth(AuthError::NewSidRejected(Box::new(error)));
                assert_eq!(error.retry_after(), after, "{error}");
            }
        }
    }

    #[test]
    fn only_statuses_that_do_not_pass_by_themselves_need_a_person() {
        let unreadable = || Err(DecodeError(String::new()));
        for (status, passes) in [
            (404, false),
            (408, true),
            (425, true),
            (422, false),
            (503, true),
        ] {
            let advice = answered(status, unreadable()).unwrap_err().advice();
            assert_eq!(advice.ends_with("by itself"), passes, "{status}: {advice}");
        }
    }

    #[test]
    fn error_shows_status_beside_the_words_and_no_wait_of_zero() {
        let envelope = |code| ApiErrorBody {
            code,
            message: "no".to_owned(),
        };
        for (status, code, expected) in [
            (503, None, "\"no\", HTTP 503"),
            (413, Some(5), "\"no\" (code 5), HTTP 413"),
            (200, Some(5), "\"no\" (code 5)"),
        ] {
            let head = ResponseHead {
                status: Some(status),
                retry_after: Some(Duration::ZERO),
                ..ResponseHead::default()
            };
            let answer = Ok(Answer::Error(envelope(code)));
            let error = list(head, answer, &Redactor::default()).unwrap_err();
            let expected = format!("the server answered with an error: {expected}");
            assert_eq!(error.to_string(), expected);
        }
    }
}
