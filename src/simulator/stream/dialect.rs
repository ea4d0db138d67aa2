//! What is said over either stream, and how it is read: texts in and out, nothing else.
//!
//! The newer one is JSON arrays, `[event, data]`. The legacy one is socket.io 2 in Engine.IO 3: a digit for
//! the packet of the transport, and in a message (`4`) another for that of socket.io, `2` being an event.

use serde_json::{Value, json};

use super::spec::{DemoWords, SocketIoForms};

/// The event of the list in the vendor's example of socket.io.
const NOTIFY: &str = "sup_iitr_notify_sessions_json";

/// The topic that is subscribed to there.
const TOPIC: &str = "iitr_notify_sessions_json";

/// Which stream a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamProtocol {
    /// WebSocket.
    Plain,
    /// socket.io.
    SocketIo,
}

/// By which event the list was asked for; it comes by the one that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `["sessions"]` over the newer stream.
    Plain,
    /// `sup_subscribe`.
    Subscribe,
    /// `notifySessions`.
    Older,
}

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It asks for the list; over socket.io with the login that it names, and the number that it wants
    /// acknowledged.
    List {
        form: Form,
        subscriber: Option<String>,
        acknowledge: Option<String>,
    },
    /// Engine.IO's heartbeat, with what is to be repeated.
    Ping(String),
    /// It leaves.
    Leave,
    /// Anything else.
    Other,
}

impl StreamProtocol {
    /// Understands a text.
    pub(super) fn read(self, text: &str) -> Heard {
        match self {
            Self::Plain => read_plain(text),
            Self::SocketIo => read_packet(text),
        }
    }

    /// The texts that a connection begins with, after those of the transport.
    pub(super) fn greeting(self, demo: Option<DemoWords>) -> Option<String> {
        let data = match demo {
            None => json!({ "mode": "prod", "authLogin": true }),
            Some(DemoWords::Both) => json!({ "mode": "demo", "isDemo": true }),
            Some(DemoWords::Mode) => json!({ "mode": "demo" }),
            Some(DemoWords::IsDemo) => json!({ "isDemo": true }),
        };
        // Nothing is known of a greeting of the legacy one.
        (self == Self::Plain).then(|| json!(["userData", data]).to_string())
    }

    /// An event that nobody asked for.
    pub(super) fn other_event(self) -> String {
        let data = json!({ "m": [{ "n": "NYSE", "s": "OPEN" }, { "n": "MOEX", "s": "CLOSE" }] });
        match self {
            Self::Plain => json!(["markets", data, { "ev": "update" }]).to_string(),
            Self::SocketIo => format!("42{}", json!(["markets", data])),
        }
    }

    /// What stands before and after the list.
    pub(super) fn around(self, form: Form, third_element: bool) -> (String, &'static str) {
        let after = if third_element {
            r#",{"ev":"update"}]"#
        } else {
            "]"
        };
        (self.before(form), after)
    }

    /// A refusal.
    pub(super) fn error(self, form: Option<Form>, envelope: &str) -> String {
        match self {
            Self::Plain => format!(r#"["error",{envelope}]"#),
            Self::SocketIo => format!(
                r#"42["{}",{envelope},null]"#,
                event(form.unwrap_or(Form::Subscribe))
            ),
        }
    }

    fn before(self, form: Form) -> String {
        match self {
            Self::Plain => format!(r#"["{}","#, event(form)),
            Self::SocketIo => format!(r#"42["{}",null,"#, event(form)),
        }
    }
}

impl SocketIoForms {
    pub(super) fn offers(self, form: Form) -> bool {
        match form {
            Form::Plain => true,
            Form::Subscribe => matches!(self, Self::Both | Self::Subscribe),
            Form::Older => matches!(self, Self::Both | Self::Older),
        }
    }
}

fn event(form: Form) -> &'static str {
    match form {
        Form::Plain | Form::Older => "sessions",
        Form::Subscribe => NOTIFY,
    }
}

/// `["sessions"]`, as the page has it; the vendor's Node client says `["sessions",[]]`.
fn read_plain(text: &str) -> Heard {
    let words = serde_json::from_str::<Vec<Value>>(text).unwrap_or_default();
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty) || value.is_null();
    match &words[..] {
        [event] | [event, _] if event == "sessions" && words.get(1).is_none_or(is_empty) => {
            Heard::List {
                form: Form::Plain,
                subscriber: None,
                acknowledge: None,
            }
        }
        _ => Heard::Other,
    }
}

fn read_packet(text: &str) -> Heard {
    let mut chars = text.chars();
    match chars.next() {
        Some('1') => Heard::Leave,
        Some('2') => Heard::Ping(chars.as_str().to_owned()),
        Some('4') => read_message(chars.as_str()),
        _ => Heard::Other,
    }
}

fn read_message(message: &str) -> Heard {
    // `41` leaves the namespace, and there is no other.
    if message == "1" {
        return Heard::Leave;
    }
    let Some(event) = message.strip_prefix('2') else {
        return Heard::Other;
    };
    let digits = event.len() - event.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, event) = event.split_at(digits);
    let words = serde_json::from_str::<Vec<Value>>(event).unwrap_or_default();
    let word = |at: usize| words.get(at).and_then(Value::as_str);
    let acknowledge = (!number.is_empty()).then(|| number.to_owned());
    match word(0) {
        Some("sup_subscribe") if word(1) == Some(TOPIC) => Heard::List {
            form: Form::Subscribe,
            subscriber: word(2).map(str::to_owned),
            acknowledge,
        },
        Some("notifySessions") => Heard::List {
            form: Form::Older,
            subscriber: word(1).map(str::to_owned),
            acknowledge,
        },
        _ => Heard::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(form: Form, subscriber: Option<&str>, acknowledge: Option<&str>) -> Heard {
        Heard::List {
            form,
            subscriber: subscriber.map(str::to_owned),
            acknowledge: acknowledge.map(str::to_owned),
        }
    }

    #[test]
    fn the_page_and_the_vendors_client_ask_for_the_list() {
        let request = asks(Form::Plain, None, None);
        for text in [
            r#"["sessions"]"#,
            r#"["sessions",[]]"#,
            r#"["sessions",null]"#,
        ] {
            assert_eq!(StreamProtocol::Plain.read(text), request, "{text}");
        }
        for text in [
            "",
            "sessions",
            r#""sessions""#,
            "[]",
            r#"["session"]"#,
            r#"["sessions",["x"]]"#,
            r#"["sessions",[],[]]"#,
            r#"{"0":"sessions"}"#,
            SUBSCRIBE,
        ] {
            assert_eq!(StreamProtocol::Plain.read(text), Heard::Other, "{text}");
        }
    }

    const SUBSCRIBE: &str = r#"42["sup_subscribe","iitr_notify_sessions_json","desk-1"]"#;

    #[test]
    fn packets_are_told_apart() {
        let cases = [
            ("1", Heard::Leave),
            ("41", Heard::Leave),
            ("2", Heard::Ping(String::new())),
            ("2probe", Heard::Ping("probe".to_owned())),
            ("5", Heard::Other),
            ("40", Heard::Other),
            ("42", Heard::Other),
            ("", Heard::Other),
            ("é", Heard::Other),
            (r#"42["sup_subscribe","quotes","desk-1"]"#, Heard::Other),
            (r#"42["sessions"]"#, Heard::Other),
            (SUBSCRIBE, asks(Form::Subscribe, Some("desk-1"), None)),
            (
                r#"423["notifySessions"]"#,
                asks(Form::Older, None, Some("3")),
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(StreamProtocol::SocketIo.read(text), wanted, "{text}");
        }
    }
}
