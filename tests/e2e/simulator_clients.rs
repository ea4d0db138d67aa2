//! The simulator's streams, read by clients that were not written here: npm's `ws` and `socket.io-client` 2.x,
//! speaking as the vendor's examples do.

mod node_client;

use std::time::Duration;

use serde_json::{Value, json};
use tradernet_exporter::simulator::{AccountSpec, Disconnect, SessionSpec};

use crate::support::{Ca, LOGIN, SID, SimulatedApi};
use node_client::NodeClient;

const HOUR: Duration = Duration::from_secs(3600);

/// A simulator on the system's clock, which the clients use.
async fn upstream(ca: Option<&Ca>) -> SimulatedApi {
    let account = AccountSpec::new(LOGIN).sid(SID).password("right");
    SimulatedApi::start_for_process(account, ca).await
}

/// The ids of the next list of the package `ws`.
async fn ids(client: &mut NodeClient) -> Vec<i64> {
    let list = client.next_of("sessions").await;
    let ids = list["data"].as_array().unwrap().iter();
    ids.map(|session| session["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn websocket_examples_receive_the_list_and_each_change() {
    for example in ["page", "node"] {
        let upstream = upstream(None).await;
        let account = upstream.account();
        let first = account.open_session(SessionSpec::new(2, HOUR));
        let url = format!("{}/?SID={SID}", upstream.stream_origin);
        let mut client = NodeClient::start("websocket.js", &[&url, example], &[]);
        let greeting = client.next().await;
        assert_eq!(greeting["event"], "userData");
        let data = json!({
            "mode": "prod", "isDemo": false, "authLogin": LOGIN, "login": LOGIN, "clientLogin": LOGIN,
            "lang": "en"
        });
        assert_eq!((&greeting["data"], &greeting["more"]), (&data, &json!(1)));
        assert_eq!(ids(&mut client).await, [first]);

        let second = account.open_session(SessionSpec::new(3, HOUR));
        assert_eq!(ids(&mut client).await, [first, second]);
        account.close_session(first);
        assert_eq!(ids(&mut client).await, [second]);
        account.extend_session(second, 2 * HOUR);
        let list = client.next_of("sessions").await;
        assert!(list["data"][0]["expire"].as_u64().unwrap() > 7_000_000);

        client.tell("ask").await;
        assert_eq!(ids(&mut client).await, [second], "a second request");
        client.tell("ping").await;
        assert_eq!(client.next().await["event"], "PONG");
        let counters = account.counters();
        assert_eq!((counters.handshakes, counters.stream_requests), (1, 2));
        client.tell("close").await;
        assert_eq!(client.next_of("CLOSED").await["code"], 1005);
        let world = &upstream.world;
        world.wait_until(|it| it.open_stream_count() == 0).await;
    }
}

#[tokio::test]
async fn unknown_sid_is_in_demo_mode_and_receives_no_list() {
    let upstream = upstream(None).await;
    let url = format!("{}/?SID=guessed", upstream.stream_origin);
    let mut client = NodeClient::start("websocket.js", &[&url, "page"], &[]);
    let greeting = client.next().await;
    assert_eq!(greeting["data"]["mode"], "demo");
    assert_eq!(greeting["data"]["isDemo"], true);
    client.tell("ask").await;
    client.tell("ping").await;
    assert_eq!(client.next().await["event"], "PONG", "no list, no error");
}

#[tokio::test]
async fn node_sample_logs_in_and_receives_the_list_again_after_a_disconnect() {
    let ca = Ca::new();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    ca.write(&ca_file);
    let upstream = upstream(Some(&ca)).await;
    let account = upstream.account();
    let port = |origin: &str| origin.rsplit_once(':').unwrap().1.to_owned();
    let arguments = [
        &port(&upstream.origin),
        &port(&upstream.stream_origin),
        LOGIN,
        "right",
    ];
    let trusting = [("NODE_EXTRA_CA_CERTS", ca_file.to_str().unwrap())];
    let mut client = NodeClient::start("page_sample.js", &arguments, &trusting);
    assert_eq!(client.next().await["user"], "1002003");
    assert_eq!(client.next_of("sessions").await["ids"], json!([]));

    let id = account.open_session(SessionSpec::new(2, HOUR));
    let list = client.next_of("sessions").await;
    assert_eq!(list["ids"], json!([id]));
    assert!(list["maxExpireTime"].as_u64().unwrap() > 3_000_000);

    for how in [Disconnect::Close(1001), Disconnect::Reset] {
        assert_eq!(account.disconnect(how), 1);
        client.next_of("RECONNECT_ATTEMPT").await;
        assert_eq!(client.next_of("sessions").await["ids"], json!([id]));
    }
    account.revoke_sids();
    let denied: Value = client.next_of("ERR").await;
    assert_eq!(denied["err"]["code"], 12);
}
