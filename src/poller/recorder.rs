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
use crate::session::summary::{SessionDetails, Summary};
use crate::session::tracker::SessionTracker;
use crate::status::{Attempt, FailureCounts, PastFailure, StreamStatus};
use crate::tradernet::{Error, Reason, Redactor};

/// A label has no more characters of a login or an address.
const MAX_SHOWN_CHARS: usize = 128;
/// Replaces a login or an address that contains a secret.
const REDACTED: &str = "[redacted]";

/// How long an attempt took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    /// Without the wait for a slot to the host.
    pub(super) duration: Duration,
    /// The wait for a slot to the host.
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
    pub(super) stream: StreamStatus,
    has_streamed: bool,
    /// Whether a login was rejected that the log has no line about.
    pub(super) login_rejected: bool,
    logged_stale: bool,
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
            stream: StreamStatus::default(),
            has_streamed: false,
            login_rejected: false,
            logged_stale: false,
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

    /// A stream is connected and has delivered its first list.
    pub(super) fn connected(&mut self) {
        self.stream.connected = true;
        self.stream.reconnects += u64::from(self.has_streamed);
        self.has_streamed = true;
    }

    /// No stream is connected.
    pub(super) fn disconnected(&mut self) {
        self.stream.connected = false;
    }

    /// The last list is known to be good as of `at`.
    pub(super) fn confirm(&mut self, at: Timestamps) {
        self.tracker.confirm(at);
        self.logged_stale = false;
    }

    /// Records a list; without `timing` the server pushed it unasked. `failures` is the number of
    /// failed attempts in a row before it.
    pub(super) fn list(
        &mut self,
        list: SessionList,
        arrival: Timestamps,
        timing: Option<Timing>,
        failures: u32,
        redactor: &Redactor,
    ) {
        let unit_before = self.tracker.unit();
        let (summary, _) = self.tracker.record(list, arrival);
        let summary = redacted(summary, redactor);
        self.log_success(summary.open, timing, failures);
        let status = self.tracker.unit();
        if status != unit_before {
            let account = &*self.account;
            let UnitStatus { unit, confirmed } = status;
            let unit = unit.name();
            info!(account, unit, confirmed, "the unit of expire is settled");
        }
        self.summary = Some(Arc::new(summary));
        self.confirm(arrival);
        self.end_attempt(arrival, timing, None);
    }

    /// Records a failure; one without `timing` is not counted as an attempt.
    pub(super) fn failure(
        &mut self,
        error: Error,
        at: Timestamps,
        timing: Option<Timing>,
        failures: u32,
        max_age: Duration,
    ) {
        self.failures.add(error.reason());
        self.log_failure(&error, timing, failures);
        let confirmed_at = self.tracker.confirmed_at();
        let is_stale = confirmed_at.is_some_and(|confirmed| at.age_of(confirmed) > max_age);
        if is_stale && !self.logged_stale {
            self.logged_stale = true;
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
        self.end_attempt(at, timing, Some(error));
    }

    fn end_attempt(&mut self, at: Timestamps, timing: Option<Timing>, failure: Option<Error>) {
        let last = self.last_attempt.as_ref().map(|last| Timing {
            duration: last.duration,
            queue_wait: last.queue_wait,
        });
        let timing = timing.or(last).unwrap_or_default();
        self.last_attempt = Some(Attempt {
            at,
            duration: timing.duration,
            queue_wait: timing.queue_wait,
            failure,
        });
    }

    fn log_success(&self, open: u64, timing: Option<Timing>, failures: u32) {
        let account = &*self.account;
        let took_ms = timing.map(milliseconds);
        match &self.last_attempt {
            None => info!(account, open, took_ms, "first answer"),
            Some(Attempt {
                failure: Some(_), ..
            }) => info!(account, open, took_ms, failures, "answering again"),
            Some(_) => match took_ms {
                Some(took_ms) => debug!(account, open, took_ms, "polled"),
                None => debug!(account, open, "the server pushed a list"),
            },
        }
    }

    fn log_failure(&mut self, error: &Error, timing: Option<Timing>, failures: u32) {
        let account = &*self.account;
        let reason = error.reason().name();
        let took_ms = timing.map(milliseconds);
        // A rejected login is always logged: the password may have been changed just before.
        let login_rejected = std::mem::take(&mut self.login_rejected);
        let last = self.last_error();
        if login_rejected || last.is_none_or(|last| last.matter() != error.matter()) {
            let advice = error.advice();
            warn!(account, reason, %error, advice, took_ms, "poll failed");
        } else {
            debug!(account, reason, %error, took_ms, failures, "poll failed again");
        }
    }
}

/// The summary as it may be shown: a server may put a secret where a login belongs.
fn redacted(mut summary: Summary, redactor: &Redactor) -> Summary {
    if summary.detail_level != SessionDetails::Full {
        return summary;
    }
    let shown = |text: &str| match redactor.contains_secret(text) {
        true => Some(REDACTED.into()),
        // Cut after the search: the start of a secret at the end would not be found.
        false => text
            .char_indices()
            .nth(MAX_SHOWN_CHARS)
            .and_then(|(end, _)| Some(text.get(..end)?.into())),
    };
    for detail in &mut summary.details {
        if let Some(login) = &mut detail.user_login
            && let Some(shown) = shown(login)
        {
            *login = shown;
        }
        if let Some(ClientAddress::Unparsed(text)) = &mut detail.client
            && let Some(shown) = shown(text)
        {
            *text = shown;
        }
    }
    summary
}

fn milliseconds(timing: Timing) -> u64 {
    u64::try_from(timing.duration.as_millis()).unwrap_or(u64::MAX)
}
