//! A clock that a test turns: wall and monotonic hands move apart from one another.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tradernet_exporter::clock::{Clock, Timestamps};
use tradernet_exporter::simulator::Simulator;

/// Both hands, shared by the exporter and the simulated Tradernet (which knows the wall clock alone).
#[derive(Clone)]
pub(crate) struct TestClock(Arc<Mutex<TestClockState>>);

struct TestClockState {
    wall: SystemTime,
    monotonic: Duration,
    /// Where set, tokio's clock, paused or not, is added to both.
    since: Option<Instant>,
}

impl TestClock {
    /// Stands still at noon of 15 June 2026, UTC.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(TestClockState {
            wall: UNIX_EPOCH + Duration::from_secs(1_781_524_800),
            monotonic: Duration::from_secs(1000),
            since: None,
        })))
    }

    /// Runs with tokio's clock: for tests whose time is paused, so that pauses and ages agree.
    pub(crate) fn with_tokio() -> Self {
        let clock = Self::new();
        clock.0.lock().unwrap().since = Some(Instant::now());
        clock
    }

    /// Time passes.
    pub(crate) fn advance(&self, by: Duration) {
        self.advance_wall(by);
        self.advance_monotonic(by);
    }

    /// The machine sleeps, or somebody sets the wall clock forward.
    pub(crate) fn advance_wall(&self, by: Duration) {
        self.0.lock().unwrap().wall += by;
    }

    /// Somebody sets the wall clock back.
    pub(crate) fn set_back_wall(&self, by: Duration) {
        self.0.lock().unwrap().wall -= by;
    }

    /// Moves the monotonic clock alone.
    pub(crate) fn advance_monotonic(&self, by: Duration) {
        self.0.lock().unwrap().monotonic += by;
    }

    /// The time of the wall clock.
    pub(crate) fn wall(&self) -> SystemTime {
        let hands = self.0.lock().unwrap();
        hands.wall + hands.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The time of the wall clock, in seconds since the epoch.
    pub(crate) fn wall_seconds(&self) -> f64 {
        self.wall()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
    }

    /// For the exporter.
    pub(crate) fn clock(&self) -> Clock {
        let this = self.clone();
        Clock::from_fn(move || {
            let wall = this.wall_seconds();
            let hands = this.0.lock().unwrap();
            let ran = hands.since.map_or(Duration::ZERO, |since| since.elapsed());
            Timestamps {
                wall_ms: wall * 1000.0,
                monotonic: hands.monotonic + ran,
            }
        })
    }

    /// A simulated Tradernet with the same wall clock.
    pub(crate) fn world(&self) -> Simulator {
        let this = self.clone();
        Simulator::with_clock(move || this.wall())
    }
}
