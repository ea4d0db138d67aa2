//! The requests: which path, which form, which headers for each kind of credential.
//!
//! Source: the vendor's page (version 1) and its SDKs (versions 2 and 3), see `sign`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::client::{Client, ListResponse, Outgoing};
use super::error::Error;
use super::login::{self, Login};
use super::redact::Redactor;
use super::signature;
use crate::clock::Timestamps;

const COMMAND: &str = "getSecuritySessions";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Where an account lives, and how long one request may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `TRADERNET_URL`: scheme, host and port alone.
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

/// As whom a list is read.
#[derive(Clone, Copy, Debug)]
pub enum Credentials<'a> {
    /// An SID, sent as version 1 in a form: an SID never stands in an HTTP URL.
    Sid(&'a SecretString),
    /// A key pair. No SID goes with it: the server would let the SID win.
    KeyPair {
        /// The public part.
        key: &'a SecretString,
        /// What signs.
        secret: &'a SecretString,
        /// How.
        version: KeyVersion,
    },
}

/// The last nonce of version 2 requests; a server refuses one that does not grow.
static LAST_NONCE: AtomicU64 = AtomicU64::new(0);

impl Client {
    /// Reads the list of open sessions once.
    ///
    /// # Errors
    ///
    /// Every way in which there is no list to be had: see [`Error`].
    pub async fn sessions(
        &self,
        target: &Endpoint,
        identity: Credentials<'_>,
        now: Timestamps,
        redactor: &Redactor,
    ) -> Result<ListResponse, Error> {
        let outgoing = || match identity {
            Credentials::Sid(sid) => by_sid(target, sid),
            Credentials::KeyPair {
                key,
                secret,
                version,
            } => match version {
                KeyVersion::V2 => by_key_version_2(target, key, secret, now),
                KeyVersion::V3 => by_key_version_3(target, key, secret, now),
            },
        };
        self.list(outgoing, redactor).await
    }

    /// Logs in once, and returns the SID.
    ///
    /// # Errors
    ///
    /// [`Error::Auth`] where the login was refused, else why there was no verdict.
    pub async fn log_in(
        &self,
        target: &Endpoint,
        login: Login<'_>,
        redactor: &Redactor,
    ) -> Result<SecretString, Error> {
        let (path, body) = login.request();
        let outgoing = Outgoing {
            url: at(target, path),
            content_type: FORM,
            body,
            sid: None,
            signed: Vec::new(),
            timeout: target.timeout,
        };
        let reply = Client::login(self, outgoing, redactor).await?;
        login::sid(&reply, redactor)
    }
}

fn by_sid(target: &Endpoint, sid: &SecretString) -> Outgoing {
    let query = serde_json::json!({
        "cmd": COMMAND,
        "SID": sid.expose_secret(),
        "params": {},
    });
    Outgoing {
        url: at(target, "/api/"),
        content_type: FORM,
        body: form(&[("q", &query.to_string())]),
        sid: Some(sid.clone()),
        signed: Vec::new(),
        timeout: target.timeout,
    }
}

fn by_key_version_2(
    target: &Endpoint,
    key: &SecretString,
    secret: &SecretString,
    now: Timestamps,
) -> Outgoing {
    let nonce = next_nonce(now).to_string();
    let fields = [
        ("apiKey", key.expose_secret()),
        ("cmd", COMMAND),
        ("nonce", nonce.as_str()),
    ];
    Outgoing {
        url: at(target, "/api/v2/cmd/getSecuritySessions"),
        content_type: FORM,
        body: form(&fields),
        sid: None,
        signed: vec![(
            signature::HEADER,
            signature::version_2(secret.expose_secret(), &fields),
        )],
        timeout: target.timeout,
    }
}

fn by_key_version_3(
    target: &Endpoint,
    key: &SecretString,
    secret: &SecretString,
    now: Timestamps,
) -> Outgoing {
    let body = "{}";
    let timestamp = whole(now.wall_seconds());
    Outgoing {
        url: at(target, "/api/getSecuritySessions"),
        content_type: JSON,
        body: body.into(),
        sid: None,
        signed: vec![
            ("X-NtApi-PublicKey", key.clone()),
            ("X-NtApi-Timestamp", timestamp.to_string().into()),
            (
                signature::HEADER,
                signature::version_3(secret.expose_secret(), body, timestamp),
            ),
        ],
        timeout: target.timeout,
    }
}

fn at(target: &Endpoint, path: &str) -> Url {
    let mut url = target.origin.clone();
    url.set_path(path);
    url
}

fn form(fields: &[(&str, &str)]) -> SecretString {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
        .into()
}

/// Tenths of a millisecond since the epoch, and always more than the last.
fn next_nonce(now: Timestamps) -> u64 {
    let proposed = whole(now.wall_ms * 10.0);
    let last = LAST_NONCE.fetch_max(proposed, Ordering::Relaxed);
    if last < proposed {
        return proposed;
    }
    LAST_NONCE.fetch_add(1, Ordering::Relaxed) + 1
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float saturates, and no clock comes near the ends"
)]
pub(super) fn whole(value: f64) -> u64 {
    value as u64
}
