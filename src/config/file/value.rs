//! A key's value to the text that a variable would hold.

use std::rc::Rc;

use super::entry::{Given, Item, Written};
use super::reader::Reader;
use crate::config::env::ACCOUNT_KEYS;
use crate::config::error::EMPTY_ITEM;
use crate::config::redaction::{self, LONGEST_VALUE};
use crate::config::yaml::{List, Map, Shape, Value};

const LIST_KEYS: [&str; 3] = [
    "allowed_client_ips",
    "allowed_safety_types",
    "allowed_logins",
];
/// An alias costs a word and may stand for a long text: all values together are at most this long.
const MOST_BYTES: usize = 64 << 20;
/// What an item of a list costs beside its text.
const ITEM_BYTES: usize = 32;
/// So many keys of a mapping that stands in the wrong place are looked at.
const FEW: usize = 32;

const NO_VALUE: &str = "has no value: write one, or remove the key";

/// What is wrong with a value, and as much of it as may be shown.
struct Wrong {
    shown: Option<String>,
    text: String,
}

impl From<&str> for Wrong {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self { shown: None, text }
    }
}

/// As much of a value as may be shown under a key: a text, or a list of texts joined by commas. Of a
/// mapping, nothing: it may hold keys that were indented too far, a password among them.
pub(super) fn shown(key: &str, value: Value<'_>) -> Option<String> {
    if value.is_cut() {
        return None;
    }
    match value.shape() {
        Shape::Text(text) => {
            // An alias may stand for a long one, often.
            redaction::text(key, text)
                .map(|text| redaction::start(text, LONGEST_VALUE + 1).to_owned())
        }
        Shape::List(items) if items.len() > 0 => redaction::several(
            key,
            items.iter().map(|item| match item.shape() {
                Shape::Text(text) => Some(text),
                _ => None,
            }),
        ),
        Shape::List(_) | Shape::Map(_) | Shape::Missing | Shape::Null | Shape::Unread => None,
    }
}

/// The accounts' keys in a mapping that stands where none belongs, each with its line. None but known
/// names are ever told of it: in `password: {hunter2}` the key is the secret.
pub(super) fn account_keys(map: Map<'_>) -> impl Iterator<Item = (&'static str, usize)> {
    map.iter()
        .take(FEW)
        .filter_map(|(key, _)| match key.shape() {
            Shape::Text(name) => {
                let known = ACCOUNT_KEYS.iter().find(|known| **known == name)?;
                Some((*known, key.line()))
            }
            _ => None,
        })
}

