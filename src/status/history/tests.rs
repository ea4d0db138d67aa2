//! What a history keeps, and that it never takes "not known" for 0.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

const MAX_AGE: Duration = Duration::from_secs(90);

/// So many seconds after the start, by both clocks.
fn after(seconds: u64) -> Timestamps {
    Timestamps {
        wall_ms: 1_772_434_800_000.0 + seconds as f64 * 1000.0,
        monotonic: Duration::from_secs(100 + seconds),
    }
}

/// Answers at these seconds.
fn history(answers: &[(u64, u64)]) -> History {
    let mut history = History::new(after(0));
    for (second, open) in answers {
        history.note(after(*second), *open, MAX_AGE);
    }
    history
}

fn opens(course: &Course) -> Vec<Option<(u32, u32)>> {
    course
        .stretches
        .iter()
        .map(|stretch| stretch.open)
        .collect()
}

fn unknown_seconds(course: &Course) -> u64 {
    course.stretches.iter().map(|s| s.unknown.as_secs()).sum()
}

#[test]
fn counts_hold_until_the_next_answer() {
    let course = history(&[(0, 2), (7, 3), (12, 1)]).until(after(17));
    assert_eq!(course.step, Duration::from_secs(5));
    assert_eq!(
        opens(&course),
        [Some((2, 2)), Some((2, 3)), Some((1, 3)), Some((1, 1))]
    );
    assert_eq!(unknown_seconds(&course), 0);
    assert_eq!(course.start_ms, after(0).wall_ms);
}

#[test]
fn what_no_answer_covers_is_unknown_and_not_none_open() {
    let nothing = history(&[]).until(after(10));
    assert_eq!(opens(&nothing), [None, None]);
    assert_eq!(unknown_seconds(&nothing), 10);

    // Believed up to second 90, answered again at second 103.
    let course = history(&[(0, 4), (103, 0)]).until(after(106));
    assert_eq!(course.stretches.len(), 22);
    assert_eq!(course.stretches[17].open, Some((4, 4)));
    assert_eq!(course.stretches[18].open, None);
    assert_eq!(course.stretches[19].open, None);
    assert_eq!(course.stretches[20].open, Some((0, 0)));
    assert_eq!(course.stretches[20].unknown, Duration::from_secs(3));
    assert_eq!(unknown_seconds(&course), 13);
}

#[test]
fn the_end_grows_old_without_an_answer() {
    let course = history(&[(0, 1)]).until(after(100));
    assert_eq!(unknown_seconds(&course), 10);
    assert_eq!(course.stretches.last().unwrap().open, None);
}

#[test]
fn it_stays_small_and_reaches_back_to_its_start() {
    let mut history = History::new(after(0));
    // A month of answers, a minute apart, with one spike and one gap of an hour.
    for minute in 0..43_200 {
        let open = if minute == 20_000 { 9 } else { 2 };
        if !(30_000..30_060).contains(&minute) {
            history.note(after(minute * 60), open, MAX_AGE);
        }
    }
    let course = history.until(after(43_200 * 60));
    assert!((MOST_SAMPLES / 2..=MOST_SAMPLES).contains(&course.stretches.len()));
    assert!(history.done.capacity() <= MOST_SAMPLES);
    assert!(size_of::<Sample>() * MOST_SAMPLES <= 2048);
    assert_eq!(course.start_ms, after(0).wall_ms);
    let spikes = course.stretches.iter().filter(|s| s.open == Some((2, 9)));
    assert_eq!(spikes.count(), 1, "a spike survives");
    // An answer is believed for half a minute longer than the next one takes.
    assert_eq!(unknown_seconds(&course), 61 * 60 - 90);
    assert_eq!(
        course.stretches.iter().filter(|s| s.open.is_none()).count(),
        0
    );
}

#[test]
fn a_count_that_holds_for_no_time_is_seen() {
    let course = history(&[(0, 1), (3, 7), (3, 1)]).until(after(4));
    assert_eq!(opens(&course), [Some((1, 7))]);
}

#[test]
fn an_answer_that_is_published_again_changes_nothing() {
    let mut once = history(&[(0, 1), (8, 2)]);
    let before = once.until(after(30));
    once.note(after(8), 2, MAX_AGE);
    assert_eq!(once.until(after(30)), before);
}

#[test]
fn clocks_that_jump() {
    let back = |seconds: u64| Timestamps {
        wall_ms: after(seconds).wall_ms - 3_600_000.0,
        ..after(seconds)
    };
    let mut history = history(&[(0, 1), (10, 2)]);
    history.note(back(20), 3, MAX_AGE);
    let course = history.until(back(25));
    assert_eq!(course.stretches.len(), 5);
    assert_eq!(
        course.start_ms,
        back(0).wall_ms,
        "the start moves with the clock"
    );

    // A machine whose clock was set after its start: 1970 is not the beginning of a history.
    let set = Timestamps {
        wall_ms: after(30).wall_ms + 1e12,
        ..after(30)
    };
    history.note(set, 4, MAX_AGE);
    let course = history.until(set);
    assert_eq!(opens(&course), [Some((4, 4))]);
    assert_eq!(course.start_ms, set.wall_ms);
}
