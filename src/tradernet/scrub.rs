//! Makes a server's words fit for logs and pages.
//!
//! A server may quote what it was sent, whole, cut short or in another case. So every stretch of
//! its text that also stands in a secret is struck out, and control characters with it.

use secrecy::{ExposeSecret, SecretString};

/// Stretches shorter than this are chance; a secret shorter than this counts whole.
const SHORTEST_STRETCH: usize = 5;
/// Longest text kept, in characters.
const LONGEST_TEXT: usize = 200;
const STRUCK: &str = "[redacted]";

/// The secrets of one attempt.
#[derive(Clone, Default)]
pub struct Scrubber {
    secrets: Vec<SecretString>,
}

impl Scrubber {
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

    /// The text without anything of a secret, without control characters, cut to 200 characters.
    pub fn clean(&self, text: &str) -> String {
        let chars: Vec<char> = text.chars().take(LONGEST_TEXT * 20).collect();
        // One lower-case character each, so that positions stay what they are.
        let lower: Vec<char> = chars
            .iter()
            .map(|c| c.to_lowercase().next().unwrap_or(*c))
            .collect();
        let mut struck = vec![false; chars.len()];
        for secret in &self.secrets {
            let secret: Vec<char> = secret.expose_secret().chars().collect();
            let length = secret.len().min(SHORTEST_STRETCH);
            for stretch in secret.windows(length) {
                for (start, window) in lower.windows(length).enumerate() {
                    if window == stretch {
                        struck
                            .iter_mut()
                            .skip(start)
                            .take(length)
                            .for_each(|s| *s = true);
                    }
                }
            }
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
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scrubber(secrets: &[&str]) -> Scrubber {
        let mut scrubber = Scrubber::default();
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
        let text = Scrubber::default().clean(&format!(
            "a\nts=now level=info \u{1b}[31m{}",
            "x".repeat(9999)
        ));
        assert!(!text.contains(['\n', '\u{1b}']));
        assert_eq!(text.chars().count(), 201);
    }
}
