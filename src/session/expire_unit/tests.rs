//! Evidence that settles the unit of the time left, and observations that must not.
#![allow(clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamps;
use crate::session::test_support::{after, expiring, list, moment, session};

const INTERVAL: Duration = Duration::from_secs(30);
const UNSETTLED: UnitStatus = UnitStatus {
    unit: Unit::Milliseconds,
    confirmed: false,
};
const SECONDS: UnitStatus = settled(Unit::Seconds);
const MILLISECONDS: UnitStatus = settled(Unit::Milliseconds);

const fn settled(unit: Unit) -> UnitStatus {
    UnitStatus {
        unit,
        confirmed: true,
    }
}

/// An account whose answers are observed.
struct Account {
    detector: UnitDetector,
    interval: Duration,
}

impl Account {
    fn new() -> Self {
        Self {
            detector: UnitDetector::default(),
            interval: INTERVAL,
        }
    }

    fn answer(&mut self, at: Timestamps, sessions: impl Into<Vec<Session>>) -> UnitStatus {
        let snapshot = Arc::new(Snapshot {
            list: list(sessions),
            received_at: at,
        });
        self.detector.observe(&snapshot, self.interval);
        self.detector.status()
    }

    /// An answer with one session that has `time_left`.
    fn left(&mut self, at: Timestamps, time_left: f64) -> UnitStatus {
        self.answer(at, [expiring(1, time_left)])
    }

    /// Answers at these times, with one session that loses `per_second`; the status after each.
    fn poll(&mut self, times: &[f64], per_second: f64) -> Vec<UnitStatus> {
        let answer = |at: &f64| self.left(after(*at), 1e9 - at * per_second);
        times.iter().map(answer).collect()
    }
}

#[test]
fn time_left_longer_than_the_lifetime_is_milliseconds() {
    let of_one_day = |time_left| Session {
        lifetime_ms: Some(86_400_000.0),
        ..expiring(1, time_left)
    };
    for (time_left, expected) in [(86_405.0, UNSETTLED), (86_405.1, MILLISECONDS)] {
        let status = Account::new().answer(after(0.0), [of_one_day(time_left)]);
        assert_eq!(status, expected, "{time_left}");
    }
    // A settled unit needs two such answers to change.
    let mut account = Account::new();
    account.poll(&[0.0, 30.0, 60.0], 1.0);
    assert_eq!(account.answer(after(90.0), [of_one_day(1e6)]), SECONDS);
    assert_eq!(account.answer(after(91.0), [of_one_day(1e6)]), MILLISECONDS);
}

#[test]
fn decrease_within_a_tenth_of_the_unit_is_evidence() {
    for (rates, expected) in [
        (vec![0.91, 1.0, 1.09], SECONDS),
        (vec![901.0, 1000.0, 1099.0], MILLISECONDS),
        (
            vec![
                0.0, 0.001, 0.89, 1.11, 30.0, 899.0, 1101.0, 1e6, -1.0, -30.0, -1000.0,
            ],
            UNSETTLED,
        ),
    ] {
        for rate in rates {
            let statuses = Account::new().poll(&[0.0, 100.0, 200.0], rate);
            assert_eq!(statuses.last(), Some(&expected), "{rate}");
        }
    }
}

#[test]
fn only_a_dated_session_in_both_answers_is_evidence() {
    let renewed = |poll: u32, left| Session {
        expire_datetime_hash: Some(u64::from(poll)),
        ..expiring(1, left)
    };
    let undated = |_, left| Session {
        expire_datetime_hash: None,
        ..expiring(1, left)
    };
    let other = |poll: u32, left| expiring(poll.into(), left);
    let make: [&dyn Fn(u32, f64) -> Session; 3] = [&renewed, &undated, &other];
    for session in make {
        let mut account = Account::new();
        for poll in 0..5 {
            let seconds = f64::from(poll) * 30.0;
            let status = account.answer(after(seconds), [session(poll, 85299.0 - seconds)]);
            assert_eq!(status, UNSETTLED);
        }
    }
}

