//! Golden pages of given statuses, and the effect of time on a page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use ipnet::IpNet;

use super::*;
use crate::clock::Timestamps;
use crate::session::expire_unit::Unit;
use crate::session::rules::Policy;
use crate::session::summary::SessionDetails;
use crate::session::test_support::{after, expiring, list, moment, session, vendors};
use crate::session::tracker::{SessionTracker, TrackingConfig};
use crate::session::{ClientAddress, Session, SessionList};
use crate::status::{AccountInfo, AccountStatus, Attempt, FailureCounts, LoginBlock, StreamStatus};
use crate::tradernet::{Error, Reason};

const MAX_AGE: Duration = Duration::from_secs(90);

/// An account under a tracker, as a poller would publish it.
struct Watched {
    tracker: SessionTracker,
    status: AccountStatus,
}

impl Watched {
    fn new(account: &str) -> Self {
        Self::reading(account, SessionDetails::Off, Policy::default())
    }

    fn reading(account: &str, details: SessionDetails, policy: Policy) -> Self {
        let tracking = Arc::new(TrackingConfig {
            policy,
            details,
            expire_unit: None,
            interval: Duration::from_secs(30),
            max_age: MAX_AGE,
        });
        let tracker = SessionTracker::new(Arc::clone(&tracking));
        let status = AccountStatus {
            account: account.into(),
            transport: Transport::Http,
            info: Arc::new(AccountInfo {
                credential: "login",
                labels: Default::default(),
            }),
            tracking,
            polls: 0,
            failures: FailureCounts::default(),
            logins: 0,
            login_failures: 0,
            login_blocked: None,
            last_attempt: None,
            last_failure: None,
            last_success: None,
            clock_offset_seconds: None,
            looks_like_seconds: false,
            session_counters: None,
            unit: tracker.unit(),
            view: None,
            stream: None,
        };
        Self { tracker, status }
    }

    fn attempt(mut self, at: Timestamps, failure: Option<Reason>) -> Self {
        self.status.polls += 1;
        if let Some(reason) = failure {
            self.status.failures.add(reason);
        }
        self.status.last_attempt = Some(Attempt {
            at,
            duration: Duration::from_millis(125),
            queue_wait: Duration::ZERO,
            failure: failure.map(|_| Error::Internal),
        });
        self
    }

    fn answered(mut self, list: SessionList, at: Timestamps) -> Self {
        self.status.view = Some(Arc::new(self.tracker.record(list, at).0));
        self.status.session_counters = self.tracker.counters();
        self.status.unit = self.tracker.unit();
        self.status.last_success = Some(at);
        self.attempt(at, None)
    }

    fn failed(self, reason: Reason, at: Timestamps) -> Self {
        self.attempt(at, Some(reason))
    }
}

/// Published accounts, their page, and a clock set by hand.
struct Bench {
    store: StatusStore,
    now: Arc<Mutex<Timestamps>>,
    names: watch::Sender<SafetyNames>,
    metrics: Metrics,
}

impl Bench {
    fn new(now: Timestamps) -> Self {
        let store = StatusStore::default();
        let now = Arc::new(Mutex::new(now));
        let read = Arc::clone(&now);
        let clock = Clock::from_fn(move || *read.lock().unwrap());
        let (names, read_names) = watch::channel(SafetyNames::default());
        Self {
            metrics: Metrics::new(store.clone(), clock, read_names, Shard::default()),
            store,
            now,
            names,
        }
    }

    fn with(self, watched: Watched) -> Self {
        self.store.publish(watched.status);
        self
    }

    fn set(&self, now: Timestamps) {
        *self.now.lock().unwrap() = now;
    }

    fn page(&self, format: Format) -> String {
        let mut page = Vec::new();
        self.metrics.render(format, &mut page).unwrap();
        String::from_utf8(page).unwrap()
    }

    fn text(&self) -> String {
        self.page(Format::Text004)
    }
}

