//! The status page in Chromium: its content, keyboard, refresh and layout.

use std::time::Duration;

use tradernet_exporter::Config;
use tradernet_exporter::simulator::{
    AccountSpec, ErrorEnvelope, Fault, FaultTarget, Repeat, SessionSpec,
};

use crate::browser::{Browser, View};
use crate::support::{InProcessExporter, SID, SimulatedApi, TestClock};

/// The page refreshes itself at this interval.
const REFRESH: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);
/// A name that would be markup on a page that does not escape it.
const HOSTILE: &str = "\"><img src=x onerror=alert(1)><script>alert(2)</script></li>'<b>x";
/// Opens every list of sessions.
const OPEN_ALL: &str =
    "() => document.querySelectorAll('details').forEach((e) => { e.open = true; })";

/// An account of each state that a page can show, behind one exporter.
struct AllStates {
    upstream: SimulatedApi,
    exporter: InProcessExporter,
}

/// Accounts named after their state, the most urgent first; the name is the SID too.
const STATES: [&str; 8] = [
    "login-blocked",
    "rule-broken",
    "no-data",
    "failing",
    "expiring",
    "no-session",
    "starting",
    "ok",
];

impl AllStates {
    async fn start() -> Self {
        let clock = TestClock::new();
        let world = clock.world();
        for name in STATES {
            world.add_account(AccountSpec::new(name).sid(name).password("right"));
        }
        let open = |name, safety_type, lifetime| {
            let session = SessionSpec::new(safety_type, lifetime);
            world
                .account(name)
                .open_session(session.client_ip("203.0.113.9"));
        };
        for name in ["rule-broken", "failing", "ok"] {
            open(name, 4, HOUR);
            open(name, 2, 12 * HOUR);
        }
        open("expiring", 4, Duration::from_secs(240));
        let fail = |name, fault| {
            let lists = FaultTarget::SessionList;
            world
                .account(name)
                .inject_fault(lists, Repeat::Forever, fault);
        };
        fail("no-data", Fault::status(502));
        fail("starting", Fault::NoResponse);
        let upstream = SimulatedApi::serve_simulator(world.clone(), clock, None).await;

        let config = |name: &'static str| {
            let mut variables = vec![
                ("TRADERNET_URL", upstream.origin.as_str()),
                ("TRADERNET_ACCOUNT", name),
                ("TRADERNET_SESSION_DETAILS", "full"),
                ("TRADERNET_ALLOWED_SAFETY_TYPES", "2,4"),
            ];
            variables.extend(match name {
                "login-blocked" => [("TRADERNET_LOGIN", name), ("TRADERNET_PASSWORD", "wrong")],
                "rule-broken" => [("TRADERNET_SID", name), ("TRADERNET_MAX_SESSIONS", "1")],
                "expiring" => [("TRADERNET_SID", name), ("TRADERNET_EXPIRE_UNIT", "ms")],
                // Longer than the test: the first request is still open.
                "starting" => [("TRADERNET_SID", name), ("TRADERNET_TIMEOUT", "1h")],
                _ => [("TRADERNET_SID", name), ("TRADERNET_TIMEOUT", "10s")],
            });
            InProcessExporter::config(&variables).unwrap()
        };
        let accounts = STATES.into_iter().flat_map(|name| config(name).accounts);
        let accounts: Vec<_> = accounts.collect();
        let exporter = InProcessExporter::run(
            Config {
                accounts,
                ..config("ok")
            },
            upstream.clock.clock(),
        )
        .await;
        let all = STATES.len() as f64 - 1.0;
        exporter
            .wait_for("all but one have been asked", |page| {
                let polls = page.matching("tradernet_polls_total", &[]);
                polls.map(|(_, polls)| polls).sum::<f64>() >= all
            })
            .await;
        fail("failing", Fault::status(502));
        exporter.poll_account("failing").await;
        upstream.clock.advance(Duration::from_secs(5));
        Self { upstream, exporter }
    }
}

