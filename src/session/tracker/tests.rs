//! What a series of answers adds up to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::session::test_support::{WALL_MS, after, expiring, list, moment, session, vendors};

fn reading() -> TrackingConfig {
    TrackingConfig {
        policy: Policy::default(),
        details: SessionDetails::Off,
        expire_unit: UnitSetting::Auto,
        interval: Duration::from_secs(30),
        max_age: Duration::from_secs(90),
    }
}

fn ledger() -> SessionTracker {
    SessionTracker::new(reading())
}

/// The server sends that unit, and the operator said so.
fn in_unit(unit: Unit) -> SessionTracker {
    SessionTracker::new(TrackingConfig {
        expire_unit: UnitSetting::Fixed(unit),
        ..reading()
    })
}

fn detailed(details: SessionDetails, policy: Policy) -> SessionTracker {
    SessionTracker::new(TrackingConfig {
        details,
        policy,
        expire_unit: UnitSetting::Fixed(Unit::Milliseconds),
        ..reading()
    })
}

/// Opened, expired, ended, unknown.
fn moved(ledger: &SessionTracker) -> [u64; 4] {
    let movements = ledger.movements().unwrap();
    let [expired, ended, unknown] = CloseReason::ALL.map(|reason| movements.closed(reason));
    [movements.opened, expired, ended, unknown]
}

/// Shortest and longest time left in milliseconds.
fn left(view: &Summary) -> (f64, f64) {
    let left = view.expiry.unwrap().left_ms;
    (left.min, left.max)
}

/// First and last end in seconds after the start.
fn ends(view: &Summary) -> (f64, f64) {
    let ends = view.expiry.unwrap().at_ms.unwrap();
    ((ends.min - WALL_MS) / 1000.0, (ends.max - WALL_MS) / 1000.0)
}

#[test]
fn the_vendors_sample() {
    let view = ledger().accept(list([vendors()]), after(7.0));
    let left_ms = Range {
        min: 85299.0,
        max: 85299.0,
    };
    let at_ms = Range {
        min: WALL_MS + 92_299.0,
        max: WALL_MS + 92_299.0,
    };
    let expected = Summary {
        arrival: after(7.0),
        open: 1,
        by_safety_type: vec![
            (SafetyType::Id(2), 0),
            (SafetyType::Id(3), 0),
            (SafetyType::Id(4), 1),
        ],
        expiry: Some(Expiry {
            left_ms,
            at_ms: Some(at_ms),
        }),
        expire_unknown: 0,
        max_lifetime_ms: Some(86_400_000.0),
        client_ips: 1,
        logins: 1,
        violating: Vec::new(),
        required: None,
        undecodable: 0,
        disclosed: SessionDetails::Off,
        details: Vec::new(),
    };
    assert_eq!(view, expected);
}

#[test]
fn an_empty_list_has_nothing_left_and_no_end() {
    let view = ledger().accept(SessionList::new(Vec::new(), 2), after(0.0));
    assert_eq!(view.open, 0);
    assert_eq!(left(&view), (0.0, 0.0));
    assert_eq!(view.expiry.unwrap().at_ms, None);
    assert_eq!(view.expire_unknown, 0);
    assert_eq!(view.max_lifetime_ms, None);
    assert_eq!((view.client_ips, view.logins), (0, 0));
    assert_eq!(view.undecodable, 2);
}

#[test]
fn shortest_and_longest_are_of_what_can_be_read() {
    let dated = Session {
        expiry_mark: Some(20160615131413),
        ..session(2)
    };
    let sessions = [
        expiring(1, 5000.0),
        dated,
        expiring(3, 60_000.0),
        session(4),
        Session {
            time_left: Some(7000.0),
            ..session(5)
        },
        Session {
            time_left: Some(8000.0),
            ..session(6)
        },
        Session {
            time_left: Some(9000.0),
            ..session(7)
        },
    ];
    let view = ledger().accept(list(sessions), after(0.0));
    assert_eq!(view.open, 7);
    assert_eq!(view.expire_unknown, 2);
    assert_eq!(left(&view), (5000.0, 60_000.0));
    assert_eq!(ends(&view), (5.0, 60.0));
}

