//! The kinds of credential, and what each of them sends.

use std::sync::Arc;
use std::time::Duration;

use tradernet_exporter::simulator::{AccountSpec, Fault, LoggedRequest, SessionSpec};

use crate::support::{Exposition, InProcessExporter, LOGIN, SID, SimulatedApi, advance_time};

const PASSWORD: &str = "pä&ss+w%rd=\"1";
const KEY: &str = "3fae61b9c7aa4c0f8e52";
const SECRET: &str = "b2c4d6e8f0a1b3c5d7e9";

async fn upstream() -> SimulatedApi {
    let account = AccountSpec::new(LOGIN)
        .sid(SID)
        .password(PASSWORD)
        .key(KEY, SECRET);
    let upstream = SimulatedApi::start_with(account).await;
    let session = SessionSpec::new(2, Duration::from_secs(3600));
    upstream.account().open_session(session);
    upstream
}

/// Polls twice with these variables, well, and returns the requests that it took.
async fn polls_well(variables: &[(&str, &str)]) -> Vec<Arc<LoggedRequest>> {
    let upstream = upstream().await;
    let exporter = InProcessExporter::start(&upstream, variables).await;
    let page = exporter.poll().await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0, "{variables:?}");
    assert_eq!(page.get("tradernet_polls_total", &[]), 2.0);
    assert_eq!(page.failures(), [].into());
    assert_eq!(page.get("tradernet_security_sessions_open", &[]), 1.0);
    exporter.stop().await;

    let requests = upstream.world.requests();
    let agent = format!("tradernet-exporter/{}", env!("CARGO_PKG_VERSION"));
    for request in &requests {
        assert_eq!(request.header("user-agent"), Some(agent.as_str()));
        assert_eq!(request.method, "POST");
        assert!(!request.target.contains('?'), "{}", request.target);
        for secret in [SID, KEY, SECRET] {
            assert!(!request.target.contains(secret), "{}", request.target);
        }
    }
    requests
}

fn form(request: &LoggedRequest) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn targets(requests: &[Arc<LoggedRequest>]) -> Vec<&str> {
    requests
        .iter()
        .map(|request| request.target.as_str())
        .collect()
}

/// A server may close an idle connection at the moment in which it is used again.
#[tokio::test]
async fn reset_request_is_retried_once() {
    let key = [("TRADERNET_API_KEY", KEY), ("TRADERNET_API_SECRET", SECRET)];
    for variables in [
        &[("TRADERNET_SID", SID)][..],
        &[&key[..], &[("TRADERNET_API_VERSION", "2")]].concat(),
        &key,
    ] {
        let upstream = upstream().await;
        let exporter = InProcessExporter::start(&upstream, variables).await;
        upstream.fail_once(Fault::Reset);
        let page = exporter.poll().await;
        assert_eq!(page.failures(), [].into(), "{variables:?}");
        assert_eq!(page.get("tradernet_up", &[]), 1.0);
        assert_eq!(page.get("tradernet_polls_total", &[]), 2.0);
        assert_eq!(upstream.account().counters().lists, 3);

        upstream.fail(Fault::Reset);
        let page = exporter.poll().await;
        assert_eq!(page.get("tradernet_up", &[]), 0.0);
        assert_eq!(upstream.account().counters().lists, 5);
        exporter.stop().await;
    }
}

#[tokio::test]
async fn sid_sent_in_form_and_cookie() {
    let requests = polls_well(&[("TRADERNET_SID", SID)]).await;
    assert_eq!(targets(&requests), ["/api/", "/api/"]);
    for request in &requests {
        assert_eq!(
            request.header("cookie"),
            Some(format!("SID={SID}").as_str())
        );
        let fields = form(request);
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].0, "q");
        let query: serde_json::Value = serde_json::from_str(&fields[0].1).unwrap();
        let expected = serde_json::json!({"cmd": "getSecuritySessions", "SID": SID, "params": {}});
        assert_eq!(query, expected);
    }
}

