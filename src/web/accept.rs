//! Reads `Accept` and `Accept-Encoding`.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

use crate::metrics::Format;

/// The name of no encoding.
pub(super) const IDENTITY: &str = "identity";

/// OpenMetrics where the client names it with at least the weight of the text format.
pub(super) fn format(headers: &HeaderMap) -> Format {
    // Named without a version, or with the one that is served.
    let version = |item: &str| parameter(item, "version").is_none_or(|version| version == "1.0.0");
    let names = ["application/openmetrics-text", "text/plain"];
    let is_served = |name: &str, item: &str| name == "text/plain" || version(item);
    let [open_metrics, text] = weights(headers, ACCEPT, names, is_served);
    if open_metrics > 0.0 && open_metrics >= text {
        Format::OpenMetrics100
    } else {
        Format::Text004
    }
}

/// The encoding that the client names with the greatest weight; none before zstd before gzip.
pub(super) fn coding(headers: &HeaderMap) -> &'static str {
    let names = [IDENTITY, "zstd", "gzip"];
    let weights = weights(headers, ACCEPT_ENCODING, names, |_, _| true);
    let greatest = weights.into_iter().fold(0.0, f32::max);
    let position = weights.iter().position(|weight| *weight == greatest);
    position.and_then(|at| names.get(at)).unwrap_or(&IDENTITY)
}

/// The weight that a list header gives to each name in an item that `is_served`: 1 where `q` is
/// absent, 0 where the header does not name it.
fn weights<const N: usize>(
    headers: &HeaderMap,
    header: HeaderName,
    names: [&str; N],
    is_served: impl Fn(&str, &str) -> bool,
) -> [f32; N] {
    let mut weights = [0.0_f32; N];
    let lines = headers.get_all(header).into_iter();
    let items = lines.filter_map(|line| line.to_str().ok());
    for item in items.flat_map(|line| line.split(',')) {
        let named = item.split(';').next().unwrap_or_default().trim();
        for (weight, name) in weights.iter_mut().zip(names) {
            if named.eq_ignore_ascii_case(name) && is_served(name, item) {
                let q = parameter(item, "q").map_or(Ok(1.0), str::parse);
                *weight = weight.max(q.unwrap_or(0.0));
            }
        }
    }
    weights
}

/// The value of `;name=value` in a list item.
fn parameter<'a>(item: &'a str, name: &str) -> Option<&'a str> {
    item.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let named = key.trim().eq_ignore_ascii_case(name);
        named.then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(name: HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name.clone(), line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn openmetrics_where_named_with_at_least_the_weight_of_text() {
        for accept in [
            // Prometheus 2 and 3.
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            "application/openmetrics-text, text/plain",
        ] {
            let format = format(&headers(ACCEPT, &[accept]));
            assert_eq!(format, Format::OpenMetrics100, "{accept}");
        }
        let lines = ["text/plain;q=0.3", "application/openmetrics-text;q=0.5"];
        assert_eq!(format(&headers(ACCEPT, &lines)), Format::OpenMetrics100);
    }

    #[test]
    fn text_otherwise() {
        for accept in [
            "",
            "*/*",
            "text/plain",
            "application/json",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.2,text/plain;q=0.3",
            "application/openmetrics-text;q=high",
        ] {
            let format = format(&headers(ACCEPT, &[accept]));
            assert_eq!(format, Format::Text004, "{accept}");
        }
        assert_eq!(format(&HeaderMap::new()), Format::Text004);
    }

    #[test]
    fn coding_of_the_greatest_weight() {
        for (accept, expected) in [
            ("", "identity"),
            ("gzip", "gzip"),
            ("GZIP", "gzip"),
            ("gzip;q=0", "identity"),
            ("gzip;q=0.001", "gzip"),
            ("gzip, deflate, br, zstd", "zstd"),
            ("gzip;q=1.0, zstd;q=0.5", "gzip"),
            ("gzip;q=0.5, zstd;q=0.9", "zstd"),
            ("identity, gzip;q=0.5", "identity"),
            ("identity;q=0.5, gzip", "gzip"),
            ("deflate, br, *", "identity"),
            ("gzip;q=high", "identity"),
        ] {
            let coding = coding(&headers(ACCEPT_ENCODING, &[accept]));
            assert_eq!(coding, expected, "{accept}");
        }
    }
}
