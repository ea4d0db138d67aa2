//! What may be shown of a wrong configuration: names and values stand in logs, in answers to a
//! reload and on people's screens.
//!
//! One place decides, for the file and for variables. When in doubt, nothing is shown: a line and a
//! key are enough to find a value, and a password in a log is there for good.

pub(super) const SECRET_KEYS: [&str; 4] = ["sid", "password", "api_key", "api_secret"];
const URL_KEYS: [&str; 4] = ["url", "ws_url", "socketio_url", "external_url"];
/// The file's own keys hold whole accounts, or what was meant to be one.
const SECTION_KEYS: [&str; 2] = ["defaults", "accounts"];
/// A longer value is cut where it is shown: a thousand networks on one line say no more.
pub(super) const LONGEST_VALUE: usize = 256;
/// Longest name that is shown, in characters.
const LONGEST_NAME: usize = 64;

/// No URL and no login is longer, in bytes.
const LONGEST_URL: usize = 2048;
const LONGEST_LOGIN: usize = 512;

/// Says that a value was kept back, and why.
pub(super) const NOT_SHOWN: &str = " (its value is not shown: it may be a secret)";

/// The text under a known key, unless it is or may hold a secret.
pub(super) fn text<'a>(key: &str, text: &'a str) -> Option<&'a str> {
    let may_be_shown = match key {
        "login" => is_plain_login(text),
        key if URL_KEYS.contains(&key) => is_plain_url(text),
        key => !SECRET_KEYS.contains(&key) && !SECTION_KEYS.contains(&key),
    };
    may_be_shown.then_some(text)
}

/// A URL, unless it holds more than scheme, host, port and path.
pub(super) fn url(text: &str) -> Option<&str> {
    is_plain_url(text).then_some(text)
}

/// Texts where one belongs, if all of them may be shown: a login beside its password is written so.
/// None among them is something else than a text.
pub(super) fn several<'a>(
    key: &str,
    texts: impl Iterator<Item = Option<&'a str>>,
) -> Option<String> {
    if key == "login" {
        return None;
    }
    let mut joined = String::new();
    for (index, item) in texts.enumerate() {
        if index > 0 {
            joined.push(',');
        }
        joined.push_str(start(text(key, item?)?, LONGEST_VALUE + 1));
        // More is cut anyway, and an alias may stand for a million of them.
        if joined.len() > 4 * LONGEST_VALUE {
            break;
        }
    }
    Some(joined)
}

/// Whether nothing stands beside the login: `me:hunter2` and two lines are its password too.
fn is_plain_login(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+');
    text.len() <= LONGEST_LOGIN && text.chars().all(is_part)
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
    text.len() <= LONGEST_URL && is_port && !path.contains(':') && !text.contains(hides_something)
}

/// A name as far as it is one: of `sid:hunter2`, which is what is read where the blank after the
/// colon was forgotten in a `{}`, the first three letters.
pub(super) fn name(name: &str) -> String {
    if name.is_empty() {
        return "\"\"".to_owned();
    }
    let whole = name;
    let name = start(name, 4 * LONGEST_NAME);
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let rest = name.trim_start_matches(|c: char| c.is_ascii_punctuation() && !is_part(c));
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let end = name.len() - rest.len() + end;
    let shown = name.get(..end).unwrap_or_default();
    let shown = start(shown, LONGEST_NAME);
    let cut = if shown.len() < whole.len() { "…" } else { "" };
    format!("{shown}{cut}")
}

/// The first characters of a text.
pub(super) fn start(text: &str, most: usize) -> &str {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
