//! The demo: the exporter against an embedded Tradernet on loopback. Needs no account, no network.

mod accounts;
mod cuts;
mod scenario;
mod session_churn;
pub mod simulated;

use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpListener;
use url::Url;

use crate::config::{AccountConfig, CredentialSource};
use crate::secret::SecretSource;
use crate::session::expire_unit::UnitSetting;
use crate::session::rules::Policy;
use crate::session::summary::SessionDetails;
use crate::session::tracker::TrackingConfig;
use crate::simulator::{self, Simulator};
use crate::status::Transport;
use crate::tradernet::{Endpoint, KeyVersion, StreamEndpoint, StreamProtocol};
use simulated::{DemoAccount, DemoCredential, DemoTransport};

/// Often enough to watch sessions come and go.
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
/// The same story every time.
const SEED: u64 = 1;

/// A demo that is ready to be watched.
pub struct Demo {
    world: Simulator,
    listener: TcpListener,
    origin: Url,
    streams: Url,
}

impl Demo {
    /// Opens the embedded Tradernet's socket, on a free port of loopback.
    ///
    /// # Errors
    ///
    /// Where there is no free port.
    pub async fn prepare() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = Url::parse(&format!("http://{}", listener.local_addr()?))
            .map_err(std::io::Error::other)?;
        let streams = Url::parse(&format!("ws://{}", listener.local_addr()?))
            .map_err(std::io::Error::other)?;
        let world = Simulator::new();
        simulated::populate(&world);
        Ok(Self {
            world,
            listener,
            origin,
            streams,
        })
    }

    /// The accounts, as the exporter is to watch them.
    pub fn accounts(&self) -> Vec<AccountConfig> {
        simulated::accounts()
            .iter()
            .map(|account| self.account(account))
            .collect()
    }

    /// Serves the embedded Tradernet and moves its sessions, until it is dropped.
    pub async fn play(self) {
        let never = std::future::pending::<()>;
        let face = simulator::serve(self.listener, self.world.clone(), None, never());
        tokio::join!(face, simulated::play(self.world, SEED, never()));
    }

    fn account(&self, demo: &DemoAccount) -> AccountConfig {
        let given = |text: &str| SecretSource::Inline(SecretString::from(text));
        let credential = match demo.credential {
            DemoCredential::Sid(sid) => CredentialSource::Sid(given(sid)),
            DemoCredential::Login { login, password } => CredentialSource::Login {
                login: login.to_owned(),
                password: given(password),
                view_only: false,
                user_id: None,
            },
            DemoCredential::Key { key, secret } => CredentialSource::KeyPair {
                version: if demo.api_version == 2 {
                    KeyVersion::V2
                } else {
                    KeyVersion::V3
                },
                key: given(key),
                secret: given(secret),
            },
        };
        let dialect = match demo.transport {
            DemoTransport::Http => None,
            DemoTransport::Websocket => Some(StreamProtocol::Websocket),
            DemoTransport::SocketIo => Some(StreamProtocol::Socketio {
                login: demo.login.to_owned(),
            }),
        };
        let stream = dialect.map(|dialect| StreamEndpoint {
            origin: self.streams.clone(),
            dialect,
        });
        let networks = demo.allowed_client_ips.iter().filter_map(|network| {
            network
                .parse()
                .ok()
                .or_else(|| Some(network.parse::<std::net::IpAddr>().ok()?.into()))
        });
        AccountConfig {
            name: demo.account.into(),
            target: Endpoint {
                origin: self.origin.clone(),
                timeout: TIMEOUT,
            },
            credential,
            transport: stream
                .as_ref()
                .map_or(Transport::Http, |stream| stream.dialect.transport()),
            stream,
            labels: Default::default(),
            reading: TrackingConfig {
                policy: Policy {
                    client_ips: (!demo.allowed_client_ips.is_empty()).then(|| networks.collect()),
                    safety_types: (!demo.allowed_safety_types.is_empty())
                        .then(|| demo.allowed_safety_types.iter().copied().collect()),
                    logins: None,
                    min_sessions: demo.min_sessions.map(u64::from),
                    min_sessions_safety_types: None,
                    max_sessions: demo.max_sessions.map(u64::from),
                    max_lifetime: demo.max_lifetime,
                },
                details: SessionDetails::Off,
                expire_unit: UnitSetting::Auto,
                interval: INTERVAL,
                max_age: INTERVAL * 3,
            },
        }
    }
}
