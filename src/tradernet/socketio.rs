//! The part of socket.io 2.x that an account's list needs, over Engine.IO 3's WebSocket transport.
//!
//! Written here rather than taken from a crate: the maintained one, `rust_socketio`, speaks only
//! Engine.IO 4, where the server pings; a 2.x server waits for the client's ping and would
//! disconnect. Those for Engine.IO 3 have had one release. What is needed is small: an open packet,
//! a ping and a pong, and text events in the default namespace. No polling transport, no
//! acknowledgements, no namespaces.
//!
//! Source: engine.io-protocol revision 3 and socket.io-protocol revision 4; the events are the
//! vendor's page. A packet's type is its first character, a message's is the second.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::frame::{self, Event};
use super::response::ApiErrorBody;

pub(super) const PING: &str = "2";
pub(super) const PONG: &str = "3";

/// The packet that asks for the list, and for every change of it.
pub(super) fn subscribe(login: &str) -> String {
    let event = serde_json::json!(["sup_subscribe", "iitr_notify_sessions_json", login]);
    format!("42{event}")
}

/// Path and query of the handshake.
pub(super) fn path(sid: &SecretString) -> SecretString {
    let start = "/socket.io/?";
    form_urlencoded::Serializer::for_suffix(start.to_owned(), start.len())
        .append_pair("EIO", "3")
        .append_pair("transport", "websocket")
        .append_pair("SID", sid.expose_secret())
        .finish()
        .into()
}

/// A packet as far as it matters here.
#[derive(Debug, PartialEq)]
pub(super) enum Packet {
    /// The first one: the server expects a ping this often.
    Open(Option<Duration>),
    /// Events can be sent now.
    Connected,
    /// The server's ping; the same text goes back behind [`PONG`].
    Ping(String),
    /// The answer to ours.
    Pong,
    /// An event.
    Event(Event),
    /// The server refuses the connection.
    Refused(ApiErrorBody),
    /// The server ends the connection.
    End,
    /// Anything else.
    Other,
}

/// Reads a text frame.
pub(super) fn read(text: &str) -> Packet {
    let mut characters = text.chars();
    let kind = characters.next();
    let rest = characters.as_str();
    match kind {
        Some('0') => Packet::Open(ping_interval(rest)),
        Some('1') => Packet::End,
        Some('2') => Packet::Ping(rest.to_owned()),
        Some('3') => Packet::Pong,
        Some('4') => message(rest),
        _ => Packet::Other,
    }
}

fn message(text: &str) -> Packet {
    let mut characters = text.chars();
    let kind = characters.next();
    let rest = characters.as_str();
    // What belongs to another namespace begins with its name.
    if rest.starts_with('/') && !rest.starts_with("/,") {
        return Packet::Other;
    }
    let rest = rest.strip_prefix("/,").unwrap_or(rest);
    match kind {
        Some('0') => Packet::Connected,
        Some('1') => Packet::End,
        // The number of an acknowledgement may stand before the event.
        Some('2') => {
            let event = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            Packet::Event(frame::socketio_event(event))
        }
        Some('4') => Packet::Refused(frame::error_text(rest)),
        _ => Packet::Other,
    }
}

fn ping_interval(text: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Open {
        /// In milliseconds.
        #[serde(rename = "pingInterval")]
        ping_interval: u64,
    }
    let open: Open = serde_json::from_str(text).ok()?;
    Some(Duration::from_millis(open.ping_interval))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;
    use crate::tradernet::response::Answer;

    #[test]
    fn the_open_packet_tells_the_heartbeat() {
        let packet = r#"0{"sid":"x","upgrades":[],"pingTimeout":5000,"pingInterval":25000}"#;
        assert_eq!(read(packet), Packet::Open(Some(Duration::from_secs(25))));
        assert_eq!(read("0{}"), Packet::Open(None));
    }

    #[test]
    fn packets_by_their_first_characters() {
        assert_eq!(read("40"), Packet::Connected);
        assert_eq!(read("40/,"), Packet::Connected);
        assert_eq!(read("40/other,"), Packet::Other);
        assert_eq!(read("41"), Packet::End);
        assert_eq!(read("1"), Packet::End);
        assert_eq!(read("2probe"), Packet::Ping("probe".to_owned()));
        assert_eq!(read("3"), Packet::Pong);
        assert_eq!(read("6"), Packet::Other);
        assert_eq!(read(""), Packet::Other);
        assert_eq!(read("4"), Packet::Other);
        assert_eq!(read("é"), Packet::Other);
    }

    #[test]
    fn an_event_may_carry_an_acknowledgement_or_the_default_namespace() {
        let list = r#"["sup_iitr_notify_sessions_json",null,[{"response":{"res":null}}]]"#;
        for before in ["42", "4217", "42/,", "42/,3"] {
            let Packet::Event(Event::Sessions(Ok(Answer::Sessions(list)))) =
                read(&format!("{before}{list}"))
            else {
                panic!("{before}")
            };
            assert!(list.sessions().is_empty());
        }
        assert_eq!(read(&format!("42/other,{list}")), Packet::Other);
    }

    #[test]
    fn a_refusal_is_read_as_text_or_object() {
        let refused = |text| match read(text) {
            Packet::Refused(envelope) => (envelope.code, envelope.message),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(r#"44"no""#), (None, "no".to_owned()));
        assert_eq!(
            refused(r#"44{"message":"no","code":12}"#),
            (Some(12), "no".to_owned())
        );
        assert_eq!(refused("44"), (None, String::new()));
        assert_eq!(refused("44{broken"), (None, String::new()));
    }

    #[test]
    fn what_is_asked_is_what_the_vendors_page_asks() {
        assert_eq!(
            subscribe("me \"and\" you"),
            r#"42["sup_subscribe","iitr_notify_sessions_json","me \"and\" you"]"#
        );
    }

    #[test]
    fn an_sid_is_encoded() {
        let path = path(&"a&b=c/d".into());
        assert_eq!(
            path.expose_secret(),
            "/socket.io/?EIO=3&transport=websocket&SID=a%26b%3Dc%2Fd"
        );
    }
}
