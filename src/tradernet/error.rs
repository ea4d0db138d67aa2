//! Why an attempt failed: one closed enum, and the label, the words and the advice for each case.

use std::fmt;
use std::time::Duration;

/// What went wrong between us and Tradernet.
///
/// The text is fit for logs and pages: whatever came from the server went through a
/// [`Redactor`](super::redact::Redactor), and nothing of ours that is secret is ever put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The account has no usable secret; nothing was sent.
    Credential {
        /// What is wrong with the secret's source.
        detail: String,
    },
    /// No complete answer within the time allowed for one request, connect included.
    Timeout {
        /// `TRADERNET_TIMEOUT`.
        after: Duration,
    },
    /// Name resolution, connection or transfer failed.
    Network {
        /// The cause in the words of the library or system.
        detail: String,
    },
    /// The secure connection could not be made.
    Tls {
        /// The cause in the words of the library.
        detail: String,
    },
    /// The decoded answer is larger than allowed and was cut off.
    TooLarge {
        /// `TRADERNET_MAX_RESPONSE_BYTES`.
        limit: u64,
    },
    /// The server limits requests: HTTP 429, code 429 or its words.
    RateLimited(ServerMessage),
    /// The credential was not accepted.
    Auth(AuthError),
    /// Another error envelope.
    Api(ServerMessage),
    /// Another status that is not 2xx.
    HttpStatus {
        /// The status.
        status: u16,
        /// `Retry-After`, as a time from now.
        retry_after: Option<Duration>,
    },
    /// The answer could not be read.
    Decode {
        /// What was wrong with it.
        detail: String,
        /// `Retry-After`, as a time from now.
        retry_after: Option<Duration>,
    },
    /// This program panicked.
    Internal,
}

/// What a server said besides a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMessage {
    /// The HTTP status; a stream's event has none.
    pub status: Option<u16>,
    /// The code of the error envelope.
    pub code: Option<i64>,
    /// The server's words, redacted; empty where there were none.
    pub text: String,
    /// `Retry-After`, as a time from now.
    pub retry_after: Option<Duration>,
}

/// How a credential was not accepted, or why no login was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// The SID is not accepted, or not any more: a login replaces it.
    SidRejected(ServerMessage),
    /// The key pair is wrong or of another domain.
    KeyPairRejected(ServerMessage),
    /// The credential was rejected for another reason.
    Rejected(ServerMessage),
    /// The account lacks a right. The SID is accepted, so a login does not help.
    MissingRight(ServerMessage),
    /// A stream is in demo mode: the SID was not accepted, or the user has no live account.
    DemoMode,
    /// The login was rejected; no other is sent with this credential.
    LoginRejected(ServerMessage),
    /// The login asks for a second factor; each try may send another SMS.
    SecondFactor,
    /// The login was answered without an SID.
    NoSessionInLoginResponse,
    /// The SID of a new login was rejected before it was ever accepted: a login does not help.
    NewSidRejected(Box<AuthError>),
    /// No login was sent: an earlier one with this credential was rejected, for that reason.
    BlockedAfterRejection(Box<AuthError>),
    /// No login was sent: there were three within 15 minutes.
    BlockedByRateLimit,
    /// No login was sent: three failed in a row, so one an hour is.
    BlockedAfterFailures,
}

/// The label `reason` of `tradernet_poll_failures_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// [`Error::Credential`].
    Credential,
    /// [`Error::Timeout`].
    Timeout,
    /// [`Error::Network`].
    Network,
    /// [`Error::Tls`].
    Tls,
    /// [`Error::TooLarge`].
    TooLarge,
    /// [`Error::RateLimited`].
    RateLimited,
    /// [`Error::Auth`].
    Auth,
    /// [`Error::Api`].
    ApiError,
    /// [`Error::HttpStatus`].
    HttpStatus,
    /// [`Error::Decode`].
    Decode,
    /// [`Error::Internal`].
    Internal,
}

impl Reason {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Reason; 11] = [
        Reason::Credential,
        Reason::Timeout,
        Reason::Network,
        Reason::Tls,
        Reason::TooLarge,
        Reason::RateLimited,
        Reason::Auth,
        Reason::ApiError,
        Reason::HttpStatus,
        Reason::Decode,
        Reason::Internal,
    ];

    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Auth => "auth",
            Self::ApiError => "api_error",
            Self::HttpStatus => "http_status",
            Self::Decode => "decode",
            Self::Internal => "internal",
        }
    }
}

