//! The login form: its limit, its refusals, and the ways in which a SID is handed out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::handles::Simulator;
use super::options::{ErrorEnvelope, LoginBehaviour};
use super::response::{Reply, Sent};
use super::session::SessionSpec;
use super::state::State;

/// Logins are counted over this time.
const WINDOW: Duration = Duration::from_secs(60);

/// What the form answers, and what the login does to the world.
pub(super) fn answer(world: &Simulator, sent: &Sent, remember: bool, peer: IpAddr) -> Reply {
    let now = world.now();
    let reply = submit(&mut world.state(), sent, remember, peer, now);
    world.notify_waiters();
    match reply {
        Ok(reply) => reply,
        Err(envelope) => Reply::envelope(200, &envelope, sent),
    }
}

fn submit(
    state: &mut State,
    sent: &Sent,
    remember: bool,
    peer: IpAddr,
    now: SystemTime,
) -> Result<Reply, ErrorEnvelope> {
    let unknown = || ErrorEnvelope::error(7, "User not found");
    let (login, _) = state
        .accounts
        .get_key_value(sent.login.as_str())
        .ok_or_else(unknown)?;
    let login = Arc::clone(login);
    let account = state.accounts.get_mut(&login).ok_or_else(unknown)?;

    let recent = &mut account.recent_logins;
    recent.retain(|time| now.duration_since(*time).is_ok_and(|age| age < WINDOW));
    if recent.len() >= account.logins_per_minute {
        let age = recent
            .front()
            .and_then(|time| now.duration_since(*time).ok())
            .unwrap_or_default();
        let wait = WINDOW.saturating_sub(age).as_secs().max(1);
        return Ok(
            Reply::page(429, "429 Too Many Requests").header("retry-after", wait.to_string())
        );
    }
    recent.push_back(now);
    if account.password.as_deref() != Some(sent.password.as_str()) {
        return Err(ErrorEnvelope::error(12, "Wrong login or password"));
    }

    let body_only = |key: &str, sid: &str| json!({ key: sid, "logged": true });
    match account.login_behaviour.clone() {
        LoginBehaviour::Reject(envelope) => Err(envelope),
        LoginBehaviour::RejectWithAnonymousSid(envelope) => {
            // The anonymous visitor's own SID: it opens nothing.
            let anonymous = state.make_sid();
            let reply = Reply::envelope(200, &envelope, sent);
            Ok(cookies(reply, state, &anonymous, remember))
        }
        LoginBehaviour::SmsCodeRequired => Ok(Reply::json(
            &json!({ "error": false, "logged": false, "needSms": true }),
        )),
        LoginBehaviour::MaintenancePage => Ok(Reply::page(200, "Maintenance")),
        LoginBehaviour::Cookie => {
            let sid = admit(state, &login, peer, now);
            let reply = Reply::json(&json!({ "error": false, "logged": true }));
            Ok(cookies(reply, state, &sid, remember))
        }
        LoginBehaviour::CookieAndDifferentBodySid => {
            let sid = admit(state, &login, peer, now);
            let reply = Reply::json(&body_only("SID", &state.make_sid()));
            Ok(cookies(reply, state, &sid, remember))
        }
        LoginBehaviour::BodyOnly { key } => {
            let sid = admit(state, &login, peer, now);
            Ok(Reply::json(&body_only(key, &sid)).header("set-cookie", decoy(state)))
        }
    }
}

/// Makes a SID for the account, and opens the security session that the login itself is, where it is one.
fn admit(state: &mut State, login: &Arc<str>, peer: IpAddr, now: SystemTime) -> String {
    let sid = state.make_sid();
    state.accept_sid(login, sid.clone());
    let Some(account) = state.accounts.get_mut(login) else {
        return sid;
    };
    account.counters.logins_accepted += 1;
    if let Some(own) = account.own_login {
        let spec = SessionSpec::new(4, own.lifetime).client_ip(printed(peer, own.mapped));
        state.open(login, spec, now);
    }
    sid
}

/// In the order of the platform: PHP's own session, whose name ends like the SID's, comes first.
fn cookies(reply: Reply, state: &mut State, sid: &str, remember: bool) -> Reply {
    let age = if remember { "; Max-Age=1209600" } else { "" };
    reply
        .header("set-cookie", decoy(state))
        .header("set-cookie", format!("uid=1002003{age}; Path=/"))
        .header(
            "set-cookie",
            format!("SID={sid}{age}; Path=/; Secure; HttpOnly"),
        )
}

fn decoy(state: &mut State) -> String {
    format!("PHPSESSID={}; Path=/; HttpOnly", state.make_sid())
}

