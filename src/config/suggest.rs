//! The known name that an unknown one was meant to be.

use super::settings::SECRET_KEYS;

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
/// name. None where several are as near, and never one that is sent or shown in clear for a name
/// that probably holds a secret.
pub(super) fn suggest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = normalize(name);
    let find = |name: &str| known.iter().copied().find(|known| *known == name);
    if let Some(same) = find(&name) {
        return Some(same);
    }
    let (stem, suffix) = match name.strip_suffix("_file") {
        Some(stem) => (stem, "_file"),
        None => (name.as_str(), ""),
    };
    if let Some((_, key)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == stem) {
        return find(&format!("{key}{suffix}"));
    }
    let distance = |known: &str| strsim::damerau_levenshtein(&name, known);
    let max_distance = if name.len() < 6 { 1 } else { 2 };
    let nearest = known.iter().map(|known| distance(known)).min()?;
    let mut near = known.iter().filter(|known| distance(known) == nearest);
    let key = near.next().filter(|_| near.next().is_none())?;
    let may_leak = SECRET_WORDS.iter().any(|word| name.contains(word)) && !is_secret(key);
    (nearest <= max_distance && !may_leak).then_some(key)
}

/// API keys are secrets, but sent in clear: a header shows them.
fn is_secret(key: &str) -> bool {
    let key = key.strip_suffix("_file").unwrap_or(key);
    SECRET_KEYS.contains(&key) && key != "api_key"
}

/// `pollInterval`, `poll-interval` and `TRADERNET_POLL_INTERVAL` as `poll_interval`.
fn normalize(name: &str) -> String {
    // No known name is half as long.
    let name = name.chars().take(64);
    let mut normalized = String::new();
    let mut after_lower_case = false;
    for c in name {
        if c.is_uppercase() && after_lower_case {
            normalized.push('_');
        }
        after_lower_case = c.is_lowercase();
        match c {
            '-' | '.' | ' ' => normalized.push('_'),
            c => normalized.extend(c.to_lowercase()),
        }
    }
    match normalized.strip_prefix("tradernet_") {
        Some(bare) => bare.to_owned(),
        None => normalized,
    }
}

#[cfg(test)]
mod tests;
