//! The last good answer in numbers.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Timestamps;
use crate::session::diff::LastAnswer;
use crate::session::rules::{Policy, Rule};
use crate::session::safety_type::{KnownTypes, SafetyType};
use crate::session::{ClientAddress, Session};

/// Sessions that have series of their own.
const MAX_DETAILS: usize = 100;

/// `TRADERNET_SESSION_DETAILS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionDetails {
    /// Only counts and times.
    #[default]
    Off,
    /// A series for each session, with its id and type.
    Anonymous,
    /// A series for each session, with its id, type, login and address.
    Full,
}

/// The last good answer in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// When the answer was received.
    pub received_at: Timestamps,
    /// Open sessions.
    pub open: u64,
    /// Open sessions by safety type, with every type seen so far, by ascending id.
    pub by_safety_type: Vec<(SafetyType, u64)>,
    /// Shortest and longest time left in milliseconds when the answer was received: 0 when no session
    /// is open, `None` where none of the open ones can be read.
    pub remaining_ms: Option<Range>,
    /// First and last expiry in milliseconds since the epoch; `None` where there is none to read.
    pub expires_at_ms: Option<Range>,
    /// Open sessions whose time left cannot be read.
    pub expire_unknown: u64,
    /// The longest lifetime in milliseconds, where any is known.
    pub max_lifetime_ms: Option<f64>,
    /// Distinct client addresses.
    pub client_ips: u64,
    /// Distinct `user_login`s.
    pub logins: u64,
    /// The sessions that count for the minimum, where a minimum is configured.
    pub required: Option<RequiredSessions>,
    /// For every configured rule how many sessions break it.
    pub violating: Vec<(Rule, u64)>,
    /// Entries that are not sessions, or repeat an id.
    pub undecodable: u64,
    /// The content of [`Self::details`].
    pub detail_level: SessionDetails,
    /// Sessions that break a rule first, then the soonest to expire; empty with details off.
    pub details: Vec<SessionDetail>,
}

/// The open sessions that count for `min_sessions`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequiredSessions {
    /// How many.
    pub open: u64,
    /// Their latest expiry in milliseconds since the epoch; `None` where none can be read.
    pub max_expiry_ms: Option<f64>,
}

/// Least and greatest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        values
            .map(|value| Self {
                min: value,
                max: value,
            })
            .reduce(|range, value| Self {
                min: range.min.min(value.min),
                max: range.max.max(value.max),
            })
    }
}

/// One open session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionDetail {
    /// The session's id.
    pub id: u64,
    /// Its safety type.
    pub safety_type: SafetyType,
    /// `user_login`; only with full details.
    pub user_login: Option<Arc<str>>,
    /// Client address; only with full details.
    pub client: Option<ClientAddress>,
    /// Its expiry in milliseconds since the epoch, where it can be read.
    pub expires_at_ms: Option<f64>,
    /// The rules it breaks.
    pub violated_rules: Vec<Rule>,
}

impl LastAnswer {
    pub(super) fn summary(
        &self,
        policy: &Policy,
        detail_level: SessionDetails,
        known_types: &mut KnownTypes,
    ) -> Summary {
        let sessions = self.sessions();
        let broken_rules = |session| policy.violations(session, self.remaining_ms(session));
        let violations: Vec<Vec<Rule>> = sessions.iter().map(broken_rules).collect();
        let lifetimes = Range::of(sessions.iter().filter_map(|s| s.lifetime_ms));
        let required = policy.min_sessions.map(|_| self.required(policy));
        Summary {
            received_at: self.snapshot.received_at,
            open: sessions.len() as u64,
            by_safety_type: known_types.count(sessions),
            remaining_ms: match sessions {
                [] => Some(Range { min: 0.0, max: 0.0 }),
                _ => Range::of(sessions.iter().filter_map(|s| self.remaining_ms(s))),
            },
            expires_at_ms: Range::of(self.expiry_ms.values().copied()),
            expire_unknown: sessions.iter().filter(|s| s.time_left.is_none()).count() as u64,
            max_lifetime_ms: lifetimes.map(|range| range.max),
            client_ips: distinct(sessions.iter().filter_map(|s| s.client.as_ref())),
            logins: distinct(sessions.iter().filter_map(|s| s.user_login.as_ref())),
            required,
            violating: violating(policy, &violations, required),
            undecodable: self.snapshot.list.undecodable(),
            detail_level,
            details: self.details(detail_level, violations, known_types),
        }
    }

    fn sessions(&self) -> &[Session] {
        self.snapshot.list.sessions()
    }

    fn remaining_ms(&self, session: &Session) -> Option<f64> {
        session
            .time_left
            .map(|left| self.unit.to_milliseconds(left))
    }

    fn expires_at_ms(&self, session: &Session) -> Option<f64> {
        self.expiry_ms.get(&session.id).copied()
    }

    fn required(&self, policy: &Policy) -> RequiredSessions {
        let required = self
            .sessions()
            .iter()
            .filter(|s| policy.counts_for_minimum(s));
        let expiries = required.clone().filter_map(|s| self.expires_at_ms(s));
        RequiredSessions {
            max_expiry_ms: Range::of(expiries).map(|range| range.max),
            open: required.count() as u64,
        }
    }

    fn details(
        &self,
        level: SessionDetails,
        violations: Vec<Vec<Rule>>,
        known_types: &KnownTypes,
    ) -> Vec<SessionDetail> {
        if level == SessionDetails::Off {
            return Vec::new();
        }
        let full = level == SessionDetails::Full;
        let mut details: Vec<_> = (self.sessions().iter().zip(violations))
            .map(|(session, violated_rules)| SessionDetail {
                id: session.id,
                safety_type: known_types.label(session.safety_type),
                user_login: session.user_login.clone().filter(|_| full),
                client: session.client.clone().filter(|_| full),
                expires_at_ms: self.expires_at_ms(session),
                violated_rules,
            })
            .collect();
        let order = |detail: &SessionDetail| {
            let expiry = detail.expires_at_ms.unwrap_or(f64::INFINITY);
            (detail.violated_rules.is_empty(), expiry, detail.id)
        };
        details.sort_by(|a, b| order(a).partial_cmp(&order(b)).unwrap_or(Ordering::Equal));
        details.truncate(MAX_DETAILS);
        details
    }
}

/// How many sessions break each configured rule; of the bounds, how many are too many or missing.
fn violating(
    policy: &Policy,
    violations: &[Vec<Rule>],
    required: Option<RequiredSessions>,
) -> Vec<(Rule, u64)> {
    let open = violations.len() as u64;
    let required = required.map_or(0, |required| required.open);
    let count = |rule: Rule| match rule {
        Rule::MaxSessions => open.saturating_sub(policy.max_sessions.unwrap_or(open)),
        Rule::MinSessions => policy.min_sessions.unwrap_or(0).saturating_sub(required),
        _ => violations.iter().filter(|of| of.contains(&rule)).count() as u64,
    };
    let configured = Rule::ALL.into_iter().filter(|rule| policy.has(*rule));
    configured.map(|rule| (rule, count(rule))).collect()
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> u64 {
    values.collect::<BTreeSet<_>>().len() as u64
}
