//! How the sessions of one account come and go.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use super::scenario::Steps;
use crate::simulator::Simulator;
use crate::simulator::{Session, SessionSpec};

/// A session with more time left than this is let alone.
const BACKGROUND: Duration = Duration::from_secs(1800);

/// How an account's sessions come and go; the ranges are seconds.
pub(super) struct Plan {
    pub(super) login: &'static str,
    pub(super) types: &'static [i64],
    pub(super) addresses: &'static [&'static str],
    pub(super) lifetime: Range<u64>,
    /// Between one opening and the next.
    pub(super) gap: Range<u64>,
    /// No more are opened while so many are open: the world does not grow.
    pub(super) most: usize,
    /// Whether sessions are renewed. Where not, one in a while is closed before its time.
    pub(super) renews: bool,
}

pub(super) struct Rhythm {
    plan: Plan,
    rng: Rng,
    next_opening: Steps,
    next_change: Steps,
}

impl Rhythm {
    pub(super) fn new(plan: Plan, first_opening: Steps, rng: Rng) -> Self {
        Self {
            plan,
            rng,
            next_opening: first_opening,
            next_change: first_opening + 20,
        }
    }

    pub(super) fn step(&mut self, now: Steps, world: &Simulator) {
        if now >= self.next_opening {
            self.next_opening = now + self.rng.u64(self.plan.gap.clone());
            if world.account(self.plan.login).open_sessions().len() < self.plan.most {
                self.open(world);
            }
        }
        if now >= self.next_change {
            self.next_change = now + self.rng.u64(60..150);
            self.change(world);
        }
    }

    fn open(&mut self, world: &Simulator) -> i64 {
        let lifetime = self.lifetime();
        let mut session = SessionSpec::new(self.rng.choice(self.plan.types).copied(), lifetime);
        session.client_ip = self
            .rng
            .choice(self.plan.addresses)
            .map(|&address| address.to_owned());
        world.account(self.plan.login).open_session(session)
    }

    /// Renews or closes one of those that do not last for hours: these stand in the background.
    fn change(&mut self, world: &Simulator) {
        let left = |session: &Session| {
            session
                .expires
                .duration_since(world.now())
                .unwrap_or_default()
        };
        let mut sessions = world.account(self.plan.login).open_sessions();
        sessions.retain(|session| left(session) < BACKGROUND);
        let Some(session) = self.rng.choice(&sessions) else {
            return;
        };
        if self.plan.renews {
            let lifetime = self.lifetime().max(left(session));
            world
                .account(self.plan.login)
                .extend_session(session.id, lifetime)
        } else {
            world.account(self.plan.login).close_session(session.id)
        }
    }

    fn lifetime(&mut self) -> Duration {
        Duration::from_secs(self.rng.u64(self.plan.lifetime.clone()))
    }
}
