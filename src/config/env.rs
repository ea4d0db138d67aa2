//! Variables as texts: which are ours, which are misspelt, which are nobody's business.

use std::ffi::OsString;

use secrecy::SecretString;
use serde::Deserialize;

use super::error::{Place, Report};
use super::redaction;
use super::source::Doubts;
use super::suggest;

const PREFIX: &str = "TRADERNET_";
const WEB_PREFIX: &str = "WEB_";
/// Names the CA certificates.
pub(super) const CA_FILE: &str = "SSL_CERT_FILE";
const POD_NAME: &str = "POD_NAME";

/// A struct of optional texts, read by `envy` or from a file, and the list of its keys.
macro_rules! raw {
    ($(#[$doc:meta])* $name:ident, $(#[$list_doc:meta])* $list:ident { $($key:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Default, Deserialize)]
        pub(super) struct $name { $(pub(super) $key: Option<String>,)* }

        impl $name {
            /// The place of a key's text.
            #[allow(dead_code, reason = "not every set of keys is filled or listed one by one")]
            pub(super) fn slot(&mut self, key: &str) -> Option<&mut Option<String>> {
                match key {
                    $(stringify!($key) => Some(&mut self.$key),)*
                    _ => None,
                }
            }

            /// A key's text.
            #[allow(dead_code, reason = "the same")]
            pub(super) fn text(&self, key: &str) -> Option<&str> {
                match key {
                    $(stringify!($key) => self.$key.as_deref(),)*
                    _ => None,
                }
            }

            /// The keys that have a text.
            #[allow(dead_code, reason = "the same")]
            pub(super) fn given(&self) -> impl Iterator<Item = &'static str> {
                $list.iter().copied().filter(|key| self.text(key).is_some())
            }
        }

        $(#[$list_doc])*
        pub const $list: &[&str] = &[$(stringify!($key),)*];
    };
}

raw! {
    /// An account's keys, as texts.
    RawAccount,
    /// The keys of an account: variables in lower case without `TRADERNET_`.
    ACCOUNT_KEYS {
        url, ws_url, socketio_url, account, sid, sid_file, login, password, password_file,
        api_key, api_key_file, api_secret, api_secret_file, api_version, transport, poll_interval,
        timeout, max_age, expire_unit, allowed_client_ips, allowed_safety_types, allowed_logins,
        min_sessions, max_sessions, max_lifetime, session_details,
    }
}

raw! {
    /// What is not of one account, as texts.
    RawGlobal,
    /// The other keys with the prefix `TRADERNET_`.
    GLOBAL_KEYS {
        config_file, shard, log_level, log_format, max_requests_per_host, max_response_bytes,
        safety_types,
    }
}

raw! {
    /// What is served where, as texts.
    RawWeb,
    /// The keys with the prefix `WEB_`.
    WEB_KEYS {
        listen_address, probe_listen_address, telemetry_path, config_file, external_url,
        systemd_socket, enable_lifecycle,
    }
}

/// All variables that mean something here.
#[derive(Default)]
pub(super) struct Environment {
    pub(super) account: RawAccount,
    pub(super) global: RawGlobal,
    pub(super) web: RawWeb,
    /// Keys with the prefix `TRADERNET_` that may have been meant by misspelt names and the like.
    pub(super) doubts: Doubts,
    /// The variable that names the proxy, and its value, which may hold a password.
    pub(super) proxy: Option<(String, SecretString)>,
    pub(super) no_proxy: Option<String>,
    /// `SSL_CERT_FILE`, which the TLS library reads by itself.
    pub(super) ca_file: Option<String>,
    /// `POD_NAME`, which the shard's number may be read from.
    pub(super) pod_name: Option<String>,
}

impl Environment {
    /// An empty variable is unset. What is not UTF-8 and not ours is nobody's business.
    pub(super) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        report: &mut Report,
    ) -> Self {
        let mut ours = Vec::new();
        let mut doubts = Doubts::default();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else {
                continue;
            };
            let relevant = name.starts_with(PREFIX)
                || name.starts_with(WEB_PREFIX)
                || is_proxy(&name)
                || name == CA_FILE
                || name == POD_NAME;
            if !relevant || value.is_empty() {
                continue;
            }
            match value.into_string() {
                Ok(value) => ours.push((name, value)),
                Err(_) => {
                    if let Some(key) = name.strip_prefix(PREFIX) {
                        doubts.add(meant(key));
                    }
                    let place = Place::variable(&redaction::name(&name));
                    report.add(place, None, "is not UTF-8".to_owned());
                }
            }
        }
        for (name, value) in &ours {
            if let Some(key) = name.strip_prefix(PREFIX)
                && !is_known(key)
                && !is_from_kubernetes(key)
            {
                doubts.add(meant(key));
                let (shown, text) = unknown(key, value);
                report.add(Place::variable(&redaction::name(name)), shown, text);
            }
        }
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|wanted| ours.iter().find(|(name, _)| name == wanted).cloned())
        };
        Self {
            proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
                .map(|(name, value)| (name, value.into())),
            ca_file: first(&[CA_FILE]).map(|(_, value)| value),
            no_proxy: first(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value),
            pod_name: first(&[POD_NAME]).map(|(_, value)| value),
            account: read_with_envy(PREFIX, &ours),
            global: read_with_envy(PREFIX, &ours),
            web: read_with_envy(WEB_PREFIX, &ours),
            doubts,
        }
    }
}

