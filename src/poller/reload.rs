//! What makes an account another one, and what it takes up while it is watched.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use super::Poller;

impl Poller {
    /// Takes up what was configured since, and says when the next attempt is due: as far into the
    /// new interval as it was into the old one, so that accounts which were spread stay spread.
    pub(super) fn take_up(&mut self, next: Instant) -> Instant {
        let account = self.configured.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.account, account);
        let (old, new) = (&before.reading, &self.account.reading);
        let intervals = (old.interval, new.interval);
        if old != new {
            debug!(
                account = &*self.account.name,
                "the configuration has changed"
            );
            if let Some(view) = self.ledger.reconfigure(new.clone()) {
                self.status.view = Some(Arc::new(self.without_secrets(view)));
            }
        }
        self.status.transport = self.account.transport;
        let stream = self.account.stream.as_ref();
        self.status.stream = stream.map(|_| self.status.stream.unwrap_or_default());
        let moved = self.account.stream != before.stream;
        self.status.interval = new.interval;
        self.status.max_age = new.max_age;
        self.status.unit = self.ledger.unit();
        let secret_changed = self.read_secrets();
        self.status.login_blocked = self.breaker.block_reason(self.shared.clock.now());
        self.shared.board.publish(self.status.clone());
        let now = Instant::now();
        if secret_changed || moved {
            return now;
        }
        let (old, new) = intervals;
        if old == new {
            return next;
        }
        let left = next.saturating_duration_since(now);
        let scaled = now + left.mul_f64(new.div_duration_f64(old));
        // A pause that the server asked for is not ours to shorten.
        self.not_before.map_or(scaled, |least| scaled.max(least))
    }
}
