//! npm's `ws`.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tradernet_exporter::simulator::{
    Answered, Disconnect, Fault, FaultTarget, Repeat, SessionSpec,
};

use super::node_client::NodeClient;
use super::{HOUR, SID, served};

fn connect(address: SocketAddr, sid: &str, example: &str) -> NodeClient {
    let url = format!("ws://{address}/?SID={sid}");
    NodeClient::start("websocket.js", &[&url, example])
}

/// The ids of the next list.
async fn ids(peer: &mut NodeClient) -> Vec<i64> {
    let list = peer.next_of("sessions").await;
    let ids = list["data"].as_array().unwrap().iter();
    ids.map(|session| session["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn both_examples_are_greeted_get_the_list_and_every_change_of_it() {
    for example in ["page", "node"] {
        let (world, address) = served().await;
        let first = world
            .account("desk-1")
            .open_session(SessionSpec::new(2, HOUR));
        let mut peer = connect(address, SID, example);
        let greeting = peer.next().await;
        assert_eq!(greeting["event"], "userData");
        assert_eq!(greeting["data"]["mode"], "prod");
        assert_eq!(peer.next().await["event"], "markets");
        assert_eq!(ids(&mut peer).await, [first]);

        let second = world
            .account("desk-1")
            .open_session(SessionSpec::new(3, HOUR));
        assert_eq!(ids(&mut peer).await, [first, second]);
        world.account("desk-1").close_session(first);
        assert_eq!(ids(&mut peer).await, [second]);
        world.account("desk-1").extend_session(second, 2 * HOUR);
        let list = peer.next_of("sessions").await;
        assert!(list["data"][0]["expire"].as_u64().unwrap() > 7_000_000);

        peer.tell("ask").await;
        assert_eq!(ids(&mut peer).await, [second], "a second request");
        peer.tell("ping").await;
        peer.next_of("PONG").await;
        let seen = world.account("desk-1").counters();
        assert_eq!(
            (
                seen.connects,
                seen.connected,
                seen.subscriptions,
                seen.stream_requests
            ),
            (1, 1, 1, 2)
        );
        peer.tell("close").await;
        assert_eq!(peer.next_of("CLOSED").await["code"], 1005);
        world
            .wait_until(|world| world.open_stream_count() == 0)
            .await;
    }
}

#[tokio::test]
async fn a_session_whose_time_is_over_goes_by_itself() {
    let (world, address) = served().await;
    let stays = world
        .account("desk-1")
        .open_session(SessionSpec::new(2, HOUR));
    let mut peer = connect(address, SID, "page");
    assert_eq!(ids(&mut peer).await, [stays]);
    let short = std::time::Duration::from_millis(300);
    let goes = world
        .account("desk-1")
        .open_session(SessionSpec::new(2, short));
    assert_eq!(ids(&mut peer).await, [stays, goes]);
    assert_eq!(ids(&mut peer).await, [stays]);
}

#[tokio::test]
async fn an_unknown_sid_is_in_demo_mode_and_hears_of_no_list() {
    let (world, address) = served().await;
    world.account("desk-1").open_session(SessionSpec::default());
    let mut peer = connect(address, "guessed", "page");
    let greeting = peer.next().await;
    assert_eq!(greeting["data"], json!({ "mode": "demo", "isDemo": true }));
    assert_eq!(peer.next().await["event"], "markets");
    peer.tell("ask").await;
    peer.tell("ping").await;
    assert_eq!(peer.next().await["event"], "PONG", "no list, no error");
}

#[tokio::test]
async fn a_handshake_is_refused_as_asked() {
    let (world, address) = served().await;
    for (fault, status) in [(Fault::status(503), 503), (Fault::HtmlForbidden, 403)] {
        world
            .account("desk-1")
            .inject_fault(FaultTarget::StreamHandshake, Repeat::Count(1), fault);
        let refused = connect(address, SID, "page").next().await;
        assert_eq!(refused, json!({ "event": "REFUSED", "status": status }));
    }
    assert_eq!(world.account("desk-1").counters().connects, 2);
    assert_eq!(world.open_stream_count(), 0);
}

#[tokio::test]
async fn cuts_arrive_as_what_they_are() {
    let (world, address) = served().await;
    for (cut, wanted) in [
        (Disconnect::Close(1001), 1001),
        (Disconnect::Eof, 1006),
        (Disconnect::Reset, 1006),
    ] {
        let mut peer = connect(address, SID, "page");
        peer.next_of("sessions").await;
        assert_eq!(world.disconnect_all(cut), 1);
        assert_eq!(peer.next_of("CLOSED").await["code"], wanted, "{cut:?}");
    }
}

#[tokio::test]
async fn silence_answers_neither_pings_nor_requests_until_it_is_cut() {
    let (world, address) = served().await;
    let mut peer = connect(address, SID, "page");
    peer.next_of("sessions").await;
    assert_eq!(world.account("desk-1").disconnect(Disconnect::Stall), 1);
    peer.tell("ping").await;
    peer.tell("ask").await;
    world.account("desk-1").open_session(SessionSpec::default());
    // What was sent before this would arrive before it.
    assert_eq!(world.disconnect_all(Disconnect::Close(1012)), 1);
    assert_eq!(
        peer.next().await,
        json!({ "event": "CLOSED", "code": 1012 })
    );
}

#[tokio::test]
async fn second_requests_and_pings_may_go_unanswered() {
    let (world, address) = served().await;
    world.account("desk-1").set_response_options(|quirks| {
        quirks.stream.answered = Answered::First;
        quirks.stream.answers_pings = false;
        quirks.stream.other_events = false;
    });
    let mut peer = connect(address, SID, "node");
    assert_eq!(ids(&mut peer).await, [] as [i64; 0]);
    peer.tell("ping").await;
    peer.tell("ask").await;
    world
        .wait_until(|world| world.account("desk-1").counters().stream_requests == 2)
        .await;
    let id = world.account("desk-1").open_session(SessionSpec::default());
    let next = peer.next().await;
    assert_eq!(
        (&next["event"], &next["data"][0]["id"]),
        (&Value::from("sessions"), &Value::from(id)),
        "a push, and nothing before it"
    );
}

#[tokio::test]
async fn texts_are_said_as_they_are_given() {
    let (world, address) = served().await;
    let mut peer = connect(address, SID, "page");
    peer.next_of("sessions").await;
    let texts = [
        r#"["error",{"error":"no","code":12}]"#,
        r#"["sessions","none",1]"#,
    ];
    assert_eq!(world.account("desk-1").send_raw(&texts), 1);
    assert_eq!(
        peer.next().await,
        json!({ "event": "error", "data": { "error": "no", "code": 12 }, "more": 0 })
    );
    assert_eq!(
        peer.next().await,
        json!({ "event": "sessions", "data": "none", "more": 1 })
    );
}
