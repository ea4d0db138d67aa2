//! The exporter with the programs of a monitoring stack: the demo, scraped by Prometheus with the shipped
//! configuration and rules, alerting into Alertmanager; the dashboard's queries; VictoriaMetrics; and the
//! notifications of an outage.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::servers::Server;
use crate::support::{ExporterProcess, Exposition, get, within_timeout};

/// A file of the repository.
fn shipped(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// `examples/prometheus.yml` with other addresses, and intervals of a second instead of half a minute.
fn configuration(exporter: SocketAddr, alertmanager: SocketAddr) -> String {
    let mut text = shipped("examples/prometheus.yml");
    for (from, to) in [
        ("[\"127.0.0.1:10460\"]", format!("[\"{exporter}\"]")),
        ("[\"127.0.0.1:9093\"]", format!("[\"{alertmanager}\"]")),
        ("scrape_interval: 30s", "scrape_interval: 1s".to_owned()),
        (
            "evaluation_interval: 30s",
            "evaluation_interval: 1s".to_owned(),
        ),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from} in\n{text}");
        text = text.replace(from, &to);
    }
    text
}

async fn prometheus(exporter: SocketAddr, alertmanager: SocketAddr) -> Server {
    Server::start(
        "prometheus",
        &[
            "--config.file=examples/prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ],
        &[
            (
                "examples/prometheus.yml",
                &configuration(exporter, alertmanager),
            ),
            ("dashboards/alerts.yaml", &shipped("dashboards/alerts.yaml")),
        ],
        "/-/ready",
    )
    .await
}

async fn alertmanager() -> Server {
    Server::start(
        "prometheus-alertmanager",
        &[
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            "--web.listen-address=127.0.0.1:0",
            // No cluster, hence no second port.
            "--cluster.listen-address=",
        ],
        &[("alertmanager.yml", &shipped("examples/alertmanager.yml"))],
        "/-/ready",
    )
    .await
}

/// The dashboard's panels that have queries, those in collapsed rows included.
fn panels() -> Vec<Value> {
    let text = shipped("dashboards/tradernet-security-sessions.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut panels = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        panels.push(panel.clone());
        panels.extend(panel["panels"].as_array().into_iter().flatten().cloned());
    }
    panels.retain(|panel| panel["targets"].is_array());
    panels
}

/// The query as Grafana sends it: all values selected, thresholds at their defaults.
fn with_variables(query: &str) -> String {
    let values = [
        ("$__rate_interval", "1m"),
        ("$__range", "15m"),
        ("$job", ".+"),
        ("$instance", ".+"),
        ("$account", ".+"),
        ("$expiry_warning", "1800"),
        ("$expiry_critical", "300"),
        ("$poll_duration_warning", "5"),
        ("$fd_usage_warning", "0.8"),
    ];
    let mut text = query.to_owned();
    for (name, value) in values {
        text = text.replace(name, value);
    }
    assert!(!text.contains('$'), "an unknown variable: {query}");
    text
}

/// Sends every query of the dashboard and returns the panels without a result.
async fn panels_without_data(server: &Server) -> BTreeSet<String> {
    let mut without = BTreeSet::new();
    for panel in panels() {
        let mut found = 0;
        for target in panel["targets"].as_array().unwrap() {
            let query = with_variables(target["expr"].as_str().unwrap());
            let series = if target["instant"] == true {
                server.query("query", &[("query", &query)]).await
            } else {
                let now = server.query("query", &[("query", "time()")]).await;
                // A scalar in Prometheus, a vector in VictoriaMetrics.
                let now = now[0].get("value").unwrap_or(&now[0]);
                let now = now[1].as_str().unwrap().parse::<f64>().unwrap();
                let (start, end) = ((now - 900.0).to_string(), now.to_string());
                let range = [
                    ("query", query.as_str()),
                    ("start", &start),
                    ("end", &end),
                    ("step", "15"),
                ];
                server.query("query_range", &range).await
            };
            found += series.len();
        }
        if found == 0 {
            without.insert(panel["title"].as_str().unwrap().to_owned());
        }
    }
    without
}

async fn data_everywhere(server: &Server) -> Result<(), String> {
    match panels_without_data(server).await {
        without if without.is_empty() => Ok(()),
        without => Err(format!("no data: {without:?}")),
    }
}

/// Alertmanager's alerts of this name.
async fn alerts(alertmanager: &Server, name: &str) -> Vec<Value> {
    let filter: String =
        form_urlencoded::byte_serialize(format!("alertname=\"{name}\"").as_bytes()).collect();
    let found = alertmanager
        .json(&format!("/api/v2/alerts?filter={filter}"))
        .await;
    found.as_array().unwrap().clone()
}

#[tokio::test]
async fn alert_reaches_alertmanager_and_every_panel_has_data() {
    let (program, alertmanager) = tokio::join!(ExporterProcess::start_demo(), alertmanager());
    let prometheus = prometheus(program.address, alertmanager.address).await;

    // The only required session of one demo account has less time left than the critical threshold.
    let name = "TradernetLastSessionExpiring";
    let critical = alertmanager
        .eventually("the alert arrives", async |server| {
            let found = alerts(server, name).await;
            let expected = found.iter().find(|alert| {
                let labels = &alert["labels"];
                labels["severity"] == "critical" && labels["account"] == "bot-alpha"
            });
            expected.cloned().ok_or_else(|| format!("{found:?}"))
        })
        .await;
    let labels = serde_json::json!({
        "alertname": name, "severity": "critical", "job": "tradernet", "account": "bot-alpha",
    });
    assert_eq!(critical["labels"], labels);
    assert_eq!(
        critical["receivers"],
        serde_json::json!([{"name": "pager"}])
    );
    assert_eq!(critical["status"]["state"], "active");
    let annotations = &critical["annotations"];
    assert_eq!(
        annotations["summary"],
        "The last required security session of an account is about to expire."
    );
    let description = annotations["description"].as_str().unwrap();
    assert!(
        description.starts_with("Account bot-alpha (job tradernet): the last session "),
        "{description}"
    );
    let page = annotations["runbook_url"].as_str().unwrap();
    let (_, page) = page.split_once("/blob/main/").unwrap();
    let (file, section) = page.split_once('#').unwrap();
    assert_eq!(section, name.to_lowercase());
    assert!(shipped(file).contains(&format!("\n## {name}\n")));

    // The scrape and all rules succeed.
    let targets = prometheus.json("/api/v1/targets").await;
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(
        (&target["health"], &target["lastError"]),
        (&"up".into(), &"".into())
    );
    assert_eq!(
        prometheus
            .query("query", &[("query", "up{job=\"tradernet\"} == 1")])
            .await
            .len(),
        1
    );
    prometheus
        .eventually("every rule is evaluated", async |server| {
            let rules = server.json("/api/v1/rules").await;
            let groups = rules["data"]["groups"].as_array().unwrap().clone();
            let rules = groups
                .iter()
                .flat_map(|group| group["rules"].as_array().unwrap());
            let mut waiting = 0;
            for rule in rules {
                assert_ne!(rule["health"], "err", "{rule}");
                waiting += usize::from(rule["health"] == "unknown");
            }
            // This group is evaluated every two minutes.
            let history = groups
                .iter()
                .find(|group| group["name"] == "tradernet-session-history");
            let slow = history.unwrap()["rules"].as_array().unwrap().len();
            if waiting > slow {
                return Err(format!("{waiting} rules wait for their first evaluation"));
            }
            Ok(())
        })
        .await;

    // A rate needs two scrapes.
    prometheus
        .eventually("every panel has data", data_everywhere)
        .await;
    for (label, metric) in [
        ("job", "tradernet_exporter_build_info"),
        ("instance", "tradernet_exporter_build_info"),
        ("account", "tradernet_poll_interval_seconds"),
    ] {
        let values = prometheus
            .query(&format!("label/{label}/values"), &[("match[]", metric)])
            .await;
        assert!(!values.is_empty(), "the variable {label} has no value");
    }
}

#[tokio::test]
async fn dashboard_and_rules_use_exposed_names_only() {
    let program = ExporterProcess::start_demo().await;
    // Some families have a sample only after their first event.
    let page = program
        .wait_for("every family has a sample", |page| {
            page.text
                .lines()
                .filter_map(|line| line.strip_prefix("# TYPE "))
                .all(|family| {
                    let name = family.split(' ').next().unwrap();
                    page.names().iter().any(|sample| sample.starts_with(name))
                })
                && page
                    .matching(
                        "tradernet_security_session_max_expiry_timestamp_seconds",
                        &[],
                    )
                    .count()
                    > 3
        })
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page");
    fs::write(&file, page.text).unwrap();
    let run = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check-dashboards.py"))
        .arg(file)
        .output();
    let output = within_timeout("the check ends", run).await.unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.is_empty(), "{text}");
}

