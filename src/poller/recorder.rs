//! What became of an account's attempts: its counters, its last results, and the log's lines.
//!
//! The log has a line where the account's state changes; the rest is at `debug`.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use crate::clock::Timestamps;
use crate::config::AccountConfig;
use crate::session::ClientAddress;
use crate::session::SessionList;
use crate::session::expire_unit::UnitStatus;
use crate::session::summary::Summary;
use crate::session::tracker::SessionTracker;
use crate::status::{Attempt, FailureCounts, PastFailure};
use crate::tradernet::{Error, Reason, Redactor};

/// How long an attempt took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    /// Without the wait for the host's limits.
    pub(super) duration: Duration,
    /// The wait for the host's limits.
    pub(super) queue_wait: Duration,
}

/// One account's record; the parts of its status that it owns are read by `Poller::status`.
#[derive(Debug)]
pub(super) struct Recorder {
    account: Arc<str>,
    /// Owns when the list was last known to be good.
    pub(super) tracker: SessionTracker,
    pub(super) summary: Option<Arc<Summary>>,
    pub(super) polls: u64,
    pub(super) failures: FailureCounts,
    pub(super) logins: u64,
    pub(super) login_failures: u64,
    pub(super) last_attempt: Option<Attempt>,
    pub(super) last_failure: Option<PastFailure>,
    /// Whether a stream is connected and has delivered a list.
    pub(super) connected: bool,
    /// Streams so far.
    pub(super) connections: u64,
    /// Of the last attempt. What a stream sends without a request keeps it.
    pub(super) timing: Timing,
    /// Whether a login was rejected that the log has no line about.
    pub(super) login_rejected: bool,
}

impl Recorder {
    pub(super) fn new(account: &AccountConfig) -> Self {
        Self {
            account: Arc::clone(&account.name),
            tracker: SessionTracker::new(account.tracking.clone()),
            summary: None,
            polls: 0,
            failures: FailureCounts::default(),
            logins: 0,
            login_failures: 0,
            last_attempt: None,
            last_failure: None,
            connected: false,
            connections: 0,
            timing: Timing::default(),
            login_rejected: false,
        }
    }

    /// Applies another configuration of the same account to the last list.
    pub(super) fn reconfigure(&mut self, account: &AccountConfig, redactor: &Redactor) {
        if let Some(summary) = self.tracker.reconfigure(account.tracking.clone()) {
            self.summary = Some(Arc::new(redacted(summary, redactor)));
        }
    }

    /// Why the last attempt failed, if it did.
    pub(super) fn last_error(&self) -> Option<&Error> {
        self.last_attempt.as_ref()?.failure.as_ref()
    }

    /// Whether the last attempt timed out.
    pub(super) fn last_timed_out(&self) -> bool {
        self.last_error()
            .is_some_and(|error| error.reason() == Reason::Timeout)
    }

    /// Records a list. `failures` is the number of failed attempts in a row before it.
    pub(super) fn list(
        &mut self,
        list: SessionList,
        arrival: Timestamps,
        failures: u32,
        redactor: &Redactor,
    ) {
        let unit_before = self.tracker.unit();
        let (summary, _) = self.tracker.record(list, arrival);
        let summary = redacted(summary, redactor);
        self.log_success(summary.open, failures);
        let status = self.tracker.unit();
        if status != unit_before {
            let account = &*self.account;
            let UnitStatus { unit, confirmed } = status;
            let unit = unit.name();
            info!(account, unit, confirmed, "the unit of expire is settled");
        }
        self.summary = Some(Arc::new(summary));
        self.end_attempt(arrival, None);
    }

    /// Records a failure.
    pub(super) fn failure(
        &mut self,
        error: Error,
        at: Timestamps,
        failures: u32,
        max_age: Duration,
    ) {
        self.failures.add(error.reason());
        self.log_failure(&error, failures);
        let confirmed_at = self.tracker.confirmed_at();
        let is_stale =
            |at: Timestamps| confirmed_at.is_some_and(|confirmed| at.age_of(confirmed) > max_age);
        let was_stale = (self.last_attempt.as_ref()).is_some_and(|last| is_stale(last.at));
        if is_stale(at) && !was_stale {
            let (account, reason) = (&*self.account, error.reason().name());
            let max_age_s = max_age.as_secs();
            warn!(
                account,
                reason, max_age_s, "the last list is older than max_age; its gauges are dropped"
            );
        }
        self.last_failure = Some(PastFailure {
            at,
            error: error.clone(),
        });
        self.end_attempt(at, Some(error));
    }

    fn end_attempt(&mut self, at: Timestamps, failure: Option<Error>) {
        self.last_attempt = Some(Attempt {
            at,
            duration: self.timing.duration,
            queue_wait: self.timing.queue_wait,
            failure,
        });
    }

    fn log_success(&self, open: u64, failures: u32) {
        let account = &*self.account;
        let took_ms = self.timing.milliseconds();
        match &self.last_attempt {
            None => info!(account, open, took_ms, "first answer"),
            Some(Attempt {
                failure: Some(_), ..
            }) => info!(account, open, took_ms, failures, "answering again"),
            Some(_) => debug!(account, open, took_ms, "polled"),
        }
    }

    fn log_failure(&mut self, error: &Error, failures: u32) {
        let account = &*self.account;
        let reason = error.reason().name();
        let took_ms = self.timing.milliseconds();
        // A rejected login is always logged: the password may have been changed just before.
        let login_rejected = std::mem::take(&mut self.login_rejected);
        let last = self.last_error();
        let is_new = last.is_none_or(|last| !error.is_same_state(last));
        if login_rejected || is_new {
            let advice = error.advice();
            warn!(account, reason, %error, advice, took_ms, "poll failed");
        } else {
            debug!(account, reason, %error, took_ms, failures, "poll failed again");
        }
    }
}

impl Timing {
    fn milliseconds(self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The summary as it may be shown: a server may put a secret or control characters where a login
/// belongs.
fn redacted(mut summary: Summary, redactor: &Redactor) -> Summary {
    for detail in &mut summary.details {
        if let Some(login) = &mut detail.user_login {
            *login = redactor.redact(login).into();
        }
        if let Some(ClientAddress::Unparsed(text)) = &mut detail.client {
            *text = redactor.redact(text).into();
        }
    }
    summary
}
