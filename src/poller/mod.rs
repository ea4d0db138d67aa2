//! One account's poller, and the set of all pollers.
//!
//! [`Poller::run`] is the only retry loop: when to attempt is decided by `schedule`, one attempt is
//! made in `attempt`, and a stream that an attempt has opened is followed in `stream`. `recorder`
//! keeps what came of it. A poller publishes its status as a whole and does not know who reads it.

mod attempt;
mod credential;
pub mod host_limiter;
pub mod host_recovery;
pub mod login_breaker;
pub mod login_pacer;
mod recorder;
mod schedule;
pub mod set;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info};
use url::Url;

use self::credential::Credential;
use self::host_limiter::{HostLimiter, SlotRequest};
use self::host_recovery::{HostRecovery, may_be_of_host};
use self::login_breaker::{LoginBreaker, LoginLog};
use self::login_pacer::LoginPacer;
use self::recorder::{Recorder, Timing};
use self::schedule::Schedule;
use crate::clock::{Clock, Timestamps};
use crate::config::AccountConfig;
use crate::session::SessionList;
use crate::status::{AccountStatus, StatusStore};
use crate::tradernet::{Client, Error, Stream};

/// While an account fails, its secret files are read this often: a corrected credential need not
/// wait for the back-off.
const SECRET_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// What the pollers share.
#[derive(Clone, Debug)]
pub struct PollerContext {
    /// Connections.
    pub client: Client,
    /// How many requests may be under way to a host.
    pub host_limiter: HostLimiter,
    /// Which hosts answer again.
    pub host_recovery: HostRecovery,
    /// The pace of logins to hosts.
    pub login_pacer: LoginPacer,
    /// Where statuses are published.
    pub store: StatusStore,
    /// The clocks.
    pub clock: Clock,
    /// Shortest time between two retries of an account that an operator requests.
    pub min_retry_interval: Duration,
}

/// A command to a poller. It has no reply, since an attempt may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollerCommand {
    /// Read the secret files again, and attempt at once if one has changed.
    ReloadSecrets,
    /// An operator requests an attempt, also after a rejected login.
    RetryNow,
}

/// Polls one account. It is kept outside of the task that runs it, so that a panic costs one run
/// and none of the state: without SID and breaker, a panic that repeats would be a login storm.
pub struct Poller {
    account: AccountConfig,
    /// The account as it is to be from the next pause on; the latest wins.
    configured: watch::Receiver<AccountConfig>,
    commands: mpsc::Receiver<PollerCommand>,
    shared: PollerContext,
    credential: Credential,
    breaker: LoginBreaker,
    recorder: Recorder,
    schedule: Schedule,
    /// The successes on the host; set while the last failure may be the host's.
    host_successes: Option<watch::Receiver<()>>,
    /// Dropped after the first attempt; see [`set::PollerSet::readiness`].
    first_attempt: Option<mpsc::Sender<Infallible>>,
    running: bool,
}

/// A successful attempt: the list, and with a streaming transport the stream that sent it.
struct PollResult {
    list: SessionList,
    stream: Option<Stream>,
    /// The request's signature.
    signature: Option<SecretString>,
}

impl Poller {
    /// Prepares an account whose first attempt is due at `first`, and publishes its status before
    /// any attempt. Later configurations are applied as long as the account stays the same one,
    /// see [`AccountConfig::is_same_as`].
    pub fn new(
        mut configured: watch::Receiver<AccountConfig>,
        shared: PollerContext,
        commands: mpsc::Receiver<PollerCommand>,
        logins: LoginLog,
        first: Instant,
    ) -> Self {
        let account = configured.borrow_and_update().clone();
        let poller = Self {
            breaker: LoginBreaker::new(logins, None),
            recorder: Recorder::new(&account),
            schedule: Schedule::starting_at(first),
            account,
            configured,
            commands,
            shared,
            credential: Credential::default(),
            host_successes: None,
            first_attempt: None,
            running: false,
        };
        poller.publish();
        poller
    }

