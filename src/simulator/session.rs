//! Security sessions: as they are opened, and as the simulator keeps them.

use std::time::{Duration, SystemTime};

/// A security session as it is opened.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// The id; the next free one where it is `None`.
    pub id: Option<i64>,
    /// The vendor's type, such as 2 token, 3 SMS, 4 login and password; `None` is written as null.
    pub safety_type_id: Option<i64>,
    /// From start to end.
    pub lifetime: Duration,
    /// How long ago the session started.
    pub age: Duration,
    /// `ip_client`; `None` is written as null.
    pub client_ip: Option<String>,
    /// `user_login`; the account's where it is `None`.
    pub user_login: Option<String>,
}

impl Default for SessionSpec {
    /// Type 4, for 24 hours from now, from an address of the documentation range.
    fn default() -> Self {
        Self {
            id: None,
            safety_type_id: Some(4),
            lifetime: Duration::from_secs(24 * 3600),
            age: Duration::ZERO,
            client_ip: Some("203.0.113.10".to_owned()),
            user_login: None,
        }
    }
}

impl SessionSpec {
    /// A session of this type that lasts this long from now.
    pub fn new(safety_type_id: impl Into<Option<i64>>, lifetime: Duration) -> Self {
        Self {
            safety_type_id: safety_type_id.into(),
            lifetime,
            ..Self::default()
        }
    }

    /// Sets the id. An open session of the same id is replaced.
    #[must_use]
    pub fn id(mut self, id: i64) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the client's address.
    #[must_use]
    pub fn client_ip(mut self, address: impl Into<String>) -> Self {
        self.client_ip = Some(address.into());
        self
    }

    /// Sets `user_login`.
    #[must_use]
    pub fn user_login(mut self, login: impl Into<String>) -> Self {
        self.user_login = Some(login.into());
        self
    }

    /// Lets the session have started this long ago; its end comes that much sooner.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }
}

/// A security session. It is open while its end is in the future.
#[derive(Clone, Debug, PartialEq, Eq)]
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
            expires: saturating_add(start, spec.lifetime),
            client_ip: spec.client_ip,
        }
    }

    pub(super) fn is_open(&self, now: SystemTime) -> bool {
        self.expires > now
    }
}

/// A point in time; a duration past what the clock can hold changes nothing.
pub(super) fn saturating_add(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}
