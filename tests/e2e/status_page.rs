//! The status page in Chromium: what people see of it, with which keys, on which screens.

use std::time::Duration;

use tradernet_exporter::Config;
use tradernet_exporter::simulator::{
    AccountSpec, ErrorEnvelope, Fault, FaultTarget, LoginBehaviour, Repeat, SessionSpec,
};

use crate::browser::{Browser, View};
use crate::support::{InProcessExporter, LOGIN, SID, SimulatedApi, TestClock, wait_until_some};

/// After this long the page asks again.
const REFRESH: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);
/// What a name could do to a page that does not know text from markup.
const HOSTILE: &str = "\"><img src=x onerror=alert(1)><script>alert(2)</script></li>'<b>x";
/// Shows the sessions that a touch would show.
const OPEN_ALL: &str =
    "() => document.querySelectorAll('details').forEach((e) => { e.open = true; })";

/// An account of each state that a page can show, behind one exporter.
struct AllStates {
    upstream: SimulatedApi,
    exporter: InProcessExporter,
}

/// Accounts by the state that they are to be in; the name of an account is its SID too.
const STATES: [&str; 8] = [
    "rule-broken",
    "login-blocked",
    "unknown",
    "failing",
    "expiring",
    "starting",
    "none-open",
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
        let refusal = ErrorEnvelope::error(12, "Wrong login or password");
        let refuses = LoginBehaviour::Reject(refusal);
        world.account("login-blocked").set_login_behaviour(refuses);
        let fail = |name, fault| {
            let lists = FaultTarget::SessionList;
            world
                .account(name)
                .inject_fault(lists, Repeat::Forever, fault);
        };
        fail("unknown", Fault::status(502));
        fail("starting", Fault::NoResponse);
        let upstream = SimulatedApi::serve_simulator(world, clock, None).await;

        let config = |name: &'static str| {
            let mut variables = vec![
                ("TRADERNET_URL", upstream.origin.as_str()),
                ("TRADERNET_ACCOUNT", name),
                ("TRADERNET_SESSION_DETAILS", "full"),
                ("TRADERNET_ALLOWED_SAFETY_TYPES", "2,4"),
            ];
            match name {
                "login-blocked" => variables.extend([
                    ("TRADERNET_LOGIN", "login-blocked"),
                    ("TRADERNET_PASSWORD", "wrong"),
                ]),
                "rule-broken" => {
                    variables.extend([("TRADERNET_SID", name), ("TRADERNET_MAX_SESSIONS", "1")]);
                }
                "expiring" => {
                    variables.extend([("TRADERNET_SID", name), ("TRADERNET_EXPIRE_UNIT", "ms")])
                }
                _ => variables.push(("TRADERNET_SID", name)),
            }
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
        upstream.world.account("failing").inject_fault(
            FaultTarget::SessionList,
            Repeat::Forever,
            Fault::status(502),
        );
        exporter.poll_account("failing").await;
        upstream.clock.advance(Duration::from_secs(5));
        Self { upstream, exporter }
    }
}

#[tokio::test]
async fn every_state_is_told_in_words_worst_first() {
    let fleet = AllStates::start().await;
    let mut browser = Browser::start().await;
    let address = fleet.exporter.address;
    for script in [true, false] {
        let view = View {
            script,
            ..View::default()
        };
        browser.open(address, "/", view).await;
        assert_eq!(browser.texts("h2").await, STATES);
        let states = browser.texts(".card .state").await;
        let words = [
            "▲ Rule broken",
            "■ Login blocked",
            "? Unknown",
            "! Failing",
            "▼ Expiring",
            "… Starting",
            "○ None open",
            "✓ OK",
        ];
        assert_eq!(states, words);
        let verdict = browser.texts(".verdict").await;
        assert_eq!(verdict, ["▲ 5 of 8 accounts need attention"]);
        let cards = browser.texts(".card").await;
        for (card, said) in [
            (0, "1 more than allowed"),
            (1, "What to do"),
            (2, "? sessions unknown"),
            (3, "The server answered HTTP 502."),
            (3, "2 sessions open"),
            (4, "Ends in 3 min 55 s"),
            (5, "Not asked yet"),
            (6, "0 no session is open"),
            (7, "in 59 min"),
            (7, "Last poll"),
        ] {
            // Blank space is the layout's affair.
            let text: Vec<_> = cards[card].split_whitespace().collect();
            assert!(text.join(" ").contains(said), "{said}: {text:?}");
        }
        // Words alone would do; these are for whoever looks from afar.
        assert_eq!(browser.count(".card:last-child svg.bar").await, 2);
        browser.sound("every state").await;
    }
    browser.stop().await;
    fleet.exporter.stop().await;
}

