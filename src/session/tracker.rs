//! One account's state over its good answers: unit, expiries, counters, known types.
//!
//! Pure: an answer and its time in, a [`Summary`] and a [`SessionDiff`] out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamps;
use crate::session::diff::{self, CloseReason, EXPIRY_SLACK_MS, PreviousAnswer, SessionDiff};
use crate::session::expire_unit::{Unit, UnitDetector, UnitSetting, UnitStatus};
use crate::session::rules::Policy;
use crate::session::safety_type::KnownTypes;
use crate::session::summary::{Facts, SessionDetails, Summary};
use crate::session::{SessionList, Snapshot};

/// How an account's answers are interpreted.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackingConfig {
    /// The rules.
    pub policy: Policy,
    /// Whether single sessions are published.
    pub details: SessionDetails,
    /// The unit of the time left.
    pub expire_unit: UnitSetting,
    /// The polling interval.
    pub interval: Duration,
    /// Age past which an answer is not published.
    pub max_age: Duration,
}

/// Sessions opened and closed since the account was configured.
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

    fn add(&mut self, diff: &SessionDiff) {
        self.opened += diff.opened.len() as u64;
        for (_, reason) in &diff.closed {
            match reason {
                CloseReason::Expired => self.expired += 1,
                CloseReason::Ended => self.ended += 1,
                CloseReason::Unknown => self.unknown += 1,
            }
        }
    }
}

/// One account's state over its good answers.
#[derive(Debug)]
pub struct SessionTracker {
    config: TrackingConfig,
    unit_detector: UnitDetector,
    last: Option<LastAnswer>,
    known_types: KnownTypes,
    counters: SessionCounters,
}

#[derive(Debug)]
struct LastAnswer {
    snapshot: Arc<Snapshot>,
    confirmed_at: Timestamps,
    unit: Unit,
    /// Each readable session's expiry in milliseconds since the epoch.
    expiry_ms: HashMap<u64, f64>,
}

impl SessionTracker {
    /// An account without an answer.
    pub fn new(config: TrackingConfig) -> Self {
        Self {
            unit_detector: UnitDetector::new(config.expire_unit),
            config,
            last: None,
            known_types: KnownTypes::default(),
            counters: SessionCounters::default(),
        }
    }

    /// Applies another configuration, and summarizes the last answer again.
    pub fn reconfigure(&mut self, config: TrackingConfig) -> Option<Summary> {
        if config.expire_unit != self.config.expire_unit {
            self.unit_detector = UnitDetector::new(config.expire_unit);
        }
        self.config = config;
        let last = self.last.take()?;
        let expiry_ms = self.expiries(&last.snapshot, &last.expiry_ms);
        Some(self.summarize(last.snapshot, last.confirmed_at, expiry_ms))
    }

    /// Records a good answer. The first one opens nothing.
    pub fn record(&mut self, list: SessionList, at: Timestamps) -> (Summary, SessionDiff) {
        let snapshot = Arc::new(Snapshot {
            list,
            received_at: at,
        });
        self.unit_detector.observe(&snapshot, self.config.interval);
        let (mut diff, mut expiry_ms) = (SessionDiff::default(), HashMap::new());
        if let Some(last) = self.last.take() {
            let UnitStatus { unit, confirmed } = self.unit();
            let previous = PreviousAnswer {
                list: &last.snapshot.list,
                valid_as_of: last.confirmed_at,
                expiry_ms: &last.expiry_ms,
                unit_settled: confirmed && last.unit == unit,
            };
            diff = diff::diff(&previous, &snapshot.list, at, self.config.max_age);
            self.counters.add(&diff);
            expiry_ms = last.expiry_ms;
        }
        let expiry_ms = self.expiries(&snapshot, &expiry_ms);
        (self.summarize(snapshot, at, expiry_ms), diff)
    }

    /// Records that the last answer is still valid.
    pub fn confirm(&mut self, at: Timestamps) {
        if let Some(last) = &mut self.last {
            last.confirmed_at = at;
        }
    }

    /// When the last answer was last known to be valid: its arrival, or a later confirmation.
    pub fn confirmed_at(&self) -> Option<Timestamps> {
        self.last.as_ref().map(|last| last.confirmed_at)
    }

    /// Sessions opened and closed; `None` before the first answer.
    pub fn counters(&self) -> Option<SessionCounters> {
        self.last.is_some().then_some(self.counters)
    }

    /// The unit in force.
    pub fn unit(&self) -> UnitStatus {
        self.unit_detector.status()
    }

    /// Every readable session's expiry. A known one is kept while the new one lies within 2 s of it:
    /// the time left is rounded and delayed, and a point in time must not jitter.
    fn expiries(&self, snapshot: &Snapshot, known: &HashMap<u64, f64>) -> HashMap<u64, f64> {
        let unit = self.unit().unit;
        let expiry = |id, time_left| {
            let computed = snapshot.received_at.wall_ms + unit.to_milliseconds(time_left);
            let known = known.get(&id).copied();
            known
                .filter(|known| (computed - known).abs() <= EXPIRY_SLACK_MS)
                .unwrap_or(computed)
        };
        let sessions = snapshot.list.sessions().iter();
        sessions
            .filter_map(|session| Some((session.id, expiry(session.id, session.time_left?))))
            .collect()
    }

    fn summarize(
        &mut self,
        snapshot: Arc<Snapshot>,
        confirmed_at: Timestamps,
        expiry_ms: HashMap<u64, f64>,
    ) -> Summary {
        let unit = self.unit().unit;
        let facts = Facts {
            snapshot: &snapshot,
            policy: &self.config.policy,
            detail_level: self.config.details,
            unit,
            expiry_ms: &expiry_ms,
        };
        let summary = facts.summary(&mut self.known_types);
        self.last = Some(LastAnswer {
            snapshot,
            confirmed_at,
            unit,
            expiry_ms,
        });
        summary
    }
}

#[cfg(test)]
mod tests;
