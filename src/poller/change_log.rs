//! The log's lines about the state of polls, in one line where many accounts change at a time.

use std::collections::BTreeMap;
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
pub struct ChangeLog(Arc<Mutex<Collected>>);

/// The latest changes, by account.
#[derive(Debug, Default)]
struct Collected {
    /// More accounts may change than have a line each.
    of_many: bool,
    failures: BTreeMap<Arc<str>, (Error, bool)>,
    /// Open sessions, and how long the account failed, if it did.
    answers: BTreeMap<Arc<str>, (u64, Option<Duration>)>,
    /// Whether one of these answers ends a failure in a line of many accounts.
    ends_shared: bool,
    /// Accounts that fail, and whether a line of many accounts has reported it.
    failing: BTreeMap<Arc<str>, bool>,
}

impl ChangeLog {
    /// The number of accounts that may change.
    pub(super) fn set_accounts(&self, accounts: usize) {
        self.collected().of_many = accounts > MAX_ACCOUNTS;
    }

    /// An account fails for another reason, or its last list has become `stale`: older than its
    /// `max_age`. Of an account in an outage that has its line only what is not of its host.
    pub(super) fn failed(&self, account: &AccountStatus, error: &Error, stale: bool) {
        let name = &account.account;
        let mut collected = self.collected();
        if !collected.of_many {
            return log_failure(name, error, stale);
        }
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
        let mut collected = self.collected();
        if !collected.of_many {
            return log_answer(name, open, outage);
        }
        collected.ends_shared |= collected.failing.remove(name) == Some(true);
        if collected.answers.is_empty() {
            self.flush_later(account, Self::flush_answers);
        }
        (collected.answers).insert(Arc::clone(name), (open, outage));
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs what was collected.
    pub fn flush(&self) {
        self.flush_failures();
        self.flush_answers();
    }

    fn flush_failures(&self) {
        let mut collected = self.collected();
        let failures = std::mem::take(&mut collected.failures);
        let outage = collected.failing.values().any(|reported| *reported);
        let (of_hosts, others): (Vec<_>, Vec<_>) = (failures.into_iter())
            .partition(|(_, (error, _))| outage && error.reason().may_be_of_host());
        let (shared, single) = match of_hosts.len() + others.len() > MAX_ACCOUNTS {
            true => ([of_hosts, others].concat(), Vec::new()),
            // Accounts that join an outage.
            false => (of_hosts, others),
        };
        for (name, _) in &shared {
            (collected.failing.entry(Arc::clone(name))).and_modify(|reported| *reported = true);
        }
        drop(collected);
        if !shared.is_empty() {
            let mut reasons = BTreeMap::<_, usize>::new();
            for (_, (error, _)) in &shared {
                *reasons.entry(error.reason().name()).or_default() += 1;
            }
            let reasons = reasons.iter().map(|(reason, n)| format!("{reason}:{n}"));
            let reasons = reasons.collect::<Vec<_>>().join(" ");
            let stale = shared.iter().filter(|(_, (_, stale))| *stale).count();
            warn!(accounts = shared.len(), reasons, stale, "polls failed");
        }
        (single.iter()).for_each(|(name, (error, stale))| log_failure(name, error, *stale));
    }

    fn flush_answers(&self) {
        let mut collected = self.collected();
        let answers = std::mem::take(&mut collected.answers);
        let ends_shared = std::mem::take(&mut collected.ends_shared);
        drop(collected);
        let accounts = answers.len();
        if accounts > MAX_ACCOUNTS || ends_shared {
            let outages = answers.values().filter_map(|(_, outage)| *outage);
            let recovered = outages.clone().count();
            let outage_s = outages.max().map(|longest| longest.as_secs());
            info!(accounts, recovered, outage_s, "accounts answer");
        } else {
            for (name, (open, outage)) in &answers {
                log_answer(name, *open, *outage);
            }
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
