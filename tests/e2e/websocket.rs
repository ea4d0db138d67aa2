//! `TRADERNET_TRANSPORT=websocket` against the package `websockets`.

use serde_json::{Value, json};
use tradernet_exporter::simulator::AccountSpec;

use crate::stream_server::{
    CONNECTED, OPEN, SHORT_INTERVAL, StreamServer, UP, WEBSOCKET, fails_without_secrets,
    first_failure, sessions, start,
};
use crate::support::{
    Ca, ExporterProcess, Exposition, InProcessExporter, Proxy, SID, SimulatedApi, tls_terminator,
};

/// A frame with so many sessions.
fn list(count: u64) -> String {
    json!(["sessions", sessions(count)]).to_string()
}

/// A peer that says who is there and answers every request with one session.
async fn peer() -> StreamServer {
    let mut peer = StreamServer::start(WEBSOCKET).await;
    peer.tell(json!({
        "first": [r#"["userData",{"mode":"prod"}]"#],
        "answers": [list(1)],
    }))
    .await;
    peer
}

/// An exporter that streams from the peer, with these variables too.
async fn stream_from(peer: &StreamServer, given: &[(&str, &str)]) -> InProcessExporter {
    let origin = peer.origin();
    let mut all = vec![
        ("TRADERNET_TRANSPORT", "websocket"),
        ("TRADERNET_WS_URL", &origin),
    ];
    let credential = |name| ["TRADERNET_LOGIN", "TRADERNET_SID"].contains(&name);
    if !given.iter().any(|(name, _)| credential(*name)) {
        all.push(("TRADERNET_SID", SID));
    }
    all.extend(given);
    start(&all).await
}

#[tokio::test]
async fn push_updates_metrics() {
    let mut peer = peer().await;
    let exporter = stream_from(&peer, &[]).await;
    let page = exporter.wait_for_value(OPEN, 1.0).await;
    assert_eq!(page.get(UP, &[]), 1.0);
    assert_eq!(page.get(CONNECTED, &[]), 1.0);
    assert_eq!(page.get("tradernet_stream_reconnects_total", &[]), 0.0);
    peer.tell(json!({"send": list(3)})).await;
    exporter.wait_for_value(OPEN, 3.0).await;
    peer.tell(json!({"send": r#"["sessions",[],{"more":1}]"#}))
        .await;
    let page = exporter.wait_for_value(OPEN, 0.0).await;
    assert_eq!(page.get("tradernet_polls_total", &[]), 1.0);
    assert_eq!(
        page.get("tradernet_security_sessions_opened_total", &[]),
        2.0
    );
    // The exporter's own families may be a moment old.
    let count = "tradernet_api_request_duration_seconds_count";
    exporter
        .wait_for("the request is observed", |page| {
            page.find(count, &[("transport", "websocket")]) == Some(1.0)
        })
        .await;
    exporter.stop().await;
}

#[tokio::test]
async fn the_handshake_and_the_request_are_as_documented() {
    let mut peer = peer().await;
    let sid = "a+b/c=d&e";
    let exporter = stream_from(&peer, &[("TRADERNET_SID", sid)]).await;
    exporter.wait_for_value(OPEN, 1.0).await;
    assert_eq!(peer.all("handshake"), ["/?SID=a%2Bb%2Fc%3Dd%26e"]);
    assert_eq!(peer.some("got", 1).await, [r#"["sessions"]"#]);
    let headers = &peer.all("headers")[0];
    let agent = headers["user-agent"].as_str().unwrap();
    assert!(agent.starts_with("tradernet-exporter/"), "{agent}");
    assert_eq!(headers["cookie"], Value::Null);
    exporter.stop().await;
}

#[tokio::test]
async fn a_key_pair_signs_the_handshake_and_demo_mode_advises_an_sid() {
    let mut peer = StreamServer::start(WEBSOCKET).await;
    peer.tell(json!({"keys": {"a-public+key": "the secret"}, "answers": [list(2)]}))
        .await;
    let with_secret = async |secret| {
        let program = ExporterProcess::start(&[
            ("TRADERNET_TRANSPORT", "websocket"),
            ("TRADERNET_WS_URL", &peer.origin()),
            ("TRADERNET_API_KEY", "a-public+key"),
            ("TRADERNET_API_SECRET", secret),
        ])
        .await;
        let page = program.first_attempt().await;
        let accounts = program.get("/api/v1/accounts").await;
        (page, accounts.text().to_owned())
    };
    let (page, _) = with_secret("the secret").await;
    assert_eq!((page.get(UP, &[]), page.get(OPEN, &[])), (1.0, 2.0));
    assert_eq!(peer.all("headers")[0]["cookie"], Value::Null);

    let (page, accounts) = with_secret("another secret").await;
    assert_eq!((page.get(UP, &[]), page.find(OPEN, &[])), (0.0, None));
    assert_eq!(page.failures(), [("auth".to_owned(), 1.0)].into());
    assert_eq!(page.get("tradernet_logins_total", &[]), 0.0);
    assert!(
        accounts.contains("for a key pair, this server wants an SID"),
        "{accounts}"
    );
}

#[tokio::test]
async fn unrelated_frames_are_ignored() {
    let mut peer = peer().await;
    let exporter = stream_from(&peer, &[]).await;
    exporter.wait_for_value(OPEN, 1.0).await;
    for frame in [
        r#"["userData",{"mode":"prod","sessions":[]}]"#,
        r#"["q",{"c":"AAPL.US"}]"#,
        r#"{"sessions":[]}"#,
        "no JSON",
        "[]",
        "null",
    ] {
        peer.tell(json!({"send": frame})).await;
    }
    peer.tell(json!({"send": list(2)})).await;
    let page = exporter.wait_for_value(OPEN, 2.0).await;
    assert!(page.failures().is_empty());
    assert_eq!(page.get("tradernet_sessions_undecodable", &[]), 0.0);
    exporter.stop().await;
}

#[tokio::test]
async fn refused_handshakes_are_told_apart() {
    for (status, headers, body, reason) in [
        (401, json!({}), "", "auth"),
        (429, json!({"Retry-After": "7"}), "", "rate_limited"),
        (302, json!({"Location": "/elsewhere"}), "", "http_status"),
        (400, json!({}), r#"{"errMsg":"no","code":2}"#, "api_error"),
        (200, json!({}), "[]", "decode"),
    ] {
        let mut peer = peer().await;
        peer.tell(json!({"refuse": [status, headers, body]})).await;
        let exporter = stream_from(&peer, &[]).await;
        assert_eq!(first_failure(exporter).await, reason, "{status} {body}");
        assert_eq!(peer.all("handshake").len(), 1, "{status} is not followed");
    }
}

#[tokio::test]
async fn pongs_confirm_the_list_of_a_server_that_answers_once() {
    let mut peer = peer().await;
    peer.tell(json!({"answers": [list(1), null]})).await;
    let exporter = stream_from(&peer, &SHORT_INTERVAL).await;
    let first = exporter.wait_for_value(OPEN, 1.0).await;
    let page = exporter
        .wait_for("more requests", |page| {
            page.get("tradernet_polls_total", &[]) >= 5.0
        })
        .await;
    assert!(page.failures().is_empty());
    assert_eq!(page.get(UP, &[]), 1.0);
    let success = "tradernet_last_successful_poll_timestamp_seconds";
    assert!(page.get(success, &[]) > first.get(success, &[]) + 3.0);
    // MAX_AGE, three seconds, is over since the list came.
    assert_eq!(page.get(OPEN, &[]), 1.0);
    peer.tell(json!({"send": list(2)})).await;
    exporter.wait_for_value(OPEN, 2.0).await;
    assert_eq!(peer.all("handshake").len(), 1);
    exporter.stop().await;
}

#[tokio::test]
async fn a_refused_sid_is_dropped_and_one_login_is_tried() {
    const PASSWORD: &str = "a-password-of-the-test";
    let account = AccountSpec::new("desk").password(PASSWORD);
    let upstream = SimulatedApi::start_with(account).await;
    let mut peer = StreamServer::start(WEBSOCKET).await;
    peer.tell(json!({"first": [r#"["userData",{"mode":"demo"}]"#]}))
        .await;
    let given = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_LOGIN", "desk"),
        ("TRADERNET_PASSWORD", PASSWORD),
        ("TRADERNET_POLL_INTERVAL", "1s"),
    ];
    let exporter = stream_from(&peer, &given).await;
    let page = exporter.first_attempt().await;
    assert_eq!(page.failures(), [("auth".to_owned(), 1.0)].into());
    assert_eq!(page.get("tradernet_logins_total", &[]), 1.0);
    // A login that is again answered with demo mode is not repeated.
    assert_eq!(page.get("tradernet_login_blocked", &[]), 1.0);
    peer.tell(json!({"first": [], "answers": [list(1)]})).await;
    // The same SID is tried again.
    let page = exporter.wait_for_value(OPEN, 1.0).await;
    assert_eq!(page.get("tradernet_logins_total", &[]), 1.0);
    // The open stream enters demo mode, then its SID is rejected: a login for each.
    for (frame, logins) in [
        (r#"["userData",{"mode":"demo"}]"#, 2.0),
        (r#"["error",{"code":12}]"#, 3.0),
    ] {
        peer.tell(json!({"send": frame})).await;
        exporter.wait_for_value(UP, 0.0).await;
        let page = exporter.poll().await;
        assert_eq!(page.get("tradernet_logins_total", &[]), logins);
        assert_eq!(page.get(UP, &[]), 1.0);
    }
    // Three within 15 minutes: no fourth.
    peer.tell(json!({"send": r#"["error",{"code":12}]"#})).await;
    exporter.wait_for_value(UP, 0.0).await;
    let page = exporter.poll().await;
    assert_eq!(page.get("tradernet_logins_total", &[]), 3.0);
    assert_eq!(page.get("tradernet_login_blocked", &[]), 1.0);
    exporter.stop().await;
}

#[tokio::test]
async fn the_sid_appears_nowhere() {
    let mut peer = peer().await;
    // A server that quotes what it was sent, and its neighbours that do worse.
    let quoted = format!(r#"{{"errMsg":"bad SID {SID}","code":5}}"#);
    let plain = peer.origin();
    let tls = plain.replace("ws://", "wss://");
    for (origin, refusal) in [
        (plain.as_str(), json!([403, {}, quoted])),
        (plain.as_str(), json!([400, {}, quoted])),
        (plain.as_str(), json!([500, {}, format!("/?SID={SID}")])),
        (
            plain.as_str(),
            json!([302, {"Location": format!("https://elsewhere.invalid/?SID={SID}")}, ""]),
        ),
        (plain.as_str(), json!([429, {"Retry-After": SID}, ""])),
        (plain.as_str(), Value::Null),
        (tls.as_str(), Value::Null),
        ("wss://nowhere.invalid", Value::Null),
        ("ws://127.0.0.1:1", Value::Null),
    ] {
        peer.tell(json!({
            "refuse": refusal,
            "first": [format!(r#"["error","what is {SID}?"]"#)],
        }))
        .await;
        let variables = [
            ("TRADERNET_SID", SID),
            ("TRADERNET_TRANSPORT", "websocket"),
            ("TRADERNET_WS_URL", origin),
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
        ];
        fails_without_secrets(&variables, &[SID]).await;
    }
}

const REMOTE: &str = "wss://wss.tradernet.test";

/// The built binary, streaming over TLS with a private CA and through a proxy where one is set.
struct TlsProxyFixture {
    folder: tempfile::TempDir,
    proxy: Proxy,
    peer: StreamServer,
    front: u16,
}

impl TlsProxyFixture {
    async fn new(ca: &Ca) -> Self {
        let peer = peer().await;
        let front = tls_terminator(ca.server(), peer.port).await;
        Self {
            folder: tempfile::tempdir().unwrap(),
            proxy: Proxy::start(front).await,
            peer,
            front,
        }
    }

    async fn stream(&self, trusted: &Ca, origin: &str, given: &[(&str, &str)]) -> Exposition {
        let certificate = self.folder.path().join("ca.pem");
        trusted.write(&certificate);
        let mut all = vec![
            ("TRADERNET_SID", SID),
            ("TRADERNET_TRANSPORT", "websocket"),
            ("TRADERNET_WS_URL", origin),
            ("SSL_CERT_FILE", certificate.to_str().unwrap()),
        ];
        all.extend(given);
        let program = ExporterProcess::start(&all).await;
        program.first_attempt().await
    }
}

#[tokio::test]
async fn a_private_ca_is_trusted_where_it_is_named() {
    let ca = Ca::new();
    let secure = TlsProxyFixture::new(&ca).await;
    let origin = format!("wss://localhost:{}", secure.front);
    let page = secure.stream(&ca, &origin, &[]).await;
    assert_eq!(page.get(CONNECTED, &[]), 1.0, "{}", page.text);
    let page = secure.stream(&Ca::new(), &origin, &[]).await;
    assert_eq!(page.failures(), [("tls".to_owned(), 1.0)].into());
    let ipv4 = format!("wss://127.0.0.1:{}", secure.front);
    let page = secure.stream(&ca, &ipv4, &[]).await;
    assert_eq!(page.get(CONNECTED, &[]), 1.0, "{}", page.text);
}

#[tokio::test]
async fn stream_uses_http_proxy_settings() {
    let ca = Ca::new();
    let mut secure = TlsProxyFixture::new(&ca).await;
    let proxy = secure.proxy.url("user:secret@");
    let proxied = [("HTTPS_PROXY", proxy.as_str())];
    let page = secure.stream(&ca, REMOTE, &proxied).await;
    assert_eq!(page.get(CONNECTED, &[]), 1.0, "{}", page.text);
    let asked = secure.proxy.heads();
    assert_eq!(asked.len(), 1);
    let start = "CONNECT wss.tradernet.test:443 HTTP/1.1\r\n";
    assert!(asked[0].starts_with(start), "{asked:?}");
    // "user:secret", and nothing of the SID.
    let head = asked[0].to_lowercase();
    let authorization = "proxy-authorization: basic dxnlcjpzzwnyzxq=";
    assert!(head.contains(authorization), "{head}");
    assert!(!head.contains(SID), "{head}");
    let handshakes = secure.peer.some("handshake", 1).await;
    assert_eq!(handshakes, [format!("/?SID={SID}")]);

    // Hosts in NO_PROXY are reached without the proxy, here not at all.
    let direct = [proxied[0], ("NO_PROXY", ".tradernet.test")];
    let page = secure.stream(&ca, REMOTE, &direct).await;
    assert_eq!(page.failures(), [("network".to_owned(), 1.0)].into());
    // Loopback never goes through a proxy.
    let loopback = format!("wss://localhost:{}", secure.front);
    let page = secure.stream(&ca, &loopback, &proxied).await;
    assert_eq!(page.get(CONNECTED, &[]), 1.0, "{}", page.text);
    assert_eq!(secure.proxy.heads().len(), 1);
}
