//! A mapping of the web configuration file, whose keys are judged one by one.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::super::error::ErrorCollector;
use super::super::keys::Key;
use super::super::settings::{shown_key, without_control_characters};
use super::super::suggest::suggest;
use super::super::yaml::{Node, Value};

/// Never quoted: private keys, and other texts of many lines.
const HIDDEN: [&str; 3] = ["cert", "client_ca", "key"];

/// The keys of one mapping that are set.
pub(super) struct Section<'a> {
    errors: &'a ErrorCollector,
    line: usize,
    /// As errors name it; empty for the whole file.
    name: String,
    values: BTreeMap<String, Node>,
}

impl<'a> Section<'a> {
    /// The set keys of a mapping, which may be null. Adds an error for each key that is not known.
    pub(super) fn new(
        errors: &'a ErrorCollector,
        name: &str,
        known: &[&'static str],
        node: Node,
    ) -> Option<Self> {
        let mut section = Self::open(errors, name, node)?;
        section.values.retain(|key, node| {
            let is_known = known.contains(&key.as_str());
            if !is_known {
                let shown = shown_key(key, &node.value).unwrap_or_default();
                errors.push(node.line, &path(name, shown), unknown_key(key, known));
            }
            is_known && !is_blank(&node.value)
        });
        Some(section)
    }

    /// The same, where any key is allowed and a blank value is a value.
    fn open(errors: &'a ErrorCollector, name: &str, node: Node) -> Option<Self> {
        let pairs = match node.value {
            Value::Map(pairs) => pairs,
            Value::Empty | Value::Null => Vec::new(),
            _ => {
                errors.push(node.line, name, "must be a mapping of keys to values");
                return None;
            }
        };
        let mut values = BTreeMap::<String, Node>::new();
        for pair in pairs {
            if let Some(first) = values.get(&pair.name) {
                let shown = shown_key(&pair.name, &pair.value).unwrap_or_default();
                let message = format!("duplicate key (first defined on line {})", first.line);
                errors.push(pair.line, &path(name, shown), message);
            } else {
                values.insert(pair.name.clone(), pair);
            }
        }
        Some(Self {
            errors,
            line: node.line,
            name: name.to_owned(),
            values,
        })
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        let value = self.values.get(key).map(|node| &node.value);
        matches!(value, Some(Value::List(items)) if items.is_empty())
    }

    /// A mapping within this one; none where it is not set.
    pub(super) fn section(&mut self, key: &str, known: &[&'static str]) -> Option<Self> {
        let node = self.values.remove(key)?;
        Self::new(self.errors, &path(&self.name, key), known, node)
    }

    /// The same, where any key is allowed.
    pub(super) fn open_section(&mut self, key: &str) -> Option<Self> {
        let node = self.values.remove(key)?;
        Self::open(self.errors, &path(&self.name, key), node)
    }

    /// All keys with their values, which errors do not quote.
    pub(super) fn all<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> impl Iterator<Item = (String, T)> {
        self.values.iter().filter_map(move |(key, node)| {
            let text = node.value.text().unwrap_or_default();
            Some((key.clone(), self.check(key, node.line, None, parse(text))?))
        })
    }

    /// The value of a key; none where it is not set or invalid.
    pub(super) fn get<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.values.get(key)?;
        let Some(text) = node.value.text() else {
            self.error(key, "must be a single value");
            return None;
        };
        if HIDDEN.contains(&key) {
            return self.check(key, node.line, None, parse(text));
        }
        let value = without_control_characters(text).and_then(|()| parse(text));
        self.check(key, node.line, Some(text), value)
    }

    /// The values of a list; none where it is not set or one is invalid.
    pub(super) fn list<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Value::List(items) = &self.values.get(key)?.value else {
            self.error(key, "must be a list");
            return None;
        };
        let value = |node: &Node| match node.value.text() {
            Some(text) => self.check(key, node.line, Some(text), parse(text)),
            None => {
                self.error(key, "must be a list of single values");
                None
            }
        };
        let values: Vec<_> = items.iter().filter_map(value).collect();
        (values.len() == items.len()).then_some(values)
    }

    /// Adds an error about a key, or about the section where the key is not set.
    pub(super) fn error(&self, key: &str, message: impl Display) {
        let line = self.values.get(key).map_or(self.line, |node| node.line);
        self.errors.push(line, &path(&self.name, key), message);
    }

    /// The value of a result, whose error quotes what is shown.
    fn check<T>(
        &self,
        key: &str,
        line: usize,
        shown: Option<&str>,
        value: Result<T, String>,
    ) -> Option<T> {
        let name = path(&self.name, key);
        let report = |message| self.errors.push_value(line, &name, shown, message);
        value.map_err(report).ok()
    }
}

fn path(section: &str, key: &str) -> String {
    // A user's name may have any characters.
    let key = key.escape_debug().to_string();
    match (section, key.as_str()) {
        ("", name) | (name, "") => name.to_owned(),
        (section, key) => format!("{section}.{key}"),
    }
}

fn unknown_key(key: &str, known: &[&'static str]) -> String {
    let keys: Vec<Key> = known.iter().map(|key| (*key, "")).collect();
    match suggest(key, &keys) {
        Some(key) => format!("unknown key; did you mean {key}?"),
        None => format!("unknown key; known keys are {}", known.join(", ")),
    }
}

fn is_blank(value: &Value) -> bool {
    value.is_empty() || value.text() == Some("")
}

/// A boolean as the toolkit's YAML reads it.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Ok(true),
        "false" | "no" | "n" | "off" => Ok(false),
        _ => Err("must be one of true, false".to_owned()),
    }
}
