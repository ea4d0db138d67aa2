//! Many accounts: reload, shards, and that no account affects another.
//!
//! Where time is paused, both clocks and the simulator's follow it.

mod host_limit;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tradernet_exporter::clock::Clock;
use tradernet_exporter::simulator::{
    Account, AccountSpec, Fault, FaultTarget, Repeat, SessionSpec, Simulator,
};

use crate::support::{
    ExporterProcess, Exposition, InProcessExporter, SimulatedApi, TestClock, advance_time, post,
    run_to_exit, wait_until_some,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A simulated Tradernet with accounts `desk-0`, `desk-1`, …, which log in with `right`, and the
/// file that lists them.
struct Desks {
    upstream: SimulatedApi,
    folder: TempDir,
}

impl Desks {
    async fn new(count: usize) -> Self {
        Self::with_clock(count, TestClock::new()).await
    }

    /// For paused time.
    async fn with_time(count: usize) -> Self {
        tokio::spawn(advance_time(DAY * 365));
        Self::with_clock(count, TestClock::with_tokio()).await
    }

    async fn with_clock(count: usize, clock: TestClock) -> Self {
        let world = clock.world();
        for n in 0..count {
            let sid = format!("sid-of-desk-{n}");
            world.add_account(AccountSpec::new(desk(n)).password("right").sid(sid));
        }
        let upstream = SimulatedApi::serve_simulator(world, clock, None).await;
        let folder = tempfile::tempdir().unwrap();
        Self { upstream, folder }
    }

    fn world(&self) -> &Simulator {
        &self.upstream.world
    }

    fn account(&self, n: usize) -> Account {
        self.world().account(&desk(n))
    }

    /// Every request for the list of `desk-n` fails like this.
    fn fail(&self, n: usize, fault: Fault) {
        self.account(n)
            .inject_fault(FaultTarget::SessionList, Repeat::Forever, fault);
    }

    /// Waits until this many requests for the list of `desk-n` have come.
    async fn wait_for_list_requests(&self, n: usize, count: u64) {
        let account = self.account(n);
        self.world()
            .wait_until(|_| account.counters().lists >= count)
            .await;
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("accounts.yml")
    }

    /// Writes the file: these lines under `defaults`, and each account with what else it has.
    fn write(&self, defaults: &str, accounts: &[(usize, &str)]) {
        let mut text = format!("defaults:\n  url: {}\n", self.upstream.origin);
        defaults
            .lines()
            .for_each(|line| writeln!(text, "  {line}").unwrap());
        text.push_str("accounts:\n");
        for (n, more) in accounts {
            writeln!(text, "  - account: {}", desk(*n)).unwrap();
            let more = match *more {
                "" => format!("sid: sid-of-desk-{n}"),
                more => more.to_owned(),
            };
            more.lines()
                .for_each(|line| writeln!(text, "    {line}").unwrap());
        }
        self.write_text(&text);
    }

    fn write_text(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    async fn start_unready(&self, more: &[(&str, &str)]) -> InProcessExporter {
        self.start_on(self.upstream.clock.clock(), more).await
    }

    async fn start_on(&self, clock: Clock, more: &[(&str, &str)]) -> InProcessExporter {
        let path = self.path().display().to_string();
        let file = [
            ("TRADERNET_CONFIG_FILE", path.as_str()),
            // The file sets the interval.
            ("TRADERNET_POLL_INTERVAL", ""),
        ];
        InProcessExporter::start_on(clock, &[&file[..], more].concat()).await
    }

    /// Waits until every account had an attempt.
    async fn start(&self) -> InProcessExporter {
        let exporter = self.start_unready(&[]).await;
        exporter.first_attempt().await;
        exporter
    }
}

fn desk(n: usize) -> String {
    format!("desk-{n}")
}

fn login(n: usize) -> String {
    format!("login: {}\npassword: right", desk(n))
}

async fn reload(exporter: &InProcessExporter) {
    let reply = post(exporter.address, "/-/reload").await;
    assert_eq!((reply.status, reply.text()), (200, "reloaded\n"));
}

const HOURLY: &str = "poll_interval: 1h";

#[tokio::test]
async fn added_accounts_start_and_removed_ones_vanish() {
    let desks = Desks::new(3).await;
    desks.write(HOURLY, &[(0, ""), (1, "")]);
    let exporter = desks.start().await;
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_up", &[("account", "desk-1")]), 1.0);

    desks.write(HOURLY, &[(0, ""), (2, "")]);
    reload(&exporter).await;
    let page = exporter
        .wait_for("the new account is polled", |page| {
            page.find("tradernet_up", &[("account", "desk-2")])
                .is_some()
        })
        .await;
    assert!(!page.text.contains("desk-1"), "{}", page.text);
    let kept = [("account", "desk-0")];
    assert_eq!(page.get("tradernet_polls_total", &kept), 1.0);
    assert_eq!(desks.account(0).counters().lists, 1);
    assert_eq!(desks.account(1).counters().lists, 1);
    exporter.stop().await;
}

#[tokio::test]
async fn a_hanging_account_is_removed_at_once() {
    let desks = Desks::new(2).await;
    desks.fail(1, Fault::NoResponse);
    desks.write(HOURLY, &[(0, ""), (1, "")]);
    let exporter = desks.start_unready(&[]).await;
    desks.wait_for_list_requests(1, 1).await;
    desks.write(HOURLY, &[(0, "")]);
    reload(&exporter).await;
    assert!(!exporter.metrics().await.text.contains("desk-1"));
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_accounts_that_a_reload_adds() {
    let desks = Desks::new(2).await;
    (0..2).for_each(|n| desks.fail(n, Fault::NoResponse));
    desks.write(HOURLY, &[(0, "")]);
    let exporter = desks.start_unready(&[]).await;
    desks.wait_for_list_requests(0, 1).await;
    desks.write(HOURLY, &[(1, "")]);
    reload(&exporter).await;
    desks.wait_for_list_requests(1, 1).await;
    assert_eq!(exporter.get("/-/ready").await.status, 503);
    // The timeout of ten seconds.
    advance_time(SECOND * 11).await;
    assert_eq!(exporter.get("/-/ready").await.status, 200);
    exporter.stop().await;
}

#[tokio::test]
async fn non_identity_changes_apply_in_place() {
    let desks = Desks::new(1).await;
    let session = SessionSpec::new(4, DAY).client_ip("203.0.113.9");
    desks.account(0).open_session(session);
    desks.write(HOURLY, &[(0, &login(0))]);
    let exporter = desks.start().await;
    assert_eq!(desks.account(0).counters().logins, 1);

    let changed = format!(
        "{}\nallowed_client_ips: 192.0.2.0/24\nsession_details: full\nexpire_unit: ms\ntimeout: 3s",
        login(0)
    );
    desks.write("poll_interval: 2h\nmax_age: 8h", &[(0, &changed)]);
    reload(&exporter).await;
    let page = exporter
        .wait_for("the rule applies", |page| {
            let rule = [("rule", "client_ip")];
            page.find("tradernet_security_sessions_violating", &rule) == Some(1.0)
        })
        .await;
    assert_eq!(page.get("tradernet_poll_interval_seconds", &[]), 7200.0);
    assert_eq!(page.get("tradernet_expire_unit_confirmed", &[]), 1.0);
    let session = [("client_ip", "203.0.113.9")];
    assert_eq!(page.get("tradernet_security_session_info", &session), 1.0);
    assert_eq!(page.get("tradernet_polls_total", &[]), 1.0);
    assert_eq!(page.get("tradernet_logins_total", &[]), 1.0);
    // No request was sent.
    let requests = || {
        let counters = desks.account(0).counters();
        (counters.lists, counters.logins)
    };
    assert_eq!(requests(), (1, 1));

    // The SID of the first login is still used.
    let page = exporter.poll_account("desk-0").await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(requests(), (2, 1));
    exporter.stop().await;
}

#[tokio::test]
async fn api_version_change_keeps_account() {
    let desks = Desks::new(0).await;
    let account = AccountSpec::new("desk-0").key("public", "secret");
    desks.world().add_account(account);
    let keys = |version| format!("api_key: public\napi_secret: secret\napi_version: {version}");
    desks.write(HOURLY, &[(0, &keys(3))]);
    let exporter = desks.start().await;
    desks.write(HOURLY, &[(0, &keys(2))]);
    reload(&exporter).await;
    let page = exporter.poll_account("desk-0").await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(page.get("tradernet_polls_total", &[]), 2.0);
    let requests = desks.world().requests();
    let of_version_2: Vec<_> = requests
        .iter()
        .map(|request| request.target.starts_with("/api/v2/"))
        .collect();
    assert_eq!(of_version_2, [false, true]);
    exporter.stop().await;
}

#[tokio::test]
async fn changed_credential_resets_counters_not_login_budget() {
    let desks = Desks::new(1).await;
    let wrong = |password: &str| format!("login: desk-0\npassword: {password}");
    desks.write(HOURLY, &[(0, &wrong("wrong"))]);
    let exporter = desks.start().await;
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_login_failures_total", &[]), 1.0);
    assert_eq!(page.get("tradernet_login_blocked", &[]), 1.0);

    // The same configuration again is no reason to try again.
    reload(&exporter).await;
    for (attempt, password) in (0..).zip(["wrong too", "wrong again", "right"]) {
        desks.write(HOURLY, &[(0, &wrong(password))]);
        reload(&exporter).await;
        // Counters begin anew with the account.
        let page = exporter
            .wait_for("the new account is polled", |page| {
                page.find("tradernet_polls_total", &[]) == Some(1.0)
                    && page.find("tradernet_login_blocked", &[]) == Some(1.0)
            })
            .await;
        let logins = page.get("tradernet_logins_total", &[]);
        assert_eq!(logins, if attempt < 2 { 1.0 } else { 0.0 }, "{password}");
        // Three in 15 minutes, whatever reloads: the fourth would have been right and is not tried.
        wait_until_some("the login is seen", async || {
            (desks.account(0).counters().logins == 3.min(attempt + 2)).then_some(())
        })
        .await;
    }

    desks.upstream.clock.advance(SECOND * 16 * 60);
    let page = exporter.poll_account("desk-0").await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(desks.account(0).counters().logins, 4);
    exporter.stop().await;
}

#[tokio::test]
async fn account_that_is_added_again_keeps_open_breaker() {
    let desks = Desks::new(2).await;
    let wrong = (0, "login: desk-0\npassword: wrong");
    desks.write(HOURLY, &[wrong, (1, "")]);
    let exporter = desks.start().await;
    // Polls, logins, and whether the breaker is open.
    let counts = |page: &Exposition| {
        ["polls_total", "logins_total", "login_blocked"]
            .map(|name| page.find(&format!("tradernet_{name}"), &[("account", "desk-0")]))
    };
    assert_eq!(counts(&exporter.metrics().await), [Some(1.0); 3]);
    for other in [None, Some((0, "sid: sid-of-desk-0"))] {
        // Gone, or with another credential, for a while.
        let accounts: Vec<_> = other.into_iter().chain([(1, "")]).collect();
        desks.write(HOURLY, &accounts);
        reload(&exporter).await;
        // Long enough for the count to say nothing.
        desks.upstream.clock.advance(SECOND * 3600);
        desks.write(HOURLY, &[wrong, (1, "")]);
        reload(&exporter).await;
        let page = exporter
            .wait_for("it is polled again", |page| counts(page)[0] == Some(1.0))
            .await;
        assert_eq!(counts(&page), [Some(1.0), Some(0.0), Some(1.0)]);
        assert_eq!(desks.account(0).counters().logins, 1);
    }
    // An operator may request a retry.
    exporter.poll_account("desk-0").await;
    assert_eq!(desks.account(0).counters().logins, 2);
    exporter.stop().await;
}

#[tokio::test]
async fn secret_moved_to_a_file_is_the_same_and_a_changed_file_resets_the_breaker() {
    let desks = Desks::new(1).await;
    desks.write(HOURLY, &[(0, &login(0))]);
    let exporter = desks.start().await;

    let secret = desks.folder.path().join("password");
    std::fs::write(&secret, "right\n").unwrap();
    desks.write(HOURLY, &[(0, "login: desk-0\npassword_file: password")]);
    reload(&exporter).await;
    let page = exporter.poll_account("desk-0").await;
    assert_eq!(page.get("tradernet_polls_total", &[]), 2.0);
    assert_eq!(desks.account(0).counters().logins, 1);

    // Rejected, and then corrected in the file without a reload, when the first login no longer counts.
    desks.upstream.clock.advance(SECOND * 16 * 60);
    desks
        .account(0)
        .change_spec(|spec| spec.password = Some("new".to_owned()));
    desks.account(0).revoke_sids();
    let page = exporter.poll_account("desk-0").await;
    assert_eq!(page.get("tradernet_login_blocked", &[]), 1.0);
    std::fs::write(&secret, "new\n").unwrap();
    exporter
        .wait_for("the new password is taken up", |page| {
            page.get("tradernet_up", &[]) == 1.0 && page.get("tradernet_login_blocked", &[]) == 0.0
        })
        .await;
    exporter.stop().await;
}

#[tokio::test]
async fn invalid_file_changes_nothing_and_is_reported() {
    let desks = Desks::new(2).await;
    desks.write(HOURLY, &[(0, ""), (1, "")]);
    let path = desks.path().display().to_string();
    let given = [
        ("TRADERNET_CONFIG_FILE", path.as_str()),
        ("TRADERNET_POLL_INTERVAL", ""),
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
    ];
    let mut program = ExporterProcess::start(&given).await;
    let both = |page: &Exposition| page.matching("tradernet_up", &[]).count() == 2;
    let page = program.wait_for("both are polled", both).await;
    let name = "tradernet_exporter_config_last_reload_successful";
    assert_eq!(page.get(name, &[]), 1.0);

    let wrong = (0, "sid: hunter2\nmax_sessions: many");
    desks.write("poll_intervall: 1h", &[wrong]);
    let reply = post(program.address, "/-/reload").await;
    let reasons = format!(
        "{path}:3: defaults.poll_intervall: unknown key; did you mean poll_interval?\n\
         {path}:7: max_sessions: \"many\" must be a whole number from 0 to 4294967295"
    );
    assert_eq!((reply.status, reply.text().trim_end()), (500, &*reasons));
    let line = program
        .wait_for_log("the reasons", |line| line.contains("reload failed"))
        .await;
    assert!(line.contains("poll_intervall"), "{line}");
    assert!(line.contains("whole number"), "{line}");
    assert!(both(&program.wait_for_value(name, 0.0).await));

    // By signal, the corrected file.
    desks.write(HOURLY, &[(1, "")]);
    program.signal("HUP").await;
    let page = program.wait_for_value(name, 1.0).await;
    assert_eq!(page.matching("tradernet_up", &[]).count(), 1);
    let line = program
        .wait_for_log("the numbers", |line| line.contains("reloaded"))
        .await;
    assert!(
        line.contains("removed=1") && line.contains("kept=1"),
        "{line}"
    );
    assert!(program.log().iter().all(|line| !line.contains("hunter2")));
}

#[tokio::test]
async fn names_of_safety_types_are_reloaded() {
    let desks = Desks::new(1).await;
    desks.account(0).open_session(SessionSpec::new(17, DAY));
    desks.write(HOURLY, &[(0, "")]);
    let exporter = desks.start().await;
    let named = |name: &'static str| {
        move |page: &Exposition| {
            let labels = [("safety_type_id", "17"), ("safety_type", name)];
            page.find("tradernet_security_sessions_by_safety_type", &labels)
                .is_some()
        }
    };
    assert!(named("app_qr")(&exporter.metrics().await));
    let text = std::fs::read_to_string(desks.path()).unwrap();
    desks.write_text(&format!("{text}safety_types:\n  17: carrier pigeon\n"));
    exporter.send_sighup().await;
    exporter.wait_for("the name", named("carrier pigeon")).await;
    exporter.stop().await;
}

/// Arrivals of requests in seconds since `start`.
fn arrivals(desks: &Desks, start: std::time::SystemTime) -> Vec<f64> {
    let since = |time: std::time::SystemTime| time.duration_since(start).ok();
    let requests = desks.world().requests();
    let times = requests.iter().filter_map(|request| since(request.time));
    times.map(|since| since.as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn polls_are_spread_no_thundering_herd() {
    const ACCOUNTS: usize = 600;
    let desks = Desks::with_time(ACCOUNTS).await;
    desks.world().set_request_log_capacity(100_000);
    let all: Vec<_> = (0..ACCOUNTS).map(|n| (n, "")).collect();
    desks.write("poll_interval: 1m", &all);
    let start = desks.upstream.clock.wall();
    let exporter = desks.start_unready(&[]).await;
    advance_time(SECOND * 60).await;
    let seen = arrivals(&desks, start);
    assert!(seen.len() >= ACCOUNTS, "{}", seen.len());
    for minute_part in 0..6 {
        let part = (f64::from(minute_part) * 10.0)..(f64::from(minute_part) * 10.0 + 10.0);
        let count = seen.iter().filter(|at| part.contains(at)).count();
        assert!((90..=110).contains(&count), "{count} in {part:?}");
    }

    // An interval of a sixth: each comes sixfold sooner, and still they are spread.
    desks.write("poll_interval: 10s", &all);
    let start = desks.upstream.clock.wall();
    exporter.send_sighup().await;
    advance_time(SECOND * 10).await;
    let seen = arrivals(&desks, start);
    assert!((570..=660).contains(&seen.len()), "{}", seen.len());
    for second in 0..10 {
        let part = f64::from(second)..f64::from(second + 1);
        let count = seen.iter().filter(|at| part.contains(at)).count();
        assert!((40..=90).contains(&count), "{count} in {part:?}");
    }
    exporter.stop().await;
}

/// A clock that panics: at which of the calls from now on, none where they are empty.
struct PanickingClock(Arc<Mutex<Vec<usize>>>);

impl PanickingClock {
    fn around(clock: Clock) -> (Self, Clock) {
        let armed = Arc::<Mutex<Vec<usize>>>::default();
        let calls = Arc::clone(&armed);
        let clock = Clock::from_fn(move || {
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            let hit = calls.contains(&0);
            calls.retain(|call| *call > 0);
            calls.iter_mut().for_each(|call| *call -= 1);
            drop(calls);
            assert!(!hit, "an injected panic");
            clock.now()
        });
        (Self(armed), clock)
    }

    async fn panic_at(&self, calls: &[usize]) {
        *self.0.lock().unwrap() = calls.to_vec();
        wait_until_some("the clock panicked", async || {
            self.0.lock().unwrap().is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_poller_that_panics_is_counted_and_restarted_with_its_state() {
    let desks = Desks::with_time(1).await;
    desks.write("poll_interval: 10s", &[(0, &login(0))]);
    let (panicking, clock) = PanickingClock::around(desks.upstream.clock.clock());
    let exporter = desks.start_on(clock, &[]).await;
    exporter.first_attempt().await;

    // A poll reads the clock before the request and after the answer; the third time is when the
    // panic is counted, which may panic too.
    for (calls, counted) in [(&[0][..], 1.0), (&[1], 2.0), (&[1, 2], 3.0)] {
        panicking.panic_at(calls).await;
        let polls = desks.account(0).counters().lists;
        desks.wait_for_list_requests(0, polls + 2).await;
        let page = exporter.metrics().await;
        let failures = page.get("tradernet_poll_failures_total", &[("reason", "internal")]);
        assert_eq!(failures, counted, "{calls:?}");
        assert_eq!(page.get("tradernet_up", &[]), 1.0);
        assert_eq!(desks.account(0).counters().logins, 1);
    }
    exporter.stop().await;
}

#[tokio::test]
async fn two_shards_watch_each_account_once() {
    const ACCOUNTS: usize = 20;
    let desks = Desks::new(ACCOUNTS).await;
    let all: Vec<_> = (0..ACCOUNTS).map(|n| (n, "")).collect();
    desks.write(HOURLY, &all);
    let one = desks.start_unready(&[("TRADERNET_SHARD", "0/2")]).await;
    let other = desks.start_unready(&[("TRADERNET_SHARD", "1/2")]).await;
    let (one_page, other_page) = (one.first_attempt().await, other.first_attempt().await);
    let watched = |page: &Exposition| page.matching("tradernet_up", &[]).count();
    assert_eq!(watched(&one_page) + watched(&other_page), ACCOUNTS);
    for n in 0..ACCOUNTS {
        assert_eq!(desks.account(n).counters().lists, 1, "{}", desk(n));
    }
    // A reload keeps to the shard.
    reload(&one).await;
    assert_eq!(watched(&one.metrics().await), watched(&one_page));
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn check_has_a_line_for_each_account() {
    let desks = Desks::new(3).await;
    desks.account(0).open_session(SessionSpec::new(2, DAY));
    desks.write("expire_unit: ms", &[(0, ""), (1, "sid: wrong"), (2, "")]);
    let path = desks.path().display().to_string();
    let online = run_to_exit(&["check", "--config.file", &path], &[]).await;
    assert_eq!(online.code, Some(1), "{}", online.stderr);
    let lines: Vec<_> = online.stdout.lines().collect();
    for (line, start) in [
        (1, "desk-0   http       1             token 1  in "),
        (2, "desk-1   http       failed: auth  "),
        (3, "desk-2   http       0             -        -"),
    ] {
        assert!(lines[line].starts_with(start), "{}", online.stdout);
    }

    desks.write("timeout: -1", &[(0, "")]);
    let wrong = run_to_exit(&["check", "--config.file", &path], &[]).await;
    assert_eq!(wrong.code, Some(2));
    let expected = format!(
        "tradernet-exporter: {path}:3: defaults.timeout: \"-1\" is not a valid duration; use 30s, 5m or a \
         number of seconds\n"
    );
    assert_eq!(wrong.stderr, expected);
}
