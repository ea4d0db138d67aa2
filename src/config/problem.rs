//! What is wrong with a configuration, and where.

use std::collections::HashSet;
use std::fmt;

/// A longer value is cut where it is shown: a thousand networks on one line say no more.
const LONGEST_VALUE: usize = 256;
/// Where ten thousand accounts share a mistake, the first show what it is.
const MOST_SHOWN: usize = 50;

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

/// Everything that is wrong, a line each, of which the first 50 are shown; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems: of flags and variables first, then of the file from top to bottom.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(MOST_SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        match self.0.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// Collects problems while values are read.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Problem>);

impl Report {
    /// Notes a problem; no value where it is, or may be, a secret.
    pub(super) fn add(&mut self, place: Place, value: Option<&str>, text: String) {
        let value = value.map(|value| match value.char_indices().nth(LONGEST_VALUE) {
            Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
            None => value.to_owned(),
        });
        self.0.push(Problem { place, value, text });
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

    /// The same for a flag that beats a variable.
    pub(super) fn flag_or_variable<T>(
        &mut self,
        (flag, given): (&str, &Option<String>),
        (name, variable): (&str, &Option<String>),
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match given {
            Some(_) => self.value(Place::flag(flag), given, parse),
            None => self.value(Place::variable(name), variable, parse),
        }
    }

    pub(super) fn into_result(mut self) -> Result<(), Problems> {
        // A wrong default is wrong in each account, and told once.
        let mut seen = HashSet::new();
        self.0.retain(|problem| seen.insert(problem.clone()));
        self.0.sort_by_key(|problem| problem.place.line);
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Problems(self.0))
        }
    }
}
