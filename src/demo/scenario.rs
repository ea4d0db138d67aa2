//! What goes on in the demo's world, a second at a time.
//!
//! Counts steps, not time: the same seed does the same at the same step, whatever the clock says.

use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;

use super::accounts::{BOT_ALPHA, BOT_BETA, BOT_GAMMA, DESK_1, DESK_2, DESK_3, TERMINAL_1};
use super::cuts::Cuts;
use super::session_churn::{Plan, Rhythm};
use crate::simulator::SessionSpec;
use crate::simulator::Simulator;
use crate::simulator::{Fault, FaultTarget, Repeat, RetryAfter};

/// Steps are seconds.
pub(super) type Steps = u64;

/// The script, at some step.
pub(super) struct Script {
    now: Steps,
    rhythms: Vec<Rhythm>,
    intruder: Intruder,
    outages: Outages,
    cuts: Cuts,
    /// Logins of the account that lists its own, as of the last time its SIDs were forgotten.
    logins_forgotten: u64,
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        // A generator each, so that one account's part can change without moving the others'.
        let mut rhythm = |rhythm: Plan, first| Rhythm::new(rhythm, first, rng.fork());
        let mut rhythms = vec![
            rhythm(
                Plan {
                    login: DESK_1,
                    types: &[2, 3],
                    addresses: &["203.0.113.21", "203.0.113.22", "203.0.113.23"],
                    lifetime: 60..420,
                    gap: 60..150,
                    most: 4,
                    renews: false,
                },
                8,
            ),
            rhythm(
                Plan {
                    login: DESK_2,
                    types: &[2, 3, 3],
                    addresses: &["203.0.113.40", "2001:db8::41"],
                    lifetime: 120..900,
                    gap: 120..300,
                    most: 4,
                    renews: true,
                },
                15,
            ),
            rhythm(
                Plan {
                    login: DESK_3,
                    types: &[2, 4],
                    addresses: &["203.0.113.60", "203.0.113.61"],
                    lifetime: 90..1200,
                    gap: 90..240,
                    most: 5,
                    renews: true,
                },
                20,
            ),
            rhythm(
                Plan {
                    login: BOT_ALPHA,
                    types: &[2],
                    addresses: &["192.0.2.10", "192.0.2.11"],
                    lifetime: 280..320,
                    gap: 100..200,
                    most: 2,
                    renews: true,
                },
                12,
            ),
            rhythm(
                Plan {
                    login: BOT_BETA,
                    types: &[2],
                    addresses: &["192.0.2.20"],
                    lifetime: 60..300,
                    gap: 60..180,
                    most: 3,
                    renews: false,
                },
                18,
            ),
            rhythm(
                Plan {
                    login: BOT_GAMMA,
                    types: &[2],
                    addresses: &["192.0.2.30", "192.0.2.31", "192.0.2.32"],
                    lifetime: 30..120,
                    gap: 10..40,
                    most: 4,
                    renews: false,
                },
                5,
            ),
        ];
        let intruder = Intruder::new(rng.fork());
        let outages = Outages::new(rng.fork());
        rhythms.push(Rhythm::new(
            Plan {
                login: TERMINAL_1,
                types: &[3, 4],
                addresses: &["203.0.113.90", "203.0.113.91"],
                lifetime: 40..150,
                gap: 60..120,
                most: 2,
                renews: false,
            },
            55,
            rng.fork(),
        ));
        Self {
            now: 0,
            rhythms,
            intruder,
            outages,
            cuts: Cuts::new(rng.fork()),
            logins_forgotten: 0,
        }
    }

    /// One second of the script.
    pub(super) fn step(&mut self, world: &Simulator) {
        self.now += 1;
        for rhythm in &mut self.rhythms {
            rhythm.step(self.now, world);
        }
        self.intruder.step(self.now, world);
        self.outages.step(self.now, world);
        self.cuts.step(self.now, world);
        self.end_own_login(world);
    }

    /// The exporter's own login is a session like any other: when its time is over its SID is refused,
    /// the exporter logs in again, and the new one is listed.
    fn end_own_login(&mut self, world: &Simulator) {
        let logins = world.account(DESK_1).counters().logins_accepted;
        let is_own = |address: &str| {
            address
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback())
        };
        let listed = || {
            world
                .account(DESK_1)
                .open_sessions()
                .iter()
                .any(|session| session.client_ip.as_deref().is_some_and(is_own))
        };
        if logins > self.logins_forgotten && !listed() {
            self.logins_forgotten = logins;
            world.account(DESK_1).revoke_sids();
        }
    }
}

