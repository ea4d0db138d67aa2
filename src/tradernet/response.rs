//! The list of sessions as the API sends it: bytes in, domain out.
//!
//! Source of the format: the vendor's page of `getSecuritySessions`, and what its clients accept
//! beyond it. Pure: no clock, no socket. The text is checked once; its entries and fields are then
//! slices of it, each read by itself, so that an invalid one costs nothing but itself. No tree of
//! JSON values is built, and no nesting is followed.

mod session;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::value::{Fields, Text, Value, lossy};
use crate::session::SessionList;

/// Entries of a list that are read. No account has a hundredth of it, and a hostile server's lists must
/// not fill the memory.
const MAX_ENTRIES: usize = 10_000;

/// Errors are looked for in so many objects one inside the other.
const MAX_ERROR_DEPTH: u8 = 3;
/// Where an error's words were seen.
const ERROR_FIELDS: [&str; 6] = ["errMsg", "error", "message", "msg", "reason", "response"];

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

/// The fault of an answer that is neither a list nor an error, without a word of the answer.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodeError(pub String);

fn decode_error<T>(message: impl Into<String>) -> Result<T, DecodeError> {
    Err(DecodeError(message.into()))
}

/// Reads an answer.
///
/// # Errors
///
/// The fault of an answer that has neither a list nor an error.
pub fn read(bytes: &[u8]) -> Result<Answer, DecodeError> {
    match Value::parse(&text(bytes)) {
        Ok(value) => read_value(value),
        Err(error) if error.is_eof() => decode_error("it is empty or ends in the middle"),
        Err(error) => decode_error(format!("it is not JSON (line {})", error.line())),
    }
}

/// The text of an answer or frame, without what must not hide a whole list: the byte order mark of servers
/// whose source files were saved with one, and a name in another encoding.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// Reads an answer: a bare list, an envelope, or an envelope in a list of one.
pub(super) fn read_value(value: Value<'_>) -> Result<Answer, DecodeError> {
    match value {
        // Beside others an envelope is not a session and no answer.
        Value::List(entries) => match entries.as_slice() {
            [only] if session::read(only).is_none() => {
                read_object(&Value::read(only)).unwrap_or_else(|| sessions(entries))
            }
            _ => sessions(entries),
        },
        object @ Value::Object(_) => read_object(&object)
            .unwrap_or_else(|| decode_error("it is an object with neither sessions nor an error")),
        other => decode_error(format!("it is {}", other.type_name())),
    }
}

/// The list under `response` or as indices, or an error; `None` where there is neither.
fn read_object(object: &Value<'_>) -> Option<Result<Answer, DecodeError>> {
    let Value::Object(fields) = object else {
        return None;
    };
    if object.has_error() {
        return Some(Ok(Answer::Error(error_body(object))));
    }
    match fields.get("response") {
        Some(response) => Some(read_response(&Value::read(response))),
        None => sessions_by_index(fields).or_else(|| code_alone(object)),
    }
}

/// The value of `response`: `res` is the list; null or missing means none, but beside other things
/// the list may be among them.
fn read_response(response: &Value<'_>) -> Result<Answer, DecodeError> {
    let Value::Object(fields) = response else {
        return decode_error(format!("its `response` is {}", response.type_name()));
    };
    if response.has_error() {
        return Ok(Answer::Error(error_body(response)));
    }
    let is_alone = || fields.0.iter().all(|(Text(key), _)| is_no_error(key));
    let none = || {
        if fields.get("res").is_none() && !is_alone() {
            return decode_error("its `response` has no `res`");
        }
        Ok(Answer::Sessions(SessionList::default()))
    };
    match response.field("res") {
        Value::Null => code_alone(response).unwrap_or_else(none),
        Value::List(list) => sessions(list),
        Value::Object(fields) => sessions_by_index(&fields)
            .unwrap_or_else(|| decode_error("its `res` is an object, not a list")),
        other => decode_error(format!("its `res` is {}", other.type_name())),
    }
}

/// An object without a list is an error where it has a code.
fn code_alone(object: &Value<'_>) -> Option<Result<Answer, DecodeError>> {
    let has_code = object.field("code").is_truthy();
    has_code.then(|| Ok(Answer::Error(error_body(object))))
}

/// An error of false, null, "" or 0 is none, and may be beside a list.
fn is_no_error(key: &str) -> bool {
    matches!(key, "errMsg" | "error" | "code")
}

/// A list with gaps is encoded as an object whose keys are the indices.
fn sessions_by_index(fields: &Fields<'_>) -> Option<Result<Answer, DecodeError>> {
    let is_index = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    let fields = fields.0.iter().map(|(Text(key), entry)| (&**key, *entry));
    let entries: BTreeMap<&str, &RawValue> = fields.filter(|(key, _)| !is_no_error(key)).collect();
    let is_list = !entries.is_empty() && entries.keys().all(|key| is_index(key));
    is_list.then(|| sessions(entries.into_values().collect()))
}

fn sessions(entries: Vec<&RawValue>) -> Result<Answer, DecodeError> {
    let received = entries.len();
    if received > MAX_ENTRIES {
        return decode_error(format!("it has more than {MAX_ENTRIES} entries"));
    }
    // They are kept: a list that grows would leave holes in the memory.
    let mut sessions = Vec::with_capacity(received);
    sessions.extend(entries.into_iter().filter_map(session::read));
    let undecodable = received - sessions.len();
    // A list in which nothing is a session is not an empty list: it could not be read.
    if sessions.is_empty() && undecodable > 0 {
        return decode_error(format!("none of its {undecodable} entries is a session"));
    }
    let list = SessionList::new(sessions, undecodable as u64);
    Ok(Answer::Sessions(list))
}

/// An error's code and words: a text, a code, or an object with them under whichever names they come,
/// also in a list of one or under `response`.
pub(super) fn error_body(error: &Value<'_>) -> ApiErrorBody {
    error_body_at(error, 0)
}

fn error_body_at(error: &Value<'_>, depth: u8) -> ApiErrorBody {
    let inner = |value: &Value<'_>| error_body_at(value, depth + 1);
    match error {
        Value::Text(Text(text)) => ApiErrorBody {
            code: None,
            message: text.trim().to_owned(),
        },
        Value::Number(_) => ApiErrorBody {
            code: error.integer(),
            message: String::new(),
        },
        Value::List(entries) if depth < MAX_ERROR_DEPTH => match entries.as_slice() {
            [only] => inner(&Value::read(only)),
            _ => ApiErrorBody::default(),
        },
        Value::Object(_) if depth < MAX_ERROR_DEPTH => {
            let words = ERROR_FIELDS.map(|name| inner(&error.field(name)));
            let words = words.into_iter().find(|body| !body.message.is_empty());
            let words = words.unwrap_or_default();
            ApiErrorBody {
                code: error.field("code").integer().or(words.code),
                message: words.message,
            }
        }
        _ => ApiErrorBody::default(),
    }
}

#[cfg(test)]
mod tests;
