//! The rules, and what opened and closed between two answers.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::session::test_support::{after, list, moment, session, vendors};

fn networks(texts: &[&str]) -> Policy {
    Policy {
        client_ips: Some(texts.iter().map(|text| text.parse().unwrap()).collect()),
        ..Policy::default()
    }
}

fn from(client: &str) -> Session {
    Session {
        client: ClientAddress::parse(client),
        ..session(1)
    }
}

#[test]
fn nothing_is_forbidden_by_default() {
    let policy = Policy::default();
    let mut bare = session(1);
    bare.safety_type = None;
    assert_eq!(policy.broken_by(&bare, None), []);
    assert_eq!(policy.broken_by(&vendors(), Some(1e12)), []);
    assert_eq!(policy.too_many(1000), None);
    assert_eq!(policy.too_few(0), None);
    assert!(!Rule::ALL.into_iter().any(|rule| policy.has(rule)));
}

#[test]
fn addresses_within_the_networks_are_allowed() {
    let policy = networks(&["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32"]);
    for client in [
        "203.0.113.0",
        "203.0.113.255",
        "::ffff:203.0.113.9",
        "198.51.100.7",
        "2001:db8:ffff::1",
    ] {
        assert_eq!(policy.broken_by(&from(client), None), [], "{client}");
    }
    for client in [
        "203.0.112.255",
        "203.0.114.0",
        "::ffff:203.0.114.9",
        "198.51.100.8",
        "2001:db9::1",
        // The same 32 bits as an allowed IPv4 address, but not that address.
        "::203.0.113.9",
        "not an address",
        "203.0.113.9:443",
    ] {
        let broken = policy.broken_by(&from(client), None);
        assert_eq!(broken, [Rule::ClientIp], "{client}");
    }
}

#[test]
fn a_network_of_everything_is_of_one_family() {
    let policy = networks(&["0.0.0.0/0"]);
    assert_eq!(policy.broken_by(&from("192.0.2.1"), None), []);
    assert_eq!(policy.broken_by(&from("2001:db8::1"), None).len(), 1);
    let policy = networks(&["::/0"]);
    assert_eq!(policy.broken_by(&from("2001:db8::1"), None), []);
    assert_eq!(policy.broken_by(&from("::ffff:192.0.2.1"), None).len(), 1);
}

#[test]
fn an_empty_list_allows_nobody() {
    let policy = Policy {
        client_ips: Some(Vec::new()),
        safety_types: Some(BTreeSet::new()),
        logins: Some(BTreeSet::new()),
        ..Policy::default()
    };
    let rules = [Rule::ClientIp, Rule::SafetyType, Rule::Login];
    assert_eq!(policy.broken_by(&vendors(), None), rules);
}

#[test]
fn what_is_missing_breaks_its_rule() {
    let policy = Policy {
        safety_types: Some([2, 3, 4].into()),
        logins: Some(["virtual@virtual.com".to_owned()].into()),
        ..networks(&["0.0.0.0/0", "::/0"])
    };
    assert_eq!(policy.broken_by(&vendors(), None), []);
    let without = |change: fn(&mut Session)| {
        let mut session = vendors();
        change(&mut session);
        policy.broken_by(&session, None)
    };
    assert_eq!(without(|session| session.client = None), [Rule::ClientIp]);
    assert_eq!(
        without(|session| session.safety_type = None),
        [Rule::SafetyType]
    );
    assert_eq!(without(|session| session.user_login = None), [Rule::Login]);
}

#[test]
fn types_and_logins_are_compared_as_they_are() {
    let policy = Policy {
        safety_types: Some([2, 15].into()),
        logins: Some(["a@example.com".to_owned()].into()),
        ..Policy::default()
    };
    let of = |safety_type, login: &str| {
        let session = Session {
            safety_type: Some(safety_type),
            user_login: Some(login.into()),
            ..session(1)
        };
        policy.broken_by(&session, None)
    };
    assert_eq!(of(2, "a@example.com"), []);
    assert_eq!(of(15, "a@example.com"), []);
    assert_eq!(of(4, "a@example.com"), [Rule::SafetyType]);
    assert_eq!(of(15, "A@example.com"), [Rule::Login]);
    assert_eq!(of(-2, "b@example.com"), [Rule::SafetyType, Rule::Login]);
}

#[test]
fn a_lifetime_is_judged_by_itself_else_by_the_time_left() {
    let policy = Policy {
        max_lifetime: Some(Duration::from_secs(3600)),
        ..Policy::default()
    };
    let hour = 3_600_000.0;
    for (lifetime_ms, left_ms, breaks) in [
        (Some(hour), None, false),
        (Some(hour + 1.0), None, true),
        (Some(hour + 1.0), Some(1.0), true),
        (Some(hour), Some(hour + 1.0), false),
        (None, Some(hour), false),
        (None, Some(hour + 1.0), true),
        (None, Some(0.0), false),
        (None, None, true),
    ] {
        let session = Session {
            lifetime_ms,
            ..session(1)
        };
        let broken = policy.broken_by(&session, left_ms) == [Rule::Lifetime];
        assert_eq!(broken, breaks, "{lifetime_ms:?} {left_ms:?}");
    }
}

#[test]
fn numbers_of_sessions() {
    let policy = Policy {
        min_sessions: Some(2),
        max_sessions: Some(4),
        ..Policy::default()
    };
    let judged = [0, 1, 2, 4, 5, 9].map(|open| {
        (
            policy.too_few(open).unwrap(),
            policy.too_many(open).unwrap(),
        )
    });
    assert_eq!(judged, [(2, 0), (1, 0), (0, 0), (0, 0), (0, 1), (0, 5)]);
    // Numbers are nobody's in particular.
    assert_eq!(policy.broken_by(&session(1), None), []);
}

