//! The demo: the exporter against an embedded Tradernet on loopback. Needs no account, no network.
//!
//! `accounts.yml` is the exporter's configuration, `accounts` what the server holds, `scenario` moves the sessions.
//! Uses the simulator's public API only.

mod accounts;
mod scenario;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;

use crate::simulator::{Simulator, serve, serve_streams};
use scenario::Scenario;

/// Every demo does the same at the same second.
const SEED: u64 = 1;

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// A firewall may drop what is sent to loopback.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A demo that is ready to run.
pub struct Demo {
    http: TcpListener,
    streams: TcpListener,
}

impl Demo {
    /// Opens the embedded Tradernet's sockets, on free ports of loopback.
    ///
    /// # Errors
    /// If loopback has no free port, or is down.
    pub async fn prepare() -> io::Result<Self> {
        let (http, streams) = (bind(LOOPBACK).await?, bind(LOOPBACK).await?);
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

/// A free port of the first of these addresses that can be reached: loopback may have one family of
/// addresses only, or be down.
async fn bind(addresses: [IpAddr; 2]) -> io::Result<TcpListener> {
    let bind = async |address| {
        let listener = TcpListener::bind((address, 0)).await?;
        let connection = TcpStream::connect(listener.local_addr()?);
        tokio::time::timeout(CONNECT_TIMEOUT, connection).await??;
        io::Result::Ok(listener)
    };
    let [first, second] = addresses;
    let bound = match bind(first).await {
        Err(error) => bind(second).await.map_err(|_| error),
        bound => bound,
    };
    bound.map_err(|error| {
        io::Error::other(format!(
            "the demo needs the loopback interface, and cannot connect to {first} or {second}: {error}; \
             bring it up: ip link set lo up"
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn loopback_that_cannot_be_bound_or_reached_is_an_error() {
        // One cannot be bound; the other, for multicast, can be, and not connected to.
        let unusable = ["192.0.2.1", "224.0.0.1"].map(|ip| ip.parse().unwrap());
        let [unbindable, unreachable] = unusable;
        for addresses in [unusable, [unreachable, unbindable]] {
            let error = bind(addresses).await.unwrap_err().to_string();
            let expected = "the demo needs the loopback interface";
            assert!(error.starts_with(expected), "{error}");
        }
        for unusable in unusable {
            let second = bind([unusable, LOOPBACK[0]]).await.unwrap();
            assert_eq!(second.local_addr().unwrap().ip(), LOOPBACK[0]);
        }
    }
}
