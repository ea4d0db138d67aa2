//! The state of an account in one word, as the page, the JSON, the dashboard and the alerts call it.

use crate::clock::Timestamps;
use crate::session::summary::Summary;
use crate::status::AccountStatus;

/// An account whose last session ends within this is about to be without one.
const EXPIRING_MS: f64 = 300_000.0;

/// An account's state, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AccountHealth {
    /// The last attempt failed and no login is made.
    LoginBlocked,
    /// A rule is broken by the last answer, which is not too old.
    RuleBroken,
    /// There is no answer, or only one that is too old.
    NoData,
    /// The last attempt failed; the answer before it is not too old.
    Failing,
    /// Every session with a readable end ends within five minutes, and the unit is confirmed.
    Expiring,
    /// No session is open.
    NoSession,
    /// Not polled yet.
    Starting,
    /// Sessions are open and nothing is wrong.
    Ok,
}

impl AccountHealth {
    pub(super) const ALL: [Self; 8] = [
        Self::LoginBlocked,
        Self::RuleBroken,
        Self::NoData,
        Self::Failing,
        Self::Expiring,
        Self::NoSession,
        Self::Starting,
        Self::Ok,
    ];

    /// The state of an account at `now`.
    pub(super) fn of(status: &AccountStatus, now: Timestamps) -> Self {
        let summary = status.fresh_view(now);
        let failed = status.up() == Some(false);
        match summary {
            // A breaker that has tripped while the SID still works is not urgent yet.
            _ if failed && status.login_blocked.is_some() => Self::LoginBlocked,
            Some(summary) if summary.violating.iter().any(|(_, count)| *count > 0) => {
                Self::RuleBroken
            }
            None if status.last_attempt.is_none() => Self::Starting,
            None => Self::NoData,
            Some(_) if failed => Self::Failing,
            Some(summary) if summary.open == 0 => Self::NoSession,
            Some(summary) if status.unit.confirmed && is_expiring(summary, now) => Self::Expiring,
            Some(_) => Self::Ok,
        }
    }

    /// The value of `?state=`, in the JSON and in class names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LoginBlocked => "login_blocked",
            Self::RuleBroken => "rule_broken",
            Self::NoData => "no_data",
            Self::Failing => "failing",
            Self::Expiring => "expiring",
            Self::NoSession => "no_session",
            Self::Starting => "starting",
            Self::Ok => "ok",
        }
    }

    /// The text on the page.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::LoginBlocked => "login blocked",
            Self::RuleBroken => "rule broken",
            Self::NoData => "no data",
            Self::Failing => "failing",
            Self::Expiring => "expiring",
            Self::NoSession => "no session",
            Self::Starting => "starting",
            Self::Ok => "OK",
        }
    }

    /// A shape that is in any font: states differ without colour too.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::LoginBlocked => "\u{25A0}",
            Self::RuleBroken => "\u{25B2}",
            Self::NoData => "?",
            Self::Failing => "!",
            Self::Expiring => "\u{25BC}",
            Self::NoSession => "\u{25CB}",
            Self::Starting => "\u{2026}",
            Self::Ok => "\u{2713}",
        }
    }

    /// The colour of the tab's icon: red, orange, yellow, blue, grey or green.
    pub(super) fn icon_colour(self) -> &'static str {
        match self {
            Self::LoginBlocked | Self::RuleBroken | Self::NoData => "c62828",
            Self::Failing => "c2570c",
            Self::Expiring => "ca8a04",
            Self::NoSession => "2563eb",
            Self::Starting => "64748b",
            Self::Ok => "15803d",
        }
    }

    /// Whether a person should look at the account.
    pub(super) fn needs_attention(self) -> bool {
        self <= Self::Expiring
    }
}

/// Whether the longest readable time left is nearly over, or over.
fn is_expiring(summary: &Summary, now: Timestamps) -> bool {
    summary
        .expiry
        .and_then(|expiry| expiry.expires_at_ms)
        .is_some_and(|at| at.max - now.wall_ms < EXPIRING_MS)
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
    fn expiring_within_five_minutes_of_the_last_end() {
        for (minutes_left, arrival, state) in [
            (&[4][..], NOW, AccountHealth::Expiring),
            (&[4, 3], NOW, AccountHealth::Expiring),
            // The last session counts, as of now and not as of the answer.
            (&[4, 60], NOW, AccountHealth::Ok),
            (&[5], NOW, AccountHealth::Ok),
            (&[5], ago(1), AccountHealth::Expiring),
            // Nothing is closed by the clock alone.
            (&[1], ago(80), AccountHealth::Expiring),
            (&[], NOW, AccountHealth::NoSession),
            (&[4], ago(91), AccountHealth::NoData),
        ] {
            let status = account(minutes_left, arrival);
            assert_eq!(AccountHealth::of(&status, NOW), state, "{minutes_left:?}");
        }
        assert!(AccountHealth::Expiring.needs_attention());
        assert!(!AccountHealth::NoSession.needs_attention());
    }

    #[test]
    fn unconfirmed_unit_is_not_expiring() {
        let mut status = account(&[4], NOW);
        status.unit.confirmed = false;
        assert_eq!(AccountHealth::of(&status, NOW), AccountHealth::Ok);
    }

    #[test]
    fn failing_is_more_urgent_than_expiring() {
        let error = Error::HttpStatus {
            status: 502,
            retry_after: None,
        };
        let status = failed(account(&[4], NOW), &error, NOW);
        assert_eq!(AccountHealth::of(&status, NOW), AccountHealth::Failing);
    }
}
