//! The circuit breaker of logins: one login too many can lock a client out of the market.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::status::LoginBlock;
use crate::tradernet::AuthError;

/// Logins allowed within [`WINDOW`].
const MOST_LOGINS: usize = 3;
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Counts an account's logins and says when another is allowed.
#[derive(Debug, Default)]
pub struct Breaker {
    recent: LoginHistory,
    /// The refusal that tripped it.
    refused: Option<AuthError>,
}

/// An account's last logins. It outlives the account's poller: one that is stopped and started
/// again by reloads has no more logins than one that runs on.
#[derive(Clone, Debug, Default)]
pub struct LoginHistory(Arc<Mutex<VecDeque<Moment>>>);

impl LoginHistory {
    /// Whether it allows as much as an empty one.
    pub fn is_past(&self, now: Moment) -> bool {
        self.within_window(now) == 0
    }

    fn within_window(&self, now: Moment) -> usize {
        // By the monotonic clock: a wall clock set forward must not allow a fourth.
        self.logins()
            .iter()
            .filter(|then| now.monotonic_since(**then) < WINDOW)
            .count()
    }

    fn logins(&self) -> MutexGuard<'_, VecDeque<Moment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breaker {
    /// A breaker that remembers the logins of those before it.
    pub fn new(recent: LoginHistory) -> Self {
        Self {
            recent,
            refused: None,
        }
    }

    /// Whether a login may be tried now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn permit(&self, now: Moment) -> Result<(), AuthError> {
        if let Some(refusal) = &self.refused {
            return Err(AuthError::BlockedAfterRefusal(Box::new(refusal.clone())));
        }
        if self.is_over_rate(now) {
            return Err(AuthError::BlockedByRate);
        }
        Ok(())
    }

    /// Why no login may be tried now, in short; `None` where one may.
    pub fn block(&self, now: Moment) -> Option<LoginBlock> {
        match self.refused {
            Some(_) => Some(LoginBlock::Refused),
            None => self.is_over_rate(now).then_some(LoginBlock::TooMany),
        }
    }

    fn is_over_rate(&self, now: Moment) -> bool {
        self.recent.within_window(now) >= MOST_LOGINS
    }

    /// Notes a login, before it is sent: one that is never answered counts too.
    pub fn note(&mut self, now: Moment) {
        let mut logins = self.recent.logins();
        logins.push_back(now);
        if logins.len() > MOST_LOGINS {
            logins.pop_front();
        }
    }

    /// Notes a refusal: no more until [`Self::allow`].
    pub fn refuse(&mut self, refusal: AuthError) {
        self.refused = Some(refusal);
    }

    /// The credential changed, or an operator asks: a refusal is forgotten, the rate is not.
    pub fn allow(&mut self) {
        self.refused = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Moment {
        Moment {
            wall_ms: 0.0,
            monotonic: Duration::from_secs(minutes * 60),
        }
    }

    #[test]
    fn three_logins_in_fifteen_minutes_and_no_more() {
        let mut breaker = Breaker::default();
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
        let mut breaker = Breaker::default();
        breaker.note(at(0));
        breaker.refuse(AuthError::LoginWithoutSession);
        assert_eq!(breaker.block(at(100_000)), Some(LoginBlock::Refused));
        breaker.allow();
        assert_eq!(breaker.block(at(0)), None);
    }

    #[test]
    fn lifting_a_refusal_does_not_lift_the_rate() {
        let mut breaker = Breaker::default();
        (0..3).for_each(|minute| breaker.note(at(minute)));
        breaker.refuse(AuthError::LoginWithoutSession);
        breaker.allow();
        assert_eq!(breaker.block(at(3)), Some(LoginBlock::TooMany));
    }

    #[test]
    fn the_next_breaker_inherits_the_rate_and_no_refusal() {
        let history = LoginHistory::default();
        let mut first = Breaker::new(history.clone());
        (0..3).for_each(|minute| first.note(at(minute)));
        first.refuse(AuthError::LoginWithoutSession);
        drop(first);
        let next = Breaker::new(history.clone());
        assert_eq!(next.block(at(3)), Some(LoginBlock::TooMany));
        assert!(!history.is_past(at(16)));
        assert!(history.is_past(at(17)));
        assert_eq!(next.block(at(17)), None);
    }

    #[test]
    fn a_wall_clock_set_forward_allows_nothing() {
        let mut breaker = Breaker::default();
        (0..3).for_each(|minute| breaker.note(at(minute)));
        let jumped = Moment {
            wall_ms: 1e12,
            ..at(3)
        };
        assert_eq!(breaker.block(jumped), Some(LoginBlock::TooMany));
    }
}
