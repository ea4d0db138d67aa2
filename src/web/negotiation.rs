//! What a client would rather have, by its `Accept` and `Accept-Encoding` (RFC 9110, section 12.5).
//!
//! Pure: header values in, a choice out. Ranges that cannot be read are passed over.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

use crate::metrics::Format;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

/// A weight in thousandths, as fine as the header's grammar allows.
type Quality = u16;

/// The exposition format: OpenMetrics where it is preferred, or named with the same weight;
/// the text format otherwise, also where neither is acceptable, since a scrape that gets
/// nothing helps nobody.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let ranges: Vec<_> = items(headers, &ACCEPT).filter_map(media_range).collect();
    let open_metrics = weigh(&ranges, "application", "openmetrics-text", "1.0.0");
    let text = weigh(&ranges, "text", "plain", "0.0.4");
    let prefers = match (open_metrics, text) {
        (None, _) => false,
        (Some((quality, _)), None) => quality > 0,
        // `*/*` alone says nothing for either.
        (Some((quality, how)), Some((other, _))) => {
            quality > other || (quality == other && quality > 0 && how >= Match::Type)
        }
    };
    if prefers {
        Format::OpenMetrics100
    } else {
        Format::Text004
    }
}

/// The content coding; `None` where the client refuses every one that there is, identity included.
pub(super) fn coding(headers: &HeaderMap) -> Option<Coding> {
    let mut gzip = None;
    let mut zstd = None;
    let mut identity = None;
    let mut any = None;
    for item in items(headers, &ACCEPT_ENCODING) {
        let Some((name, quality)) = weighted(item) else {
            continue;
        };
        let slot = match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => &mut gzip,
            "zstd" => &mut zstd,
            "identity" => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        *slot = Some(quality);
    }
    // A client that takes "anything" often means gzip: zstd has to be asked for by name.
    let gzip = gzip.or(any).unwrap_or(0);
    let zstd = zstd.unwrap_or(0);
    // Identity is acceptable unless it is excluded, but not wished for unless it is named.
    let refused = identity.or(any) == Some(0);
    let (best, quality) = if zstd >= gzip {
        (Coding::Zstd, zstd)
    } else {
        (Coding::Gzip, gzip)
    };
    if quality > 0 && quality >= identity.unwrap_or(0) {
        Some(best)
    } else {
        (!refused).then_some(Coding::Identity)
    }
}

/// The elements of a list header, over all its lines.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// Splits `name;q=0.5`; without a weight it is 1.
fn weighted(item: &str) -> Option<(&str, Quality)> {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next()?;
    let quality = parts
        .find_map(|part| parameter(part).filter(|(key, _)| key.eq_ignore_ascii_case("q")))
        .map_or(Some(1000), |(_, value)| quality(value))?;
    Some((name, quality))
}

fn parameter(part: &str) -> Option<(&str, &str)> {
    let (key, value) = part.split_once('=')?;
    Some((key.trim(), value.trim().trim_matches('"')))
}

fn quality(value: &str) -> Option<Quality> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: Quality = format!("{fraction:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", _) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// How closely a range names a type: the closest one decides its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    Anything,
    Family,
    Type,
    Version,
}

struct MediaRange<'a> {
    family: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    quality: Quality,
}

/// Reads `type/subtype;version=…;q=…`. Other parameters (Prometheus sends `escaping`) do not
/// make it another type.
fn media_range(item: &str) -> Option<MediaRange<'_>> {
    let (name, quality) = weighted(item)?;
    let (family, subtype) = name.split_once('/')?;
    let version = item
        .split(';')
        .skip(1)
        .filter_map(parameter)
        .find(|(key, _)| key.eq_ignore_ascii_case("version"))
        .map(|(_, value)| value);
    Some(MediaRange {
        family: family.trim(),
        subtype: subtype.trim(),
        version,
        quality,
    })
}

