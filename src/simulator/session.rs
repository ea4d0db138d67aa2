//! An open security session, as the world keeps it.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::spec::SessionSpec;

/// A security session. It is open while its end lies in the world's future.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Session {
    /// The id, unique in its account.
    pub id: i64,
    /// The account's login.
    pub owner_login: String,
    /// The login that opened it.
    pub user_login: String,
    /// The type; `None` is written as null.
    pub safety_type_id: Option<i64>,
    /// When it began.
    pub start: SystemTime,
    /// When it ends.
    pub expires: SystemTime,
    /// The client's address; `None` is written as null.
    pub client_ip: Option<String>,
    pub(super) raw: Map<String, Value>,
    pub(super) omit: Vec<String>,
}

impl Session {
    pub(super) fn open(
        id: i64,
        owner: &str,
        user: &str,
        spec: SessionSpec,
        now: SystemTime,
    ) -> Self {
        let start = now.checked_sub(spec.age).unwrap_or(now);
        Self {
            id,
            owner_login: owner.to_owned(),
            user_login: spec.user_login.unwrap_or_else(|| user.to_owned()),
            safety_type_id: spec.safety_type_id,
            start,
            expires: later(start, spec.lifetime),
            client_ip: spec.client_ip,
            raw: spec.raw,
            omit: spec.omit,
        }
    }

    pub(super) fn is_open(&self, now: SystemTime) -> bool {
        self.expires > now
    }
}

/// A point in time; a duration past what the clock can hold changes nothing.
pub(super) fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}
