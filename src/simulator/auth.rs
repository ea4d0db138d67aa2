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
use super::session_list::unix_seconds;
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
        let time = timestamp.parse::<i64>().ok();
        let off = time.and_then(|time| time.checked_sub(unix_seconds(now)));
        if off.is_none_or(|off| off.unsigned_abs() > TIMESTAMP_TOLERANCE) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    // Computed with Python: hmac.new(secret, message, hashlib.sha256).hexdigest()
    const SECRET: &str = "3f0c1d5e9a7b2468";
    const V2: &str = "b02e6010dc5dad54f13e6e2458be5936b7b80e61418e31f1e1bc95818bedef6d";
    const V3: &str = "64b6b8b56ef408a5defca1e4c49ed7f600d6eadbffeac758b79a0a5ec31321af";

    #[test]
    fn v2_signs_the_sorted_fields() {
        let fields = [
            ("nonce", "17000000000000"),
            ("cmd", "getSecuritySessions"),
            ("apiKey", "demo-key"),
        ];
        let mut form =
            BTreeMap::from(fields.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(verify(SECRET, canonical_string(&form).as_bytes(), V2));
        form.remove("nonce");
        assert!(!verify(SECRET, canonical_string(&form).as_bytes(), V2));
    }

    #[test]
    fn v3_signs_the_body_and_the_time() {
        assert!(verify(SECRET, b"{}1700000000", V3));
        assert!(!verify(SECRET, b"{}1700000001", V3));
        assert!(!verify("another", b"{}1700000000", V3));
    }

    #[test]
    fn malformed_signatures_are_rejected() {
        let longer = format!("{V3}00");
        for bad in [
            "",
            &V3.to_uppercase(),
            &V3.replacen('6', "g", 1),
            &longer,
            &V3[1..],
        ] {
            assert!(!verify(SECRET, b"{}1700000000", bad), "{bad}");
        }
    }
}
