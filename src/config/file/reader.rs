//! The file's tree to accounts: sections, keys, and what is wrong with them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use super::FileName;
use super::entry::{FileEntry, Given, Keys, merge};
use crate::account::Account;
use crate::config::environment::{ACCOUNT_KEYS, RawAccount};
use crate::config::home::Home as _;
use crate::config::parse;
use crate::config::problem::Report;
use crate::config::yaml::{Shape, Value};

const TOP_KEYS: [&str; 3] = ["defaults", "accounts", "safety_types"];
const LIST_KEYS: [&str; 3] = [
    "allowed_client_ips",
    "allowed_safety_types",
    "allowed_logins",
];
/// An alias costs a word and may stand for a long text: all values together are at most this long.
const MOST_BYTES: usize = 64 << 20;
/// What an item of a list costs beside its text.
const ITEM_BYTES: usize = 16;

/// Known keys, each with its line.
type Pairs<'a> = BTreeMap<&'static str, (usize, Value<'a>)>;

/// The keys of `defaults` or of an account.
struct Section {
    keys: Keys,
    /// Whether all of them could be read: where one could not, it may be the one that is missing.
    is_whole: bool,
}

pub(super) struct Reader<'a> {
    pub(super) file: &'a FileName,
    pub(super) folder: &'a Path,
    pub(super) report: &'a mut Report,
    pub(super) bytes: usize,
}

impl Reader<'_> {
    pub(super) fn top(&mut self, root: Value<'_>) -> (Vec<Account>, Vec<(i64, String)>) {
        let Some((sections, _)) = self.pairs(root, "the file", "", |key| {
            if ACCOUNT_KEYS.contains(&key) {
                return Err(
                    "is an account's key: write it under defaults, or in an account".into(),
                );
            }
            known(key, &TOP_KEYS)
        }) else {
            return (Vec::new(), Vec::new());
        };
        let section = |name: &str| sections.get(name).map(|(_, value)| *value);
        let defaults = section("defaults")
            // With every key commented out there is no mapping, and nothing wrong.
            .filter(|value| !matches!(value.shape(), Shape::Null | Shape::Missing))
            .map(|value| self.section(value, "defaults.", true));
        let (keys, is_whole) = match defaults {
            None => (Keys::new(), true),
            Some(None) => (Keys::new(), false),
            Some(Some(section)) => (section.keys, section.is_whole),
        };
        let defaults = Section { keys, is_whole };
        let names = section("safety_types").map(|value| self.safety_types(value));
        let accounts = match (section("accounts"), sections.get("accounts")) {
            (Some(value), Some((line, _))) => self.accounts(value, *line, &defaults),
            _ => {
                let text = "has no accounts: list them under accounts:".to_owned();
                self.report.add(self.file.whole(), None, text);
                Vec::new()
            }
        };
        (accounts, names.unwrap_or_default())
    }

    fn accounts(&mut self, value: Value<'_>, line: usize, defaults: &Section) -> Vec<Account> {
        let items = match value.shape() {
            Shape::List(items) if !items.is_empty() => items,
            Shape::List(_) | Shape::Missing | Shape::Null => {
                let text = "lists no account".to_owned();
                self.report.add(self.file.key(line, "accounts"), None, text);
                return Vec::new();
            }
            Shape::Text(_) | Shape::Map(_) => {
                let text = "is no list: write - account: NAME for each".to_owned();
                self.report.add(self.file.key(line, "accounts"), None, text);
                return Vec::new();
            }
        };
        let mut accounts = Vec::new();
        let mut lines_of_names: BTreeMap<String, usize> = BTreeMap::new();
        for item in items {
            let Some(own) = self.section(item, "", false) else {
                continue;
            };
            let merged = merge(own.keys, &defaults.keys);
            let mut raw = RawAccount::default();
            for (key, given) in &merged {
                if let Some(slot) = raw.slot(key) {
                    slot.clone_from(&given.text);
                }
            }
            let entry = FileEntry {
                file: self.file,
                folder: self.folder,
                line: item.line(),
                keys: &merged,
                is_whole: own.is_whole && defaults.is_whole,
            };
            let name = raw.account.as_deref().unwrap_or("default");
            if raw.account.is_none() && !entry.is_whole {
                continue;
            }
            match lines_of_names.entry(name.to_owned()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(item.line());
                }
                Entry::Occupied(first) => {
                    let text = format!(
                        "is the name of the account in line {} too: a name is given once",
                        first.get()
                    );
                    self.report.add(entry.place("account"), Some(name), text);
                }
            }
            accounts.extend(raw.resolve(&entry, self.report));
        }
        accounts
    }

    fn section(&mut self, value: Value<'_>, prefix: &str, is_default: bool) -> Option<Section> {
        let what = if is_default { "defaults" } else { "an account" };
        let (pairs, mut is_whole) =
            self.pairs(value, what, prefix, |key| known(key, ACCOUNT_KEYS))?;
        let mut keys = Keys::new();
        for (key, (line, value)) in pairs {
            let text = if is_default && key == "account" {
                Err("is no default: every account has a name of its own".to_owned())
            } else {
                self.text(key, value)
            };
            match text {
                Ok(text) => {
                    let given = Given {
                        line,
                        text,
                        is_default,
                    };
                    keys.insert(key, given);
                }
                Err(text) => {
                    is_whole = false;
                    let shown = format!("{prefix}{key}");
                    self.report.add(self.file.key(line, &shown), None, text);
                }
            }
        }
        Some(Section { keys, is_whole })
    }

    /// A key's value as the text that a variable would hold; the error never quotes it.
    fn text(&mut self, key: &str, value: Value<'_>) -> Result<Option<String>, String> {
        let is_list = LIST_KEYS.contains(&key);
        // Before anything is looked at: past the limit even looking is too much.
        self.spend(0)?;
        match value.shape() {
            Shape::Null => Ok(None),
            Shape::Text(text) => {
                self.spend(text.len())?;
                one_line(text).map(Some)
            }
            Shape::Missing => Err("has no value: write one, or remove the key".to_owned()),
            Shape::Map(_) if is_list => Err("is a mapping, where a list is wanted".to_owned()),
            Shape::Map(_) => Err("is a mapping, where one value is wanted".to_owned()),
            Shape::List(_) if !is_list => Err("is a list, where one value is wanted".to_owned()),
            Shape::List(items) if items.is_empty() => {
                Err("is an empty list: remove the key to allow any".to_owned())
            }
            Shape::List(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for value in items {
                    let text = item(value)?;
                    self.spend(text.len() + ITEM_BYTES)?;
                    texts.push(text);
                }
                Ok(Some(texts.join(",")))
            }
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes += bytes;
        if self.bytes > MOST_BYTES {
            return Err(format!(
                "makes more than {} MiB of values",
                MOST_BYTES >> 20
            ));
        }
        Ok(())
    }

    fn safety_types(&mut self, value: Value<'_>) -> Vec<(i64, String)> {
        if matches!(value.shape(), Shape::Null | Shape::Missing) {
            return Vec::new();
        }
        let wanted = "safety_types";
        let Some(pairs) = self.map(value, wanted) else {
            return Vec::new();
        };
        let mut names: BTreeMap<i64, (usize, String)> = BTreeMap::new();
        for (key, value) in pairs {
            let line = key.line();
            let Shape::Text(id) = key.shape() else {
                let text = "has a key that is no number".to_owned();
                self.report.add(self.file.key(line, wanted), None, text);
                continue;
            };
            let name = match value.shape() {
                Shape::Text(name) => Some(name),
                _ => None,
            };
            let read = parse::safety_type(id).and_then(|id| {
                let name = name.ok_or("is no name: write one, such as token")?;
                let name = parse::safety_name(name)?;
                match names.get(&id) {
                    Some((first, _)) => Err(twice(*first)),
                    None => Ok((id, name)),
                }
            });
            match read {
                Ok((id, name)) => {
                    names.insert(id, (line, name));
                }
                Err(text) => {
                    let shown = format!("{wanted}.{id}");
                    self.report.add(self.file.key(line, &shown), name, text);
                }
            }
        }
        names
            .into_iter()
            .map(|(id, (_, name))| (id, name))
            .collect()
    }

    /// The known keys of a mapping with the line of each, and whether there are no others.
    fn pairs<'v>(
        &mut self,
        value: Value<'v>,
        what: &str,
        prefix: &str,
        known: impl Fn(&str) -> Result<&'static str, String>,
    ) -> Option<(Pairs<'v>, bool)> {
        let mut found = Pairs::new();
        let mut are_all = true;
        for (key, value) in self.map(value, what)? {
            let line = key.line();
            let Shape::Text(name) = key.shape() else {
                let text = format!("{what} has a key that is no text");
                self.report.add(self.file.line(line), None, text);
                are_all = false;
                continue;
            };
            let shown = format!("{prefix}{name}");
            let wrong = match known(name) {
                Ok(key) => match found.entry(key) {
                    Entry::Vacant(vacant) => {
                        vacant.insert((line, value));
                        continue;
                    }
                    Entry::Occupied(first) => twice(first.get().0),
                },
                Err(wrong) => {
                    are_all = false;
                    wrong
                }
            };
            self.report.add(self.file.key(line, &shown), None, wrong);
        }
        Some((found, are_all))
    }

    fn map<'v>(&mut self, value: Value<'v>, what: &str) -> Option<Vec<(Value<'v>, Value<'v>)>> {
        match value.shape() {
            Shape::Map(pairs) => Some(pairs),
            _ => {
                let text = format!("{what} is no mapping: write KEY: VALUE lines");
                self.report.add(self.file.line(value.line()), None, text);
                None
            }
        }
    }
}

