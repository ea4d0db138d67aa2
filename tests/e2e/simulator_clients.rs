//! The simulator's streams, read by clients that were not written here: npm's `ws` and `socket.io-client` 2.x,
//! speaking as the vendor's two examples do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod node_client;
mod socketio;
mod websocket;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tradernet_exporter::simulator::{self, AccountSpec, Simulator};

const SID: &str = "sid-of-desk-1";
const HOUR: Duration = Duration::from_secs(3600);

/// A world with `desk-1`, served on a free port for as long as the test runs.
async fn served() -> (Simulator, SocketAddr) {
    let world = Simulator::new();
    world.add_account(AccountSpec::new("desk-1").sid(SID));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(simulator::serve(
        listener,
        world.clone(),
        None,
        std::future::pending(),
    ));
    (world, address)
}
