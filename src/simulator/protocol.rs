//! The messages of both streams: texts in and out, nothing else.
//!
//! The WebSocket's are JSON arrays, `[event, data, "wstm=…"]`. The legacy ones are socket.io 2 in Engine.IO 3
//! over a WebSocket: a digit for the packet of the transport, and in a message (`4`) another for socket.io's,
//! where `2` is an event. Sources: the vendor's pages and clients, published traffic.

use serde_json::{Value, json};

/// The event of the list in the vendor's example of socket.io.
const NOTIFY: &str = "sup_iitr_notify_sessions_json";

/// The topic that the example subscribes to.
const TOPIC: &str = "iitr_notify_sessions_json";

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    WebSocket,
    SocketIo,
}

/// A message from a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClientMessage {
    /// A request for the list.
    Subscribe,
    /// Engine.IO's ping, with the text to repeat.
    Ping(String),
    /// Anything else; the server ignores it.
    Other,
}

impl Protocol {
    /// Understands a text.
    pub(super) fn parse(self, text: &str) -> ClientMessage {
        match self {
            Self::WebSocket => parse_websocket(text),
            Self::SocketIo => parse_packet(text),
        }
    }

    /// The list, given as JSON.
    pub(super) fn list(self, list: &str) -> String {
        match self {
            Self::WebSocket => frame("sessions", list),
            Self::SocketIo => format!(r#"42["{NOTIFY}",null,{list}]"#),
        }
    }

    /// A refusal, given as JSON.
    pub(super) fn error(self, envelope: &Value) -> String {
        match self {
            Self::WebSocket => frame("error", &envelope.to_string()),
            Self::SocketIo => format!(r#"42["{NOTIFY}",{envelope},null]"#),
        }
    }

    /// The messages that a connection begins with, for a user or, without one, in demo mode.
    pub(super) fn greeting(self, user: Option<&str>, id: &str) -> Vec<String> {
        match self {
            Self::WebSocket => {
                let login = user.unwrap_or("demo");
                let mode = if user.is_some() { "prod" } else { "demo" };
                let data = json!({
                    "isDemo": user.is_none(), "mode": mode, "authLogin": login, "login": login,
                    "clientLogin": login, "lang": "en",
                });
                vec![frame("userData", &data.to_string())]
            }
            Self::SocketIo => {
                let open = json!({
                    "sid": id, "upgrades": [], "pingInterval": 25_000, "pingTimeout": 5_000,
                });
                vec![format!("0{open}"), "40".to_owned()]
            }
        }
    }
}

/// A frame of the WebSocket; vendor SDKs unpack exactly three elements, of which the last is a time.
fn frame(event: &str, data: &str) -> String {
    format!(r#"["{event}",{data},"wstm=2026-07-31T07%3A27%3A20.380Z"]"#)
}

/// `["sessions"]` on one page, `["session"]` on another, `["sessions",[]]` in the vendor's Node client.
fn parse_websocket(text: &str) -> ClientMessage {
    let words = serde_json::from_str::<Vec<Value>>(text).unwrap_or_default();
    let is_list = |event: &Value| event == "sessions" || event == "session";
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty) || value.is_null();
    match words.as_slice() {
        [event] if is_list(event) => ClientMessage::Subscribe,
        [event, data] if is_list(event) && is_empty(data) => ClientMessage::Subscribe,
        _ => ClientMessage::Other,
    }
}

fn parse_packet(text: &str) -> ClientMessage {
    if let Some(payload) = text.strip_prefix('2') {
        return ClientMessage::Ping(payload.to_owned());
    }
    let words = text.strip_prefix("42").unwrap_or_default();
    let words = serde_json::from_str::<Vec<Value>>(words).unwrap_or_default();
    match words.as_slice() {
        // The login that follows names the SID's own account.
        [event, topic, ..] if event == "sup_subscribe" && topic == TOPIC => {
            ClientMessage::Subscribe
        }
        _ => ClientMessage::Other,
    }
}
