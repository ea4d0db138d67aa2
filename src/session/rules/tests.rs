//! The rules.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::session::test_support::{session, vendors};

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
fn addresses_in_the_networks_are_allowed() {
    let policy = networks(&["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32"]);
    for client in [
        "203.0.113.0",
        "203.0.113.255",
        "::ffff:203.0.113.9",
        "198.51.100.7",
        "2001:db8:ffff::1",
    ] {
        assert_eq!(policy.violations(&from(client), None), [], "{client}");
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
        let broken = policy.violations(&from(client), None);
        assert_eq!(broken, [Rule::ClientIp], "{client}");
    }
}

#[test]
fn network_allows_one_address_family() {
    let policy = networks(&["0.0.0.0/0"]);
    assert_eq!(policy.violations(&from("192.0.2.1"), None), []);
    assert_eq!(policy.violations(&from("2001:db8::1"), None).len(), 1);
    let policy = networks(&["::/0"]);
    assert_eq!(policy.violations(&from("2001:db8::1"), None), []);
    assert_eq!(policy.violations(&from("::ffff:192.0.2.1"), None).len(), 1);
}

#[test]
fn missing_field_breaks_its_rule() {
    let policy = Policy {
        safety_types: Some([2, 3, 4].into()),
        logins: Some(["virtual@virtual.com".to_owned()].into()),
        ..networks(&["0.0.0.0/0", "::/0"])
    };
    assert_eq!(policy.violations(&vendors(), None), []);
    let without = |change: fn(&mut Session)| {
        let mut session = vendors();
        change(&mut session);
        policy.violations(&session, None)
    };
    assert_eq!(without(|session| session.client = None), [Rule::ClientIp]);
    assert_eq!(
        without(|session| session.safety_type = None),
        [Rule::SafetyType]
    );
    assert_eq!(without(|session| session.user_login = None), [Rule::Login]);
}

#[test]
fn types_and_logins_are_compared_exactly() {
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
        policy.violations(&session, None)
    };
    assert_eq!(of(2, "a@example.com"), []);
    assert_eq!(of(15, "a@example.com"), []);
    assert_eq!(of(4, "a@example.com"), [Rule::SafetyType]);
    assert_eq!(of(15, "A@example.com"), [Rule::Login]);
    assert_eq!(of(-2, "b@example.com"), [Rule::SafetyType, Rule::Login]);
}

#[test]
fn unknown_lifetime_is_judged_by_the_time_left() {
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
        let broken = policy.violations(&session, left_ms) == [Rule::Lifetime];
        assert_eq!(broken, breaks, "{lifetime_ms:?} {left_ms:?}");
    }
}
