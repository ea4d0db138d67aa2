//! Writes an account's open sessions as the JSON that its server sends.
//!
//! Pure: sessions, options and the time in, JSON out. The fields are those of the vendor's page.

use std::time::SystemTime;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::options::{AccountSpec, ExpireUnit, ResponseShape};
use super::session::{API_KEY, Session};

/// The whole answer, in this shape.
pub(super) fn body<'a>(
    sessions: impl Iterator<Item = &'a Session>,
    spec: &AccountSpec,
    shape: ResponseShape,
    now: SystemTime,
) -> Bytes {
    if let Some(raw) = &spec.raw_answer {
        return raw.clone();
    }
    let list = Vec::from_iter(sessions.map(|session| entry(session, spec, now)));
    let body = match shape {
        ResponseShape::BareArray => Value::Array(list),
        ResponseShape::ResponseInArray if list.is_empty() => {
            json!([{ "response": { "res": null } }])
        }
        ResponseShape::ResponseInArray => json!([{ "response": { "res": list } }]),
    };
    Bytes::from(body.to_string())
}

fn entry(session: &Session, spec: &AccountSpec, now: SystemTime) -> Value {
    let left = session.expires.duration_since(now).unwrap_or_default();
    let expire = match spec.expire_unit {
        ExpireUnit::Milliseconds => u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        ExpireUnit::Seconds => left.as_secs(),
    };
    // The page's sample.
    let hash = "c5u7iip134fdfsxfqt4aq1osqchtg5b";
    json!({
        "id": session.id,
        "owner_login": spec.login,
        "user_login": spec.user_login.as_ref().unwrap_or(&spec.login),
        "safety_type_id": session.safety_type_id,
        "key_current": safety_type_name(session.safety_type_id),
        "start_datetime": datetime(session.start),
        "expire_datetime": datetime(session.expires),
        "expire": expire,
        "ip": session.client_ip.as_ref().map(|_| hash),
        "ip_client": session.client_ip,
    })
}

fn safety_type_name(safety_type_id: Option<i64>) -> Option<&'static str> {
    match safety_type_id? {
        2 => Some("Token"),
        3 => Some("SMS"),
        4 => Some("Login, password"),
        API_KEY => Some("API key"),
        _ => None,
    }
}

/// In UTC, without saying so; `None`, written as null, for a time outside the calendar.
fn datetime(time: SystemTime) -> Option<String> {
    let time = Timestamp::try_from(time).ok()?;
    Some(format!("{time:.3}").trim_end_matches('Z').to_owned())
}
