//! Every way to fail: what it is counted as, and what stays on the page.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpSocket;
use tradernet_exporter::simulator::{AccountSpec, ErrorEnvelope, Fault, RetryAfter, SessionSpec};

use crate::support::{Ca, Exposition, InProcessExporter, LOGIN, SID, SimulatedApi};

const MAX_AGE: Duration = Duration::from_secs(3 * 3600);
const SECOND: Duration = Duration::from_secs(1);

/// An account with a session that outlives the test, watched, and its server broken at will.
struct Watched {
    upstream: SimulatedApi,
    exporter: InProcessExporter,
}

impl Watched {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let upstream = SimulatedApi::start().await;
        let year = Duration::from_secs(365 * 86_400);
        upstream
            .world
            .account(LOGIN)
            .open_session(SessionSpec::new(2, year));
        let sid = [("TRADERNET_SID", SID)];
        let variables = [&sid[..], variables].concat();
        let exporter = InProcessExporter::start(&upstream, &variables).await;
        Self { upstream, exporter }
    }

    /// From a good answer through the failure, past `MAX_AGE`, and back.
    async fn fails_as(&self, reason: &str, fault: Fault) {
        let what = format!("{fault:?}");
        let good = self.exporter.poll().await;
        assert_eq!(good.get("tradernet_up", &[]), 1.0, "before {what}");
        self.upstream.fail(fault);

        let bad = self.exporter.poll().await;
        assert_eq!(bad.get("tradernet_up", &[]), 0.0, "{what}");
        let mut wanted = good.failures();
        *wanted.entry(reason.to_owned()).or_default() += 1.0;
        assert_eq!(bad.failures(), wanted, "{what}");
        assert_eq!(sessions(&bad), sessions(&good), "{what}");
        let at = "tradernet_last_successful_poll_timestamp_seconds";
        assert_eq!(bad.get(at, &[]), good.get(at, &[]));

        self.upstream.clock.advance(MAX_AGE - SECOND);
        let page = self.exporter.metrics().await;
        assert_eq!(
            sessions(&page),
            sessions(&good),
            "{what}, still young enough"
        );
        self.upstream.clock.advance(SECOND * 2);
        let page = self.exporter.metrics().await;
        assert_eq!(page.session_gauges(), [""; 0], "{what}, too old");
        for stays in [
            "tradernet_up",
            "tradernet_polls_total",
            "tradernet_poll_duration_seconds",
            "tradernet_poll_interval_seconds",
            "tradernet_security_sessions_opened_total",
            at,
        ] {
            assert!(page.find(stays, &[]).is_some(), "{stays} is gone");
        }
        assert_eq!(page.failures(), wanted, "{what}");

        self.upstream.heal();
        let page = self.exporter.poll().await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "after {what}");
        assert_eq!(page.session_gauges(), good.session_gauges());
        assert_eq!(page.failures(), wanted, "after {what}");
    }

    async fn all_fail_as(self, reason: &str, faults: impl IntoIterator<Item = Fault>) {
        for fault in faults {
            self.fails_as(reason, fault).await;
        }
        self.exporter.stop().await;
    }
}

/// The session gauges with their values, labels and all.
fn sessions(page: &Exposition) -> BTreeMap<&str, Vec<String>> {
    let series = |name| {
        let all = page.matching(name, &[]);
        all.map(|(labels, value)| format!("{labels:?} {value}"))
            .collect()
    };
    let gauges: BTreeMap<_, _> = page
        .session_gauges()
        .into_iter()
        .map(|name| (name, series(name)))
        .collect();
    assert!(gauges.contains_key("tradernet_security_sessions_open"));
    gauges
}

fn status(code: u16, content_type: &'static str, body: &'static str) -> Fault {
    Fault::Status {
        code,
        body: Bytes::from_static(body.as_bytes()),
        content_type,
        headers: Vec::new(),
    }
}

fn envelope(status: u16, envelope: ErrorEnvelope) -> Fault {
    Fault::ErrorEnvelope { status, envelope }
}

