//! Makes a server's words fit for logs and pages.
//!
//! A server may quote what it was sent, whole, cut short or in another case. So every stretch of
//! its text that also stands in a secret is struck out, and control characters with it.

use secrecy::{ExposeSecret, SecretString};

/// Stretches shorter than this are chance; a secret shorter than this counts whole.
const SHORTEST_STRETCH: usize = 5;
/// Stretches of this length are no chance even in a name.
const LONG_STRETCH: usize = 12;
/// A secret shorter than this may be a part of a name by right.
const SHORTEST_IN_A_NAME: usize = 8;
/// Longest text kept, in characters.
const LONGEST_TEXT: usize = 200;
/// So many hexadecimal digits in a row: half of a signature.
const LIKE_A_SIGNATURE: usize = 32;
const STRUCK: &str = "[redacted]";

/// The secrets of one attempt.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Vec<SecretString>,
    signatures: Vec<SecretString>,
    /// Whether whatever looks like a signature is one.
    all_signatures: bool,
}

impl Redactor {
    /// Strikes out this secret too, as it is and as it stands in a form or in JSON.
    pub fn add(&mut self, secret: &str) {
        let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let json = serde_json::to_string(secret).unwrap_or_default();
        let mut forms = vec![secret.to_owned(), form, json.trim_matches('"').to_owned()];
        forms.dedup();
        self.secrets.extend(
            forms
                .into_iter()
                .filter(|form| !form.is_empty())
                .map(|form| SecretString::from(form.to_lowercase())),
        );
    }

    /// Strikes out a signature too, and remembers that it was sent.
    pub fn add_signature(&mut self, signature: &SecretString) {
        self.add(signature.expose_secret());
        self.signatures.push(signature.clone());
    }

    /// Strikes out whatever looks like a signature: one that was sent long ago.
    pub fn add_all_signatures(&mut self) {
        self.all_signatures = true;
    }

    /// The signatures that were sent.
    pub fn into_signatures(self) -> Vec<SecretString> {
        self.signatures
    }

    /// The text without anything of a secret, without control characters, cut to 200 characters.
    pub fn clean(&self, text: &str) -> String {
        let text: String = text.chars().take(LONGEST_TEXT * 20).collect();
        let chars: Vec<char> = text.chars().collect();
        let mut struck = vec![false; chars.len()];
        for spelling in [as_written(&chars), decoded(&chars)] {
            self.strike(&spelling, SHORTEST_STRETCH, &mut struck);
        }
        let mut clean = String::new();
        let mut length = 0;
        let mut striking = false;
        for (c, struck) in chars.into_iter().zip(struck) {
            if length >= LONGEST_TEXT {
                clean.push('…');
                break;
            }
            if struck {
                if !striking {
                    clean.push_str(STRUCK);
                    length += STRUCK.len();
                }
            } else {
                clean.push(if c.is_control() { ' ' } else { c });
                length += 1;
            }
            striking = struck;
        }
        clean.trim().to_owned()
    }

    /// Whether a name or an address holds a secret. Names share words with passwords by right, so
    /// only a whole secret, or a long stretch of one, counts.
    pub fn holds_secret(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let mut struck = vec![false; chars.len()];
        for spelling in [as_written(&chars), decoded(&chars)] {
            self.strike(&spelling, LONG_STRETCH, &mut struck);
        }
        let all = struck.iter().all(|struck| *struck);
        let run = struck
            .split(|struck| !struck)
            .map(<[bool]>::len)
            .max()
            .unwrap_or_default();
        !chars.is_empty() && (all || run >= SHORTEST_IN_A_NAME)
    }

    /// Marks what stands in a secret too, in stretches of at least `shortest`.
    fn strike(&self, spelling: &[Unit], shortest: usize, struck: &mut [bool]) {
        if self.all_signatures {
            let is_digit = |unit: &Unit| unit.char.is_ascii_hexdigit();
            for run in spelling.chunk_by(|one, next| is_digit(one) && is_digit(next)) {
                if run.len() >= LIKE_A_SIGNATURE {
                    mark(run, struck);
                }
            }
        }
        for secret in &self.secrets {
            let secret: Vec<char> = secret.expose_secret().chars().collect();
            let length = secret.len().min(shortest);
            for stretch in secret.windows(length) {
                for window in spelling.windows(length) {
                    let chars = window.iter().map(|unit| unit.char);
                    if chars.eq(stretch.iter().copied()) {
                        mark(window, struck);
                    }
                }
            }
        }
    }
}

/// Marks where these are written.
fn mark(units: &[Unit], struck: &mut [bool]) {
    if let (Some(first), Some(last)) = (units.first(), units.last()) {
        let from_to = struck.get_mut(first.start..last.end);
        from_to
            .into_iter()
            .flatten()
            .for_each(|struck| *struck = true);
    }
}

/// A character in lower case, and from where to where it is written in the text.
struct Unit {
    char: char,
    start: usize,
    end: usize,
}

/// One lower-case character each, so that positions stay what they are.
fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

fn as_written(chars: &[char]) -> Vec<Unit> {
    let unit = |(start, c): (usize, &char)| Unit {
        char: lower(*c),
        start,
        end: start + 1,
    };
    chars.iter().enumerate().map(unit).collect()
}

