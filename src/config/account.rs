//! One account's settings to an [`AccountConfig`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::account_config::{AccountConfig, CredentialSource};
use super::credential;
use super::keys::LABELS;
use super::parse::{self, Parsed};
use super::settings::{Settings, shown_key, without_control_characters};
use super::yaml::{Node, Value};
use crate::session::expire_unit::Unit;
use crate::session::rules::Policy;
use crate::session::safety_type::SafetyNames;
use crate::session::summary::SessionDetails;
use crate::session::tracker::TrackingConfig;
use crate::status::AccountInfo;
use crate::tradernet::{Endpoint, StreamEndpoint, StreamProtocol, Transport, is_loopback};

/// The name of an account without one.
pub(super) const DEFAULT_NAME: &str = "default";
const DEFAULT_ORIGIN: &str = "https://tradernet.com";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest value of the label `account`, in characters.
const MAX_ACCOUNT_NAME_LEN: usize = 128;
/// Labels that the exporter, Prometheus or Alertmanager set.
const RESERVED_LABELS: &str = "account, alertname, credential, instance, job, severity, transport";

/// The account; none where its credential or times are invalid. Any other invalid value is replaced by
/// its default. `names` are those of safety types.
pub(super) fn resolve(settings: &Settings<'_>, names: &SafetyNames) -> Option<AccountConfig> {
    let name = settings.get("account", account_name);
    let origin = settings.get("url", parse::origin("https", "http"));
    let origin = origin.or_else(|| Url::parse(DEFAULT_ORIGIN).ok())?;
    let transports = Transport::ALL.map(|transport| (transport.name(), transport));
    let transport = settings.get("transport", parse::word(transports));
    let transport = transport.unwrap_or(Transport::Http);
    let times = times(settings);
    let login = credential::login(settings);
    let credential = credential::resolve(settings, login.as_deref());
    let stream = stream(settings, transport, &origin, &credential, &login);
    let policy = policy(settings, names);
    let units = [
        ("auto", None),
        ("ms", Some(Unit::Milliseconds)),
        ("s", Some(Unit::Seconds)),
    ];
    let expire_unit = settings.get("expire_unit", parse::word(units));
    let details = [
        ("off", SessionDetails::Off),
        ("anonymous", SessionDetails::Anonymous),
        ("full", SessionDetails::Full),
    ];
    let details = settings.get("session_details", parse::word(details));
    let labels = labels(settings);
    let (interval, timeout, max_age) = times?;
    let credential = credential?;
    let info = Arc::new(AccountInfo {
        credential: credential.kind(),
        labels,
    });
    Some(AccountConfig {
        name: name.unwrap_or_else(|| DEFAULT_NAME.into()),
        target: Endpoint { origin, timeout },
        credential,
        login,
        transport,
        stream,
        info,
        tracking: Arc::new(TrackingConfig {
            policy,
            details: details.unwrap_or_default(),
            expire_unit: expire_unit.flatten(),
            interval,
            max_age,
        }),
    })
}

fn account_name(text: &str) -> Parsed<Arc<str>> {
    if text.trim() != text || text.is_empty() {
        return Err("must not be empty or begin or end with a space".to_owned());
    }
    let text = parse::printable(text)?;
    if text.chars().count() > MAX_ACCOUNT_NAME_LEN {
        return Err(format!("is longer than {MAX_ACCOUNT_NAME_LEN} characters"));
    }
    Ok(text.into())
}

/// Interval, timeout and maximum age. A value is not compared with an invalid one.
fn times(settings: &Settings<'_>) -> Option<(Duration, Duration, Duration)> {
    let bounds = parse::duration(Duration::from_secs(1), DAY);
    let interval = settings.get_or("poll_interval", DEFAULT_INTERVAL, bounds);
    let default = DEFAULT_TIMEOUT.min(interval.unwrap_or(DEFAULT_TIMEOUT));
    let bounds = parse::duration(Duration::from_millis(10), DAY);
    let timeout = settings.get_or("timeout", default, bounds);
    let default = interval.unwrap_or(DEFAULT_INTERVAL) * 3;
    let bounds = parse::duration(Duration::ZERO, DAY * 30);
    let max_age = settings.get_or("max_age", default, bounds);
    if let (Some(interval), Some(timeout)) = (interval, timeout) {
        if timeout > interval {
            let name = settings.name("poll_interval");
            let interval = humantime::format_duration(interval);
            let message = format!("is longer than {name}, which is {interval}");
            settings.reject("timeout", message);
        }
        let min = interval + timeout;
        if max_age.is_some_and(|max_age| max_age < min) {
            let min = humantime::format_duration(min);
            let sum = "polling interval and timeout together";
            let message = format!("is too short; use at least {min} ({sum})");
            settings.reject("max_age", message);
        }
    }
    Some((interval?, timeout?, max_age?))
}

