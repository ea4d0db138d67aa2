//! One value's text to its type. An error continues a sentence that begins with the value.

use std::collections::HashSet;
use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use secrecy::SecretString;
use url::Url;

use crate::session::safety_type::SafetyNames;
use crate::text::is_printable;
use crate::tradernet::is_loopback;

/// A value, or an error that names the valid forms.
pub(super) type Parsed<T> = Result<T, String>;

const MAX_SAFETY_NAME_LEN: usize = 64;

/// `30s`, `1m`, `1h 30m`; a bare number is seconds.
pub(super) fn duration(min: Duration, max: Duration) -> impl Fn(&str) -> Parsed<Duration> {
    move |text| {
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
}

pub(super) fn integer<T>(min: T, max: T) -> impl Fn(&str) -> Parsed<T>
where
    T: Copy + Display + FromStr + PartialOrd,
{
    move |text| {
        let value = text.trim().parse().ok();
        value
            .filter(|value| (min..=max).contains(value))
            .ok_or_else(|| format!("must be a whole number from {min} to {max}"))
    }
}

/// One of these words.
pub(super) fn word<T: Copy, const N: usize>(words: [(&str, T); N]) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words = words.map(|(word, _)| word);
            format!("must be one of {}", words.join(", "))
        })
    }
}

/// Text that is shown as it is: names that differ only in invisible characters look the same, and
/// some change the direction of the text around them.
pub(super) fn printable(text: &str) -> Parsed<&str> {
    match text.chars().all(is_printable) {
        true => Ok(text),
        false => Err("contains an invisible formatting character; remove it".to_owned()),
    }
}

/// The path of a file. Empty is a flag: an empty variable is unset.
pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    match text {
        "" => Err("is empty; use the path of a file".to_owned()),
        path => Ok(path.into()),
    }
}

/// As variables have it, and as YAML.
pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" | "y" => Ok(true),
        "false" | "0" | "off" | "no" | "n" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// An address or a network; an IPv4 address mapped into IPv6 is the IPv4 address.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
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
pub(super) fn safety_types(text: &str, names: &SafetyNames) -> Parsed<Vec<i64>> {
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

/// `2=token`, with an id that is not among those seen.
pub(super) fn named_safety_type(text: &str, seen: &mut HashSet<i64>) -> Parsed<(i64, String)> {
    let (id, name) = text
        .split_once('=')
        .ok_or("is not an id with a name; use 2=token")?;
    let id = id.trim().parse();
    let id = id.map_err(|_| "does not begin with the id of a safety type, such as 2")?;
    let name = name.trim();
    if !(1..=MAX_SAFETY_NAME_LEN).contains(&name.chars().count()) {
        return Err(format!(
            "must have a name of 1 to {MAX_SAFETY_NAME_LEN} characters"
        ));
    }
    let name = printable(name)?;
    if !seen.insert(id) {
        return Err(format!("is a second name for safety type {id}"));
    }
    Ok((id, name.to_owned()))
}

/// An origin: scheme, host and port; unencrypted to loopback only.
pub(super) fn origin(secure: &str, plain: &str) -> impl Fn(&str) -> Parsed<Url> {
    move |text| {
        let form = format!("use {secure}://host or {secure}://host:port");
        let url = Url::parse(text).ok().filter(Url::has_host);
        let url = url.ok_or_else(|| format!("is not a valid URL; {form}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            let error = "contains a user name or password; set credentials by their own keys";
            return Err(error.to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("is more than an origin; {form}"));
        }
        match url.scheme() {
            scheme if scheme == secure => Ok(url),
            scheme if scheme == plain && is_loopback(&url) => Ok(url),
            scheme if scheme == plain => Err(format!(
                "would send credentials unencrypted; use {secure}:// ({plain}:// is allowed to \
                 loopback only)"
            )),
            _ => Err(format!("must begin with {secure}://")),
        }
    }
}

/// A proxy's URL, which may contain a password; without a scheme, `http://` is meant.
pub(super) fn proxy(text: &str) -> Parsed<SecretString> {
    let text = text.trim();
    let url = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    http_url(&url)
        .map(|_| url.into())
        .ok_or_else(|| "is not a supported proxy; use http://host:port or https://host:port".into())
}

/// An HTTP or HTTPS URL.
pub(super) fn http_url(text: &str) -> Option<Url> {
    let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    Url::parse(text).ok().filter(is_http)
}

/// `127.0.0.1:10460`, `[::]:10460`, `localhost:10460`, or `:10460` for every address. Equal addresses
/// have the same text.
pub(super) fn listen_address(text: &str) -> Parsed<String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.starts_with('/') {
            true => Ok(text.to_owned()),
            false => Err("needs an absolute path, as in unix:/run/exporter.sock".to_owned()),
        };
    }
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let any = if host.is_empty() { "[::]" } else { host };
    if let Ok(address) = format!("{any}:{port}").parse::<SocketAddr>() {
        return Ok(address.to_string());
    }
    let is_name = !host.contains(|c: char| c.is_whitespace() || matches!(c, ':' | '[' | ']'));
    match port.parse::<u16>() {
        Ok(port) if host.parse::<Ipv6Addr>().is_ok() => Err(format!(
            "needs brackets around the IPv6 address: [{host}]:{port}"
        )),
        Ok(port) if is_name => Ok(format!("{}:{port}", host.to_ascii_lowercase())),
        _ => Err("is not a listen address; use 127.0.0.1:10460, [::]:10460 or :10460".to_owned()),
    }
}
