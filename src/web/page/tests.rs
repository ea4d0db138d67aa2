//! The contents of the page, and the values that it must never show.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::session::ClientAddress;
use crate::session::rules::Policy;
use crate::session::{summary::SessionDetails, tracker::TrackingConfig};
use crate::status::LoginBlock;
use crate::tradernet::{AuthError, Awaited, Error, ResponseHead, ServerMessage};
use crate::web::test_support::{
    NOW, ago, answered, failed, published, reading, session, settings, starting,
};

fn timeout() -> Error {
    Error::Timeout {
        after: Duration::from_secs(10),
        awaited: Awaited::Answer { received: None },
        address: "tradernet.com:443".into(),
    }
}

fn document(store: &StatusStore, query: &str, settings: &Settings) -> String {
    let query = Query::parse(query).unwrap();
    let names = SafetyNames::default();
    render(store, &names, &query, settings, ago(3600), NOW).unwrap()
}

/// The page without its style and its script.
fn rendered(store: &StatusStore, query: &str, settings: &Settings) -> String {
    let page = document(store, query, settings);
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, rest) = rest.split_once("</style>").unwrap();
    let (body, _) = rest.rsplit_once("<script>").unwrap();
    format!("{head}{body}")
}

fn page_of(accounts: Vec<AccountStatus>) -> String {
    rendered(&published(accounts), "", &settings())
}

fn quiet() -> TrackingConfig {
    reading(Policy::default(), SessionDetails::Off)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect(start);
    rest.split_once(end).expect(end).0
}

/// Names on the page in their order.
fn names(page: &str) -> Vec<&str> {
    page.split("<bdi>")
        .skip(1)
        .map(|rest| rest.split_once('<').unwrap().0)
        .collect()
}

#[test]
fn policy_allows_only_this_style_and_this_script() {
    let page = document(&published(vec![]), "", &settings());
    for (directive, element) in [("style-src", "style"), ("script-src", "script")] {
        let inline = between(&page, &format!("<{element}>"), &format!("</{element}>"));
        let hash = STANDARD.encode(ring::digest::digest(
            &ring::digest::SHA256,
            inline.as_bytes(),
        ));
        assert!(
            POLICY.contains(&format!("{directive} 'sha256-{hash}';")),
            "{element}"
        );
        assert_eq!(page.matches(&format!("<{element}")).count(), 1);
    }
    assert!(!page.contains(" style=") && !page.contains(" src="));
}

#[test]
fn hostile_text_is_escaped() {
    let name = "\"><script>alert(1)</script><b onclick='x'>&amp;\u{202E}";
    let full = reading(Policy::default(), SessionDetails::Full);
    let mut one = session(1, 4, 60);
    one.user_login = Some("<img src=x>".into());
    one.client = ClientAddress::parse("<svg onload=x>");
    let error = Error::Api(ServerMessage {
        text: "</style><script>alert(2)</script>".to_owned(),
        ..ServerMessage::default()
    });
    let account = failed(answered(name, full, vec![one], NOW), &error, NOW);
    let lifecycle = Settings {
        enable_lifecycle: true,
        ..settings()
    };
    let page = document(&published(vec![account]), "q=%3Cscript%3E", &lifecycle);
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</style").count(), 1);
    for markup in ["<b onclick", "<img", "<svg onload", "\u{202E}"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("alert(1)") && page.contains("img src=x"));
}

#[test]
fn no_session_and_unknown_sessions_differ() {
    let none = page_of(vec![answered("a", quiet(), vec![], NOW)]);
    assert!(none.contains("<b>0</b> open"));
    assert!(none.contains("0 sessions open in 1 account"));
    assert!(!none.contains("<b>?</b>") && !none.contains("nknown"));

    for unknown in [
        starting("a"),
        failed(starting("a"), &timeout(), NOW),
        answered("a", quiet(), vec![], ago(91)),
        failed(answered("a", quiet(), vec![], ago(91)), &timeout(), NOW),
    ] {
        let page = page_of(vec![unknown]);
        assert!(page.contains("<b>?</b> sessions unknown"));
        assert!(page.contains("Sessions unknown"));
        assert!(!page.contains("<b>0</b>") && !page.contains("0 sessions"));
    }
    let at_max_age = page_of(vec![answered(
        "a",
        quiet(),
        vec![session(1, 4, 60)],
        ago(90),
    )]);
    assert!(at_max_age.contains("<b>1</b> open"));
}

/// An account of each state.
fn all_states() -> Vec<AccountStatus> {
    let at_most_none = Policy {
        max_sessions: Some(0),
        ..Policy::default()
    };
    let broken = answered(
        "broken",
        reading(at_most_none, SessionDetails::Off),
        vec![session(1, 4, 60)],
        NOW,
    );
    let rejected = Error::Auth(AuthError::BlockedAfterRejection(Box::new(
        AuthError::NoSessionInLoginResponse(ResponseHead::default()),
    )));
    let mut blocked = failed(starting("blocked"), &rejected, NOW);
    blocked.login_blocked = Some(LoginBlock::Rejected);
    let one = |name, minutes| answered(name, quiet(), vec![session(1, 4, minutes)], NOW);
    vec![
        one("a-long", 600),
        one("b-short", 35),
        one("ending", 4),
        answered("none", quiet(), vec![], NOW),
        starting("new"),
        failed(one("failing", 60), &timeout(), NOW),
        failed(starting("lost"), &timeout(), NOW),
        blocked,
        broken,
    ]
}

