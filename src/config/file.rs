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
use super::settings::{ACCOUNT_KEYS, LIST_KEYS, Origin, Setting, Settings, Value, shown};
use super::suggest::suggest;
use super::yaml::{self, Content, MAX_FILE_BYTES, Node};
use crate::secret::read_regular_file;
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;

const TOP_KEYS: &[&str] = &["accounts", "defaults", "safety_types"];
/// A longer key is not a name.
const MAX_KEY_LEN: usize = 40;

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

/// The keys of `defaults` or of an account; none for a key that is `null`.
type Keys = BTreeMap<&'static str, Option<Rc<Setting>>>;

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
        let Some(sections) = self.entries(root, Level::Top, "") else {
            return Default::default();
        };
        let mut safety_names = SafetyNames::default();
        if let Some((line, node)) = sections.get("safety_types") {
            self.safety_types(*line, node, &mut safety_names);
        }
        for (id, name) in names {
            safety_names.set(*id, name.clone());
        }
        let defaults = match sections.get("defaults") {
            // With every key commented out, there is no mapping and nothing wrong.
            Some((_, node)) if !matches!(node.content, Content::Empty | Content::Null) => {
                self.keys(node, Level::Defaults, "defaults")
            }
            _ => Keys::default(),
        };
        let accounts = match sections.get("accounts") {
            Some((line, node)) => self.accounts(*line, node, &defaults, &safety_names),
            None => {
                self.push(0, "", "has no accounts; list them under accounts:");
                Vec::new()
            }
        };
        (accounts, safety_names)
    }

    /// The known keys of a mapping, each with its line and value; `what` names the mapping.
    fn entries<'n>(
        &mut self,
        node: &'n Node,
        level: Level,
        what: &str,
    ) -> Option<BTreeMap<&'static str, (usize, &'n Node)>> {
        let Content::Map(pairs) = &node.content else {
            self.push(node.line, what, "must be a mapping of keys to values");
            return None;
        };
        let mut entries = BTreeMap::new();
        for (key, value) in pairs {
            let name = match &key.content {
                Content::Text(name) => name.as_str(),
                _ => "",
            };
            match level.keys().iter().copied().find(|known| *known == name) {
                Some(known) => match entries.entry(known) {
                    Entry::Vacant(entry) => {
                        entry.insert((key.line, &**value));
                    }
                    Entry::Occupied(entry) => {
                        let (first, _) = entry.get();
                        let message = format!("duplicate key (first defined on line {first})");
                        self.push(key.line, format!("{}{name}", level.prefix()), &message);
                    }
                },
                None => {
                    let shown = shown_key(name, value);
                    let shown = shown.map(|name| format!("{}{name}", level.prefix()));
                    let message = level.unknown_key(name, &mut self.has_listed_keys);
                    self.push(key.line, shown.unwrap_or_default(), &message);
                }
            }
        }
        Some(entries)
    }

    fn accounts(
        &mut self,
        line: usize,
        node: &Node,
        defaults: &Keys,
        names: &SafetyNames,
    ) -> Vec<AccountConfig> {
        let items = match &node.content {
            Content::List(items) if !items.is_empty() => items,
            _ => {
                self.push(line, "accounts", "must be a list: - account: NAME for each");
                return Vec::new();
            }
        };
        let mut accounts = Vec::new();
        let mut lines_by_name = HashMap::new();
        for (item, number) in items.iter().zip(1..) {
            let what = format!("accounts, item {number}");
            if !matches!(item.content, Content::Map(_)) {
                self.push(item.line, what, "must be a mapping of keys to values");
                continue;
            }
            let own = self.keys(item, Level::Account, &what);
            let origin = Origin::File {
                file: Rc::clone(&self.file),
                folder: Rc::clone(&self.folder),
                line: item.line,
            };
            let settings = Settings::new(origin, merge(own, defaults));
            let location = settings.location("account");
            let name = settings.text("account").unwrap_or("default").to_owned();
            if let Some(first) = lines_by_name.insert(name, location.line) {
                let message = format!("duplicate account name (first defined on line {first})");
                self.errors.push(&location, message);
            }
            accounts.extend(account::resolve(&settings, names, self.errors));
        }
        accounts
    }

    fn keys(&mut self, node: &Node, level: Level, what: &str) -> Keys {
        let entries = self.entries(node, level, what).unwrap_or_default();
        let mut keys = Keys::new();
        for (key, (line, value)) in entries {
            let location = self.location(line, format!("{}{key}", level.prefix()));
            if level == Level::Defaults && key == "account" {
                let message = "is not allowed under defaults: each account has its own name";
                self.errors.push(&location, message);
            } else if matches!(value.content, Content::Null) {
                keys.insert(key, None);
            } else if let Some(value) = self.value(key, &location, value) {
                keys.insert(key, Some(Rc::new(Setting { location, value })));
            }
        }
        keys
    }

    /// A key's value, unless it has the wrong shape.
    fn value(&mut self, key: &str, location: &Location, node: &Node) -> Option<Value> {
        let is_list = LIST_KEYS.contains(&key);
        let message = match &node.content {
            Content::Text(text) if is_list && text.contains(',') => {
                let message = "contains a comma; use a YAML list such as [a, b]";
                self.errors.push_value(location, shown(key, text), message);
                return None;
            }
            Content::Text(text) if is_list => {
                return Some(Value::List(vec![(location.clone(), text.clone())]));
            }
            Content::Text(text) if key != "labels" => return Some(Value::Text(text.clone())),
            Content::List(items) if is_list && !items.is_empty() => {
                return Some(self.list(location, items));
            }
            Content::Map(pairs) if key == "labels" => return Some(self.labels(pairs)),
            Content::Empty | Content::Null => {
                "has no value; write one, quoted where it begins with & or #, or remove the key"
            }
            Content::List(_) if is_list => "is an empty list; remove the key to allow any value",
            _ if key == "labels" => "must be a mapping of label names to values",
            _ if is_list => "must be a list",
            _ => "must be a single value",
        };
        self.errors.push(location, message);
        None
    }

    /// The items that are single values; the others are reported.
    fn list(&mut self, location: &Location, items: &[Rc<Node>]) -> Value {
        let mut texts = Vec::with_capacity(items.len());
        for (item, number) in items.iter().zip(1..) {
            let location = Location {
                line: item.line,
                ..location.item(number)
            };
            match &item.content {
                Content::Text(text) => texts.push((location, text.clone())),
                Content::Empty | Content::Null => self
                    .errors
                    .push(&location, "is empty; write a value or remove the item"),
                _ => self.errors.push(&location, "must be a single value"),
            }
        }
        Value::List(texts)
    }

    fn labels(&mut self, pairs: &[(Rc<Node>, Rc<Node>)]) -> Value {
        let mut labels = Vec::new();
        for (key, value) in pairs {
            let name = match &key.content {
                Content::Text(name) => name.as_str(),
                _ => "",
            };
            let shown = match shown_key(name, value) {
                Some(name) => format!("labels.{name}"),
                None => "labels".to_owned(),
            };
            let location = self.location(key.line, shown);
            match &value.content {
                Content::Text(text) => labels.push((location, name.to_owned(), text.clone())),
                _ => self.errors.push(&location, "must be a single value"),
            }
        }
        Value::Map(labels)
    }

    fn safety_types(&mut self, line: usize, node: &Node, names: &mut SafetyNames) {
        let pairs = match &node.content {
            Content::Map(pairs) => pairs,
            Content::Empty | Content::Null => return,
            _ => {
                let message = "must be a mapping of ids to names, such as 2: token";
                self.push(line, "safety_types", message);
                return;
            }
        };
        let mut ids = HashSet::new();
        for (key, value) in pairs {
            let result = match (&key.content, &value.content) {
                (Content::Text(id), Content::Text(name)) => {
                    parse::safety_type_id(id).and_then(|id| Ok((id, parse::safety_name(name)?)))
                }
                _ => Err("must be an id and a name, such as 2: token".to_owned()),
            };
            match result {
                Ok((id, name)) if ids.insert(id) => names.set(id, name),
                Ok((id, _)) => {
                    self.push(
                        key.line,
                        "safety_types",
                        &format!("duplicate safety type {id}"),
                    );
                }
                Err(message) => {
                    let location = self.location(key.line, "safety_types");
                    self.errors.push_value(&location, None, message);
                }
            }
        }
    }
}

/// A key as an error may name it. Where a space after a colon or a line break is missing, a part of a
/// secret is read as a key, mostly one without a value.
fn shown_key<'a>(name: &'a str, value: &Node) -> Option<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '<');
    let is_name = (1..=MAX_KEY_LEN).contains(&name.len()) && name.chars().all(is_part);
    (is_name && !matches!(value.content, Content::Empty)).then_some(name)
}

/// An account's own keys and the defaults that apply: a secret and its file are one setting, and an
/// account that has a credential of its own takes no default of another kind.
fn merge(own: Keys, defaults: &Keys) -> BTreeMap<&'static str, Rc<Setting>> {
    let own_kinds: Vec<Kind> = own
        .iter()
        .filter(|(_, value)| value.is_some())
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
    let mut keys: Keys = defaults
        .iter()
        .filter(|(key, _)| applies(key))
        .map(|(key, value)| (*key, value.clone()))
        .collect();
    keys.extend(own);
    let set = |(key, value): (_, Option<_>)| Some((key, value?));
    keys.into_iter().filter_map(set).collect()
}
