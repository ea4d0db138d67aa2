//! Why an attempt failed: one closed enum, and the label, the words and the advice for each case.

use std::fmt;
use std::time::Duration;

/// What went wrong between us and Tradernet.
///
/// The text is fit for logs and pages: whatever came from the server went through a
/// [`Redactor`](super::redact::Redactor), and nothing of ours that is secret is ever put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
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
    /// HTTP 429.
    RateLimited {
        /// `Retry-After`, as a time from now.
        retry_after: Option<Duration>,
    },
    /// The credential was not accepted.
    Auth(AuthError),
    /// Another error that the server put in words.
    Api {
        /// The server's code.
        code: Option<i64>,
        /// The server's words, redacted.
        message: String,
    },
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
    },
}

/// How a credential was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// The list was refused.
    Refused {
        /// The server's code.
        code: Option<i64>,
        /// The server's words, redacted.
        message: String,
    },
    /// HTTP 401, or 403 with a JSON body that says nothing more.
    Status(u16),
    /// A stream is in demo mode, which is how it says that the SID was not accepted.
    DemoMode,
    /// The login was refused; no other is tried with this credential.
    LoginRefused {
        /// The server's code.
        code: Option<i64>,
        /// The server's words, redacted.
        message: String,
    },
    /// The login was answered without a session, as for an account that confirms by SMS.
    LoginWithoutSession,
    /// No login was tried: an earlier one with this credential was refused, for that reason.
    BlockedAfterRefusal(Box<AuthError>),
    /// No login was tried: there were three within 15 minutes.
    BlockedByRate,
}

/// The label `reason` of `tradernet_poll_failures_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
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
}

impl Reason {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Reason; 9] = [
        Reason::Timeout,
        Reason::Network,
        Reason::Tls,
        Reason::TooLarge,
        Reason::RateLimited,
        Reason::Auth,
        Reason::ApiError,
        Reason::HttpStatus,
        Reason::Decode,
    ];

    /// The label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Auth => "auth",
            Self::ApiError => "api_error",
            Self::HttpStatus => "http_status",
            Self::Decode => "decode",
        }
    }
}

impl Error {
    /// What the attempt is counted as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Timeout { .. } => Reason::Timeout,
            Self::Network { .. } => Reason::Network,
            Self::Tls { .. } => Reason::Tls,
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::RateLimited { .. } => Reason::RateLimited,
            Self::Auth(_) => Reason::Auth,
            Self::Api { .. } => Reason::ApiError,
            Self::HttpStatus { .. } => Reason::HttpStatus,
            Self::Decode { .. } => Reason::Decode,
        }
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::HttpStatus { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// What a person does about it, lower case, no full stop.
    pub fn advice(&self) -> &'static str {
        match self {
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
            Self::RateLimited { .. } => "raise TRADERNET_POLL_INTERVAL, or run fewer exporters",
            Self::Auth(error) => error.advice(),
            Self::Api { .. } => "look the code up on the vendor's API page; it may pass by itself",
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
            Self::Refused { .. } | Self::Status(_) | Self::DemoMode => "credential refused",
            Self::LoginRefused { .. } => "login refused",
            Self::LoginWithoutSession => "login without session",
            // It goes on as long as nobody does anything.
            Self::BlockedAfterRefusal(refusal) => refusal.matter(),
            Self::BlockedByRate => "too many logins",
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Refused { code: Some(8), .. } => {
                "the account does not allow this address: allow it on the platform"
            }
            Self::Refused { code: Some(4), .. } => {
                "check the API secret and that the clock is right"
            }
            Self::Refused { .. } | Self::Status(_) | Self::DemoMode => {
                "check that the credential is current and belongs to this domain, then renew it"
            }
            Self::LoginRefused { .. } => {
                "check login and password; a changed credential or POST /-/reload?account=NAME allows another try"
            }
            Self::LoginWithoutSession => {
                "if the account confirms logins by another step (SMS), use a key pair or an SID; if the server was in trouble, POST /-/reload?account=NAME allows another try"
            }
            Self::BlockedAfterRefusal(refusal) => match **refusal {
                Self::LoginWithoutSession => refusal.advice(),
                _ => {
                    "change the credential, or ask for another try with POST /-/reload?account=NAME"
                }
            },
            Self::BlockedByRate => {
                "wait: another login is allowed 15 minutes after the first of three; find out who ends the sessions"
            }
        }
    }
}

/// A server's code and words, as far as it gave any.
struct Words<'a>(Option<i64>, &'a str);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(code), "") => write!(f, "code {code}"),
            (None, "") => f.write_str("no reason given"),
            (Some(code), words) => write!(f, "\"{words}\" (code {code})"),
            (None, words) => write!(f, "\"{words}\""),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout { after } => {
                write!(f, "no complete answer within {}s", after.as_secs_f64())
            }
            Self::Network { detail } => write!(f, "the connection failed: {detail}"),
            Self::Tls { detail } => write!(f, "no secure connection: {detail}"),
            Self::TooLarge { limit } => write!(f, "the answer is larger than {limit} bytes"),
            Self::RateLimited { retry_after: None } => f.write_str("rate limited (HTTP 429)"),
            Self::RateLimited {
                retry_after: Some(after),
            } => {
                write!(
                    f,
                    "rate limited (HTTP 429), asked to wait {}s",
                    after.as_secs()
                )
            }
            Self::Auth(error) => error.fmt(f),
            Self::Api { code, message } => {
                write!(
                    f,
                    "the server answered with an error: {}",
                    Words(*code, message)
                )
            }
            Self::HttpStatus { status, .. } => write!(f, "the server answered HTTP {status}"),
            Self::Decode { detail } => write!(f, "the answer cannot be read: {detail}"),
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => {
                write!(f, "the credential was refused: {}", Words(*code, message))
            }
            Self::Status(status) => write!(f, "the credential was refused: HTTP {status}"),
            Self::DemoMode => f.write_str("the credential was refused: the stream is in demo mode"),
            Self::LoginRefused { code, message } => {
                write!(f, "the login was refused: {}", Words(*code, message))
            }
            Self::LoginWithoutSession => f.write_str("the login was answered without a session"),
            Self::BlockedAfterRefusal(refusal) => write!(f, "no login was tried again: {refusal}"),
            Self::BlockedByRate => {
                f.write_str("no login was tried: there were three within 15 minutes")
            }
        }
    }
}

impl std::error::Error for Error {}
