//! The exporter's own TLS: client certificates, reload, and what else speaks to such a port.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::support::{
    InProcessExporter, Reply, SID, SimulatedApi, get_over_tls, run_to_exit, run_with_input,
    send_raw, wait_until_some,
};

const CERTIFICATES: &str = "tests/fixtures/web_config/certificates";
const SERVER: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

/// An exporter with a web configuration in a folder of its own, with copies of the certificates.
struct Secured {
    exporter: InProcessExporter,
    folder: TempDir,
    upstream: SimulatedApi,
}

impl Secured {
    async fn start(web_config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in fs::read_dir(CERTIFICATES).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        let path = folder.path().join("web.yml");
        fs::write(&path, web_config).unwrap();
        let upstream = SimulatedApi::start().await;
        let variables = [
            ("TRADERNET_SID", SID),
            ("WEB_CONFIG_FILE", path.to_str().unwrap()),
        ];
        let exporter = InProcessExporter::start_unready(&upstream, &variables).await;
        Self {
            exporter,
            folder,
            upstream,
        }
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    async fn get(&self, client: &Client, path: &str) -> Option<Reply> {
        client.get(&self.exporter, path).await
    }
}

/// A client that trusts the CA of the fixtures.
#[derive(Clone, Default)]
struct Client {
    certificate: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
    version: Option<&'static SupportedProtocolVersion>,
    authorization: Option<&'static str>,
    trust: Option<CertificateDer<'static>>,
}

impl Client {
    /// With the certificate that the CA of the fixtures has signed.
    fn known() -> Self {
        let read = |name: &str| fs::read(Path::new(CERTIFICATES).join(name)).unwrap();
        let certificate = CertificateDer::from_pem_slice(&read("client.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&read("client.key")).unwrap();
        Self {
            certificate: Some((vec![certificate], Arc::new(key))),
            ..Self::default()
        }
    }

    /// With a certificate that says the same, and that no CA has signed.
    fn foreign() -> Self {
        let signed = rcgen::generate_simple_self_signed(["prometheus.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        Self {
            certificate: Some((vec![signed.cert.der().clone()], Arc::new(key))),
            ..Self::default()
        }
    }

    async fn get(&self, exporter: &InProcessExporter, path: &str) -> Option<Reply> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(Path::new(CERTIFICATES).join("ca.pem")).unwrap();
        roots.add(self.trust.clone().unwrap_or(ca)).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(
                &self
                    .version
                    .map_or(rustls::DEFAULT_VERSIONS.to_vec(), |version| vec![version]),
            )
            .unwrap()
            .with_root_certificates(roots);
        let config = match &self.certificate {
            Some((chain, key)) => config
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .unwrap(),
            None => config.with_no_client_auth(),
        };
        let headers: Vec<_> = self
            .authorization
            .iter()
            .map(|value| ("authorization", *value))
            .collect();
        get_over_tls(exporter.address, Arc::new(config), path, &headers)
            .await
            .ok()
    }
}

#[tokio::test]
async fn policies_decide_which_client_certificates_are_accepted() {
    let verify = "  client_ca_file: ca.pem\n";
    for (policy, more, [none, foreign, known]) in [
        ("NoClientCert", "", [true, true, true]),
        ("RequestClientCert", "", [true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true]),
        ("RequireClientCert", "", [false, true, true]),
        ("VerifyClientCertIfGiven", verify, [true, false, true]),
        ("RequireAndVerifyClientCert", verify, [false, false, true]),
    ] {
        let config = format!("{SERVER}  client_auth_type: {policy}\n{more}");
        let served = Secured::start(&config).await;
        for (client, accepted) in [
            (Client::default(), none),
            (Client::foreign(), foreign),
            (Client::known(), known),
        ] {
            for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
                let version = Some(version);
                let client = Client {
                    version,
                    ..client.clone()
                };
                let reply = served.get(&client, "/metrics").await;
                let status = reply.map(|reply| reply.status);
                assert_eq!(status, accepted.then_some(200), "{policy}");
            }
        }
    }
}

#[tokio::test]
async fn alternative_names_restrict_client_certificates() {
    for (names, accepted) in [
        ("[other.example, prometheus.example]", true),
        ("[ops@example.com]", true),
        ("[spiffe://example/prometheus]", true),
        ("[203.0.113.9]", true),
        (
            "[other.example, example, \"*.example\", Prometheus.example]",
            false,
        ),
        // As in the toolkit, an empty list allows no name.
        ("[]", false),
    ] {
        let config = format!(
            "{SERVER}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  \
             client_allowed_sans: {names}\n"
        );
        let served = Secured::start(&config).await;
        let reply = served.get(&Client::known(), "/metrics").await;
        assert_eq!(reply.is_some(), accepted, "{names}");
        // Without a certificate there is no name.
        assert!(served.get(&Client::default(), "/metrics").await.is_none());
    }
}

#[tokio::test]
async fn versions_are_restricted() {
    let served = Secured::start(&format!("{SERVER}  min_version: TLS13\n")).await;
    for (version, accepted) in [
        (&rustls::version::TLS12, false),
        (&rustls::version::TLS13, true),
    ] {
        let client = Client {
            version: Some(version),
            ..Client::default()
        };
        assert_eq!(served.get(&client, "/metrics").await.is_some(), accepted);
    }
}

#[tokio::test]
async fn files_are_reloaded_and_invalid_ones_answer_500() {
    let hash = bcrypt::hash("right", 4).unwrap();
    let users = format!("basic_auth_users:\n  alice: {hash}\n");
    let served = Secured::start(&format!("{SERVER}{users}")).await;
    let alice = Client {
        authorization: Some("Basic YWxpY2U6cmlnaHQ="),
        ..Client::default()
    };
    let bob = Client {
        authorization: Some("Basic Ym9iOnJpZ2h0"),
        ..Client::default()
    };
    let wait_for = async |client: &Client, expected: u16| {
        let what = format!("the status is {expected}");
        wait_until_some(&what, async || {
            let reply = served.get(client, "/metrics").await?;
            (reply.status == expected).then_some(reply)
        })
        .await
    };
    wait_for(&alice, 200).await;
    assert_eq!(served.get(&bob, "/metrics").await.unwrap().status, 401);

    served.write(
        "web.yml",
        format!("{SERVER}basic_auth_users:\n  bob: {hash}\n"),
    );
    wait_for(&bob, 200).await;
    assert_eq!(served.get(&alice, "/metrics").await.unwrap().status, 401);

    served.write("web.yml", "basic_auth_users:\n  bob: right\n");
    let reply = wait_for(&bob, 500).await;
    assert_eq!(
        reply.text(),
        "the web configuration is invalid; see the exporter's log\n"
    );
    assert_eq!(served.get(&bob, "/-/healthy").await.unwrap().status, 200);
    for path in ["/-/reload", "/-/log-level", "/"] {
        assert_eq!(served.get(&bob, path).await.unwrap().status, 500, "{path}");
    }
    served.write(
        "web.yml",
        format!("{SERVER}basic_auth_users:\n  bob: {hash}\n"),
    );
    wait_for(&bob, 200).await;

    // Another certificate: the key alone does not fit, and then its certificate follows.
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    served.write("server.key", signed.signing_key.serialize_pem());
    wait_for(&bob, 500).await;
    served.write("server.pem", signed.cert.pem());
    let trusting = Client {
        trust: Some(signed.cert.der().clone()),
        ..bob.clone()
    };
    wait_for(&trusting, 200).await;
    assert!(served.get(&bob, "/metrics").await.is_none());
    served.exporter.stop().await;
    drop(served.upstream);
}

#[tokio::test]
async fn reload_never_takes_away_protection() {
    let hash = bcrypt::hash("right", 4).unwrap();
    let users = format!("basic_auth_users:\n  bob: {hash}\n");
    let verify = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    let full = format!("{SERVER}{verify}{users}");
    let served = Secured::start(&full).await;
    let bob = Client {
        authorization: Some("Basic Ym9iOnJpZ2h0"),
        ..Client::known()
    };
    let wait_for = async |expected: u16| {
        wait_until_some(&format!("the status is {expected}"), async || {
            let reply = served.get(&bob, "/metrics").await?;
            (reply.status == expected).then_some(())
        })
        .await;
    };
    for less in [
        "",
        SERVER,
        &users,
        &format!("{SERVER}{verify}"),
        &format!("{SERVER}{users}"),
    ] {
        wait_for(200).await;
        served.write("web.yml", less);
        wait_for(500).await;
        served.write("web.yml", &full);
    }
    served.exporter.stop().await;
}

#[tokio::test]
async fn plain_http_is_answered_with_400() {
    let served = Secured::start(SERVER).await;
    let address = served.exporter.address;
    let answer = send_raw(address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = answer.unwrap();
    assert!(
        answer.starts_with("HTTP/1.0 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"));
}

#[tokio::test]
async fn invalid_web_configuration_is_refused_at_start() {
    let path = "tests/fixtures/web_config/users.bad.yml";
    let variables = [("TRADERNET_SID", SID), ("WEB_CONFIG_FILE", path)];
    for arguments in [&[][..], &["check", "--offline"], &["demo"]] {
        let variables = if arguments == ["demo"] {
            &variables[1..]
        } else {
            &variables
        };
        let run = run_to_exit(arguments, variables).await;
        assert_eq!(run.code, Some(2));
        let expected = format!(
            "tradernet-exporter: {path}:2: basic_auth_users.alice: the value is not a bcrypt hash"
        );
        assert!(run.stderr.starts_with(&expected), "{}", run.stderr);
        assert!(!run.stderr.contains("hunter2"));
    }
}

#[tokio::test]
async fn healthcheck_works_over_tls() {
    let served = Secured::start(SERVER).await;
    let address = served.exporter.address.to_string();
    let path = served.folder.path().join("web.yml");
    let variables = [
        ("WEB_LISTEN_ADDRESS", address.as_str()),
        ("WEB_CONFIG_FILE", path.to_str().unwrap()),
    ];
    let run = run_to_exit(&["healthcheck"], &variables).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);

    // Neither an invalid file nor one that configures no TLS hides that the exporter is healthy.
    served.write("web.yml", "invalid");
    let run = run_to_exit(&["healthcheck"], &variables).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let plain = Secured::start("").await;
    let address = plain.exporter.address.to_string();
    let variables = [("WEB_LISTEN_ADDRESS", address.as_str()), variables[1]];
    let run = run_to_exit(&["healthcheck"], &variables).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);

