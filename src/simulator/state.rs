//! The simulated platform's state: accounts with their sessions, SIDs, keys, faults and counters.
//!
//! No lock and no clock: the time is an argument.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use ring::digest;
use tokio::sync::{oneshot, watch};

use super::fault::{Disconnect, FaultQueue};
use super::options::{AccountSpec, ErrorEnvelope};
use super::request::RequestLog;
use super::session::{Session, SessionSpec};
use super::session_list::API_KEY;

/// SIDs kept per account; the oldest is forgotten, so that a simulator runs for months.
const MAX_SIDS_PER_ACCOUNT: usize = 64;

pub(super) struct State {
    pub(super) accounts: HashMap<Arc<str>, AccountState>,
    pub(super) sids: HashMap<String, SidEntry>,
    pub(super) keys: HashMap<String, ApiKeyEntry>,
    pub(super) log: RequestLog,
    pub(super) connections: HashMap<u64, ConnectionHandle>,
    next_connection: u64,
    next_session: i64,
    sids_issued: u64,
}

pub(super) struct AccountState {
    login: Arc<str>,
    /// Sessions, SIDs and keys apart, what the account was added with.
    pub(super) spec: AccountSpec,
    sessions: BTreeMap<i64, Session>,
    sids: VecDeque<String>,
    pub(super) faults: FaultQueue,
    pub(super) counters: RequestCounters,
    /// Grows when the list changes, in content or looks, and when the SIDs are revoked.
    pub(super) generation: watch::Sender<u64>,
}

/// Whose an SID is. A revoked one is kept, so that a request with it is counted for its account.
pub(super) struct SidEntry {
    pub(super) login: Arc<str>,
    pub(super) valid: bool,
    /// Issued by a view-only login.
    pub(super) view_only: bool,
}

pub(super) struct ApiKeyEntry {
    pub(super) login: Arc<str>,
    pub(super) secret: String,
}

/// An open stream, as the state knows it.
pub(super) struct ConnectionHandle {
    pub(super) account: Option<Arc<str>>,
    pub(super) disconnect: oneshot::Sender<Disconnect>,
}

/// What an account's server has received so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCounters {
    /// Login attempts, including refused and failed ones.
    pub logins: u64,
    /// Logins that issued an SID.
    pub logins_accepted: u64,
    /// Requests for the list over HTTP, including refused and failed ones.
    pub lists: u64,
    /// Handshakes of streams, including refused ones.
    pub handshakes: u64,
    /// Requests for the list over streams, including failed ones.
    pub stream_requests: u64,
    /// HTTP requests that are being answered.
    pub in_flight: usize,
    /// The most HTTP requests that were being answered at once.
    pub max_in_flight: usize,
}

impl Default for State {
    fn default() -> Self {
        Self {
            accounts: HashMap::new(),
            sids: HashMap::new(),
            keys: HashMap::new(),
            log: RequestLog::default(),
            connections: HashMap::new(),
            next_connection: 0,
            // The vendor's sample begins here.
            next_session: 7_165_011,
            sids_issued: 0,
        }
    }
}

impl State {
    /// Adds an account; one of the same login is replaced.
    pub(super) fn add(&mut self, mut spec: AccountSpec) -> Arc<str> {
        let login: Arc<str> = Arc::from(spec.login.as_str());
        if self.accounts.remove(&login).is_some() {
            self.sids.retain(|_, sid| sid.login != login);
            self.keys.retain(|_, key| key.login != login);
        }
        for (public, secret) in spec.keys.drain(..) {
            let login = Arc::clone(&login);
            self.keys.insert(public, ApiKeyEntry { login, secret });
        }
        let sids = std::mem::take(&mut spec.sids);
        let account = AccountState {
            login: Arc::clone(&login),
            spec,
            sessions: BTreeMap::new(),
            sids: VecDeque::new(),
            faults: FaultQueue::default(),
            counters: RequestCounters::default(),
            generation: watch::Sender::new(0),
        };
        self.accounts.insert(Arc::clone(&login), account);
        for sid in sids {
            self.accept_sid(&login, sid, false);
        }
        login
    }

    pub(super) fn open_session(&mut self, login: &str, spec: SessionSpec, now: SystemTime) -> i64 {
        let id = spec.id.unwrap_or(self.next_session);
        self.next_session = self.next_session.max(id.saturating_add(1));
        if let Some(account) = self.accounts.get_mut(login) {
            let user = account.spec.user_login.as_deref().unwrap_or(login);
            let session = Session::open(id, login, user, spec, now);
            account.sessions.insert(id, session);
            account.mark_changed();
        }
        id
    }

