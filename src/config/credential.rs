//! An account's credential: exactly one kind, and all that it takes.

use secrecy::SecretString;

use super::env::RawAccount;
use super::error::Report;
use super::parse;
use super::redaction::{self, SECRET_KEYS};
use super::source::Home;
use crate::config::CredentialSource;
use crate::secret::{SecretKind, SecretSource, check_unquoted_and_filled};
use crate::tradernet::KeyVersion;

/// An account has exactly one of these.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sid,
    Password,
    KeyPair,
}

impl Kind {
    /// The kind that a key belongs to; a login goes with two of them and is none.
    pub(super) fn of(key: &str) -> Option<Self> {
        match key {
            "sid" | "sid_file" => Some(Self::Sid),
            "password" | "password_file" => Some(Self::Password),
            "api_key" | "api_key_file" | "api_secret" | "api_secret_file" => Some(Self::KeyPair),
            _ => None,
        }
    }
}

impl RawAccount {
    pub(super) fn credential(
        &self,
        home: &dyn Home,
        report: &mut Report,
    ) -> Option<CredentialSource> {
        let mut secret = |keys, given: &_, file: &_| secret(home, report, keys, given, file);
        let sid = secret(["sid", "sid_file"], &self.sid, &self.sid_file);
        let password = secret(
            ["password", "password_file"],
            &self.password,
            &self.password_file,
        );
        let key = secret(
            ["api_key", "api_key_file"],
            &self.api_key,
            &self.api_key_file,
        );
        let secret = secret(
            ["api_secret", "api_secret_file"],
            &self.api_secret,
            &self.api_secret_file,
        );
        let kinds = [
            (Kind::Sid, sid.given),
            (Kind::Password, password.given),
            (Kind::KeyPair, key.given.or(secret.given)),
        ];
        let mut given = kinds
            .into_iter()
            .filter_map(|(kind, key)| Some((kind, key?)));
        let first = given.next();
        let others: Vec<_> = given.map(|(_, key)| key).collect();
        let version = self.version(first.map(|(kind, _)| kind), home, report);
        let Some((kind, kind_key)) = first else {
            self.note_that_there_is_none(home, report);
            return None;
        };
        for other in &others {
            self.note_clash(home, report, other, kind_key);
        }
        if !others.is_empty() {
            return None;
        }
        match kind {
            Kind::Sid => Some(CredentialSource::Sid(sid.source?)),
            Kind::Password => {
                if self.login.is_none() && !home.is_in_doubt("login") {
                    let text = format!("has no login: set {}", home.name("login"));
                    self.note(home, report, kind_key, text);
                }
                Some(CredentialSource::Login {
                    login: self.login.clone()?,
                    password: password.source?,
                })
            }
            Kind::KeyPair => {
                if self.login.is_some() {
                    self.note_clash(home, report, "login", kind_key);
                }
                for (missing, key) in [("api_key", key.given), ("api_secret", secret.given)] {
                    if key.is_none() && !is_in_doubt(home, missing) {
                        let other = home.mention(kind_key);
                        let text = format!("is missing: {other} is of no use without it");
                        self.note(home, report, missing, text);
                    }
                }
                Some(CredentialSource::KeyPair {
                    version: version?,
                    key: key.source?,
                    secret: secret.source?,
                })
            }
        }
    }

    /// Notes what is wrong with a key, with its text where that is no secret.
    fn note(&self, home: &dyn Home, report: &mut Report, key: &str, wrong: String) {
        let value = self.text(key).and_then(|text| redaction::text(key, text));
        report.add(home.place(key), value, wrong);
    }

    fn note_clash(&self, home: &dyn Home, report: &mut Report, key: &str, with: &str) {
        let clash = parse::clash(home.mention(with));
        let text = format!("{clash}; an account has one credential");
        self.note(home, report, key, text);
    }

    /// Says that a credential is missing, unless what could not be read may be one.
    fn note_that_there_is_none(&self, home: &dyn Home, report: &mut Report) {
        if SECRET_KEYS.iter().any(|key| is_in_doubt(home, key)) {
            return;
        }
        if self.login.is_some() {
            let text = format!(
                "has no password: set {} or {}",
                home.name("password"),
                home.name("password_file")
            );
            self.note(home, report, "login", text);
        } else {
            let text = format!(
                "no credential is set: set {}, or {} and {}, or {} and {} (or their {} forms)",
                home.name("sid"),
                home.name("login"),
                home.name("password"),
                home.name("api_key"),
                home.name("api_secret"),
                home.file_suffix(),
            );
            self.note(home, report, "sid", text);
        }
    }

    /// Version 1 goes with an SID or a login, 2 and 3 with keys.
    fn version(
        &self,
        kind: Option<Kind>,
        home: &dyn Home,
        report: &mut Report,
    ) -> Option<KeyVersion> {
        let version = match &self.api_version {
            None => 3,
            text => report.value(home.place("api_version"), text, |text| {
                let version = parse::one_of(text, &[("1", 1), ("2", 2), ("3", 3)])?;
                match (version, kind) {
                    (1, Some(Kind::KeyPair)) => {
                        Err("does not go with a key pair: use 2 or 3".to_owned())
                    }
                    (2 | 3, Some(Kind::Sid | Kind::Password)) => {
                        Err("does not go with an SID or a login: use 1, or a key pair".to_owned())
                    }
                    _ => Ok(version),
                }
            })?,
        };
        Some(if version == 2 {
            KeyVersion::V2
        } else {
            KeyVersion::V3
        })
    }
}

/// Whether a secret may have been meant, in one of its two forms, by what could not be read.
fn is_in_doubt(home: &dyn Home, key: &str) -> bool {
    home.is_in_doubt(key) || home.is_in_doubt(&format!("{key}_file"))
}

/// The key by which a secret was given, and the secret where it can be used.
struct Secret {
    given: Option<&'static str>,
    source: Option<SecretSource>,
}

fn secret(
    home: &dyn Home,
    report: &mut Report,
    [key, file_key]: [&'static str; 2],
    given: &Option<String>,
    file: &Option<String>,
) -> Secret {
    // A password travels in a form and an API secret not at all; the others are headers.
    let in_header = matches!(key, "sid" | "api_key");
    let (form, source) = match (given, file) {
        (None, None) => (None, None),
        (Some(_), Some(_)) => {
            let text = parse::clash(home.mention(file_key));
            report.add(home.place(key), None, text);
            (Some(key), None)
        }
        (Some(secret), None) => {
            if let Err(wrong) = check_unquoted_and_filled(secret) {
                report.add(home.place(key), None, wrong.to_owned());
            }
            let secret = SecretString::from(secret.as_str());
            (Some(key), Some(SecretSource::Inline(secret)))
        }
        (None, Some(path)) => {
            let kind = if in_header {
                SecretKind::Token
            } else {
                SecretKind::Text
            };
            let source = SecretSource::file(home.path(path), kind);
            match source.read_blocking() {
                Ok(_) => (Some(file_key), Some(source)),
                Err(error) => {
                    report.add(home.place(file_key), None, error.to_string());
                    (Some(file_key), None)
                }
            }
        }
    };
    if let Some(SecretSource::Inline(secret)) = &source
        && in_header
        && !parse::is_header_safe(secret)
    {
        let text =
            "has a space or another character that no SID or key has: check how it was copied";
        report.add(home.place(key), None, text.to_owned());
    }
    Secret {
        given: form,
        source,
    }
}
