//! What settles the unit of the time left, and all that must not.

use super::*;
use crate::clock::Timestamps;
use crate::session::Session;
use crate::session::test_support::{after, expiring, list, moment};

const INTERVAL: Duration = Duration::from_secs(30);
const MILLISECONDS: (Unit, bool) = (Unit::Milliseconds, true);
const SECONDS: (Unit, bool) = (Unit::Seconds, true);
const UNSETTLED: (Unit, bool) = (Unit::Milliseconds, false);

/// A judge that is fed answers.
struct Court {
    judge: UnitDetector,
    interval: Duration,
}

impl Court {
    fn new() -> Self {
        Self::with(UnitSetting::Auto)
    }

    fn with(setting: UnitSetting) -> Self {
        Self {
            judge: UnitDetector::new(setting),
            interval: INTERVAL,
        }
    }

    fn hears(&mut self, at: Timestamps, sessions: impl Into<Vec<Session>>) -> (Unit, bool) {
        let snapshot = Arc::new(Snapshot {
            list: list(sessions),
            arrival: at,
        });
        self.judge.observe(&snapshot, self.interval);
        (self.judge.unit(), self.judge.confirmed())
    }

    /// One session with so much left.
    fn left(&mut self, at: Timestamps, time_left: f64) -> (Unit, bool) {
        self.hears(at, [expiring(1, time_left)])
    }
}

#[test]
fn the_documented_unit_stands_unconfirmed_until_settled() {
    let court = Court::new();
    assert_eq!(court.judge.unit(), Unit::Milliseconds);
    assert!(!court.judge.confirmed());
}

#[test]
fn two_pieces_of_evidence_settle_seconds() {
    let mut court = Court::new();
    assert_eq!(court.left(after(0.0), 85299.0), UNSETTLED);
    assert_eq!(court.left(after(30.0), 85269.0), UNSETTLED);
    assert_eq!(court.left(after(60.0), 85239.0), SECONDS);
}

#[test]
fn two_pieces_of_evidence_settle_milliseconds() {
    let mut court = Court::new();
    assert_eq!(court.left(after(0.0), 85_299_000.0), UNSETTLED);
    assert_eq!(court.left(after(30.0), 85_269_000.0), UNSETTLED);
    assert_eq!(court.left(after(60.0), 85_239_000.0), MILLISECONDS);
}

#[test]
fn a_configured_unit_needs_no_evidence_and_bows_to_none() {
    for (setting, unit) in [
        (UnitSetting::Fixed(Unit::Seconds), SECONDS),
        (UnitSetting::Fixed(Unit::Milliseconds), MILLISECONDS),
    ] {
        let mut court = Court::with(setting);
        for (seconds, loss) in [(0.0, 0.0), (30.0, 30.0), (60.0, 60.0), (90.0, 30_060.0)] {
            assert_eq!(court.left(after(seconds), 1e6 - loss), unit);
        }
        let mut court = Court::with(setting);
        for seconds in [0.0, 30.0, 60.0, 90.0] {
            assert_eq!(court.left(after(seconds), 1e9 - seconds * 1000.0), unit);
        }
    }
}

#[test]
fn a_wall_clock_that_is_hours_off_changes_nothing() {
    for off in [-5.0 * 3600.0, 5.0 * 3600.0] {
        let mut court = Court::new();
        court.left(moment(off, 0.0), 85299.0);
        court.left(moment(off + 30.0, 30.0), 85269.0);
        assert_eq!(court.left(moment(off + 60.0, 60.0), 85239.0), SECONDS);
    }
}

#[test]
fn the_dates_time_zone_does_not_matter() {
    for mark in [20160615131413, 20160615181413] {
        let elsewhere = |time_left| Session {
            expiry_mark: Some(mark),
            lifetime_ms: Some(86_400_000.0),
            ..expiring(1, time_left)
        };
        let mut court = Court::new();
        court.hears(after(0.0), [elsewhere(85299.0)]);
        court.hears(after(30.0), [elsewhere(85269.0)]);
        assert_eq!(court.hears(after(60.0), [elsewhere(85239.0)]), SECONDS);
    }
}

#[test]
fn a_renewal_is_no_evidence() {
    // The number falls as seconds would, but the closing date moves with every answer.
    let mut court = Court::new();
    for poll in 0..5u32 {
        let seconds = f64::from(poll) * 30.0;
        let renewed = Session {
            expiry_mark: Some(20160615131413 + u64::from(poll)),
            ..expiring(1, 85299.0 - seconds)
        };
        assert_eq!(court.hears(after(seconds), [renewed]), UNSETTLED);
    }
}

