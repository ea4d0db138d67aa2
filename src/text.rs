//! Text for people: which characters may be shown, and durations in words.

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

/// Whether the log, the pages, the JSON and `check` may show a character, and an account's name may
/// contain it: no control character, no line or paragraph separator, and none of Unicode's format
/// characters (category Cf), which are invisible or change the direction of the text around them.
pub fn is_printable(character: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    !matches!(
        category,
        Control | Format | LineSeparator | ParagraphSeparator
    )
}

/// Text from outside with a space for each white space, and with U+FFFD for each other character that may not
/// be shown.
pub fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        _ if is_printable(character) => character,
        _ if character.is_whitespace() => ' ',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(shown).collect()
}

/// A duration in milliseconds in its two largest units, rounded down; a negative one is 0. The status page's script
/// writes the same.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a duration of 10^11 years may be cut"
)]
pub fn human_duration(ms: f64) -> String {
    let seconds = (ms / 1000.0) as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_format_characters_are_replaced() {
        assert_eq!(
            printable(
                "a\u{0}b\u{202E}c\nd\u{1B}[31m\u{7F}e\u{2028}f\u{200B}\u{FEFF}\u{9B}\u{E0041}\u{13430}"
            ),
            "a\u{FFFD}b\u{FFFD}c d\u{FFFD}[31m\u{FFFD}e f\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"
        );
        let name = "desk 1 – Zürich, 東京 ✓ (a=b; c/d) हिन्दी e\u{301}";
        assert_eq!(printable(name), name);
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
            assert_eq!(human_duration(ms), expected);
        }
    }
}
