//! The platform's handling of an HTTP request: its command, its account, its answer.
//!
//! Knows the API's paths, credentials and error codes. No sockets, no waiting.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::Method;
use serde_json::Value;

use super::auth::{Credential, authenticate};
use super::fault::FaultTarget;
use super::login;
use super::options::ErrorEnvelope;
use super::request::{LoggedRequest, field};
use super::response::{self, RequestSecrets, Response};
use super::state::{State, access_denied};

/// A request that was read and not verified yet.
pub(super) struct ParsedRequest {
    route: Route,
    /// Whose the request is, where its credential names an account.
    pub(super) account: Option<Arc<str>>,
    pub(super) secrets: RequestSecrets,
}

enum Route {
    Login,
    SessionList(Credential),
    Rejected(i64, &'static str),
    NotFound,
}

/// Reads a request.
pub(super) fn parse(state: &State, request: &LoggedRequest) -> ParsedRequest {
    let malformed = || {
        (
            Route::Rejected(2, "Invalid request"),
            RequestSecrets::default(),
        )
    };
    let (route, secrets) = route(request, request.path()).unwrap_or_else(malformed);
    let account = match &route {
        Route::Login => {
            let account = state.accounts.get(secrets.login.as_str());
            account.map(|account| Arc::clone(&account.login))
        }
        Route::SessionList(Credential::Sid) => {
            state.sids.get(&secrets.sid).map(|it| &it.login).cloned()
        }
        Route::SessionList(_) => state.keys.get(&secrets.key).map(|it| &it.login).cloned(),
        Route::Rejected(..) | Route::NotFound => None,
    };
    ParsedRequest {
        route,
        account,
        secrets,
    }
}

impl ParsedRequest {
    /// The kind of request, for faults and counters.
    pub(super) fn kind(&self) -> FaultTarget {
        match self.route {
            Route::Login => FaultTarget::Login,
            _ => FaultTarget::SessionList,
        }
    }

    /// Verifies the request and answers it.
    pub(super) fn respond(&self, state: &mut State, peer: IpAddr, now: SystemTime) -> Response {
        let verdict = match &self.route {
            Route::NotFound => return response::html_page(404),
            Route::Login => return login::respond(state, &self.secrets, peer, now),
            Route::Rejected(code, message) => Err((200, ErrorEnvelope::err_msg(*code, *message))),
            Route::SessionList(credential) => authenticate(state, credential, &self.secrets, now),
        };
        let list = verdict.and_then(|login| {
            let account = state.accounts.get_mut(&login);
            let account = account.ok_or_else(|| (200, access_denied()))?;
            Ok(account.list(account.spec.shape, now))
        });
        match list {
            Ok(body) => response::json(200, body),
            Err((status, envelope)) => {
                response::json(status, self.secrets.envelope(&envelope).to_string())
            }
        }
    }
}

/// `None` where the request is malformed, as below.
fn route(request: &LoggedRequest, path: &str) -> Option<(Route, RequestSecrets)> {
    if path == "/api" {
        return v1(request);
    }
    if path == "/api/check-login-password" && request.method == Method::POST {
        return Some((Route::Login, login::read_form(request)));
    }
    // Vendor SDK 1.3 also sends the form of V2 to a path of V3.
    let form_command = ["/api/v2/cmd/", "/api/v3/cmd/"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix));
    match (form_command, path.strip_prefix("/api/")) {
        (Some(command), _) => v2(request, command),
        (None, Some(command)) => v3(request, command),
        (None, None) => Some((Route::NotFound, RequestSecrets::default())),
    }
}

/// A JSON object in the field `q`, by GET or POST.
fn v1(request: &LoggedRequest) -> Option<(Route, RequestSecrets)> {
    let q = field(request.form(), "q").or_else(|| field(request.query(), "q"))?;
    let query: Value = serde_json::from_str(&q).ok()?;
    let command = query.get("cmd")?.as_str()?;
    let params = query.get("params").cloned().unwrap_or(Value::Null);
    let sid = query.get("SID").and_then(Value::as_str);
    let sid = sid.filter(|sid| !sid.is_empty()).map(str::to_owned);
    let credential = (Credential::Nothing, RequestSecrets::default());
    Some(list_or_login(request, command, params, sid, credential))
}

/// A signed form.
fn v2(request: &LoggedRequest, command: &str) -> Option<(Route, RequestSecrets)> {
    let form = form_urlencoded::parse(request.form()).into_owned();
    let form: BTreeMap<String, String> = form.collect();
    form.get("cmd").filter(|name| *name == command)?;
    let secrets = RequestSecrets {
        key: form.get("apiKey").cloned().unwrap_or_default(),
        signature: header(request, "x-ntapi-sig"),
        ..RequestSecrets::default()
    };
    let credential = (Credential::v2(&form), secrets);
    Some(list_or_login(
        request,
        command,
        Value::Null,
        None,
        credential,
    ))
}

/// Signed headers; a body of JSON or none. A GET signs the timestamp only.
fn v3(request: &LoggedRequest, command: &str) -> Option<(Route, RequestSecrets)> {
    let params = match request.body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&request.body).ok()?,
    };
    let (timestamp, secrets) = signed(|name| header(request, name));
    let credential = (Credential::v3(&request.body, timestamp), secrets);
    Some(list_or_login(request, command, params, None, credential))
}

fn header(request: &LoggedRequest, name: &str) -> String {
    request.header(name).unwrap_or_default().to_owned()
}

/// Timestamp, key and signature, from headers or from the query of a WebSocket.
pub(super) fn signed(value: impl Fn(&str) -> String) -> (String, RequestSecrets) {
    let secrets = RequestSecrets {
        key: value("x-ntapi-publickey"),
        signature: value("x-ntapi-sig"),
        ..RequestSecrets::default()
    };
    (value("x-ntapi-timestamp"), secrets)
}

/// An SID, as a cookie too, takes precedence over a key pair and reads the SID's own account.
fn list_or_login(
    request: &LoggedRequest,
    command: &str,
    params: Value,
    sid: Option<String>,
    (credential, secrets): (Credential, RequestSecrets),
) -> (Route, RequestSecrets) {
    match command {
        "getSecuritySessions" => match sid.or_else(|| request.cookie("SID")) {
            Some(sid) => {
                let secrets = RequestSecrets { sid, ..secrets };
                (Route::SessionList(Credential::Sid), secrets)
            }
            None => (Route::SessionList(credential), secrets),
        },
        "authByLogin" => (Route::Login, login::read_json(&params)),
        _ => (Route::Rejected(3, "Command not found"), secrets),
    }
}
