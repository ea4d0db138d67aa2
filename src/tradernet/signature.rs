//! The two ways to sign a request with a key pair.
//!
//! Source: the vendor's PHP SDK (version 2) and Python SDK 2.2.0 (version 3).

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;

/// The header that carries a signature.
pub(super) const HEADER: &str = "X-NtApi-Sig";

/// The signature of a version 3 request: the body followed by the timestamp.
pub(super) fn version_3(secret: &str, body: &str, timestamp_seconds: u64) -> SecretString {
    hmac_sha256_hex(secret, &[body, &timestamp_seconds.to_string()])
}

/// The signature of a version 2 request, over the presign of its fields.
pub(super) fn version_2(secret: &str, fields: &[(&str, &str)]) -> SecretString {
    hmac_sha256_hex(secret, &[&presign(fields)])
}

/// `key=value` joined with `&`, keys sorted, nothing encoded.
fn presign(fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let pairs: Vec<String> = sorted
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join("&")
}

fn hmac_sha256_hex(secret: &str, message: &[&str]) -> SecretString {
    let mut hex = String::with_capacity(64);
    // HMAC takes a key of any length; were that to change, no signature is better than a panic.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        message.iter().for_each(|part| mac.update(part.as_bytes()));
        for byte in mac.finalize().into_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
    }
    SecretString::from(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    // Known answers: `hmac.new(b"s3cret", message, hashlib.sha256).hexdigest()` in Python.

    #[test]
    fn version_3_signs_body_and_timestamp() {
        assert_eq!(
            version_3("s3cret", "{}", 1_700_000_000).expose_secret(),
            "06ea0b9510fed50d87be04bff6d26ae86167afbef3deeef7070032fac89478fa"
        );
    }

    #[test]
    fn version_2_signs_the_sorted_fields() {
        let fields = [
            ("nonce", "17000000001234"),
            ("cmd", "getSecuritySessions"),
            ("apiKey", "pub"),
        ];
        assert_eq!(
            version_2("s3cret", &fields).expose_secret(),
            "4f0516388b699caa2eafa7cef6349ecc4971b8d1207a07d6f11c744ed07cf507"
        );
    }
}