#[test]
fn a_number_that_grows_or_stands_is_no_evidence() {
    for change in [0.0, 30.0, 30_000.0] {
        let mut court = Court::new();
        for poll in [0.0, 1.0, 2.0, 3.0] {
            assert_eq!(
                court.left(after(poll * 30.0), 1e6 + poll * change),
                UNSETTLED
            );
        }
    }
}

#[test]
fn a_session_without_a_closing_date_is_no_evidence() {
    let mut court = Court::new();
    for poll in [0.0, 1.0, 2.0, 3.0] {
        let undated = Session {
            expiry_mark: None,
            ..expiring(1, 85299.0 - poll * 30.0)
        };
        assert_eq!(court.hears(after(poll * 30.0), [undated]), UNSETTLED);
    }
}

#[test]
fn another_session_is_no_evidence() {
    let mut court = Court::new();
    for (id, poll) in [(1, 0.0), (2, 1.0), (3, 2.0), (4, 3.0)] {
        let other = expiring(id, 85299.0 - poll * 30.0);
        assert_eq!(court.hears(after(poll * 30.0), [other]), UNSETTLED);
    }
}

#[test]
fn a_suspended_machine_makes_no_milliseconds_of_seconds() {
    // 30 s of polling around 8 h of sleep, in which the monotonic clock stands still: by it the
    // number falls by 961 a second, which is within a tenth of a thousand.
    let mut court = Court::new();
    let (mut wall, mut monotonic) = (0.0, 0.0);
    court.left(moment(wall, monotonic), 500_000.0);
    for _night in 0..4 {
        wall += 8.0 * 3600.0 + 30.0;
        monotonic += 30.0;
        let now = moment(wall, monotonic);
        assert_eq!(court.left(now, 500_000.0 - wall), UNSETTLED);
    }
    // Awake again, the number says what it is.
    for awake in [30.0, 60.0] {
        let now = moment(wall + awake, monotonic + awake);
        court.left(now, 500_000.0 - wall - awake);
    }
    let settled = (court.judge.unit(), court.judge.confirmed());
    assert_eq!(settled, SECONDS);
}

#[test]
fn a_sleep_between_two_close_answers_is_no_evidence() {
    let mut court = Court::new();
    court.left(moment(0.0, 0.0), 500_000.0);
    for night in [1.0, 2.0, 3.0] {
        let slept = night * 28_800.0;
        let now = moment(slept, night * 4.0);
        assert_eq!(court.left(now, 500_000.0 - slept), UNSETTLED);
    }
}

#[test]
fn a_wall_clock_that_is_set_spoils_the_pair_and_no_other() {
    for step in [-3600.0, -30.0, 3.5, 3600.0] {
        let mut court = Court::new();
        court.left(after(0.0), 85299.0);
        court.left(after(30.0), 85269.0);
        let stepped = |seconds: f64| moment(seconds + step, seconds);
        assert_eq!(court.left(stepped(60.0), 85239.0), UNSETTLED, "{step}");
        assert_eq!(court.left(stepped(90.0), 85209.0), SECONDS, "{step}");
    }
}

#[test]
fn clocks_that_differ_by_less_than_a_tenth_are_believed() {
    let mut court = Court::new();
    for seconds in [0.0, 30.0, 60.0] {
        court.left(moment(seconds * 1.09, seconds), 85299.0 - seconds);
    }
    assert!(court.judge.confirmed());
    let mut court = Court::new();
    for seconds in [0.0, 30.0, 60.0] {
        court.left(moment(seconds * 1.11, seconds), 85299.0 - seconds);
    }
    assert!(!court.judge.confirmed());
}

#[test]
fn answers_that_are_too_close_say_nothing_until_they_add_up() {
    let mut court = Court::new();
    let mut hear = |seconds: f64| court.left(after(seconds), 85299.0 - seconds);
    for seconds in [0.0, 1.0, 2.0, 3.0, 4.999] {
        assert_eq!(hear(seconds), UNSETTLED);
    }
    // Five seconds after the first answer: one piece.
    assert_eq!(hear(5.0), UNSETTLED);
    for seconds in [6.0, 9.999] {
        assert_eq!(hear(seconds), UNSETTLED);
    }
    assert_eq!(hear(10.0), SECONDS);
}

#[test]
fn answers_are_far_enough_apart_by_both_clocks_or_not_at_all() {
    for (wall, monotonic) in [(5.2, 4.9), (4.9, 5.2)] {
        let mut court = Court::new();
        for poll in [0.0, 1.0, 2.0, 3.0] {
            let now = moment(poll * wall, poll * monotonic);
            assert_eq!(court.left(now, 85299.0 - poll * 5.0), UNSETTLED);
        }
    }
}

