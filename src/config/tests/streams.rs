//! Streams: where they are, and what they need.

use super::*;

/// Where an account streams from.
fn stream(pairs: &[(&str, &str)]) -> String {
    account(pairs).stream.unwrap().origin.to_string()
}

#[test]
fn streams_live_beside_the_api() {
    let websocket = ("TRADERNET_TRANSPORT", "websocket");
    let socketio = ("TRADERNET_TRANSPORT", "socketio");
    let login = ("TRADERNET_LOGIN", "desk");
    assert_eq!(stream(&[websocket]), "wss://wss.tradernet.com/");
    assert_eq!(stream(&[socketio, login]), "wss://ws.tradernet.com/");
    let url = ("TRADERNET_URL", "https://www.freedom24.com");
    assert_eq!(stream(&[websocket, url]), "wss://wss.freedom24.com/");
    assert_eq!(stream(&[socketio, login, url]), "wss://ws.freedom24.com/");
    let given = ("TRADERNET_WS_URL", "wss://stream.example:8443");
    assert_eq!(stream(&[websocket, given]), "wss://stream.example:8443/");
    let given = ("TRADERNET_SOCKETIO_URL", "ws://127.0.0.1:8080");
    assert_eq!(stream(&[socketio, login, given]), "ws://127.0.0.1:8080/");
}

#[test]
fn a_polled_account_has_no_stream() {
    let polled = account(&[("TRADERNET_WS_URL", "wss://stream.example")]);
    assert_eq!(polled.transport, Transport::Http);
    assert_eq!(polled.stream, None);
}

#[test]
fn a_stream_subscribes_with_the_login() {
    let socketio = ("TRADERNET_TRANSPORT", "socketio");
    let beside_an_sid = account(&[socketio, ("TRADERNET_LOGIN", "desk")]);
    let of_a_login = [
        socketio,
        ("TRADERNET_LOGIN", "desk"),
        ("TRADERNET_PASSWORD", "secret"),
    ];
    let of_a_login = load(&of_a_login).unwrap().accounts.remove(0);
    for account in [beside_an_sid, of_a_login] {
        assert_eq!(account.transport, Transport::Socketio);
        let login = "desk".to_owned();
        let dialect = account.stream.unwrap().dialect;
        assert_eq!(dialect, StreamProtocol::Socketio { login });
    }
}

#[test]
fn a_streams_origin_that_cannot_be_told_must_be_given() {
    for url in [
        "https://192.0.2.1",
        "https://[2001:db8::1]",
        "https://tradernet.com:8443",
        "http://localhost",
    ] {
        refused_with_sid(
            &[("TRADERNET_TRANSPORT", "websocket"), ("TRADERNET_URL", url)],
            "TRADERNET_WS_URL: is missing: it cannot be told from TRADERNET_URL, which names an address or a port",
        );
        refused_with_sid(
            &[
                ("TRADERNET_TRANSPORT", "socketio"),
                ("TRADERNET_LOGIN", "desk"),
                ("TRADERNET_URL", url),
            ],
            "TRADERNET_SOCKETIO_URL: is missing: it cannot be told from TRADERNET_URL, which names an address or a port",
        );
    }
}

#[test]
fn a_key_pair_does_not_stream() {
    for transport in ["websocket", "socketio"] {
        let problems = load(&[
            ("TRADERNET_API_KEY", "key"),
            ("TRADERNET_API_SECRET", "secret"),
            ("TRADERNET_TRANSPORT", transport),
        ]);
        assert_eq!(
            problems.unwrap_err().to_string(),
            format!(
                "TRADERNET_TRANSPORT={transport:?}: needs an SID or a login: a key pair reads over http alone"
            )
        );
    }
}

#[test]
fn socketio_needs_a_name_beside_an_sid() {
    refused_with_sid(
        &[("TRADERNET_TRANSPORT", "socketio")],
        "TRADERNET_LOGIN: is missing: TRADERNET_TRANSPORT=socketio subscribes with the login's name, beside an SID too",
    );
}

#[test]
fn a_wrong_stream_url_is_told_once() {
    refused_with_sid(
        &[
            ("TRADERNET_TRANSPORT", "websocket"),
            ("TRADERNET_WS_URL", "ws://stream.example"),
        ],
        "TRADERNET_WS_URL=\"ws://stream.example\": would send credentials unencrypted: use wss://, ws:// is for loopback alone",
    );
}
