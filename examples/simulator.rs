//! The Tradernet simulator as a process: for benchmarks, and to try the exporter, its dashboard and its alerts
//! with any number of accounts.
//!
//! ```text
//! cargo run --example simulator -- LISTEN-ADDRESS ACCOUNTS FILE
//! cargo run --example simulator -- 127.0.0.1:8080 100 accounts.yml
//! ```
//!
//! It writes the accounts file for the exporter (`--config.file`), prints `listening`, and serves until it is
//! stopped. Each account has an SID and two open sessions.

#![allow(clippy::print_stdout, reason = "a program for a person")]

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use tokio::net::TcpListener;
use tradernet_exporter::simulator::{self, AccountSpec, SessionSpec, Simulator};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, accounts, file] = arguments.as_slice() else {
        return Err("usage: simulator LISTEN-ADDRESS ACCOUNTS FILE".into());
    };
    let listener = TcpListener::bind(address).await?;
    let simulator = Simulator::new();
    let text = add_accounts(&simulator, &listener, accounts.parse()?)?;
    std::fs::write(file, text)?;
    println!("listening");
    std::io::stdout().flush()?;
    simulator::serve(listener, simulator, None).await;
    Ok(())
}

/// Adds the accounts, and returns the file that lists them.
fn add_accounts(
    simulator: &Simulator,
    listener: &TcpListener,
    accounts: usize,
) -> Result<String, Box<dyn Error>> {
    let mut file = format!(
        "defaults:\n  url: http://{}\n  poll_interval: 60s\n  max_sessions: 5\naccounts:\n",
        listener.local_addr()?
    );
    for n in 0..accounts {
        let name = format!("account-{n:05}");
        let sid = format!("{n:032x}");
        let account = simulator.add_account(AccountSpec::new(&name).sid(&sid));
        account.open_session(SessionSpec::new(2, DAY));
        account.open_session(SessionSpec::new(3, DAY * 7).client_ip("203.0.113.7"));
        writeln!(file, "  - account: {name}\n    sid: {sid}")?;
    }
    Ok(file)
}
