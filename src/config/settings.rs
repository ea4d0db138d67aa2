//! Values as written, each with its place: the form in which flags, variables and the accounts file
//! reach the code that judges them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use url::Url;

use super::error::{ConfigErrors, Location};
use super::yaml::{Content, Node};

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

/// The secrets; each has a second key that ends in `_file`.
pub(super) const SECRET_KEYS: [&str; 4] = ["api_key", "api_secret", "password", "sid"];

/// A longer key is not a name.
const MAX_KEY_LEN: usize = 40;

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
    pub(super) node: Rc<Node>,
}

impl Settings {
    pub(super) fn new(origin: Origin, values: BTreeMap<&'static str, Rc<Setting>>) -> Self {
        Self { origin, values }
    }

    /// Sets a value by a flag, which beats a variable.
    pub(super) fn set(&mut self, key: &'static str, flag: &str, content: Content) {
        let location = Location::named(flag);
        let node = Rc::new(Node::new(0, content));
        self.values.insert(key, Rc::new(Setting { location, node }));
    }

    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.values.get(key).map(Rc::as_ref)
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.values.values().map(Rc::as_ref)
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

    /// The text that a key is set to; anything else is an error.
    pub(super) fn text(&self, key: &str, errors: &mut ConfigErrors) -> Option<&str> {
        let Setting { location, node } = self.get(key)?;
        let message = match &node.content {
            Content::Text(text) => return Some(text),
            Content::Empty | Content::Null => {
                "has no value; write one, quoted where it begins with & or #, or remove the key"
            }
            Content::List(_) | Content::Map(_) => "must be a single value",
        };
        errors.push(location, message);
        None
    }

    /// Parses a text that is set; the error names it and what would be right.
    pub(super) fn parse<T>(
        &self,
        key: &str,
        errors: &mut ConfigErrors,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key, errors)?;
        let result = without_control_characters(text).and_then(|()| parse(text));
        errors.ok(result, &self.location(key), shown(key, text))
    }

    /// The same with a default for a key that is not set.
    pub(super) fn parse_or<T>(
        &self,
        key: &str,
        default: T,
        errors: &mut ConfigErrors,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.is_set(key) {
            true => self.parse(key, errors, parse),
            false => Some(default),
        }
    }

    /// Parses each item of a list that is set. A variable separates items by commas.
    pub(super) fn parse_list<T>(
        &self,
        key: &str,
        errors: &mut ConfigErrors,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Setting { location, node } = self.get(key)?;
        let is_variable = matches!(self.origin, Origin::Variables(_));
        let items: Vec<_> = match &node.content {
            Content::Text(text) if is_variable => {
                let items = text.split(',').map(str::trim);
                items.map(|item| (location.line, Some(item))).collect()
            }
            Content::Text(text) if text.contains(',') => {
                let message = "contains a comma; use a YAML list such as [a, b]";
                errors.push_value(location, shown(key, text), message);
                return None;
            }
            Content::Text(text) => vec![(location.line, Some(text.as_str()))],
            Content::List(items) if !items.is_empty() => {
                let items = items.iter();
                items.map(|item| (item.line, item.text())).collect()
            }
            Content::List(_) => {
                errors.push(
                    location,
                    "is an empty list; remove the key to allow any value",
                );
                return None;
            }
            _ => {
                errors.push(location, "must be a list");
                return None;
            }
        };
        let count = items.len();
        let mut values = Vec::with_capacity(count);
        for ((line, item), number) in items.into_iter().zip(1..) {
            let location = match count {
                1 => Location {
                    line,
                    ..location.clone()
                },
                _ => Location {
                    line,
                    ..location.item(number)
                },
            };
            let Some(item) = item else {
                errors.push(&location, "must be a single value");
                continue;
            };
            let result = match item.trim() {
                "" => Err("is empty; write a value or remove the item".to_owned()),
                _ => without_control_characters(item).and_then(|()| parse(item)),
            };
            values.extend(errors.ok(result, &location, Some(item)));
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

/// A key as an error may name it. Where a space after a colon or a line break is missing, a part of a
/// secret is read as a key, mostly one without a value.
pub(super) fn shown_key<'a>(name: &'a str, value: &Node) -> Option<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '<');
    let is_name = (1..=MAX_KEY_LEN).contains(&name.len()) && name.chars().all(is_part);
    (is_name && !matches!(value.content, Content::Empty)).then_some(name)
}
