//! The demo: the exporter against an embedded Tradernet on loopback. Needs no account, no network.

use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpListener;
use url::Url;

use crate::account::{Account, CredentialSource};
use crate::anomaly::Policy;
use crate::expiry::UnitSetting;
use crate::ledger::{Reading, SessionDetails};
use crate::secret::SecretSource;
use crate::simulator::demo::{self, DemoAccount, DemoCredential, DemoTransport};
use crate::simulator::{self, World};
use crate::status::Transport;
use crate::tradernet::{Dialect, KeyVersion, StreamTarget, Target};

/// Often enough to watch sessions come and go.
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
/// The same story every time.
const SEED: u64 = 1;

/// A demo that is ready to be watched.
pub struct Demo {
    world: World,
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
        let world = World::new();
        demo::populate(&world).map_err(std::io::Error::other)?;
        Ok(Self {
            world,
            listener,
            origin,
            streams,
        })
    }

    /// The accounts, as the exporter is to watch them.
    pub fn accounts(&self) -> Vec<Account> {
        demo::accounts()
            .iter()
            .map(|account| self.account(account))
            .collect()
    }

    /// Serves the embedded Tradernet and moves its sessions, until it is dropped.
    pub async fn play(self) {
        let never = std::future::pending::<()>;
        let face = simulator::serve(self.listener, self.world.clone(), None, never());
        tokio::join!(face, demo::play(self.world, SEED, never()));
    }

    fn account(&self, demo: &DemoAccount) -> Account {
        let given = |text: &str| SecretSource::Given(SecretString::from(text));
        let credential = match demo.credential {
            DemoCredential::Sid(sid) => CredentialSource::Sid(given(sid)),
            DemoCredential::Login { login, password } => CredentialSource::Login {
                login: login.to_owned(),
                password: given(password),
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
            DemoTransport::Websocket => Some(Dialect::Websocket),
            DemoTransport::SocketIo => Some(Dialect::Socketio {
                login: demo.login.to_owned(),
            }),
        };
        let stream = dialect.map(|dialect| StreamTarget {
            origin: self.streams.clone(),
            dialect,
        });
        let networks = demo.allowed_client_ips.iter().filter_map(|network| {
            network
                .parse()
                .ok()
                .or_else(|| Some(network.parse::<std::net::IpAddr>().ok()?.into()))
        });
        Account {
            name: demo.account.into(),
            target: Target {
                origin: self.origin.clone(),
                timeout: TIMEOUT,
            },
            credential,
            transport: stream
                .as_ref()
                .map_or(Transport::Http, |stream| stream.dialect.transport()),
            stream,
            reading: Reading {
                policy: Policy {
                    client_ips: (!demo.allowed_client_ips.is_empty()).then(|| networks.collect()),
                    safety_types: (!demo.allowed_safety_types.is_empty())
                        .then(|| demo.allowed_safety_types.iter().copied().collect()),
                    logins: None,
                    min_sessions: demo.min_sessions.map(u64::from),
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
