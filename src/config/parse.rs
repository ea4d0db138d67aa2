//! One value's text to its type. An error continues a sentence that begins with the value.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use secrecy::SecretString;
use url::Url;

use crate::session::safety_type::SafetyNames;
use crate::tradernet::is_loopback;

const MAX_SAFETY_NAME_LEN: usize = 64;

/// `30s`, `1m`, `1h 30m`; a bare number is seconds.
pub(super) fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    let value = parsed.ok_or("is not a valid duration; use 30s, 5m or a number of seconds")?;
    if value < min {
        let min = humantime::format_duration(min);
        return Err(format!("is too short; use at least {min}"));
    }
    if value > max {
        let max = humantime::format_duration(max);
        return Err(format!("is too long; use at most {max}"));
    }
    Ok(value)
}

pub(super) fn integer(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let text = text.trim();
    // `u64` would take a plus sign too.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|_| is_number);
    value
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| format!("must be a whole number from {min} to {max}"))
}

pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("must be one of {}", words.join(", "))
    })
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    let words = [
        ("true", true),
        ("false", false),
        ("1", true),
        ("0", false),
        ("on", true),
        ("off", false),
    ];
    one_of(text, &words)
}

/// An address or a network; an IPv4 address mapped into IPv6 is the IPv4 address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip),
        Err(_) => text.parse().map_err(|_| {
            "is not an IP address or network; use 203.0.113.7 or 203.0.113.0/24".to_owned()
        })?,
    };
    let IpNet::V6(v6) = network else {
        return Ok(network);
    };
    Ok(
        match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
            (Some(v4), Some(prefix)) => Ipv4Net::new(v4, prefix).map_or(network, IpNet::V4),
            _ => network,
        },
    )
}

/// The ids of a safety type that is given by its id or its name.
pub(super) fn safety_types(text: &str, names: &SafetyNames) -> Result<Vec<i64>, String> {
    if let Ok(id) = text.parse() {
        return Ok(vec![id]);
    }
    let ids = names.ids(text);
    if ids.is_empty() {
        let known = names.all().join(", ");
        return Err(format!(
            "is not a safety type; use an id such as 4, or one of {known}"
        ));
    }
    Ok(ids)
}

/// The id and the name of a safety type, which is not among those seen.
pub(super) fn named_safety_type(
    id: &str,
    name: &str,
    seen: &mut HashSet<i64>,
) -> Result<(i64, String), String> {
    let id = id.trim().parse();
    let id = id.map_err(|_| "must have the id of a safety type, such as 4")?;
    let name = name.trim();
    if !(1..=MAX_SAFETY_NAME_LEN).contains(&name.chars().count()) {
        return Err(format!(
            "must have a name of 1 to {MAX_SAFETY_NAME_LEN} characters"
        ));
    }
    if !seen.insert(id) {
        return Err(format!("is a second name for safety type {id}"));
    }
    Ok((id, name.to_owned()))
}

/// An origin: scheme, host and port; unencrypted to loopback only.
pub(super) fn origin(text: &str, secure: &str, plain: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(Url::has_host).ok_or_else(|| {
        format!("is not a valid URL; use {secure}://host or {secure}://host:port")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "contains a user name or password; set credentials by their own keys".to_owned(),
        );
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "is more than an origin; use {secure}://host or {secure}://host:port"
        ));
    }
    if url.scheme() == plain && !is_loopback(&url) {
        return Err(format!(
            "would send credentials unencrypted; use {secure}:// ({plain}:// is allowed to loopback only)"
        ));
    }
    if url.scheme() != plain && url.scheme() != secure {
        return Err(format!("must begin with {secure}://"));
    }
    Ok(url)
}

/// A proxy's URL, which may contain a password; without a scheme, `http://` is meant.
pub(super) fn proxy(text: &str) -> Result<SecretString, String> {
    let text = text.trim();
    let with_scheme = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let is_valid = Url::parse(&with_scheme)
        .is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    if is_valid {
        Ok(with_scheme.into())
    } else {
        Err("is not a supported proxy; use http://host:port or https://host:port".to_owned())
    }
}

/// `127.0.0.1:10460`, `[::]:10460`, `localhost:10460`, or `:10460` for every address.
pub(super) fn listen_address(text: &str) -> Result<String, String> {
    let invalid =
        || "is not a listen address; use 127.0.0.1:10460, [::]:10460 or :10460".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
    port.parse::<u16>().map_err(|_| invalid())?;
    if host.is_empty() {
        return Ok(format!("[::]:{port}"));
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return Err(format!(
            "needs brackets around the IPv6 address: [{host}]:{port}"
        ));
    }
    let has_brackets = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !has_brackets || host.contains(char::is_whitespace) {
        return Err(invalid());
    }
    Ok(text.to_owned())
}
