//! The state after a series of answers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::session::rules::Rule;
use crate::session::safety_type::SafetyType;
use crate::session::summary::{Range, RequiredSessions};
use crate::session::test_support::{WALL_MS, after, expiring, list, moment, session, vendors};
use crate::session::{ClientAddress, Session};

fn config() -> TrackingConfig {
    TrackingConfig {
        policy: Policy::default(),
        details: SessionDetails::Off,
        expire_unit: None,
        interval: Duration::from_secs(30),
        max_age: Duration::from_secs(90),
    }
}

fn tracker() -> SessionTracker {
    SessionTracker::new(config())
}

/// The server sends that unit, and the operator said so.
fn in_unit(unit: Unit) -> SessionTracker {
    SessionTracker::new(TrackingConfig {
        expire_unit: Some(unit),
        ..config()
    })
}

fn detailed(details: SessionDetails, policy: Policy) -> SessionTracker {
    SessionTracker::new(TrackingConfig {
        details,
        policy,
        expire_unit: Some(Unit::Milliseconds),
        ..config()
    })
}

fn status(unit: Unit, confirmed: bool) -> UnitStatus {
    UnitStatus { unit, confirmed }
}

/// Opened, expired, ended, unknown.
fn counts_of(tracker: &SessionTracker) -> [u64; 4] {
    let counters = tracker.counters().unwrap();
    let [expired, ended, unknown] = counters.closed.map(|(_, count)| count);
    [counters.opened, expired, ended, unknown]
}

/// Shortest and longest time left in milliseconds.
fn remaining(summary: &Summary) -> (f64, f64) {
    let left = summary.remaining_ms.unwrap();
    (left.min, left.max)
}

/// First and last end in seconds after the start.
fn expiries(summary: &Summary) -> (f64, f64) {
    let ends = summary.expires_at_ms.unwrap();
    ((ends.min - WALL_MS) / 1000.0, (ends.max - WALL_MS) / 1000.0)
}

#[test]
fn expiry_is_kept_within_two_seconds() {
    let mut tracker = in_unit(Unit::Milliseconds);
    let mut end_of = |seconds: f64, left_s: f64| {
        let summary = tracker
            .record(list([expiring(1, left_s * 1000.0)]), after(seconds))
            .0;
        assert_eq!(
            remaining(&summary).0,
            left_s * 1000.0,
            "as of the last answer"
        );
        expiries(&summary).0
    };
    assert_eq!(end_of(0.0, 1000.0), 1000.0);
    assert_eq!(end_of(30.0, 970.9), 1000.0);
    assert_eq!(end_of(60.0, 938.0), 1000.0, "two seconds early");
    assert_eq!(end_of(90.0, 912.0), 1000.0, "two seconds late");
    assert_eq!(end_of(120.0, 882.001), 1002.001, "a renewal, however short");
    assert_eq!(end_of(150.0, 850.001), 1002.001, "two seconds early again");
    assert_eq!(end_of(180.0, 819.9), 999.9);
}

#[test]
fn expiry_is_kept_per_session() {
    let mut tracker = in_unit(Unit::Milliseconds);
    let both = |first, second| list([expiring(1, first), expiring(2, second)]);
    tracker.record(both(1000.0, 2000.0), after(0.0));
    let summary = tracker.record(both(1500.0, 2500.0), after(0.5)).0;
    assert_eq!(expiries(&summary), (1.0, 2.0));
    let summary = tracker.record(list([expiring(2, 2500.0)]), after(0.5)).0;
    assert_eq!(expiries(&summary), (2.0, 2.0));
    let summary = tracker.record(both(1500.0, 2500.0), after(0.5)).0;
    assert_eq!(
        expiries(&summary),
        (2.0, 2.0),
        "the first one's end was forgotten"
    );
}

#[test]
fn first_answer_opens_nothing() {
    let mut tracker = tracker();
    assert_eq!(tracker.counters(), None);
    tracker.record(list([session(1), session(2)]), after(0.0));
    assert_eq!(counts_of(&tracker), [0, 0, 0, 0]);
    tracker.record(list([session(2), session(3), session(4)]), after(30.0));
    assert_eq!(counts_of(&tracker), [2, 0, 0, 1]);
    tracker.record(list([]), after(60.0));
    assert_eq!(counts_of(&tracker), [2, 0, 0, 4]);
}

