//! One value's text to its type. The error says what would be right.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::tradernet::is_loopback;

/// `30s`, `1m`, `1h 30m`; a bare number is seconds.
pub(super) fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    let value = parsed.ok_or("is no duration: write 30s, 1m, or a number of seconds")?;
    if value < least {
        return Err(format!(
            "is too short: at least {}",
            humantime::format_duration(least)
        ));
    }
    if value > most {
        return Err(format!(
            "is too long: at most {}",
            humantime::format_duration(most)
        ));
    }
    Ok(value)
}

pub(super) fn whole_number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(format!(
            "is no whole number: write one from {least} to {most}"
        ));
    }
    // What is too long for the type is out of range all the more.
    text.parse()
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| format!("is out of range: {least} to {most}"))
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("is none of {}", known.join(", "))
        })
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
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

pub(super) fn log_level(text: &str) -> Result<tracing::Level, String> {
    use tracing::Level;
    let words = [
        ("debug", Level::DEBUG),
        ("info", Level::INFO),
        ("warn", Level::WARN),
        ("error", Level::ERROR),
    ];
    one_of(text, &words)
}

/// An address or a network; an IPv4 address mapped into IPv6 is the IPv4 address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(ip) => Ok(IpNet::from(ip)),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            "is no address and no network: write 203.0.113.7 or 203.0.113.0/24".to_owned()
        }),
    }?;
    Ok(canonical(network))
}

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(v4), Some(prefix)) => Ipv4Net::new(v4, prefix).map_or(network, IpNet::V4),
        _ => network,
    }
}

pub(super) fn safety_type(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| "is no safety type: write a number such as 4".to_owned())
}

/// `2=token`.
pub(super) fn named_safety_type(text: &str) -> Result<(i64, String), String> {
    let (id, name) = text
        .split_once('=')
        .ok_or("is no name for a type: write 2=token")?;
    let name = safety_name(name).map_err(|wrong| format!("has a name that {wrong}"))?;
    let id = safety_type(id.trim()).map_err(|wrong| format!("has a number that {wrong}"))?;
    Ok((id, name))
}

pub(super) fn safety_name(text: &str) -> Result<String, String> {
    match text.trim() {
        name if (1..=64).contains(&name.chars().count()) => Ok(name.to_owned()),
        _ => Err("is empty or longer than 64 characters".to_owned()),
    }
}

/// An origin: scheme, host and port. Unencrypted to loopback alone. The error never quotes the
/// text, which may hold a password.
pub(super) fn origin(text: &str, secure: &str, plain: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|_| format!("is no URL: write {secure}://host, as in {secure}://tradernet.com"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "has a user name or password in it: give credentials in their own variables".to_owned(),
        );
    }
    if url.host().is_none()
        || !matches!(url.path(), "" | "/")
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(format!(
            "is more than an origin: write {secure}://host or {secure}://host:port"
        ));
    }
    if url.scheme() == plain && !is_loopback(&url) {
        return Err(format!(
            "would send credentials unencrypted: use {secure}://, {plain}:// is for loopback alone"
        ));
    }
    if url.scheme() != plain && url.scheme() != secure {
        return Err(format!("has the scheme {}: use {secure}://", url.scheme()));
    }
    Ok(url)
}

/// A proxy's address; the error never quotes it.
pub(super) fn proxy(text: &SecretString) -> Result<SecretString, String> {
    let given = text.expose_secret().trim();
    let with_scheme = match given.contains("://") {
        true => given.to_owned(),
        false => format!("http://{given}"),
    };
    let url =
        Url::parse(&with_scheme).map_err(|_| "is no proxy: write http://host:port".to_owned())?;
    if url.host().is_none() || !matches!(url.scheme(), "http" | "https") {
        return Err(
            "is no proxy that can be used: write http://host:port or https://host:port".to_owned(),
        );
    }
    Ok(with_scheme.into())
}

/// A secret that HTTP headers and cookies can carry.
pub(super) fn is_header_safe(secret: &SecretString) -> bool {
    secret
        .expose_secret()
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b';' && byte != b',')
}

/// Says of a value that it clashes with another.
pub(super) fn clash(with: impl Display) -> String {
    format!("is set together with {with}: unset one of them")
}