    /// Whether a session may have had this id.
    pub(super) fn has_issued(&self, id: i64) -> bool {
        id < self.next_session
    }

    pub(super) fn accept_sid(&mut self, login: &Arc<str>, sid: String, view_only: bool) {
        let Some(account) = self.accounts.get_mut(login) else {
            return;
        };
        if !account.sids.contains(&sid) {
            account.sids.push_back(sid.clone());
        }
        if account.sids.len() > MAX_SIDS_PER_ACCOUNT
            && let Some(oldest) = account.sids.pop_front()
        {
            self.sids.remove(&oldest);
        }
        let entry = SidEntry {
            login: Arc::clone(login),
            valid: true,
            view_only,
        };
        self.sids.insert(sid, entry);
    }

    pub(super) fn revoke_sids(&mut self, login: &Arc<str>) {
        for sid in self.sids.values_mut().filter(|sid| sid.login == *login) {
            sid.valid = false;
        }
        if let Some(account) = self.accounts.get(login) {
            account.mark_changed();
        }
    }

    /// A new SID: 32 hex digits, the same in every run.
    pub(super) fn issue_sid(&mut self) -> String {
        self.sids_issued += 1;
        let text = format!("sid {}", self.sids_issued);
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let bytes = digest.as_ref().iter().take(16);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// The account of a valid SID.
    ///
    /// # Errors
    /// Where the SID is unknown or revoked, or belongs to a view-only login that may not read the list.
    pub(super) fn account_of_sid(&self, sid: &str) -> Result<Arc<str>, (u16, ErrorEnvelope)> {
        let denied = || (200, access_denied());
        let entry = self.sids.get(sid).filter(|entry| entry.valid);
        let entry = entry.ok_or_else(denied)?;
        let account = self.accounts.get(&entry.login).ok_or_else(denied)?;
        if entry.view_only && !account.spec.view_only_reads_list {
            let message = "you need to open a security session";
            return Err((403, ErrorEnvelope::error(None, message)));
        }
        Ok(Arc::clone(&entry.login))
    }

    /// Opens the session of type 14 that the use of a key leaves, where the account has this option.
    pub(super) fn note_key_use(&mut self, login: &Arc<str>, now: SystemTime) {
        let Some(account) = self.accounts.get_mut(login) else {
            return;
        };
        let is_open = account
            .open_sessions(now)
            .any(|session| session.safety_type_id == Some(API_KEY));
        if let Some(lifetime) = account.spec.key_session.filter(|_| !is_open) {
            let spec = SessionSpec::new(API_KEY, lifetime).client_ip("127.0.0.1");
            self.open_session(login, spec, now);
        }
    }

    /// Registers an open stream. It stays registered until its number is removed from `connections`.
    pub(super) fn register(
        &mut self,
        account: Option<Arc<str>>,
    ) -> (u64, oneshot::Receiver<Disconnect>) {
        let number = self.next_connection;
        self.next_connection += 1;
        let (disconnect, receiver) = oneshot::channel();
        let handle = ConnectionHandle {
            account,
            disconnect,
        };
        self.connections.insert(number, handle);
        (number, receiver)
    }

    /// Disconnects the streams of one account or of all, and returns how many there were.
    pub(super) fn disconnect(&mut self, account: Option<&str>, how: Disconnect) -> usize {
        let chosen = self.connections.extract_if(|_, connection| {
            account.is_none() || connection.account.as_deref() == account
        });
        chosen
            .filter_map(|(_, connection)| connection.disconnect.send(how).ok())
            .count()
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

    pub(super) fn session_mut(&mut self, id: i64, now: SystemTime) -> Option<&mut Session> {
        let session = self.sessions.get_mut(&id);
        session.filter(|session| session.is_open(now))
    }

    pub(super) fn remove_session(&mut self, id: i64) {
        self.sessions.remove(&id);
    }

    pub(super) fn mark_changed(&self) {
        self.generation
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn login(&self) -> &Arc<str> {
        &self.login
    }
}

/// The error of every request that lacks a right.
pub(super) fn access_denied() -> ErrorEnvelope {
    ErrorEnvelope::err_msg(12, "Access denied: authorization required")
}
