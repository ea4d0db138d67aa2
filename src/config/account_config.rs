//! One account as configured: the poller's input.

use std::sync::Arc;

use crate::secret::SecretSource;
use crate::session::tracker::TrackingConfig;
use crate::status::AccountInfo;
use crate::tradernet::{Endpoint, KeyVersion, StreamEndpoint, Transport};

/// An account as configured; valid by construction.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// Value of the label `account`, unique.
    pub name: Arc<str>,
    /// The API's origin, and the timeout of requests to it.
    pub target: Endpoint,
    /// The credential that requests carry.
    pub credential: CredentialSource,
    /// The login, with any kind of credential that has one beside it.
    pub login: Option<String>,
    /// How the list is read.
    pub transport: Transport,
    /// Where the list is pushed from, with a transport that pushes.
    pub stream: Option<StreamEndpoint>,
    /// Its labels, and the kind of its credential.
    pub info: Arc<AccountInfo>,
    /// How answers are read and judged, and the polling interval.
    pub tracking: Arc<TrackingConfig>,
}

/// A credential as configured.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// An SID obtained elsewhere.
    Sid(SecretSource),
    /// Login and password, exchanged for an SID.
    Login {
        /// The login's name.
        login: String,
        /// Its password.
        password: SecretSource,
        /// Whether to log in by `authByLogin` with `viewOnlyMode`.
        view_only: bool,
        /// The account to log in to, where a view-only login has several.
        user_id: Option<u64>,
    },
    /// A key pair.
    KeyPair {
        /// How requests are signed.
        version: KeyVersion,
        /// The public part, sent in clear.
        key: SecretSource,
        /// The private part, which signs and is never sent.
        secret: SecretSource,
    },
}

impl AccountConfig {
    /// Whether any of its connections uses TLS.
    pub fn uses_tls(&self) -> bool {
        let stream = self.stream.as_ref().map(|stream| &stream.origin);
        let mut origins = std::iter::once(&self.target.origin).chain(stream);
        origins.any(|origin| matches!(origin.scheme(), "https" | "wss"))
    }

    /// Whether both have the same identity: name, URLs and credential. Any other change is applied
    /// to a running poller.
    pub fn is_same_as(&self, other: &AccountConfig) -> bool {
        let stream_origin = |account: &Self| account.stream.as_ref().map(|of| of.origin.clone());
        // A change of the transport keeps the identity; another origin for the same one does not.
        let is_same_stream =
            self.transport != other.transport || stream_origin(self) == stream_origin(other);
        self.name == other.name
            && self.target.origin == other.target.origin
            && is_same_stream
            && self.credential.is_same_as(&other.credential)
    }

    /// Whether both have the same settings too.
    pub fn has_same_settings(&self, other: &AccountConfig) -> bool {
        self.target == other.target
            && self.transport == other.transport
            && self.stream == other.stream
            && self.login == other.login
            && self.info == other.info
            && self.tracking == other.tracking
            && self.credential.version() == other.credential.version()
    }
}

impl CredentialSource {
    /// How requests are signed is not part of the identity: the key stays the same.
    fn is_same_as(&self, other: &Self) -> bool {
        let login = |credential: &Self| match credential {
            Self::Login {
                login,
                view_only,
                user_id,
                ..
            } => Some((login.clone(), *view_only, *user_id)),
            Self::Sid(_) | Self::KeyPair { .. } => None,
        };
        let mut sources = self.sources().into_iter().zip(other.sources());
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && login(self) == login(other)
            && sources.all(|(one, other)| one.is_same_as(other))
    }

    /// How requests are signed, with a key pair.
    fn version(&self) -> Option<KeyVersion> {
        match self {
            Self::KeyPair { version, .. } => Some(*version),
            Self::Sid(_) | Self::Login { .. } => None,
        }
    }

    /// The kind: `sid`, `login` or `key_pair`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sid(_) => "sid",
            Self::Login { .. } => "login",
            Self::KeyPair { .. } => "key_pair",
        }
    }

    /// Whether a secret is in a file, which may change at any time.
    pub(crate) fn reads_files(&self) -> bool {
        let mut sources = self.sources().into_iter();
        sources.any(|source| matches!(source, SecretSource::File(_)))
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