fn read_with_envy<T: Default + for<'de> Deserialize<'de>>(
    prefix: &str,
    variables: &[(String, String)],
) -> T {
    // `envy` takes lower case for upper case, and fails where both are there.
    let exact = variables
        .iter()
        .filter(|(name, _)| *name == name.to_ascii_uppercase());
    // Optional texts alone: there is nothing that could be missing or of the wrong type.
    envy::prefixed(prefix)
        .from_iter(exact.cloned())
        .unwrap_or_default()
}

fn is_proxy(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // Neither `Https_Proxy` nor the like: other programs do not read those either.
    (name == lower || name == name.to_ascii_uppercase())
        && matches!(lower.as_str(), "https_proxy" | "all_proxy" | "no_proxy")
}

fn known_keys() -> impl Iterator<Item = &'static str> {
    ACCOUNT_KEYS.iter().chain(GLOBAL_KEYS).copied()
}

fn is_known(key: &str) -> bool {
    known_keys().any(|known| known.to_ascii_uppercase() == key)
}

/// What Kubernetes injects for a Service that is named `tradernet` or `tradernet-…`.
fn is_from_kubernetes(key: &str) -> bool {
    let key = format!("_{key}");
    let port = |rest: &str| {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.len() < rest.len() && digits.starts_with('_')
    };
    key.ends_with("_SERVICE_HOST")
        || key.ends_with("_SERVICE_PORT")
        || key.contains("_SERVICE_PORT_")
        || key.ends_with("_PORT")
        || key
            .match_indices("_PORT_")
            .any(|(at, found)| key.get(at + found.len()..).is_some_and(port))
}

/// The key that a name stands for, if that is clear.
fn meant(key: &str) -> Option<&'static str> {
    let guess = suggest::guess(key, known_keys())?;
    guess.is_clear.then_some(guess.nearest)
}

/// What is said of an unknown variable, and its value where that may be shown.
fn unknown<'a>(key: &str, value: &'a str) -> (Option<&'a str>, String) {
    let nearest = |name: String| format!("unknown variable; the nearest known one is {name}");
    let lower = key.to_ascii_lowercase();
    if let Some(web) = WEB_KEYS.iter().find(|known| **known == lower) {
        let text = nearest(in_upper_case(WEB_PREFIX, web));
        return (redaction::text(web, value), text);
    }
    let Some(guess) = suggest::guess(key, known_keys()) else {
        return (None, "unknown variable".to_owned());
    };
    let text = nearest(in_upper_case(PREFIX, guess.nearest));
    match guess.shown(value) {
        Some(value) => (Some(value), text),
        None => (None, text + redaction::NOT_SHOWN),
    }
}

fn in_upper_case(prefix: &str, key: &str) -> String {
    format!("{prefix}{}", key.to_ascii_uppercase())
}
