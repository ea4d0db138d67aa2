//! The file's tree to accounts: sections, keys, and what is wrong with them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use super::FileName;
use super::entry::{FileEntry, Section, Written, merge};
use super::level::{Level, Meant};
use super::value::{account_keys, shown};
use crate::config::AccountConfig;
use crate::config::env::RawAccount;
use crate::config::error::Report;
use crate::config::parse;
use crate::config::redaction::{NOT_SHOWN, name as shown_name};
use crate::config::source::{Doubts, Home as _};
use crate::config::yaml::{Map, Shape, Value};

/// Known keys, each with its line.
type Pairs<'a> = BTreeMap<&'static str, (usize, Value<'a>)>;

pub(super) struct Reader<'a> {
    pub(super) file: &'a FileName,
    pub(super) folder: &'a Path,
    pub(super) report: &'a mut Report,
    pub(super) bytes: usize,
    /// Whether the file goes on where reading had to stop.
    pub(super) is_cut: bool,
}

impl Reader<'_> {
    pub(super) fn top(&mut self, root: Value<'_>) -> (Vec<AccountConfig>, Vec<(i64, String)>) {
        let Some((sections, mut doubts)) = self.pairs(root, Level::Top) else {
            return (Vec::new(), Vec::new());
        };
        if self.is_cut {
            doubts.add(None);
        }
        let section = |name: &str| sections.get(name).copied();
        let mut defaults = Section::default();
        if let Some((_, value)) = section("defaults") {
            // With every key commented out there is no mapping, and nothing wrong.
            if !matches!(value.shape(), Shape::Null | Shape::Missing) {
                match self.section(value, Level::Defaults) {
                    Some(section) => defaults = section,
                    None => defaults.doubts.add(None),
                }
            }
        } else if doubts.contains("defaults") {
            defaults.doubts.add(None);
        }
        // Keys of an account that stand here were meant for one of them.
        defaults.doubts.extend(&doubts);
        let names = section("safety_types").map(|(line, value)| self.safety_types(line, value));
        let accounts = match section("accounts") {
            Some((line, value)) => self.accounts(value, line, &defaults),
            None if doubts.contains("accounts") => Vec::new(),
            None => {
                let text = "has no accounts: list them under accounts:".to_owned();
                self.report.add(self.file.whole(), None, text);
                Vec::new()
            }
        };
        (accounts, names.unwrap_or_default())
    }

    fn accounts(
        &mut self,
        value: Value<'_>,
        line: usize,
        defaults: &Section,
    ) -> Vec<AccountConfig> {
        let (text, hidden) = match value.shape() {
            Shape::List(items) if items.len() > 0 => {
                let mut accounts = Vec::new();
                let mut lines_of_names = BTreeMap::new();
                for item in items.iter() {
                    accounts.extend(self.account(item, defaults, &mut lines_of_names));
                }
                return accounts;
            }
            Shape::Unread => return Vec::new(),
            Shape::List(_) | Shape::Missing | Shape::Null if self.is_cut => return Vec::new(),
            Shape::List(_) | Shape::Missing | Shape::Null => {
                ("lists no account: write - account: NAME for each", "")
            }
            Shape::Map(_) => ("is no list: write - account: NAME for each", ""),
            Shape::Text(_) => ("is no list: write - account: NAME for each", NOT_SHOWN),
        };
        let place = self.file.key(line, "accounts");
        self.report.add(place, None, format!("{text}{hidden}"));
        Vec::new()
    }

    fn account(
        &mut self,
        item: Value<'_>,
        defaults: &Section,
        lines_of_names: &mut BTreeMap<String, usize>,
    ) -> Option<AccountConfig> {
        let own = self.section(item, Level::AccountConfig)?;
        let section = merge(own, defaults);
        let mut raw = RawAccount::default();
        for (key, given) in &section.keys {
            if let (Some(slot), Written::Text(text)) = (raw.slot(key), &given.written) {
                *slot = Some(text.clone());
            }
        }
        let entry = FileEntry {
            file: self.file,
            folder: self.folder,
            line: item.line(),
            section: &section,
        };
        let name = match &raw.account {
            Some(name) => Some(name.as_str()),
            None => (!entry.is_in_doubt("account")).then_some("default"),
        };
        match name.map(|name| lines_of_names.entry(name.to_owned())) {
            None => {}
            Some(Entry::Vacant(vacant)) => {
                vacant.insert(item.line());
            }
            Some(Entry::Occupied(first)) => {
                let line = first.get();
                let text = match &raw.account {
                    Some(_) => format!(
                        "is the name of the account in line {line} too: a name is given once"
                    ),
                    None => format!(
                        "is missing: without it the name is \"default\", as that of the account in \
                         line {line} is"
                    ),
                };
                let place = entry.place("account");
                self.report.add(place, raw.account.as_deref(), text);
            }
        }
        raw.resolve(&entry, self.report)
    }

    fn section(&mut self, value: Value<'_>, level: Level) -> Option<Section> {
        let (pairs, doubts) = self.pairs(value, level)?;
        let mut section = Section {
            doubts,
            ..Section::default()
        };
        let is_default = level == Level::Defaults;
        for (key, (line, value)) in pairs {
            let name = format!("{}{key}", level.prefix());
            if is_default && key == "account" {
                let text = "is no default: every account has a name of its own".to_owned();
                let place = self.file.key(line, &name);
                self.report.add(place, shown(key, value).as_deref(), text);
                continue;
            }
            if let Shape::Map(map) = value.shape() {
                // They were meant to stand beside it.
                account_keys(map).for_each(|(key, _)| section.doubts.add(Some(key)));
            }
            let mut given = self.given(key, &name, line, value);
            given.is_default = is_default;
            section.keys.insert(key, given);
        }
        Some(section)
    }

    /// The keys of a mapping that belong in it, and what the others may have been meant for.
    fn pairs<'v>(&mut self, value: Value<'v>, level: Level) -> Option<(Pairs<'v>, Doubts)> {
        let mut found = Pairs::new();
        let mut doubts = Doubts::default();
        for (key, value) in self.map(value, level)?.iter() {
            if self.report.is_full() {
                doubts.add(None);
                break;
            }
            let line = key.line();
            let name = match key.shape() {
                Shape::Text(name) => name,
                shape => {
                    doubts.add(None);
                    if !matches!(shape, Shape::Unread) {
                        let text = format!(
                            "{} has a key that is no text: write KEY: VALUE lines",
                            level.what()
                        );
                        self.report.add(self.file.line(line), None, text);
                    }
                    continue;
                }
            };
            match level.key(name).map(|key| found.entry(key)) {
                Some(Entry::Vacant(vacant)) => {
                    vacant.insert((line, value));
                }
                Some(Entry::Occupied(first)) => {
                    let text = twice(first.get().0);
                    let place = self.file.key(line, &format!("{}{name}", level.prefix()));
                    self.report
                        .add(place, shown(first.key(), value).as_deref(), text);
                }
                None => self.stray(level, line, name, value, &mut doubts),
            }
        }
        Some((found, doubts))
    }

    /// Notes a key that does not belong where it stands.
    fn stray(
        &mut self,
        level: Level,
        line: usize,
        name: &str,
        value: Value<'_>,
        doubts: &mut Doubts,
    ) {
        let shape = value.shape();
        let has_several = matches!(shape, Shape::List(_) | Shape::Map(_));
        let stray = level.stray(name, has_several);
        let meant = stray.meant;
        // A single value at the top is no section that could be missing.
        if meant != Meant::Unknown || level != Level::Top || has_several {
            doubts.add(meant.key());
        }
        if meant == Meant::Unknown && matches!(shape, Shape::Missing) {
            // In `{password: hun,ter2}` it is the second half of the secret.
            let text = format!(
                "{} has an unknown key without a value, which is not shown: it may be the rest of a \
                 secret; quote a value with a comma in it",
                level.what()
            );
            self.report.add(self.file.line(line), None, text);
            return;
        }
        let shown = stray.shown_as.and_then(|key| shown(key, value));
        let mut text = match shape {
            Shape::Map(map) if meant == Meant::Unknown && account_keys(map).next().is_some() => {
                level.named_account().to_owned()
            }
            _ => stray.text,
        };
        if shown.is_none() && !is_empty(&shape) && meant != Meant::Merge {
            text.push_str(NOT_SHOWN);
        }
        let name = format!("{}{}", level.prefix(), shown_name(name));
        let place = self.file.key(line, &name);
        self.report.add(place, shown.as_deref(), text);
    }

    fn map<'v>(&mut self, value: Value<'v>, level: Level) -> Option<Map<'v>> {
        let shape = value.shape();
        match shape {
            Shape::Map(map) => return Some(map),
            Shape::Unread => return None,
            Shape::Missing | Shape::Null if self.is_cut => return None,
            _ => {}
        }
        let hidden = match level {
            Level::Defaults | Level::AccountConfig if !is_empty(&shape) => NOT_SHOWN,
            _ => "",
        };
        let wrong = format!("is no mapping: write KEY: VALUE lines{hidden}");
        let line = value.line();
        let (place, text) = match level {
            Level::Defaults => (self.file.key(line, "defaults"), wrong),
            _ => (self.file.line(line), format!("{} {wrong}", level.what())),
        };
        self.report.add(place, None, text);
        None
    }

    fn safety_types(&mut self, line: usize, value: Value<'_>) -> Vec<(i64, String)> {
        const KEY: &str = "safety_types";
        let pairs = match value.shape() {
            Shape::Map(pairs) => pairs,
            Shape::Missing | Shape::Null | Shape::Unread => return Vec::new(),
            Shape::Text(_) | Shape::List(_) => {
                let text = "is no mapping: write NUMBER: NAME lines, such as 2: token".to_owned();
                let place = self.file.key(line, KEY);
                self.report.add(place, shown(KEY, value).as_deref(), text);
                return Vec::new();
            }
        };
        let mut names: BTreeMap<i64, (usize, String)> = BTreeMap::new();
        for (key, value) in pairs.iter() {
            let line = key.line();
            let id = match key.shape() {
                Shape::Text(id) => id,
                Shape::Unread => continue,
                _ => {
                    let text = "has a key that is no number".to_owned();
                    self.report.add(self.file.key(line, KEY), None, text);
                    continue;
                }
            };
            let place = self.file.key(line, &format!("{KEY}.{}", shown_name(id)));
            let number = match parse::safety_type(id) {
                Ok(number) => number,
                Err(mut text) => {
                    // It may be an account's key that was indented too far.
                    if !is_empty(&value.shape()) {
                        text.push_str(NOT_SHOWN);
                    }
                    self.report.add(place, None, text);
                    continue;
                }
            };
            let name = match value.shape() {
                Shape::Unread => continue,
                Shape::Text(name) => parse::safety_name(name),
                _ => Err("is no name: write one, such as token".to_owned()),
            };
            let name = name.and_then(|name| match names.get(&number) {
                Some((first, _)) => Err(twice(*first)),
                None => Ok(name),
            });
            match name {
                Ok(name) => {
                    names.insert(number, (line, name));
                }
                Err(text) => self.report.add(place, shown(KEY, value).as_deref(), text),
            }
        }
        names
            .into_iter()
            .map(|(id, (_, name))| (id, name))
            .collect()
    }
}

/// Whether nothing stands there that could be shown.
fn is_empty(shape: &Shape<'_>) -> bool {
    match shape {
        Shape::Missing | Shape::Null | Shape::Unread => true,
        Shape::List(items) => items.len() == 0,
        Shape::Text(_) | Shape::Map(_) => false,
    }
}

fn twice(first: usize) -> String {
    format!("is set in line {first} already: a key is given once")
}
