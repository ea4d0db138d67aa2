//! Rules that an account's sessions must satisfy.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

use crate::session::{ClientAddress, Session};

/// An account's configured limits; `None` allows anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Networks that sessions may be opened from.
    pub client_ips: Option<Vec<IpNet>>,
    /// Ids of the safety types that sessions may have.
    pub safety_types: Option<BTreeSet<i64>>,
    /// Allowed values of `user_login`.
    pub logins: Option<BTreeSet<String>>,
    /// Least number of open sessions that count for the minimum.
    pub min_sessions: Option<u64>,
    /// Only sessions with these safety types count for the minimum.
    pub min_sessions_safety_types: Option<BTreeSet<i64>>,
    /// Greatest number of open sessions.
    pub max_sessions: Option<u64>,
    /// Longest time between a session's opening and closing date.
    pub max_lifetime: Option<Duration>,
}

labels! {
    /// A rule that sessions can break.
    pub enum Rule {
        /// The client's address is not allowed, or missing.
        ClientIp = "client_ip",
        /// The safety type is not allowed, or missing.
        SafetyType = "safety_type",
        /// The login is not allowed, or missing.
        Login = "login",
        /// The lifetime is longer than allowed, or unknown together with the time left.
        Lifetime = "lifetime",
        /// More sessions are open than allowed.
        MaxSessions = "max_sessions",
        /// Fewer sessions are open than required.
        MinSessions = "min_sessions",
    }
}

impl Policy {
    /// Whether that rule is configured.
    pub fn has(&self, rule: Rule) -> bool {
        match rule {
            Rule::ClientIp => self.client_ips.is_some(),
            Rule::SafetyType => self.safety_types.is_some(),
            Rule::Login => self.logins.is_some(),
            Rule::Lifetime => self.max_lifetime.is_some(),
            Rule::MaxSessions => self.max_sessions.is_some(),
            Rule::MinSessions => self.min_sessions.is_some(),
        }
    }

    /// The rules that one session breaks. `time_left_ms` is its time left in milliseconds.
    pub fn violations(&self, session: &Session, time_left_ms: Option<f64>) -> Vec<Rule> {
        let in_networks = |networks: &Vec<IpNet>| match &session.client {
            Some(ClientAddress::Ip(ip)) => networks.iter().any(|network| network.contains(ip)),
            Some(ClientAddress::Unparsed(_)) | None => false,
        };
        let short_enough = |limit: Duration| {
            let lifetime_ms = session.lifetime_ms.or(time_left_ms);
            lifetime_ms.is_some_and(|ms| ms <= limit.as_secs_f64() * 1000.0)
        };
        let login = session.user_login.as_deref();
        let allowed = [
            (Rule::ClientIp, self.client_ips.as_ref().map(in_networks)),
            (
                Rule::SafetyType,
                self.safety_types.as_ref().map(|ids| has_type(session, ids)),
            ),
            (
                Rule::Login,
                self.logins
                    .as_ref()
                    .map(|logins| login.is_some_and(|login| logins.contains(login))),
            ),
            (Rule::Lifetime, self.max_lifetime.map(short_enough)),
        ];
        allowed
            .into_iter()
            .filter_map(|(rule, allowed)| (allowed == Some(false)).then_some(rule))
            .collect()
    }

    /// Whether the session counts for the minimum.
    pub fn counts_for_minimum(&self, session: &Session) -> bool {
        let types = self.min_sessions_safety_types.as_ref();
        types.is_none_or(|ids| has_type(session, ids))
    }
}

fn has_type(session: &Session, ids: &BTreeSet<i64>) -> bool {
    session.safety_type.is_some_and(|id| ids.contains(&id))
}

#[cfg(test)]
mod tests;
