//! Streams: how long a change at the server takes to the number in the JSON, what a connection
//! costs, and how a thousand connections are opened, and reopened after all were reset at once.
//! `cargo bench --bench streams` prints the figures.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[allow(dead_code)] // Each benchmark uses a part of it.
mod support;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use tradernet_exporter::simulator::{self, AccountSpec, Disconnect, SessionSpec, Simulator};

use support::{Running, get};

const ACCOUNTS: usize = 1000;
const CHANGES: usize = 200;
/// Of a thousand accounts: long enough that only the reset causes handshakes.
const INTERVAL: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = Simulator::new();
    let simulator = runtime.block_on(simulate(&world));
    println!("From a change at the server to the number in the JSON, {CHANGES} changes each:\n");
    println!("| transport | median, ms | 95 %, ms | worst, ms |\n| --- | ---: | ---: | ---: |");
    for transport in ["websocket", "socketio"] {
        latency(&world, simulator, transport);
    }
    println!();
    for transport in ["websocket", "socketio"] {
        many_accounts(&world, simulator, transport);
    }
}

async fn simulate(world: &Simulator) -> SocketAddr {
    // Every handshake is counted.
    world.set_request_log_capacity(65_536);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(simulator::serve_streams(listener, world.clone(), None));
    address
}

/// Requests the page without a pause until it has that line.
fn until(address: SocketAddr, line: &str) {
    let start = Instant::now();
    while !String::from_utf8_lossy(&get(address, "/api/v1/accounts")).contains(line) {
        assert!(start.elapsed() < Duration::from_secs(60), "no {line}");
    }
}

fn latency(world: &Simulator, simulator: SocketAddr, transport: &str) {
    let login = format!("latency-{transport}");
    let sid = format!("sid-{login}");
    world.add_account(AccountSpec::new(&login).sid(&sid));
    let stream_url = format!("ws://{simulator}");
    let exporter = Running::exporter(&[
        ("TRADERNET_URL", &format!("http://{simulator}")),
        ("TRADERNET_WS_URL", &stream_url),
        ("TRADERNET_SOCKETIO_URL", &stream_url),
        ("TRADERNET_TRANSPORT", transport),
        ("TRADERNET_SID", &sid),
        ("TRADERNET_LOGIN", &login),
        ("TRADERNET_POLL_INTERVAL", "1h"),
    ]);
    let open = |count: usize| format!("\"open\":{count},\"by_safety_type\"");
    until(exporter.address, &open(0));
    let mut taken: Vec<Duration> = (1..=CHANGES)
        .map(|count| {
            let start = Instant::now();
            world
                .account(&login)
                .open_session(SessionSpec::new(2, HOUR));
            until(exporter.address, &open(count));
            start.elapsed()
        })
        .collect();
    taken.sort();
    let ms = |share: usize| taken[(CHANGES - 1) * share / 100].as_secs_f64() * 1000.0;
    println!(
        "| {transport} | {:.1} | {:.1} | {:.1} |",
        ms(50),
        ms(95),
        ms(100)
    );
}

fn until_open(world: &Simulator, expected: usize) {
    let start = Instant::now();
    while world.open_stream_count() != expected {
        assert!(
            start.elapsed() < INTERVAL * 6,
            "{} of {expected} open",
            world.open_stream_count()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Since `start`: when the first, a quarter, half, three quarters and the last handshake came, and
/// the most within one second.
fn spread(world: &Simulator, start: SystemTime) -> String {
    let mut times: Vec<f64> = world
        .requests()
        .iter()
        .filter_map(|handshake| handshake.time.duration_since(start).ok())
        .map(|since| since.as_secs_f64())
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    let busiest = times
        .iter()
        .map(|from| {
            times
                .iter()
                .filter(|time| (*from..*from + 1.0).contains(time))
                .count()
        })
        .max()
        .unwrap_or(0);
    format!(
        "{} connects: first {:.1} s, quarter {:.1} s, half {:.1} s, three quarters {:.1} s, last {:.1} s; \
         most within a second {busiest}",
        times.len(),
        at(0),
        at(25),
        at(50),
        at(75),
        at(100)
    )
}

fn many_accounts(world: &Simulator, simulator: SocketAddr, transport: &str) {
    let mut file = format!(
        "defaults:\n  url: http://{simulator}\n  ws_url: ws://{simulator}\n  socketio_url: ws://{simulator}\n  \
         transport: {transport}\n  poll_interval: {}s\naccounts:\n",
        INTERVAL.as_secs()
    );
    let mut idle_file = String::from("accounts:\n");
    for n in 0..ACCOUNTS {
        let login = format!("{transport}-{n}");
        world.add_account(AccountSpec::new(&login).sid(format!("sid-{login}")));
        world
            .account(&login)
            .open_session(SessionSpec::new(2, HOUR));
        writeln!(
            file,
            "  - {{account: {login}, login: {login}, sid: sid-{login}}}"
        )
        .unwrap();
        // The same accounts without a server: what they cost without a connection.
        writeln!(
            idle_file,
            "  - {{account: {login}, sid: sid-{login}, url: http://127.0.0.1:9, poll_interval: 1h}}"
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let without = Running::exporter(&[("TRADERNET_CONFIG_FILE", &write("idle.yml", &idle_file))]);
    std::thread::sleep(Duration::from_secs(2));
    let without_kib = without.resident_kib();
    drop(without);

    let began = SystemTime::now();
    let exporter = Running::exporter(&[("TRADERNET_CONFIG_FILE", &write("streams.yml", &file))]);
    until_open(world, ACCOUNTS);
    println!(
        "{ACCOUNTS} accounts over {transport}, interval {} s:\n",
        INTERVAL.as_secs()
    );
    println!("- at the start {}", spread(world, began));
    std::thread::sleep(Duration::from_secs(5));
    let with_kib = exporter.resident_kib();
    println!(
        "- resident memory {:.1} MiB connected, {:.1} MiB without connections: {:.0} KiB a connection",
        with_kib / 1024.0,
        without_kib / 1024.0,
        (with_kib - without_kib) / ACCOUNTS as f64
    );
    let cut = SystemTime::now();
    for n in 0..ACCOUNTS {
        world
            .account(&format!("{transport}-{n}"))
            .disconnect(Disconnect::Reset);
    }
    std::thread::sleep(Duration::from_secs(1));
    until_open(world, ACCOUNTS);
    println!("- all cut at once {}\n", spread(world, cut));
    drop(exporter);
    until_open(world, 0);
}