#[tokio::test]
async fn what_changes_appears_by_itself() {
    let upstream = SimulatedApi::start().await;
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let mut browser = Browser::start().await;
    let view = View {
        still: true,
        ..View::default()
    };
    browser.open(exporter.address, "/", view).await;
    browser.wait(".open", "no session is open").await;
    browser.evaluate("() => { window.first = true; }").await;

    upstream
        .world
        .account(LOGIN)
        .open_session(SessionSpec::new(4, HOUR));
    exporter.poll().await;
    browser.pass(REFRESH).await;
    browser.wait(".open", "1 session open").await;
    browser.wait(".verdict", "The account is well").await;

    upstream.fail(Fault::status(502));
    exporter.poll().await;
    browser.pass(REFRESH).await;
    browser.wait(".state", "Failing").await;
    let title = browser.evaluate("() => document.title").await;
    assert_eq!(title, "! The account needs attention – Tradernet sessions");
    let same = browser.evaluate("() => window.first === true").await;
    assert_eq!(same, true, "the page was loaded anew");
    assert_eq!(browser.requests().await.len(), 3);
    browser.sound("refreshes").await;

    upstream.world.account(LOGIN).clear_faults();
    exporter.poll().await;
    browser.pass(REFRESH).await;
    browser.wait(".state", "OK").await;
    browser
        .wait(".past", "ago: the server answered HTTP 502.")
        .await;

    exporter.stop().await;
    browser.pass(REFRESH).await;
    browser.wait("#lost", "The exporter does not answer").await;
    // What was known stays to be read.
    browser.wait(".open", "1 session open").await;
    browser.stop().await;
}

#[tokio::test]
async fn a_tab_in_the_background_tells_what_changes() {
    let upstream = SimulatedApi::start().await;
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let mut browser = Browser::start().await;
    let view = View {
        still: true,
        ..View::default()
    };
    browser.open(exporter.address, "/", view).await;
    browser.wait(".open", "no session is open").await;
    let hide = "() => Object.defineProperty(document, 'hidden', { get: () => true })";
    browser.evaluate(hide).await;
    let told = "() => [document.title, document.querySelector('link[rel=icon]').href.match(/%23(.{6})/)[1]]";

    upstream.fail(Fault::status(502));
    exporter.poll().await;
    browser.pass(3 * REFRESH).await;
    browser.wait(".state", "Failing").await;
    let title = "! The account needs attention – Tradernet sessions";
    assert_eq!(
        browser.evaluate(told).await,
        serde_json::json!([title, "b45309"])
    );
    browser.sound("in the background").await;

    exporter.stop().await;
    browser.pass(3 * REFRESH).await;
    browser.wait("#lost", "The exporter does not answer").await;
    let title = "? No answer – Tradernet sessions";
    assert_eq!(
        browser.evaluate(told).await,
        serde_json::json!([title, "64748b"])
    );
    browser.stop().await;
}

#[tokio::test]
async fn time_left_runs_down_between_refreshes() {
    let upstream = SimulatedApi::start().await;
    // Of a day, the full bar, 200 s are more than 10 px.
    upstream
        .world
        .account(LOGIN)
        .open_session(SessionSpec::new(4, 24 * HOUR));
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let mut browser = Browser::start().await;
    let view = View {
        still: true,
        ..View::default()
    };
    browser.open(exporter.address, "/", view).await;
    // The exporter is gone, so that nothing but the page's own clock can move anything.
    exporter.stop().await;
    let width = "() => parseFloat(document.querySelector('.bar rect').getAttribute('width'))";
    let ago = "() => document.querySelector('[data-ago]').textContent";
    let drawn = browser.evaluate(width).await.as_f64().unwrap();
    browser.wait(".left .time", "in 23 h 59 min").await;
    browser.pass(2 * HOUR).await;
    browser.wait(".left .time", "in 21 h 59 min").await;
    let later = browser.evaluate(width).await.as_f64().unwrap();
    assert!(
        (drawn - later - 100.0 / 12.0).abs() < 0.1,
        "{drawn} {later}"
    );
    let ago = browser.evaluate(ago).await;
    assert!(ago.as_str().unwrap().starts_with("2 h 0 min"), "{ago}");
    browser.pass(20 * HOUR).await;
    assert_eq!(browser.count(".bar rect.low").await, 1);
    browser.pass(3 * HOUR).await;
    // The clock closes nothing.
    browser
        .wait(".left .time", "now: the next answer tells")
        .await;
    browser.wait(".open", "1 session open").await;
    browser.stop().await;
}

