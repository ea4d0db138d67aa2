//! One account's poller: the only retry loop.
//!
//! [`Poller::run`] is the policy (when), `attempt` one attempt (what); a stream that an attempt has
//! opened is held in between (`stream`, and `vigil` for its rhythm). It publishes
//! whole states and knows nothing of who reads them.

mod attempt;
pub mod backoff;
mod credential;
pub mod host_limiter;
mod keepalive;
mod logging;
pub mod login_breaker;
pub mod login_pacer;
mod reload;
pub mod set;
mod stream;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, error, info};

use self::attempt::{SlotRequest, to_try};
use self::credential::Credential;
use self::host_limiter::HostLimiter;
use self::login_breaker::{LoginBreaker, LoginLog};
use self::login_pacer::LoginPacer;
use crate::clock::Clock;
use crate::clock::Timestamps;
use crate::config::AccountConfig;
use crate::session::summary::{SessionDetails, Summary};
use crate::session::tracker::SessionTracker;
use crate::session::{ClientAddress, SessionList};
use crate::status::{AccountStatus, Attempt, Failure, FailureCounts, StatusStore, StreamStatus};
use crate::tradernet::{Client, Error, Reason, Stream};

/// While an account fails, its secret files are looked at this often: whoever mends a credential
/// should not have to wait for the back-off.
const SECRET_CHECK: Duration = Duration::from_secs(5);

/// Of a longer login or address the rest is not shown: a label has no more.
const LONGEST_SHOWN: usize = 128;
/// Stands for a login or an address that holds a secret.
const HIDDEN: &str = "[redacted]";

/// What a poller shares with the others.
#[derive(Clone, Debug)]
pub struct PollerContext {
    /// Connections.
    pub http: Client,
    /// How many requests may be under way to a host.
    pub host_limiter: HostLimiter,
    /// The pace of logins to hosts.
    pub login_pacer: LoginPacer,
    /// Where states are published.
    pub board: StatusStore,
    /// The clocks.
    pub clock: Clock,
}

/// What a poller can be asked for; nobody waits for the answer, since an attempt may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollerCommand {
    /// Read the secret files again, and try at once if one has changed.
    ReadSecrets,
    /// An operator asks: forget a refused login and try now.
    TryNow,
}

/// Polls one account until it is dropped.
pub struct Poller {
    account: AccountConfig,
    /// The account as it is to be from the next moment of leisure on; the latest wins.
    configured: watch::Receiver<AccountConfig>,
    shared: PollerContext,
    commands: mpsc::Receiver<PollerCommand>,
    credential: Credential,
    breaker: LoginBreaker,
    ledger: SessionTracker,
    status: AccountStatus,
    failures_in_a_row: u32,
    /// The end of a pause that the server asked for.
    not_before: Option<Instant>,
    told_stale: bool,
    /// Whether a login was refused that has not been told of.
    login_refused: bool,
    /// Whether a stream has stood before, so that the next is a reconnect.
    streamed: bool,
}

/// What an attempt found: the list, and with a transport that streams what pushes the next.
struct Found {
    list: SessionList,
    stream: Option<Stream>,
    /// The request's signature.
    signature: Option<SecretString>,
}

/// What is known now that was not known before.
enum Outcome {
    /// The list.
    List(SessionList),
    /// No list, but the last one still holds.
    StillTrue,
}

/// How long an attempt took.
struct Took {
    duration: Duration,
    /// The wait for a slot before it.
    queued: Duration,
}

/// Why the wait for the next attempt ended.
enum Wake {
    Due,
    Asked,
    Configured,
    SecretCheck,
    Gone,
}