#[test]
fn where_nothing_can_be_read_there_is_no_expiry() {
    let view = ledger().accept(list([session(1), session(2)]), after(0.0));
    assert_eq!(view.open, 2);
    assert_eq!(view.expire_unknown, 2);
    assert_eq!(view.expiry, None);
}

#[test]
fn negative_time_left_is_none_left() {
    for unit in Unit::ALL {
        let sessions = [expiring(1, -7.0), expiring(2, -1e300)];
        let view = in_unit(unit).accept(list(sessions), after(3.0));
        assert_eq!(left(&view), (0.0, 0.0));
        assert_eq!(ends(&view), (3.0, 3.0));
        assert_eq!(view.expire_unknown, 0);
    }
}

#[test]
fn the_largest_number_stays_finite() {
    let view = in_unit(Unit::Seconds).accept(list([expiring(1, f64::MAX)]), after(0.0));
    assert_eq!(left(&view), (f64::MAX, f64::MAX));
    assert!(view.expiry.unwrap().at_ms.unwrap().max.is_finite());
}

#[test]
fn an_end_is_kept_while_the_new_one_lies_within_two_seconds() {
    let mut ledger = in_unit(Unit::Milliseconds);
    let mut end_of = |seconds: f64, left_s: f64| {
        let view = ledger.accept(list([expiring(1, left_s * 1000.0)]), after(seconds));
        assert_eq!(left(&view).0, left_s * 1000.0, "as of the last answer");
        ends(&view).0
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
fn ends_that_creep_do_not_creep_away_with_the_kept_one() {
    let mut ledger = in_unit(Unit::Milliseconds);
    let mut end_of = |seconds: f64, left_s: f64| {
        ends(&ledger.accept(list([expiring(1, left_s * 1000.0)]), after(seconds))).0
    };
    assert_eq!(end_of(0.0, 100.0), 100.0);
    assert_eq!(end_of(10.0, 91.5), 100.0);
    // Within two seconds of the answer before, but not of the end that is published.
    assert_eq!(end_of(20.0, 83.0), 103.0);
}

#[test]
fn each_session_keeps_its_own_end() {
    let mut ledger = in_unit(Unit::Milliseconds);
    let both = |first, second| list([expiring(1, first), expiring(2, second)]);
    ledger.accept(both(1000.0, 2000.0), after(0.0));
    let view = ledger.accept(both(1500.0, 2500.0), after(0.5));
    assert_eq!(ends(&view), (1.0, 2.0));
    let view = ledger.accept(list([expiring(2, 2500.0)]), after(0.5));
    assert_eq!(ends(&view), (2.0, 2.0));
    let view = ledger.accept(both(1500.0, 2500.0), after(0.5));
    assert_eq!(ends(&view), (2.0, 2.0), "the first one's end was forgotten");
}

#[test]
fn once_seconds_are_settled_the_same_numbers_mean_seconds() {
    let mut ledger = ledger();
    let mut answer = |seconds: f64| {
        let view = ledger.accept(list([expiring(1, 85299.0 - seconds)]), after(seconds));
        (ledger.unit(), left(&view).0, ends(&view).0)
    };
    let unsettled = (Unit::Milliseconds, false);
    assert_eq!(answer(0.0), (unsettled, 85299.0, 85.299));
    assert_eq!(answer(30.0), (unsettled, 85269.0, 115.269));
    let settled = (Unit::Seconds, true);
    assert_eq!(answer(60.0), (settled, 85_239_000.0, 85299.0));
    assert_eq!(answer(90.0), (settled, 85_209_000.0, 85299.0));
}

#[test]
fn a_renewal_moves_the_end_and_is_no_movement() {
    let mut ledger = in_unit(Unit::Seconds);
    ledger.accept(list([expiring(1, 60.0)]), after(0.0));
    let renewed = Session {
        expiry_mark: Some(20160616131413),
        ..expiring(1, 86400.0)
    };
    let view = ledger.accept(list([renewed]), after(30.0));
    assert_eq!(left(&view).0, 86_400_000.0);
    assert_eq!(ends(&view).0, 86430.0);
    assert_eq!(moved(&ledger), [0, 0, 0, 0]);
}

#[test]
fn the_first_answer_opens_nothing() {
    let mut ledger = ledger();
    assert_eq!(ledger.movements(), None);
    ledger.accept(list([session(1), session(2)]), after(0.0));
    assert_eq!(moved(&ledger), [0, 0, 0, 0]);
    ledger.accept(list([session(2), session(3), session(4)]), after(30.0));
    assert_eq!(moved(&ledger), [2, 0, 0, 1]);
    ledger.accept(list([]), after(60.0));
    assert_eq!(moved(&ledger), [2, 0, 0, 4]);
}

#[test]
fn an_empty_first_answer_is_an_answer() {
    let mut ledger = ledger();
    ledger.accept(list([]), after(0.0));
    assert_eq!(moved(&ledger), [0, 0, 0, 0]);
    ledger.accept(list([session(1)]), after(30.0));
    assert_eq!(moved(&ledger), [1, 0, 0, 0]);
}

#[test]
fn sessions_close_for_three_reasons() {
    let mut ledger = in_unit(Unit::Seconds);
    let sessions = [
        expiring(1, 20.0),
        expiring(2, 32.0),
        expiring(3, 33.0),
        expiring(4, 86400.0),
        session(5),
        expiring(6, -3.0),
    ];
    ledger.accept(list(sessions), after(0.0));
    ledger.accept(list([]), after(30.0));
    assert_eq!(moved(&ledger), [0, 3, 2, 1]);
}

#[test]
fn nothing_is_told_of_closed_sessions_before_the_unit_is_settled() {
    let mut ledger = ledger();
    ledger.accept(list([expiring(1, 20_000.0), expiring(2, 1e9)]), after(0.0));
    ledger.accept(list([]), after(30.0));
    assert_eq!(moved(&ledger), [0, 0, 0, 2]);
}

#[test]
fn an_end_in_a_unit_that_was_just_abandoned_tells_nothing() {
    let mut ledger = ledger();
    let witness = |seconds: f64| expiring(1, 85299.0 - seconds);
    ledger.accept(list([witness(0.0)]), after(0.0));
    ledger.accept(list([witness(30.0), expiring(2, 5000.0)]), after(30.0));
    // Seconds are settled by the answer that misses the second session, whose end was computed
    // in milliseconds and seems to be over.
    ledger.accept(list([witness(60.0)]), after(60.0));
    assert_eq!(ledger.unit(), (Unit::Seconds, true));
    assert_eq!(moved(&ledger), [1, 0, 0, 1]);
    ledger.accept(list([]), after(90.0));
    assert_eq!(moved(&ledger), [1, 0, 1, 1]);
}

#[test]
fn after_a_gap_sessions_are_compared_with_the_last_good_answer() {
    let mut ledger = in_unit(Unit::Seconds);
    let sessions = [
        expiring(1, 60.0),
        expiring(2, 86400.0),
        expiring(3, 86400.0),
        expiring(4, 0.0),
    ];
    ledger.accept(list(sessions), after(0.0));
    let sessions = [expiring(2, 82800.0), expiring(9, 86400.0)];
    ledger.accept(list(sessions), after(3600.0));
    // The first one's end lies in the gap, the third's after it, the fourth's before it.
    assert_eq!(moved(&ledger), [1, 1, 1, 1]);
}

#[test]
fn a_suspended_machine_expires_nothing_it_did_not_see() {
    let mut ledger = in_unit(Unit::Seconds);
    ledger.accept(list([expiring(1, 3600.0)]), after(0.0));
    ledger.accept(list([]), moment(8.0 * 3600.0, 30.0));
    assert_eq!(moved(&ledger), [0, 0, 0, 1]);
}

fn types(view: &Summary) -> Vec<(String, u64)> {
    let types = view.by_safety_type.iter();
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
fn a_type_once_seen_stays_at_0() {
    let mut ledger = ledger();
    let view = ledger.accept(list([]), after(0.0));
    assert_eq!(types(&view), counts([("2", 0), ("3", 0), ("4", 0)]));
    let sessions = [
        of_type(1, Some(15)),
        of_type(2, None),
        of_type(3, Some(4)),
        of_type(4, Some(15)),
        of_type(5, Some(-1)),
    ];
    let view = ledger.accept(list(sessions), after(30.0));
    let seen = [
        ("-1", 1),
        ("2", 0),
        ("3", 0),
        ("4", 1),
        ("15", 2),
        ("none", 1),
    ];
    assert_eq!(types(&view), counts(seen));
    let view = ledger.accept(list([]), after(60.0));
    assert_eq!(types(&view), counts(seen.map(|(id, _)| (id, 0))));
}

#[test]
fn past_32_types_the_rest_are_other() {
    let mut ledger = detailed(SessionDetails::Anonymous, Policy::default());
    // 2, 3 and 4 and 29 more are 32.
    let many: Vec<Session> = (0..29).map(|n| of_type(n, Some(100 + n as i64))).collect();
    let view = ledger.accept(list(many.clone()), after(0.0));
    assert_eq!(view.by_safety_type.len(), 32);
    assert!(!types(&view).iter().any(|(id, _)| id == "other"));

    let mut more = many.clone();
    more.push(of_type(50, Some(7)));
    more.push(of_type(51, Some(8)));
    more.push(of_type(52, Some(100)));
    more.push(of_type(53, None));
    let view = ledger.accept(list(more), after(30.0));
    let seen = types(&view);
    assert_eq!(seen.len(), 34);
    assert_eq!(seen[3], ("100".to_owned(), 2));
    assert_eq!(seen[32..], counts([("none", 1), ("other", 2)]));
    let total: u64 = view.by_safety_type.iter().map(|(_, count)| count).sum();
    assert_eq!(total, view.open);
    let label = |id| {
        view.details
            .iter()
            .find(|d| d.id == id)
            .unwrap()
            .safety_type
    };
    assert_eq!(label(50), SafetyType::Other);
    assert_eq!(label(52), SafetyType::Id(100));
    assert_eq!(label(53), SafetyType::None);

    let view = ledger.accept(list([]), after(60.0));
    assert_eq!(types(&view).len(), 34);
    assert!(view.by_safety_type.iter().all(|(_, count)| *count == 0));
}

#[test]
fn distinct_addresses_and_logins() {
    let of = |id, login: Option<&str>, client: &str| Session {
        user_login: login.map(Into::into),
        client: ClientAddress::parse(client),
        ..session(id)
    };
    let sessions = [
        of(1, Some("a"), "192.0.2.1"),
        of(2, Some("a"), "::ffff:192.0.2.1"),
        of(3, Some("b"), "2001:db8::1"),
        of(4, None, "2001:DB8:0::1"),
        of(5, Some("A"), "somewhere"),
        of(6, None, ""),
    ];
    let view = ledger().accept(list(sessions), after(0.0));
    assert_eq!(view.client_ips, 3);
    assert_eq!(view.logins, 3);
}

#[test]
fn the_longest_lifetime_that_is_known() {
    let of = |id, lifetime_ms| Session {
        lifetime_ms,
        ..session(id)
    };
    let sessions = [of(1, Some(5.0)), of(2, None), of(3, Some(7.0))];
    let view = ledger().accept(list(sessions), after(0.0));
    assert_eq!(view.max_lifetime_ms, Some(7.0));
    let view = ledger().accept(list([of(1, None)]), after(0.0));
    assert_eq!(view.max_lifetime_ms, None);
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
fn every_configured_rule_is_counted_and_no_other() {
    let mut ledger = in_unit(Unit::Seconds);
    assert_eq!(ledger.accept(list([]), after(0.0)).violating, []);

    let mut ledger = SessionTracker::new(TrackingConfig {
        policy: picky(),
        expire_unit: UnitSetting::Fixed(Unit::Seconds),
        ..reading()
    });
    let view = ledger.accept(list([]), after(0.0));
    let rules = |broken: [u64; 3]| {
        let rules = [Rule::SafetyType, Rule::Lifetime, Rule::MinSessions];
        rules.into_iter().zip(broken).collect::<Vec<_>>()
    };
    assert_eq!(view.violating, rules([0, 0, 2]));
    let sessions = [
        of_type(1, Some(2)),
        expiring(2, 60.0),
        expiring(3, 61.0),
        vendors(),
    ];
    let view = ledger.accept(list(sessions), after(30.0));
    assert_eq!(view.violating, rules([3, 3, 0]));
}

#[test]
fn only_sessions_of_the_configured_types_count_for_the_minimum() {
    let policy = |types: Option<i64>| Policy {
        min_sessions: Some(2),
        min_sessions_safety_types: types.map(|id| [id].into()),
        ..Policy::default()
    };
    let of = |id, safety_type, seconds| Session {
        safety_type,
        ..expiring(id, seconds)
    };
    // The exporter's own session, of type 14, ends last.
    let sessions = || {
        list([
            of(1, Some(3), 60.0),
            of(2, Some(14), 600.0),
            of(3, None, 90.0),
        ])
    };
    let required = |policy: Policy, sessions: SessionList| {
        let mut tracker = SessionTracker::new(TrackingConfig {
            policy,
            expire_unit: UnitSetting::Fixed(Unit::Seconds),
            ..reading()
        });
        let summary = tracker.accept(sessions, after(0.0));
        (summary.required, summary.violating)
    };
    let of_all = RequiredSessions {
        open: 3,
        max_expiry_ms: Some(WALL_MS + 600_000.0),
    };
    let shortfall = |count| vec![(Rule::MinSessions, count)];
    let any = required(policy(None), sessions());
    assert_eq!(any, (Some(of_all), shortfall(0)));
    let of_type = RequiredSessions {
        open: 1,
        max_expiry_ms: Some(WALL_MS + 60_000.0),
    };
    let sms = required(policy(Some(3)), sessions());
    assert_eq!(sms, (Some(of_type), shortfall(1)));
    let none = RequiredSessions {
        open: 0,
        max_expiry_ms: None,
    };
    let token = required(policy(Some(2)), sessions());
    assert_eq!(token, (Some(none), shortfall(2)));
    let without_minimum = required(Policy::default(), sessions());
    assert_eq!(without_minimum, (None, vec![]));
}

#[test]
fn too_many_sessions_are_counted_beyond_the_limit() {
    let policy = Policy {
        max_sessions: Some(2),
        ..Policy::default()
    };
    let mut ledger = detailed(SessionDetails::Anonymous, policy);
    let sessions: Vec<Session> = (0..5).map(session).collect();
    let view = ledger.accept(list(sessions), after(0.0));
    assert_eq!(view.violating, [(Rule::MaxSessions, 3)]);
    assert!(view.details.iter().all(|detail| detail.broken.is_empty()));
}

#[test]
fn details_tell_as_much_as_configured() {
    let told = |details| {
        let view = detailed(details, Policy::default()).accept(list([vendors()]), after(0.0));
        assert_eq!(view.disclosed, details);
        view.details
    };
    assert_eq!(told(SessionDetails::Off), []);
    let anonymous = SessionDetail {
        id: 7165011,
        safety_type: SafetyType::Id(4),
        user_login: None,
        client: None,
        expires_at_ms: Some(WALL_MS + 85299.0),
        broken: Vec::new(),
    };
    assert_eq!(
        told(SessionDetails::Anonymous).as_slice(),
        std::slice::from_ref(&anonymous)
    );
    let full = SessionDetail {
        user_login: Some("virtual@virtual.com".into()),
        client: ClientAddress::parse("19.16.32.32"),
        ..anonymous
    };
    assert_eq!(told(SessionDetails::Full), [full]);
}

#[test]
fn details_are_of_rule_breakers_first_then_of_the_soonest_to_expire() {
    let of = |id, safety_type, time_left| Session {
        safety_type: Some(safety_type),
        time_left,
        ..session(id)
    };
    let policy = Policy {
        safety_types: Some([2].into()),
        ..Policy::default()
    };
    let mut ledger = detailed(SessionDetails::Anonymous, policy);
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
    let view = ledger.accept(list(sessions), after(0.0));
    let order: Vec<u64> = view.details.iter().map(|detail| detail.id).collect();
    assert_eq!(order, [4, 6, 3, 5, 2, 7, 1, 8]);
    let breakers: Vec<u64> = view
        .details
        .iter()
        .filter(|detail| detail.broken == [Rule::SafetyType])
        .map(|detail| detail.id)
        .collect();
    assert_eq!(breakers, [4, 6, 3]);
    let ends: Vec<_> = view.details.iter().map(|d| d.expires_at_ms).collect();
    assert_eq!(ends[0], Some(WALL_MS + 8000.0));
    assert_eq!(ends[2], None);
}

#[test]
fn no_more_than_100_details_but_all_are_counted() {
    let policy = Policy {
        safety_types: Some([4].into()),
        ..Policy::default()
    };
    let mut ledger = detailed(SessionDetails::Full, policy);
    let mut sessions: Vec<Session> = (0..150u32)
        .map(|n| expiring(n.into(), 1e6 - f64::from(n)))
        .collect();
    sessions.push(Session {
        safety_type: Some(3),
        ..expiring(1000, 1e9)
    });
    let view = ledger.accept(list(sessions), after(0.0));
    assert_eq!(view.open, 151);
    assert_eq!(view.violating, [(Rule::SafetyType, 1)]);
    let shown: Vec<u64> = view.details.iter().map(|detail| detail.id).collect();
    let expected: Vec<u64> = std::iter::once(1000).chain((51..150).rev()).collect();
    assert_eq!(shown, expected);
}

#[test]
fn repeated_ids_are_one_session_and_undecodable_entries() {
    let sessions = vec![
        of_type(1, Some(2)),
        of_type(1, Some(3)),
        of_type(2, Some(4)),
    ];
    let view = ledger().accept(SessionList::new(sessions, 1), after(0.0));
    assert_eq!(view.open, 2);
    assert_eq!(view.undecodable, 2);
    assert_eq!(types(&view), counts([("2", 0), ("3", 1), ("4", 1)]));
}

#[test]
fn another_configuration_is_followed_in_place() {
    let mut ledger = ledger();
    assert_eq!(ledger.reconfigure(reading()), None, "no answer, no view");
    let sessions = [vendors(), expiring(1, 200_000.0)];
    ledger.accept(list(sessions), after(0.0));
    ledger.accept(list([vendors()]), after(30.0));
    let before = moved(&ledger);

    let view = ledger.reconfigure(reading()).unwrap();
    assert_eq!(view.arrival, after(30.0));
    assert_eq!(view.open, 1);
    assert_eq!(ends(&view).0, 85.299 + 30.0);

    let strict = TrackingConfig {
        policy: picky(),
        details: SessionDetails::Full,
        expire_unit: UnitSetting::Fixed(Unit::Seconds),
        ..reading()
    };
    let view = ledger.reconfigure(strict).unwrap();
    assert_eq!(ledger.unit(), (Unit::Seconds, true));
    assert_eq!(left(&view).0, 85_299_000.0);
    assert_eq!(ends(&view).0, 85299.0 + 30.0);
    assert_eq!(view.violating.len(), 3);
    assert_eq!(view.details.len(), 1);
    assert_eq!(moved(&ledger), before);

    // From here on, ends are those of the new unit.
    ledger.accept(list([]), after(60.0));
    assert_eq!(
        moved(&ledger),
        [before[0], before[1], before[2] + 1, before[3]]
    );
}

#[test]
fn evidence_survives_a_configuration_that_does_not_concern_it() {
    let mut ledger = ledger();
    for seconds in [0.0, 30.0, 60.0] {
        let sessions = list([expiring(1, 85299.0 - seconds)]);
        ledger.accept(sessions, after(seconds));
    }
    assert_eq!(ledger.unit(), (Unit::Seconds, true));
    let slower = TrackingConfig {
        interval: Duration::from_secs(60),
        ..reading()
    };
    ledger.reconfigure(slower.clone());
    assert_eq!(ledger.unit(), (Unit::Seconds, true));
    ledger.reconfigure(TrackingConfig {
        expire_unit: UnitSetting::Fixed(Unit::Milliseconds),
        ..slower.clone()
    });
    assert_eq!(ledger.unit(), (Unit::Milliseconds, true));
    ledger.reconfigure(slower);
    assert_eq!(ledger.unit(), (Unit::Milliseconds, false));
}