/// A page without the exporter's own families, whose numbers are those of the test's process.
fn accounts_part(page: &str) -> String {
    let own = |line: &str| {
        ["process_", "tradernet_exporter_"].iter().any(|prefix| {
            let line = line.strip_prefix("# ").map_or(line, |comment| {
                comment
                    .split_once(' ')
                    .map_or("", |(_, described)| described)
            });
            line.starts_with(prefix)
        })
    };
    page.split_inclusive('\n')
        .filter(|line| !own(line))
        .collect()
}

fn assert_golden(name: &str, bench: &Bench) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = repository.join("target/golden");
    let mut wrong = Vec::new();
    for (format, extension) in [
        (Format::Text004, "prom"),
        (Format::OpenMetrics100, "openmetrics"),
    ] {
        let file = format!("{name}.{extension}");
        let golden = repository.join("src/metrics/golden").join(&file);
        let page = accounts_part(&bench.page(format));
        if std::fs::read_to_string(golden).unwrap_or_default() != page {
            std::fs::create_dir_all(&made).unwrap();
            std::fs::write(made.join(&file), &page).unwrap();
            wrong.push(file);
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong:?} in src/metrics/golden are not the pages made, which are now in target/golden: \
         compare, and copy what is right"
    );
}

#[test]
fn golden_vendors_sample() {
    let account = Watched::new("default").answered(list([vendors()]), after(0.0));
    assert_golden("vendors_sample", &Bench::new(after(1.5)).with(account));
}

#[test]
fn golden_empty_list() {
    let account = Watched::new("default").answered(list([]), after(0.0));
    assert_golden("empty_list", &Bench::new(after(1.5)).with(account));
}

#[test]
fn golden_before_the_first_attempt() {
    let bench = Bench::new(after(1.5)).with(Watched::new("default"));
    assert_golden("before_the_first_attempt", &bench);
}

#[test]
fn golden_failing_with_stale_data() {
    let mut account = Watched::new("default")
        .answered(list([vendors(), expiring(8, 5000.0)]), after(0.0))
        .answered(list([vendors(), session(9)]), after(30.25))
        .failed(Reason::Timeout, after(90.0))
        .failed(Reason::Timeout, after(120.0))
        .failed(Reason::Auth, after(150.0));
    account.status.logins = 4;
    account.status.login_failures = 1;
    account.status.login_blocked = Some(LoginBlock::Rejected);
    let bench = Bench::new(after(30.25 + 90.001)).with(account);
    assert_golden("failing_with_stale_data", &bench);
}

#[test]
fn golden_unknown_expires() {
    let some = [expiring(1, 5000.5), session(2), expiring(3, -7.0)];
    let some = Watched::new("some").answered(list(some), after(0.0));
    let none = Watched::new("none").answered(list([session(1), session(2)]), after(0.0));
    let bench = Bench::new(after(1.5)).with(some).with(none);
    assert_golden("unknown_expires", &bench);
}

fn strict() -> Policy {
    Policy {
        client_ips: Some(vec!["203.0.113.0/24".parse::<IpNet>().unwrap()]),
        safety_types: Some([2, 3].into()),
        logins: Some(["virtual@virtual.com".to_owned()].into()),
        min_sessions: Some(7),
        min_sessions_safety_types: Some([3, 4].into()),
        max_sessions: Some(3),
        max_lifetime: Some(Duration::from_secs(3600)),
    }
}

fn hostile() -> SessionList {
    let of = |id, safety_type, login: &str, client: &str, time_left| Session {
        safety_type,
        user_login: Some(login.into()),
        client: ClientAddress::parse(client),
        ..expiring(id, time_left)
    };
    let mut missing = session(6);
    missing.safety_type = None;
    SessionList::new(
        vec![
            vendors(),
            of(1, Some(2), "virtual@virtual.com", "203.0.113.9", 4e6),
            of(
                2,
                Some(15),
                "\"}} 1\n# HELP up \\",
                "\\\"\n<b>here</b>",
                1e5,
            ),
            of(
                3,
                Some(3),
                &"\"ж\u{1f512}".repeat(70),
                "2001:DB8::1",
                3_600_001.0,
            ),
            of(
                4,
                Some(3),
                "virtual@virtual.com",
                "::ffff:203.0.113.9",
                2000.0,
            ),
            missing,
        ],
        3,
    )
}

