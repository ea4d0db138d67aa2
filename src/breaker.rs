//! The circuit breaker of logins: one login too many can lock a client out of the market.

use std::collections::VecDeque;
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
    recent: VecDeque<Moment>,
    /// The refusal that tripped it.
    refused: Option<AuthError>,
}

impl Breaker {
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
        // By the monotonic clock: a wall clock set forward must not allow a fourth.
        let within = self
            .recent
            .iter()
            .filter(|then| now.monotonic_since(**then) < WINDOW)
            .count();
        within >= MOST_LOGINS
    }

    /// Notes a login, before it is sent: one that is never answered counts too.
    pub fn note(&mut self, now: Moment) {
        self.recent.push_back(now);
        if self.recent.len() > MOST_LOGINS {
            self.recent.pop_front();
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
