//! One account's settings to an [`AccountConfig`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::account_config::{AccountConfig, CredentialSource};
use super::credential;
use super::error::Location;
use super::parse;
use super::settings::{Settings, shown_key, without_control_characters};
use super::yaml::{Node, Value};
use crate::session::expire_unit::{Unit, UnitSetting};
use crate::session::rules::Policy;
use crate::session::safety_type::SafetyNames;
use crate::session::summary::SessionDetails;
use crate::session::tracker::TrackingConfig;
use crate::status::AccountInfo;
use crate::text::is_printable;
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
const RESERVED_LABELS: [&str; 7] = [
    "account",
    "alertname",
    "credential",
    "instance",
    "job",
    "severity",
    "transport",
];

/// The account, unless something is wrong with its credential or times; any other value that is
/// wrong is replaced by its default. `names` are those of safety types.
pub(super) fn resolve(settings: &Settings<'_>, names: &SafetyNames) -> Option<AccountConfig> {
    let name = settings.get("account", account_name);
    let origin = settings.get("url", |text| parse::origin(text, "https", "http"));
    let origin = origin.or_else(|| Url::parse(DEFAULT_ORIGIN).ok())?;
    let transports = Transport::ALL.map(|transport| (transport.name(), transport));
    let transport = settings.get("transport", |text| parse::one_of(text, &transports));
    let transport = transport.unwrap_or(Transport::Http);
    let times = times(settings);
    let login = credential::login(settings);
    let credential = credential::resolve(settings, login.as_deref());
    let stream = stream(settings, transport, &origin, credential.as_ref(), login);
    let policy = policy(settings, names);
    let expire_unit = settings.get("expire_unit", |text| {
        let units = [
            ("auto", UnitSetting::Auto),
            ("ms", UnitSetting::Fixed(Unit::Milliseconds)),
            ("s", UnitSetting::Fixed(Unit::Seconds)),
        ];
        parse::one_of(text, &units)
    });
    let details = settings.get("session_details", |text| {
        let details = [
            ("off", SessionDetails::Off),
            ("anonymous", SessionDetails::Anonymous),
            ("full", SessionDetails::Full),
        ];
        parse::one_of(text, &details)
    });
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
        transport,
        stream,
        info,
        tracking: TrackingConfig {
            policy,
            details: details.unwrap_or_default(),
            expire_unit: expire_unit.unwrap_or(UnitSetting::Auto),
            interval,
            max_age,
        },
    })
}

fn account_name(text: &str) -> Result<Arc<str>, String> {
    if text.trim() != text || text.is_empty() {
        return Err("must not be empty or begin or end with a space".to_owned());
    }
    // Names that differ only in invisible characters look the same.
    if !text.chars().all(is_printable) {
        return Err("contains an invisible formatting character; remove it".to_owned());
    }
    if text.chars().count() > MAX_ACCOUNT_NAME_LEN {
        return Err(format!("is longer than {MAX_ACCOUNT_NAME_LEN} characters"));
    }
    Ok(text.into())
}

/// Interval, timeout and maximum age. A value is not compared with one that is wrong itself.
fn times(settings: &Settings<'_>) -> Option<(Duration, Duration, Duration)> {
    let interval = settings.get_or("poll_interval", DEFAULT_INTERVAL, |text| {
        parse::duration(text, Duration::from_secs(1), DAY)
    });
    let default = DEFAULT_TIMEOUT.min(interval.unwrap_or(DEFAULT_TIMEOUT));
    let timeout = settings.get_or("timeout", default, |text| {
        let timeout = parse::duration(text, Duration::from_millis(10), DAY)?;
        match interval {
            Some(interval) if timeout > interval => Err(format!(
                "is longer than {}, which is {}",
                settings.name("poll_interval"),
                humantime::format_duration(interval),
            )),
            _ => Ok(timeout),
        }
    });
    let default = interval.unwrap_or(DEFAULT_INTERVAL) * 3;
    let max_age = settings.get_or("max_age", default, |text| {
        let max_age = parse::duration(text, Duration::ZERO, DAY * 30)?;
        match interval
            .zip(timeout)
            .map(|(interval, timeout)| interval + timeout)
        {
            Some(min) if max_age < min => Err(format!(
                "is too short; use at least {} (polling interval and timeout together)",
                humantime::format_duration(min)
            )),
            _ => Ok(max_age),
        }
    });
    Some((interval?, timeout?, max_age?))
}

