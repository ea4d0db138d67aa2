//! A stream of the demo that loses its connection now and then.

use fastrand::Rng;

use super::accounts::BOT_GAMMA;
use super::scenario::Steps;
use crate::simulator::Disconnect;
use crate::simulator::Simulator;

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

    pub(super) fn step(&mut self, now: Steps, world: &Simulator) {
        if now < self.next {
            return;
        }
        self.next = now + self.rng.u64(240..480);
        self.count += 1;
        world.account(BOT_GAMMA).disconnect(cut(self.count));
    }
}

/// Another one each time, in turn.
fn cut(count: usize) -> Disconnect {
    match count % 4 {
        1 => Disconnect::Reset,
        2 => Disconnect::Close(1001),
        3 => Disconnect::Stall,
        _ => Disconnect::Eof,
    }
}
