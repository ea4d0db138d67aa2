//! The state of an account in one word, as the page, the JSON, the dashboard and the alerts call it.

use crate::clock::Timestamps;
use crate::session::summary::Summary;
use crate::status::AccountStatus;

/// An account whose last session ends within half an hour is expiring: time enough to renew it. The
/// alerts warn and the dashboard turns yellow at the same time (`expiry_warning`).
pub(super) const EXPIRING_MS: f64 = 1_800_000.0;

const RED: &str = "c62828";
const ORANGE: &str = "c2570c";
const YELLOW: &str = "ca8a04";
const BLUE: &str = "2563eb";
const GREY: &str = "64748b";
const GREEN: &str = "15803d";

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
    /// Every session with a readable end, or every one that counts for a configured minimum, ends within
    /// half an hour, and the unit is confirmed.
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

    /// Name, text, symbol and colour. The symbols are in any font: states differ without colour too.
    fn vocabulary(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::LoginBlocked => ("login_blocked", "login blocked", "\u{25A0}", RED),
            Self::RuleBroken => ("rule_broken", "rule broken", "\u{25B2}", RED),
            Self::NoData => ("no_data", "no data", "?", RED),
            Self::Failing => ("failing", "failing", "!", ORANGE),
            Self::Expiring => ("expiring", "expiring", "\u{25BC}", YELLOW),
            Self::NoSession => ("no_session", "no session", "\u{25CB}", BLUE),
            Self::Starting => ("starting", "starting", "\u{2026}", GREY),
            Self::Ok => ("ok", "OK", "\u{2713}", GREEN),
        }
    }

    /// The value of `?state=`, in the JSON and in class names.
    pub(super) fn name(self) -> &'static str {
        self.vocabulary().0
    }

    /// The text on the page.
    pub(super) fn text(self) -> &'static str {
        self.vocabulary().1
    }

    pub(super) fn symbol(self) -> &'static str {
        self.vocabulary().2
    }

    /// The colour of the tab's icon.
    pub(super) fn icon_colour(self) -> &'static str {
        self.vocabulary().3
    }

    /// Whether a person should look at the account.
    pub(super) fn needs_attention(self) -> bool {
        self <= Self::Expiring
    }
}

/// When an account's last session ends, in milliseconds since the epoch: of the sessions that count
/// for the minimum, where one is configured.
pub(super) fn last_end_ms(summary: &Summary) -> Option<f64> {
    match summary.required {
        Some(required) => required.max_expiry_ms,
        None => Some(summary.expires_at_ms?.max),
    }
}

/// Whether the longest readable time left is nearly over, or over.
fn is_expiring(summary: &Summary, now: Timestamps) -> bool {
    last_end_ms(summary).is_some_and(|at_ms| at_ms - now.wall_ms < EXPIRING_MS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::session::rules::Policy;
    use crate::session::summary::SessionDetails;
    use crate::tradernet::{Error, ResponseHead};
    use crate::web::test_support::{NOW, ago, answered, failed, reading, session};

    fn account(minutes_left: &[u32], arrival: Timestamps) -> AccountStatus {
        let quiet = reading(Policy::default(), SessionDetails::Off);
        let sessions = (0..).zip(minutes_left);
        let sessions = sessions.map(|(id, minutes)| session(id, 4, *minutes));
        answered("a", quiet, sessions.collect(), arrival)
    }

    #[test]
    fn expiring_within_half_an_hour_of_the_last_end() {
        for (minutes_left, arrival, state) in [
            (&[29][..], NOW, AccountHealth::Expiring),
            (&[29, 3], NOW, AccountHealth::Expiring),
            // The last session counts, as of now and not as of the answer.
            (&[4, 60], NOW, AccountHealth::Ok),
            (&[30], NOW, AccountHealth::Ok),
            (&[30], ago(1), AccountHealth::Expiring),
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
    fn only_required_sessions_count_for_expiring() {
        let policy = Policy {
            min_sessions: Some(1),
            min_sessions_safety_types: Some([2].into()),
            ..Policy::default()
        };
        let sessions = |minutes| vec![session(1, 2, minutes), session(2, 14, 60)];
        let status = |minutes| {
            let reading = reading(policy.clone(), SessionDetails::Off);
            answered("a", reading, sessions(minutes), NOW)
        };
        let health = |minutes| AccountHealth::of(&status(minutes), NOW);
        assert_eq!(health(29), AccountHealth::Expiring);
        assert_eq!(health(31), AccountHealth::Ok);
    }

    #[test]
    fn page_alerts_and_dashboard_have_one_threshold() {
        let seconds = EXPIRING_MS / 1000.0;
        let alerts = include_str!("../../dashboards/alerts.yaml");
        assert!(alerts.contains(&format!("\n#   expiry_warning = {seconds}\n")));
        let dashboard = include_str!("../../dashboards/tradernet-security-sessions.json");
        let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let variables = dashboard.pointer("/templating/list").unwrap();
        let variables = variables.as_array().unwrap();
        let warning = variables.iter().find(|of| of["label"] == "Warning (s)");
        assert_eq!(warning.unwrap()["query"], seconds.to_string());
        let script = include_str!("page/page.js");
        assert!(script.contains(&format!("LOW_MS = {EXPIRING_MS},")));
    }

    #[test]
    fn unconfirmed_unit_is_not_expiring() {
        let mut status = account(&[4], NOW);
        status.unit.confirmed = false;
        assert_eq!(AccountHealth::of(&status, NOW), AccountHealth::Ok);
    }

    #[test]
    fn failing_is_more_urgent_than_expiring() {
        let error = Error::HttpStatus(ResponseHead {
            status: Some(502),
            ..ResponseHead::default()
        });
        let status = failed(account(&[4], NOW), &error, NOW);
        assert_eq!(AccountHealth::of(&status, NOW), AccountHealth::Failing);
    }
}
