//! HostLimiter to a host: accounts that hang, log in or are slow starve no other.

use super::*;

#[tokio::test(start_paused = true)]
async fn hanging_accounts_share_a_quarter_of_the_slots() {
    const HANGING: usize = 60;
    let desks = Desks::with_time(HANGING + 4).await;
    let world = desks.world();
    for n in 0..HANGING {
        world
            .fail(&desk(n), FaultTarget::Lists, Repeat::Forever, Fault::Hang)
            .unwrap();
    }
    let all: Vec<_> = (0..HANGING + 4).map(|n| (n, "")).collect();
    desks.write("poll_interval: 10s\ntimeout: 8s", &all);
    let exporter = desks
        .launch(&[("TRADERNET_MAX_REQUESTS_PER_HOST", "4")])
        .await;
    let_pass(SECOND * 200).await;
    let polls = || -> Vec<_> {
        (0..HANGING + 4)
            .map(|n| world.lists_seen(&desk(n)))
            .collect()
    };
    let before = polls();
    let_pass(SECOND * 600).await;
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

    // What is configured is taken up in the queue too.
    desks.write("poll_interval: 11s\ntimeout: 8s", &all);
    exporter.hang_up().await;
    let_pass(SECOND * 9).await;
    let page = exporter.metrics().await;
    let mut intervals = page.matching("tradernet_poll_interval_seconds", &[]);
    assert!(intervals.all(|(_, interval)| interval == 11.0));
    exporter.stop().await;
}

/// Well accounts `desk-0` to `desk-3` beside others that have trouble.
const WELL: usize = 4;
const TROUBLED: std::ops::Range<usize> = WELL..WELL + 60;

/// Whether the well accounts are polled as if nothing was the matter, for so many seconds.
async fn well_are_polled(exporter: &Exporter, world: &Simulator, seconds: u64) {
    let polls = || (0..WELL).map(|n| world.lists_seen(&desk(n)));
    let before: Vec<_> = polls().collect();
    for _ in 0..seconds {
        let_pass(SECOND).await;
        let page = exporter.metrics().await;
        for n in 0..WELL {
            let queued = page.get("tradernet_poll_queue_seconds", &[("account", &desk(n))]);
            assert!(queued < 1.0, "{}: {queued}", desk(n));
        }
    }
    for (now, before) in polls().zip(before) {
        let due = seconds / 10;
        let polls = now - before;
        assert!((due - 1..=due + 1).contains(&polls), "{polls} of {due}");
    }
}

async fn eight_slots(desks: &Desks) -> Exporter {
    let exporter = desks
        .launch(&[("TRADERNET_MAX_REQUESTS_PER_HOST", "8")])
        .await;
    let_pass(SECOND * 30).await;
    let page = exporter.metrics().await;
    assert!(page.matching("tradernet_up", &[]).all(|(_, up)| up == 1.0));
    exporter
}

#[tokio::test(start_paused = true)]
async fn accounts_that_begin_to_hang_at_once_starve_no_other() {
    let desks = Desks::with_time(TROUBLED.end).await;
    let world = desks.world();
    let all: Vec<_> = (0..TROUBLED.end).map(|n| (n, "")).collect();
    desks.write("poll_interval: 10s\ntimeout: 8s", &all);
    let exporter = eight_slots(&desks).await;
    for n in TROUBLED {
        world
            .fail(&desk(n), FaultTarget::Lists, Repeat::Forever, Fault::Hang)
            .unwrap();
    }
    well_are_polled(&exporter, world, 300).await;
    // Each one that hangs was found out.
    let page = exporter.metrics().await;
    for n in TROUBLED {
        let account = desk(n);
        let timeouts = [("account", account.as_str()), ("reason", "timeout")];
        assert_eq!(page.get("tradernet_up", &timeouts[..1]), 0.0, "{account}");
        assert!(page.get("tradernet_poll_failures_total", &timeouts) >= 1.0);
    }
    exporter.stop().await;
}

#[tokio::test(start_paused = true)]
async fn logins_that_hang_starve_no_other() {
    let desks = Desks::with_time(TROUBLED.end).await;
    let world = desks.world();
    let logins: Vec<_> = TROUBLED.map(login).collect();
    let well = (0..WELL).map(|n| (n, ""));
    let all: Vec<_> = well
        .chain(TROUBLED.zip(logins.iter().map(String::as_str)))
        .collect();
    desks.write("poll_interval: 10s\ntimeout: 8s", &all);
    let exporter = eight_slots(&desks).await;
    for n in TROUBLED {
        world.forget_sids(&desk(n)).unwrap();
        world
            .fail(&desk(n), FaultTarget::Logins, Repeat::Forever, Fault::Hang)
            .unwrap();
    }
    well_are_polled(&exporter, world, 300).await;
    // None was broken off: it may be done over there, and counts.
    let page = exporter.metrics().await;
    for n in TROUBLED {
        let account = [("account", &*desk(n))];
        let logins = page.get("tradernet_logins_total", &account);
        assert_eq!(logins, world.logins_seen(&desk(n)) as f64);
        assert!((2.0..=3.0).contains(&logins), "{}: {logins}", desk(n));
    }
    exporter.stop().await;
}

/// They take what the others leave, and an answer that is slow is an answer.
#[tokio::test(start_paused = true)]
async fn slow_accounts_are_not_taken_for_ones_that_hang() {
    let desks = Desks::with_time(TROUBLED.end).await;
    let world = desks.world();
    let all: Vec<_> = (0..TROUBLED.end).map(|n| (n, "")).collect();
    desks.write("poll_interval: 10s\ntimeout: 5s", &all);
    let exporter = eight_slots(&desks).await;
    let slow = TROUBLED.start..TROUBLED.start + 10;
    let hanging = slow.end..TROUBLED.end;
    for n in slow.clone() {
        let delay = SECOND * 3 / 2;
        world
            .fail(
                &desk(n),
                FaultTarget::Lists,
                Repeat::Forever,
                Fault::Slow { delay },
            )
            .unwrap();
    }
    well_are_polled(&exporter, world, 60).await;
    for n in hanging {
        world
            .fail(&desk(n), FaultTarget::Lists, Repeat::Forever, Fault::Hang)
            .unwrap();
    }
    let_pass(SECOND * 20).await;
    // One of the well ones is slow just once, and suspected.
    let once = desk(WELL - 1);
    let delay = SECOND * 3;
    world
        .fail(
            &once,
            FaultTarget::Lists,
            Repeat::Count(1),
            Fault::Slow { delay },
        )
        .unwrap();
    let seen = world.lists_seen(&once);
    let_pass(SECOND * 60).await;
    let polls = world.lists_seen(&once) - seen;
    assert!(polls >= 5, "{polls}");
    well_are_polled(&exporter, world, 60).await;
    let page = exporter.metrics().await;
    for n in slow {
        let account = [("account", &*desk(n))];
        assert_eq!(page.get("tradernet_up", &account), 1.0, "{}", desk(n));
        let timeouts = [account[0], ("reason", "timeout")];
        assert_eq!(page.get("tradernet_poll_failures_total", &timeouts), 0.0);
        let polls = page.get("tradernet_polls_total", &account);
        assert!(polls >= 20.0, "{}: {polls}", desk(n));
    }
    exporter.stop().await;
}
