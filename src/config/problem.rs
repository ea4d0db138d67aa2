//! What is wrong with a configuration, and where.

use std::fmt;

/// Where a value was given: its name as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn variable(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(super) fn flag(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    /// None where the value is, or may be, a secret.
    value: Option<String>,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value:?}: {}", self.place.0, self.text),
            None => write!(f, "{}: {}", self.place.0, self.text),
        }
    }
}

/// Everything that is wrong, a line each; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems while values are read.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Problem>);

impl Report {
    /// Notes a problem; no value where it is, or may be, a secret.
    pub(super) fn add(&mut self, place: Place, value: Option<&str>, text: String) {
        let value = value.map(str::to_owned);
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

    pub(super) fn into_result(self) -> Result<(), Problems> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Problems(self.0))
        }
    }
}
