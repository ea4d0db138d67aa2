//! The last good answer in numbers.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use crate::clock::Timestamps;
use crate::session::expire_unit::Unit;
use crate::session::rules::{Policy, Rule};
use crate::session::safety_type::{KnownTypes, SafetyType};
use crate::session::{ClientAddress, Session, Snapshot};

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
    /// Shortest and longest time left; `None` where sessions are open and none can be read.
    pub expiry: Option<Expiry>,
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

/// Shortest and longest time left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expiry {
    /// Milliseconds left when the answer was received; 0 when no session is open.
    pub remaining_ms: Range,
    /// The same as points in time, in milliseconds since the epoch; `None` when none is open.
    pub expires_at_ms: Option<Range>,
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

/// What [`Self::summary`] is made of.
pub(super) struct Facts<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) policy: &'a Policy,
    pub(super) detail_level: SessionDetails,
    pub(super) unit: Unit,
    /// Each readable session's expiry in milliseconds since the epoch.
    pub(super) expiry_ms: &'a HashMap<u64, f64>,
}

impl Facts<'_> {
    pub(super) fn summary(&self, known_types: &mut KnownTypes) -> Summary {
        let sessions = self.sessions();
        let by_safety_type = known_types.count(sessions);
        let violations: Vec<Vec<Rule>> = sessions.iter().map(|s| self.violations(s)).collect();
        let required = self.policy.min_sessions.map(|_| self.required());
        Summary {
            received_at: self.snapshot.received_at,
            open: sessions.len() as u64,
            by_safety_type,
            expiry: self.expiry(),
            expire_unknown: sessions.iter().filter(|s| s.time_left.is_none()).count() as u64,
            max_lifetime_ms: Range::of(sessions.iter().filter_map(|s| s.lifetime_ms))
                .map(|range| range.max),
            client_ips: distinct(sessions.iter().filter_map(|s| s.client.as_ref())),
            logins: distinct(sessions.iter().filter_map(|s| s.user_login.as_ref())),
            required,
            violating: self.violating(&violations, required),
            undecodable: self.snapshot.list.undecodable(),
            detail_level: self.detail_level,
            details: self.details(violations, known_types),
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

    fn expiry(&self) -> Option<Expiry> {
        if self.sessions().is_empty() {
            return Some(Expiry {
                remaining_ms: Range { min: 0.0, max: 0.0 },
                expires_at_ms: None,
            });
        }
        Some(Expiry {
            remaining_ms: Range::of(self.sessions().iter().filter_map(|s| self.remaining_ms(s)))?,
            expires_at_ms: Range::of(self.expiry_ms.values().copied()),
        })
    }

    fn required(&self) -> RequiredSessions {
        let counts_for_minimum = |session: &&Session| self.policy.counts_for_minimum(session);
        let required = self.sessions().iter().filter(counts_for_minimum);
        let expiries = required.clone().filter_map(|s| self.expires_at_ms(s));
        RequiredSessions {
            max_expiry_ms: Range::of(expiries).map(|range| range.max),
            open: required.count() as u64,
        }
    }

    fn violations(&self, session: &Session) -> Vec<Rule> {
        self.policy.violations(session, self.remaining_ms(session))
    }

    fn violating(
        &self,
        violations: &[Vec<Rule>],
        required: Option<RequiredSessions>,
    ) -> Vec<(Rule, u64)> {
        let open = self.sessions().len() as u64;
        let count = |rule: Rule| match rule {
            Rule::MaxSessions => self.policy.excess(open).unwrap_or_default(),
            Rule::MinSessions => required
                .and_then(|required| self.policy.shortfall(required.open))
                .unwrap_or_default(),
            _ => violations.iter().filter(|of| of.contains(&rule)).count() as u64,
        };
        let configured = Rule::ALL.into_iter().filter(|rule| self.policy.has(*rule));
        configured.map(|rule| (rule, count(rule))).collect()
    }

    fn details(&self, violations: Vec<Vec<Rule>>, known_types: &KnownTypes) -> Vec<SessionDetail> {
        if self.detail_level == SessionDetails::Off {
            return Vec::new();
        }
        let full = self.detail_level == SessionDetails::Full;
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
        let expiry = |detail: &SessionDetail| detail.expires_at_ms.unwrap_or(f64::INFINITY);
        details.sort_by(|a, b| {
            (a.violated_rules
                .is_empty()
                .cmp(&b.violated_rules.is_empty()))
            .then(expiry(a).total_cmp(&expiry(b)))
            .then(a.id.cmp(&b.id))
        });
        details.truncate(MAX_DETAILS);
        details
    }
}

fn distinct<T: Ord + Hash>(values: impl Iterator<Item = T>) -> u64 {
    values.collect::<BTreeSet<_>>().len() as u64
}
