//! The simulated platform as tests, the demo and the faces hold it: one state, one clock, and who waits.
//!
//! Knows nothing of HTTP or of any other way in: faces read requests, ask here, and write answers. Tests
//! and the demo change the state and look at the effect. The lock is a plain mutex: it is held for moments
//! and never across an await.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::fault::{Fault, FaultTarget, Kind, Repeat};
use super::options::{AccountSpec, LoginBehaviour, ResponseOptions};
use super::request_log::LoggedRequest;
use super::session::{Session, SessionSpec, later};
use super::session_list;
use super::state::{AccountState, RequestCounters, State};

/// A simulated Tradernet. Clones share one state.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    state: Mutex<State>,
    /// Counts every change and every request, for those who wait for one.
    moved: watch::Sender<u64>,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("accounts", &self.state().accounts.len())
            .finish_non_exhaustive()
    }
}

impl Simulator {
    /// An empty world that lives by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of its own has a clock of its own"
        )]
        Self::with_clock(SystemTime::now)
    }

    /// An empty world that lives by this clock.
    pub fn with_clock(clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        let shared = Shared {
            clock: Box::new(clock),
            state: Mutex::new(State::default()),
            moved: watch::Sender::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The world's time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.shared.clock)()
    }

    /// Adds an account. One of the same login is replaced, sessions and all.
    pub fn add_account(&self, spec: AccountSpec) -> Account {
        let login = spec.login.clone();
        self.state().add(spec);
        self.notify_waiters();
        self.account(&login)
    }

    /// An account of this simulator.
    ///
    /// # Panics
    /// Where no account has this login.
    #[must_use]
    #[track_caller]
    #[expect(
        clippy::panic,
        reason = "a misspelt login is a defect of the test or of the demo"
    )]
    pub fn account(&self, login: &str) -> Account {
        let state = self.state();
        let Some((login, _)) = state.accounts.get_key_value(login) else {
            drop(state);
            panic!("the simulator has no account {login:?}");
        };
        Account {
            simulator: self.clone(),
            login: Arc::clone(login),
        }
    }

    // ---- what has been seen

    /// The last requests of all, the oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<LoggedRequest>> {
        self.state().log.all()
    }

    /// Keeps so many requests in [`requests`](Self::requests) from now on; 4096 at first.
    pub fn set_request_log_capacity(&self, count: usize) {
        self.state().log.keep(count);
    }

    /// Waits until the condition holds: it is looked at now, and after every change and request.
    /// What the clock alone brings about is not seen.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let mut moved = self.shared.moved.subscribe();
        loop {
            moved.borrow_and_update();
            if condition(self) {
                return;
            }
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    // ---- for the faces

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves no half-made state here worth refusing.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify_waiters(&self) {
        self.shared
            .moved
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn log(&self, request: LoggedRequest) {
        self.state().log.push(request);
        self.notify_waiters();
    }

    /// Counts a request and takes the fault that befalls it.
    pub(super) fn begin(&self, login: &Arc<str>, kind: Kind) -> Option<Visit> {
        let mut state = self.state();
        let account = state.accounts.get_mut(login)?;
        match kind {
            Kind::List => account.counters.lists += 1,
            Kind::Login => account.counters.logins += 1,
            Kind::Connect => account.counters.connects += 1,
            Kind::StreamRequest { first } => {
                account.counters.stream_requests += 1;
                account.counters.subscriptions += u64::from(first);
            }
        }
        account.counters.in_flight += 1;
        account.counters.max_in_flight = account
            .counters
            .max_in_flight
            .max(account.counters.in_flight);
        let fault = account.faults.next(kind);
        drop(state);
        self.notify_waiters();
        Some(Visit {
            world: self.clone(),
            login: Arc::clone(login),
            fault,
        })
    }

    /// The account's answer to a request for its list, and whether it likes to be compressed.
    pub(super) fn answer(&self, login: &str) -> Option<(Bytes, bool)> {
        let now = self.now();
        let mut state = self.state();
        let account = state.accounts.get_mut(login)?;
        let quirks = account.options.clone();
        Some((
            session_list::body(account.open_sessions(now), &quirks, now),
            quirks.gzip,
        ))
    }

    /// The account that this SID opens.
    #[must_use]
    pub fn login_of_sid(&self, sid: &str) -> Option<Arc<str>> {
        self.state()
            .sids
            .get(sid)
            .filter(|sid| sid.alive)
            .map(|sid| Arc::clone(&sid.login))
    }

    /// The account that this SID opens, or opened once.
    pub(super) fn account_of_sid(&self, sid: &str) -> Option<Arc<str>> {
        self.state().sids.get(sid).map(|sid| Arc::clone(&sid.login))
    }
}

/// A request under way. Dropped when its answer is made, or the client has gone.
pub(super) struct Visit {
    world: Simulator,
    pub(super) login: Arc<str>,
    pub(super) fault: Option<Fault>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(account) = self.world.state().accounts.get_mut(&self.login) {
            account.counters.in_flight = account.counters.in_flight.saturating_sub(1);
        }
        self.world.notify_waiters();
    }
}

