//! An account's credential: the secrets of its source as they are now, and the SID of its last login.

use std::collections::VecDeque;

use secrecy::{ExposeSecret as _, SecretString};
use tracing::debug;

use crate::config::{AccountConfig, CredentialSource};
use crate::tradernet::{Credentials, Error, Login};

/// Replaced secrets that are remembered: those of a few rotations.
const MAX_REPLACED: usize = 8;

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
    /// What was replaced last: a server may still quote it, and it may still be valid.
    replaced: VecDeque<SecretString>,
    /// The signature of the last answered request, which its answer may quote.
    pub(super) signature: Option<SecretString>,
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
        let former = std::mem::replace(&mut self.secrets, secrets);
        former.into_iter().for_each(|secret| self.retire(secret));
        self.forget_sid();
    }

    fn retire(&mut self, secret: SecretString) {
        let is_same = |other: &SecretString| other.expose_secret() == secret.expose_secret();
        if self.secrets.iter().any(is_same) {
            return;
        }
        if self.replaced.len() == MAX_REPLACED {
            self.replaced.pop_front();
        }
        self.replaced.push_back(secret);
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

    /// What to read the list with; `None` before a login.
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
        current
            .chain(&self.replaced)
            .chain(&self.signature)
            .cloned()
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
            self.retire(sid);
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
    fn the_last_replaced_secrets_are_remembered_whichever_was_replaced() {
        let mut credential = Credential::default();
        credential.replace(secrets(&["password-1"]));
        credential.replace(secrets(&["password-2"]));
        for sid in ["sid-1", "sid-2"] {
            credential.keep_sid(sid.into());
            credential.forget_sid();
        }
        let expected = ["password-2", "password-1", "sid-1", "sid-2"];
        assert_eq!(all(&credential), expected);

        // One of two at a time.
        let mut credential = Credential::default();
        for pair in [
            ["key-1", "secret-1"],
            ["key-2", "secret-1"],
            ["key-2", "secret-2"],
        ] {
            credential.replace(secrets(&pair));
        }
        let expected = ["key-2", "secret-2", "key-1", "secret-1"];
        assert_eq!(all(&credential), expected);
        for n in 3..20 {
            credential.replace(secrets(&[&format!("key-{n}"), "secret-2"]));
        }
        assert_eq!(all(&credential).len(), 2 + MAX_REPLACED);
    }
}
