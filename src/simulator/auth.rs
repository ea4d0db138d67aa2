//! Who a request for the list is, by what it carries: a SID, or a signature of a key pair.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::handles::Simulator;
use super::options::ErrorEnvelope;
use super::response::Sent;
use super::session_list::unix_seconds;
use super::signature::{self, Form};
use super::state::State;

/// What a request for the list carries; SID, key and signature themselves are in [`Sent`].
pub(super) enum Credential {
    Nothing,
    Sid,
    V2 {
        form: Form,
    },
    /// The body's own bytes, since they are what is signed.
    V3 {
        timestamp: String,
        body: Bytes,
    },
}

/// The login whose list may be read.
pub(super) fn owner(
    world: &Simulator,
    credential: &Credential,
    sent: &Sent,
) -> Result<Arc<str>, ErrorEnvelope> {
    let now = world.now();
    let mut state = world.state();
    match credential {
        Credential::Nothing => Err(denied()),
        Credential::Sid => {
            let sid = state.sids.get(&sent.sid).filter(|sid| sid.alive);
            sid.map(|sid| Arc::clone(&sid.login)).ok_or_else(denied)
        }
        Credential::V2 { form } => owner_by_v2(&mut state, form, sent),
        Credential::V3 { timestamp, body } => owner_by_v3(&state, timestamp, body, sent, now),
    }
}

/// The error of everything that lacks a right.
pub(super) fn denied() -> ErrorEnvelope {
    ErrorEnvelope::err_msg(12, "Access denied: authorization required")
}

fn owner_by_v2(state: &mut State, form: &Form, sent: &Sent) -> Result<Arc<str>, ErrorEnvelope> {
    if sent.key.is_empty() || sent.signature.is_empty() {
        return Err(denied());
    }
    let key = state.keys.get_mut(&sent.key).ok_or_else(unknown_key)?;
    if !signature::v2_is_right(&key.secret, form, &sent.signature) {
        return Err(bad_signature());
    }
    let nonce: u64 = form
        .text("nonce")
        .and_then(|nonce| nonce.parse().ok())
        .unwrap_or(0);
    if nonce <= key.last_nonce {
        return Err(ErrorEnvelope::err_msg(4, "Invalid nonce: it must grow"));
    }
    key.last_nonce = nonce;
    Ok(Arc::clone(&key.login))
}

fn owner_by_v3(
    state: &State,
    timestamp: &str,
    body: &[u8],
    sent: &Sent,
    now: SystemTime,
) -> Result<Arc<str>, ErrorEnvelope> {
    if sent.key.is_empty() || sent.signature.is_empty() {
        return Err(denied());
    }
    let key = state.keys.get(&sent.key).ok_or_else(unknown_key)?;
    if !signature::v3_is_right(&key.secret, body, timestamp, &sent.signature) {
        return Err(bad_signature());
    }
    let off = timestamp
        .parse::<i64>()
        .ok()
        .and_then(|time| time.checked_sub(unix_seconds(now)));
    if off.is_none_or(|off| off.unsigned_abs() > state.timestamp_tolerance.as_secs()) {
        return Err(ErrorEnvelope::err_msg(4, "Invalid timestamp"));
    }
    Ok(Arc::clone(&key.login))
}

fn unknown_key() -> ErrorEnvelope {
    ErrorEnvelope::err_msg(12, "Invalid api key provided")
}

fn bad_signature() -> ErrorEnvelope {
    ErrorEnvelope::err_msg(4, "Invalid signature")
}
