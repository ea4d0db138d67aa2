//! Accounts and a served app for this module's tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{App, Listener, ListenerKind, ReloadRequest, Settings, serve};
use crate::clock::{Clock, Timestamps};
use crate::metrics::Metrics;
use crate::session::expire_unit::{Unit, UnitStatus};
use crate::session::rules::Policy;
use crate::session::safety_type::SafetyNames;
use crate::session::summary::SessionDetails;
use crate::session::tracker::{SessionTracker, TrackingConfig};
use crate::session::{ClientAddress, Session, SessionList};
use crate::shard::Shard;
use crate::status::{AccountStatus, Attempt, FailureCounts, PastFailure, StatusStore, Transport};
use crate::tradernet::Error;

/// 2026-03-02 07:00:00 UTC.
pub(super) const NOW: Timestamps = Timestamps {
    wall_ms: 1_772_434_800_000.0,
    monotonic: Duration::from_secs(100_000),
};

pub(super) fn ago(seconds: u64) -> Timestamps {
    Timestamps {
        wall_ms: NOW.wall_ms - seconds as f64 * 1000.0,
        monotonic: NOW.monotonic - Duration::from_secs(seconds),
    }
}

pub(super) fn reading(policy: Policy, details: SessionDetails) -> TrackingConfig {
    TrackingConfig {
        policy,
        details,
        expire_unit: Some(Unit::Milliseconds),
        interval: Duration::from_secs(30),
        max_age: Duration::from_secs(90),
    }
}

/// An open session of a day, with so many minutes left.
pub(super) fn session(id: u64, safety_type: i64, minutes_left: u32) -> Session {
    Session {
        id,
        safety_type: Some(safety_type),
        user_login: Some("trader@example.com".into()),
        client: ClientAddress::parse("203.0.113.9"),
        time_left: Some(f64::from(minutes_left) * 60_000.0),
        expire_datetime_hash: Some(id),
        expire_datetime_ms: None,
        lifetime_ms: Some(86_400_000.0),
    }
}

/// An account that has not been polled yet.
pub(super) fn starting(account: &str) -> AccountStatus {
    AccountStatus {
        account: account.into(),
        transport: Transport::Http,
        info: Default::default(),
        tracking: Arc::new(reading(Policy::default(), SessionDetails::Off)),
        polls: 0,
        failures: FailureCounts::default(),
        logins: 0,
        login_failures: 0,
        login_blocked: None,
        last_attempt: None,
        last_failure: None,
        last_success: None,
        clock_offset_seconds: None,
        looks_like_seconds: false,
        session_counters: None,
        unit: UnitStatus {
            unit: Unit::Milliseconds,
            confirmed: true,
        },
        view: None,
        stream: None,
    }
}

/// An account whose last poll, at `arrival`, showed these sessions.
pub(super) fn answered(
    account: &str,
    reading: TrackingConfig,
    sessions: Vec<Session>,
    arrival: Timestamps,
) -> AccountStatus {
    let tracking = Arc::new(reading);
    let mut tracker = SessionTracker::new(Arc::clone(&tracking));
    let (view, _) = tracker.record(SessionList::new(sessions, 0), arrival);
    AccountStatus {
        tracking,
        polls: 1,
        last_attempt: Some(Attempt {
            at: arrival,
            duration: Duration::from_millis(210),
            queue_wait: Duration::ZERO,
            failure: None,
        }),
        last_success: Some(arrival),
        session_counters: tracker.counters(),
        unit: tracker.unit(),
        view: Some(Arc::new(view)),
        ..starting(account)
    }
}

/// The same account after a failed poll.
pub(super) fn failed(mut status: AccountStatus, error: &Error, at: Timestamps) -> AccountStatus {
    status.polls += 1;
    status.failures.add(error.reason());
    status.last_attempt = Some(Attempt {
        at,
        duration: Duration::from_secs(10),
        queue_wait: Duration::ZERO,
        failure: Some(error.clone()),
    });
    let error = error.clone();
    status.last_failure = Some(Box::new(PastFailure { at, error }));
    status
}

/// A store with these, published one after the other; the last status of an account replaces the others.
pub(super) fn published(statuses: Vec<AccountStatus>) -> StatusStore {
    let store = StatusStore::default();
    for status in statuses {
        store.publish(status);
    }
    store
}

pub(super) fn settings() -> Settings {
    Settings {
        telemetry_path: "/metrics".to_owned(),
        external_url: None,
        enable_lifecycle: false,
        shard: Shard::default(),
        scrape_interval: Duration::ZERO,
        web_config: Arc::default(),
    }
}

/// The sources of an app, for a test to change.
pub(super) struct Sources {
    pub(super) store: StatusStore,
    pub(super) names: watch::Sender<SafetyNames>,
    pub(super) reloads: mpsc::Receiver<ReloadRequest>,
}

pub(super) fn app(settings: Settings, clock: Clock) -> (Arc<App>, Sources) {
    let store = StatusStore::default();
    let (names, names_read) = watch::channel(SafetyNames::default());
    let (_, ready_read) = watch::channel(false);
    let (reload, reloads) = mpsc::channel(1);
    let metrics = Metrics::new(
        store.clone(),
        clock.clone(),
        names_read.clone(),
        settings.shard,
    );
    let app = App::new(settings, metrics, ready_read, reload);
    let sources = Sources {
        store,
        names,
        reloads,
    };
    (Arc::new(app), sources)
}

pub(super) fn still() -> Clock {
    Clock::from_fn(|| NOW)
}

/// A server under test on a port of the system's choice.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) app: Arc<App>,
    pub(super) sources: Sources,
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) server: JoinHandle<()>,
}

impl Served {
    pub(super) async fn start(settings: Settings) -> Self {
        Self::with(settings, still(), |listener, app, stop| {
            serve(listener, app, ListenerKind::Main, stop)
        })
        .await
    }

    pub(super) async fn with<S: Future<Output = ()> + Send + 'static>(
        settings: Settings,
        clock: Clock,
        serve: impl FnOnce(Listener, Arc<App>, Stop) -> S,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (app, sources) = app(settings, clock);
        let (stop, stopped) = oneshot::channel();
        let stopped = Stop(stopped);
        Self {
            address,
            app: Arc::clone(&app),
            sources,
            stop: Some(stop),
            server: tokio::spawn(serve(listener.into(), app, stopped)),
        }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own; `lines` are further header lines.
    pub(super) async fn request(&self, method: &str, target: &str, lines: &[&str]) -> Answer {
        request_on(self.connect().await, method, target, lines).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[]).await
    }
}

/// Completes when the test stops the server or ends.
pub(super) struct Stop(oneshot::Receiver<()>);

impl Future for Stop {
    type Output = ();

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        std::pin::Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

pub(super) async fn request_on(
    mut stream: TcpStream,
    method: &str,
    target: &str,
    lines: &[&str],
) -> Answer {
    let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !lines.iter().any(|line| line.starts_with("Host:")) {
        request += "Host: localhost\r\n";
    }
    for line in lines {
        request += line;
        request += "\r\n";
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    Answer::parse(&bytes)
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
