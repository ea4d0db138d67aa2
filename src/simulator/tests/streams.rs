//! The streams, read frame by frame. Clients that were not written here are run in the integration tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::client::{Ask, serving, soon};
use crate::simulator::{
    AccountSpec, Answered, DemoWords, Disconnect, ErrorEnvelope, Fault, FaultTarget, Repeat,
    ResponseShape, SessionSpec, Simulator,
};

const HOUR: Duration = Duration::from_secs(3600);
const REQUEST: &str = r#"["sessions"]"#;
const SUBSCRIBE: &str = r#"42["sup_subscribe","iitr_notify_sessions_json","desk-1"]"#;
const SOCKET_IO: &str = "/socket.io/?EIO=3&transport=websocket&SID=sid";

/// `desk-1`, whose SID is `sid`; nothing is said that nobody asked for.
fn world() -> Simulator {
    furnished(Simulator::new())
}

fn furnished(world: Simulator) -> Simulator {
    world.add_account(AccountSpec::new("desk-1").sid("sid"));
    world
        .account("desk-1")
        .set_response_options(|quirks| quirks.stream.other_events = false);
    world
}

fn fault(world: &Simulator, target: FaultTarget, fault: Fault) {
    world
        .account("desk-1")
        .inject_fault(target, Repeat::Count(1), fault);
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn knock(address: SocketAddr, target: &str) -> Result<Self, Error> {
        let request = format!("ws://{address}{target}").into_client_request()?;
        let stream = TcpStream::connect(address).await?;
        let config = WebSocketConfig::default().read_buffer_size(1024);
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self(socket))
    }

    async fn connect(address: SocketAddr, target: &str) -> Self {
        soon(Self::knock(address, target)).await.unwrap()
    }

    /// Connected, greeted, and subscribed.
    async fn subscribed(address: SocketAddr) -> Self {
        let mut client = Self::connect(address, "/?SID=sid").await;
        assert_eq!(client.json().await[0], "userData");
        client.ask().await;
        assert_eq!(client.json().await[0], "sessions");
        client
    }

    async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn ask(&mut self) {
        self.send(REQUEST).await;
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        soon(self.0.next()).await
    }

    async fn text(&mut self) -> String {
        match self.next().await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The code of the close frame that comes next; `None` where the connection ends without.
    async fn close_code(&mut self) -> Option<u16> {
        match self.next().await {
            Some(Ok(Message::Close(Some(frame)))) => Some(frame.code.into()),
            Some(Err(_)) | None => None,
            other => panic!("{other:?}"),
        }
    }
}

/// What comes of a request that this fault befalls; the client can go on where the connection does.
async fn spoilt(of: Fault) -> (Simulator, Client) {
    let world = world();
    world
        .account("desk-1")
        .open_session(SessionSpec::default().id(1));
    let address = serving(&world).await;
    let mut client = Client::connect(address, "/?SID=sid").await;
    client.json().await;
    fault(&world, FaultTarget::StreamRequest, of);
    client.ask().await;
    (world, client)
}

#[tokio::test]
async fn the_sid_is_taken_from_the_query_then_from_the_cookie() {
    let world = world();
    let address = serving(&world).await;
    for (query, cookie, mode) in [
        ("?SID=sid", "SID=other", "prod"),
        ("", "PHPSESSID=x; SID=sid", "prod"),
        ("?SID=other", "SID=sid", "demo"),
        ("", "PHPSESSID=sid", "demo"),
    ] {
        let mut request = format!("ws://{address}/{query}")
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", cookie.parse().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = client_async_with_config(request, stream, None)
            .await
            .unwrap();
        let greeting = Client(socket).json().await;
        assert_eq!(greeting[1]["mode"], mode, "{query} {cookie}");
    }
    assert_eq!(world.account("desk-1").counters().connects, 2);
    let connects = world.handshakes();
    assert_eq!(connects.len(), 4);
    assert_eq!(connects[0].account.as_deref(), Some("desk-1"));
    assert_eq!(connects[2].account, None);
    let requests = world.requests();
    assert_eq!(requests[0].target, "/?SID=sid");
    assert!(!format!("{requests:?}").contains("SID"), "{requests:?}");
}

