//! An event frame, `["event", argument, …]`: which event it is, and what its arguments say.
//!
//! Source: the vendor's page (`sessions`, `error`, `sup_iitr_notify_sessions_json`), its clients
//! (`userData`) and captures of live traffic (`keepAlive`, a third element `"wstm=…"`). Pure: a
//! list is read as an answer over HTTP is.

use std::time::Duration;

use serde_json::value::RawValue;

use super::response::{self, Answer, ApiErrorBody, DecodeError};
use super::value::Value;

/// Errors are looked for in so many objects one inside the other.
const MAX_ERROR_DEPTH: u8 = 3;

/// What a frame says.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// The list, an error in its place, or something that should have been one of them.
    Sessions(Result<Answer, DecodeError>),
    /// An error.
    Error(ApiErrorBody),
    /// A demonstration is served: the SID was not accepted, or has no live account.
    Demo,
    /// socket.io: the connection is open; the server expects a ping this often.
    Opened(Option<Duration>),
    /// socket.io: events can be sent now.
    Connected,
    /// socket.io: the server's ping; the same text goes back in the pong.
    Ping(String),
    /// socket.io: the answer to a ping of ours.
    Pong,
    /// socket.io: the server refuses the connection.
    Refused(ApiErrorBody),
    /// socket.io: the server ends the connection.
    Closed,
    /// Another event, with its name; without one where the frame is no event.
    Other(Option<String>),
}

/// Reads a frame of the WebSocket.
pub(super) fn websocket_event(text: &str) -> Event {
    let Some(Frame { name, arguments }) = Frame::split(text) else {
        return Event::Other(None);
    };
    let first = arguments.as_deref().unwrap_or_default().first();
    match name.as_str() {
        "sessions" => Event::Sessions(arguments.and_then(|arguments| match arguments.as_slice() {
            [list, ..] => response::read_value(list),
            [] => Err(no_list()),
        })),
        "error" => Event::Error(first.map(|error| error_body(error)).unwrap_or_default()),
        "userData" if first.is_some_and(|user| is_demo(&Value::read(user))) => Event::Demo,
        _ => Event::Other(Some(name)),
    }
}

/// Reads an event of socket.io: its list comes as `(err, data)`.
pub(super) fn socketio_event(text: &str) -> Event {
    let Some(Frame { name, arguments }) = Frame::split(text) else {
        return Event::Other(None);
    };
    let first = arguments.as_deref().unwrap_or_default().first();
    match name.as_str() {
        "error" => Event::Error(first.map(|error| error_body(error)).unwrap_or_default()),
        "sup_iitr_notify_sessions_json" => {
            Event::Sessions(arguments.and_then(|arguments| match arguments.as_slice() {
                [error, ..] if Value::read(error).is_truthy() => {
                    Ok(Answer::Error(error_body(error)))
                }
                [_, data, ..] => response::read_value(data),
                _ => Err(no_list()),
            }))
        }
        _ => Event::Other(Some(name)),
    }
}

fn no_list() -> DecodeError {
    DecodeError("its event has no list".to_owned())
}

struct Frame<'a> {
    name: String,
    /// An error where the frame breaks off after its name. No list is taken from such a frame, not
    /// even a whole one: an empty one would close sessions.
    arguments: Result<Vec<&'a RawValue>, DecodeError>,
}

impl<'a> Frame<'a> {
    /// `None` where it is not a list that begins with a name.
    fn split(text: &'a str) -> Option<Self> {
        let parts = text.trim_start().strip_prefix('[')?;
        let mut parts = serde_json::Deserializer::from_str(parts).into_iter::<String>();
        let name = parts.next()?.ok().filter(|name| !name.is_empty())?;
        let arguments = serde_json::from_str::<Vec<&RawValue>>(text);
        Some(Self {
            name,
            arguments: arguments
                .map(|parts| parts.into_iter().skip(1).collect())
                .map_err(|_| DecodeError("its event is broken JSON".to_owned())),
        })
    }
}

/// An error's code and words, under whichever names they come: a text, a code, or an object.
pub(super) fn error_body(error: &RawValue) -> ApiErrorBody {
    error_body_at(&Value::read(error), 0)
}

fn error_body_at(error: &Value<'_>, depth: u8) -> ApiErrorBody {
    if !matches!(error, Value::Object(_)) || depth == MAX_ERROR_DEPTH {
        return ApiErrorBody {
            code: error.integer().filter(|_| !matches!(error, Value::Text(_))),
            message: error.text().unwrap_or_default().to_owned(),
        };
    }
    let words = ["errMsg", "error", "message", "msg", "reason"]
        .map(|name| error_body_at(&error.field(name), depth + 1))
        .into_iter()
        .find(|inner| !inner.message.is_empty())
        .unwrap_or_default();
    ApiErrorBody {
        code: error.field("code").integer().or(words.code),
        message: words.message,
    }
}

fn is_demo(user: &Value<'_>) -> bool {
    let mode = user.field("mode");
    let is_demo = |mode: &str| mode.eq_ignore_ascii_case("demo");
    mode.text().is_some_and(is_demo) || user.field("isDemo").is_flag_set()
}

#[cfg(test)]
mod tests;
