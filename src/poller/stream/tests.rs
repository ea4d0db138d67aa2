//! A stream on a paused clock, with the test as its server at the other end of a pipe.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::clock::{Clock, Timestamps};
use crate::config::{AccountConfig, CredentialSource};
use crate::poller::change_log::ChangeLog;
use crate::poller::host::Hosts;
use crate::poller::login_breaker::LoginBreaker;
use crate::poller::{DesiredState, PollerContext};
use crate::secret::{SecretKind, SecretSource};
use crate::session::expire_unit::Unit;
use crate::session::rules::Policy;
use crate::session::summary::SessionDetails;
use crate::session::tracker::TrackingConfig;
use crate::status::{AccountStatus, StatusStore, Transport};
use crate::tradernet::response::{self, Answer};
use crate::tradernet::{Client, ClientConfig, Endpoint, Reason, StreamEndpoint, StreamProtocol};

const INTERVAL: Duration = Duration::from_secs(30);
const MAX_AGE: Duration = Duration::from_secs(90);

type Server = WebSocketStream<DuplexStream>;

/// A poller whose stream has delivered its first list.
struct Bench {
    poller: Poller,
    stream: Option<Stream>,
    server: Option<Server>,
    desired: watch::Sender<DesiredState>,
    store: StatusStore,
    clock: Clock,
}