#[test]
fn golden_details_anonymous() {
    let account = Watched::reading("default", SessionDetails::Anonymous, strict());
    let account = account.answered(hostile(), after(0.0));
    assert_golden("details_anonymous", &Bench::new(after(1.5)).with(account));
}

#[test]
fn golden_details_full_and_hostile() {
    let account = Watched::reading("a\\b \"c\"\nd<e>", SessionDetails::Full, strict());
    let mut account = account.answered(hostile(), after(0.0));
    let labels = [("desk", "fx"), ("owner", "\"night\" \\ <shift>")];
    account.status.info = Arc::new(AccountInfo {
        credential: "key_pair",
        labels: labels
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
    });
    let bench = Bench::new(after(1.5)).with(account);
    let mut names = SafetyNames::default();
    names.extend([(15, "order \"signed\"\n\\".to_owned())]);
    names.extend([(3, "token".to_owned())]);
    bench.names.send_replace(names);
    assert_golden("details_full_and_hostile", &bench);
}

/// Everything at once, with the exporter's own families.
fn crowded() -> Bench {
    let mut bench = Bench::new(after(1.5));
    for (name, details) in [
        ("full", SessionDetails::Full),
        ("anonymous", SessionDetails::Anonymous),
        ("off", SessionDetails::Off),
        ("a,b=\"c\"", SessionDetails::Full),
    ] {
        let account = Watched::reading(name, details, strict());
        bench = bench.with(account.answered(hostile(), after(0.0)));
    }
    // Names that are equal up to where other labels are cut.
    for end in ["x", "y"] {
        let account = Watched::new(&("n".repeat(128) + end));
        bench = bench.with(account.answered(hostile(), after(0.0)));
    }
    bench = bench.with(Watched::new("new"));
    let mut names = SafetyNames::default();
    for id in [2, 3, 4, 15] {
        names.extend([(id, "same".repeat(50))]);
    }
    bench.names.send_replace(names);
    bench.metrics.count_request("/metrics", "200");
    bench.metrics.count_request("/metrics", "405");
    bench.metrics.count_request("other", "404");
    bench
        .metrics
        .observe_api_request(Transport::Http, Duration::from_millis(125));
    bench
}

#[test]
fn series_are_unique_and_families_contiguous() {
    let bench = crowded();
    for format in [Format::Text004, Format::OpenMetrics100] {
        let page = bench.page(format);
        let mut series = BTreeSet::new();
        let mut families = BTreeSet::new();
        let mut family = "";
        for line in page.lines() {
            if let Some(named) = line.strip_prefix("# HELP ") {
                family = named.split(' ').next().unwrap();
                assert!(families.insert(family), "{family} comes twice");
            } else if let Some(comment) = line.strip_prefix("# ") {
                let of = comment.split(' ').nth(1);
                assert!(comment == "EOF" || of == Some(family), "{line}");
            } else {
                let (name, _value) = line.rsplit_once(' ').unwrap();
                assert!(name.starts_with(family), "{line} under {family}");
                assert!(series.insert(name), "{name} comes twice");
            }
        }
        assert!(series.len() > 300, "{}", series.len());
    }
}

/// Type and labels of every family on a page; labels of a histogram's buckets are left out.
fn families(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families = BTreeMap::new();
    let mut name = "";
    for line in page.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let kind;
            (name, kind) = typed.split_once(' ').unwrap();
            families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{') {
            let (_, known) = families.get_mut(name).unwrap();
            // No value on this page contains `="`.
            let names = labels
                .split("=\"")
                .filter_map(|part| part.rsplit(['{', ',']).next());
            known.extend(
                names
                    .filter(|name| !name.contains('"') && *name != "le")
                    .map(str::to_owned),
            );
        }
    }
    families
}