#[test]
fn a_closed_session_has_expired_or_ended_by_its_expiry() {
    use CloseReason::{Ended, Expired, Unknown};
    let settled = || in_unit(Unit::Milliseconds);
    let late = after(90.001);
    let suspended = moment(8.0 * 3600.0, 30.0);
    let hour = 3_600_000.0;
    for (mut tracker, left_ms, missing_at, expected) in [
        (settled(), Some(10_000.0), after(30.0), Expired),
        (settled(), Some(32_000.0), after(30.0), Expired),
        (settled(), Some(32_001.0), after(30.0), Ended),
        (settled(), Some(24.0 * hour), after(30.0), Ended),
        (settled(), None, after(30.0), Unknown),
        (tracker(), Some(10_000.0), after(30.0), Unknown),
        (tracker(), Some(24.0 * hour), after(30.0), Unknown),
        // A gap longer than `max_age` hides what happens in it.
        (settled(), Some(40_000.0), after(90.0), Expired),
        (settled(), Some(40_000.0), late, Unknown),
        (settled(), Some(92_001.0), late, Unknown),
        (settled(), Some(92_002.0), late, Ended),
        (settled(), Some(0.0), late, Expired),
        (settled(), Some(7.0 * hour), suspended, Unknown),
        (settled(), Some(9.0 * hour), suspended, Ended),
    ] {
        let session = Session {
            time_left: left_ms,
            ..session(1)
        };
        tracker.record(list([session.clone()]), after(0.0));
        let (_, diff) = tracker.record(list([]), missing_at);
        let what = format!("{left_ms:?} {missing_at:?}");
        assert_eq!(diff.closed, [(session, expected)], "{what}");
        let counted = tracker.counters().unwrap().closed;
        let counted = counted.map(|(reason, count)| (reason == expected, count));
        assert!(
            counted.iter().all(|(of, count)| u64::from(*of) == *count),
            "{what}"
        );
    }
}

#[test]
fn a_renewed_session_is_neither_opened_nor_closed() {
    let mut tracker = in_unit(Unit::Milliseconds);
    tracker.record(list([vendors()]), after(0.0));
    let renewed = Session {
        expire_datetime_hash: Some(20160616131413),
        time_left: Some(172_800_000.0),
        ..vendors()
    };
    let (_, diff) = tracker.record(list([renewed]), after(30.0));
    assert_eq!(diff, SessionDiff::default());
}

#[test]
fn expiry_in_an_abandoned_unit_gives_no_reason() {
    let mut tracker = tracker();
    let witness = |seconds: f64| expiring(1, 85299.0 - seconds);
    tracker.record(list([witness(0.0)]), after(0.0));
    tracker.record(list([witness(30.0), expiring(2, 5000.0)]), after(30.0));
    // Seconds are settled by the answer that misses the second session, whose end was computed
    // in milliseconds and seems to be over.
    tracker.record(list([witness(60.0)]), after(60.0));
    assert_eq!(tracker.unit(), status(Unit::Seconds, true));
    assert_eq!(counts_of(&tracker), [1, 0, 0, 1]);
    tracker.record(list([]), after(90.0));
    assert_eq!(counts_of(&tracker), [1, 0, 1, 1]);
}

fn types(summary: &Summary) -> Vec<(String, u64)> {
    let types = summary.by_safety_type.iter();
    types.map(|(id, count)| (id.to_string(), *count)).collect()
}

fn of_type(id: u64, safety_type: Option<i64>) -> Session {
    Session {
        safety_type,
        ..session(id)
    }
}

fn counts<const N: usize>(expected: [(&str, u64); N]) -> Vec<(String, u64)> {
    expected.map(|(id, count)| (id.to_owned(), count)).into()
}

#[test]
fn seen_type_stays_at_zero() {
    let mut tracker = tracker();
    let summary = tracker.record(list([]), after(0.0)).0;
    assert_eq!(types(&summary), counts([("2", 0), ("3", 0), ("4", 0)]));
    let sessions = [
        of_type(1, Some(15)),
        of_type(2, None),
        of_type(3, Some(4)),
        of_type(4, Some(15)),
        of_type(5, Some(-1)),
    ];
    let summary = tracker.record(list(sessions), after(30.0)).0;
    let seen = [
        ("-1", 1),
        ("2", 0),
        ("3", 0),
        ("4", 1),
        ("15", 2),
        ("none", 1),
    ];
    assert_eq!(types(&summary), counts(seen));
    let summary = tracker.record(list([]), after(60.0)).0;
    assert_eq!(types(&summary), counts(seen.map(|(id, _)| (id, 0))));
}

