//! One account's poller: the only retry loop.
//!
//! [`Poller::run`] is the policy (when), `Poller::attempt` one attempt (what). It publishes
//! whole states and knows nothing of who reads them.

mod credential;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::credential::Credential;
pub use self::credential::CredentialSource;
use crate::backoff;
use crate::breaker::Breaker;
use crate::clock::Clock;
use crate::ledger::{Ledger, Reading};
use crate::session::SessionList;
use crate::slots::Slots;
use crate::status::{AccountStatus, Attempt, Board, Failure, FailureCounts, Transport};
use crate::tradernet::{AuthError, Error, Http, Reason, Scrubber, Target};

/// While an account fails, its secret files are looked at this often: whoever mends a credential
/// should not have to wait for the back-off.
const SECRET_CHECK: Duration = Duration::from_secs(5);

/// An account as configured; valid by construction.
#[derive(Clone, Debug)]
pub struct Account {
    /// Value of the label `account`, unique.
    pub name: Arc<str>,
    /// Where it lives.
    pub target: Target,
    /// As whom it is read.
    pub credential: CredentialSource,
    /// How it is read.
    pub transport: Transport,
    /// How answers are read and judged; also carries the polling interval.
    pub reading: Reading,
}

/// What a poller shares with the others.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Connections.
    pub http: Http,
    /// Slots to hosts.
    pub slots: Slots,
    /// Where states are published.
    pub board: Board,
    /// The clocks.
    pub clock: Clock,
}

/// What a poller can be asked for; nobody waits for the answer, since an attempt may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Read the secret files again, and try at once if one has changed.
    ReadSecrets,
    /// An operator asks: forget a refused login and try now.
    TryNow,
}

/// Polls one account until it is dropped.
pub struct Poller {
    account: Account,
    shared: Shared,
    commands: mpsc::Receiver<Command>,
    credential: Credential,
    breaker: Breaker,
    ledger: Ledger,
    status: AccountStatus,
    failures_in_a_row: u32,
    told_stale: bool,
}

/// Why the wait for the next attempt ended.
enum Wake {
    Due,
    Asked,
    SecretCheck,
    Gone,
}

impl Poller {
    /// Prepares an account and publishes its state before any attempt.
    pub fn new(account: Account, shared: Shared, commands: mpsc::Receiver<Command>) -> Self {
        let credential = Credential::new(&account.credential);
        let ledger = Ledger::new(account.reading.clone());
        let status = AccountStatus {
            account: Arc::clone(&account.name),
            transport: account.transport,
            interval: account.reading.interval,
            max_age: account.reading.max_age,
            polls: 0,
            failures: FailureCounts::default(),
            logins: 0,
            login_failures: 0,
            login_blocked: None,
            last_attempt: None,
            last_success: None,
            movements: None,
            unit: ledger.unit(),
            view: None,
        };
        shared.board.publish(status.clone());
        Self {
            account,
            shared,
            commands,
            credential,
            breaker: Breaker::default(),
            ledger,
            status,
            failures_in_a_row: 0,
            told_stale: false,
        }
    }

    /// Attempts for ever: at the interval while all is well, with back-off while it is not.
    /// Ends when nobody can send commands any more. An attempt never overlaps the next.
    pub async fn run(mut self, first: Duration) {
        let mut next = Instant::now() + first;
        loop {
            match self.wait(next).await {
                Wake::Gone => return,
                Wake::SecretCheck if !self.read_secrets() => continue,
                Wake::Due => {
                    self.read_secrets();
                }
                Wake::SecretCheck | Wake::Asked => {}
            }
            next = self.poll().await;
        }
    }

    /// Attempts once.
    pub async fn once(mut self) -> AccountStatus {
        self.poll().await;
        self.status
    }