#[test]
fn documented_table_matches_the_families() {
    let mut account = Watched::reading("default", SessionDetails::Full, strict());
    account.status.stream = Some(StreamStatus::default());
    account.status.clock_offset_seconds = Some(0.5);
    let bench = Bench::new(after(1.5)).with(account.answered(list([vendors()]), after(0.0)));
    bench.metrics.count_request("/metrics", "200");
    bench
        .metrics
        .observe_api_request(Transport::Http, Duration::from_secs(1));
    let families = families(&bench.text());

    let cell = |text: &str| -> BTreeSet<String> {
        let names = text.split(',').map(|name| name.trim().trim_matches('`'));
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let documented: BTreeMap<_, _> = include_str!("../../docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `tradernet_") || line.starts_with("| `process_"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').skip(1).map(str::trim).collect();
            let name = cells[0].trim_matches('`');
            (name.to_owned(), (cells[1].to_owned(), cell(cells[2])))
        })
        .collect();
    assert_eq!(documented, families);
}

#[test]
fn help_needs_no_escapes_and_only_counters_end_in_total() {
    let page = crowded().text();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(!help.contains(['\\', '"']), "{help}");
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{typed}");
        }
    }
}

#[test]
fn exporter_families_without_accounts() {
    let page = Bench::new(after(0.0)).text();
    assert_eq!(accounts_part(&page), "");
    let build = format!(
        "tradernet_exporter_build_info{{revision=\"{}\",rustversion=\"{}\",version=\"{}\"}} 1\n",
        env!("BUILD_REVISION"),
        env!("BUILD_RUSTC_VERSION"),
        env!("CARGO_PKG_VERSION"),
    );
    assert!(page.contains(&build), "{page}");
}

#[test]
#[cfg(target_os = "linux")]
fn processor_time_has_fractions() {
    let bench = Bench::new(after(0.0));
    let seconds = || -> f64 {
        let page = bench.text();
        let (_, rest) = page.split_once("\nprocess_cpu_seconds_total ").unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    };
    // Rendering takes some, whole seconds would be equal.
    let (first, second) = (seconds(), seconds());
    assert!(first > 0.0 && second > first && second - first < 1.0);
}

#[test]
fn answered_requests_are_counted() {
    let bench = Bench::new(after(0.0));
    assert!(!bench.text().contains("http_requests_total"));
    for times in 1..4 {
        bench.metrics.count_request("/metrics", "200");
        let line = format!(
            "\ntradernet_exporter_http_requests_total{{code=\"200\",handler=\"/metrics\"}} {times}\n"
        );
        for format in [Format::Text004, Format::OpenMetrics100] {
            assert!(bench.page(format).contains(&line), "{line}");
        }
    }
}

#[test]
fn api_requests_are_a_histogram_without_account() {
    let bench = Bench::new(after(0.0));
    for milliseconds in [20, 200, 1000, 60_000] {
        let took = Duration::from_millis(milliseconds);
        bench.metrics.observe_api_request(Transport::Http, took);
    }
    let name = "tradernet_api_request_duration_seconds";
    let expected = [
        ("0.025", 1),
        ("0.05", 1),
        ("0.1", 1),
        ("0.25", 2),
        ("0.5", 2),
        ("1", 3),
        ("2.5", 3),
        ("5", 3),
        ("10", 3),
        ("30", 3),
        ("+Inf", 4),
    ];
    let shown = |openmetrics: bool| -> String {
        let head = format!(
            "# HELP {name} Duration of requests to Tradernet over all accounts.\n\
             # TYPE {name} histogram\n"
        );
        let unit = format!("# UNIT {name} seconds\n");
        let buckets = expected.iter().map(|(bound, count)| {
            let whole = openmetrics && !bound.contains(['.', '+']);
            let point = if whole { ".0" } else { "" };
            format!("{name}_bucket{{transport=\"http\",le=\"{bound}{point}\"}} {count}\n")
        });
        let sums = format!(
            "{name}_sum{{transport=\"http\"}} 61.22\n{name}_count{{transport=\"http\"}} 4\n"
        );
        head + if openmetrics { &unit } else { "" } + &buckets.collect::<String>() + &sums
    };
    let text = bench.text();
    assert!(text.contains(&shown(false)), "{text}");
    let openmetrics = bench.page(Format::OpenMetrics100);
    assert!(openmetrics.contains(&shown(true)), "{openmetrics}");
}

