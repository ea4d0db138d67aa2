//! Sessions opened and closed between two good answers.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamps;
use crate::session::{Session, SessionList};

/// Server and exporter round: a session may be gone this long before its computed expiry, and a
/// computed expiry may move this far from one answer to the next.
pub(super) const EXPIRY_SLACK_MS: f64 = 2000.0;

/// Why a session is gone from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// At its expiry.
    Expired,
    /// Before its expiry.
    Ended,
    /// The expiry is unknown, or lies in a gap without answers.
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
pub(super) struct PreviousAnswer<'a> {
    pub(super) list: &'a SessionList,
    /// When it was received, or last confirmed by a stream.
    pub(super) valid_as_of: Timestamps,
    /// Each session's last known expiry in milliseconds since the epoch.
    pub(super) expiry_ms: &'a HashMap<u64, f64>,
    /// Whether these expiries were computed in a unit that is settled.
    pub(super) unit_settled: bool,
}

/// Sessions opened and closed between two good answers. A renewal (same id) is neither.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionDiff {
    /// Sessions that the previous answer did not have.
    pub opened: Vec<Session>,
    /// Sessions that the current answer does not have.
    pub closed: Vec<(Session, CloseReason)>,
}

/// Compares an answer with the one before it. A gap longer than `max_age` hides renewals.
pub(super) fn diff(
    previous: &PreviousAnswer<'_>,
    current: &SessionList,
    received_at: Timestamps,
    max_age: Duration,
) -> SessionDiff {
    let long_gap = received_at.age_of(previous.valid_as_of) > max_age;
    let close_reason = |session: &Session| match previous.expiry_ms.get(&session.id) {
        None => CloseReason::Unknown,
        Some(_) if !previous.unit_settled => CloseReason::Unknown,
        Some(expiry) if *expiry > received_at.wall_ms + EXPIRY_SLACK_MS => CloseReason::Ended,
        // Between the answers it may have been renewed or closed.
        Some(expiry) if long_gap && *expiry > previous.valid_as_of.wall_ms => CloseReason::Unknown,
        Some(_) => CloseReason::Expired,
    };
    SessionDiff {
        opened: missing_in(previous.list, current).cloned().collect(),
        closed: missing_in(current, previous.list)
            .map(|session| (session.clone(), close_reason(session)))
            .collect(),
    }
}

fn missing_in<'a>(
    list: &'a SessionList,
    of: &'a SessionList,
) -> impl Iterator<Item = &'a Session> + 'a {
    let sessions = of.sessions().iter();
    sessions.filter(|session| list.get(session.id).is_none())
}

#[cfg(test)]
mod tests;
