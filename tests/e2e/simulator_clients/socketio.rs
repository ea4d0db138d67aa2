//! npm's `socket.io-client` 2.x.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tradernet_exporter::simulator::{
    Disconnect, ErrorEnvelope, Fault, FaultTarget, Repeat, SessionSpec, Simulator, SocketIoForms,
};

use super::node_client::NodeClient;
use super::{HOUR, SID, served};

/// How a client may be told to speak.
const DEFAULTS: &str = "{}";
const WEBSOCKET: &str = r#"{"transports":["websocket"],"reconnectionDelay":50}"#;
const POLLING: &str = r#"{"transports":["polling"],"reconnectionDelay":50}"#;

fn connect(address: SocketAddr, sid: &str, options: &str) -> NodeClient {
    let url = format!("ws://{address}");
    NodeClient::start("socketio.js", &[&url, sid, "desk-1", options])
}

/// The ids of the next list; none where it is null.
async fn ids(peer: &mut NodeClient) -> Vec<i64> {
    let list = peer.next_of("sessions").await;
    if list["res"].is_null() {
        return vec![];
    }
    let ids = list["res"].as_array().unwrap().iter();
    ids.map(|session| session["id"].as_i64().unwrap()).collect()
}

fn paths(world: &Simulator) -> Vec<String> {
    let requests = world.requests();
    let path = |target: &str| target.split("&t=").next().unwrap().to_owned();
    requests
        .iter()
        .map(|request| format!("{} {}", request.method, path(&request.target)))
        .collect()
}

#[tokio::test]
async fn the_vendors_example_begins_with_polling_and_goes_on_over_a_websocket() {
    let (world, address) = served().await;
    let first = world
        .account("desk-1")
        .open_session(SessionSpec::new(2, HOUR).user_login("Łukasz 🦀"));
    let mut peer = connect(address, SID, DEFAULTS);
    assert_eq!(
        peer.next().await,
        json!({ "event": "CONNECT", "transport": "polling" })
    );
    let (mut upgraded, mut list) = (false, Value::Null);
    while !upgraded || list.is_null() {
        let happened = peer.next().await;
        match happened["event"].as_str().unwrap() {
            "UPGRADE" => upgraded = true,
            "sessions" => list = happened,
            "markets" => {}
            other => panic!("{other}: {happened}"),
        }
    }
    assert_eq!(list["res"][0]["id"], first);
    assert_eq!(list["res"][0]["user_login"], "Łukasz 🦀");

    world.account("desk-1").close_session(first);
    let list = peer.next_of("sessions").await;
    assert_eq!(
        (&list["res"], &list["transport"]),
        (&Value::Null, &Value::from("websocket")),
        "none is null"
    );
    let second = world
        .account("desk-1")
        .open_session(SessionSpec::new(2, HOUR));
    assert_eq!(ids(&mut peer).await, [second]);
    peer.tell("ask").await;
    assert_eq!(ids(&mut peer).await, [second]);

    let seen = world.account("desk-1").counters();
    assert_eq!(
        (seen.connects, seen.connected, seen.max_connected),
        (1, 1, 1),
        "one connection, whatever it is made of"
    );
    assert_eq!((seen.subscriptions, seen.stream_requests), (1, 2));
    let requests = world.requests();
    let subscription = requests
        .iter()
        .find(|request| request.method == "MESSAGE")
        .unwrap();
    assert_eq!(
        subscription.body,
        r#"42["sup_subscribe","iitr_notify_sessions_json","desk-1"]"#
    );
    assert_eq!(subscription.account.as_deref(), Some("desk-1"));
    assert_eq!(requests[0].header("cookie"), Some("SID=sid-of-desk-1"));
    peer.tell("close").await;
    world
        .wait_until(|world| world.open_stream_count() == 0)
        .await;
}

#[tokio::test]
async fn one_transport_alone_will_do() {
    for (options, transport) in [(WEBSOCKET, "websocket"), (POLLING, "polling")] {
        let (world, address) = served().await;
        let mut peer = connect(address, SID, options);
        assert_eq!(
            peer.next().await,
            json!({ "event": "CONNECT", "transport": transport })
        );
        assert_eq!(ids(&mut peer).await, [] as [i64; 0]);
        for at in 0..20 {
            let id = world
                .account("desk-1")
                .open_session(SessionSpec::new(2, HOUR));
            let list = ids(&mut peer).await;
            assert_eq!((list.len(), list.last()), (at + 1, Some(&id)));
        }
        let used = |path: &String| path.contains("transport=") && !path.contains(transport);
        assert_eq!(paths(&world).into_iter().find(used), None);
        peer.tell("close").await;
    }
}

#[tokio::test]
async fn a_server_that_offers_no_upgrade_is_polled() {
    let (world, address) = served().await;
    world
        .account("desk-1")
        .set_response_options(|quirks| quirks.stream.upgrades = false);
    let mut peer = connect(address, SID, DEFAULTS);
    assert_eq!(ids(&mut peer).await, [] as [i64; 0]);
    let id = world.account("desk-1").open_session(SessionSpec::default());
    assert_eq!(ids(&mut peer).await, [id]);
    assert!(!paths(&world).iter().any(|path| path.contains("websocket")));
}

