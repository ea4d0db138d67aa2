//! What is wrong with a configuration, and where.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

/// Where ten thousand accounts share a mistake, the first ones show it.
const MAX_ERRORS: usize = 50;
/// Characters of a value that are shown.
const MAX_VALUE_LEN: usize = 256;

/// Where a value is written.
#[derive(Clone)]
pub(super) struct Location {
    /// The line of the accounts file, from 1; 0 for the whole file, none for a flag or variable.
    pub(super) line: Option<usize>,
    /// The flag, variable or key; empty for a whole line or file.
    pub(super) name: String,
}

impl Location {
    /// A flag or variable.
    pub(super) fn variable(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { line: None, name }
    }

    /// A line of the accounts file.
    pub(super) fn line(line: usize, name: impl Into<String>) -> Self {
        let (line, name) = (Some(line), name.into());
        Self { line, name }
    }
}

/// As a text about another place names it.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// Collects what is wrong, so that all errors are reported at once.
#[derive(Default)]
pub(super) struct ErrorCollector(RefCell<Vec<(Option<usize>, String)>>);

impl ErrorCollector {
    pub(super) fn push(&self, location: &Location, message: impl fmt::Display) {
        let error = match location.name.as_str() {
            "" => (location.line, message.to_string()),
            name => (location.line, format!("{name}: {message}")),
        };
        let mut errors = self.0.borrow_mut();
        // A wrong default is wrong in each account, and is one error.
        if errors.len() <= MAX_ERRORS && !errors.contains(&error) {
            errors.push(error);
        }
    }

    /// The value of a result. Its error is added with the value as written, unless that is hidden.
    pub(super) fn ok<T>(
        &self,
        result: Result<T, String>,
        location: &Location,
        shown: Option<&str>,
    ) -> Option<T> {
        let report = |message| match shown {
            Some(value) => {
                let mut chars = value.chars();
                let start: String = chars.by_ref().take(MAX_VALUE_LEN).collect();
                let dots = chars.next().map_or("", |_| "…");
                self.push(location, format_args!("{start:?}{dots} {message}"));
            }
            None => self.push(location, format_args!("the value {message}")),
        };
        result.map_err(report).ok()
    }

    /// All errors, if there are any; `file` is the accounts file.
    pub(super) fn finish(self, file: &Path) -> Result<(), ConfigErrors> {
        let mut errors = self.0.into_inner();
        if errors.is_empty() {
            return Ok(());
        }
        let has_more = errors.len() > MAX_ERRORS;
        errors.truncate(MAX_ERRORS);
        errors.sort_by_key(|(line, _)| *line);
        let file = file.to_string_lossy();
        let file = file.escape_debug();
        let text = |(line, error)| match line {
            None => error,
            Some(0) => format!("{file}: {error}"),
            Some(line) => format!("{file}:{line}: {error}"),
        };
        let mut lines: Vec<String> = errors.into_iter().map(text).collect();
        if has_more {
            lines.push(format!(
                "there are more errors; the first {MAX_ERRORS} are shown"
            ));
        }
        Err(ConfigErrors(lines.join("\n")))
    }
}

/// The first 50 errors of a configuration, a line each: flags and variables first, then the file
/// from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(String);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigErrors {}
