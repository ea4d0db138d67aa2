//! The data of the demo's server: its accounts, and the sessions that are open at the start.

use std::time::Duration;

use crate::simulator::{AccountSpec, ExpireUnit, ResponseShape, SessionSpec, Simulator};

/// A demo runs for days; its request log is not read.
const REQUEST_LOG_CAPACITY: usize = 64;

/// The accounts that have no session at the start.
const WITHOUT_SESSIONS: [&str; 2] = ["mobile-1", "reserve"];

/// Account, safety type, lifetime and age in seconds, and the client's address.
pub(super) const SESSIONS: [(&str, i64, u64, u64, &str); 11] = [
    ("desk-1", 2, 8 * 3600, 3 * 3600, "203.0.113.21"),
    ("desk-1", 3, 600, 565, "203.0.113.22"),
    ("desk-2", 3, 12 * 3600, 2 * 3600, "203.0.113.40"),
    ("desk-2", 2, 1800, 1750, "2001:db8::41"),
    ("desk-3", 4, 24 * 3600, 23 * 3600, "203.0.113.60"),
    ("desk-3", 2, 300, 60, "203.0.113.61"),
    ("bot-alpha", 2, 300, 180, "192.0.2.10"),
    ("bot-beta", 2, 24 * 3600, 7 * 3600, "192.0.2.20"),
    ("bot-gamma", 2, 120, 100, "192.0.2.30"),
    ("bot-gamma", 2, 120, 75, "192.0.2.31"),
    ("terminal-1", 3, 60, 20, "203.0.113.90"),
];

/// The login of an account.
pub(super) fn login(account: &str) -> String {
    format!("{account}@example.com")
}

/// Adds the accounts with their sessions. The credentials are fake, and valid for the demo's simulator only.
pub(super) fn add(simulator: &Simulator) {
    simulator.set_request_log_capacity(REQUEST_LOG_CAPACITY);
    let mut names = Vec::from(WITHOUT_SESSIONS);
    names.extend(SESSIONS.map(|(account, ..)| account));
    names.dedup();
    for name in names {
        let of = |kind| format!("demo-{kind}-{name}");
        let mut spec = AccountSpec::new(login(name)).sid(of("sid"));
        spec = spec.password(of("password")).key(of("key"), of("secret"));
        match name {
            "desk-1" => spec.login_session = Some(Duration::from_secs(1200)),
            "desk-2" => spec.user_login = Some("broker-client-2041".to_owned()),
            "desk-3" => spec.expire_unit = ExpireUnit::Seconds,
            "bot-alpha" => spec.key_session = Some(Duration::from_secs(3600)),
            "reserve" => spec.shape = ResponseShape::ResponseInArray,
            _ => {}
        }
        simulator.add_account(spec);
    }
    for (account, safety_type, lifetime, age, address) in SESSIONS {
        let session = SessionSpec::new(safety_type, Duration::from_secs(lifetime));
        let session = session.age(Duration::from_secs(age)).client_ip(address);
        simulator.account(&login(account)).open_session(session);
    }
}
