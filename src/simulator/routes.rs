//! What the platform makes of a request: which account it is for, whether it may, and the answer.
//!
//! Knows the API's routes, credentials and error codes, and HTTP's vocabulary; no sockets, no time passing.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use serde_json::Value;

use super::auth::{self, Credential};
use super::fault::Kind;
use super::handles::Simulator;
use super::login;
use super::options::ErrorEnvelope;
use super::response::{Reply, Sent};
use super::signature::Form;

/// The one command that the simulator knows.
const COMMAND: &str = "getSecuritySessions";

/// A request as a face has read it.
pub(super) struct Asked {
    pub(super) peer: IpAddr,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    /// Path and query, as sent.
    pub(super) fn target(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// The body where it says that it is a form; PHP reads no fields from any other.
    fn form(&self) -> &[u8] {
        let kind = header(&self.headers, "content-type");
        if kind.split(';').next() == Some("application/x-www-form-urlencoded") {
            &self.body
        } else {
            &[]
        }
    }
}

/// What a request wants, and the secrets it carried.
pub(super) struct Call {
    wants: Wants,
    /// Whose it is, as far as it can be told before anything is verified.
    pub(super) account: Option<Arc<str>>,
    pub(super) sent: Sent,
}

enum Wants {
    Login { remember: bool },
    List(Credential),
    Refusal(ErrorEnvelope),
    NoSuchPage,
}

impl Call {
    /// Reads a request. Verifies nothing yet.
    pub(super) fn read(world: &Simulator, asked: &Asked) -> Self {
        let path = asked.path.strip_suffix('/').unwrap_or(&asked.path);
        match (&asked.method, path) {
            (&Method::GET | &Method::POST, "/api") => Self::v1(world, asked),
            (&Method::POST, "/api/check-login-password") => Self::login(world, asked),
            (&Method::POST, path) => match (
                path.strip_prefix("/api/v2/cmd/"),
                path.strip_prefix("/api/"),
            ) {
                (Some(command), _) => Self::v2(world, asked, command),
                (None, Some(command)) if !command.contains('/') => Self::v3(world, asked, command),
                _ => Self::of(Wants::NoSuchPage),
            },
            (_, path) if path == "/api" || path.starts_with("/api/") => {
                Self::refusal(ErrorEnvelope::err_msg(2, "Unsupported query method"))
            }
            _ => Self::of(Wants::NoSuchPage),
        }
    }

    /// The kind of request as faults and counters tell them apart.
    pub(super) fn kind(&self) -> Kind {
        match self.wants {
            Wants::Login { .. } => Kind::Login,
            _ => Kind::List,
        }
    }

    /// Verifies, and answers.
    pub(super) fn answer(&self, world: &Simulator, peer: IpAddr) -> Reply {
        let verdict = match &self.wants {
            Wants::NoSuchPage => return Reply::page(404, "404 Not Found"),
            Wants::Login { remember } => return login::answer(world, &self.sent, *remember, peer),
            Wants::Refusal(envelope) => Err(envelope.clone()),
            Wants::List(credential) => auth::owner(world, credential, &self.sent),
        };
        match verdict.and_then(|login| world.answer(&login).ok_or_else(auth::denied)) {
            Ok((body, gzip)) => Reply {
                gzip,
                ..Reply::new(200, "application/json", body)
            },
            Err(envelope) => Reply::envelope(200, &envelope, &self.sent),
        }
    }

    fn of(wants: Wants) -> Self {
        Self {
            wants,
            account: None,
            sent: Sent::default(),
        }
    }

    fn refusal(envelope: ErrorEnvelope) -> Self {
        Self::of(Wants::Refusal(envelope))
    }