/// An exporter with one account without sessions.
async fn one_account() -> (SimulatedApi, InProcessExporter) {
    let upstream = SimulatedApi::start().await;
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    (upstream, exporter)
}

/// Opens a session of type 4.
fn open(upstream: &SimulatedApi, lifetime: Duration) {
    let session = SessionSpec::new(4, lifetime);
    upstream.account().open_session(session);
}

const OVERFLOW: &str =
    "() => document.documentElement.scrollWidth - document.documentElement.clientWidth";

#[tokio::test]
async fn every_state_has_a_text_most_urgent_first() {
    let accounts = AllStates::start().await;
    let mut browser = Browser::start().await;
    let address = accounts.exporter.address;
    for view in [View::DEFAULT, View::WITHOUT_SCRIPTS] {
        browser.open(address, "/", view).await;
        assert_eq!(browser.texts("h2").await, STATES);
        let states = browser.texts(".card .state").await;
        let words = [
            "■ login blocked",
            "▲ rule broken",
            "? no data",
            "! failing",
            "▼ expiring",
            "○ no session",
            "… starting",
            "✓ OK",
        ];
        assert_eq!(states, words);
        let headline = browser.texts(".headline").await;
        assert_eq!(headline, ["■ 5 of 8 accounts need attention"]);
        let cards = browser.texts(".card").await;
        for (card, said) in [
            (0, "What to do"),
            (1, "2 open, at most 1 allowed"),
            (2, "? sessions unknown"),
            (3, "The server answered HTTP 502."),
            (3, "2 open"),
            (4, "Ends in 3 min"),
            (5, "0 open"),
            (6, "Not polled yet"),
            (7, "First ends in 59 min"),
            (7, "Polled"),
        ] {
            // Blank space depends on the layout.
            let text: Vec<_> = cards[card].split_whitespace().collect();
            assert!(text.join(" ").contains(said), "{said}: {text:?}");
        }
        assert_eq!(browser.count(".card:last-child .bar").await, 1);
        browser.sound("every state").await;
    }
    browser.stop().await;
    accounts.exporter.stop().await;
}

#[tokio::test]
async fn page_refreshes_itself() {
    let (upstream, exporter) = one_account().await;
    let mut browser = Browser::at(exporter.address, View::STILL).await;
    browser.wait(".open", "0 open").await;
    browser.evaluate("() => { window.first = true; }").await;

    open(&upstream, HOUR);
    exporter.poll().await;
    browser.pass(REFRESH).await;
    browser.wait(".open", "1 open").await;
    browser.wait(".headline", "The account is OK").await;

    upstream.fail(Fault::status(502));
    exporter.poll().await;
    browser.pass(REFRESH).await;
    browser.wait(".state", "failing").await;
    let title = browser.evaluate("() => document.title").await;
    assert_eq!(title, "! The account needs attention – Tradernet sessions");
    let same = browser.evaluate("() => window.first === true").await;
    assert_eq!(same, true, "the page was loaded again");
    assert_eq!(browser.requests().await.len(), 3);
    browser.sound("refreshes").await;

    upstream.account().clear_faults();
    exporter.poll().await;
    browser.pass(REFRESH).await;
    browser.wait(".state", "OK").await;
    browser
        .wait(".past", "ago: The server answered HTTP 502.")
        .await;

    exporter.stop().await;
    browser.pass(REFRESH).await;
    browser.wait(".lost", "The exporter does not answer").await;
    // The last data stay readable.
    browser.wait(".open", "1 open").await;
    browser.stop().await;
}

