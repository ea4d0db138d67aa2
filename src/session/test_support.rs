//! Sessions and times for unit tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use super::{ClientAddress, Session, SessionList};
use crate::clock::Timestamps;

/// 2016-06-14T13:32:34Z, within the day of the vendor's sample session.
pub(crate) const WALL_MS: f64 = 1_465_911_154_000.0;

/// Seconds after [`WALL_MS`] by the wall clock, and after its start by the monotonic clock.
pub(crate) fn moment(wall_seconds: f64, monotonic_seconds: f64) -> Timestamps {
    Timestamps {
        wall_ms: WALL_MS + wall_seconds * 1000.0,
        monotonic: Duration::from_secs_f64(monotonic_seconds),
    }
}

/// Seconds after the start by both clocks.
pub(crate) fn after(seconds: f64) -> Timestamps {
    moment(seconds, seconds)
}

/// A session by login and password; the server sent no other field.
pub(crate) fn session(id: u64) -> Session {
    Session {
        id,
        safety_type: Some(4),
        user_login: None,
        client: None,
        time_left: None,
        expire_datetime_hash: None,
        expire_datetime_ms: None,
        lifetime_ms: None,
    }
}

/// The same with a closing date and a time left.
pub(crate) fn expiring(id: u64, time_left: f64) -> Session {
    Session {
        time_left: Some(time_left),
        expire_datetime_hash: Some(20160615131413),
        ..session(id)
    }
}

/// The session of the vendor's sample.
pub(crate) fn vendors() -> Session {
    Session {
        user_login: Some("virtual@virtual.com".into()),
        client: ClientAddress::parse("19.16.32.32"),
        lifetime_ms: Some(86_400_000.0),
        ..expiring(7165011, 85299.0)
    }
}

pub(crate) fn list(sessions: impl Into<Vec<Session>>) -> SessionList {
    SessionList::new(sessions.into(), 0)
}