#[tokio::test]
async fn timeout() {
    let watched = Watched::start(&[("TRADERNET_TIMEOUT", "700ms")]).await;
    watched
        .all_fail_as("timeout", [Fault::NoResponse, Fault::StallBody])
        .await;
}

#[tokio::test]
async fn network() {
    let watched = Watched::start(&[]).await;
    watched
        .all_fail_as("network", [Fault::Reset, Fault::Truncated])
        .await;
}

#[tokio::test]
async fn too_large() {
    let endless = |bytes, with_content_length| Fault::OversizedList {
        bytes,
        with_content_length,
    };
    let bomb = |decoded_bytes| Fault::GzipBomb { decoded_bytes };
    let watched = Watched::start(&[("TRADERNET_MAX_RESPONSE_BYTES", "100000")]).await;
    let faults = [
        endless(100_001, true),
        endless(100_001, false),
        bomb(20_000_000),
    ];
    watched.all_fail_as("too_large", faults).await;

    let watched = Watched::start(&[("TRADERNET_MAX_RESPONSE_BYTES", "1500000")]).await;
    let faults = [
        endless(1_500_001, true),
        endless(1_500_001, false),
        bomb(20_000_000),
    ];
    watched.all_fail_as("too_large", faults).await;
}

#[tokio::test]
async fn response_at_size_limit_is_accepted() {
    for bytes in [100_000, 1_500_000] {
        let limit = bytes.to_string();
        let watched = Watched::start(&[("TRADERNET_MAX_RESPONSE_BYTES", &limit)]).await;
        for with_content_length in [true, false] {
            watched.upstream.fail(Fault::OversizedList {
                bytes,
                with_content_length,
            });
            let page = watched.exporter.poll().await;
            assert_eq!(page.get("tradernet_up", &[]), 1.0);
            assert!(page.get("tradernet_security_sessions_open", &[]) > 1000.0);
        }
        watched.exporter.stop().await;
    }
}

#[tokio::test]
async fn rate_limited() {
    let limited = |retry_after| Fault::RateLimited { retry_after };
    let watched = Watched::start(&[]).await;
    let faults = [
        limited(RetryAfter::Absent),
        limited(RetryAfter::Seconds(1)),
        limited(RetryAfter::Date(Duration::from_secs(1))),
        envelope(429, ErrorEnvelope::err_msg(12, "slow down")),
        envelope(200, ErrorEnvelope::error(429, "slow down")),
        envelope(403, ErrorEnvelope::err_msg(1, "Request limit reached")),
    ];
    watched.all_fail_as("rate_limited", faults).await;
}

