//! Logins: the form and `authByLogin`, their refusals, and where the SID is handed out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::options::{ErrorEnvelope, LoginBehaviour};
use super::request::{ApiRequest, field};
use super::response::{RequestSecrets, Response};
use super::session::SessionSpec;
use super::state::State;

/// The id that every account's user has.
const USER_ID: i64 = 1_002_003;

/// What a login asks for beside login and password, which are in [`RequestSecrets`].
pub(super) struct LoginOptions {
    remember: bool,
    view_only: bool,
    user_id: Option<String>,
}

/// Reads the fields of `check-login-password`: a form, or the query, as clients send them.
pub(super) fn read_form(request: &ApiRequest) -> (LoginOptions, RequestSecrets) {
    read(|name| field(request.form(), name).or_else(|| request.query_field(name)))
}

/// Reads the fields of `authByLogin`.
pub(super) fn read_json(fields: &Value) -> (LoginOptions, RequestSecrets) {
    read(|name| match fields.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn read(field: impl Fn(&str) -> Option<String>) -> (LoginOptions, RequestSecrets) {
    let is_set = |name| field(name).is_some_and(|value| !matches!(value.as_str(), "" | "0"));
    let options = LoginOptions {
        // Early vendor SDKs write it with an underscore.
        remember: is_set("rememberMe") || is_set("remember_me"),
        view_only: is_set("viewOnlyMode"),
        user_id: field("userId"),
    };
    let secrets = RequestSecrets {
        login: field("login").unwrap_or_default(),
        password: field("password").unwrap_or_default(),
        ..RequestSecrets::default()
    };
    (options, secrets)
}

/// Answers a login, and issues an SID where it succeeds.
pub(super) fn respond(
    state: &mut State,
    options: &LoginOptions,
    secrets: &RequestSecrets,
    peer: IpAddr,
    now: SystemTime,
) -> Response {
    let login = state.accounts.get_key_value(secrets.login.as_str());
    let Some(login) = login.map(|(login, _)| Arc::clone(login)) else {
        return error(secrets, &ErrorEnvelope::error(7, "User not found"));
    };
    let spec = state.accounts.get(&login).map(|account| &account.spec);
    let accepted = spec.filter(|spec| spec.password.as_deref() == Some(secrets.password.as_str()));
    let Some(behaviour) = accepted.map(|spec| spec.login_behaviour.clone()) else {
        return error(
            secrets,
            &ErrorEnvelope::error(12, "Wrong login or password"),
        );
    };
    let is_other = |id: &String| *id != USER_ID.to_string();
    if options.user_id.as_ref().is_some_and(is_other) {
        return error(secrets, &ErrorEnvelope::error(7, "User not found"));
    }
    match behaviour {
        LoginBehaviour::Reject(envelope) => error(secrets, &envelope),
        LoginBehaviour::RejectWithAnonymousSid(envelope) => {
            let anonymous = state.issue_sid();
            set_login_cookies(error(secrets, &envelope), state, &anonymous, options)
        }
        LoginBehaviour::SmsCodeRequired => {
            let anonymous = state.issue_sid();
            let body = json!({
                "success": true, "logged": false, "SID": anonymous, "auth_code_id": "4711"
            });
            let response = Response::json(200, body.to_string());
            set_login_cookies(response, state, &anonymous, options)
        }
        LoginBehaviour::Cookie => {
            let sid = issue_sid(state, &login, options, peer, now);
            let response = Response::json(200, success("SID", &sid).to_string());
            set_login_cookies(response, state, &sid, options)
        }
        LoginBehaviour::CookieAndDifferentBodySid => {
            let sid = issue_sid(state, &login, options, peer, now);
            let other = state.issue_sid();
            let response = Response::json(200, success("SID", &other).to_string());
            set_login_cookies(response, state, &sid, options)
        }
        LoginBehaviour::BodyOnly { key } => {
            let sid = issue_sid(state, &login, options, peer, now);
            let cookie = php_session_cookie(state);
            Response::json(200, success(key, &sid).to_string()).header("set-cookie", cookie)
        }
    }
}

fn error(secrets: &RequestSecrets, envelope: &ErrorEnvelope) -> Response {
    Response::json(200, secrets.envelope(envelope).to_string())
}

fn success(key: &str, sid: &str) -> Value {
    json!({
        "success": true, "logged": true, key: sid, "userId": USER_ID, "isSecuritySessionOpened": false
    })
}

/// Issues an SID for the account, and opens the security session that the login is, where it is one.
fn issue_sid(
    state: &mut State,
    login: &Arc<str>,
    options: &LoginOptions,
    peer: IpAddr,
    now: SystemTime,
) -> String {
    let sid = state.issue_sid();
    state.accept_sid(login, sid.clone(), options.view_only);
    let account = state.accounts.get_mut(login);
    let session = account.and_then(|account| {
        account.counters.logins_accepted += 1;
        account.spec.login_session
    });
    if let Some(session) = session {
        let address = format_client_ip(peer, session.ipv4_mapped);
        let spec = SessionSpec::new(4, session.lifetime).client_ip(address);
        state.open_session(login, spec, now);
    }
    sid
}

/// In the platform's order: PHP's own session, whose name ends like the SID's, comes first.
fn set_login_cookies(
    response: Response,
    state: &mut State,
    sid: &str,
    options: &LoginOptions,
) -> Response {
    let two_weeks = "; Max-Age=1209600";
    let age = if options.remember { two_weeks } else { "" };
    let sid = format!("SID={sid}{age}; Path=/; Secure; HttpOnly");
    response
        .header("set-cookie", php_session_cookie(state))
        .header("set-cookie", format!("uid={USER_ID}{age}; Path=/"))
        .header("set-cookie", sid)
}

fn php_session_cookie(state: &mut State) -> String {
    format!("PHPSESSID={}; Path=/; HttpOnly", state.issue_sid())
}

/// The address as the platform writes it.
fn format_client_ip(address: IpAddr, ipv4_mapped: bool) -> String {
    match (address.to_canonical(), ipv4_mapped) {
        (IpAddr::V4(v4), true) => format!("::ffff:{v4}"),
        (plain, _) => plain.to_string(),
    }
}