#[test]
fn types_past_32_are_other() {
    let mut tracker = detailed(SessionDetails::Anonymous, Policy::default());
    // 2, 3 and 4 and 29 more are 32.
    let many: Vec<Session> = (0..29).map(|n| of_type(n, Some(100 + n as i64))).collect();
    let summary = tracker.record(list(many.clone()), after(0.0)).0;
    assert_eq!(summary.by_safety_type.len(), 32);
    assert!(!types(&summary).iter().any(|(id, _)| id == "other"));

    let mut more = many.clone();
    more.push(of_type(50, Some(7)));
    more.push(of_type(51, Some(8)));
    more.push(of_type(52, Some(100)));
    more.push(of_type(53, None));
    let summary = tracker.record(list(more), after(30.0)).0;
    let seen = types(&summary);
    assert_eq!(seen.len(), 34);
    assert_eq!(seen[3], ("100".to_owned(), 2));
    assert_eq!(seen[32..], counts([("none", 1), ("other", 2)]));
    let total: u64 = summary.by_safety_type.iter().map(|(_, count)| count).sum();
    assert_eq!(total, summary.open);
    let label = |id| {
        summary
            .details
            .iter()
            .find(|d| d.id == id)
            .unwrap()
            .safety_type
    };
    assert_eq!(label(50), SafetyType::Other);
    assert_eq!(label(52), SafetyType::Id(100));
    assert_eq!(label(53), SafetyType::None);

    let summary = tracker.record(list([]), after(60.0)).0;
    assert_eq!(types(&summary).len(), 34);
    assert!(summary.by_safety_type.iter().all(|(_, count)| *count == 0));
}

fn picky() -> Policy {
    Policy {
        safety_types: Some([2].into()),
        min_sessions: Some(2),
        max_lifetime: Some(Duration::from_secs(60)),
        ..Policy::default()
    }
}

#[test]
fn details_are_sorted_by_violation_then_expiry() {
    let of = |id, safety_type, time_left| Session {
        safety_type: Some(safety_type),
        time_left,
        ..session(id)
    };
    let policy = Policy {
        safety_types: Some([2].into()),
        ..Policy::default()
    };
    let mut tracker = detailed(SessionDetails::Anonymous, policy);
    let sessions = [
        of(1, 2, None),
        of(2, 2, Some(9000.0)),
        of(3, 4, None),
        of(4, 4, Some(8000.0)),
        of(5, 2, Some(1000.0)),
        of(6, 4, Some(9000.0)),
        of(7, 2, Some(9000.0)),
        of(8, 2, None),
    ];
    let summary = tracker.record(list(sessions), after(0.0)).0;
    let order: Vec<u64> = summary.details.iter().map(|detail| detail.id).collect();
    assert_eq!(order, [4, 6, 3, 5, 2, 7, 1, 8]);
    let breakers: Vec<u64> = summary
        .details
        .iter()
        .filter(|detail| detail.violated_rules == [Rule::SafetyType])
        .map(|detail| detail.id)
        .collect();
    assert_eq!(breakers, [4, 6, 3]);
    let ends: Vec<_> = summary.details.iter().map(|d| d.expires_at_ms).collect();
    assert_eq!(ends[0], Some(WALL_MS + 8000.0));
    assert_eq!(ends[2], None);
}

#[test]
fn details_are_limited_to_100() {
    let policy = Policy {
        safety_types: Some([4].into()),
        ..Policy::default()
    };
    let mut tracker = detailed(SessionDetails::Full, policy);
    let mut sessions: Vec<Session> = (0..150u32)
        .map(|n| expiring(n.into(), 1e6 - f64::from(n)))
        .collect();
    sessions.push(Session {
        safety_type: Some(3),
        ..expiring(1000, 1e9)
    });
    let summary = tracker.record(list(sessions), after(0.0)).0;
    assert_eq!(summary.open, 151);
    assert_eq!(summary.violating, [(Rule::SafetyType, 1)]);
    let shown: Vec<u64> = summary.details.iter().map(|detail| detail.id).collect();
    let expected: Vec<u64> = std::iter::once(1000).chain((51..150).rev()).collect();
    assert_eq!(shown, expected);
}

