//! An event frame, `["event", argument, …]`: which event it is, and what its arguments say.
//!
//! Source: the vendor's page (`sessions`, `error`, `sup_iitr_notify_sessions_json`) and its clients
//! (`userData`). Pure, like the rest of `wire`: the list itself is read by the same visitors as an
//! answer over HTTP. Arguments are found first and read afterwards, since what one means depends
//! on those beside it.

use std::fmt;

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::response::{Answer, ApiErrorBody, DecodeError, Scalar, read};

/// An error's data longer than this is not looked at: no server has so much to say.
const LONGEST_ERROR: usize = 64 << 10;

/// What an event frame says.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// The list, an error in its place, or something that should have been one of them.
    Sessions(Result<Answer, DecodeError>),
    /// An error that stands alone.
    Error(ApiErrorBody),
    /// The SID was not accepted: what is served is a demonstration.
    Demo,
    /// Anything else: not for us.
    Other,
}

/// Reads a frame of the WebSocket.
pub(crate) fn websocket_event(text: &str) -> Event {
    let Some(frame) = Frame::split(text) else {
        return Event::Other;
    };
    let first = frame.arguments.first().copied();
    match frame.name.as_str() {
        "sessions" => Event::Sessions(match first {
            Some(list) if !frame.broken => list_of(list),
            _ => frame.missing(),
        }),
        "error" => Event::Error(first.map(envelope).unwrap_or_default()),
        "userData" if first.is_some_and(is_demo) => Event::Demo,
        _ => Event::Other,
    }
}

/// Reads an event of socket.io. Both of its events carry `(err, data)`; where the older one comes
/// with a single argument that is no error, that is the data.
/// Also tells whether it is the older one.
pub(crate) fn socketio_event(text: &str) -> (Event, bool) {
    let Some(frame) = Frame::split(text) else {
        return (Event::Other, false);
    };
    let older = match frame.name.as_str() {
        "sup_iitr_notify_sessions_json" => false,
        "sessions" => true,
        "error" => {
            let first = frame.arguments.first().copied();
            return (Event::Error(first.map(envelope).unwrap_or_default()), false);
        }
        _ => return (Event::Other, false),
    };
    let list = match *frame.arguments.as_slice() {
        _ if frame.broken => frame.missing(),
        [err, ..] if is_error(err, older) => Ok(Answer::Error(envelope(err))),
        [_, data, ..] => list_of(data),
        [data] if older => list_of(data),
        _ => frame.missing(),
    };
    (Event::Sessions(list), older)
}

/// A frame's parts, as texts.
struct Frame<'a> {
    name: String,
    arguments: Vec<&'a RawValue>,
    /// No list is taken from such a frame, not even a whole one: an empty one would close sessions.
    broken: bool,
}

impl<'a> Frame<'a> {
    /// Nothing where it is no list that begins with a name. One that breaks off after its name
    /// keeps that: a list that cannot be read must not pass for no list.
    fn split(text: &'a str) -> Option<Self> {
        let mut frame = Frame {
            name: String::new(),
            arguments: Vec::new(),
            broken: false,
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json.deserialize_seq(Parts(&mut frame));
        if read.and_then(|()| json.end()).is_err() {
            frame.broken = true;
        }
        (!frame.name.is_empty()).then_some(frame)
    }

    fn missing<T>(&self) -> Result<T, DecodeError> {
        let what = match self.broken {
            true => "its event is broken JSON",
            false => "its event has no list",
        };
        Err(DecodeError {
            what: what.to_owned(),
            json: !self.broken,
        })
    }
}

struct Parts<'f, 'a>(&'f mut Frame<'a>);

/// Arguments past this one mean nothing here.
const MOST_ARGUMENTS: usize = 2;

impl<'de> Visitor<'de> for Parts<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        if let Some(name) = parts.next_element::<String>()? {
            self.0.name = name;
        }
        while let Some(argument) = parts.next_element::<&'de RawValue>()? {
            if self.0.arguments.len() < MOST_ARGUMENTS {
                self.0.arguments.push(argument);
            }
        }
        Ok(())
    }
}

fn list_of(data: &RawValue) -> Result<Answer, DecodeError> {
    read(data.get().as_bytes())
}

/// Whether the argument in the place of an error is one.
fn is_error(err: &RawValue, may_be_data: bool) -> bool {
    match err.get() {
        "null" | "false" | "\"\"" | "0" => false,
        text if may_be_data && text.starts_with(['[', '{']) => {
            matches!(list_of(err), Ok(Answer::Error(_)))
        }
        _ => true,
    }
}

/// An error's code and words, under whichever names they come.
fn envelope(data: &RawValue) -> ApiErrorBody {
    if data.get().len() > LONGEST_ERROR {
        return ApiErrorBody::default();
    }
    // Broken data has been refused before; what is nested too deeply says nothing.
    let value = serde_json::from_str(data.get()).unwrap_or(Value::Null);
    let code = |value: &Value| match value {
        Value::Number(code) => code.as_i64(),
        Value::String(code) => code.trim().parse().ok(),
        _ => None,
    };
    match &value {
        Value::String(message) => ApiErrorBody {
            code: None,
            message: message.clone(),
        },
        Value::Object(fields) => {
            let words = ["errMsg", "error", "message", "msg", "reason"];
            let mut texts = words.iter().filter_map(|key| fields.get(*key)?.as_str());
            ApiErrorBody {
                code: fields.get("code").and_then(code),
                message: texts.next().unwrap_or_default().to_owned(),
            }
        }
        other => ApiErrorBody {
            code: code(other),
            message: String::new(),
        },
    }
}

/// The words of an error that is not an event of its own.
pub(crate) fn error_text(text: &str) -> ApiErrorBody {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(data) => envelope(data),
        Err(_) => ApiErrorBody::default(),
    }
}

fn is_demo(data: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct UserData<'a> {
        #[serde(borrow)]
        mode: Option<&'a RawValue>,
        #[serde(borrow, rename = "isDemo")]
        is_demo: Option<&'a RawValue>,
    }
    let Ok(user) = serde_json::from_str::<UserData<'_>>(data.get()) else {
        return false;
    };
    let mode = user.mode.map(Scalar::read);
    mode.is_some_and(|mode| {
        mode.text()
            .is_some_and(|mode| mode.eq_ignore_ascii_case("demo"))
    }) || user
        .is_demo
        .map(Scalar::read)
        .is_some_and(|demo| match demo {
            Scalar::Text(text) => !matches!(text.trim(), "" | "0" | "false"),
            Scalar::Compound => false,
            scalar => scalar.is_truthy(),
        })
}

#[cfg(test)]
mod tests;
