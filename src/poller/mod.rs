//! One account's poller, and the set of all pollers.
//!
//! [`Poller::run`] is the only retry loop: when to attempt is decided by `schedule`, one attempt is
//! made in `attempt`, and a stream that an attempt has opened is followed in `stream`. `recorder`
//! keeps the results. A poller publishes its status as a whole and does not know its readers.

mod attempt;
pub mod change_log;
mod credential;
pub mod host;
pub mod login_breaker;
mod recorder;
mod schedule;
pub mod set;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::info;

use self::change_log::ChangeLog;
use self::credential::Credential;
use self::host::{Host, Hosts};
use self::login_breaker::LoginBreaker;
use self::recorder::Recorder;
use self::schedule::Schedule;
use crate::clock::{Clock, Timestamps};
use crate::config::AccountConfig;
use crate::session::SessionList;
use crate::status::{AccountStatus, LoginBlock, StatusStore};
use crate::tradernet::{Client, Error, Redactor, Stream};

/// While an account fails, its secret files are read this often: a corrected credential need not
/// wait for the back-off.
const SECRET_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// State shared by all pollers.
pub struct PollerContext {
    /// Connections.
    pub client: Client,
    /// State shared by the accounts of each host.
    pub hosts: Hosts,
    /// Where the pollers run.
    pub runtime: Handle,
    /// Where changes of accounts are logged.
    pub changes: ChangeLog,
    /// Where statuses are published.
    pub store: StatusStore,
    /// The clocks.
    pub clock: Clock,
    /// Shortest time between two retries of an account that an operator requests.
    pub min_retry_interval: Duration,
}

/// The configuration that a poller applies from its next pause on.
#[derive(Clone, Debug)]
struct DesiredState {
    account: Arc<AccountConfig>,
    /// Retries that an operator has requested so far.
    retries: u64,
}

/// Polls one account. It is kept outside of the task that runs it, so that a panic costs one run
/// and none of the state: without SID and breaker, a panic that repeats would be a login storm.
pub struct Poller {
    account: Arc<AccountConfig>,
    /// The latest wins.
    desired: watch::Receiver<DesiredState>,
    /// Requested retries that the schedule knows.
    retries: u64,
    shared: Arc<PollerContext>,
    credential: Credential,
    breaker: LoginBreaker,
    recorder: Recorder,
    schedule: Schedule,
    /// The successes on the host; set while the last failure may be the host's.
    host_successes: Option<watch::Receiver<()>>,
    /// Dropped after the first attempt; see [`set::PollerSet::readiness`].
    first_attempt: Option<mpsc::Sender<Infallible>>,
}

impl Poller {
    /// Prepares an account whose first attempt is due at `first`, and publishes its status before
    /// any attempt. Another configuration is applied as long as the account stays the same one,
    /// see [`AccountConfig::is_same_as`].
    fn new(
        account: AccountConfig,
        shared: Arc<PollerContext>,
        breaker: LoginBreaker,
        first: Instant,
    ) -> (Self, watch::Sender<DesiredState>) {
        let account = Arc::new(account);
        let (sender, desired) = watch::channel(DesiredState {
            account: Arc::clone(&account),
            retries: 0,
        });
        let poller = Self {
            recorder: Recorder::new(&account, shared.changes.clone()),
            schedule: Schedule::starting_at(first),
            account,
            desired,
            retries: 0,
            shared,
            credential: Credential::default(),
            breaker,
            host_successes: None,
            first_attempt: None,
        };
        poller.publish();
        (poller, sender)
    }

    /// Polls until it is dropped. It may be called again after a panic, which counts as a failed
    /// attempt.
    async fn run(&mut self, panicked: bool) {
        if panicked {
            self.recorder.stream.connected = false;
            self.recorder.status.polls += 1;
            self.conclude(Err(Error::Internal), self.now());
            self.first_attempt = None;
        }
        loop {
            self.wait().await;
            // Boxed: most of the time most accounts wait, and then need no room for an attempt.
            Box::pin(self.attempt_and_follow()).await;
        }
    }

    /// Attempts once, and follows the stream that this opened to its end.
    async fn attempt_and_follow(&mut self) {
        let stream = Box::pin(self.poll()).await;
        self.first_attempt = None;
        if let Some(stream) = stream {
            self.follow(stream).await;
        }
    }

    /// Attempts an account once.
    pub async fn poll_once(account: AccountConfig, shared: Arc<PollerContext>) -> AccountStatus {
        let breaker = LoginBreaker::default();
        let (mut poller, _desired) = Self::new(account, shared, breaker, Instant::now());
        poller.poll().await;
        poller.status()
    }

    /// Waits until the next attempt is due.
    async fn wait(&mut self) {
        loop {
            let checks_secrets =
                self.schedule.failures() > 0 && self.account.credential.reads_files();
            let host_successes = &mut self.host_successes;
            tokio::select! {
                () = sleep_until(self.schedule.next()) => return,
                () = sleep(SECRET_CHECK_INTERVAL), if checks_secrets => {
                    if Box::pin(self.read_secrets()).await {
                        self.schedule.attempt_now(Instant::now());
                    }
                }
                Some(()) = async { host_successes.as_mut()?.changed().await.ok() } => {
                    self.host_successes = None;
                    let interval = self.account.tracking.interval;
                    self.schedule.within_interval(Instant::now(), interval, fastrand::f64());
                }
                Ok(()) = self.desired.changed() => {
                    Box::pin(self.apply_desired_state()).await;
                }
            }
        }
    }