impl MediaRange<'_> {
    fn matches(&self, family: &str, subtype: &str, version: &str) -> Option<Match> {
        let same = self.family.eq_ignore_ascii_case(family);
        if self.family == "*" && self.subtype == "*" {
            Some(Match::Anything)
        } else if same && self.subtype == "*" {
            Some(Match::Family)
        } else if same && self.subtype.eq_ignore_ascii_case(subtype) {
            match self.version {
                None => Some(Match::Type),
                Some(asked) => (asked == version).then_some(Match::Version),
            }
        } else {
            None
        }
    }
}

fn weigh(
    ranges: &[MediaRange<'_>],
    family: &str,
    subtype: &str,
    version: &str,
) -> Option<(Quality, Match)> {
    ranges
        .iter()
        .filter_map(|range| Some((range.matches(family, subtype, version)?, range.quality)))
        .max()
        .map(|(how, quality)| (quality, how))
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

    fn format_for(lines: &[&str]) -> Format {
        format(&headers(ACCEPT, lines))
    }

    fn coding_for(lines: &[&str]) -> Option<Coding> {
        coding(&headers(ACCEPT_ENCODING, lines))
    }

    #[test]
    fn prometheus_2_gets_openmetrics() {
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(format_for(&[accept]), Format::OpenMetrics100);
    }

    #[test]
    fn prometheus_3_gets_openmetrics() {
        let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(format_for(&[accept]), Format::OpenMetrics100);
    }

    #[test]
    fn text_is_the_default() {
        for accept in [
            "",
            "*/*",
            "text/plain",
            "application/json",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.2,text/plain;q=0.3",
            "application/openmetrics-text;q=0.2,text/*;q=0.3",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;version=1.0.0;q=0, */*",
        ] {
            assert_eq!(format_for(&[accept]), Format::Text004, "{accept}");
        }
        assert_eq!(format_for(&[]), Format::Text004);
    }

    #[test]
    fn openmetrics_where_it_is_asked_for() {
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            "application/openmetrics-text, text/plain",
            "text/plain;q=0.1, application/*;q=0.2",
            "application/openmetrics-text;q=0.8, */*;q=0.8",
        ] {
            assert_eq!(format_for(&[accept]), Format::OpenMetrics100, "{accept}");
        }
    }

    #[test]
    fn a_header_may_come_in_several_lines() {
        let lines = ["text/plain;q=0.3", "application/openmetrics-text;q=0.5"];
        assert_eq!(format_for(&lines), Format::OpenMetrics100);
        assert_eq!(coding_for(&["br", "gzip"]), Some(Coding::Gzip));
    }

    #[test]
    fn codings_go_by_weight() {
        for (accept, expected) in [
            ("", Some(Coding::Identity)),
            ("gzip", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("gzip;q=0", Some(Coding::Identity)),
            ("gzip;q=0.001", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip;q=1.0, zstd;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0.5, zstd;q=0.9", Some(Coding::Zstd)),
            ("identity, gzip;q=0.5", Some(Coding::Identity)),
            ("identity;q=0.5, gzip", Some(Coding::Gzip)),
            ("*", Some(Coding::Gzip)),
            ("*;q=0.5, gzip;q=0", Some(Coding::Identity)),
            ("deflate, br", Some(Coding::Identity)),
            ("gzip;q=high", Some(Coding::Identity)),
            ("identity;q=0, gzip", Some(Coding::Gzip)),
            ("identity;q=0", None),
            ("*;q=0", None),
            ("*;q=0, identity", Some(Coding::Identity)),
            ("br, *;q=0", None),
        ] {
            assert_eq!(coding_for(&[accept]), expected, "{accept}");
        }
    }

    #[test]
    fn weights_have_at_most_three_digits() {
        assert_eq!(quality("1"), Some(1000));
        assert_eq!(quality("0.25"), Some(250));
        assert_eq!(quality("1.000"), Some(1000));
        for bad in ["1.001", "0.1234", "-0", "", "2", "0.+1", ".5"] {
            assert_eq!(quality(bad), None, "{bad}");
        }
    }
}
