//! The domain: a security session, and the list of them in one good answer.
//!
//! It knows no wire names, no metrics and no runtime, and time is an argument. A field that an answer
//! left out is an `Option`; an entry that is not a session is only counted.

pub mod diff;
pub mod expire_unit;
pub mod rules;
pub mod safety_type;
pub mod summary;
pub mod tracker;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::clock::Timestamps;

/// One open security session as the last answer showed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Unique for the account.
    pub id: u64,
    /// Id of the safety type; `None` where the server sent none.
    pub safety_type: Option<i64>,
    /// The login that opened the session.
    pub user_login: Option<Arc<str>>,
    /// The address that opened the session.
    pub client: Option<ClientAddress>,
    /// Time left when the answer was made, in the server's unit; finite, may be negative.
    pub time_left: Option<f64>,
    /// Hash of the closing date as the server wrote it. A renewal changes it.
    pub expire_datetime_hash: Option<u64>,
    /// The closing date in milliseconds since the epoch, read as UTC where it names no zone.
    pub expire_datetime_ms: Option<f64>,
    /// Closing date less opening date in milliseconds: needs no time zone.
    pub lifetime_ms: Option<f64>,
}

/// A client's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientAddress {
    /// An address; an IPv4 address mapped into IPv6 is the IPv4 address.
    Ip(IpAddr),
    /// Any other text: equal to itself and in no network.
    Unparsed(Arc<str>),
}

impl ClientAddress {
    /// Parses an address; `None` for empty text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = Some(text.trim()).filter(|text| !text.is_empty())?;
        Some(match text.parse::<IpAddr>() {
            Ok(ip) => Self::Ip(ip.to_canonical()),
            Err(_) => Self::Unparsed(text.into()),
        })
    }
}

impl std::fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unparsed(text) => f.write_str(text),
        }
    }
}

/// One good answer: the sessions by ascending id, each id once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionList {
    sessions: Vec<Session>,
    undecodable: u64,
}

impl SessionList {
    /// Takes sessions in the order of the answer; of those with the same id the last one wins
    /// and the others count as undecodable.
    pub fn new(mut sessions: Vec<Session>, undecodable: u64) -> Self {
        let received = sessions.len();
        // Reversed and sorted stably, the last of each id comes first, and `dedup` keeps firsts.
        sessions.reverse();
        sessions.sort_by_key(|session| session.id);
        sessions.dedup_by_key(|session| session.id);
        sessions.shrink_to_fit();
        let repeated = received - sessions.len();
        Self {
            undecodable: undecodable + repeated as u64,
            sessions,
        }
    }

    /// Replaces the server's texts: logins, and addresses that cannot be parsed. Sessions of one login
    /// share its text.
    #[must_use]
    pub fn map_texts(mut self, map: impl Fn(&str) -> String) -> Self {
        let mut logins = BTreeMap::<Arc<str>, Arc<str>>::new();
        for session in &mut self.sessions {
            if let Some(login) = &mut session.user_login {
                let mapped = logins.entry(Arc::clone(login));
                *login = Arc::clone(mapped.or_insert_with_key(|login| map(login).into()));
            }
            if let Some(ClientAddress::Unparsed(text)) = &mut session.client {
                *text = map(text).into();
            }
        }
        self
    }

    /// The sessions by ascending id.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// The session with that id.
    pub fn get(&self, id: u64) -> Option<&Session> {
        self.sessions
            .binary_search_by_key(&id, |session| session.id)
            .ok()
            .and_then(|index| self.sessions.get(index))
    }

    /// Entries that are not sessions, or repeat an id.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }
}

/// A good answer and when it was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The sessions.
    pub list: SessionList,
    /// When the answer's last byte was received.
    pub received_at: Timestamps,
}

#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;
