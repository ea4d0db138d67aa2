//! The accounts file: YAML to accounts and names of safety types.
//!
//! An account's keys become the same settings that variables are, and the same code judges them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::account;
use super::account_config::AccountConfig;
use super::credential::Kind;
use super::env::GLOBAL_KEYS;
use super::error::{ConfigErrors, Location};
use super::parse;
use super::settings::{ACCOUNT_KEYS, Origin, Setting, Settings, shown_key};
use super::suggest::suggest;
use super::yaml::{self, Content, MAX_FILE_BYTES, Node};
use crate::secret::read_regular_file;
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;

const TOP_KEYS: &[&str] = &["accounts", "defaults", "safety_types"];

/// `--config.file`, and the settings beside it that decide which accounts result.
#[derive(Clone, Debug)]
pub struct AccountsFile {
    pub(super) path: PathBuf,
    pub(super) shard: Shard,
    /// Names by variable: they beat those of the file.
    pub(super) names: Vec<(i64, String)>,
}

/// The content of an accounts file, valid by construction.
#[derive(Clone, Debug)]
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
        let mut errors = ConfigErrors::default();
        let accounts = self.read_into(&mut errors);
        errors.into_result()?;
        Ok(accounts)
    }

    pub(super) fn read_into(&self, errors: &mut ConfigErrors) -> Accounts {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let mut reader = Reader {
            file: self
                .path
                .to_string_lossy()
                .escape_debug()
                .to_string()
                .into(),
            folder: folder.into(),
            has_listed_keys: false,
            errors,
        };
        let root = reader.load(&self.path);
        let (mut accounts, safety_names) = match &root {
            Some(root) => reader.file(root, &self.names),
            None => Default::default(),
        };
        accounts.retain(|account| self.shard.owns(&account.name));
        Accounts {
            accounts,
            safety_names,
        }
    }
}

/// The known keys of a mapping.
type Keys = BTreeMap<&'static str, Rc<Setting>>;

/// A mapping of the file with a fixed set of keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Defaults,
    Account,
}

impl Level {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Top => TOP_KEYS,
            Self::Defaults | Self::Account => ACCOUNT_KEYS,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Defaults => "defaults.",
            Self::Top | Self::Account => "",
        }
    }

    /// The error about a key that does not belong here.
    fn unknown_key(self, name: &str, has_listed_keys: &mut bool) -> String {
        if name == "<<" {
            return "merge keys are not supported; write shared keys under defaults".to_owned();
        }
        if self == Self::Top && ACCOUNT_KEYS.contains(&name) {
            return "is a key of an account; write it under defaults or in an account".to_owned();
        }
        if self != Self::Top && TOP_KEYS.contains(&name) {
            return "is a key of the file; write it without indentation".to_owned();
        }
        if GLOBAL_KEYS.contains(&name) {
            let name = name.to_ascii_uppercase();
            return format!("is not a key of the file; set the variable TRADERNET_{name}");
        }
        match suggest(name, self.keys()) {
            Some(known) => format!("unknown key; did you mean {known}?"),
            None if self != Self::Top && std::mem::replace(has_listed_keys, true) => {
                "unknown key".to_owned()
            }
            None => format!("unknown key; known keys are {}", self.keys().join(", ")),
        }
    }
}

struct Reader<'a> {
    file: Rc<str>,
    folder: Rc<Path>,
    /// Whether an error has listed all keys of an account.
    has_listed_keys: bool,
    errors: &'a mut ConfigErrors,
}

