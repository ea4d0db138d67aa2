//! Where a secret comes from. A secret itself is a [`SecretString`]: it cannot be printed, and is
//! wiped from memory when it is dropped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

/// No secret is longer; a path that names something else is found out early.
const LONGEST: u64 = 64 * 1024;

/// A secret given in a variable, or a file that holds it.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// Given; never changes.
    Given(SecretString),
    /// Read again before every attempt, since files are rotated.
    File {
        /// Where it is.
        path: PathBuf,
        /// What it held when the configuration was read.
        initial: SecretString,
    },
}

/// Why a secret could not be read; the text names the file and never its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// The file cannot be read.
    Unreadable(PathBuf, String),
    /// The file holds nothing, or white space alone.
    Empty(PathBuf),
    /// The file holds more than 64 KiB, or bytes that are not UTF-8, or line breaks in the middle.
    NotASecret(PathBuf),
}

impl std::fmt::Display for SecretError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(path, cause) => {
                write!(f, "the file {} cannot be read: {cause}", path.display())
            }
            Self::Empty(path) => write!(f, "the file {} is empty", path.display()),
            Self::NotASecret(path) => {
                write!(
                    f,
                    "the file {} does not hold one line of text",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for SecretError {}

impl SecretSource {
    /// Reads a file for the first time.
    ///
    /// # Errors
    ///
    /// Where it cannot be read or holds no secret.
    pub fn from_file(path: PathBuf) -> Result<Self, SecretError> {
        let initial = read_file(&path)?;
        Ok(Self::File { path, initial })
    }

    /// The secret as it was when the configuration was read.
    pub fn initial(&self) -> SecretString {
        match self {
            Self::Given(secret)
            | Self::File {
                initial: secret, ..
            } => secret.clone(),
        }
    }

    /// Whether both stand for one secret: the same file, whatever it holds by now, or the same text.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { path, .. }, Self::File { path: other, .. }) if path == other => true,
            _ => self.initial().expose_secret() == other.initial().expose_secret(),
        }
    }

    /// The secret as it is now; `None` for a pipe, see [`Self::read_again`].
    pub fn current(&self) -> Option<Result<SecretString, SecretError>> {
        match self {
            Self::Given(secret) => Some(Ok(secret.clone())),
            Self::File { .. } => self.read_again(),
        }
    }

    /// The secret as it is now, if it may have changed: a pipe gave all it had the first time, and
    /// opening it again could wait for ever.
    pub fn read_again(&self) -> Option<Result<SecretString, SecretError>> {
        match self {
            Self::Given(_) => None,
            Self::File { path, .. } => match std::fs::metadata(path) {
                Ok(metadata) if !metadata.is_file() => None,
                _ => Some(read_file(path)),
            },
        }
    }
}

fn read_file(path: &Path) -> Result<SecretString, SecretError> {
    let unreadable =
        |error: std::io::Error| SecretError::Unreadable(path.to_owned(), error.to_string());
    let bytes = read_up_to(path, LONGEST + 1).map_err(unreadable)?;
    let not_a_secret = || SecretError::NotASecret(path.to_owned());
    if bytes.len() as u64 > LONGEST {
        return Err(not_a_secret());
    }
    let text = SecretString::from(String::from_utf8(bytes).map_err(|_| not_a_secret())?);
    // Some editors begin a file with a mark that no secret has.
    let text = text.expose_secret();
    let line = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = line.trim_end_matches(['\r', '\n']);
    if line.trim().is_empty() {
        return Err(SecretError::Empty(path.to_owned()));
    }
    if line.contains(['\r', '\n', '\0']) {
        return Err(not_a_secret());
    }
    Ok(line.into())
}

/// Longest wait for what is no regular file: a pipe that nobody writes to would hold up a start
/// for ever, and a reload with all that follow it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads a file's start, at most `most` bytes.
///
/// # Errors
///
/// Where it cannot be read, or is a pipe or device that does not end within 2 s.
pub(crate) fn read_up_to(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let read = move |path: &Path| {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?
            .take(most)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    if std::fs::metadata(path)?.is_file() {
        return read(path);
    }
    let (done, waiting) = std::sync::mpsc::channel();
    let path = path.to_owned();
    // Left behind where it does not end: nothing else can be done about a blocked read.
    std::thread::spawn(move || done.send(read(&path)));
    waiting.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let text = format!(
            "it is no regular file and gave nothing within {} s",
            PATIENCE.as_secs()
        );
        Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod file_tests {
    use super::*;

    #[test]
    fn what_an_editor_adds_is_no_part_of_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "\u{feff}s3cret \r\n").unwrap();
        assert_eq!(read_file(&file).unwrap().expose_secret(), "s3cret ");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        let error = SecretSource::from_file(pipe.clone()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the file {} cannot be read: it is no regular file and gave nothing within 2 s",
                pipe.display()
            )
        );
    }
}
