//! What a world is told about an account: its credentials, how it logs in, and the oddities of its answers.
//!
//! Plain values without behaviour. Nothing here knows of time, of state or of the network.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::stream::StreamOptions;

/// An account as it is added to a [`Simulator`](super::Simulator).
#[derive(Clone)]
pub struct AccountSpec {
    /// The name that owns the sessions (`owner_login`); also the key by which the world is asked.
    pub login: String,
    /// The password of the login form. Without one every login is refused.
    pub password: Option<String>,
    /// `user_login` of the sessions that name none themselves; the login where it is `None`.
    pub user_login: Option<String>,
    /// SIDs that are accepted from the start.
    pub sids: Vec<String>,
    /// API keys, each with its secret.
    pub keys: Vec<(String, String)>,
    /// What the login form answers to the right password.
    pub login_behaviour: LoginBehaviour,
    /// Whether a login itself opens a security session, as the real platform may.
    pub own_login: Option<LoginSession>,
    /// Logins allowed in any minute; more are answered with 429.
    pub logins_per_minute: usize,
    /// How the answers look.
    pub options: ResponseOptions,
}

impl AccountSpec {
    /// An account that can do nothing yet: no password, no SID, no key.
    pub fn new(login: impl Into<String>) -> Self {
        Self {
            login: login.into(),
            password: None,
            user_login: None,
            sids: Vec::new(),
            keys: Vec::new(),
            login_behaviour: LoginBehaviour::Cookie,
            own_login: None,
            logins_per_minute: 5,
            options: ResponseOptions::default(),
        }
    }

    /// Lets the login form accept this password.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Accepts this SID from the start.
    #[must_use]
    pub fn sid(mut self, sid: impl Into<String>) -> Self {
        self.sids.push(sid.into());
        self
    }

    /// Accepts this key pair.
    #[must_use]
    pub fn key(mut self, public: impl Into<String>, secret: impl Into<String>) -> Self {
        self.keys.push((public.into(), secret.into()));
        self
    }

    /// Names the broker's account in the sessions (`user_login`).
    #[must_use]
    pub fn user_login(mut self, user_login: impl Into<String>) -> Self {
        self.user_login = Some(user_login.into());
        self
    }

    /// Sets what the login form answers.
    #[must_use]
    pub fn login_behaviour(mut self, behaviour: LoginBehaviour) -> Self {
        self.login_behaviour = behaviour;
        self
    }

    /// Lets every login open a security session of its own.
    #[must_use]
    pub fn own_login(mut self, own: LoginSession) -> Self {
        self.own_login = Some(own);
        self
    }

    /// Sets how the answers look.
    #[must_use]
    pub fn options(mut self, options: ResponseOptions) -> Self {
        self.options = options;
        self
    }
}

/// Credentials are left out.
impl fmt::Debug for AccountSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountSpec")
            .field("login", &self.login)
            .field("login_behaviour", &self.login_behaviour)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The security session that a login opens by itself: type 4, from the caller's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginSession {
    /// Print an IPv4 caller as `::ffff:a.b.c.d`, as servers that listen on `[::]` do.
    pub mapped: bool,
    /// How long the session lasts.
    pub lifetime: Duration,
}

impl Default for LoginSession {
    fn default() -> Self {
        Self {
            mapped: false,
            lifetime: Duration::from_secs(24 * 3600),
        }
    }
}

/// What the login form answers to the right password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginBehaviour {
    /// A `PHPSESSID` cookie, then `uid`, then `SID`; the body names no SID.
    Cookie,
    /// No SID cookie; the SID stands in the body under this key (`SID`, `sid`, `sessionId`).
    BodyOnly {
        /// The key in the body.
        key: &'static str,
    },
    /// The SID as a cookie, and another identity's under `SID` in the body: the cookie is the right one.
    CookieAndDifferentBodySid,
    /// An error although the password is right.
    Reject(ErrorEnvelope),
    /// An error, and yet a `Set-Cookie: SID` of an anonymous session, as PHP servers send.
    RejectWithAnonymousSid(ErrorEnvelope),
    /// 200 and JSON without any SID: the account waits for a code by SMS.
    SmsCodeRequired,
    /// 200 and a page of HTML.
    MaintenancePage,
}

/// An error in the API's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorEnvelope {
    /// The key that holds the message.
    pub style: ErrorField,
    /// The API's code; left out of the answer where it is `None`.
    pub code: Option<i64>,
    /// The message. `{SID}`, `{KEY}`, `{SIG}`, `{LOGIN}` and `{PASSWORD}` become what the client has just
    /// sent: a server that echoes secrets.
    pub message: String,
}

impl ErrorEnvelope {
    /// `{"errMsg": message, "code": code}`: the API in general.
    pub fn err_msg(code: i64, message: impl Into<String>) -> Self {
        Self {
            style: ErrorField::ErrMsg,
            code: Some(code),
            message: message.into(),
        }
    }

    /// `{"error": message, "code": code}`: one method of the API.
    pub fn error(code: i64, message: impl Into<String>) -> Self {
        Self {
            style: ErrorField::Error,
            code: Some(code),
            message: message.into(),
        }
    }
}

/// Which key of an error's envelope holds the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorField {
    /// `errMsg`
    ErrMsg,
    /// `error`
    Error,
}

/// How an account's answers look. The default is what the vendor's page documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseOptions {
    /// The unit of `expire`.
    pub expire_unit: ExpireUnit,
    /// What stands around the list.
    pub shape: ResponseShape,
    /// How datetimes are written.
    pub datetimes: DatetimeFormat,
    /// Offset from UTC, in seconds, of the local time that datetimes are written in. `Utc` ignores it.
    pub zone_seconds: i32,
    /// By how many seconds the clock that writes datetimes is wrong. `expire` is not affected.
    pub clock_skew_seconds: i64,
    /// `id`, `safety_type_id` and `expire` as strings of digits.
    pub numbers_as_strings: bool,
    /// Compress answers for clients that accept gzip.
    pub gzip: bool,
    /// Served instead of the list, byte for byte, as `application/json`.
    pub raw_answer: Option<Bytes>,
    /// How the streams behave.
    pub stream: StreamOptions,
}

/// The unit of `expire`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpireUnit {
    /// As the vendor's page says.
    #[default]
    Milliseconds,
    /// As the published samples read. Whole seconds, rounded down.
    Seconds,
}

/// What stands around the list of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseShape {
    /// `[…]`
    #[default]
    BareArray,
    /// `[{"response":{"res":[…]}}]`
    ResponseInArray,
    /// `{"response":{"res":[…]}}`
    ResponseObject,
    /// `{"0":{…},"2":{…}}`: a PHP array with gaps. Like PHP it writes `[]` when empty.
    SparseObject,
    /// As `ResponseInArray`, with `"res":null` for an empty list.
    NullRes,
    /// As `ResponseObject`, without `res` for an empty list.
    MissingRes,
}

/// How datetimes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatetimeFormat {
    /// `2016-06-14T13:14:13.187`
    #[default]
    Local,
    /// `2016-06-14 13:14:13.187`
    LocalWithSpace,
    /// `2016-06-14T13:14:13`
    NoFraction,
    /// `2016-06-14T13:14:13.187Z`, in UTC
    Utc,
    /// `2016-06-14T16:14:13.187+03:00`
    Offset,
}
