//! Times and words as the page writes them.

use std::fmt::{self, Display};
use std::time::Duration;

use askama::filters::HtmlSafe;

use crate::text::HumanDuration;
pub(super) use crate::text::printable;

/// Words without a capital at the start, as a sentence without its full stop.
pub(super) fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    // Names such as TRADERNET_URL are in capitals already.
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    let sentence: String = first.chain(characters).collect();
    printable(&sentence)
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
        let (ms, human) = (self.0.as_millis(), HumanDuration::from(self.0));
        write!(
            f,
            "<span class=\"time\" data-ago=\"{ms}\">{human} ago</span>"
        )
    }
}

/// A point in time in milliseconds since the epoch, in UTC; the script writes it in the reader's zone.
pub(super) struct Time {
    pub(super) ms: f64,
    /// The script's form.
    pub(super) form: &'static str,
    pub(super) format: &'static str,
}

impl HtmlSafe for Time {}

impl Display for Time {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates, and a saturated value is not a timestamp"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // To the second: no reader needs more.
        let Ok(at) = jiff::Timestamp::from_second((self.ms / 1000.0) as i64) else {
            return f.write_str("in the far future");
        };
        let (form, text) = (self.form, at.strftime(self.format));
        write!(
            f,
            "<time datetime=\"{at}\" data-form=\"{form}\">{text}</time>"
        )
    }
}

/// Day of the week and time.
pub(super) fn time(ms: &f64) -> Time {
    Time {
        ms: *ms,
        form: "time",
        format: "%a %H:%M:%S UTC",
    }
}

/// Date and time.
pub(super) fn day(ms: &f64) -> Time {
    Time {
        ms: *ms,
        form: "day",
        format: "%d %b %Y %H:%M UTC",
    }
}
