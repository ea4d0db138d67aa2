//! The way out: private CAs and proxies, with the built binary, since both come from its environment.

use tempfile::TempDir;
use tokio::net::TcpListener;
use tradernet_exporter::simulator::{self, AccountSpec, Simulator};

use crate::support::{
    Ca, ExporterProcess, Exposition, LOGIN, Proxy, SID, SimulatedApi, TestClock, run_to_exit,
};

/// A Tradernet with TLS by a private CA, and that CA in a file.
struct Private {
    upstream: SimulatedApi,
    folder: TempDir,
}

impl Private {
    async fn start() -> Self {
        let ca = Ca::new();
        let folder = tempfile::tempdir().unwrap();
        ca.write(&folder.path().join("ca.pem"));
        let world = Simulator::new();
        world.add_account(AccountSpec::new(LOGIN).sid(SID));
        let upstream = SimulatedApi::serve_simulator(world, TestClock::new(), Some(&ca)).await;
        Self { upstream, folder }
    }

    fn ca_file(&self) -> String {
        self.folder
            .path()
            .join("ca.pem")
            .to_str()
            .unwrap()
            .to_owned()
    }
}

/// The first attempt's page, and the log.
async fn first(variables: &[(&str, &str)]) -> (Exposition, String) {
    let more = [
        ("TRADERNET_SID", SID),
        ("TRADERNET_TIMEOUT", "5s"),
        ("TRADERNET_LOG_LEVEL", "debug"),
    ];
    let program = ExporterProcess::start(&[], &[&more[..], variables].concat()).await;
    let page = program
        .wait_for("the first poll", |page| {
            page.find("tradernet_up", &[]).is_some()
        })
        .await;
    (page, program.log().join("\n"))
}

