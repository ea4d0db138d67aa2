//! The world of the `demo` command: who lives in it, and what goes on.
//!
//! It uses the simulator as a test does, through [`Simulator`]'s methods alone. What the exporter is configured
//! with comes from [`accounts`]; nothing here knows how that configuration is made.

use std::future::Future;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

pub use super::accounts::{DemoAccount, DemoCredential, DemoTransport, accounts, populate};
use super::scenario::Script;

use crate::simulator::Simulator;

/// The seed of a demo that is given none.
pub const SEED: u64 = 20_160_614;

/// The script moves in steps of this length.
const STEP: Duration = Duration::from_secs(1);

/// Moves a world that [`populate`] has filled, for ever, until the shutdown is complete.
///
/// The same seed gives the same moves at the same steps. The number of sessions stays bounded.
pub async fn play(world: Simulator, seed: u64, shutdown: impl Future<Output = ()>) {
    let mut script = Script::new(seed);
    let mut steps = tokio::time::interval(STEP);
    // After a suspension the script goes on where it was: the sessions have run out meanwhile as they should.
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = steps.tick() => {
                script.step(&world);
            }
        }
    }
}
