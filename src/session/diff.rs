//! Sessions opened and closed between two good answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamps;
use crate::session::expire_unit::{Unit, UnitStatus};
use crate::session::{Session, Snapshot};

/// Server and exporter round: a session may be gone this long before its computed expiry, and a
/// computed expiry may move this far from one answer to the next.
pub(super) const EXPIRY_SLACK_MS: f64 = 2000.0;

labels! {
    /// Why a session is gone from an answer.
    pub enum CloseReason {
        /// At its expiry.
        Expired = "expired",
        /// Before its expiry.
        Ended = "ended",
        /// The expiry is unknown, or falls into a gap without answers.
        Unknown = "unknown",
    }
}

/// The last good answer, with what is known about it.
#[derive(Debug)]
pub(super) struct LastAnswer {
    pub(super) snapshot: Arc<Snapshot>,
    /// When it was received, or last confirmed by a stream.
    pub(super) confirmed_at: Timestamps,
    /// The unit of the expiries.
    pub(super) unit: Unit,
    /// Each readable session's expiry in milliseconds since the epoch.
    pub(super) expiry_ms: BTreeMap<u64, f64>,
}

/// Sessions opened and closed between two good answers. A renewal (same id) is neither.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionDiff {
    /// Sessions that the previous answer did not have.
    pub opened: Vec<Session>,
    /// Sessions that the current answer does not have.
    pub closed: Vec<(Session, CloseReason)>,
}

/// Compares an answer with the one before it. A gap longer than `max_age` hides renewals; expiries
/// count only in a unit that is settled.
pub(super) fn diff(
    last: &LastAnswer,
    current: &Snapshot,
    unit: UnitStatus,
    max_age: Duration,
) -> SessionDiff {
    let received_at = current.received_at;
    let unit_settled = unit.confirmed && unit.unit == last.unit;
    let long_gap = received_at.age_of(last.confirmed_at) > max_age;
    let close_reason = |session: &Session| match last.expiry_ms.get(&session.id) {
        None => CloseReason::Unknown,
        Some(_) if !unit_settled => CloseReason::Unknown,
        Some(expiry) if *expiry > received_at.wall_ms + EXPIRY_SLACK_MS => CloseReason::Ended,
        // Between the answers it may have been renewed or closed.
        Some(expiry) if long_gap && *expiry > last.confirmed_at.wall_ms => CloseReason::Unknown,
        Some(_) => CloseReason::Expired,
    };
    let (before, now) = (&last.snapshot.list, &current.list);
    let opened = now.sessions().iter().filter(|s| before.get(s.id).is_none());
    let closed = before.sessions().iter().filter(|s| now.get(s.id).is_none());
    SessionDiff {
        opened: opened.cloned().collect(),
        closed: closed.map(|s| (s.clone(), close_reason(s))).collect(),
    }
}