/// The known key, or the nearest one. The value is not shown: it may be a misspelt secret's.
fn known(key: &str, keys: &[&'static str]) -> Result<&'static str, String> {
    if let Some(known) = keys.iter().find(|known| **known == key) {
        return Ok(known);
    }
    if key == "<<" {
        return Err("merges are not understood: write what accounts share under defaults".into());
    }
    let lower = key.to_ascii_lowercase();
    let bare = lower.strip_prefix("tradernet_").unwrap_or(&lower);
    let nearest = keys
        .iter()
        .min_by_key(|known| strsim::damerau_levenshtein(bare, known));
    Err(nearest.map_or_else(
        || "unknown key".to_owned(),
        |nearest| format!("unknown key; the nearest known one is {nearest}"),
    ))
}

fn twice(first: usize) -> String {
    format!("is set in line {first} already: a key is given once")
}

fn one_line(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("has no value: write one, or remove the key".to_owned());
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err("has a line break in it".to_owned());
    }
    Ok(text.to_owned())
}

fn item(value: Value<'_>) -> Result<&str, String> {
    match value.shape() {
        Shape::Text(text) if text.contains(',') => {
            Err("has an item with a comma in it, and commas separate items".to_owned())
        }
        Shape::Text(text) if !text.trim().is_empty() => Ok(text),
        Shape::Text(_) | Shape::Missing | Shape::Null => Err("has an empty item".to_owned()),
        Shape::List(_) | Shape::Map(_) => Err("has an item that is no single value".to_owned()),
    }
}
