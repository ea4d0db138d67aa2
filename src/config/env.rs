//! Environment variables: those of the exporter, misspelt ones, and those of other programs.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::error::ErrorCollector;
use super::keys::{ACCOUNT_KEYS, Key, LABELS, PROCESS_KEYS, variable};
use super::settings::SettingsByKey;
use super::suggest::{suggest, unknown};
use super::yaml::{Node, Value};

/// Variables that other programs read too. Of several for one key, the first that is set counts.
const SHARED_VARIABLES: [(&str, &str); 7] = [
    ("https_proxy", "proxy"),
    ("HTTPS_PROXY", "proxy"),
    ("all_proxy", "proxy"),
    ("ALL_PROXY", "proxy"),
    ("no_proxy", "no_proxy"),
    ("NO_PROXY", "no_proxy"),
    // `--shard auto/n` takes its number from it.
    ("POD_NAME", "pod_name"),
];

/// The settings that variables make, and warnings for the log: unknown variables that may be
/// misspelt. An empty variable is unset; one that is not UTF-8 is an error only where its name is
/// one of the exporter's.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    errors: &ErrorCollector,
) -> (SettingsByKey, Vec<String>) {
    let keys = keys();
    let known = keys.iter().map(|key| (variable(key.name), key.name));
    let known: BTreeMap<_, _> = known.collect();
    let mut ours = BTreeMap::new();
    let mut warnings = Vec::new();
    for (name, value) in variables {
        let Ok(name) = name.into_string() else {
            continue;
        };
        let is_shared = SHARED_VARIABLES.iter().any(|(shared, _)| *shared == name);
        let shown = name.escape_debug().to_string();
        if value.is_empty() || is_from_kubernetes(&name) {
            continue;
        }
        if known.contains_key(&name) || is_shared {
            match value.into_string() {
                Ok(value) => drop(ours.insert(name, value)),
                Err(_) => errors.push(0, &shown, "is not valid UTF-8"),
            }
        } else if let Some(key) = name.strip_prefix("TRADERNET_") {
            errors.push(0, &shown, unknown("variable", key, &keys, variable));
        } else if name.starts_with("WEB_")
            && let Some(key) = suggest(&name, PROCESS_KEYS)
        {
            let key = variable(key);
            warnings.push(format!(
                "unknown variable {shown} is ignored; did you mean {key}?"
            ));
        }
    }
    let mut settings = SettingsByKey::new();
    for (name, key) in SHARED_VARIABLES {
        if let Some(text) = ours.remove(name) {
            let shared = settings.entry(key);
            shared.or_insert_with(|| Node::new(0, name, Value::Text(text.into())));
        }
    }
    // It names them in lower case.
    let mut texts: BTreeMap<String, String> = envy::from_iter(ours).unwrap_or_default();
    for (name, key) in known {
        if let Some(text) = texts.remove(&name.to_ascii_lowercase()) {
            settings.insert(key, Node::new(0, name, Value::Text(text.into())));
        }
    }
    (settings, warnings)
}

/// The keys that variables can set.
fn keys() -> Vec<Key> {
    let keys = ACCOUNT_KEYS.iter().chain(PROCESS_KEYS).copied();
    keys.filter(|key| key.name != LABELS).collect()
}

/// Whether Kubernetes injects this name for a Service: `…_SERVICE_HOST`, `…_SERVICE_PORT…`,
/// `…_PORT` and `…_PORT_<n>_…`.
fn is_from_kubernetes(name: &str) -> bool {
    let starts_with_number = |rest: &str| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && after.starts_with('_')
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.split("_PORT_").skip(1).any(starts_with_number)
}
