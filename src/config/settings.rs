//! Values as written, each with its place: the form in which flags, variables and the accounts file
//! reach the code that judges them.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::path::Path;

use url::Url;

use super::error::ErrorCollector;
use super::keys::{Key, find, is_secret, variable};
use super::parse::{self, Parsed};
use super::yaml::{Node, Value};

/// A longer key is not a name.
const MAX_KEY_LEN: usize = 40;

/// Settings by key; each node's name is the key, flag or variable as errors name it.
pub(super) type SettingsByKey = BTreeMap<&'static str, Node>;

/// The settings of the process, of one account, or of one mapping of a file.
pub(super) struct Settings<'a> {
    pub(super) values: SettingsByKey,
    /// The folder that paths are relative to; empty for variables.
    pub(super) folder: &'a Path,
    /// The line of the file where they begin; 0 for variables.
    pub(super) line: usize,
    /// In errors, before a key of the file.
    pub(super) prefix: &'a str,
    pub(super) errors: &'a ErrorCollector,
}

impl<'a> Settings<'a> {
    pub(super) fn new(
        values: SettingsByKey,
        line: usize,
        prefix: &'a str,
        errors: &'a ErrorCollector,
    ) -> Self {
        Self {
            values,
            folder: Path::new(""),
            line,
            prefix,
            errors,
        }
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The name of a key in errors: its variable, or the key of the file.
    pub(super) fn name(&self, key: &str) -> String {
        match self.line {
            0 => variable(key),
            _ => format!("{}{key}", self.prefix),
        }
    }

    /// Adds an error about a key, which need not be set.
    pub(super) fn error(&self, key: &str, message: impl Display) {
        match self.values.get(key) {
            Some(node) => self.errors.push(node.line, &node.name, message),
            None => self.errors.push(self.line, &self.name(key), message),
        }
    }

    /// The same, as the value of a key that has none.
    pub(super) fn fail<T>(&self, key: &str, message: impl Display) -> Option<T> {
        self.error(key, message);
        None
    }

    /// Adds an error about the value of a key.
    pub(super) fn reject(&self, key: &str, message: impl Display) {
        self.get_unchecked(key, |_| Err::<(), _>(message.to_string()));
    }

    /// Parses the value of a key; none where it is not set or invalid. The error names the value and
    /// the valid forms.
    pub(super) fn get<T>(&self, key: &str, parse: impl FnOnce(&str) -> Parsed<T>) -> Option<T> {
        self.get_unchecked(key, |text| {
            without_control_characters(text)?;
            parse(text)
        })
    }

    /// The same with a default for a key that is not set.
    pub(super) fn get_or<T>(
        &self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> Option<T> {
        match self.is_set(key) {
            true => self.get(key, parse),
            false => Some(default),
        }
    }

    /// The same as `get` for a value that may contain control characters.
    pub(super) fn get_unchecked<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> Option<T> {
        let node = self.values.get(key)?;
        if node.value.is_empty() {
            return self.fail(
                key,
                "has no value; write one, quoted where it begins with & or #, or remove the key",
            );
        }
        self.check(key, node, parse)
    }

    /// Parses the text of a node that belongs to a key.
    pub(super) fn check<T>(
        &self,
        key: &str,
        node: &Node,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> Option<T> {
        let Some(text) = node.value.text() else {
            let message = "must be a single value";
            self.errors.push(node.line, &node.name, message);
            return None;
        };
        let report = |message| {
            let shown = self.shown(key, text);
            self.errors
                .push_value(node.line, &node.name, shown, message);
        };
        parse(text).map_err(report).ok()
    }

    /// Parses each item of a list; a text is split at commas.
    pub(super) fn list<T>(
        &self,
        key: &str,
        mut parse: impl FnMut(&str) -> Parsed<T>,
    ) -> Option<Vec<T>> {
        let Node { line, name, value } = self.values.get(key)?;
        let item = |text: &str| Node::new(*line, "", Value::Text(text.trim().to_owned().into()));
        let items = match value {
            Value::Text(text) => text.split(',').map(item).collect(),
            Value::List(items) => items.clone(),
            _ => return self.fail(key, "must be a list"),
        };
        if items.is_empty() {
            self.error(key, "is an empty list; remove the key to allow any value");
        }
        let (count, mut values) = (items.len(), Vec::new());
        for (mut item, number) in items.into_iter().zip(1..) {
            item.name = match count {
                1 => name.clone(),
                _ => format!("{name}, item {number}"),
            };
            values.extend(self.check(key, &item, |item| match item.trim() {
                "" => Err("is empty; write a value or remove the item".to_owned()),
                _ => without_control_characters(item).and_then(|()| parse(item)),
            }));
        }
        Some(values)
    }

    /// A value as an error may quote it; none where it is or may contain a secret.
    fn shown<'t>(&self, key: &str, text: &'t str) -> Option<&'t str> {
        let is_url = |url: Url| url.has_host() && !text.contains(['@', '?', '#']);
        let may_be_shown = match key {
            // Some write `me:password` here.
            "login" | "proxy" => false,
            // In the file, indentation may have made another key a type.
            "safety_types" => self.line == 0,
            "url" | "ws_url" | "socketio_url" | "web_external_url" => {
                Url::parse(text).is_ok_and(is_url)
            }
            _ => !is_secret(key),
        };
        may_be_shown.then_some(text)
    }
}

/// The known keys of a mapping, which errors name with the prefix. `unknown` is the error about any other.
pub(super) fn mapping(
    errors: &ErrorCollector,
    node: Node,
    known: &[Key],
    prefix: &str,
    unknown: impl Fn(&str) -> String,
) -> Option<SettingsByKey> {
    let Value::Map(pairs) = node.value else {
        errors.push(node.line, &node.name, "must be a mapping of keys to values");
        return None;
    };
    let mut settings = SettingsByKey::new();
    for Node { line, name, value } in pairs.into_iter().take_while(|_| !errors.is_full()) {
        let key = find(known, &name);
        let shown = key.or(shown_key(&name, &value));
        let shown = shown.map_or(String::new(), |name| format!("{prefix}{name}"));
        let Some(key) = key else {
            errors.push(line, &shown, unknown(&name));
            continue;
        };
        if let Some(Node { line: first, .. }) = settings.get(key) {
            let message = format!("duplicate key (first defined on line {first})");
            errors.push(line, &shown, message);
        } else {
            settings.insert(key, Node::new(line, shown, value));
        }
    }
    Some(settings)
}

/// The names that a list such as `2=token` gives to safety types.
pub(super) fn named_safety_types(settings: &Settings<'_>) -> Vec<(i64, String)> {
    let mut ids = HashSet::new();
    let parse = |text: &str| parse::named_safety_type(text, &mut ids);
    settings.list("safety_types", parse).unwrap_or_default()
}

pub(super) fn without_control_characters(text: &str) -> Parsed<()> {
    match text.contains(char::is_control) {
        true => Err("contains a line break or another control character".to_owned()),
        false => Ok(()),
    }
}

/// A key as an error may name it. Where a space after a colon or a line break is missing, a part of a
/// secret is read as a key, mostly one without a value.
pub(super) fn shown_key<'a>(name: &'a str, value: &Value) -> Option<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '<');
    let is_name = (1..=MAX_KEY_LEN).contains(&name.len()) && name.chars().all(is_part);
    (is_name && !matches!(value, Value::Empty)).then_some(name)
}