#[tokio::test]
async fn a_forgotten_sid_is_in_demo_mode_and_ends_what_stands() {
    let world = world();
    let address = serving(&world).await;
    let mut stands = Client::subscribed(address).await;
    world.account("desk-1").revoke_sids();
    let error = stands.json().await;
    assert_eq!(
        (&error[0], &error[1]["code"]),
        (&json!("error"), &json!(12))
    );
    assert_eq!(stands.close_code().await, Some(1008));
    for (words, greeting) in [
        (DemoWords::Both, json!({ "mode": "demo", "isDemo": true })),
        (DemoWords::Mode, json!({ "mode": "demo" })),
        (DemoWords::IsDemo, json!({ "isDemo": true })),
    ] {
        world
            .account("desk-1")
            .set_response_options(|quirks| quirks.stream.demo_words = words);
        let mut client = Client::connect(address, "/?SID=sid").await;
        assert_eq!(client.json().await, json!(["userData", greeting]));
    }
}

#[tokio::test]
async fn a_list_is_pushed_only_to_those_who_asked_and_once_for_a_change() {
    let world = world();
    let address = serving(&world).await;
    let mut silent = Client::connect(address, "/?SID=sid").await;
    silent.json().await;
    let mut client = Client::subscribed(address).await;
    client.send(r#"["quotes",["AAPL.US"]]"#).await;
    client.send("not json").await;
    let id = world.account("desk-1").open_session(SessionSpec::default());
    assert_eq!(client.json().await[1][0]["id"], id);
    world.account("desk-1").send_raw(&["[\"end\"]"]);
    assert_eq!(client.text().await, "[\"end\"]");
    assert_eq!(silent.text().await, "[\"end\"]");
    assert_eq!(world.account("desk-1").counters().stream_requests, 1);
}

#[tokio::test]
async fn shapes_and_odd_elements_are_the_accounts_own() {
    let world = world();
    world.account("desk-1").set_response_options(|quirks| {
        quirks.shape = ResponseShape::ResponseObject;
        quirks.stream.third_element = true;
    });
    let address = serving(&world).await;
    let mut client = Client::connect(address, "/?SID=sid").await;
    client.json().await;
    client.ask().await;
    let wanted = json!(["sessions", { "response": { "res": [] } }, { "ev": "update" }]);
    assert_eq!(client.json().await, wanted);
    world
        .account("desk-1")
        .set_response_options(|quirks| quirks.raw_answer = Some("7".into()));
    assert_eq!(
        client.json().await,
        json!(["sessions", 7, { "ev": "update" }])
    );
}

#[tokio::test]
async fn requests_that_are_never_answered_still_subscribe() {
    let world = world();
    world
        .account("desk-1")
        .set_response_options(|quirks| quirks.stream.answered = Answered::None);
    let address = serving(&world).await;
    let mut client = Client::connect(address, "/?SID=sid").await;
    client.json().await;
    client.ask().await;
    soon(world.wait_until(|world| world.account("desk-1").counters().subscriptions == 1)).await;
    let id = world.account("desk-1").open_session(SessionSpec::default());
    assert_eq!(client.json().await[1][0]["id"], id);
}

// The clock is paused only once nothing is under way any more: a paused one does not wait for the kernel.
#[tokio::test]
async fn an_expiry_is_pushed_once_at_its_time() {
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let origin = tokio::time::Instant::now();
    let world = furnished(Simulator::with_clock(move || began + origin.elapsed()));
    let address = serving(&world).await;
    world
        .account("desk-1")
        .open_session(SessionSpec::new(2, HOUR));
    let mut client = Client::subscribed(address).await;
    tokio::time::pause();
    let list = client.0.next().await.unwrap().unwrap();
    assert_eq!(list.to_text().unwrap(), r#"["sessions",[]]"#);
    let passed = origin.elapsed();
    assert!(
        (HOUR..HOUR + Duration::from_secs(60)).contains(&passed),
        "{passed:?}"
    );
    let more = tokio::time::timeout(HOUR, client.0.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_clock_that_a_test_turns_is_noticed_when_someone_looks() {
    let clock = Arc::new(AtomicU64::new(1_700_000_000));
    let read = Arc::clone(&clock);
    let world = furnished(Simulator::with_clock(move || {
        SystemTime::UNIX_EPOCH + Duration::from_secs(read.load(Ordering::Relaxed))
    }));
    let address = serving(&world).await;
    world
        .account("desk-1")
        .open_session(SessionSpec::new(2, HOUR));
    let mut client = Client::subscribed(address).await;
    clock.fetch_add(3600, Ordering::Relaxed);
    assert!(world.account("desk-1").open_sessions().is_empty());
    assert_eq!(client.json().await, json!(["sessions", []]));
}

#[tokio::test]
async fn a_request_may_be_answered_by_nonsense() {
    let (_world, mut client) = spoilt(Fault::InvalidJson).await;
    assert!(serde_json::from_str::<Value>(&client.text().await).is_err());
    client.ask().await;
    assert_eq!(client.json().await[1][0]["id"], 1, "well again");

    let (_world, mut client) = spoilt(Fault::EmptyBody).await;
    assert_eq!(client.text().await, "");
    let (_world, mut client) = spoilt(Fault::HtmlPage).await;
    assert!(client.text().await.starts_with("<!DOCTYPE"));
    let (_world, mut client) = spoilt(Fault::NestedBrackets(50_000)).await;
    let brackets = ["[".repeat(50_000), "]".repeat(50_000)].concat();
    assert_eq!(client.text().await, format!("[\"sessions\",{brackets}]"));
    let texts = vec![
        "[\"sessions\",{\"a\":\"{SID}\"}]".to_owned(),
        "7".to_owned(),
    ];
    let (_world, mut client) = spoilt(Fault::RawFrames(texts)).await;
    assert_eq!(client.json().await, json!(["sessions", { "a": "sid" }]));
    assert_eq!(client.text().await, "7");
}

#[tokio::test]
async fn a_request_may_be_refused() {
    let envelope = ErrorEnvelope::error(8, "{SID} from an unknown address");
    let (_world, mut client) = spoilt(Fault::envelope(envelope)).await;
    let error = json!(["error", { "error": "sid from an unknown address", "code": 8 }]);
    assert_eq!(client.json().await, error);
    let (_world, mut client) = spoilt(Fault::DemoMode).await;
    assert_eq!(client.json().await[1]["mode"], "demo");
    let (_world, mut client) = spoilt(Fault::RevokeSid).await;
    assert_eq!(client.json().await[1]["code"], 12);
    assert_eq!(client.close_code().await, Some(1008));
}

#[tokio::test]
async fn a_request_may_end_the_connection() {
    let (_world, mut client) = spoilt(Fault::status(500)).await;
    assert_eq!(client.close_code().await, Some(1011));
    let (_world, mut client) = spoilt(Fault::Disconnect(Disconnect::Close(1013))).await;
    assert_eq!(client.close_code().await, Some(1013));
    let (_world, mut client) = spoilt(Fault::Truncated).await;
    assert_eq!(client.close_code().await, None);
    let (world, mut client) = spoilt(Fault::Reset).await;
    match client.next().await {
        Some(Err(Error::Io(error))) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        other => panic!("{other:?}"),
    }
    soon(world.wait_until(|world| world.account("desk-1").counters().connected == 0)).await;
}

#[tokio::test]
async fn a_request_may_be_ignored_and_the_connection_silenced() {
    let (world, mut client) = spoilt(Fault::NoResponse).await;
    client.0.send(Message::Ping("a".into())).await.unwrap();
    assert_eq!(
        client.next().await.unwrap().unwrap(),
        Message::Pong("a".into())
    );
    assert_eq!(world.account("desk-1").counters().stream_requests, 1);

    let (world, mut client) = spoilt(Fault::StallBody).await;
    client.0.send(Message::Ping("a".into())).await.unwrap();
    client.ask().await;
    world.account("desk-1").open_session(SessionSpec::default());
    assert_eq!(world.account("desk-1").disconnect(Disconnect::Eof), 1);
    assert_eq!(client.close_code().await, None, "and not a frame before");

    let (world, client) = spoilt(Fault::Disconnect(Disconnect::Stall)).await;
    drop(client);
    soon(world.wait_until(|world| world.open_stream_count() == 0)).await;
}

#[tokio::test]
async fn a_late_answer_is_the_usual_one_and_holds_nothing_up() {
    let (world, mut client) = spoilt(Fault::Slow { delay: HOUR }).await;
    let began = tokio::time::Instant::now();
    client.0.send(Message::Ping("a".into())).await.unwrap();
    assert_eq!(
        client.next().await.unwrap().unwrap(),
        Message::Pong("a".into())
    );
    world
        .account("desk-1")
        .open_session(SessionSpec::default().id(2));
    assert_eq!(client.json().await[1][1]["id"], 2, "a push");
    tokio::time::pause();
    let answer = client.0.next().await.unwrap().unwrap();
    assert!(answer.to_text().unwrap().starts_with("[\"sessions\",[{"));
    assert!(began.elapsed() >= HOUR - Duration::from_secs(20));
}

#[tokio::test]
async fn a_list_may_be_too_long_in_one_frame_or_in_many() {
    for with_content_length in [true, false] {
        let bytes = 3_000_000;
        let (_world, mut client) = spoilt(Fault::OversizedList {
            bytes,
            with_content_length,
        })
        .await;
        let list = client.json().await;
        assert!(list[1].as_array().unwrap().len() > 10_000);
    }
    // A thousand times what any buffer holds: it could not be made within the test's time.
    let (world, client) = spoilt(Fault::OversizedList {
        bytes: 1 << 50,
        with_content_length: false,
    })
    .await;
    drop(client);
    soon(world.wait_until(|world| world.open_stream_count() == 0)).await;
}

#[tokio::test]
async fn a_handshake_is_answered_by_what_http_has() {
    let world = world();
    let address = serving(&world).await;
    let refusal = |fault_of| {
        fault(&world, FaultTarget::StreamHandshake, fault_of);
        async {
            match soon(Client::knock(address, "/?SID=sid")).await {
                Err(Error::Http(response)) => *response,
                Err(other) => panic!("{other:?}"),
                Ok(_) => panic!("let in"),
            }
        }
    };
    let limited = refusal(Fault::RateLimited {
        retry_after: crate::simulator::RetryAfter::Seconds(9),
    })
    .await;
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"9".parse().unwrap())
    );
    let moved = refusal(Fault::Redirect {
        status: 302,
        location: "https://example.com/".into(),
    })
    .await;
    assert_eq!(moved.headers()["location"], "https://example.com/");
    let envelope = Fault::ErrorEnvelope {
        status: 401,
        envelope: ErrorEnvelope::err_msg(12, "no {SID}"),
    };
    assert_eq!(refusal(envelope).await.status(), 401);
    assert_eq!(refusal(Fault::HtmlPage).await.status(), 200);

    fault(&world, FaultTarget::StreamHandshake, Fault::Reset);
    assert!(Client::knock(address, "/?SID=sid").await.is_err());
    fault(&world, FaultTarget::StreamHandshake, Fault::DemoMode);
    let mut client = Client::connect(address, "/?SID=sid").await;
    assert_eq!(client.json().await[1]["isDemo"], true);
    fault(
        &world,
        FaultTarget::Any,
        Fault::RawFrames(vec!["[]".into()]),
    );
    let mut client = Client::connect(address, "/?SID=sid").await;
    assert_eq!(client.text().await, "[]");
    client.ask().await;
    assert_eq!(client.json().await, json!(["sessions", []]));
    fault(
        &world,
        FaultTarget::StreamHandshake,
        Fault::Disconnect(Disconnect::Close(1012)),
    );
    let mut client = Client::connect(address, "/?SID=sid").await;
    assert_eq!(client.close_code().await, Some(1012));
    fault(&world, FaultTarget::StreamHandshake, Fault::RevokeSid);
    let mut client = Client::connect(address, "/?SID=sid").await;
    assert_eq!(client.json().await[1]["mode"], "demo");
}

#[tokio::test]
async fn agents_that_libraries_go_by_are_refused_and_none_at_all_is_let_in() {
    let world = world();
    let address = serving(&world).await;
    let upgrade = Ask::get("/?SID=sid")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let status = |ask: Ask| async move { ask.answer(address).await.status };
    assert_eq!(
        status(upgrade.clone().header("user-agent", "hyper/1")).await,
        403
    );
    let old = upgrade.clone().header("sec-websocket-version", "8");
    assert_eq!(status(old).await, 426);
    assert_eq!(status(upgrade.header("sec-websocket-key", "")).await, 400);
    assert_eq!(status(Ask::get("/?SID=sid")).await, 404);
    assert_eq!(
        world.open_stream_count(),
        0,
        "no refused one is taken for open"
    );
}

#[tokio::test]
async fn engine_io_tells_what_is_wrong() {
    let world = world();
    let address = serving(&world).await;
    for (ask, code) in [
        (Ask::get("/socket.io/?EIO=4&transport=polling"), 5),
        (Ask::get("/socket.io/?EIO=3&transport=flashsocket"), 0),
        (Ask::get("/socket.io/?EIO=3&transport=polling&sid=none"), 1),
        (Ask::post("/socket.io/?EIO=3&transport=polling", ""), 2),
        (Ask::get("/socket.io/?EIO=3&transport=websocket"), 3),
    ] {
        let answer = ask.answer(address).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(code)));
    }
    let opened = Ask::get("/socket.io/?EIO=3&transport=polling&SID=sid")
        .answer(address)
        .await;
    let body = String::from_utf8(opened.body.clone()).unwrap();
    let (length, packet) = body.split_once(":0").unwrap();
    let open: Value =
        serde_json::from_str(packet.get(..length.parse::<usize>().unwrap() - 1).unwrap()).unwrap();
    assert_eq!(open["upgrades"], json!(["websocket"]));
    assert_eq!(
        (&open["pingInterval"], &open["pingTimeout"]),
        (&json!(25_000), &json!(5_000))
    );
    let target = format!(
        "/socket.io/?EIO=3&transport=polling&sid={}",
        open["sid"].as_str().unwrap()
    );
    assert_eq!(
        opened.header("set-cookie").split(';').next(),
        Some(&*format!("io={}", open["sid"].as_str().unwrap()))
    );
    let post = |body: &str| Ask::post(target.clone(), body).header("content-type", "text/plain");
    assert_eq!(post("5:2").answer(address).await.json()["code"], 3);
    assert_eq!(post("1:1").answer(address).await.body, b"ok");
    soon(world.wait_until(|world| world.open_stream_count() == 0)).await;
    assert_eq!(Ask::get(target).answer(address).await.status, 400);
}