impl Poller {
    /// Prepares an account and publishes its state before any attempt. What is configured later
    /// is taken up as long as the account stays the same one, see [`AccountConfig::is_same_as`].
    pub fn new(
        mut configured: watch::Receiver<AccountConfig>,
        shared: PollerContext,
        commands: mpsc::Receiver<PollerCommand>,
        logins: LoginLog,
    ) -> Self {
        let account = configured.borrow_and_update().clone();
        let credential = Credential::new(&account.credential);
        let ledger = SessionTracker::new(account.reading.clone());
        let breaker = LoginBreaker::new(logins, to_try(&account, &credential));
        let status = AccountStatus {
            account: Arc::clone(&account.name),
            transport: account.transport,
            interval: account.reading.interval,
            max_age: account.reading.max_age,
            polls: 0,
            failures: FailureCounts::default(),
            logins: 0,
            login_failures: 0,
            login_blocked: breaker.block_reason(shared.clock.now()),
            last_attempt: None,
            last_success: None,
            movements: None,
            unit: ledger.unit(),
            view: None,
            stream: account.stream.as_ref().map(|_| StreamStatus::default()),
        };
        shared.board.publish(status.clone());
        Self {
            account,
            configured,
            shared,
            commands,
            credential,
            breaker,
            ledger,
            status,
            failures_in_a_row: 0,
            not_before: None,
            told_stale: false,
            login_refused: false,
            streamed: false,
        }
    }

    /// Attempts for ever: at the interval while all is well, with back-off while it is not.
    /// Ends when nobody can send commands any more. An attempt never overlaps the next.
    ///
    /// A panic in it starts it again with all that it knew: without SID and breaker a panic that
    /// repeats would be a login storm.
    pub async fn run(mut self, first: Duration) {
        let mut next = Instant::now() + first;
        while AssertUnwindSafe(self.watch(&mut next))
            .catch_unwind()
            .await
            .is_err()
        {
            next = self.start_again();
        }
    }

    async fn watch(&mut self, next: &mut Instant) {
        loop {
            match self.wait(*next).await {
                Wake::Gone => return,
                Wake::Configured => {
                    *next = self.take_up(*next);
                    continue;
                }
                Wake::SecretCheck if !self.read_secrets() => continue,
                Wake::Due => {
                    self.read_secrets();
                }
                Wake::SecretCheck | Wake::Asked => {}
            }
            let (due, stream) = self.poll().await;
            *next = due;
            if let Some(stream) = stream {
                match self.hold(stream).await {
                    Some(due) => *next = due,
                    None => return,
                }
            }
        }
    }

