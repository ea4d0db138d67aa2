//! The results of an account's attempts: its status, and the log's lines about it.
//!
//! Sessions and rules are logged at once, since the log is an audit trail; changes of the state of
//! polls by the [`ChangeLog`], and each attempt at `debug`.

use std::sync::Arc;
use std::time::Duration;

use tracing::field::display;
use tracing::{debug, info};

use super::change_log::ChangeLog;
use crate::clock::Timestamps;
use crate::config::AccountConfig;
use crate::session::SessionList;
use crate::session::diff::SessionDiff;
use crate::session::summary::{SessionDetails, Summary};
use crate::session::tracker::SessionTracker;
use crate::status::{AccountStatus, Attempt, PastFailure, StreamStatus};
use crate::tradernet::{Error, Reason};

/// Sessions of one answer that have a line each: a server may invent any number.
const MAX_SESSION_LINES: usize = 100;

/// One account's record.
#[derive(Debug)]
pub(super) struct Recorder {
    changes: ChangeLog,
    /// Owns when the list was last known to be good.
    pub(super) tracker: SessionTracker,
    /// As published, except for what `Poller::status` adds.
    pub(super) status: AccountStatus,
    /// Published where the transport is a streaming one.
    pub(super) stream: StreamStatus,
    /// Of the last attempt, without the wait for the host's limits. Data that a stream sends without a
    /// request changes neither.
    pub(super) duration: Duration,
    /// The wait for the host's limits.
    pub(super) queue_wait: Duration,
    /// The last poll that was counted as failed. A stream sends errors without a request too, and
    /// ends: these change the state, and no poll counts twice.
    failed_poll: u64,
    /// The first failure since the last answer.
    failing_since: Option<Timestamps>,
    /// Whether a login was rejected that the log has no line about.
    pub(super) login_rejected: bool,
}

impl Recorder {
    pub(super) fn new(account: &AccountConfig, changes: ChangeLog) -> Self {
        Self {
            changes,
            tracker: SessionTracker::new(Arc::clone(&account.tracking)),
            status: configured(account, AccountStatus::default()),
            stream: StreamStatus::default(),
            duration: Duration::ZERO,
            queue_wait: Duration::ZERO,
            failed_poll: 0,
            failing_since: None,
            login_rejected: false,
        }
    }

    /// Applies another configuration of the same account to the last list.
    pub(super) fn reconfigure(&mut self, account: &AccountConfig) {
        self.status = configured(account, self.status.clone());
        if let Some(summary) = self.tracker.reconfigure(Arc::clone(&account.tracking)) {
            self.show(summary);
        }
    }

    /// Why the last attempt failed, if it did.
    pub(super) fn last_error(&self) -> Option<&Error> {
        self.status.last_attempt.as_ref()?.failure.as_ref()
    }

    fn took_ms(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the last attempt timed out.
    pub(super) fn last_timed_out(&self) -> bool {
        self.last_error()
            .is_some_and(|error| error.reason() == Reason::Timeout)
    }

    /// Records a list.
    pub(super) fn list(&mut self, list: SessionList, arrival: Timestamps) {
        let (summary, diff) = self.tracker.record(list, arrival);
        let (account, open) = (&self.status.account, summary.open);
        let took_ms = self.took_ms();
        debug!(account = &**account, open, took_ms, "attempt succeeded");
        let outage = self.failing_since.take().map(|since| arrival.age_of(since));
        if outage.is_some() || self.status.view.is_none() {
            self.changes.answered(&self.status, open, outage);
        }
        self.log_sessions(&diff, summary.detail_level);
        self.show(summary);
        self.end_attempt(arrival, None);
    }

    /// Records a failure.
    pub(super) fn failure(&mut self, error: Error, at: Timestamps) {
        let (account, reason) = (&self.status.account, error.reason());
        let took_ms = self.took_ms();
        debug!(account = &**account, reason = reason.name(), %error, took_ms, "attempt failed");
        if std::mem::replace(&mut self.failed_poll, self.status.polls) != self.status.polls {
            self.status.failures.add(reason);
        }
        self.failing_since.get_or_insert(at);
        let (confirmed_at, max_age) = (self.tracker.confirmed_at(), self.status.tracking.max_age);
        let is_stale =
            |at: Timestamps| confirmed_at.is_some_and(|confirmed| at.age_of(confirmed) > max_age);
        let (last, stale) = (self.status.last_attempt.as_ref(), is_stale(at));
        let became_stale = stale && !last.is_some_and(|last| is_stale(last.at));
        // A rejected login is always logged: the password may have been changed just before.
        let login_rejected = std::mem::take(&mut self.login_rejected);
        let last = self.last_error();
        let is_another = last.is_none_or(|last| !error.is_same_state(last));
        if is_another || became_stale || login_rejected {
            self.changes.failed(&self.status, &error, stale);
        }
        self.status.last_failure = Some(Box::new(PastFailure {
            at,
            error: error.clone(),
        }));
        self.end_attempt(at, Some(error));
    }

    fn end_attempt(&mut self, at: Timestamps, failure: Option<Error>) {
        self.status.last_attempt = Some(Attempt {
            at,
            duration: self.duration,
            queue_wait: self.queue_wait,
            failure,
        });
    }

    /// Logs each session that was opened or closed.
    fn log_sessions(&self, diff: &SessionDiff, details: SessionDetails) {
        let account = &*self.status.account;
        let opened = diff.opened.iter().map(|session| (session, None));
        let closed = (diff.closed.iter()).map(|(session, reason)| (session, Some(reason.name())));
        let is_full = details == SessionDetails::Full;
        for (session, reason) in opened.chain(closed).take(MAX_SESSION_LINES) {
            let (session_id, safety_type_id) = (session.id, session.safety_type);
            let user_login = session.user_login.as_deref().filter(|_| is_full);
            let client_ip = session.client.as_ref().filter(|_| is_full);
            let client_ip = client_ip.map(display);
            match reason {
                None => info!(
                    account,
                    session_id, safety_type_id, user_login, client_ip, "session opened"
                ),
                Some(reason) => info!(
                    account,
                    session_id, safety_type_id, user_login, client_ip, reason, "session closed"
                ),
            }
        }
        let sessions = (diff.opened.len() + diff.closed.len()).saturating_sub(MAX_SESSION_LINES);
        if sessions > 0 {
            info!(account, sessions, "more sessions opened or closed");
        }
    }

    /// Publishes a summary with the next status, and logs which rules it breaks that the one before
    /// did not, and the other way round.
    fn show(&mut self, summary: Summary) {
        let account = &*self.status.account;
        let before = self.status.view.as_deref();
        for (rule, sessions) in &summary.violating {
            let before =
                before.and_then(|before| before.violating.iter().find(|(of, _)| of == rule));
            let was_broken = before.is_some_and(|(_, sessions)| *sessions > 0);
            let rule = rule.name();
            match (was_broken, *sessions > 0) {
                (false, true) => info!(account, rule, sessions, "rule broken"),
                (true, false) => info!(account, rule, "rule holds again"),
                _ => {}
            }
        }
        if summary.open == 0 && before.is_some_and(|before| before.open > 0) {
            info!(account, "no session left");
        }
        self.status.view = Some(Arc::new(summary));
    }
}

fn configured(account: &AccountConfig, status: AccountStatus) -> AccountStatus {
    AccountStatus {
        account: Arc::clone(&account.name),
        transport: account.transport,
        info: Arc::clone(&account.info),
        tracking: Arc::clone(&account.tracking),
        ..status
    }
}
