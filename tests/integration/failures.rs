//! How a poll fails, and what the metrics keep: what `fault_matrix` does not cover.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::TcpSocket;
use tradernet_exporter::simulator::{AccountSpec, Fault, SessionSpec};

use crate::support::{
    Ca, ExporterProcess, Exposition, InProcessExporter, LOGIN, SID, SimulatedApi, gzip,
};

const MAX_AGE: Duration = Duration::from_secs(3 * 3600);
const SECOND: Duration = Duration::from_secs(1);
const LAST_SUCCESS: &str = "tradernet_last_successful_poll_timestamp_seconds";

/// An account with a session that outlives the test, its server and its exporter.
struct FailingAccount {
    upstream: SimulatedApi,
    exporter: InProcessExporter,
}

impl FailingAccount {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let upstream = SimulatedApi::start().await;
        let year = Duration::from_secs(365 * 86_400);
        upstream.account().open_session(SessionSpec::new(2, year));
        let variables = [&[("TRADERNET_SID", SID)], variables].concat();
        let exporter = InProcessExporter::start(&upstream, &variables).await;
        Self { upstream, exporter }
    }

    /// From a good answer to the failure and back.
    async fn fails_as(&self, reason: &str, fault: Fault) {
        let what = format!("{fault:?}");
        let good = self.exporter.poll().await;
        assert_eq!(good.get("tradernet_up", &[]), 1.0, "before {what}");
        self.upstream.fail(fault);
        let bad = self.exporter.poll().await;
        assert_eq!(bad.get("tradernet_up", &[]), 0.0, "{what}");
        let mut expected = good.failures();
        *expected.entry(reason.to_owned()).or_default() += 1.0;
        assert_eq!(bad.failures(), expected, "{what}");
        assert_eq!(sessions(&bad), sessions(&good), "{what}");
        self.upstream.heal();
        let page = self.exporter.poll().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "after {what}");
        assert_eq!(page.failures(), expected, "after {what}");
    }

    async fn all_fail_as(&self, reason: &str, faults: impl IntoIterator<Item = Fault>) {
        for fault in faults {
            self.fails_as(reason, fault).await;
        }
    }
}

/// The session gauges with labels and values.
fn sessions(page: &Exposition) -> BTreeMap<&str, Vec<String>> {
    let series = |name| {
        let all = page.matching(name, &[]);
        all.map(|(labels, value)| format!("{labels:?} {value}"))
            .collect()
    };
    let gauges = page.session_gauges().into_iter();
    let gauges: BTreeMap<_, _> = gauges.map(|name| (name, series(name))).collect();
    assert!(gauges.contains_key("tradernet_security_sessions_open"));
    gauges
}

