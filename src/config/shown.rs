//! What may be shown of a wrong configuration: names and values stand in logs, in answers to a
//! reload and on people's screens.
//!
//! One place decides, for the file and for variables. When in doubt, nothing is shown: a line and a
//! key are enough to find a value, and a password in a log is there for good.

pub(super) const SECRET_KEYS: [&str; 4] = ["sid", "password", "api_key", "api_secret"];
const URL_KEYS: [&str; 4] = ["url", "ws_url", "socketio_url", "external_url"];
/// The file's own keys hold whole accounts, or what was meant to be one.
const SECTION_KEYS: [&str; 2] = ["defaults", "accounts"];
/// Longest name that is shown, in characters.
const LONGEST_NAME: usize = 64;

/// Says that a value was kept back, and why.
pub(super) const NOT_SHOWN: &str = " (its value is not shown: it may be a secret)";

/// The text under a known key, unless it is or may hold a secret.
pub(super) fn text<'a>(key: &str, text: &'a str) -> Option<&'a str> {
    if URL_KEYS.contains(&key) {
        return url(text);
    }
    (!SECRET_KEYS.contains(&key) && !SECTION_KEYS.contains(&key)).then_some(text)
}

/// A URL, unless it holds more than scheme, host, port and path.
pub(super) fn url(text: &str) -> Option<&str> {
    is_plain_url(text).then_some(text)
}

/// Whether there is no user name, no password, no query, no fragment, also where the text is too
/// broken to be taken apart.
fn is_plain_url(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.trim_start_matches('/');
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let port = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or(v6, |(_, port)| port),
        None => authority
            .find(':')
            .and_then(|colon| authority.get(colon..))
            .unwrap_or_default(),
    };
    // `https://me:hunter2` names no host: what stands in the port's place is a password.
    let is_port = match port.strip_prefix(':') {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    let hides_something =
        |c: char| matches!(c, '@' | '?' | '#' | '%' | '\\' | ';') || c.is_whitespace();
    is_port && !path.contains(':') && !text.contains(hides_something)
}

/// A name as far as it is one: of `sid:hunter2`, which is what is read where the blank after the
/// colon was forgotten in a `{}`, the first three letters.
pub(super) fn name(name: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start = name.find(is_part).unwrap_or(name.len());
    let mut shown = String::new();
    for (at, c) in name.char_indices() {
        let is_mark = at < start && c.is_ascii_punctuation();
        if !(is_mark || is_part(c)) || shown.chars().count() >= LONGEST_NAME {
            shown.push('…');
            break;
        }
        shown.push(c);
    }
    shown
}

#[cfg(test)]
mod tests;
