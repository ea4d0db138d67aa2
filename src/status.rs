//! What is published of each account: the one thing that metrics, pages and probes read.
//!
//! A poller writes whole values, readers take whole values; nobody waits for anybody's network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Timestamps;
use crate::session::expire_unit::UnitStatus;
use crate::session::summary::Summary;
use crate::session::tracker::SessionCounters;
pub use crate::tradernet::Transport;
use crate::tradernet::{Error, Reason};

/// One account as of its last change.
#[derive(Clone, Debug)]
pub struct AccountStatus {
    /// Value of the label `account`.
    pub account: Arc<str>,
    /// How its list is read.
    pub transport: Transport,
    /// The polling interval as configured.
    pub interval: Duration,
    /// Past this age the view is not shown.
    pub max_age: Duration,
    /// Attempts so far.
    pub polls: u64,
    /// Failed attempts so far.
    pub failures: FailureCounts,
    /// Logins tried.
    pub logins: u64,
    /// Logins refused.
    pub login_failures: u64,
    /// While set, the circuit breaker forbids logins.
    pub login_blocked: Option<LoginBlock>,
    /// The last attempt; `None` before the first.
    pub last_attempt: Option<Attempt>,
    /// When the last good answer was last known to hold: its arrival, or that of a pong after it
    /// on the stream that pushed it.
    pub last_success: Option<Timestamps>,
    /// Opened and closed sessions; `None` before the first answer.
    pub movements: Option<SessionCounters>,
    /// The unit of `expire` in force, and whether it is settled.
    pub unit: UnitStatus,
    /// The last good answer, however old: ask [`Self::fresh_view`].
    pub view: Option<Arc<Summary>>,
    /// With a transport that streams, how the connection is.
    pub stream: Option<StreamStatus>,
}

/// A streaming account's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStatus {
    /// Whether it stands, and the list has arrived over it.
    pub connected: bool,
    /// How often one was made again after the first.
    pub reconnects: u64,
}

/// Why no login is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginBlock {
    /// The credential was refused: until it changes or an operator asks.
    Refused,
    /// Three logins within 15 minutes: until the first of them is that old.
    TooMany,
}

/// One attempt to read the list.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamps,
    /// How long it took, without the wait for a slot.
    pub duration: Duration,
    /// How long it waited for a slot to the host.
    pub queued: Duration,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// A failed attempt in words that are fit for any page: no secrets, no markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The label value's source.
    pub reason: Reason,
    /// What is the matter, see [`Error::matter`].
    pub matter: &'static str,
    /// What happened, lower case, no full stop.
    pub message: String,
    /// What to do about it, lower case, no full stop.
    pub advice: &'static str,
}

/// The failed attempt that came last, whatever came after it.
#[derive(Clone, Debug)]
pub struct PastFailure {
    /// When it ended.
    pub at: Timestamps,
    /// Why it failed.
    pub failure: Failure,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            reason: error.reason(),
            matter: error.matter(),
            message: error.to_string(),
            advice: error.advice(),
        }
    }
}

/// Failed attempts by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureCounts([u64; Reason::ALL.len()]);

impl FailureCounts {
    /// Counts one.
    pub fn add(&mut self, reason: Reason) {
        for (count, of) in self.0.iter_mut().zip(Reason::ALL) {
            *count += u64::from(of == reason);
        }
    }

    /// Every reason with its count, also those that are 0.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().zip(self.0)
    }
}

impl AccountStatus {
    /// The last good answer, unless it is too long ago that it was known to hold. A stream that has
    /// been silent but answers pings is not stale.
    pub fn fresh_view(&self, now: Timestamps) -> Option<&Summary> {
        let held = self.last_success?;
        self.view
            .as_deref()
            .filter(|_| now.age_of(held) <= self.max_age)
    }

    /// Whether the last attempt succeeded, and what it opened still stands; `None` before the first.
    pub fn up(&self) -> Option<bool> {
        let stands = self.stream.is_none_or(|stream| stream.connected);
        self.last_attempt
            .as_ref()
            .map(|attempt| attempt.failure.is_none() && stands)
    }
}

/// All accounts' published state.
#[derive(Clone, Debug)]
pub struct StatusStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    accounts: RwLock<BTreeMap<Arc<str>, Arc<AccountStatus>>>,
    /// Every account's last failure, which the next good attempt would otherwise hide.
    failures: Mutex<BTreeMap<Arc<str>, PastFailure>>,
    /// Counts the changes: whoever renders can tell that nothing moved, or wait until it does.
    generation: watch::Sender<u64>,
}

impl Default for StatusStore {
    fn default() -> Self {
        Self(Arc::new(Inner {
            accounts: RwLock::default(),
            failures: Mutex::default(),
            generation: watch::Sender::new(0),
        }))
    }
}

impl StatusStore {
    /// Puts an account's state in the place of its last one.
    pub fn publish(&self, status: AccountStatus) {
        self.note(&status);
        let status = Arc::new(status);
        self.0
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Arc::clone(&status.account), status);
        self.0.generation.send_modify(|generation| *generation += 1);
    }

    /// Forgets an account.
    pub fn remove(&self, account: &str) {
        self.0
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(account);
        self.failures().remove(account);
        self.0.generation.send_modify(|generation| *generation += 1);
    }

    /// Every account by ascending name.
    pub fn accounts(&self) -> Vec<Arc<AccountStatus>> {
        self.0
            .accounts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// One account.
    pub fn account(&self, name: &str) -> Option<Arc<AccountStatus>> {
        self.0
            .accounts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// An account's failed attempt that came last; `None` before the first.
    pub fn last_failure(&self, account: &str) -> Option<PastFailure> {
        self.failures().get(account).cloned()
    }

    fn note(&self, status: &AccountStatus) {
        let Some(attempt) = &status.last_attempt else {
            return;
        };
        if let Some(failure) = attempt.failure.clone() {
            let at = attempt.at;
            let past = PastFailure { at, failure };
            self.failures().insert(Arc::clone(&status.account), past);
        }
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, PastFailure>> {
        self.0
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of changes so far.
    pub fn generation(&self) -> u64 {
        *self.0.generation.borrow()
    }

    /// Tells of every change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.generation.subscribe()
    }
}
