//! The demo's accounts: what the simulator holds, and how the exporter is configured for each.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;

use crate::session::rules::Policy;
use crate::session::summary::SessionDetails;
use crate::simulator::{
    AccountSpec, DatetimeFormat, ErrorEnvelope, ExpireUnit, LoginBehaviour, LoginSession,
    ResponseShape, SessionSpec,
};
use crate::status::Transport;
use crate::tradernet::KeyVersion;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

// The logins that the scenario moves.
pub(super) const DESK_1: &str = "desk-1@example.com";
pub(super) const DESK_2: &str = "desk-2@example.com";
pub(super) const DESK_3: &str = "desk-3@example.com";
pub(super) const BOT_ALPHA: &str = "bot-alpha@example.com";
pub(super) const BOT_BETA: &str = "bot-beta@example.com";
pub(super) const BOT_GAMMA: &str = "bot-gamma@example.com";
pub(super) const TERMINAL_1: &str = "terminal-1@example.com";

/// An account of the demo.
pub struct DemoAccount {
    /// The value of the label `account`.
    pub name: &'static str,
    /// The account at the simulator. Its key, SID or password is the exporter's credential.
    pub spec: AccountSpec,
    /// The sessions that are open at the start.
    pub sessions: Vec<SessionSpec>,
    /// How the exporter gets the list.
    pub transport: Transport,
    /// How requests are signed with a key.
    pub key_version: KeyVersion,
    /// Whether a login asks for an access that can view and not trade.
    pub view_only: bool,
    /// The exporter's rules.
    pub policy: Policy,
    /// What the exporter shows of single sessions.
    pub details: SessionDetails,
}

impl DemoAccount {
    fn new(name: &'static str, spec: AccountSpec) -> Self {
        Self {
            name,
            spec,
            sessions: Vec::new(),
            transport: Transport::Http,
            key_version: KeyVersion::V3,
            view_only: false,
            policy: Policy::default(),
            details: SessionDetails::Off,
        }
    }
}

