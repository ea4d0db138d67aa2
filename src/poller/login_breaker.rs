//! The circuit breaker of logins: one login too many can lock a client out of the market.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::Timestamps;
use crate::status::LoginBlock;
use crate::tradernet::AuthError;

/// Logins allowed within [`WINDOW`].
const MAX_LOGINS: usize = 3;
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// After so many transient failures in a row a login is sent every [`RETRY_INTERVAL`].
const MAX_FAILURES: u32 = 3;
const RETRY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Counts an account's logins and says when another is allowed.
#[derive(Debug, Default)]
pub struct LoginBreaker {
    log: LoginLog,
    /// The rejection that opened it.
    rejection: Option<AuthError>,
}

/// Identifies where, as whom and with which password a login is sent: a number that reveals none
/// of these and means nothing outside of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialFingerprint(u64);

/// An account's last logins. It outlives the account's poller: one that is stopped and started
/// again by reloads sends no more logins than one that runs on, and does not repeat a rejected one.
#[derive(Clone, Debug, Default)]
pub struct LoginLog(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// When the last logins were sent, the oldest first.
    sent: VecDeque<Timestamps>,
    /// Transient failures since the last login that was answered otherwise.
    failures_in_a_row: u32,
    /// The last rejection, and the credential that was rejected.
    rejection: Option<(CredentialFingerprint, AuthError)>,
}

impl CredentialFingerprint {
    /// A login at that place with that name and password.
    pub fn new(place: &str, login: &str, password: &SecretString) -> Self {
        /// Random, so that passwords cannot be tried on a fingerprint.
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEY.hash_one((place, login, password.expose_secret())))
    }
}

