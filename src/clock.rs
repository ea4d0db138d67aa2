//! The one place that reads the clocks.
//!
//! All other code receives a [`Timestamps`], so that expiry, age and evidence are functions of
//! their arguments and a test can suspend the machine or move the wall clock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time by both clocks.
///
/// The two differ after the machine was suspended, which stops the monotonic clock on Linux, or after
/// the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timestamps {
    /// Milliseconds since the Unix epoch by the wall clock.
    pub wall_ms: f64,
    /// Time since an arbitrary start by the monotonic clock.
    pub monotonic: Duration,
}

impl Timestamps {
    /// Seconds since the Unix epoch by the wall clock.
    pub fn wall_seconds(self) -> f64 {
        self.wall_ms / 1000.0
    }

    /// The wall clock less another clock, in seconds.
    pub fn wall_seconds_since(self, other: SystemTime) -> f64 {
        let since_epoch = other.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.wall_seconds() - since_epoch.as_secs_f64()
    }

    /// How much the wall clock moved since `earlier`; zero where it was set back.
    pub fn wall_since(self, earlier: Timestamps) -> Duration {
        Duration::try_from_secs_f64((self.wall_ms - earlier.wall_ms) / 1000.0)
            .unwrap_or(Duration::ZERO)
    }

    /// How much the monotonic clock moved since `earlier`.
    pub fn monotonic_since(self, earlier: Timestamps) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic)
    }

    /// The age of an event at `earlier`: the greater of both clocks' ages, since data from before a
    /// suspend is old although the monotonic clock did not move.
    pub fn age_of(self, earlier: Timestamps) -> Duration {
        self.wall_since(earlier).max(self.monotonic_since(earlier))
    }
}

/// A source of [`Timestamps`]s.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamps + Send + Sync>);

impl Clock {
    /// The machine's own clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    pub fn system() -> Self {
        let start = Instant::now();
        Self::from_fn(move || Timestamps {
            wall_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64() * 1000.0),
            monotonic: start.elapsed(),
        })
    }

    /// A clock that a test moves by hand.
    pub fn from_fn(now: impl Fn() -> Timestamps + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time by both clocks.
    pub fn now(&self) -> Timestamps {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