impl Error {
    /// What the attempt is counted as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Credential { .. } => Reason::Credential,
            Self::Timeout { .. } => Reason::Timeout,
            Self::Network { .. } => Reason::Network,
            Self::Tls { .. } => Reason::Tls,
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::RateLimited(_) => Reason::RateLimited,
            Self::Auth(_) => Reason::Auth,
            Self::Api(_) => Reason::ApiError,
            Self::HttpStatus { .. } => Reason::HttpStatus,
            Self::Decode { .. } => Reason::Decode,
            Self::Internal => Reason::Internal,
        }
    }

    /// How long the server asked to wait, whatever the reason.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(said) | Self::Api(said) => said.retry_after,
            Self::Auth(error) => error.said()?.retry_after,
            Self::HttpStatus { retry_after, .. } | Self::Decode { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether a login may replace the SID that this error is about.
    pub fn is_cured_by_login(&self) -> bool {
        matches!(
            self,
            Self::Auth(AuthError::SidRejected(_) | AuthError::Rejected(_) | AuthError::DemoMode)
        )
    }

    /// What a person does about it, lower case, no full stop.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Credential { .. } => {
                "check that the file exists, that this program may read it and that it holds the secret only; it is read again every few seconds"
            }
            Self::Timeout { .. } => {
                "check that TRADERNET_URL (of a stream TRADERNET_WS_URL or TRADERNET_SOCKETIO_URL) can be reached from here, or raise TRADERNET_TIMEOUT"
            }
            Self::Network { .. } => {
                "check TRADERNET_URL (of a stream TRADERNET_WS_URL or TRADERNET_SOCKETIO_URL), name resolution, the firewall and the proxy (HTTPS_PROXY, NO_PROXY)"
            }
            Self::Tls { .. } => {
                "check the host name and the clock; name a private CA with SSL_CERT_FILE"
            }
            Self::TooLarge { .. } => {
                "check that TRADERNET_URL or the stream's URL is a Tradernet API, or raise TRADERNET_MAX_RESPONSE_BYTES"
            }
            Self::RateLimited(_) => "raise TRADERNET_POLL_INTERVAL, or run fewer exporters",
            Self::Auth(error) => error.advice(),
            Self::Api(_) => "look the code up on the vendor's API page; it may pass by itself",
            Self::HttpStatus { status, .. } => match status {
                300..400 => {
                    "redirects are not followed with credentials: set TRADERNET_URL, or the stream's URL, to the final origin"
                }
                403 => {
                    "the content network in front of the API refused this address: ask the broker"
                }
                404 => "check that TRADERNET_URL, or the stream's URL, is the right origin",
                _ => "the server is in trouble; it may pass by itself",
            },
            Self::Decode { .. } => {
                "check that TRADERNET_URL or the stream's URL is a Tradernet API; if it is, report the shape of its answer"
            }
            Self::Internal => "report the line that the log has about the panic",
        }
    }
}

impl Error {
    /// What is the matter, more closely than the reason says: while this stays the same, an
    /// account's state has not changed, whatever the server's words are.
    pub fn matter(&self) -> &'static str {
        match self {
            Self::Auth(error) => error.matter(),
            error => error.reason().name(),
        }
    }
}