#[test]
fn reconfigure_applies_in_place() {
    let mut tracker = tracker();
    assert_eq!(tracker.reconfigure(config()), None, "no answer, no summary");
    let sessions = [vendors(), expiring(1, 200_000.0)];
    tracker.record(list(sessions), after(0.0));
    tracker.record(list([vendors()]), after(30.0));
    let before = counts_of(&tracker);

    let summary = tracker.reconfigure(config()).unwrap();
    assert_eq!(summary.received_at, after(30.0));
    assert_eq!(summary.open, 1);
    assert_eq!(expiries(&summary).0, 85.299 + 30.0);

    let strict = TrackingConfig {
        policy: picky(),
        details: SessionDetails::Full,
        expire_unit: Some(Unit::Seconds),
        ..config()
    };
    let summary = tracker.reconfigure(strict).unwrap();
    assert_eq!(tracker.unit(), status(Unit::Seconds, true));
    assert_eq!(remaining(&summary).0, 85_299_000.0);
    assert_eq!(expiries(&summary).0, 85299.0 + 30.0);
    assert_eq!(summary.violating.len(), 3);
    assert_eq!(summary.details.len(), 1);
    assert_eq!(counts_of(&tracker), before);

    // From here on, ends are those of the new unit.
    tracker.record(list([]), after(60.0));
    assert_eq!(
        counts_of(&tracker),
        [before[0], before[1], before[2] + 1, before[3]]
    );
}

#[test]
fn unit_evidence_survives_unrelated_changes() {
    let mut tracker = tracker();
    for seconds in [0.0, 30.0, 60.0] {
        let sessions = list([expiring(1, 85299.0 - seconds)]);
        tracker.record(sessions, after(seconds));
    }
    assert_eq!(tracker.unit(), status(Unit::Seconds, true));
    let slower = TrackingConfig {
        interval: Duration::from_secs(60),
        ..config()
    };
    tracker.reconfigure(slower.clone());
    assert_eq!(tracker.unit(), status(Unit::Seconds, true));
    tracker.reconfigure(TrackingConfig {
        expire_unit: Some(Unit::Milliseconds),
        ..slower.clone()
    });
    assert_eq!(tracker.unit(), status(Unit::Milliseconds, true));
    tracker.reconfigure(slower);
    assert_eq!(tracker.unit(), status(Unit::Milliseconds, false));
}

#[test]
fn required_sessions_are_counted_where_a_minimum_is_configured() {
    let required = |types: Option<[i64; 1]>, sessions: &[Session]| {
        let policy = Policy {
            min_sessions: Some(2),
            min_sessions_safety_types: types.map(Into::into),
            ..Policy::default()
        };
        let mut tracker = detailed(SessionDetails::Off, policy);
        let (summary, _) = tracker.record(list(sessions), after(0.0));
        (summary.required.unwrap(), summary.violating)
    };
    let sessions = [
        expiring(1, 5000.0),
        session(2),
        Session {
            safety_type: Some(14),
            ..expiring(3, 9000.0)
        },
    ];
    let expected = |open, left: Option<f64>| RequiredSessions {
        open,
        max_expiry_ms: left.map(|left| WALL_MS + left),
    };
    assert_eq!(
        required(None, &sessions),
        (expected(3, Some(9000.0)), vec![(Rule::MinSessions, 0)])
    );
    assert_eq!(
        required(Some([4]), &sessions),
        (expected(2, Some(5000.0)), vec![(Rule::MinSessions, 0)])
    );
    assert_eq!(
        required(Some([2]), &sessions),
        (expected(0, None), vec![(Rule::MinSessions, 2)])
    );
    let (summary, _) = tracker().record(list(sessions), after(0.0));
    assert_eq!(summary.required, None);
}

mod properties {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// A session of few ids, types, logins and addresses, so that they repeat.
    fn any_session() -> impl Strategy<Value = Session> {
        let small = prop::option::of(0..6_u8);
        let time = prop::option::of(-10_000.0..100_000.0_f64);
        let lifetime = prop::option::of(0.0..200_000.0_f64);
        (
            0..30_u64,
            small.clone(),
            small.clone(),
            small,
            time,
            lifetime,
        )
            .prop_map(
                |(id, safety_type, login, client, time_left, lifetime_ms)| Session {
                    safety_type: safety_type.map(i64::from),
                    user_login: login.map(|login| format!("login-{login}").into()),
                    client: client.and_then(|n| ClientAddress::parse(&format!("192.0.2.{n}"))),
                    time_left,
                    lifetime_ms,
                    ..session(id)
                },
            )
    }

    fn policy() -> Policy {
        Policy {
            client_ips: Some(vec!["192.0.2.0/30".parse().unwrap()]),
            safety_types: Some([2, 3].into()),
            min_sessions: Some(4),
            max_sessions: Some(8),
            max_lifetime: Some(Duration::from_secs(60)),
            ..Policy::default()
        }
    }

