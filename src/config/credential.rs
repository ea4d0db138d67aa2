//! An account's credential: exactly one kind, complete.

use super::account_config::CredentialSource;
use super::keys::SECRET_KEYS;
use super::parse;
use super::settings::Settings;
use crate::secret::{SecretKind, SecretSource, check_secret, check_unquoted_and_filled};
use crate::tradernet::KeyVersion;

/// The kinds of credential.
#[derive(Clone, Copy, PartialEq, Eq)]
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

/// The login. The rules for secrets apply to it, since it often comes from the same place.
pub(super) fn login(settings: &Settings<'_>) -> Option<String> {
    settings.get_unchecked("login", |text| inline(text, SecretKind::Text))
}

/// The credential; none where it is missing or invalid.
pub(super) fn resolve(settings: &Settings<'_>, login: Option<&str>) -> Option<CredentialSource> {
    let [sid, password, api_key, api_secret] = SECRET_KEYS.map(|keys| secret(settings, keys));
    let set = SECRET_KEYS
        .iter()
        .flatten()
        .filter(|key| settings.is_set(key));
    let kind = |key: &&'static str| Some((Kind::of(key)?, *key));
    let mut kinds: Vec<_> = set.filter_map(kind).collect();
    kinds.dedup_by_key(|(kind, _)| *kind);
    let version = key_version(settings, kinds.first().map(|(kind, _)| *kind));
    let Some((kind, first)) = kinds.first().copied() else {
        return report_missing(settings);
    };
    if kind == Kind::KeyPair && settings.is_set("login") {
        kinds.push((Kind::Login, "login"));
    }
    if kinds.len() > 1 {
        let message = conflict(settings, first) + "; an account has one credential";
        let others = kinds.iter().skip(1);
        others.for_each(|(_, other)| settings.error(other, &message));
        return None;
    }
    let require = |key: &str| {
        if !settings.is_set(key) && !settings.is_set(&format!("{key}_file")) {
            settings.error(first, format!("requires {}", settings.name(key)));
        }
    };
    match kind {
        Kind::Sid => Some(CredentialSource::Sid(sid?)),
        Kind::Login => {
            require("login");
            let (view_only, user_id) = view_only(settings)?;
            Some(CredentialSource::Login {
                login: login?.to_owned(),
                password: password?,
                view_only,
                user_id,
            })
        }
        Kind::KeyPair => {
            require("api_key");
            require("api_secret");
            Some(CredentialSource::KeyPair {
                version,
                key: api_key?,
                secret: api_secret?,
            })
        }
    }
}

fn secret(settings: &Settings<'_>, [key, file_key]: [&str; 2]) -> Option<SecretSource> {
    if settings.is_set(key) && settings.is_set(file_key) {
        return settings.fail(key, conflict(settings, file_key));
    }
    let kind = match key {
        "sid" | "api_key" => SecretKind::Token,
        _ => SecretKind::Text,
    };
    // Whether the file can be read is seen when the account is polled.
    let path = settings.get(file_key, |path| Ok(settings.folder.join(path)));
    let text = settings.get_unchecked(key, |text| inline(text, kind));
    let file = path.map(|path| SecretSource::file(path, kind));
    file.or(text.map(|text| SecretSource::Inline(text.into())))
}

/// A secret or login that is not from a file.
fn inline(text: &str, kind: SecretKind) -> Result<String, String> {
    let text = check_secret(text, kind)?;
    check_unquoted_and_filled(text)?;
    Ok(text.to_owned())
}

fn conflict(settings: &Settings<'_>, with: &str) -> String {
    let with = settings.name(with);
    format!("conflicts with {with}; unset one of them")
}

fn report_missing<T>(settings: &Settings<'_>) -> Option<T> {
    let name = |key| settings.name(key);
    let (sid, sid_file, login) = (name("sid"), name("sid_file"), name("login"));
    let (password, password_file) = (name("password"), name("password_file"));
    let (key, secret) = (name("api_key"), name("api_secret"));
    if settings.is_set("login") {
        let message = format!("requires {password} or {password_file}");
        return settings.fail("login", message);
    }
    let message = format!(
        "no credential; set {sid}, or {login} and {password}, or {key} and {secret} (each secret also \
         as a file, such as {sid_file})"
    );
    settings.fail("sid", message)
}

/// How requests are signed: 1 goes with an SID or a login, 2 and 3 with a key pair.
fn key_version(settings: &Settings<'_>, kind: Option<Kind>) -> KeyVersion {
    let versions = [
        ("1", None),
        ("2", Some(KeyVersion::V2)),
        ("3", Some(KeyVersion::V3)),
    ];
    let version = settings.get("api_version", parse::word(versions));
    if let (Some(version), Some(kind)) = (version, kind)
        && version.is_some() != (kind == Kind::KeyPair)
    {
        let message = "must be 1 with an SID or a login, 2 or 3 with a key pair";
        settings.reject("api_version", message);
    }
    version.flatten().unwrap_or(KeyVersion::V3)
}

/// Whether the login is view-only, and the account that it logs in to; none where one is invalid.
fn view_only(settings: &Settings<'_>) -> Option<(bool, Option<u64>)> {
    let view_only = settings.get_or("login_view_only", false, parse::boolean);
    let user_id = settings.get("user_id", parse::integer(1, u64::MAX));
    if settings.is_set("user_id") && view_only == Some(false) {
        let name = settings.name("login_view_only");
        settings.error("user_id", format!("requires {name} to be true"));
    }
    Some((view_only?, user_id))
}