/// The demo's accounts. Their credentials are fake, and valid for the demo's simulator only.
#[must_use]
pub fn accounts() -> Vec<DemoAccount> {
    let session = |safety_type: i64, lifetime, age, address: &str| {
        SessionSpec::new(safety_type, lifetime)
            .age(age)
            .client_ip(address)
    };
    let seconds = Duration::from_secs;
    vec![
        // The exporter's own login is listed, and allowed by its address. Its SID ends with the
        // session: one login in 20 minutes, where the exporter allows 3 in 15.
        DemoAccount {
            sessions: vec![
                session(2, 8 * HOUR, 3 * HOUR, "203.0.113.21"),
                session(3, 10 * MINUTE, 9 * MINUTE + seconds(25), "203.0.113.22"),
            ],
            policy: rules(|it| {
                it.client_ips = networks(&["203.0.113.0/24", "127.0.0.0/8", "::1/128"]);
            }),
            ..DemoAccount::new(
                "desk-1",
                AccountSpec {
                    login_session: Some(LoginSession {
                        ipv4_mapped: true,
                        lifetime: 20 * MINUTE,
                    }),
                    ..AccountSpec::new(DESK_1).password("demo-fake-desk-1")
                },
            )
        },
        // Now and then a session by password only, from an unexpected address. The session list is shown.
        DemoAccount {
            sessions: vec![
                session(3, 12 * HOUR, 2 * HOUR, "203.0.113.40"),
                session(2, 30 * MINUTE, 29 * MINUTE + seconds(10), "2001:db8::41"),
            ],
            policy: Policy {
                client_ips: networks(&["203.0.113.0/24", "2001:db8::/32"]),
                safety_types: Some(BTreeSet::from([2, 3])),
                ..Policy::default()
            },
            details: SessionDetails::Full,
            ..DemoAccount::new(
                "desk-2",
                AccountSpec {
                    user_login: Some("broker-client-2041".to_owned()),
                    ..AccountSpec::new(DESK_2)
                        .sid("demo-sid-desk-2")
                        .options(|it| it.shape = ResponseShape::ResponseInArray)
                },
            )
        },
        // The server sends the time left in seconds. The longest session is renewed in its last half hour, and
        // then exceeds the allowed lifetime.
        DemoAccount {
            sessions: vec![
                session(4, 24 * HOUR, 23 * HOUR, "203.0.113.60"),
                session(2, 5 * MINUTE, MINUTE, "203.0.113.61"),
            ],
            policy: rules(|it| it.max_lifetime = Some(24 * HOUR)),
            ..DemoAccount::new(
                "desk-3",
                AccountSpec::new(DESK_3)
                    .key("demo-key-desk-3", "demo-secret-desk-3")
                    .options(|it| it.expire_unit = ExpireUnit::Seconds),
            )
        },
        // Sessions are extended in time. The use of the key opens a session of type 14, which is allowed and does not
        // count as the one that must be open.
        DemoAccount {
            sessions: vec![session(2, 5 * MINUTE, 3 * MINUTE, "192.0.2.10")],
            policy: Policy {
                safety_types: Some(BTreeSet::from([2, 14])),
                min_sessions: Some(1),
                min_sessions_safety_types: Some(BTreeSet::from([2])),
                ..Policy::default()
            },
            ..DemoAccount::new(
                "bot-alpha",
                AccountSpec {
                    key_session: Some(HOUR),
                    ..AccountSpec::new(BOT_ALPHA)
                        .key("demo-key-bot-alpha", "demo-secret-bot-alpha")
                        .options(|it| {
                            it.datetimes = DatetimeFormat::Utc;
                            it.gzip = true;
                        })
                },
            )
        },
        // The server fails now and then, in another way each time.
        DemoAccount {
            sessions: vec![session(2, 24 * HOUR, 7 * HOUR, "192.0.2.20")],
            key_version: KeyVersion::V2,
            ..DemoAccount::new(
                "bot-beta",
                AccountSpec::new(BOT_BETA).key("demo-key-bot-beta", "demo-secret-bot-beta"),
            )
        },
        // Many short sessions, at times one too many, over a WebSocket that is disconnected now and then.
        DemoAccount {
            sessions: vec![
                session(2, 2 * MINUTE, MINUTE + seconds(40), "192.0.2.30"),
                session(2, 2 * MINUTE, MINUTE + seconds(15), "192.0.2.31"),
            ],
            transport: Transport::Websocket,
            policy: rules(|it| it.max_sessions = Some(3)),
            ..DemoAccount::new(
                "bot-gamma",
                AccountSpec::new(BOT_GAMMA)
                    .sid("demo-sid-bot-gamma")
                    .options(|it| it.zone_seconds = 3 * 3600),
            )
        },
        // The login is refused.
        DemoAccount::new(
            "mobile-1",
            AccountSpec::new("mobile-1@example.com")
                .password("demo-fake-mobile-1")
                .login_behaviour(LoginBehaviour::Reject(ErrorEnvelope::error(
                    12,
                    "Wrong login or password",
                ))),
        ),
        // No session is open although one should be.
        DemoAccount {
            policy: rules(|it| it.min_sessions = Some(1)),
            ..DemoAccount::new(
                "reserve",
                AccountSpec::new("reserve@example.com")
                    .key("demo-key-reserve", "demo-secret-reserve")
                    .options(|it| it.shape = ResponseShape::ResponseInArray),
            )
        },
        // A view-only login; pushed over the legacy socket.io, and sometimes without a session.
        DemoAccount {
            sessions: vec![session(3, MINUTE, seconds(20), "203.0.113.90")],
            transport: Transport::Socketio,
            view_only: true,
            ..DemoAccount::new(
                "terminal-1",
                AccountSpec::new(TERMINAL_1).password("demo-password-terminal-1"),
            )
        },
    ]
}

fn rules(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::default();
    change(&mut policy);
    policy
}

/// Networks of the table above; a misspelt one allows nothing, which the demo's test notices.
fn networks(networks: &[&str]) -> Option<Vec<IpNet>> {
    let networks = networks.iter().filter_map(|network| network.parse().ok());
    Some(networks.collect())
}
