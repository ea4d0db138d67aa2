//! What is said over the WebSocket: JSON arrays `[event, data, …]` in text frames.
//!
//! Source: the vendor's page and its Node client, which sends `["sessions",[]]` where the page sends
//! `["sessions"]`. A key pair's query is that of the vendor's Python SDK. The URL contains the
//! credential, so it is never shown.

use secrecy::{ExposeSecret as _, SecretString};

use super::frame::{Event, websocket_event};
use super::request::{Credentials, whole};
use super::signature;
use crate::clock::Timestamps;

/// Asks for the list, and for every change of it.
pub(super) const ASK: &str = r#"["sessions"]"#;

/// Path and query of the handshake, and its signature.
pub(super) fn path(
    credentials: Credentials<'_>,
    now: Timestamps,
) -> (SecretString, Option<SecretString>) {
    let mut query = form_urlencoded::Serializer::for_suffix("/?".to_owned(), 2);
    let signature = match credentials {
        Credentials::Sid(sid) => {
            query.append_pair("SID", sid.expose_secret());
            None
        }
        Credentials::KeyPair { key, secret, .. } => {
            let timestamp = whole(now.wall_seconds());
            let signature = signature::version_3(secret.expose_secret(), "", timestamp);
            query
                .append_pair("X-NtApi-PublicKey", key.expose_secret())
                .append_pair("X-NtApi-Timestamp", &timestamp.to_string())
                .append_pair(signature::HEADER, signature.expose_secret());
            Some(signature)
        }
    };
    (query.finish().into(), signature)
}

/// Reads a text frame.
pub(super) fn read(text: &str) -> Event {
    websocket_event(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tradernet::KeyVersion;

    #[test]
    fn a_key_pair_signs_the_timestamp() {
        let now = Timestamps {
            wall_ms: 1_700_000_000_900.0,
            monotonic: std::time::Duration::ZERO,
        };
        let (key, secret) = ("pub&".into(), "s3cret".into());
        let credentials = Credentials::KeyPair {
            key: &key,
            secret: &secret,
            version: KeyVersion::V3,
        };
        let (path, signature) = path(credentials, now);
        // `hmac.new(b"s3cret", b"1700000000", hashlib.sha256).hexdigest()` in Python.
        let expected = "b82d76a98690627a418267faa0be5e8830d04d82cc88b5450d2c0f32173127c5";
        assert_eq!(
            path.expose_secret(),
            format!(
                "/?X-NtApi-PublicKey=pub%26&X-NtApi-Timestamp=1700000000&X-NtApi-Sig={expected}"
            )
        );
        assert_eq!(
            signature
                .as_ref()
                .map(|signature| signature.expose_secret()),
            Some(expected)
        );
    }
}