impl Reader<'_> {
    fn location(&self, line: usize, name: impl Into<String>) -> Location {
        Location {
            file: Some(Rc::clone(&self.file)),
            line,
            name: name.into(),
        }
    }

    fn push(&mut self, line: usize, name: impl Into<String>, message: &str) {
        let location = self.location(line, name);
        self.errors.push(&location, message);
    }

    fn load(&mut self, path: &Path) -> Option<Rc<Node>> {
        let bytes = match read_regular_file(path, MAX_FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.push(0, "", &format!("cannot be read: {error}"));
                return None;
            }
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                self.push(line, "", "is not valid UTF-8");
                return None;
            }
        };
        match yaml::parse(text) {
            Ok(root) => Some(root),
            Err(error) => {
                self.push(error.line, "", &error.message);
                None
            }
        }
    }

    fn file(&mut self, root: &Node, names: &[(i64, String)]) -> (Vec<AccountConfig>, SafetyNames) {
        if matches!(root.content, Content::Empty) {
            self.push(0, "", "is empty; list the accounts under accounts:");
            return Default::default();
        }
        let sections = self.keys(root, Level::Top, "");
        let mut safety_names = SafetyNames::default();
        if let Some(setting) = sections.get("safety_types") {
            self.safety_types(setting, &mut safety_names);
        }
        for (id, name) in names {
            safety_names.set(*id, name.clone());
        }
        let mut defaults = match sections.get("defaults") {
            // A file whose keys are all commented out holds null, which is valid.
            Some(setting) if !setting.node.is_empty() => {
                self.keys(&setting.node, Level::Defaults, "defaults")
            }
            _ => Keys::default(),
        };
        if let Some(setting) = defaults.remove("account") {
            let message = "is not allowed under defaults: each account has its own name";
            self.errors.push(&setting.location, message);
        }
        let accounts = match sections.get("accounts") {
            Some(setting) => self.accounts(setting, &defaults, &safety_names),
            None => {
                if matches!(root.content, Content::Map(_)) {
                    self.push(0, "", "has no accounts; list them under accounts:");
                }
                Vec::new()
            }
        };
        (accounts, safety_names)
    }

    /// The known keys of a mapping; `what` names it.
    fn keys(&mut self, node: &Node, level: Level, what: &str) -> Keys {
        let mut keys = Keys::new();
        let Content::Map(pairs) = &node.content else {
            self.push(node.line, what, "must be a mapping of keys to values");
            return keys;
        };
        for (key, value) in pairs {
            let name = key.text().unwrap_or_default();
            let known = level.keys().iter().copied().find(|known| *known == name);
            let shown = shown_key(name, value).filter(|_| known.is_none()).or(known);
            let shown = shown.map(|name| format!("{}{name}", level.prefix()));
            let location = self.location(key.line, shown.unwrap_or_default());
            let Some(known) = known else {
                let message = level.unknown_key(name, &mut self.has_listed_keys);
                self.errors.push(&location, message);
                continue;
            };
            match keys.entry(known) {
                Entry::Vacant(entry) => {
                    let node = Rc::clone(value);
                    entry.insert(Rc::new(Setting { location, node }));
                }
                Entry::Occupied(entry) => {
                    let first = entry.get().location.line;
                    let message = format!("duplicate key (first defined on line {first})");
                    self.errors.push(&location, message);
                }
            }
        }
        keys
    }

    fn accounts(
        &mut self,
        setting: &Setting,
        defaults: &Keys,
        names: &SafetyNames,
    ) -> Vec<AccountConfig> {
        let items = match &setting.node.content {
            Content::List(items) if !items.is_empty() => items,
            _ => {
                let message = "must be a list: - account: NAME for each";
                self.errors.push(&setting.location, message);
                return Vec::new();
            }
        };
        let mut accounts = Vec::new();
        let mut lines_by_name = HashMap::new();
        for (item, number) in items.iter().zip(1..) {
            let what = format!("accounts, item {number}");
            let own = self.keys(item, Level::Account, &what);
            if !matches!(item.content, Content::Map(_)) {
                continue;
            }
            let origin = Origin::File {
                file: Rc::clone(&self.file),
                folder: Rc::clone(&self.folder),
                line: item.line,
            };
            let settings = Settings::new(origin, merge(own, defaults));
            let location = settings.location("account");
            let name = settings
                .get("account")
                .and_then(|setting| setting.node.text());
            let name = name.unwrap_or("default").to_owned();
            if let Some(first) = lines_by_name.insert(name, location.line) {
                let message = format!("duplicate account name (first defined on line {first})");
                self.errors.push(&location, message);
            }
            accounts.extend(account::resolve(&settings, names, self.errors));
        }
        accounts
    }

    fn safety_types(&mut self, setting: &Setting, names: &mut SafetyNames) {
        let pairs = match &setting.node.content {
            Content::Map(pairs) => pairs,
            Content::Empty | Content::Null => return,
            _ => {
                let message = "must be a mapping of ids to names, such as 2: token";
                self.errors.push(&setting.location, message);
                return;
            }
        };
        let mut ids = HashSet::new();
        for (key, value) in pairs {
            let result = match (key.text(), value.text()) {
                (Some(id), Some(name)) => {
                    parse::safety_type_id(id).and_then(|id| Ok((id, parse::safety_name(name)?)))
                }
                _ => Err("must be an id and a name, such as 2: token".to_owned()),
            };
            let result = match result {
                Ok((id, _)) if !ids.insert(id) => Err(format!("is a second name for type {id}")),
                result => result,
            };
            let location = self.location(key.line, "safety_types");
            if let Some((id, name)) = self.errors.ok(result, &location, None) {
                names.set(id, name);
            }
        }
    }
}

/// An account's own keys and the defaults that apply: a secret and its file are one setting, and an
/// account that has a credential of its own takes no default of another kind. `null` removes a
/// default.
fn merge(own: Keys, defaults: &Keys) -> Keys {
    let is_null = |setting: &Setting| matches!(setting.node.content, Content::Null);
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
    let mut keys = defaults.clone();
    keys.retain(|key, _| applies(key));
    keys.extend(own);
    keys.retain(|_, setting| !is_null(setting));
    keys
}
