//! What one account's good answers add up to: counters, the view of the last answer, the unit.
//!
//! Pure: an answer and its arrival in, a [`Summary`] out. It knows neither where answers come from
//! nor how a view is shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamps;
use crate::session::expire_unit::{Unit, UnitDetector, UnitSetting};
use crate::session::rules::{self, CloseReason, EXPIRY_SLACK_MS, Policy, PreviousAnswer, Rule};
use crate::session::safety_type::SafetyType;
use crate::session::{ClientAddress, Session, SessionList, Snapshot};

/// Ids of safety types that have a series of their own; an account that invents ids has no more.
const MOST_SAFETY_TYPES: usize = 32;
/// Sessions that have series of their own.
const MOST_DETAILS: usize = 100;

/// `TRADERNET_SESSION_DETAILS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionDetails {
    /// Numbers alone.
    #[default]
    Off,
    /// A series for each session, with its id and type.
    Anonymous,
    /// The same, with login and address.
    Full,
}

/// How answers are read and judged.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackingConfig {
    /// The rules.
    pub policy: Policy,
    /// What is told of single sessions.
    pub details: SessionDetails,
    /// The unit of the time left.
    pub expire_unit: UnitSetting,
    /// The polling interval.
    pub interval: Duration,
    /// When an answer is too old to be believed.
    pub max_age: Duration,
}

/// The last good answer in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// When the answer arrived.
    pub arrival: Timestamps,
    /// Open sessions.
    pub open: u64,
    /// Open sessions by safety type, with every type ever seen, by ascending id.
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
    /// For every configured rule how many sessions break it.
    pub violating: Vec<(Rule, u64)>,
    /// The sessions that count for the minimum; `None` where none is configured.
    pub required: Option<RequiredSessions>,
    /// Entries that were no session, or repeat an id.
    pub undecodable: u64,
    /// What [`Self::details`] tell.
    pub disclosed: SessionDetails,
    /// Single sessions, rule-breakers first, then the soonest to expire; empty with details off.
    pub details: Vec<SessionDetail>,
}

/// Shortest and longest time left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expiry {
    /// Milliseconds left when the answer arrived; 0 when no session is open.
    pub left_ms: Range,
    /// The same as points in time, in milliseconds since the epoch; `None` when none is open.
    pub at_ms: Option<Range>,
}

/// The open sessions that count for the configured minimum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequiredSessions {
    /// How many are open.
    pub open: u64,
    /// The latest end among them in milliseconds since the epoch; `None` where no end is known.
    pub max_expiry_ms: Option<f64>,
}

/// Least and greatest of something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        values.fold(None, |range: Option<Self>, value| {
            Some(range.map_or(
                Self {
                    min: value,
                    max: value,
                },
                |range| Self {
                    min: range.min.min(value),
                    max: range.max.max(value),
                },
            ))
        })
    }
}

/// One session of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionDetail {
    /// The session's id.
    pub id: u64,
    /// Its type.
    pub safety_type: SafetyType,
    /// `user_login`, with full details alone.
    pub user_login: Option<Arc<str>>,
    /// Client address, with full details alone.
    pub client: Option<ClientAddress>,
    /// Its end in milliseconds since the epoch, where it can be read.
    pub expires_at_ms: Option<f64>,
    /// The rules it breaks.
    pub broken: Vec<Rule>,
}

/// Sessions that came and went, since the account was configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// First seen after the first answer.
    pub opened: u64,
    expired: u64,
    ended: u64,
    unknown: u64,
}

impl SessionCounters {
    /// Sessions gone for that reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        match reason {
            CloseReason::Expired => self.expired,
            CloseReason::Ended => self.ended,
            CloseReason::Unknown => self.unknown,
        }
    }

    fn close(&mut self, reason: CloseReason) {
        let count = match reason {
            CloseReason::Expired => &mut self.expired,
            CloseReason::Ended => &mut self.ended,
            CloseReason::Unknown => &mut self.unknown,
        };
        *count += 1;
    }
}

/// One account's memory over its good answers.
#[derive(Debug)]
pub struct SessionTracker {
    reading: TrackingConfig,
    judge: UnitDetector,
    last: Option<Last>,
    types_seen: BTreeSet<i64>,
    none_seen: bool,
    others_seen: bool,
    movements: SessionCounters,
}

