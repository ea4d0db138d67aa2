//! The simulated platform's state: accounts with their sessions, SIDs, keys, faults and counters.
//!
//! No lock and no clock: the time is an argument.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use ring::digest;
use tokio::sync::{oneshot, watch};

use super::fault::{Disconnect, FaultQueue};
use super::options::{AccountSpec, ErrorEnvelope, ResponseShape};
use super::request::LoggedRequest;
use super::session::{API_KEY, Session, SessionSpec};
use super::session_list;

pub(super) struct State {
    pub(super) accounts: HashMap<Arc<str>, AccountState>,
    pub(super) sids: HashMap<String, SidEntry>,
    pub(super) keys: HashMap<String, ApiKeyEntry>,
    /// The last requests; bounded, so that a simulator runs for months.
    pub(super) log: VecDeque<Arc<LoggedRequest>>,
    pub(super) log_capacity: usize,
    pub(super) connections: HashMap<u64, ConnectionHandle>,
    next_connection: u64,
    next_session: i64,
    sids_issued: u64,
}

pub(super) struct AccountState {
    pub(super) login: Arc<str>,
    pub(super) spec: AccountSpec,
    pub(super) sessions: BTreeMap<i64, Session>,
    pub(super) faults: FaultQueue,
    pub(super) counters: RequestCounters,
    /// Grows when the list changes, in content or looks, and when the SIDs are revoked.
    pub(super) generation: watch::Sender<u64>,
}

/// Whose an SID is. A revoked one is kept, so that a request with it is counted for its account.
pub(super) struct SidEntry {
    pub(super) login: Arc<str>,
    pub(super) valid: bool,
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

/// The requests that an account's server has received so far.
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
            log: VecDeque::new(),
            log_capacity: 4096,
            connections: HashMap::new(),
            next_connection: 0,
            // The vendor's sample begins here.
            next_session: 7_165_011,
            sids_issued: 0,
        }
    }
}

impl State {
    pub(super) fn add(&mut self, spec: AccountSpec) -> Arc<str> {
        let login: Arc<str> = Arc::from(spec.login.as_str());
        for (public, secret) in spec.keys.iter().cloned() {
            let login = Arc::clone(&login);
            self.keys.insert(public, ApiKeyEntry { login, secret });
        }
        for sid in spec.sids.iter().cloned() {
            self.accept_sid(&login, sid);
        }
        let account = AccountState {
            login: Arc::clone(&login),
            spec,
            sessions: BTreeMap::new(),
            faults: FaultQueue::default(),
            counters: RequestCounters::default(),
            generation: watch::Sender::new(0),
        };
        self.accounts.insert(Arc::clone(&login), account);
        login
    }

    pub(super) fn open_session(&mut self, login: &str, spec: SessionSpec, now: SystemTime) -> i64 {
        let id = self.next_session;
        self.next_session += 1;
        if let Some(account) = self.accounts.get_mut(login) {
            let start = now.checked_sub(spec.age).unwrap_or(now);
            let session = Session {
                id,
                safety_type_id: spec.safety_type_id,
                start,
                expires: start.checked_add(spec.lifetime).unwrap_or(start),
                client_ip: spec.client_ip,
            };
            account.sessions.insert(id, session);
            account.mark_changed();
        }
        id
    }

    pub(super) fn accept_sid(&mut self, login: &Arc<str>, sid: String) {
        let login = Arc::clone(login);
        self.sids.insert(sid, SidEntry { login, valid: true });
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
    /// Where the SID is unknown or revoked.
    pub(super) fn account_of_sid(&self, sid: &str) -> Result<Arc<str>, (u16, ErrorEnvelope)> {
        let entry = self.sids.get(sid).filter(|entry| entry.valid);
        let entry = entry.ok_or_else(|| (200, access_denied()))?;
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

    pub(super) fn log(&mut self, request: LoggedRequest) {
        self.log.push_back(Arc::new(request));
        let surplus = self.log.len().saturating_sub(self.log_capacity);
        self.log.drain(..surplus);
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

    /// Disconnects the streams of an account, and returns how many there were.
    pub(super) fn disconnect(&mut self, account: &str, how: Disconnect) -> usize {
        let is_chosen =
            |connection: &ConnectionHandle| connection.account.as_deref() == Some(account);
        let chosen = self.connections.extract_if(|_, it| is_chosen(it));
        chosen
            .filter_map(|(_, connection)| connection.disconnect.send(how).ok())
            .count()
    }
}

impl AccountState {
    pub(super) fn open_sessions(&mut self, now: SystemTime) -> impl Iterator<Item = &Session> {
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.expires > now);
        if self.sessions.len() < before {
            self.mark_changed();
        }
        self.sessions.values()
    }

    /// The list that is answered now.
    pub(super) fn list(&mut self, shape: ResponseShape, now: SystemTime) -> Bytes {
        drop(self.open_sessions(now));
        session_list::body(self.sessions.values(), &self.spec, shape, now)
    }

    pub(super) fn mark_changed(&self) {
        self.generation
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The error of every request that lacks a right.
pub(super) fn access_denied() -> ErrorEnvelope {
    ErrorEnvelope::err_msg(12, "Access denied: authorization required")
}
