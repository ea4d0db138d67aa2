//! The known key that an unknown name was meant to be.

use super::keys::{Key, SECRET_KEYS};

/// A name with one of these in it probably holds a secret.
const SECRET_WORDS: &[&str] = &["pass", "phrase", "pin", "private", "pw", "secret", "token"];

/// The known key that this name is another name of, or that differs from it in one letter, two for a
/// long name. Case, separators and the prefix `TRADERNET_` do not matter. None where several keys are
/// as near, and never one that is sent or shown in clear for a name that probably holds a secret.
pub(super) fn suggest(name: &str, known: &[Key]) -> Option<&'static str> {
    let name = letters(name);
    let name = name.strip_prefix("tradernet").unwrap_or(&name);
    let is_named = |(key, others): &&Key| {
        letters(key) == name || others.iter().any(|other| letters(other) == name)
    };
    if let Some((key, _)) = known.iter().find(is_named) {
        return Some(key);
    }
    let distance = |(key, _): &Key| (strsim::damerau_levenshtein(name, &letters(key)), *key);
    let mut distances: Vec<_> = known.iter().map(distance).collect();
    distances.sort_unstable();
    let [(nearest, key), (second, _), ..] = distances[..] else {
        return None;
    };
    let max_distance = if name.len() < 6 { 1 } else { 2 };
    let may_leak = SECRET_WORDS.iter().any(|word| name.contains(word)) && !is_hidden(key);
    (nearest <= max_distance && nearest < second && !may_leak).then_some(key)
}

/// Whether a key's value is never sent or shown in clear. API keys are secrets, but a header has them.
fn is_hidden(key: &str) -> bool {
    let mut hidden = SECRET_KEYS
        .iter()
        .flatten()
        .filter(|key| !key.starts_with("api_key"));
    hidden.any(|hidden| *hidden == key)
}

/// A name's letters and digits in lower case.
fn letters(name: &str) -> String {
    // No known name is half as long.
    let letters = name.chars().filter(|c| c.is_alphanumeric()).take(64);
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
