//! Private CAs and proxies, with the built binary: both come from its environment.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tradernet_exporter::simulator::{self, AccountSpec, Simulator};

use crate::support::{
    Ca, ExporterProcess, Exposition, LOGIN, Proxy, SID, SimulatedApi, post, run_to_exit,
};

/// A simulator with TLS by a private CA, that CA in a file, and a proxy to the simulator.
struct PrivateCa {
    upstream: SimulatedApi,
    proxy: Proxy,
    ca_file: String,
    _folder: TempDir,
}

impl PrivateCa {
    async fn start() -> Self {
        let ca = Ca::new();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        ca.write(&ca_file);
        let account = AccountSpec::new(LOGIN).sid(SID);
        let upstream = SimulatedApi::start_for_process(account, Some(&ca)).await;
        Self {
            proxy: Proxy::start(upstream.port).await,
            upstream,
            ca_file: ca_file.to_str().unwrap().to_owned(),
            _folder: folder,
        }
    }

    /// The first attempt's metrics and the log, where the CA is trusted.
    async fn poll(&self, variables: &[(&str, &str)]) -> (Exposition, String) {
        let ca_file = ("SSL_CERT_FILE", self.ca_file.as_str());
        first_attempt(&[&[ca_file], variables].concat()).await
    }
}

/// The first attempt's metrics, and the log.
async fn first_attempt(variables: &[(&str, &str)]) -> (Exposition, String) {
    let more = [("TRADERNET_SID", SID), ("TRADERNET_LOG_LEVEL", "debug")];
    let mut program = ExporterProcess::start(&[&more[..], variables].concat()).await;
    let page = program.first_attempt().await;
    // The log has a thread of its own.
    let ends = |line: &str| line.contains("attempt succeeded") || line.contains("poll failed");
    program.wait_for_log("the first attempt", ends).await;
    (page, program.log().join("\n"))
}

/// Serves this world over TLS, and returns the origin.
async fn serve(world: Simulator, tls: Arc<rustls::ServerConfig>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(simulator::serve(listener, world, Some(tls)));
    origin
}

#[tokio::test]
async fn private_ca_is_trusted_by_its_file() {
    let private = PrivateCa::start().await;
    let url = ("TRADERNET_URL", private.upstream.origin.as_str());
    // By its name as well as by its address.
    let localhost = private.upstream.origin.replace("127.0.0.1", "localhost");
    for url in [url, ("TRADERNET_URL", &localhost)] {
        let (page, _) = private.poll(&[url]).await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0);
    }
    // An empty variable is unset.
    for unset in [&[url][..], &[url, ("SSL_CERT_FILE", "")]] {
        let (page, _) = first_attempt(unset).await;
        assert_eq!(page.failures(), [("tls".to_owned(), 1.0)].into());
    }
}

