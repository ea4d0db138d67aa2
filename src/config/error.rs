//! What is wrong with a configuration, and where.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::redaction;

/// A text quotes a path at the most.
const LONGEST_TEXT: usize = 1024;
/// Where ten thousand accounts share a mistake, the first show what it is.
const MOST_SHOWN: usize = 50;
/// More are not counted: a file of 64 MiB can be wrong in millions of places.
const MOST_COUNTED: usize = 100_000;

pub(super) const EMPTY_ITEM: &str = "is empty: write a value, or remove the item";

/// Where a value was given: its name as the user wrote it, and in a file the line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    text: String,
    /// For the order; 0 for what is in no file, or the file as a whole.
    line: usize,
}

impl Place {
    pub(super) fn variable(name: &str) -> Self {
        Self::in_line(0, name.to_owned())
    }

    pub(super) fn flag(name: &str) -> Self {
        Self::in_line(0, name.to_owned())
    }

    pub(super) fn in_line(line: usize, text: String) -> Self {
        Self { text, line }
    }

    /// The place of an item of a list that stands here; no number where it is the only one.
    pub(super) fn item(self, number: Option<usize>) -> Self {
        let Self { text, line } = self;
        let text = match number {
            Some(number) => format!("{text}, item {number}"),
            None => text,
        };
        Self { text, line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    place: Place,
    /// None where the value is, or may be, a secret.
    value: Option<String>,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value:?}: {}", self.place, self.text),
            None => write!(f, "{}: {}", self.place, self.text),
        }
    }
}

/// Everything that is wrong, a line each, of which the first 50 are kept; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    first: Vec<Problem>,
    more: usize,
    /// Whether there are still more, uncounted.
    is_cut: bool,
}

impl Problems {
    /// The first problems: of flags and variables, then of the file from top to bottom.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.first.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.first.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        match (self.more, self.is_cut) {
            (0, _) => Ok(()),
            (more, false) => write!(f, "\nand {more} more"),
            (more, true) => write!(f, "\nand at least {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// Collects problems while values are read. Its size is bounded, whatever is wrong.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The first ones, by line and then as they came.
    first: BTreeMap<(usize, usize), Problem>,
    /// Hashes of all: a wrong default is wrong in each account, and told once.
    told: HashSet<u64>,
    came: usize,
}

impl Report {
    /// Notes a problem; no value where it is, or may be, a secret.
    pub(super) fn add(&mut self, place: Place, value: Option<&str>, text: String) {
        let problem = Problem {
            place: Place::in_line(place.line, on_one_line(&place.text)),
            value: value.map(|value| cut(value, redaction::LONGEST_VALUE)),
            text: on_one_line(&cut(&text, LONGEST_TEXT)),
        };
        let mut hasher = DefaultHasher::new();
        problem.hash(&mut hasher);
        let hash = hasher.finish();
        let is_known = self.told.contains(&hash)
            || self.is_full() && self.first.values().any(|known| *known == problem);
        if is_known {
            return;
        }
        if !self.is_full() {
            self.told.insert(hash);
        }
        self.came += 1;
        self.first.insert((problem.place.line, self.came), problem);
        if self.first.len() > MOST_SHOWN {
            self.first.pop_last();
        }
    }

    /// Whether so much is wrong that looking for more in one place is idle.
    pub(super) fn is_full(&self) -> bool {
        self.told.len() >= MOST_COUNTED
    }

    /// Parses a value that is there, noting what is wrong with it.
    pub(super) fn value<T>(
        &mut self,
        place: Place,
        text: &Option<String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text.as_deref()?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.add(place, Some(text), wrong);
                None
            }
        }
    }

    /// Parses a comma-separated list, noting what is wrong with each item. Where an item stands is
    /// asked with its number, from 1, unless it is the only one.
    pub(super) fn list<T>(
        &mut self,
        place: impl Fn(Option<usize>) -> Place,
        text: &Option<String>,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let text = text.as_deref()?;
        let is_alone = !text.contains(',');
        let mut values = Vec::new();
        let mut is_right = true;
        for (index, item) in text.split(',').map(str::trim).enumerate() {
            let parsed = match item {
                // A slip of the hand.
                "" => Err(EMPTY_ITEM.to_owned()),
                item => parse(item),
            };
            match parsed {
                Ok(value) => values.push(value),
                Err(wrong) => {
                    is_right = false;
                    let number = (!is_alone).then_some(index + 1);
                    self.add(place(number), Some(item), wrong);
                    if self.is_full() {
                        break;
                    }
                }
            }
        }
        is_right.then_some(values)
    }

    /// Parses a URL that is there, which is not shown where it may hold a user name and a password.
    pub(super) fn url<T>(
        &mut self,
        place: Place,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = text?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.add(place, redaction::url(text), wrong);
                None
            }
        }
    }

    /// Parses a flag, or the variable that it beats.
    pub(super) fn flag_or_variable<T>(
        &mut self,
        (flag, given): (&str, &Option<String>),
        (name, variable): (&str, &Option<String>),
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (place, text) = first_given((flag, given), (name, variable));
        self.value(place, text, parse)
    }

    pub(super) fn into_result(self) -> Result<(), Problems> {
        if self.first.is_empty() {
            return Ok(());
        }
        let is_cut = self.is_full();
        let first: Vec<_> = self.first.into_values().collect();
        Err(Problems {
            more: self.told.len().saturating_sub(first.len()),
            first,
            is_cut,
        })
    }
}

/// The flag and its text if it is given, else the variable.
pub(super) fn first_given<'a>(
    (flag, given): (&str, &'a Option<String>),
    (name, variable): (&str, &'a Option<String>),
) -> (Place, &'a Option<String>) {
    match given {
        Some(_) => (Place::flag(flag), given),
        None => (Place::variable(name), variable),
    }
}

fn cut(text: &str, most: usize) -> String {
    let start = redaction::start(text, most);
    let end = if start.len() < text.len() { "…" } else { "" };
    format!("{start}{end}")
}

/// A key or path with a line break or a terminal's control sequence in it forges no line of the
/// log.
fn on_one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let escaped = c.escape_debug();
        if escaped.len() == 1 || matches!(c, '"' | '\'' | '\\') {
            shown.push(c);
        } else {
            shown.extend(escaped);
        }
    }
    shown
}

#[cfg(test)]
mod tests;
