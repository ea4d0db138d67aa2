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
const MOST_LOGINS: usize = 3;
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Refusals that are remembered of each account; the latest count.
const MOST_REFUSALS: usize = 8;

/// Counts an account's logins and says when another is allowed.
#[derive(Debug, Default)]
pub struct LoginBreaker {
    history: LoginLog,
    /// The refusal that tripped it.
    refused: Option<AuthError>,
}

/// What a login is tried with, where, and as whom: a number that tells nothing to anybody, and
/// means nothing outside of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialFingerprint(u64);

/// An account's last logins and refusals. It outlives the account's poller: one that is stopped
/// and started again by reloads has no more logins than one that runs on, and does not try again
/// what was refused.
#[derive(Clone, Debug, Default)]
pub struct LoginLog(Arc<Mutex<Past>>);

#[derive(Debug, Default)]
struct Past {
    logins: VecDeque<Timestamps>,
    refused: VecDeque<(CredentialFingerprint, AuthError)>,
}

impl CredentialFingerprint {
    /// A login at that place with that name and password.
    pub fn new(place: &str, login: &str, password: &SecretString) -> Self {
        /// Random, so that nobody who sees the number can try passwords on it.
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEY.hash_one((place, login, password.expose_secret())))
    }
}

impl LoginLog {
    /// Whether it allows as much as an empty one.
    pub fn is_past(&self, now: Timestamps) -> bool {
        self.within_window(now) == 0 && self.past().refused.is_empty()
    }

    fn within_window(&self, now: Timestamps) -> usize {
        // By the monotonic clock: a wall clock set forward must not allow a fourth.
        self.past()
            .logins
            .iter()
            .filter(|then| now.monotonic_since(**then) < WINDOW)
            .count()
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    fn forget(&mut self, tried: CredentialFingerprint) {
        self.refused.retain(|(refused, _)| *refused != tried);
    }
}

impl LoginBreaker {
    /// A breaker that remembers the logins of those before it, and whether what is going to be
    /// tried was refused.
    pub fn new(history: LoginLog, to_try: Option<CredentialFingerprint>) -> Self {
        let refused = history
            .past()
            .refused
            .iter()
            .find(|(refused, _)| Some(*refused) == to_try)
            .map(|(_, refusal)| refusal.clone());
        Self { history, refused }
    }

    /// Whether a login may be tried now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn permit(&self, now: Timestamps) -> Result<(), AuthError> {
        if let Some(refusal) = &self.refused {
            return Err(AuthError::BlockedAfterRefusal(Box::new(refusal.clone())));
        }
        if self.is_over_rate(now) {
            return Err(AuthError::BlockedByRate);
        }
        Ok(())
    }

    /// Why no login may be tried now, in short; `None` where one may.
    pub fn block(&self, now: Timestamps) -> Option<LoginBlock> {
        match self.refused {
            Some(_) => Some(LoginBlock::Refused),
            None => self.is_over_rate(now).then_some(LoginBlock::TooMany),
        }
    }

    fn is_over_rate(&self, now: Timestamps) -> bool {
        self.history.within_window(now) >= MOST_LOGINS
    }

    /// Notes a login, before it is sent: one that is never answered counts too.
    pub fn note(&mut self, now: Timestamps) {
        let logins = &mut self.history.past().logins;
        logins.push_back(now);
        if logins.len() > MOST_LOGINS {
            logins.pop_front();
        }
    }

    /// Notes a refusal: no more until [`Self::allow`] or [`Self::forget`].
    pub fn refuse(&mut self, refusal: AuthError, tried: CredentialFingerprint) {
        let mut past = self.history.past();
        past.forget(tried);
        past.refused.push_back((tried, refusal.clone()));
        if past.refused.len() > MOST_REFUSALS {
            past.refused.pop_front();
        }
        drop(past);
        self.refused = Some(refusal);
    }

    /// The credential changed: the refusal was another one's. The rate is not lifted.
    pub fn allow(&mut self) {
        self.refused = None;
    }

