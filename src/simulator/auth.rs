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

/// Fields nested deeper than this are not a form; bounds the recursion.
const MAX_DEPTH: usize = 16;

/// What a request for the list carries; SID, key and signature themselves are in [`RequestSecrets`].
pub(super) enum Credential {
    Nothing,
    Sid,
    V2(PhpForm),
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
        Credential::V2(form) => form.canonical_string().into_bytes(),
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

/// A form whose brackets are read as PHP reads them: `a[b]=c` is a field `a` with a field `b`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PhpForm(BTreeMap<String, FormValue>);

#[derive(Debug, PartialEq, Eq)]
enum FormValue {
    Text(String),
    Nested(PhpForm),
}

impl PhpForm {
    /// Reads a body in form encoding; `None` if it is nested too deeply.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut form = Self::default();
        for (key, value) in form_urlencoded::parse(body) {
            let (first, rest) = match key.split_once('[') {
                Some((first, rest)) => (first, rest.strip_suffix(']')?.split("][").collect()),
                None => (&*key, Vec::new()),
            };
            if rest.len() > MAX_DEPTH {
                return None;
            }
            form.insert(first, &rest, value.into_owned());
        }
        Some(form)
    }

    fn insert(&mut self, key: &str, path: &[&str], value: String) {
        // `a[]=x` appends under the next number.
        let key = match key {
            "" => self.0.len().to_string(),
            key => key.to_owned(),
        };
        let Some((next, path)) = path.split_first() else {
            self.0.insert(key, FormValue::Text(value));
            return;
        };
        let nested = || FormValue::Nested(Self::default());
        let field = self.0.entry(key).or_insert_with(nested);
        if let FormValue::Text(_) = field {
            *field = nested();
        }
        if let FormValue::Nested(form) = field {
            form.insert(next, path, value);
        }
    }

    /// The text of a field at the top.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            FormValue::Text(text) => Some(text),
            FormValue::Nested(_) => None,
        }
    }

    /// What V2 signs: `key=value` joined with `&`, keys sorted, a nested form as `key=` and its own string.
    fn canonical_string(&self) -> String {
        let pairs = self.0.iter().map(|(key, field)| match field {
            FormValue::Text(text) => format!("{key}={text}"),
            FormValue::Nested(form) => format!("{key}={}", form.canonical_string()),
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Computed with Python: hmac.new(secret, message, hashlib.sha256).hexdigest()
    const SECRET: &str = "3f0c1d5e9a7b2468";
    const V2: &str = "b02e6010dc5dad54f13e6e2458be5936b7b80e61418e31f1e1bc95818bedef6d";
    const V2_PARAMS: &str = "d14b9bc16abb9819cf31e77c93edcfc2f12a6f59330cbe7d0b849fc3f276b094";
    const V3: &str = "64b6b8b56ef408a5defca1e4c49ed7f600d6eadbffeac758b79a0a5ec31321af";

    fn verify_v2(body: &[u8], signature: &str) -> bool {
        let form = PhpForm::parse(body).unwrap();
        verify(SECRET, form.canonical_string().as_bytes(), signature)
    }

    #[test]
    fn v2_signs_the_sorted_fields() {
        let body = b"nonce=17000000000000&cmd=getSecuritySessions&apiKey=demo-key";
        assert!(verify_v2(body, V2));
        assert!(!verify_v2(&body[1..], V2));
    }

    #[test]
    fn v2_signs_nested_params_decoded_and_sorted() {
        let body = b"params[b][]=x+y&params[b][]=z&params%5Ba%5D=1&apiKey=demo-key&cmd=getSecuritySessions&nonce=17000000000000";
        assert!(verify_v2(body, V2_PARAMS));
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

    #[test]
    fn deeply_nested_form_is_rejected() {
        let deep = format!("a{}=1", "[x]".repeat(MAX_DEPTH + 1));
        assert_eq!(PhpForm::parse(deep.as_bytes()), None);
        assert_eq!(PhpForm::parse(b"a[x=1"), None);
    }
}