/// A block that is not base64, and one that is not a certificate.
#[tokio::test]
async fn bad_certificates_beside_good_ones_are_named_in_one_warning() {
    let private = PrivateCa::start().await;
    let bad = ["!", "AAAA"]
        .map(|text| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
    let good = std::fs::read_to_string(&private.ca_file).unwrap();
    std::fs::write(&private.ca_file, bad.concat() + &good).unwrap();
    let url = ("TRADERNET_URL", private.upstream.origin.as_str());
    let (page, log) = private.poll(&[url]).await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    let warnings = Vec::from_iter(log.lines().filter(|line| line.contains("level=warn")));
    let [warning] = &*warnings else {
        panic!("{log}");
    };
    let expected = format!("{}: unreadable certificates: 2", private.ca_file);
    assert!(warning.contains(&expected), "{log}");
}

#[tokio::test]
async fn certificate_for_another_name_is_not_trusted() {
    let private = PrivateCa::start().await;
    let ca = Ca::new();
    ca.write(private.ca_file.as_ref());
    let world = Simulator::new();
    let origin = serve(world.clone(), ca.server_for(&["tradernet.test"])).await;
    let (page, _) = private.poll(&[("TRADERNET_URL", &origin)]).await;
    assert_eq!(page.failures(), [("tls".to_owned(), 1.0)].into());
    assert_eq!(world.requests().len(), 0);
}

/// As `openssl req -x509` makes one, which curl accepts.
#[tokio::test]
async fn ca_used_as_leaf_has_clear_error() {
    let (pem, tls) = Ca::server_as_itself();
    let private = PrivateCa::start().await;
    std::fs::write(&private.ca_file, pem).unwrap();
    let origin = serve(Simulator::new(), tls).await;
    let (page, log) = private.poll(&[("TRADERNET_URL", &origin)]).await;
    assert_eq!(page.failures(), [("tls".to_owned(), 1.0)].into());
    let words = "own certificate is that of a CA: make it without CA:TRUE";
    assert!(log.contains(words), "{log}");
}

#[tokio::test]
async fn missing_ca_file_is_reported_at_start() {
    let variables = [
        ("TRADERNET_SID", SID),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
    ];
    let run = run_to_exit(&[], &variables).await;
    assert_eq!(run.code, Some(2));
    let expected = [
        "no CA certificate could be loaded",
        "/nowhere/ca.pem",
        "SSL_CERT_FILE",
    ];
    for text in expected {
        assert!(run.stderr.contains(text), "{}", run.stderr);
    }
}

/// Reading it would block for ever.
#[tokio::test]
async fn ca_file_that_is_not_a_regular_file_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    for path in [fifo.to_str().unwrap(), "/dev/zero"] {
        let variables = [
            ("TRADERNET_SID", SID),
            ("SSL_CERT_FILE", path),
            ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
        ];
        let run = run_to_exit(&[], &variables).await;
        assert_eq!(run.code, Some(2), "{path}");
        let expected = format!("{path}: not a regular file");
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    }
}

const REMOTE: (&str, &str) = ("TRADERNET_URL", "https://tradernet.test");

#[tokio::test]
async fn requests_go_through_the_proxy() {
    let private = PrivateCa::start().await;
    let proxy = &private.proxy;
    let address = proxy.address();
    let with_password = proxy.url("desk:sesame-open@");
    let with_scheme = proxy.url("");
    for (name, value) in [
        ("HTTPS_PROXY", with_password.as_str()),
        ("https_proxy", &with_scheme),
        ("HTTPS_PROXY", &address),
        ("ALL_PROXY", &with_scheme),
    ] {
        let before = proxy.heads().len();
        let (page, log) = private.poll(&[REMOTE, (name, value)]).await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "{name}: {log}");
        assert_eq!(proxy.heads().len(), before + 1);
        assert!(!log.contains("sesame"), "{log}");
    }
    // `desk:sesame-open`
    let authorization = "proxy-authorization: basic zgvzazpzzxnhbwutb3blbg==";
    let heads = proxy.heads();
    assert!(heads[0].to_lowercase().contains(authorization), "{heads:?}");
    let second = heads[1].to_lowercase();
    assert!(!second.contains("authorization"), "{heads:?}");
    // The proxy sees the host, and nothing of the request inside.
    let start = "CONNECT tradernet.test:443 HTTP/1.1\r\n";
    for head in &heads {
        assert!(head.starts_with(start), "{head}");
        assert!(!head.contains(SID) && !head.contains("cookie"), "{head}");
    }
}

#[tokio::test]
async fn no_proxy_is_honoured() {
    let private = PrivateCa::start().await;
    let proxy = &private.proxy;
    let address = proxy.address();
    let variables = [REMOTE, ("HTTPS_PROXY", &address)];
    for (name, value) in [
        ("NO_PROXY", "tradernet.test"),
        ("no_proxy", "example.com,.test"),
        ("NO_PROXY", "*"),
    ] {
        let short = ("TRADERNET_TIMEOUT", "1s");
        let (page, _) = private
            .poll(&[&variables[..], &[(name, value), short]].concat())
            .await;
        // No server has that name.
        assert_eq!(page.get("tradernet_up", &[]), 0.0, "{name}={value}");
        assert_eq!(proxy.heads(), [""; 0], "{name}={value}");
    }
    let (page, _) = private
        .poll(&[&variables[..], &[("NO_PROXY", "example.com")]].concat())
        .await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(proxy.heads().len(), 1);
}

