//! One account as configured: what the poller is given.

use std::sync::Arc;

use crate::secret::SecretSource;
use crate::session::tracker::TrackingConfig;
use crate::tradernet::{Endpoint, KeyVersion, StreamEndpoint, Transport};

/// An account as configured; valid by construction.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// Value of the label `account`, unique.
    pub name: Arc<str>,
    /// Where it lives.
    pub target: Endpoint,
    /// As whom it is read.
    pub credential: CredentialSource,
    /// How it is read.
    pub transport: Transport,
    /// Where its list is pushed from, with a transport that does.
    pub stream: Option<StreamEndpoint>,
    /// How answers are read and judged; also carries the polling interval.
    pub reading: TrackingConfig,
}

impl AccountConfig {
    /// Whether anything it does goes over TLS.
    pub fn uses_tls(&self) -> bool {
        let stream = self.stream.as_ref().map(|stream| &stream.origin);
        let mut origins = std::iter::once(&self.target.origin).chain(stream);
        origins.any(|origin| matches!(origin.scheme(), "https" | "wss"))
    }
}

/// A credential as configured.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// An SID obtained elsewhere.
    Sid(SecretSource),
    /// Login and password, traded for an SID.
    Login {
        /// The login's name.
        login: String,
        /// Its password.
        password: SecretSource,
    },
    /// A key pair.
    KeyPair {
        /// How requests are signed.
        version: KeyVersion,
        /// The public part.
        key: SecretSource,
        /// What signs.
        secret: SecretSource,
    },
}

impl AccountConfig {
    /// Whether both are one account to the server: name, URLs and credential. Everything else is
    /// taken up by the poller that runs.
    pub fn is_same_as(&self, other: &AccountConfig) -> bool {
        self.name == other.name
            && self.target.origin == other.target.origin
            && self.streams_from_where(other)
            && self.credential.is_same_as(&other.credential)
    }
}

impl AccountConfig {
    /// Another transport is taken up; another place for the same one is another server.
    fn streams_from_where(&self, other: &AccountConfig) -> bool {
        let one_transport = self.transport == other.transport;
        match (&self.stream, &other.stream) {
            (Some(one), Some(another)) if one_transport => one.origin == another.origin,
            _ => true,
        }
    }
}

impl CredentialSource {
    /// How requests are signed is not part of it: the key stays the same.
    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sid(one), Self::Sid(other)) => one.is_same_as(other),
            (
                Self::Login { login, password },
                Self::Login {
                    login: other_login,
                    password: other_password,
                },
            ) => login == other_login && password.is_same_as(other_password),
            (
                Self::KeyPair { key, secret, .. },
                Self::KeyPair {
                    key: other_key,
                    secret: other_secret,
                    ..
                },
            ) => key.is_same_as(other_key) && secret.is_same_as(other_secret),
            _ => false,
        }
    }

    /// Where its secrets come from.
    pub(crate) fn sources(&self) -> Vec<&SecretSource> {
        match self {
            Self::Sid(sid) => vec![sid],
            Self::Login { password, .. } => vec![password],
            Self::KeyPair { key, secret, .. } => vec![key, secret],
        }
    }
}
