//! Why an attempt failed: one closed enum, with a reason to count, a text and advice for each case.

use std::fmt;
use std::mem::discriminant;
use std::time::Duration;

/// `Retry-After` counts up to this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why an attempt failed.
///
/// The text is fit for logs and pages: the server's words went through a
/// [`Redactor`](super::redact::Redactor), and no secret of ours is put in.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The account has no usable secret; nothing was sent.
    Credential {
        /// The fault of the secret's source.
        detail: String,
    },
    /// No complete answer within the time allowed for one request, connect included.
    Timeout {
        /// `TRADERNET_TIMEOUT`, or a time of an open stream.
        after: Duration,
        /// The answer or event that did not come.
        awaited: Awaited,
        /// Host and port of the API, and of the proxy where there is one.
        address: String,
    },
    /// A connection was not made, or broke.
    Connection {
        /// How far it came.
        stage: Stage,
        /// Host and port: of the proxy at its stage, else of the API.
        address: String,
        /// The cause in the words of the library or system.
        detail: String,
    },
    /// The answer is larger than allowed and was cut off.
    TooLarge {
        /// `TRADERNET_MAX_RESPONSE_BYTES`, decoded; `None` where the head was too large.
        limit: Option<u64>,
    },
    /// An answer began, and its body did not arrive whole.
    Body {
        /// Why not: one of the above, or [`Error::Decode`].
        cause: Box<Error>,
        /// The answer's status and headers.
        head: ResponseHead,
    },
    /// The server limits requests: HTTP 429, code 429 or its words.
    RateLimited(ServerMessage),
    /// The credential was not accepted.
    Auth(AuthError),
    /// Another error envelope.
    Api(ServerMessage),
    /// Another status that is not 2xx.
    HttpStatus(ResponseHead),
    /// The answer could not be read.
    Decode {
        /// The fault that was found.
        detail: String,
        /// The answer's status and headers.
        head: ResponseHead,
    },
    /// This program panicked.
    Internal,
}

/// How far a connection came before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking up the host's addresses.
    Resolve,
    /// Connecting to the proxy, or from there to the API.
    Proxy,
    /// Connecting to the API.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request and receiving the answer.
    Response,
}

/// An answer or event that did not come in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A connection: name resolution, TCP, the proxy's tunnel or TLS.
    Connection,
    /// The answer to a request, or the first list of a stream.
    Answer {
        /// The name of the last event that a stream sent instead of the list, redacted.
        received: Option<String>,
    },
    /// A list or a pong on an open stream.
    Frame,
}

/// The status of an answer, and the facts in its headers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResponseHead {
    /// The HTTP status; a stream's event has none.
    pub status: Option<u16>,
    /// `Retry-After`, as a time from now.
    pub retry_after: Option<Duration>,
    /// This machine's clock less `Date`, in seconds.
    pub clock_offset: Option<f64>,
}

/// An error in the server's words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerMessage {
    /// The answer's status and headers.
    pub head: ResponseHead,
    /// The code of the error envelope.
    pub code: Option<i64>,
    /// The server's words, redacted; empty where there were none.
    pub text: String,
}

/// Signatures contain the time: a clock that is off by more, in seconds, explains their rejection.
const MAX_CLOCK_OFFSET: f64 = 60.0;

/// How a credential was not accepted, or why no login was sent.
#[derive(Clone, Debug, PartialEq)]
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
    SecondFactor(ResponseHead),
    /// The login was answered without an SID.
    NoSessionInLoginResponse(ResponseHead),
    /// The SID of a new login was rejected before it was ever accepted: a login does not help.
    NewSidRejected(Box<AuthError>),
    /// No login was sent: an earlier one with this credential was rejected, for that reason.
    BlockedAfterRejection(Box<AuthError>),
    /// No login was sent: there were three within 15 minutes.
    BlockedByRateLimit,
    /// No login was sent: three failed in a row, or one had an unreadable answer, so one an hour is.
    BlockedAfterFailures,
}