#[tokio::test]
async fn nothing_serious_for_axe_light_and_dark_wide_and_narrow() {
    let fleet = AllStates::start().await;
    let mut browser = Browser::start().await;
    for (dark, width) in [(false, 1440), (true, 1440), (false, 390), (true, 390)] {
        let view = View {
            dark,
            width,
            ..View::default()
        };
        browser.open(fleet.exporter.address, "/", view).await;
        browser.wait(".card", "Rule broken").await;
        let ground = "() => getComputedStyle(document.body).backgroundColor";
        let dark_ground = browser.evaluate(ground).await == "rgb(15, 18, 23)";
        assert_eq!(dark_ground, dark, "the colours follow the reader's wish");
        let what = format!("dark {dark}, {width} px");
        browser.accessible(&what).await;
        browser.evaluate(OPEN_ALL).await;
        browser.accessible(&format!("{what}, all opened")).await;
        browser.sound(&what).await;
    }
    browser.stop().await;
    fleet.exporter.stop().await;
}

#[tokio::test]
async fn no_width_scrolls_sideways() {
    let fleet = AllStates::start().await;
    // A name as long as they get, without a place to break it.
    let long_name = "W".repeat(128);
    let upstream = SimulatedApi::start().await;
    let given = [("TRADERNET_SID", SID), ("TRADERNET_ACCOUNT", &*long_name)];
    upstream.fail(Fault::envelope(ErrorEnvelope::err_msg(99, &*long_name)));
    let exporter = InProcessExporter::start(&upstream, &given).await;
    let mut browser = Browser::start().await;
    for address in [fleet.exporter.address, exporter.address] {
        browser.open(address, "/", View::default()).await;
        browser.evaluate(OPEN_ALL).await;
        let beyond =
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth";
        // Nor may anything stick out of its card.
        let outside = "() => [...document.querySelectorAll('.card *')].filter((e) => {
            const card = e.closest('.card').getBoundingClientRect(), box = e.getBoundingClientRect();
            return box.width > 0 && (box.right > card.right + 1 || box.left < card.left - 1);
        }).map((e) => e.outerHTML)";
        for width in [320, 360, 390, 600, 768, 1024, 1366, 1600, 1920] {
            browser.resize(width).await;
            assert_eq!(browser.evaluate(beyond).await, 0, "{width} px");
            let outside = browser.evaluate(outside).await;
            assert_eq!(outside, serde_json::json!([]), "{width} px");
        }
    }
    browser.stop().await;
    exporter.stop().await;
    fleet.exporter.stop().await;
}

#[tokio::test]
async fn the_keyboard_reaches_everything_and_stays_where_it_was() {
    let fleet = AllStates::start().await;
    let mut browser = Browser::start().await;
    let view = View {
        still: true,
        ..View::default()
    };
    browser.open(fleet.exporter.address, "/", view).await;
    let focused = "() => {
        const e = document.activeElement, ring = getComputedStyle(e);
        return `${e.textContent}|${parseFloat(ring.outlineWidth) >= 2 && ring.outlineStyle !== 'none'}`;
    }";
    let mut reached = Vec::new();
    for _ in 0..8 {
        browser.press("Tab").await;
        let text = browser.evaluate(focused).await;
        reached.push(text.as_str().unwrap().to_owned());
    }
    // Four accounts have sessions that are told one by one.
    assert_eq!(
        reached,
        [
            "Sessions one by one|true",
            "Sessions one by one|true",
            "Sessions one by one|true",
            "Sessions one by one|true",
            "Metrics|true",
            "JSON|true",
            "Ready|true",
            "Healthy|true",
        ]
    );
    for _ in 0..4 {
        browser.press("Shift+Tab").await;
    }
    browser.press("Enter").await;
    browser
        .wait("details[data-account=ok][open] li", "203.0.113.9")
        .await;

    // A refresh closes nothing, and the keyboard stays.
    fleet.upstream.world.account("failing").clear_faults();
    fleet.exporter.poll_account("failing").await;
    browser.pass(REFRESH).await;
    browser
        .wait(".verdict", "4 of 8 accounts need attention")
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
    fleet.exporter.stop().await;
}