    /// An operator asks, or a login worked: that it was refused is forgotten. The rate is not
    /// lifted.
    pub fn forget(&mut self, tried: CredentialFingerprint) {
        self.history.past().forget(tried);
        self.refused = None;
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

    #[test]
    fn three_logins_in_fifteen_minutes_and_no_more() {
        let mut breaker = LoginBreaker::default();
        for minute in [0, 1, 2] {
            assert_eq!(breaker.block(at(minute)), None);
            breaker.note(at(minute));
        }
        assert_eq!(breaker.block(at(2)), Some(LoginBlock::TooMany));
        assert_eq!(breaker.block(at(14)), Some(LoginBlock::TooMany));
        assert_eq!(breaker.block(at(15)), None);
        breaker.note(at(15));
        assert_eq!(breaker.block(at(15)), Some(LoginBlock::TooMany));
        assert_eq!(breaker.block(at(16)), None);
    }

    #[test]
    fn a_refusal_lasts_until_it_is_lifted() {
        let mut breaker = LoginBreaker::default();
        breaker.note(at(0));
        breaker.refuse(AuthError::LoginWithoutSession, tried("a"));
        assert_eq!(breaker.block(at(100_000)), Some(LoginBlock::Refused));
        breaker.allow();
        assert_eq!(breaker.block(at(0)), None);
    }

    #[test]
    fn lifting_a_refusal_does_not_lift_the_rate() {
        let mut breaker = LoginBreaker::default();
        (0..3).for_each(|minute| breaker.note(at(minute)));
        breaker.refuse(AuthError::LoginWithoutSession, tried("a"));
        breaker.allow();
        assert_eq!(breaker.block(at(3)), Some(LoginBlock::TooMany));
    }

    fn tried(password: &str) -> CredentialFingerprint {
        CredentialFingerprint::new("https://tradernet.com", "desk", &password.into())
    }

    #[test]
    fn the_next_breaker_inherits_the_rate() {
        let history = LoginLog::default();
        let mut first = LoginBreaker::new(history.clone(), None);
        (0..3).for_each(|minute| first.note(at(minute)));
        drop(first);
        let next = LoginBreaker::new(history.clone(), None);
        assert_eq!(next.block(at(3)), Some(LoginBlock::TooMany));
        assert!(!history.is_past(at(16)));
        assert!(history.is_past(at(17)));
        assert_eq!(next.block(at(17)), None);
    }

    #[test]
    fn the_next_breaker_inherits_the_refusal_of_what_it_would_try() {
        let history = LoginLog::default();
        let mut first = LoginBreaker::new(history.clone(), Some(tried("a")));
        first.refuse(AuthError::LoginWithoutSession, tried("a"));
        drop(first);
        let late = at(100_000);
        assert!(!history.is_past(late));
        let next = |password: &str| LoginBreaker::new(history.clone(), Some(tried(password)));
        assert_eq!(next("a").block(late), Some(LoginBlock::Refused));
        assert_eq!(next("b").block(late), None);
        assert_ne!(
            tried("a"),
            CredentialFingerprint::new("https://tradernet.kz", "desk", &"a".into())
        );
        assert_ne!(
            tried("a"),
            CredentialFingerprint::new("https://tradernet.com", "des", &"ka".into())
        );

        next("a").forget(tried("a"));
        assert_eq!(next("a").block(late), None);
        assert!(history.is_past(late));
    }

    #[test]
    fn the_latest_refusals_are_remembered() {
        let history = LoginLog::default();
        let passwords: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let mut breaker = LoginBreaker::new(history.clone(), None);
        for password in passwords.iter().chain(&passwords) {
            breaker.refuse(AuthError::LoginWithoutSession, tried(password));
        }
        let is_refused = |password: &&String| {
            LoginBreaker::new(history.clone(), Some(tried(password)))
                .block(at(0))
                .is_some()
        };
        let refused: Vec<_> = passwords.iter().filter(is_refused).collect();
        assert_eq!(refused, passwords.iter().skip(12).collect::<Vec<_>>());
    }

    #[test]
    fn a_wall_clock_set_forward_allows_nothing() {
        let mut breaker = LoginBreaker::default();
        (0..3).for_each(|minute| breaker.note(at(minute)));
        let jumped = Timestamps {
            wall_ms: 1e12,
            ..at(3)
        };
        assert_eq!(breaker.block(jumped), Some(LoginBlock::TooMany));
    }
}
