//! Makes text of a server fit for logs and pages.
//!
//! A server may quote what it was sent. Every whole secret is replaced, as written and in any mixture
//! of percent, HTML and JSON escapes; so are control and format characters. Fragments of a
//! secret are not searched for: what is replaced would tell a reader which words a password contains.

use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

use crate::text::is_printable;

/// A shorter secret is replaced only where it stands as a whole word.
const MIN_SECRET_CHARS: usize = 4;
/// Longest text kept, in characters.
const MAX_TEXT_CHARS: usize = 200;
const REDACTED: &str = "[redacted]";

/// The secrets of one account that a text may contain.
///
/// It is built from the account's whole credential, not from what one request sends: a server may
/// quote an earlier request.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Vec<SecretString>,
}

impl Redactor {
    /// Replaces these; empty ones are ignored.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        Self::default().with(secrets)
    }

    /// The same, and replaces these too: the signature of one request, the SID of a login's answer.
    #[must_use]
    pub fn with(&self, secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut all = self.secrets.clone();
        all.extend(secrets);
        Self { secrets: all }
    }

    /// The text without secrets and characters that may not be shown, cut to 200 characters. Where an
    /// escaped secret was found, the rest is shown without escapes. Secrets are replaced before the
    /// text is cut, so no start of one is left at its end.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in FORMS {
            text = self.replace(&text, form).unwrap_or(text);
        }
        let mut text = text.replace(|c| !is_printable(c), " ");
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT_CHARS) {
            text.truncate(end);
            text.push('…');
        }
        text.trim().to_owned()
    }

    /// Whether a secret is part of the text.
    pub fn contains_secret(&self, text: &str) -> bool {
        let mut forms = FORMS.into_iter();
        forms.any(|form| self.replace(text, form).is_some())
    }

    /// The text in one form without secrets; `None` where there is none.
    fn replace(&self, text: &str, form: Form) -> Option<String> {
        let text = form(text);
        let mut replaced = String::new();
        let mut rest = 0;
        for (start, end) in self.find(&text, form) {
            replaced.push_str(&String::from_utf8_lossy(text.get(rest..start)?));
            replaced.push_str(REDACTED);
            rest = end;
        }
        replaced.push_str(&String::from_utf8_lossy(text.get(rest..)?));
        (rest > 0).then_some(replaced)
    }

    /// Where secrets are in a text of one form, in order and apart from each other. Linear in the
    /// text's length.
    fn find(&self, text: &[u8], form: Form) -> Vec<(usize, usize)> {
        // ASCII letters are compared without case.
        let text = text.to_ascii_lowercase();
        let mut found = Vec::new();
        for secret in &self.secrets {
            // A server may trim what it quotes.
            let secret = secret.expose_secret().trim();
            let needle = form(secret).to_ascii_lowercase();
            let is_short = secret.chars().nth(MIN_SECRET_CHARS - 1).is_none();
            for start in memmem::find_iter(&text, &needle).filter(|_| !needle.is_empty()) {
                let end = start + needle.len();
                let neighbours = [start.checked_sub(1), Some(end)].into_iter().flatten();
                let mut neighbours = neighbours.filter_map(|at| text.get(at));
                if !is_short || !neighbours.any(is_part_of_word) {
                    found.push((start, end));
                }
            }
        }
        found.sort_unstable();
        found.dedup_by(|next, last| {
            let touches = next.0 <= last.1;
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        found
    }
}

/// A text as it is compared with secrets.
type Form = fn(&str) -> Vec<u8>;

/// As written and without escapes: a text around a secret may make an escape of the secret's start.
const FORMS: [Form; 2] = [|text| text.as_bytes().to_vec(), unescape];

/// A text without escapes, also those that appear where others are replaced: so a secret that looks
/// like an escape is the same in every encoding. A form has `+` for a blank.
fn unescape(text: &str) -> Vec<u8> {
    let mut unescaped = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        unescaped.push(byte);
        while let Some((length, character)) = escape_at_end(&unescaped) {
            unescaped.truncate(unescaped.len() - length);
            unescaped.extend(character);
        }
    }
    for byte in unescaped.iter_mut().filter(|byte| **byte == b'+') {
        *byte = b' ';
    }
    unescaped
}

