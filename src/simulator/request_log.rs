//! The requests that the faces have read, kept for assertions: a ring, so that a world runs for ever.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

/// A request as it was read.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// When it was read, by the world's clock.
    pub time: SystemTime,
    /// Where it came from.
    pub peer: IpAddr,
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case, values as sent (bytes that are no UTF-8 replaced).
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The account that the request was for, as far as it could be told.
    pub account: Option<Arc<str>>,
}

impl LoggedRequest {
    /// The first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Query, headers and body are left out: they hold credentials.
impl fmt::Debug for LoggedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        f.debug_struct("LoggedRequest")
            .field("method", &self.method)
            .field("path", &path)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

pub(super) struct RequestLog {
    requests: VecDeque<Arc<LoggedRequest>>,
    kept: usize,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self {
            requests: VecDeque::new(),
            kept: 4096,
        }
    }
}

impl RequestLog {
    pub(super) fn push(&mut self, request: LoggedRequest) {
        self.requests.push_back(Arc::new(request));
        self.keep(self.kept);
    }

    pub(super) fn keep(&mut self, count: usize) {
        self.kept = count;
        let surplus = self.requests.len().saturating_sub(count);
        self.requests.drain(..surplus);
    }

    pub(super) fn all(&self) -> Vec<Arc<LoggedRequest>> {
        self.requests.iter().map(Arc::clone).collect()
    }
}
