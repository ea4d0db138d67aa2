//! How an account is doing in one word, worst first.

use crate::clock::Moment;
use crate::status::AccountStatus;

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
    /// Nothing has been asked yet.
    Starting,
    /// No session is open.
    NoneOpen,
    /// Sessions are open and nothing is wrong.
    Ok,
}

impl State {
    pub(super) const ALL: [State; 7] = [
        State::RuleBroken,
        State::LoginBlocked,
        State::Unknown,
        State::Failing,
        State::Starting,
        State::NoneOpen,
        State::Ok,
    ];

    /// Judges an account as of `now`.
    pub(super) fn of(status: &AccountStatus, now: Moment) -> Self {
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
            Self::Starting => "\u{2026}",
            Self::NoneOpen => "\u{25CB}",
            Self::Ok => "\u{2713}",
        }
    }

    /// Whether somebody should look.
    pub(super) fn needs_attention(self) -> bool {
        self <= Self::Failing
    }
}
