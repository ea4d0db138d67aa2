//! An account's credential: the secrets of its source as they are now, and the SID of its last login.

use secrecy::{ExposeSecret as _, SecretString};
use tracing::debug;

use crate::config::{AccountConfig, CredentialSource};
use crate::tradernet::{Credentials, Error, Login};

/// An account's credential.
#[derive(Debug, Default)]
pub(super) struct Credential {
    /// In the order of [`CredentialSource::sources`]; empty until they could be read.
    secrets: Vec<SecretString>,
    /// Why they could not be read the last time.
    error: Option<String>,
    /// The SID of the last login.
    sid: Option<SecretString>,
    /// Whether a request with that SID was accepted.
    pub(super) sid_accepted: bool,
    /// The secrets before the last change and the SID before the last login: a server may still
    /// quote them, and they may still be valid.
    former: Vec<SecretString>,
    former_sid: Option<SecretString>,
}

impl Credential {
    /// Reads the secrets again; whether they have changed. Where a file cannot be read, the last
    /// ones are kept: it may be missing for just the moment in which it is replaced.
    pub(super) async fn read(&mut self, account: &AccountConfig) -> bool {
        let mut secrets = Vec::new();
        self.error = None;
        for source in account.credential.sources() {
            match source.read().await {
                Ok(secret) => secrets.push(secret),
                Err(error) => {
                    debug!(account = &*account.name, %error, "secrets not readable");
                    self.error = Some(error);
                    return false;
                }
            }
        }
        let read = secrets.iter().map(|secret| secret.expose_secret());
        let known = self.secrets.iter().map(|secret| secret.expose_secret());
        let changed = !read.eq(known);
        if changed {
            self.replace(secrets);
        }
        changed
    }

    /// Drops the secrets where they could not be read the last time; whether there were any.
    pub(super) fn drop_unreadable(&mut self) -> bool {
        let drops = self.error.is_some() && self.is_known();
        if drops {
            self.replace(Vec::new());
        }
        drops
    }

    fn replace(&mut self, secrets: Vec<SecretString>) {
        self.former = std::mem::replace(&mut self.secrets, secrets);
        self.forget_sid();
    }

    /// Whether the secrets could be read.
    pub(super) fn is_known(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// # Errors
    ///
    /// [`Error::Credential`] where the secrets could not be read.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.error {
            Some(error) if !self.is_known() => Err(Error::Credential {
                detail: error.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The credentials for reading the list; `None` before a login.
    pub(super) fn identity(&self, source: &CredentialSource) -> Option<Credentials<'_>> {
        match (source, self.secrets.as_slice()) {
            (CredentialSource::Sid(_), [sid]) => Some(Credentials::Sid(sid)),
            (CredentialSource::KeyPair { version, .. }, [key, secret]) => {
                Some(Credentials::KeyPair {
                    key,
                    secret,
                    version: *version,
                })
            }
            _ => self.sid.as_ref().map(Credentials::Sid),
        }
    }

    /// The login that an SID comes from.
    pub(super) fn login<'a>(&'a self, source: &'a CredentialSource) -> Option<Login<'a>> {
        match (source, self.secrets.as_slice()) {
            (
                CredentialSource::Login {
                    login,
                    view_only,
                    user_id,
                    ..
                },
                [password],
            ) => Some(Login {
                name: login,
                password,
                view_only: *view_only,
                user_id: *user_id,
            }),
            _ => None,
        }
    }

    /// Every secret that a server may quote.
    pub(super) fn all(&self) -> impl Iterator<Item = SecretString> {
        let current = self.secrets.iter().chain(&self.sid);
        let former = self.former.iter().chain(&self.former_sid);
        current.chain(former).cloned()
    }

    /// Keeps the SID of a login.
    pub(super) fn keep_sid(&mut self, sid: SecretString) {
        self.sid = Some(sid);
        self.sid_accepted = false;
    }

    /// Notes that a request was accepted; whether it was the first with the SID of a login.
    pub(super) fn accept_sid(&mut self) -> bool {
        self.sid.is_some() && !std::mem::replace(&mut self.sid_accepted, true)
    }

    /// Drops a rejected SID of a login.
    pub(super) fn forget_sid(&mut self) {
        if let Some(sid) = self.sid.take() {
            self.former_sid = Some(sid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|&text| text.into()).collect()
    }

    fn all(credential: &Credential) -> Vec<String> {
        let all = credential
            .all()
            .map(|secret| secret.expose_secret().to_owned());
        all.collect()
    }

    #[test]
    fn the_former_secrets_and_the_former_sid_are_remembered() {
        let mut credential = Credential::default();
        for password in ["password-1", "password-2", "password-3"] {
            credential.replace(secrets(&[password]));
        }
        for sid in ["sid-1", "sid-2", "sid-3"] {
            credential.forget_sid();
            credential.keep_sid(sid.into());
        }
        let expected = ["password-3", "sid-3", "password-2", "sid-2"];
        assert_eq!(all(&credential), expected);
    }
}
