//! The simulated platform as tests, the demo and the faces hold it: one state, one clock, and who waits.
//!
//! Knows nothing of HTTP or of any other way in: faces read requests, ask here, and write answers. Tests
//! and the demo change the state and look at the effect. The lock is a plain mutex: it is held for moments
//! and never across an await.

use std::error::Error;
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
use super::state::{Account, RequestCounters, State};

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

/// The world has no such account or session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound(String);

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulator has no {}", self.0)
    }
}

impl Error for NotFound {}

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
    pub fn add_account(&self, spec: AccountSpec) {
        self.state().add(spec);
        self.note();
    }

    // ---- sessions

    /// Opens a session and tells its id.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account.
    pub fn open(&self, login: &str, spec: SessionSpec) -> Result<i64, NotFound> {
        let now = self.now();
        self.change(login, |state, login| state.open(login, spec, now))?
            .ok_or_else(|| no_account(login))
    }

    /// Lets a session end so long from now.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account or no such open session.
    pub fn renew(&self, login: &str, id: i64, lifetime: Duration) -> Result<(), NotFound> {
        let now = self.now();
        self.change(login, |state, login| {
            let account = state.accounts.get_mut(login)?;
            let session = account.sessions.get_mut(&id);
            session.filter(|session| session.is_open(now))?.expires = later(now, lifetime);
            account.bump();
            Some(())
        })?
        .ok_or_else(|| no_session(login, id))
    }

    /// Ends a session before its time.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account or no such open session.
    pub fn close(&self, login: &str, id: i64) -> Result<(), NotFound> {
        let now = self.now();
        self.change(login, |state, login| {
            let account = state.accounts.get_mut(login)?;
            let session = account.sessions.remove(&id);
            account.bump();
            session.filter(|session| session.is_open(now)).map(drop)
        })?
        .ok_or_else(|| no_session(login, id))
    }

    /// The sessions that are open now, by id. None for an unknown account.
    #[must_use]
    pub fn sessions(&self, login: &str) -> Vec<Session> {
        let now = self.now();
        let mut state = self.state();
        let account = state.accounts.get_mut(login);
        account
            .map(|account| account.open_sessions(now).cloned().collect())
            .unwrap_or_default()
    }

    /// When the next open session ends: a face that pushes lists pushes one then.
    #[must_use]
    pub fn next_expiry(&self, login: &str) -> Option<SystemTime> {
        let now = self.now();
        self.state()
            .accounts
            .get_mut(login)?
            .open_sessions(now)
            .map(|session| session.expires)
            .min()
    }

    // ---- how an account behaves

    /// Changes how the answers look. The closure must not ask the world: it runs under its lock.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account.
    pub fn set_quirks(
        &self,
        login: &str,
        change: impl FnOnce(&mut ResponseOptions),
    ) -> Result<(), NotFound> {
        self.change_account(login, |account| {
            change(&mut account.quirks);
            account.bump();
        })
    }

    /// Changes what the login form answers to the right password.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account.
    pub fn set_login_behaviour(
        &self,
        login: &str,
        behaviour: LoginBehaviour,
    ) -> Result<(), NotFound> {
        self.change_account(login, |account| account.login_behaviour = behaviour)
    }

    /// Changes the password.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account.
    pub fn set_password(&self, login: &str, password: impl Into<String>) -> Result<(), NotFound> {
        self.change_account(login, |account| account.password = Some(password.into()))
    }

    /// Accepts one more SID, or one that had been forgotten.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account.
    pub fn add_sid(&self, login: &str, sid: impl Into<String>) -> Result<(), NotFound> {
        self.change(login, |state, login| state.accept_sid(login, sid.into()))
    }

    /// Forgets every SID of the account, as a platform does when it restarts: lists are refused until a login.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account.
    pub fn forget_sids(&self, login: &str) -> Result<(), NotFound> {
        self.change(login, State::forget_sids)
    }

    /// How far a V3 timestamp may lie from the world's time, either way; five minutes at first.
    pub fn set_timestamp_tolerance(&self, tolerance: Duration) {
        self.state().timestamp_tolerance = tolerance;
    }

    // ---- faults

    /// Lets requests of an account fail. Faults happen in the order they were given.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account.
    pub fn fail(
        &self,
        login: &str,
        target: FaultTarget,
        times: Repeat,
        fault: Fault,
    ) -> Result<(), NotFound> {
        self.change_account(login, |account| account.faults.push(target, times, fault))
    }

    /// Takes back every fault that the account has coming.
    ///
    /// # Errors
    /// [`NotFound`] if there is no such account.
    pub fn heal(&self, login: &str) -> Result<(), NotFound> {
        self.change_account(login, |account| account.faults.clear())
    }

    // ---- what has been seen

    /// What the account's server has seen; zeroes for an unknown account.
    #[must_use]
    pub fn seen(&self, login: &str) -> RequestCounters {
        self.state()
            .accounts
            .get(login)
            .map(|account| account.seen)
            .unwrap_or_default()
    }

    /// Login attempts of this account, refused and broken ones too.
    #[must_use]
    pub fn logins_seen(&self, login: &str) -> u64 {
        self.seen(login).logins
    }

    /// Requests for this account's list, whatever became of them.
    #[must_use]
    pub fn lists_seen(&self, login: &str) -> u64 {
        self.seen(login).lists
    }

    /// The last requests of all, the oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<LoggedRequest>> {
        self.state().log.all()
    }

    /// Keeps so many requests in [`requests`](Self::requests) from now on; 4096 at first.
    pub fn keep_requests(&self, count: usize) {
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

    /// A number that grows when the list changes, in content or looks, and when the SIDs are forgotten: for
    /// faces that push. An expiry is such a change only once someone has looked; see [`next_expiry`](Self::next_expiry).
    #[must_use]
    pub fn watch(&self, login: &str) -> Option<watch::Receiver<u64>> {
        self.state()
            .accounts
            .get(login)
            .map(|account| account.generation.subscribe())
    }

    // ---- for the faces

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves no half-made state here worth refusing.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self) {
        self.shared
            .moved
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn log(&self, request: LoggedRequest) {
        self.state().log.push(request);
        self.note();
    }

    /// Counts a request and takes the fault that befalls it.
    pub(super) fn begin(&self, login: &Arc<str>, kind: Kind) -> Option<Visit> {
        let mut state = self.state();
        let account = state.accounts.get_mut(login)?;
        match kind {
            Kind::List => account.seen.lists += 1,
            Kind::Login => account.seen.logins += 1,
            Kind::Connect => account.seen.connects += 1,
            Kind::StreamRequest { first } => {
                account.seen.stream_requests += 1;
                account.seen.subscriptions += u64::from(first);
            }
        }
        account.seen.in_flight += 1;
        account.seen.max_in_flight = account.seen.max_in_flight.max(account.seen.in_flight);
        let fault = account.faults.next(kind);
        drop(state);
        self.note();
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
        let quirks = account.quirks.clone();
        Some((
            session_list::body(account.open_sessions(now), &quirks, now),
            quirks.gzip,
        ))
    }

    /// The account's open sessions as JSON, without anything around the list.
    #[must_use]
    pub fn list(&self, login: &str) -> Option<Vec<Value>> {
        let now = self.now();
        let mut state = self.state();
        let account = state.accounts.get_mut(login)?;
        let quirks = account.quirks.clone();
        Some(session_list::list(account.open_sessions(now), &quirks, now))
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

    pub(super) fn is_there(&self, login: &str) -> Result<(), NotFound> {
        let there = self.state().accounts.contains_key(login);
        there.then_some(()).ok_or_else(|| no_account(login))
    }

    fn change_account<T>(
        &self,
        login: &str,
        change: impl FnOnce(&mut Account) -> T,
    ) -> Result<T, NotFound> {
        self.change(login, |state, login| {
            state.accounts.get_mut(login).map(change)
        })?
        .ok_or_else(|| no_account(login))
    }

    fn change<T>(
        &self,
        login: &str,
        change: impl FnOnce(&mut State, &Arc<str>) -> T,
    ) -> Result<T, NotFound> {
        let mut state = self.state();
        let login = state
            .accounts
            .get(login)
            .map(|account| Arc::clone(&account.login))
            .ok_or_else(|| no_account(login))?;
        let result = change(&mut state, &login);
        drop(state);
        self.note();
        Ok(result)
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
            account.seen.in_flight = account.seen.in_flight.saturating_sub(1);
        }
        self.world.note();
    }
}

fn no_account(login: &str) -> NotFound {
    NotFound(format!("account {login}"))
}

fn no_session(login: &str, id: i64) -> NotFound {
    NotFound(format!("open session {id} of {login}"))
}
