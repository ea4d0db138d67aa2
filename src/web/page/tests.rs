//! What the page says, and what it must never say.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::session::rules::Policy;
use crate::session::summary::SessionDetails;
use crate::status::{AccountStatus, LoginBlock};
use crate::tradernet::{AuthError, Error, ServerMessage};
use crate::web::test_support::{NOW, ago, answered, failed, published, reading, session, starting};

fn timeout() -> Error {
    Error::Timeout {
        after: std::time::Duration::from_secs(10),
    }
}

fn page_of(accounts: Vec<AccountStatus>, number: usize) -> String {
    page_after(&published(accounts), number)
}

fn page_after(board: &StatusStore, number: usize) -> String {
    let names = SafetyNames::default();
    let bytes = render(board, &names, NOW, number, "/metrics");
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn quiet() -> crate::session::tracker::TrackingConfig {
    reading(Policy::default(), SessionDetails::Off)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect(start);
    rest.split_once(end).expect(end).0
}

#[test]
fn the_policy_allows_this_style_and_this_script_alone() {
    let page = page_of(vec![], 1);
    let policy = policy();
    let policy = policy.to_str().unwrap();
    for (directive, element) in [("style-src", "style"), ("script-src", "script")] {
        let inline = between(&page, &format!("<{element}>"), &format!("</{element}>"));
        let hash = STANDARD.encode(ring::digest::digest(
            &ring::digest::SHA256,
            inline.as_bytes(),
        ));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{hash}';")),
            "{element}"
        );
        assert_eq!(page.matches(&format!("<{element}")).count(), 1);
    }
    assert!(!page.contains(" style="));
    assert!(
        !page.contains("http://") || page.matches("http://").count() == 1,
        "the icon's namespace"
    );
    assert!(!page.contains("https://"));
}

#[test]
fn a_hostile_name_is_text() {
    let name = "\"><script>alert(1)</script><b onclick='x'>&amp;\u{202E}";
    let full = reading(Policy::default(), SessionDetails::Full);
    let mut one = session(1, 4, 60);
    one.user_login = Some("<img src=x>".into());
    one.client = crate::session::ClientAddress::parse("<svg onload=x>");
    let error = Error::Api(ServerMessage {
        text: "</style><script>alert(2)</script>".to_owned(),
        ..ServerMessage::default()
    });
    let page = page_of(
        vec![failed(answered(name, full, vec![one], NOW), &error, NOW)],
        1,
    );
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</style").count(), 1);
    for markup in ["<b onclick", "<img", "<svg onload", "\u{202E}"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("&lt;img src=x&gt;"));
}

#[test]
fn none_open_and_not_known_differ() {
    let none = page_of(vec![answered("a", quiet(), vec![], NOW)], 1);
    assert!(none.contains("<b>0</b> no session is open"));
    assert!(none.contains("0 sessions open"));
    assert!(!none.contains("<b>?</b>") && !none.contains("nknown</"));

    for unknown in [
        starting("a"),
        failed(starting("a"), &timeout(), NOW),
        answered("a", quiet(), vec![], ago(91)),
        failed(answered("a", quiet(), vec![], ago(91)), &timeout(), NOW),
    ] {
        let page = page_of(vec![unknown], 1);
        assert!(page.contains("<b>?</b> sessions unknown"));
        assert!(page.contains("Sessions unknown"));
        assert!(!page.contains("<b>0</b>"));
        assert!(!page.contains("0 sessions"));
    }
}

#[test]
fn an_answer_is_believed_up_to_its_age() {
    let page = page_of(
        vec![answered("a", quiet(), vec![session(1, 4, 60)], ago(90))],
        1,
    );
    assert!(page.contains("<b>1</b> session open"));
}

#[test]
fn worst_first() {
    let strict = Policy {
        max_sessions: Some(0),
        ..Policy::default()
    };
    let broken = answered(
        "broken",
        reading(strict, SessionDetails::Off),
        vec![session(1, 4, 60)],
        NOW,
    );
    let refused = Error::Auth(AuthError::BlockedAfterRejection(Box::new(
        AuthError::NoSessionInLoginResponse,
    )));
    let mut blocked = failed(starting("blocked"), &refused, NOW);
    blocked.login_blocked = Some(LoginBlock::Refused);
    let one = |name, minutes| answered(name, quiet(), vec![session(1, 4, minutes)], NOW);
    let page = page_of(
        vec![
            one("a-long", 600),
            one("b-short", 5),
            one("ending", 4),
            answered("none", quiet(), vec![], NOW),
            starting("new"),
            failed(one("failing", 60), &timeout(), NOW),
            failed(starting("lost"), &timeout(), NOW),
            blocked,
            broken,
        ],
        1,
    );
    let names: Vec<_> = page
        .split("<h2><bdi>")
        .skip(1)
        .map(|rest| rest.split_once('<').unwrap().0)
        .collect();
    let expected = [
        "broken", "blocked", "lost", "failing", "ending", "new", "none", "b-short", "a-long",
    ];
    assert_eq!(names, expected);
    assert!(page.contains("<title>\u{25B2} 5 of 9 accounts need attention"));
    assert!(page.contains("<b>1</b> more than allowed <code>max_sessions</code>"));
}