#[tokio::test]
async fn loopback_never_goes_through_a_proxy() {
    let private = PrivateCa::start().await;
    let proxy = &private.proxy;
    let address = proxy.address();
    let localhost = private.upstream.origin.replace("127.0.0.1", "localhost");
    for url in [private.upstream.origin.as_str(), &localhost] {
        let variables = [
            ("TRADERNET_URL", url),
            ("HTTPS_PROXY", &address),
            ("ALL_PROXY", &address),
            ("HTTP_PROXY", &address),
        ];
        let (page, _) = private.poll(&variables).await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0);
        assert_eq!(proxy.heads(), [""; 0]);
    }
}

/// The words of the proxy are not shown; a status is shown without them.
#[tokio::test]
async fn refusal_by_the_proxy_is_a_network_failure_with_its_status() {
    let login = ("TRADERNET_LOGIN", LOGIN);
    let credentials: [&[(&str, &str)]; 3] = [
        &[],
        &[("TRADERNET_SID", ""), login, ("TRADERNET_PASSWORD", "pw")],
        &[
            ("TRADERNET_TRANSPORT", "websocket"),
            ("TRADERNET_WS_URL", "wss://tradernet.test"),
        ],
    ];
    let own_words = "HTTP/1.1 403 sesame-open\r\nRetry-After: 7\r\n\r\nsesame-open";
    let server_error = "HTTP/1.1 502 \r\n\r\n";
    let private = PrivateCa::start().await;
    let proxy = &private.proxy;
    let with_password = proxy.url("desk:sesame-open@");
    let mut asked = 0;
    for (answer, cause, heads, credential) in [
        (
            "HTTP/1.1 407 \r\n\r\n",
            "the proxy answered HTTP 407: it requires a user and a password",
            1,
            0,
        ),
        (own_words, "the proxy answered HTTP 403 Forbidden", 2, 0),
        (own_words, "the proxy answered HTTP 403 Forbidden", 2, 1),
        (own_words, "the proxy answered HTTP 403 Forbidden", 2, 2),
        (
            server_error,
            "the proxy answered HTTP 502 Bad Gateway",
            2,
            0,
        ),
        (
            "HTTP/1.1 599 sesame-open\r\n\r\n",
            "the proxy answered HTTP 599",
            2,
            0,
        ),
        (
            "SSH-2.0-sesame-open\r\n\r\n",
            "the proxy opened no tunnel to the API",
            2,
            0,
        ),
        ("", "the proxy closed the connection", 1, 0),
    ] {
        proxy.answer(answer);
        let proxy_variable = ("HTTPS_PROXY", with_password.as_str());
        let variables = [&[REMOTE, proxy_variable], credentials[credential]].concat();
        let (page, log) = private.poll(&variables).await;
        let failures = page.failures();
        assert_eq!(failures, [("network".to_owned(), 1.0)].into(), "{log}");
        asked += heads;
        assert_eq!(proxy.heads().len(), asked, "{answer}");
        let error = format!(
            "no connection through the proxy {}: {cause}\"",
            proxy.address()
        );
        assert!(log.contains(&error), "{error}: {log}");
        assert!(!log.contains("sesame") && !log.contains(SID), "{log}");
    }
    // The second request is the same as the first.
    let heads = proxy.heads();
    let second = heads[2].to_lowercase();
    assert!(
        second.starts_with("connect tradernet.test:443 http/1.1\r\n"),
        "{second}"
    );
    assert!(
        second.contains("proxy-authorization: basic zgvzazpzzxnhbwutb3blbg=="),
        "{second}"
    );
    assert!(heads.iter().all(|head| !head.contains(SID)), "{heads:?}");
}

