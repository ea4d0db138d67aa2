//! The circuit breaker of logins: one login too many can lock a client out of the market.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::Timestamps;
use crate::tradernet::AuthError;

/// Logins allowed within [`WINDOW`].
const MAX_LOGINS: usize = 3;
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// After so many transient failures in a row a login is sent every [`RETRY_INTERVAL`].
const MAX_FAILURES: u32 = 3;
const RETRY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Counts an account's logins and says when another is allowed. Clones share their state, which
/// outlives the account's poller: one that is stopped and started again by reloads sends no more
/// logins than one that runs on, and does not repeat a rejected one.
#[derive(Clone, Debug, Default)]
pub struct LoginBreaker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// When the last logins were sent, the oldest first.
    sent: VecDeque<Timestamps>,
    /// Transient failures since the last login that was answered otherwise.
    failures_in_a_row: u32,
    /// The last rejection, and the fingerprint of the credential that was rejected.
    rejection: Option<(u64, AuthError)>,
}

/// Identifies where, as whom and with which password a login is sent: a number that reveals none
/// of these and means nothing outside of this process.
pub fn fingerprint(origin: &str, login: &str, password: &SecretString) -> u64 {
    /// Random, so that passwords cannot be tried on a fingerprint.
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one((origin, login, password.expose_secret()))
}

impl LoginBreaker {
    /// Whether a login with this credential may be sent now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, now: Timestamps, credential: Option<u64>) -> Result<(), AuthError> {
        let state = self.state();
        match &state.rejection {
            Some((rejected, rejection)) if Some(*rejected) == credential => {
                let rejection = Box::new(rejection.clone());
                Err(AuthError::BlockedAfterRejection(rejection))
            }
            _ => state.limit(now).map_or(Ok(()), Err),
        }
    }

    /// Counts a login, before it is sent: one that is never answered counts too.
    pub fn record_attempt(&self, now: Timestamps) {
        let sent = &mut self.state().sent;
        sent.push_back(now);
        if sent.len() > MAX_LOGINS {
            sent.pop_front();
        }
    }

    /// Whether it has counted a login or a rejection; otherwise it is like a new breaker.
    pub fn is_used(&self) -> bool {
        let state = self.state();
        state.rejection.is_some() || !state.sent.is_empty()
    }

    /// Counts a login that failed for a reason that may pass.
    pub fn record_transient_failure(&self) {
        let failures = &mut self.state().failures_in_a_row;
        *failures = failures.saturating_add(1);
    }

    /// Counts a login whose answer this client cannot read: the next one's would be the same, so
    /// it counts as as many failures as leave one login an hour.
    pub fn record_unreadable_answer(&self) {
        self.state().failures_in_a_row = MAX_FAILURES;
    }

    /// Opens it for this credential: no login until [`Self::reset`].
    pub fn trip(&self, rejection: AuthError, credential: u64) {
        self.reset();
        self.state().rejection = Some((credential, rejection));
    }

    /// Closes it: the credential changed, an operator requested a retry, or a login succeeded. The limit of
    /// logins within 15 minutes still holds.
    pub fn reset(&self) {
        let mut state = self.state();
        state.failures_in_a_row = 0;
        state.rejection = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Logins within the window. By the monotonic clock: a wall clock set forward must not allow
    /// a fourth.
    fn recent(&self, now: Timestamps) -> usize {
        let is_recent = |then: &&Timestamps| now.monotonic_since(**then) < WINDOW;
        self.sent.iter().filter(is_recent).count()
    }

    /// Why the number of logins forbids another one now.
    fn limit(&self, now: Timestamps) -> Option<AuthError> {
        let last = self.sent.back();
        let waited = last.is_none_or(|last| now.monotonic_since(*last) >= RETRY_INTERVAL);
        if self.failures_in_a_row >= MAX_FAILURES && !waited {
            return Some(AuthError::BlockedAfterFailures);
        }
        (self.recent(now) >= MAX_LOGINS).then_some(AuthError::BlockedByRateLimit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Timestamps {
        Timestamps {
            wall_ms: 0.0,
            monotonic: Duration::from_secs(minutes * 60),
        }
    }

    fn of_password(password: &str) -> u64 {
        fingerprint("https://tradernet.com", "desk", &password.into())
    }

    /// Whether a login may be sent in that minute, and why not.
    fn check(breaker: &LoginBreaker, minute: u64) -> Result<(), AuthError> {
        breaker.check(at(minute), Some(of_password("a")))
    }

    const REJECTION: AuthError = AuthError::DemoMode;

    fn blocked() -> Result<(), AuthError> {
        Err(AuthError::BlockedAfterRejection(Box::new(REJECTION)))
    }

    #[test]
    fn a_rejection_blocks_its_own_credential() {
        let breaker = LoginBreaker::default();
        breaker.trip(REJECTION, of_password("a"));
        assert_eq!(check(&breaker, 100), blocked());
        for other in [Some(of_password("b")), None] {
            assert_eq!(breaker.check(at(100), other), Ok(()));
        }
    }

    #[test]
    fn a_fingerprint_covers_place_login_and_password() {
        let other = |origin, login, password: &str| fingerprint(origin, login, &password.into());
        assert_ne!(of_password("a"), other("https://tradernet.kz", "desk", "a"));
        assert_ne!(
            of_password("a"),
            other("https://tradernet.com", "des", "ka")
        );
        assert_eq!(
            of_password("a"),
            other("https://tradernet.com", "desk", "a")
        );
    }
}
