//! Security sessions: as they are opened, and as the simulator keeps them.

use std::time::{Duration, SystemTime};

/// The type of a session that the use of an API key opens.
pub(super) const API_KEY: i64 = 14;

/// A security session as it is opened.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// The vendor's type, such as 2 token, 3 SMS, 4 login and password; `None` is written as null.
    pub safety_type_id: Option<i64>,
    /// From start to end.
    pub lifetime: Duration,
    /// How long ago the session started.
    pub age: Duration,
    /// `ip_client`; `None` is written as null.
    pub client_ip: Option<String>,
}

impl SessionSpec {
    /// A session of this type that lasts this long from now, from an address of the documentation range.
    pub fn new(safety_type_id: impl Into<Option<i64>>, lifetime: Duration) -> Self {
        Self {
            safety_type_id: safety_type_id.into(),
            lifetime,
            age: Duration::ZERO,
            client_ip: Some("203.0.113.10".to_owned()),
        }
    }

    /// Sets the client's address.
    #[must_use]
    pub fn client_ip(mut self, address: impl Into<String>) -> Self {
        self.client_ip = Some(address.into());
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
    /// The type; `None` is written as null.
    pub safety_type_id: Option<i64>,
    /// When it began.
    pub start: SystemTime,
    /// When it ends.
    pub expires: SystemTime,
    /// The client's address; `None` is written as null.
    pub client_ip: Option<String>,
}