#[test]
fn failed_reload_keeps_the_time_of_the_last_success() {
    let bench = Bench::new(after(0.1254));
    let reload = |bench: &Bench| -> Vec<String> {
        let page = bench.text();
        page.lines()
            .filter(|line| line.starts_with("tradernet_exporter_config"))
            .map(|line| line.rsplit_once('_').unwrap().1.to_owned())
            .collect()
    };
    assert_eq!(reload(&bench), ["seconds 1465911154.125", "successful 1"]);
    bench.set(after(7.0));
    bench.metrics.set_reload(false);
    assert_eq!(reload(&bench), ["seconds 1465911154.125", "successful 0"]);
    bench.set(after(8.0));
    bench.metrics.set_reload(true);
    assert_eq!(reload(&bench), ["seconds 1465911162", "successful 1"]);
}

const OPEN: &str = "tradernet_security_sessions_open{account=\"default\"} 1\n";

fn shows_sessions(bench: &Bench) -> bool {
    bench.text().contains(OPEN)
}

fn one_session() -> Bench {
    let account = Watched::new("default").answered(list([vendors()]), after(0.0));
    Bench::new(after(0.0)).with(account)
}

#[test]
fn session_gauges_vanish_past_max_age_by_either_clock() {
    let bench = one_session();
    for (wall, monotonic, shown) in [
        (0.0, 0.0, true),
        (90.0, 1.0, true),
        (90.001, 1.0, false),
        // The clock was set back.
        (89.0, 2.0, true),
        (1.0, 90.0, true),
        (1.0, 90.001, false),
    ] {
        bench.set(moment(wall, monotonic));
        assert_eq!(shows_sessions(&bench), shown, "{wall} {monotonic}");
    }
}

#[test]
fn seconds_convert_to_milliseconds_without_rounding_errors() {
    let reading = TrackingConfig {
        policy: Policy::default(),
        details: SessionDetails::Off,
        expire_unit: Some(Unit::Seconds),
        interval: Duration::from_secs(30),
        max_age: MAX_AGE,
    };
    let mut account = Watched::new("default");
    account.tracker = SessionTracker::new(reading);
    // As doubles, 16.1 times 1000 is 16100.000000000002.
    let account = account.answered(list([expiring(1, 16.1), expiring(2, 1e306)]), after(0.0));
    let page = Bench::new(after(0.0)).with(account).text();
    assert!(page.contains("expire_min_milliseconds{account=\"default\"} 16100\n"));
    let longest = "expire_max_milliseconds{account=\"default\"} 1.7976931348623157e308\n";
    assert!(page.contains(longest), "{page}");
    assert!(page.contains("expire_unit{account=\"default\",unit=\"seconds\"} 1\n"));
}

#[test]
fn published_and_renamed_values_show_at_the_next_rendering() {
    let bench = one_session();
    assert!(bench.text().contains("safety_type=\"password\"} 1\n"));
    let mut names = SafetyNames::default();
    names.extend([(4, "weak".to_owned())]);
    bench.names.send_replace(names);
    let page = bench.text();
    assert!(page.contains("safety_type=\"weak\"} 1\n"), "{page}");

    let other = Watched::new("other").answered(list([]), after(0.0));
    bench.store.publish(other.status);
    assert!(
        bench
            .text()
            .contains("sessions_open{account=\"other\"} 0\n")
    );
    bench.store.retain(|name| name != "other");
    assert!(!bench.text().contains("\"other\""));
}
