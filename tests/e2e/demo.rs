//! The demo: the built binary, as someone runs it who has just cloned the project.

use std::time::Duration;

use tokio::time::Instant;
use tradernet_exporter::demo::accounts;

use crate::external::{promtool_check, python, python_file};
use crate::support::{ExporterProcess, Exposition, ask};

const START: &[&str] = &["demo"];

async fn demo() -> ExporterProcess {
    // The demo's own interval, and the address alone is not its own: ports are not fixed here.
    ExporterProcess::start_with_exact_env(START, &[("WEB_LISTEN_ADDRESS", "127.0.0.1:0")]).await
}

#[expect(
    clippy::print_stdout,
    reason = "the figure itself, for whoever looks at the test's output"
)]
fn say(figure: &str) {
    println!("{figure}");
}

/// The metrics once every account had its first attempt.
async fn settled(program: &ExporterProcess) -> Exposition {
    program
        .wait_for("every account is polled", |page| {
            page.matching("tradernet_up", &[]).count() == accounts().len()
        })
        .await
}

#[tokio::test]
async fn it_answers_soon_after_it_is_started() {
    let start = Instant::now();
    let program = demo().await;
    for path in ["/metrics", "/"] {
        assert_eq!(program.get(path).await.status, 200);
    }
    let took = start.elapsed();
    say(&format!("/metrics and / answered {took:?} after the start"));
    // It takes a fraction of a second; a machine that is busy with other tests gets more.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn every_account_shows_what_it_is_there_for() {
    let program = demo().await;
    let page = settled(&program).await;
    let get = |name, account| page.get(name, &[("account", account)]);
    for account in accounts() {
        let account = account.name;
        let refused = account == "mobile-1";
        assert_eq!(get("tradernet_login_blocked", account), f64::from(refused));
        // This one's answers break now and then.
        if account != "bot-beta" {
            assert_eq!(
                get("tradernet_up", account),
                f64::from(!refused),
                "{account}"
            );
        }
    }
    let open = |account| get("tradernet_security_sessions_open", account);
    assert_eq!(open("reserve"), 0.0);
    assert!(open("bot-gamma") >= 2.0);
    // Two sessions of people's, and the exporter's own login.
    assert!(open("desk-1") >= 3.0);
    assert_eq!(
        page.find(
            "tradernet_security_sessions_open",
            &[("account", "mobile-1")]
        ),
        None
    );
    let violating = |account, rule| {
        let labels = [("account", account), ("rule", rule)];
        page.get("tradernet_security_sessions_violating", &labels)
    };
    assert_eq!(violating("reserve", "min_sessions"), 1.0);
    assert_eq!(
        violating("desk-1", "client_ip"),
        0.0,
        "its own login is allowed"
    );

    let status = program.get("/").await;
    let json = program.get("/api/v1/accounts").await;
    for account in accounts() {
        assert!(status.text().contains(account.name));
        assert!(
            json.text()
                .contains(&format!("\"account\":\"{}\"", account.name))
        );
    }
}

#[tokio::test]
async fn promtool_objects_to_two_names_and_nothing_else() {
    let program = demo().await;
    let page = settled(&program).await;
    let checked = promtool_check(&page.text).await;
    let seconds = "use base unit \"seconds\" instead of \"milliseconds\"";
    let mut lines: Vec<_> = checked.stderr.lines().collect();
    lines.sort_unstable();
    let wanted = ["max", "min"]
        .map(|which| format!("tradernet_security_session_expire_{which}_milliseconds {seconds}"));
    assert_eq!(lines, wanted, "{}", checked.stdout);
}

/// Every sample that Prometheus' own client finds, and a failure where one is there twice.
const PARSE: &str = r#"
import sys
kind, text = sys.argv[1], sys.stdin.read()
if kind == "openmetrics":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
seen, families = set(), set()
for family in text_string_to_metric_families(text):
    assert family.name not in families, f"family {family.name} stands twice"
    families.add(family.name)
    assert family.documentation, f"{family.name} has no HELP"
    assert family.type != "unknown", f"{family.name} has no TYPE"
    for sample in family.samples:
        series = (sample.name, tuple(sorted(sample.labels.items())))
        assert series not in seen, f"{series} stands twice"
        seen.add(series)
print(len(seen))
"#;

#[tokio::test]
async fn prometheus_own_parsers_find_no_series_twice() {
    let program = demo().await;
    let page = settled(&program).await;
    let read = python(PARSE, &["text"], page.text.as_bytes()).await;
    assert_eq!(read.trim(), page.len().to_string());

    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let reply = ask(program.address, "GET", "/metrics", &accept)
        .await
        .unwrap();
    assert!(
        reply
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let read = python(PARSE, &["openmetrics"], &reply.body).await;
    // The demo moves on, so this page may have other series than the one before.
    let text = String::from_utf8_lossy(&reply.body);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(read.trim(), samples.count().to_string());
}

#[tokio::test]
async fn dashboard_and_alerts_use_only_what_the_demo_shows() {
    let program = demo().await;
    let page = settled(&program).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.prom");
    std::fs::write(&file, &page.text).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check-dashboards.py");
    python_file(script, &[file.to_str().unwrap()]).await;
}
