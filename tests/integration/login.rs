//! Login and password: when another login is made, and when none is. The meaning of each answer to a login is tested
//! in `src/tradernet/login.rs`.

use std::time::Duration;

use tradernet_exporter::simulator::{
    AccountSpec, BodyEnd, ErrorEnvelope, Fault, FaultTarget, Repeat, SessionSpec, Simulator,
};

use crate::support::{
    ExporterProcess, Exposition, InProcessExporter, LOGIN, SimulatedApi, advance_time, post,
    wait_until_some,
};

const PASSWORD: &str = "right";
const CREDENTIAL: [(&str, &str); 2] =
    [("TRADERNET_LOGIN", LOGIN), ("TRADERNET_PASSWORD", PASSWORD)];
/// The same, polled often.
const EVERY_30_SECONDS: [(&str, &str); 3] = [
    CREDENTIAL[0],
    CREDENTIAL[1],
    ("TRADERNET_POLL_INTERVAL", "30s"),
];
const MINUTE: Duration = Duration::from_secs(60);

fn account() -> AccountSpec {
    AccountSpec::new(LOGIN).password(PASSWORD)
}

async fn upstream() -> SimulatedApi {
    SimulatedApi::start_with(account()).await
}

/// Logins and requests for the list that the simulator received.
fn received(world: &Simulator) -> (u64, u64) {
    let account = world.account(LOGIN);
    (account.counters().logins, account.counters().lists)
}

/// Logins, rejected ones and whether the breaker is open, as the metrics show them.
fn logins(page: &Exposition) -> (f64, f64, f64) {
    (
        page.get("tradernet_logins_total", &[]),
        page.get("tradernet_login_failures_total", &[]),
        page.get("tradernet_login_blocked", &[]),
    )
}

fn fail_logins(upstream: &SimulatedApi, times: Repeat, fault: Fault) {
    upstream
        .account()
        .inject_fault(FaultTarget::Login, times, fault);
}

#[tokio::test]
async fn sid_locations() {
    let sid = "sid-of-the-login";
    for (cookie, body) in [
        // The cookie precedes the body, which names another's SID.
        (
            "SID=sid-of-the-login; Path=/",
            r#"{"logged":true,"SID":"another"}"#,
        ),
        // Beside a PHPSESSID cookie, which is not an SID.
        (
            "PHPSESSID=x; Path=/",
            r#"{"logged":true,"sessionId":"sid-of-the-login"}"#,
        ),
    ] {
        let upstream = SimulatedApi::start_with(account().sid(sid)).await;
        let answer = Fault::json(200, body).header("set-cookie", cookie);
        fail_logins(&upstream, Repeat::Once, answer);
        let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
        let page = exporter.poll().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "{body}");
        assert_eq!(received(&upstream.world), (1, 2), "{body}");
        assert_eq!(logins(&page), (1.0, 0.0, 0.0));
        assert_eq!(page.failures(), [].into());
        exporter.stop().await;
    }
}

/// Browsers accept hundreds of header lines.
#[tokio::test]
async fn login_answer_with_300_cookies_is_read() {
    let sid = "sid-of-the-login";
    let upstream = SimulatedApi::start_with(account().sid(sid)).await;
    let answer = (0..300).fold(Fault::json(200, "{}"), |answer, n| {
        answer.header("set-cookie", format!("visit{n}=x; Path=/"))
    });
    let answer = answer.header("set-cookie", format!("SID={sid}; Path=/"));
    fail_logins(&upstream, Repeat::Once, answer);
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    let page = exporter.metrics().await;
    assert_eq!(page.failures(), [].into());
    assert_eq!(received(&upstream.world), (1, 1));
    exporter.stop().await;
}

/// No list is requested after a rejected login, and no login is tried, for half an hour of polls.
#[tokio::test(start_paused = true)]
async fn rejected_login_is_not_retried() {
    let refusal = r#"{"error":"Wrong login or password","code":12}"#;
    let second_factor =
        r#"{"success":true,"logged":false,"SID":"anonymous","auth_code_id":"4711"}"#;
    for fault in [
        Fault::json(200, refusal),
        // A rejection with a cookie is a rejection.
        Fault::json(200, refusal).header("set-cookie", "SID=anonymous; Path=/"),
        Fault::json(200, second_factor).header("set-cookie", "SID=anonymous; Path=/"),
        Fault::json(403, "{}"),
    ] {
        let what = format!("{fault:?}");
        let upstream = SimulatedApi::start_running(account()).await;
        fail_logins(&upstream, Repeat::Forever, fault);
        let exporter = InProcessExporter::start(&upstream, &EVERY_30_SECONDS).await;
        let page = exporter.metrics().await;
        assert_eq!(logins(&page), (1.0, 1.0, 1.0), "{what}");
        // Polls come up to five and a half minutes apart.
        advance_time(MINUTE * 30).await;
        let page = exporter.metrics().await;
        let polls = page.get("tradernet_polls_total", &[]);
        assert!(polls > 6.0, "{what}");
        assert_eq!(logins(&page), (1.0, 1.0, 1.0), "{what}");
        assert_eq!(received(&upstream.world), (1, 0), "{what}");
        assert_eq!(page.get("tradernet_up", &[]), 0.0);
        assert_eq!(page.failures(), [("auth".to_owned(), polls)].into());
        exporter.stop().await;
    }
}

