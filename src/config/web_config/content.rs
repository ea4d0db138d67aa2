//! The content of a web configuration file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use rustls::ServerConfig;

/// The content of a web configuration file, valid by construction. The default is that of an empty
/// file: no TLS and no password.
#[derive(Default)]
pub struct WebConfig {
    /// Certificate, versions and policy for client certificates; none is plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether a client needs a certificate that a configured CA has signed.
    pub verifies_clients: bool,
    /// Headers of every answer; they replace the exporter's own.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Bcrypt hashes by user name; empty means no password.
    pub users: BTreeMap<String, String>,
    /// The limit of requests.
    pub rate_limit: Option<RateLimit>,
    /// For the log: settings that are not applied as written.
    pub warnings: Vec<String>,
}

impl WebConfig {
    /// The protection that `before` has and this lacks.
    pub fn lacks(&self, before: &Self) -> Option<&'static str> {
        if before.tls.is_some() && self.tls.is_none() {
            Some("TLS")
        } else if before.verifies_clients && !self.verifies_clients {
            Some("verification of client certificates")
        } else {
            (!before.users.is_empty() && self.users.is_empty()).then_some("password")
        }
    }
}

/// A token bucket: `burst` requests at once, then one in each `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Not zero.
    pub interval: Duration,
    /// Not zero.
    pub burst: u32,
}

/// Without hashes and keys.
impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebConfig").finish_non_exhaustive()
    }
}
