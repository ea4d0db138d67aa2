//! What is wrong with a configuration, and where.

use std::fmt;
use std::rc::Rc;

/// Where ten thousand accounts share a mistake, the first ones show it.
const MAX_ERRORS: usize = 50;
/// Characters of a value that are shown.
const MAX_VALUE_LEN: usize = 256;

/// Where a value is written: the name of the flag, variable or key, and the line of a file.
#[derive(Clone)]
pub(super) struct Location {
    pub(super) file: Option<Rc<str>>,
    /// From 1; 0 for a flag, a variable or a whole file.
    pub(super) line: usize,
    /// Empty for a whole line or file.
    pub(super) name: String,
}

impl Location {
    /// A flag or variable.
    pub(super) fn named(name: impl Into<String>) -> Self {
        Self {
            file: None,
            line: 0,
            name: name.into(),
        }
    }

    /// The same place, as a text about another place names it.
    pub(super) fn mention(&self) -> String {
        match self.line {
            0 => self.name.clone(),
            line => format!("{} (line {line})", self.name),
        }
    }

    /// An item of the list that is written here, counted from 1.
    pub(super) fn item(&self, number: usize) -> Self {
        Self {
            name: format!("{}, item {number}", self.name),
            ..self.clone()
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(file) = &self.file else {
            return f.write_str(&self.name);
        };
        f.write_str(file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.name.is_empty() {
            write!(f, ": {}", self.name)?;
        }
        Ok(())
    }
}

/// The first 50 errors of a configuration, a line each: flags and variables first, then the file
/// from top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Each with its line, by which they are sorted.
    errors: Vec<(usize, String)>,
    has_more: bool,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (_, error)) in self.errors.iter().enumerate() {
            let line_break = if index > 0 { "\n" } else { "" };
            write!(f, "{line_break}{error}")?;
        }
        if self.has_more {
            write!(
                f,
                "\nthere are more errors; the first {MAX_ERRORS} are shown"
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    pub(super) fn push(&mut self, location: &Location, message: impl fmt::Display) {
        let error = (location.line, format!("{location}: {message}"));
        // A wrong default is wrong in each account, and is one error.
        if self.errors.contains(&error) {
            return;
        }
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        } else {
            self.has_more = true;
        }
    }

    /// Adds an error about a value, which is quoted unless it is hidden.
    pub(super) fn push_value(
        &mut self,
        location: &Location,
        shown: Option<&str>,
        message: impl fmt::Display,
    ) {
        match shown {
            Some(value) => {
                let end = value.char_indices().nth(MAX_VALUE_LEN).map(|(end, _)| end);
                let (start, dots) = match end {
                    Some(end) => (value.get(..end).unwrap_or_default(), "…"),
                    None => (value, ""),
                };
                self.push(location, format_args!("{start:?}{dots} {message}"));
            }
            None => self.push(location, format_args!("the value {message}")),
        }
    }

    /// The value of a result; its error is added.
    pub(super) fn ok<T>(
        &mut self,
        result: Result<T, String>,
        location: &Location,
        shown: Option<&str>,
    ) -> Option<T> {
        result
            .map_err(|message| self.push_value(location, shown, message))
            .ok()
    }

    pub(super) fn into_result(mut self) -> Result<(), Self> {
        if self.errors.is_empty() {
            return Ok(());
        }
        self.errors.sort_by_key(|(line, _)| *line);
        Err(self)
    }
}