/// The address as the platform prints it.
fn printed(address: IpAddr, mapped: bool) -> String {
    match (address.to_canonical(), mapped) {
        (IpAddr::V4(v4), true) => format!("::ffff:{v4}"),
        (plain, _) => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU64, Ordering};

    use serde_json::Value;

    use super::*;
    use crate::simulator::{AccountSpec, LoginSession};

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

    fn world(spec: AccountSpec) -> Simulator {
        let world =
            Simulator::with_clock(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        world.add_account(spec.password("right"));
        world
    }

    fn log_in(world: &Simulator, password: &str) -> Reply {
        let sent = Sent {
            login: "desk-1".into(),
            password: password.into(),
            ..Sent::default()
        };
        answer(world, &sent, true, PEER)
    }

    fn body(reply: &Reply) -> Value {
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn cookie<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        let start = format!("{name}=");
        let mut values = reply
            .headers
            .iter()
            .filter(|(header, _)| *header == "set-cookie");
        values.find_map(|(_, value)| value.strip_prefix(&start)?.split(';').next())
    }

    #[test]
    fn the_sid_comes_as_a_cookie_after_a_decoy_and_opens_the_account() {
        let world = world(AccountSpec::new("desk-1"));
        let reply = log_in(&world, "right");
        let names = reply
            .headers
            .iter()
            .map(|(_, value)| value.split('=').next().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["PHPSESSID", "uid", "SID"]);
        assert_eq!(
            &*world.login_of_sid(cookie(&reply, "SID").unwrap()).unwrap(),
            "desk-1"
        );
        assert_eq!(
            world.login_of_sid(cookie(&reply, "PHPSESSID").unwrap()),
            None
        );
        assert_eq!(body(&reply), json!({ "error": false, "logged": true }));
        assert_eq!(world.account("desk-1").counters().logins_accepted, 1);
    }

    #[test]
    fn behaviours_differ_in_where_the_sid_is() {
        let refusal = ErrorEnvelope::err_msg(12, "no, {LOGIN}");
        let world = world(AccountSpec::new("desk-1"));
        let with = |behaviour| {
            world.account("desk-1").set_login_behaviour(behaviour);
            log_in(&world, "right")
        };

        let reply = with(LoginBehaviour::BodyOnly { key: "sessionId" });
        assert_eq!(cookie(&reply, "SID"), None);
        assert!(
            world
                .login_of_sid(body(&reply)["sessionId"].as_str().unwrap())
                .is_some()
        );

        let reply = with(LoginBehaviour::CookieAndDifferentBodySid);
        assert!(world.login_of_sid(cookie(&reply, "SID").unwrap()).is_some());
        assert_eq!(
            world.login_of_sid(body(&reply)["SID"].as_str().unwrap()),
            None
        );

        let reply = with(LoginBehaviour::RejectWithAnonymousSid(refusal));
        assert_eq!(world.login_of_sid(cookie(&reply, "SID").unwrap()), None);
        assert_eq!(body(&reply), json!({ "errMsg": "no, desk-1", "code": 12 }));

        let reply = with(LoginBehaviour::SmsCodeRequired);
        assert_eq!((reply.status, cookie(&reply, "SID")), (200, None));
        assert_eq!(world.account("desk-1").counters().logins_accepted, 2);
    }

    #[test]
    fn a_wrong_password_and_an_unknown_login_are_told() {
        let world = world(AccountSpec::new("desk-1"));
        assert_eq!(
            body(&log_in(&world, "wrong")),
            json!({ "error": "Wrong login or password", "code": 12 })
        );
        let sent = Sent {
            login: "nobody".into(),
            ..Sent::default()
        };
        assert_eq!(
            body(&answer(&world, &sent, true, PEER)),
            json!({ "error": "User not found", "code": 7 })
        );
    }

    #[test]
    fn the_sixth_login_of_a_minute_is_refused_with_the_time_to_wait() {
        let clock = Arc::new(AtomicU64::new(1_700_000_000));
        let read = Arc::clone(&clock);
        let world = Simulator::with_clock(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(read.load(Ordering::Relaxed))
        });
        world.add_account(AccountSpec::new("desk-1").password("right"));
        for _ in 0..5 {
            assert_eq!(log_in(&world, "right").status, 200);
        }
        clock.fetch_add(20, Ordering::Relaxed);
        let refused = log_in(&world, "right");
        assert_eq!(
            (refused.status, refused.headers),
            (429, vec![("retry-after", "40".to_owned())])
        );
        clock.fetch_add(40, Ordering::Relaxed);
        assert_eq!(log_in(&world, "right").status, 200);
    }

    #[test]
    fn a_login_may_be_listed_itself() {
        for (mapped, wanted) in [(false, "198.51.100.7"), (true, "::ffff:198.51.100.7")] {
            let own = LoginSession {
                mapped,
                ..LoginSession::default()
            };
            let world = world(AccountSpec::new("desk-1").own_login(own));
            log_in(&world, "right");
            let sessions = world.account("desk-1").open_sessions();
            let seen: Vec<_> = sessions
                .iter()
                .map(|s| (s.safety_type_id, s.client_ip.as_deref()))
                .collect();
            assert_eq!(seen, [(Some(4), Some(wanted))]);
        }
    }
}