/// Where the list is pushed from; none with polling, or where something is wrong.
fn stream(
    settings: &Settings<'_>,
    transport: Transport,
    origin: &Url,
    credential: Option<&CredentialSource>,
    login: Option<String>,
) -> Option<StreamEndpoint> {
    // Both are checked, whichever is used.
    let [websocket, socketio] = ["ws_url", "socketio_url"]
        .map(|key| settings.get(key, |text| parse::origin(text, "wss", "ws")));
    let (key, given, subdomain) = match transport {
        Transport::Http => return None,
        Transport::Websocket => ("ws_url", websocket, "wss"),
        Transport::Socketio => ("socketio_url", socketio, "ws"),
    };
    let protocol = match (transport, credential) {
        (Transport::Socketio, Some(CredentialSource::KeyPair { .. })) => {
            let message =
                "socketio requires an SID or a login; a key pair works with http and websocket";
            settings.error("transport", message);
            return None;
        }
        (Transport::Socketio, _) if !settings.is_set("login") => {
            let name = settings.name("login");
            let message = format!("socketio requires {name}: it subscribes with that name");
            settings.error("transport", &message);
            return None;
        }
        (Transport::Socketio, _) => StreamProtocol::Socketio { login: login? },
        _ => StreamProtocol::Websocket,
    };
    let origin = match settings.is_set(key) {
        true => given?,
        false => stream_origin(origin, subdomain).or_else(|| {
            let name = settings.name("url");
            let message = format!("is required: {name} has an IP address or a port");
            settings.error(key, &message);
            None
        })?,
    };
    Some(StreamEndpoint { origin, protocol })
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
    let count = |text: &str| parse::integer(text, 0, u64::from(u32::MAX));
    let safety_types = |key| {
        let types = settings.list(key, |text| parse::safety_types(text, names))?;
        Some(types.into_iter().flatten().collect())
    };
    let min_sessions = settings.get("min_sessions", count);
    let max_sessions = settings.get("max_sessions", |text| {
        let max = count(text)?;
        match min_sessions {
            Some(min) if max < min => Err(format!(
                "is less than {}, which is {min}",
                settings.name("min_sessions")
            )),
            _ => Ok(max),
        }
    });
    Policy {
        client_ips: settings.list("allowed_client_ips", parse::network),
        safety_types: safety_types("allowed_safety_types"),
        logins: settings
            .list("allowed_logins", |login| Ok(login.to_owned()))
            .map(|logins| logins.into_iter().collect()),
        min_sessions,
        min_sessions_safety_types: safety_types("min_sessions_safety_types"),
        max_sessions,
        max_lifetime: settings.get("max_lifetime", |text| {
            parse::duration(text, Duration::from_secs(1), DAY * 36_500)
        }),
    }
}

/// Labels of `tradernet_account_info`, which only the accounts file can hold.
fn labels(settings: &Settings<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let pairs = match settings.values.get("labels").map(|setting| &setting.value) {
        None => return labels,
        Some(Value::Map(pairs)) => pairs,
        Some(_) => {
            settings.error("labels", "must be a mapping of label names to values");
            return labels;
        }
    };
    for (name, Node { line, value }) in pairs {
        let key = settings.location("labels").name;
        let shown = shown_key(name, value).map(|name| format!("{key}.{name}"));
        let location = Location::line(*line, shown.unwrap_or(key));
        match label(name, value.text()) {
            Ok(value) if !labels.contains_key(name) => {
                labels.insert(name.clone(), value);
            }
            Ok(_) => settings.errors.push(&location, "duplicate label"),
            Err(message) => settings.errors.push(&location, message),
        }
    }
    labels
}

/// The value of a label, if it and the name are valid.
fn label(name: &str, value: Option<&str>) -> Result<String, String> {
    let mut chars = name.chars();
    let is_valid = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with("__");
    if !is_valid {
        return Err(
            "is not a Prometheus label name: letters, digits and _, not beginning with a \
                    digit or __"
                .to_owned(),
        );
    }
    if RESERVED_LABELS.contains(&name) {
        let reserved = RESERVED_LABELS.join(", ");
        return Err(format!("is reserved, as are {reserved}"));
    }
    let value = value.ok_or("must be a single value")?;
    without_control_characters(value)?;
    Ok(value.to_owned())
}
