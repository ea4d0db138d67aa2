//! Where an account was configured: in a file, or in variables.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::error::Place;

/// Where an account was configured: what its keys are called there, and where they stand.
pub(super) trait Home {
    /// What a person writes to set the key.
    fn name(&self, key: &str) -> String;
    /// The same, for a text about another key.
    fn mention(&self, key: &str) -> String;
    /// Where the key is set, or would be.
    fn place(&self, key: &str) -> Place;
    /// Where an item of a list stands; it has a number, from 1, unless it is the only one.
    fn item(&self, key: &str, number: Option<usize>) -> Place {
        self.place(key).item(number)
    }
    /// A file that a key names.
    fn path(&self, path: &str) -> PathBuf;
    /// What a secret's key ends in where it names a file.
    fn file_suffix(&self) -> &'static str;
    /// Whether a key that has no text may have been meant by something that could not be read: then
    /// it is not said to be missing, and nothing is measured by its default.
    fn is_in_doubt(&self, key: &str) -> bool;
}

/// Keys that were meant, or may have been, by what could not be read.
#[derive(Clone, Default)]
pub(super) struct Doubts {
    any: bool,
    keys: BTreeSet<&'static str>,
}

impl Doubts {
    /// What could not be read is this key, or, where that cannot be told, any.
    pub(super) fn add(&mut self, key: Option<&'static str>) {
        match key {
            Some(key) => {
                self.keys.insert(key);
            }
            None => self.any = true,
        }
    }

    pub(super) fn extend(&mut self, others: &Self) {
        self.any |= others.any;
        self.keys.extend(&others.keys);
    }

    /// The keys that were clearly meant.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().copied()
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.any || self.keys.contains(key)
    }
}

/// The environment, which has one account.
pub(super) struct Variables<'a> {
    pub(super) doubts: &'a Doubts,
}

impl Home for Variables<'_> {
    fn name(&self, key: &str) -> String {
        format!("TRADERNET_{}", key.to_ascii_uppercase())
    }

    fn mention(&self, key: &str) -> String {
        self.name(key)
    }

    fn place(&self, key: &str) -> Place {
        Place::variable(&self.name(key))
    }

    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(path)
    }

    fn file_suffix(&self) -> &'static str {
        "_FILE"
    }

    fn is_in_doubt(&self, key: &str) -> bool {
        self.doubts.contains(key)
    }
}
