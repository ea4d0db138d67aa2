//! Login and password to SID.
//!
//! Source: the vendor's page (`check-login-password`, cookie `SID`) and its clients (an SID in the
//! JSON body). A refusal is told from a server in trouble, since only the former blocks the
//! circuit breaker for good.

use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::client::LoginReply;
use super::error::{AuthError, Error};
use super::redact::Redactor;
use super::response::{self, Answer};

/// Names under which a body has been seen to carry the session.
const BODY_KEYS: [&str; 3] = ["SID", "sid", "sessionId"];

/// Some servers begin their texts with it.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// The form of a login.
pub(super) fn form(login: &str, password: &SecretString) -> SecretString {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("login", login)
        .append_pair("password", password.expose_secret())
        .append_pair("rememberMe", "1")
        .finish()
        .into()
}

/// What a login's answer means.
pub(super) fn sid(reply: &LoginReply, redactor: &Redactor) -> Result<SecretString, Error> {
    let LoginReply {
        status,
        retry_after,
        ..
    } = reply;
    // Whatever SID the answer carries is a secret too, also where the login is refused.
    let redactor = &redactor.with(reply.cookies.iter().filter_map(cookie_sid));
    // An error first: a refused login may still be handed the cookie of an anonymous session.
    if let Ok(Answer::Error(envelope)) = response::read(&reply.body) {
        let message = redactor.redact(&envelope.message);
        if status.is_server_error() {
            return Err(Error::Api {
                code: envelope.code,
                message,
            });
        }
        return Err(Error::Auth(AuthError::LoginRefused {
            code: envelope.code,
            message,
        }));
    }
    let bare = reply.body.strip_prefix(BOM).unwrap_or(&reply.body);
    let body = serde_json::from_slice::<Value>(bare).ok();
    if *status == StatusCode::UNAUTHORIZED || (*status == StatusCode::FORBIDDEN && body.is_some()) {
        let message = format!("HTTP {}", status.as_u16());
        return Err(Error::Auth(AuthError::LoginRefused {
            code: None,
            message,
        }));
    }
    if !status.is_success() {
        return Err(http_status(*status, *retry_after));
    }
    // The last one is what a browser keeps.
    if let Some(sid) = reply.cookies.iter().rev().find_map(cookie_sid) {
        return Ok(sid);
    }
    // No SID at all is a refusal, whatever else the page says: it may ask for an SMS code, and
    // every try may send one.
    body.as_ref()
        .and_then(body_sid)
        .ok_or(Error::Auth(AuthError::LoginWithoutSession))
}

fn http_status(status: StatusCode, retry_after: Option<Duration>) -> Error {
    Error::HttpStatus {
        status: status.as_u16(),
        retry_after,
    }
}

/// The value of a `Set-Cookie` header whose cookie is named `SID` and nothing more: `PHPSESSID=`
/// ends the same way.
fn cookie_sid(header: &SecretString) -> Option<SecretString> {
    let pair = header.expose_secret().split(';').next()?;
    let (name, value) = pair.split_once('=')?;
    let value = value.trim().trim_matches('"');
    // PHP takes a cookie back by setting it to "deleted".
    let usable = name.trim() == "SID" && is_sendable(value) && value != "deleted";
    usable.then(|| value.into())
}

/// An SID longer than this, in bytes, is not one.
const MAX_SID_LENGTH: usize = 4096;

/// Whether it can be sent back as a cookie; what cannot is no SID.
fn is_sendable(sid: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',');
    (1..=MAX_SID_LENGTH).contains(&sid.len()) && sid.bytes().all(is_part)
}

fn body_sid(body: &Value) -> Option<SecretString> {
    BODY_KEYS.iter().find_map(|key| match body.get(key)? {
        Value::String(sid) if is_sendable(sid) => Some(sid.as_str().into()),
        Value::Number(sid) => Some(sid.to_string().into()),
        _ => None,
    })
}
