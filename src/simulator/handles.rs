//! The simulator and its accounts, as tests, the demo and the two servers hold them.
//!
//! One state behind one lock, one clock, and those who wait for a change. The lock is a plain mutex: it is
//! held for moments and never across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use super::fault::{Disconnect, Fault, FaultQueue, FaultTarget, Repeat, StreamFault};
use super::options::{AccountSpec, ResponseShape};
use super::request::LoggedRequest;
use super::session::{Session, SessionSpec};
use super::state::{AccountState, RequestCounters, State};

/// A simulated Tradernet. Clones share one state.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    state: Mutex<State>,
    /// Counts every change and every request, for those who wait for one.
    activity: watch::Sender<u64>,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// A simulator without accounts, on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a server has a clock of its own")]
        Self::with_clock(SystemTime::now)
    }

    /// A simulator without accounts, on this clock.
    pub fn with_clock(clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        let inner = Inner {
            clock: Box::new(clock),
            state: Mutex::new(State::default()),
            activity: watch::Sender::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The simulator's time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.inner.clock)()
    }

    /// Adds an account.
    pub fn add_account(&self, spec: AccountSpec) -> Account {
        let login = self.state().add(spec);
        self.notify_waiters();
        self.account(&login)
    }

    /// An account of this simulator.
    #[must_use]
    pub fn account(&self, login: &str) -> Account {
        Account {
            simulator: self.clone(),
            login: login.into(),
        }
    }

    /// The last requests, handshakes of streams included, the oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<LoggedRequest>> {
        self.state().log.iter().cloned().collect()
    }

    /// Keeps this many requests in [`requests`](Self::requests); 4096 at first.
    pub fn set_request_log_capacity(&self, count: usize) {
        self.state().log_capacity = count;
    }

    /// Waits until the condition holds. It is checked now, and after every change and request; what the clock
    /// alone brings about is not noticed.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let mut activity = self.inner.activity.subscribe();
        loop {
            activity.borrow_and_update();
            if condition(self) {
                return;
            }
            if activity.changed().await.is_err() {
                return;
            }
        }
    }

    /// The open streams of all accounts, and those in demo mode.
    #[must_use]
    pub fn open_stream_count(&self) -> usize {
        self.state().connections.len()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No operation leaves the state half changed when it panics.
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify_waiters(&self) {
        self.inner
            .activity
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// One account of a [`Simulator`]. Clones are the same account.
#[derive(Clone)]
pub struct Account {
    simulator: Simulator,
    login: Arc<str>,
}

impl Account {
    /// Opens a session and returns its id.
    pub fn open_session(&self, spec: SessionSpec) -> i64 {
        let now = self.simulator.now();
        let id = self.simulator.state().open_session(&self.login, spec, now);
        self.simulator.notify_waiters();
        id
    }

    /// Lets an open session end this long from now.
    pub fn extend_session(&self, id: i64, lifetime: Duration) {
        let now = self.simulator.now();
        self.change(|account| {
            if let Some(session) = account.sessions.get_mut(&id) {
                session.expires = now + lifetime;
            }
            account.mark_changed();
        });
    }

    /// Ends an open session before its time.
    pub fn close_session(&self, id: i64) {
        self.change(|account| {
            account.sessions.remove(&id);
            account.mark_changed();
        });
    }

    /// The sessions that are open now, by id.
    #[must_use]
    pub fn open_sessions(&self) -> Vec<Session> {
        let now = self.simulator.now();
        self.read(|account| account.open_sessions(now).cloned().collect())
    }

    /// The list as it is answered now.
    #[must_use]
    pub fn list_body(&self) -> Bytes {
        let now = self.simulator.now();
        self.read(|account| account.list(ResponseShape::BareArray, now))
    }

    /// Changes the password, or how the answers look; other credentials stay as they were added. The closure runs
    /// under the simulator's lock: it must not use the simulator.
    pub fn change_spec(&self, change: impl FnOnce(&mut AccountSpec)) {
        self.change(|account| {
            change(&mut account.spec);
            account.mark_changed();
        });
    }

    /// Accepts one more SID, or a revoked one again.
    pub fn accept_sid(&self, sid: impl Into<String>) {
        let sid = sid.into();
        self.simulator.state().accept_sid(&self.login, sid);
        self.simulator.notify_waiters();
    }

    /// Revokes every SID of the account: its list is refused until a login.
    pub fn revoke_sids(&self) {
        self.simulator.state().revoke_sids(&self.login);
        self.simulator.notify_waiters();
    }

    /// Makes HTTP requests of the account fail. Faults apply in the order in which they were injected.
    pub fn inject_fault(&self, target: FaultTarget, repeat: Repeat, fault: Fault) {
        self.change(|account| account.faults.http.push((repeat, (target, fault))));
    }

    /// Makes handshakes of the account's streams, or requests over them, fail.
    pub fn inject_stream_fault(&self, repeat: Repeat, fault: StreamFault) {
        self.change(|account| account.faults.streams.push((repeat, fault)));
    }

    /// Removes every fault of the account.
    pub fn clear_faults(&self) {
        self.change(|account| account.faults = FaultQueue::default());
    }

    /// Disconnects every stream of the account, and returns how many there were.
    pub fn disconnect(&self, how: Disconnect) -> usize {
        self.simulator.state().disconnect(&self.login, how)
    }

    /// The requests that the account's server has received so far.
    #[must_use]
    pub fn counters(&self) -> RequestCounters {
        self.read(|account| account.counters)
    }

    fn change(&self, change: impl FnOnce(&mut AccountState)) {
        self.read(change);
        self.simulator.notify_waiters();
    }

    #[expect(
        clippy::panic,
        reason = "a misspelt login is a defect of the test or of the demo"
    )]
    fn read<T>(&self, read: impl FnOnce(&mut AccountState) -> T) -> T {
        match self.simulator.state().accounts.get_mut(&self.login) {
            Some(account) => read(account),
            None => panic!("the simulator has no account {:?}", self.login),
        }
    }
}
