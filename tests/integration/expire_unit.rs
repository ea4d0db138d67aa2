//! The unit of `expire`, settled by evidence: what the page shows before and after.

use std::time::Duration;

use tradernet_exporter::simulator::{DatetimeFormat, ExpireUnit, ResponseOptions, SessionSpec};

use crate::support::{Exposition, InProcessExporter, LOGIN, SID, SimulatedApi};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const VARIABLES: [(&str, &str); 1] = [("TRADERNET_SID", SID)];

struct Watched {
    upstream: SimulatedApi,
    exporter: InProcessExporter,
    session: i64,
}

impl Watched {
    async fn start(variables: &[(&str, &str)], change: impl FnOnce(&mut ResponseOptions)) -> Self {
        let upstream = SimulatedApi::start().await;
        upstream.world.account(LOGIN).set_response_options(change);
        let session = upstream
            .world
            .account(LOGIN)
            .open_session(SessionSpec::new(4, DAY));
        let exporter = InProcessExporter::start(&upstream, variables).await;
        Self {
            upstream,
            exporter,
            session,
        }
    }

    /// Polls again after this time.
    async fn after(&self, time: Duration) -> Exposition {
        self.upstream.clock.advance(time);
        self.exporter.poll().await
    }

    /// What is true, in ms.
    fn left_ms(&self) -> f64 {
        let session = &self.upstream.world.account(LOGIN).open_sessions()[0];
        let left = session.expires.duration_since(self.upstream.clock.wall());
        left.unwrap().as_secs_f64() * 1000.0
    }

    /// The page tells the truth, to the second that `expire` is rounded to.
    fn assert_true(&self, page: &Exposition) {
        let left = self.left_ms();
        for which in ["max", "min"] {
            let name = format!("tradernet_security_session_expire_{which}_milliseconds");
            let told = page.get(&name, &[]);
            assert!((told - left).abs() <= 1000.0, "{told} for {left}");
            let name = format!("tradernet_security_session_{which}_expiry_timestamp_seconds");
            let told = page.get(&name, &[]);
            let ends = self.upstream.clock.wall_seconds() + left / 1000.0;
            assert!((told - ends).abs() <= 2.0, "{told} for {ends}");
        }
    }
}

/// The unit in force, and whether it is settled.
fn unit(page: &Exposition) -> (&'static str, bool) {
    let of = |unit| page.get("tradernet_expire_unit", &[("unit", unit)]);
    let unit = match (of("milliseconds"), of("seconds")) {
        (1.0, 0.0) => "ms",
        (0.0, 1.0) => "s",
        both => panic!("{both:?}"),
    };
    (
        unit,
        page.get("tradernet_expire_unit_confirmed", &[]) == 1.0,
    )
}

/// Two pairs of answers settle it, whatever the datetimes look like.
async fn is_settled(expire_unit: ExpireUnit, change: impl Fn(&mut ResponseOptions)) {
    let watched = Watched::start(&VARIABLES, |quirks| {
        quirks.expire_unit = expire_unit;
        change(quirks);
    })
    .await;
    let page = watched.exporter.metrics().await;
    assert_eq!(unit(&page), ("ms", false), "documented, unconfirmed");
    let as_documented = page.get("tradernet_security_session_expire_max_milliseconds", &[]);
    let wanted = match expire_unit {
        ExpireUnit::Milliseconds => "ms",
        ExpireUnit::Seconds => {
            assert_eq!(as_documented, 86_400.0);
            "s"
        }
    };
    let page = watched.after(SECOND * 30).await;
    assert_eq!(unit(&page), ("ms", false), "one pair is not enough");
    let page = watched.after(SECOND * 30).await;
    assert_eq!(unit(&page), (wanted, true));
    watched.assert_true(&page);
    for _ in 0..3 {
        let page = watched.after(SECOND * 30).await;
        assert_eq!(unit(&page), (wanted, true));
        watched.assert_true(&page);
    }
    watched.exporter.stop().await;
}

#[tokio::test]
async fn a_server_that_sends_milliseconds() {
    is_settled(ExpireUnit::Milliseconds, |_| {}).await;
}

#[tokio::test]
async fn a_server_that_sends_seconds() {
    is_settled(ExpireUnit::Seconds, |_| {}).await;
}

#[tokio::test]
async fn a_server_whose_clock_is_five_hours_off() {
    for unit in [ExpireUnit::Milliseconds, ExpireUnit::Seconds] {
        for hours in [5, -5] {
            is_settled(unit, |quirks| quirks.clock_skew_seconds = hours * 3600).await;
        }
    }
}

