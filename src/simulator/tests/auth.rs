//! Who may read a list, and whose it is.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::client::{Ask, form, serving};
use crate::simulator::{AccountSpec, SessionSpec, Simulator};

const NOW: i64 = 1_700_000_000;
const NONCE: u64 = 17_000_000_000_000;

/// Two accounts: `desk-1` with a SID, a password and session 1; `bot` with a key and session 2.
fn world() -> Simulator {
    let world =
        Simulator::with_clock(|| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs()));
    world.add_account(
        AccountSpec::new("desk-1")
            .sid("sid-of-desk")
            .password("right"),
    );
    world.add_account(AccountSpec::new("bot").key("key-of-bot", "secret-of-bot"));
    world
        .account("desk-1")
        .open_session(SessionSpec::default().id(1));
    world
        .account("bot")
        .open_session(SessionSpec::default().id(2));
    world
}

#[tokio::test]
async fn v1_reads_by_get_and_post_with_sid_in_the_query_or_as_a_cookie() {
    let address = serving(&world()).await;
    let q = json!({ "cmd": "getSecuritySessions", "SID": "sid-of-desk", "params": {} });
    let without = json!({ "cmd": "getSecuritySessions" });
    let query = form(&[("q", &q.to_string())]);
    assert_eq!(Ask::v1(&q).ids(address).await, Ok(vec![1]));
    assert_eq!(
        Ask::get(format!("/api/?{query}")).ids(address).await,
        Ok(vec![1])
    );
    assert_eq!(
        Ask::get(format!("/api?{query}")).ids(address).await,
        Ok(vec![1])
    );
    assert_eq!(Ask::post("/api", query).ids(address).await, Ok(vec![1]));
    let cookie = Ask::v1(&without).header("cookie", "PHPSESSID=x; SID=sid-of-desk; uid=1");
    assert_eq!(cookie.ids(address).await, Ok(vec![1]));
    let decoy = Ask::v1(&without).header("cookie", "PHPSESSID=sid-of-desk");
    assert_eq!(decoy.ids(address).await, Err(12));
}

#[tokio::test]
async fn what_is_wrong_with_a_v1_query_has_its_code() {
    let address = serving(&world()).await;
    assert_eq!(Ask::get("/api/").ids(address).await, Err(1));
    assert_eq!(Ask::get("/api/?q=%7B").ids(address).await, Err(2));
    assert_eq!(
        Ask::v1(&json!({ "SID": "sid-of-desk" })).ids(address).await,
        Err(1)
    );
    assert_eq!(
        Ask::v1(&json!({ "cmd": "getOrders", "SID": "sid-of-desk" }))
            .ids(address)
            .await,
        Err(3)
    );
    let params = json!({ "cmd": "getSecuritySessions", "SID": "sid-of-desk", "params": 5 });
    assert_eq!(Ask::v1(&params).ids(address).await, Err(5));
    assert_eq!(Ask::sid("another").ids(address).await, Err(12));
    assert_eq!(
        Ask::get("/api/check-login-password").ids(address).await,
        Err(2)
    );
    assert_eq!(Ask::get("/").answer(address).await.status, 404);
}

#[tokio::test]
async fn a_login_hands_out_a_sid_that_reads() {
    let world = world();
    let address = serving(&world).await;
    let answer = Ask::login("desk-1", "right").answer(address).await;
    let sid = answer
        .header("set-cookie")
        .strip_prefix("SID=")
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    assert_eq!(Ask::sid(sid).ids(address).await, Ok(vec![1]));
    assert_eq!(Ask::login("desk-1", "wrong").ids(address).await, Err(12));
    assert_eq!(
        (
            world.account("desk-1").login_count(),
            world.account("desk-1").list_request_count()
        ),
        (2, 1)
    );

    world.account("desk-1").revoke_sids();
    assert_eq!(Ask::sid(sid).ids(address).await, Err(12));
    assert_eq!(
        world.account("desk-1").list_request_count(),
        2,
        "a dead SID still tells whose it was"
    );
}

