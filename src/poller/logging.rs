//! What the log is told of an account: a line when its state changes, the rest at `debug`.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::Poller;
use crate::status::{Attempt, Failure};

impl Poller {
    pub(super) fn tell_success(
        &self,
        before: Option<&Attempt>,
        open: u64,
        duration: Option<Duration>,
    ) {
        let account = &*self.account.name;
        let took_ms = duration.map(milliseconds);
        match before {
            None => info!(account, open, took_ms, "first answer"),
            Some(Attempt {
                failure: Some(_), ..
            }) => {
                info!(
                    account,
                    open,
                    took_ms,
                    failures = self.failures_in_a_row,
                    "answering again"
                );
            }
            Some(_) => match took_ms {
                Some(took_ms) => debug!(account, open, took_ms, "polled"),
                None => debug!(account, open, "the list was pushed"),
            },
        }
        let status = self.ledger.unit();
        if status != self.status.unit {
            info!(
                account,
                unit = status.unit.name(),
                confirmed = status.confirmed,
                "the unit of expire is settled"
            );
        }
    }

    pub(super) fn tell_failure(
        &mut self,
        before: Option<&Attempt>,
        failure: &Failure,
        duration: Option<Duration>,
    ) {
        let account = &*self.account.name;
        let reason = failure.reason.name();
        let took_ms = duration.map(milliseconds);
        let last = before.and_then(|attempt| attempt.failure.as_ref());
        let (error, advice) = (failure.message.as_str(), failure.advice);
        // A login that is refused is always news: somebody may have just changed the password.
        let login_refused = std::mem::take(&mut self.login_refused);
        if login_refused || last.is_none_or(|last| last.matter != failure.matter) {
            warn!(account, reason, error, advice, took_ms, "poll failed");
        } else {
            let failures = self.failures_in_a_row;
            debug!(
                account,
                reason, error, took_ms, failures, "poll failed again"
            );
        }
        let stale =
            self.status.view.is_some() && self.status.fresh_view(self.shared.clock.now()).is_none();
        if stale && !self.told_stale {
            self.told_stale = true;
            let max_age_s = self.account.reading.max_age.as_secs();
            warn!(
                account,
                reason, max_age_s, "the last answer is too old, its gauges are dropped"
            );
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
