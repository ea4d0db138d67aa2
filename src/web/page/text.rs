//! Times, durations and foreign text as the page writes them.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use askama::filters::HtmlSafe;

/// Foreign text without characters that a document must not contain or that could reverse the text
/// after them. The template escapes markup.
#[derive(Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\t' | '\n' | '\r' => f.write_char(' '),
            '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                f.write_char('\u{FFFD}')
            }
            control if control.is_control() => f.write_char('\u{FFFD}'),
            other => f.write_char(other),
        })
    }
}

/// Words without a capital at the start, as a sentence without its full stop.
pub(super) fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    // Names such as TRADERNET_URL are in capitals already.
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    let sentence: String = first.chain(characters).collect();
    Text(&sentence).to_string()
}

/// A duration in its two largest units, rounded down; the script writes the same.
#[derive(Clone, Copy)]
pub(super) struct HumanDuration(u64);

impl HumanDuration {
    /// From milliseconds; a negative number is 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a duration of 10^11 years may be cut"
    )]
    fn from_ms(ms: f64) -> Self {
        Self((ms / 1000.0) as u64)
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs())
    }
}

impl Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, seconds) = (self.0 / 60, self.0 % 60);
        let (hours, minutes_left) = (minutes / 60, minutes % 60);
        let (days, hours_left) = (hours / 24, hours % 24);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {seconds} s"),
            (0, ..) => write!(f, "{hours} h {minutes_left} min"),
            _ => write!(f, "{days} d {hours_left} h"),
        }
    }
}

/// Milliseconds left; the script counts down.
pub(super) struct Countdown(pub(super) f64);

impl HtmlSafe for Countdown {}

impl Display for Countdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"time\" data-left=\"{:.0}\">", self.0)?;
        // Only an answer without the session closes it.
        if self.0 > 0.0 {
            write!(f, "in {}", HumanDuration::from_ms(self.0))?;
        } else {
            f.write_str("now, waiting for the next poll")?;
        }
        f.write_str("</span>")
    }
}

/// Time since an event; the script counts up.
pub(super) struct Elapsed(pub(super) Duration);

impl HtmlSafe for Elapsed {}

impl Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<span class=\"time\" data-ago=\"{}\">{} ago</span>",
            self.0.as_millis(),
            HumanDuration::from(self.0)
        )
    }
}

/// Day of the week and time, in UTC; the script writes it in the reader's zone.
pub(super) struct Time(pub(super) f64);

impl HtmlSafe for Time {}

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        time(f, self.0, "time", "%a %H:%M:%S UTC")
    }
}

/// Date and time, in UTC; the script writes it in the reader's zone.
pub(super) struct Day(pub(super) f64);

impl HtmlSafe for Day {}

impl Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        time(f, self.0, "day", "%d %b %Y %H:%M UTC")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and a saturated value is not a timestamp"
)]
fn time(f: &mut fmt::Formatter<'_>, ms: f64, form: &str, format: &str) -> fmt::Result {
    // To the second: no reader needs more.
    let Ok(at) = jiff::Timestamp::from_second((ms / 1000.0) as i64) else {
        return f.write_str("in the far future");
    };
    let text = at.strftime(format);
    write!(
        f,
        "<time datetime=\"{at}\" data-form=\"{form}\">{text}</time>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_replaced() {
        assert_eq!(
            Text("a\u{0}b\u{202E}c\nd\u{1B}[31m\u{7F}").to_string(),
            "a\u{FFFD}b\u{FFFD}c d\u{FFFD}[31m\u{FFFD}"
        );
        let name = "desk 1 – Zürich, 東京 ✓ (a=b; c/d)";
        assert_eq!(Text(name).to_string(), name);
    }

    #[test]
    fn durations_in_two_units() {
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
            assert_eq!(HumanDuration::from_ms(ms).to_string(), expected);
        }
    }
}