impl LoginLog {
    /// Whether it forbids no login.
    pub fn is_empty(&self, now: Timestamps) -> bool {
        let entries = self.entries();
        entries.rejection.is_none() && entries.limit(now).is_none() && entries.recent(now) == 0
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
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

impl LoginBreaker {
    /// A breaker that continues the log of those before it; open where that credential was rejected.
    pub fn new(log: LoginLog, credential: Option<CredentialFingerprint>) -> Self {
        let rejection = log.entries().rejection.clone();
        let rejection = rejection.filter(|(rejected, _)| Some(*rejected) == credential);
        Self {
            log,
            rejection: rejection.map(|(_, rejection)| rejection),
        }
    }

    /// Continues with another credential: open only where that one was rejected.
    pub fn resume(&mut self, credential: Option<CredentialFingerprint>) {
        *self = Self::new(self.log.clone(), credential);
    }

    /// Whether a login may be sent now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, now: Timestamps) -> Result<(), AuthError> {
        if let Some(rejection) = &self.rejection {
            return Err(AuthError::BlockedAfterRejection(Box::new(
                rejection.clone(),
            )));
        }
        self.log.entries().limit(now).map_or(Ok(()), Err)
    }

    /// Why no login may be sent now, in short; `None` where one may.
    pub fn block_reason(&self, now: Timestamps) -> Option<LoginBlock> {
        match self.check(now) {
            Ok(()) => None,
            Err(AuthError::BlockedAfterRejection(_)) => Some(LoginBlock::Rejected),
            Err(_) => Some(LoginBlock::RateLimited),
        }
    }

    /// Counts a login, before it is sent: one that is never answered counts too.
    pub fn record_attempt(&mut self, now: Timestamps) {
        let sent = &mut self.log.entries().sent;
        sent.push_back(now);
        if sent.len() > MAX_LOGINS {
            sent.pop_front();
        }
    }

    /// Counts a login that failed for a reason that may pass.
    pub fn record_transient_failure(&mut self) {
        let failures = &mut self.log.entries().failures_in_a_row;
        *failures = failures.saturating_add(1);
    }

    /// Opens it: no login until [`Self::reset`].
    pub fn trip(&mut self, rejection: AuthError, credential: CredentialFingerprint) {
        let mut entries = self.log.entries();
        entries.failures_in_a_row = 0;
        entries.rejection = Some((credential, rejection.clone()));
        drop(entries);
        self.rejection = Some(rejection);
    }

    /// Closes it: the credential changed, an operator asked, or the SID of a login was accepted.
    /// The limit of logins within 15 minutes still holds.
    pub fn reset(&mut self) {
        let mut entries = self.log.entries();
        entries.failures_in_a_row = 0;
        entries.rejection = None;
        drop(entries);
        self.rejection = None;
    }

    /// A login was answered with an SID, which ends a row of failures.
    pub fn record_success(&mut self) {
        self.log.entries().failures_in_a_row = 0;
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

    fn fingerprint(password: &str) -> CredentialFingerprint {
        CredentialFingerprint::new("https://tradernet.com", "desk", &password.into())
    }

    const REJECTION: AuthError = AuthError::SecondFactor;

    #[test]
    fn at_most_three_logins_in_fifteen_minutes() {
        let mut breaker = LoginBreaker::default();
        for minute in [0, 1, 2] {
            assert_eq!(breaker.block_reason(at(minute)), None);
            breaker.record_attempt(at(minute));
            breaker.record_success();
        }
        for minute in [2, 14] {
            assert_eq!(
                breaker.check(at(minute)),
                Err(AuthError::BlockedByRateLimit)
            );
            assert_eq!(
                breaker.block_reason(at(minute)),
                Some(LoginBlock::RateLimited)
            );
        }
        assert_eq!(breaker.block_reason(at(15)), None);
        breaker.record_attempt(at(15));
        assert_eq!(breaker.block_reason(at(15)), Some(LoginBlock::RateLimited));
        assert_eq!(breaker.block_reason(at(16)), None);
    }

    #[test]
    fn a_wall_clock_set_forward_allows_no_login() {
        let mut breaker = LoginBreaker::default();
        (0..3).for_each(|minute| breaker.record_attempt(at(minute)));
        let jumped = Timestamps {
            wall_ms: 1e12,
            ..at(3)
        };
        assert_eq!(breaker.block_reason(jumped), Some(LoginBlock::RateLimited));
    }

    #[test]
    fn after_three_failures_in_a_row_one_login_an_hour() {
        let mut breaker = LoginBreaker::default();
        let fail = |breaker: &mut LoginBreaker, minute| {
            assert_eq!(breaker.check(at(minute)), Ok(()), "{minute}");
            breaker.record_attempt(at(minute));
            breaker.record_transient_failure();
        };
        [0, 20, 40]
            .into_iter()
            .for_each(|minute| fail(&mut breaker, minute));
        assert_eq!(breaker.check(at(99)), Err(AuthError::BlockedAfterFailures));
        fail(&mut breaker, 100);
        assert_eq!(breaker.check(at(159)), Err(AuthError::BlockedAfterFailures));
        breaker.record_attempt(at(160));
        breaker.record_success();
        assert_eq!(breaker.check(at(161)), Ok(()));
    }

    #[test]
    fn a_rejection_lasts_until_a_reset_which_keeps_the_rate_limit() {
        let mut breaker = LoginBreaker::default();
        breaker.record_attempt(at(0));
        breaker.trip(REJECTION, fingerprint("a"));
        let blocked = AuthError::BlockedAfterRejection(Box::new(REJECTION));
        assert_eq!(breaker.check(at(100_000)), Err(blocked));
        assert_eq!(
            breaker.block_reason(at(100_000)),
            Some(LoginBlock::Rejected)
        );
        breaker.reset();
        assert_eq!(breaker.block_reason(at(0)), None);
        (0..3).for_each(|minute| breaker.record_attempt(at(minute)));
        breaker.trip(REJECTION, fingerprint("a"));
        breaker.reset();
        assert_eq!(breaker.block_reason(at(3)), Some(LoginBlock::RateLimited));
    }

    #[test]
    fn the_next_breaker_continues_the_log() {
        let log = LoginLog::default();
        let mut first = LoginBreaker::new(log.clone(), Some(fingerprint("a")));
        (0..3).for_each(|minute| first.record_attempt(at(minute)));
        let next = |password: &str| LoginBreaker::new(log.clone(), Some(fingerprint(password)));
        assert_eq!(next("a").block_reason(at(3)), Some(LoginBlock::RateLimited));
        assert!(!log.is_empty(at(16)));
        assert!(log.is_empty(at(17)));

        first.trip(REJECTION, fingerprint("a"));
        assert!(!log.is_empty(at(100_000)));
        assert_eq!(next("a").block_reason(at(100)), Some(LoginBlock::Rejected));
        assert_eq!(next("b").block_reason(at(100)), None);
        next("a").reset();
        assert_eq!(next("a").block_reason(at(100)), None);

        (0..3).for_each(|_| first.record_transient_failure());
        assert_eq!(
            next("b").check(at(30)),
            Err(AuthError::BlockedAfterFailures)
        );
        assert!(!log.is_empty(at(30)));
    }

    #[test]
    fn a_fingerprint_covers_place_login_and_password() {
        let other = |place, login, password: &str| {
            CredentialFingerprint::new(place, login, &password.into())
        };
        assert_ne!(fingerprint("a"), other("https://tradernet.kz", "desk", "a"));
        assert_ne!(
            fingerprint("a"),
            other("https://tradernet.com", "des", "ka")
        );
        assert_eq!(
            fingerprint("a"),
            other("https://tradernet.com", "desk", "a")
        );
    }
}