#[tokio::test]
async fn tab_in_the_background_shows_changes() {
    let (upstream, exporter) = one_account().await;
    let mut browser = Browser::at(exporter.address, View::STILL).await;
    browser.wait(".open", "0 open").await;
    let hide = "() => Object.defineProperty(document, 'hidden', { get: () => true })";
    browser.evaluate(hide).await;
    let told = "() => [document.title, document.querySelector('link[rel=icon]').href.match(/%23(.{6})/)[1]]";

    upstream.fail(Fault::status(502));
    exporter.poll().await;
    browser.pass(3 * REFRESH).await;
    browser.wait(".state", "failing").await;
    let title = "! The account needs attention – Tradernet sessions";
    assert_eq!(
        browser.evaluate(told).await,
        serde_json::json!([title, "c2570c"])
    );
    browser.sound("in the background").await;

    exporter.stop().await;
    browser.pass(3 * REFRESH).await;
    browser.wait(".lost", "The exporter does not answer").await;
    let title = "? No answer – Tradernet sessions";
    assert_eq!(
        browser.evaluate(told).await,
        serde_json::json!([title, "64748b"])
    );
    browser.stop().await;
}

#[tokio::test]
async fn time_left_counts_down_between_refreshes() {
    let upstream = SimulatedApi::start().await;
    open(&upstream, 24 * HOUR);
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let mut browser = Browser::at(exporter.address, View::STILL).await;
    // The exporter is gone, so that nothing but the page's own clock can move anything.
    exporter.stop().await;
    let width = "() => parseFloat(document.querySelector('.bar .last').getAttribute('width'))";
    let ago = "() => document.querySelector('[data-ago]').textContent";
    let drawn = browser.evaluate(width).await.as_f64().unwrap();
    browser.wait(".left .time", "in 23 h 59 min").await;
    browser.pass(2 * HOUR).await;
    browser.wait(".left .time", "in 21 h 59 min").await;
    let later = browser.evaluate(width).await.as_f64().unwrap();
    let bar = |hours: f64| 100.0 * (hours * 12.0).ln_1p() / (24.0 * 12.0_f64).ln_1p();
    assert!((drawn - bar(24.0)).abs() < 0.1, "{drawn}");
    assert!((later - bar(22.0)).abs() < 0.1, "{later}");
    let ago = browser.evaluate(ago).await;
    assert!(ago.as_str().unwrap().starts_with("2 h 0 min"), "{ago}");
    browser.pass(21 * HOUR).await;
    assert_eq!(browser.count(".bar .low").await, 0);
    browser.pass(HOUR / 2).await;
    assert_eq!(browser.count(".bar .low").await, 1);
    browser.pass(3 * HOUR).await;
    // Nothing is closed by the clock alone.
    browser
        .wait(".left .time", "now, waiting for the next poll")
        .await;
    browser.wait(".open", "1 open").await;
    browser.stop().await;
}

#[tokio::test]
async fn accessible_light_and_dark_wide_and_narrow() {
    let accounts = AllStates::start().await;
    let mut browser = Browser::start().await;
    for (dark, width) in [(false, 1440), (true, 1440), (false, 390), (true, 390)] {
        let view = View {
            dark,
            width,
            ..View::DEFAULT
        };
        browser.open(accounts.exporter.address, "/", view).await;
        browser.wait(".card", "rule broken").await;
        let ground = "() => getComputedStyle(document.body).backgroundColor";
        let dark_ground = browser.evaluate(ground).await == "rgb(15, 18, 23)";
        assert_eq!(dark_ground, dark, "the colours follow the preferred scheme");
        let what = format!("dark {dark}, {width} px");
        browser.accessible(&what).await;
        browser.evaluate(OPEN_ALL).await;
        browser.accessible(&format!("{what}, all opened")).await;
        browser.sound(&what).await;
    }
    browser.stop().await;
    accounts.exporter.stop().await;
}

