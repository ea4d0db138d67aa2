//! The accounts of the demo: what the exporter is told of each, and what its world holds at the start.

use std::fmt;
use std::time::Duration;

use crate::simulator::SessionSpec;
use crate::simulator::Simulator;
use crate::simulator::StreamOptions;
use crate::simulator::{
    AccountSpec, DatetimeFormat, ErrorEnvelope, ExpireUnit, LoginBehaviour, LoginSession,
    ResponseOptions, ResponseShape,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How long the exporter's own login is listed; with it goes its SID.
const OWN_LOGIN_LASTS: Duration = Duration::from_secs(20 * 60);

/// How often a stream tells what nobody asked for.
const CHATTER: Duration = Duration::from_secs(20);

/// Requests kept in the world's log: a demo runs for days and nobody reads it.
const KEPT_REQUESTS: usize = 64;

// The logins that the script moves.
pub(super) const DESK_1: &str = "desk-1@example.com";
pub(super) const DESK_2: &str = "desk-2@example.com";
pub(super) const DESK_3: &str = "desk-3@example.com";
pub(super) const BOT_ALPHA: &str = "bot-alpha@example.com";
pub(super) const BOT_BETA: &str = "bot-beta@example.com";
pub(super) const BOT_GAMMA: &str = "bot-gamma@example.com";
pub(super) const TERMINAL_1: &str = "terminal-1@example.com";
const MOBILE_1: &str = "mobile-1@example.com";
const RESERVE: &str = "reserve@example.com";

/// An account of the demo, as the exporter is to be configured for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoAccount {
    /// The value of the label `account`.
    pub account: &'static str,
    /// The account's login, by which its [`Simulator`] knows it.
    pub login: &'static str,
    /// What it shows, in a few words.
    pub shows: &'static str,
    /// How to get in. Fake, and good for the demo's world only.
    pub credential: DemoCredential,
    /// The version of the API to use: 1, 2 or 3.
    pub api_version: u8,
    /// How to get the list. Each way leads to the same listener, and every account can also be polled.
    pub transport: DemoTransport,
    /// Addresses and networks that sessions may come from; empty for any.
    pub allowed_client_ips: &'static [&'static str],
    /// Types that sessions may have; empty for any.
    pub allowed_safety_types: &'static [i64],
    /// The fewest sessions that should be open.
    pub min_sessions: Option<u32>,
    /// The most sessions that should be open.
    pub max_sessions: Option<u32>,
    /// The longest that a session should last.
    pub max_lifetime: Option<Duration>,
}

/// How the list of a demo account is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoTransport {
    /// Polled over the JSON API.
    Http,
    /// Pushed over a WebSocket.
    Websocket,
    /// Pushed over the legacy socket.io, to be subscribed to with the account's login.
    SocketIo,
}

/// The credential of a demo account.
#[derive(Clone, PartialEq, Eq)]
pub enum DemoCredential {
    /// An SID.
    Sid(&'static str),
    /// Login and password.
    Login {
        /// The login.
        login: &'static str,
        /// The password.
        password: &'static str,
    },
    /// A key pair.
    Key {
        /// The public key.
        key: &'static str,
        /// The secret.
        secret: &'static str,
    },
}

/// Shows the kind only, as for any other credential.
impl fmt::Debug for DemoCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sid(_) => "Sid",
            Self::Login { .. } => "Login",
            Self::Key { .. } => "Key",
        })
    }
}

impl DemoAccount {
    fn new(
        account: &'static str,
        login: &'static str,
        api_version: u8,
        credential: DemoCredential,
        shows: &'static str,
    ) -> Self {
        Self {
            account,
            login,
            shows,
            credential,
            api_version,
            transport: DemoTransport::Http,
            allowed_client_ips: &[],
            allowed_safety_types: &[],
            min_sessions: None,
            max_sessions: None,
            max_lifetime: None,
        }
    }
}

/// What the exporter is told of the demo's accounts.
#[must_use]
pub fn accounts() -> Vec<DemoAccount> {
    use DemoCredential::{Key, Login, Sid};
    vec![
        DemoAccount {
            allowed_client_ips: &["203.0.113.0/24", "127.0.0.0/8", "::1/128"],
            ..DemoAccount::new(
                "desk-1",
                DESK_1,
                1,
                Login {
                    login: DESK_1,
                    password: "demo-fake-desk-1",
                },
                "the exporter's own login is listed, and allowed by its address",
            )
        },
        DemoAccount {
            allowed_client_ips: &["203.0.113.0/24", "2001:db8::/32"],
            allowed_safety_types: &[2, 3],
            ..DemoAccount::new(
                "desk-2",
                DESK_2,
                1,
                Sid("demo-sid-desk-2"),
                "now and then a session by password alone, from an unexpected address",
            )
        },
        DemoAccount {
            max_lifetime: Some(24 * HOUR),
            ..DemoAccount::new(
                "desk-3",
                DESK_3,
                3,
                Key {
                    key: "demo-key-desk-3",
                    secret: "demo-secret-desk-3",
                },
                "the server sends the time left in seconds",
            )
        },
        DemoAccount {
            allowed_safety_types: &[2],
            min_sessions: Some(1),
            ..DemoAccount::new(
                "bot-alpha",
                BOT_ALPHA,
                3,
                Key {
                    key: "demo-key-bot-alpha",
                    secret: "demo-secret-bot-alpha",
                },
                "sessions are renewed in good time",
            )
        },
        DemoAccount::new(
            "bot-beta",
            BOT_BETA,
            2,
            Key {
                key: "demo-key-bot-beta",
                secret: "demo-secret-bot-beta",
            },
            "answers break now and then, each time in another way",
        ),
        DemoAccount {
            transport: DemoTransport::Websocket,
            max_sessions: Some(3),
            ..DemoAccount::new(
                "bot-gamma",
                BOT_GAMMA,
                1,
                Sid("demo-sid-bot-gamma"),
                "many short sessions, at times one too many, pushed over a WebSocket that is cut now and then",
            )
        },
        DemoAccount::new(
            "mobile-1",
            MOBILE_1,
            1,
            Login {
                login: MOBILE_1,
                password: "demo-fake-mobile-1",
            },
            "the login is refused",
        ),
        DemoAccount {
            min_sessions: Some(1),
            ..DemoAccount::new(
                "reserve",
                RESERVE,
                3,
                Key {
                    key: "demo-key-reserve",
                    secret: "demo-secret-reserve",
                },
                "no session is open although one should be",
            )
        },
        DemoAccount {
            transport: DemoTransport::SocketIo,
            ..DemoAccount::new(
                "terminal-1",
                TERMINAL_1,
                1,
                Login {
                    login: TERMINAL_1,
                    password: "demo-password-terminal-1",
                },
                "sessions are pushed over the legacy socket.io, and at times there are none",
            )
        },
    ]
}