#[tokio::test]
async fn login_once_then_reuse_sid() {
    let variables = [("TRADERNET_LOGIN", LOGIN), ("TRADERNET_PASSWORD", PASSWORD)];
    let requests = polls_well(&variables).await;
    let login = "/api/check-login-password";
    assert_eq!(targets(&requests), [login, "/api/", "/api/"]);
    let expected = [
        ("login", LOGIN),
        ("password", PASSWORD),
        ("rememberMe", "1"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form(&requests[0]), expected);
    assert_eq!(requests[0].header("cookie"), None);
    let kind = requests[0].header("content-type");
    assert_eq!(kind, Some("application/x-www-form-urlencoded"));
    let cookie = requests[1].header("cookie").unwrap();
    assert!(cookie.starts_with("SID=") && !cookie.contains(SID));
    assert_eq!(requests[2].header("cookie"), Some(cookie));
}

#[tokio::test]
async fn a_key_pair_signs_version_3_by_default_and_sends_no_cookie() {
    let keys = [("TRADERNET_API_KEY", KEY), ("TRADERNET_API_SECRET", SECRET)];
    let explicit = [keys[0], keys[1], ("TRADERNET_API_VERSION", "3")];
    for variables in [&keys[..], &explicit[..]] {
        for request in polls_well(variables).await {
            assert_eq!(request.target, "/api/getSecuritySessions");
            assert_eq!(request.header("cookie"), None);
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(request.header("x-ntapi-publickey"), Some(KEY));
            assert_eq!(request.header("x-ntapi-sig").unwrap().len(), 64);
            assert_eq!(request.body, "{}");
        }
    }
}

#[tokio::test]
async fn a_key_pair_signs_version_2_on_request() {
    let variables = [
        ("TRADERNET_API_KEY", KEY),
        ("TRADERNET_API_SECRET", SECRET),
        ("TRADERNET_API_VERSION", "2"),
    ];
    let requests = polls_well(&variables).await;
    for request in &requests {
        assert_eq!(request.target, "/api/v2/cmd/getSecuritySessions");
        assert_eq!(request.header("cookie"), None);
        assert!(request.header("x-ntapi-sig").is_some());
        let names: Vec<_> = form(request).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["apiKey", "cmd", "nonce"]);
    }
}

#[tokio::test]
async fn wrong_credentials_fail_with_auth() {
    let wrong: [&[(&str, &str)]; 5] = [
        &[("TRADERNET_SID", "nobody")],
        &[("TRADERNET_LOGIN", LOGIN), ("TRADERNET_PASSWORD", "wrong")],
        &[
            ("TRADERNET_API_KEY", KEY),
            ("TRADERNET_API_SECRET", "wrong"),
        ],
        &[
            ("TRADERNET_API_KEY", "wrong"),
            ("TRADERNET_API_SECRET", SECRET),
        ],
        &[
            ("TRADERNET_API_KEY", KEY),
            ("TRADERNET_API_SECRET", "wrong"),
            ("TRADERNET_API_VERSION", "2"),
        ],
    ];
    let upstream = upstream().await;
    for variables in wrong {
        let exporter = InProcessExporter::start(&upstream, variables).await;
        let page = exporter.metrics().await;
        assert_eq!(page.get("tradernet_up", &[]), 0.0, "{variables:?}");
        assert_eq!(page.failures(), [("auth".to_owned(), 1.0)].into());
        assert_eq!(page.session_gauges(), [""; 0]);
        exporter.stop().await;
    }
}

