//! The accounts file: YAML to accounts and names of safety types.
//!
//! An account's keys become the same texts that variables are, and are judged by the same code;
//! what is known here is where each stands and what `defaults` add.

mod entry;
mod level;
mod reader;
mod value;

use std::path::{Path, PathBuf};

use self::reader::Reader;
use super::error::{Place, Problems, Report};
use super::redaction;
use super::yaml::{self, Document, Flaw};
use crate::config::AccountConfig;
use crate::secret::read_regular_file;
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;

/// `--config.file`, and what else decides which accounts come of it.
#[derive(Clone, Debug)]
pub struct AccountsFile {
    pub(super) path: PathBuf,
    pub(super) shard: Shard,
    /// Names by variable: they beat those of the file.
    pub(super) names: Vec<(i64, String)>,
}

/// What an accounts file holds, valid by construction.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// The accounts of this shard, their names unique.
    pub accounts: Vec<AccountConfig>,
    /// Names of safety types.
    pub safety_names: SafetyNames,
}

impl AccountsFile {
    /// Reads the file and the secrets that it names. Blocks: not for a thread that polls.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn read(&self) -> Result<Accounts, Problems> {
        let mut report = Report::default();
        let accounts = self.read_into(&mut report);
        report.into_result()?;
        Ok(accounts)
    }

    pub(super) fn read_into(&self, report: &mut Report) -> Accounts {
        let file = FileName(self.path.display().to_string());
        let mut accounts = Vec::new();
        let mut safety_names = SafetyNames::default();
        match load(&self.path, &file, report) {
            Ok(document) => {
                let mut reader = Reader {
                    file: &file,
                    folder: self.path.parent().unwrap_or(Path::new("")),
                    report,
                    bytes: 0,
                    is_cut: document.is_cut(),
                };
                let found = document.root().map(|root| reader.top(root));
                let (found, names) = found.unwrap_or_default();
                accounts = found;
                names
                    .into_iter()
                    .for_each(|(id, name)| safety_names.set(id, name));
            }
            Err((place, wrong)) => report.add(place, None, wrong),
        }
        for (id, name) in &self.names {
            safety_names.set(*id, name.clone());
        }
        accounts.retain(|account| self.shard.owns(&account.name));
        Accounts {
            accounts,
            safety_names,
        }
    }
}

/// The file's document; what is wrong with parts of it is noted.
fn load(path: &Path, file: &FileName, report: &mut Report) -> Result<Document, (Place, String)> {
    let whole = |text: String| (file.whole(), text);
    // The flag; an empty variable is unset.
    if path.as_os_str().is_empty() {
        let place = Place::flag("--config.file");
        return Err((place, "is empty: write the path of a file".to_owned()));
    }
    let bytes = read_regular_file(path, yaml::LARGEST)
        .map_err(|error| whole(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        (file.line(line), "is not UTF-8".to_owned())
    })?;
    let mut tell = |Flaw { line, key, text }: Flaw<'_>| {
        let place = match key {
            Some(key) => file.key(line, &redaction::name(key)),
            None => file.line(line),
        };
        report.add(place, None, text);
    };
    let empty = || whole("is empty: list the accounts under accounts:".to_owned());
    Document::parse(&text, &mut tell).ok_or_else(empty)
}

/// The file as the user named it.
struct FileName(String);

impl FileName {
    fn whole(&self) -> Place {
        Place::in_line(0, self.0.clone())
    }

    fn line(&self, line: usize) -> Place {
        Place::in_line(line, format!("{}:{line}", self.0))
    }

    fn key(&self, line: usize, key: &str) -> Place {
        Place::in_line(line, format!("{}:{line}: {key}", self.0))
    }
}