#[tokio::test]
async fn v2_wants_a_right_signature_and_a_nonce_that_grows() {
    let address = serving(&world()).await;
    let ask = |nonce| Ask::v2("key-of-bot", "secret-of-bot", nonce);
    assert_eq!(ask(NONCE).ids(address).await, Ok(vec![2]));
    assert_eq!(ask(NONCE).ids(address).await, Err(4));
    assert_eq!(ask(NONCE - 1).ids(address).await, Err(4));
    assert_eq!(ask(NONCE + 1).ids(address).await, Ok(vec![2]));
    assert_eq!(
        Ask::v2("key-of-bot", "wrong", NONCE + 2).ids(address).await,
        Err(4)
    );
    assert_eq!(
        ask(NONCE + 2).ids(address).await,
        Ok(vec![2]),
        "a refused nonce is not used up"
    );
    assert_eq!(
        ask(NONCE + 3).header("x-ntapi-sig", "").ids(address).await,
        Err(12)
    );
    let answer = Ask::v2("another", "secret-of-bot", NONCE)
        .answer(address)
        .await;
    assert_eq!(
        answer.json(),
        json!({ "errMsg": "Invalid api key provided", "code": 12 })
    );
}

#[tokio::test]
async fn v3_wants_a_right_signature_and_a_time_near_the_worlds() {
    let world = world();
    let address = serving(&world).await;
    let ask = |timestamp| Ask::v3("key-of-bot", "secret-of-bot", timestamp);
    for (off, wanted) in [
        (0, Ok(vec![2])),
        (300, Ok(vec![2])),
        (-300, Ok(vec![2])),
        (301, Err(4)),
        (-301, Err(4)),
    ] {
        assert_eq!(ask(NOW + off).ids(address).await, wanted, "off by {off} s");
    }
    assert_eq!(
        Ask::v3("key-of-bot", "wrong", NOW).ids(address).await,
        Err(4)
    );
    assert_eq!(
        Ask::v3("another", "secret-of-bot", NOW).ids(address).await,
        Err(12)
    );
    assert_eq!(
        Ask::post("/api/getSecuritySessions", "{}")
            .ids(address)
            .await,
        Err(12)
    );
    assert_eq!(Ask::post("/api/getOrders", "{}").ids(address).await, Err(3));
}

#[tokio::test]
async fn a_form_says_that_it_is_one() {
    let address = serving(&world()).await;
    let plain = |ask: Ask| ask.header("content-type", "text/plain");
    assert_eq!(plain(Ask::sid("sid-of-desk")).ids(address).await, Err(1));
    assert_eq!(
        plain(Ask::login("desk-1", "right")).ids(address).await,
        Err(7)
    );
    assert_eq!(
        plain(Ask::v2("key-of-bot", "secret-of-bot", NONCE))
            .ids(address)
            .await,
        Err(1)
    );
    let charset = "application/x-www-form-urlencoded; charset=utf-8";
    let ask = Ask::sid("sid-of-desk").header("content-type", charset);
    assert_eq!(ask.ids(address).await, Ok(vec![1]));
}

#[tokio::test]
async fn a_sid_cookie_beside_a_key_reads_the_sids_account() {
    let address = serving(&world()).await;
    for ask in [
        Ask::v3("key-of-bot", "secret-of-bot", NOW),
        Ask::v2("key-of-bot", "secret-of-bot", NONCE),
    ] {
        assert_eq!(
            ask.clone()
                .header("cookie", "SID=sid-of-desk")
                .ids(address)
                .await,
            Ok(vec![1])
        );
        assert_eq!(ask.header("cookie", "SID=dead").ids(address).await, Err(12));
    }
}

#[tokio::test]
async fn libraries_that_do_not_say_who_they_are_get_a_page_of_html() {
    let address = serving(&world()).await;
    for agent in [
        "",
        "reqwest/0.13",
        "hyper/1.0",
        "Go-http-client/2.0",
        "Java/21",
        "libwww-perl/6.77",
    ] {
        let answer = Ask::sid("sid-of-desk")
            .header("user-agent", agent)
            .answer(address)
            .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (403, "text/html; charset=utf-8"),
            "{agent}"
        );
    }
    for agent in ["python-requests/2.34.2", "tradernet-exporter/0.1.0"] {
        assert_eq!(
            Ask::sid("sid-of-desk")
                .header("user-agent", agent)
                .ids(address)
                .await,
            Ok(vec![1]),
            "{agent}"
        );
    }
}
