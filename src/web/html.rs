//! Text that is safe in a page, and spans of time in words.

use std::fmt::{self, Display, Write};

/// Shows a value as text: in an element, or in an attribute within double quotes.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.write_str("&amp;"),
                '<' => self.0.write_str("&lt;"),
                '>' => self.0.write_str("&gt;"),
                '"' => self.0.write_str("&quot;"),
                '\'' => self.0.write_str("&#39;"),
                // Not allowed in a document, or able to turn round the text that follows.
                '\t' | '\n' | '\r' => self.0.write_char(' '),
                '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                    self.0.write_char('\u{FFFD}')
                }
                control if control.is_control() => self.0.write_char('\u{FFFD}'),
                other => self.0.write_char(other),
            }?;
        }
        Ok(())
    }
}

/// A span of time in its two largest units; the page's script counts on in the same words.
pub(super) struct Span {
    seconds: u64,
}

impl Span {
    /// From milliseconds, whole seconds rounded down; what is negative is 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a span of 10^11 years may be cut"
    )]
    pub(super) fn from_ms(ms: f64) -> Self {
        Self {
            seconds: (ms / 1000.0) as u64,
        }
    }
}

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, seconds) = (self.seconds / 60, self.seconds % 60);
        let (hours, minutes_left) = (minutes / 60, minutes % 60);
        let (days, hours_left) = (hours / 24, hours % 24);
        if days > 0 {
            write!(f, "{days} d {hours_left} h")
        } else if hours > 0 {
            write!(f, "{hours} h {minutes_left} min")
        } else if minutes > 0 {
            write!(f, "{minutes} min {seconds} s")
        } else {
            write!(f, "{seconds} s")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        let hostile = "\"><script>alert('1')</script>&amp;<img src=x onerror=alert(1)>";
        assert_eq!(
            Escaped(hostile).to_string(),
            "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;&lt;img src=x onerror=alert(1)&gt;"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(
            Escaped("a\u{0}b\u{202E}c\nd\u{1B}[31m\u{7F}").to_string(),
            "a\u{FFFD}b\u{FFFD}c d\u{FFFD}[31m\u{FFFD}"
        );
    }

    #[test]
    fn ordinary_names_stay() {
        let name = "desk 1 – Zürich, 東京 ✓ (a=b; c/d)";
        assert_eq!(Escaped(name).to_string(), name);
    }

    #[test]
    fn spans() {
        for (ms, expected) in [
            (-5.0, "0 s"),
            (999.0, "0 s"),
            (85_299.0, "1 min 25 s"),
            (3_600_000.0, "1 h 0 min"),
            (86_399_999.0, "23 h 59 min"),
            (1_209_600_000.0, "14 d 0 h"),
            (f64::NAN, "0 s"),
            (f64::INFINITY, "213503982334601 d 7 h"),
        ] {
            assert_eq!(Span::from_ms(ms).to_string(), expected);
        }
    }
}