#[derive(Debug)]
struct Last {
    snapshot: Arc<Snapshot>,
    /// When it was last known to hold.
    held: Timestamps,
    unit: Unit,
    /// Each readable session's end in milliseconds since the epoch.
    expiry_ms: HashMap<u64, f64>,
}

impl SessionTracker {
    /// An account that has not answered yet.
    pub fn new(reading: TrackingConfig) -> Self {
        Self {
            judge: UnitDetector::new(reading.expire_unit),
            reading,
            last: None,
            types_seen: BTreeSet::from([2, 3, 4]),
            none_seen: false,
            others_seen: false,
            movements: SessionCounters::default(),
        }
    }

    /// Reads on under another configuration; the view of the last answer follows it.
    pub fn reconfigure(&mut self, reading: TrackingConfig) -> Option<Summary> {
        if reading.expire_unit != self.reading.expire_unit {
            self.judge = UnitDetector::new(reading.expire_unit);
        }
        self.reading = reading;
        let snapshot = Arc::clone(&self.last.as_ref()?.snapshot);
        Some(self.view(&snapshot))
    }

    /// Takes a good answer and shows what is known with it.
    pub fn accept(&mut self, list: SessionList, arrival: Timestamps) -> Summary {
        let snapshot = Arc::new(Snapshot { list, arrival });
        self.judge.observe(&snapshot, self.reading.interval);
        if let Some(last) = &self.last {
            // An end that was computed in a unit since abandoned would name the wrong reason.
            let settled = self.judge.confirmed() && last.unit == self.judge.unit();
            let changes = rules::changes(
                &PreviousAnswer {
                    list: &last.snapshot.list,
                    arrival: last.held,
                    expiry_ms: &|id| last.expiry_ms.get(&id).copied(),
                },
                &snapshot.list,
                arrival,
                settled,
                self.reading.max_age,
            );
            self.movements.opened += changes.opened;
            for reason in changes.closed {
                self.movements.close(reason);
            }
        }
        self.view(&snapshot)
    }

    /// Notes that the last answer still holds.
    pub fn confirm(&mut self, at: Timestamps) {
        if let Some(last) = &mut self.last {
            last.held = at;
        }
    }

    /// Sessions that came and went; nothing before the first answer.
    pub fn movements(&self) -> Option<SessionCounters> {
        self.last.is_some().then_some(self.movements)
    }

    /// The unit in force, and whether it is settled.
    pub fn unit(&self) -> (Unit, bool) {
        (self.judge.unit(), self.judge.confirmed())
    }

    fn view(&mut self, snapshot: &Arc<Snapshot>) -> Summary {
        let sessions = snapshot.list.sessions();
        let expiry_ms = self.ends(snapshot);
        let unit = self.judge.unit();
        let left = |session: &Session| session.time_left.map(|left| unit.to_milliseconds(left));

        let by_safety_type = self.count_types(sessions);
        let mut broken: BTreeMap<Rule, u64> = BTreeMap::new();
        let mut details = Vec::new();
        for session in sessions {
            let rules = self.reading.policy.broken_by(session, left(session));
            for rule in &rules {
                *broken.entry(*rule).or_default() += 1;
            }
            if self.reading.details != SessionDetails::Off {
                details.push(self.detail(session, expiry_ms.get(&session.id).copied(), rules));
            }
        }
        let soonest = |detail: &SessionDetail| detail.expires_at_ms.unwrap_or(f64::INFINITY);
        details.sort_by(|a, b| {
            (a.broken.is_empty().cmp(&b.broken.is_empty()))
                .then(soonest(a).total_cmp(&soonest(b)))
                .then(a.id.cmp(&b.id))
        });
        details.truncate(MOST_DETAILS);

        let open = sessions.len() as u64;
        let policy = &self.reading.policy;
        broken.extend(
            policy
                .too_many(open)
                .map(|count| (Rule::MaxSessions, count)),
        );
        let required = self.required(sessions, &expiry_ms);
        let shortfall = required.and_then(|required| policy.too_few(required.open));
        broken.extend(shortfall.map(|count| (Rule::MinSessions, count)));
        let violating = Rule::ALL
            .into_iter()
            .filter(|rule| policy.has(*rule))
            .map(|rule| (rule, broken.get(&rule).copied().unwrap_or_default()))
            .collect();

        let left_ms = Range::of(sessions.iter().filter_map(left));
        let expiry = if sessions.is_empty() {
            Some(Expiry {
                left_ms: Range { min: 0.0, max: 0.0 },
                at_ms: None,
            })
        } else {
            left_ms.map(|left_ms| Expiry {
                left_ms,
                at_ms: Range::of(expiry_ms.values().copied()),
            })
        };
        let addresses: BTreeSet<_> = sessions.iter().filter_map(|s| s.client.as_ref()).collect();
        let logins: BTreeSet<_> = sessions
            .iter()
            .filter_map(|s| s.user_login.as_ref())
            .collect();
        let view = Summary {
            arrival: snapshot.arrival,
            open,
            by_safety_type,
            expiry,
            expire_unknown: sessions.iter().filter(|s| s.time_left.is_none()).count() as u64,
            max_lifetime_ms: Range::of(sessions.iter().filter_map(|s| s.lifetime_ms))
                .map(|range| range.max),
            client_ips: addresses.len() as u64,
            logins: logins.len() as u64,
            violating,
            required,
            undecodable: snapshot.list.undecodable(),
            disclosed: self.reading.details,
            details,
        };
        self.last = Some(Last {
            held: self.last.take().map_or(snapshot.arrival, |last| {
                match Arc::ptr_eq(&last.snapshot, snapshot) {
                    true => last.held,
                    false => snapshot.arrival,
                }
            }),
            snapshot: Arc::clone(snapshot),
            unit,
            expiry_ms,
        });
        view
    }