labels! {
    /// The label `reason` of `tradernet_poll_failures_total`.
    pub enum Reason {
        /// [`Error::Credential`].
        Credential = "credential",
        /// [`Error::Timeout`].
        Timeout = "timeout",
        /// [`Error::Connection`], except for the TLS handshake.
        Network = "network",
        /// [`Error::Connection`] in the TLS handshake.
        Tls = "tls",
        /// [`Error::TooLarge`].
        TooLarge = "too_large",
        /// [`Error::RateLimited`].
        RateLimited = "rate_limited",
        /// [`Error::Auth`].
        Auth = "auth",
        /// [`Error::Api`].
        ApiError = "api_error",
        /// [`Error::HttpStatus`].
        HttpStatus = "http_status",
        /// [`Error::Decode`].
        Decode = "decode",
        /// [`Error::Internal`].
        Internal = "internal",
    }
}

impl Reason {
    /// Whether such a failure may be the host's, so that another account's success ends it.
    pub fn may_be_of_host(self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::Network | Self::Tls | Self::HttpStatus | Self::ApiError
        )
    }
}

impl Error {
    /// An answer, or a frame of a stream, that cannot be read.
    pub(crate) fn decode(detail: impl Into<String>) -> Self {
        Self::Decode {
            detail: detail.into(),
            head: ResponseHead::default(),
        }
    }

    /// The reason under which the attempt is counted.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Credential { .. } => Reason::Credential,
            Self::Timeout { .. } => Reason::Timeout,
            Self::Connection { stage, .. } if *stage == Stage::Tls => Reason::Tls,
            Self::Connection { .. } => Reason::Network,
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::Body { cause, .. } => cause.reason(),
            Self::RateLimited(_) => Reason::RateLimited,
            Self::Auth(_) => Reason::Auth,
            Self::Api(_) => Reason::ApiError,
            Self::HttpStatus(_) => Reason::HttpStatus,
            Self::Decode { .. } => Reason::Decode,
            Self::Internal => Reason::Internal,
        }
    }

    /// The status and headers of the answer, where there was one.
    pub fn head(&self) -> Option<&ResponseHead> {
        match self {
            Self::HttpStatus(head) | Self::Decode { head, .. } | Self::Body { head, .. } => {
                Some(head)
            }
            Self::RateLimited(said) | Self::Api(said) => Some(&said.head),
            Self::Auth(error) => error.head(),
            _ => None,
        }
    }

    /// `Retry-After`, whatever the reason; at most [`MAX_RETRY_AFTER`].
    pub fn retry_after(&self) -> Option<Duration> {
        Some(self.head()?.retry_after?.min(MAX_RETRY_AFTER))
    }

    /// Whether a login may replace the SID that this error is about.
    pub fn is_cured_by_login(&self) -> bool {
        matches!(
            self,
            Self::Auth(AuthError::SidRejected(_) | AuthError::DemoMode)
        )
    }

    /// Whether there was an answer that this client cannot take in, whatever it says: it is larger
    /// than allowed, or not HTTP.
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::TooLarge { .. } => true,
            Self::Body { cause, .. } => cause.is_unreadable(),
            Self::Decode { head, .. } => head.status.is_none(),
            _ => false,
        }
    }

    /// Whether the account's state is the same with both errors, whatever the server's words are.
    pub fn is_same_state(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Auth(one), Self::Auth(other)) => {
                discriminant(one.rejection()) == discriminant(other.rejection())
            }
            _ => self.reason() == other.reason(),
        }
    }

    /// The action for the operator, lower case, no full stop.
    pub fn advice(&self) -> String {
        if let Some(seconds) = self.wrong_clock() {
            let direction = if seconds > 0.0 { "ahead of" } else { "behind" };
            let seconds = seconds.abs();
            return format!(
                "this machine's clock is {seconds:.0} s {direction} the server's, and a signature contains the time: correct the clock"
            );
        }
        match self {
            Self::Credential { .. } => {
                "check that the file exists, that this program may read it and that it holds the secret only; it is read again every few seconds"
            }
            Self::Timeout { awaited, .. } => match awaited {
                Awaited::Connection => {
                    "check host and port in TRADERNET_URL (of a stream in TRADERNET_WS_URL or TRADERNET_SOCKETIO_URL), this machine's name servers, the firewall and the proxy in HTTPS_PROXY"
                }
                Awaited::Answer { .. } => {
                    "the server, or a proxy before it, is too slow: it may pass by itself; if it does not, check the URL, or raise TRADERNET_TIMEOUT"
                }
                Awaited::Frame => Stage::Response.advice(),
            },
            Self::Connection { stage, .. } => stage.advice(),
            Self::TooLarge { limit: None } => {
                "check that TRADERNET_URL or the stream's URL is a Tradernet API, and what is between here and the API"
            }
            Self::TooLarge { .. } => {
                "check that TRADERNET_URL or the stream's URL is a Tradernet API, or raise TRADERNET_MAX_RESPONSE_BYTES"
            }
            Self::Body { cause, .. } => return cause.advice(),
            Self::RateLimited(_) => "raise TRADERNET_POLL_INTERVAL, or run fewer exporters",
            Self::Auth(error) => error.advice(),
            Self::Api(_) => "look the code up on the vendor's pages under /tradernet-api/ of TRADERNET_URL; it may pass by itself",
            Self::HttpStatus(head) => match head.status.unwrap_or_default() {
                407 => Stage::Proxy.advice(),
                408 | 425 => "the server, or a proxy before it, was not ready: it is polled again by itself",
                300..400 => {
                    "redirects are not followed with credentials: set TRADERNET_URL, or the stream's URL, to the final origin"
                }
                403 => {
                    "the content network in front of the API refused this address: contact the broker"
                }
                400..500 => {
                    "the server did not accept the request: check that TRADERNET_URL, or the stream's URL, is the origin of a Tradernet API"
                }
                _ => "the server is in trouble; it may pass by itself",
            },
            Self::Decode { .. } => {
                "check that TRADERNET_URL or the stream's URL is a Tradernet API; if it is, report the shape of its answer"
            }
            Self::Internal => "report the line that the log has about the panic",
        }
        .to_owned()
    }
}

