//! The log's lines about the state of polls, in one line where many accounts change at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use crate::status::AccountStatus;
use crate::tradernet::Error;

/// More accounts that change in the same way within an interval share a line.
const MAX_ACCOUNTS: usize = 20;

/// Logs changes of accounts; clones share it. With a few accounts each change is logged at once.
/// With more, changes are collected for an interval, since others may follow.
#[derive(Clone, Debug, Default)]
pub struct ChangeLog {
    accounts: Arc<AtomicUsize>,
    collected: Arc<Mutex<Collected>>,
}

/// The latest changes, by account.
#[derive(Debug, Default)]
struct Collected {
    failures: BTreeMap<Arc<str>, (Error, bool)>,
    answers: BTreeMap<Arc<str>, (u64, Option<Duration>)>,
}

impl ChangeLog {
    /// The number of accounts that may change.
    pub(super) fn set_accounts(&self, accounts: usize) {
        self.accounts.store(accounts, Ordering::Relaxed);
    }

    /// An account fails for another reason, or its last list has become `stale`: older than its
    /// `max_age`.
    pub(super) fn failed(&self, account: &AccountStatus, error: &Error, stale: bool) {
        match self.collect(account.tracking.interval) {
            None => log_failure(&account.account, error, stale),
            Some(mut collected) => {
                let name = Arc::clone(&account.account);
                collected.failures.insert(name, (error.clone(), stale));
            }
        }
    }

    /// An account has answered for the first time, or again after an outage.
    pub(super) fn answered(&self, account: &AccountStatus, open: u64, outage: Option<Duration>) {
        match self.collect(account.tracking.interval) {
            None => log_answer(&account.account, open, outage),
            Some(mut collected) => {
                let name = Arc::clone(&account.account);
                collected.answers.insert(name, (open, outage));
            }
        }
    }

    /// Where changes are collected, unless there are few accounts.
    fn collect(&self, interval: Duration) -> Option<MutexGuard<'_, Collected>> {
        if self.accounts.load(Ordering::Relaxed) <= MAX_ACCOUNTS {
            return None;
        }
        let collected = self.collected();
        if collected.failures.is_empty() && collected.answers.is_empty() {
            let log = self.clone();
            tokio::spawn(async move {
                // First attempts are spread over an interval; the last answer comes after it.
                sleep(interval + interval / 10).await;
                log.flush();
            });
        }
        Some(collected)
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        (self.collected.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs what was collected.
    pub fn flush(&self) {
        let Collected { failures, answers } = std::mem::take(&mut *self.collected());
        let accounts = failures.len();
        if accounts > MAX_ACCOUNTS {
            let mut reasons = BTreeMap::<_, usize>::new();
            for (error, _) in failures.values() {
                *reasons.entry(error.reason().name()).or_default() += 1;
            }
            let reasons = reasons.iter().map(|(reason, n)| format!("{reason}:{n}"));
            let reasons = reasons.collect::<Vec<_>>().join(" ");
            let stale = failures.values().filter(|(_, stale)| *stale).count();
            warn!(accounts, reasons, stale, "polls failed");
        } else {
            (failures.iter()).for_each(|(name, (error, stale))| log_failure(name, error, *stale));
        }
        let accounts = answers.len();
        if accounts > MAX_ACCOUNTS {
            let outages = answers.values().filter_map(|(_, outage)| *outage);
            let recovered = outages.clone().count();
            let outage_s = outages.max().map(|longest| longest.as_secs());
            info!(accounts, recovered, outage_s, "accounts answer");
        } else {
            (answers.iter()).for_each(|(name, (open, outage))| log_answer(name, *open, *outage));
        }
    }
}

fn log_failure(account: &str, error: &Error, stale: bool) {
    let (reason, advice) = (error.reason().name(), error.advice());
    warn!(account, reason, %error, advice, stale, "poll failed");
}

fn log_answer(account: &str, open: u64, outage: Option<Duration>) {
    match outage.map(|outage| outage.as_secs()) {
        None => info!(account, open, "first answer"),
        Some(outage_s) => info!(account, open, outage_s, "answering again"),
    }
}

#[cfg(test)]
mod tests;
