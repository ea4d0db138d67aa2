//! A name that is not known: which known one it was meant to be, and whether its value may be shown.

use super::redaction::{self, SECRET_KEYS, start};

/// A name with one of these in it may hold a secret, whatever it is near to: `allowed_pins`,
/// `account_pwd`. Several are short, so that harmless names are caught too; that costs little.
const SMELLS: &[&str] = &[
    "pass",
    "pw",
    "psw",
    "phrase",
    "secret",
    "key",
    "sid",
    "token",
    "pin",
    "auth",
    "cred",
    "otp",
    "code",
    "hash",
    "cookie",
    "bearer",
    "private",
    "shared",
    "parol",
    "парол",
];

/// Of a longer name the rest is not looked at; no known one is half as long.
const LONGEST_NAME: usize = 100;

/// What is made of a name that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    /// The known name with the fewest differences for its length.
    pub(super) nearest: &'static str,
    /// Whether it is clearly the one that was meant.
    pub(super) is_clear: bool,
    /// Whether its value may be shown as the nearest name's would be.
    pub(super) may_show: bool,
}

impl Guess {
    /// The value, if it may be shown.
    pub(super) fn shown<'a>(&self, value: &'a str) -> Option<&'a str> {
        redaction::text(self.nearest, value).filter(|_| self.may_show)
    }
}

/// The nearest of the known names.
///
/// The danger: a misspelt `password` is an unknown name too, and its value a password. It would
/// stand in the log, in the answer to a reload and on the screen of whoever watches. So a value may
/// be shown only if all of this holds, and is hidden in doubt:
///
/// - the name has at most one difference from a known one for every four letters of it (one for a
///   short name, three at most): it is clearly that one misspelt;
/// - that one is no secret's;
/// - every secret's name is more than twice as far away: `srl` is `url` or `sid`;
/// - there is no word in it that smells of a secret. Names that end in `file` are excepted if the
///   known one does so too: what stands there is a path;
/// - it is a name and nothing else: `timeout:hunter2` is not.
pub(super) fn guess(name: &str, known: impl IntoIterator<Item = &'static str>) -> Option<Guess> {
    let name = start(name, LONGEST_NAME);
    let spelt = spelling(name);
    let distance = |known: &str| strsim::damerau_levenshtein(&spelt, known);
    // In proportion to the length, or every short name would be nearest to `url`.
    let length = spelt.chars().count();
    let unlikeness =
        |known: &str| distance(known) * 1000 / known.chars().count().max(length).max(1);
    let nearest = known.into_iter().min_by_key(|known| unlikeness(known))?;
    let differences = distance(nearest);
    let is_clear = differences <= (nearest.chars().count() / 4).clamp(1, 3);
    let is_far_from_secrets = SECRET_KEYS
        .iter()
        .all(|secret| distance(secret) > 2 * differences);
    let names_a_file = nearest.ends_with("_file") && ends_in_file(&spelt);
    Some(Guess {
        nearest,
        is_clear,
        may_show: is_clear
            && !SECRET_KEYS.contains(&nearest)
            && is_far_from_secrets
            && (names_a_file || !smells(name))
            && !name.contains(is_foreign),
    })
}

/// As a key is spelt: `pollInterval`, `poll-interval` and `TRADERNET_POLL_INTERVAL` are
/// `poll_interval`; what follows a colon and the like is no part of a name.
fn spelling(name: &str) -> String {
    let name = name.trim_start_matches(|c: char| !c.is_alphanumeric());
    let name = name.split(is_foreign).next().unwrap_or_default();
    let mut spelt = String::with_capacity(name.len());
    let mut after_lower = false;
    for c in name.trim().chars() {
        if c.is_uppercase() && after_lower {
            spelt.push('_');
        }
        after_lower = c.is_lowercase();
        match c {
            '-' | '.' | ' ' => spelt.push('_'),
            c => spelt.extend(c.to_lowercase()),
        }
    }
    match spelt.strip_prefix("tradernet_") {
        Some(bare) => bare.to_owned(),
        None => spelt,
    }
}

fn smells(name: &str) -> bool {
    let letters: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    SMELLS.iter().any(|smell| letters.contains(smell))
}

/// Stands in no name: what is read as one is a value in part.
fn is_foreign(c: char) -> bool {
    !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
}

fn ends_in_file(spelt: &str) -> bool {
    let last = spelt.rsplit('_').next().unwrap_or_default();
    last.ends_with("file") || strsim::damerau_levenshtein(last, "file") <= 1
}

#[cfg(test)]
mod tests;