    fn v1(world: &Simulator, asked: &Asked) -> Self {
        let fields = if asked.method == Method::POST {
            asked.form()
        } else {
            asked.query.as_bytes()
        };
        let Some(q) = field(fields, "q") else {
            return Self::refusal(ErrorEnvelope::err_msg(1, "Bad request: no query"));
        };
        let Ok(query) = serde_json::from_str::<Value>(&q) else {
            return Self::refusal(ErrorEnvelope::err_msg(2, "Invalid JSON in query"));
        };
        let Some(command) = query.get("cmd").and_then(Value::as_str) else {
            return Self::refusal(ErrorEnvelope::err_msg(1, "Bad request: no command"));
        };
        let params = query.get("params");
        if !params.is_none_or(|params| params.is_object() || params.is_array() || params.is_null())
        {
            return Self::refusal(ErrorEnvelope::err_msg(5, "Invalid params"));
        }
        let sid = query
            .get("SID")
            .and_then(Value::as_str)
            .filter(|sid| !sid.is_empty());
        let sid = sid
            .map(str::to_owned)
            .or_else(|| cookie(&asked.headers, "SID"));
        Self::list(world, command, sid, Credential::Nothing)
    }

    fn v2(world: &Simulator, asked: &Asked, command: &str) -> Self {
        let form = Form::parse(asked.form()).filter(|form| form.text("cmd") == Some(command));
        let Some(form) = form else {
            return Self::refusal(ErrorEnvelope::err_msg(
                1,
                "Bad request: not the form of this command",
            ));
        };
        let key = form.text("apiKey").unwrap_or_default().to_owned();
        let signature = header(&asked.headers, "x-ntapi-sig").to_owned();
        let mut call = Self::list(
            world,
            command,
            cookie(&asked.headers, "SID"),
            Credential::V2 { form },
        );
        call.name_key(world, key, signature);
        call
    }

    fn v3(world: &Simulator, asked: &Asked, command: &str) -> Self {
        if !serde_json::from_slice::<Value>(&asked.body)
            .is_ok_and(|body| body.is_object() || body.is_array())
        {
            return Self::refusal(ErrorEnvelope::err_msg(2, "Invalid JSON in body"));
        }
        let timestamp = header(&asked.headers, "x-ntapi-timestamp").to_owned();
        let key = header(&asked.headers, "x-ntapi-publickey").to_owned();
        let signature = header(&asked.headers, "x-ntapi-sig").to_owned();
        let credential = Credential::V3 {
            timestamp,
            body: asked.body.clone(),
        };
        let mut call = Self::list(world, command, cookie(&asked.headers, "SID"), credential);
        call.name_key(world, key, signature);
        call
    }

    fn login(world: &Simulator, asked: &Asked) -> Self {
        let given = |name: &str| field(asked.form(), name).unwrap_or_default();
        let sent = Sent {
            login: given("login"),
            password: given("password"),
            ..Sent::default()
        };
        let account = world
            .state()
            .accounts
            .get_key_value(sent.login.as_str())
            .map(|(login, _)| Arc::clone(login));
        Self {
            wants: Wants::Login {
                remember: given("rememberMe") == "1",
            },
            account,
            sent,
        }
    }

    /// A SID wins over a key pair wherever both are sent, and reads whatever is its own.
    fn list(world: &Simulator, command: &str, sid: Option<String>, otherwise: Credential) -> Self {
        if command != COMMAND {
            return Self::refusal(ErrorEnvelope::err_msg(3, "Command not found"));
        }
        let Some(sid) = sid else {
            return Self::of(Wants::List(otherwise));
        };
        let account = world
            .state()
            .sids
            .get(&sid)
            .map(|sid| Arc::clone(&sid.login));
        Self {
            wants: Wants::List(Credential::Sid),
            account,
            sent: Sent {
                sid,
                ..Sent::default()
            },
        }
    }

    fn name_key(&mut self, world: &Simulator, key: String, signature: String) {
        if let Wants::List(Credential::V2 { .. } | Credential::V3 { .. }) = self.wants {
            self.account = world
                .state()
                .keys
                .get(&key)
                .map(|key| Arc::clone(&key.login));
        }
        self.sent.key = key;
        self.sent.signature = signature;
    }
}

/// The first field of this name in form encoding.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers
        .get_all("cookie")
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = all
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .into_iter()
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}
