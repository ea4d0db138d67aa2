//! The requests: path, body and headers for each kind of credential.
//!
//! Source: the vendor's page (version 1) and its SDKs (versions 2 and 3), see `signature`.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::error::Error;
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

impl Endpoint {
    /// The request for the list.
    pub(super) fn list_request(
        &self,
        credentials: Credentials<'_>,
        now: Timestamps,
    ) -> Result<Request, Error> {
        match credentials {
            Credentials::Sid(sid) => {
                let sid = sid.expose_secret();
                let query = serde_json::json!({"cmd": COMMAND, "SID": sid, "params": {}});
                let mut request = self.form("/api/", &[("q", &query.to_string())]);
                insert_secret(&mut request, "Cookie", &format!("SID={sid}").into())?;
                Ok(request)
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
                let mut request = self.form("/api/v2/cmd/getSecuritySessions", &fields);
                insert_secret(&mut request, signature::HEADER, &signature)?;
                Ok(request)
            }
            Credentials::KeyPair { key, secret, .. } => {
                let body = "{}";
                let mut request = self.post("/api/getSecuritySessions", JSON, &body.into());
                for (name, value) in version_3_signature(key, secret, body, now) {
                    insert_secret(&mut request, name, &value)?;
                }
                Ok(request)
            }
        }
    }

    /// A form without further headers.
    pub(super) fn form(&self, path: &str, fields: &[(&str, &str)]) -> Request {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish().into();
        self.post(path, FORM, &body)
    }

    fn post(&self, path: &str, content_type: &'static str, body: &SecretString) -> Request {
        let mut url = self.origin.clone();
        url.set_path(path);
        let mut request = Request::new(Method::POST, url);
        let content_type = HeaderValue::from_static(content_type);
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        *request.body_mut() = Some(wiped(body).into());
        *request.timeout_mut() = Some(self.timeout);
        request
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

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float saturates, and no clock comes near the ends"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

/// A copy that is wiped after it was sent.
fn wiped(secret: &SecretString) -> Bytes {
    let bytes = secret.expose_secret().as_bytes();
    Bytes::from_owner(Zeroizing::new(bytes.to_vec()))
}

/// Adds a header that is not shown in any log.
pub(super) fn insert_secret(
    request: &mut Request,
    name: &str,
    value: &SecretString,
) -> Result<(), Error> {
    let name = HeaderName::try_from(name);
    let value = HeaderValue::from_maybe_shared(wiped(value));
    let (Ok(name), Ok(mut value)) = (name, value) else {
        return Err(Error::Credential {
            detail: "it has characters that HTTP cannot carry".to_owned(),
        });
    };
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}
