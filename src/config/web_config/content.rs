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
    /// What protects `before` and not this.
    pub fn lacks(&self, before: &Self) -> Option<&'static str> {
        let protections = |config: &Self| {
            [
                ("TLS", config.tls.is_some()),
                (
                    "verification of client certificates",
                    config.verifies_clients,
                ),
                ("password", !config.users.is_empty()),
            ]
        };
        let mut pairs = protections(before).into_iter().zip(protections(self));
        let lost = pairs.find(|((_, had), (_, has))| *had && !*has);
        lost.map(|((name, _), _)| name)
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
