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
pub(super) const MAX_ACCOUNTS: usize = 20;

/// Logs changes of accounts; clones share it. With a few accounts each change is logged at once.
/// With more, failures and answers are collected for an interval each, since others may follow.
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
    /// Accounts that fail, and whether a line of many accounts has reported it.
    failing: BTreeMap<Arc<str>, bool>,
}

impl ChangeLog {
    /// The number of accounts that may change.
    pub(super) fn set_accounts(&self, accounts: usize) {
        self.accounts.store(accounts, Ordering::Relaxed);
    }

    /// An account fails for another reason, or its last list has become `stale`: older than its
    /// `max_age`. Of an account in an outage that has its line only what is not of its host.
    pub(super) fn failed(&self, account: &AccountStatus, error: &Error, stale: bool) {
        let name = &account.account;
        if !self.collects() {
            return log_failure(name, error, stale);
        }
        let mut collected = self.collected();
        let reported = collected.failing.entry(Arc::clone(name)).or_default();
        if *reported && error.reason().may_be_of_host() {
            return;
        }
        *reported = false;
        if collected.failures.is_empty() {
            self.flush_later(account, Self::flush_failures);
        }
        (collected.failures).insert(Arc::clone(name), (error.clone(), stale));
    }

    /// An account has answered for the first time, or again after an outage.
    pub(super) fn answered(&self, account: &AccountStatus, open: u64, outage: Option<Duration>) {
        let name = &account.account;
        if !self.collects() {
            return log_answer(name, open, outage);
        }
        let mut collected = self.collected();
        collected.failing.remove(name);
        if collected.answers.is_empty() {
            self.flush_later(account, Self::flush_answers);
        }
        (collected.answers).insert(Arc::clone(name), (open, outage));
    }

    /// Whether more accounts may change than have a line each.
    fn collects(&self) -> bool {
        self.accounts.load(Ordering::Relaxed) > MAX_ACCOUNTS
    }

    fn flush_later(&self, account: &AccountStatus, flush: fn(&Self)) {
        let (log, interval) = (self.clone(), account.tracking.interval);
        tokio::spawn(async move {
            // First attempts are spread over an interval; the last answer comes after it.
            sleep(interval + interval / 10).await;
            flush(&log);
        });
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        (self.collected.lock()).unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs what was collected.
    pub fn flush(&self) {
        self.flush_failures();
        self.flush_answers();
    }

    fn flush_failures(&self) {
        let mut collected = self.collected();
        let failures = std::mem::take(&mut collected.failures);
        let accounts = failures.len();
        if accounts <= MAX_ACCOUNTS {
            drop(collected);
            (failures.iter()).for_each(|(name, (error, stale))| log_failure(name, error, *stale));
            return;
        }
        let mut reasons = BTreeMap::<_, usize>::new();
        for (error, _) in failures.values() {
            *reasons.entry(error.reason().name()).or_default() += 1;
        }
        let reasons = reasons.iter().map(|(reason, n)| format!("{reason}:{n}"));
        let reasons = reasons.collect::<Vec<_>>().join(" ");
        let stale = failures.values().filter(|(_, stale)| *stale).count();
        warn!(accounts, reasons, stale, "polls failed");
        for name in failures.keys() {
            (collected.failing.entry(Arc::clone(name))).and_modify(|reported| *reported = true);
        }
    }

    fn flush_answers(&self) {
        let answers = std::mem::take(&mut self.collected().answers);
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