#[test]
fn time_left_that_stops_at_zero_is_not_evidence() {
    // 30 ms left, then none: a loss of 1 per second, which looks like seconds.
    let mut account = Account::new();
    for pair in [0.0, 60.0, 120.0] {
        account.left(after(pair), 30.0);
        assert_eq!(account.left(after(pair + 30.0), 0.0), UNSETTLED);
    }
}

#[test]
fn suspend_is_not_evidence() {
    // 30 s of polling around 8 h of suspend: by the monotonic clock the time left falls by 961 a
    // second, which is within a tenth of 1000.
    for awake in [30.0, 4.0] {
        let mut account = Account::new();
        let (mut wall, mut monotonic) = (0.0, 0.0);
        account.left(moment(wall, monotonic), 500_000.0);
        for _night in 0..4 {
            wall += 8.0 * 3600.0 + awake;
            monotonic += awake;
            let status = account.left(moment(wall, monotonic), 500_000.0 - wall);
            assert_eq!(status, UNSETTLED);
        }
        for _poll in 0..2 {
            wall += 30.0;
            monotonic += 30.0;
            account.left(moment(wall, monotonic), 500_000.0 - wall);
        }
        assert_eq!(account.detector.status(), SECONDS);
    }
}

#[test]
fn wall_clock_step_discards_only_its_pair() {
    for step in [-3600.0, -30.0, 3.5, 3600.0] {
        let mut account = Account::new();
        account.poll(&[0.0, 30.0], 1.0);
        let mut poll = |seconds: f64| account.left(moment(seconds + step, seconds), 1e9 - seconds);
        assert_eq!(poll(60.0), UNSETTLED, "{step}");
        assert_eq!(poll(90.0), SECONDS, "{step}");
    }
}

#[test]
fn clocks_must_agree_within_a_tenth() {
    for (drift, expected) in [(1.09, SECONDS), (1.11, UNSETTLED)] {
        let mut account = Account::new();
        for seconds in [0.0, 30.0, 60.0] {
            account.left(moment(seconds * drift, seconds), 85299.0 - seconds);
        }
        assert_eq!(account.detector.status(), expected);
    }
}

#[test]
fn short_gaps_add_up_to_five_seconds() {
    let times = [0.0, 1.0, 4.999, 5.0, 6.0, 9.999, 10.0];
    let statuses = Account::new().poll(&times, 1.0);
    assert_eq!(statuses[..6], [UNSETTLED; 6]);
    assert_eq!(statuses.last(), Some(&SECONDS));
}

#[test]
fn gap_of_one_interval_suffices_where_that_is_shorter() {
    let mut account = Account::new();
    account.interval = Duration::from_secs(1);
    let statuses = account.poll(&[0.0, 0.5, 0.999, 1.0, 2.0], 1.0);
    assert_eq!(statuses[..4], [UNSETTLED; 4]);
    assert_eq!(statuses.last(), Some(&SECONDS));
}

#[test]
fn contradicting_sessions_are_not_evidence() {
    let mut account = Account::new();
    for seconds in [0.0, 30.0, 60.0, 90.0] {
        let sessions = [
            expiring(1, 1e6 - seconds),
            expiring(2, 1e6 - seconds * 1000.0),
        ];
        assert_eq!(account.answer(after(seconds), sessions), UNSETTLED);
    }
}

#[test]
fn two_agreeing_pieces_settle_and_two_contrary_ones_change() {
    let mut account = Account::new();
    let (mut left, mut at) = (1e9, 0.0);
    let mut loses = |per_second: f64| {
        at += 30.0;
        left -= 30.0 * per_second;
        account.left(after(at), left)
    };
    for (per_second, expected) in [
        (0.0, UNSETTLED),
        (1.0, UNSETTLED),
        (1000.0, UNSETTLED),
        (1.0, UNSETTLED),
        // No evidence, and no contradiction.
        (50.0, UNSETTLED),
        (1.0, SECONDS),
        (1000.0, SECONDS),
        (1.0, SECONDS),
        (1000.0, SECONDS),
        (1000.0, MILLISECONDS),
        (1.0, MILLISECONDS),
        (1.0, SECONDS),
    ] {
        assert_eq!(loses(per_second), expected);
    }
}