#[tokio::test]
async fn a_private_ca_is_trusted_by_its_file() {
    let private = Private::start().await;
    let url = ("TRADERNET_URL", private.upstream.origin.as_str());
    let (page, _) = first(&[url, ("SSL_CERT_FILE", &private.ca_file())]).await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    let (page, _) = first(&[url]).await;
    assert_eq!(page.failures(), [("tls".to_owned(), 1.0)].into());
    // By its name as well as by its address.
    let localhost = private.upstream.origin.replace("127.0.0.1", "localhost");
    let (page, _) = first(&[
        ("TRADERNET_URL", &localhost),
        ("SSL_CERT_FILE", &private.ca_file()),
    ])
    .await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let private = Private::start().await;
    let ca = Ca::new();
    ca.write(&private.folder.path().join("ca.pem"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let world = private.upstream.world.clone();
    let tls = Some(ca.server_for(&["tradernet.test"]));
    tokio::spawn(simulator::serve(
        listener,
        world.clone(),
        tls,
        std::future::pending(),
    ));
    let (page, _) = first(&[
        ("TRADERNET_URL", &origin),
        ("SSL_CERT_FILE", &private.ca_file()),
    ])
    .await;
    assert_eq!(page.failures(), [("tls".to_owned(), 1.0)].into());
    assert_eq!(world.requests().len(), 0);
}

/// As `openssl req -x509` makes one, which curl takes.
#[tokio::test]
async fn ca_used_as_leaf_has_clear_error() {
    let (pem, tls) = Ca::server_as_itself();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let world = Simulator::new();
    tokio::spawn(simulator::serve(
        listener,
        world,
        Some(tls),
        std::future::pending(),
    ));
    let file = ("SSL_CERT_FILE", file.to_str().unwrap());
    let (page, log) = first(&[("TRADERNET_URL", &origin), file]).await;
    assert_eq!(page.failures(), [("tls".to_owned(), 1.0)].into());
    let words = "own certificate is that of a CA: make it without CA:TRUE";
    assert!(log.contains(words), "{log}");
}

#[tokio::test]
async fn a_ca_file_that_is_not_there_is_told_at_start() {
    let run = run_to_exit(
        &[],
        &[
            ("TRADERNET_SID", SID),
            ("SSL_CERT_FILE", "/nowhere/ca.pem"),
            ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
        ],
    )
    .await;
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

const REMOTE: (&str, &str) = ("TRADERNET_URL", "https://tradernet.test");

#[tokio::test]
async fn requests_go_through_the_proxy() {
    let private = Private::start().await;
    let ca_file = private.ca_file();
    let proxy = Proxy::start(private.upstream.port).await;
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
        let (page, log) = first(&[REMOTE, ("SSL_CERT_FILE", &ca_file), (name, value)]).await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0, "{name}: {log}");
        assert_eq!(proxy.heads().len(), before + 1);
        assert!(!log.contains("sesame"), "{log}");
    }
    // `desk:sesame-open`
    let authorization = "proxy-authorization: basic zgvzazpzzxnhbwutb3blbg==";
    let heads = proxy.heads();
    assert!(
        heads[0].to_lowercase().contains(authorization),
        "{}",
        heads[0]
    );
    assert!(
        !heads[1].to_lowercase().contains("authorization"),
        "{}",
        heads[1]
    );
    // The proxy sees the host, and nothing of the request inside.
    for head in &heads {
        assert!(
            head.starts_with("CONNECT tradernet.test:443 HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(!head.contains(SID) && !head.contains("cookie"), "{head}");
    }
}

#[tokio::test]
async fn no_proxy_is_honoured() {
    let private = Private::start().await;
    let ca_file = private.ca_file();
    let proxy = Proxy::start(private.upstream.port).await;
    let address = proxy.address();
    let variables = [
        REMOTE,
        ("SSL_CERT_FILE", &ca_file),
        ("HTTPS_PROXY", &address),
    ];
    for (name, value) in [
        ("NO_PROXY", "tradernet.test"),
        ("no_proxy", "example.com,.test"),
        ("NO_PROXY", "*"),
    ] {
        let short = ("TRADERNET_TIMEOUT", "1s");
        let (page, _) = first(&[&variables[..], &[(name, value), short]].concat()).await;
        // Nobody has that name.
        assert_eq!(page.get("tradernet_up", &[]), 0.0, "{name}={value}");
        assert_eq!(proxy.heads(), [""; 0], "{name}={value}");
    }
    let (page, _) = first(&[&variables[..], &[("NO_PROXY", "example.com")]].concat()).await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(proxy.heads().len(), 1);
}

#[tokio::test]
async fn loopback_never_goes_through_a_proxy() {
    let private = Private::start().await;
    let ca_file = private.ca_file();
    let proxy = Proxy::start(private.upstream.port).await;
    let address = proxy.address();
    let localhost = private.upstream.origin.replace("127.0.0.1", "localhost");
    for url in [private.upstream.origin.as_str(), &localhost] {
        let (page, _) = first(&[
            ("TRADERNET_URL", url),
            ("SSL_CERT_FILE", &ca_file),
            ("HTTPS_PROXY", &address),
            ("ALL_PROXY", &address),
            ("HTTP_PROXY", &address),
        ])
        .await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0);
        assert_eq!(proxy.heads(), [""; 0]);
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_network_failure() {
    for status in ["407 Proxy Authentication Required", "502 Bad Gateway"] {
        let proxy = Proxy::start(0).await;
        proxy.refuse(status);
        let with_password = proxy.url("desk:sesame-open@");
        let private = Private::start().await;
        let variables = [
            REMOTE,
            ("SSL_CERT_FILE", &private.ca_file()),
            ("HTTPS_PROXY", &with_password),
        ];
        let (page, log) = first(&variables).await;
        assert_eq!(
            page.failures(),
            [("network".to_owned(), 1.0)].into(),
            "{log}"
        );
        assert_eq!(proxy.heads().len(), 1);
        assert!(!log.contains("sesame") && !log.contains(SID), "{log}");
    }
}
