//! The demo: the exporter against an embedded Tradernet on loopback. Needs no account, no network.
//!
//! `accounts` is the table of its accounts, `scenario` moves their sessions. Uses the simulator's public API only.

mod accounts;
mod scenario;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;
use url::Url;

use crate::config::{AccountConfig, CredentialSource};
use crate::secret::SecretSource;
use crate::session::tracker::TrackingConfig;
use crate::simulator::{Simulator, serve, serve_streams};
use crate::status::{AccountInfo, Transport};
use crate::tradernet::{Endpoint, StreamEndpoint, StreamProtocol};

pub use accounts::{DemoAccount, accounts};
use scenario::Scenario;

/// Short enough to watch sessions come and go.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Every demo does the same at the same second.
const SEED: u64 = 1;
/// A demo runs for days; its request log is not read.
const REQUEST_LOG_CAPACITY: usize = 64;

/// A demo that is ready to run.
pub struct Demo {
    simulator: Simulator,
    http: TcpListener,
    streams: TcpListener,
    http_origin: Url,
    stream_origin: Url,
}

impl Demo {
    /// Opens the embedded Tradernet's sockets, on free ports of loopback.
    ///
    /// # Errors
    /// If loopback has no free port.
    pub async fn prepare() -> io::Result<Self> {
        let (http, streams) = (bind().await?, bind().await?);
        let url = |text: String| Url::parse(&text).map_err(io::Error::other);
        let simulator = Simulator::new();
        seed(&simulator);
        Ok(Self {
            simulator,
            http_origin: url(format!("http://{}", http.local_addr()?))?,
            stream_origin: url(format!("ws://{}", streams.local_addr()?))?,
            http,
            streams,
        })
    }

    /// The accounts, as the exporter is configured for them.
    pub fn accounts(&self) -> Vec<AccountConfig> {
        accounts()
            .into_iter()
            .map(|account| self.configured(account))
            .collect()
    }

    /// Serves the embedded Tradernet and moves its sessions, until it is dropped.
    pub async fn run(self) {
        let never = std::future::pending::<()>;
        tokio::join!(
            serve(self.http, self.simulator.clone(), None, never()),
            serve_streams(self.streams, self.simulator.clone(), None, never()),
            play(&self.simulator),
        );
    }

    fn configured(&self, account: DemoAccount) -> AccountConfig {
        let inline = |text: &String| SecretSource::Inline(SecretString::from(text.as_str()));
        let spec = &account.spec;
        let credential = match (spec.keys.first(), spec.sids.first()) {
            (Some((key, secret)), _) => CredentialSource::KeyPair {
                version: account.key_version,
                key: inline(key),
                secret: inline(secret),
            },
            (None, Some(sid)) => CredentialSource::Sid(inline(sid)),
            (None, None) => CredentialSource::Login {
                login: spec.login.clone(),
                password: inline(&spec.password.clone().unwrap_or_default()),
                view_only: account.view_only,
                user_id: None,
            },
        };
        let protocol = match account.transport {
            Transport::Http => None,
            Transport::Websocket => Some(StreamProtocol::Websocket),
            Transport::Socketio => Some(StreamProtocol::Socketio {
                login: spec.login.clone(),
            }),
        };
        let info = Arc::new(AccountInfo {
            credential: credential.kind(),
            labels: Default::default(),
        });
        AccountConfig {
            name: account.name.into(),
            target: Endpoint {
                origin: self.http_origin.clone(),
                timeout: TIMEOUT,
            },
            credential,
            login: Some(spec.login.clone()),
            transport: account.transport,
            stream: protocol.map(|protocol| StreamEndpoint {
                origin: self.stream_origin.clone(),
                protocol,
            }),
            info,
            tracking: Arc::new(TrackingConfig {
                policy: account.policy,
                details: account.details,
                expire_unit: None,
                interval: POLL_INTERVAL,
                max_age: POLL_INTERVAL * 3,
            }),
        }
    }
}

/// A free port of loopback, which may have one family of addresses only.
async fn bind() -> io::Result<TcpListener> {
    let addresses = [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        (Ipv6Addr::LOCALHOST, 0).into(),
    ];
    let bound = TcpListener::bind(&addresses[..]).await;
    bound.map_err(|error| {
        io::Error::other(format!(
            "the demo cannot listen on a loopback address: {error}"
        ))
    })
}

/// Adds the demo's accounts, and the sessions that are open at the start.
fn seed(simulator: &Simulator) {
    simulator.set_request_log_capacity(REQUEST_LOG_CAPACITY);
    for account in accounts() {
        let sessions = account.sessions;
        let account = simulator.add_account(account.spec);
        for session in sessions {
            account.open_session(session);
        }
    }
}

/// Moves the sessions for ever. Their number stays bounded.
async fn play(simulator: &Simulator) {
    let mut scenario = Scenario::new(simulator, SEED);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    // After a suspension the scenario continues where it was: the sessions have expired as they should.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        scenario.step();
    }
}