#[tokio::test]
async fn a_connection_that_ends_in_the_tls_handshake_is_a_tls_failure() {
    let private = PrivateCa::start().await;
    for is_reset in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                if is_reset {
                    connection.set_zero_linger().unwrap();
                }
                // Unread bytes would be answered with a reset.
                let _ = connection.read(&mut [0; 4096]).await;
            }
        });
        let proxy = Proxy::start(address.port()).await;
        let (origin, proxy) = (format!("https://{address}"), proxy.address());
        let mut cases = vec![
            (vec![("TRADERNET_URL", origin.as_str())], &origin),
            (vec![REMOTE, ("HTTPS_PROXY", &proxy)], &proxy),
        ];
        // The handshake with the proxy, which resets as it opens no tunnel.
        if !is_reset {
            cases.push((vec![REMOTE, ("HTTPS_PROXY", &origin)], &origin));
        }
        for (variables, named) in cases {
            let (page, log) = private.poll(&variables).await;
            assert_eq!(page.failures(), [("tls".to_owned(), 1.0)].into(), "{log}");
            assert!(log.contains(named.trim_start_matches("https://")), "{log}");
        }
    }
}

#[tokio::test]
async fn timeout_names_address_proxy_and_stage() {
    // Accepts and sends nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    let private = PrivateCa::start().await;
    let (https, http) = (format!("https://{silent}"), format!("http://{silent}"));
    let ws = format!("ws://{silent}");
    let with_password = format!("http://desk:sesame-open@{silent}");
    let websocket = ("TRADERNET_TRANSPORT", "websocket");
    for (variables, error) in [
        (
            vec![("TRADERNET_URL", https.as_str())],
            format!("no connection to {silent} within 0.3s"),
        ),
        (
            vec![REMOTE, ("HTTPS_PROXY", &with_password)],
            format!("no connection to tradernet.test:443 (proxy: {silent}) within 0.3s"),
        ),
        (
            vec![("TRADERNET_URL", &http), ("HTTPS_PROXY", &with_password)],
            format!("no complete answer from {silent} within 0.3s"),
        ),
        (
            vec![websocket, ("TRADERNET_WS_URL", &ws)],
            format!("no complete answer from {silent} within 0.3s"),
        ),
        (
            vec![
                websocket,
                ("TRADERNET_WS_URL", "wss://tradernet.test"),
                ("HTTPS_PROXY", &with_password),
            ],
            format!("no connection to tradernet.test:443 (proxy: {silent}) within 0.3s"),
        ),
    ] {
        let short = [("TRADERNET_TIMEOUT", "300ms")];
        let (page, log) = private.poll(&[&variables[..], &short].concat()).await;
        let failures = page.failures();
        assert_eq!(failures, [("timeout".to_owned(), 1.0)].into(), "{log}");
        assert!(log.contains(&error), "{error}: {log}");
        assert!(!log.contains("sesame"), "{log}");
    }
}

#[tokio::test]
async fn ca_certificates_are_loaded_by_the_reload_that_needs_them() {
    let private = PrivateCa::start().await;
    let plain = SimulatedApi::start().await;
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join("accounts.yml");
    let write = |origins: &[&str]| {
        let accounts_of = origins.iter().enumerate();
        let text = accounts_of
            .map(|(n, origin)| format!("  - account: a{n}\n    url: {origin}\n    sid: {SID}\n"));
        std::fs::write(&accounts, format!("accounts:\n{}", String::from_iter(text))).unwrap();
    };
    write(&[&plain.origin]);
    let pem = std::fs::read(&private.ca_file).unwrap();
    std::fs::remove_file(&private.ca_file).unwrap();
    let program = ExporterProcess::start(&[
        ("TRADERNET_CONFIG_FILE", accounts.to_str().unwrap()),
        ("SSL_CERT_FILE", &private.ca_file),
        ("WEB_ENABLE_LIFECYCLE", "true"),
        ("TRADERNET_POLL_INTERVAL", ""),
    ])
    .await;

    write(&[&plain.origin, &private.upstream.origin]);
    let refused = post(program.address, "/-/reload").await;
    assert_eq!(refused.status, 500);
    let text = refused.text();
    assert!(text.contains("no CA certificate could be loaded"), "{text}");
    std::fs::write(&private.ca_file, pem).unwrap();
    assert_eq!(post(program.address, "/-/reload").await.status, 200);
    private.upstream.wait_for_list_requests(1).await;
}