#[tokio::test]
async fn no_horizontal_overflow() {
    let accounts = AllStates::start().await;
    // A name as long as they get, without a place to break it.
    let long_name = "W".repeat(128);
    let upstream = SimulatedApi::start().await;
    let given = [("TRADERNET_SID", SID), ("TRADERNET_ACCOUNT", &*long_name)];
    upstream.fail(Fault::envelope(ErrorEnvelope::err_msg(99, &*long_name)));
    let exporter = InProcessExporter::start(&upstream, &given).await;
    let mut browser = Browser::start().await;
    for address in [accounts.exporter.address, exporter.address] {
        browser.open(address, "/", View::DEFAULT).await;
        browser.evaluate(OPEN_ALL).await;
        // Nor may anything stick out of its card.
        let outside = "() => [...document.querySelectorAll('.card *')].filter((e) => {
            const card = e.closest('.card').getBoundingClientRect(), box = e.getBoundingClientRect();
            return box.width > 0 && (box.right > card.right + 1 || box.left < card.left - 1);
        }).map((e) => e.outerHTML)";
        for width in [320, 360, 390, 600, 768, 1024, 1366, 1600, 1920] {
            browser.resize(width).await;
            assert_eq!(browser.evaluate(OVERFLOW).await, 0, "{width} px");
            let outside = browser.evaluate(outside).await;
            assert_eq!(outside, serde_json::json!([]), "{width} px");
        }
    }
    browser.stop().await;
    exporter.stop().await;
    accounts.exporter.stop().await;
}

#[tokio::test]
async fn keyboard_reaches_everything_and_focus_survives_a_refresh() {
    let accounts = AllStates::start().await;
    let mut browser = Browser::at(accounts.exporter.address, View::STILL).await;
    let focused = "() => {
        const e = document.activeElement, ring = getComputedStyle(e);
        const visible = parseFloat(ring.outlineWidth) >= 2 && ring.outlineStyle !== 'none';
        return (e.name || e.innerText.trim()) + (visible ? '' : ' without a focus ring');
    }";
    let mut reached = Vec::new();
    for _ in 0..25 {
        browser.press("Tab").await;
        let text = browser.evaluate(focused).await;
        reached.push(text.as_str().unwrap().to_owned());
    }
    assert_eq!(
        reached,
        [
            "q",
            "Search",
            "8 in all",
            "■ 1 login blocked",
            "▲ 1 rule broken",
            "? 1 no data",
            "! 1 failing",
            "▼ 1 expiring",
            "○ 1 no session",
            "… 1 starting",
            "✓ 1 OK",
            "Retry\nlogin-blocked",
            "Sessions",
            "Retry\nno-data",
            "Retry\nfailing",
            "Sessions",
            "Sessions",
            "Sessions",
            "Metrics",
            "JSON",
            "Ready",
            "Healthy",
            "Dashboard",
            "Runbooks",
            "Documentation",
        ]
    );
    for _ in 0..7 {
        browser.press("Shift+Tab").await;
    }
    browser.press("Enter").await;
    browser
        .wait("details[data-account=ok][open] li", "203.0.113.9")
        .await;

    // After a refresh the list is still open and focused.
    accounts.upstream.world.account("failing").clear_faults();
    accounts.exporter.poll_account("failing").await;
    browser.pass(REFRESH).await;
    browser
        .wait(".headline", "4 of 8 accounts need attention")
        .await;
    browser
        .wait("details[data-account=ok][open] li", "203.0.113.9")
        .await;
    let where_it_is = "() => document.activeElement.parentElement.dataset.account";
    assert_eq!(browser.evaluate(where_it_is).await, "ok");
    browser.press("Space").await;
    assert_eq!(browser.count("details[open]").await, 0);
    browser.sound("keyboard").await;
    browser.stop().await;
    accounts.exporter.stop().await;
}

