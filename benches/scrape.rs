//! `/metrics` of one account against a bare hyper server that returns the same bytes, headers and
//! body, in one run: requests a second, and the processor time that one costs. And the exporter's
//! idle memory. `cargo bench --bench scrape` prints the ratio; it needs `wrk`.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod support;

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tradernet_exporter::simulator::{self, AccountSpec, SessionSpec, Simulator};

use support::{Running, get};

const ROUNDS: usize = 5;
const SID: &str = "bench-sid-0123456789";

fn main() {
    if std::env::args().any(|argument| argument == "--bare") {
        return bare();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let simulator = runtime.block_on(simulate());
    let exporter = start_exporter(simulator);
    page_with_sessions(exporter.address);
    // After a few polls.
    std::thread::sleep(Duration::from_secs(4));
    let idle = exporter.resident_kib();
    // Only now: the first requests to Tradernet have added families.
    let page = page_with_sessions(exporter.address);
    let bare = start_bare(&page);

    let (mut ratios, mut costs) = (Vec::new(), Vec::new());
    println!(
        "| round | exporter requests/s | bare hyper requests/s | ratio | exporter µs each | bare hyper µs each | ratio |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    );
    for round in 1..=ROUNDS {
        let (ours, our_cost) = load(&exporter);
        let (theirs, their_cost) = load(&bare);
        let (ratio, cost) = (ours / theirs, their_cost / our_cost);
        ratios.push(ratio);
        costs.push(cost);
        println!(
            "| {round} | {ours:.0} | {theirs:.0} | {ratio:.2} | {our_cost:.1} | {their_cost:.1} | {cost:.2} |"
        );
    }
    ratios.sort_by(f64::total_cmp);
    costs.sort_by(f64::total_cmp);
    println!(
        "\nmedian ratio {:.2} (limit: 0.80), of processor time {:.2}, body {} bytes",
        ratios[ROUNDS / 2],
        costs[ROUNDS / 2],
        page.len() - body_at(&page)
    );
    println!(
        "resident memory: idle {idle} KiB, after the load {} KiB (limit when idle: 10 MiB)",
        exporter.resident_kib()
    );
}

async fn simulate() -> SocketAddr {
    let world = Simulator::new();
    world.add_account(AccountSpec::new("bench").sid(SID));
    for safety_type in [2, 3, 4] {
        world
            .account("bench")
            .open_session(SessionSpec::new(safety_type, Duration::from_secs(86_400)));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(simulator::serve(
        listener,
        world,
        None,
        std::future::pending(),
    ));
    address
}

fn start_exporter(simulator: SocketAddr) -> Running {
    Running::exporter(&[
        ("TRADERNET_URL", &format!("http://{simulator}")),
        ("TRADERNET_SID", SID),
        ("TRADERNET_POLL_INTERVAL", "1s"),
    ])
}

fn page_with_sessions(exporter: SocketAddr) -> Vec<u8> {
    let start = Instant::now();
    loop {
        let page = get(exporter, "/metrics");
        if String::from_utf8_lossy(&page)
            .contains("tradernet_security_sessions_open{account=\"default\"} 3")
        {
            return page;
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "no sessions on the page"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where an answer's body starts.
fn body_at(answer: &[u8]) -> usize {
    answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap()
        + 4
}

/// Processor time of a process so far, in seconds: its fields 14 and 15 count hundredths.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    ticks as f64 / 100.0
}

/// Requests a second, by wrk, and microseconds of the server's processor time for each.
fn load(server: &Running) -> (f64, f64) {
    let (address, pid) = (server.address, server.child.id());
    let before = cpu(pid);
    let output = Command::new("wrk")
        .args(["-t1", "-c8", "-d3s", &format!("http://{address}/metrics")])
        .output()
        .expect("wrk is required: apt-get install wrk");
    let text = String::from_utf8(output.stdout).unwrap();
    let used = cpu(pid) - before;
    let word = |line: &str, at: usize| -> f64 {
        let line = text.lines().find(|found| found.contains(line));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().nth(at).unwrap().parse().unwrap()
    };
    (
        word("Requests/sec:", 1),
        used * 1e6 / word(" requests in ", 0),
    )
}

fn start_bare(page: &[u8]) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("--bare")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.trim().parse().unwrap();
    Running { child, address }
}

/// The same bytes from standard input, as hyper serves them by itself.
#[tokio::main]
async fn bare() {
    let mut answer = Vec::new();
    std::io::stdin().read_to_end(&mut answer).unwrap();
    let page = Bytes::from(answer.split_off(body_at(&answer)));
    let head = String::from_utf8(answer).unwrap();
    // Length, date and connection are hyper's own business on both sides.
    let headers: Vec<(HeaderName, HeaderValue)> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !["content-length", "date", "connection"].contains(name))
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    let headers: HeaderMap = headers.into_iter().collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (page, headers) = (page.clone(), headers.clone());
        tokio::spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| {
                let mut response = Response::new(Full::new(page.clone()));
                response.headers_mut().clone_from(&headers);
                async move { Ok::<_, Infallible>(response) }
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
        });
    }
}
