#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const SESSION: &str = r#"{"id":7,"safety_type_id":4,"expire":85299}"#;

/// How many sessions an event lists.
fn listed(event: Event) -> usize {
    match event {
        Event::Answer(Ok(Answer::Sessions(list))) => list.sessions().len(),
        other => panic!("{other:?}"),
    }
}

/// What is wrong with an event's list.
fn unreadable(event: Event) -> String {
    match event {
        Event::Answer(Err(DecodeError(message))) => message,
        other => panic!("{other:?}"),
    }
}

/// An error's code and words, alone or in a list's place.
fn error(event: Event) -> (Option<i64>, String) {
    match event {
        Event::Answer(Ok(Answer::Error(envelope))) => (envelope.code, envelope.message),
        other => panic!("{other:?}"),
    }
}

mod websocket {
    use super::*;

    fn read(text: &str) -> Event {
        websocket_event(text)
    }

    #[test]
    fn good_bare_list() {
        assert_eq!(listed(read(&format!(r#"["sessions",[{SESSION}]]"#))), 1);
    }

    #[test]
    fn good_empty_list() {
        assert_eq!(listed(read(r#"["sessions",[]]"#)), 0);
    }

    #[test]
    fn good_third_element() {
        let frame = format!(r#"["sessions",[{SESSION}],{{"at":1}},[],null]"#);
        assert_eq!(listed(read(&frame)), 1);
    }

    #[test]
    fn good_envelope() {
        let frame = format!(r#"["sessions",[{{"response":{{"res":[{SESSION}]}}}}]]"#);
        assert_eq!(listed(read(&frame)), 1);
    }

    #[test]
    fn good_white_space() {
        let frame = format!(" [ \"sessions\" ,\n [ {SESSION} ] ] ");
        assert_eq!(listed(read(&frame)), 1);
    }

    #[test]
    fn good_name_with_escapes() {
        assert_eq!(listed(read(r#"["\u0073essions",[]]"#)), 0);
    }

    #[test]
    fn bad_list_missing() {
        assert_eq!(unreadable(read(r#"["sessions"]"#)), "its event has no list");
    }

    #[test]
    fn bad_list_null() {
        assert_eq!(unreadable(read(r#"["sessions",null]"#)), "it is null");
    }

    #[test]
    fn bad_list_string() {
        assert_eq!(unreadable(read(r#"["sessions","[]"]"#)), "it is a string");
    }

    #[test]
    fn bad_list_of_numbers() {
        assert_eq!(
            unreadable(read(r#"["sessions",[1,2]]"#)),
            "none of its 2 entries is a session"
        );
    }

    #[test]
    fn bad_list_cut_short() {
        let frame = format!(r#"["sessions",[{SESSION},"#);
        assert_eq!(unreadable(read(&frame)), "its event is broken JSON");
    }

    #[test]
    fn bad_whole_list_in_a_broken_frame() {
        for frame in [
            r#"["sessions",[]"#,
            r#"["sessions",[],"#,
            r#"["sessions",[],]"#,
            r#"["sessions",[]}"#,
            r#"["sessions",[]] x"#,
            r#"["sessions",[]]["sessions",5]"#,
            r#"["sessions",[{"id":7,"safety_type_id":4,"expire":85299}]"#,
        ] {
            assert_eq!(
                unreadable(read(frame)),
                "its event is broken JSON",
                "{frame}"
            );
        }
    }

    #[test]
    fn bad_list_nested_too_deeply() {
        let deep = format!(
            r#"["sessions",{}{}]"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(matches!(read(&deep), Event::Answer(_)));
    }

    #[test]
    fn bad_list_is_an_error_envelope() {
        let frame = r#"["sessions",{"error":"Access denied","code":12}]"#;
        assert_eq!(error(read(frame)), (Some(12), "Access denied".to_owned()));
    }

    #[test]
    fn error_in_words() {
        let frame = r#"["error","Access denied"]"#;
        assert_eq!(error(read(frame)), (None, "Access denied".to_owned()));
    }

    #[test]
    fn error_in_an_object() {
        for key in ["errMsg", "error", "message"] {
            let frame = format!(r#"["error",{{"{key}":"no","code":"12"}},1]"#);
            assert_eq!(error(read(&frame)), (Some(12), "no".to_owned()), "{key}");
        }
    }

    #[test]
    fn error_as_a_bare_code() {
        assert_eq!(error(read(r#"["error",12]"#)), (Some(12), String::new()));
    }

    #[test]
    fn error_without_anything() {
        assert_eq!(error(read(r#"["error"]"#)), (None, String::new()));
        assert_eq!(error(read(r#"["error",null]"#)), (None, String::new()));
    }

    #[test]
    fn error_in_an_object_in_an_object() {
        for (data, code, words) in [
            (r#"{"error":{"message":"no","code":12}}"#, Some(12), "no"),
            (
                r#"{"code":7,"error":{"message":"no","code":12}}"#,
                Some(7),
                "no",
            ),
            (r#"{"error":true,"message":"no"}"#, None, "no"),
            (r#"{"reason":"no","code":null}"#, None, "no"),
            (r#"{"code":"12"}"#, Some(12), ""),
            ("[[]]", None, ""),
        ] {
            let frame = format!(r#"["error",{data},"wstm=2026-07-31T07%3A27%3A20.380Z"]"#);
            assert_eq!(error(read(&frame)), (code, words.to_owned()), "{data}");
        }
        let deep = format!("{}1{}", r#"{"error":"#.repeat(10_000), "}".repeat(10_000));
        let frame = format!(r#"["error",{deep}]"#);
        assert_eq!(error(read(&frame)), (None, String::new()));
    }

    /// Refused handshakes are read as answers are.
    #[test]
    fn error_is_read_alike_in_answers_lists_and_events() {
        for (data, code, words) in [
            (r#"{"error":{"message":"no","code":5}}"#, Some(5), "no"),
            (r#"{"code":401}"#, Some(401), ""),
            (r#"{"errMsg":null,"code":12}"#, Some(12), ""),
            (r#"[{"error":"no"}]"#, None, "no"),
            (r#"{"response":{"error":"no"}}"#, None, "no"),
            (
                r#"[{"response":{"errMsg":"no","code":"7"}}]"#,
                Some(7),
                "no",
            ),
        ] {
            let expected = (code, words.to_owned());
            let by_itself = error(read(&format!(r#"["error",{data}]"#)));
            assert_eq!(by_itself, expected, "{data}");
            let in_place = error(read(&format!(r#"["sessions",{data}]"#)));
            assert_eq!(in_place, expected, "{data}");
            let answer = Event::Answer(response::read(data.as_bytes()));
            assert_eq!(error(answer), expected, "{data}");
        }
    }

    #[test]
    fn keep_alive_is_ignored() {
        let event = read(r#"["keepAlive",[],"wstm=2026-07-31"]"#);
        assert_eq!(event, Event::Other(Some("keepAlive".to_owned())));
    }

    #[test]
    fn demo_mode() {
        for data in [
            r#"{"mode":"demo"}"#,
            r#"{"mode":"DEMO","login":"x"}"#,
            r#"{"isDemo":true}"#,
            r#"{"isDemo":1}"#,
            r#"{"mode":"prod","isDemo":true}"#,
        ] {
            assert_eq!(
                read(&format!(r#"["userData",{data}]"#)),
                Event::Demo,
                "{data}"
            );
        }
    }

    #[test]
    fn production_mode() {
        for data in [
            r#"{"mode":"prod"}"#,
            r#"{"isDemo":false}"#,
            r#"{"isDemo":0,"mode":"prod"}"#,
            r#"{"mode":null,"isDemo":null}"#,
            "{}",
            "[]",
            "null",
            r#""demo""#,
        ] {
            let event = read(&format!(r#"["userData",{data}]"#));
            assert!(matches!(event, Event::Other(_)), "{data}");
        }
        assert!(matches!(read(r#"["userData"]"#), Event::Other(_)));
    }

    #[test]
    fn shapes_that_are_not_for_us() {
        for frame in [
            "",
            "x",
            "[]",
            "[1]",
            "[[]]",
            "null",
            "{}",
            r#"{"sessions":[]}"#,
            r#""sessions""#,
            r#"[["sessions"],[]]"#,
            r#"["Sessions",[]]"#,
            r#"["sessions2",[]]"#,
            r#"["q",{"c":"AAPL.US"}]"#,
            r#"["sessio"#,
            r#"["",[]]"#,
        ] {
            assert!(matches!(read(frame), Event::Other(_)), "{frame}");
        }
    }
}

mod socketio {
    use super::*;

    fn read(text: &str) -> Event {
        socketio_event(text)
    }

    fn current(arguments: &str) -> Event {
        read(&format!(r#"["sup_iitr_notify_sessions_json",{arguments}]"#))
    }

    #[test]
    fn good_list_where_the_page_has_it() {
        let data = format!(r#"[{{"response":{{"res":[{SESSION}]}}}}]"#);
        for no_error in ["null", "false", "\"\"", "0"] {
            assert_eq!(listed(current(&format!("{no_error},{data}"))), 1);
        }
    }

    #[test]
    fn good_res_null_or_missing_is_none() {
        assert_eq!(listed(current(r#"null,[{"response":{"res":null}}]"#)), 0);
        assert_eq!(listed(current(r#"null,[{"response":{}}]"#)), 0);
    }

    #[test]
    fn good_more_arguments() {
        let arguments = format!(r#"null,[{{"response":{{"res":[{SESSION}]}}}}],1,{{}}"#);
        assert_eq!(listed(current(&arguments)), 1);
    }

    #[test]
    fn bad_error_beside_data() {
        assert_eq!(
            error(current(
                r#"{"code":12,"message":"no"},[{"response":{"res":[]}}]"#
            )),
            (Some(12), "no".to_owned())
        );
        assert_eq!(error(current(r#""no",null"#)), (None, "no".to_owned()));
        assert_eq!(error(current("true")), (None, String::new()));
        assert_eq!(error(current("12,null")), (Some(12), String::new()));
    }

    #[test]
    fn bad_data_missing() {
        assert_eq!(unreadable(current("null")), "its event has no list");
        assert_eq!(unreadable(current("null,null")), "it is null");
        assert_eq!(
            unreadable(read(r#"["sup_iitr_notify_sessions_json"]"#)),
            "its event has no list"
        );
    }

    #[test]
    fn bad_whole_data_in_a_broken_frame() {
        let whole = r#"["sup_iitr_notify_sessions_json",null,[{"response":{"res":[]}}]"#;
        for end in ["", ",", "]]", "]]xx", "]x"] {
            let frame = format!("{whole}{end}");
            assert_eq!(
                unreadable(read(&frame)),
                "its event is broken JSON",
                "{frame}"
            );
        }
        let frame = r#"["sup_iitr_notify_sessions_json","Access denied""#;
        assert_eq!(unreadable(read(frame)), "its event is broken JSON");
    }

    #[test]
    fn bad_data_cut_short() {
        assert_eq!(
            unreadable(read(r#"["sup_iitr_notify_sessions_json",null,[{"resp"#)),
            "its event is broken JSON"
        );
    }

    #[test]
    fn events_that_are_not_for_us() {
        for frame in [
            r#"["userData",{"mode":"demo"}]"#,
            r#"["sessions",[]]"#,
            r#"["q",1]"#,
            "",
            "x",
            "[]",
        ] {
            assert!(matches!(read(frame), Event::Other(_)), "{frame}");
        }
    }
}