#[tokio::test]
async fn the_older_form_is_answered_with_its_own_event() {
    let (world, address) = served().await;
    let id = world.account("desk-1").open_session(SessionSpec::default());
    let mut peer = connect(address, SID, r#"{"older":true}"#);
    assert_eq!(ids(&mut peer).await, [id]);
    world.account("desk-1").close_session(id);
    assert_eq!(ids(&mut peer).await, [] as [i64; 0]);
}

#[tokio::test]
async fn a_form_that_is_not_offered_is_ignored() {
    let (world, address) = served().await;
    world.account("desk-1").set_response_options(|quirks| {
        quirks.stream.forms = SocketIoForms::Older;
        quirks.stream.other_events = false;
    });
    let mut peer = connect(address, SID, WEBSOCKET);
    peer.next_of("CONNECT").await;
    world.wait_until(|world| world.requests().len() == 2).await;
    world.account("desk-1").open_session(SessionSpec::default());
    world.account("desk-1").send_raw(&[r#"42["markets"]"#]);
    assert_eq!(peer.next().await, json!({ "event": "markets" }));
    assert_eq!(world.account("desk-1").counters().subscriptions, 0);
}

#[tokio::test]
async fn the_heartbeat_is_kept_and_is_missed() {
    let (world, address) = served().await;
    world.account("desk-1").set_response_options(|quirks| {
        quirks.stream.ping_interval = Duration::from_millis(50);
        quirks.stream.ping_timeout = Duration::from_secs(1);
    });
    for options in [DEFAULTS, WEBSOCKET, POLLING] {
        let mut peer = connect(address, SID, options);
        for _ in 0..3 {
            peer.next_of("PONG").await;
        }
        world
            .account("desk-1")
            .set_response_options(|quirks| quirks.stream.answers_pings = false);
        let ended = peer.next_of("DISCONNECT").await;
        assert_eq!(ended["reason"], "ping timeout", "{options}");
        world
            .account("desk-1")
            .set_response_options(|quirks| quirks.stream.answers_pings = true);
        peer.next_of("CONNECT").await;
    }
}

#[tokio::test]
async fn cuts_are_noticed_and_the_client_comes_again() {
    for options in [WEBSOCKET, POLLING, DEFAULTS] {
        let (world, address) = served().await;
        let mut peer = connect(address, SID, options);
        for cut in [Disconnect::Close(1001), Disconnect::Eof, Disconnect::Reset] {
            peer.next_of("sessions").await;
            if options == DEFAULTS {
                peer.next_of("UPGRADE").await;
            }
            assert_eq!(world.disconnect_all(cut), 1);
            peer.next_of("DISCONNECT").await;
            peer.next_of("CONNECT").await;
        }
        assert_eq!(world.handshakes().len(), 4);
    }
}

#[tokio::test]
async fn errors_come_first_and_leave_no_list() {
    let (world, address) = served().await;
    let mut peer = connect(address, "guessed", DEFAULTS);
    let denied = json!({ "errMsg": "Access denied: authorization required", "code": 12 });
    assert_eq!(peer.next_of("ERR").await["err"], denied);

    let fault = Fault::envelope(ErrorEnvelope::error(99, "not today"));
    world
        .account("desk-1")
        .inject_fault(FaultTarget::StreamRequest, Repeat::Count(1), fault);
    let mut peer = connect(address, SID, WEBSOCKET);
    let err = peer.next_of("ERR").await;
    assert_eq!(err["err"], json!({ "error": "not today", "code": 99 }));
    peer.tell("ask").await;
    assert_eq!(ids(&mut peer).await, [] as [i64; 0]);

    world.account("desk-1").revoke_sids();
    assert_eq!(peer.next_of("ERR").await["err"], denied);
    peer.next_of("DISCONNECT").await;
}

#[tokio::test]
async fn a_handshake_is_refused_as_asked() {
    let (world, address) = served().await;
    for options in [DEFAULTS, WEBSOCKET] {
        world.account("desk-1").inject_fault(
            FaultTarget::StreamHandshake,
            Repeat::Count(1),
            Fault::status(503),
        );
        let mut peer = connect(address, SID, options);
        let refused = peer.next().await;
        assert_eq!(refused["event"], "CONNECT_ERROR");
        assert!(
            refused["description"].as_str().unwrap().contains("503"),
            "{refused}"
        );
        peer.next_of("CONNECT").await;
    }
}

#[tokio::test]
async fn silence_is_half_open_for_the_client_to_find_out() {
    let (world, address) = served().await;
    world.account("desk-1").set_response_options(|quirks| {
        quirks.stream.ping_interval = Duration::from_millis(50);
        quirks.stream.ping_timeout = Duration::from_secs(1);
    });
    for options in [WEBSOCKET, POLLING, DEFAULTS] {
        let mut peer = connect(address, SID, options);
        if options == DEFAULTS {
            peer.next_of("UPGRADE").await;
        }
        peer.next_of("PONG").await;
        world.disconnect_all(Disconnect::Stall);
        assert_eq!(peer.next_of("DISCONNECT").await["reason"], "ping timeout");
        peer.next_of("CONNECT").await;
    }
}