impl Reader<'_> {
    /// A key's value; what is wrong with it is noted.
    pub(super) fn given(
        &mut self,
        key: &'static str,
        name: &str,
        line: usize,
        value: Value<'_>,
    ) -> Given {
        let mut items = Vec::new();
        let written = match self.written(key, name, value, &mut items) {
            Ok(written) => written,
            Err(Wrong { shown, text }) => {
                let place = self.file.key(line, name);
                self.report.add(place, shown.as_deref(), text);
                Written::Unread
            }
        };
        Given {
            line,
            written,
            items: Rc::from(items),
            is_default: false,
        }
    }

    fn written(
        &mut self,
        key: &str,
        name: &str,
        value: Value<'_>,
        lines: &mut Vec<Item>,
    ) -> Result<Written, Wrong> {
        let is_list = LIST_KEYS.contains(&key);
        let wanted = if is_list { "a list" } else { "one value" };
        match value.shape() {
            Shape::Unread => Ok(Written::Unread),
            Shape::Null => Ok(Written::Null),
            Shape::Text(text) => {
                self.spend(text.len())?;
                one_line(text).map_err(|wrong| Wrong {
                    shown: shown(key, value),
                    text: wrong.to_owned(),
                })?;
                Ok(Written::Text(text.to_owned()))
            }
            // Its value may stand where reading stopped; a bracket that is not closed swallows keys.
            Shape::Missing if self.is_cut => Ok(Written::Unread),
            Shape::Map(_) | Shape::List(_) if value.is_cut() => Ok(Written::Unread),
            Shape::Missing => Err(NO_VALUE.into()),
            Shape::Map(map) => Err(match account_keys(map).next() {
                Some((inner, line)) => format!(
                    "is a mapping, where {wanted} is wanted: write {inner} (line {line}) beside it, \
                     not under it"
                ),
                None if is_list => format!("is a mapping, where {wanted} is wanted: write [A, B]"),
                None => format!(
                    "is a mapping, where {wanted} is wanted: quote a value that starts with \"{{\""
                ),
            }
            .into()),
            Shape::List(_) if !is_list => Err(Wrong {
                shown: shown(key, value),
                text: "is a list, where one value is wanted: write that value alone, and quote it \
                       if it starts with \"[\""
                    .to_owned(),
            }),
            Shape::List(items) if items.len() == 0 => {
                Err("is an empty list: remove the key to allow any".into())
            }
            Shape::List(items) => self.items(key, name, items, lines),
        }
    }

    /// A list's items, joined; the lines of those that are there. What is wrong with single ones is
    /// noted, so that the others can be judged.
    fn items(
        &mut self,
        key: &str,
        name: &str,
        items: List<'_>,
        lines: &mut Vec<Item>,
    ) -> Result<Written, Wrong> {
        // Before anything is looked at: past the limit even looking is too much.
        self.spend(0)?;
        let is_alone = items.len() == 1;
        let mut texts = Vec::new();
        for (index, value) in items.iter().enumerate() {
            let line = value.line();
            let number = index + 1;
            match item(key, value) {
                Ok(None) => {}
                Ok(Some(text)) => {
                    self.spend(text.len() + ITEM_BYTES)?;
                    texts.push(text);
                    lines.push(Item { line, number });
                }
                Err(Wrong { shown, text }) => {
                    let place = self.file.key(line, name);
                    let place = place.item((!is_alone).then_some(number));
                    self.report.add(place, shown.as_deref(), text);
                    if self.report.is_full() {
                        break;
                    }
                }
            }
        }
        if texts.is_empty() {
            return Ok(Written::Unread);
        }
        Ok(Written::Text(texts.join(",")))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Wrong> {
        self.bytes += bytes;
        if self.bytes > MOST_BYTES {
            return Err(format!(
                "makes more than {} MiB of values: a long value with an alias is read for each",
                MOST_BYTES >> 20
            )
            .into());
        }
        Ok(())
    }
}

fn one_line(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err(NO_VALUE);
    }
    // One by one: each is a search that the machine does in great steps.
    if text.contains('\n') || text.contains('\r') {
        return Err("has a line break in it: write it on one line");
    }
    if text.contains('\0') {
        return Err("has a NUL character in it: remove it");
    }
    Ok(())
}

/// An item's text; none where it could not be read.
fn item<'v>(key: &str, value: Value<'v>) -> Result<Option<&'v str>, Wrong> {
    let wrong = |text: &str| Wrong {
        shown: shown(key, value),
        text: text.to_owned(),
    };
    match value.shape() {
        Shape::Unread => Ok(None),
        Shape::Text(text) if text.trim().is_empty() => Err(wrong(EMPTY_ITEM)),
        Shape::Text(text) if text.contains(',') => Err(wrong(
            "has a comma in it, and commas separate items: write each on its own",
        )),
        Shape::Text(text) => match one_line(text) {
            Ok(()) => Ok(Some(text)),
            Err(text) => Err(wrong(text)),
        },
        Shape::Null => Err(wrong("is null: write a value, or remove the item")),
        Shape::Missing => Err(wrong(EMPTY_ITEM)),
        Shape::List(_) => Err(wrong(
            "is a list, where one value is wanted: write each as an item",
        )),
        Shape::Map(_) => Err(wrong(
            "is a mapping, where one value is wanted: quote an item that has a colon and a blank in it",
        )),
    }
}
