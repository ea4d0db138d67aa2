//! The events of the demo, a second at a time.
//!
//! Counts ticks, not time: the same seed does the same at the same tick, whatever the clock says.

use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use fastrand::Rng;

use super::accounts::{SESSIONS, login};
use crate::simulator::{
    Account, Disconnect, Fault, FaultTarget, Repeat, Session, SessionSpec, Simulator,
};

/// Seconds since the start.
type Tick = u64;

/// A session with more time left than this is neither extended nor closed.
const LONG_LIVED: Duration = Duration::from_secs(1800);

/// An address that `desk-2` does not allow.
const UNAUTHORIZED_ADDRESS: &str = "198.51.100.23";

/// The scenario at some tick.
pub(super) struct Scenario {
    simulator: Simulator,
    rng: Rng,
    now: Tick,
    churns: Vec<Churn>,
    /// When a session from the address that is not allowed comes or goes, and the open one.
    unauthorized: (Tick, Option<i64>),
    /// When the server of `bot-beta` fails or recovers, and how often it has.
    outages: (Tick, usize),
    /// When the stream of `bot-gamma` is disconnected, and how often it was.
    disconnects: (Tick, usize),
    /// Logins of `desk-1` as of the last time its SIDs were revoked.
    logins_revoked: u64,
}

impl Scenario {
    /// The scenario for a simulator that has the demo's accounts.
    pub(super) fn new(simulator: &Simulator, seed: u64) -> Self {
        Self {
            simulator: simulator.clone(),
            rng: Rng::with_seed(seed),
            now: 0,
            churns: churns(),
            unauthorized: (40, None),
            outages: (25, 0),
            disconnects: (90, 0),
            logins_revoked: 0,
        }
    }

    /// One second of the scenario.
    pub(super) fn step(&mut self) {
        self.now += 1;
        for churn in &mut self.churns {
            let account = self.simulator.account(&login(churn.account));
            churn.step(self.now, self.simulator.now(), &account, &mut self.rng);
        }
        self.open_or_close_unauthorized();
        self.fail_or_recover();
        self.disconnect();
        self.expire_own_login();
    }

    fn account(&self, name: &str) -> Account {
        self.simulator.account(&login(name))
    }

    fn open_or_close_unauthorized(&mut self) {
        if self.now < self.unauthorized.0 {
            return;
        }
        let account = self.account("desk-2");
        self.unauthorized = if let Some(id) = self.unauthorized.1 {
            account.close_session(id);
            (self.now + self.rng.u64(600..1200), None)
        } else {
            let session = SessionSpec::new(4, Duration::from_secs(3600));
            let id = account.open_session(session.client_ip(UNAUTHORIZED_ADDRESS));
            (self.now + self.rng.u64(150..300), Some(id))
        };
    }

    /// In another way each time.
    fn fail_or_recover(&mut self) {
        let (next, count) = self.outages;
        if self.now < next {
            return;
        }
        let account = self.account("bot-beta");
        let fault = match count % 10 {
            0 => Fault::status(500),
            2 => Fault::json(200, "not JSON"),
            4 => Fault::rate_limited(15),
            // Longer than a client waits.
            6 => Fault::Slow(Duration::from_secs(30)),
            8 => Fault::Reset,
            _ => {
                account.clear_faults();
                self.outages = (self.now + self.rng.u64(90..240), count + 1);
                return;
            }
        };
        account.inject_fault(FaultTarget::Any, Repeat::Forever, fault);
        self.outages = (self.now + self.rng.u64(20..40), count + 1);
    }

    /// In another way each time.
    fn disconnect(&mut self) {
        let (next, count) = self.disconnects;
        if self.now < next {
            return;
        }
        self.disconnects = (self.now + self.rng.u64(240..480), count + 1);
        self.account("bot-gamma").disconnect(match count % 3 {
            0 => Disconnect::Reset,
            1 => Disconnect::Close(1001),
            _ => Disconnect::Eof,
        });
    }

    /// The exporter's own login is a session like any other: when it is over its SID is refused, the exporter
    /// logs in again, and the new one is listed.
    fn expire_own_login(&mut self) {
        let account = self.account("desk-1");
        let logins = account.counters().logins_accepted;
        let is_loopback = |session: &Session| {
            let address = session.client_ip.as_deref();
            let address = address.and_then(|text| text.parse::<IpAddr>().ok());
            address.is_some_and(|address| address.to_canonical().is_loopback())
        };
        if logins > self.logins_revoked && !account.open_sessions().iter().any(is_loopback) {
            self.logins_revoked = logins;
            account.revoke_sids();
        }
    }
}

/// How an account's sessions open and end; the ranges are seconds.
struct Churn {
    account: &'static str,
    types: &'static [i64],
    lifetime: Range<u64>,
    /// Between one opening and the next.
    pause: Range<u64>,
    /// No session is opened while this many are open.
    max_sessions: usize,
    /// Whether sessions are extended; where not, one is closed before its time now and then.
    extends: bool,
    next_opening: Tick,
    next_change: Tick,
}

/// The accounts whose sessions move.
fn churns() -> Vec<Churn> {
    let churn = |account, types, lifetime, pause, max_sessions, extends, first| Churn {
        account,
        types,
        lifetime,
        pause,
        max_sessions,
        extends,
        next_opening: first,
        next_change: first + 20,
    };
    vec![
        churn("desk-1", &[2, 3], 60..420, 60..150, 4, false, 8),
        churn("desk-2", &[2, 3, 3], 120..900, 120..300, 4, true, 15),
        churn("desk-3", &[2, 4], 90..1200, 90..240, 5, true, 20),
        churn("bot-alpha", &[2], 280..320, 100..200, 2, true, 12),
        churn("bot-beta", &[2], 60..300, 60..180, 3, false, 18),
        churn("bot-gamma", &[2], 30..120, 10..40, 4, false, 5),
        churn("terminal-1", &[3, 4], 40..150, 60..120, 2, false, 55),
    ]
}

