//! Credentials: exactly one kind, and what goes with it.

use super::*;

#[test]
fn a_key_pair_is_version_3_unless_told_otherwise() {
    let keys = [("TRADERNET_API_KEY", "k"), ("TRADERNET_API_SECRET", "s")];
    let version = |more: &[(&str, &str)]| {
        let config = load(&[&keys, more].concat()).unwrap();
        let CredentialSource::KeyPair { version, .. } = config.accounts[0].credential else {
            panic!()
        };
        version
    };
    assert_eq!(version(&[]), KeyVersion::V3);
    assert_eq!(version(&[("TRADERNET_API_VERSION", "3")]), KeyVersion::V3);
    assert_eq!(version(&[("TRADERNET_API_VERSION", "2")]), KeyVersion::V2);
}

#[test]
fn no_credential() {
    refused(
        &[],
        "TRADERNET_SID: no credential is set: set TRADERNET_SID, or TRADERNET_LOGIN and TRADERNET_PASSWORD, \
         or TRADERNET_API_KEY and TRADERNET_API_SECRET (or their _FILE forms)",
    );
}

#[test]
fn half_a_credential() {
    refused(
        &[("TRADERNET_LOGIN", "me")],
        "TRADERNET_LOGIN=\"me\": has no password: set TRADERNET_PASSWORD or TRADERNET_PASSWORD_FILE",
    );
    refused(
        &[("TRADERNET_PASSWORD", "hunter2")],
        "TRADERNET_PASSWORD: has no login: set TRADERNET_LOGIN",
    );
    refused(
        &[("TRADERNET_API_KEY", "k")],
        "TRADERNET_API_SECRET: is missing: TRADERNET_API_KEY is of no use without it",
    );
    refused(
        &[("TRADERNET_API_SECRET", "s")],
        "TRADERNET_API_KEY: is missing: TRADERNET_API_SECRET is of no use without it",
    );
}

#[test]
fn a_password_beside_the_login_is_not_shown() {
    refused(
        &[("TRADERNET_LOGIN", "me:hunter2")],
        "TRADERNET_LOGIN: has no password: set TRADERNET_PASSWORD or TRADERNET_PASSWORD_FILE",
    );
}

#[test]
fn two_credentials() {
    refused_with_sid(
        &[("TRADERNET_LOGIN", "me"), ("TRADERNET_PASSWORD", "hunter2")],
        "TRADERNET_PASSWORD: is set together with TRADERNET_SID: unset one of them; an account has one credential",
    );
    refused_with_sid(
        &[("TRADERNET_SID_FILE", "/nowhere")],
        "TRADERNET_SID: is set together with TRADERNET_SID_FILE: unset one of them",
    );
    refused(
        &[
            ("TRADERNET_LOGIN", "me"),
            ("TRADERNET_API_KEY", "k"),
            ("TRADERNET_API_SECRET", "s"),
        ],
        "TRADERNET_LOGIN=\"me\": is set together with TRADERNET_API_KEY: unset one of them; an account has one credential",
    );
}

#[test]
fn all_three_credentials_and_a_version_that_none_has() {
    let one = "unset one of them; an account has one credential";
    refused_with_sid(
        &[
            ("TRADERNET_PASSWORD", "hunter2"),
            ("TRADERNET_API_KEY", "hunter2"),
            ("TRADERNET_API_VERSION", "4"),
        ],
        &format!(
            "TRADERNET_API_VERSION=\"4\": is none of 1, 2, 3\n\
             TRADERNET_PASSWORD: is set together with TRADERNET_SID: {one}\n\
             TRADERNET_API_KEY: is set together with TRADERNET_SID: {one}"
        ),
    );
    refused(
        &[("TRADERNET_LOGIN", "me"), ("TRADERNET_API_VERSION", "4")],
        "TRADERNET_API_VERSION=\"4\": is none of 1, 2, 3\n\
         TRADERNET_LOGIN=\"me\": has no password: set TRADERNET_PASSWORD or TRADERNET_PASSWORD_FILE",
    );
}

#[test]
fn a_login_may_stand_beside_an_sid() {
    assert!(load_with_sid(&[("TRADERNET_LOGIN", "me")]).is_ok());
}

#[test]
fn a_version_that_does_not_go_with_the_credential() {
    refused_with_sid(
        &[("TRADERNET_API_VERSION", "3")],
        "TRADERNET_API_VERSION=\"3\": does not go with an SID or a login: use 1, or a key pair",
    );
    refused(
        &[
            ("TRADERNET_API_KEY", "k"),
            ("TRADERNET_API_SECRET", "s"),
            ("TRADERNET_API_VERSION", "1"),
        ],
        "TRADERNET_API_VERSION=\"1\": does not go with a key pair: use 2 or 3",
    );
    refused_with_sid(
        &[("TRADERNET_API_VERSION", "4")],
        "TRADERNET_API_VERSION=\"4\": is none of 1, 2, 3",
    );
}

#[test]
fn a_secret_that_no_header_can_carry_is_not_shown() {
    refused(
        &[("TRADERNET_SID", "two words")],
        "TRADERNET_SID: has a space or another character that no SID or key has: check how it was copied",
    );
}
