//! Client addresses, and lists.
#![allow(clippy::unwrap_used)]

use super::test_support::{expiring, list, session};
use super::*;

fn parsed(text: &str) -> Option<String> {
    ClientAddress::parse(text).map(|address| address.to_string())
}

#[test]
fn addresses_are_normalized() {
    for (text, expected) in [
        ("19.16.32.32", "19.16.32.32"),
        (" 19.16.32.32\t", "19.16.32.32"),
        ("::ffff:19.16.32.32", "19.16.32.32"),
        ("::FFFF:1310:2020", "19.16.32.32"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
    ] {
        assert_eq!(parsed(text).as_deref(), Some(expected), "{text}");
        assert!(
            matches!(ClientAddress::parse(text), Some(ClientAddress::Ip(_))),
            "{text}"
        );
    }
}

#[test]
fn unparsed_address_keeps_its_text() {
    for text in ["19.16.32", "19.16.32.32:443", "fe80::1%eth0", "desk 7"] {
        let expected = Some(ClientAddress::Unparsed(text.into()));
        assert_eq!(ClientAddress::parse(text), expected);
        assert_eq!(parsed(text).as_deref(), Some(text));
    }
}

#[test]
fn empty_text_is_no_address() {
    assert_eq!(ClientAddress::parse(""), None);
    assert_eq!(ClientAddress::parse(" \t\n"), None);
}

#[test]
fn sessions_are_found_by_id() {
    let list = list([session(7), session(1), session(u64::MAX)]);
    let ids: Vec<u64> = list.sessions().iter().map(|session| session.id).collect();
    assert_eq!(ids, [1, 7, u64::MAX]);
    assert_eq!(list.get(7), Some(&session(7)));
    assert_eq!(list.get(8), None);
    assert_eq!(list.undecodable(), 0);
}

#[test]
fn last_of_repeated_ids_wins() {
    let sessions = vec![
        expiring(7, 1.0),
        session(8),
        expiring(7, 2.0),
        expiring(6, 5.0),
        expiring(7, 3.0),
    ];
    let list = SessionList::new(sessions, 4);
    assert_eq!(
        list.sessions(),
        [expiring(6, 5.0), expiring(7, 3.0), session(8)]
    );
    assert_eq!(list.undecodable(), 6);
}