impl Churn {
    fn step(&mut self, now: Tick, time: SystemTime, account: &Account, rng: &mut Rng) {
        // New ones come from the addresses of those at the start. Without the exporter's own sessions: an SID that
        // ended with its session at random would cost a login each time, until the exporter blocks itself.
        let addresses = SESSIONS.iter().filter(|(name, ..)| *name == self.account);
        let addresses = Vec::from_iter(addresses.map(|(.., address)| *address));
        let mut sessions = account.open_sessions();
        sessions.retain(|it| {
            addresses
                .iter()
                .any(|of| it.client_ip.as_deref() == Some(*of))
        });
        let lifetime = Duration::from_secs(rng.u64(self.lifetime.clone()));
        if now >= self.next_opening {
            self.next_opening = now + rng.u64(self.pause.clone());
            if sessions.len() < self.max_sessions {
                let mut session = SessionSpec::new(rng.choice(self.types).copied(), lifetime);
                session.client_ip = rng.choice(&addresses).map(|&address| address.to_owned());
                account.open_session(session);
            }
        }
        if now < self.next_change {
            return;
        }
        self.next_change = now + rng.u64(60..150);
        let left = |session: &Session| session.expires.duration_since(time).unwrap_or_default();
        sessions.retain(|session| left(session) < LONG_LIVED);
        match rng.choice(&sessions) {
            Some(session) if self.extends => {
                account.extend_session(session.id, lifetime.max(left(session)));
            }
            Some(session) => account.close_session(session.id),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use super::super::SEED;
    use super::super::accounts::add;
    use super::*;

    /// A demo whose clock moves with its ticks.
    struct Demo {
        simulator: Simulator,
        clock: Arc<AtomicU64>,
        scenario: Scenario,
    }

    impl Demo {
        fn new(seed: u64) -> Self {
            let clock = Arc::new(AtomicU64::new(1_700_000_000));
            let read = Arc::clone(&clock);
            let simulator = Simulator::with_clock(move || {
                SystemTime::UNIX_EPOCH + Duration::from_secs(read.load(Ordering::Relaxed))
            });
            add(&simulator);
            Self {
                scenario: Scenario::new(&simulator, seed),
                simulator,
                clock,
            }
        }

        fn step(&mut self) {
            self.clock.fetch_add(1, Ordering::Relaxed);
            self.scenario.step();
        }

        /// The ends of all open sessions, by login and id.
        fn open(&self) -> BTreeMap<(String, i64), SystemTime> {
            let names = SESSIONS.map(|(account, ..)| login(account)).into_iter();
            let sessions = names.flat_map(|login| {
                let sessions = self.simulator.account(&login).open_sessions().into_iter();
                sessions.map(move |session| ((login.clone(), session.id), session.expires))
            });
            sessions.collect()
        }
    }

    /// The events of this many ticks: sessions opened, expired, closed, extended.
    fn watch(demo: &mut Demo, ticks: u64) -> (usize, usize, usize, usize) {
        let (mut opened, mut expired, mut closed, mut extended) = (0, 0, 0, 0);
        for _ in 0..ticks {
            let before = demo.open();
            demo.step();
            let after = demo.open();
            opened += after.keys().filter(|id| !before.contains_key(id)).count();
            for (id, end) in before {
                match after.get(&id) {
                    Some(now) => extended += usize::from(*now > end),
                    None if end <= demo.simulator.now() => expired += 1,
                    None => closed += 1,
                }
            }
        }
        (opened, expired, closed, extended)
    }

    #[test]
    fn demo_shows_activity_in_first_minute() {
        let mut demo = Demo::new(SEED);
        let (opened, expired, _, _) = watch(&mut demo, 60);
        assert!(opened >= 4 && expired >= 3, "{opened} {expired}");
        let sessions = demo.scenario.account("desk-2").open_sessions();
        let addresses = sessions.iter().map(|session| session.client_ip.as_deref());
        assert!(
            addresses
                .into_iter()
                .any(|it| it == Some(UNAUTHORIZED_ADDRESS))
        );
    }

    #[test]
    fn demo_stays_active_and_bounded() {
        let mut demo = Demo::new(SEED);
        for hour in 0..12 {
            let (opened, expired, closed, extended) = watch(&mut demo, 3600);
            let open = demo.open().len();
            let what = format!("hour {hour}: {opened} {expired} {closed} {extended}, {open} open");
            assert!(
                opened > 50 && expired > 30 && closed > 10 && extended > 5,
                "{what}"
            );
            assert!((3..30).contains(&open), "{what}");
        }
    }

    #[test]
    fn exporters_own_sessions_last_their_time() {
        let mut demo = Demo::new(SEED);
        let lifetime = Duration::from_secs(1200);
        let own = ["desk-1", "bot-alpha"].map(|name| {
            let account = demo.scenario.account(name);
            let session = SessionSpec::new(4, lifetime).client_ip("::ffff:127.0.0.1");
            (login(name), account.open_session(session))
        });
        let ends = demo.simulator.now() + lifetime;
        (0..1199).for_each(|_| demo.step());
        for session in own {
            assert_eq!(demo.open().get(&session), Some(&ends), "{session:?}");
        }
    }
}
