//! An account's credential: where it comes from, what it is now, and the SID it was traded for.

use std::collections::VecDeque;

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::CredentialSource;
use crate::secret::{SecretError, SecretSource};
use crate::tradernet::{Credentials, KeyVersion, Redactor};

/// Replaced secrets that are remembered. Each costs time for every text of a server.
const MOST_FORMER: usize = 8;
/// The same of signatures; older ones are known by their looks.
const MOST_SIGNATURES: usize = 8;

impl CredentialSource {
    /// Whether everything that it takes can be read now.
    ///
    /// # Errors
    ///
    /// The first that cannot be read.
    pub fn check(&self) -> Result<(), SecretError> {
        self.sources()
            .iter()
            .try_for_each(|source| source.read_blocking().map(|_| ()))
    }
}

/// A credential's current values.
#[derive(Debug)]
pub(super) enum Credential {
    Sid(SecretString),
    Login {
        login: String,
        password: SecretString,
        sid: Option<SecretString>,
    },
    KeyPair {
        version: KeyVersion,
        key: SecretString,
        secret: SecretString,
    },
}

impl Credential {
    pub(super) fn new(source: &CredentialSource) -> Self {
        match source {
            CredentialSource::Sid(sid) => Self::Sid(initial(sid)),
            CredentialSource::Login { login, password } => Self::Login {
                login: login.clone(),
                password: initial(password),
                sid: None,
            },
            CredentialSource::KeyPair {
                version,
                key,
                secret,
            } => Self::KeyPair {
                version: *version,
                key: initial(key),
                secret: initial(secret),
            },
        }
    }

    /// Reads files again and says whether anything changed. Where one cannot be read, all is kept
    /// as it was.
    pub(super) fn read_again(&mut self, source: &CredentialSource) -> Result<bool, SecretError> {
        match (self, source) {
            (Self::Sid(sid), CredentialSource::Sid(source)) => update(&mut [(sid, source)]),
            (
                Self::Login { password, sid, .. },
                CredentialSource::Login {
                    password: source, ..
                },
            ) => {
                let changed = update(&mut [(password, source)])?;
                if changed {
                    *sid = None;
                }
                Ok(changed)
            }
            (
                Self::KeyPair {
                    version,
                    key,
                    secret,
                },
                CredentialSource::KeyPair {
                    version: configured,
                    key: key_source,
                    secret: secret_source,
                },
            ) => {
                *version = *configured;
                update(&mut [(key, key_source), (secret, secret_source)])
            }
            // The two are made from one another.
            _ => Ok(false),
        }
    }

    /// As whom the list can be read right now.
    pub(super) fn identity(&self) -> Option<Credentials<'_>> {
        match self {
            Self::Sid(sid) => Some(Credentials::Sid(sid)),
            Self::Login { sid, .. } => sid.as_ref().map(Credentials::Sid),
            Self::KeyPair {
                version,
                key,
                secret,
            } => Some(Credentials::KeyPair {
                key,
                secret,
                version: *version,
            }),
        }
    }

    /// What must not be seen in anything that a server says.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::Sid(sid) => vec![sid.clone()],
            Self::Login { password, sid, .. } => {
                let sid = sid.iter().cloned();
                sid.chain([password.clone()]).collect()
            }
            Self::KeyPair { key, secret, .. } => vec![key.clone(), secret.clone()],
        }
    }

    /// What an SID can be had for.
    pub(super) fn login(&self) -> Option<(&str, &SecretString)> {
        match self {
            Self::Login {
                login, password, ..
            } => Some((login, password)),
            Self::Sid(_) | Self::KeyPair { .. } => None,
        }
    }

    /// Keeps the SID of a login.
    pub(super) fn keep_sid(&mut self, new: SecretString) {
        if let Self::Login { sid, .. } = self {
            *sid = Some(new);
        }
    }

    /// Drops a refused SID; whether there is a way to another one.
    pub(super) fn forget_sid(&mut self) -> bool {
        match self {
            Self::Login { sid, .. } => {
                *sid = None;
                true
            }
            Self::Sid(_) | Self::KeyPair { .. } => false,
        }
    }
}

/// What was secret and was replaced: an SID that the server knows still, a password that somebody
/// has elsewhere too, a signature. A server may quote it long after.
#[derive(Default)]
pub(super) struct Former {
    secrets: VecDeque<SecretString>,
    signatures: VecDeque<SecretString>,
}

impl Former {
    /// Remembers these too, and of all the latest.
    pub(super) fn add(&mut self, secrets: Vec<SecretString>) {
        for secret in secrets {
            let is_same = |known: &SecretString| known.expose_secret() == secret.expose_secret();
            self.secrets.retain(|known| !is_same(known));
            self.secrets.push_back(secret);
        }
        let surplus = self.secrets.len().saturating_sub(MOST_FORMER);
        self.secrets.drain(..surplus);
    }

    /// Remembers the last signatures.
    pub(super) fn add_signatures(&mut self, signatures: Vec<SecretString>) {
        self.signatures.extend(signatures);
        let surplus = self.signatures.len().saturating_sub(MOST_SIGNATURES);
        self.signatures.drain(..surplus);
    }

    /// What strikes them out.
    pub(super) fn scrubber(&self) -> Redactor {
        let mut scrubber = Redactor::default();
        for secret in self.secrets.iter().chain(&self.signatures) {
            scrubber.add(secret.expose_secret());
        }
        if !self.signatures.is_empty() {
            scrubber.add_all_signatures();
        }
        scrubber
    }
}

/// The secret that a poller starts with; empty where its file cannot be read.
fn initial(source: &SecretSource) -> SecretString {
    source.read_blocking().unwrap_or_else(|_| "".into())
}

/// All or nothing: a key without its secret is no credential.
fn update(pairs: &mut [(&mut SecretString, &SecretSource)]) -> Result<bool, SecretError> {
    let mut new = Vec::with_capacity(pairs.len());
    for (_, source) in pairs.iter() {
        // Also one that is given: it may have been in a file until a reload.
        new.push(source.read_blocking()?);
    }
    let mut changed = false;
    for ((current, _), new) in pairs.iter_mut().zip(new) {
        if new.expose_secret() != current.expose_secret() {
            **current = new;
            changed = true;
        }
    }
    Ok(changed)
}
