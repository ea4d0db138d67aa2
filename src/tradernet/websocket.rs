//! What is said over the WebSocket: JSON arrays `[event, data, …]` in text frames.
//!
//! Source: the vendor's page and its Node client, which sends `["sessions",[]]` where the page sends
//! `["sessions"]`. The SID stands in the URL, so nothing here ever formats one for a person.

use secrecy::{ExposeSecret as _, SecretString};

use super::frame::{Event, websocket_event};

/// Asks for the list, and for every change of it.
pub(super) const ASK: &str = r#"["sessions"]"#;

/// Path and query of the handshake.
pub(super) fn path(sid: &SecretString) -> SecretString {
    form_urlencoded::Serializer::for_suffix("/?".to_owned(), 2)
        .append_pair("SID", sid.expose_secret())
        .finish()
        .into()
}

/// Reads a text frame.
pub(super) fn read(text: &str) -> Event {
    websocket_event(text)
}