/// One session with so many milliseconds left.
fn list(left_ms: u64) -> String {
    format!(r#"[{{"id":1,"safety_type_id":4,"expire":{left_ms}}}]"#)
}

impl Bench {
    async fn new(interval: Duration, first: &str) -> Self {
        Self::with(interval, first, SecretSource::Inline("an-sid".into())).await
    }

    async fn with(interval: Duration, first: &str, sid: SecretSource) -> Self {
        let start = Instant::now();
        let clock = Clock::from_fn(move || Timestamps {
            wall_ms: 1_772_434_800_000.0 + start.elapsed().as_secs_f64() * 1000.0,
            monotonic: start.elapsed(),
        });
        let store = StatusStore::default();
        let shared = PollerContext {
            client: Client::new(&ClientConfig::default(), Arc::new(|_, _| {}), clock.clone())
                .unwrap(),
            hosts: Hosts::new(16, 10),
            changes: ChangeLog::default(),
            runtime: tokio::runtime::Handle::current(),
            store: store.clone(),
            clock: clock.clone(),
            min_retry_interval: Duration::from_secs(5),
        };
        let account = AccountConfig {
            name: "a".into(),
            info: Default::default(),
            target: Endpoint {
                origin: "https://tradernet.example".parse().unwrap(),
                timeout: Duration::from_secs(5),
            },
            credential: CredentialSource::Sid(sid),
            login: None,
            transport: Transport::Websocket,
            stream: Some(StreamEndpoint {
                origin: "wss://wss.tradernet.example".parse().unwrap(),
                protocol: StreamProtocol::Websocket,
            }),
            tracking: Arc::new(TrackingConfig {
                policy: Policy::default(),
                details: SessionDetails::Off,
                expire_unit: Some(Unit::Milliseconds),
                interval,
                max_age: interval * 3,
            }),
        };
        let (mut poller, desired) =
            Poller::new(account, Arc::new(shared), LoginBreaker::default(), start);
        let Ok(Answer::Sessions(first)) = response::read(first.as_bytes()) else {
            panic!("no list")
        };
        poller.read_secrets().await;
        poller.recorder.stream.connected = true;
        poller.recorder.status.polls += 1;
        poller.conclude(Ok(first), clock.now());
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        Self {
            poller,
            stream: Some(Stream::over(ours).await),
            server: Some(WebSocketStream::from_raw_socket(theirs, Role::Server, None).await),
            desired,
            store,
            clock,
        }
    }

    /// Follows the stream to its end; when the next attempt is due.
    async fn follow(&mut self) -> Instant {
        let stream = self.stream.take().unwrap();
        self.poller.follow(stream).await;
        self.poller.schedule.next()
    }

    fn status(&self) -> Arc<AccountStatus> {
        status(&self.store)
    }
}

fn status(store: &StatusStore) -> Arc<AccountStatus> {
    store.account("a").unwrap()
}

fn open(store: &StatusStore) -> u64 {
    status(store).view.as_ref().unwrap().open
}

fn failures(store: &StatusStore) -> Vec<(Reason, u64)> {
    let status = status(store);
    let failures = status.failures.iter().filter(|(_, count)| *count > 0);
    failures.collect()
}

/// Answers pings and nothing else; returns the seconds at which the list was requested.
async fn only_pongs(mut server: Server, start: Instant) -> Vec<u64> {
    let mut requests = Vec::new();
    while let Some(Ok(message)) = server.next().await {
        if message.is_text() {
            requests.push(start.elapsed().as_secs());
        }
    }
    requests
}

async fn send(server: &mut Server, text: &str) {
    server.send(Message::text(text)).await.unwrap();
}

/// A list in a frame.
fn frame(left_ms: u64) -> String {
    format!(r#"["sessions",{}]"#, list(left_ms))
}

const BROKEN_FRAME: &str = r#"["sessions",[{]"#;

macro_rules! follow_until {
    ($bench:expr, $script:expr) => {
        tokio::select! {
            done = $script => done,
            _ = $bench => panic!("the stream ended"),
        }
    };
}

#[tokio::test(start_paused = true)]
async fn pongs_confirm_the_last_list() {
    for seconds in [1, 2, 3, 30] {
        let interval = Duration::from_secs(seconds);
        let mut bench = Bench::new(interval, &list(80_000_000)).await;
        let server = tokio::spawn(only_pongs(bench.server.take().unwrap(), Instant::now()));
        let (store, clock) = (bench.store.clone(), bench.clock.clone());
        let watch = async {
            for _ in 0..9000 {
                sleep(Duration::from_millis(100)).await;
                let status = status(&store);
                assert_eq!(status.fresh_view(clock.now()).unwrap().open, 1);
                assert_eq!(status.up(), Some(true));
            }
        };
        follow_until!(bench.follow(), watch);
        assert_eq!(failures(&store), []);
        // The list is requested at every interval, answered or not.
        drop(bench);
        let requests = server.await.unwrap();
        let expected: Vec<_> = (1..=900 / seconds).map(|n| n * seconds).collect();
        assert!(expected.starts_with(&requests), "{requests:?}");
        assert!(requests.len() + 1 >= expected.len());
    }
}

#[tokio::test(start_paused = true)]
async fn other_frames_confirm_nothing() {
    // Pings that the server sends are frames too; pongs are unrequested, also those after pings of
    // ours, which are not read.
    for message in [
        Message::text(r#"["q",1]"#),
        Message::Pong("".into()),
        Message::Ping("".into()),
    ] {
        let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
        let start = Instant::now();
        let mut server = bench.server.take().unwrap();
        let (first, store) = (bench.status().last_success, bench.store.clone());
        let talk = async {
            loop {
                sleep(Duration::from_secs(1)).await;
                server.send(message.clone()).await.unwrap();
            }
        };
        tokio::select! {
            () = talk => {}
            _ = bench.follow() => {}
        }
        assert_eq!(start.elapsed(), MAX_AGE);
        assert_eq!(status(&store).last_success, first);
        assert_eq!(failures(&store), [(Reason::Timeout, 1)]);
        let status = status(&store);
        let error = &status.last_failure.as_ref().unwrap().error;
        assert!(!error.advice().contains("TIMEOUT"), "{}", error.advice());
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_after_20_seconds() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let start = Instant::now();
    let server = bench.server.take().unwrap();
    let due = bench.follow().await;
    assert_eq!(start.elapsed(), SILENCE_TIMEOUT);
    let pause = due.duration_since(Instant::now());
    assert!((INTERVAL..=INTERVAL * 2).contains(&pause), "{pause:?}");
    let status = bench.status();
    assert!(!status.stream.unwrap().connected);
    assert_eq!(status.up(), Some(false));
    assert_eq!(failures(&bench.store), [(Reason::Timeout, 1)]);
    // The gauges follow MAX_AGE from when the list was last confirmed.
    assert!(status.fresh_view(bench.clock.now()).is_some());
    tokio::time::advance(MAX_AGE).await;
    assert!(status.fresh_view(bench.clock.now()).is_none());
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_a_list_replaces_the_connection() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let start = Instant::now();
    tokio::spawn(only_pongs(bench.server.take().unwrap(), start));
    bench.follow().await;
    assert_eq!(start.elapsed(), LIST_TIMEOUT);
    assert_eq!(failures(&bench.store), [(Reason::Timeout, 1)]);
}

#[tokio::test(start_paused = true)]
async fn pongs_to_a_server_that_does_not_read_are_bounded() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    // Raw, since the server's own WebSocket reads where it writes. Pings of 100 bytes.
    let mut server = bench.server.take().unwrap();
    let mut stream = bench.stream.take().unwrap();
    let pipe = server.get_mut();
    let mut ping = vec![0x89, 100];
    ping.resize(102, 0);
    let mut owed = 0;
    let script = async {
        pipe.write_all(&ping.repeat(10_000)).await.unwrap();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read) = timeout(Duration::from_secs(1), pipe.read(&mut buffer)).await {
            owed += read.unwrap();
        }
    };
    let receive = async { while stream.next().await.is_ok() {} };
    follow_until!(receive, script);
    // Twice the capacity of the pipe; a megabyte was requested.
    assert!((1..=3 << 16).contains(&owed), "{owed}");
}

#[tokio::test(start_paused = true)]
async fn after_an_error_a_pong_confirms_nothing() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let start = Instant::now();
    let mut server = bench.server.take().unwrap();
    send(&mut server, BROKEN_FRAME).await;
    let server = tokio::spawn(only_pongs(server, start));
    let first = bench.status().last_success;
    bench.follow().await;
    assert_eq!(start.elapsed(), MAX_AGE);
    drop(bench.poller);
    // At 90 s the request and the end of the stream are due at the same moment.
    assert!(server.await.unwrap().starts_with(&[30, 60]));
    let status = status(&bench.store);
    assert_eq!(status.last_success, first);
    assert_eq!(status.up(), Some(false));
    // Of the first poll the error, of the last one the end.
    let expected = [(Reason::Timeout, 1), (Reason::Decode, 1)];
    assert_eq!(failures(&bench.store), expected);
}

#[tokio::test(start_paused = true)]
async fn a_list_in_a_broken_frame_changes_nothing() {
    for frame in [
        r#"["sessions",[]"#,
        r#"["sessions",[],"#,
        r#"["sessions",[]] x"#,
        r#"["sessions",[]]["sessions",5]"#,
    ] {
        let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
        let first = bench.status().last_success;
        let mut server = bench.server.take().unwrap();
        send(&mut server, frame).await;
        let ended = timeout(Duration::from_secs(1), bench.follow()).await;
        assert!(ended.is_err(), "{frame}");
        assert_eq!(open(&bench.store), 1, "{frame}");
        assert_eq!(bench.status().last_success, first, "{frame}");
        assert_eq!(failures(&bench.store), [(Reason::Decode, 1)], "{frame}");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_change_the_state_once_a_second_and_counters_once_a_poll() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let mut server = bench.server.take().unwrap();
    let store = bench.store.clone();
    let script = async {
        for _ in 0..200 {
            send(&mut server, BROKEN_FRAME).await;
            send(&mut server, &frame(70_000_000)).await;
            send(&mut server, BROKEN_FRAME).await;
            sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(failures(&store), [(Reason::Decode, 1)]);
        assert_eq!(status(&store).up(), Some(false));
        send(&mut server, r#"["sessions",[]]"#).await;
        sleep(MIN_UPDATE_INTERVAL * 2).await;
        assert_eq!(open(&store), 0);
        assert_eq!(status(&store).up(), Some(true));
    };
    follow_until!(bench.follow(), script);
}

#[tokio::test(start_paused = true)]
async fn flooding_connection_is_closed_after_10_seconds() {
    for (frames_per_tick, is_closed) in [(9, false), (12, true)] {
        let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
        let start = Instant::now();
        let mut server = bench.server.take().unwrap();
        let store = bench.store.clone();
        let flood = async {
            for _ in 0..200 {
                for _ in 0..frames_per_tick {
                    send(&mut server, &frame(70_000_000)).await;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = flood => assert!(!is_closed),
            _ = bench.follow() => assert!(is_closed),
        }
        if is_closed {
            let seconds = start.elapsed().as_secs();
            assert!((10..=12).contains(&seconds), "{seconds}");
            assert_eq!(failures(&store), [(Reason::Decode, 1)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_credential_opens_another_stream_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sid");
    std::fs::write(&file, "one").unwrap();
    let sid = SecretSource::file(file.clone(), SecretKind::Token);
    let mut bench = Bench::with(INTERVAL, &list(80_000_000), sid).await;
    std::fs::write(&file, "two").unwrap();
    bench.desired.send_modify(|_| ());
    assert_eq!(bench.follow().await, Instant::now());
    assert!(!bench.status().stream.unwrap().connected);
    assert_eq!(failures(&bench.store), []);
}

#[tokio::test(start_paused = true)]
async fn retries_of_an_operator_request_the_list_at_most_once_in_five_seconds() {
    let mut bench = Bench::new(Duration::from_secs(3600), &list(80_000_000)).await;
    let server = tokio::spawn(only_pongs(bench.server.take().unwrap(), Instant::now()));
    let desired = bench.desired.clone();
    let script = async {
        for _ in 0..80 {
            desired.send_modify(|desired| desired.retries += 1);
            sleep(Duration::from_millis(100)).await;
        }
    };
    follow_until!(bench.follow(), script);
    drop(bench.poller);
    assert_eq!(server.await.unwrap(), [0, 5]);
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_cut_at_once_reconnect_spread() {
    let mut pauses = Vec::new();
    for _ in 0..100 {
        let mut bench = Bench::new(INTERVAL, "[]").await;
        drop(bench.server.take().unwrap());
        let due = bench.follow().await;
        pauses.push(due.duration_since(Instant::now()));
        assert_eq!(failures(&bench.store), [(Reason::Network, 1)]);
    }
    let (first, last) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*first >= INTERVAL);
    // A hundred of them leave less than a fifth of the step empty at its ends.
    assert!(*last - *first > INTERVAL.mul_f64(0.8), "{first:?} {last:?}");
}

#[tokio::test(start_paused = true)]
async fn another_interval_applies_to_the_same_connection() {
    let mut bench = Bench::new(Duration::from_secs(3600), &list(80_000_000)).await;
    let server = tokio::spawn(only_pongs(bench.server.take().unwrap(), Instant::now()));
    bench.desired.send_modify(|desired| {
        let account = Arc::make_mut(&mut desired.account);
        Arc::make_mut(&mut account.tracking).interval = INTERVAL;
    });
    let ended = timeout(Duration::from_secs(100), bench.follow()).await;
    assert!(ended.is_err());
    assert_eq!(bench.status().tracking.interval, INTERVAL);
    drop(bench.poller);
    assert_eq!(server.await.unwrap(), [30, 60, 90]);
}

#[tokio::test(start_paused = true)]
async fn another_transport_ends_the_stream_and_is_polled_at_once() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let _server = bench.server.take().unwrap();
    bench.desired.send_modify(|desired| {
        let account = Arc::make_mut(&mut desired.account);
        account.transport = Transport::Http;
        account.stream = None;
    });
    assert_eq!(bench.follow().await, Instant::now());
    let status = bench.status();
    assert_eq!(status.stream, None);
    assert_eq!(status.transport, Transport::Http);
    assert_eq!(failures(&bench.store), []);
}

#[tokio::test(start_paused = true)]
async fn another_origin_of_a_stream_is_another_account() {
    let bench = Bench::new(INTERVAL, "[]").await;
    let one = AccountConfig::clone(&bench.desired.borrow().account);
    let mut other = one.clone();
    assert!(one.is_same_as(&other));
    other.stream.as_mut().unwrap().origin = "wss://elsewhere.example".parse().unwrap();
    assert!(!one.is_same_as(&other));
    other.transport = Transport::Http;
    other.stream = None;
    assert!(one.is_same_as(&other));
}