#[test]
fn each_rule_has_its_own_limit() {
    let whole = Policy {
        client_ips: Some(Vec::new()),
        safety_types: Some(BTreeSet::new()),
        logins: Some(BTreeSet::new()),
        min_sessions: Some(0),
        min_sessions_safety_types: None,
        max_sessions: Some(0),
        max_lifetime: Some(Duration::ZERO),
    };
    let without: [fn(&mut Policy); 6] = [
        |policy| policy.client_ips = None,
        |policy| policy.safety_types = None,
        |policy| policy.logins = None,
        |policy| policy.max_lifetime = None,
        |policy| policy.max_sessions = None,
        |policy| policy.min_sessions = None,
    ];
    for (remove, removed) in without.into_iter().zip(Rule::ALL) {
        let mut policy = whole.clone();
        remove(&mut policy);
        for rule in Rule::ALL {
            assert_eq!(policy.has(rule), rule != removed, "{rule:?}");
        }
    }
}

#[test]
fn names_are_those_of_the_label() {
    assert_eq!(
        Rule::ALL.map(Rule::name),
        [
            "client_ip",
            "safety_type",
            "login",
            "lifetime",
            "max_sessions",
            "min_sessions"
        ]
    );
    assert_eq!(
        CloseReason::ALL.map(CloseReason::name),
        ["expired", "ended", "unknown"]
    );
}

const MAX_AGE: Duration = Duration::from_secs(90);

fn compared(before: &[u64], current: &[u64]) -> (u64, usize) {
    let listed = |ids: &[u64]| list(ids.iter().map(|id| session(*id)).collect::<Vec<_>>());
    let changes = changes(
        &PreviousAnswer {
            list: &listed(before),
            arrival: after(0.0),
            expiry_ms: &|_| None,
        },
        &listed(current),
        after(30.0),
        true,
        MAX_AGE,
    );
    (changes.opened, changes.closed.len())
}

#[test]
fn sessions_are_compared_by_id() {
    assert_eq!(compared(&[], &[]), (0, 0));
    assert_eq!(compared(&[1, 2], &[1, 2]), (0, 0));
    assert_eq!(compared(&[], &[1, 2]), (2, 0));
    assert_eq!(compared(&[1, 2], &[]), (0, 2));
    assert_eq!(compared(&[1, 2, 3], &[3, 4]), (1, 2));
}

#[test]
fn a_renewed_session_neither_opened_nor_closed() {
    let renewed = Session {
        expiry_mark: Some(20160616131413),
        time_left: Some(172_800.0),
        ..vendors()
    };
    let changes = changes(
        &PreviousAnswer {
            list: &list([vendors()]),
            arrival: after(0.0),
            expiry_ms: &|_| None,
        },
        &list([renewed]),
        after(30.0),
        true,
        MAX_AGE,
    );
    assert_eq!((changes.opened, changes.closed), (0, Vec::new()));
}

/// Why a session is gone whose end was so many milliseconds after the answer that misses it.
fn reason(end_after_ms: Option<f64>, arrival: Timestamps, unit_settled: bool) -> CloseReason {
    let end = end_after_ms.map(|ms| arrival.wall_ms + ms);
    let before = PreviousAnswer {
        list: &list([session(1)]),
        arrival: after(0.0),
        expiry_ms: &|id| end.filter(|_| id == 1),
    };
    let changes = changes(&before, &list([]), arrival, unit_settled, MAX_AGE);
    assert_eq!(changes.closed.len(), 1);
    changes.closed.into_iter().next().unwrap()
}

#[test]
fn a_session_is_gone_because_its_time_was_over_or_before() {
    for (end_after_ms, expected) in [
        (-20_000.0, CloseReason::Expired),
        (0.0, CloseReason::Expired),
        (2000.0, CloseReason::Expired),
        (2001.0, CloseReason::Ended),
        (86_400_000.0, CloseReason::Ended),
    ] {
        let reason = reason(Some(end_after_ms), after(30.0), true);
        assert_eq!(reason, expected, "{end_after_ms}");
    }
}

#[test]
fn without_an_end_or_a_settled_unit_it_cannot_be_told() {
    assert_eq!(reason(None, after(30.0), true), CloseReason::Unknown);
    for end_after_ms in [-20_000.0, 0.0, 86_400_000.0] {
        let reason = reason(Some(end_after_ms), after(30.0), false);
        assert_eq!(reason, CloseReason::Unknown, "{end_after_ms}");
    }
}

#[test]
fn a_gap_past_max_age_that_covers_the_end_hides_the_reason() {
    // Ninety seconds are no gap yet.
    assert_eq!(
        reason(Some(-50_000.0), after(90.0), true),
        CloseReason::Expired
    );
    let long = after(90.001);
    assert_eq!(reason(Some(-50_000.0), long, true), CloseReason::Unknown);
    assert_eq!(reason(Some(0.0), long, true), CloseReason::Unknown);
    assert_eq!(reason(Some(2000.0), long, true), CloseReason::Unknown);
    // Its time was not over when the answer came, whatever happened in the gap.
    assert_eq!(reason(Some(2001.0), long, true), CloseReason::Ended);
    // Its time was over before the gap.
    assert_eq!(reason(Some(-90_100.0), long, true), CloseReason::Expired);
    assert_eq!(reason(Some(-91_000.0), long, true), CloseReason::Expired);
}

#[test]
fn a_machine_that_slept_has_a_gap() {
    let slept = moment(8.0 * 3600.0, 30.0);
    assert_eq!(reason(Some(-3600e3), slept, true), CloseReason::Unknown);
    assert_eq!(reason(Some(3600e3), slept, true), CloseReason::Ended);
}
