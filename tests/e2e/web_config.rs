//! The web configuration file with Prometheus' programs: promtool judges it, and Prometheus scrapes what it
//! protects.

use std::fs;
use std::path::Path;

use crate::servers::Server;
use crate::support::{ExporterProcess, SID, SimulatedApi, other, run_with_input};

const FIXTURES: &str = "tests/fixtures/web_config";

/// Of a newer toolkit than that of Debian's promtool.
const NEWER_KEYS: [&str; 5] = [
    "cert",
    "key",
    "client_ca",
    "client_allowed_sans",
    "rate_limit",
];

/// Files that promtool accepts and the exporter refuses, each with its line in `docs/security.md`.
const REFUSED: [(&str, &str); 9] = [
    (
        "cipher_suites_none_supported",
        "suites with CBC or without forward secrecy",
    ),
    (
        "cipher_suites_of_another_version",
        "`cipher_suites` of which none belongs to an allowed version",
    ),
    (
        "client_auth_without_ca",
        "`RequireAndVerifyClientCert` without a CA",
    ),
    (
        "client_ca_with_a_policy_that_does_not_verify",
        "a client CA is refused with `NoClientCert` only",
    ),
    ("curves_none_supported", "the curve P-521"),
    ("second_document", "a second document"),
    (
        "tls_without_cert",
        "`tls_server_config` without certificate",
    ),
    (
        "versions_all_too_old",
        "a `max_version` below it is refused",
    ),
    ("versions_crossed", "a `min_version` above `max_version`"),
];

#[tokio::test]
async fn promtool_agrees_except_for_the_documented_differences() {
    let documentation = fs::read_to_string("docs/security.md").unwrap();
    let (_, table) = documentation.split_once("| the toolkit |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let mut compared = 0;
    for entry in fs::read_dir(FIXTURES).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some((name, verdict)) = name
            .strip_suffix(".yml")
            .and_then(|name| name.split_once('.'))
        else {
            continue;
        };
        let file = path.to_str().unwrap();
        let run = other("promtool", &["check", "web-config", file], &[], b"").await;
        let is_newer = |key: &&str| {
            run.stderr
                .contains(&format!("field {key} not found in type"))
        };
        if NEWER_KEYS.iter().any(is_newer) {
            continue;
        }
        compared += 1;
        let difference = REFUSED.iter().find(|(refused, _)| *refused == name);
        if let Some((_, line)) = difference {
            assert!(table.contains(line), "{line}");
        }
        let accepted = verdict == "good" || difference.is_some();
        let text = &run.stderr;
        assert_eq!(run.code == Some(0), accepted, "{name}: {text}");
    }
    assert!(compared > 40, "{compared}");
}

/// The exporter with a web configuration beside the fixtures' certificates.
async fn exporter(upstream: &SimulatedApi, folder: &Path, text: &str) -> ExporterProcess {
    let certificates = fs::canonicalize(FIXTURES).unwrap().join("certificates");
    let text = text.replace("$certificates", certificates.to_str().unwrap());
    let file = folder.join("web.yml");
    fs::write(&file, text).unwrap();
    let variables = [
        ("TRADERNET_SID", SID),
        ("WEB_CONFIG_FILE", file.to_str().unwrap()),
    ];
    ExporterProcess::start(&upstream.variables(&variables)).await
}

#[tokio::test]
async fn prometheus_scrapes_with_a_password_or_a_certificate() {
    let upstream = SimulatedApi::start().await;
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let run = run_with_input(&["hash-password"], "right").await;
    let tls = "tls_server_config:\n  cert_file: $certificates/server.pem\n  \
               key_file: $certificates/server.key\n";
    let passwords = format!("{tls}basic_auth_users:\n  prometheus: {}", run.stdout);
    let certificates = format!(
        "{tls}  client_auth_type: RequireAndVerifyClientCert\n  \
         client_ca_file: $certificates/ca.pem\n  client_allowed_sans: [prometheus.example]\n"
    );
    let password = exporter(&upstream, first.path(), &passwords).await;
    let certificate = exporter(&upstream, second.path(), &certificates).await;

    let job = |name: &str, exporter: &ExporterProcess, tls: &str, more: &str| {
        format!(
            "- job_name: {name}\n  scheme: https\n  tls_config: {{ca_file: ca.pem{tls}}}\n  \
             static_configs: [{{targets: [\"{}\"]}}]\n{more}",
            exporter.address
        )
    };
    let basic =
        |password| format!("  basic_auth: {{username: prometheus, password: {password}}}\n");
    let client = ", cert_file: client.pem, key_file: client.key";
    let jobs = [
        job("password", &password, "", &basic("right")),
        job("wrong-password", &password, "", &basic("wrong")),
        job("certificate", &certificate, client, ""),
        job("no-certificate", &certificate, "", ""),
    ];
    let configuration = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n{}",
        jobs.concat()
    );
    let read =
        |name| fs::read_to_string(Path::new(FIXTURES).join("certificates").join(name)).unwrap();
    let prometheus = Server::start(
        "prometheus",
        &[
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ],
        &[
            ("prometheus.yml", &configuration),
            ("ca.pem", &read("ca.pem")),
            ("client.pem", &read("client.pem")),
            ("client.key", &read("client.key")),
        ],
        "/-/ready",
    )
    .await;
    for (job, error) in [
        ("password", ""),
        ("certificate", ""),
        (
            "wrong-password",
            "server returned HTTP status 401 Unauthorized",
        ),
        ("no-certificate", "certificate required"),
    ] {
        let seen = prometheus.eventually("every job is scraped", async |server| {
            let targets = server.json("/api/v1/targets").await;
            let targets = targets["data"]["activeTargets"].as_array().unwrap();
            let target = targets.iter().find(|target| target["labels"]["job"] == job);
            let target = target.ok_or("no target")?;
            match target["health"].as_str() {
                Some("up" | "down") => Ok(target["lastError"].as_str().unwrap().to_owned()),
                _ => Err(target.to_string()),
            }
        });
        let seen = seen.await;
        assert!(
            seen.contains(error) && (error.is_empty() == seen.is_empty()),
            "{job}: {seen}"
        );
    }
    let up = prometheus.eventually("the samples are stored", async |server| {
        let query = "count by (job) (tradernet_up == 1)";
        let found = server.query("query", &[("query", query)]).await;
        let jobs = found.iter().map(|series| series["metric"]["job"].clone());
        let mut jobs: Vec<_> = jobs.map(|job| job.as_str().unwrap().to_owned()).collect();
        jobs.sort();
        (jobs == ["certificate", "password"])
            .then_some(())
            .ok_or_else(|| format!("{jobs:?}"))
    });
    up.await;
}