#[tokio::test]
async fn transient_login_failure_is_retried() {
    for (fault, reason) in [
        (Fault::status(500), "http_status"),
        (Fault::Reset, "network"),
        (Fault::NoResponse, "timeout"),
        (Fault::rate_limit_envelope(), "rate_limited"),
        (
            Fault::envelope(ErrorEnvelope::error(1, "Maintenance")),
            "api_error",
        ),
        (Fault::html(200), "decode"),
    ] {
        let what = format!("{fault:?}");
        let upstream = upstream().await;
        fail_logins(&upstream, Repeat::Once, fault);
        let variables = [&CREDENTIAL[..], &[("TRADERNET_TIMEOUT", "700ms")]].concat();
        let exporter = InProcessExporter::start(&upstream, &variables).await;
        let page = exporter.metrics().await;
        assert_eq!(page.failures(), [(reason.to_owned(), 1.0)].into(), "{what}");
        assert_eq!(logins(&page), (1.0, 0.0, 0.0), "{what}");
        assert_eq!(received(&upstream.world), (1, 0), "{what}");
        // A limit pauses the logins to its host.
        if reason != "rate_limited" {
            let page = exporter.poll().await;
            assert_eq!(page.get("tradernet_up", &[]), 1.0, "{what}");
            assert_eq!(logins(&page), (2.0, 0.0, 0.0), "{what}");
        }
        exporter.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_three_transient_failures_one_login_an_hour() {
    let upstream = SimulatedApi::start_running(account()).await;
    fail_logins(&upstream, Repeat::Forever, Fault::html(200));
    let exporter = InProcessExporter::start(&upstream, &EVERY_30_SECONDS).await;
    advance_time(MINUTE * 55).await;
    assert_eq!(received(&upstream.world), (3, 0));
    assert_eq!(logins(&exporter.metrics().await), (3.0, 0.0, 1.0));
    advance_time(MINUTE * 60 * 3).await;
    let count = upstream.account().counters().logins;
    assert!((5..=6).contains(&count), "{count}");
    // The next login succeeds.
    upstream.heal();
    advance_time(MINUTE * 70).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(page.get("tradernet_login_failures_total", &[]), 0.0);
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_unreadable_answer_one_login_an_hour() {
    let many = (0..1001).fold(Fault::json(200, "{}"), |fault, _| fault.header("x", "y"));
    let large = Fault::json(200, "[0,0,0]".repeat(1000)).end(BodyEnd::Repeats);
    for fault in [many, large] {
        let upstream = SimulatedApi::start_running(account()).await;
        fail_logins(&upstream, Repeat::Forever, fault);
        let exporter = InProcessExporter::start(&upstream, &EVERY_30_SECONDS).await;
        advance_time(MINUTE * 55).await;
        assert_eq!(received(&upstream.world), (1, 0));
        assert_eq!(logins(&exporter.metrics().await), (1.0, 0.0, 1.0));
        advance_time(MINUTE * 10).await;
        assert_eq!(received(&upstream.world), (2, 0));
        exporter.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn rate_limited_login_pauses_logins_to_its_host() {
    let upstream = SimulatedApi::start_running(account()).await;
    for name in ["b", "c"] {
        upstream.world.add_account(AccountSpec {
            login: name.to_owned(),
            ..account()
        });
    }
    fail_logins(&upstream, Repeat::Once, Fault::rate_limited(300));
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
    let exporter = InProcessExporter::start_on(upstream.clock.clock(), &variables).await;
    let logins = || {
        let count = |name| upstream.world.account(name).counters().logins;
        [LOGIN, "b", "c"].map(count).iter().sum::<u64>()
    };
    advance_time(MINUTE * 4).await;
    assert_eq!(logins(), 1);
    advance_time(MINUTE * 3).await;
    assert!(logins() >= 3, "{}", logins());
    exporter.stop().await;
}

#[tokio::test]
async fn rejected_sid_triggers_one_relogin() {
    let upstream = upstream().await;
    let session = SessionSpec::new(2, MINUTE * 60);
    upstream.account().open_session(session);
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    assert_eq!(received(&upstream.world), (1, 1));

    upstream.account().revoke_sids();
    let page = exporter.poll().await;
    assert_eq!(received(&upstream.world), (2, 3));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(page.get("tradernet_polls_total", &[]), 2.0);
    assert_eq!(page.failures(), [].into());
    assert_eq!(logins(&page), (2.0, 0.0, 0.0));

    upstream.fail_once(Fault::json(401, r#"{"errMsg":"no","code":1}"#));
    let page = exporter.poll().await;
    assert_eq!(received(&upstream.world), (3, 5));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);

    // Other failures cause no login.
    upstream.fail_once(Fault::envelope(ErrorEnvelope::err_msg(5, "no")));
    exporter.poll().await;
    upstream.fail_once(Fault::status(500));
    exporter.poll().await;
    assert_eq!(received(&upstream.world), (3, 7));
    exporter.stop().await;
}

#[tokio::test]
async fn missing_right_causes_no_login() {
    let upstream = upstream().await;
    let words = "you need to open a security session";
    upstream.fail(Fault::Error(403, ErrorEnvelope::error(None, words)));
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    exporter.poll().await;
    let page = exporter.poll().await;
    assert_eq!(page.failures(), [("auth".to_owned(), 3.0)].into());
    assert_eq!(logins(&page), (1.0, 0.0, 0.0));
    assert_eq!(received(&upstream.world), (1, 3));
    // The SID is kept: the right may be granted.
    upstream.heal();
    assert_eq!(exporter.poll().await.get("tradernet_up", &[]), 1.0);
    assert_eq!(received(&upstream.world), (1, 4));
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sid_rejected_right_after_its_login_is_a_rejected_login() {
    let upstream = SimulatedApi::start_running(account()).await;
    upstream.fail(Fault::envelope(ErrorEnvelope::error(12, "SID expired")));
    let exporter = InProcessExporter::start(&upstream, &EVERY_30_SECONDS).await;
    advance_time(MINUTE * 60 * 5).await;
    let page = exporter.metrics().await;
    assert_eq!(upstream.account().counters().logins, 1);
    assert_eq!(logins(&page), (1.0, 1.0, 1.0));
    assert_eq!(page.get("tradernet_up", &[]), 0.0);
    // An operator allows another login, whose SID is rejected too.
    let page = exporter.poll().await;
    assert_eq!(logins(&page), (2.0, 2.0, 1.0));
    // The server accepts the SID later.
    upstream.heal();
    advance_time(MINUTE * 10).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(logins(&page), (2.0, 2.0, 0.0));
    exporter.stop().await;
}

/// Only a dead SID leads to a login.
#[tokio::test(start_paused = true)]
async fn other_rejections_send_no_login() {
    let upstream = SimulatedApi::start_running(account()).await;
    let exporter = InProcessExporter::start(&upstream, &EVERY_30_SECONDS).await;
    for envelope in [
        ErrorEnvelope::err_msg(4, "no"),
        ErrorEnvelope::err_msg(7, "no"),
        ErrorEnvelope::err_msg(8, "unknown IP"),
        ErrorEnvelope::err_msg(14, "no"),
    ] {
        upstream.fail(Fault::envelope(envelope));
        advance_time(MINUTE * 20).await;
        let page = exporter.metrics().await;
        assert_eq!(page.get("tradernet_up", &[]), 0.0);
        assert_eq!(logins(&page), (1.0, 0.0, 0.0));
        upstream.heal();
        advance_time(MINUTE * 10).await;
        let page = exporter.metrics().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0);
    }
    assert_eq!(upstream.account().counters().logins, 1);
    exporter.stop().await;
}

#[tokio::test]
async fn at_most_three_logins_in_fifteen_minutes() {
    let upstream = upstream().await;
    let account = upstream.account();
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    let rejected_again = async || {
        account.revoke_sids();
        exporter.poll().await
    };
    upstream.clock.advance(MINUTE);
    rejected_again().await;
    upstream.clock.advance(MINUTE);
    let page = rejected_again().await;
    assert_eq!(account.counters().logins, 3);
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(logins(&page), (3.0, 0.0, 1.0));

    for _ in 0..3 {
        // An operator, who triggers these polls, cannot override the limit: it protects the account.
        let page = rejected_again().await;
        assert_eq!(account.counters().logins, 3);
        assert_eq!(page.get("tradernet_up", &[]), 0.0);
        assert_eq!(logins(&page), (3.0, 0.0, 1.0));
    }
    // A wall clock that is set forward does not count.
    upstream.clock.advance_wall(MINUTE * 60);
    rejected_again().await;
    assert_eq!(account.counters().logins, 3);

    // 15 minutes after the first of the three, one more.
    upstream.clock.advance(MINUTE * 12);
    rejected_again().await;
    assert_eq!(account.counters().logins, 3);
    upstream.clock.advance(MINUTE);
    let page = rejected_again().await;
    assert_eq!(account.counters().logins, 4);
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    rejected_again().await;
    assert_eq!(account.counters().logins, 4);
    exporter.stop().await;
}

#[tokio::test]
async fn failed_logins_consume_budget() {
    let upstream = upstream().await;
    fail_logins(&upstream, Repeat::Forever, Fault::status(500));
    let exporter = InProcessExporter::start(&upstream, &CREDENTIAL).await;
    for _ in 0..4 {
        exporter.poll().await;
    }
    let page = exporter.metrics().await;
    assert_eq!(received(&upstream.world), (3, 0));
    assert_eq!(logins(&page), (3.0, 0.0, 1.0));
    let expected = [("auth".to_owned(), 2.0), ("http_status".to_owned(), 3.0)];
    assert_eq!(page.failures(), expected.into());
    exporter.stop().await;
}

#[tokio::test]
async fn reload_endpoint_overrides_rejection() {
    let upstream = upstream().await;
    let variables = [CREDENTIAL[0], ("TRADERNET_PASSWORD", "changed")];
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    assert_eq!(logins(&exporter.metrics().await), (1.0, 1.0, 1.0));
    // A plain reload causes no poll: nothing has changed.
    assert_eq!(post(exporter.address, "/-/reload").await.status, 200);
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_polls_total", &[]), 1.0);

    upstream
        .account()
        .change_spec(|spec| spec.password = Some("changed".to_owned()));
    let page = exporter.poll().await;
    assert_eq!(logins(&page), (2.0, 1.0, 0.0));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(received(&upstream.world), (2, 1));
    let unknown = post(exporter.address, "/-/reload?account=nobody").await;
    assert_eq!(unknown.status, 404);
    exporter.stop().await;
}

/// Waits until exactly this many lines report a rejected login.
async fn wait_for_rejections(program: &ExporterProcess, count: usize) {
    let rejected =
        |line: &&String| line.contains("level=warn") && line.contains("the login was rejected");
    wait_until_some("rejected logins", async || {
        (program.log().iter().filter(rejected).count() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rejections_and_breaker_are_logged() {
    let upstream = SimulatedApi::start_for_process(account(), None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let variables = [
        CREDENTIAL[0],
        ("TRADERNET_PASSWORD_FILE", file.to_str().unwrap()),
        ("TRADERNET_POLL_INTERVAL", "1s"),
    ];
    let mut program = ExporterProcess::start(&upstream.variables(&variables)).await;
    wait_for_rejections(&program, 1).await;
    std::fs::write(&file, "wrong too\n").unwrap();
    wait_for_rejections(&program, 2).await;
    // No other login is tried, and no other line is written.
    let blocked = |page: &Exposition| page.get("tradernet_polls_total", &[]) >= 4.0;
    program.wait_for("some polls", blocked).await;
    wait_for_rejections(&program, 2).await;

    // Logins succeed, and each SID is rejected.
    upstream.fail(Fault::envelope(ErrorEnvelope::error(12, "no")));
    std::fs::write(&file, PASSWORD).unwrap();
    let breaker = |line: &str| line.contains("level=warn") && line.contains("was not accepted");
    program.wait_for_log("the breaker", breaker).await;
}

#[tokio::test(start_paused = true)]
async fn changed_secret_file_resets_rejection() {
    let upstream = SimulatedApi::start_running(account()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let variables = [
        CREDENTIAL[0],
        ("TRADERNET_PASSWORD_FILE", file.to_str().unwrap()),
    ];
    // The interval is an hour.
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    assert_eq!(logins(&exporter.metrics().await), (1.0, 1.0, 1.0));
    // Written again with the same content.
    std::fs::write(&file, "wrong\n").unwrap();
    advance_time(MINUTE * 10).await;
    assert_eq!(received(&upstream.world), (1, 0));

    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    advance_time(Duration::from_secs(15)).await;
    assert_eq!(received(&upstream.world), (2, 1));
    let page = exporter.metrics().await;
    assert_eq!(logins(&page), (2.0, 1.0, 0.0));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    exporter.stop().await;
}

#[tokio::test]
async fn view_only_login_is_a_command_without_a_cookie() {
    let upstream = upstream().await;
    let view_only = ("TRADERNET_LOGIN_VIEW_ONLY", "true");
    let variables = [&CREDENTIAL[..], &[view_only]].concat();
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    assert_eq!(logins(&exporter.metrics().await), (1.0, 0.0, 0.0));
    let requests = upstream.world.requests();
    let login = requests.first().unwrap();
    assert_eq!(login.target, "/api/");
    assert_eq!(login.header("cookie"), None);
    let body = String::from_utf8_lossy(&login.body);
    assert!(body.contains("authByLogin"), "{body}");
    assert!(body.contains("viewOnlyMode"), "{body}");
    exporter.stop().await;
}
