//! What a world holds behind its lock: accounts with their sessions, SIDs, keys, and counters.
//!
//! No lock and no clock of its own: the time is an argument.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ring::digest;
use tokio::sync::watch;

use super::fault::Faults;
use super::options::{AccountSpec, LoginBehaviour, LoginSession, ResponseOptions};
use super::request_log::RequestLog;
use super::session::{Session, SessionSpec};
use super::stream::Streams;

/// SIDs that an account remembers; the oldest makes room, so that a world runs for ever.
const SIDS_PER_ACCOUNT: usize = 64;

/// How far a V3 timestamp may lie from the world's time, either way.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

pub(super) struct State {
    pub(super) accounts: HashMap<Arc<str>, AccountState>,
    pub(super) sids: HashMap<String, Sid>,
    pub(super) keys: HashMap<String, Key>,
    pub(super) timestamp_tolerance: Duration,
    pub(super) log: RequestLog,
    pub(super) streams: Streams,
    next_session: i64,
    sids_made: u64,
}

pub(super) struct AccountState {
    pub(super) login: Arc<str>,
    pub(super) password: Option<String>,
    user_login: String,
    pub(super) login_behaviour: LoginBehaviour,
    pub(super) own_login: Option<LoginSession>,
    pub(super) logins_per_minute: usize,
    pub(super) recent_logins: VecDeque<SystemTime>,
    pub(super) options: ResponseOptions,
    pub(super) sessions: BTreeMap<i64, Session>,
    sids: VecDeque<String>,
    pub(super) faults: Faults,
    pub(super) counters: RequestCounters,
    pub(super) generation: watch::Sender<u64>,
}

/// Whose a SID is, and whether it still opens anything.
pub(super) struct Sid {
    pub(super) login: Arc<str>,
    pub(super) alive: bool,
}

pub(super) struct Key {
    pub(super) login: Arc<str>,
    pub(super) secret: String,
    pub(super) last_nonce: u64,
}

/// What an account's server has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCounters {
    /// Login attempts, refused and broken ones too.
    pub logins: u64,
    /// Logins that gave out a SID.
    pub logins_accepted: u64,
    /// Requests for the list, whatever became of them.
    pub lists: u64,
    /// Handshakes of streams, whatever became of them.
    pub connects: u64,
    /// Streams that have asked for the list at least once.
    pub subscriptions: u64,
    /// Requests for the list over streams, whatever became of them.
    pub stream_requests: u64,
    /// Streams that are open.
    pub connected: usize,
    /// The most streams that were ever open at once.
    pub max_connected: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// The most requests that were ever under way at once.
    pub max_in_flight: usize,
}

impl Default for State {
    fn default() -> Self {
        Self {
            accounts: HashMap::new(),
            sids: HashMap::new(),
            keys: HashMap::new(),
            timestamp_tolerance: DEFAULT_TOLERANCE,
            log: RequestLog::default(),
            streams: Streams::default(),
            // The vendor's sample begins here.
            next_session: 7_165_011,
            sids_made: 0,
        }
    }
}

impl State {
    /// Adds an account in the place of any other of its login.
    pub(super) fn add(&mut self, spec: AccountSpec) {
        let login: Arc<str> = Arc::from(spec.login);
        if self.accounts.remove(&login).is_some() {
            self.sids.retain(|_, sid| sid.login != login);
            self.keys.retain(|_, key| key.login != login);
        }
        for (public, secret) in spec.keys {
            let login = Arc::clone(&login);
            self.keys.insert(
                public,
                Key {
                    login,
                    secret,
                    last_nonce: 0,
                },
            );
        }
        let account = AccountState {
            login: Arc::clone(&login),
            password: spec.password,
            user_login: spec.user_login.unwrap_or_else(|| login.to_string()),
            login_behaviour: spec.login_behaviour,
            own_login: spec.own_login,
            logins_per_minute: spec.logins_per_minute,
            recent_logins: VecDeque::new(),
            options: spec.options,
            sessions: BTreeMap::new(),
            sids: VecDeque::new(),
            faults: Faults::default(),
            counters: RequestCounters::default(),
            generation: watch::Sender::new(0),
        };
        self.accounts.insert(Arc::clone(&login), account);
        for sid in spec.sids {
            self.accept_sid(&login, sid);
        }
    }

    pub(super) fn open(&mut self, login: &str, spec: SessionSpec, now: SystemTime) -> i64 {
        let id = spec.id.unwrap_or(self.next_session);
        self.next_session = self.next_session.max(id.saturating_add(1));
        let Some(account) = self.accounts.get_mut(login) else {
            return id;
        };
        let session = Session::open(id, &account.login, &account.user_login, spec, now);
        account.sessions.insert(id, session);
        account.mark_changed();
        id
    }

    /// Whether a session may have had this id.
    pub(super) fn has_issued(&self, id: i64) -> bool {
        id < self.next_session
    }

    pub(super) fn accept_sid(&mut self, login: &Arc<str>, sid: String) {
        let Some(account) = self.accounts.get_mut(login) else {
            return;
        };
        if !account.sids.contains(&sid) {
            account.sids.push_back(sid.clone());
        }
        if account.sids.len() > SIDS_PER_ACCOUNT
            && let Some(oldest) = account.sids.pop_front()
        {
            self.sids.remove(&oldest);
        }
        self.sids.insert(
            sid,
            Sid {
                login: Arc::clone(login),
                alive: true,
            },
        );
    }

    // Kept as dead ones: a request that still carries one is counted for its account.
    pub(super) fn revoke_sids(&mut self, login: &Arc<str>) {
        let Some(account) = self.accounts.get(login) else {
            return;
        };
        for sid in &account.sids {
            if let Some(sid) = self.sids.get_mut(sid) {
                sid.alive = false;
            }
        }
        account.mark_changed();
    }

    /// A SID that nobody had before: 32 hex digits, the same in every run.
    pub(super) fn make_sid(&mut self) -> String {
        self.sids_made += 1;
        let digest = digest::digest(
            &digest::SHA256,
            format!("sid {}", self.sids_made).as_bytes(),
        );
        digest
            .as_ref()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl AccountState {
    pub(super) fn open_sessions(&mut self, now: SystemTime) -> impl Iterator<Item = &Session> {
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.is_open(now));
        if self.sessions.len() < before {
            self.mark_changed();
        }
        self.sessions.values()
    }

    pub(super) fn mark_changed(&self) {
        self.generation
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
