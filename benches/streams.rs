//! Streams: how long a change at the server takes to the number in the JSON, what a connection
//! costs, and how a thousand connections come, and come back after all were cut at once.
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

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tradernet_exporter::simulator::{self, AccountSpec, Disconnect, SessionSpec, Simulator};

const ACCOUNTS: usize = 1000;
const CHANGES: usize = 200;
/// Of a thousand: long enough that nothing but the cut moves them.
const INTERVAL: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

/// A process that ends with the benchmark.
struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
        fleet(&world, simulator, transport);
    }
}

async fn simulate(world: &Simulator) -> SocketAddr {
    // Every handshake of the fleets is counted.
    world.set_request_log_capacity(65_536);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = std::future::pending();
    tokio::spawn(simulator::serve_streams(
        listener,
        world.clone(),
        None,
        never,
    ));
    address
}

fn start(variables: &[(&str, &str)]) -> Exporter {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tradernet-exporter"))
        .env_clear()
        .envs(variables.iter().copied())
        .env("WEB_LISTEN_ADDRESS", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let address = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the exporter ended");
        if let Some((_, address)) = line.trim().split_once("msg=listening address=") {
            break address.parse().unwrap();
        }
    };
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Exporter { child, address }
}

fn page(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /api/v1/accounts HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Asks for the page without a pause until it has that line.
fn until(address: SocketAddr, line: &str) {
    let start = Instant::now();
    while !page(address).contains(line) {
        assert!(start.elapsed() < Duration::from_secs(60), "no {line}");
    }
}

fn latency(world: &Simulator, simulator: SocketAddr, transport: &str) {
    let login = format!("latency-{transport}");
    let sid = format!("sid-{login}");
    world.add_account(AccountSpec::new(&login).sid(&sid));
    let stream_url = format!("ws://{simulator}");
    let exporter = start(&[
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

fn memory_kib(exporter: &Exporter) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn until_open(world: &Simulator, wanted: usize) {
    let start = Instant::now();
    while world.open_stream_count() != wanted {
        assert!(
            start.elapsed() < INTERVAL * 6,
            "{} of {wanted} open",
            world.open_stream_count()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Since `start`: when the first, a quarter, half, three quarters and the last connect came, and
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

fn fleet(world: &Simulator, simulator: SocketAddr, transport: &str) {
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
        // The same accounts, but nobody is there: what they cost without a connection.
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
    let without = start(&[("TRADERNET_CONFIG_FILE", &write("idle.yml", &idle_file))]);
    std::thread::sleep(Duration::from_secs(2));
    let without_kib = memory_kib(&without);
    drop(without);

    let began = SystemTime::now();
    let exporter = start(&[("TRADERNET_CONFIG_FILE", &write("streams.yml", &file))]);
    until_open(world, ACCOUNTS);
    println!(
        "{ACCOUNTS} accounts over {transport}, interval {} s:\n",
        INTERVAL.as_secs()
    );
    println!("- at the start {}", spread(world, began));
    std::thread::sleep(Duration::from_secs(5));
    let with_kib = memory_kib(&exporter);
    println!(
        "- resident memory {:.1} MiB connected, {:.1} MiB without connections: {:.0} KiB a connection",
        with_kib / 1024.0,
        without_kib / 1024.0,
        (with_kib - without_kib) / ACCOUNTS as f64
    );
    let cut = SystemTime::now();
    world.disconnect_all(Disconnect::Reset);
    std::thread::sleep(Duration::from_secs(1));
    until_open(world, ACCOUNTS);
    println!("- all cut at once {}\n", spread(world, cut));
    drop(exporter);
    until_open(world, 0);
}
