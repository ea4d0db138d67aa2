//! Who gets a slot, who makes room, and for whom nobody has to.
#![allow(clippy::unwrap_used)]

use tokio::task::{JoinSet, yield_now};
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

/// HostLimiter to a host that has answered before.
async fn slots(per_host: usize) -> HostLimiter {
    let slots = HostLimiter::new(per_host);
    slots.open().await.answered(USUAL);
    slots
}

impl HostLimiter {
    async fn open(&self) -> Slot {
        self.take(&origin(), Lane::Open).await
    }

    /// A request that hangs until it is to make room; how long that took.
    async fn hang(&self, usual: Option<Duration>) -> Duration {
        let mut slot = self.open().await;
        let start = Instant::now();
        slot.make_room(usual).await;
        start.elapsed()
    }

    /// How long a request may hang while another waits and nobody else may make room.
    async fn patience(&self, usual: Duration) -> Duration {
        let _lane = self.take(&origin(), Lane::BrokenOff).await;
        assert!(_lane.lane.is_some());
        let waits = async {
            yield_now().await;
            self.open().await;
        };
        tokio::join!(self.hang(Some(usual)), waits).0
    }
}

#[tokio::test(start_paused = true)]
async fn all_slots_are_given_and_no_more() {
    let slots = slots(2).await;
    let first = slots.open().await;
    let _second = slots.open().await;
    assert!(timeout(SECOND, slots.open()).await.is_err());
    drop(first);
    slots.open().await;
    // Another host has slots of its own.
    let other = Url::parse("https://freedom24.com").unwrap();
    slots.take(&other, Lane::Open).await;
}

#[tokio::test(start_paused = true)]
async fn each_lane_is_a_quarter() {
    let slots = slots(8).await;
    let mut held = Vec::new();
    for lane in [Lane::Hanging, Lane::Login] {
        let first = slots.take(&origin(), lane).await;
        held.push(slots.take(&origin(), lane).await);
        let third = timeout(SECOND, slots.take(&origin(), lane)).await;
        assert!(third.is_err(), "a third of {lane:?}");
        drop(first);
        held.push(slots.take(&origin(), lane).await);
    }
    for _ in 0..2 {
        let slot = slots.take(&origin(), Lane::BrokenOff).await;
        assert!(slot.lane.is_some());
        held.push(slot);
    }
    // A quarter is left to those that nothing is known against, whatever hangs.
    let _open = [slots.open().await, slots.open().await];
    assert!(timeout(SECOND, slots.open()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn of_three_slots_one_is_for_all_that_may_hang() {
    let slots = slots(3).await;
    let _lane = slots.take(&origin(), Lane::Login).await;
    let _open = [slots.open().await, slots.open().await];
    for lane in [Lane::Hanging, Lane::Login, Lane::BrokenOff] {
        let another = timeout(SECOND, slots.take(&origin(), lane)).await;
        assert!(another.is_err(), "{lane:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_broken_off_may_have_what_nobody_wants() {
    let slots = slots(4).await;
    let _lane = slots.take(&origin(), Lane::BrokenOff).await;
    // Idle ones are there, and it may be suspected again.
    let mut second = slots.take(&origin(), Lane::BrokenOff).await;
    assert!(second.lane.is_none());
    let first = slots.open().await;
    let _last = slots.open().await;
    let here = origin();
    let mut third = std::pin::pin!(slots.take(&here, Lane::BrokenOff));
    assert!(timeout(SECOND, third.as_mut()).await.is_err());
    // Who waits like everybody comes first, though later.
    let makes_room = async {
        second.make_room(Some(USUAL)).await;
        drop(second);
    };
    let (_well, ()) = tokio::join!(slots.open(), makes_room);
    assert!(timeout(SECOND, third.as_mut()).await.is_err());
    drop(first);
    assert!(third.await.lane.is_none());
}

#[tokio::test(start_paused = true)]
async fn while_nobody_waits_nobody_makes_room() {
    let slots = slots(4).await;
    let hanging = [(); 4].map(|()| Box::pin(slots.hang(None)));
    let hanging = futures_util::future::select_all(hanging);
    assert!(timeout(SECOND * 60, hanging).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_makes_room_for_one_that_waits() {
    let slots = Arc::new(slots(4).await);
    let start = Instant::now();
    let mut hanging = JoinSet::new();
    for _ in 0..4 {
        let slots = Arc::clone(&slots);
        hanging.spawn(async move { slots.hang(Some(USUAL)).await });
    }
    yield_now().await;
    let well = slots.open().await;
    assert!(is_about(start.elapsed(), PATIENCE));
    // One has left, one holds the lane, and the other two go on: nobody else waits.
    assert!(hanging.join_next().await.is_some());
    assert!(timeout(SECOND * 60, hanging.join_next()).await.is_err());

    // They leave at once for the next ones that wait.
    let start = Instant::now();
    let another = slots.open().await;
    let third = slots.open().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let fifth = timeout(SECOND * 60, slots.open()).await;
    assert!(fifth.is_err(), "the lane's is kept");
    drop((well, another, third));
    assert_eq!(hanging.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_a_lane_makes_no_room() {
    for lane in [Lane::Hanging, Lane::Login, Lane::BrokenOff] {
        let slots = slots(4).await;
        let mut hanging = slots.take(&origin(), lane).await;
        let _others = [(); 3].map(|()| slots.open());
        let _others = futures_util::future::join_all(_others).await;
        tokio::select! {
            () = hanging.make_room(Some(USUAL)) => panic!("{lane:?} was to make room"),
            outcome = timeout(SECOND * 60, slots.open()) => assert!(outcome.is_err()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answered_is_slow_and_not_suspected() {
    let slots = HostLimiter::new(1);
    let mut slot = slots.open().await;
    tokio::select! {
        () = slot.make_room(None) => panic!("it was to make room"),
        outcome = timeout(SECOND * 60, slots.open()) => assert!(outcome.is_err()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_account_is_given_its_time() {
    let slots = slots(4).await;
    let _others = [slots.open().await, slots.open().await];
    assert!(is_about(slots.patience(USUAL).await, PATIENCE));
    assert!(is_about(slots.patience(SECOND * 2).await, SECOND * 8));
    // One that never answered may be slow too.
    let host = slots.host(&origin());
    assert_eq!(host.patience(None), Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_host_is_as_slow_as_half_of_its_answers() {
    let slots = slots(4).await;
    let host = slots.host(&origin());
    let answer = async |times: usize, took: Duration| {
        for _ in 0..times {
            slots.open().await.answered(took);
        }
    };
    let fast = Duration::from_millis(10);
    let patience = || host.patience(Some(fast)).unwrap();
    answer(ANSWERS, fast).await;
    assert_eq!(patience(), LEAST_PATIENCE);
    // A handful of slow accounts, one after the other, say nothing of the host.
    answer(ANSWERS / 2 - 1, SECOND * 3).await;
    assert_eq!(patience(), LEAST_PATIENCE);
    answer(2, SECOND * 3).await;
    assert_eq!(patience(), SECOND * 12);
}

#[test]
fn what_is_usual_grows_at_once_and_shrinks_slowly() {
    let first = usual(None, USUAL);
    assert_eq!(first, USUAL);
    let slow = usual(Some(first), SECOND * 2);
    assert_eq!(slow, SECOND * 2);
    let mut later = slow;
    for _ in 0..3 {
        later = usual(Some(later), USUAL);
    }
    assert!(later > SECOND && later < slow, "{later:?}");
    for _ in 0..50 {
        later = usual(Some(later), USUAL);
    }
    assert!(is_about(later, USUAL), "{later:?}");
}