/// Somebody who knows the password of `desk-2` and comes from elsewhere.
struct Intruder {
    rng: Rng,
    next: Steps,
    inside: Option<i64>,
}

impl Intruder {
    fn new(rng: Rng) -> Self {
        Self {
            rng,
            next: 40,
            inside: None,
        }
    }

    fn step(&mut self, now: Steps, world: &Simulator) {
        if now < self.next {
            return;
        }
        if let Some(id) = self.inside.take() {
            self.next = now + self.rng.u64(600..1200);
            // Its time may be over by itself, after a suspension.
            world.account(DESK_2).close_session(id);
        } else {
            self.next = now + self.rng.u64(150..300);
            let session = SessionSpec::new(4, Duration::from_secs(3600)).client_ip("198.51.100.23");
            self.inside = Some(world.account(DESK_2).open_session(session));
        }
    }
}

/// The times when `bot-beta` is not answered properly.
struct Outages {
    rng: Rng,
    next: Steps,
    broken: bool,
    count: usize,
}

impl Outages {
    fn new(rng: Rng) -> Self {
        Self {
            rng,
            next: 25,
            broken: false,
            count: 0,
        }
    }

    fn step(&mut self, now: Steps, world: &Simulator) {
        if now < self.next {
            return;
        }
        if self.broken {
            self.next = now + self.rng.u64(90..240);
            world.account(BOT_BETA).clear_faults();
        } else {
            self.next = now + self.rng.u64(20..40);
            let fault = outage(self.count);
            world
                .account(BOT_BETA)
                .inject_fault(FaultTarget::Any, Repeat::Forever, fault);
            self.count += 1;
        }
        self.broken = !self.broken;
    }
}

