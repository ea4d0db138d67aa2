//! A held stream under a paused clock, its server at the other end of a pipe.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::clock::{Clock, Timestamps};
use crate::config::{AccountConfig, CredentialSource};
use crate::poller::PollerContext;
use crate::poller::host_limiter::HostLimiter;
use crate::poller::login_breaker::LoginLog;
use crate::poller::login_pacer::{DEFAULT_LOGINS_PER_MINUTE, LoginPacer};
use crate::secret::{SecretKind, SecretSource};
use crate::session::expire_unit::{Unit, UnitSetting};
use crate::session::rules::Policy;
use crate::session::summary::SessionDetails;
use crate::session::tracker::TrackingConfig;
use crate::status::{AccountStatus, StatusStore, StreamStatus, Transport};
use crate::tradernet::response::{self, Answer};
use crate::tradernet::{
    Client, ClientConfig, Endpoint, Reason, RequestObserver, StreamEndpoint, StreamProtocol,
};

const INTERVAL: Duration = Duration::from_secs(30);
const MAX_AGE: Duration = Duration::from_secs(90);

type Server = WebSocketStream<DuplexStream>;

/// A poller whose stream stands and has brought a list.
struct Bench {
    poller: Poller,
    stream: Stream,
    server: Server,
    commands: mpsc::Sender<PollerCommand>,
    configured: watch::Sender<AccountConfig>,
    board: StatusStore,
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
        let board = StatusStore::default();
        let observe = RequestObserver(Arc::new(|_, _| {}));
        let roots = rustls::RootCertStore::empty();
        let shared = PollerContext {
            http: Client::new(&ClientConfig::default(), roots, observe).unwrap(),
            host_limiter: HostLimiter::new(16),
            login_pacer: LoginPacer::new(DEFAULT_LOGINS_PER_MINUTE),
            board: board.clone(),
            clock: clock.clone(),
        };
        let account = AccountConfig {
            name: "a".into(),
            target: Endpoint {
                origin: "https://tradernet.example".parse().unwrap(),
                timeout: Duration::from_secs(5),
            },
            credential: CredentialSource::Sid(sid),
            transport: Transport::Websocket,
            stream: Some(StreamEndpoint {
                origin: "wss://wss.tradernet.example".parse().unwrap(),
                dialect: StreamProtocol::Websocket,
            }),
            labels: Default::default(),
            reading: TrackingConfig {
                policy: Policy::default(),
                details: SessionDetails::Off,
                expire_unit: UnitSetting::Fixed(Unit::Milliseconds),
                interval,
                max_age: interval * 3,
            },
        };
        let (commands, inbox) = mpsc::channel(1);
        let (configured, configuration) = watch::channel(account);
        let logins = LoginLog::default();
        let mut poller = Poller::new(configuration, shared, inbox, logins);
        let Ok(Answer::Sessions(first)) = response::read(first.as_bytes()) else {
            panic!("no list")
        };
        poller.status.stream = Some(StreamStatus {
            connected: true,
            reconnects: 0,
        });
        poller.status.polls += 1;
        let took = Took {
            duration: Duration::from_millis(1),
            queued: Duration::ZERO,
        };
        poller.conclude(Ok(Outcome::List(first)), Some(took));
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        Self {
            poller,
            stream: Stream::over(ours).await,
            server: WebSocketStream::from_raw_socket(theirs, Role::Server, None).await,
            commands,
            configured,
            board,
            clock,
        }
    }
}

fn status(board: &StatusStore) -> Arc<AccountStatus> {
    board.account("a").unwrap()
}

fn open(board: &StatusStore) -> u64 {
    status(board).view.as_ref().unwrap().open
}

fn failures(board: &StatusStore) -> Vec<(Reason, u64)> {
    let status = status(board);
    let failures = status.failures.iter().filter(|(_, count)| *count > 0);
    failures.collect()
}

/// Answers pings and nothing else; tells when it was asked.
async fn only_pongs(server: &mut Server, start: Instant) -> Vec<u64> {
    let mut asked = Vec::new();
    while let Some(Ok(message)) = server.next().await {
        if message.is_text() {
            asked.push(start.elapsed().as_secs());
        }
    }
    asked
}