#[tokio::test]
async fn datetimes_in_another_zone() {
    for unit in [ExpireUnit::Milliseconds, ExpireUnit::Seconds] {
        for style in [DatetimeFormat::Local, DatetimeFormat::Offset] {
            is_settled(unit, |quirks| {
                quirks.zone_seconds = 3 * 3600;
                quirks.datetimes = style;
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_renewal_is_no_evidence() {
    for expire_unit in [ExpireUnit::Milliseconds, ExpireUnit::Seconds] {
        let watched = Watched::start(&VARIABLES, |quirks| quirks.expire_unit = expire_unit).await;
        for renewals in 1..6 {
            let lifetime = DAY + SECOND * 60 * renewals;
            let world = &watched.upstream.world;
            watched.upstream.clock.advance(SECOND * 30);
            world
                .account(LOGIN)
                .extend_session(watched.session, lifetime);
            let page = watched.exporter.poll().await;
            assert_eq!(unit(&page), ("ms", false));
        }
        watched.after(SECOND * 30).await;
        let page = watched.after(SECOND * 30).await;
        assert!(unit(&page).1);
        watched.assert_true(&page);
        // Once it is settled, a renewal is followed at once.
        let world = &watched.upstream.world;
        world
            .account(LOGIN)
            .extend_session(watched.session, DAY * 3);
        let page = watched.after(SECOND * 30).await;
        watched.assert_true(&page);
        watched.exporter.stop().await;
    }
}

#[tokio::test]
async fn a_machine_that_sleeps_sees_no_milliseconds_in_seconds() {
    let watched = Watched::start(&VARIABLES, |quirks| {
        quirks.expire_unit = ExpireUnit::Seconds
    })
    .await;
    for _ in 0..2 {
        // 8 h by the wall and 28.8 s by the monotonic clock: a loss of 1000 in each second of the latter.
        watched.upstream.clock.advance_wall(SECOND * 8 * 3600);
        watched
            .upstream
            .clock
            .advance_monotonic(Duration::from_millis(28_800));
        let page = watched.exporter.poll().await;
        assert_eq!(unit(&page), ("ms", false));
    }
    watched.after(SECOND * 30).await;
    let page = watched.after(SECOND * 30).await;
    assert_eq!(unit(&page), ("s", true));
    watched.assert_true(&page);

    // Nor is a settled unit shaken by it.
    watched
        .upstream
        .world
        .account(LOGIN)
        .extend_session(watched.session, DAY * 2);
    watched.after(SECOND * 30).await;
    for _ in 0..3 {
        watched.upstream.clock.advance_wall(SECOND * 8 * 3600);
        watched
            .upstream
            .clock
            .advance_monotonic(Duration::from_millis(28_800));
        let page = watched.exporter.poll().await;
        assert_eq!(unit(&page), ("s", true));
        watched.assert_true(&page);
    }
    watched.exporter.stop().await;
}

#[tokio::test]
async fn a_monotonic_clock_that_stands_still_is_no_evidence() {
    let watched = Watched::start(&VARIABLES, |quirks| {
        quirks.expire_unit = ExpireUnit::Seconds
    })
    .await;
    for _ in 0..4 {
        watched.upstream.clock.advance_wall(SECOND * 3600);
        let page = watched.exporter.poll().await;
        assert_eq!(unit(&page), ("ms", false));
    }
    watched.exporter.stop().await;
}

#[tokio::test]
async fn a_wall_clock_that_is_set_is_no_evidence() {
    let watched = Watched::start(&VARIABLES, |_| {}).await;
    for _ in 0..4 {
        watched.upstream.clock.set_back_wall(SECOND * 600);
        let page = watched.after(SECOND * 30).await;
        assert_eq!(unit(&page), ("ms", false));
    }
    watched.exporter.stop().await;
}

#[tokio::test]
async fn answers_too_close_to_one_another_are_no_evidence_but_add_up() {
    let watched = Watched::start(&VARIABLES, |_| {}).await;
    for _ in 0..9 {
        let page = watched.after(Duration::from_millis(500)).await;
        assert_eq!(unit(&page), ("ms", false));
    }
    for _ in 0..9 {
        watched.after(Duration::from_millis(600)).await;
    }
    let page = watched.after(Duration::from_millis(600)).await;
    assert_eq!(unit(&page), ("ms", true));
    watched.exporter.stop().await;
}

#[tokio::test]
async fn a_settled_unit_changes_by_two_pieces_that_say_otherwise() {
    let watched = Watched::start(&VARIABLES, |_| {}).await;
    watched.after(SECOND * 30).await;
    assert_eq!(unit(&watched.after(SECOND * 30).await), ("ms", true));
    let seconds = |quirks: &mut ResponseOptions| quirks.expire_unit = ExpireUnit::Seconds;
    watched
        .upstream
        .world
        .account(LOGIN)
        .set_response_options(seconds);
    // The pair across the change says nothing.
    assert_eq!(unit(&watched.after(SECOND * 30).await), ("ms", true));
    assert_eq!(unit(&watched.after(SECOND * 30).await), ("ms", true));
    let page = watched.after(SECOND * 30).await;
    assert_eq!(unit(&page), ("s", true));
    watched.assert_true(&page);
    watched.exporter.stop().await;
}

#[tokio::test]
async fn a_configured_unit_is_settled_from_the_start() {
    for (setting, expire_unit) in [("ms", ExpireUnit::Milliseconds), ("s", ExpireUnit::Seconds)] {
        let variables = [("TRADERNET_SID", SID), ("TRADERNET_EXPIRE_UNIT", setting)];
        let watched = Watched::start(&variables, |quirks| quirks.expire_unit = expire_unit).await;
        for _ in 0..4 {
            let page = watched.after(SECOND * 30).await;
            assert_eq!(unit(&page), (setting, true));
            watched.assert_true(&page);
        }
        watched.exporter.stop().await;
    }
}
