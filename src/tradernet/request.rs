//! The requests: path, body and headers for each kind of credential.
//!
//! Source: the vendor's page (version 1) and its SDKs (versions 2 and 3), see `signature`.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::signature;
use crate::clock::Timestamps;

const COMMAND: &str = "getSecuritySessions";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Where an account's API is, and how long one request may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `TRADERNET_URL`: scheme, host and port only.
    pub origin: Url,
    /// `TRADERNET_TIMEOUT`, connect included.
    pub timeout: Duration,
}

/// How requests with a key pair are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyVersion {
    /// Form body, signature over the sorted fields.
    V2,
    /// JSON body, signature over body and timestamp.
    V3,
}

/// The credential that a list is read with.
#[derive(Clone, Copy, Debug)]
pub enum Credentials<'a> {
    /// An SID, sent as version 1 in a form: an SID is never part of an HTTP URL.
    Sid(&'a SecretString),
    /// A key pair. No SID goes with it: the server would let the SID win.
    KeyPair {
        /// The public part.
        key: &'a SecretString,
        /// The secret part, which signs.
        secret: &'a SecretString,
        /// How requests are signed.
        version: KeyVersion,
    },
}

/// A request to the API: always a POST.
pub(super) struct ApiRequest {
    pub(super) path: &'static str,
    pub(super) content_type: &'static str,
    pub(super) body: SecretString,
    pub(super) headers: Vec<(&'static str, SecretString)>,
}

impl ApiRequest {
    /// A form without further headers.
    pub(super) fn form(path: &'static str, fields: &[(&str, &str)]) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        Self {
            path,
            content_type: FORM,
            body: form.extend_pairs(fields).finish().into(),
            headers: Vec::new(),
        }
    }

    /// The request for the list.
    pub(super) fn list(credentials: Credentials<'_>, now: Timestamps) -> Self {
        match credentials {
            Credentials::Sid(sid) => {
                let sid = sid.expose_secret();
                let query = serde_json::json!({"cmd": COMMAND, "SID": sid, "params": {}});
                let mut request = Self::form("/api/", &[("q", &query.to_string())]);
                request
                    .headers
                    .push(("Cookie", format!("SID={sid}").into()));
                request
            }
            Credentials::KeyPair {
                key,
                secret,
                version: KeyVersion::V2,
            } => {
                // Tenths of a millisecond.
                let nonce = whole(now.wall_ms * 10.0).to_string();
                let fields = [
                    ("apiKey", key.expose_secret()),
                    ("cmd", COMMAND),
                    ("nonce", nonce.as_str()),
                ];
                let signature = signature::version_2(secret.expose_secret(), &fields);
                let mut request = Self::form("/api/v2/cmd/getSecuritySessions", &fields);
                request.headers.push((signature::HEADER, signature));
                request
            }
            Credentials::KeyPair { key, secret, .. } => {
                let body = "{}";
                Self {
                    path: "/api/getSecuritySessions",
                    content_type: JSON,
                    body: body.into(),
                    headers: version_3_signature(key, secret, body, now).into(),
                }
            }
        }
    }
}

/// Public key, timestamp and signature: the headers of a version 3 request, and the query of a stream.
pub(super) fn version_3_signature(
    key: &SecretString,
    secret: &SecretString,
    body: &str,
    now: Timestamps,
) -> [(&'static str, SecretString); 3] {
    let timestamp = whole(now.wall_seconds());
    [
        ("X-NtApi-PublicKey", key.clone()),
        ("X-NtApi-Timestamp", timestamp.to_string().into()),
        (
            signature::HEADER,
            signature::version_3(secret.expose_secret(), body, timestamp),
        ),
    ]
}

/// The signature among the headers or parameters of a request.
pub(super) fn signature_of(fields: &[(&str, SecretString)]) -> Option<SecretString> {
    let mut fields = fields.iter();
    fields.find_map(|(name, value)| (*name == signature::HEADER).then(|| value.clone()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float saturates, and no clock comes near the ends"
)]
fn whole(value: f64) -> u64 {
    value as u64
}
