//! `/metrics` of one account against a bare hyper server that returns the same bytes, headers and
//! body, in one run: requests a second, the slowest of a hundred, and the processor time that one
//! costs. And the exporter's idle memory. `cargo bench --bench scrape` prints the ratios; it needs
//! `wrk`. With `NGINX_EXPORTER`, the path of nginx' exporter, also against that, which reads its
//! figures from a server that returns them finished.

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

use support::{Running, body_at, cpu, get};

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

    let nginx = std::env::var("NGINX_EXPORTER")
        .ok()
        .map(start_nginx_exporter);

    let mut ratios: [Vec<f64>; 4] = Default::default();
    println!(
        "| round | exporter requests/s | bare hyper requests/s | ratio | exporter p99 ms | bare hyper p99 ms | ratio | exporter µs each | bare hyper µs each | ratio |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for round in 1..=ROUNDS {
        let ours = load(&exporter);
        let theirs = load(&bare);
        let found = [
            ours.rate / theirs.rate,
            ours.p99 / theirs.p99,
            theirs.cost / ours.cost,
            (nginx.as_ref()).map_or(0.0, |(exporter, _)| ours.rate / load(exporter).rate),
        ];
        println!(
            "| {round} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} |",
            ours.rate,
            theirs.rate,
            found[0],
            ours.p99,
            theirs.p99,
            found[1],
            ours.cost,
            theirs.cost,
            found[2]
        );
        for (ratios, ratio) in ratios.iter_mut().zip(found) {
            ratios.push(ratio);
        }
    }
    let [rate, p99, cost, nginx] = ratios.map(|mut ratios| {
        ratios.sort_by(f64::total_cmp);
        ratios[ROUNDS / 2]
    });
    println!(
        "\nmedian ratio {rate:.2} (limit: 0.90), of p99 {p99:.2} (limit: 1.50), of processor time {cost:.2}, to nginx' exporter {nginx:.1} (limit: 15), body {} bytes",
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
    tokio::spawn(simulator::serve(listener, world, None));
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

/// The results of wrk.
struct Load {
    /// Requests a second.
    rate: f64,
    /// Milliseconds within which 99 of 100 were answered.
    p99: f64,
    /// Microseconds of the server's processor time for each.
    cost: f64,
}

fn load(server: &Running) -> Load {
    let (address, pid) = (server.address, server.child.id());
    let before = cpu(pid);
    let output = Command::new("wrk")
        .args([
            "-t1",
            "-c8",
            "-d3s",
            "--latency",
            &format!("http://{address}/metrics"),
        ])
        .output()
        .expect("wrk is required: apt-get install wrk");
    let text = String::from_utf8(output.stdout).unwrap();
    let used = cpu(pid) - before;
    let word = |line: &str, at: usize| {
        let line = text.lines().find(|found| found.contains(line));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().nth(at).unwrap()
    };
    let number = |line: &str, at: usize| -> f64 { word(line, at).parse().unwrap() };
    let p99 = word("99%", 1);
    let unit = p99.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let factor = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        _ => panic!("{p99}"),
    };
    Load {
        rate: number("Requests/sec:", 1),
        p99: p99.trim_end_matches(unit).parse::<f64>().unwrap() * factor,
        cost: used * 1e6 / number(" requests in ", 0),
    }
}

/// nginx' exporter, and the server that stands for nginx.
fn start_nginx_exporter(path: String) -> (Running, Running) {
    let status = "Active connections: 291\nserver accepts handled requests\n 16630948 16630948 31070465\nReading: 6 Writing: 179 Waiting: 106\n";
    let nginx = start_bare(format!("HTTP/1.1 200 OK\r\n\r\n{status}").as_bytes());
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .unwrap();
    let child = Command::new(path)
        .arg(format!("-web.listen-address={address}"))
        .arg(format!(
            "-nginx.scrape-uri=http://{}/stub_status",
            nginx.address
        ))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while std::net::TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let exporter = Running { child, address };
    let page = get(address, "/metrics");
    assert!(String::from_utf8_lossy(&page).contains("nginx_up 1"));
    (exporter, nginx)
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
