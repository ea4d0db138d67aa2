//! The accounts file: YAML to accounts and names of safety types.
//!
//! An account's keys become the same settings that variables are, and the same code judges them.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::account::{self, DEFAULT_NAME};
use super::account_config::AccountConfig;
use super::credential::Kind;
use super::error::{ConfigErrors, ErrorCollector, Location};
use super::parse;
use super::settings::{ACCOUNT_KEYS, Keys, PROCESS_KEYS, Setting, Settings, shown_key, variable};
use super::suggest::suggest;
use super::yaml::{self, Node, Value, YamlError};
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;

const TOP_KEYS: &[&str] = &["accounts", "defaults", "safety_types"];

/// `--config.file`, and the settings beside it that decide which accounts result.
#[derive(Clone, Debug)]
pub struct AccountsFile {
    /// Where it is.
    pub path: PathBuf,
    pub(super) shard: Shard,
    /// Names by variable: they beat those of the file.
    pub(super) names: Vec<(i64, String)>,
}

/// The content of an accounts file, valid by construction.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// The accounts of this shard, their names unique.
    pub accounts: Vec<AccountConfig>,
    /// Names of safety types.
    pub safety_names: SafetyNames,
}

impl AccountsFile {
    /// Reads the file. Blocks: not for a thread that polls.
    ///
    /// # Errors
    ///
    /// A syntax error by itself, otherwise everything that is wrong.
    pub fn read(&self) -> Result<Accounts, ConfigErrors> {
        let errors = ErrorCollector::default();
        let accounts = self.read_into(&errors);
        errors.finish(&self.path)?;
        Ok(accounts)
    }

    /// Reads the file; the result is of use only if no error is added.
    pub(super) fn read_into(&self, errors: &ErrorCollector) -> Accounts {
        let reader = Reader {
            folder: self.path.parent().unwrap_or(Path::new("")),
            has_listed_keys: Cell::new(false),
            errors,
        };
        let mut found = match yaml::read(&self.path) {
            Ok(root) => reader.file(root, &self.names).unwrap_or_default(),
            Err(YamlError { line, message }) => {
                errors.push(&Location::line(line, ""), message);
                Accounts::default()
            }
        };
        found
            .accounts
            .retain(|account| self.shard.owns(&account.name));
        found
    }
}

struct Reader<'a> {
    folder: &'a Path,
    /// Whether an error has listed all keys of an account.
    has_listed_keys: Cell<bool>,
    errors: &'a ErrorCollector,
}