#[tokio::test]
async fn hostile_names_are_text() {
    let upstream = SimulatedApi::start().await;
    let session = SessionSpec::new(4, HOUR)
        .user_login(HOSTILE)
        .client_ip(HOSTILE);
    upstream.world.account(LOGIN).open_session(session);
    let given = [
        ("TRADERNET_SID", SID),
        ("TRADERNET_ACCOUNT", HOSTILE),
        ("TRADERNET_SESSION_DETAILS", "full"),
        ("TRADERNET_SAFETY_TYPES", "4=<i>&lt;word"),
    ];
    let exporter = InProcessExporter::start(&upstream, &given).await;
    let mut browser = Browser::start().await;
    let view = View {
        still: true,
        ..View::default()
    };
    browser.open(exporter.address, "/", view).await;
    let told = "() => [document.querySelector('h2').textContent, document.querySelector('details').dataset.account,
        ...[...document.querySelectorAll('details bdi')].map((e) => e.textContent)]";
    let foreign =
        "() => document.querySelectorAll('#live :is(img, script, i, iframe, [onerror])').length";
    for round in ["first", "refreshed"] {
        assert_eq!(
            browser.evaluate(told).await,
            serde_json::json!(vec![HOSTILE; 4]),
            "{round}"
        );
        assert_eq!(browser.evaluate(foreign).await, 0, "{round}");
        assert_eq!(
            browser.texts(".types li").await[2],
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
async fn without_scripts_it_reloads_itself_and_reads_the_same() {
    let upstream = SimulatedApi::start().await;
    upstream
        .world
        .account(LOGIN)
        .open_session(SessionSpec::new(4, HOUR));
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let mut browser = Browser::start().await;
    let view = View {
        script: false,
        width: 390,
        ..View::default()
    };
    browser.open(exporter.address, "/", view).await;
    browser.wait(".open", "1 session open").await;
    browser.wait(".left .time", "in 1 h 0 min").await;
    assert_eq!(browser.count("#lost:visible").await, 0);
    assert_eq!(browser.count("meta[http-equiv=refresh]").await, 1);
    browser.sound("no scripts").await;
    browser.stop().await;
    exporter.stop().await;
}

#[tokio::test]
async fn ten_thousand_accounts_can_be_used() {
    let upstream = SimulatedApi::start().await;
    upstream
        .world
        .account(LOGIN)
        .open_session(SessionSpec::new(4, HOUR));
    let given = [("TRADERNET_SID", SID), ("TRADERNET_URL", &upstream.origin)];
    let mut config = InProcessExporter::config(&given).unwrap();
    let one = config.accounts.remove(0);
    config.accounts = (0..10_000)
        .map(|number| {
            let mut account = one.clone();
            account.name = format!("desk-{number:05}").into();
            account
        })
        .collect();
    let exporter = InProcessExporter::run(config, upstream.clock.clock()).await;
    wait_until_some("a few have answered", async || {
        let answer = exporter.get("/").await;
        answer
            .text()
            .contains("<b>1</b> session open")
            .then_some(())
    })
    .await;

    let mut browser = Browser::start().await;
    browser.open(exporter.address, "/", View::default()).await;
    // Tasks of more than 50 ms, those before this line too.
    let observe = "() => { window.longest = 0; new PerformanceObserver((list) => {
        for (const e of list.getEntries()) window.longest = Math.max(window.longest, e.duration);
    }).observe({ type: 'longtask', buffered: true }); }";
    browser.evaluate(observe).await;
    browser.wait(".pager", "Accounts 1 to 200 of 10000").await;
    assert_eq!(browser.count(".card").await, 200);
    let nodes = "() => document.querySelectorAll('*').length";
    let nodes = browser.evaluate(nodes).await.as_u64().unwrap();
    assert!(nodes < 10_000, "{nodes} elements");

    // A refresh, now rather than in ten seconds; it must not hold the page up.
    let refresh = "async () => {
        const live = document.getElementById('live');
        document.dispatchEvent(new Event('visibilitychange'));
        while (document.getElementById('live') === live) await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        return window.longest;
    }";
    let longest = browser.evaluate(refresh).await.as_f64().unwrap();
    assert!(longest < 1000.0, "the page stood still for {longest} ms");

    browser.press("Tab").await;
    browser.press("Enter").await;
    browser.wait(".pager", "Accounts 201 to 400 of 10000").await;
    browser.wait("a[rel=prev]", "Previous").await;
    browser.accessible("the second page").await;
    browser.sound("ten thousand").await;
    browser.stop().await;
    exporter.stop().await;
}