#[test]
fn times_left_are_converted_to_milliseconds() {
    for (unit, time_left, milliseconds) in [
        (Unit::Milliseconds, 85299.5, 85299.5),
        (Unit::Seconds, 85299.5, 85_299_500.0),
        (Unit::Milliseconds, -1.0, 0.0),
        (Unit::Seconds, -1e300, 0.0),
        (Unit::Milliseconds, f64::MAX, f64::MAX),
        (Unit::Seconds, f64::MAX, f64::MAX),
    ] {
        let converted = unit.to_milliseconds(time_left);
        assert!(converted == milliseconds, "{time_left} {unit:?}");
    }
}

/// A session of a consistent server: seconds after the first poll, as real times.
#[derive(Clone, Debug)]
struct ServerSession {
    opened_s: f64,
    lifetime_s: f64,
    /// Renewed to its whole lifetime when less than this is left.
    renew_below_s: f64,
    /// Whether the server sends readable dates.
    dated: bool,
}

impl ServerSession {
    /// The opening date and the closing date in force at `now_s`; `None` where it is not open.
    fn dates(&self, now_s: f64) -> Option<(f64, f64)> {
        let period_s = self.lifetime_s - self.renew_below_s;
        let age_s = now_s - self.opened_s;
        let renewals = if self.renew_below_s > 0.0 {
            (age_s / period_s).floor().max(0.0)
        } else {
            0.0
        };
        let closes_s = self.opened_s + renewals * period_s + self.lifetime_s;
        (now_s < closes_s).then_some((self.opened_s, closes_s))
    }
}

fn server_session() -> impl Strategy<Value = ServerSession> {
    (
        0.0..86_400.0_f64,
        60.0..604_800.0_f64,
        0.0..0.9_f64,
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(age_s, lifetime_s, renew_below, [renews, dated])| ServerSession {
                opened_s: -age_s,
                lifetime_s: age_s + lifetime_s,
                renew_below_s: if renews {
                    renew_below * lifetime_s
                } else {
                    0.0
                },
                dated,
            },
        )
}

proptest! {
    /// Whatever the zone of the dates, the skew of the clocks, the renewals, the number of sessions
    /// and the interval: the unit is never settled wrongly, and three answers that show one session
    /// settle it.
    #[test]
    fn consistent_server_never_settles_the_wrong_unit(
        unit in prop::sample::select(&Unit::ALL[..]),
        sessions in prop::collection::vec(server_session(), 0..6),
        interval_s in 1u32..3600,
        jitter in prop::collection::vec(0.0..0.3_f64, 12),
        skew_s in -50_000.0..50_000.0_f64,
        zone_h in -12i32..14,
        whole in any::<bool>(),
    ) {
        let mut account = Account::new();
        let interval = f64::from(interval_s);
        account.interval = Duration::from_secs_f64(interval);
        let mut now_s = 0.0;
        // How many answers in a row show a dated session that is not renewed or about to end.
        let mut in_a_row = 0;
        let mut steady: Vec<(u64, f64)> = Vec::new();
        for jitter in jitter {
            let listed: Vec<_> = (1u64..).zip(&sessions).filter_map(|(id, of)| {
                let (opened_s, closes_s) = of.dates(now_s)?;
                let left = (closes_s - now_s) * unit.per_second();
                let written_s = closes_s + f64::from(zone_h) * 3600.0;
                Some((closes_s, Session {
                    time_left: Some(if whole { left.floor() } else { left }),
                    expire_datetime_hash: of.dated.then_some(written_s.to_bits()),
                    lifetime_ms: of.dated.then_some((closes_s - opened_s) * 1000.0),
                    ..session(id)
                }))
            }).collect();
            let shown: Vec<(u64, f64)> = listed.iter()
                .filter(|(_, session)| session.expire_datetime_hash.is_some() && session.time_left > Some(0.0))
                .map(|(closes_s, session)| (session.id, *closes_s))
                .collect();
            let continues = shown.iter().any(|session| steady.contains(session));
            in_a_row = if continues { in_a_row + 1 } else { 0 };
            steady = shown;
            let sessions: Vec<_> = listed.into_iter().map(|(_, session)| session).collect();
            let status = account.answer(moment(now_s + skew_s, now_s), sessions);
            prop_assert!(!status.confirmed || status.unit == unit);
            // Rounding to whole seconds hides the rate of short gaps.
            if in_a_row >= 2 && (interval >= 11.0 || !whole) {
                prop_assert_eq!(status, settled(unit));
            }
            now_s += interval * (1.0 + jitter);
        }
    }
}

