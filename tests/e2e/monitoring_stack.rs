//! The exporter among the programs that people run it with: the demo, scraped by a real Prometheus
//! with the shipped configuration and rules, alerting into a real Alertmanager; the dashboard's
//! queries; and the scraper of VictoriaMetrics.

mod servers;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use self::servers::Server;
use crate::support::{ExporterProcess, Exposition, get, within_timeout};

/// A file of the repository.
fn shipped(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// `examples/prometheus.yml`, with other addresses, and a second in the place of half a minute: no
/// test has the time. Everything else is as shipped.
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

async fn demo() -> ExporterProcess {
    ExporterProcess::start_with_exact_env(&["demo"], &[("WEB_LISTEN_ADDRESS", "127.0.0.1:0")]).await
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

/// The dashboard's panels that are no rows.
fn panels() -> Vec<Value> {
    let text = shipped("dashboards/tradernet-security-sessions.json");
    let mut dashboard: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(mut panels) = dashboard["panels"].take() else {
        panic!("no panels");
    };
    panels.retain(|panel| panel["type"] != "row");
    panels
}

/// The query as Grafana sends it: everything chosen, thresholds as they stand.
fn with_variables(query: &str) -> String {
    let values = [
        ("$__rate_interval", "1m"),
        ("$__range", "15m"),
        ("$job", ".+"),
        ("$instance", ".+"),
        ("$account", ".+"),
        ("$expiry_warning", "1800"),
        ("$expiry_critical", "300"),
        ("$slow_poll", "5"),
        ("$nearly_full", "0.8"),
    ];
    let mut text = query.to_owned();
    for (name, value) in values {
        text = text.replace(name, value);
    }
    assert!(!text.contains('$'), "an unknown variable: {query}");
    text
}

/// Sends every query of the dashboard and returns the panels of which none had an answer.
async fn silent_panels(server: &Server) -> BTreeSet<String> {
    let mut silent = BTreeSet::new();
    for panel in panels() {
        let mut answered = 0;
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
            answered += series.len();
        }
        if answered == 0 {
            silent.insert(panel["title"].as_str().unwrap().to_owned());
        }
    }
    silent
}

async fn data_everywhere(server: &Server) -> Result<(), String> {
    match silent_panels(server).await {
        silent if silent.is_empty() => Ok(()),
        silent => Err(format!("no data: {silent:?}")),
    }
}

/// Alerts as Alertmanager has them, those with this name.
async fn alerts(alertmanager: &Server, name: &str) -> Vec<Value> {
    let filter: String =
        form_urlencoded::byte_serialize(format!("alertname=\"{name}\"").as_bytes()).collect();
    let found = alertmanager
        .json(&format!("/api/v2/alerts?filter={filter}"))
        .await;
    found.as_array().unwrap().clone()
}

#[tokio::test]
async fn an_alert_of_the_demo_reaches_alertmanager_and_every_panel_answers() {
    let (program, alertmanager) = tokio::join!(demo(), alertmanager());
    let prometheus = prometheus(program.address, alertmanager.address).await;

    // One account of the demo keeps its only session for minutes: less than the critical threshold.
    let name = "TradernetLastSessionExpiring";
    let critical = alertmanager
        .eventually("the alert arrives", async |server| {
            let found = alerts(server, name).await;
            let wanted = found.iter().find(|alert| {
                let labels = &alert["labels"];
                labels["severity"] == "critical" && labels["account"] == "bot-alpha"
            });
            wanted.cloned().ok_or_else(|| format!("{found:?}"))
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
    let notes = &critical["annotations"];
    assert_eq!(
        notes["summary"],
        "The last security session of an account is at its end."
    );
    let description = notes["description"].as_str().unwrap();
    assert!(
        description.starts_with("Account bot-alpha (job tradernet): the last "),
        "{description}"
    );
    let page = notes["runbook_url"].as_str().unwrap();
    let (_, page) = page.split_once("/blob/main/").unwrap();
    assert!(shipped(page).starts_with("# TradernetLastSessionExpiring\n"));

    // Nothing is wrong with the scrape, nor with any rule.
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
            // This group looks at a week and is evaluated every two minutes.
            let past_week = groups
                .iter()
                .find(|group| group["name"] == "tradernet-past-week");
            let slow = past_week.unwrap()["rules"].as_array().unwrap().len();
            if waiting > slow {
                return Err(format!("{waiting} rules wait for their first evaluation"));
            }
            Ok(())
        })
        .await;

    // Two scrapes are needed for a rate; all the rest answers from the first.
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
async fn dashboard_rules_and_histories_know_no_name_that_the_page_has_not() {
    let program = demo().await;
    // Some families exist once their first event was seen, the unit among them.
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
async fn victoria_metrics_takes_every_series_of_the_page() {
    let program = demo().await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let victoria = Server::start(
        "victoria-metrics",
        &[
            "-httpListenAddr=127.0.0.1:0",
            "-storageDataPath=data",
            "-promscrape.config=prometheus.yml",
            // It has no rules and no Alertmanager: those lines are Prometheus' own.
            "-promscrape.config.strictParse=false",
            // Show what was scraped at once instead of half a minute later.
            "-search.latencyOffset=0s",
            "-search.disableCache",
        ],
        &[("prometheus.yml", &configuration(program.address, nobody))],
        "/health",
    )
    .await;
    let missing = |page: &Exposition, taken: &[Value]| -> Vec<String> {
        let taken: BTreeSet<String> = taken
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
            .filter(|series| !taken.contains(series))
            .collect()
    };
    // Series come while sessions do, so a look is taken until both agree.
    victoria
        .eventually("every series is there", async |server| {
            let page = program.metrics().await;
            assert!(page.len() > 100, "{}", page.text);
            let taken = server
                .query("query", &[("query", "{job=\"tradernet\"}")])
                .await;
            match missing(&page, &taken) {
                missing if missing.is_empty() => Ok(()),
                missing => Err(format!("not taken: {missing:#?}")),
            }
        })
        .await;
    // Values that do not change arrive as they are.
    for (query, wanted) in [
        ("min(tradernet_poll_interval_seconds)", "5"),
        ("tradernet_up{account=\"mobile-1\"}", "0"),
        (
            "tradernet_security_sessions_violating{account=\"reserve\"}",
            "1",
        ),
        ("count(tradernet_exporter_build_info{version!=\"\"})", "1"),
    ] {
        let found = victoria.query("query", &[("query", query)]).await;
        assert_eq!(found[0]["value"][1], wanted, "{query}");
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
    // Grafana may as well ask VictoriaMetrics: every query is valid there, and answered.
    victoria
        .eventually("every panel has data", data_everywhere)
        .await;
}
