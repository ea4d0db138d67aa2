//! Where an account was configured: in a file, or in variables.

use std::path::PathBuf;

use super::problem::Place;

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
    /// Whether all that was written could be read; if not, nothing is said to be missing.
    fn is_whole(&self) -> bool {
        true
    }
}

/// The environment, which has one account.
pub(super) struct Variables;

impl Home for Variables {
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
}
