//! Variables: which are ours, which are misspelt, and which belong to other programs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::rc::Rc;

use secrecy::SecretString;

use super::error::{ConfigErrors, Location};
use super::settings::{ACCOUNT_KEYS, Origin, Setting, Settings};
use super::suggest::suggest;
use super::yaml::{Content, Node};

const PREFIX: &str = "TRADERNET_";
const WEB_PREFIX: &str = "WEB_";
const POD_NAME: &str = "POD_NAME";

/// The other keys with the prefix `TRADERNET_`.
pub(super) const GLOBAL_KEYS: &[&str] = &[
    "config_file",
    "log_format",
    "log_level",
    "max_logins_per_minute",
    "max_requests_per_host",
    "max_response_bytes",
    "safety_types",
    "shard",
];

/// The keys with the prefix `WEB_`.
pub(super) const WEB_KEYS: &[&str] = &[
    "config_file",
    "enable_lifecycle",
    "external_url",
    "listen_address",
    "probe_listen_address",
    "systemd_socket",
    "telemetry_path",
];

/// All variables that mean something here.
pub(super) struct Environment {
    pub(super) account: Settings,
    pub(super) global: Settings,
    pub(super) web: Settings,
    /// The variable that names the proxy, and its value, which may contain a password.
    pub(super) proxy: Option<(String, SecretString)>,
    pub(super) no_proxy: Option<String>,
    /// `POD_NAME`, from which `--shard auto/n` takes its number.
    pub(super) pod_name: Option<String>,
    /// For the log: unknown variables that may be misspelt.
    pub(super) warnings: Vec<String>,
}

impl Environment {
    /// Sorts the variables. An empty one is unset; one that is not UTF-8 is an error only where its
    /// name is ours.
    pub(super) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        errors: &mut ConfigErrors,
    ) -> Self {
        let mut ours = Vec::new();
        let mut warnings = Vec::new();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else {
                continue;
            };
            if !is_ours(&name) || value.is_empty() {
                continue;
            }
            let location = Location::named(name.escape_debug().to_string());
            if let Some(key) = name.strip_prefix(PREFIX)
                && !(is_known(key, ACCOUNT_KEYS) || is_known(key, GLOBAL_KEYS))
                && !is_from_kubernetes(key)
            {
                errors.push(&location, unknown_variable(key));
            }
            if let Some(key) = name.strip_prefix(WEB_PREFIX)
                && !is_known(key, WEB_KEYS)
                && !is_from_kubernetes(key)
                && let Some(known) = suggest(key, WEB_KEYS)
            {
                let known = upper_case(WEB_PREFIX, known);
                warnings.push(format!(
                    "unknown variable {location} is ignored; did you mean {known}?"
                ));
            }
            match value.into_string() {
                Ok(value) => ours.push((name, value)),
                Err(_) => errors.push(&location, "is not valid UTF-8"),
            }
        }
        let first = |names: &[&str]| {
            let find = |wanted: &&str| ours.iter().find(|(name, _)| name == wanted).cloned();
            names.iter().find_map(find)
        };
        Self {
            account: settings(PREFIX, ACCOUNT_KEYS, &ours),
            global: settings(PREFIX, GLOBAL_KEYS, &ours),
            web: settings(WEB_PREFIX, WEB_KEYS, &ours),
            proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
                .map(|(name, value)| (name, value.into())),
            no_proxy: first(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value),
            pod_name: first(&[POD_NAME]).map(|(_, value)| value),
            warnings,
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
        || name.starts_with(WEB_PREFIX)
        || matches!(
            name,
            "https_proxy" | "HTTPS_PROXY" | "all_proxy" | "ALL_PROXY" | "no_proxy" | "NO_PROXY"
        )
        || name == POD_NAME
}

fn settings(prefix: &'static str, keys: &[&'static str], ours: &[(String, String)]) -> Settings {
    // `envy` takes lower case for upper case: `TRADERNET_sid` is another variable.
    let upper = ours
        .iter()
        .filter(|(name, _)| *name == name.to_ascii_uppercase());
    let mut texts: BTreeMap<String, String> = envy::prefixed(prefix)
        .from_iter(upper.cloned())
        .unwrap_or_default();
    let setting = |key: &&'static str| {
        // Labels are a mapping, which a variable cannot hold.
        let text = texts.remove(*key).filter(|_| *key != "labels")?;
        let location = Location::named(upper_case(prefix, key));
        let node = Rc::new(Node::new(0, Content::Text(text)));
        Some((*key, Rc::new(Setting { location, node })))
    };
    let values = keys.iter().filter_map(setting).collect();
    Settings::new(Origin::Variables(prefix), values)
}

fn upper_case(prefix: &str, key: &str) -> String {
    format!("{prefix}{}", key.to_ascii_uppercase())
}

fn is_known(key: &str, known: &[&str]) -> bool {
    let is_key = |known: &&str| *known != "labels" && known.to_ascii_uppercase() == key;
    known.iter().any(is_key)
}

fn unknown_variable(key: &str) -> String {
    let known: Vec<&str> = ACCOUNT_KEYS
        .iter()
        .chain(GLOBAL_KEYS)
        .copied()
        .filter(|key| *key != "labels")
        .collect();
    let lower = key.to_ascii_lowercase();
    let web = lower.strip_prefix("web_").unwrap_or(&lower);
    let suggestion = match suggest(key, &known) {
        Some(known) => upper_case(PREFIX, known),
        None if WEB_KEYS.contains(&web) => upper_case(WEB_PREFIX, web),
        None => {
            let names: Vec<_> = known.iter().map(|key| upper_case(PREFIX, key)).collect();
            return format!("unknown variable; known variables are {}", names.join(", "));
        }
    };
    format!("unknown variable; did you mean {suggestion}?")
}

/// Whether Kubernetes injects this name for a Service: `…_SERVICE_HOST`, `…_SERVICE_PORT…`,
/// `…_PORT` and `…_PORT_<n>_…`.
fn is_from_kubernetes(key: &str) -> bool {
    let key = format!("_{key}");
    let starts_with_number = |rest: &str| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && after.starts_with('_')
    };
    key.ends_with("_SERVICE_HOST")
        || key.ends_with("_SERVICE_PORT")
        || key.contains("_SERVICE_PORT_")
        || key.ends_with("_PORT")
        || key.split("_PORT_").skip(1).any(starts_with_number)
}
