//! Logins: the form and `authByLogin`, their refusals, and where the SID is handed out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::options::ErrorEnvelope;
use super::request::{LoggedRequest, field};
use super::response::{self, RequestSecrets, Response, with_header};
use super::session::SessionSpec;
use super::state::State;

/// The id that every account's user has.
const USER_ID: i64 = 1_002_003;

/// Reads the fields of `check-login-password`: a form, or the query, as clients send them.
pub(super) fn read_form(request: &LoggedRequest) -> RequestSecrets {
    read(|name| field(request.form(), name).or_else(|| field(request.query(), name)))
}

/// Reads the fields of `authByLogin`.
pub(super) fn read_json(fields: &Value) -> RequestSecrets {
    read(|name| fields.get(name)?.as_str().map(str::to_owned))
}

fn read(field: impl Fn(&str) -> Option<String>) -> RequestSecrets {
    RequestSecrets {
        login: field("login").unwrap_or_default(),
        password: field("password").unwrap_or_default(),
        ..RequestSecrets::default()
    }
}

/// Answers a login, and issues an SID where it succeeds.
pub(super) fn respond(
    state: &mut State,
    secrets: &RequestSecrets,
    peer: IpAddr,
    now: SystemTime,
) -> Response {
    let refuse = |code, message| {
        let envelope = ErrorEnvelope::error(code, message);
        response::json(200, secrets.envelope(&envelope).to_string())
    };
    let Some(account) = state.accounts.get_mut(secrets.login.as_str()) else {
        return refuse(7, "User not found");
    };
    if account.spec.password.as_ref() != Some(&secrets.password) {
        return refuse(12, "Wrong login or password");
    }
    account.counters.logins_accepted += 1;
    let login = Arc::clone(&account.login);
    // The security session that the login is. Servers that listen on `[::]` write the address like this.
    if let Some(lifetime) = account.spec.login_session {
        let address = match peer {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
            other @ IpAddr::V6(_) => other,
        };
        let spec = SessionSpec::new(4, lifetime).client_ip(address.to_string());
        state.open_session(&login, spec, now);
    }
    let sid = state.issue_sid();
    state.accept_sid(&login, sid.clone());
    let body = json!({
        "success": true, "logged": true, "SID": sid, "userId": USER_ID, "isSecuritySessionOpened": false
    });
    // In the platform's order: PHP's own session, whose name ends like the SID's, comes first.
    let cookies = [
        format!("PHPSESSID={}; Path=/; HttpOnly", state.issue_sid()),
        format!("uid={USER_ID}; Path=/"),
        format!("SID={sid}; Path=/; Secure; HttpOnly"),
    ];
    let response = response::json(200, body.to_string());
    cookies.into_iter().fold(response, |response, cookie| {
        with_header(response, "set-cookie", cookie)
    })
}