    /// Every readable session's end. The last answer's is kept while the new one lies within 2 s
    /// of it: time left is rounded and travels for a while, and a point in time must not jitter.
    fn ends(&self, snapshot: &Snapshot) -> HashMap<u64, f64> {
        let unit = self.judge.unit();
        snapshot
            .list
            .sessions()
            .iter()
            .filter_map(|session| {
                let end = snapshot.arrival.wall_ms + unit.to_milliseconds(session.time_left?);
                let kept = self
                    .last
                    .as_ref()
                    .and_then(|last| last.expiry_ms.get(&session.id).copied())
                    .filter(|kept| (end - kept).abs() <= EXPIRY_SLACK_MS);
                Some((session.id, kept.unwrap_or(end)))
            })
            .collect()
    }

    fn required(
        &self,
        sessions: &[Session],
        expiry_ms: &HashMap<u64, f64>,
    ) -> Option<RequiredSessions> {
        let policy = &self.reading.policy;
        policy.min_sessions?;
        let counting = || sessions.iter().filter(|s| policy.counts_for_minimum(s));
        let ends = counting().filter_map(|session| expiry_ms.get(&session.id).copied());
        Some(RequiredSessions {
            open: counting().count() as u64,
            max_expiry_ms: Range::of(ends).map(|range| range.max),
        })
    }

    fn count_types(&mut self, sessions: &[Session]) -> Vec<(SafetyType, u64)> {
        let mut counts: BTreeMap<SafetyType, u64> = BTreeMap::new();
        for session in sessions {
            if let Some(id) = session.safety_type
                && self.types_seen.len() < MOST_SAFETY_TYPES
            {
                self.types_seen.insert(id);
            }
            let label = self.label(session.safety_type);
            self.none_seen |= label == SafetyType::None;
            self.others_seen |= label == SafetyType::Other;
            *counts.entry(label).or_default() += 1;
        }
        let seen = self.types_seen.iter().copied().map(SafetyType::Id);
        let seen = seen.chain(self.none_seen.then_some(SafetyType::None));
        let seen = seen.chain(self.others_seen.then_some(SafetyType::Other));
        seen.map(|label| (label, counts.get(&label).copied().unwrap_or_default()))
            .collect()
    }

    fn label(&self, safety_type: Option<i64>) -> SafetyType {
        match safety_type {
            None => SafetyType::None,
            Some(id) if self.types_seen.contains(&id) => SafetyType::Id(id),
            Some(_) => SafetyType::Other,
        }
    }

    fn detail(
        &self,
        session: &Session,
        expires_at_ms: Option<f64>,
        broken: Vec<Rule>,
    ) -> SessionDetail {
        let full = self.reading.details == SessionDetails::Full;
        SessionDetail {
            id: session.id,
            safety_type: self.label(session.safety_type),
            user_login: session.user_login.clone().filter(|_| full),
            client: session.client.clone().filter(|_| full),
            expires_at_ms,
            broken,
        }
    }
}

#[cfg(test)]
mod tests;
