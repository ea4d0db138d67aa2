//! What a simulator is told about an account: credentials, how it logs in, how its answers look.
//!
//! Plain values. Nothing here knows time, state or the network.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// An account as it is added to a [`Simulator`](super::Simulator).
#[derive(Clone)]
pub struct AccountSpec {
    /// The login: owner of the sessions (`owner_login`), and the name for [`Simulator::account`](super::Simulator::account).
    pub login: String,
    /// The password of the login form. Without one every login is refused.
    pub password: Option<String>,
    /// `user_login` of sessions that name none; the login where it is `None`.
    pub user_login: Option<String>,
    /// SIDs that are accepted from the start.
    pub sids: Vec<String>,
    /// API keys, each with its secret.
    pub keys: Vec<(String, String)>,
    /// What a login with the right password is answered.
    pub login_behaviour: LoginBehaviour,
    /// Lets each login open a security session of type 4, as the real platform may.
    pub login_session: Option<LoginSession>,
    /// Lets the use of a key open a security session of type 14 that lasts this long, from 127.0.0.1, as the
    /// real platform may. No second one is opened while it lasts.
    pub key_session: Option<Duration>,
    /// Whether a SID of a view-only login may read the list.
    pub view_only_reads_list: bool,
    /// How the answers look.
    pub options: ResponseOptions,
}

impl AccountSpec {
    /// An account without any credential.
    pub fn new(login: impl Into<String>) -> Self {
        Self {
            login: login.into(),
            password: None,
            user_login: None,
            sids: Vec::new(),
            keys: Vec::new(),
            login_behaviour: LoginBehaviour::Cookie,
            login_session: None,
            key_session: None,
            view_only_reads_list: true,
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

    /// Changes how the answers look.
    #[must_use]
    pub fn options(mut self, change: impl FnOnce(&mut ResponseOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Sets what a login is answered.
    #[must_use]
    pub fn login_behaviour(mut self, behaviour: LoginBehaviour) -> Self {
        self.login_behaviour = behaviour;
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

/// The security session that a login opens: type 4, from the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginSession {
    /// Write an IPv4 client as `::ffff:a.b.c.d`, as servers that listen on `[::]` do.
    pub ipv4_mapped: bool,
    /// How long the session lasts.
    pub lifetime: Duration,
}

/// What a login with the right password is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginBehaviour {
    /// The SID as a cookie, after `PHPSESSID` and `uid`, and in the body.
    Cookie,
    /// No SID cookie; the SID is in the body only, under this key (`SID`, `sid`, `sessionId`).
    BodyOnly {
        /// The key in the body.
        key: &'static str,
    },
    /// The SID as a cookie, and another identity's under `SID` in the body: the cookie is the right one.
    CookieAndDifferentBodySid,
    /// An error although the password is right.
    Reject(ErrorEnvelope),
    /// An error, and a `Set-Cookie: SID` of an anonymous session beside it, as PHP servers send.
    RejectWithAnonymousSid(ErrorEnvelope),
    /// A second factor is asked for: `logged` is false, `auth_code_id` is there, and a SID that opens nothing.
    SmsCodeRequired,
}

/// An error in the API's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorEnvelope {
    /// The key that holds the message.
    pub field: ErrorField,
    /// The API's code; written as null where it is `None`.
    pub code: Option<i64>,
    /// The message. `{SID}`, `{KEY}`, `{SIG}`, `{LOGIN}` and `{PASSWORD}` are replaced by what the client sent:
    /// a server that echoes secrets.
    pub message: String,
}

impl ErrorEnvelope {
    /// `{"errMsg": message, "code": code}`
    pub fn err_msg(code: impl Into<Option<i64>>, message: impl Into<String>) -> Self {
        Self {
            field: ErrorField::ErrMsg,
            code: code.into(),
            message: message.into(),
        }
    }

    /// `{"error": message, "code": code}`
    pub fn error(code: impl Into<Option<i64>>, message: impl Into<String>) -> Self {
        Self {
            field: ErrorField::Error,
            ..Self::err_msg(code, message)
        }
    }
}

/// The key of an error's message.
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
    /// The envelope of the list.
    pub shape: ResponseShape,
    /// How datetimes are written.
    pub datetimes: DatetimeFormat,
    /// Offset from UTC, in seconds, of the local time in datetimes. `Utc` ignores it.
    pub zone_seconds: i32,
    /// Error of the clock that writes datetimes, in seconds. `expire` is not affected.
    pub clock_skew_seconds: i64,
    /// Compress answers for clients that accept gzip.
    pub gzip: bool,
    /// Sent instead of the list, byte for byte, as `application/json`.
    pub raw_answer: Option<Bytes>,
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

/// The envelope of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseShape {
    /// `[…]`
    #[default]
    BareArray,
    /// `[{"response":{"res":[…]}}]`; `"res":null` for an empty list.
    ResponseInArray,
}

/// How datetimes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatetimeFormat {
    /// `2016-06-14T13:14:13.187`
    #[default]
    Local,
    /// `2016-06-14T13:14:13.187Z`, in UTC
    Utc,
    /// `2016-06-14T16:14:13.187+03:00`
    Offset,
}