    /// Applies the latest desired state; whether the account must be attempted at once, since its
    /// credential or its transport has changed.
    async fn apply_desired_state(&mut self) -> bool {
        let DesiredState { account, retries } = self.desired.borrow_and_update().clone();
        let is_retry = std::mem::replace(&mut self.retries, retries) != retries;
        if is_retry {
            self.schedule.request_retry();
        }
        let before = std::mem::replace(&mut self.account, account);
        self.recorder.reconfigure(&self.account);
        let now = Instant::now();
        let interval = self.account.tracking.interval;
        if interval != before.tracking.interval {
            (self.schedule).within_interval(now, interval, fastrand::f64());
        }
        let changed = self.read_secrets().await;
        // A retry uses the last secrets: their files may be about to be replaced.
        let dropped = !is_retry && self.credential.drop_unreadable();
        let attempts_now = changed || dropped || self.account.stream != before.stream;
        if attempts_now {
            self.schedule.attempt_now(now);
        }
        self.publish();
        attempts_now
    }

    /// Resets the login breaker where the attempt that begins is a retry that an operator requested.
    fn begin_retry(&mut self) {
        let now = Instant::now();
        let is_retry = (self.schedule).take_retry(now, self.shared.min_retry_interval);
        if is_retry {
            let is_rejected = self.login_block() == Some(LoginBlock::Rejected);
            self.breaker.reset();
            if is_rejected && !self.credential.sid_accepted && self.check_breaker().is_ok() {
                // The SID of the rejected login: an operator allows another login.
                self.credential.forget_sid();
            }
            let account = &*self.account.name;
            // Three logins in 15 minutes are the limit also for an operator.
            let blocked = self.check_breaker().err().map(|error| error.to_string());
            info!(account, blocked, "retrying on request");
        }
    }

    /// Reads the secrets again; whether they have changed.
    async fn read_secrets(&mut self) -> bool {
        let was_known = self.credential.is_known();
        let changed = self.credential.read(&self.account).await;
        if changed && was_known {
            let account = &*self.account.name;
            info!(account, "credential changed");
            self.breaker.reset();
        }
        changed
    }

    /// Attempts once; returns the stream that it opened.
    async fn poll(&mut self) -> Option<Stream> {
        self.read_secrets().await;
        self.begin_retry();
        let started = Instant::now();
        (self.recorder.duration, self.recorder.queue_wait) = Default::default();
        let (result, stream) = match self.attempt().await {
            Ok((list, stream)) => (Ok(list), stream),
            Err(error) => (Err(error), None),
        };
        let recorder = &mut self.recorder;
        recorder.duration = started.elapsed().saturating_sub(recorder.queue_wait);
        if stream.is_some() {
            recorder.stream.connected = true;
            recorder.stream.connections += 1;
        }
        self.recorder.status.polls += 1;
        self.conclude(result, self.now());
        stream
    }

    /// Schedules the next attempt after this result, records and publishes it.
    fn conclude(&mut self, result: Result<SessionList, Error>, at: Timestamps) {
        let now = Instant::now();
        let interval = self.account.tracking.interval;
        match result {
            Ok(list) => {
                let duration = self.recorder.duration;
                self.schedule.succeeded(now, interval, duration);
                self.host_successes = None;
                self.list_host().successes.send_replace(());
                // A server may put a secret where a login belongs.
                let secrets = Redactor::new(self.credential.all());
                let list = list.map_texts(|text| secrets.redact(text));
                self.recorder.list(list, at);
            }
            Err(error) => {
                (self.schedule).failed(now, interval, error.retry_after(), fastrand::f64());
                self.host_successes = error
                    .reason()
                    .may_be_of_host()
                    .then(|| self.list_host().successes.subscribe());
                self.recorder.failure(error, at);
            }
        }
        self.publish();
    }

    /// Where the list comes from.
    fn list_host(&self) -> Arc<Host> {
        let stream = self.account.stream.as_ref().map(|stream| &stream.origin);
        let origin = stream.unwrap_or(&self.account.target.origin);
        self.shared.hosts.get(origin)
    }

    fn now(&self) -> Timestamps {
        self.shared.clock.now()
    }

    fn publish(&self) {
        self.shared.store.publish(self.status());
    }

    /// The account's status: the record, and what configuration, tracker and breaker add.
    fn status(&self) -> AccountStatus {
        let tracker = &self.recorder.tracker;
        AccountStatus {
            login_blocked: self.login_block(),
            last_success: tracker.confirmed_at(),
            session_counters: tracker.counters(),
            unit: tracker.unit(),
            stream: self.account.stream.as_ref().map(|_| self.recorder.stream),
            ..self.recorder.status.clone()
        }
    }
}