/// Whether sessions that have so many seconds left look like seconds, where the server writes them
/// in this unit, its dates in a zone so many hours east, and its clock is so many seconds ahead.
fn look_like_seconds(unit: Unit, zone_h: f64, skew_s: f64, left_s: &[f64]) -> bool {
    let now_s = 1_700_000_000.0;
    let session = |(id, left_s): (u64, &f64)| Session {
        expire_datetime_ms: Some((now_s + left_s + zone_h * 3600.0 + skew_s) * 1000.0),
        ..expiring(id, (left_s * unit.per_second()).round())
    };
    let sessions: Vec<_> = (1..).zip(left_s).map(session).collect();
    looks_like_seconds(&list(sessions), now_s)
}

#[test]
fn one_answer_looks_like_seconds_where_its_dates_are_utc_and_exclude_milliseconds() {
    use Unit::{Milliseconds, Seconds};
    for left_s in [85_299.0, 86_004.0, 37_790.0, 600.0] {
        assert!(look_like_seconds(Seconds, 0.0, 0.0, &[left_s]), "{left_s}");
        assert!(look_like_seconds(Seconds, 0.0, -5.0, &[left_s]), "{left_s}");
        for (unit, zone_h, skew_s) in [
            (Seconds, 3.0, 0.0),
            (Seconds, 0.0, 60.0),
            (Milliseconds, 0.0, 0.0),
        ] {
            let seen = look_like_seconds(unit, zone_h, skew_s, &[left_s]);
            assert!(!seen, "{unit:?} {zone_h} {skew_s} {left_s}");
        }
    }
    // Milliseconds would fit too: at the end of a session, and with dates of another zone.
    for left_s in [5.0, 1.0 + 900.0, 9.0 + 9000.0] {
        assert!(!look_like_seconds(Seconds, 0.0, 0.0, &[left_s]), "{left_s}");
    }
    // An ambiguous session beside a clear one says nothing; one that contradicts it does.
    assert!(look_like_seconds(Seconds, 0.0, 0.0, &[5.0, 85_299.0]));
    let answer = [(1, 85_299.0, 85_299.0), (2, 40_000.0, 40_000_000.0)];
    let answer = answer.map(|(id, until_s, left)| Session {
        expire_datetime_ms: Some(until_s * 1000.0),
        ..expiring(id, left)
    });
    assert!(!looks_like_seconds(&list(answer), 0.0));
    for unreadable in [session(1), expiring(1, 85_299.0)] {
        assert!(!looks_like_seconds(&list([unreadable]), 0.0));
    }
    assert!(!looks_like_seconds(&list([]), 0.0));
}

proptest! {
    /// Also where a wrong zone makes the dates fit seconds.
    #[test]
    fn milliseconds_never_look_like_seconds(
        quarters in -56..=56_i8,
        skew_s in -9.0..9.0_f64,
        beside_s in -20.0..20.0_f64,
        other_s in prop::collection::vec(0.0..1e6_f64, 0..3),
    ) {
        let zone_h = f64::from(quarters) / 4.0;
        let fits_seconds = (zone_h * 3600.0 + skew_s + beside_s) / 999.0;
        let left_s = [&[fits_seconds.max(0.0)][..], &other_s].concat();
        prop_assert!(!look_like_seconds(Unit::Milliseconds, zone_h, skew_s, &left_s));
    }
}
