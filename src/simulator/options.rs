//! The options of a simulated account: credentials, how it logs in, the form of its answers.
//!
//! Plain values. Nothing here knows time, state or the network.

use std::time::Duration;

use bytes::Bytes;

/// An account as it is added to a [`Simulator`](super::Simulator).
#[derive(Clone)]
pub struct AccountSpec {
    /// The login: owner of the sessions (`owner_login`), and the name for [`Simulator::account`](super::Simulator::account).
    pub login: String,
    /// The password of the login form. Without one every login is refused.
    pub password: Option<String>,
    /// `user_login` of the sessions; the login where it is `None`.
    pub user_login: Option<String>,
    /// SIDs that are accepted from the start.
    pub sids: Vec<String>,
    /// API keys, each with its secret.
    pub keys: Vec<(String, String)>,
    /// Lets each login open a security session of type 4 that lasts this long, from the client's address, as
    /// the real platform may.
    pub login_session: Option<Duration>,
    /// Lets the use of a key open a security session of type 14 that lasts this long, from 127.0.0.1, as the
    /// real platform may. No second one is opened while it lasts.
    pub key_session: Option<Duration>,
    /// The unit of `expire`. The default is what the vendor's page documents, as for the next one.
    pub expire_unit: ExpireUnit,
    /// The envelope of the list.
    pub shape: ResponseShape,
    /// Sent instead of the list, byte for byte, as `application/json`.
    pub raw_answer: Option<Bytes>,
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
            login_session: None,
            key_session: None,
            expire_unit: ExpireUnit::default(),
            shape: ResponseShape::default(),
            raw_answer: None,
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
}

/// An error in the API's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorEnvelope {
    /// The key of the message: `error` or `errMsg`.
    pub field: &'static str,
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
            field: "errMsg",
            code: code.into(),
            message: message.into(),
        }
    }

    /// `{"error": message, "code": code}`
    pub fn error(code: impl Into<Option<i64>>, message: impl Into<String>) -> Self {
        Self {
            field: "error",
            ..Self::err_msg(code, message)
        }
    }
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