async fn send(server: &mut Server, text: &str) {
    server.send(Message::text(text)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_that_answers_pings_is_not_stale() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let start = Instant::now();
    let server = tokio::spawn(async move { only_pongs(&mut bench.server, start).await });
    let held = bench.poller.hold(bench.stream);
    let held = timeout(MAX_AGE * 10, held).await;
    assert!(held.is_err(), "it stands");
    let status = status(&bench.board);
    let now = bench.clock.now();
    assert_eq!(status.fresh_view(now).unwrap().open, 1);
    assert!(now.age_of(status.last_success.unwrap()) <= Duration::from_secs(10));
    assert_eq!(status.up(), Some(true));
    assert_eq!(status.polls, 4);
    assert_eq!(failures(&bench.board), []);
    // The `_milliseconds` gauges are as of the last list.
    assert_eq!(
        status
            .view
            .as_ref()
            .unwrap()
            .expiry
            .unwrap()
            .remaining_ms
            .max,
        80_000_000.0
    );
    assert_eq!(server.await.unwrap(), [30, 60, 90]);
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_whose_gauges_are_true_for_a_short_time_only() {
    for seconds in [1, 2, 3] {
        let interval = Duration::from_secs(seconds);
        let mut bench = Bench::new(interval, &list(80_000_000)).await;
        let start = Instant::now();
        let server = tokio::spawn(async move { only_pongs(&mut bench.server, start).await });
        let (board, clock) = (bench.board.clone(), bench.clock.clone());
        let watch = async {
            for _ in 0..1000 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let status = status(&board);
                assert!(status.fresh_view(clock.now()).is_some(), "{interval:?}");
            }
        };
        tokio::select! {
            () = watch => {}
            _ = bench.poller.hold(bench.stream) => panic!("it stands"),
        }
        server.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn other_frames_keep_a_stream_but_not_its_gauges() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let start = Instant::now();
    let first = status(&bench.board).last_success;
    // It is never read from, so no ping is answered.
    let chatter = async {
        loop {
            send(&mut bench.server, r#"["q",1]"#).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    tokio::select! {
        () = chatter => {}
        _ = bench.poller.hold(bench.stream) => {}
    }
    assert_eq!(start.elapsed(), MAX_AGE);
    assert_eq!(status(&bench.board).last_success, first);
    assert_eq!(failures(&bench.board), [(Reason::Timeout, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_given_up_within_thirty_seconds() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let start = Instant::now();
    // The server's end stays, and never reads.
    let due = bench.poller.hold(bench.stream).await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(30));
    let pause = due.duration_since(Instant::now());
    assert!((INTERVAL..=INTERVAL * 2).contains(&pause), "{pause:?}");
    let status = status(&bench.board);
    assert!(!status.stream.unwrap().connected);
    assert_eq!(status.up(), Some(false));
    assert_eq!(failures(&bench.board), [(Reason::Timeout, 1)]);
    // The gauges follow MAX_AGE from when they were last known to be true.
    assert!(status.fresh_view(bench.clock.now()).is_some());
    tokio::time::advance(MAX_AGE).await;
    assert!(status.fresh_view(bench.clock.now()).is_none());
    drop(bench.server);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_pings_and_does_not_read_is_owed_little() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    // Raw, since the server's own WebSocket reads where it writes. Pings of 100 bytes.
    let pipe = bench.server.get_mut();
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
    let listen = async { while bench.stream.next().await.is_ok() {} };
    tokio::select! {
        () = script => {}
        () = listen => panic!("it stands"),
    }
    // What the pipe holds, and as much again; a megabyte was asked for.
    assert!((1..=3 << 16).contains(&owed), "{owed}");
}

#[tokio::test(start_paused = true)]
async fn a_sessions_end_asks_for_the_list_and_closes_nothing() {
    let mut bench = Bench::new(Duration::from_secs(3600), &list(20_000)).await;
    let start = Instant::now();
    let board = bench.board.clone();
    let mut server = bench.server;
    let script = async {
        let asked = loop {
            if server.next().await.unwrap().unwrap().is_text() {
                break start.elapsed();
            }
        };
        assert!(asked >= Duration::from_secs(20), "{asked:?}");
        assert!(asked <= Duration::from_secs(22), "{asked:?}");
        assert_eq!(open(&board), 1, "a list closes sessions, a clock does not");
        send(&mut server, r#"["sessions",[]]"#).await;
        // Read on until the answer has been taken.
        let read = only_pongs(&mut server, start);
        let _ = timeout(Duration::from_secs(1), read).await;
        assert_eq!(open(&board), 0);
        assert_eq!(status(&board).polls, 2);
    };
    tokio::select! {
        () = script => {}
        _ = bench.poller.hold(bench.stream) => panic!("it stands"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_listed_past_its_end_is_no_reason_to_ask_for_ever() {
    let mut bench = Bench::new(Duration::from_secs(3600), &list(7_000)).await;
    let start = Instant::now();
    let server = tokio::spawn(async move {
        let mut asked = Vec::new();
        while let Some(Ok(message)) = bench.server.next().await {
            if message.is_text() {
                asked.push(start.elapsed().as_secs());
                send(&mut bench.server, &format!("[\"sessions\",{}]", list(0))).await;
            }
        }
        asked
    });
    let held = timeout(Duration::from_secs(600), bench.poller.hold(bench.stream)).await;
    assert!(held.is_err(), "it stands");
    assert_eq!(server.await.unwrap(), [8]);
}

#[tokio::test(start_paused = true)]
async fn after_a_list_that_cannot_be_read_a_pong_confirms_nothing() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    let start = Instant::now();
    send(&mut bench.server, r#"["sessions",[{]"#).await;
    let server = tokio::spawn(async move { only_pongs(&mut bench.server, start).await });
    let first = status(&bench.board).last_success;
    bench.poller.hold(bench.stream).await.unwrap();
    // Asked once more at the interval, in vain: only a new connection can tell.
    assert_eq!(server.await.unwrap(), [30]);
    let status = status(&bench.board);
    assert_eq!(status.last_success, first);
    assert_eq!(status.up(), Some(false));
    assert_eq!(
        failures(&bench.board),
        [(Reason::Timeout, 1), (Reason::Decode, 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_whole_list_in_a_broken_frame_changes_nothing() {
    for frame in [
        r#"["sessions",[]"#,
        r#"["sessions",[],"#,
        r#"["sessions",[]] x"#,
        r#"["sessions",[]]["sessions",5]"#,
    ] {
        let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
        let first = status(&bench.board).last_success;
        send(&mut bench.server, frame).await;
        let held = timeout(Duration::from_secs(1), bench.poller.hold(bench.stream)).await;
        assert!(held.is_err(), "it stands");
        assert_eq!(open(&bench.board), 1, "{frame}");
        assert_eq!(status(&bench.board).last_success, first, "{frame}");
        assert_eq!(failures(&bench.board), [(Reason::Decode, 1)], "{frame}");
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
    bench
        .commands
        .send(PollerCommand::ReadSecrets)
        .await
        .unwrap();
    let due = bench.poller.hold(bench.stream).await.unwrap();
    assert_eq!(due, Instant::now());
    assert!(!status(&bench.board).stream.unwrap().connected);
    assert_eq!(failures(&bench.board), []);
}

#[tokio::test(start_paused = true)]
async fn an_operator_has_the_list_asked_for_at_once() {
    let mut bench = Bench::new(Duration::from_secs(3600), &list(80_000_000)).await;
    bench.commands.send(PollerCommand::TryNow).await.unwrap();
    let asked = async {
        let asked = bench.server.next().await.unwrap().unwrap();
        assert_eq!(asked, Message::text(r#"["sessions"]"#));
    };
    tokio::select! {
        asked = timeout(Duration::from_secs(1), asked) => asked.unwrap(),
        _ = bench.poller.hold(bench.stream) => panic!("it stands"),
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_to_command_it_is_the_end() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    drop(bench.commands);
    assert_eq!(bench.poller.hold(bench.stream).await, None);
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_cut_at_once_come_back_spread() {
    let mut pauses = Vec::new();
    for _ in 0..100 {
        let mut bench = Bench::new(INTERVAL, "[]").await;
        drop(bench.server);
        let due = bench.poller.hold(bench.stream).await.unwrap();
        pauses.push(due.duration_since(Instant::now()));
        assert_eq!(failures(&bench.board), [(Reason::Network, 1)]);
    }
    let (first, last) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*first >= INTERVAL);
    // A hundred of them leave less than a fifth of the step empty at its ends.
    assert!(*last - *first > INTERVAL.mul_f64(0.8), "{first:?} {last:?}");
}

#[tokio::test(start_paused = true)]
async fn another_interval_is_taken_up_on_the_same_connection() {
    let mut bench = Bench::new(Duration::from_secs(3600), &list(80_000_000)).await;
    let start = Instant::now();
    bench.configured.send_modify(|account| {
        account.reading.interval = INTERVAL;
    });
    let server = tokio::spawn(async move { only_pongs(&mut bench.server, start).await });
    let held = timeout(INTERVAL * 10, bench.poller.hold(bench.stream)).await;
    assert!(held.is_err(), "it stands");
    assert_eq!(server.await.unwrap(), [30, 60, 90]);
    assert_eq!(status(&bench.board).interval, INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn another_transport_ends_the_stream_and_is_taken_up_at_once() {
    let mut bench = Bench::new(INTERVAL, &list(80_000_000)).await;
    bench.configured.send_modify(|account| {
        account.transport = Transport::Http;
        account.stream = None;
    });
    let due = bench.poller.hold(bench.stream).await.unwrap();
    assert_eq!(due, Instant::now());
    let status = status(&bench.board);
    assert_eq!(status.stream, None);
    assert_eq!(status.transport, Transport::Http);
    assert_eq!(failures(&bench.board), []);
}

#[tokio::test(start_paused = true)]
async fn another_place_for_a_stream_is_another_account() {
    let bench = Bench::new(INTERVAL, "[]").await;
    let one = bench.configured.borrow().clone();
    let mut other = one.clone();
    assert!(one.is_same_as(&other));
    other.stream.as_mut().unwrap().origin = "wss://elsewhere.example".parse().unwrap();
    assert!(!one.is_same_as(&other));
    other.transport = Transport::Http;
    other.stream = None;
    assert!(one.is_same_as(&other));
}
