//! Words and times for the template.

use crate::text::human_duration;
pub(super) use crate::text::printable;

/// Words without a capital at the start, as a sentence without its full stop.
pub(super) fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    // Names such as TRADERNET_URL are in capitals already.
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    let sentence: String = first.chain(characters).collect();
    printable(&sentence)
}

pub(super) fn duration(ms: &f64) -> String {
    human_duration(*ms)
}

/// A point in time to the second, from milliseconds since the epoch; `None` in the far future.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and a saturated value is not a timestamp"
)]
pub(super) fn timestamp(ms: &f64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second((ms / 1000.0) as i64).ok()
}
