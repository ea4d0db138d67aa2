//! An account's keys: where each stands, and which defaults go with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::FileName;
use super::level::Level;
use crate::config::credential::Kind;
use crate::config::error::Place;
use crate::config::source::{Doubts, Home};

/// What stands after a key, and where.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) line: usize,
    pub(super) written: Written,
    /// Of a YAML list, the items that make the text.
    pub(super) items: Rc<[Item]>,
    pub(super) is_default: bool,
}

#[derive(Clone)]
pub(super) enum Written {
    Text(String),
    /// `null` takes a default away.
    Null,
    /// Wrong in a way that has been told.
    Unread,
}

/// Where an item of a list stands.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub(super) line: usize,
    /// Which one it is, from 1.
    pub(super) number: usize,
}

pub(super) type Keys = BTreeMap<&'static str, Given>;

/// The keys of `defaults` or of an account.
#[derive(Default)]
pub(super) struct Section {
    pub(super) keys: Keys,
    pub(super) doubts: Doubts,
}

/// Where an account of a file stands, and its keys.
pub(super) struct FileEntry<'a> {
    pub(super) file: &'a FileName,
    pub(super) folder: &'a Path,
    pub(super) line: usize,
    pub(super) section: &'a Section,
}

impl FileEntry<'_> {
    fn given(&self, key: &str) -> Option<&Given> {
        self.section.keys.get(key)
    }

    fn written_name(&self, key: &str) -> String {
        match self.given(key) {
            Some(given) if given.is_default => format!("{}{key}", Level::Defaults.prefix()),
            _ => key.to_owned(),
        }
    }
}

impl Home for FileEntry<'_> {
    fn name(&self, key: &str) -> String {
        key.to_owned()
    }

    fn mention(&self, key: &str) -> String {
        let name = self.written_name(key);
        match self.given(key) {
            Some(given) => format!("{name} (line {})", given.line),
            None => name,
        }
    }

    fn place(&self, key: &str) -> Place {
        let line = self.given(key).map_or(self.line, |given| given.line);
        self.file.key(line, &self.written_name(key))
    }

    fn item(&self, key: &str, number: Option<usize>) -> Place {
        let items = self.given(key).map(|given| &given.items);
        // The only item that is left has no number here, and is the first.
        let index = number.map_or(0, |number| number - 1);
        match items.and_then(|items| items.get(index)) {
            Some(item) => {
                let name = self.written_name(key);
                let place = self.file.key(item.line, &name);
                place.item(number.map(|_| item.number))
            }
            None => self.place(key).item(number),
        }
    }

    /// As Prometheus does: a configuration moves as one folder.
    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn file_suffix(&self) -> &'static str {
        "_file"
    }

    fn is_in_doubt(&self, key: &str) -> bool {
        match self.given(key) {
            Some(given) => matches!(given.written, Written::Unread),
            None => self.section.doubts.contains(key),
        }
    }
}

/// An account's own keys, and the defaults that go with them: a secret's two forms are one
/// setting, and an account that brings one kind of credential does without another kind's.
pub(super) fn merge(own: Section, defaults: &Section) -> Section {
    let given = own
        .keys
        .iter()
        .filter(|(_, given)| !matches!(given.written, Written::Null))
        .map(|(key, _)| *key);
    // A misspelt password is a password.
    let kinds: Vec<_> = given
        .chain(own.doubts.keys())
        .filter_map(Kind::of)
        .collect();
    let goes = |key: &str| match Kind::of(key) {
        _ if own.keys.contains_key(other_form(key).as_str()) => false,
        Some(kind) => kinds.is_empty() || kinds.contains(&kind),
        None if key == "login" => kinds.is_empty() || !kinds.contains(&Kind::KeyPair),
        None => true,
    };
    let mut keys: Keys = defaults
        .keys
        .iter()
        .filter(|(key, _)| goes(key))
        .map(|(key, given)| (*key, given.clone()))
        .collect();
    keys.extend(own.keys);
    let mut doubts = own.doubts;
    doubts.extend(&defaults.doubts);
    Section { keys, doubts }
}

fn other_form(key: &str) -> String {
    match key.strip_suffix("_file") {
        Some(key) => key.to_owned(),
        None => format!("{key}_file"),
    }
}
