//! Values as written, each with its place: the form in which flags, variables and the accounts file
//! reach the code that judges them.

use std::collections::BTreeMap;
use std::path::Path;

use url::Url;

use super::error::{ErrorCollector, Location};
use super::yaml::Value;

/// A longer key is not a name.
const MAX_KEY_LEN: usize = 40;

/// The keys of an account: variables in lower case without `TRADERNET_`, and `labels`.
pub(super) const ACCOUNT_KEYS: &[&str] = &[
    "account",
    "allowed_client_ips",
    "allowed_logins",
    "allowed_safety_types",
    "api_key",
    "api_key_file",
    "api_secret",
    "api_secret_file",
    "api_version",
    "expire_unit",
    "labels",
    "login",
    "login_view_only",
    "max_age",
    "max_lifetime",
    "max_sessions",
    "min_sessions",
    "min_sessions_safety_types",
    "password",
    "password_file",
    "poll_interval",
    "session_details",
    "sid",
    "sid_file",
    "socketio_url",
    "timeout",
    "transport",
    "url",
    "user_id",
    "ws_url",
];

/// The other variables' keys: in lower case, without `TRADERNET_`.
pub(super) const PROCESS_KEYS: &[&str] = &[
    "config_file",
    "log_format",
    "log_level",
    "max_logins_per_minute",
    "max_requests_per_host",
    "max_response_bytes",
    "safety_types",
    "shard",
    "web_config_file",
    "web_enable_lifecycle",
    "web_external_url",
    "web_listen_address",
    "web_probe_listen_address",
    "web_systemd_socket",
    "web_telemetry_path",
];

/// The secrets; the second key is that of a file.
pub(super) const SECRET_KEYS: [[&str; 2]; 4] = [
    ["sid", "sid_file"],
    ["password", "password_file"],
    ["api_key", "api_key_file"],
    ["api_secret", "api_secret_file"],
];

pub(super) fn is_secret(key: &str) -> bool {
    SECRET_KEYS.iter().any(|[secret, _]| *secret == key)
}

/// The variable of a key.
pub(super) fn variable(key: &str) -> String {
    let prefix = if key.starts_with("web_") {
        ""
    } else {
        "TRADERNET_"
    };
    format!("{prefix}{}", key.to_ascii_uppercase())
}

/// A value and its place.
pub(super) struct Setting {
    pub(super) location: Location,
    pub(super) value: Value,
}

/// Settings by key.
pub(super) type Keys = BTreeMap<&'static str, Setting>;

/// The settings of the process, or of one account.
pub(super) struct Settings<'a> {
    pub(super) values: BTreeMap<&'static str, &'a Setting>,
    /// The folder that paths are relative to; empty for variables.
    pub(super) folder: &'a Path,
    /// The line of the accounts file where the account begins; none for variables.
    pub(super) line: Option<usize>,
    pub(super) errors: &'a ErrorCollector,
}

impl<'a> Settings<'a> {
    /// Flags and variables.
    pub(super) fn of_process(keys: &'a Keys, errors: &'a ErrorCollector) -> Self {
        Self {
            values: keys.iter().map(|(key, setting)| (*key, setting)).collect(),
            folder: Path::new(""),
            line: None,
            errors,
        }
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// What a key is called where it could be set.
    pub(super) fn name(&self, key: &str) -> String {
        match self.line {
            None => variable(key),
            Some(_) => key.to_owned(),
        }
    }

    /// Where a key is set, or would be.
    pub(super) fn location(&self, key: &str) -> Location {
        match self.values.get(key) {
            Some(setting) => setting.location.clone(),
            None => Location {
                line: self.line,
                name: self.name(key),
            },
        }
    }

    /// Adds an error about a key, which need not be set.
    pub(super) fn error(&self, key: &str, message: &str) {
        self.errors.push(&self.location(key), message);
    }

    /// Parses the value of a key; none where it is not set or invalid. The error names the value and
    /// what would be right.
    pub(super) fn get<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.get_unchecked(key, |text| {
            without_control_characters(text)?;
            parse(text)
        })
    }

    /// The same for a value that may contain control characters.
    pub(super) fn get_unchecked<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Setting { location, value } = self.values.get(key)?;
        let message = match value {
            Value::Text(text) => return self.errors.ok(parse(text), location, shown(key, text)),
            Value::Empty | Value::Null => {
                "has no value; write one, quoted where it begins with & or #, or remove the key"
            }
            Value::List(_) | Value::Map(_) => "must be a single value",
        };
        self.errors.push(location, message);
        None
    }

    /// The same with a default for a key that is not set; none where the value is invalid.
    pub(super) fn get_or<T>(
        &self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.is_set(key) {
            true => self.get(key, parse),
            false => Some(default),
        }
    }

    /// Parses each item of a list. A variable separates items by commas.
    pub(super) fn list<T>(
        &self,
        key: &str,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Setting { location, value } = self.values.get(key)?;
        let line = location.line;
        let items: Vec<_> = match value {
            Value::Text(text) if line.is_none() => {
                let items = text.split(',');
                items.map(|item| (line, Some(item.trim()))).collect()
            }
            Value::Text(text) if text.contains(',') => {
                let error = "contains a comma; use a YAML list such as [a, b]";
                return self
                    .errors
                    .ok(Err(error.to_owned()), location, shown(key, text));
            }
            Value::Text(text) => vec![(line, Some(text.as_str()))],
            Value::List(items) if !items.is_empty() => {
                let items = items.iter();
                items
                    .map(|item| (line.map(|_| item.line), item.value.text()))
                    .collect()
            }
            Value::List(_) => {
                self.error(key, "is an empty list; remove the key to allow any value");
                return None;
            }
            _ => {
                self.error(key, "must be a list");
                return None;
            }
        };
        let count = items.len();
        let mut values = Vec::with_capacity(count);
        for ((line, item), number) in items.into_iter().zip(1..) {
            let name = match count {
                1 => location.name.clone(),
                _ => format!("{}, item {number}", location.name),
            };
            let location = Location { line, name };
            let Some(item) = item else {
                self.errors.push(&location, "must be a single value");
                continue;
            };
            let result = match item.trim() {
                "" => Err("is empty; write a value or remove the item".to_owned()),
                _ => without_control_characters(item).and_then(|()| parse(item)),
            };
            values.extend(self.errors.ok(result, &location, Some(item)));
        }
        (values.len() == count).then_some(values)
    }
}

pub(super) fn without_control_characters(text: &str) -> Result<(), String> {
    if text.contains(char::is_control) {
        return Err("contains a line break or another control character".to_owned());
    }
    Ok(())
}

/// The value as an error may quote it; none where it is or may contain a secret.
fn shown<'a>(key: &str, text: &'a str) -> Option<&'a str> {
    let may_be_shown = match key {
        // `me:password` is a mistake that is made.
        "login" | "proxy" => false,
        "url" | "ws_url" | "socketio_url" | "web_external_url" => is_plain_url(text),
        _ => !is_secret(key),
    };
    may_be_shown.then_some(text)
}

/// A URL without user name, password, query and fragment, in which a secret may stand.
fn is_plain_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// A key as an error may name it. Where a space after a colon or a line break is missing, a part of a
/// secret is read as a key, mostly one without a value.
pub(super) fn shown_key<'a>(name: &'a str, value: &Value) -> Option<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '<');
    let is_name = (1..=MAX_KEY_LEN).contains(&name.len()) && name.chars().all(is_part);
    (is_name && !matches!(value, Value::Empty)).then_some(name)
}