/// One account of a [`Simulator`]. Clones are the same account.
///
#[derive(Clone, Debug)]
pub struct Account {
    simulator: Simulator,
    login: Arc<str>,
}

impl Account {
    /// Opens a session and returns its id.
    pub fn open_session(&self, spec: SessionSpec) -> i64 {
        let now = self.simulator.now();
        self.change(|state, login| state.open(login, spec, now))
    }

    /// Lets an open session end this long from now. One that is over already stays so.
    ///
    /// # Panics
    /// Where no session had this id.
    pub fn extend_session(&self, id: i64, lifetime: Duration) {
        let now = self.simulator.now();
        self.change_session(id, |account| {
            let session = account.sessions.get_mut(&id);
            if let Some(session) = session.filter(|session| session.is_open(now)) {
                session.expires = later(now, lifetime);
            }
        });
    }

    /// Ends an open session before its time. One that is over already stays so.
    ///
    /// # Panics
    /// Where no session had this id.
    pub fn close_session(&self, id: i64) {
        self.change_session(id, |account| drop(account.sessions.remove(&id)));
    }

    /// The sessions that are open now, by id.
    #[must_use]
    pub fn open_sessions(&self) -> Vec<Session> {
        let now = self.simulator.now();
        self.read(|account| account.open_sessions(now).cloned().collect())
    }

    /// The open sessions as JSON, without anything around the list.
    #[must_use]
    pub fn sessions_json(&self) -> Vec<Value> {
        let now = self.simulator.now();
        self.read(|account| {
            let options = account.options.clone();
            session_list::list(account.open_sessions(now), &options, now)
        })
    }

    /// Changes how the answers look. The closure runs under the simulator's lock: it must not use the simulator.
    pub fn set_response_options(&self, change: impl FnOnce(&mut ResponseOptions)) {
        self.change_account(|account| {
            change(&mut account.options);
            account.mark_changed();
        });
    }

    /// Changes what the login form answers to the right password.
    pub fn set_login_behaviour(&self, behaviour: LoginBehaviour) {
        self.change_account(|account| account.login_behaviour = behaviour);
    }

    /// Changes the password.
    pub fn set_password(&self, password: impl Into<String>) {
        self.change_account(|account| account.password = Some(password.into()));
    }

    /// Accepts one more SID, or a revoked one again.
    pub fn accept_sid(&self, sid: impl Into<String>) {
        self.change(|state, login| state.accept_sid(login, sid.into()));
    }

    /// Revokes every SID of the account: its list is refused until a login.
    pub fn revoke_sids(&self) {
        self.change(State::revoke_sids);
    }

    /// Makes requests of the account fail. Faults apply in the order in which they were injected.
    pub fn inject_fault(&self, target: FaultTarget, repeat: Repeat, fault: Fault) {
        self.change_account(|account| account.faults.enqueue(target, repeat, fault));
    }

    /// Removes every fault of the account.
    pub fn clear_faults(&self) {
        self.change_account(|account| account.faults.clear());
    }

    /// What the account's server has received so far.
    #[must_use]
    pub fn counters(&self) -> RequestCounters {
        self.read(|account| account.counters)
    }

    /// Login attempts, including refused and failed ones.
    #[must_use]
    pub fn login_count(&self) -> u64 {
        self.counters().logins
    }

    /// Requests for the list over HTTP, including refused and failed ones.
    #[must_use]
    pub fn list_request_count(&self) -> u64 {
        self.counters().lists
    }

    pub(super) fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    pub(super) fn login(&self) -> &str {
        &self.login
    }

    /// Grows when the list changes, in content or looks, and when the SIDs are revoked. An expiry is noticed
    /// only when the list is read; see [`next_expiry`](Self::next_expiry).
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.read(|account| account.generation.subscribe())
    }

    /// When the next open session expires.
    pub(super) fn next_expiry(&self) -> Option<SystemTime> {
        let now = self.simulator.now();
        self.read(|account| account.open_sessions(now).map(|it| it.expires).min())
    }

    fn change_session(&self, id: i64, change: impl FnOnce(&mut AccountState)) {
        self.change(|state, login| {
            assert!(
                state.has_issued(id),
                "the simulator never opened a session {id}"
            );
            if let Some(account) = state.accounts.get_mut(login) {
                change(account);
                account.mark_changed();
            }
        });
    }

    #[expect(clippy::panic, reason = "accounts are replaced and never removed")]
    fn read<T>(&self, read: impl FnOnce(&mut AccountState) -> T) -> T {
        let mut state = self.simulator.state();
        let Some(account) = state.accounts.get_mut(&self.login) else {
            panic!("the simulator has no account {:?}", self.login);
        };
        read(account)
    }

    fn change_account<T>(&self, change: impl FnOnce(&mut AccountState) -> T) -> T {
        let result = self.read(change);
        self.simulator.notify_waiters();
        result
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, &Arc<str>) -> T) -> T {
        let result = change(&mut self.simulator.state(), &self.login);
        self.simulator.notify_waiters();
        result
    }
}
