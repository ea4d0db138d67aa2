//! The list of sessions as the API sends it: bytes in, domain out.
//!
//! Source of the format: the vendor's page of `getSecuritySessions`, and what its clients accept
//! beyond it. Pure: no clock, no socket. The text is checked once; its entries and fields are then
//! slices of it, each read by itself, so that an invalid one costs nothing but itself. No tree of
//! JSON values is built, and no nesting is followed.

mod kind;
mod scalar;
mod session;

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub(super) use self::kind::{Kind, kind};
pub(crate) use self::scalar::Scalar;
use crate::session::{Session, SessionList};

/// Entries of a list, and fields of an object, that are read. No account has a thousandth of it.
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

/// An answer that is neither a list nor an error.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What was wrong with it, without a word of the answer.
    pub message: String,
    /// Whether it was JSON.
    pub is_json: bool,
}

impl DecodeError {
    fn shape(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_json: true,
        }
    }
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
    let value = serde_json::from_str::<&RawValue>(&text).map_err(|error| DecodeError {
        message: match error.is_eof() {
            true => "it is empty or ends in the middle".to_owned(),
            false => format!("it is not JSON (line {})", error.line()),
        },
        is_json: false,
    })?;
    read_value(value)
}

/// Reads an answer: a bare list, an envelope, or an envelope in a list of one.
pub(super) fn read_value(value: &RawValue) -> Result<Answer, DecodeError> {
    match kind(value) {
        Kind::List => {
            let entries = entries(value)?;
            // Beside others an envelope is not a session and no answer.
            if let [only] = entries.as_slice()
                && session::read(only, &mut HashSet::new()).is_none()
                && let Some(answer) = envelope(only)
            {
                return answer;
            }
            sessions(entries)
        }
        Kind::Object => match envelope(value) {
            Some(answer) => answer,
            None => sessions_by_index(value)?.ok_or_else(|| {
                DecodeError::shape("it is an object with neither sessions nor an error")
            }),
        },
        Kind::Scalar(what) => Err(DecodeError::shape(format!("it is {what}"))),
    }
}

/// An error, or the list under `response`; `None` where the value has neither.
fn envelope(value: &RawValue) -> Option<Result<Answer, DecodeError>> {
    if !matches!(kind(value), Kind::Object) {
        return None;
    }
    let fields = match fields(value) {
        Ok(fields) => fields,
        Err(error) => return Some(Err(error)),
    };
    if let Some(error) = error_of(&fields) {
        return Some(Ok(Answer::Error(error)));
    }
    field(&fields, "response").map(response)
}

/// What is under `response`: `res` is the list; missing or null means none.
fn response(value: &RawValue) -> Result<Answer, DecodeError> {
    let what = match kind(value) {
        Kind::Object => {
            let fields = fields(value)?;
            if let Some(error) = error_of(&fields) {
                return Ok(Answer::Error(error));
            }
            let Some(list) = field(&fields, "res") else {
                return Ok(Answer::Sessions(SessionList::default()));
            };
            return match kind(list) {
                Kind::List => sessions(entries(list)?),
                Kind::Object => sessions_by_index(list)?.ok_or_else(|| {
                    DecodeError::shape(match list.get().len() {
                        0..=2 => "its `res` is an empty object",
                        _ => "its `res` is an object, not a list",
                    })
                }),
                Kind::Scalar("null") => Ok(Answer::Sessions(SessionList::default())),
                Kind::Scalar(what) => Err(DecodeError::shape(format!("its `res` is {what}"))),
            };
        }
        Kind::List => "a list",
        Kind::Scalar(what) => what,
    };
    Err(DecodeError::shape(format!("its `response` is {what}")))
}

/// A list with gaps is encoded as an object whose keys are the indices.
fn sessions_by_index(object: &RawValue) -> Result<Option<Answer>, DecodeError> {
    let is_index = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    // An error of false, null, "" or 0 is none, and may stand beside the indices.
    let is_empty_error = |key: &str| matches!(key, "errMsg" | "error" | "code");
    let mut list = Vec::new();
    for (key, value) in fields(object)? {
        if is_index(&key) {
            list.push(value);
        } else if !is_empty_error(&key) {
            return Ok(None);
        }
    }
    match list.is_empty() {
        true => Ok(None),
        false => sessions(list).map(Some),
    }
}

fn sessions(entries: Vec<&RawValue>) -> Result<Answer, DecodeError> {
    let mut logins = HashSet::new();
    let received = entries.len();
    let sessions: Vec<Session> = entries
        .into_iter()
        .filter_map(|entry| session::read(entry, &mut logins))
        .collect();
    let undecodable = received - sessions.len();
    // A list in which nothing is a session is not an empty list: it could not be read.
    if sessions.is_empty() && undecodable > 0 {
        let message = format!("none of its {undecodable} entries is a session");
        return Err(DecodeError::shape(message));
    }
    let list = SessionList::new(sessions, undecodable as u64);
    Ok(Answer::Sessions(list))
}

/// `error` of false, null, "" or 0 is no error, whatever the code says.
fn error_of(fields: &[(String, &RawValue)]) -> Option<ApiErrorBody> {
    let mut error = None;
    for (key, value) in fields {
        if matches!(key.as_str(), "errMsg" | "error") {
            let value = Scalar::read(value);
            if value.is_truthy() {
                let message = value.text().map(str::to_owned);
                error = Some(message.or(error).unwrap_or_default());
            }
        }
    }
    error.map(|message| ApiErrorBody {
        code: field(fields, "code").and_then(|code| Scalar::read(code).integer()),
        message,
    })
}

fn field<'a>(fields: &[(String, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    let mut named = fields.iter().rev().filter(|(key, _)| key == name);
    named.next().map(|(_, value)| *value)
}

fn entries(list: &RawValue) -> Result<Vec<&RawValue>, DecodeError> {
    let mut entries = Vec::new();
    let mut json = serde_json::Deserializer::from_str(list.get());
    let read = json.deserialize_seq(Entries(&mut entries));
    read.map_err(|_| DecodeError::shape("its list cannot be read"))?;
    match entries.len() > MAX_ENTRIES {
        true => Err(too_many()),
        false => Ok(entries),
    }
}

fn fields(object: &RawValue) -> Result<Vec<(String, &RawValue)>, DecodeError> {
    let mut fields = Vec::new();
    let mut json = serde_json::Deserializer::from_str(object.get());
    let read = json.deserialize_map(Fields(&mut fields));
    read.map_err(|_| DecodeError::shape("it has a name that is not text"))?;
    match fields.len() > MAX_ENTRIES {
        true => Err(too_many()),
        false => Ok(fields),
    }
}

fn too_many() -> DecodeError {
    DecodeError::shape(format!("it has more than {MAX_ENTRIES} entries"))
}

/// Collects the entries of a list, up to one more than are allowed.
struct Entries<'v, 'a>(&'v mut Vec<&'a RawValue>);

impl<'de> Visitor<'de> for Entries<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<&'de RawValue>()? {
            if self.0.len() <= MAX_ENTRIES {
                self.0.push(entry);
            }
        }
        Ok(())
    }
}

/// Collects the fields of an object, up to one more than are allowed.
struct Fields<'v, 'a>(&'v mut Vec<(String, &'a RawValue)>);

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(field) = object.next_entry::<String, &'de RawValue>()? {
            if self.0.len() <= MAX_ENTRIES {
                self.0.push(field);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