#[tokio::test]
async fn hostile_names_are_escaped() {
    let mut account = AccountSpec::new("desk-1@example.com").sid(SID);
    account.user_login = Some(HOSTILE.to_owned());
    let upstream = SimulatedApi::start_with(account).await;
    let session = SessionSpec::new(4, HOUR).client_ip(HOSTILE);
    upstream.account().open_session(session);
    let given = [
        ("TRADERNET_SID", SID),
        ("TRADERNET_ACCOUNT", HOSTILE),
        ("TRADERNET_SESSION_DETAILS", "full"),
        ("TRADERNET_SAFETY_TYPES", "4=<i>&lt;word"),
    ];
    let exporter = InProcessExporter::start(&upstream, &given).await;
    let mut browser = Browser::at(exporter.address, View::STILL).await;
    let told = "() => [document.querySelector('h2').textContent, document.querySelector('details').dataset.account,
        ...[...document.querySelectorAll('details bdi')].map((e) => e.textContent)]";
    let foreign =
        "() => document.querySelectorAll('.live :is(img, script, i, iframe, [onerror])').length";
    for round in ["first", "refreshed"] {
        assert_eq!(
            browser.evaluate(told).await,
            serde_json::json!(vec![HOSTILE; 4]),
            "{round}"
        );
        assert_eq!(browser.evaluate(foreign).await, 0, "{round}");
        assert_eq!(
            browser.texts(".types li").await[0],
            "<i>&lt;word 1",
            "{round}"
        );
        browser.sound(round).await;
        if round == "first" {
            let message = ErrorEnvelope::err_msg(99, HOSTILE);
            upstream.fail(Fault::envelope(message));
            exporter.poll_account(HOSTILE).await;
            browser.pass(REFRESH).await;
            browser.wait(".failure", "<script>alert(2)</script>").await;
        }
    }
    browser.stop().await;
    exporter.stop().await;
}

#[tokio::test]
async fn page_works_without_scripts() {
    let upstream = SimulatedApi::start().await;
    open(&upstream, HOUR);
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let view = View {
        width: 390,
        ..View::WITHOUT_SCRIPTS
    };
    let mut browser = Browser::at(exporter.address, view).await;
    browser.wait(".open", "1 open").await;
    browser.wait(".left .time", "in 1 h 0 min").await;
    assert_eq!(browser.count(".lost:visible").await, 0);
    assert_eq!(browser.count("meta[http-equiv=refresh]").await, 1);
    browser.sound("no scripts").await;
    browser.stop().await;
    exporter.stop().await;
}

/// An exporter of so many accounts with one session each.
async fn many(upstream: &SimulatedApi, count: usize, interval: &str) -> InProcessExporter {
    let session = SessionSpec::new(4, 12 * HOUR);
    upstream.account().open_session(session);
    let given = [
        ("TRADERNET_SID", SID),
        ("TRADERNET_URL", &upstream.origin),
        ("TRADERNET_POLL_INTERVAL", interval),
    ];
    let mut config = InProcessExporter::config(&given).unwrap();
    let one = config.accounts.remove(0);
    config.accounts = (0..count)
        .map(|number| {
            let mut account = one.clone();
            account.name = format!("desk-{number:04}").into();
            account
        })
        .collect();
    InProcessExporter::run(config, upstream.clock.clock()).await
}

#[tokio::test]
async fn forty_healthy_accounts_fit_on_one_screen() {
    let upstream = SimulatedApi::start().await;
    let exporter = many(&upstream, 40, "5s").await;
    exporter.first_attempt().await;
    let view = View {
        width: 1920,
        ..View::DEFAULT
    };
    let mut browser = Browser::at(exporter.address, view).await;
    browser.wait(".headline", "All 40 accounts are OK").await;
    let bottom = "() => [document.querySelectorAll('.row').length,
        [...document.querySelectorAll('.row')].at(-1).getBoundingClientRect().bottom]";
    let bottom = browser.evaluate(bottom).await;
    assert_eq!(bottom[0], 40);
    assert!(bottom[1].as_f64().unwrap() < 1080.0, "{bottom}");
    let row = browser.texts(".row:first-child").await.remove(0);
    let row: Vec<_> = row.split_whitespace().collect();
    let shown = "desk-0000 ✓ OK 1 password ends in 1";
    assert!(row.join(" ").starts_with(shown), "{row:?}");
    for width in [320, 390, 768, 1024, 1366, 1920] {
        browser.resize(width).await;
        assert_eq!(browser.evaluate(OVERFLOW).await, 0, "{width} px");
    }
    browser.accessible("rows").await;
    browser.sound("rows").await;
    browser.stop().await;
    exporter.stop().await;
}

