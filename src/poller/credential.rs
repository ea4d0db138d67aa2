//! An account's credential: where it comes from, what it is now, and the SID it was traded for.

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::config::CredentialSource;
use crate::poller::login_breaker::CredentialFingerprint;
use crate::secret::SecretError;
use crate::tradernet::{Credentials, Error, KeyVersion};

/// An account's credential.
#[derive(Debug, Default)]
pub(super) struct Credential {
    /// `None` until its source could be read.
    current: Option<Values>,
    /// Why the source could not be read the last time.
    error: Option<SecretError>,
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
    /// Reads the source again; whether the credential has changed. Where a file cannot be read, the
    /// last values are kept: it may be missing for just the moment in which it is replaced.
    ///
    /// # Errors
    ///
    /// The first file that is missing, unreadable or holds no secret.
    pub(super) async fn read(&mut self, source: &CredentialSource) -> Result<bool, SecretError> {
        let new = match Values::read(source).await {
            Ok(new) => new,
            Err(error) => {
                self.error = Some(error.clone());
                return Err(error);
            }
        };
        self.error = None;
        if self
            .current
            .as_mut()
            .is_some_and(|current| current.update(&new))
        {
            return Ok(false);
        }
        if let Some(replaced) = self.current.replace(new) {
            self.replaced = replaced.secrets();
        }
        Ok(true)
    }

    /// Drops the values where their source could not be read the last time; whether there were any.
    pub(super) fn drop_unreadable(&mut self) -> bool {
        let dropped = self.error.as_ref().and_then(|_| self.current.take());
        if let Some(dropped) = &dropped {
            self.replaced = dropped.secrets();
        }
        dropped.is_some()
    }

    /// Whether there are values.
    pub(super) fn is_known(&self) -> bool {
        self.current.is_some()
    }

    /// # Errors
    ///
    /// [`Error::Credential`] without values.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.current {
            Some(_) => Ok(()),
            None => Err(Error::Credential {
                detail: self
                    .error
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            }),
        }
    }

    /// The credential to read the list with; `None` before a login.
    pub(super) fn identity(&self) -> Option<Credentials<'_>> {
        match self.current.as_ref()? {
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
        let mut secrets = self
            .current
            .as_ref()
            .map(Values::secrets)
            .unwrap_or_default();
        secrets.extend(self.replaced.iter().chain(&self.signature).cloned());
        secrets
    }

    /// Keeps the signature of a request that was answered.
    pub(super) fn keep_signature(&mut self, signature: Option<SecretString>) {
        self.signature = signature;
    }

    /// Login and password, where a login is the way to an SID.
    pub(super) fn login(&self) -> Option<(&str, &SecretString)> {
        match self.current.as_ref()? {
            Values::Login {
                login, password, ..
            } => Some((login, password)),
            Values::Sid(_) | Values::KeyPair { .. } => None,
        }
    }

    /// Identifies the account's next login to `origin`.
    pub(super) fn fingerprint(&self, origin: &Url) -> Option<CredentialFingerprint> {
        let (login, password) = self.login()?;
        Some(CredentialFingerprint::new(origin.as_str(), login, password))
    }

    /// Keeps the SID of a login.
    pub(super) fn keep_sid(&mut self, new: SecretString) {
        if let Some(Values::Login { sid, .. }) = &mut self.current {
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
        if let Some(Values::Login { sid, .. }) = &mut self.current
            && let Some(sid) = sid.take()
        {
            self.replaced = vec![sid];
        }
    }
}

impl Values {
    async fn read(source: &CredentialSource) -> Result<Self, SecretError> {
        Ok(match source {
            CredentialSource::Sid(sid) => Self::Sid(sid.read().await?),
            CredentialSource::Login {
                login, password, ..
            } => Self::Login {
                login: login.clone(),
                password: password.read().await?,
                sid: None,
            },
            CredentialSource::KeyPair {
                version,
                key,
                secret,
            } => Self::KeyPair {
                version: *version,
                key: key.read().await?,
                secret: secret.read().await?,
            },
        })
    }

    /// Updates everything except the secrets and keeps the SID of a login; `false` if the secrets
    /// differ.
    fn update(&mut self, new: &Self) -> bool {
        let same =
            |one: &SecretString, other: &SecretString| one.expose_secret() == other.expose_secret();
        match (self, new) {
            (Self::Sid(sid), Self::Sid(new)) => same(sid, new),
            (Self::Login { password, .. }, Self::Login { password: new, .. }) => {
                same(password, new)
            }
            (
                Self::KeyPair {
                    version,
                    key,
                    secret,
                },
                Self::KeyPair {
                    version: new,
                    key: new_key,
                    secret: new_secret,
                },
            ) => {
                *version = *new;
                same(key, new_key) && same(secret, new_secret)
            }
            _ => false,
        }
    }

    fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::Sid(sid) => vec![sid.clone()],
            Self::Login { password, sid, .. } => sid.iter().chain([password]).cloned().collect(),
            Self::KeyPair { key, secret, .. } => vec![key.clone(), secret.clone()],
        }
    }
}