#[tokio::test]
async fn socket_io_packets_have_the_list_where_the_page_has_it() {
    let world = world();
    let address = serving(&world).await;
    let mut client = Client::connect(address, SOCKET_IO).await;
    assert!(client.text().await.starts_with(r#"0{"#));
    assert_eq!(client.text().await, "40");
    client.send("2").await;
    assert_eq!(client.text().await, "3");
    client.send(SUBSCRIBE).await;
    let event = "sup_iitr_notify_sessions_json";
    let none = json!([event, null, [{ "response": { "res": null } }]]);
    assert_eq!(client.text().await, format!("42{none}"));
    client.send(r#"4217["notifySessions"]"#).await;
    assert_eq!(
        client.text().await,
        "4317[]",
        "what is to be acknowledged is"
    );
    let none = json!(["sessions", null, [{ "response": { "res": null } }]]);
    assert_eq!(client.text().await, format!("42{none}"));
    world.add_account(AccountSpec::new("desk-2"));
    client.send(&SUBSCRIBE.replace("desk-1", "desk-2")).await;
    let refused = client.text().await;
    assert!(
        refused.contains(r#""code":12"#),
        "another's list: {refused}"
    );
    client.send("41").await;
    assert_eq!(client.close_code().await, None);
}

#[tokio::test]
async fn a_socket_io_client_that_does_not_ping_is_taken_for_gone() {
    let world = world();
    let address = serving(&world).await;
    let mut client = Client::connect(address, SOCKET_IO).await;
    let polled = Ask::get("/socket.io/?EIO=3&transport=polling&SID=sid")
        .answer(address)
        .await;
    assert_eq!((polled.status, world.open_stream_count()), (200, 2));
    let began = tokio::time::Instant::now();
    tokio::time::pause();
    while client.0.next().await.is_some_and(|frame| frame.is_ok()) {}
    world
        .wait_until(|world| world.open_stream_count() == 0)
        .await;
    let passed = began.elapsed();
    let bounds = Duration::from_secs(20)..Duration::from_secs(31);
    assert!(bounds.contains(&passed), "{passed:?}");
}

#[tokio::test]
async fn shutdown_cuts_streams_and_polls() {
    let world = world();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let face = tokio::spawn(crate::simulator::serve(
        listener,
        world.clone(),
        None,
        async {
            stopped.await.ok();
        },
    ));
    let mut client = Client::subscribed(address).await;
    Ask::get("/socket.io/?EIO=3&transport=polling&SID=sid")
        .answer(address)
        .await;
    assert_eq!(world.open_stream_count(), 2);
    stop.send(()).unwrap();
    soon(face).await.unwrap();
    assert_eq!(client.close_code().await, None);
    soon(world.wait_until(|world| world.open_stream_count() == 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_hear_of_a_change_and_are_cut_at_once() {
    // Two descriptors each, and 1024 are what a process may count on.
    const MANY: usize = 400;
    let world = world();
    let address = serving(&world).await;
    let mut clients = vec![];
    for _ in 0..MANY {
        clients.push(Client::subscribed(address).await);
    }
    let id = world.account("desk-1").open_session(SessionSpec::default());
    for client in &mut clients {
        assert_eq!(client.json().await[1][0]["id"], id);
    }
    assert_eq!(world.account("desk-1").counters().connected, MANY);
    assert_eq!(world.disconnect_all(Disconnect::Reset), MANY);
    for client in &mut clients {
        assert_eq!(client.close_code().await, None);
    }
    soon(world.wait_until(|world| world.open_stream_count() == 0)).await;
    assert_eq!(world.handshakes().len(), MANY);
}

#[tokio::test]
async fn streams_come_over_tls_as_well() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.unwrap())
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let world = world();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = std::future::pending();
    let tls = Some(Arc::new(server));
    tokio::spawn(crate::simulator::serve(listener, world.clone(), tls, never));
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = connector
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    let request = "wss://localhost/?SID=sid".into_client_request().unwrap();
    let (mut socket, _) = client_async_with_config(request, stream, None)
        .await
        .unwrap();
    let greeting = soon(socket.next()).await.unwrap().unwrap();
    assert!(greeting.to_text().unwrap().contains("prod"));
    assert_eq!(world.disconnect_all(Disconnect::Reset), 1);
    let end = soon(socket.next()).await.unwrap();
    assert!(matches!(end, Err(Error::Io(_))), "{end:?}");
}