impl Reader<'_> {
    fn file(&self, root: Node, names: &[(i64, String)]) -> Option<Accounts> {
        let file = Location::line(0, "");
        if matches!(root.value, Value::Empty) {
            let message = "is empty; list the accounts under accounts:";
            self.errors.push(&file, message);
            return None;
        }
        let mut sections = self.keys(root.value, TOP_KEYS, &Location::line(root.line, ""))?;
        let mut safety_names = SafetyNames::default();
        if let Some(setting) = sections.remove("safety_types") {
            self.safety_types(&setting, &mut safety_names);
        }
        for (id, name) in names {
            safety_names.set(*id, name.clone());
        }
        let defaults = sections.remove("defaults");
        // A mapping whose keys are all commented out is empty, which is valid.
        let defaults = defaults.filter(|setting| !setting.value.is_empty());
        let defaults = defaults
            .and_then(|Setting { location, value }| self.keys(value, ACCOUNT_KEYS, &location));
        let mut defaults = defaults.unwrap_or_default();
        if let Some(setting) = defaults.remove("account") {
            let message = "is not allowed under defaults: each account has its own name";
            self.errors.push(&setting.location, message);
        }
        let Some(accounts) = sections.remove("accounts") else {
            let message = "has no accounts; list them under accounts:";
            self.errors.push(&file, message);
            return None;
        };
        Some(Accounts {
            accounts: self.accounts(accounts, &defaults, &safety_names),
            safety_names,
        })
    }

    /// The known keys of the mapping that is written at a place.
    fn keys(&self, value: Value, known: &[&'static str], place: &Location) -> Option<Keys> {
        let Value::Map(pairs) = value else {
            self.errors
                .push(place, "must be a mapping of keys to values");
            return None;
        };
        let prefix = if place.name == "defaults" {
            "defaults."
        } else {
            ""
        };
        let mut keys = Keys::new();
        for (name, Node { line, value }) in pairs {
            let key = known.iter().copied().find(|key| *key == name);
            let shown = key.or(shown_key(&name, &value));
            let shown = shown.map(|name| format!("{prefix}{name}"));
            let location = Location::line(line, shown.unwrap_or_default());
            let Some(key) = key else {
                self.errors.push(&location, self.unknown_key(&name, known));
                continue;
            };
            if let Some(first) = keys.get(key).and_then(|setting| setting.location.line) {
                let message = format!("duplicate key (first defined on line {first})");
                self.errors.push(&location, message);
                continue;
            }
            keys.insert(key, Setting { location, value });
        }
        Some(keys)
    }

    /// The error about a key that does not belong where the `known` ones do.
    fn unknown_key(&self, name: &str, known: &[&'static str]) -> String {
        let is_top = known == TOP_KEYS;
        if name == "<<" {
            return "merge keys are not supported; write shared keys under defaults".to_owned();
        }
        if is_top && ACCOUNT_KEYS.contains(&name) {
            return "is a key of an account; write it under defaults or in an account".to_owned();
        }
        if TOP_KEYS.contains(&name) {
            return "is a key of the file; write it without indentation".to_owned();
        }
        if PROCESS_KEYS.contains(&name) {
            let variable = variable(name);
            return format!("is not a key of the file; set the variable {variable}");
        }
        match suggest(name, known) {
            Some(key) => format!("unknown key; did you mean {key}?"),
            None if !is_top && self.has_listed_keys.replace(true) => "unknown key".to_owned(),
            None => format!("unknown key; known keys are {}", known.join(", ")),
        }
    }

    fn accounts(
        &self,
        Setting { location, value }: Setting,
        defaults: &Keys,
        names: &SafetyNames,
    ) -> Vec<AccountConfig> {
        let items = match value {
            Value::List(items) if !items.is_empty() => items,
            _ => {
                let message = "must be a list: - account: NAME for each";
                self.errors.push(&location, message);
                return Vec::new();
            }
        };
        let mut accounts = Vec::new();
        let mut lines_by_name = HashMap::new();
        for (Node { line, value }, number) in items.into_iter().zip(1..) {
            let place = Location::line(line, format!("accounts, item {number}"));
            let Some(own) = self.keys(value, ACCOUNT_KEYS, &place) else {
                continue;
            };
            let settings = Settings {
                values: merge(&own, defaults),
                folder: self.folder,
                line: Some(line),
                errors: self.errors,
            };
            let name = own.get("account").and_then(|setting| setting.value.text());
            let name = name.unwrap_or(DEFAULT_NAME).to_owned();
            let location = settings.location("account");
            if let Some(first) = lines_by_name.insert(name, location.line).flatten() {
                let message = format!("duplicate account name (first defined on line {first})");
                self.errors.push(&location, message);
            }
            accounts.extend(account::resolve(&settings, names));
        }
        accounts
    }

    fn safety_types(&self, setting: &Setting, names: &mut SafetyNames) {
        let pairs = match &setting.value {
            Value::Map(pairs) => pairs,
            Value::Empty | Value::Null => return,
            _ => {
                let message = "must be a mapping of ids to names, such as 2: token";
                self.errors.push(&setting.location, message);
                return;
            }
        };
        let mut ids = HashSet::new();
        for (id, Node { line, value }) in pairs {
            let result = match value.text() {
                Some(name) => parse::named_safety_type(id, name, &mut ids),
                None => Err("must be an id and a name, such as 2: token".to_owned()),
            };
            let location = Location::line(*line, "safety_types");
            if let Some((id, name)) = self.errors.ok(result, &location, None) {
                names.set(id, name);
            }
        }
    }
}

/// An account's own keys and the defaults that apply: a secret and its file are one setting, and an
/// account that has a credential of its own takes no default of another kind. `null` removes a
/// default.
fn merge<'a>(own: &'a Keys, defaults: &'a Keys) -> BTreeMap<&'static str, &'a Setting> {
    let is_null = |setting: &Setting| matches!(setting.value, Value::Null);
    let own_kinds: Vec<Kind> = own
        .iter()
        .filter(|(_, setting)| !is_null(setting))
        .filter_map(|(key, _)| Kind::of(key))
        .collect();
    let applies = |key: &str| {
        let other_form = match key.strip_suffix("_file") {
            Some(key) => key.to_owned(),
            None => format!("{key}_file"),
        };
        let kind_applies = match Kind::of(key) {
            Some(kind) => own_kinds.is_empty() || own_kinds.contains(&kind),
            None => key != "login" || !own_kinds.contains(&Kind::KeyPair),
        };
        kind_applies && !own.contains_key(other_form.as_str())
    };
    let defaults = defaults.iter().filter(|(key, _)| applies(key));
    let mut merged: BTreeMap<_, _> = defaults.chain(own).map(|(key, s)| (*key, s)).collect();
    merged.retain(|_, setting| !is_null(setting));
    merged
}
