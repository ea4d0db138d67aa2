//! One account's settings to an [`AccountConfig`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::account_config::{AccountConfig, CredentialSource};
use super::credential;
use super::error::ConfigErrors;
use super::parse;
use super::settings::{Settings, shown_key, without_control_characters};
use super::yaml::Content;
use crate::session::expire_unit::{Unit, UnitSetting};
use crate::session::rules::Policy;
use crate::session::safety_type::SafetyNames;
use crate::session::summary::SessionDetails;
use crate::session::tracker::TrackingConfig;
use crate::status::AccountInfo;
use crate::text::is_printable;
use crate::tradernet::{Endpoint, StreamEndpoint, StreamProtocol, Transport, is_loopback};

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

/// The account, unless something is wrong with it. `names` are those of safety types.
pub(super) fn resolve(
    settings: &Settings,
    names: &SafetyNames,
    errors: &mut ConfigErrors,
) -> Option<AccountConfig> {
    let name = settings.parse_or("account", "default".into(), errors, account_name);
    let origin = match settings.is_set("url") {
        true => settings.parse("url", errors, |text| parse::origin(text, "https", "http")),
        false => Url::parse(DEFAULT_ORIGIN).ok(),
    };
    let transport = settings.parse_or("transport", Transport::Http, errors, |text| {
        let words = Transport::ALL.map(|transport| (transport.name(), transport));
        parse::one_of(text, &words)
    });
    let times = times(settings, errors);
    let credential = credential::resolve(settings, errors);
    let stream = stream(
        settings,
        transport,
        origin.as_ref(),
        credential.as_ref(),
        errors,
    );
    let policy = policy(settings, names, errors);
    let expire_unit = settings.parse("expire_unit", errors, |text| {
        let units = [
            ("auto", UnitSetting::Auto),
            ("ms", UnitSetting::Fixed(Unit::Milliseconds)),
            ("s", UnitSetting::Fixed(Unit::Seconds)),
        ];
        parse::one_of(text, &units)
    });
    let details = settings.parse("session_details", errors, |text| {
        let details = [
            ("off", SessionDetails::Off),
            ("anonymous", SessionDetails::Anonymous),
            ("full", SessionDetails::Full),
        ];
        parse::one_of(text, &details)
    });
    let labels = labels(settings, errors);
    let Times {
        interval,
        timeout,
        max_age,
    } = times?;
    let credential = credential?;
    let info = Arc::new(AccountInfo {
        credential: credential.kind(),
        labels,
    });
    Some(AccountConfig {
        name: name?,
        target: Endpoint {
            origin: origin?,
            timeout,
        },
        credential,
        transport: transport?,
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

struct Times {
    interval: Duration,
    timeout: Duration,
    max_age: Duration,
}

/// Interval, timeout and maximum age. A value is not compared with one that is wrong itself.
fn times(settings: &Settings, errors: &mut ConfigErrors) -> Option<Times> {
    let interval = settings.parse_or("poll_interval", DEFAULT_INTERVAL, errors, |text| {
        parse::duration(text, Duration::from_secs(1), DAY)
    });
    let default = DEFAULT_TIMEOUT.min(interval.unwrap_or(DEFAULT_TIMEOUT));
    let timeout = settings.parse_or("timeout", default, errors, |text| {
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
    let min_age = interval
        .zip(timeout)
        .map(|(interval, timeout)| interval + timeout);
    let default = interval.unwrap_or(DEFAULT_INTERVAL) * 3;
    let max_age = settings.parse_or("max_age", default, errors, |text| {
        let max_age = parse::duration(text, Duration::ZERO, DAY * 30)?;
        match min_age {
            Some(min) if max_age < min => Err(format!(
                "is too short; use at least {} (polling interval and timeout together)",
                humantime::format_duration(min)
            )),
            _ => Ok(max_age),
        }
    });
    Some(Times {
        interval: interval?,
        timeout: timeout?,
        max_age: max_age?,
    })
}

/// Where the list is pushed from; none with polling, or where something is wrong.
fn stream(
    settings: &Settings,
    transport: Option<Transport>,
    origin: Option<&Url>,
    credential: Option<&CredentialSource>,
    errors: &mut ConfigErrors,
) -> Option<StreamEndpoint> {
    // Both are checked, whichever is used.
    let [websocket, socketio] = ["ws_url", "socketio_url"]
        .map(|key| settings.parse(key, errors, |text| parse::origin(text, "wss", "ws")));
    let (key, given, subdomain) = match transport? {
        Transport::Http => return None,
        Transport::Websocket => ("ws_url", websocket, "wss"),
        Transport::Socketio => ("socketio_url", socketio, "ws"),
    };
    if let (Transport::Socketio, Some(CredentialSource::KeyPair { .. })) = (transport?, credential)
    {
        let message =
            "socketio requires an SID or a login; a key pair works with http and websocket";
        errors.push(&settings.location("transport"), message);
        return None;
    }
    let dialect = match (transport?, credential::login(settings)) {
        (Transport::Socketio, Some(login)) => StreamProtocol::Socketio { login },
        (Transport::Socketio, None) => {
            let name = settings.name("login");
            let message = format!("socketio requires {name}: it subscribes with that name");
            errors.push(&settings.location("transport"), message);
            return None;
        }
        _ => StreamProtocol::Websocket,
    };
    let origin = match settings.is_set(key) {
        true => given?,
        false => stream_origin(origin?, subdomain).or_else(|| {
            let message = format!(
                "is required: {} has an IP address or a port",
                settings.name("url")
            );
            errors.push(&settings.location(key), message);
            None
        })?,
    };
    Some(StreamEndpoint { origin, dialect })
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

fn policy(settings: &Settings, names: &SafetyNames, errors: &mut ConfigErrors) -> Policy {
    let count = |text: &str| parse::integer(text, 0, u64::from(u32::MAX));
    let safety_types = |key, errors: &mut ConfigErrors| {
        let types = settings.parse_list(key, errors, |text| parse::safety_types(text, names))?;
        Some(types.into_iter().flatten().collect())
    };
    let min_sessions = settings.parse("min_sessions", errors, count);
    let max_sessions = settings.parse("max_sessions", errors, |text| {
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
        client_ips: settings.parse_list("allowed_client_ips", errors, parse::network),
        safety_types: safety_types("allowed_safety_types", errors),
        logins: settings
            .parse_list("allowed_logins", errors, |login| Ok(login.to_owned()))
            .map(|logins| logins.into_iter().collect()),
        min_sessions,
        min_sessions_safety_types: safety_types("min_sessions_safety_types", errors),
        max_sessions,
        max_lifetime: settings.parse("max_lifetime", errors, |text| {
            parse::duration(text, Duration::from_secs(1), DAY * 36_500)
        }),
    }
}

/// Labels of `tradernet_account_info`, which only the accounts file can hold.
fn labels(settings: &Settings, errors: &mut ConfigErrors) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(setting) = settings.get("labels") else {
        return labels;
    };
    let Content::Map(pairs) = &setting.node.content else {
        let message = "must be a mapping of label names to values";
        errors.push(&setting.location, message);
        return labels;
    };
    for (key, value) in pairs {
        let name = key.text().unwrap_or_default();
        let mut location = setting.location.clone();
        location.line = key.line;
        if let Some(name) = shown_key(name, value) {
            location.name = format!("{}.{name}", location.name);
        }
        match label(name, value.text()) {
            Ok((name, value)) if !labels.contains_key(&name) => {
                labels.insert(name, value);
            }
            Ok(_) => errors.push(&location, "duplicate label"),
            Err(message) => errors.push(&location, message),
        }
    }
    labels
}

fn label(name: &str, value: Option<&str>) -> Result<(String, String), String> {
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
    Ok((name.to_owned(), value.to_owned()))
}
