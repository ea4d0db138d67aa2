//! Makes text of a server fit for logs and pages.
//!
//! A server may quote what it was sent. Every whole secret is replaced, as written and
//! percent-encoded, HTML-escaped or JSON-escaped; so are control and format characters. Fragments of a secret
//! are not searched for: what is replaced would tell a reader which words a password contains.

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
        all.extend(secrets.into_iter().filter_map(|secret| {
            // A server may trim what it quotes; ASCII letters are compared without case.
            let text = secret.expose_secret().trim().to_ascii_lowercase();
            (!text.is_empty()).then(|| text.into())
        }));
        Self { secrets: all }
    }

    /// The text without secrets and characters that may not be shown, cut to 200 characters. Secrets are
    /// replaced before the text is cut, so no start of one is left at its end.
    pub fn redact(&self, text: &str) -> String {
        let mut redacted = String::new();
        let mut length = 0;
        let mut rest = 0;
        for (start, end) in self
            .find(text)
            .into_iter()
            .chain([(text.len(), text.len())])
        {
            for c in text.get(rest..start).unwrap_or_default().chars() {
                if length == MAX_TEXT_CHARS {
                    redacted.push('…');
                    return redacted.trim().to_owned();
                }
                redacted.push(if is_printable(c) { c } else { ' ' });
                length += 1;
            }
            if end > start {
                redacted.push_str(REDACTED);
                length = MAX_TEXT_CHARS.min(length + REDACTED.len());
            }
            rest = end;
        }
        redacted.trim().to_owned()
    }

    /// Whether a secret is part of the text.
    pub fn contains_secret(&self, text: &str) -> bool {
        !self.find(text).is_empty()
    }

    /// Where secrets are, as byte ranges in order that do not touch each other. Linear in the
    /// text's length.
    fn find(&self, text: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        if self.secrets.is_empty() {
            return found;
        }
        for decode in ENCODINGS {
            let Some(decoded) = Decoded::new(text, decode) else {
                continue;
            };
            for secret in &self.secrets {
                decoded.find(secret.expose_secret(), &mut found);
            }
        }
        found.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (start, end) in found {
            match merged.last_mut() {
                Some((_, last)) if start <= *last => *last = end.max(*last),
                _ => merged.push((start, end)),
            }
        }
        merged
    }
}

/// Decodes what a text starts with: the character's UTF-8 bytes and the escape's length in bytes.
type Decode = fn(&str) -> Option<(Decoding, usize)>;

/// What an escape stands for.
enum Decoding {
    /// One byte of a character.
    Byte(u8),
    Char(char),
}

/// The ways in which a secret may be written; `None` is as it is.
const ENCODINGS: [Option<Decode>; 5] = [
    None,
    Some(percent),
    Some(percent_plus),
    Some(html),
    Some(json),
];

/// A text with the escapes of one encoding decoded, in ASCII lower case.
struct Decoded {
    bytes: Vec<u8>,
    /// Where each byte comes from in the text, and at the end the text's length.
    origins: Vec<usize>,
}

impl Decoded {
    /// `None` where the text has no escape of the encoding.
    fn new(text: &str, decode: Option<Decode>) -> Option<Self> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut origins = Vec::with_capacity(text.len() + 1);
        let mut escaped = decode.is_none();
        let mut at = 0;
        let mut buffer = [0; 4];
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let (decoded, length) = match decode.and_then(|decode| decode(rest)) {
                Some((decoding, length)) => {
                    escaped = true;
                    let decoded = match decoding {
                        Decoding::Byte(byte) => {
                            buffer = [byte, 0, 0, 0];
                            buffer.get(..1).unwrap_or_default()
                        }
                        Decoding::Char(c) => c.encode_utf8(&mut buffer).as_bytes(),
                    };
                    (decoded, length)
                }
                None => {
                    let length = rest.chars().next().map_or(1, char::len_utf8);
                    (rest.as_bytes().get(..length).unwrap_or_default(), length)
                }
            };
            // Each byte of a character written as it is has its own origin; those of an escape
            // share the escape's start.
            bytes.extend(decoded.iter().map(u8::to_ascii_lowercase));
            origins.extend(decoded.iter().map(|_| at));
            at += length;
        }
        origins.push(text.len());
        escaped.then_some(Self { bytes, origins })
    }

    fn find(&self, secret: &str, found: &mut Vec<(usize, usize)>) {
        let whole_word = secret.chars().nth(MIN_SECRET_CHARS - 1).is_none();
        for start in memmem::find_iter(&self.bytes, secret) {
            let end = start + secret.len();
            let before = start
                .checked_sub(1)
                .and_then(|before| self.bytes.get(before));
            let neighbours = [before, self.bytes.get(end)];
            if whole_word && neighbours.into_iter().flatten().any(is_word) {
                continue;
            }
            if let (Some(from), Some(to)) = (self.origins.get(start), self.origins.get(end)) {
                found.push((*from, *to));
            }
        }
    }
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// `%C3%A4`, with either case of the digits.
fn percent(text: &str) -> Option<(Decoding, usize)> {
    let digits = text.strip_prefix('%')?.get(..2)?;
    Some((Decoding::Byte(u8::try_from(hex(digits)?).ok()?), 3))
}

/// The same, with `+` for a blank.
fn percent_plus(text: &str) -> Option<(Decoding, usize)> {
    match text.starts_with('+') {
        true => Some((Decoding::Byte(b' '), 1)),
        false => percent(text),
    }
}

/// `&amp;`, `&#38;`, `&#x26;`.
fn html(text: &str) -> Option<(Decoding, usize)> {
    /// The longest reference to a character that stands for one of Unicode's: `&#x10ffff;`.
    const MAX_LENGTH: usize = 10;
    let length = text
        .strip_prefix('&')?
        .bytes()
        .take(MAX_LENGTH)
        .position(|byte| byte == b';')?;
    let c = match text.get(1..=length)? {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => hex(digits)?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((Decoding::Char(c), length + 2))
}

/// `\"`, `\/`, `\u0041`, and a character past the first 65 536 as two of these.
fn json(text: &str) -> Option<(Decoding, usize)> {
    let unit = |text: &str| hex(text.strip_prefix("\\u")?.get(..4)?);
    let escaped = text.strip_prefix('\\')?.chars().next()?;
    match escaped {
        '"' | '\\' | '/' | '\'' => Some((Decoding::Char(escaped), 2)),
        'u' => {
            let first = unit(text)?;
            if let Some(c) = char::from_u32(first) {
                return Some((Decoding::Char(c), 6));
            }
            let second = unit(text.get(6..)?)?.checked_sub(0xDC00)?;
            let c = char::from_u32(0x10000 + (first.checked_sub(0xD800)? << 10) + second)?;
            Some((Decoding::Char(c), 12))
        }
        _ => None,
    }
}

/// A number of hexadecimal digits only: `from_str_radix` takes a sign too.
fn hex(digits: &str) -> Option<u32> {
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
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
            assert_eq!(redactor(&[secret]).redact(&text), "got [redacted], why?");
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

    #[test]
    fn takes_time_in_proportion_to_the_text() {
        // Quadratic work would be 10^10 steps.
        let secret = "a".repeat(1 << 15) + "b";
        let text = "a".repeat(1 << 18);
        assert!(!redactor(&[&secret]).contains_secret(&text));
        assert!(!redactor(&[&secret]).contains_secret(&"&".repeat(1 << 18)));
    }
}
