//! The accounts file: YAML to accounts and names of safety types.
//!
//! An account's keys become the same texts that variables are, and are judged by the same code;
//! what is known here is where each stands and what `defaults` add.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use super::account::Home;
use super::environment::{ACCOUNT_KEYS, RawAccount};
use super::parse;
use super::problem::{Place, Problems, Report};
use super::yaml::{self, Document, NotYaml, Shape, Value};
use crate::account::Account;
use crate::safety::SafetyNames;
use crate::secret::read_up_to;
use crate::shard::Shard;

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
    pub accounts: Vec<Account>,
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
        let mut reader = Reader {
            file: &file,
            folder: self.path.parent().unwrap_or(Path::new("")),
            report,
            bytes: 0,
        };
        let mut accounts = Vec::new();
        let mut safety_names = SafetyNames::default();
        match load(&self.path) {
            Ok(document) => {
                let found = document.root().map(|root| reader.top(root));
                let (found, names) = found.unwrap_or_default();
                accounts = found;
                names
                    .into_iter()
                    .for_each(|(id, name)| safety_names.set(id, name));
            }
            Err(NotYaml { line: 0, text }) => report.add(file.whole(), None, text),
            Err(NotYaml { line, text }) => report.add(file.line(line), None, text),
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

/// The file's document; line 0 is the file as a whole.
fn load(path: &Path) -> Result<Document, NotYaml> {
    let whole = |text: String| NotYaml { line: 0, text };
    let bytes = read_up_to(path, yaml::LARGEST + 1)
        .map_err(|error| whole(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > yaml::LARGEST {
        return Err(whole(format!("is larger than {} MiB", yaml::LARGEST >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        NotYaml {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            text: "is not UTF-8".to_owned(),
        }
    })?;
    let empty = || whole("is empty: list the accounts under accounts:".to_owned());
    Document::parse(&text)?.ok_or_else(empty)
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

/// A key's text and where it stands.
#[derive(Clone)]
struct Given {
    line: usize,
    /// `None` where `null` takes a default away.
    text: Option<String>,
    is_default: bool,
}

type Keys = BTreeMap<&'static str, Given>;

/// Known keys, each with its line.
type Pairs<'a> = BTreeMap<&'static str, (usize, Value<'a>)>;

/// The keys of `defaults` or of an account.
struct Section {
    keys: Keys,
    /// Whether all of them could be read: where one could not, it may be the one that is missing.
    is_whole: bool,
}

struct Reader<'a> {
    file: &'a FileName,
    folder: &'a Path,
    report: &'a mut Report,
    bytes: usize,
}

impl Reader<'_> {
    fn top(&mut self, root: Value<'_>) -> (Vec<Account>, Vec<(i64, String)>) {
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

/// Where an account of a file stands, and its keys.
struct FileEntry<'a> {
    file: &'a FileName,
    folder: &'a Path,
    line: usize,
    keys: &'a Keys,
    is_whole: bool,
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

    fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// An account's own keys, and the defaults that go with them: a secret's two forms are one
/// setting, and an account that brings one kind of credential does without another kind's.
fn merge(own: Keys, defaults: &Keys) -> Keys {
    let kinds: Vec<_> = own
        .iter()
        .filter(|(_, given)| given.text.is_some())
        .filter_map(|(key, _)| credential_kind(key))
        .collect();
    let goes = |key: &str| match credential_kind(key) {
        _ if own.contains_key(other_form(key).as_str()) => false,
        Some(kind) => kinds.is_empty() || kinds.contains(&kind),
        None if key == "login" => kinds.is_empty() || !kinds.contains(&"key pair"),
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

fn credential_kind(key: &str) -> Option<&'static str> {
    match key {
        "sid" | "sid_file" => Some("SID"),
        "password" | "password_file" => Some("password"),
        "api_key" | "api_key_file" | "api_secret" | "api_secret_file" => Some("key pair"),
        _ => None,
    }
}

fn other_form(key: &str) -> String {
    match key.strip_suffix("_file") {
        Some(key) => key.to_owned(),
        None => format!("{key}_file"),
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
