//! Whether a request that changes something comes from an operator and not from a foreign web page.
//!
//! A reload needs no password by default. A web page that an operator visits must not be able to
//! request one: neither by posting to the exporter (the browser then sends the page as `Origin`),
//! nor by resolving a name of its own to the exporter's address (the browser then sends that name
//! as `Host`). For the same reason, a listener on loopback shows its pages under no foreign `Host`.

use std::net::SocketAddrV4;

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};
use url::{Host, Url};

/// Rejects a foreign `Host` or `Origin`, with the reason for the client.
///
/// `Host` must be localhost, an IP address (which a listener's own address is) or the external URL's
/// host; `Origin`, where there is one, must be the origin that `Host` names or the external URL's;
pub(super) fn check_same_origin(
    headers: &HeaderMap,
    external: Option<&Url>,
) -> Result<(), &'static str> {
    let authority = check_host(headers, external)?;
    let is_own = |origin: Url| {
        let own = Url::parse(&format!("{}://{authority}", origin.scheme())).ok();
        let mut own = own.iter().chain(external);
        own.any(|own| own.origin() == origin.origin())
    };
    let mut origins = headers.get_all(ORIGIN).into_iter();
    let is_allowed = match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => Url::parse(origin.to_str().unwrap_or_default()).is_ok_and(is_own),
        _ => false,
    };
    match is_allowed {
        true => Ok(()),
        false => Err("refused: Origin is another site"),
    }
}

/// Rejects a foreign `Host`: one that is neither localhost, nor an IP address, nor the external URL's.
/// Returns it.
pub(super) fn check_host<'a>(
    headers: &'a HeaderMap,
    external: Option<&Url>,
) -> Result<&'a str, &'static str> {
    let unreadable = "refused: the request needs exactly one readable Host header";
    let mut hosts = headers.get_all(HOST).into_iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(unreadable);
    };
    let authority = host.to_str().unwrap_or_default();
    // Parsing a URL takes a tenth of the time of a scrape.
    if authority.parse::<SocketAddrV4>().is_ok() {
        return Ok(authority);
    }
    if authority.contains('@') {
        return Err(unreadable);
    }
    let url = Url::parse(&format!("http://{authority}")).map_err(|_| unreadable)?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        // No foreign DNS zone can resolve an address to this machine.
        address => address.is_some(),
    };
    if !is_local && external.and_then(Url::host) != url.host() {
        return Err(
            "refused: Host is neither localhost, nor an IP address, nor the host of --web.external-url",
        );
    }
    Ok(authority)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hyper::header::HeaderName;

    use super::*;

    fn is_allowed(lines: &[(&str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        let external = Url::parse("https://Sessions.example/tradernet/").unwrap();
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
}
