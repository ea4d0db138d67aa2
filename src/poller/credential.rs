//! An account's credential: where it comes from, what it is now, and the SID it was traded for.

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::CredentialSource;
use crate::secret::{SecretError, SecretSource};
use crate::tradernet::{Credentials, KeyVersion};

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

/// An account's credential.
#[derive(Debug)]
pub(super) struct Credential {
    current: Values,
    /// What the last replacement replaced: a server may still quote it, and it may still be valid.
    replaced: Vec<SecretString>,
    /// The signature of the last answered request, which its answer may quote.
    signature: Option<SecretString>,
    /// Whether the SID of a login was accepted since.
    sid_accepted: bool,
}

/// A credential's current values.
#[derive(Debug)]
enum Values {
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
        let current = match source {
            CredentialSource::Sid(sid) => Values::Sid(initial(sid)),
            CredentialSource::Login {
                login, password, ..
            } => Values::Login {
                login: login.clone(),
                password: initial(password),
                sid: None,
            },
            CredentialSource::KeyPair {
                version,
                key,
                secret,
            } => Values::KeyPair {
                version: *version,
                key: initial(key),
                secret: initial(secret),
            },
        };
        Self {
            current,
            replaced: Vec::new(),
            signature: None,
            sid_accepted: false,
        }
    }

    /// Reads files again and says whether anything changed. Where one cannot be read, all is kept
    /// as it was.
    pub(super) fn read_again(&mut self, source: &CredentialSource) -> Result<bool, SecretError> {
        let before = self.current_secrets();
        let changed = match (&mut self.current, source) {
            (Values::Sid(sid), CredentialSource::Sid(source)) => update(&mut [(sid, source)]),
            (
                Values::Login { password, sid, .. },
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
                Values::KeyPair {
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
            // The values are made from the source.
            _ => Ok(false),
        }?;
        if changed {
            self.replaced = before;
        }
        Ok(changed)
    }

    /// The credential to read the list with; `None` before a login.
    pub(super) fn identity(&self) -> Option<Credentials<'_>> {
        match &self.current {
            Values::Sid(sid) => Some(Credentials::Sid(sid)),
            Values::Login { sid, .. } => sid.as_ref().map(Credentials::Sid),
            Values::KeyPair {
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

    /// Every secret that a server may quote: the current ones, those replaced last, and the
    /// signature of the last answered request.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let mut secrets = self.current_secrets();
        secrets.extend(self.replaced.iter().chain(&self.signature).cloned());
        secrets
    }

    /// Keeps the signature of a request that was answered.
    pub(super) fn keep_signature(&mut self, signature: Option<SecretString>) {
        self.signature = signature;
    }

    fn current_secrets(&self) -> Vec<SecretString> {
        match &self.current {
            Values::Sid(sid) => vec![sid.clone()],
            Values::Login { password, sid, .. } => sid.iter().chain([password]).cloned().collect(),
            Values::KeyPair { key, secret, .. } => vec![key.clone(), secret.clone()],
        }
    }

    /// Login and password, where a login is the way to an SID.
    pub(super) fn login(&self) -> Option<(&str, &SecretString)> {
        match &self.current {
            Values::Login {
                login, password, ..
            } => Some((login, password)),
            Values::Sid(_) | Values::KeyPair { .. } => None,
        }
    }

    /// Keeps the SID of a login.
    pub(super) fn keep_sid(&mut self, new: SecretString) {
        if let Values::Login { sid, .. } = &mut self.current {
            *sid = Some(new);
            self.sid_accepted = false;
        }
    }

    /// Notes that a request was accepted; whether it was the first with the SID of a login.
    pub(super) fn accept_sid(&mut self) -> bool {
        let is_first = self.login().is_some() && !self.sid_accepted;
        self.sid_accepted = true;
        is_first
    }

    /// Whether a request with the SID was accepted since its login.
    pub(super) fn sid_was_accepted(&self) -> bool {
        self.sid_accepted
    }

    /// Drops a rejected SID of a login.
    pub(super) fn forget_sid(&mut self) {
        if let Values::Login { sid, .. } = &mut self.current
            && let Some(sid) = sid.take()
        {
            self.replaced = vec![sid];
        }
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