/// The text with `%41`, `\u0041`, `&#65;` and `&#x41;` read as what they stand for.
fn decoded(chars: &[char]) -> Vec<Unit> {
    let mut units = Vec::with_capacity(chars.len());
    let mut start = 0;
    while let Some(rest) = chars.get(start..).filter(|rest| !rest.is_empty()) {
        let (c, length) = escape(rest).unwrap_or((rest.first().copied().unwrap_or_default(), 1));
        units.push(Unit {
            char: lower(c),
            start,
            end: start + length,
        });
        start += length;
    }
    units
}

/// The character that an escape at the start of the text stands for, and the escape's length.
fn escape(text: &[char]) -> Option<(char, usize)> {
    let number = |digits: &[char], radix: u32| {
        let digits: String = digits.iter().collect();
        u32::from_str_radix(&digits, radix)
            .ok()
            .and_then(char::from_u32)
    };
    match text {
        ['%', rest @ ..] => Some((number(rest.get(..2)?, 16)?, 3)),
        ['\\', 'u', rest @ ..] => Some((number(rest.get(..4)?, 16)?, 6)),
        ['&', '#', rest @ ..] => {
            let end = rest.iter().take(8).position(|c| *c == ';')?;
            let digits = rest.get(..end)?;
            let c = match digits {
                ['x' | 'X', hex @ ..] => number(hex, 16)?,
                decimal => number(decimal, 10)?,
            };
            Some((c, end + 3))
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scrubber(secrets: &[&str]) -> Redactor {
        let mut scrubber = Redactor::default();
        secrets.iter().for_each(|secret| scrubber.add(secret));
        scrubber
    }

    #[test]
    fn strikes_out_secrets_whole_cut_and_in_another_case() {
        let scrubber = scrubber(&["0123456789abcdef"]);
        assert_eq!(
            scrubber.clean("bad SID 0123456789abcdef!"),
            "bad SID [redacted]!"
        );
        assert_eq!(
            scrubber.clean("bad SID 0123456… (8 wanted)"),
            "bad SID [redacted]… (8 wanted)"
        );
        assert_eq!(scrubber.clean("BAD 89ABCDEF"), "BAD [redacted]");
    }

    #[test]
    fn strikes_out_other_spellings() {
        let scrubber = scrubber(&["pä ss&\"word"]);
        assert_eq!(
            scrubber.clean(r#"got p%C3%A4+ss%26%22word"#),
            "got [redacted]"
        );
        assert_eq!(scrubber.clean(r#"got pä ss&\"word"#), "got [redacted]");
    }

    #[test]
    fn strikes_out_escapes_of_every_character() {
        let scrubber = scrubber(&["S3cret-Value"]);
        for written in [
            "%53%33%63%72%65%74%2d%56%61%6c%75%65",
            r"\u0053\u0033\u0063\u0072\u0065\u0074\u002d\u0056\u0061\u006c\u0075\u0065",
            "&#83;&#51;&#x63;&#114;&#101;&#116;&#45;&#86;&#97;&#108;&#117;&#101;",
            "S3cr%65t-V&#97;lue",
        ] {
            assert_eq!(
                scrubber.clean(&format!("bad {written}!")),
                "bad [redacted]!"
            );
        }
        assert_eq!(
            scrubber.clean("100 % of %zz and &#xfffffff; and &# and \\u12"),
            "100 % of %zz and &#xfffffff; and &# and \\u12"
        );
    }

    #[test]
    fn a_name_may_share_a_word_with_a_secret_but_not_hold_it() {
        let scrubber = scrubber(&["desk-1-password", "abc"]);
        assert!(!scrubber.holds_secret("desk-1@example.com"));
        assert!(!scrubber.holds_secret("abc@example.com"));
        for name in [
            "abc",
            "ABC",
            "desk-1-password",
            "x DESK-1-PASSWORD",
            "desk-1-passw",
            "%64esk-1-password",
        ] {
            assert!(scrubber.holds_secret(name), "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_signature_is_struck_out_where_there_are_any() {
        let old = "9F86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let text = format!("old {old} and 0123456789");
        assert_eq!(Redactor::default().clean(&text), text);
        let mut scrubber = Redactor::default();
        scrubber.add_all_signatures();
        assert_eq!(scrubber.clean(&text), "old [redacted] and 0123456789");
        assert!(scrubber.holds_secret(old));
        assert!(!scrubber.holds_secret("desk-1@example.com"));
    }

    #[test]
    fn a_short_secret_counts_whole() {
        assert_eq!(scrubber(&["ab1"]).clean("ab ab1 ab"), "ab [redacted] ab");
    }

    #[test]
    fn harmless_words_stay() {
        let scrubber = scrubber(&["0123456789abcdef"]);
        assert_eq!(
            scrubber.clean("Invalid api key provided"),
            "Invalid api key provided"
        );
    }

    #[test]
    fn no_line_is_forged_and_no_page_is_filled() {
        let text = Redactor::default().clean(&format!(
            "a\nts=now level=info \u{1b}[31m{}",
            "x".repeat(9999)
        ));
        assert!(!text.contains(['\n', '\u{1b}']));
        assert_eq!(text.chars().count(), 201);
    }
}
