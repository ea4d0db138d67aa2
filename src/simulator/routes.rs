//! What the platform makes of an HTTP request: its command, its account, its answer.
//!
//! Knows the API's paths, credentials and error codes. No sockets, no waiting.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

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
    Rejected(ErrorEnvelope),
    NotFound,
}

/// Reads a request.
pub(super) fn parse(state: &State, request: &LoggedRequest) -> ParsedRequest {
    let (route, secrets) = route(request, request.path());
    let account = match &route {
        Route::Login => {
            let account = state.accounts.get(secrets.login.as_str());
            account.map(|account| Arc::clone(&account.login))
        }
        Route::SessionList(Credential::Sid) => {
            state.sids.get(&secrets.sid).map(|it| &it.login).cloned()
        }
        Route::SessionList(_) => state.keys.get(&secrets.key).map(|it| &it.login).cloned(),
        Route::Rejected(_) | Route::NotFound => None,
    };
    ParsedRequest {
        route,
        account,
        secrets,
    }
}

impl ParsedRequest {
    /// The kind of request as faults and counters tell them apart.
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
            Route::Rejected(envelope) => Err((200, envelope.clone())),
            Route::SessionList(credential) => authenticate(state, credential, &self.secrets, now),
        };
        let list = verdict.and_then(|login| {
            let account = state.accounts.get_mut(&login);
            let account = account.ok_or_else(|| (200, access_denied()))?;
            Ok(account.list(account.spec.options.shape, now))
        });
        match list {
            Ok(body) => response::json(200, body),
            Err((status, envelope)) => {
                response::json(status, self.secrets.envelope(&envelope).to_string())
            }
        }
    }
}

fn route(request: &LoggedRequest, path: &str) -> (Route, RequestSecrets) {
    if path == "/api" {
        return v1(request);
    }
    if path == "/api/check-login-password" && request.method == Method::POST {
        return (Route::Login, login::read_form(request));
    }
    // Vendor SDK 1.3 also sends the form of V2 to a path of V3.
    let form_command = ["/api/v2/cmd/", "/api/v3/cmd/"]
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix));
    match (form_command, path.strip_prefix("/api/")) {
        (Some(command), _) if request.method == Method::POST => v2(request, command),
        (None, Some(command)) if !command.contains('/') => v3(request, command),
        (_, Some(_)) => rejected(2, "Unsupported query method"),
        (_, None) => (Route::NotFound, RequestSecrets::default()),
    }
}

fn rejected(code: i64, message: &str) -> (Route, RequestSecrets) {
    let envelope = ErrorEnvelope::err_msg(code, message);
    (Route::Rejected(envelope), RequestSecrets::default())
}

/// A JSON object in the field `q`, by GET or POST.
fn v1(request: &LoggedRequest) -> (Route, RequestSecrets) {
    let fields = match request.method {
        Method::GET => request.query(),
        Method::POST => request.form(),
        _ => return rejected(2, "Unsupported query method"),
    };
    let Some(q) = field(fields, "q") else {
        return rejected(1, "Bad request: no query");
    };
    let Ok(query) = serde_json::from_str::<Value>(&q) else {
        return rejected(2, "Invalid JSON in query");
    };
    let Some(command) = query.get("cmd").and_then(Value::as_str) else {
        return rejected(1, "Bad request: no command");
    };
    let params = query.get("params").cloned().unwrap_or(Value::Null);
    if !(params.is_object() || params.is_array() || params.is_null()) {
        return rejected(5, "Invalid params");
    }
    let sid = query.get("SID").and_then(Value::as_str);
    let sid = sid.filter(|sid| !sid.is_empty()).map(str::to_owned);
    let secrets = RequestSecrets::default();
    list_or_login(
        request,
        command,
        params,
        sid,
        (Credential::Nothing, secrets),
    )
}

/// A signed form.
fn v2(request: &LoggedRequest, command: &str) -> (Route, RequestSecrets) {
    let form = form_urlencoded::parse(request.form()).into_owned();
    let form: BTreeMap<String, String> = form.collect();
    let text = |name: &str| form.get(name).cloned().unwrap_or_default();
    if text("cmd") != command {
        return rejected(1, "Bad request: not the form of this command");
    }
    let secrets = RequestSecrets {
        key: text("apiKey"),
        signature: header(request, "x-ntapi-sig"),
        ..RequestSecrets::default()
    };
    list_or_login(
        request,
        command,
        Value::Null,
        None,
        (Credential::V2(form), secrets),
    )
}

/// Signed headers; a body of JSON or none. A GET signs the timestamp only.
fn v3(request: &LoggedRequest, command: &str) -> (Route, RequestSecrets) {
    let body = match request.method {
        Method::GET => Bytes::new(),
        Method::POST => request.body.clone(),
        _ => return rejected(2, "Unsupported query method"),
    };
    let params = if body.is_empty() {
        json!({})
    } else {
        let params = serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null);
        if !(params.is_object() || params.is_array()) {
            return rejected(2, "Invalid JSON in body");
        }
        params
    };
    let (timestamp, secrets) = signed(|name| header(request, name));
    let credential = Credential::V3 { timestamp, body };
    list_or_login(request, command, params, None, (credential, secrets))
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
        _ => rejected(3, "Command not found"),
    }
}
