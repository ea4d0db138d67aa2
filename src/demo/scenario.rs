//! What happens in the demo, a second at a time.
//!
//! Counts ticks, not time: the same seed does the same at the same tick, whatever the clock says.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use super::accounts::{BOT_ALPHA, BOT_BETA, BOT_GAMMA, DESK_1, DESK_2, DESK_3, TERMINAL_1};
use crate::simulator::{
    Account, Disconnect, Fault, FaultTarget, Repeat, RetryAfter, Session, SessionSpec, Simulator,
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
    now: Tick,
    churns: Vec<SessionChurn>,
    unauthorized: UnauthorizedSession,
    outages: ApiOutages,
    disconnects: StreamDisconnects,
    /// Logins of `desk-1` as of the last time its SIDs were revoked.
    logins_revoked: u64,
}

impl Scenario {
    /// The scenario for a simulator that has the demo's accounts.
    pub(super) fn new(simulator: &Simulator, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        // A generator each, so that one account's part can change without moving the others'.
        let churns = churns().map(|config| {
            let account = simulator.account(config.login);
            let sessions = account.open_sessions().into_iter();
            SessionChurn {
                addresses: sessions.filter_map(|session| session.client_ip).collect(),
                account,
                rng: rng.fork(),
                next_opening: config.first_opening,
                next_change: config.first_opening + 20,
                config,
            }
        });
        Self {
            simulator: simulator.clone(),
            now: 0,
            churns: churns.into(),
            unauthorized: UnauthorizedSession {
                rng: rng.fork(),
                next: 40,
                open: None,
            },
            outages: ApiOutages {
                rng: rng.fork(),
                next: 25,
                broken: false,
                count: 0,
            },
            disconnects: StreamDisconnects {
                rng: rng.fork(),
                next: 90,
                count: 0,
            },
            logins_revoked: 0,
        }
    }

    /// One second of the scenario.
    pub(super) fn step(&mut self) {
        self.now += 1;
        for churn in &mut self.churns {
            churn.step(self.now);
        }
        self.unauthorized
            .step(self.now, &self.simulator.account(DESK_2));
        self.outages
            .step(self.now, &self.simulator.account(BOT_BETA));
        self.disconnects
            .step(self.now, &self.simulator.account(BOT_GAMMA));
        self.expire_own_login();
    }