    /// Counts a panic as a failed attempt; returns when the next is due.
    fn start_again(&mut self) -> Instant {
        error!(
            account = &*self.account.name,
            "the watch of this account ended unexpectedly and is started again"
        );
        // What panicked once may do so here again; the account is watched all the same.
        let counted = std::panic::catch_unwind(AssertUnwindSafe(|| {
            self.disconnected();
            self.status.polls += 1;
            let took = Took {
                duration: Duration::ZERO,
                queued: Duration::ZERO,
            };
            self.conclude(Err(panicked()), Some(took));
        }));
        if counted.is_err() {
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        }
        let interval = self.account.reading.interval;
        let random = fastrand::f64();
        Instant::now() + backoff::pause(interval, self.failures_in_a_row, None, random)
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
                changed = self.configured.changed() => return match changed {
                    Ok(()) => Wake::Configured,
                    Err(_) => Wake::Gone,
                },
                command = self.commands.recv() => match command {
                    None => return Wake::Gone,
                    Some(command) => if self.obey(command) { return Wake::Asked },
                },
            }
        }
    }

    /// Whether an attempt is to be made now.
    fn obey(&mut self, command: PollerCommand) -> bool {
        let changed = self.read_secrets();
        if command == PollerCommand::TryNow {
            self.breaker.reset();
            let account = &*self.account.name;
            match self.breaker.check(self.shared.clock.now()) {
                Ok(()) => info!(account, "another attempt was asked for"),
                // Whoever asks should not have to guess why nothing comes of it.
                Err(error) => {
                    let advice = Error::Auth(error.clone()).advice();
                    info!(account, %error, advice, "another attempt was asked for, without a login");
                }
            }
        }
        changed || command == PollerCommand::TryNow
    }

    /// Whether a secret file has changed. One that cannot be read is kept as it was: it may be
    /// missing for just the moment in which it is replaced.
    fn read_secrets(&mut self) -> bool {
        let account = &*self.account.name;
        match self.credential.read_again(&self.account.credential) {
            Ok(false) => false,
            Ok(true) => {
                info!(account, "the credential has changed");
                self.breaker.reset();
                true
            }
            Err(error) => {
                debug!(account, %error, "the credential is kept as it was");
                false
            }
        }
    }

    /// One attempt with everything around it; returns when the next is due, and what it opened.
    async fn poll(&mut self) -> (Instant, Option<Stream>) {
        let asked = Instant::now();
        let timed_out = self
            .status
            .last_attempt
            .as_ref()
            .and_then(|attempt| attempt.failure.as_ref())
            .is_some_and(|failure| failure.reason == Reason::Timeout);
        let mut queue = SlotRequest {
            last_timed_out: timed_out,
            queue_wait: Duration::ZERO,
        };
        // What is left behind by a panic is plain data: counters, breaker and SID stay as they are.
        let result = AssertUnwindSafe(self.attempt(&mut queue))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(panicked()));
        let queued = queue.queue_wait;
        let interval = self.account.reading.interval;
        let retry_after = result.as_ref().err().and_then(Error::retry_after);
        self.not_before = retry_after.map(|pause| Instant::now() + backoff::honoured(pause));
        let failed = result.is_err();
        let (outcome, stream) = match result {
            Ok(Found { list, stream, .. }) => (Ok(Outcome::List(list)), stream),
            Err(error) => (Err(error), None),
        };
        if let Some(status) = self.status.stream.as_mut().filter(|_| stream.is_some()) {
            status.connected = true;
            status.reconnects += u64::from(self.streamed);
            self.streamed = true;
        }
        self.status.polls += 1;
        let took = Took {
            duration: asked.elapsed().saturating_sub(queued),
            queued,
        };
        self.conclude(outcome, Some(took));
        let due = if failed {
            let random = fastrand::f64();
            Instant::now() + backoff::pause(interval, self.failures_in_a_row, retry_after, random)
        } else {
            Instant::now().max(asked + queued + interval)
        };
        (due, stream)
    }

    /// Counts, tells and publishes what an attempt came to; without `took` it was none, but
    /// something that a stream told unasked.
    fn conclude(&mut self, result: Result<Outcome, Error>, took: Option<Took>) {
        let now = self.shared.clock.now();
        let before = self.status.last_attempt.take();
        let duration = took.as_ref().map(|took| took.duration);
        let failure = match result {
            Ok(outcome) => {
                if let Outcome::List(list) = outcome {
                    let (view, _) = self.ledger.record(list, now);
                    let view = self.without_secrets(view);
                    self.tell_success(before.as_ref(), view.open, duration);
                    self.status.view = Some(Arc::new(view));
                }
                self.confirm(now);
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
        let last = before.as_ref();
        self.status.last_attempt = Some(Attempt {
            at: now,
            duration: duration
                .or(last.map(|last| last.duration))
                .unwrap_or_default(),
            queued: took
                .map(|took| took.queued)
                .or(last.map(|last| last.queued))
                .unwrap_or_default(),
            failure,
        });
        self.status.login_blocked = self.breaker.block_reason(now);
        self.status.movements = self.ledger.counters();
        self.status.unit = self.ledger.unit();
        self.publish();
    }

    /// The view as it may be shown: a server that puts an SID where a login belongs would have it
    /// stand on every page.
    fn without_secrets(&self, mut view: Summary) -> Summary {
        if view.detail_level != SessionDetails::Full {
            return view;
        }
        let redactor = self.redactor();
        let showable = |text: &str| match redactor.contains_secret(text) {
            true => Some(HIDDEN.into()),
            // Cut after the look: what is left of a secret that starts near the end is not seen.
            false => text
                .char_indices()
                .nth(LONGEST_SHOWN)
                .and_then(|(end, _)| Some(text.get(..end)?.into())),
        };
        for detail in &mut view.details {
            if let Some(login) = &mut detail.user_login
                && let Some(shown) = showable(login)
            {
                *login = shown;
            }
            if let Some(ClientAddress::Unparsed(text)) = &mut detail.client
                && let Some(shown) = showable(text)
            {
                *text = shown;
            }
        }
        view
    }

    /// Notes that the last list holds as of now.
    fn confirm(&mut self, now: Timestamps) {
        self.ledger.confirm(now);
        self.status.last_success = Some(now);
        self.failures_in_a_row = 0;
        self.told_stale = false;
    }

    fn publish(&self) {
        self.shared.board.publish(self.status.clone());
    }
}

/// What a panic over an answer is counted as; its line in the log is the panic hook's.
fn panicked() -> Error {
    Error::Internal
}
