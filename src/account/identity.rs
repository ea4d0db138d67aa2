//! What makes an account another one, and what it takes up while it is watched.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use super::{Account, CredentialSource, Poller};
use crate::secret::SecretSource;

impl Account {
    /// Whether both are one account to the server: name, URLs and credential. Everything else is
    /// taken up by the poller that runs.
    pub fn is_same_as(&self, other: &Account) -> bool {
        self.name == other.name
            && self.target.origin == other.target.origin
            && self.streams_from_where(other)
            && self.credential.is_same_as(&other.credential)
    }
}

impl Account {
    /// Another transport is taken up; another place for the same one is another server.
    fn streams_from_where(&self, other: &Account) -> bool {
        let one_transport = self.transport == other.transport;
        match (&self.stream, &other.stream) {
            (Some(one), Some(another)) if one_transport => one.origin == another.origin,
            _ => true,
        }
    }
}

impl CredentialSource {
    /// How requests are signed is not part of it: the key stays the same.
    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sid(one), Self::Sid(other)) => one.is_same_as(other),
            (
                Self::Login { login, password },
                Self::Login {
                    login: other_login,
                    password: other_password,
                },
            ) => login == other_login && password.is_same_as(other_password),
            (
                Self::KeyPair { key, secret, .. },
                Self::KeyPair {
                    key: other_key,
                    secret: other_secret,
                    ..
                },
            ) => key.is_same_as(other_key) && secret.is_same_as(other_secret),
            _ => false,
        }
    }

    /// Where its secrets come from.
    pub(super) fn sources(&self) -> Vec<&SecretSource> {
        match self {
            Self::Sid(sid) => vec![sid],
            Self::Login { password, .. } => vec![password],
            Self::KeyPair { key, secret, .. } => vec![key, secret],
        }
    }
}

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
        self.status.login_blocked = self.breaker.block(self.shared.clock.now());
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