#[test]
fn answers_are_close_enough_at_a_shorter_interval() {
    let mut court = Court::new();
    court.interval = Duration::from_secs(1);
    let mut hear = |seconds: f64| court.left(after(seconds), 85299.0 - seconds);
    for seconds in [0.0, 0.5, 0.999] {
        assert_eq!(hear(seconds), UNSETTLED);
    }
    assert_eq!(hear(1.0), UNSETTLED);
    assert_eq!(hear(2.0), SECONDS);
}

#[test]
fn the_loss_is_within_a_tenth_of_the_unit() {
    let confirmed = |loss_per_second: f64| {
        let mut court = Court::new();
        for seconds in [0.0, 100.0, 200.0] {
            court.left(after(seconds), 1e9 - seconds * loss_per_second);
        }
        (court.judge.unit(), court.judge.confirmed())
    };
    for loss in [0.91, 1.0, 1.09] {
        assert_eq!(confirmed(loss), SECONDS, "{loss}");
    }
    for loss in [901.0, 1000.0, 1099.0] {
        assert_eq!(confirmed(loss), MILLISECONDS, "{loss}");
    }
    for loss in [0.001, 0.89, 1.11, 30.0, 899.0, 1101.0, 1e6, -1.0, -1000.0] {
        assert_eq!(confirmed(loss), UNSETTLED, "{loss}");
    }
}

#[test]
fn sessions_that_contradict_each_other_are_no_evidence() {
    let mut court = Court::new();
    for seconds in [0.0, 30.0, 60.0, 90.0] {
        let contradicting = [
            expiring(1, 1e6 - seconds),
            expiring(2, 1e6 - seconds * 1000.0),
        ];
        assert_eq!(court.hears(after(seconds), contradicting), UNSETTLED);
    }
}

#[test]
fn sessions_that_say_nothing_do_not_silence_the_others() {
    let mut court = Court::new();
    for seconds in [0.0, 30.0, 60.0] {
        let sessions = [
            expiring(1, 0.0),
            expiring(2, 85299.0 - seconds),
            expiring(3, -5.0 * seconds),
            crate::session::test_support::session(4),
        ];
        court.hears(after(seconds), sessions);
    }
    assert_eq!((court.judge.unit(), court.judge.confirmed()), SECONDS);
}

#[test]
fn the_unit_is_settled_by_two_in_a_row() {
    let mut court = Court::new();
    let mut left = 1e9;
    let mut poll = 0.0;
    let mut hear = |loss_per_second: f64| {
        poll += 30.0;
        left -= 30.0 * loss_per_second;
        court.left(after(poll), left)
    };
    assert_eq!(hear(0.0), UNSETTLED);
    assert_eq!(hear(1.0), UNSETTLED);
    assert_eq!(hear(1000.0), UNSETTLED);
    assert_eq!(hear(1.0), UNSETTLED);
    // A pair that says nothing is no contradiction.
    assert_eq!(hear(50.0), UNSETTLED);
    assert_eq!(hear(1.0), SECONDS);
    // One stray pair changes nothing, nor do two with a piece for the unit between them.
    assert_eq!(hear(1000.0), SECONDS);
    assert_eq!(hear(1.0), SECONDS);
    assert_eq!(hear(1000.0), SECONDS);
    assert_eq!(hear(1000.0), MILLISECONDS);
    assert_eq!(hear(1.0), MILLISECONDS);
    assert_eq!(hear(1.0), SECONDS);
}

#[test]
fn an_answer_without_sessions_breaks_the_pair() {
    let mut court = Court::new();
    court.left(after(0.0), 85299.0);
    court.hears(after(30.0), []);
    assert_eq!(court.left(after(60.0), 85239.0), UNSETTLED);
    assert_eq!(court.left(after(90.0), 85209.0), UNSETTLED);
    assert_eq!(court.left(after(120.0), 85179.0), SECONDS);
}

#[test]
fn numbers_become_milliseconds_and_never_less_than_none() {
    for (unit, number, milliseconds) in [
        (Unit::Milliseconds, 85299.5, 85299.5),
        (Unit::Seconds, 85299.5, 85_299_500.0),
        (Unit::Milliseconds, -1.0, 0.0),
        (Unit::Seconds, -1e300, 0.0),
        (Unit::Milliseconds, f64::MAX, f64::MAX),
        (Unit::Seconds, f64::MAX, f64::MAX),
    ] {
        let read = unit.to_milliseconds(number);
        assert!(read == milliseconds, "{number} {unit:?} is {read}");
    }
}
