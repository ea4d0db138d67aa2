//! Who a request is, by its SID or by the signature of a key pair, V2 and V3.
//!
//! Sources: the vendor's page and its public clients. Signatures are verified here by code of this module only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use ring::hmac;

use super::options::ErrorEnvelope;
use super::response::RequestSecrets;
use super::state::{State, access_denied};

/// How far a V3 timestamp may be from the simulator's time, in seconds, either way.
const TIMESTAMP_TOLERANCE: u64 = 300;

/// What a request for the list carries; SID, key and signature themselves are in [`RequestSecrets`].
pub(super) enum Credential {
    Nothing,
    Sid,
    /// The form's fields, which are signed sorted.
    V2(BTreeMap<String, String>),
    /// The body's own bytes are signed; a GET and the WebSocket sign the timestamp only.
    V3 {
        timestamp: String,
        body: Bytes,
    },
}

/// The login whose list may be read.
///
/// # Errors
/// The HTTP status and the envelope of the refusal.
pub(super) fn authenticate(
    state: &mut State,
    credential: &Credential,
    secrets: &RequestSecrets,
    now: SystemTime,
) -> Result<Arc<str>, (u16, ErrorEnvelope)> {
    match credential {
        Credential::Nothing => return Err((200, access_denied())),
        Credential::Sid => return state.account_of_sid(&secrets.sid),
        Credential::V2(_) | Credential::V3 { .. } => {}
    }
    if secrets.key.is_empty() || secrets.signature.is_empty() {
        return Err((200, access_denied()));
    }
    let Some(key) = state.keys.get(&secrets.key) else {
        return Err((403, ErrorEnvelope::error(None, "Invalid api key provided")));
    };
    let message = match credential {
        Credential::V2(form) => canonical_string(form).into_bytes(),
        Credential::V3 { timestamp, body } => [body, timestamp.as_bytes()].concat(),
        Credential::Nothing | Credential::Sid => Vec::new(),
    };
    if !verify(&key.secret, &message, &secrets.signature) {
        return Err((200, ErrorEnvelope::err_msg(4, "Invalid signature")));
    }
    if let Credential::V3 { timestamp, .. } = credential {
        let now = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let off = timestamp.parse::<u64>().ok().map(|time| time.abs_diff(now));
        if off.is_none_or(|off| off > TIMESTAMP_TOLERANCE) {
            return Err((200, ErrorEnvelope::err_msg(4, "Invalid timestamp")));
        }
    }
    let login = Arc::clone(&key.login);
    state.note_key_use(&login, now);
    Ok(login)
}

/// What V2 signs: `key=value` joined with `&`, keys sorted. The one command has no nested parameters.
fn canonical_string(form: &BTreeMap<String, String>) -> String {
    let pairs = form.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// Whether this is the lower-case hex HMAC-SHA256 of the message.
fn verify(secret: &str, message: &[u8], signature: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, message);
    let expected: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    expected == signature
}