#[test]
fn a_failure_says_what_to_do() {
    let page = page_of(vec![failed(starting("a"), &timeout(), NOW)], 1);
    assert!(page.contains("<code>timeout</code><br>No complete answer within 10s."));
    assert!(page.contains(
        "Check that TRADERNET_URL (of a stream TRADERNET_WS_URL or TRADERNET_SOCKETIO_URL) can be reached from here, or raise TRADERNET_TIMEOUT."
    ));
}

#[test]
fn a_failure_that_has_passed_is_one_quiet_line() {
    let hostile = Error::Api(ServerMessage {
        text: "<b>no</b>".to_owned(),
        ..ServerMessage::default()
    });
    let before = failed(starting("a"), &hostile, ago(180));
    let well = AccountStatus {
        last_failure: before.last_failure,
        ..answered("a", quiet(), vec![], NOW)
    };
    let board = published(vec![well.clone()]);
    let page = page_after(&board, 1);
    let line = between(&page, "<p class=\"note past\">", "</p>");
    assert!(line.starts_with(
        "Last failed <span class=\"time\" data-ago=\"180000\">3 min 0 s ago</span>: "
    ));
    assert!(line.contains("&lt;b&gt;no&lt;/b&gt;") && !page.contains("<b>no</b>"));
    assert!(!page.contains("Last poll failed"));

    // While it still fails it is told at length, and not twice.
    board.publish(failed(well.clone(), &timeout(), NOW));
    assert!(!page_after(&board, 1).contains("Last failed"));

    board.publish(answered("a", quiet(), vec![], NOW));
    assert!(!page_after(&board, 1).contains("Last failed"));
}

#[test]
fn time_left_runs_from_now_and_not_from_the_answer() {
    let page = page_of(
        vec![answered("a", quiet(), vec![session(1, 4, 60)], ago(40))],
        1,
    );
    assert!(page.contains("Ends <span class=\"time\" data-left=\"3560000\">in 59 min 20 s</span>"));
    assert!(page.contains("2026-03-02T07:59:20Z"));
    // 3560 s of a day.
    assert!(page.contains(
        "<rect class=\"low\" data-left=\"3560000\" data-full=\"86400000\" width=\"4.12%\""
    ));
    let over = page_of(
        vec![answered("a", quiet(), vec![session(1, 4, 1)], ago(80))],
        1,
    );
    assert!(over.contains("data-left=\"-20000\">now: the next answer tells</span>"));
    assert!(over.contains("<b>1</b> session open"));
}

#[test]
fn an_unconfirmed_unit_is_said() {
    let mut status = answered("a", quiet(), vec![session(1, 4, 60)], NOW);
    assert!(!page_of(vec![status.clone()], 1).contains("not confirmed"));
    status.unit.confirmed = false;
    assert!(page_of(vec![status], 1).contains("Time left is not confirmed: read as milliseconds"));
}

#[test]
fn logins_and_addresses_with_full_details_alone() {
    for (details, shown) in [
        (SessionDetails::Off, false),
        (SessionDetails::Anonymous, false),
        (SessionDetails::Full, true),
    ] {
        let read = reading(Policy::default(), details);
        let page = page_of(vec![answered("a", read, vec![session(77, 4, 60)], NOW)], 1);
        assert_eq!(page.contains("trader@example.com"), shown);
        assert_eq!(page.contains("203.0.113.9"), shown);
        assert_eq!(page.contains("<b>77</b>"), details != SessionDetails::Off);
    }
}

#[test]
fn ten_thousand_accounts_come_in_pages() {
    let many: Vec<_> = (0..10_000)
        .map(|number| answered(&format!("n{number:05}"), quiet(), vec![], NOW))
        .collect();
    let first = page_of(many.clone(), 1);
    assert_eq!(first.matches("<h2>").count(), 200);
    assert!(first.contains("Accounts 1 to 200 of 10000, worst first"));
    assert!(first.contains("href=\"?page=2\"") && !first.contains("href=\"?page=0\""));
    let last = page_of(many.clone(), 50);
    assert!(last.contains("Accounts 9801 to 10000 of 10000"));
    assert!(last.contains("<bdi>n09999</bdi>") && !last.contains("href=\"?page=51\""));
    assert!(page_of(many.clone(), 51).contains("Accounts 9801 to 10000"));
    assert!(page_of(many, 0).contains("Accounts 1 to 200"));
}

#[test]
fn what_it_adds_up_to() {
    let one = |name| {
        answered(
            name,
            quiet(),
            vec![session(1, 4, 60), session(2, 2, 6)],
            NOW,
        )
    };
    let page = page_of(vec![one("a"), one("b"), starting("c")], 1);
    assert!(page.contains("Waiting for the first answers"));
    assert!(page.contains("4 sessions open in 2 accounts, 1 account unknown"));
    assert!(page_of(vec![], 1).contains("No account is configured"));
}
