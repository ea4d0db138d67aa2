//! Streams: their origins and requirements.

use super::*;

const WEBSOCKET: (&str, &str) = ("TRADERNET_TRANSPORT", "websocket");
const SOCKETIO: (&str, &str) = ("TRADERNET_TRANSPORT", "socketio");
const LOGIN: (&str, &str) = ("TRADERNET_LOGIN", "desk");

#[test]
fn origins_are_derived_from_the_api_or_given() {
    let origin = |pairs: &[_]| account(pairs).stream.unwrap().origin.to_string();
    assert_eq!(origin(&[WEBSOCKET]), "wss://wss.tradernet.com/");
    assert_eq!(origin(&[SOCKETIO, LOGIN]), "wss://ws.tradernet.com/");
    let url = ("TRADERNET_URL", "https://www.freedom24.com");
    assert_eq!(origin(&[WEBSOCKET, url]), "wss://wss.freedom24.com/");
    assert_eq!(origin(&[SOCKETIO, LOGIN, url]), "wss://ws.freedom24.com/");
    let given = ("TRADERNET_WS_URL", "wss://stream.example:8443");
    assert_eq!(origin(&[WEBSOCKET, given]), "wss://stream.example:8443/");
    let given = ("TRADERNET_SOCKETIO_URL", "ws://127.0.0.1:8080");
    assert_eq!(origin(&[SOCKETIO, LOGIN, given]), "ws://127.0.0.1:8080/");
    assert_eq!(account(&[given]).stream, None);
}

#[test]
fn an_origin_that_cannot_be_derived_must_be_given() {
    for url in [
        "https://192.0.2.1",
        "https://[2001:db8::1]",
        "https://tradernet.com:8443",
        "http://localhost",
    ] {
        let url = ("TRADERNET_URL", url);
        let why = "is required: TRADERNET_URL has an IP address or a port";
        assert_refused_with_sid(&[WEBSOCKET, url], &format!("TRADERNET_WS_URL: {why}"));
        assert_refused_with_sid(
            &[SOCKETIO, LOGIN, url],
            &format!("TRADERNET_SOCKETIO_URL: {why}"),
        );
    }
    assert_refused_with_sid(
        &[WEBSOCKET, ("TRADERNET_WS_URL", "ws://stream.example")],
        "TRADERNET_WS_URL: \"ws://stream.example\" would send credentials unencrypted; use wss:// \
         (ws:// is allowed to loopback only)",
    );
}

#[test]
fn socketio_subscribes_with_the_login() {
    let beside_an_sid = account(&[SOCKETIO, LOGIN]);
    let of_a_login = load(&[SOCKETIO, LOGIN, ("TRADERNET_PASSWORD", "secret")]);
    for account in [beside_an_sid, of_a_login.unwrap().accounts.remove(0)] {
        assert_eq!(account.transport, Transport::Socketio);
        let login = "desk".to_owned();
        let protocol = account.stream.unwrap().protocol;
        assert_eq!(protocol, StreamProtocol::Socketio { login });
    }
    assert_refused_with_sid(
        &[SOCKETIO],
        "TRADERNET_TRANSPORT: socketio requires TRADERNET_LOGIN: it subscribes with that name",
    );
}

#[test]
fn a_key_pair_streams_over_a_websocket_only() {
    let key = ("TRADERNET_API_KEY", "key");
    let secret = ("TRADERNET_API_SECRET", "secret");
    load(&[key, secret, WEBSOCKET]).unwrap();
    assert_refused(
        &[key, secret, SOCKETIO],
        "TRADERNET_TRANSPORT: socketio requires an SID or a login; a key pair works with http and websocket",
    );
}