    /// Polls until the account is removed, which drops the senders of its channels. After a panic
    /// it may be called again.
    async fn run(&mut self) {
        // Still set where the last run panicked.
        if std::mem::take(&mut self.running) {
            self.recorder.disconnected();
            self.recorder.polls += 1;
            self.conclude(Err(Error::Internal), self.now(), Some(Timing::default()));
            self.first_attempt = None;
        }
        self.running = true;
        while self.wait().await {
            let stream = self.poll().await;
            self.first_attempt = None;
            if let Some(stream) = stream
                && !self.follow(stream).await
            {
                return;
            }
        }
    }

    /// Attempts once.
    pub async fn poll_once(mut self) -> AccountStatus {
        self.poll().await;
        self.status()
    }

    /// Waits until the next attempt is due; `false` where the account was removed.
    async fn wait(&mut self) -> bool {
        loop {
            let checks_secrets =
                self.schedule.failures() > 0 && self.account.credential.reads_files();
            tokio::select! {
                () = sleep_until(self.schedule.next()) => return true,
                () = sleep(SECRET_CHECK_INTERVAL), if checks_secrets => {
                    if self.read_secrets().await {
                        self.schedule.attempt_now(Instant::now());
                    }
                }
                () = success(&mut self.host_successes) => {
                    self.host_successes = None;
                    let interval = self.account.tracking.interval;
                    self.schedule.host_recovered(Instant::now(), interval, fastrand::f64());
                }
                changed = self.configured.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    self.apply_config().await;
                }
                command = self.commands.recv() => match command {
                    None => return false,
                    Some(command) => self.handle(command).await,
                },
            }
        }
    }

    async fn handle(&mut self, command: PollerCommand) {
        match command {
            PollerCommand::ReloadSecrets => {
                if self.reload_secrets().await {
                    self.schedule.attempt_now(Instant::now());
                }
            }
            PollerCommand::RetryNow => self.schedule.request_retry(),
        }
    }

    /// Resets the login breaker where the attempt that begins is a retry that an operator requested.
    fn begin_retry(&mut self) {
        let now = Instant::now();
        let is_retry = (self.schedule).take_retry(now, self.shared.min_retry_interval);
        if is_retry {
            self.breaker.reset();
            let account = &*self.account.name;
            match self.breaker.check(self.shared.clock.now()) {
                Ok(()) => info!(account, "retrying on request"),
                Err(error) => {
                    let advice = Error::Auth(error.clone()).advice();
                    info!(account, %error, advice, "retrying on request, without a login");
                }
            }
        }
    }

    /// Applies the latest configuration of this account; whether it must be attempted at once, since
    /// its credential or its transport has changed.
    async fn apply_config(&mut self) -> bool {
        let account = self.configured.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.account, account);
        if self.account.tracking != before.tracking {
            debug!(
                account = &*self.account.name,
                "the configuration has changed"
            );
            self.recorder.reconfigure(&self.account, &self.redactor());
        }
        let now = Instant::now();
        let interval = self.account.tracking.interval;
        if interval != before.tracking.interval {
            (self.schedule).interval_changed(now, interval, fastrand::f64());
        }
        let changed = self.reload_secrets().await || self.account.stream != before.stream;
        if changed {
            self.schedule.attempt_now(now);
        }
        self.publish();
        changed
    }

    /// Reads the secrets again; whether the credential has changed.
    async fn read_secrets(&mut self) -> bool {
        let account = &*self.account.name;
        let was_known = self.credential.is_known();
        match self.credential.read(&self.account.credential).await {
            Ok(false) => return false,
            Ok(true) if was_known => {
                info!(account, "the credential has changed");
                self.breaker.reset();
            }
            // It may be the one that was rejected before this poller started.
            Ok(true) => {
                let credential = self.credential.fingerprint(&self.account.target.origin);
                self.breaker.resume(credential);
            }
            Err(error) => {
                debug!(account, %error, "the secrets cannot be read");
                return false;
            }
        }
        true
    }

    /// Reads the secrets after a reload, which drops those that cannot be read; whether the
    /// account must be attempted at once.
    async fn reload_secrets(&mut self) -> bool {
        let changed = self.read_secrets().await;
        self.credential.drop_unreadable() || changed
    }

    /// Attempts once; returns the stream that it opened.
    async fn poll(&mut self) -> Option<Stream> {
        self.read_secrets().await;
        self.begin_retry();
        let started = Instant::now();
        let mut slot = SlotRequest {
            last_timed_out: self.recorder.last_timed_out(),
            queue_wait: Duration::ZERO,
        };
        let result = self.attempt(&mut slot).await;
        let timing = Timing {
            duration: started.elapsed().saturating_sub(slot.queue_wait),
            queue_wait: slot.queue_wait,
        };
        let (result, stream) = match result {
            Ok(PollResult { list, stream, .. }) => (Ok(list), stream),
            Err(error) => (Err(error), None),
        };
        if stream.is_some() {
            self.recorder.connected();
        }
        self.recorder.polls += 1;
        self.conclude(result, self.now(), Some(timing));
        stream
    }

    /// Schedules the next attempt after this result, records and publishes it; without `timing` it
    /// is not an attempt's but something that a stream sent unasked.
    fn conclude(
        &mut self,
        result: Result<SessionList, Error>,
        at: Timestamps,
        timing: Option<Timing>,
    ) {
        let now = Instant::now();
        let failures = self.schedule.failures();
        let interval = self.account.tracking.interval;
        match result {
            Ok(list) => {
                let duration = timing.unwrap_or_default().duration;
                self.schedule.succeeded(now, interval, duration);
                self.host_successes = None;
                self.shared.host_recovery.announce(self.host());
                let redactor = self.redactor();
                (self.recorder).list(list, at, timing, failures, &redactor);
            }
            Err(error) => {
                (self.schedule).failed(now, interval, error.retry_after(), fastrand::f64());
                self.host_successes = may_be_of_host(error.reason())
                    .then(|| self.shared.host_recovery.subscribe(self.host()));
                let max_age = self.account.tracking.max_age;
                (self.recorder).failure(error, at, timing, failures, max_age);
            }
        }
        self.publish();
    }

    /// Where the list comes from.
    fn host(&self) -> &Url {
        let stream = self.account.stream.as_ref().map(|stream| &stream.origin);
        stream.unwrap_or(&self.account.target.origin)
    }

    fn now(&self) -> Timestamps {
        self.shared.clock.now()
    }

    fn publish(&self) {
        self.shared.store.publish(self.status());
    }

    /// The account's status, built from what the configuration, the recorder, the tracker and the
    /// breaker own.
    fn status(&self) -> AccountStatus {
        let (account, recorder) = (&self.account, &self.recorder);
        AccountStatus {
            account: Arc::clone(&account.name),
            transport: account.transport,
            info: Arc::clone(&account.info),
            interval: account.tracking.interval,
            max_age: account.tracking.max_age,
            limits: account.tracking.policy.limits(),
            polls: recorder.polls,
            failures: recorder.failures,
            logins: recorder.logins,
            login_failures: recorder.login_failures,
            login_blocked: self.breaker.block_reason(self.now()),
            last_attempt: recorder.last_attempt.clone(),
            last_failure: recorder.last_failure.clone(),
            last_success: recorder.tracker.confirmed_at(),
            session_counters: recorder.tracker.counters(),
            unit: recorder.tracker.unit(),
            view: recorder.summary.clone(),
            stream: account.stream.as_ref().map(|_| recorder.stream),
        }
    }
}

/// Waits for the next success; for ever without a receiver.
async fn success(successes: &mut Option<watch::Receiver<()>>) {
    let changed = match successes {
        Some(successes) => successes.changed().await.ok(),
        None => None,
    };
    if changed.is_none() {
        std::future::pending().await
    }
}
