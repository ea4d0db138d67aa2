//! The demo: the exporter against an embedded Tradernet on loopback. Needs no account, no network.
//!
//! `accounts.yml` is the exporter's configuration, `accounts` what the server holds, `scenario` moves the sessions.
//! Uses the simulator's public API only.

mod accounts;
mod scenario;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

use crate::simulator::{Simulator, serve, serve_streams};
use scenario::Scenario;

/// Every demo does the same at the same second.
const SEED: u64 = 1;

/// A demo that is ready to run.
pub struct Demo {
    http: TcpListener,
    streams: TcpListener,
}

impl Demo {
    /// Opens the embedded Tradernet's sockets, on free ports of loopback.
    ///
    /// # Errors
    /// If loopback has no free port.
    pub async fn prepare() -> io::Result<Self> {
        let (http, streams) = (bind().await?, bind().await?);
        Ok(Self { http, streams })
    }

    /// The text of the accounts file.
    ///
    /// # Errors
    /// A socket has no address.
    pub fn accounts(&self) -> io::Result<String> {
        let (http, streams) = (self.http.local_addr()?, self.streams.local_addr()?);
        // The interval is short enough to watch sessions come and go.
        Ok(format!(
            "defaults: {{poll_interval: 5s, timeout: 2s, url: 'http://{http}', ws_url: 'ws://{streams}', \
             socketio_url: 'ws://{streams}'}}\n{}",
            include_str!("accounts.yml")
        ))
    }

    /// Serves the embedded Tradernet and moves its sessions, until it is dropped.
    pub async fn run(self) {
        let simulator = Simulator::new();
        accounts::add(&simulator);
        tokio::join!(
            serve(self.http, simulator.clone(), None),
            serve_streams(self.streams, simulator.clone(), None),
            play(&simulator),
        );
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