#[test]
fn most_urgent_state_first_and_trouble_as_cards() {
    let mut accounts = all_states();
    for number in 0..MAX_CARDS_ONLY {
        let name = format!("z{number}");
        accounts.push(answered(&name, quiet(), vec![session(1, 4, 700)], NOW));
    }
    let page = page_of(accounts);
    let (cards, rows) = page.split_once("<ul class=\"rows\">").unwrap();
    let trouble = ["blocked", "broken", "lost", "failing", "ending"];
    assert_eq!(names(cards), trouble);
    let others = ["none", "new", "b-short", "a-long", "z0", "z1"];
    assert_eq!(names(rows).get(..6).unwrap(), others);
    assert!(page.contains("<title>\u{25A0} 5 of 21 accounts need attention"));
    assert!(cards.contains("<b>1</b> open, at most 0 allowed"));
    assert!(rows.contains("<span class=\"types\">1 password</span>"));
    assert_eq!(rows.matches("polls").count(), 0);
}

#[test]
fn few_accounts_are_all_cards() {
    let page = page_of(all_states());
    assert_eq!(page.matches("<li class=\"card ").count(), 9);
    assert!(!page.contains("class=\"rows\""));
}

#[test]
fn state_and_name_select_accounts() {
    let store = published(all_states());
    let shown = |query| {
        let page = rendered(&store, query, &settings());
        let names: Vec<_> = names(&page).into_iter().map(str::to_owned).collect();
        (names, page)
    };
    let (failing, page) = shown("state=failing");
    assert_eq!(failing, ["failing"]);
    assert!(page.contains("1 of 9 accounts match."));
    assert!(page.contains("5 of 9 accounts need attention"), "of all");
    assert!(page.contains("href=\"./?state=failing\" aria-current=\"true\""));
    assert!(page.contains("href=\"./api/v1/accounts?state=failing\""));
    assert_eq!(shown("q=SHORT").0, ["b-short"]);
    assert_eq!(shown("state=ok&q=a-").0, ["a-long"]);
    // The whole name is more than the urgency.
    let named = published(vec![
        failed(starting("a-10"), &timeout(), NOW),
        starting("a-1"),
    ]);
    let names_of = |query| names(&rendered(&named, query, &settings())).join(" ");
    assert_eq!(
        [names_of("q=a"), names_of("q=a-1")],
        ["a-10 a-1", "a-1 a-10"]
    );
    let (none, page) = shown("q=%22nothing");
    assert!(none.is_empty() && page.contains("No account matches."));
    assert!(page.contains("name=\"q\" value=\"&#34;nothing\""));
}

#[test]
fn failure_has_advice_with_the_account_filled_in() {
    let page = page_of(vec![failed(starting("a"), &timeout(), NOW)]);
    assert!(
        page.contains(
            "<code>timeout</code><br>No complete answer from tradernet.com:443 within 10s."
        )
    );
    assert!(page.contains("<b>What to do</b><br>The server, or a proxy before it, is too slow"));
    assert!(!page.contains("--web.enable-lifecycle"));

    let rejected = Error::Auth(AuthError::BlockedAfterRejection(Box::new(
        AuthError::NoSessionInLoginResponse(ResponseHead::default()),
    )));
    let mut blocked = failed(starting("desk 1/ü"), &rejected, NOW);
    blocked.login_blocked = Some(LoginBlock::Rejected);
    let store = published(vec![blocked]);
    let off = rendered(&store, "", &settings());
    assert!(off.contains("POST /-/reload?account=desk+1%2F%C3%BC"));
    assert!(off.contains("This command is disabled; start the exporter with"));
    assert!(!off.contains("Retry"));
    let lifecycle = Settings {
        enable_lifecycle: true,
        ..settings()
    };
    let on = rendered(&store, "", &lifecycle);
    assert!(!on.contains("disabled"));
    assert!(on.contains("method=\"post\" action=\"./-/reload?account=desk+1%2F%C3%BC\""));
}

#[test]
fn past_failure_is_one_line() {
    let hostile = Error::Api(ServerMessage {
        text: "<b>no</b>".to_owned(),
        ..ServerMessage::default()
    });
    let before = failed(starting("a"), &hostile, ago(180));
    let after = answered("a", quiet(), vec![], NOW);
    let after = AccountStatus {
        last_failure: before.last_failure,
        ..after
    };
    let page = page_of(vec![after.clone()]);
    let line = between(&page, "<p class=\"note past\">", "</p>");
    assert!(line.starts_with(
        "Last failed <span class=\"time\" data-ago=\"180000\">3 min 0 s ago</span>: "
    ));
    assert!(!page.contains("<b>no</b>") && !page.contains("Last poll failed"));

    // A current failure is shown once, in full.
    let page = page_of(vec![failed(after, &timeout(), NOW)]);
    assert!(page.contains("Last poll failed") && !page.contains("Last failed"));
}