    async fn wait(&mut self, next: Instant) -> Wake {
        let failing = self.failures_in_a_row > 0;
        let check = Instant::now() + SECRET_CHECK;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => return Wake::Due,
                () = tokio::time::sleep_until(check), if failing => return Wake::SecretCheck,
                command = self.commands.recv() => match command {
                    None => return Wake::Gone,
                    Some(command) => if self.obey(command) { return Wake::Asked },
                },
            }
        }
    }

    /// Whether an attempt is to be made now.
    fn obey(&mut self, command: Command) -> bool {
        let changed = self.read_secrets();
        if command == Command::TryNow {
            info!(
                account = &*self.account.name,
                "another attempt was asked for"
            );
            self.breaker.allow();
        }
        changed || command == Command::TryNow
    }

    /// Whether a secret file has changed. One that cannot be read is kept as it was: it may be
    /// missing for just the moment in which it is replaced.
    fn read_secrets(&mut self) -> bool {
        let account = &*self.account.name;
        match self.credential.read_again(&self.account.credential) {
            Ok(false) => false,
            Ok(true) => {
                info!(account, "the credential has changed");
                self.breaker.allow();
                true
            }
            Err(error) => {
                debug!(account, %error, "the credential is kept as it was");
                false
            }
        }
    }

    /// One attempt with everything around it; returns when the next is due.
    async fn poll(&mut self) -> Instant {
        let asked = Instant::now();
        let timed_out = self
            .status
            .last_attempt
            .as_ref()
            .and_then(|attempt| attempt.failure.as_ref())
            .is_some_and(|failure| failure.reason == Reason::Timeout);
        let slot = self
            .shared
            .slots
            .take(&self.account.target.origin, timed_out)
            .await;
        let started = Instant::now();
        // What is left behind by a panic is plain data: counters, breaker and SID stay as they are.
        let result = AssertUnwindSafe(self.attempt())
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                let detail =
                    "this program panicked over it, please report the panic's line in the log";
                Err(Error::Decode {
                    detail: detail.to_owned(),
                })
            });
        drop(slot);
        let interval = self.account.reading.interval;
        let retry_after = result.as_ref().err().and_then(Error::retry_after);
        let failed = result.is_err();
        self.conclude(result, started.elapsed(), started.duration_since(asked));
        if failed {
            let random = fastrand::f64();
            Instant::now() + backoff::pause(interval, self.failures_in_a_row, retry_after, random)
        } else {
            Instant::now().max(started + interval)
        }
    }

    /// Asks once. An SID that is refused means one new login and one retry.
    async fn attempt(&mut self) -> Result<SessionList, Error> {
        let scrubber = &mut Scrubber::default();
        let target = &self.account.target;
        let now = self.shared.clock.now();
        if let Some(identity) = self.credential.identity() {
            let result = self
                .shared
                .http
                .sessions(target, identity, now, scrubber)
                .await;
            let refused = matches!(result, Err(Error::Auth(_)));
            if !refused || !self.credential.forget_sid() {
                return result;
            }
            debug!(
                account = &*self.account.name,
                "the SID was refused, logging in again"
            );
        }
        self.log_in(scrubber).await?;
        let now = self.shared.clock.now();
        let Some(identity) = self.credential.identity() else {
            return Err(Error::Auth(AuthError::LoginWithoutSession));
        };
        let target = &self.account.target;
        let result = self
            .shared
            .http
            .sessions(target, identity, now, scrubber)
            .await;
        if matches!(result, Err(Error::Auth(_))) {
            self.credential.forget_sid();
        }
        result
    }

    async fn log_in(&mut self, scrubber: &mut Scrubber) -> Result<(), Error> {
        let Some((login, password)) = self.credential.login() else {
            return Ok(());
        };
        let now = self.shared.clock.now();
        self.breaker.permit(now).map_err(Error::Auth)?;
        self.breaker.note(now);
        self.status.logins += 1;
        let target = &self.account.target;
        match self
            .shared
            .http
            .log_in(target, login, password, scrubber)
            .await
        {
            Ok(sid) => {
                info!(account = &*self.account.name, "logged in");
                self.credential.keep_sid(sid);
                Ok(())
            }
            Err(error) => {
                if let Error::Auth(refusal) = &error {
                    self.status.login_failures += 1;
                    self.breaker.refuse(refusal.clone());
                }
                Err(error)
            }
        }
    }

    /// Counts, tells and publishes what an attempt came to.
    fn conclude(
        &mut self,
        result: Result<SessionList, Error>,
        duration: Duration,
        queued: Duration,
    ) {
        let now = self.shared.clock.now();
        self.status.polls += 1;
        let before = self.status.last_attempt.take();
        let failure = match result {
            Ok(list) => {
                let view = self.ledger.accept(list, now);
                self.tell_success(before.as_ref(), view.open, duration);
                self.status.view = Some(Arc::new(view));
                self.status.last_success = Some(now);
                self.failures_in_a_row = 0;
                self.told_stale = false;
                None
            }
            Err(error) => {
                let failure = Failure::from(&error);
                self.status.failures.add(failure.reason);
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                self.tell_failure(before.as_ref(), &failure, duration);
                Some(failure)
            }
        };
        self.status.last_attempt = Some(Attempt {
            at: now,
            duration,
            queued,
            failure,
        });
        self.status.login_blocked = self.breaker.block(now);
        self.status.movements = self.ledger.movements();
        self.status.unit = self.ledger.unit();
        self.shared.board.publish(self.status.clone());
    }

    fn tell_success(&self, before: Option<&Attempt>, open: u64, duration: Duration) {
        let account = &*self.account.name;
        let took_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        match before {
            None => info!(account, open, took_ms, "first answer"),
            Some(Attempt {
                failure: Some(_), ..
            }) => {
                info!(
                    account,
                    open,
                    took_ms,
                    failures = self.failures_in_a_row,
                    "answering again"
                );
            }
            Some(_) => debug!(account, open, took_ms, "polled"),
        }
        let (unit, confirmed) = self.ledger.unit();
        if (unit, confirmed) != self.status.unit {
            info!(
                account,
                unit = unit.name(),
                confirmed,
                "the unit of expire is settled"
            );
        }
    }

    fn tell_failure(&mut self, before: Option<&Attempt>, failure: &Failure, duration: Duration) {
        let account = &*self.account.name;
        let reason = failure.reason.name();
        let took_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let last = before.and_then(|attempt| attempt.failure.as_ref());
        let (error, advice) = (failure.message.as_str(), failure.advice);
        if last.is_none_or(|last| last.reason != failure.reason) {
            warn!(account, reason, error, advice, took_ms, "poll failed");
        } else {
            let failures = self.failures_in_a_row;
            debug!(
                account,
                reason, error, took_ms, failures, "poll failed again"
            );
        }
        let stale =
            self.status.view.is_some() && self.status.fresh_view(self.shared.clock.now()).is_none();
        if stale && !self.told_stale {
            self.told_stale = true;
            let max_age_s = self.account.reading.max_age.as_secs();
            warn!(
                account,
                reason, max_age_s, "the last answer is too old, its gauges are dropped"
            );
        }
    }
}
