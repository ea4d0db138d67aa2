//! Values as written, each with its place: the form in which flags, variables and the accounts file
//! reach the code that judges them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use url::Url;

use super::error::{ConfigErrors, Location};

/// The keys of an account: variables in lower case without `TRADERNET_`, and `labels`.
pub const ACCOUNT_KEYS: &[&str] = &[
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

/// The keys of an account whose value is a list.
pub(super) const LIST_KEYS: [&str; 4] = [
    "allowed_client_ips",
    "allowed_logins",
    "allowed_safety_types",
    "min_sessions_safety_types",
];

/// The secrets; each has a second key that ends in `_file`.
pub(super) const SECRET_KEYS: [&str; 4] = ["api_key", "api_secret", "password", "sid"];

/// A set of settings with the same origin.
#[derive(Clone)]
pub(super) struct Settings {
    origin: Origin,
    values: BTreeMap<&'static str, Rc<Setting>>,
}

/// Where settings come from: decides what keys are called and what paths are relative to.
#[derive(Clone)]
pub(super) enum Origin {
    /// Variables with this prefix.
    Variables(&'static str),
    /// An account of a file, which begins on this line.
    File {
        file: Rc<str>,
        folder: Rc<Path>,
        line: usize,
    },
}

/// A value and its place.
pub(super) struct Setting {
    pub(super) location: Location,
    pub(super) value: Value,
}

pub(super) enum Value {
    Text(String),
    List(Vec<(Location, String)>),
    /// Keys, each with its place, and texts.
    Map(Vec<(Location, String, String)>),
}

impl Settings {
    pub(super) fn new(origin: Origin, values: BTreeMap<&'static str, Rc<Setting>>) -> Self {
        Self { origin, values }
    }

    /// Sets a text by a flag, if it is given.
    pub(super) fn set_text(&mut self, key: &'static str, flag: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.set(key, Location::named(flag), Value::Text(text.to_owned()));
        }
    }

    pub(super) fn set_list(
        &mut self,
        key: &'static str,
        location: Location,
        items: Vec<(Location, String)>,
    ) {
        self.set(key, location, Value::List(items));
    }

    fn set(&mut self, key: &'static str, location: Location, value: Value) {
        let setting = Setting { location, value };
        self.values.insert(key, Rc::new(setting));
    }

    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.values.get(key).map(Rc::as_ref)
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.values.iter().map(|(key, setting)| (*key, &**setting))
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a key is called where it could be set.
    pub(super) fn name(&self, key: &str) -> String {
        match self.origin {
            Origin::Variables(prefix) => format!("{prefix}{}", key.to_ascii_uppercase()),
            Origin::File { .. } => key.to_owned(),
        }
    }

    /// Where a key is set, or would be.
    pub(super) fn location(&self, key: &str) -> Location {
        match (self.get(key), &self.origin) {
            (Some(setting), _) => setting.location.clone(),
            (None, Origin::Variables(_)) => Location::named(self.name(key)),
            (None, Origin::File { file, line, .. }) => Location {
                file: Some(Rc::clone(file)),
                line: *line,
                name: key.to_owned(),
            },
        }
    }

    /// A path as the user means it: in a file, relative to the file's folder.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match &self.origin {
            Origin::Variables(_) => PathBuf::from(text),
            Origin::File { folder, .. } => folder.join(text),
        }
    }

    /// Parses a text that is set; the error names it and what would be right.
    pub(super) fn parse<T>(
        &self,
        key: &str,
        errors: &mut ConfigErrors,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let setting = self.get(key)?;
        let text = self.text(key)?;
        match without_control_characters(text).and_then(|()| parse(text)) {
            Ok(value) => Some(value),
            Err(message) => {
                errors.push_value(&setting.location, shown(key, text), message);
                None
            }
        }
    }

    /// Parses each item of a list that is set. A variable separates items by commas.
    pub(super) fn parse_list<T>(
        &self,
        key: &str,
        errors: &mut ConfigErrors,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let setting = self.get(key)?;
        let items: Vec<(Location, &str)> = match &setting.value {
            Value::Text(text) => {
                let is_single = !text.contains(',');
                let items = text.split(',').map(str::trim).zip(1..);
                let location = |number| match is_single {
                    true => setting.location.clone(),
                    false => setting.location.item(number),
                };
                items
                    .map(|(item, number)| (location(number), item))
                    .collect()
            }
            Value::List(items) => {
                let items = items.iter();
                items
                    .map(|(location, item)| (location.clone(), item.as_str()))
                    .collect()
            }
            Value::Map(_) => return None,
        };
        let mut values = Vec::with_capacity(items.len());
        let count = items.len();
        for (location, item) in items {
            let result = match item.trim() {
                "" => Err("is empty; write a value or remove the item".to_owned()),
                _ => without_control_characters(item).and_then(|()| parse(item)),
            };
            match result {
                Ok(value) => values.push(value),
                Err(message) => errors.push_value(&location, Some(item), message),
            }
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
pub(super) fn shown<'a>(key: &str, text: &'a str) -> Option<&'a str> {
    let may_be_shown = match key {
        // `me:password` is a mistake that is made.
        "login" => false,
        "url" | "ws_url" | "socketio_url" | "external_url" => is_plain_url(text),
        _ => !SECRET_KEYS.contains(&key),
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
