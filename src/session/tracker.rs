//! One account's state over its good answers: unit, expiries, counters, known types.
//!
//! Pure: an answer and its time in, a [`Summary`] and a [`SessionDiff`] out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamps;
use crate::session::diff::{self, CloseReason, EXPIRY_SLACK_MS, LastAnswer, SessionDiff};
use crate::session::expire_unit::{Unit, UnitDetector, UnitStatus};
use crate::session::rules::Policy;
use crate::session::safety_type::KnownTypes;
use crate::session::summary::{SessionDetails, Summary};
use crate::session::{SessionList, Snapshot};

/// How an account's answers are interpreted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackingConfig {
    /// The rules.
    pub policy: Policy,
    /// Whether single sessions are published.
    pub details: SessionDetails,
    /// The unit of the time left; without one, evidence decides.
    pub expire_unit: Option<Unit>,
    /// The polling interval.
    pub interval: Duration,
    /// Age past which an answer is not published.
    pub max_age: Duration,
}

/// Sessions opened and closed since the account was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCounters {
    /// First seen after the first answer.
    pub opened: u64,
    /// Gone, by reason.
    pub closed: [(CloseReason, u64); CloseReason::ALL.len()],
}

/// One account's state over its good answers.
#[derive(Debug)]
pub struct SessionTracker {
    config: Arc<TrackingConfig>,
    unit_detector: UnitDetector,
    last: Option<LastAnswer>,
    known_types: KnownTypes,
    counters: SessionCounters,
}

impl SessionTracker {
    /// An account without an answer.
    pub fn new(config: impl Into<Arc<TrackingConfig>>) -> Self {
        let config = config.into();
        Self {
            unit_detector: UnitDetector::default(),
            config,
            last: None,
            known_types: KnownTypes::default(),
            counters: SessionCounters {
                opened: 0,
                closed: CloseReason::ALL.map(|reason| (reason, 0)),
            },
        }
    }

    /// Applies another configuration, and summarizes the last answer again.
    pub fn reconfigure(&mut self, config: impl Into<Arc<TrackingConfig>>) -> Option<Summary> {
        let config = config.into();
        if config.expire_unit != self.config.expire_unit {
            self.unit_detector = UnitDetector::default();
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
        let (mut diff, mut expiry_ms) = (SessionDiff::default(), BTreeMap::new());
        if let Some(last) = self.last.take() {
            diff = diff::diff(&last, &snapshot, self.unit(), self.config.max_age);
            self.counters.opened += diff.opened.len() as u64;
            for (reason, count) in &mut self.counters.closed {
                *count += diff.closed.iter().filter(|(_, of)| of == reason).count() as u64;
            }
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

    /// The unit in force: as configured, or as evidence decides.
    pub fn unit(&self) -> UnitStatus {
        let configured = self.config.expire_unit.map(|unit| UnitStatus {
            unit,
            confirmed: true,
        });
        configured.unwrap_or(self.unit_detector.status())
    }

    /// Every readable session's expiry. A known one is kept while the new one is within 2 s of it:
    /// the time left is rounded and delayed, and a point in time must not jitter.
    fn expiries(&self, snapshot: &Snapshot, known: &BTreeMap<u64, f64>) -> BTreeMap<u64, f64> {
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
        expiry_ms: BTreeMap<u64, f64>,
    ) -> Summary {
        let answer = LastAnswer {
            snapshot,
            confirmed_at,
            unit: self.unit().unit,
            expiry_ms,
        };
        let (policy, details) = (&self.config.policy, self.config.details);
        let summary = answer.summary(policy, details, &mut self.known_types);
        self.last = Some(answer);
        summary
    }
}

#[cfg(test)]
mod tests;
