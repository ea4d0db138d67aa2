//! The published status of each account: the only source of metrics, pages and probes.
//!
//! A poller replaces a status as a whole and readers take it as a whole, so no reader waits for a
//! request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::clock::Timestamps;
use crate::session::expire_unit::UnitStatus;
use crate::session::summary::Summary;
use crate::session::tracker::{SessionCounters, TrackingConfig};
pub use crate::tradernet::Transport;
use crate::tradernet::{Error, Reason};

/// One account's status as of its last change.
#[derive(Clone, Debug, Default)]
pub struct AccountStatus {
    /// Value of the label `account`.
    pub account: Arc<str>,
    /// How the list is read.
    pub transport: Transport,
    /// Its credential's kind and its labels, as configured.
    pub info: Arc<AccountInfo>,
    /// Its interval, the age past which the summary is not shown, and its rules, as configured.
    pub tracking: Arc<TrackingConfig>,
    /// Attempts so far.
    pub polls: u64,
    /// Failed attempts so far.
    pub failures: FailureCounts,
    /// Login attempts.
    pub logins: u64,
    /// Rejected logins.
    pub login_failures: u64,
    /// Set while the circuit breaker forbids logins.
    pub login_blocked: Option<LoginBlock>,
    /// The last attempt; `None` before the first.
    pub last_attempt: Option<Attempt>,
    /// The last failed attempt, whatever came after it; `None` before the first.
    pub last_failure: Option<Box<PastFailure>>,
    /// When the last list was last known to be good: its arrival, or that of a pong after it on the
    /// stream that sent it.
    pub last_success: Option<Timestamps>,
    /// This machine's clock less the `Date` of the last answer, where that has one.
    pub clock_offset_seconds: Option<f64>,
    /// Whether the last answer, compared with its `Date`, looks like seconds; see
    /// [`looks_like_seconds`](crate::session::expire_unit::looks_like_seconds).
    pub looks_like_seconds: bool,
    /// Opened and closed sessions; `None` before the first answer.
    pub session_counters: Option<SessionCounters>,
    /// The unit of `expire` in force, and whether it is settled.
    pub unit: UnitStatus,
    /// The last list's summary, whatever its age; see [`Self::fresh_view`].
    pub view: Option<Arc<Summary>>,
    /// The connection of a streaming transport.
    pub stream: Option<StreamStatus>,
}

/// An account's configuration, for the labels of `tradernet_account_info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountInfo {
    /// The kind of its credential: `sid`, `login` or `key_pair`.
    pub credential: &'static str,
    /// The configured labels: valid Prometheus names, none of them reserved.
    pub labels: BTreeMap<String, String>,
}

/// A streaming account's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStatus {
    /// Whether it is connected and has delivered a list.
    pub connected: bool,
    /// Connections so far.
    pub connections: u64,
}

impl StreamStatus {
    /// Connections after the first.
    pub fn reconnects(self) -> u64 {
        self.connections.saturating_sub(1)
    }
}

/// Why no login is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginBlock {
    /// The credential was rejected: until it changes or an operator requests a retry.
    Rejected,
    /// The limits of the login breaker: until enough time has passed.
    RateLimited,
}

/// One attempt to read the list.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamps,
    /// How long it took, without the wait for a slot.
    pub duration: Duration,
    /// How long it waited for a slot to the host.
    pub queue_wait: Duration,
    /// Why it failed, if it did.
    pub failure: Option<Error>,
}

/// A failed attempt.
#[derive(Clone, Debug)]
pub struct PastFailure {
    /// When it ended.
    pub at: Timestamps,
    /// Why it failed.
    pub error: Error,
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
    /// The last list's summary, unless it was last known to be good longer than `max_age` ago. A
    /// silent stream that answers pings is not stale.
    pub fn fresh_view(&self, now: Timestamps) -> Option<&Summary> {
        let held = self.last_success?;
        self.view
            .as_deref()
            .filter(|_| now.age_of(held) <= self.tracking.max_age)
    }

    /// Whether the last attempt succeeded and its stream is still connected; `None` before the first.
    pub fn up(&self) -> Option<bool> {
        let is_connected = self.stream.is_none_or(|stream| stream.connected);
        self.last_attempt
            .as_ref()
            .map(|attempt| attempt.failure.is_none() && is_connected)
    }
}

/// All accounts' published status; clones share it.
///
/// Each account has a lock of its own: reading ten thousand accounts from cold memory takes tens of
/// milliseconds, and polls that publish must not wait for it.
#[derive(Clone, Debug, Default)]
pub struct StatusStore(Arc<RwLock<Statuses>>);

type Statuses = BTreeMap<Arc<str>, Mutex<Arc<AccountStatus>>>;

impl StatusStore {
    /// Replaces an account's status.
    pub fn publish(&self, status: AccountStatus) {
        let status = Arc::new(status);
        let statuses = self.read();
        if let Some(published) = statuses.get(&status.account) {
            let replaced = std::mem::replace(&mut *lock(published), status);
            drop(statuses);
            // Freed without the locks.
            drop(replaced);
            return;
        }
        drop(statuses);
        self.write()
            .insert(Arc::clone(&status.account), Mutex::new(status));
    }

    /// Removes the accounts that are not to be kept.
    pub fn retain(&self, is_kept: impl Fn(&str) -> bool) {
        self.write().retain(|name, _| is_kept(name));
    }

    /// Every account by ascending name.
    pub fn accounts(&self) -> Vec<Arc<AccountStatus>> {
        let statuses = self.read();
        let accounts = statuses.values().map(|status| Arc::clone(&lock(status)));
        accounts.collect()
    }

    /// One account.
    pub fn account(&self, name: &str) -> Option<Arc<AccountStatus>> {
        let statuses = self.read();
        statuses.get(name).map(|status| Arc::clone(&lock(status)))
    }

    fn read(&self) -> RwLockReadGuard<'_, Statuses> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Statuses> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(status: &Mutex<Arc<AccountStatus>>) -> MutexGuard<'_, Arc<AccountStatus>> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
