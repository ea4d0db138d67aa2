//! The demo: the built binary, as it is run in a fresh clone.

use crate::external::{promtool_check, python};
use crate::support::{ExporterProcess, ask};

const ACCOUNTS: [&str; 9] = [
    "desk-1",
    "desk-2",
    "desk-3",
    "bot-alpha",
    "bot-beta",
    "bot-gamma",
    "mobile-1",
    "reserve",
    "terminal-1",
];

#[tokio::test]
async fn demo_accounts_show_expected_state() {
    let program = ExporterProcess::start_demo().await;
    let page = program.first_attempt().await;
    let get = |name, account| page.get(name, &[("account", account)]);
    for account in ACCOUNTS {
        let refused = account == "mobile-1";
        assert_eq!(get("tradernet_login_blocked", account), f64::from(refused));
        // This account's server fails now and then.
        if account != "bot-beta" {
            let up = get("tradernet_up", account);
            assert_eq!(up, f64::from(!refused), "{account}");
        }
    }
    let open = |account| get("tradernet_security_sessions_open", account);
    assert_eq!(open("reserve"), 0.0);
    assert!(open("bot-gamma") >= 2.0);
    // Two sessions, and the exporter's own login.
    assert!(open("desk-1") >= 3.0);
    let rejected = [("account", "mobile-1")];
    assert_eq!(
        page.find("tradernet_security_sessions_open", &rejected),
        None
    );
    let violating = |account, rule| {
        let labels = [("account", account), ("rule", rule)];
        page.get("tradernet_security_sessions_violating", &labels)
    };
    assert_eq!(violating("reserve", "min_sessions"), 1.0);
    // Its own login is allowed.
    assert_eq!(violating("desk-1", "client_ip"), 0.0);
    // The session that the use of the key opened is listed, allowed, and not the one that must be open.
    let own = [("account", "bot-alpha"), ("safety_type_id", "14")];
    let by_type = "tradernet_security_sessions_by_safety_type";
    assert_eq!(page.get(by_type, &own), 1.0);
    assert_eq!(violating("bot-alpha", "safety_type"), 0.0);
    let required = get("tradernet_security_sessions_required", "bot-alpha");
    assert_eq!(required, open("bot-alpha") - 1.0);
    let listed = page.matching("tradernet_security_session_info", &[]);
    let listed: Vec<_> = listed.map(|(labels, _)| labels.clone()).collect();
    assert!(listed.len() >= 2, "{listed:?}");
    for labels in listed {
        assert_eq!(labels["account"], "desk-2");
        assert!(!labels["client_ip"].is_empty());
    }

    let status = program.get("/").await;
    let json = program.get("/api/v1/accounts").await;
    for account in ACCOUNTS {
        assert!(status.text().contains(account));
        let in_json = format!("\"account\":\"{account}\"");
        assert!(json.text().contains(&in_json));
    }
}

#[tokio::test]
async fn promtool_only_flags_millisecond_names() {
    let program = ExporterProcess::start_demo().await;
    let page = program.first_attempt().await;
    let checked = promtool_check(&page.text).await;
    let seconds = "use base unit \"seconds\" instead of \"milliseconds\"";
    let mut lines: Vec<_> = checked.stderr.lines().collect();
    lines.sort_unstable();
    let expected = ["max", "min"]
        .map(|which| format!("tradernet_security_session_expire_{which}_milliseconds {seconds}"));
    assert_eq!(lines, expected, "{}", checked.stdout);
}

/// Counts the samples that Prometheus' own client finds; fails on a duplicate.
const PARSE: &str = r#"
import sys
kind, text = sys.argv[1], sys.stdin.read()
if kind == "openmetrics":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
else:
    from prometheus_client.parser import text_string_to_metric_families
seen, families = set(), set()
for family in text_string_to_metric_families(text):
    assert family.name not in families, f"duplicate family {family.name}"
    families.add(family.name)
    assert family.documentation, f"{family.name} has no HELP"
    assert family.type != "unknown", f"{family.name} has no TYPE"
    for sample in family.samples:
        series = (sample.name, tuple(sorted(sample.labels.items())))
        assert series not in seen, f"duplicate series {series}"
        seen.add(series)
print(len(seen))
"#;

#[tokio::test]
async fn prometheus_client_parses_exposition() {
    let program = ExporterProcess::start_demo().await;
    let page = program.first_attempt().await;
    let read = python(PARSE, &["text"], page.text.as_bytes()).await;
    assert_eq!(read.trim(), page.len().to_string());

    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let reply = ask(program.address, "GET", "/metrics", &accept, "");
    let reply = reply.await.unwrap();
    let content_type = reply.header("content-type");
    assert!(content_type.starts_with("application/openmetrics-text"));
    let read = python(PARSE, &["openmetrics"], &reply.body).await;
    // The demo moves on: this page may have other series than the one before.
    let text = String::from_utf8_lossy(&reply.body);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(read.trim(), samples.count().to_string());
}