#[tokio::test]
async fn states_and_names_are_searched_without_scripts() {
    let accounts = AllStates::start().await;
    let mut browser = Browser::start().await;
    let address = accounts.exporter.address;
    let view = View::WITHOUT_SCRIPTS;
    browser.open(address, "/?state=failing&q=FAIL", view).await;
    assert_eq!(browser.texts("h2").await, ["failing"]);
    browser.open(address, "/", view).await;
    browser.press("Tab").await;
    for key in ["E", "x", "p", "Enter"] {
        browser.press(key).await;
    }
    browser.wait(".found", "1 of 8 accounts match.").await;
    assert_eq!(browser.texts("h2").await, ["expiring"]);
    browser.sound("search").await;
    browser.stop().await;
    accounts.exporter.stop().await;
}

#[tokio::test]
async fn retry_polls_the_account() {
    let upstream = SimulatedApi::start().await;
    upstream.fail(Fault::status(502));
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let mut browser = Browser::at(exporter.address, View::DEFAULT).await;
    browser.wait(".state", "no data").await;
    upstream.account().clear_faults();
    // Search, its button, two states, Retry.
    for _ in 0..5 {
        browser.press("Tab").await;
    }
    browser.press("Enter").await;
    exporter.wait_for_value("tradernet_up", 1.0).await;
    browser.wait(".headline", "The account is OK").await;
    browser.sound("retry").await;
    browser.stop().await;
    exporter.stop().await;
}

#[tokio::test]
async fn five_thousand_accounts_are_paged() {
    let upstream = SimulatedApi::start().await;
    let exporter = many(&upstream, 5000, "1h").await;
    let mut browser = Browser::at(exporter.address, View::DEFAULT).await;
    let timing = "() => {
        const timing = performance.getEntriesByType('navigation')[0];
        return timing.responseStart - timing.requestStart;
    }";
    let first_byte = browser.evaluate(timing).await.as_f64().unwrap();
    // Within a second when released; this is an unoptimized build on a machine that is busy.
    assert!(first_byte < 5000.0, "first byte after {first_byte} ms");
    // Tasks of more than 50 ms, those before this line too.
    let observe = "() => { window.longest = 0; new PerformanceObserver((list) => {
        for (const e of list.getEntries()) window.longest = Math.max(window.longest, e.duration);
    }).observe({ type: 'longtask', buffered: true }); }";
    browser.evaluate(observe).await;
    browser.wait(".pager", "Accounts 1 to 200 of 5000").await;
    assert_eq!(browser.count(".row").await, 200);
    let nodes = "() => document.querySelectorAll('*').length";
    let nodes = browser.evaluate(nodes).await.as_u64().unwrap();
    assert!(nodes < 10_000, "{nodes} elements");

    // A refresh must not block the page.
    let refresh = "async () => {
        const live = document.querySelector('.live');
        document.dispatchEvent(new Event('visibilitychange'));
        while (document.querySelector('.live') === live) await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        return window.longest;
    }";
    let longest = browser.evaluate(refresh).await.as_f64().unwrap();
    assert!(longest < 1000.0, "the page was blocked for {longest} ms");

    browser
        .open(exporter.address, "/?page=2", View::DEFAULT)
        .await;
    browser.wait(".pager", "Accounts 201 to 400 of 5000").await;
    browser.wait("a[rel=prev]", "Previous").await;
    browser.accessible("the second page").await;
    browser.sound("five thousand").await;
    // An account in the address is found wherever it is listed; the last one is polled last.
    browser
        .open(exporter.address, "/#desk-4999", View::DEFAULT)
        .await;
    browser.wait(".found", "1 of 5000 accounts match").await;
    browser.wait("h2", "desk-4999").await;
    browser.stop().await;
    exporter.stop().await;
}