impl Error {
    /// How far this machine's clock is off, where that explains why a signature was rejected.
    fn wrong_clock(&self) -> Option<f64> {
        let said = match self {
            Self::Auth(AuthError::KeyPairRejected(said)) => said,
            Self::Auth(AuthError::Rejected(said)) if said.code == Some(4) => said,
            _ => return None,
        };
        said.head
            .clock_offset
            .filter(|offset| offset.abs() > MAX_CLOCK_OFFSET)
    }
}

impl Stage {
    fn advice(self) -> &'static str {
        match self {
            Self::Resolve => {
                "check the host in TRADERNET_URL (of a stream in TRADERNET_WS_URL or TRADERNET_SOCKETIO_URL) and this machine's name servers"
            }
            Self::Proxy => {
                "check the proxy in HTTPS_PROXY, its user and password, and that it allows this address; NO_PROXY names hosts to be reached without it"
            }
            Self::Connect => {
                "check host and port in TRADERNET_URL (of a stream in TRADERNET_WS_URL or TRADERNET_SOCKETIO_URL) and the firewall; where a proxy is required, set HTTPS_PROXY"
            }
            Self::Tls => {
                "check host, port and scheme of the URL, the clock and the firewall; name a private CA with SSL_CERT_FILE"
            }
            Self::Response => {
                "it may pass by itself; if it does not, check the URL and what is between here and the API: firewall, proxy, load balancer"
            }
        }
    }
}

impl AuthError {
    fn head(&self) -> Option<&ResponseHead> {
        match self {
            Self::SidRejected(said)
            | Self::KeyPairRejected(said)
            | Self::Rejected(said)
            | Self::MissingRight(said)
            | Self::LoginRejected(said) => Some(&said.head),
            Self::SecondFactor(head) | Self::NoSessionInLoginResponse(head) => Some(head),
            Self::NewSidRejected(error) => error.head(),
            _ => None,
        }
    }

