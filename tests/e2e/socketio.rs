//! `TRADERNET_TRANSPORT=socketio` against the package `python-socketio`, which speaks socket.io 2.x.

use serde_json::{Value, json};
use tradernet_exporter::simulator::AccountSpec;

use crate::stream_server::{
    CONNECTED, OPEN, SHORT_INTERVAL, SOCKETIO, StreamServer, UP, fails_without_secrets,
    first_failure, sessions, start,
};
use crate::support::{InProcessExporter, SID, SimulatedApi};

const LOGIN: &str = "desk-1@example.com";

/// An event's data with so many sessions, nested as the vendor's page reads it.
fn data(count: u64) -> Value {
    json!([{"response": {"res": sessions(count)}}])
}

/// A peer that answers every subscription with one session.
async fn peer() -> StreamServer {
    let mut peer = StreamServer::start(SOCKETIO).await;
    peer.tell(json!({"current": [[null, data(1)]]})).await;
    peer
}

async fn stream_from(peer: &StreamServer, given: &[(&str, &str)]) -> InProcessExporter {
    let origin = peer.origin();
    let mut all = vec![
        ("TRADERNET_TRANSPORT", "socketio"),
        ("TRADERNET_SOCKETIO_URL", &origin),
        ("TRADERNET_LOGIN", LOGIN),
    ];
    if given.iter().all(|(name, _)| *name != "TRADERNET_PASSWORD") {
        all.push(("TRADERNET_SID", SID));
    }
    all.extend(given);
    start(&all).await
}

#[tokio::test]
async fn push_updates_metrics() {
    let mut peer = peer().await;
    let exporter = stream_from(&peer, &[]).await;
    let page = exporter.wait_for_value(OPEN, 1.0).await;
    assert_eq!(page.get(UP, &[]), 1.0);
    assert_eq!(page.get(CONNECTED, &[]), 1.0);
    peer.tell(json!({"emit": ["sup_iitr_notify_sessions_json", null, data(3)]}))
        .await;
    exporter.wait_for_value(OPEN, 3.0).await;
    peer.tell(json!({
        "emit": ["sup_iitr_notify_sessions_json", null, [{"response": {"res": null}}]],
    }))
    .await;
    let page = exporter.wait_for_value(OPEN, 0.0).await;
    assert!(page.failures().is_empty());
    exporter.stop().await;
}

#[tokio::test]
async fn the_handshake_and_the_subscription_are_as_documented() {
    let mut peer = peer().await;
    let exporter = stream_from(&peer, &[]).await;
    exporter.wait_for_value(OPEN, 1.0).await;
    let path = format!("/socket.io/?EIO=3&transport=websocket&SID={SID}");
    assert_eq!(peer.all("handshake"), [path]);
    let headers = &peer.all("headers")[0];
    assert_eq!(headers["HTTP_COOKIE"], format!("SID={SID}"));
    let agent = headers["HTTP_USER_AGENT"].as_str().unwrap();
    assert!(agent.starts_with("tradernet-exporter/"), "{agent}");
    assert_eq!(
        peer.some("got", 1).await,
        [json!(["sup_subscribe", "iitr_notify_sessions_json", LOGIN])]
    );
    exporter.stop().await;
}

#[tokio::test]
async fn heartbeat_keeps_connection() {
    // The peer's is a second, and it gives up after two. Twice as long is waited.
    let mut peer = peer().await;
    let exporter = stream_from(&peer, &[]).await;
    let first = exporter.wait_for_value(OPEN, 1.0).await;
    let success = "tradernet_last_successful_poll_timestamp_seconds";
    let page = exporter
        .wait_for("pongs for four seconds", |page| {
            page.get(success, &[]) > first.get(success, &[]) + 4.0
        })
        .await;
    assert_eq!(page.get(CONNECTED, &[]), 1.0);
    assert_eq!(page.get("tradernet_polls_total", &[]), 1.0);
    assert!(peer.all("gone").is_empty());
    peer.tell(json!({"emit": ["sup_iitr_notify_sessions_json", null, data(2)]}))
        .await;
    exporter.wait_for_value(OPEN, 2.0).await;
    exporter.stop().await;
}

#[tokio::test]
async fn error_argument_reasons() {
    for (arguments, reason) in [
        (json!([{"code": 12, "message": "no"}, null]), "auth"),
        (json!(["later", data(1)]), "api_error"),
        (json!([null]), "decode"),
    ] {
        let mut peer = StreamServer::start(SOCKETIO).await;
        peer.tell(json!({"current": [arguments]})).await;
        let exporter = stream_from(&peer, &[]).await;
        assert_eq!(first_failure(exporter).await, reason, "{arguments}");
    }
}

#[tokio::test]
async fn connect_error_is_auth_and_relogins() {
    const PASSWORD: &str = "a-password-of-the-test";
    let account = AccountSpec::new(LOGIN).password(PASSWORD);
    let upstream = SimulatedApi::start_with(account).await;
    let mut peer = peer().await;
    peer.tell(json!({"refuse": "no"})).await;
    let given = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_PASSWORD", PASSWORD),
    ];
    let exporter = stream_from(&peer, &given).await;
    let page = exporter.first_attempt().await;
    assert_eq!(page.failures(), [("auth".to_owned(), 1.0)].into());
    peer.tell(json!({"refuse": null})).await;
    // A retry on request allows another login.
    let page = exporter.poll().await;
    assert_eq!(page.get("tradernet_logins_total", &[]), 2.0);
    assert_eq!(page.get(OPEN, &[]), 1.0);
    exporter.stop().await;
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_made_again_and_subscribed() {
    let mut peer = peer().await;
    let exporter = stream_from(&peer, &SHORT_INTERVAL).await;
    exporter.wait_for_value(OPEN, 1.0).await;
    peer.tell(json!({"current": [[null, data(2)]]})).await;
    peer.tell(json!({"disconnect": true})).await;
    exporter.wait_for_value(CONNECTED, 0.0).await;
    let page = exporter.wait_for_value(OPEN, 2.0).await;
    assert_eq!(page.get(CONNECTED, &[]), 1.0);
    assert_eq!(page.get("tradernet_stream_reconnects_total", &[]), 1.0);
    exporter.stop().await;
}

#[tokio::test]
async fn neither_sid_nor_login_appears_anywhere() {
    let mut peer = peer().await;
    let plain = peer.origin();
    let tls = plain.replace("ws://", "wss://");
    for (origin, refusal) in [
        (plain.as_str(), json!(format!("bad {SID}"))),
        (plain.as_str(), Value::Null),
        (tls.as_str(), Value::Null),
        ("wss://nowhere.invalid", Value::Null),
    ] {
        let error = format!("SID {SID} of {LOGIN} is unknown");
        peer.tell(json!({"refuse": refusal, "current": [[error, null]]}))
            .await;
        let variables = [
            ("TRADERNET_SID", SID),
            ("TRADERNET_LOGIN", LOGIN),
            ("TRADERNET_TRANSPORT", "socketio"),
            ("TRADERNET_SOCKETIO_URL", origin),
        ];
        fails_without_secrets(&variables, &[SID, LOGIN]).await;
    }
}
