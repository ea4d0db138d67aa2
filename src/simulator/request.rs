//! A request as it was received.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::{HeaderMap, Method};

/// A request as the HTTP server or the handshake of a stream received it.
#[derive(Clone)]
#[non_exhaustive]
pub struct LoggedRequest {
    /// When it was received, by the simulator's clock.
    pub time: SystemTime,
    /// `GET`, `POST` …
    pub method: Method,
    /// Path and query, as sent.
    pub target: String,
    pub(super) headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The account that the request was for, where its credential names one.
    pub account: Option<Arc<str>>,
}

impl LoggedRequest {
    /// The first header of this name, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn path(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.trim_end_matches('/')
    }

    pub(super) fn query(&self) -> &[u8] {
        let query = self.target.split_once('?');
        query.map_or(&[], |(_, query)| query.as_bytes())
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

    /// The body where its type says that it is a form; PHP reads no fields from any other.
    pub(super) fn form(&self) -> &[u8] {
        let content_type = self.header("content-type").unwrap_or_default();
        match content_type.split(';').next() {
            Some("application/x-www-form-urlencoded") => &self.body,
            _ => &[],
        }
    }
}

/// The first field of this name in form encoding, whatever its case.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.into_owned())
}
