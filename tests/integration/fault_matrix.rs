//! The fault matrix of docs/reliability.md: each row of upstream and of streams, all columns. Time is paused.

use std::path::Path;
use std::time::Duration;

use tradernet_exporter::simulator::{
    Account, AccountSpec, BodyEnd, Disconnect, ErrorEnvelope, Fault, FaultTarget, Repeat,
    SessionSpec, StreamFault,
};

use crate::support::{Exposition, InProcessExporter, SimulatedApi, TestClock, advance_time, gzip};

const OPEN: &str = "tradernet_security_sessions_open";
const DAY: Duration = Duration::from_secs(86_400);
const SID: &str = "vQzKjXwPbYhGmRtNcLdFsWkTpQxZbVnM";

/// The page's values of an account: `tradernet_up`, open sessions, and its failures by reason.
fn shown(page: &Exposition, account: &str) -> (Option<f64>, Option<f64>, Vec<(String, f64)>) {
    let labels = [("account", account)];
    let failures = page.matching("tradernet_poll_failures_total", &labels);
    let failures = failures.filter(|(_, count)| *count > 0.0);
    let failures = failures.map(|(labels, count)| (labels["reason"].clone(), count));
    let up = page.find("tradernet_up", &labels);
    (up, page.find(OPEN, &labels), failures.collect())
}

