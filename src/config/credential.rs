//! An account's credential: exactly one kind, and all that it takes.

use secrecy::SecretString;

use super::environment::RawAccount;
use super::home::Home;
use super::parse;
use super::problem::Report;
use super::shown;
use crate::account::CredentialSource;
use crate::secret::SecretSource;
use crate::tradernet::KeyVersion;

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
            ("sid", sid.given),
            ("password", password.given),
            ("key pair", key.given.or(secret.given)),
        ];
        let mut given = kinds
            .into_iter()
            .filter_map(|(kind, key)| Some((kind, key?)));
        let (first, second) = (given.next(), given.next());
        let mut wrong = |key: &str, text: String| {
            self.note(home, report, key, text);
            None
        };
        if let (Some((_, first)), Some((_, second))) = (first, second) {
            return wrong(
                second,
                format!(
                    "{}; an account has one credential",
                    parse::clash(home.mention(first))
                ),
            );
        }
        let Some((kind, kind_key)) = first else {
            if !home.is_whole() {
                return None;
            }
            return match &self.login {
                Some(_) => wrong(
                    "login",
                    format!(
                        "has no password: set {} or {}",
                        home.name("password"),
                        home.name("password_file")
                    ),
                ),
                None => wrong(
                    "sid",
                    format!(
                        "no credential is set: set {}, or {} and {}, or {} and {} (or their {} forms)",
                        home.name("sid"),
                        home.name("login"),
                        home.name("password"),
                        home.name("api_key"),
                        home.name("api_secret"),
                        home.file_suffix(),
                    ),
                ),
            };
        };
        let version = self.key_version(kind, home, report);
        match kind {
            "sid" => Some(CredentialSource::Sid(sid.source?)),
            "password" => match &self.login {
                Some(login) => Some(CredentialSource::Login {
                    login: login.clone(),
                    password: password.source?,
                }),
                None if !home.is_whole() => None,
                None => {
                    let text = format!("has no login: set {}", home.name("login"));
                    self.note(home, report, kind_key, text);
                    None
                }
            },
            _ => {
                if self.login.is_some() {
                    let text = format!(
                        "{}; an account has one credential",
                        parse::clash(home.mention(kind_key))
                    );
                    self.note(home, report, "login", text);
                }
                for (missing, key) in [("api_key", key.given), ("api_secret", secret.given)] {
                    if key.is_none() && home.is_whole() {
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
        let value = self.text(key).and_then(|text| shown::text(key, text));
        report.add(home.place(key), value, wrong);
    }

    /// Version 1 goes with an SID or a login, 2 and 3 with keys.
    fn key_version(&self, kind: &str, home: &dyn Home, report: &mut Report) -> Option<KeyVersion> {
        let keys = kind == "key pair";
        let version = match &self.api_version {
            None => {
                if keys {
                    3
                } else {
                    1
                }
            }
            text => report.value(home.place("api_version"), text, |text| {
                let version = parse::one_of(text, &[("1", 1), ("2", 2), ("3", 3)])?;
                match (version, keys) {
                    (1, true) => Err("does not go with a key pair: use 2 or 3".to_owned()),
                    (2 | 3, false) => {
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
    let (form, source) = match (given, file) {
        (None, None) => (None, None),
        (Some(_), Some(_)) => {
            let text = parse::clash(home.mention(file_key));
            report.add(home.place(key), None, text);
            (Some(key), None)
        }
        (Some(secret), None) => {
            let secret = SecretString::from(secret.as_str());
            (Some(key), Some(SecretSource::Given(secret)))
        }
        (None, Some(path)) => match SecretSource::from_file(home.path(path)) {
            Ok(source) => (Some(file_key), Some(source)),
            Err(error) => {
                report.add(home.place(file_key), None, error.to_string());
                (Some(file_key), None)
            }
        },
    };
    // A password travels in a form and an API secret not at all; the others are headers.
    let in_header = matches!(key, "sid" | "api_key");
    if let (Some(form), Some(source)) = (form, &source)
        && in_header
        && !parse::is_header_safe(&source.initial())
    {
        let text =
            "has a space or another character that no SID or key has: check how it was copied";
        let value = file.as_deref().filter(|_| form == file_key);
        report.add(home.place(form), value, text.to_owned());
    }
    Secret {
        given: form,
        source,
    }
}
