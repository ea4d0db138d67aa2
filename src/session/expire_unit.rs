//! The unit of the time left, decided by evidence.
//!
//! The vendor's page says milliseconds, its samples read as seconds. The documented unit stands
//! until two pieces of evidence settle it. Pure: answers in, verdict out.

use std::sync::Arc;
use std::time::Duration;

use crate::session::Snapshot;

/// Pairs of answers closer than this say nothing, unless the polling interval is shorter still.
const SHORTEST_GAP: Duration = Duration::from_secs(5);
/// How far clocks and rates may differ from what they should be.
const TOLERANCE: f64 = 0.1;

/// A unit that the server may send the time left in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As the vendor documents it.
    Milliseconds,
    /// As the vendor's samples read.
    Seconds,
}

impl Unit {
    /// Both, in the order in which they are listed.
    pub const ALL: [Unit; 2] = [Unit::Milliseconds, Unit::Seconds];

    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
        }
    }

    /// A number in this unit, in milliseconds; time that has run out is 0.
    pub fn to_milliseconds(self, time_left: f64) -> f64 {
        let milliseconds = match self {
            Self::Milliseconds => time_left,
            Self::Seconds => time_left * 1000.0,
        };
        milliseconds.clamp(0.0, f64::MAX)
    }

    /// What one second takes off a number in this unit.
    fn loss_per_second(self) -> f64 {
        match self {
            Self::Milliseconds => 1000.0,
            Self::Seconds => 1.0,
        }
    }
}

/// `TRADERNET_EXPIRE_UNIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitSetting {
    /// By evidence.
    Auto,
    /// The operator knows.
    Fixed(Unit),
}

/// The unit in force and what speaks for another.
#[derive(Clone, Debug)]
pub struct UnitDetector {
    in_force: Unit,
    confirmed: bool,
    fixed: bool,
    /// A first piece of evidence that waits for a second one that agrees.
    pending: Option<Unit>,
    /// The answer to compare the next one with.
    reference: Option<Arc<Snapshot>>,
}

impl UnitDetector {
    /// Starts from the setting: documented milliseconds, unconfirmed, where it is left to evidence.
    pub fn new(setting: UnitSetting) -> Self {
        let (in_force, fixed) = match setting {
            UnitSetting::Auto => (Unit::Milliseconds, false),
            UnitSetting::Fixed(unit) => (unit, true),
        };
        Self {
            in_force,
            confirmed: fixed,
            fixed,
            pending: None,
            reference: None,
        }
    }

    /// The unit to read numbers in now.
    pub fn unit(&self) -> Unit {
        self.in_force
    }

    /// Whether evidence or configuration has settled it.
    pub fn confirmed(&self) -> bool {
        self.confirmed
    }

    /// Takes a good answer into account. `interval` is the polling interval.
    pub fn observe(&mut self, current: &Arc<Snapshot>, interval: Duration) {
        if self.fixed {
            return;
        }
        let shortest = SHORTEST_GAP.min(interval);
        if let Some(reference) = &self.reference {
            let gap = current.arrival.monotonic_since(reference.arrival);
            let wall = current.arrival.wall_since(reference.arrival);
            // A suspended machine's monotonic clock stops: keep the pair only by both clocks.
            // The reference stays while it is too young, so that quick answers add up.
            if gap.max(wall) < shortest {
                return;
            }
            if gap.min(wall) >= shortest
                && let Some(unit) =
                    evidence(reference, current, gap.as_secs_f64(), wall.as_secs_f64())
            {
                self.weigh(unit);
            }
        }
        self.reference = Some(Arc::clone(current));
    }

    fn weigh(&mut self, unit: Unit) {
        if self.confirmed && unit == self.in_force {
            self.pending = None;
        } else if self.pending == Some(unit) {
            self.pending = None;
            self.in_force = unit;
            self.confirmed = true;
        } else {
            self.pending = Some(unit);
        }
    }
}

/// What one pair of answers says, if the sessions that it can be read from agree.
fn evidence(earlier: &Snapshot, later: &Snapshot, monotonic: f64, wall: f64) -> Option<Unit> {
    if !near(wall, monotonic) {
        return None;
    }
    let mut verdicts = later.list.sessions().iter().filter_map(|session| {
        let before = earlier.list.get(session.id)?;
        if session.expiry_mark.is_none() || session.expiry_mark != before.expiry_mark {
            return None;
        }
        let rate = (before.time_left? - session.time_left?) / monotonic;
        Unit::ALL
            .into_iter()
            .find(|unit| near(rate, unit.loss_per_second()))
    });
    let first = verdicts.next()?;
    verdicts.all(|other| other == first).then_some(first)
}

fn near(value: f64, expected: f64) -> bool {
    (value - expected).abs() <= expected * TOLERANCE
}

#[cfg(test)]
mod tests;
