//! A stream of the demo that loses its connection now and then.

use fastrand::Rng;

use super::accounts::BOT_GAMMA;
use super::scenario::Steps;
use crate::simulator::Cut;
use crate::simulator::{NotFound, Simulator};

pub(super) struct Cuts {
    rng: Rng,
    next: Steps,
    count: usize,
}

impl Cuts {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            next: 90,
            count: 0,
        }
    }

    pub(super) fn step(&mut self, now: Steps, world: &Simulator) -> Result<(), NotFound> {
        if now < self.next {
            return Ok(());
        }
        self.next = now + self.rng.u64(240..480);
        self.count += 1;
        world.cut_streams_of(BOT_GAMMA, cut(self.count)).map(drop)
    }
}

/// Another one each time, in turn.
fn cut(count: usize) -> Cut {
    match count % 4 {
        1 => Cut::Reset,
        2 => Cut::Close(1001),
        3 => Cut::Silence,
        _ => Cut::Drop,
    }
}