impl AuthError {
    fn matter(&self) -> &'static str {
        match self {
            Self::SidRejected(_) | Self::KeyPairRejected(_) | Self::Rejected(_) => {
                "credential rejected"
            }
            Self::MissingRight(_) => "right missing",
            Self::DemoMode => "demo mode",
            Self::LoginRejected(_) => "login rejected",
            Self::SecondFactor => "second factor",
            Self::NoSessionInLoginResponse => "login without session",
            Self::NewSidRejected(_) => "new SID rejected",
            // It goes on until somebody acts.
            Self::BlockedAfterRejection(rejection) => rejection.matter(),
            Self::BlockedByRateLimit => "too many logins",
            Self::BlockedAfterFailures => "logins failed",
        }
    }

    fn said(&self) -> Option<&ServerMessage> {
        match self {
            Self::SidRejected(said)
            | Self::KeyPairRejected(said)
            | Self::Rejected(said)
            | Self::MissingRight(said)
            | Self::LoginRejected(said) => Some(said),
            _ => None,
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::SidRejected(ServerMessage { code: Some(8), .. })
            | Self::Rejected(ServerMessage { code: Some(8), .. }) => {
                "the account does not allow this address: allow it on the platform"
            }
            Self::KeyPairRejected(_) | Self::Rejected(ServerMessage { code: Some(4), .. }) => {
                "check key and secret, that they belong to the domain of TRADERNET_URL, and that the clock is right"
            }
            Self::SidRejected(_) | Self::Rejected(_) => {
                "check that the credential is current and belongs to this domain, then renew it"
            }
            Self::MissingRight(_) => {
                "the account lacks a right and a login does not help: ask the broker, or use another credential"
            }
            Self::DemoMode => {
                "check that the SID is current and that the user has a live account; for a key pair, this server wants an SID"
            }
            Self::LoginRejected(_) => {
                "check login and password; a changed credential or POST /-/reload?account=NAME allows another login"
            }
            Self::SecondFactor => {
                "use a key pair, or an SID obtained elsewhere: each login may send another code to the account's owner"
            }
            Self::NoSessionInLoginResponse => {
                "if the account confirms logins by another step (SMS), use a key pair or an SID; if the server was in trouble, POST /-/reload?account=NAME allows another login"
            }
            Self::NewSidRejected(_) => {
                "check that this login may read the list from this address; POST /-/reload?account=NAME allows another login"
            }
            Self::BlockedAfterRejection(rejection) => match **rejection {
                Self::SecondFactor | Self::NoSessionInLoginResponse => rejection.advice(),
                _ => {
                    "change the credential, or allow another login with POST /-/reload?account=NAME"
                }
            },
            Self::BlockedByRateLimit => {
                "wait: another login is allowed 15 minutes after the first of three; find out who ends the sessions"
            }
            Self::BlockedAfterFailures => {
                "wait for the next login, or allow one with POST /-/reload?account=NAME once the server is well"
            }
        }
    }
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.text.as_str(), self.status) {
            (Some(code), "", _) => write!(f, "code {code}"),
            (None, "", Some(status)) if status != 200 => write!(f, "HTTP {status}"),
            (None, "", _) => f.write_str("no reason given"),
            (Some(code), text, _) => write!(f, "\"{text}\" (code {code})"),
            (None, text, _) => write!(f, "\"{text}\""),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential { detail } => write!(f, "no usable secret: {detail}"),
            Self::Timeout { after } => {
                write!(f, "no complete answer within {}s", after.as_secs_f64())
            }
            Self::Network { detail } => write!(f, "the connection failed: {detail}"),
            Self::Tls { detail } => write!(f, "no secure connection: {detail}"),
            Self::TooLarge { limit } => write!(f, "the answer is larger than {limit} bytes"),
            Self::RateLimited(said) => {
                write!(f, "rate limited: {said}")?;
                match said.retry_after {
                    Some(after) => write!(f, ", asked to wait {}s", after.as_secs()),
                    None => Ok(()),
                }
            }
            Self::Auth(error) => error.fmt(f),
            Self::Api(said) => write!(f, "the server answered with an error: {said}"),
            Self::HttpStatus { status, .. } => write!(f, "the server answered HTTP {status}"),
            Self::Decode { detail, .. } => write!(f, "the answer cannot be read: {detail}"),
            Self::Internal => f.write_str("internal error: this program panicked"),
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SidRejected(said) => write!(f, "the SID was rejected: {said}"),
            Self::KeyPairRejected(said) => write!(f, "the key pair was rejected: {said}"),
            Self::Rejected(said) => write!(f, "the credential was rejected: {said}"),
            Self::MissingRight(said) => write!(f, "the account lacks a right: {said}"),
            Self::DemoMode => f.write_str("the stream is in demo mode"),
            Self::LoginRejected(said) => write!(f, "the login was rejected: {said}"),
            Self::SecondFactor => f.write_str("the login asks for a second factor"),
            Self::NoSessionInLoginResponse => f.write_str("the login was answered without an SID"),
            Self::NewSidRejected(error) => {
                write!(f, "the SID of a new login was not accepted: {error}")
            }
            Self::BlockedAfterRejection(rejection) => write!(f, "no login was sent: {rejection}"),
            Self::BlockedByRateLimit => {
                f.write_str("no login was sent: there were three within 15 minutes")
            }
            Self::BlockedAfterFailures => {
                f.write_str("no login was sent: the last three failed, so one an hour is sent")
            }
        }
    }
}

impl std::error::Error for Error {}