#[tokio::test]
async fn victoria_metrics_stores_every_exposed_series() {
    let program = ExporterProcess::start_demo().await;
    let unused = SocketAddr::from(([127, 0, 0, 1], 9));
    let victoria = Server::start(
        "victoria-metrics",
        &[
            "-httpListenAddr=127.0.0.1:0",
            "-storageDataPath=data",
            "-promscrape.config=prometheus.yml",
            // VictoriaMetrics does not support the sections on rules and Alertmanager.
            "-promscrape.config.strictParse=false",
            // Samples are visible at once instead of after half a minute.
            "-search.latencyOffset=0s",
            "-search.disableCache",
        ],
        &[("prometheus.yml", &configuration(program.address, unused))],
        "/health",
    )
    .await;
    let missing = |page: &Exposition, stored: &[Value]| -> Vec<String> {
        let stored: BTreeSet<String> = stored
            .iter()
            .map(|series| {
                let mut labels = series["metric"].as_object().unwrap().clone();
                assert_eq!(labels.remove("job"), Some("tradernet".into()));
                let instance = labels.remove("instance");
                assert_eq!(instance, Some(program.address.to_string().into()));
                let name = labels.remove("__name__").unwrap();
                format!("{}{}", name.as_str().unwrap(), Value::Object(labels))
            })
            .collect();
        page.names()
            .into_iter()
            .flat_map(|name| {
                page.matching(name, &[])
                    .map(move |(labels, _)| (name, labels))
            })
            .map(|(name, labels)| format!("{name}{}", serde_json::json!(labels)))
            .filter(|series| !stored.contains(series))
            .collect()
    };
    // Sessions open meanwhile: compare until both agree.
    victoria
        .eventually("every series is there", async |server| {
            let page = program.metrics().await;
            assert!(page.len() > 100, "{}", page.text);
            let stored = server
                .query("query", &[("query", "{job=\"tradernet\"}")])
                .await;
            match missing(&page, &stored) {
                missing if missing.is_empty() => Ok(()),
                missing => Err(format!("not stored: {missing:#?}")),
            }
        })
        .await;
    // Constant values are unchanged.
    for (query, expected) in [
        ("min(tradernet_poll_interval_seconds)", "5"),
        ("tradernet_up{account=\"mobile-1\"}", "0"),
        (
            "tradernet_security_sessions_violating{account=\"reserve\"}",
            "1",
        ),
        ("count(tradernet_exporter_build_info{version!=\"\"})", "1"),
    ] {
        let found = victoria.query("query", &[("query", query)]).await;
        assert_eq!(found[0]["value"][1], expected, "{query}");
    }
    let targets = victoria.json("/api/v1/targets").await;
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(
        (&target["health"], &target["lastError"]),
        (&"up".into(), &"".into())
    );
    let own = get(victoria.address, "/metrics").await;
    assert!(
        own.text()
            .contains("\nvm_promscrape_scrapes_failed_total 0\n"),
        "{}",
        own.text()
    );
    for line in own
        .text()
        .lines()
        .filter(|line| line.starts_with("vm_rows_invalid_total"))
    {
        assert!(line.ends_with(" 0"), "{line}");
    }
    // Every query of the dashboard is valid in VictoriaMetrics and has a result.
    victoria
        .eventually("every panel has data", data_everywhere)
        .await;
}

/// 200 accounts, an outage of ten minutes, and every duration divided by 20.
#[tokio::test]
async fn outage_of_200_accounts_is_one_page() {
    let exporter = Path::new(env!("CARGO_BIN_EXE_tradernet-exporter"));
    let run = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/simulate-outage.py"))
        .args(["--speed", "20", "--programs"])
        .arg(exporter.parent().unwrap())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let log = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{log}");
    let result: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(result["notifications_before"], 0, "{result}\n{log}");
    let pages = result["notifications"]["pager"].as_u64().unwrap();
    assert!((1..=3).contains(&pages), "{result}\n{log}");
    assert_eq!(
        result["alerts"]["pager"],
        serde_json::json!(["TradernetApiUnreachable"]),
        "{result}\n{log}"
    );
}