fn is_part_of_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// The escape that a text ends with: its length, and the bytes that it stands for.
fn escape_at_end(text: &[u8]) -> Option<(usize, Vec<u8>)> {
    match text {
        [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            let (_, byte) = hex_at_end(text, 2)?;
            Some((3, vec![u8::try_from(byte).ok()?]))
        }
        [.., b'\\', escaped @ (b'"' | b'\\' | b'/' | b'\'')] => Some((2, vec![*escaped])),
        _ => {
            let (length, character) = html_at_end(text).or_else(|| unicode_at_end(text))?;
            Some((length, character.to_string().into_bytes()))
        }
    }
}

/// `&amp;`, `&#38;`, `&#x26;`.
fn html_at_end(text: &[u8]) -> Option<(usize, char)> {
    /// The longest number of a character: `#x10ffff`.
    const MAX_LENGTH: usize = 8;
    let text = text.strip_suffix(b";")?;
    let mut last = text.iter().rev().take(MAX_LENGTH + 1);
    let length = last.position(|byte| *byte == b'&')?;
    let name = text.get(text.len() - length..)?;
    let character = match std::str::from_utf8(name).ok()? {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((length + 2, character))
}

/// `\u0041`, and a character past the first 65 536 as two of these.
fn unicode_at_end(text: &[u8]) -> Option<(usize, char)> {
    let unit_at_end = |text| {
        let (before, unit) = hex_at_end(text, 4)?;
        Some((before.strip_suffix(b"\\u")?, u16::try_from(unit).ok()?))
    };
    let (before, unit) = unit_at_end(text)?;
    if let Some(character) = char::from_u32(unit.into()) {
        return Some((6, character));
    }
    let (_, first) = unit_at_end(before)?;
    let character = char::decode_utf16([first, unit]).next()?.ok()?;
    Some((12, character))
}

/// The number that the last `digits` bytes are, and what stands before them.
fn hex_at_end(text: &[u8], digits: usize) -> Option<(&[u8], u32)> {
    let (before, digits) = text.split_at_checked(text.len().checked_sub(digits)?)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((before, u32::from_str_radix(digits, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor::new(secrets.iter().map(|&secret| secret.into()))
    }

    #[test]
    fn replaces_whole_secrets_only() {
        let redactor = redactor(&["0123456789abcdef", "0123456789abcdef-and-more"]);
        for (text, redacted) in [
            ("bad SID 0123456789abcdef!", "bad SID [redacted]!"),
            ("BAD 0123456789ABCDEF", "BAD [redacted]"),
            ("x0123456789abcdefx", "x[redacted]x"),
            ("100%0123456789abcdef", "100%[redacted]"),
            ("0123456789abcdef-and-more.", "[redacted]."),
            (
                "bad SID 0123456… (16 expected)",
                "bad SID 0123456… (16 expected)",
            ),
        ] {
            assert_eq!(redactor.redact(text), redacted);
            assert_eq!(redactor.contains_secret(text), redacted.contains(REDACTED));
        }
    }

    #[test]
    fn keeps_stock_sentences_readable() {
        let text = "Invalid login or password";
        assert_eq!(
            redactor(&["Password2024!", "me@example.com"]).redact(text),
            text
        );
        assert_eq!(redactor(&["invalid-login"]).redact(text), text);
        assert_eq!(redactor(&[]).redact("no\u{202e}\u{1b}[2J"), "no  [2J");
    }

    #[test]
    fn replaces_every_encoding_of_a_secret() {
        let secret = "pä s+s<&\"w/ö😀%41";
        for encoded in [
            "pä s+s<&\"w/ö😀%41",
            // Form encoding, with either case of its digits; `encodeURIComponent`.
            "p%C3%A4+s%2Bs%3C%26%22w%2F%C3%B6%F0%9F%98%80%2541",
            "p%c3%a4+s%2bs%3c%26%22w%2f%c3%b6%f0%9f%98%80%2541",
            "p%C3%A4%20s%2Bs%3C%26%22w%2F%C3%B6%F0%9F%98%80%2541",
            "pä s+s&lt;&amp;&quot;w/ö😀%41",
            "p&#228;&#x20;s+s&#60;&#x26;&#34;w/&#xF6;&#x1f600;%41",
            r#"pä s+s<&\"w/ö😀%41"#,
            r#"p\u00e4 s+s\u003c\u0026\"w\/\u00F6\ud83d\uDE00%41"#,
        ] {
            let text = format!("got {encoded}, why?");
            let redacted = redactor(&[secret]).redact(&text);
            assert_eq!(redacted, "got [redacted], why?", "{encoded}");
        }
    }

    #[test]
    fn keeps_broken_escapes_as_they_are() {
        for text in [
            "100 % of %zz and %+1 and %",
            "&#xfffffff; and &# and &; and &amp and &#-1;",
            r"\u12 and \ud83d and \ud83d\u0041 and \ud800\udbff and \x",
        ] {
            assert_eq!(redactor(&["secret"]).redact(text), text);
        }
    }

    #[test]
    fn replaces_a_short_secret_only_as_a_word() {
        let redactor = redactor(&["ab1", "x", ""]);
        for (text, redacted) in [
            ("ab1", "[redacted]"),
            (
                "ab ab1, (AB1) ab12 tab1 äab1",
                "ab [redacted], ([redacted]) ab12 tab1 äab1",
            ),
            ("x=x&y=%78", "[redacted]=[redacted]&y=[redacted]"),
        ] {
            assert_eq!(redactor.redact(text), redacted);
        }
    }

    #[test]
    fn replaces_control_characters_and_cuts_after_redaction() {
        let text = format!("a\nts=now level=info \u{1b}[31m{}", "x".repeat(9999));
        let text = Redactor::default().redact(&text);
        assert!(!text.contains(['\n', '\u{1b}']));
        assert_eq!(text.chars().count(), MAX_TEXT_CHARS + 1);

        let secret = "s".repeat(4096);
        for before in [0, 150, 195, 199, 200] {
            let text = format!("{}{secret}", "-".repeat(before));
            let text = redactor(&[&secret]).redact(&text);
            assert!(!text.contains('s'), "{text}");
        }
    }

    /// How servers write what they quote.
    fn encodings(text: &str) -> [String; 5] {
        let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let html = text.replace('&', "&amp;").replace('"', "&quot;");
        let json = serde_json::Value::from(text).to_string();
        [
            text.to_owned(),
            form.replace('+', "%20"),
            form,
            html.replace('<', "&lt;").replace('>', "&gt;"),
            json.get(1..json.len() - 1).unwrap_or_default().to_owned(),
        ]
    }

    proptest! {
        // Not in the secret: brackets and ellipsis of a redacted text. Not around it: the start of an escape,
        // which would make one with the start of an escaped secret.
        #[test]
        fn no_secret_is_left_in_any_text(
            secret in r"[^\s\p{C}\[\]…][^\p{C}\[\]…]{2,40}[^\s\p{C}\[\]…]",
            around in prop::array::uniform3(r"[^\p{C}%&\\]{0,120}"),
            ways in prop::array::uniform2(0..5_usize),
            upper in any::<bool>(),
        ) {
            prop_assume!(!REDACTED.contains(&secret.to_ascii_lowercase()));
            let written = if upper { secret.to_ascii_uppercase() } else { secret.clone() };
            let [first, second] = ways.map(|way| encodings(&written).into_iter().nth(way).unwrap_or_default());
            let [before, between, behind] = around;
            let text = format!("{before}{first}{between}{second}{behind}");
            let redacted = redactor(&[&secret]).redact(&text).to_ascii_lowercase();
            for encoded in encodings(&secret) {
                prop_assert!(!redacted.contains(&encoded.to_ascii_lowercase()), "{}", redacted);
            }
        }

        #[test]
        fn text_without_a_secret_is_unchanged(text in "[ -~]{0,200}", secret in "[а-я]{4,20}") {
            prop_assert_eq!(redactor(&[&secret]).redact(&text), text.trim());
        }
    }

    #[test]
    fn takes_time_in_proportion_to_the_text() {
        // Quadratic work would be 10^10 steps.
        let secret = "a".repeat(1 << 15) + "b";
        let text = "a".repeat(1 << 18);
        assert!(!redactor(&[&secret]).contains_secret(&text));
        assert!(!redactor(&[&secret]).contains_secret(&"&".repeat(1 << 18)));
    }
}
