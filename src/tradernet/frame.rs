//! An event frame, `["event", argument, …]`: which event it is, and what its arguments say.
//!
//! Source: the vendor's page (`sessions`, `error`, `sup_iitr_notify_sessions_json`), its clients
//! (`userData`) and captures of live traffic (`keepAlive`, a third element `"wstm=…"`). Pure: a
//! list is read as an answer over HTTP is. Arguments are found first and read afterwards, since
//! what one means depends on those beside it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::response::{self, Answer, ApiErrorBody, DecodeError, Kind, Scalar, kind};

/// Arguments past this one mean nothing here.
const MAX_ARGUMENTS: usize = 2;
/// Errors are looked for in so many objects one inside the other.
const MAX_ERROR_DEPTH: u8 = 3;

/// What an event frame says.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// The list, an error in its place, or something that should have been one of them.
    Sessions(Result<Answer, DecodeError>),
    /// An error.
    Error(ApiErrorBody),
    /// What is served is a demonstration: the SID was not accepted, or has no live account.
    Demo,
    /// Anything else.
    Other,
}

/// Reads a frame of the WebSocket.
pub(super) fn websocket_event(text: &str) -> Event {
    let Some(frame) = Frame::split(text) else {
        return Event::Other;
    };
    let first = frame.arguments.first().copied();
    match frame.name.as_str() {
        "sessions" => Event::Sessions(match first {
            Some(list) if !frame.broken => response::read_value(list),
            _ => Err(frame.missing()),
        }),
        "error" => Event::Error(first.map(error_body).unwrap_or_default()),
        "userData" if first.is_some_and(is_demo) => Event::Demo,
        _ => Event::Other,
    }
}

/// Reads an event of socket.io: its list comes as `(err, data)`.
pub(super) fn socketio_event(text: &str) -> Event {
    let Some(frame) = Frame::split(text) else {
        return Event::Other;
    };
    match (frame.name.as_str(), frame.arguments.as_slice()) {
        ("error", arguments) => Event::Error(
            arguments
                .first()
                .copied()
                .map(error_body)
                .unwrap_or_default(),
        ),
        ("sup_iitr_notify_sessions_json", arguments) => Event::Sessions(match arguments {
            _ if frame.broken => Err(frame.missing()),
            [error, ..] if Scalar::read(error).is_truthy() => Ok(Answer::Error(error_body(error))),
            [_, data, ..] => response::read_value(data),
            _ => Err(frame.missing()),
        }),
        _ => Event::Other,
    }
}

/// A frame's parts, as texts.
struct Frame<'a> {
    name: String,
    arguments: Vec<&'a RawValue>,
    /// No list is taken from such a frame, not even a whole one: an empty one would close sessions.
    broken: bool,
}

impl<'a> Frame<'a> {
    /// `None` where it is not a list that begins with a name. One that breaks off after its name
    /// keeps that: a list that cannot be read must not pass for no list.
    fn split(text: &'a str) -> Option<Self> {
        let mut frame = Frame {
            name: String::new(),
            arguments: Vec::new(),
            broken: false,
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json.deserialize_seq(Parts(&mut frame));
        frame.broken = read.and_then(|()| json.end()).is_err();
        (!frame.name.is_empty()).then_some(frame)
    }

    fn missing(&self) -> DecodeError {
        let message = match self.broken {
            true => "its event is broken JSON",
            false => "its event has no list",
        };
        DecodeError {
            message: message.to_owned(),
            is_json: !self.broken,
        }
    }
}

struct Parts<'f, 'a>(&'f mut Frame<'a>);

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
            if self.0.arguments.len() < MAX_ARGUMENTS {
                self.0.arguments.push(argument);
            }
        }
        Ok(())
    }
}

/// The words of a socket.io error packet, which may be broken.
pub(super) fn error_text(text: &str) -> ApiErrorBody {
    let value = serde_json::from_str::<&RawValue>(text);
    value.map(error_body).unwrap_or_default()
}

/// An error's code and words, under whichever names they come: a text, a code, or an object.
fn error_body(value: &RawValue) -> ApiErrorBody {
    error_body_at(value, 0)
}

fn error_body_at(value: &RawValue, depth: u8) -> ApiErrorBody {
    /// The fields that errors were seen to have, each of any type.
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, rename = "errMsg")]
        err_msg: Option<&'a RawValue>,
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        message: Option<&'a RawValue>,
        #[serde(borrow)]
        msg: Option<&'a RawValue>,
        #[serde(borrow)]
        reason: Option<&'a RawValue>,
        #[serde(borrow)]
        code: Option<&'a RawValue>,
    }
    let scalar = Scalar::read(value);
    if !matches!(kind(value), Kind::Object) || depth == MAX_ERROR_DEPTH {
        return ApiErrorBody {
            code: match scalar {
                Scalar::Text(_) => None,
                _ => scalar.integer(),
            },
            message: scalar.text().unwrap_or_default().to_owned(),
        };
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(value.get()) else {
        return ApiErrorBody::default();
    };
    let words = [
        fields.err_msg,
        fields.error,
        fields.message,
        fields.msg,
        fields.reason,
    ];
    let mut body = ApiErrorBody {
        code: fields.code.and_then(|code| Scalar::read(code).integer()),
        message: String::new(),
    };
    for word in words.into_iter().flatten() {
        let inner = match kind(word) {
            Kind::List | Kind::Scalar("null" | "true or false") => continue,
            _ => error_body_at(word, depth + 1),
        };
        if !inner.message.is_empty() {
            body.message = inner.message;
            body.code = body.code.or(inner.code);
            break;
        }
    }
    body
}

fn is_demo(data: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct UserData<'a> {
        #[serde(borrow)]
        mode: Option<&'a RawValue>,
        #[serde(borrow, rename = "isDemo")]
        is_demo: Option<&'a RawValue>,
    }
    if !matches!(kind(data), Kind::Object) {
        return false;
    }
    let Ok(user) = serde_json::from_str::<UserData<'_>>(data.get()) else {
        return false;
    };
    let is_demo_mode = |mode: Scalar| {
        mode.text()
            .is_some_and(|mode| mode.eq_ignore_ascii_case("demo"))
    };
    let is_true = |demo: Scalar| match demo {
        Scalar::Text(text) => !matches!(text.trim(), "" | "0" | "false"),
        Scalar::Compound => false,
        scalar => scalar.is_truthy(),
    };
    user.mode.map(Scalar::read).is_some_and(is_demo_mode)
        || user.is_demo.map(Scalar::read).is_some_and(is_true)
}

#[cfg(test)]
mod tests;
