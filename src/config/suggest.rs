//! The known name that an unknown one was meant to be.

use super::settings::is_secret;

/// Names that other programs give to what a key of ours holds.
const SYNONYMS: &[(&str, &str)] = &[
    ("account_name", "account"),
    ("allowed_ips", "allowed_client_ips"),
    ("allowed_networks", "allowed_client_ips"),
    ("allowed_users", "allowed_logins"),
    ("api_private_key", "api_secret"),
    ("api_public_key", "api_key"),
    ("api_url", "url"),
    ("base_url", "url"),
    ("client_ips", "allowed_client_ips"),
    ("details", "session_details"),
    ("email", "login"),
    ("endpoint", "url"),
    ("host", "url"),
    ("hostname", "url"),
    ("interval", "poll_interval"),
    ("ips", "allowed_client_ips"),
    ("logins", "allowed_logins"),
    ("name", "account"),
    ("origin", "url"),
    ("pass", "password"),
    ("passwd", "password"),
    ("private_key", "api_secret"),
    ("public_key", "api_key"),
    ("pwd", "password"),
    ("read_only", "login_view_only"),
    ("safety_type_names", "safety_types"),
    ("scrape_interval", "poll_interval"),
    ("secret", "api_secret"),
    ("secret_key", "api_secret"),
    ("server", "url"),
    ("session_id", "sid"),
    ("user", "login"),
    ("user_name", "login"),
    ("username", "login"),
    ("version", "api_version"),
    ("view_only", "login_view_only"),
];

/// A name with one of these in it probably holds a secret.
const SECRET_WORDS: &[&str] = &["pass", "phrase", "pin", "private", "pw", "secret", "token"];

/// The known name that is a synonym of this one, or differs from it in one letter, two for a long
/// name. Case, separators and the prefix `TRADERNET_` do not matter. None where several names are as
/// near, and never one that is sent or shown in clear for a name that probably holds a secret.
pub(super) fn suggest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = letters(name);
    let name = name.strip_prefix("tradernet").unwrap_or(&name);
    let find = |name: &str| known.iter().copied().find(|known| letters(known) == name);
    if let Some(same) = find(name) {
        return Some(same);
    }
    let (stem, suffix) = match name.strip_suffix("file") {
        Some(stem) => (stem, "file"),
        None => (name, ""),
    };
    if let Some((_, key)) = SYNONYMS
        .iter()
        .find(|(synonym, _)| letters(synonym) == stem)
    {
        return find(&(letters(key) + suffix));
    }
    let distance = |key: &str| strsim::damerau_levenshtein(name, &letters(key));
    let distances: Vec<usize> = known.iter().map(|key| distance(key)).collect();
    let nearest = *distances.iter().min()?;
    let mut near = known
        .iter()
        .zip(&distances)
        .filter(|(_, distance)| **distance == nearest);
    let (key, _) = near.next().filter(|_| near.next().is_none())?;
    // API keys are secrets, but sent in clear: a header shows them.
    let stem = key.strip_suffix("_file").unwrap_or(key);
    let is_hidden = is_secret(stem) && stem != "api_key";
    let may_leak = SECRET_WORDS.iter().any(|word| name.contains(word)) && !is_hidden;
    let max_distance = if name.len() < 6 { 1 } else { 2 };
    (nearest <= max_distance && !may_leak).then_some(key)
}

/// A name's letters and digits in lower case.
fn letters(name: &str) -> String {
    // No known name is half as long.
    let letters = name.chars().filter(|c| c.is_alphanumeric()).take(64);
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