#[tokio::test]
async fn auth() {
    let codes = [4, 7, 8, 12, 14];
    let faults = codes
        .map(|code| envelope(200, ErrorEnvelope::err_msg(code, "no")))
        .into_iter()
        .chain(codes.map(|code| envelope(400, ErrorEnvelope::error(code, "no"))))
        .chain([
            envelope(401, ErrorEnvelope::err_msg(1, "no")),
            envelope(403, ErrorEnvelope::error(99, "no")),
            envelope(500, ErrorEnvelope::err_msg(12, "no")),
            status(401, "text/html", "<h1>401</h1>"),
            status(401, "text/plain", ""),
            status(
                200,
                "application/json",
                r#"{"error":"SID expired","code":null}"#,
            ),
            status(200, "application/json", r#"{"errMsg":"Not authorized"}"#),
            status(403, "application/json", r#"{"error":"no"}"#),
        ]);
    Watched::start(&[]).await.all_fail_as("auth", faults).await;
}

#[tokio::test]
async fn api_error() {
    let faults = [1, 2, 3, 5, 99, -1]
        .map(|code| envelope(200, ErrorEnvelope::err_msg(code, "no")))
        .into_iter()
        .chain([
            envelope(200, ErrorEnvelope::error(3, "no")),
            envelope(400, ErrorEnvelope::error(5, "no")),
            envelope(500, ErrorEnvelope::err_msg(2, "no")),
            envelope(200, ErrorEnvelope::err_msg(None, "no")),
        ]);
    Watched::start(&[])
        .await
        .all_fail_as("api_error", faults)
        .await;
}

#[tokio::test]
async fn http_status() {
    let faults = [400, 404, 418, 500, 502, 503]
        .map(Fault::status)
        .into_iter()
        .chain([
            Fault::HtmlForbidden,
            status(500, "application/json", "[]"),
            status(403, "application/json", "{}"),
        ]);
    Watched::start(&[])
        .await
        .all_fail_as("http_status", faults)
        .await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let watched = Watched::start(&[]).await;
    for redirect in [301, 302, 303, 307, 308] {
        let location = format!("{}/api/elsewhere", watched.upstream.origin);
        let fault = Fault::Redirect {
            status: redirect,
            location,
        };
        watched.fails_as("http_status", fault).await;
    }
    let requests = watched.upstream.world.requests();
    assert!(requests.iter().all(|request| request.target == "/api/"));
    // One for the start, and three for each redirect: before, during and after.
    assert_eq!(requests.len(), 1 + 5 * 3);
    watched.exporter.stop().await;
}

#[tokio::test]
async fn decode() {
    let ok = |body| status(200, "application/json", body);
    let faults = [
        Fault::InvalidJson,
        Fault::HtmlPage,
        Fault::EmptyBody,
        Fault::NestedBrackets(100_000),
        status(204, "application/json", ""),
        ok("null"),
        ok("7"),
        ok("\"[]\""),
        ok("true"),
        ok("{}"),
        ok("[1,2,3]"),
        ok("{\"sessions\":[]}"),
        ok("[] []"),
        ok("[{\"id\":1,\"expire\":5}"),
        Fault::Status {
            code: 200,
            body: Bytes::from_static(b"\x1f\x8b but no gzip"),
            content_type: "application/json",
            headers: vec![("content-encoding", "gzip".to_owned())],
        },
    ];
    Watched::start(&[])
        .await
        .all_fail_as("decode", faults)
        .await;
}

/// Fails from the first attempt on: nothing is known, and the page says so.
async fn never_answers(upstream: &SimulatedApi, reason: &str, variables: &[(&str, &str)]) {
    let variables = [&[("TRADERNET_SID", SID)], variables].concat();
    let exporter = InProcessExporter::start(upstream, &variables).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_up", &[]), 0.0);
    assert_eq!(page.failures(), [(reason.to_owned(), 1.0)].into());
    assert_eq!(page.session_gauges(), [""; 0]);
    for unknown in [
        "tradernet_last_successful_poll_timestamp_seconds",
        "tradernet_security_sessions_opened_total",
    ] {
        assert_eq!(page.find(unknown, &[]), None);
    }
    exporter.stop().await;
}

#[tokio::test]
async fn connection_refused() {
    // Bound and not listening: refused, and nobody else can have the port meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let origin = format!("http://{}", socket.local_addr().unwrap());
    let upstream = SimulatedApi::start().await;
    never_answers(&upstream, "network", &[("TRADERNET_URL", &origin)]).await;
}

#[tokio::test]
async fn the_timeout_includes_the_handshake() {
    // Accepts, and says nothing.
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
async fn untrusted_ca() {
    let upstream = SimulatedApi::start_tls(AccountSpec::new(LOGIN).sid(SID), &Ca::new()).await;
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
    upstream
        .world
        .wait_until(|world| world.account(LOGIN).list_request_count() == 1)
        .await;
    let page = exporter.metrics().await;
    let reasons: Vec<_> = page
        .matching("tradernet_poll_failures_total", &[])
        .map(|(labels, count)| (labels["reason"].as_str(), count))
        .collect();
    let wanted = [
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
    assert_eq!(reasons, wanted.map(|reason| (reason, 0.0)));
    assert_eq!(page.find("tradernet_up", &[]), None);
    assert_eq!(page.get("tradernet_polls_total", &[]), 0.0);
    exporter.stop().await;
}