/// One row: the account fails by `inject`, for `reason`, and recovers; its neighbour notices nothing.
async fn row(transport: &str, what: &str, reason: &str, inject: impl FnOnce(&Account)) {
    let clock = TestClock::with_tokio();
    let world = clock.world();
    let failing = world.add_account(AccountSpec::new("failing").sid(SID));
    let healthy = world.add_account(AccountSpec::new("healthy").sid("another"));
    for account in [&failing, &healthy] {
        account.open_session(SessionSpec::new(4, DAY));
    }
    let upstream = SimulatedApi::serve_simulator(world, clock, None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.yml");
    let (http, streams) = (&upstream.origin, &upstream.stream_origin);
    let text = format!(
        "defaults: {{url: \"{http}\", ws_url: \"{streams}\", socketio_url: \"{streams}\", poll_interval: 10s, \
         timeout: 3s, transport: {transport}}}\naccounts:\n  - {{account: failing, login: failing, sid: {SID}}}\n  \
         - {{account: healthy, login: healthy, sid: another}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let variables = [
        ("TRADERNET_CONFIG_FILE", file.to_str().unwrap()),
        ("TRADERNET_POLL_INTERVAL", ""),
        ("TRADERNET_MAX_RESPONSE_BYTES", "100000"),
    ];
    let exporter = InProcessExporter::start_on(upstream.clock.clock(), &variables).await;
    let page = exporter.first_attempt().await;
    let good = (Some(1.0), Some(1.0), vec![]);
    assert_eq!(shown(&page, "failing"), good, "before {what}");

    inject(&failing);
    let mut page = exporter.metrics().await;
    for _ in 0..20 {
        if shown(&page, "failing").0 == Some(0.0) {
            break;
        }
        advance_time(Duration::from_secs(1)).await;
        page = exporter.metrics().await;
    }
    let (_, open, failures) = shown(&page, "failing");
    // A stream is lost before the next one fails.
    let first = if transport == "http" {
        reason
    } else {
        "network"
    };
    assert_eq!(failures, [(first.to_owned(), 1.0)], "{what}: counted once");
    assert_eq!(open, Some(1.0), "{what}: the last data is kept");
    // MAX_AGE is three intervals.
    advance_time(Duration::from_secs(40)).await;
    let page = exporter.metrics().await;
    let (up, open, failures) = shown(&page, "failing");
    assert_eq!((up, open), (Some(0.0), None), "{what}: old data is dropped");
    let mut reasons: Vec<_> = failures.iter().map(|(reason, _)| reason.as_str()).collect();
    reasons.retain(|of| *of == reason || *of != first);
    assert_eq!(reasons, [reason], "{what}: {failures:?}");
    for path in ["/", "/metrics", "/api/v1/accounts"] {
        let reply = exporter.get(path).await;
        assert_eq!(reply.status, 200, "{what}: {path}");
        assert!(!reply.text().contains(SID), "{what}: {path}");
    }
    assert_eq!(exporter.get("/-/healthy").await.status, 200, "{what}");

    failing.clear_faults();
    // At most five failures: an interval, and a random part of at most sixteen.
    advance_time(Duration::from_secs(175)).await;
    let page = exporter.metrics().await;
    let (up, open, _) = shown(&page, "failing");
    assert_eq!((up, open), (Some(1.0), Some(1.0)), "after {what}");
    assert_eq!(shown(&page, "healthy"), good, "{what}: the other account");
    exporter.stop().await;
}

fn lists(fault: Fault) -> impl FnOnce(&Account) {
    |account| account.inject_fault(FaultTarget::SessionList, Repeat::Forever, fault)
}

#[tokio::test(start_paused = true)]
async fn rows_of_http() {
    let cut = |end| Fault::json(200, "[{\"id\": 7165011").end(end);
    let too_large = Fault::json(200, "[0,0,0]".repeat(1000)).end(BodyEnd::Repeats);
    let compressed = |body: Vec<u8>| Fault::json(200, body).header("content-encoding", "gzip");
    let bomb = compressed(gzip(1_000_000));
    let not_gzip = compressed(b"\x1f\x8b but no gzip".into());
    let quoting = ErrorEnvelope::err_msg(5, "no: {SID}");
    for (what, fault, reason) in [
        ("no answer", Fault::NoResponse, "timeout"),
        ("an answer that stalls", cut(BodyEnd::Stalls), "timeout"),
        ("a reset", Fault::Reset, "network"),
        ("a body that is cut off", cut(BodyEnd::BreaksOff), "network"),
        ("HTTP 502", Fault::status(502), "http_status"),
        ("a blocked address", Fault::html(403), "http_status"),
        ("HTTP 429", Fault::rate_limited(20), "rate_limited"),
        (
            "an error that quotes the SID",
            Fault::envelope(quoting),
            "api_error",
        ),
        ("HTTP 401", Fault::answer(401, "text/plain", ""), "auth"),
        (
            "HTTP 403 with an error",
            Fault::json(403, r#"{"error":"no"}"#),
            "auth",
        ),
        (
            "HTTP 500 with a list",
            Fault::json(500, "[]"),
            "http_status",
        ),
        (
            "a limit with HTTP 200",
            Fault::rate_limit_envelope(),
            "rate_limited",
        ),
        ("invalid JSON", Fault::json(200, "{]not json"), "decode"),
        ("a page of HTML", Fault::html(200), "decode"),
        (
            "deep nesting",
            Fault::json(200, "[".repeat(40_000)),
            "decode",
        ),
        ("an empty body", Fault::json(200, ""), "decode"),
        ("HTTP 204", Fault::json(204, ""), "decode"),
        ("broken compression", not_gzip, "decode"),
        ("an endless list", too_large, "too_large"),
        ("a compressed bomb", bomb, "too_large"),
    ] {
        row("http", what, reason, lists(fault)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_streams() {
    let refused = StreamFault::RefuseHandshake;
    let error = |code, words| StreamFault::ErrorEvent(ErrorEnvelope::error(code, words));
    for transport in ["websocket", "socketio"] {
        for (what, fault, reason) in [
            ("a handshake refused with 503", refused(503), "http_status"),
            ("a handshake refused with 429", refused(429), "rate_limited"),
            (
                "an error that quotes the SID",
                error(5, "no: {SID}"),
                "api_error",
            ),
            (
                "a limit",
                error(429, "Request limit exceeded"),
                "rate_limited",
            ),
            ("a rejected SID", error(12, "Access denied"), "auth"),
            ("demo mode", StreamFault::DemoMode, "auth"),
            (
                "a reset",
                StreamFault::Disconnect(Disconnect::Reset),
                "network",
            ),
            ("no answer", StreamFault::NoResponse, "timeout"),
        ] {
            let what = format!("{transport}: {what}");
            let inject = |account: &Account| {
                account.inject_stream_fault(Repeat::Forever, fault);
                account.disconnect(Disconnect::Close(1001));
            };
            row(transport, &what, reason, inject).await;
        }
    }
}

/// The names of tests in the documentation are those of tests.
#[test]
fn documented_tests_exist() {
    fn sources(folder: &Path, text: &mut String) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if path
                .extension()
                .is_some_and(|it| it == "rs" || it == "py" || it == "sh")
            {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["src", "tests/integration", "scripts"] {
        sources(&root.join(folder), &mut code);
    }
    let text = std::fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let is_test = |name: &&str| {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_metric = name.starts_with("tradernet_");
        name.matches('_').count() > 1 && name.bytes().all(is_part) && !is_metric
    };
    let names: Vec<_> = text.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let is_test = code.contains(&format!("fn {name}("));
        assert!(
            is_test,
            "docs/reliability.md names {name}, which is no test"
        );
    }
}
