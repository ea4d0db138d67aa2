//! The address in the exporter's log. The benchmarks use this file too.

use std::net::SocketAddr;

/// The address in the line that reports where the pages are served, in either log format.
pub(crate) fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = if line.starts_with('{') {
        line.contains("\"msg\":\"listening\"")
            .then(|| line.split_once("\"address\":\""))??
    } else {
        line.contains("msg=listening ")
            .then(|| line.split_once("address="))??
    };
    let end = rest.find(['"', ' ']).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}