/// Another one each time, in turn.
fn outage(count: usize) -> Fault {
    match count % 5 {
        0 => Fault::status(500),
        1 => Fault::InvalidJson,
        2 => Fault::RateLimited {
            retry_after: RetryAfter::Seconds(15),
        },
        // Longer than a client waits.
        3 => Fault::Slow {
            delay: Duration::from_secs(30),
        },
        _ => Fault::Reset,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::collections::{BTreeMap, BTreeSet, HashSet};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use super::super::accounts::{accounts, populate};
    use super::super::simulated::SEED;
    use super::*;
    use crate::simulator::Session;

    /// A demo whose clock moves with its steps.
    struct Demo {
        world: Simulator,
        clock: Arc<AtomicU64>,
        script: Script,
    }

    impl Demo {
        fn new(seed: u64) -> Self {
            let clock = Arc::new(AtomicU64::new(1_700_000_000));
            let read = Arc::clone(&clock);
            let world = Simulator::with_clock(move || {
                SystemTime::UNIX_EPOCH + Duration::from_secs(read.load(Ordering::Relaxed))
            });
            populate(&world);
            Self {
                world,
                clock,
                script: Script::new(seed),
            }
        }

        fn step(&mut self) {
            self.clock.fetch_add(1, Ordering::Relaxed);
            self.script.step(&self.world);
        }

        /// The ends of all open sessions, by login and id.
        fn open(&self) -> BTreeMap<(&'static str, i64), SystemTime> {
            let all = accounts().into_iter().flat_map(|account| {
                let sessions = self
                    .world
                    .account(account.login)
                    .open_sessions()
                    .into_iter();
                sessions.map(move |session| ((account.login, session.id), session.expires))
            });
            all.collect()
        }

        fn intruder_is_in(&self) -> bool {
            let odd = |session: &Session| session.client_ip.as_deref() == Some("198.51.100.23");
            self.world.account(DESK_2).open_sessions().iter().any(odd)
        }
    }

    /// What happened in so many steps: sessions opened, expired, ended before their time, renewed.
    fn watch(demo: &mut Demo, steps: u64) -> (usize, usize, usize, usize) {
        let (mut opened, mut expired, mut ended, mut renewed) = (0, 0, 0, 0);
        for _ in 0..steps {
            let before = demo.open();
            demo.step();
            let after = demo.open();
            opened += after.keys().filter(|id| !before.contains_key(id)).count();
            for (id, end) in before {
                match after.get(&id) {
                    Some(now) => renewed += usize::from(*now > end),
                    None if end <= demo.world.now() => expired += 1,
                    None => ended += 1,
                }
            }
        }
        (opened, expired, ended, renewed)
    }

    #[test]
    fn the_first_minute_has_something_to_see() {
        let (opened, expired, _, _) = watch(&mut Demo::new(SEED), 60);
        assert!(
            opened >= 4 && expired >= 3,
            "{opened} opened, {expired} expired"
        );
    }

    #[test]
    fn hours_later_it_still_moves_and_has_not_grown() {
        for seed in [SEED, 1] {
            let mut demo = Demo::new(seed);
            for hour in 0..12 {
                let (opened, expired, ended, renewed) = watch(&mut demo, 3600);
                let open = demo.open().len();
                let seen =
                    format!("hour {hour}: {opened} {expired} {ended} {renewed}, {open} open");
                assert!(
                    opened > 50 && expired > 30 && ended > 10 && renewed > 5,
                    "{seen}"
                );
                assert!((3..30).contains(&open), "{seen}");
            }
        }
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let end = |seed| {
            let mut demo = Demo::new(seed);
            (0..1000).for_each(|_| demo.step());
            demo.open()
        };
        assert_eq!(end(7), end(7));
        assert_ne!(end(7), end(8));
    }

    #[test]
    fn the_intruder_comes_in_the_first_minute_goes_and_comes_again() {
        let mut demo = Demo::new(SEED);
        let mut turns = vec![];
        for second in 0..3600 {
            demo.step();
            if turns
                .last()
                .is_none_or(|(_, inside)| *inside != demo.intruder_is_in())
            {
                turns.push((second, demo.intruder_is_in()));
            }
        }
        assert!(
            matches!(
                turns[..],
                [(0, false), (..60, true), (_, false), (_, true), ..]
            ),
            "{turns:?}"
        );
    }

    #[test]
    fn faults_take_turns() {
        let kinds: HashSet<_> = (0..5)
            .map(|count| std::mem::discriminant(&outage(count)))
            .collect();
        assert_eq!(kinds.len(), 5);
        assert_eq!(outage(5), outage(0));
    }

    #[test]
    fn every_way_in_is_there() {
        let way = |account: &super::super::DemoAccount| {
            let (transport, version) = (account.transport, account.api_version);
            format!("{transport:?} {:?} {version}", account.credential)
        };
        let ways: BTreeSet<_> = accounts().iter().map(way).collect();
        assert_eq!(
            ways.into_iter().collect::<Vec<_>>(),
            [
                "Http Key 2",
                "Http Key 3",
                "Http Login 1",
                "Http Sid 1",
                "SocketIo Login 1",
                "Websocket Sid 1"
            ]
        );
        let names: HashSet<_> = accounts().iter().map(|account| account.account).collect();
        assert_eq!(names.len(), 9);
    }
}
