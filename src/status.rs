//! The published status of each account: the only source of metrics, pages and probes.
//!
//! A poller replaces a status as a whole and readers take it as a whole, so no reader waits for a
//! request.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Timestamps;
use crate::session::expire_unit::UnitStatus;
use crate::session::rules::SessionLimits;
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
    /// What it is configured to be.
    pub info: Arc<AccountInfo>,
    /// The polling interval as configured.
    pub interval: Duration,
    /// Past this age the view is not shown.
    pub max_age: Duration,
    /// The configured bounds of the number of open sessions.
    pub limits: SessionLimits,
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
    /// The last failed attempt, whatever came after it; `None` before the first.
    pub last_failure: Option<PastFailure>,
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

/// What an account is configured to be, for the labels of `tradernet_account_info`.
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

/// All accounts' published status; clones share it.
#[derive(Clone, Debug, Default)]
pub struct StatusStore(Arc<RwLock<Statuses>>);

type Statuses = BTreeMap<Arc<str>, Arc<AccountStatus>>;

impl StatusStore {
    /// Replaces an account's status.
    pub fn publish(&self, status: AccountStatus) {
        let status = Arc::new(status);
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Arc::clone(&status.account), status);
    }

    /// Removes an account.
    pub fn remove(&self, account: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(account);
    }

    /// Every account by ascending name.
    pub fn accounts(&self) -> Vec<Arc<AccountStatus>> {
        let statuses = self.0.read().unwrap_or_else(PoisonError::into_inner);
        statuses.values().cloned().collect()
    }

    /// One account.
    pub fn account(&self, name: &str) -> Option<Arc<AccountStatus>> {
        let statuses = self.0.read().unwrap_or_else(PoisonError::into_inner);
        statuses.get(name).cloned()
    }
}
