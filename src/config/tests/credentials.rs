//! Credentials: exactly one kind, complete.

use secrecy::ExposeSecret as _;

use super::*;
use crate::secret::SecretSource;

const SID: (&str, &str) = ("TRADERNET_SID", "hunter2");
const LOGIN: (&str, &str) = ("TRADERNET_LOGIN", "me");
const PASSWORD: (&str, &str) = ("TRADERNET_PASSWORD", "hunter2");
const KEY: (&str, &str) = ("TRADERNET_API_KEY", "hunter2");
const SECRET: (&str, &str) = ("TRADERNET_API_SECRET", "hunter2");

fn credential(pairs: &[(&str, &str)]) -> CredentialSource {
    load(pairs).unwrap().accounts.remove(0).credential
}

#[test]
fn an_account_has_exactly_one_complete_credential() {
    let one = "unset one of them; an account has one credential";
    for (pairs, error) in [
        (
            &[][..],
            "TRADERNET_SID: no credential; set TRADERNET_SID, or TRADERNET_LOGIN and \
             TRADERNET_PASSWORD, or TRADERNET_API_KEY and TRADERNET_API_SECRET (each secret also as \
             a file, such as TRADERNET_SID_FILE)"
                .to_owned(),
        ),
        (
            &[SID, ("TRADERNET_SID_FILE", "/run/sid")],
            "TRADERNET_SID: conflicts with TRADERNET_SID_FILE; unset one of them".to_owned(),
        ),
        (
            &[SID, LOGIN, PASSWORD],
            format!("TRADERNET_PASSWORD: conflicts with TRADERNET_SID; {one}"),
        ),
        (
            &[SID, PASSWORD, KEY],
            format!(
                "TRADERNET_PASSWORD: conflicts with TRADERNET_SID; {one}\n\
                 TRADERNET_API_KEY: conflicts with TRADERNET_SID; {one}"
            ),
        ),
        (
            &[LOGIN, KEY, SECRET],
            format!("TRADERNET_LOGIN: conflicts with TRADERNET_API_KEY; {one}"),
        ),
        (
            &[LOGIN],
            "TRADERNET_LOGIN: requires TRADERNET_PASSWORD or TRADERNET_PASSWORD_FILE".to_owned(),
        ),
        (
            &[PASSWORD],
            "TRADERNET_PASSWORD: requires TRADERNET_LOGIN".to_owned(),
        ),
        (
            &[KEY],
            "TRADERNET_API_KEY: requires TRADERNET_API_SECRET".to_owned(),
        ),
        (
            &[SECRET],
            "TRADERNET_API_SECRET: requires TRADERNET_API_KEY".to_owned(),
        ),
    ] {
        assert_refused(pairs, &error);
    }
    assert!(load(&[SID, LOGIN]).is_ok());
}

#[test]
fn api_version_must_match_the_credential() {
    let version = |more: &[(&str, &str)]| match credential(&[&[KEY, SECRET], more].concat()) {
        CredentialSource::KeyPair { version, .. } => version,
        other => panic!("{other:?}"),
    };
    assert_eq!(version(&[]), KeyVersion::V3);
    assert_eq!(version(&[("TRADERNET_API_VERSION", "3")]), KeyVersion::V3);
    assert_eq!(version(&[("TRADERNET_API_VERSION", "2")]), KeyVersion::V2);
    assert!(load(&[SID, ("TRADERNET_API_VERSION", "1")]).is_ok());
    for (pairs, error) in [
        (
            &[SID, ("TRADERNET_API_VERSION", "3")][..],
            "TRADERNET_API_VERSION: \"3\" must be 1 with an SID or a login, 2 or 3 with a key pair",
        ),
        (
            &[KEY, SECRET, ("TRADERNET_API_VERSION", "1")],
            "TRADERNET_API_VERSION: \"1\" must be 1 with an SID or a login, 2 or 3 with a key pair",
        ),
        (
            &[SID, ("TRADERNET_API_VERSION", "4")],
            "TRADERNET_API_VERSION: \"4\" must be one of 1, 2, 3",
        ),
    ] {
        assert_refused(pairs, error);
    }
}

#[test]
fn a_login_can_be_view_only() {
    let view_only = ("TRADERNET_LOGIN_VIEW_ONLY", "true");
    let user_id = ("TRADERNET_USER_ID", "12345");
    let settings = |more: &[(&str, &str)]| match credential(&[&[LOGIN, PASSWORD], more].concat()) {
        CredentialSource::Login {
            view_only, user_id, ..
        } => (view_only, user_id),
        other => panic!("{other:?}"),
    };
    assert_eq!(settings(&[]), (false, None));
    assert_eq!(settings(&[view_only]), (true, None));
    assert_eq!(settings(&[view_only, user_id]), (true, Some(12345)));
    assert_refused(
        &[LOGIN, PASSWORD, user_id],
        "TRADERNET_USER_ID: requires TRADERNET_LOGIN_VIEW_ONLY to be true",
    );
}

#[test]
fn secrets_and_logins_with_quotes_or_placeholders_are_refused() {
    let control = "contains a line break or another control character";
    let placeholder = "is a placeholder that was not replaced; give the value itself, or in a file";
    let quotes = "is surrounded by quotes; remove them, or give the value in a file";
    for (value, message) in [
        ("hunter2\nhunter3", control),
        ("${HUNTER2}", placeholder),
        ("'hunter2'", quotes),
        (" ", "is empty"),
    ] {
        for (secret, other) in [
            ("TRADERNET_SID", None),
            ("TRADERNET_PASSWORD", Some(LOGIN)),
            ("TRADERNET_API_KEY", Some(SECRET)),
            ("TRADERNET_API_SECRET", Some(KEY)),
            ("TRADERNET_LOGIN", Some(PASSWORD)),
        ] {
            let pairs: Vec<_> = [(secret, value)].into_iter().chain(other).collect();
            assert_refused(&pairs, &format!("{secret}: the value {message}"));
        }
    }
    let pairs = [
        ("TRADERNET_LOGIN", "me\n"),
        ("TRADERNET_PASSWORD", "hunter 2\r\n"),
    ];
    let CredentialSource::Login {
        login, password, ..
    } = credential(&pairs)
    else {
        panic!()
    };
    assert_eq!(login, "me");
    let SecretSource::Inline(password) = password else {
        panic!()
    };
    assert_eq!(password.expose_secret(), "hunter 2");
}

#[test]
fn loading_does_not_read_secret_files() {
    let pairs = [LOGIN, ("TRADERNET_PASSWORD_FILE", "/nowhere/password")];
    let CredentialSource::Login { password, .. } = credential(&pairs) else {
        panic!()
    };
    assert!(matches!(password, SecretSource::File(_)));
}
