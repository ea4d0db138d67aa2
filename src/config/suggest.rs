//! Suggests a known key for an unknown name.

use super::keys::{Key, SECRET_KEYS};

/// A name with one of these in it probably holds a secret.
const SECRET_WORDS: &[&str] = &["pass", "phrase", "pin", "private", "pw", "secret", "token"];

/// Letters in which a long name differs from the key that is suggested.
const MAX_DISTANCE: usize = 2;

/// The known key that this name is another name of, or that differs from it in one letter, two for a
/// long name. Case, separators and the prefix `TRADERNET_` do not matter. None where several keys are
/// equally near, and never one that is sent or shown in clear for a name that probably holds a secret.
pub(super) fn suggest(name: &str, known: &[Key]) -> Option<&'static str> {
    let name = letters(name);
    let name = name.strip_prefix("tradernet").unwrap_or(&name);
    let is_named = |key: &&Key| {
        let mut names = key.synonyms.split_whitespace().chain([key.name]);
        names.any(|other| letters(other) == name)
    };
    if let Some(key) = known.iter().find(is_named) {
        return Some(key.name);
    }
    let distance = |key: &Key| {
        let letters = letters(key.name);
        // At least the difference of the lengths, which is faster to see.
        let is_near = letters.len().abs_diff(name.len()) <= MAX_DISTANCE;
        is_near.then(|| (strsim::damerau_levenshtein(name, &letters), key.name))
    };
    let mut distances: Vec<_> = known.iter().filter_map(distance).collect();
    distances.sort_unstable();
    let (nearest, key) = *distances.first()?;
    let is_only = distances.get(1).is_none_or(|(second, _)| nearest < *second);
    let max_distance = if name.len() < 6 { 1 } else { MAX_DISTANCE };
    let may_leak = SECRET_WORDS.iter().any(|word| name.contains(word)) && !is_hidden(key);
    (nearest <= max_distance && is_only && !may_leak).then_some(key)
}

/// The error about an unknown key or variable, which suggests the one that was meant or lists all.
pub(super) fn unknown(
    noun: &str,
    name: &str,
    known: &[Key],
    shown: impl Fn(&str) -> String,
) -> String {
    if let Some(key) = suggest(name, known) {
        return format!("unknown {noun}; did you mean {}?", shown(key));
    }
    let mut names: Vec<_> = known.iter().map(|key| shown(key.name)).collect();
    names.sort_unstable();
    format!("unknown {noun}; known {noun}s are {}", names.join(", "))
}

/// Whether a key's value is never sent or shown in clear. API keys are secrets, but a header has them.
fn is_hidden(key: &str) -> bool {
    let mut secrets = SECRET_KEYS.iter().flatten();
    !key.starts_with("api_key") && secrets.any(|secret| *secret == key)
}

/// A name's letters and digits in lower case.
fn letters(name: &str) -> String {
    // No known name is half as long.
    let letters = name.chars().filter(|c| c.is_alphanumeric()).take(64);
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