#[tokio::test]
async fn rejected_signature_names_a_clock_that_is_wrong_by_more_than_a_minute() {
    let upstream = upstream().await;
    let keys = [("TRADERNET_API_KEY", KEY), ("TRADERNET_API_SECRET", SECRET)];
    for (seconds_ago, is_named) in [(300_u32, true), (5, false)] {
        let date = upstream.world.now() - Duration::from_secs(seconds_ago.into());
        let refusal = Fault::json(403, r#"{"error":"Bad signature","code":4}"#);
        upstream.fail(refusal.header("date", httpdate::fmt_http_date(date)));
        let exporter = InProcessExporter::start(&upstream, &keys).await;
        let page = exporter.metrics().await;
        assert_eq!(page.failures(), [("auth".to_owned(), 1.0)].into());
        let offset = page.get("tradernet_clock_offset_seconds", &[]);
        assert!((offset - f64::from(seconds_ago)).abs() < 5.0, "{offset}");
        let accounts = exporter.get("/api/v1/accounts").await;
        let names_clock = accounts.text().contains("s ahead of the server's");
        assert_eq!(names_clock, is_named, "{}", accounts.text());
        exporter.stop().await;
    }
}

#[tokio::test]
async fn a_secret_in_a_file_is_read_again_when_it_changes() {
    let upstream = upstream().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sid");
    std::fs::write(&file, "expired\n").unwrap();
    let variables = [("TRADERNET_SID_FILE", file.to_str().unwrap())];
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    assert_eq!(exporter.metrics().await.get("tradernet_up", &[]), 0.0);

    std::fs::write(&file, format!("{SID}\r\n")).unwrap();
    exporter.send_sighup().await;
    let page = exporter.wait_for_value("tradernet_up", 1.0).await;
    assert_eq!(page.get("tradernet_polls_total", &[]), 2.0);
    let reloaded = "tradernet_exporter_config_last_reload_successful";
    assert_eq!(page.get(reloaded, &[]), 1.0);

    exporter.stop().await;
}

/// An account whose secret file is missing or bad fails alone, and is polled once the file is good.
#[tokio::test(start_paused = true)]
async fn an_unreadable_secret_file_is_a_failure_of_its_account_at_start_and_at_reload() {
    let upstream = SimulatedApi::start_running(AccountSpec::new(LOGIN).sid(SID)).await;
    upstream
        .world
        .add_account(AccountSpec::new("b").sid("sid-of-b"));
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("accounts.yml");
    let text = format!(
        "defaults: {{url: \"{}\", poll_interval: 1h}}\naccounts:\n  - {{account: a, sid_file: a}}\n  - {{account: b, sid_file: b}}\n",
        upstream.origin
    );
    std::fs::write(&accounts, text).unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::write(&a, SID).unwrap();
    let variables = [
        ("TRADERNET_CONFIG_FILE", accounts.to_str().unwrap()),
        ("TRADERNET_POLL_INTERVAL", ""),
    ];
    let exporter = InProcessExporter::start_on(upstream.clock.clock(), &variables).await;
    let page = exporter.first_attempt().await;
    let up = |page: &Exposition, account| page.get("tradernet_up", &[("account", account)]);
    assert_eq!((up(&page, "a"), up(&page, "b")), (1.0, 0.0));
    let failures = |page: &Exposition, account| {
        let labels = [("account", account), ("reason", "credential")];
        page.get("tradernet_poll_failures_total", &labels)
    };
    assert_eq!((failures(&page, "a"), failures(&page, "b")), (0.0, 1.0));
    assert_eq!(upstream.world.account("b").counters().lists, 0);

    // Read again while the account fails, long before the next attempt.
    for bad in ["", "two\nlines"] {
        std::fs::write(&b, bad).unwrap();
        advance_time(Duration::from_secs(30)).await;
        assert_eq!(upstream.world.account("b").counters().lists, 0);
    }
    std::fs::write(&b, "sid-of-b\n").unwrap();
    advance_time(Duration::from_secs(15)).await;
    assert_eq!(up(&exporter.metrics().await, "b"), 1.0);

    // Between reloads the last secret is used further.
    std::fs::remove_file(&b).unwrap();
    let page = exporter.poll_account("b").await;
    assert_eq!((up(&page, "b"), failures(&page, "b")), (1.0, 1.0));
    exporter.send_sighup().await;
    advance_time(Duration::from_secs(15)).await;
    let page = exporter.metrics().await;
    assert_eq!((up(&page, "a"), up(&page, "b")), (1.0, 0.0));
    assert_eq!(failures(&page, "b"), 2.0);
    assert_eq!(upstream.world.account("b").counters().lists, 2);
    std::fs::write(&b, "sid-of-b\n").unwrap();
    advance_time(Duration::from_secs(15)).await;
    assert_eq!(up(&exporter.metrics().await, "b"), 1.0);
    exporter.stop().await;
}