#[tokio::test]
async fn too_large() {
    const LIMIT: usize = 60_000;
    let limit = LIMIT.to_string();
    let account = FailingAccount::start(&[("TRADERNET_MAX_RESPONSE_BYTES", &limit)]).await;
    let list = |length: usize| Fault::json(200, format!("{:length$}", r#"[{"id":1}]"#));
    // Without a length in a header.
    let chunked = |fault: Fault| fault.header("transfer-encoding", "chunked");
    let bomb = Fault::json(200, gzip(20_000_000)).header("content-encoding", "gzip");
    let faults = [list(LIMIT + 1), chunked(list(LIMIT + 1)), bomb];
    account.all_fail_as("too_large", faults).await;
    for fault in [list(LIMIT), chunked(list(LIMIT))] {
        account.upstream.fail(fault);
        let page = account.exporter.poll().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "at the limit");
        assert_eq!(page.get("tradernet_security_sessions_open", &[]), 1.0);
    }
    account.exporter.stop().await;
}

#[tokio::test]
async fn sessions_are_kept_until_max_age() {
    let account = FailingAccount::start(&[]).await;
    let good = account.exporter.poll().await;
    account.upstream.fail(Fault::status(502));
    account.exporter.poll().await;

    account.upstream.clock.advance(MAX_AGE - SECOND);
    let page = account.exporter.metrics().await;
    assert_eq!(sessions(&page), sessions(&good));
    account.upstream.clock.advance(SECOND * 2);
    let page = account.exporter.metrics().await;
    assert_eq!(page.session_gauges(), [""; 0]);
    for kept in [
        "tradernet_up",
        "tradernet_polls_total",
        "tradernet_poll_duration_seconds",
        "tradernet_poll_interval_seconds",
        "tradernet_security_sessions_opened_total",
    ] {
        assert!(page.find(kept, &[]).is_some(), "{kept} is gone");
    }
    assert_eq!(page.get(LAST_SUCCESS, &[]), good.get(LAST_SUCCESS, &[]));

    account.upstream.heal();
    let page = account.exporter.poll().await;
    assert_eq!(page.session_gauges(), good.session_gauges());
    account.exporter.stop().await;
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let account = FailingAccount::start(&[]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/api/elsewhere", account.upstream.origin);
        let fault = Fault::html(status).header("location", location);
        account.fails_as("http_status", fault).await;
    }
    let requests = account.upstream.world.requests();
    assert!(requests.iter().all(|request| request.target == "/api/"));
    // One at the start, and three for each redirect: before, during and after.
    assert_eq!(requests.len(), 1 + 5 * 3);
    account.exporter.stop().await;
}

/// Fails from the first attempt on: nothing is known.
async fn never_answers(upstream: &SimulatedApi, reason: &str, variables: &[(&str, &str)]) {
    let variables = [&[("TRADERNET_SID", SID)], variables].concat();
    let exporter = InProcessExporter::start(upstream, &variables).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_up", &[]), 0.0);
    assert_eq!(page.failures(), [(reason.to_owned(), 1.0)].into());
    assert_eq!(page.session_gauges(), [""; 0]);
    assert_eq!(page.find(LAST_SUCCESS, &[]), None);
    let opened = "tradernet_security_sessions_opened_total";
    assert_eq!(page.find(opened, &[]), None);
    exporter.stop().await;
}

#[tokio::test]
async fn connection_refused() {
    // Bound and not listening: refused, and no other process can take the port meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let origin = format!("http://{}", socket.local_addr().unwrap());
    let upstream = SimulatedApi::start().await;
    never_answers(&upstream, "network", &[("TRADERNET_URL", &origin)]).await;
}

#[tokio::test]
async fn timeout_includes_the_handshake() {
    // Accepts and sends nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", silent.local_addr().unwrap());
    let upstream = SimulatedApi::start().await;
    let variables = [
        ("TRADERNET_URL", origin.as_str()),
        ("TRADERNET_TIMEOUT", "300ms"),
    ];
    never_answers(&upstream, "timeout", &variables).await;
}

#[tokio::test]
async fn timeout_on_a_kept_connection_is_one_of_the_answer() {
    let account = FailingAccount::start(&[("TRADERNET_TIMEOUT", "300ms")]).await;
    account.upstream.fail(Fault::NoResponse);
    account.exporter.poll().await;
    let page = account.exporter.get("/api/v1/accounts").await;
    let address = account.upstream.origin.replace("http://", "");
    let error = format!("no complete answer from {address} within 0.3s");
    assert!(page.text().contains(&error), "{}", page.text());
    account.exporter.stop().await;
}

#[tokio::test]
async fn untrusted_ca() {
    let account = AccountSpec::new(LOGIN).sid(SID);
    let upstream = SimulatedApi::start_for_process(account, Some(&Ca::new())).await;
    never_answers(&upstream, "tls", &[]).await;
    assert_eq!(upstream.world.requests().len(), 0);
}

#[tokio::test]
async fn https_to_plain_http_port() {
    let upstream = SimulatedApi::start().await;
    let origin = upstream.origin.replace("http://", "https://");
    never_answers(&upstream, "tls", &[("TRADERNET_URL", &origin)]).await;
}

#[tokio::test]
async fn all_reasons_exist_at_zero_before_the_first_attempt() {
    let upstream = SimulatedApi::start().await;
    upstream.fail(Fault::NoResponse);
    let exporter = InProcessExporter::start_unready(&upstream, &[("TRADERNET_SID", SID)]).await;
    upstream.wait_for_list_requests(1).await;
    let page = exporter.metrics().await;
    let reasons: Vec<_> = page
        .matching("tradernet_poll_failures_total", &[])
        .map(|(labels, count)| (labels["reason"].as_str(), count))
        .collect();
    let expected = [
        "api_error",
        "auth",
        "credential",
        "decode",
        "http_status",
        "internal",
        "network",
        "rate_limited",
        "timeout",
        "tls",
        "too_large",
    ];
    assert_eq!(reasons, expected.map(|reason| (reason, 0.0)));
    assert_eq!(page.find("tradernet_up", &[]), None);
    assert_eq!(page.get("tradernet_polls_total", &[]), 0.0);
    exporter.stop().await;
}

/// Answers every request with interim responses, and no other, for as long as it is read.
fn flood(listener: &std::net::TcpListener) {
    use std::io::{Read as _, Write as _};
    while let Ok((mut stream, _)) = listener.accept() {
        std::thread::spawn(move || {
            let interim = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(1000);
            let _ = stream.read(&mut [0; 4096]);
            while stream.write_all(interim.as_bytes()).is_ok() {}
        });
    }
}

#[tokio::test]
async fn servers_that_send_without_end_delay_no_scrape() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || flood(&listener));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.yml");
    let accounts: String = (0..16)
        .map(|n| format!("  - {{account: desk-{n}, sid: an-sid}}\n"))
        .collect();
    let defaults = format!("defaults: {{url: \"{origin}\", timeout: 30s}}\naccounts:\n");
    std::fs::write(&path, defaults + &accounts).unwrap();
    let variables = [
        ("TRADERNET_CONFIG_FILE", path.to_str().unwrap()),
        ("TRADERNET_POLL_INTERVAL", ""),
    ];
    let program = ExporterProcess::start(&variables).await;
    for _ in 0..10 {
        let scrape = tokio::time::timeout(Duration::from_secs(5), program.get("/metrics"));
        assert_eq!(scrape.await.unwrap().status, 200);
    }
}
