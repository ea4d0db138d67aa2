//! Makes text of a server fit for logs and pages.
//!
//! A server may quote what it was sent. Every whole secret is replaced, as written and with percent,
//! HTML or JSON escapes; so are control and format characters. Fragments of a secret are not searched
//! for: their absence would reveal the words of a password.

use std::ops::Range;

use percent_encoding::percent_decode_str;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::text::is_printable;

/// A shorter secret is replaced only as a whole word.
const MIN_SECRET_CHARS: usize = 4;
/// Characters that escapes begin with.
const ESCAPES: [char; 4] = ['&', '\\', '%', '+'];
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
        // No escape has fewer characters than what it stands for: most texts are too short, except
        // for a secret that looks like an escape itself.
        let chars = |secret: &SecretString| match secret.expose_secret().trim() {
            secret if secret.contains(ESCAPES) => 0,
            secret => secret.chars().count(),
        };
        let shortest = self.secrets.iter().map(chars).min();
        let is_long = shortest.is_some_and(|shortest| text.chars().count() >= shortest);
        let forms = forms(text).filter(|_| is_long);
        let mut text = text.to_owned();
        for form in forms {
            let found = self.find(&text, form);
            if !found.is_empty() {
                text = replace(&form(&text), &found);
            }
        }
        let mut text = text.replace(|c| !is_printable(c), " ");
        if let Some((end, _)) = text.char_indices().nth(MAX_TEXT_CHARS) {
            text.truncate(end);
            text.push('…');
        }
        text.trim().to_owned()
    }

    /// Where secrets are in a text of one form, in order and apart from each other. Linear in the
    /// text's length.
    fn find(&self, text: &str, form: Form) -> Vec<Range<usize>> {
        // ASCII letters are compared without case.
        let text = form(text).to_ascii_lowercase();
        let mut found = Vec::new();
        for secret in &self.secrets {
            // A server may trim what it quotes.
            let secret = secret.expose_secret().trim();
            let is_short = secret.chars().nth(MIN_SECRET_CHARS - 1).is_none();
            // A secret may look like an escape, which a text keeps or replaces.
            for mut needle in [secret.to_owned(), form(secret)].map(Zeroizing::new) {
                needle.make_ascii_lowercase();
                for (start, _) in text
                    .match_indices(needle.as_str())
                    .filter(|_| !needle.is_empty())
                {
                    let end = start + needle.len();
                    let (before, behind) = (text.get(..start), text.get(end..));
                    let before = before.and_then(|text| text.chars().next_back());
                    let behind = behind.and_then(|text| text.chars().next());
                    let mut neighbours = [before, behind].into_iter().flatten();
                    if !is_short || !neighbours.any(char::is_alphanumeric) {
                        found.push(start..end);
                    }
                }
            }
        }
        found.sort_unstable_by_key(|found| found.start);
        found.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
        found
    }
}

fn replace(text: &str, found: &[Range<usize>]) -> String {
    let mut replaced = String::new();
    let mut rest = 0;
    for range in found {
        replaced.push_str(text.get(rest..range.start).unwrap_or_default());
        replaced.push_str(REDACTED);
        rest = range.end;
    }
    replaced + text.get(rest..).unwrap_or_default()
}

/// A text as it is compared with secrets.
type Form = fn(&str) -> String;

/// As written, without the escapes of one format, and without those of all.
const FORMS: [Form; 5] = [
    str::to_owned,
    unescape_html,
    unescape_json,
    unescape_percent,
    |text| unescape_percent(&unescape_json(&unescape_html(text))),
];

/// The forms in which a text may differ from one another.
fn forms(text: &str) -> impl Iterator<Item = Form> + use<> {
    let count = if text.contains(ESCAPES) {
        FORMS.len()
    } else {
        1
    };
    FORMS.into_iter().take(count)
}

fn unescape_html(text: &str) -> String {
    html_escape::decode_html_entities(text).into_owned()
}

fn unescape_percent(text: &str) -> String {
    // A form has `+` for a blank.
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

fn unescape_json(text: &str) -> String {
    // `\u0041` is a unit of UTF-16, in which characters past the first 65 536 have two.
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once('\\') {
        units.extend(before.encode_utf16());
        let digits = escaped.strip_prefix('u').and_then(|text| text.get(..4));
        if let Some(unit) = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
            units.push(unit);
            rest = escaped.get(5..).unwrap_or_default();
        } else {
            // Any other escaped character stands for itself.
            let end = escaped.chars().next().map_or(0, char::len_utf8);
            let (character, behind) = escaped.split_at(end);
            units.extend(character.encode_utf16());
            rest = behind;
        }
    }
    units.extend(rest.encode_utf16());
    String::from_utf16_lossy(&units)
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
        }
    }

    #[test]
    fn replaces_a_secret_that_looks_like_an_escape() {
        let redactor = redactor(&["%41%42%43%44"]);
        assert_eq!(redactor.redact("A%42CD"), "[redacted]");
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
        // `encodeURIComponent` leaves the apostrophe to HTML.
        let redactor = redactor(&["it's a+b"]);
        assert_eq!(redactor.redact("<it&#39;s%20a%2Bb>"), "<[redacted]>");
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
        for text in [
            text,
            "&".repeat(1 << 18),
            "a".repeat(1 << 15) + &"%61b".repeat(1 << 16),
        ] {
            redactor(&[&secret]).redact(&text);
        }
    }
}
