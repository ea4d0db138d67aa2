//! Sources of secrets, and the characters that a secret may contain. A secret itself is a
//! [`SecretString`]: it cannot be printed, and its memory is wiped when it is dropped.

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::threads::{FileReader, READ_TIMEOUT};

/// Larger files hold something else.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
/// A longer SID or key would not fit into the headers of a request.
const MAX_TOKEN_BYTES: usize = 4096;

/// A secret given in a variable or in the accounts file, or the name of a file that holds it.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// The secret itself; it never changes.
    Inline(SecretString),
    /// A file, read before every attempt, since secrets are rotated.
    File(SecretFile),
}

/// A file that holds a secret.
#[derive(Clone, Debug)]
pub struct SecretFile {
    path: PathBuf,
    kind: SecretKind,
    reader: FileReader,
}

/// Which characters a secret may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// An SID or API key, which is sent in a header: at most 4 KiB of printable ASCII without
    /// spaces, `;` and `,`.
    Token,
    /// A password or API secret: anything but control characters.
    Text,
}

impl SecretSource {
    /// A source that reads this file; nothing is read yet.
    pub fn file(path: PathBuf, kind: SecretKind) -> Self {
        let reader = FileReader::default();
        Self::File(SecretFile { path, kind, reader })
    }

    /// The secret as it is now. Never blocks the caller's thread and returns within 5 s.
    ///
    /// # Errors
    ///
    /// The file is missing, unreadable, not a regular file, slow, or holds no secret. This is a
    /// failure of the account (reason `credential`), not an error of the configuration. The text names
    /// the file and never its content.
    pub async fn read(&self) -> Result<SecretString, String> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(file) => file.read().await.map_err(|cause| {
                // A path may contain control characters.
                let path = file.path.to_string_lossy();
                format!("secret file {}: {cause}", path.escape_debug())
            }),
        }
    }

    /// Whether one may replace the other in a running poller: the same secret, or one
    /// that is or was in a file, where it may change at any time.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(one), Self::Inline(other)) => {
                one.expose_secret() == other.expose_secret()
            }
            _ => true,
        }
    }
}

impl SecretFile {
    async fn read(&self) -> Result<SecretString, String> {
        let (path, kind) = (self.path.clone(), self.kind);
        let read = move || read_secret(&path, kind);
        let secret = self.reader.read(READ_TIMEOUT, read).await;
        secret.unwrap_or_else(|error| Err(format!("cannot be read: {error}")))
    }
}

fn read_secret(path: &Path, kind: SecretKind) -> Result<SecretString, String> {
    let bytes = read_regular_file(path, MAX_SECRET_BYTES)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let text = SecretString::from(text);
    // Some editors begin a file with a byte order mark.
    let text = text.expose_secret();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(check_secret(text, kind)?.into())
}

/// A secret without the line break at its end.
///
/// # Errors
///
/// The reason why the text cannot be a secret of this kind; the text is not quoted.
pub(crate) fn check_secret(text: &str, kind: SecretKind) -> Result<&str, &'static str> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let in_header = |c: char| c.is_ascii_graphic() && c != ';' && c != ',';
    if text.trim().is_empty() {
        Err("is empty")
    } else if text.contains(char::is_control) {
        Err("contains a line break or another control character")
    } else if kind == SecretKind::Token && !text.chars().all(in_header) {
        Err("contains a space or another character that no SID or key has; check how it was copied")
    } else if kind == SecretKind::Token && text.len() > MAX_TOKEN_BYTES {
        Err("is longer than 4 KiB")
    } else {
        Ok(text)
    }
}

/// Checks a secret or login that is not from a file for the quotes and placeholders of shells and
/// templates.
///
/// # Errors
///
/// The reason; the text is not quoted.
pub(crate) fn check_unquoted_and_filled(text: &str) -> Result<(), &'static str> {
    let is_between = |start, end| {
        let rest = text.strip_prefix(start);
        rest.is_some_and(|rest| rest.ends_with(end))
    };
    let is_variable = |name: &str| {
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        !name.is_empty() && name.chars().all(is_part)
    };
    if is_between("\"", "\"") || is_between("'", "'") {
        return Err("is surrounded by quotes; remove them, or give the value in a file");
    }
    let is_placeholder = is_between("${", "}")
        || is_between("{{", "}}")
        || is_between("%(", ")s")
        || text.strip_prefix('$').is_some_and(is_variable);
    if is_placeholder {
        return Err("is a placeholder that was not replaced; give the value itself, or in a file");
    }
    Ok(())
}

/// Reads a regular file of at most `max_bytes`. A FIFO or device is refused without waiting for it;
/// only the file system itself can block.
///
/// # Errors
///
/// The file cannot be opened or read, is not a regular file, or is too large.
pub(crate) fn read_regular_file(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    // Opening a FIFO without a writer would block otherwise. The opened file is judged, not the
    // path, which may name another file by now.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let text = format!("larger than {} KiB", max_bytes >> 10);
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
