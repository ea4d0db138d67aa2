//! Readers of untrusted input, for the targets in `fuzz/`. Each takes any bytes, and panics where an invariant
//! does not hold.

#![allow(clippy::panic, reason = "a panic is a finding")]

use std::path::Path;

use crate::config::{Config, Flags};
use crate::{tradernet, web};

/// Runs the target of this name on the bytes. `file` is free to be written.
///
/// # Panics
/// Where an invariant does not hold.
pub fn run(target: &str, bytes: &[u8], file: &Path) {
    match target {
        "answer" => tradernet::fuzzing::answer(bytes),
        "login" => tradernet::fuzzing::login(bytes),
        "websocket" => tradernet::fuzzing::websocket(bytes),
        "socketio" => tradernet::fuzzing::socketio(bytes),
        "request" => web::fuzzing::request(bytes),
        "accounts_file" => accounts_file(bytes, file),
        _ => panic!("no target {target}"),
    }
}

/// Writes the bytes to the file and reads it as an accounts file.
fn accounts_file(bytes: &[u8], file: &Path) {
    std::fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let flags = Flags::new(&[("config.file", &file.display().to_string())]);
    match Config::load(&flags, []) {
        Ok(config) => {
            let mut names: Vec<&str> = config.accounts.iter().map(|it| &*it.name).collect();
            names.sort_unstable();
            assert!(names.is_sorted_by(|a, b| a < b), "a name twice");
        }
        Err(errors) => {
            let text = errors.to_string();
            assert!(!text.is_empty() && text.lines().count() <= 51, "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::path::PathBuf;

    use fastrand::Rng;

    use super::*;

    /// The seeds of a target, and those that a fuzzer has found.
    fn corpus(folder: &str) -> Vec<Vec<u8>> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(folder);
        let mut paths: Vec<_> = folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.retain(|path| path.is_file());
        paths.sort();
        assert!(!paths.is_empty());
        paths
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect()
    }

    /// Removes, repeats and changes some bytes, and inserts parts of another input.
    fn mutate(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = rng.choice(corpus).unwrap().clone();
        for _ in 0..rng.usize(1..4) {
            let mut cut = |bytes: &[u8]| {
                let start = rng.usize(..=bytes.len());
                start..rng.usize(start..=bytes.len().min(start + 40))
            };
            let range = cut(&bytes);
            let other = rng.choice(corpus).unwrap();
            let part = match rng.u8(..4) {
                0 => Vec::new(),
                1 => bytes[range.clone()].repeat(2),
                2 => (0..range.len()).map(|_| rng.u8(..)).collect(),
                _ => {
                    let start = rng.usize(..=other.len());
                    other[start..other.len().min(start + 40)].to_vec()
                }
            };
            bytes.splice(range, part);
        }
        bytes
    }

    #[test]
    fn corpora_and_their_mutations_hold_all_invariants() {
        const MUTATIONS: usize = 300;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts.yml");
        let mut rng = Rng::with_seed(1);
        for (target, folder) in [
            ("answer", "answers"),
            ("login", "fuzz/login"),
            ("websocket", "fuzz/websocket"),
            ("socketio", "fuzz/socketio"),
            ("request", "fuzz/request"),
            ("accounts_file", "config"),
        ] {
            let corpus = corpus(folder);
            let run = |bytes: &[u8]| run(target, bytes, &file);
            corpus.iter().for_each(|bytes| run(bytes));
            (0..MUTATIONS).for_each(|_| run(&mutate(&mut rng, &corpus)));
        }
    }
}
