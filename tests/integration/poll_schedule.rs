//! When the next attempt is made. Time is paused: it moves as soon as no task is ready, and both clocks and the
//! simulator's follow it, so that hours take a moment.

use std::time::Duration;

use tradernet_exporter::simulator::{AccountSpec, Fault, FaultTarget, Repeat};

use crate::support::{InProcessExporter, LOGIN, SID, SimulatedApi, advance_time};

const SECOND: Duration = Duration::from_secs(1);
/// For what happens between the moments that count.
const SLACK: f64 = 1.0;

/// An upstream whose clock is tokio's.
async fn upstream() -> SimulatedApi {
    tokio::spawn(advance_time(SECOND * 86_400));
    let account = AccountSpec::new(LOGIN).sid(SID).password("right");
    SimulatedApi::start_running(account).await
}

/// Runs until so many requests have come, and returns the seconds between their arrivals.
async fn gaps(upstream: &SimulatedApi, requests: u64) -> Vec<f64> {
    upstream.wait_for_list_requests(requests).await;
    let requests = upstream.world.requests();
    let gaps = requests
        .windows(2)
        .map(|pair| pair[1].time.duration_since(pair[0].time).unwrap());
    gaps.map(|gap| gap.as_secs_f64()).collect()
}

/// Whether a gap is the interval of 30 s.
fn is_interval(gap: f64) -> bool {
    (gap - 30.0).abs() < SLACK
}

const EVERY_30_SECONDS: [(&str, &str); 2] =
    [("TRADERNET_SID", SID), ("TRADERNET_POLL_INTERVAL", "30s")];

#[tokio::test(start_paused = true)]
async fn successful_polls_keep_interval_with_fast_and_slow_answers() {
    for delay in [Duration::ZERO, SECOND * 9] {
        let upstream = upstream().await;
        upstream.fail(Fault::Slow(delay));
        let exporter = InProcessExporter::start_unready(&upstream, &EVERY_30_SECONDS).await;
        let gaps = gaps(&upstream, 12).await;
        assert!(gaps.iter().copied().all(is_interval), "{gaps:?}");
        exporter.stop().await;
    }
}

/// The pause after one failed attempt.
async fn pause_after(fault: Fault) -> f64 {
    let upstream = upstream().await;
    upstream.fail_once(fault);
    let exporter = InProcessExporter::start_unready(&upstream, &EVERY_30_SECONDS).await;
    let gaps = gaps(&upstream, 3).await;
    exporter.stop().await;
    assert!(is_interval(gaps[1]), "{gaps:?}");
    gaps[0]
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_in_seconds_and_as_a_date_up_to_an_hour() {
    // The clock shows noon.
    let date = |day_and_time| Fault::rate_limited(format!("{day_and_time} GMT"));
    let unavailable = Fault::status(503).header("retry-after", 600);
    for (fault, expected) in [
        (Fault::rate_limited(600), 600.0),
        (date("Mon, 15 Jun 2026 12:10:00"), 600.0),
        (unavailable, 600.0),
        (date("Tue, 16 Jun 2026 12:00:00"), 3600.0),
        (Fault::rate_limited(u64::MAX), 3600.0),
    ] {
        let what = format!("{fault:?}");
        let pause = pause_after(fault).await;
        // A date has whole seconds.
        assert!((pause - expected).abs() < SLACK + 1.0, "{what}: {pause}");
    }
    // Less than the usual pause, and nothing at all: the usual pause.
    for fault in [Fault::html(429), Fault::rate_limited(1)] {
        let pause = pause_after(fault).await;
        assert!((30.0 - SLACK..60.0 + SLACK).contains(&pause), "{pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_date_uses_server_date_header() {
    let upstream = upstream().await;
    // Five hours behind ours.
    upstream.clock.set_back_wall(SECOND * 5 * 3600);
    upstream.fail_once(Fault::rate_limited("Mon, 15 Jun 2026 07:10:00 GMT"));
    let exporter = InProcessExporter::start_unready(&upstream, &EVERY_30_SECONDS).await;
    let gaps = gaps(&upstream, 2).await;
    assert!((gaps[0] - 600.0).abs() < SLACK + 1.0, "{gaps:?}");
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_poll_slower_than_the_interval_never_overlaps_the_next() {
    let upstream = upstream().await;
    let delay = Duration::from_millis(900);
    let slow = Fault::Slow(delay);
    let account = upstream.account();
    account.inject_fault(FaultTarget::Any, Repeat::Forever, slow);
    let variables = [
        ("TRADERNET_LOGIN", LOGIN),
        ("TRADERNET_PASSWORD", "right"),
        ("TRADERNET_POLL_INTERVAL", "1s"),
    ];
    // Login and list: 1.8 s of an interval of 1 s.
    let exporter = InProcessExporter::start_unready(&upstream, &variables).await;
    upstream.wait_for_list_requests(3).await;
    // List, login and list again: 2.7 s.
    account.revoke_sids();
    // Triggered attempts do not overlap either.
    for _ in 0..5 {
        exporter.trigger_poll("default").await;
    }
    upstream.wait_for_list_requests(12).await;
    let counters = account.counters();
    assert_eq!((counters.max_in_flight, counters.logins), (1, 2));
    let page = exporter.metrics().await;
    assert_eq!(page.failures(), [].into());
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hanging_upstream_has_one_request_in_flight() {
    let upstream = upstream().await;
    upstream.fail(Fault::NoResponse);
    let variables = [("TRADERNET_SID", SID), ("TRADERNET_POLL_INTERVAL", "2s")];
    let exporter = InProcessExporter::start_unready(&upstream, &variables).await;
    upstream.wait_for_list_requests(8).await;
    assert_eq!(upstream.account().counters().max_in_flight, 1);
    let page = exporter.metrics().await;
    assert_eq!(page.failures().keys().collect::<Vec<_>>(), ["timeout"]);
    exporter.stop().await;
}