    let other = Secured::start(&format!(
        "{SERVER}  client_auth_type: RequireAnyClientCert\n"
    ))
    .await;
    let address = other.exporter.address.to_string();
    let variables = [("WEB_LISTEN_ADDRESS", address.as_str()), variables[1]];
    let run = run_to_exit(&["healthcheck"], &variables).await;
    assert_eq!(run.code, Some(1));
    let hint = "where client certificates are required, set --web.probe-listen-address";
    assert!(run.stderr.contains(hint), "{}", run.stderr);
}

#[tokio::test]
async fn hashed_password_is_accepted() {
    let run = run_with_input(&["hash-password"], "r\u{ef}ght: pass\n").await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let hash = run.stdout.trim_end();
    assert!(hash.starts_with("$2b$10$") && hash.len() == 60, "{hash}");
    assert!(bcrypt::verify("r\u{ef}ght: pass", hash).unwrap());

    for (input, error) in [
        ("\n", "the password is empty"),
        (
            "a\tb",
            "the password contains a line break or another control character",
        ),
        (
            &"x".repeat(73),
            "the password is longer than 72 bytes, of which bcrypt ignores the rest",
        ),
    ] {
        let run = run_with_input(&["hash-password"], input).await;
        assert_eq!(run.code, Some(1));
        assert_eq!(run.stderr, format!("tradernet-exporter: {error}\n"));
    }
}
