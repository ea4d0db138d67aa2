//! How an account is doing in one word, worst first.

use crate::clock::Timestamps;
use crate::session::summary::Summary;
use crate::status::AccountStatus;

/// An account whose last session ends within this is about to be without one.
const SOON_MS: f64 = 300_000.0;

/// An account's state; what needs attention most compares least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// A rule is broken as of an answer that is still believed.
    RuleBroken,
    /// The last attempt failed and no login is tried.
    LoginBlocked,
    /// There is no answer, or none that is still believed.
    Unknown,
    /// The last attempt failed; the answer before it is still believed.
    Failing,
    /// Every session whose end can be read ends within five minutes, and the unit is settled.
    Expiring,
    /// Nothing has been asked yet.
    Starting,
    /// No session is open.
    NoneOpen,
    /// Sessions are open and nothing is wrong.
    Ok,
}

impl State {
    pub(super) const ALL: [State; 8] = [
        State::RuleBroken,
        State::LoginBlocked,
        State::Unknown,
        State::Failing,
        State::Expiring,
        State::Starting,
        State::NoneOpen,
        State::Ok,
    ];

    /// Judges an account as of `now`.
    pub(super) fn of(status: &AccountStatus, now: Timestamps) -> Self {
        let view = status.fresh_view(now);
        let failed = status.up() == Some(false);
        match view {
            Some(view) if view.violating.iter().any(|(_, count)| *count > 0) => Self::RuleBroken,
            // A breaker that has tripped while the session still serves is no trouble yet.
            _ if failed && status.login_blocked.is_some() => Self::LoginBlocked,
            None if status.last_attempt.is_none() => Self::Starting,
            None => Self::Unknown,
            Some(_) if failed => Self::Failing,
            Some(view) if view.open == 0 => Self::NoneOpen,
            Some(view) if status.unit.confirmed && ends_soon(view, now) => Self::Expiring,
            Some(_) => Self::Ok,
        }
    }

    /// The word in the API and in class names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RuleBroken => "rule_broken",
            Self::LoginBlocked => "login_blocked",
            Self::Unknown => "unknown",
            Self::Failing => "failing",
            Self::Expiring => "expiring",
            Self::Starting => "starting",
            Self::NoneOpen => "none_open",
            Self::Ok => "ok",
        }
    }

    /// The words on the page.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::RuleBroken => "Rule broken",
            Self::LoginBlocked => "Login blocked",
            Self::Unknown => "Unknown",
            Self::Failing => "Failing",
            Self::Expiring => "Expiring",
            Self::Starting => "Starting",
            Self::NoneOpen => "None open",
            Self::Ok => "OK",
        }
    }

    /// A shape, so that states differ without colour; all of them in any font.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::RuleBroken => "\u{25B2}",
            Self::LoginBlocked => "\u{25A0}",
            Self::Unknown => "?",
            Self::Failing => "!",
            Self::Expiring => "\u{25BC}",
            Self::Starting => "\u{2026}",
            Self::NoneOpen => "\u{25CB}",
            Self::Ok => "\u{2713}",
        }
    }

    /// Whether somebody should look.
    pub(super) fn needs_attention(self) -> bool {
        self <= Self::Expiring
    }
}

/// Whether the longest time left that can be read is nearly over, or over.
fn ends_soon(view: &Summary, now: Timestamps) -> bool {
    view.expiry
        .and_then(|expiry| expiry.expires_at_ms)
        .is_some_and(|at| at.max - now.wall_ms < SOON_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::rules::Policy;
    use crate::session::summary::SessionDetails;
    use crate::tradernet::Error;
    use crate::web::test_support::{NOW, ago, answered, failed, reading, session};

    fn account(minutes_left: &[u32], arrival: Timestamps) -> AccountStatus {
        let quiet = reading(Policy::default(), SessionDetails::Off);
        let sessions = (0..).zip(minutes_left);
        let sessions = sessions.map(|(id, minutes)| session(id, 4, *minutes));
        answered("a", quiet, sessions.collect(), arrival)
    }

    #[test]
    fn about_to_be_without_a_session() {
        for (minutes_left, arrival, state) in [
            (&[4][..], NOW, State::Expiring),
            (&[4, 3], NOW, State::Expiring),
            // The last one counts, as of now and not as of the answer.
            (&[4, 60], NOW, State::Ok),
            (&[5], NOW, State::Ok),
            (&[5], ago(1), State::Expiring),
            // The clock closes nothing.
            (&[1], ago(80), State::Expiring),
            (&[], NOW, State::NoneOpen),
            (&[4], ago(91), State::Unknown),
        ] {
            let status = account(minutes_left, arrival);
            assert_eq!(State::of(&status, NOW), state, "{minutes_left:?}");
        }
        assert!(State::Expiring.needs_attention());
        assert!(!State::Starting.needs_attention());
    }

    #[test]
    fn an_unsettled_unit_raises_no_alarm() {
        let mut status = account(&[4], NOW);
        status.unit.confirmed = false;
        assert_eq!(State::of(&status, NOW), State::Ok);
    }

    #[test]
    fn a_failed_poll_is_worse_than_a_session_that_ends() {
        let error = Error::HttpStatus {
            status: 502,
            retry_after: None,
        };
        let status = failed(account(&[4], NOW), &error, NOW);
        assert_eq!(State::of(&status, NOW), State::Failing);
    }
}