    /// A rejected login goes on until somebody acts.
    fn rejection(&self) -> &Self {
        match self {
            Self::BlockedAfterRejection(rejection) => rejection,
            error => error,
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
                "the account lacks a right and a login does not help: contact the broker, or use another credential"
            }
            Self::DemoMode => {
                "check that the SID is current and that the user has a live account; for a key pair, this server wants an SID"
            }
            Self::LoginRejected(_) => {
                "check login and password; a changed credential or POST /-/reload?account=NAME allows another login"
            }
            Self::SecondFactor(_) => {
                "use a key pair, or an SID obtained elsewhere: each login may send another code to the account's owner"
            }
            Self::NoSessionInLoginResponse(_) => {
                "if the account confirms logins by another step (SMS), use a key pair or an SID; if the server was in trouble, POST /-/reload?account=NAME allows another login"
            }
            Self::NewSidRejected(_) => {
                "check that this login may read the list from this address; POST /-/reload?account=NAME allows another login"
            }
            Self::BlockedAfterRejection(rejection) => match **rejection {
                Self::SecondFactor(_) | Self::NoSessionInLoginResponse(_) => rejection.advice(),
                _ => {
                    "change the credential, or allow another login with POST /-/reload?account=NAME"
                }
            },
            Self::BlockedByRateLimit => {
                "wait: another login is allowed 15 minutes after the first of three; find the client that ends the sessions"
            }
            Self::BlockedAfterFailures => {
                "wait: the next login is sent an hour after the last one; POST /-/reload?account=NAME allows one earlier, at most three within 15 minutes"
            }
        }
    }
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.head.status.filter(|status| *status != 200);
        match (self.code, self.text.as_str(), status) {
            (None, "", Some(status)) => return write!(f, "HTTP {status}"),
            (None, "", None) => f.write_str("no reason given"),
            (Some(code), "", _) => write!(f, "code {code}"),
            (Some(code), text, _) => write!(f, "\"{text}\" (code {code})"),
            (None, text, _) => write!(f, "\"{text}\""),
        }?;
        status.map_or(Ok(()), |status| write!(f, ", HTTP {status}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential { detail } => write!(f, "no usable secret: {detail}"),
            Self::Timeout {
                after,
                awaited,
                address,
            } => {
                let what = match awaited {
                    Awaited::Connection => "connection to",
                    Awaited::Answer { .. } => "complete answer from",
                    Awaited::Frame => "list or pong on the stream from",
                };
                write!(f, "no {what} {address} within {}s", after.as_secs_f64())?;
                match awaited {
                    Awaited::Answer {
                        received: Some(event),
                    } => write!(f, "; the server sent the event {event:?} instead"),
                    _ => Ok(()),
                }
            }
            Self::Connection {
                stage,
                address,
                detail,
            } => match stage {
                Stage::Resolve => write!(f, "cannot resolve {address}: {detail}"),
                Stage::Proxy => write!(f, "no connection through the proxy {address}: {detail}"),
                Stage::Connect => write!(f, "cannot connect to {address}: {detail}"),
                Stage::Tls => write!(f, "no secure connection to {address}: {detail}"),
                Stage::Response => write!(f, "the connection to {address} failed: {detail}"),
            },
            Self::TooLarge { limit: None } => {
                f.write_str("the head of the answer is larger than 1000 lines or 400 KiB")
            }
            Self::TooLarge { limit: Some(limit) } => {
                write!(f, "the answer is larger than {limit} bytes")
            }
            Self::Body { cause, head } => {
                cause.fmt(f)?;
                match head.status {
                    Some(status) if status != 200 => {
                        write!(f, ", HTTP {status}")
                    }
                    _ => Ok(()),
                }
            }
            Self::RateLimited(said) => write!(f, "rate limited: {said}"),
            Self::Auth(error) => error.fmt(f),
            Self::Api(said) => write!(f, "the server answered with an error: {said}"),
            Self::HttpStatus(head) => {
                let status = head.status.unwrap_or_default();
                write!(f, "the server answered HTTP {status}")
            }
            Self::Decode { detail, .. } => write!(f, "the answer cannot be read: {detail}"),
            Self::Internal => f.write_str("internal error: this program panicked"),
        }?;
        match self.retry_after() {
            // Of less than a second the back-off decides.
            Some(after) if after.as_secs() == 0 => Ok(()),
            Some(after) => write!(f, "; retry after {}s", after.as_secs()),
            None => Ok(()),
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
            Self::SecondFactor(_) => f.write_str("the login requires a second factor"),
            Self::NoSessionInLoginResponse(_) => f.write_str("the login was answered without an SID"),
            Self::NewSidRejected(error) => {
                write!(f, "the SID of a new login was not accepted: {error}")
            }
            Self::BlockedAfterRejection(rejection) => write!(f, "no login was sent: {rejection}"),
            Self::BlockedByRateLimit => {
                f.write_str("no login was sent: there were three within 15 minutes")
            }
            Self::BlockedAfterFailures => {
                f.write_str("no login was sent: three failed in a row, or the answer could not be read, so one an hour is sent")
            }
        }
    }
}

impl std::error::Error for Error {}