    /// The exporter's own login is a session like any other: when it is over its SID is refused, the exporter
    /// logs in again, and the new one is listed.
    fn expire_own_login(&mut self) {
        let account = self.simulator.account(DESK_1);
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
struct ChurnConfig {
    login: &'static str,
    types: &'static [i64],
    lifetime: Range<u64>,
    /// Between one opening and the next.
    open_interval: Range<u64>,
    /// No session is opened while this many are open.
    max_sessions: usize,
    /// Whether sessions are extended; where not, one is closed before its time now and then.
    extends: bool,
    first_opening: Tick,
}

/// The accounts whose sessions move. New ones come from the addresses of those at the start.
fn churns() -> [ChurnConfig; 7] {
    let churn =
        |login, types, lifetime, open_interval, max_sessions, extends, first_opening| ChurnConfig {
            login,
            types,
            lifetime,
            open_interval,
            max_sessions,
            extends,
            first_opening,
        };
    [
        churn(DESK_1, &[2, 3], 60..420, 60..150, 4, false, 8),
        churn(DESK_2, &[2, 3, 3], 120..900, 120..300, 4, true, 15),
        churn(DESK_3, &[2, 4], 90..1200, 90..240, 5, true, 20),
        churn(BOT_ALPHA, &[2], 280..320, 100..200, 2, true, 12),
        churn(BOT_BETA, &[2], 60..300, 60..180, 3, false, 18),
        churn(BOT_GAMMA, &[2], 30..120, 10..40, 4, false, 5),
        churn(TERMINAL_1, &[3, 4], 40..150, 60..120, 2, false, 55),
    ]
}

struct SessionChurn {
    config: ChurnConfig,
    account: Account,
    addresses: Vec<String>,
    rng: Rng,
    next_opening: Tick,
    next_change: Tick,
}

impl SessionChurn {
    fn step(&mut self, now: Tick) {
        if now >= self.next_opening {
            self.next_opening = now + self.rng.u64(self.config.open_interval.clone());
            if self.sessions().len() < self.config.max_sessions {
                self.open();
            }
        }
        if now >= self.next_change {
            self.next_change = now + self.rng.u64(60..150);
            self.extend_or_close_one();
        }
    }

    /// Without the exporter's own sessions: an SID that ended with its session at random would cost a login
    /// each time, until the exporter blocks itself.
    fn sessions(&self) -> Vec<Session> {
        let mut sessions = self.account.open_sessions();
        sessions.retain(|session| {
            session
                .client_ip
                .as_ref()
                .is_some_and(|it| self.addresses.contains(it))
        });
        sessions
    }

    fn open(&mut self) {
        let lifetime = self.lifetime();
        let mut session = SessionSpec::new(self.rng.choice(self.config.types).copied(), lifetime);
        session.client_ip = self.rng.choice(&self.addresses).cloned();
        self.account.open_session(session);
    }

    fn extend_or_close_one(&mut self) {
        let now = self.account.now();
        let left = |session: &Session| session.expires.duration_since(now).unwrap_or_default();
        let mut sessions = self.sessions();
        sessions.retain(|session| left(session) < LONG_LIVED);
        let Some(session) = self.rng.choice(&sessions) else {
            return;
        };
        if self.config.extends {
            let lifetime = self.lifetime().max(left(session));
            self.account.extend_session(session.id, lifetime);
        } else {
            self.account.close_session(session.id);
        }
    }

    fn lifetime(&mut self) -> Duration {
        Duration::from_secs(self.rng.u64(self.config.lifetime.clone()))
    }
}

/// A session of `desk-2` from an address that is not allowed.
struct UnauthorizedSession {
    rng: Rng,
    next: Tick,
    open: Option<i64>,
}

impl UnauthorizedSession {
    fn step(&mut self, now: Tick, account: &Account) {
        if now < self.next {
            return;
        }
        if let Some(id) = self.open.take() {
            self.next = now + self.rng.u64(600..1200);
            account.close_session(id);
        } else {
            self.next = now + self.rng.u64(150..300);
            let session = SessionSpec::new(4, Duration::from_secs(3600));
            let session = session.client_ip(UNAUTHORIZED_ADDRESS);
            self.open = Some(account.open_session(session));
        }
    }
}

/// The times when the server of `bot-beta` fails, in another way each time.
struct ApiOutages {
    rng: Rng,
    next: Tick,
    broken: bool,
    count: usize,
}

impl ApiOutages {
    fn step(&mut self, now: Tick, account: &Account) {
        if now < self.next {
            return;
        }
        if self.broken {
            self.next = now + self.rng.u64(90..240);
            account.clear_faults();
        } else {
            self.next = now + self.rng.u64(20..40);
            let fault = nth_outage(self.count);
            account.inject_fault(FaultTarget::Any, Repeat::Forever, fault);
            self.count += 1;
        }
        self.broken = !self.broken;
    }
}

fn nth_outage(count: usize) -> Fault {
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

/// The stream of `bot-gamma` loses its connection now and then, in another way each time.
struct StreamDisconnects {
    rng: Rng,
    next: Tick,
    count: usize,
}

impl StreamDisconnects {
    fn step(&mut self, now: Tick, account: &Account) {
        if now < self.next {
            return;
        }
        self.next = now + self.rng.u64(240..480);
        self.count += 1;
        account.disconnect(match self.count % 3 {
            1 => Disconnect::Reset,
            2 => Disconnect::Close(1001),
            _ => Disconnect::Eof,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use super::super::SEED;
    use super::super::accounts::accounts;
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
            super::super::seed(&simulator);
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
            let sessions = accounts().into_iter().flat_map(|account| {
                let login = account.spec.login;
                let sessions = self.simulator.account(&login).open_sessions().into_iter();
                sessions.map(move |session| ((login.clone(), session.id), session.expires))
            });
            sessions.collect()
        }
    }

    /// What happened in this many ticks: sessions opened, expired, closed, extended.
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
        let sessions = demo.simulator.account(DESK_2).open_sessions();
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
        let own = [DESK_1, BOT_ALPHA].map(|login| {
            let account = demo.simulator.account(login);
            let session = SessionSpec::new(4, lifetime).client_ip("::ffff:127.0.0.1");
            (login.to_owned(), account.open_session(session))
        });
        let ends = demo.simulator.now() + lifetime;
        (0..1199).for_each(|_| demo.step());
        for session in own {
            assert_eq!(demo.open().get(&session), Some(&ends), "{session:?}");
        }
    }

    #[test]
    fn scenario_is_deterministic() {
        let end = |seed| {
            let mut demo = Demo::new(seed);
            (0..1000).for_each(|_| demo.step());
            demo.open()
        };
        assert_eq!(end(7), end(7));
        assert_ne!(end(7), end(8));
    }
}
