//! The unit of the time left, decided by evidence.
//!
//! The vendor documents milliseconds, and its samples look like seconds. Milliseconds are assumed
//! until two pieces of evidence agree, or the time left of a session, read in seconds, exceeds its lifetime.

use std::sync::Arc;
use std::time::Duration;

use crate::session::{Session, SessionList, Snapshot};

/// Least time between two answers that are compared, unless the polling interval is shorter.
const MIN_GAP: Duration = Duration::from_secs(5);
/// Relative tolerance of clocks and rates.
const TOLERANCE: f64 = 0.1;
/// A session in seconds may have this much more left than its dates allow.
const LIFETIME_SLACK_S: f64 = 5.0;

/// How far the time left and the time until the closing date may differ in one answer.
const DATE_SLACK_S: f64 = 10.0;
/// Time zones differ by multiples of this, in seconds, up to [`MAX_ZONE_S`].
const ZONE_STEP_S: f64 = 15.0 * 60.0;
const MAX_ZONE_S: f64 = 14.0 * 3600.0;

labels! {
    /// A unit of the time left.
    #[derive(Default)]
    pub enum Unit {
        /// As the vendor documents it.
        #[default]
        Milliseconds = "milliseconds",
        /// As the vendor's samples look.
        Seconds = "seconds",
    }
}

impl Unit {
    /// A time left in this unit, in milliseconds; at least 0.
    pub fn to_milliseconds(self, time_left: f64) -> f64 {
        (time_left * (1000.0 / self.per_second())).clamp(0.0, f64::MAX)
    }

    fn per_second(self) -> f64 {
        match self {
            Self::Milliseconds => 1000.0,
            Self::Seconds => 1.0,
        }
    }
}

/// The unit in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitStatus {
    /// How times left are read.
    pub unit: Unit,
    /// Whether evidence or configuration has settled it.
    pub confirmed: bool,
}

/// Decides the unit of one account; milliseconds, unconfirmed, at first.
#[derive(Clone, Debug, Default)]
pub struct UnitDetector {
    status: UnitStatus,
    /// A first piece of evidence; a second one that agrees changes the status.
    pending: Option<Unit>,
    /// The answer to compare the next one with.
    reference: Option<Arc<Snapshot>>,
}

impl UnitDetector {
    /// The unit that the evidence shows.
    pub fn status(&self) -> UnitStatus {
        self.status
    }

    /// Takes a good answer into account. `interval` is the polling interval.
    pub fn observe(&mut self, current: &Arc<Snapshot>, interval: Duration) {
        if current.list.sessions().iter().any(outlives_seconds) {
            // One piece is enough where no unit is settled.
            if !self.status.confirmed {
                self.pending = Some(Unit::Milliseconds);
            }
            self.record_evidence(Unit::Milliseconds);
            self.reference = Some(Arc::clone(current));
            return;
        }
        let min_gap = MIN_GAP.min(interval);
        if let Some(reference) = &self.reference {
            let monotonic = current.received_at.monotonic_since(reference.received_at);
            let wall = current.received_at.wall_since(reference.received_at);
            // The reference stays while it is too recent, so that short gaps add up.
            if monotonic.max(wall) < min_gap {
                return;
            }
            // The monotonic clock of a suspended machine stops: both clocks must agree.
            if monotonic.min(wall) >= min_gap
                && within_tolerance(wall.as_secs_f64(), monotonic.as_secs_f64())
                && let Some(unit) = compare(reference, current, monotonic.as_secs_f64())
            {
                self.record_evidence(unit);
            }
        }
        self.reference = Some(Arc::clone(current));
    }

    fn record_evidence(&mut self, unit: Unit) {
        let is_second = self.pending.replace(unit) == Some(unit);
        let confirmed = self.status.confirmed;
        if is_second {
            self.status = UnitStatus {
                unit,
                confirmed: true,
            };
        }
        if is_second || (confirmed && unit == self.status.unit) {
            self.pending = None;
        }
    }
}

/// Whether the time left, read in seconds, is longer than the session's whole lifetime.
fn outlives_seconds(session: &Session) -> bool {
    let left_and_lifetime = session.time_left.zip(session.lifetime_ms);
    left_and_lifetime.is_some_and(|(left, lifetime_ms)| {
        lifetime_ms > 0.0 && left > lifetime_ms / 1000.0 + LIFETIME_SLACK_S
    })
}

/// The unit that two answers `gap_s` seconds apart show, if the sessions in both of them agree.
fn compare(earlier: &Snapshot, later: &Snapshot, gap_s: f64) -> Option<Unit> {
    agreed(later.list.sessions().iter().filter_map(|session| {
        let before = earlier.list.get(session.id)?;
        let renewed = session.expire_datetime_hash != before.expire_datetime_hash;
        // A server may stop at 0, and then the decrease says nothing.
        let left = session.time_left.filter(|left| *left > 0.0)?;
        if session.expire_datetime_hash.is_none() || renewed {
            return None;
        }
        let decrease_per_second = (before.time_left? - left) / gap_s;
        Unit::ALL
            .into_iter()
            .find(|unit| within_tolerance(decrease_per_second, unit.per_second()))
    }))
}

/// Whether the sessions of one answer show seconds: the time until `expire_datetime`, which the
/// vendor documents in UTC, is the time left in seconds, and not in milliseconds in any time zone.
/// `date_s` is the server's clock when it answered, in seconds since the epoch. A hint for a person,
/// which settles nothing.
pub fn looks_like_seconds(list: &SessionList, date_s: f64) -> bool {
    let units = list.sessions().iter().filter_map(|session| {
        let until_s = session.expire_datetime_ms? / 1000.0 - date_s;
        let left = session.time_left?;
        let is_seconds = (until_s - left).abs() <= DATE_SLACK_S;
        let offset = until_s - left / 1000.0;
        let zone = (offset / ZONE_STEP_S).round() * ZONE_STEP_S;
        let is_milliseconds = zone.abs() <= MAX_ZONE_S && (offset - zone).abs() <= DATE_SLACK_S;
        match (is_seconds, is_milliseconds) {
            (true, false) => Some(Unit::Seconds),
            (false, true) => Some(Unit::Milliseconds),
            _ => None,
        }
    });
    agreed(units) == Some(Unit::Seconds)
}

/// The unit of all of these, where there is any and they agree.
fn agreed(mut units: impl Iterator<Item = Unit>) -> Option<Unit> {
    let first = units.next()?;
    units.all(|other| other == first).then_some(first)
}

fn within_tolerance(value: f64, expected: f64) -> bool {
    (value - expected).abs() <= expected * TOLERANCE
}

#[cfg(test)]
mod tests;
