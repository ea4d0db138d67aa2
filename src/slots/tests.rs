//! Who gets a slot, who makes room, and for whom nobody has to.
#![allow(clippy::unwrap_used)]

use tokio::time::{Instant, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const USUAL: Duration = Duration::from_millis(200);
/// When a request is suspected, with what is usual here.
const PATIENCE: Duration = Duration::from_millis(800);

fn origin() -> Url {
    Url::parse("https://tradernet.com").unwrap()
}

/// Timers are rounded up to milliseconds.
fn is_about(took: Duration, expected: Duration) -> bool {
    took >= expected && took <= expected + Duration::from_millis(2)
}

/// Slots to a host that has answered before, of which one in four is the quarter.
async fn slots(per_host: usize) -> Slots {
    let slots = Slots::new(per_host);
    slots.take(&origin(), false).await.answered(USUAL);
    slots
}

impl Slots {
    async fn well(&self) -> Slot {
        self.take(&origin(), false).await
    }

    /// A request that hangs until it is to make room; how long that took.
    async fn hang(&self) -> Duration {
        let mut slot = self.well().await;
        let start = Instant::now();
        slot.make_room().await;
        start.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn all_slots_are_given_and_no_more() {
    let slots = slots(2).await;
    let first = slots.well().await;
    let _second = slots.well().await;
    assert!(timeout(SECOND, slots.well()).await.is_err());
    drop(first);
    slots.well().await;
    // Another host has slots of its own.
    let other = Url::parse("https://freedom24.com").unwrap();
    slots.take(&other, false).await;
}

#[tokio::test(start_paused = true)]
async fn those_that_hang_share_a_quarter() {
    let slots = slots(8).await;
    let _first = slots.take(&origin(), true).await;
    let second = slots.take(&origin(), true).await;
    assert!(
        timeout(SECOND, slots.take(&origin(), true)).await.is_err(),
        "a third of eight"
    );
    drop(second);
    slots.take(&origin(), true).await;
}

#[tokio::test(start_paused = true)]
async fn while_nobody_waits_nobody_makes_room() {
    let slots = slots(4).await;
    let hanging = [slots.hang(), slots.hang(), slots.hang(), slots.hang()];
    let hanging = futures_util::future::select_all(hanging.map(Box::pin));
    assert!(timeout(SECOND * 60, hanging).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_makes_room_for_one_that_waits() {
    let slots = Arc::new(slots(4).await);
    let start = Instant::now();
    let mut hanging = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let slots = Arc::clone(&slots);
        hanging.spawn(async move { slots.hang().await });
    }
    tokio::task::yield_now().await;
    let well = slots.well().await;
    assert!(is_about(start.elapsed(), PATIENCE));
    // One has left, one holds the quarter, and the other two go on: nobody else waits.
    assert!(hanging.join_next().await.is_some());
    assert!(timeout(SECOND * 60, hanging.join_next()).await.is_err());

    // They leave at once for the next ones that wait.
    let start = Instant::now();
    let another = slots.well().await;
    let third = slots.well().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(timeout(SECOND * 60, slots.well()).await.is_err(), "a fifth");
    drop((well, another, third));
    assert_eq!(hanging.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_slot_of_the_quarter_is_kept() {
    let slots = slots(4).await;
    let mut hanging = slots.take(&origin(), true).await;
    let _others = [slots.well().await, slots.well().await, slots.well().await];
    let wanted = slots.well();
    let asked = async { hanging.make_room().await };
    tokio::select! {
        () = asked => panic!("it was to make room"),
        outcome = timeout(SECOND * 60, wanted) => assert!(outcome.is_err()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answered_is_slow_and_not_suspected() {
    let slots = Slots::new(1);
    let mut slot = slots.well().await;
    tokio::select! {
        () = slot.make_room() => panic!("it was to make room"),
        outcome = timeout(SECOND * 60, slots.well()) => assert!(outcome.is_err()),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_usual_follows_the_host() {
    let slots = slots(2).await;
    for _ in 0..40 {
        slots.well().await.answered(SECOND * 5);
    }
    let _quarter = slots.take(&origin(), true).await;
    let waits = async || {
        tokio::task::yield_now().await;
        slots.well().await;
    };
    let (took, ()) = tokio::join!(slots.hang(), waits());
    assert!(took > SECOND * 19 && took < SECOND * 21, "{took:?}");

    // A fast host is given a moment all the same.
    for _ in 0..80 {
        slots.well().await.answered(Duration::from_micros(300));
    }
    let (took, ()) = tokio::join!(slots.hang(), waits());
    assert!(is_about(took, LEAST_PATIENCE), "{took:?}");
}
