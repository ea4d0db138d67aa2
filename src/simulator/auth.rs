//! The account of a request, by its SID or by the signature of a key pair, V2 and V3.
//!
//! Sources: the vendor's page and its public clients. Signatures are verified here by code of this module only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use ring::hmac;

use super::options::ErrorEnvelope;
use super::response::RequestSecrets;
use super::state::{State, access_denied};

/// How far a V3 timestamp may be from the simulator's time, in seconds, either way.
const TIMESTAMP_TOLERANCE: u64 = 300;

/// The kind of credential of a request for the list; SID, key and signature themselves are in [`RequestSecrets`].
pub(super) enum Credential {
    Nothing,
    Sid,
    Signed {
        message: Vec<u8>,
        /// Of V3.
        timestamp: Option<String>,
    },
}

impl Credential {
    /// V2 signs `key=value` joined with `&`, keys sorted. The one command has no nested parameters.
    pub(super) fn v2(form: &BTreeMap<String, String>) -> Self {
        let pairs = form.iter().map(|(key, value)| format!("{key}={value}"));
        Self::Signed {
            message: Vec::from_iter(pairs).join("&").into(),
            timestamp: None,
        }
    }

    /// V3 signs the body's own bytes and the timestamp; a GET and the WebSocket have no body.
    pub(super) fn v3(body: &[u8], timestamp: String) -> Self {
        Self::Signed {
            message: [body, timestamp.as_bytes()].concat(),
            timestamp: Some(timestamp),
        }
    }
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
    let (message, timestamp) = match credential {
        Credential::Sid => return state.account_of_sid(&secrets.sid),
        Credential::Signed { message, timestamp }
            if !secrets.key.is_empty() && !secrets.signature.is_empty() =>
        {
            (message, timestamp)
        }
        _ => return Err((200, access_denied())),
    };
    let Some(key) = state.keys.get(&secrets.key) else {
        return Err((403, ErrorEnvelope::error(None, "Invalid api key provided")));
    };
    if !verify(&key.secret, message, &secrets.signature) {
        return Err((200, ErrorEnvelope::err_msg(4, "Invalid signature")));
    }
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since_epoch.unwrap_or_default().as_secs();
    let is_now = |timestamp: &String| {
        let time = timestamp.parse::<u64>();
        time.is_ok_and(|time| time.abs_diff(seconds) <= TIMESTAMP_TOLERANCE)
    };
    if !timestamp.iter().all(is_now) {
        return Err((200, ErrorEnvelope::err_msg(4, "Invalid timestamp")));
    }
    let login = Arc::clone(&key.login);
    state.note_key_use(&login, now);
    Ok(login)
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
