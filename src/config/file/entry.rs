//! An account's keys: where each stands, and which defaults go with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::FileName;
use crate::config::credential::Kind;
use crate::config::home::Home;
use crate::config::problem::Place;

/// A key's text and where it stands.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) line: usize,
    /// `None` where `null` takes a default away.
    pub(super) text: Option<String>,
    pub(super) is_default: bool,
}

pub(super) type Keys = BTreeMap<&'static str, Given>;

/// Where an account of a file stands, and its keys.
pub(super) struct FileEntry<'a> {
    pub(super) file: &'a FileName,
    pub(super) folder: &'a Path,
    pub(super) line: usize,
    pub(super) keys: &'a Keys,
    pub(super) is_whole: bool,
}

impl Home for FileEntry<'_> {
    fn name(&self, key: &str) -> String {
        key.to_owned()
    }

    fn mention(&self, key: &str) -> String {
        match self.keys.get(key) {
            Some(given) if given.is_default => format!("defaults.{key} (line {})", given.line),
            Some(given) => format!("{key} (line {})", given.line),
            None => key.to_owned(),
        }
    }

    fn place(&self, key: &str) -> Place {
        match self.keys.get(key) {
            Some(given) if given.is_default => {
                self.file.key(given.line, &format!("defaults.{key}"))
            }
            Some(given) => self.file.key(given.line, key),
            None => self.file.key(self.line, key),
        }
    }

    /// As Prometheus does: a configuration moves as one folder.
    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn file_suffix(&self) -> &'static str {
        "_file"
    }

    fn is_in_doubt(&self, _key: &str) -> bool {
        !self.is_whole
    }
}

/// An account's own keys, and the defaults that go with them: a secret's two forms are one
/// setting, and an account that brings one kind of credential does without another kind's.
pub(super) fn merge(own: Keys, defaults: &Keys) -> Keys {
    let kinds: Vec<_> = own
        .iter()
        .filter(|(_, given)| given.text.is_some())
        .filter_map(|(key, _)| Kind::of(key))
        .collect();
    let goes = |key: &str| match Kind::of(key) {
        _ if own.contains_key(other_form(key).as_str()) => false,
        Some(kind) => kinds.is_empty() || kinds.contains(&kind),
        None if key == "login" => kinds.is_empty() || !kinds.contains(&Kind::KeyPair),
        None => true,
    };
    let mut merged: Keys = defaults
        .iter()
        .filter(|(key, _)| goes(key))
        .map(|(key, given)| (*key, given.clone()))
        .collect();
    merged.extend(own);
    merged
}

fn other_form(key: &str) -> String {
    match key.strip_suffix("_file") {
        Some(key) => key.to_owned(),
        None => format!("{key}_file"),
    }
}