#[test]
fn time_left_counts_from_now_and_not_from_the_answer() {
    let page = page_of(vec![answered(
        "a",
        quiet(),
        vec![session(1, 4, 60)],
        ago(40),
    )]);
    assert!(page.contains("Ends <span class=\"time\" data-left=\"3560000\">in 59 min 20 s</span>"));
    assert!(
        page.contains(
            "<time datetime=\"2026-03-02T07:59:20Z\" data-form=\"time\">Mon 07:59:20 UTC"
        )
    );
    // The last hour takes nearly half of the bar.
    assert!(page.contains("width=\"45.08%\" data-last=\"3560000\""));
    let over = page_of(vec![answered(
        "a",
        quiet(),
        vec![session(1, 4, 1)],
        ago(80),
    )]);
    assert!(over.contains("data-left=\"-20000\">now, waiting for the next poll</span>"));
    assert!(over.contains("<b>1</b> open"));
    assert!(over.contains("width=\"0.00%\" data-last"));
}

#[test]
fn last_required_session_is_noted_where_another_ends_later() {
    let policy = Policy {
        min_sessions: Some(1),
        min_sessions_safety_types: Some([2].into()),
        ..Policy::default()
    };
    let reading = reading(policy, SessionDetails::Off);
    let note = "The last one that counts for the minimum ends <span class=\"time\" \
                data-left=\"1200000\">in 20 min 0 s</span>.";
    let one = |minutes| {
        let sessions = vec![session(1, 2, 20), session(2, 14, minutes)];
        page_of(vec![answered("a", reading.clone(), sessions, NOW)])
    };
    assert!(one(60).contains(note));
    assert!(!one(10).contains("counts for the minimum"));
}

#[test]
fn unconfirmed_unit_is_noted() {
    let mut status = answered("a", quiet(), vec![session(1, 4, 60)], NOW);
    assert!(!page_of(vec![status.clone()]).contains("not confirmed"));
    status.unit.confirmed = false;
    let note = "The unit of the time left is not confirmed; milliseconds assumed.";
    assert!(page_of(vec![status]).contains(note));
}

#[test]
fn logins_and_addresses_only_with_full_details() {
    for (details, shown) in [
        (SessionDetails::Off, false),
        (SessionDetails::Anonymous, false),
        (SessionDetails::Full, true),
    ] {
        let read = reading(Policy::default(), details);
        let page = page_of(vec![answered("a", read, vec![session(77, 4, 60)], NOW)]);
        assert_eq!(page.contains("trader@example.com"), shown);
        assert_eq!(page.contains("203.0.113.9"), shown);
        assert_eq!(page.contains("<b>77</b>"), details != SessionDetails::Off);
    }
}

#[test]
fn five_thousand_accounts_are_paged_by_200() {
    let many = (0..5000).map(|number| answered(&format!("n{number:04}"), quiet(), vec![], NOW));
    let store = published(many.collect());
    let page = |query| rendered(&store, query, &settings());
    let first = page("");
    assert_eq!(names(&first).len(), 200);
    assert!(first.contains("Accounts 1 to 200 of 5000, most urgent first"));
    assert!(first.contains("href=\"./?page=2\"") && !first.contains("rel=\"prev\""));
    let last = page("page=25");
    assert!(last.contains("Accounts 4801 to 5000 of 5000"));
    assert!(last.contains("<bdi>n4999</bdi>") && !last.contains("rel=\"next\""));
    assert!(page("page=26").contains("Accounts 4801 to 5000"));
    assert!(page("page=0").contains("Accounts 1 to 200"));
    let found = page("q=n4&page=2");
    assert!(found.contains("Accounts 201 to 400 of 1000"));
    assert!(found.contains("href=\"./?q=n4&#38;page=3\""));
}

#[test]
fn totals_and_the_exporter_itself() {
    let one = |name| {
        let sessions = vec![session(1, 4, 60), session(2, 2, 6)];
        answered(name, quiet(), sessions, NOW)
    };
    let page = page_of(vec![one("a"), one("b"), starting("c")]);
    assert!(page.contains("Waiting for the first answers"));
    assert!(page.contains("4 sessions open in 2 accounts, 1 account unknown"));
    assert!(page_of(vec![]).contains("No account is configured"));
    let footer = between(&page, "<footer>", "</footer>");
    for text in [
        env!("CARGO_PKG_VERSION"),
        "02 Mar 2026 06:00 UTC",
        "shard 0/1, 3 accounts.",
        "href=\"./metrics\"",
        "href=\"./api/v1/accounts\"",
        "/docs\"",
        "/docs/dashboards.md\"",
        "/docs/runbooks.md\"",
    ] {
        assert!(footer.contains(text), "{text} in {footer}");
    }
}
