//! An event frame, `["event", argument, …]`: which event it is, and what its arguments say.
//!
//! Source: the vendor's page (`sessions`, `error`, `sup_iitr_notify_sessions_json`), its clients
//! (`userData`) and captures of live traffic (`keepAlive`, a third element `"wstm=…"`). Pure: a
//! list is read as an answer over HTTP is.

use std::time::Duration;

use serde_json::value::RawValue;

use super::response::{self, Answer, DecodeError, error_body};
use super::value::Value;

/// The content of a frame.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// The list, an error, or something that should have been one of them.
    Answer(Result<Answer, DecodeError>),
    /// A demonstration is served: the SID was not accepted, or has no live account.
    Demo,
    /// socket.io: the connection is open; the server expects a ping this often.
    Opened(Option<Duration>),
    /// socket.io: events can be sent now.
    Connected,
    /// socket.io: the answer to a ping of ours.
    Pong,
    /// socket.io: the server ends the connection.
    Closed,
    /// Another event, with its name; without one where the frame is not an event.
    Other(Option<String>),
}

/// Reads a frame of the WebSocket.
pub(super) fn websocket_event(text: &str) -> Event {
    let Some(frame) = Frame::split(text) else {
        return Event::Other(None);
    };
    match frame.name.as_str() {
        "sessions" => Event::Answer(frame.list(0)),
        "error" => error(&frame.argument(0)),
        "userData" if is_demo(&frame.argument(0)) => Event::Demo,
        _ => Event::Other(Some(frame.name)),
    }
}

/// Reads an event of socket.io: its list comes as `(err, data)`.
pub(super) fn socketio_event(text: &str) -> Event {
    let Some(frame) = Frame::split(text) else {
        return Event::Other(None);
    };
    let first = frame.argument(0);
    match frame.name.as_str() {
        "error" => error(&first),
        "sup_iitr_notify_sessions_json" if first.is_truthy() => error(&first),
        "sup_iitr_notify_sessions_json" => Event::Answer(frame.list(1)),
        _ => Event::Other(Some(frame.name)),
    }
}

/// An error, in whichever shape it comes.
pub(super) fn error(error: &Value<'_>) -> Event {
    Event::Answer(Ok(Answer::Error(error_body(error))))
}

struct Frame<'a> {
    name: String,
    /// `None` where the frame breaks off after its name. No list is taken from such a frame, not
    /// even a whole one: an empty one would close sessions.
    arguments: Option<Vec<&'a RawValue>>,
}

impl<'a> Frame<'a> {
    /// `None` where it is not a list that begins with a name.
    fn split(text: &'a str) -> Option<Self> {
        let parts = text.trim_start().strip_prefix('[')?;
        let mut parts = serde_json::Deserializer::from_str(parts).into_iter::<String>();
        let name = parts.next()?.ok().filter(|name| !name.is_empty())?;
        let parts = serde_json::from_str::<Vec<&RawValue>>(text).ok();
        let arguments = parts.map(|parts| parts.into_iter().skip(1).collect());
        Some(Self { name, arguments })
    }

    fn argument(&self, index: usize) -> Value<'a> {
        let argument = self.arguments.as_ref().and_then(|all| all.get(index));
        argument.map_or(Value::Null, |argument| Value::read(argument))
    }

    fn list(&self, index: usize) -> Result<Answer, DecodeError> {
        match &self.arguments {
            None => Err(DecodeError("its event is broken JSON".to_owned())),
            Some(all) if index < all.len() => response::read_value(self.argument(index)),
            Some(_) => Err(DecodeError("its event has no list".to_owned())),
        }
    }
}

fn is_demo(user: &Value<'_>) -> bool {
    let mode = user.field("mode");
    let is_demo = |mode: &str| mode.eq_ignore_ascii_case("demo");
    mode.text().is_some_and(is_demo) || user.field("isDemo").is_flag_set()
}

#[cfg(test)]
mod tests;
