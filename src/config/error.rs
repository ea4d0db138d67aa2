//! The errors of a configuration, and their places.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::path::Path;

/// If ten thousand accounts have the same error, the first ones show it.
const MAX_ERRORS: usize = 50;
/// Characters of a value that is quoted.
const MAX_VALUE_LEN: usize = 128;

/// Collects errors, so that all are reported at once.
#[derive(Default)]
pub(super) struct ErrorCollector(RefCell<Vec<(usize, String, String)>>);

impl ErrorCollector {
    /// Whether no further error is shown.
    pub(super) fn is_full(&self) -> bool {
        self.0.borrow().len() > MAX_ERRORS
    }

    /// Adds an error about a flag, a variable or, where `line` is not 0, a key of the accounts file.
    /// Without a name it is about the line, or about the file.
    pub(super) fn push(&self, line: usize, name: &str, message: impl Display) {
        let error = (line, name.to_owned(), message.to_string());
        // A wrong default is wrong in each account, and is one error.
        if !self.is_full() && !self.0.borrow().contains(&error) {
            self.0.borrow_mut().push(error);
        }
    }

    /// The value; none after adding the error, a line and a message.
    pub(super) fn take<T>(&self, result: Result<T, (usize, String)>) -> Option<T> {
        result
            .map_err(|(line, message)| self.push(line, "", message))
            .ok()
    }

    /// The same about a value, which is quoted unless it is hidden or may be a misplaced secret.
    pub(super) fn push_value(
        &self,
        line: usize,
        name: &str,
        shown: Option<&str>,
        message: impl Display,
    ) {
        match shown.filter(|value| may_be_quoted(value)) {
            Some(value) => self.push(line, name, format_args!("{value:?} {message}")),
            None => self.push(line, name, format_args!("the value {message}")),
        }
    }

    /// All errors, if there are any; `file` is the accounts file.
    pub(super) fn finish(self, file: &Path) -> Result<(), ConfigErrors> {
        let mut errors = self.0.into_inner();
        if errors.is_empty() {
            return Ok(());
        }
        let has_more = errors.len() > MAX_ERRORS;
        errors.truncate(MAX_ERRORS);
        errors.sort_by_key(|(line, ..)| *line);
        let file = file.to_string_lossy();
        let file = file.escape_debug();
        let text = |(line, name, message): &(usize, String, String)| match (line, name.as_str()) {
            (0, "") => format!("{file}: {message}"),
            (0, name) => format!("{name}: {message}"),
            (line, "") => format!("{file}:{line}: {message}"),
            (line, name) => format!("{file}:{line}: {name}: {message}"),
        };
        let mut lines: Vec<String> = errors.iter().map(text).collect();
        if has_more {
            let more = format!("there are more errors; the first {MAX_ERRORS} are shown");
            lines.push(more);
        }
        Err(ConfigErrors(lines.join("\n")))
    }
}

/// Whether an error may quote a text from any place: not a PEM text or a bcrypt hash, which may be under a
/// wrong key.
pub(super) fn may_be_quoted(text: &str) -> bool {
    let is_secret = ["\n", "\r", "-----", "$2"]
        .iter()
        .any(|part| text.contains(part));
    !is_secret && text.chars().count() <= MAX_VALUE_LEN
}

/// The first 50 errors of a configuration, a line each: flags and variables first, then the file
/// from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(String);

impl ConfigErrors {
    /// Adds those of another file.
    pub(super) fn and(self, more: &Self) -> Self {
        Self(format!("{self}\n{more}"))
    }
}

impl Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigErrors {}
