//! An account's credential: exactly one kind, and all that it needs.

use secrecy::SecretString;

use super::account_config::CredentialSource;
use super::error::ConfigErrors;
use super::parse;
use super::settings::Settings;
use crate::secret::{SecretKind, SecretSource, check_secret, check_unquoted_and_filled};
use crate::tradernet::KeyVersion;

/// The kinds of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sid,
    Login,
    KeyPair,
}

impl Kind {
    /// The kind that a key belongs to; a login goes with two of them.
    pub(super) fn of(key: &str) -> Option<Self> {
        match key.strip_suffix("_file").unwrap_or(key) {
            "sid" => Some(Self::Sid),
            "password" | "login_view_only" | "user_id" => Some(Self::Login),
            "api_key" | "api_secret" => Some(Self::KeyPair),
            _ => None,
        }
    }
}

/// A secret's key as it was set, and where the secret comes from; none where it cannot be used.
type Secret = Option<(&'static str, Option<SecretSource>)>;

pub(super) fn resolve(settings: &Settings, errors: &mut ConfigErrors) -> Option<CredentialSource> {
    let sid = secret(settings, ["sid", "sid_file"], SecretKind::Token, errors);
    let keys = ["password", "password_file"];
    let password = secret(settings, keys, SecretKind::Text, errors);
    let keys = ["api_key", "api_key_file"];
    let api_key = secret(settings, keys, SecretKind::Token, errors);
    let keys = ["api_secret", "api_secret_file"];
    let api_secret = secret(settings, keys, SecretKind::Text, errors);
    // It is judged by the rules for secrets, since it often comes from the same place.
    if let Some(text) = settings.text("login", errors) {
        let login = inline(text, SecretKind::Text);
        errors.ok(login, &settings.location("login"), None);
    }

    let key = |secret: &Secret| secret.as_ref().map(|(key, _)| *key);
    let given = [
        (Kind::Sid, key(&sid)),
        (Kind::Login, key(&password)),
        (Kind::KeyPair, key(&api_key).or(key(&api_secret))),
    ];
    let mut given = given
        .into_iter()
        .filter_map(|(kind, key)| Some((kind, key?)));
    let Some((kind, first)) = given.next() else {
        report_missing(settings, errors);
        key_version(settings, None, errors);
        return None;
    };
    let mut is_single = true;
    let clashing_login = (kind == Kind::KeyPair && settings.is_set("login")).then_some("login");
    for other in given.map(|(_, key)| key).chain(clashing_login) {
        is_single = false;
        let message = format!(
            "{}; an account has one credential",
            conflict(settings, first)
        );
        errors.push(&settings.location(other), message);
    }
    let version = key_version(settings, Some(kind), errors);
    let mut require = |required: &str, is_given: bool| {
        if !is_given {
            let message = format!("requires {}", settings.name(required));
            errors.push(&settings.location(first), message);
        }
    };
    match kind {
        _ if !is_single => None,
        Kind::Sid => Some(CredentialSource::Sid(sid?.1?)),
        Kind::Login => {
            require("login", settings.is_set("login"));
            let (view_only, user_id) = view_only(settings, errors)?;
            Some(CredentialSource::Login {
                login: login(settings)?,
                password: password?.1?,
                view_only,
                user_id,
            })
        }
        Kind::KeyPair => {
            require("api_key", api_key.is_some());
            require("api_secret", api_secret.is_some());
            Some(CredentialSource::KeyPair {
                version: version?,
                key: api_key?.1?,
                secret: api_secret?.1?,
            })
        }
    }
}

/// The login, where it is valid.
pub(super) fn login(settings: &Settings) -> Option<String> {
    let text = settings.get("login")?.node.text()?;
    inline(text, SecretKind::Text).ok()
}

/// A secret or login that is not from a file.
fn inline(text: &str, kind: SecretKind) -> Result<String, String> {
    let text = check_secret(text, kind)?;
    check_unquoted_and_filled(text)?;
    Ok(text.to_owned())
}

fn secret(
    settings: &Settings,
    [key, file_key]: [&'static str; 2],
    kind: SecretKind,
    errors: &mut ConfigErrors,
) -> Secret {
    match (settings.is_set(key), settings.is_set(file_key)) {
        (false, false) => None,
        (true, true) => {
            errors.push(&settings.location(key), conflict(settings, file_key));
            Some((key, None))
        }
        (true, false) => {
            let text = settings.text(key, errors);
            let secret =
                text.and_then(|text| errors.ok(inline(text, kind), &settings.location(key), None));
            let source = secret.map(|secret| SecretSource::Inline(SecretString::from(secret)));
            Some((key, source))
        }
        // Whether the file can be read is seen when the account is polled.
        (false, true) => {
            let path = settings.parse(file_key, errors, |text| Ok(settings.path(text)));
            Some((file_key, path.map(|path| SecretSource::file(path, kind))))
        }
    }
}

fn conflict(settings: &Settings, with: &str) -> String {
    let with = settings.location(with).mention();
    format!("conflicts with {with}; unset one of them")
}

fn report_missing(settings: &Settings, errors: &mut ConfigErrors) {
    let name = |key| settings.name(key);
    if settings.is_set("login") {
        let message = format!("requires {} or {}", name("password"), name("password_file"));
        errors.push(&settings.location("login"), message);
        return;
    }
    let message = format!(
        "no credential; set {}, or {} and {}, or {} and {} (each secret also as a file, such as {})",
        name("sid"),
        name("login"),
        name("password"),
        name("api_key"),
        name("api_secret"),
        name("sid_file"),
    );
    errors.push(&settings.location("sid"), message);
}

/// Version 1 goes with an SID or a login, 2 and 3 with a key pair; `kind` is unknown where no
/// credential is set.
fn key_version(
    settings: &Settings,
    kind: Option<Kind>,
    errors: &mut ConfigErrors,
) -> Option<KeyVersion> {
    settings.parse_or("api_version", KeyVersion::V3, errors, |text| {
        let versions = [
            ("1", None),
            ("2", Some(KeyVersion::V2)),
            ("3", Some(KeyVersion::V3)),
        ];
        match (parse::one_of(text, &versions)?, kind) {
            (None, Some(Kind::KeyPair)) => {
                Err("is not possible with a key pair; use 2 or 3".to_owned())
            }
            (Some(_), Some(Kind::Sid | Kind::Login)) => {
                Err("requires a key pair; use 1 with an SID or a login".to_owned())
            }
            // With an SID or a login it is not used.
            (version, _) => Ok(version.unwrap_or(KeyVersion::V3)),
        }
    })
}

/// Whether the login is view-only, and the account that it logs in to; none where one is wrong.
fn view_only(settings: &Settings, errors: &mut ConfigErrors) -> Option<(bool, Option<u64>)> {
    let view_only = settings.parse_or("login_view_only", false, errors, parse::boolean);
    if !settings.is_set("user_id") {
        return Some((view_only?, None));
    }
    let user_id = settings.parse("user_id", errors, |text| parse::integer(text, 1, u64::MAX));
    if view_only == Some(false) {
        let message = format!("requires {} to be true", settings.name("login_view_only"));
        errors.push(&settings.location("user_id"), message);
        return None;
    }
    Some((view_only?, Some(user_id?)))
}
