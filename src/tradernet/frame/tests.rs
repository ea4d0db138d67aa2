#![allow(clippy::panic)]

use super::*;

const SESSION: &str = r#"{"id":7,"safety_type_id":4,"expire":85299}"#;
const BROKEN: &str = "its event is broken JSON";

/// An event in short: how many sessions it lists, its error's code and words, or what is wrong.
fn shown(event: Event) -> String {
    match event {
        Event::Answer(Ok(Answer::Sessions(list))) => format!("{} open", list.sessions().len()),
        Event::Answer(Ok(Answer::Error(said))) => format!("{:?} {}", said.code, said.message),
        Event::Answer(Err(DecodeError(message))) => message,
        Event::Demo => "demo".to_owned(),
        Event::Other(name) => format!("other {}", name.unwrap_or_default()),
        event => panic!("{event:?}"),
    }
}

fn websocket(text: &str) -> String {
    shown(websocket_event(text))
}

fn sessions(arguments: &str) -> String {
    websocket(&format!(r#"["sessions",{arguments}]"#))
}

/// The event with a list over socket.io.
fn notified(arguments: &str) -> String {
    let event = format!(r#"["sup_iitr_notify_sessions_json",{arguments}]"#);
    shown(socketio_event(&event))
}

#[test]
fn lists_of_the_websocket() {
    for (frame, expected) in [
        (r#"["sessions",[S]]"#, "1 open"),
        (r#"["sessions",[]]"#, "0 open"),
        (r#"["sessions",[S],{"at":1},[],null]"#, "1 open"),
        (r#"["sessions",[{"response":{"res":[S]}}]]"#, "1 open"),
        (" [ \"sessions\" ,\n [ S ] ] ", "1 open"),
        (r#"["\u0073essions",[]]"#, "0 open"),
        (r#"["sessions"]"#, "its event has no list"),
        (r#"["sessions",null]"#, "it is null"),
    ] {
        assert_eq!(websocket(&frame.replace('S', SESSION)), expected, "{frame}");
    }
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert!(!sessions(&deep).ends_with("open"));
}

#[test]
fn lists_of_socketio_follow_no_error() {
    for no_error in ["null", "false", "\"\"", "0"] {
        let data = format!(r#"{no_error},[{{"response":{{"res":[{SESSION}]}}}}],1,{{}}"#);
        assert_eq!(notified(&data), "1 open");
    }
    let missing = shown(socketio_event(r#"["sup_iitr_notify_sessions_json"]"#));
    assert_eq!(missing, "its event has no list");
    for (arguments, expected) in [
        (r#"null,[{"response":{"res":null}}]"#, "0 open"),
        (
            r#"{"code":12,"message":"no"},[{"response":{"res":[]}}]"#,
            "Some(12) no",
        ),
        (r#""no",null"#, "None no"),
        ("true", "None "),
        ("12,null", "Some(12) "),
        ("null", "its event has no list"),
        ("null,null", "it is null"),
    ] {
        assert_eq!(notified(arguments), expected, "{arguments}");
    }
}

/// An empty list from half a frame would close sessions.
#[test]
fn no_list_is_taken_from_a_broken_frame() {
    for end in ["", ",", ",]", "}", "] x", r#"]["sessions",5]"#] {
        for list in ["[]", r#"[{"id":7,"expire":85299}]"#, r#"[{"id":7},"#] {
            let frame = format!(r#"["sessions",{list}{end}"#);
            assert_eq!(websocket(&frame), BROKEN, "{frame}");
            let frame = format!(
                r#"["sup_iitr_notify_sessions_json",null,[{{"response":{{"res":{list}}}}}]{end}"#
            );
            assert_eq!(shown(socketio_event(&frame)), BROKEN, "{frame}");
        }
    }
    let frame = r#"["sup_iitr_notify_sessions_json","Access denied""#;
    assert_eq!(shown(socketio_event(frame)), BROKEN);
}

#[test]
fn errors_in_every_shape() {
    assert_eq!(websocket(r#"["error"]"#), "None ");
    for (data, expected) in [
        (r#""Access denied""#, "None Access denied"),
        (r#"{"errMsg":"no","code":"12"}"#, "Some(12) no"),
        (r#"{"message":"no","code":12}"#, "Some(12) no"),
        ("12", "Some(12) "),
        ("null", "None "),
        ("[[]]", "None "),
        (
            r#"{"code":7,"error":{"message":"no","code":12}}"#,
            "Some(7) no",
        ),
        (r#"{"error":true,"message":"no"}"#, "None no"),
        (r#"{"reason":"no","code":null}"#, "None no"),
    ] {
        let frame = format!(r#"["error",{data},"wstm=2026-07-31T07%3A27%3A20.380Z"]"#);
        assert_eq!(websocket(&frame), expected, "{data}");
    }
    let deep = r#"{"error":"#.repeat(10_000) + "1" + &"}".repeat(10_000);
    assert_eq!(websocket(&format!(r#"["error",{deep}]"#)), "None ");
}

/// Refused handshakes are read as answers are.
#[test]
fn error_is_read_alike_in_answers_lists_and_events() {
    for (data, expected) in [
        (r#"{"error":{"message":"no","code":5}}"#, "Some(5) no"),
        (r#"{"code":401}"#, "Some(401) "),
        (r#"{"errMsg":null,"code":12}"#, "Some(12) "),
        (r#"[{"error":"no"}]"#, "None no"),
        (r#"[{"response":{"errMsg":"no","code":"7"}}]"#, "Some(7) no"),
    ] {
        let by_itself = websocket(&format!(r#"["error",{data}]"#));
        let answer = shown(Event::Answer(response::read(data.as_bytes())));
        assert_eq!([by_itself, sessions(data), answer], [expected; 3], "{data}");
    }
}

#[test]
fn demo_mode() {
    let user = |data: &str| websocket(&format!(r#"["userData",{data}]"#));
    for data in [
        r#"{"mode":"DEMO","login":"x"}"#,
        r#"{"isDemo":1}"#,
        r#"{"mode":"prod","isDemo":true}"#,
    ] {
        assert_eq!(user(data), "demo", "{data}");
    }
    for data in [
        r#"{"isDemo":0,"mode":"prod"}"#,
        r#"{"mode":null,"isDemo":null}"#,
        "[]",
        r#""demo""#,
    ] {
        assert_eq!(user(data), "other userData", "{data}");
    }
    assert_eq!(websocket(r#"["userData"]"#), "other userData");
}

#[test]
fn frames_that_are_not_for_us() {
    for frame in [
        "",
        "x",
        "[]",
        "[1]",
        "[[]]",
        "null",
        r#"{"sessions":[]}"#,
        r#""sessions""#,
        r#"[["sessions"],[]]"#,
        r#"["sessio"#,
        r#"["",[]]"#,
    ] {
        assert_eq!(websocket(frame), "other ", "{frame}");
        assert_eq!(shown(socketio_event(frame)), "other ", "{frame}");
    }
    for (name, read) in [
        ("Sessions", websocket_event as fn(&str) -> Event),
        ("keepAlive", websocket_event),
        ("userData", socketio_event),
        ("sessions", socketio_event),
    ] {
        let frame = format!(r#"["{name}",[],"wstm=2026-07-31"]"#);
        assert_eq!(shown(read(&frame)), format!("other {name}"));
    }
}
