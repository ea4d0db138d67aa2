//! The list of sessions as the API sends it: bytes in, domain out.
//!
//! Source of the format: the vendor's page of `getSecuritySessions`, and what its clients accept
//! beyond it. Pure: no clock, no socket. The text is checked once; its entries and fields are then
//! slices of it, each read by itself, so that an invalid one costs nothing but itself. No tree of
//! JSON values is built, and no nesting is followed.

mod session;

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::value::Value;
use crate::session::{Session, SessionList};

/// Entries of a list that are read. No account has a thousandth of it.
const MAX_ENTRIES: usize = 100_000;

/// A readable answer.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The list, possibly empty.
    Sessions(SessionList),
    /// An error in the server's own words.
    Error(ApiErrorBody),
}

/// An error envelope: `{"errMsg": "…", "code": n}` or `{"error": "…", "code": n}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiErrorBody {
    /// The code, where there is a readable one.
    pub code: Option<i64>,
    /// The server's words as they came: not redacted yet.
    pub message: String,
}

/// What is wrong with an answer that is neither a list nor an error, without a word of the answer.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodeError(pub String);

fn decode_error<T>(message: impl Into<String>) -> Result<T, DecodeError> {
    Err(DecodeError(message.into()))
}

/// Reads an answer.
///
/// # Errors
///
/// What is wrong with an answer that has neither a list nor an error.
pub fn read(bytes: &[u8]) -> Result<Answer, DecodeError> {
    // Answers of servers whose source files were saved with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // One name in another encoding must not hide a whole list.
    let text = String::from_utf8_lossy(bytes);
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(value) => read_value(value),
        Err(error) if error.is_eof() => decode_error("it is empty or ends in the middle"),
        Err(error) => decode_error(format!("it is not JSON (line {})", error.line())),
    }
}

/// Reads an answer: a bare list, an envelope, or an envelope in a list of one.
pub(super) fn read_value(value: &RawValue) -> Result<Answer, DecodeError> {
    match Value::read(value) {
        Value::List(entries) => {
            // Beside others an envelope is not a session and no answer.
            if let [only] = entries.as_slice()
                && session::read(only, &mut HashSet::new()).is_none()
                && let Some(answer) = envelope(&Value::read(only))
            {
                return answer;
            }
            sessions(entries)
        }
        object @ Value::Object(_) => envelope(&object).unwrap_or_else(|| {
            sessions_by_index(object).unwrap_or_else(|| {
                decode_error("it is an object with neither sessions nor an error")
            })
        }),
        other => decode_error(format!("it is {}", other.type_name())),
    }
}

/// An error, or the list under `response`; `None` where the value has neither.
fn envelope(value: &Value<'_>) -> Option<Result<Answer, DecodeError>> {
    if let Some(error) = error_of(value) {
        return Some(Ok(Answer::Error(error)));
    }
    let Value::Object(fields) = value else {
        return None;
    };
    fields
        .get("response")
        .map(|response| read_response(response))
}

/// What is under `response`: `res` is the list; missing or null means none.
fn read_response(response: &RawValue) -> Result<Answer, DecodeError> {
    let response = Value::read(response);
    if let Some(error) = error_of(&response) {
        return Ok(Answer::Error(error));
    }
    if !matches!(response, Value::Object(_)) {
        return decode_error(format!("its `response` is {}", response.type_name()));
    }
    match response.field("res") {
        Value::Null => Ok(Answer::Sessions(SessionList::default())),
        Value::List(list) => sessions(list),
        object @ Value::Object(_) => sessions_by_index(object)
            .unwrap_or_else(|| decode_error("its `res` is an object, not a list")),
        other => decode_error(format!("its `res` is {}", other.type_name())),
    }
}

/// A list with gaps is encoded as an object whose keys are the indices.
fn sessions_by_index(object: Value<'_>) -> Option<Result<Answer, DecodeError>> {
    let is_index = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    let Value::Object(mut fields) = object else {
        return None;
    };
    // An error of false, null, "" or 0 is none, and may stand beside the indices.
    fields.retain(|key, _| !matches!(key.as_str(), "errMsg" | "error" | "code"));
    let is_list = !fields.is_empty() && fields.keys().all(|key| is_index(key));
    is_list.then(|| sessions(fields.into_values().collect()))
}

fn sessions(entries: Vec<&RawValue>) -> Result<Answer, DecodeError> {
    let received = entries.len();
    if received > MAX_ENTRIES {
        return decode_error(format!("it has more than {MAX_ENTRIES} entries"));
    }
    let mut logins = HashSet::new();
    let sessions: Vec<Session> = entries
        .into_iter()
        .filter_map(|entry| session::read(entry, &mut logins))
        .collect();
    let undecodable = received - sessions.len();
    // A list in which nothing is a session is not an empty list: it could not be read.
    if sessions.is_empty() && undecodable > 0 {
        return decode_error(format!("none of its {undecodable} entries is a session"));
    }
    let list = SessionList::new(sessions, undecodable as u64);
    Ok(Answer::Sessions(list))
}

/// `error` of false, null, "" or 0 is no error, whatever the code says.
fn error_of(value: &Value<'_>) -> Option<ApiErrorBody> {
    let errors = ["errMsg", "error"].map(|name| value.field(name));
    let is_error = errors.iter().any(Value::is_truthy);
    is_error.then(|| ApiErrorBody {
        code: value.field("code").integer(),
        message: errors
            .iter()
            .find_map(Value::text)
            .unwrap_or_default()
            .to_owned(),
    })
}

#[cfg(test)]
mod tests;