/// Where the list is pushed from; none with polling, or where a setting is invalid.
fn stream(
    settings: &Settings<'_>,
    transport: Transport,
    origin: &Url,
    credential: &Option<CredentialSource>,
    login: &Option<String>,
) -> Option<StreamEndpoint> {
    // Both are checked, whichever is used.
    let websocket = settings.get("ws_url", parse::origin("wss", "ws"));
    let socketio = settings.get("socketio_url", parse::origin("wss", "ws"));
    let (key, given, subdomain) = match transport {
        Transport::Http => return None,
        Transport::Websocket => ("ws_url", websocket, "wss"),
        Transport::Socketio => ("socketio_url", socketio, "ws"),
    };
    let is_socketio = transport == Transport::Socketio;
    if is_socketio && matches!(credential, Some(CredentialSource::KeyPair { .. })) {
        let message =
            "socketio requires an SID or a login; a key pair works with http and websocket";
        return settings.fail("transport", message);
    }
    if is_socketio && !settings.is_set("login") {
        let name = settings.name("login");
        let message = format!("socketio requires {name}: it subscribes with that name");
        settings.error("transport", message);
    }
    let origin = given.or_else(|| stream_origin(origin, subdomain));
    if origin.is_none() && !settings.is_set(key) {
        let name = settings.name("url");
        let message = format!("is required: {name} has an IP address or a port");
        settings.error(key, message);
    }
    let protocol = match is_socketio {
        true => StreamProtocol::Socketio {
            login: login.clone()?,
        },
        false => StreamProtocol::Websocket,
    };
    Some(StreamEndpoint {
        origin: origin?,
        protocol,
    })
}

/// `wss://wss.<domain>` or `wss://ws.<domain>` of an API origin; none for an IP address, a port, or
/// loopback.
fn stream_origin(origin: &Url, subdomain: &str) -> Option<Url> {
    let domain = origin.domain()?;
    if origin.port().is_some() || is_loopback(origin) {
        return None;
    }
    let domain = domain.strip_prefix("www.").unwrap_or(domain);
    Url::parse(&format!("wss://{subdomain}.{domain}")).ok()
}

fn policy(settings: &Settings<'_>, names: &SafetyNames) -> Policy {
    let count = parse::integer(0, u64::from(u32::MAX));
    let safety_types = |key| {
        let types = settings.list(key, |text| parse::safety_types(text, names))?;
        Some(types.into_iter().flatten().collect())
    };
    let min_sessions = settings.get("min_sessions", &count);
    let max_sessions = settings.get("max_sessions", &count);
    if let (Some(min), Some(max)) = (min_sessions, max_sessions)
        && max < min
    {
        let name = settings.name("min_sessions");
        let message = format!("is less than {name}, which is {min}");
        settings.reject("max_sessions", message);
    }
    let lifetime = parse::duration(Duration::from_secs(1), DAY * 36_500);
    Policy {
        client_ips: settings.list("allowed_client_ips", parse::network),
        safety_types: safety_types("allowed_safety_types"),
        logins: settings
            .list("allowed_logins", |login| Ok(login.to_owned()))
            .map(|logins| logins.into_iter().collect()),
        min_sessions,
        min_sessions_safety_types: safety_types("min_sessions_safety_types"),
        max_sessions,
        max_lifetime: settings.get("max_lifetime", lifetime),
    }
}

/// Labels of `tradernet_account_info`, which only the accounts file can hold.
fn labels(settings: &Settings<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let pairs = match settings.values.get(LABELS).map(|node| &node.value) {
        None => return labels,
        Some(Value::Map(pairs)) => pairs,
        Some(_) => {
            settings.error(LABELS, "must be a mapping of label names to values");
            return labels;
        }
    };
    for Node { line, name, value } in pairs {
        let shown =
            shown_key(name, value).map_or("labels".to_owned(), |name| format!("labels.{name}"));
        match label(name, value) {
            Ok(value) if !labels.contains_key(name) => {
                labels.insert(name.clone(), value);
            }
            Ok(_) => settings.errors.push(*line, &shown, "duplicate label"),
            Err(message) => settings.errors.push(*line, &shown, message),
        }
    }
    labels
}

/// The value of a label, if it and the name are valid.
fn label(name: &str, value: &Value) -> Parsed<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_first = |c: char| is_part(c) && !c.is_ascii_digit();
    if !name.starts_with(is_first) || !name.chars().all(is_part) || name.starts_with("__") {
        let form = "letters, digits and _, not beginning with a digit or __";
        return Err(format!("is not a Prometheus label name: {form}"));
    }
    if RESERVED_LABELS.split(", ").any(|label| label == name) {
        return Err(format!("is reserved, as are {RESERVED_LABELS}"));
    }
    let value = value.text().ok_or("must be a single value")?;
    without_control_characters(value)?;
    parse::printable(value).map(ToOwned::to_owned)
}
