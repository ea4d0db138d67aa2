//! Login and password: where the SID is found, when another login is made, and when none is.

use std::time::Duration;

use bytes::Bytes;
use tradernet_exporter::simulator::{
    AccountSpec, ErrorEnvelope, Fault, FaultTarget, LoginBehaviour, Repeat, SessionSpec, Simulator,
};

use crate::support::{
    ExporterProcess, Exposition, InProcessExporter, LOGIN, SimulatedApi, TestClock, advance_time,
    post, wait_until_some,
};

const PASSWORD: &str = "right";
const CREDENTIAL: [(&str, &str); 2] =
    [("TRADERNET_LOGIN", LOGIN), ("TRADERNET_PASSWORD", PASSWORD)];
const MINUTE: Duration = Duration::from_secs(60);

fn account() -> AccountSpec {
    AccountSpec {
        // The platform's own limit is not what is looked at here.
        logins_per_minute: 1000,
        ..AccountSpec::new(LOGIN).password(PASSWORD)
    }
}

async fn upstream(behaviour: LoginBehaviour) -> SimulatedApi {
    SimulatedApi::start_with(account().login_behaviour(behaviour)).await
}

/// Logins and requests for the list that the simulator saw.
fn seen(world: &Simulator) -> (u64, u64) {
    (
        world.account(LOGIN).login_count(),
        world.account(LOGIN).list_request_count(),
    )
}

/// Logins, refused ones and whether another is forbidden, as the page tells it.
fn told(page: &Exposition) -> (f64, f64, f64) {
    (
        page.get("tradernet_logins_total", &[]),
        page.get("tradernet_login_failures_total", &[]),
        page.get("tradernet_login_blocked", &[]),
    )
}

fn fail_logins(world: &Simulator, times: Repeat, fault: Fault) {
    world
        .account(LOGIN)
        .inject_fault(FaultTarget::Login, times, fault);
}

#[tokio::test]
async fn sid_locations() {
    for behaviour in [
        LoginBehaviour::Cookie,
        // The cookie comes first: what the body names is another's.
        LoginBehaviour::CookieAndDifferentBodySid,
        // Beside a PHPSESSID cookie, which is no SID.
        LoginBehaviour::BodyOnly { key: "SID" },
        LoginBehaviour::BodyOnly { key: "sid" },
        LoginBehaviour::BodyOnly { key: "sessionId" },
    ] {
        let upstream = upstream(behaviour.clone()).await;
        let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
        let page = exporter.poll().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "{behaviour:?}");
        assert_eq!(seen(&upstream.world), (1, 2), "{behaviour:?}");
        assert_eq!(told(&page), (1.0, 0.0, 0.0));
        assert_eq!(page.failures(), [].into());
        exporter.stop().await;
    }
}

fn logged_in(cookies: &[&str], body: &'static str) -> Fault {
    let cookies = cookies.iter().map(|&cookie| cookie.to_owned());
    Fault::Status {
        code: 200,
        body: Bytes::from_static(body.as_bytes()),
        content_type: "application/json",
        headers: cookies.map(|cookie| ("set-cookie", cookie)).collect(),
    }
}

#[tokio::test]
async fn last_sid_cookie_wins() {
    for (cookies, body) in [
        (&["SID=left-over", "SID=good-one"][..], "{}"),
        (&["SID=good-one; Path=/", "SID=deleted"], "{}"),
        (&["SID=no\u{e9}"], "\u{feff}{\"SID\": \"good-one\"}"),
    ] {
        let upstream = SimulatedApi::start_with(account().sid("good-one")).await;
        let fault = logged_in(cookies, body);
        fail_logins(&upstream.world, Repeat::Forever, fault);
        let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
        let page = exporter.metrics().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "{cookies:?}");
        assert_eq!(seen(&upstream.world), (1, 1));
        exporter.stop().await;
    }
}

