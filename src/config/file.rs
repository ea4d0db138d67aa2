//! The accounts file: YAML to accounts and names of safety types.
//!
//! An account's keys become the same settings that variables are, and the same code judges them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::account::{self, DEFAULT_NAME};
use super::account_config::AccountConfig;
use super::credential::Kind;
use super::error::{ConfigErrors, ErrorCollector};
use super::keys::{ACCOUNT_KEYS, Key, PROCESS_KEYS, SECRET_KEYS, TOP_KEYS, find, variable};
use super::settings::{Settings, SettingsByKey, mapping, named_safety_types};
use super::suggest::unknown;
use super::yaml::{self, Node, Value};
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;

/// `--config.file`, and the settings beside it that decide which accounts result.
#[derive(Clone, Debug)]
pub struct AccountsFile {
    /// Where it is.
    pub path: PathBuf,
    pub(super) shard: Shard,
    /// Names by variable: they override those of the file.
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
    /// A syntax error by itself, otherwise all errors.
    pub fn read(&self) -> Result<Accounts, ConfigErrors> {
        let errors = ErrorCollector::default();
        let accounts = self.read_into(&errors);
        errors.finish(&self.path)?;
        Ok(accounts)
    }

    /// Reads the file; the result is of use only if no error is added.
    pub(super) fn read_into(&self, errors: &ErrorCollector) -> Accounts {
        self.accounts(yaml::read(&self.path), errors)
    }

    /// The same with the content.
    pub(super) fn accounts(&self, root: yaml::Result<Node>, errors: &ErrorCollector) -> Accounts {
        let reader = Reader {
            folder: self.path.parent().unwrap_or(Path::new("")),
            errors,
        };
        let root = errors.take(root);
        let accounts = root.and_then(|root| reader.file(root, &self.names));
        let mut accounts = accounts.unwrap_or_default();
        let is_owned = |account: &AccountConfig| self.shard.owns(&account.name);
        accounts.accounts.retain(is_owned);
        accounts
    }
}

struct Reader<'a> {
    folder: &'a Path,
    errors: &'a ErrorCollector,
}

impl Reader<'_> {
    fn file(&self, root: Node, names: &[(i64, String)]) -> Option<Accounts> {
        let mut sections = self.mapping(root, TOP_KEYS, "")?;
        // A mapping whose keys are all commented out is empty, which is valid.
        let mut section = |key| sections.remove(key).filter(|node| !node.value.is_empty());
        let mut safety_names = SafetyNames::default();
        if let Some(node) = section("safety_types") {
            safety_names.extend(self.safety_types(node));
        }
        safety_names.extend(names.iter().cloned());
        let defaults = section("defaults");
        let defaults = defaults.and_then(|node| self.mapping(node, ACCOUNT_KEYS, "defaults."));
        let mut defaults = defaults.unwrap_or_default();
        if let Some(node) = defaults.remove("account") {
            let message = "is not allowed under defaults: each account has its own name";
            self.errors.push(node.line, &node.name, message);
        }
        let Some(accounts) = section("accounts") else {
            let message = "has no accounts; list them under accounts:";
            self.errors.push(0, "", message);
            return None;
        };
        Some(Accounts {
            accounts: self.accounts(accounts, &defaults, &safety_names),
            safety_names,
        })
    }

    fn mapping(&self, node: Node, known: &[Key], prefix: &str) -> Option<SettingsByKey> {
        let unknown = |name: &str| Self::unknown_key(name, known);
        mapping(self.errors, node, known, prefix, unknown)
    }

    /// The error about a key that is not among the known ones.
    fn unknown_key(name: &str, known: &[Key]) -> String {
        let is_top = known == TOP_KEYS;
        if name == "<<" {
            return "merge keys are not supported; write shared keys under defaults".to_owned();
        }
        if is_top && find(ACCOUNT_KEYS, name).is_some() {
            return "is a key of an account; write it under defaults or in an account".to_owned();
        }
        if find(PROCESS_KEYS, name).is_some() {
            let variable = variable(name);
            return format!("cannot be set here; set the variable {variable}");
        }
        unknown("key", name, known, str::to_owned)
    }

    fn accounts(
        &self,
        node: Node,
        defaults: &SettingsByKey,
        names: &SafetyNames,
    ) -> Vec<AccountConfig> {
        let items = match node.value {
            Value::List(items) if !items.is_empty() => items,
            _ => {
                let message = "must be a list: - account: NAME for each";
                self.errors.push(node.line, &node.name, message);
                return Vec::new();
            }
        };
        let mut accounts = Vec::new();
        let mut lines_by_name = HashMap::new();
        let items = items.into_iter().take_while(|_| !self.errors.is_full());
        for (mut item, number) in items.zip(1..) {
            item.name = format!("accounts, item {number}");
            let line = item.line;
            let Some(own) = self.mapping(item, ACCOUNT_KEYS, "") else {
                continue;
            };
            let settings = self.settings(merge(own, defaults), line);
            let name = settings.values.get("account");
            let line = name.map_or(line, |node| node.line);
            let name = name
                .and_then(|node| node.value.text())
                .unwrap_or(DEFAULT_NAME);
            if let Some(first) = lines_by_name.insert(name.to_owned(), line) {
                let message = format!("duplicate account name (first defined on line {first})");
                settings.error("account", message);
            }
            accounts.extend(account::resolve(&settings, names));
        }
        accounts
    }

    /// The mapping of ids to names, read like the variable's list of `2=token`.
    fn safety_types(&self, mut node: Node) -> Vec<(i64, String)> {
        let line = node.line;
        let Value::Map(pairs) = node.value else {
            let message = "must be a mapping of ids to names, such as 2: token";
            self.errors.push(line, &node.name, message);
            return Vec::new();
        };
        let item = |pair: Node| {
            let name = pair.value.text();
            let text = name.map(|name| Value::Text(format!("{}={name}", pair.name).into()));
            Node::new(pair.line, "", text.unwrap_or(Value::Null))
        };
        node.value = Value::List(pairs.into_iter().map(item).collect());
        named_safety_types(&self.settings([("safety_types", node)].into(), line))
    }

    fn settings(&self, values: SettingsByKey, line: usize) -> Settings<'_> {
        Settings {
            folder: self.folder,
            ..Settings::new(values, line, "", self.errors)
        }
    }
}

/// An account's own keys and the defaults that apply: a secret and its file are one setting, and an
/// account that has a credential of its own takes no default of another kind. `null` removes a
/// default.
fn merge(own: SettingsByKey, defaults: &SettingsByKey) -> SettingsByKey {
    let is_null = |node: &Node| matches!(node.value, Value::Null);
    let own_keys = own.iter().filter(|(_, node)| !is_null(node));
    let own_kinds: Vec<Kind> = own_keys.filter_map(|(key, _)| Kind::of(key)).collect();
    let applies = |key: &str| {
        let mut secrets = SECRET_KEYS.iter().filter(|forms| forms.contains(&key));
        let is_replaced = secrets.any(|forms| forms.iter().any(|form| own.contains_key(form)));
        let kind_applies = match Kind::of(key) {
            Some(kind) => own_kinds.is_empty() || own_kinds.contains(&kind),
            None => key != "login" || !own_kinds.contains(&Kind::KeyPair),
        };
        kind_applies && !is_replaced
    };
    let mut merged = defaults.clone();
    merged.retain(|key, _| applies(key));
    merged.extend(own);
    merged.retain(|_, node| !is_null(node));
    merged
}
