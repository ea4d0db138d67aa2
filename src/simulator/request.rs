//! A request as it was received, and the log of the last ones.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::{HeaderMap, Method};

/// A request as the HTTP server or the handshake of a stream received it.
pub(super) struct ApiRequest {
    pub(super) peer: IpAddr,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl ApiRequest {
    /// A header's value; empty where it is missing or not text.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The first cookie of this name that is not empty.
    pub(super) fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers.get_all("cookie").into_iter();
        let mut pairs = lines
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(key, value)| *key == name && !value.is_empty())
            .map(|(_, value)| value.to_owned())
    }

    /// The first field of this name in the query.
    pub(super) fn query_field(&self, name: &str) -> Option<String> {
        field(self.query.as_bytes(), name)
    }

    /// The body where its type says that it is a form; PHP reads no fields from any other.
    pub(super) fn form(&self) -> &[u8] {
        match self.header("content-type").split(';').next() {
            Some("application/x-www-form-urlencoded") => &self.body,
            _ => &[],
        }
    }

    pub(super) fn logged(&self, time: SystemTime, account: Option<Arc<str>>) -> LoggedRequest {
        let headers = self.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        });
        LoggedRequest {
            time,
            peer: self.peer,
            method: self.method.to_string(),
            target: match self.query.as_str() {
                "" => self.path.clone(),
                query => format!("{}?{query}", self.path),
            },
            headers: headers.collect(),
            body: self.body.clone(),
            account,
        }
    }
}

/// The first field of this name in form encoding.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// A request in the log, for assertions.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// When it was received, by the simulator's clock.
    pub time: SystemTime,
    /// The client's address.
    pub peer: IpAddr,
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case, values as sent (bytes that are not UTF-8 replaced).
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The account that the request was for, where its credential names one.
    pub account: Option<Arc<str>>,
}

impl LoggedRequest {
    /// The first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
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

/// The last requests; bounded, so that a simulator runs for months.
pub(super) struct RequestLog {
    requests: VecDeque<Arc<LoggedRequest>>,
    capacity: usize,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self {
            requests: VecDeque::new(),
            capacity: 4096,
        }
    }
}

impl RequestLog {
    pub(super) fn push(&mut self, request: LoggedRequest) {
        self.requests.push_back(Arc::new(request));
        self.set_capacity(self.capacity);
    }

    pub(super) fn set_capacity(&mut self, count: usize) {
        self.capacity = count;
        let surplus = self.requests.len().saturating_sub(count);
        self.requests.drain(..surplus);
    }

    pub(super) fn all(&self) -> Vec<Arc<LoggedRequest>> {
        self.requests.iter().map(Arc::clone).collect()
    }
}