/// The login is refused: no list is asked for, and no login tried, for half an hour of polls.
async fn is_refused_for_good(behaviour: Option<LoginBehaviour>, fault: Option<Fault>) {
    let behaviour = behaviour.unwrap_or(LoginBehaviour::Cookie);
    let what = format!("{behaviour:?} {fault:?}");
    let account = account().login_behaviour(behaviour);
    let upstream = SimulatedApi::serve(TestClock::with_tokio(), account, None).await;
    if let Some(fault) = fault {
        fail_logins(&upstream.world, Repeat::Forever, fault);
    }
    let interval = ("TRADERNET_POLL_INTERVAL", "30s");
    let variables = [&CREDENTIAL[..], &[interval]].concat();
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    let page = exporter.metrics().await;
    assert_eq!(told(&page), (1.0, 1.0, 1.0), "{what}");
    // Polls come up to five and a half minutes apart.
    advance_time(MINUTE * 30).await;
    let page = exporter.metrics().await;
    assert!(page.get("tradernet_polls_total", &[]) > 6.0, "{what}");
    assert_eq!(told(&page), (1.0, 1.0, 1.0), "{what}");
    assert_eq!(seen(&upstream.world), (1, 0), "{what}");
    assert_eq!(page.get("tradernet_up", &[]), 0.0);
    let polls = page.get("tradernet_polls_total", &[]);
    assert_eq!(
        page.failures(),
        [("auth".to_owned(), polls)].into(),
        "{what}"
    );
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn rejected_login_is_not_retried() {
    let refusal = || ErrorEnvelope::error(12, "Wrong login or password");
    is_refused_for_good(Some(LoginBehaviour::Reject(refusal())), None).await;
    is_refused_for_good(
        Some(LoginBehaviour::Reject(ErrorEnvelope::err_msg(99, "no"))),
        None,
    )
    .await;
    // A refusal that also hands out a cookie is a refusal.
    is_refused_for_good(
        Some(LoginBehaviour::RejectWithAnonymousSid(refusal())),
        None,
    )
    .await;
    // An account that confirms by SMS: an answer without any SID.
    is_refused_for_good(Some(LoginBehaviour::SmsCodeRequired), None).await;
}

#[tokio::test(start_paused = true)]
async fn similar_cookie_names_are_not_sid() {
    for cookie in [
        "PHPSESSID=0123456789abcdef; Path=/",
        "uid=7; Path=/; SID=0123456789abcdef",
        "XSID=0123456789abcdef",
        "SID=; Path=/",
        "SID=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT",
    ] {
        let decoy = logged_in(&[cookie], "{\"logged\":true}");
        is_refused_for_good(None, Some(decoy)).await;
    }
    // No cookie could bring it back.
    let broken = logged_in(&[], "{\"SID\": \"a\\u0007 b\"}");
    is_refused_for_good(None, Some(broken)).await;
}

#[tokio::test(start_paused = true)]
async fn http_401_and_403_refuse_a_login() {
    let refused = |code, content_type, body: &'static str| Fault::Status {
        code,
        body: body.into(),
        content_type,
        headers: Vec::new(),
    };
    is_refused_for_good(None, Some(refused(401, "application/json", "[]"))).await;
    is_refused_for_good(None, Some(refused(403, "application/json", "{}"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_factor_is_asked_for_once() {
    for body in [
        r#"{"logged":false,"SID":"0123456789abcdef"}"#,
        r#"{"auth_code_id":17,"SID":"0123456789abcdef"}"#,
        r#"{"logged":false,"success":true}"#,
    ] {
        let answer = logged_in(&["SID=0123456789abcdef"], body);
        is_refused_for_good(None, Some(answer)).await;
    }
}

#[tokio::test]
async fn transient_login_failure_is_not_rejection() {
    for (fault, reason) in [
        (Fault::status(500), "http_status"),
        (Fault::HtmlForbidden, "http_status"),
        (Fault::Reset, "network"),
        (Fault::NoResponse, "timeout"),
        (
            Fault::RateLimited {
                retry_after: tradernet_exporter::simulator::RetryAfter::Seconds(1),
            },
            "rate_limited",
        ),
        (
            Fault::OversizedList {
                bytes: 70 << 20,
                with_content_length: false,
            },
            "too_large",
        ),
    ] {
        let what = format!("{fault:?}");
        let upstream = upstream(LoginBehaviour::Cookie).await;
        fail_logins(&upstream.world, Repeat::Count(1), fault);
        let timeout = ("TRADERNET_TIMEOUT", "700ms");
        let variables = [&CREDENTIAL[..], &[timeout]].concat();
        let exporter = InProcessExporter::start(&upstream, &variables).await;
        let page = exporter.metrics().await;
        assert_eq!(page.failures(), [(reason.to_owned(), 1.0)].into(), "{what}");
        assert_eq!(told(&page), (1.0, 0.0, 0.0), "{what}");
        assert_eq!(seen(&upstream.world), (1, 0), "{what}");
        exporter.stop().await;
    }
}

/// What a server in trouble answers a login with, HTTP 200 included.
fn transient_answers() -> Vec<(Fault, &'static str)> {
    let envelope = |error| Fault::envelope(error);
    vec![
        (envelope(ErrorEnvelope::error(429, "no")), "rate_limited"),
        (
            envelope(ErrorEnvelope::error(1, "Too many logins")),
            "rate_limited",
        ),
        (
            envelope(ErrorEnvelope::error(1, "Maintenance")),
            "api_error",
        ),
        (Fault::HtmlPage, "decode"),
        (Fault::EmptyBody, "decode"),
        (Fault::InvalidJson, "decode"),
    ]
}

#[tokio::test]
async fn an_answer_of_a_server_in_trouble_is_no_rejection() {
    for (fault, reason) in transient_answers() {
        let what = format!("{fault:?}");
        let upstream = upstream(LoginBehaviour::Cookie).await;
        fail_logins(&upstream.world, Repeat::Count(1), fault);
        let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
        let page = exporter.metrics().await;
        assert_eq!(page.failures(), [(reason.to_owned(), 1.0)].into(), "{what}");
        assert_eq!(told(&page), (1.0, 0.0, 0.0), "{what}");
        assert_eq!(seen(&upstream.world), (1, 0), "{what}");
        exporter.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_three_transient_failures_one_login_an_hour() {
    let upstream = SimulatedApi::serve(TestClock::with_tokio(), account(), None).await;
    fail_logins(&upstream.world, Repeat::Forever, Fault::HtmlPage);
    let interval = ("TRADERNET_POLL_INTERVAL", "30s");
    let variables = [&CREDENTIAL[..], &[interval]].concat();
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    advance_time(MINUTE * 55).await;
    assert_eq!(seen(&upstream.world), (3, 0));
    assert_eq!(told(&exporter.metrics().await), (3.0, 0.0, 1.0));
    advance_time(MINUTE * 60 * 3).await;
    let logins = upstream.world.account(LOGIN).login_count();
    assert!((5..=6).contains(&logins), "{logins}");
    // It passes by itself.
    upstream.world.account(LOGIN).clear_faults();
    advance_time(MINUTE * 70).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(page.get("tradernet_login_failures_total", &[]), 0.0);
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_answered_with_a_limit_pauses_the_logins_to_its_host() {
    let clock = TestClock::with_tokio();
    let upstream = SimulatedApi::serve(clock, account(), None).await;
    for name in ["b", "c"] {
        let other = AccountSpec {
            logins_per_minute: 1000,
            ..AccountSpec::new(name).password(PASSWORD)
        };
        upstream.world.add_account(other);
    }
    let limit = Fault::RateLimited {
        retry_after: tradernet_exporter::simulator::RetryAfter::Seconds(300),
    };
    fail_logins(&upstream.world, Repeat::Count(1), limit);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.yml");
    let accounts = [("a", LOGIN), ("b", "b"), ("c", "c")].map(|(name, login)| {
        format!("  - {{account: {name}, login: {login}, password: {PASSWORD}}}\n")
    });
    let text = format!(
        "defaults: {{url: \"{}\", poll_interval: 30s}}\naccounts:\n{}",
        upstream.origin,
        accounts.concat()
    );
    std::fs::write(&file, text).unwrap();
    let variables = [
        ("TRADERNET_CONFIG_FILE", file.to_str().unwrap()),
        ("TRADERNET_POLL_INTERVAL", ""),
    ];
    let config = InProcessExporter::config(&variables).unwrap();
    let exporter = InProcessExporter::run(config, upstream.clock.clock()).await;
    let logins = || {
        let count = |name| upstream.world.account(name).login_count();
        [LOGIN, "b", "c"].map(count).iter().sum::<u64>()
    };
    advance_time(MINUTE * 4).await;
    assert_eq!(logins(), 1);
    advance_time(MINUTE * 3).await;
    assert!(logins() >= 3, "{}", logins());
    exporter.stop().await;
}

#[tokio::test]
async fn transient_login_failure_is_retried() {
    let upstream = upstream(LoginBehaviour::Cookie).await;
    fail_logins(&upstream.world, Repeat::Count(1), Fault::status(500));
    let interval = ("TRADERNET_POLL_INTERVAL", "1s");
    let variables = [&CREDENTIAL[..], &[interval]].concat();
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    let page = exporter
        .wait_for("it is up", |page| {
            page.find("tradernet_up", &[]) == Some(1.0)
        })
        .await;
    assert_eq!(told(&page), (2.0, 0.0, 0.0));
    exporter.stop().await;
}

#[tokio::test]
async fn rejected_sid_triggers_one_relogin() {
    let upstream = upstream(LoginBehaviour::Cookie).await;
    upstream
        .world
        .account(LOGIN)
        .open_session(SessionSpec::new(2, MINUTE * 60));
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    assert_eq!(seen(&upstream.world), (1, 1));

    upstream.world.account(LOGIN).revoke_sids();
    let page = exporter.poll().await;
    assert_eq!(seen(&upstream.world), (2, 3));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(page.get("tradernet_polls_total", &[]), 2.0);
    assert_eq!(page.failures(), [].into());
    assert_eq!(told(&page), (2.0, 0.0, 0.0));

    // The same by each of the other ways in which the list says "auth".
    let no = |status, envelope| Fault::ErrorEnvelope { status, envelope };
    upstream.fail_once(no(401, ErrorEnvelope::err_msg(1, "no")));
    let page = exporter.poll().await;
    assert_eq!(seen(&upstream.world), (3, 5));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);

    // Not for anything else.
    upstream.fail_once(no(200, ErrorEnvelope::err_msg(5, "no")));
    exporter.poll().await;
    upstream.fail_once(Fault::status(500));
    exporter.poll().await;
    assert_eq!(seen(&upstream.world), (3, 7));
    exporter.stop().await;
}

#[tokio::test]
async fn a_dead_sid_is_replaced_however_the_server_says_so() {
    let answer = |status, body: &'static str| Fault::Status {
        code: status,
        body: Bytes::from_static(body.as_bytes()),
        content_type: "application/json",
        headers: Vec::new(),
    };
    for (status, body) in [
        (200, r#"{"error":"SID expired","code":null}"#),
        (200, r#"{"errMsg":"Not authorized"}"#),
        (200, r#"{"error":"Invalid credentials","code":401}"#),
        (500, r#"{"errMsg":"Your session is invalid","code":5}"#),
        (401, "<html>"),
    ] {
        let upstream = upstream(LoginBehaviour::Cookie).await;
        let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
        upstream.fail_once(answer(status, body));
        let page = exporter.poll().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "{body}");
        assert_eq!(seen(&upstream.world), (2, 3), "{body}");
        exporter.stop().await;
    }
}

#[tokio::test]
async fn a_missing_right_is_not_cured_by_logins() {
    let upstream = upstream(LoginBehaviour::Cookie).await;
    let no_right = ErrorEnvelope {
        field: tradernet_exporter::simulator::ErrorField::Error,
        code: None,
        message: "you need to open a security session".to_owned(),
    };
    upstream.fail(Fault::ErrorEnvelope {
        status: 403,
        envelope: no_right,
    });
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    exporter.poll().await;
    let page = exporter.poll().await;
    assert_eq!(page.failures(), [("auth".to_owned(), 3.0)].into());
    assert_eq!(told(&page), (1.0, 0.0, 0.0));
    assert_eq!(seen(&upstream.world), (1, 3));
    // The SID is kept: the right may be granted.
    upstream.heal();
    assert_eq!(exporter.poll().await.get("tradernet_up", &[]), 1.0);
    assert_eq!(seen(&upstream.world), (1, 4));
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sid_that_is_rejected_right_after_its_login_is_a_rejection() {
    for envelope in [
        ErrorEnvelope::err_msg(8, "unknown IP"),
        ErrorEnvelope::error(12, "SID expired"),
        ErrorEnvelope::error(401, "no"),
    ] {
        let upstream = SimulatedApi::serve(TestClock::with_tokio(), account(), None).await;
        upstream.fail(Fault::envelope(envelope));
        let interval = ("TRADERNET_POLL_INTERVAL", "30s");
        let variables = [&CREDENTIAL[..], &[interval]].concat();
        let exporter = InProcessExporter::start(&upstream, &variables).await;
        advance_time(MINUTE * 60 * 5).await;
        let page = exporter.metrics().await;
        assert_eq!(upstream.world.account(LOGIN).login_count(), 1);
        assert_eq!(told(&page), (1.0, 1.0, 1.0));
        assert_eq!(page.get("tradernet_up", &[]), 0.0);
        // The server accepts it after all.
        upstream.heal();
        advance_time(MINUTE * 10).await;
        let page = exporter.metrics().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0);
        assert_eq!(told(&page), (1.0, 1.0, 0.0));
        exporter.stop().await;
    }
}

#[tokio::test]
async fn at_most_three_logins_in_fifteen_minutes() {
    let upstream = upstream(LoginBehaviour::Cookie).await;
    let world = &upstream.world;
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    let refused_again = async || {
        world.account(LOGIN).revoke_sids();
        exporter.poll().await
    };
    upstream.clock.advance(MINUTE);
    refused_again().await;
    upstream.clock.advance(MINUTE);
    let page = refused_again().await;
    assert_eq!(world.account(LOGIN).login_count(), 3);
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(told(&page), (3.0, 0.0, 1.0));

    for _ in 0..3 {
        // Not even for an operator, which every one of these polls is: the limit protects the account.
        let page = refused_again().await;
        assert_eq!(world.account(LOGIN).login_count(), 3);
        assert_eq!(page.get("tradernet_up", &[]), 0.0);
        assert_eq!(told(&page), (3.0, 0.0, 1.0));
    }
    // A wall clock that is set forward is no time that has passed.
    upstream.clock.advance_wall(MINUTE * 60);
    refused_again().await;
    assert_eq!(world.account(LOGIN).login_count(), 3);

    // 15 minutes after the first of the three, one more.
    upstream.clock.advance(MINUTE * 13);
    let page = refused_again().await;
    assert_eq!(world.account(LOGIN).login_count(), 4);
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    refused_again().await;
    assert_eq!(world.account(LOGIN).login_count(), 4);
    exporter.stop().await;
}

#[tokio::test]
async fn failed_logins_consume_budget() {
    let upstream = upstream(LoginBehaviour::Cookie).await;
    fail_logins(&upstream.world, Repeat::Forever, Fault::status(500));
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    for _ in 0..4 {
        exporter.poll().await;
    }
    let page = exporter.metrics().await;
    assert_eq!(seen(&upstream.world), (3, 0));
    assert_eq!(told(&page), (3.0, 0.0, 1.0));
    let wanted = [("auth".to_owned(), 2.0), ("http_status".to_owned(), 3.0)];
    assert_eq!(page.failures(), wanted.into());
    exporter.stop().await;
}

#[tokio::test]
async fn reload_endpoint_overrides_refusal() {
    let upstream = upstream(LoginBehaviour::Cookie).await;
    let variables = [
        ("TRADERNET_LOGIN", LOGIN),
        ("TRADERNET_PASSWORD", "changed"),
    ];
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    assert_eq!(told(&exporter.metrics().await), (1.0, 1.0, 1.0));
    // A plain reload is no such request: nothing has changed.
    assert_eq!(post(exporter.address, "/-/reload").await.status, 200);
    assert_eq!(
        exporter.metrics().await.get("tradernet_polls_total", &[]),
        1.0
    );

    upstream.world.account(LOGIN).set_password("changed");
    let page = exporter.poll().await;
    assert_eq!(told(&page), (2.0, 1.0, 0.0));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(seen(&upstream.world), (2, 1));
    let unknown = post(exporter.address, "/-/reload?account=nobody").await;
    assert_eq!(unknown.status, 404);
    exporter.stop().await;
}

/// In the log of somebody who watches a password being changed.
#[tokio::test]
async fn refusals_and_breaker_are_logged() {
    let world = Simulator::new();
    world.add_account(account());
    let upstream = SimulatedApi::serve_simulator(world, TestClock::new(), None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_LOGIN", LOGIN),
        ("TRADERNET_PASSWORD_FILE", file.to_str().unwrap()),
        ("TRADERNET_POLL_INTERVAL", "1s"),
    ];
    let mut program = ExporterProcess::start(&[], &variables).await;
    let refused =
        |line: &&String| line.contains("level=warn") && line.contains("the login was rejected");
    program
        .wait_for_log("the first", |line| refused(&&line.to_owned()))
        .await;
    std::fs::write(&file, "wrong too\n").unwrap();
    wait_until_some("the second", async || {
        (program.log().iter().filter(refused).count() == 2).then_some(())
    })
    .await;
    // Refused for good: nothing is tried, and nothing is new.
    let blocked = |page: &Exposition| page.get("tradernet_polls_total", &[]) >= 4.0;
    program.wait_for("some polls", blocked).await;
    assert_eq!(program.log().iter().filter(refused).count(), 2);

    // Logins work, and each SID is refused.
    upstream.fail(Fault::envelope(ErrorEnvelope::error(12, "no")));
    std::fs::write(&file, PASSWORD).unwrap();
    let breaker = |line: &str| line.contains("level=warn") && line.contains("was not accepted");
    program.wait_for_log("the breaker", breaker).await;
}

#[tokio::test(start_paused = true)]
async fn changed_secret_file_resets_refusal() {
    let upstream = SimulatedApi::serve(TestClock::with_tokio(), account(), None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let variables = [
        ("TRADERNET_LOGIN", LOGIN),
        ("TRADERNET_PASSWORD_FILE", file.to_str().unwrap()),
    ];
    // The interval is an hour.
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    assert_eq!(told(&exporter.metrics().await), (1.0, 1.0, 1.0));
    // Written again, and unchanged.
    std::fs::write(&file, "wrong\n").unwrap();
    advance_time(MINUTE * 10).await;
    assert_eq!(seen(&upstream.world), (1, 0));

    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    advance_time(Duration::from_secs(15)).await;
    assert_eq!(seen(&upstream.world), (2, 1));
    let page = exporter.metrics().await;
    assert_eq!(told(&page), (2.0, 1.0, 0.0));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    exporter.stop().await;
}

#[tokio::test]
async fn a_view_only_login_is_sent_by_its_command_and_without_a_cookie() {
    let upstream = upstream(LoginBehaviour::Cookie).await;
    let view_only = ("TRADERNET_LOGIN_VIEW_ONLY", "true");
    let variables = [&CREDENTIAL[..], &[view_only]].concat();
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    assert_eq!(told(&exporter.metrics().await), (1.0, 0.0, 0.0));
    let requests = upstream.world.requests();
    let login = requests.first().unwrap();
    assert_eq!(login.target, "/api/");
    assert_eq!(login.header("cookie"), None);
    let body = String::from_utf8_lossy(&login.body);
    assert!(
        body.contains("authByLogin") && body.contains("viewOnlyMode"),
        "{body}"
    );
    exporter.stop().await;
}
