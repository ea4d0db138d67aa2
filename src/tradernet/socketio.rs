//! The part of socket.io 2.x that an account's list needs, over Engine.IO 3's WebSocket transport.
//!
//! Written here rather than taken from a crate: the maintained one, `rust_socketio`, speaks only
//! Engine.IO 4, where the server pings; a 2.x server waits for the client's ping and would
//! disconnect. Those for Engine.IO 3 have had one release. The necessary part is small: an open packet,
//! a ping and its pong, and text events. No polling transport, no acknowledgements, no namespaces:
//! a server sends only those of namespaces that a client has joined.
//!
//! Source: engine.io-protocol revision 3 and socket.io-protocol revision 4; the events are the
//! vendor's page. A packet's type is its first character, a message's is the second.

use std::time::Duration;

use super::frame::{Event, error, socketio_event};
use super::value::Value;

pub(super) const PING: &str = "2";

/// The packet that requests the list, and every change of it.
pub(super) fn subscribe(login: &str) -> String {
    let event = serde_json::json!(["sup_subscribe", "iitr_notify_sessions_json", login]);
    format!("42{event}")
}

/// Reads a text frame.
pub(super) fn read(text: &str) -> Event {
    let (kind, rest) = split(text);
    match kind {
        Some('0') => Event::Opened(ping_interval(rest)),
        Some('1') => Event::Closed,
        Some('3') => Event::Pong,
        Some('4') => message(rest),
        _ => Event::Other(None),
    }
}

fn message(text: &str) -> Event {
    let (kind, rest) = split(text);
    match kind {
        Some('0') => Event::Connected,
        Some('1') => Event::Closed,
        // The number of an acknowledgement may precede the event.
        Some('2') => socketio_event(rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        Some('4') => error(&Value::parse(rest).unwrap_or(Value::Null)),
        _ => Event::Other(None),
    }
}

/// The first character, which is the type, and the rest.
fn split(text: &str) -> (Option<char>, &str) {
    let mut characters = text.chars();
    (characters.next(), characters.as_str())
}

fn ping_interval(text: &str) -> Option<Duration> {
    let milliseconds = Value::parse(text).ok()?.field("pingInterval").integer()?;
    Some(Duration::from_millis(u64::try_from(milliseconds).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;
    use crate::tradernet::response::Answer;

    #[test]
    fn open_packet_has_the_ping_interval() {
        let packet = r#"0{"sid":"x","upgrades":[],"pingTimeout":5000,"pingInterval":25000}"#;
        assert_eq!(read(packet), Event::Opened(Some(Duration::from_secs(25))));
        assert_eq!(read("0{}"), Event::Opened(None));
    }

    #[test]
    fn packets_by_their_first_characters() {
        assert_eq!(read("40"), Event::Connected);
        assert_eq!(read("41"), Event::Closed);
        assert_eq!(read("1"), Event::Closed);
        assert_eq!(read("3"), Event::Pong);
        assert_eq!(read("6"), Event::Other(None));
        assert_eq!(read(""), Event::Other(None));
        assert_eq!(read("4"), Event::Other(None));
        assert_eq!(read("é"), Event::Other(None));
    }

    #[test]
    fn an_event_may_carry_the_number_of_an_acknowledgement() {
        let list = r#"["sup_iitr_notify_sessions_json",null,[{"response":{"res":null}}]]"#;
        for before in ["42", "4217"] {
            let Event::Answer(Ok(Answer::Sessions(list))) = read(&format!("{before}{list}")) else {
                panic!("{before}")
            };
            assert!(list.sessions().is_empty());
        }
    }

    #[test]
    fn connect_error_is_text_or_object() {
        let refused = |text| match read(text) {
            Event::Answer(Ok(Answer::Error(envelope))) => (envelope.code, envelope.message),
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
    fn subscription_is_that_of_the_vendors_page() {
        assert_eq!(
            subscribe("me \"and\" you"),
            r#"42["sup_subscribe","iitr_notify_sessions_json","me \"and\" you"]"#
        );
    }
}