/// Adds the demo's accounts, and the sessions that are open when it starts.
pub fn populate(world: &Simulator) {
    world.set_request_log_capacity(KEPT_REQUESTS);
    for account in accounts() {
        let spec = AccountSpec::new(account.login);
        world.add_account(quirks(match account.credential {
            DemoCredential::Sid(sid) => spec.sid(sid),
            DemoCredential::Login { password, .. } => spec.password(password),
            DemoCredential::Key { key, secret } => spec.key(key, secret),
        }));
    }

    let session = |safety_type, lifetime, age| SessionSpec::new(safety_type, lifetime).age(age);
    let seconds = Duration::from_secs;
    world
        .account(DESK_1)
        .open_session(session(2, 8 * HOUR, 3 * HOUR).client_ip("203.0.113.21"));
    world
        .account(DESK_1)
        .open_session(session(3, 10 * MINUTE, 9 * MINUTE + seconds(25)).client_ip("203.0.113.22"));
    world
        .account(DESK_2)
        .open_session(session(3, 12 * HOUR, 2 * HOUR).client_ip("203.0.113.40"));
    world
        .account(DESK_2)
        .open_session(session(2, 30 * MINUTE, 29 * MINUTE + seconds(10)).client_ip("2001:db8::41"));
    world
        .account(DESK_3)
        .open_session(session(4, 24 * HOUR, 23 * HOUR).client_ip("203.0.113.60"));
    world
        .account(DESK_3)
        .open_session(session(2, 5 * MINUTE, MINUTE).client_ip("203.0.113.61"));
    world
        .account(BOT_ALPHA)
        .open_session(session(2, 5 * MINUTE, 3 * MINUTE).client_ip("192.0.2.10"));
    world
        .account(BOT_BETA)
        .open_session(session(2, 24 * HOUR, 7 * HOUR).client_ip("192.0.2.20"));
    world
        .account(BOT_GAMMA)
        .open_session(session(2, 2 * MINUTE, MINUTE + seconds(40)).client_ip("192.0.2.30"));
    world
        .account(BOT_GAMMA)
        .open_session(session(2, 2 * MINUTE, MINUTE + seconds(15)).client_ip("192.0.2.31"));
    world
        .account(TERMINAL_1)
        .open_session(session(3, MINUTE, seconds(20)).client_ip("203.0.113.90"));
}

/// What is odd about an account's server.
fn quirks(spec: AccountSpec) -> AccountSpec {
    let usual = ResponseOptions::default();
    match spec.login.as_str() {
        DESK_1 => spec.own_login(LoginSession {
            mapped: true,
            lifetime: OWN_LOGIN_LASTS,
        }),
        DESK_2 => {
            let shape = ResponseShape::ResponseInArray;
            let spec = spec.user_login("broker-client-2041");
            spec.options(ResponseOptions { shape, ..usual })
        }
        DESK_3 => spec.options(ResponseOptions {
            expire_unit: ExpireUnit::Seconds,
            ..usual
        }),
        BOT_ALPHA => spec.options(ResponseOptions {
            datetimes: DatetimeFormat::Utc,
            gzip: true,
            ..usual
        }),
        BOT_GAMMA => spec.options(ResponseOptions {
            zone_seconds: 3 * 3600,
            stream: StreamOptions {
                third_element: true,
                chatter: Some(CHATTER),
                ..StreamOptions::default()
            },
            ..usual
        }),
        TERMINAL_1 => spec.options(ResponseOptions {
            stream: StreamOptions {
                chatter: Some(CHATTER),
                ..StreamOptions::default()
            },
            ..usual
        }),
        MOBILE_1 => {
            let refusal = ErrorEnvelope::error(12, "Wrong login or password");
            spec.login_behaviour(LoginBehaviour::Reject(refusal))
        }
        RESERVE => spec.options(ResponseOptions {
            shape: ResponseShape::NullRes,
            ..usual
        }),
        _ => spec,
    }
}