    proptest! {
        #[test]
        fn summary_equals_a_naive_one(
            entries in prop::collection::vec(any_session(), 0..20),
            undecodable in 0..3_u64,
        ) {
            let list = SessionList::new(entries.clone(), undecodable);
            let (summary, _) = detailed(SessionDetails::Off, policy()).record(list, after(0.0));
            let mut sessions = BTreeMap::new();
            for session in &entries {
                sessions.insert(session.id, session);
            }
            let open = sessions.len();
            let values = || sessions.values();
            let count = |keep: &dyn Fn(&Session) -> bool| values().filter(|s| keep(s)).count() as u64;
            let sorted = |of: &dyn Fn(&Session) -> Option<f64>| {
                let mut all: Vec<f64> = values().filter_map(|session| of(session)).collect();
                all.sort_by(f64::total_cmp);
                all
            };

            prop_assert_eq!(summary.open, open as u64);
            prop_assert_eq!(summary.undecodable, undecodable + (entries.len() - open) as u64);
            for (safety_type, of_type) in &summary.by_safety_type {
                let has_type = |session: &Session| match safety_type {
                    SafetyType::Id(id) => session.safety_type == Some(*id),
                    _ => session.safety_type.is_none(),
                };
                prop_assert_eq!(*of_type, count(&has_type), "{}", safety_type);
            }
            let total: u64 = summary.by_safety_type.iter().map(|(_, of_type)| of_type).sum();
            prop_assert_eq!(total, open as u64);
            let left = sorted(&|session| Some(session.time_left?.max(0.0)));
            let expected = match left.as_slice() {
                [] => ((open == 0).then_some((0.0, 0.0)), None),
                [min, .., max] => (Some((*min, *max)), Some((WALL_MS + min, WALL_MS + max))),
                [only] => (Some((*only, *only)), Some((WALL_MS + only, WALL_MS + only))),
            };
            let bounds = |range: Range| (range.min, range.max);
            let shown = (summary.remaining_ms.map(bounds), summary.expires_at_ms.map(bounds));
            prop_assert_eq!(shown, expected);
            prop_assert_eq!(summary.expire_unknown, (open - left.len()) as u64);
            let longest = sorted(&|session| session.lifetime_ms).last().copied();
            prop_assert_eq!(summary.max_lifetime_ms, longest);
            let logins: BTreeSet<_> = values().filter_map(|session| session.user_login.as_ref()).collect();
            prop_assert_eq!(summary.logins, logins.len() as u64);
            let clients: BTreeSet<_> = values().filter_map(|session| session.client.as_ref()).collect();
            prop_assert_eq!(summary.client_ips, clients.len() as u64);
            let outside = |session: &Session| {
                let allowed = ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"].map(ClientAddress::parse);
                !allowed.contains(&session.client) || session.client.is_none()
            };
            let too_long = |session: &Session| {
                let length = session.lifetime_ms.or(session.time_left.map(|left| left.max(0.0)));
                length.is_none_or(|length| length > 60_000.0)
            };
            let expected = [
                (Rule::ClientIp, count(&outside)),
                (Rule::SafetyType, count(&|session| !matches!(session.safety_type, Some(2 | 3)))),
                (Rule::Lifetime, count(&too_long)),
                (Rule::MaxSessions, open.saturating_sub(8) as u64),
                (Rule::MinSessions, 4_usize.saturating_sub(open) as u64),
            ];
            prop_assert_eq!(&summary.violating[..], &expected[..]);
        }

        /// Neither the order of a list's entries nor a list that is received more than once counts.
        #[test]
        fn any_order_and_split_of_polls_gives_the_same_counters(
            answers in prop::collection::vec(
                (prop::collection::vec(any_session(), 0..8), 1..4_usize, any::<prop::sample::Index>()),
                1..8,
            ),
        ) {
            let mut once = in_unit(Unit::Milliseconds);
            let mut repeated = in_unit(Unit::Milliseconds);
            for (n, (sessions, times, start)) in answers.into_iter().enumerate() {
                let at = after(n as f64 * 30.0);
                let distinct: BTreeMap<_, _> = sessions.into_iter().map(|of| (of.id, of)).collect();
                let mut sessions: Vec<_> = distinct.into_values().collect();
                let (expected, _) = once.record(list(sessions.clone()), at);
                for _ in 0..times {
                    if !sessions.is_empty() {
                        let by = start.index(sessions.len());
                        sessions.rotate_left(by);
                    }
                    let (summary, _) = repeated.record(list(sessions.clone()), at);
                    prop_assert_eq!(&summary, &expected);
                }
                prop_assert_eq!(counts_of(&repeated), counts_of(&once));
            }
        }
    }
}
