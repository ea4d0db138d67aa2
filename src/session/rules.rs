//! What should not be there: pure rules over a previous and a current answer.
//!
//! It decides; it neither fetches, nor counts over time, nor publishes.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

use crate::clock::Timestamps;
use crate::session::{ClientAddress, Session, SessionList};

/// Slack between a session's computed end and the answer that misses it: both are rounded.
pub const EXPIRY_SLACK_MS: f64 = 2000.0;

/// What an operator expects of an account's sessions; `None` allows anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Networks that sessions may be opened from.
    pub client_ips: Option<Vec<IpNet>>,
    /// Safety types that sessions may have.
    pub safety_types: Option<BTreeSet<i64>>,
    /// `user_login`s that sessions may carry.
    pub logins: Option<BTreeSet<String>>,
    /// Fewest sessions that should be open.
    pub min_sessions: Option<u64>,
    /// Safety types of the sessions that count for `min_sessions`.
    pub min_sessions_safety_types: Option<BTreeSet<i64>>,
    /// Most sessions that should be open.
    pub max_sessions: Option<u64>,
    /// Longest time between a session's opening and closing date.
    pub max_lifetime: Option<Duration>,
}

/// A rule that sessions can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Opened from an address that is not allowed, or from none.
    ClientIp,
    /// Opened by a type that is not allowed, or by none.
    SafetyType,
    /// Opened for a login that is not allowed, or for none.
    Login,
    /// Lives longer than allowed.
    Lifetime,
    /// More sessions than allowed.
    MaxSessions,
    /// Fewer sessions than expected.
    MinSessions,
}

impl Rule {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Rule; 6] = [
        Rule::ClientIp,
        Rule::SafetyType,
        Rule::Login,
        Rule::Lifetime,
        Rule::MaxSessions,
        Rule::MinSessions,
    ];

    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientIp => "client_ip",
            Self::SafetyType => "safety_type",
            Self::Login => "login",
            Self::Lifetime => "lifetime",
            Self::MaxSessions => "max_sessions",
            Self::MinSessions => "min_sessions",
        }
    }
}

impl Policy {
    /// Whether the operator configured that rule.
    pub fn has(&self, rule: Rule) -> bool {
        match rule {
            Rule::ClientIp => self.client_ips.is_some(),
            Rule::SafetyType => self.safety_types.is_some(),
            Rule::Login => self.logins.is_some(),
            Rule::Lifetime => self.max_lifetime.is_some(),
            Rule::MaxSessions => self.max_sessions.is_some(),
            Rule::MinSessions => self.min_sessions.is_some(),
        }
    }

    /// The rules that this one session breaks. `time_left_ms` is its time left in milliseconds.
    pub fn broken_by(&self, session: &Session, time_left_ms: Option<f64>) -> Vec<Rule> {
        let mut broken = Vec::new();
        let mut judge = |rule, allowed: Option<bool>| {
            if allowed == Some(false) {
                broken.push(rule);
            }
        };
        judge(
            Rule::ClientIp,
            self.client_ips
                .as_ref()
                .map(|networks| match &session.client {
                    Some(ClientAddress::Ip(ip)) => {
                        networks.iter().any(|network| network.contains(ip))
                    }
                    Some(ClientAddress::Other(_)) | None => false,
                }),
        );
        judge(
            Rule::SafetyType,
            self.safety_types
                .as_ref()
                .map(|types| session.safety_type.is_some_and(|id| types.contains(&id))),
        );
        judge(
            Rule::Login,
            self.logins.as_ref().map(|logins| {
                session
                    .user_login
                    .as_deref()
                    .is_some_and(|login| logins.contains(login))
            }),
        );
        judge(
            Rule::Lifetime,
            // Neither lifetime nor time left: a session without an end is what this rule is for.
            self.max_lifetime.map(|limit| {
                session
                    .lifetime_ms
                    .or(time_left_ms)
                    .is_some_and(|ms| ms <= limit.as_secs_f64() * 1000.0)
            }),
        );
        broken
    }

    /// How many sessions there are too many, where a maximum is configured.
    pub fn too_many(&self, open: u64) -> Option<u64> {
        self.max_sessions.map(|most| open.saturating_sub(most))
    }

    /// How many sessions are missing, where a minimum is configured. `required` is the number of
    /// open sessions that count for it.
    pub fn too_few(&self, required: u64) -> Option<u64> {
        self.min_sessions
            .map(|fewest| fewest.saturating_sub(required))
    }

    /// Whether a session counts for the minimum.
    pub fn counts_for_minimum(&self, session: &Session) -> bool {
        self.min_sessions_safety_types
            .as_ref()
            .is_none_or(|types| session.safety_type.is_some_and(|id| types.contains(&id)))
    }
}

/// Why a session is gone from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Its time was over.
    Expired,
    /// Before its time.
    Ended,
    /// It cannot be told.
    Unknown,
}

impl CloseReason {
    /// All of them, in the order in which they are listed.
    pub const ALL: [CloseReason; 3] = [
        CloseReason::Expired,
        CloseReason::Ended,
        CloseReason::Unknown,
    ];

    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Ended => "ended",
            Self::Unknown => "unknown",
        }
    }
}

/// The last good answer, as the next one is compared with it.
pub struct PreviousAnswer<'a> {
    /// Its sessions.
    pub list: &'a SessionList,
    /// When it arrived, or a stream last confirmed it.
    pub arrival: Timestamps,
    /// A session's last known end in milliseconds since the epoch.
    pub expiry_ms: &'a dyn Fn(u64) -> Option<f64>,
}

/// What opened and closed between two good answers; a renewal (same id) is neither.
pub struct SessionDiff {
    /// Sessions that the previous answer did not have.
    pub opened: u64,
    /// Why each session that is gone is gone.
    pub closed: Vec<CloseReason>,
}

/// Compares two good answers. `unit_settled` is whether the ends can be believed.
pub fn changes(
    before: &PreviousAnswer<'_>,
    current: &SessionList,
    arrival: Timestamps,
    unit_settled: bool,
    max_age: Duration,
) -> SessionDiff {
    let opened = current
        .sessions()
        .iter()
        .filter(|session| before.list.get(session.id).is_none());
    let gone = before
        .list
        .sessions()
        .iter()
        .filter(|session| current.get(session.id).is_none());
    let long_gap = arrival.age_of(before.arrival) > max_age;
    let reason = |session: &Session| match (before.expiry_ms)(session.id) {
        None => CloseReason::Unknown,
        Some(_) if !unit_settled => CloseReason::Unknown,
        Some(end) if end > arrival.wall_ms + EXPIRY_SLACK_MS => CloseReason::Ended,
        // It may have been renewed or closed while nobody looked.
        Some(end) if long_gap && end > before.arrival.wall_ms => CloseReason::Unknown,
        Some(_) => CloseReason::Expired,
    };
    SessionDiff {
        opened: opened.count() as u64,
        closed: gone.map(reason).collect(),
    }
}

#[cfg(test)]
mod tests;
