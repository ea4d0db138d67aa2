//! Whether a request that changes something comes from an operator and not from a foreign web page.
//!
//! A reload needs no password by default. A web page that an operator visits must not be able to
//! request one: neither by posting to the exporter (the browser then sends the page as `Origin`),
//! nor by resolving a name of its own to the exporter's address (the browser then sends that name
//! as `Host`).

use std::net::IpAddr;

use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Rejects a foreign `Host` or `Origin`, with the reason for the client.
///
/// `Host` must be loopback, an IP address (which a listener's own address is) or the external
/// URL's host; `Origin`, where there is one, must be the origin that `Host` names or the external URL's.
pub(super) fn check_same_origin(
    headers: &HeaderMap,
    external: Option<&Uri>,
) -> Result<(), &'static str> {
    let host = single_header(headers, &HOST)
        .flatten()
        .and_then(authority)
        .ok_or("refused: the request needs exactly one readable Host header")?;
    let external_host = external.and_then(Uri::host);
    if !is_trusted_host(host.host())
        && !external_host.is_some_and(|name| name.eq_ignore_ascii_case(host.host()))
    {
        return Err(
            "refused: Host is neither loopback, nor an IP address, nor the host of --web.external-url",
        );
    }
    let Some(origin) = single_header(headers, &ORIGIN) else {
        return from_another_site(headers);
    };
    let same = origin
        .and_then(|origin| origin.parse::<Uri>().ok())
        .is_some_and(|origin| {
            let Some(from) = endpoint(&origin) else {
                return false;
            };
            let port = default_port(origin.scheme_str());
            from == (host.host().to_ascii_lowercase(), host.port_u16().or(port))
                || external.is_some_and(|external| {
                    external.scheme() == origin.scheme() && endpoint(external) == Some(from)
                })
        });
    if same {
        Ok(())
    } else {
        Err("refused: Origin is another site")
    }
}

/// A browser that sends no `Origin` may send the request's site.
fn from_another_site(headers: &HeaderMap) -> Result<(), &'static str> {
    match single_header(headers, &SEC_FETCH_SITE) {
        None | Some(Some("same-origin" | "none")) => Ok(()),
        Some(_) => Err("refused: the request was made by another site"),
    }
}

/// `None`: absent; `Some(None)`: repeated or unreadable.
fn single_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?;
    Some(match values.next() {
        None => first.to_str().ok(),
        Some(_) => None,
    })
}

fn authority(host: &str) -> Option<Authority> {
    host.parse::<Authority>()
        .ok()
        .filter(|authority| !authority.as_str().contains('@'))
}

/// Names that no foreign DNS zone can resolve to this machine.
fn is_trusted_host(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(&host);
    bare.parse::<IpAddr>().is_ok() || host == "localhost" || host.ends_with(".localhost")
}

/// Host in lower case and port of an absolute URL.
fn endpoint(uri: &Uri) -> Option<(String, Option<u16>)> {
    let port = uri.port_u16().or(default_port(uri.scheme_str()));
    Some((uri.host()?.to_ascii_lowercase(), port))
}

fn default_port(scheme: Option<&str>) -> Option<u16> {
    match scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn is_allowed(lines: &[(&str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let external = Uri::from_static("https://Sessions.example/tradernet/");
        check_same_origin(&headers, Some(&external)).is_ok()
    }

    #[test]
    fn foreign_hosts_are_rejected() {
        for host in [
            "localhost",
            "localhost:10460",
            "LOCALHOST:1",
            "a.localhost",
            "127.0.0.1:10460",
            "[::1]:10460",
            "192.0.2.7:10460",
            "[2001:db8::1]",
            "sessions.example",
            "SESSIONS.example:443",
        ] {
            assert!(is_allowed(&[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:10460",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "sessions.example.evil.example",
            "exporter:10460",
            "0x7f.1",
            "[::1",
        ] {
            assert!(!is_allowed(&[("host", host)]), "{host}");
        }
        assert!(!is_allowed(&[]));
        assert!(!is_allowed(&[("host", "localhost"), ("host", "localhost")]));
    }

    #[test]
    fn foreign_origins_are_rejected() {
        for (host, origin) in [
            ("localhost:10460", "http://localhost:10460"),
            ("localhost:10460", "https://localhost:10460"),
            ("127.0.0.1", "http://127.0.0.1"),
            ("[::1]:10460", "http://[::1]:10460"),
            ("sessions.example", "https://sessions.example"),
            ("127.0.0.1:10460", "https://sessions.example"),
        ] {
            assert!(
                is_allowed(&[("host", host), ("origin", origin)]),
                "{host} {origin}"
            );
        }
        for (host, origin) in [
            ("localhost:10460", "http://evil.example"),
            ("localhost:10460", "http://localhost:3000"),
            ("localhost:10460", "http://localhost"),
            ("localhost:10460", "null"),
            ("localhost:10460", ""),
            ("127.0.0.1:10460", "http://sessions.example"),
            ("127.0.0.1:10460", "http://localhost:10460"),
        ] {
            assert!(
                !is_allowed(&[("host", host), ("origin", origin)]),
                "{host} {origin}"
            );
        }
        assert!(!is_allowed(&[
            ("host", "localhost"),
            ("origin", "http://localhost"),
            ("origin", "http://localhost"),
        ]));
    }

    #[test]
    fn request_without_origin_is_judged_by_its_site() {
        assert!(is_allowed(&[
            ("host", "localhost"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(is_allowed(&[
            ("host", "localhost"),
            ("sec-fetch-site", "none")
        ]));
        assert!(!is_allowed(&[
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site")
        ]));
    }
}
