//! The limit of requests to one host, and what accounts that hang cost the others.

use super::*;

#[tokio::test(start_paused = true)]
async fn hanging_accounts_limited_to_quarter_of_slots() {
    const HANGING: usize = 60;
    let desks = Desks::with_time(HANGING + 4).await;
    for n in 0..HANGING {
        desks.fail(n, Fault::NoResponse);
    }
    let all: Vec<_> = (0..HANGING + 4).map(|n| (n, "")).collect();
    desks.write("poll_interval: 10s\ntimeout: 8s", &all);
    let exporter = desks
        .start_unready(&[("TRADERNET_MAX_REQUESTS_PER_HOST", "4")])
        .await;
    advance_time(SECOND * 200).await;
    let polls = || -> Vec<_> {
        (0..HANGING + 4)
            .map(|n| desks.account(n).counters().lists)
            .collect()
    };
    let before = polls();
    advance_time(SECOND * 600).await;
    let polls: Vec<_> = polls()
        .iter()
        .zip(before)
        .map(|(now, before)| now - before)
        .collect();
    let (hanging, others) = polls.split_at(HANGING);
    assert!(
        others.iter().all(|polls| (59..=61).contains(polls)),
        "{others:?}"
    );
    // One at a time, 8 s each.
    let hanging: u64 = hanging.iter().sum();
    assert!((70..=80).contains(&hanging), "{hanging}");
    let page = exporter.metrics().await;
    for n in HANGING..HANGING + 4 {
        let queued = page.get("tradernet_poll_queue_seconds", &[("account", &desk(n))]);
        assert!(queued < 0.5, "{}: {queued}", desk(n));
    }
    // The others queue, and it shows.
    let longest = page
        .matching("tradernet_poll_queue_seconds", &[])
        .map(|(_, queued)| queued)
        .fold(0.0, f64::max);
    assert!(longest > 60.0, "{longest}");
    exporter.stop().await;
}

/// Each account has at most one request under way and permits are given in turn, so that a
/// request has at most one of each hanging account before it.
#[tokio::test(start_paused = true)]
async fn accounts_that_begin_to_hang_delay_others_within_the_bound_once() {
    const HEALTHY: usize = 4;
    const HANGING: usize = 60;
    const TIMEOUT: f64 = 8.0;
    const LIMIT: f64 = 8.0;
    let desks = Desks::with_time(HEALTHY + HANGING).await;
    let all: Vec<_> = (0..HEALTHY + HANGING).map(|n| (n, "")).collect();
    desks.write("poll_interval: 10s\ntimeout: 8s", &all);
    let exporter = desks
        .start_unready(&[("TRADERNET_MAX_REQUESTS_PER_HOST", "8")])
        .await;
    advance_time(SECOND * 30).await;
    let page = exporter.metrics().await;
    assert!(page.matching("tradernet_up", &[]).all(|(_, up)| up == 1.0));
    for n in HEALTHY..HEALTHY + HANGING {
        desks.fail(n, Fault::NoResponse);
    }
    let longest_wait = async |seconds: u64| {
        let mut longest = 0.0_f64;
        for _ in 0..seconds / 5 {
            advance_time(SECOND * 5).await;
            let page = exporter.metrics().await;
            for n in 0..HEALTHY {
                let wait = page.get("tradernet_poll_queue_seconds", &[("account", &desk(n))]);
                longest = longest.max(wait);
            }
        }
        longest
    };
    let bound = HANGING as f64 * TIMEOUT / LIMIT;
    let first = longest_wait(120).await;
    assert!(first > 1.0 && first <= bound, "{first} of {bound}");
    let polls = || (0..HEALTHY).map(|n| desks.account(n).counters().lists);
    let before: Vec<_> = polls().collect();
    let later = longest_wait(300).await;
    assert!(later < 0.1, "{later}");
    for (now, before) in polls().zip(before) {
        let polls = now - before;
        assert!((29..=31).contains(&polls), "{polls}");
    }
    // Each account that hangs was found out.
    let page = exporter.metrics().await;
    for n in HEALTHY..HEALTHY + HANGING {
        let account = desk(n);
        let timeouts = [("account", account.as_str()), ("reason", "timeout")];
        assert!(page.get("tradernet_poll_failures_total", &timeouts) >= 1.0);
    }
    exporter.stop().await;
}

/// After an outage the back-off of single accounts does not matter: the first success ends it.
#[tokio::test(start_paused = true)]
async fn accounts_of_a_host_that_recovers_are_polled_within_one_interval() {
    const ACCOUNTS: usize = 20;
    let desks = Desks::with_time(ACCOUNTS).await;
    let all: Vec<_> = (0..ACCOUNTS).map(|n| (n, "")).collect();
    desks.write("poll_interval: 10s", &all);
    let fail = |n, fault| {
        desks
            .account(n)
            .inject_fault(FaultTarget::SessionList, Repeat::Forever, fault)
    };
    (0..ACCOUNTS).for_each(|n| fail(n, Fault::status(502)));
    let exporter = desks.start_unready(&[]).await;
    // By now they wait for up to five minutes.
    advance_time(SECOND * 3600).await;
    (0..ACCOUNTS).for_each(|n| desks.account(n).clear_faults());
    let up = |page: &Exposition| {
        let up = page.matching("tradernet_up", &[]);
        up.filter(|(_, up)| *up == 1.0).count()
    };
    let mut page = exporter.metrics().await;
    while up(&page) == 0 {
        advance_time(SECOND).await;
        page = exporter.metrics().await;
    }
    advance_time(SECOND * 11).await;
    assert_eq!(up(&exporter.metrics().await), ACCOUNTS);
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn retries_of_an_operator_do_not_override_retry_after() {
    let desks = Desks::with_time(1).await;
    let account = desks.account(0);
    let fault = Fault::rate_limited(900);
    account.inject_fault(FaultTarget::SessionList, Repeat::Once, fault);
    desks.write("poll_interval: 10s", &[(0, "")]);
    let exporter = desks.start().await;
    for _ in 0..200 {
        exporter.trigger_poll(&desk(0)).await;
        advance_time(SECOND * 4).await;
    }
    assert_eq!(account.counters().lists, 1);
    advance_time(SECOND * 120).await;
    assert!(account.counters().lists > 1);
    exporter.stop().await;
}
