//! Ten thousand accounts against lower bounds, in one run: the processor time of their polls against
//! the same requests made by bare reqwest; one scrape of them against copying and compressing the
//! finished page, and how late polls and probes are beside it. `cargo bench --bench polls`.
//!
//! `ACCOUNTS=10000`, `INTERVAL=60` seconds.

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

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;

use support::{Running, cpu, get};

const SESSIONS: usize = 10;
const SCRAPES: usize = 9;

/// Content type and body of the first request.
static FIRST: OnceLock<(String, Bytes)> = OnceLock::new();

/// When the requests with each session ID arrived.
static ARRIVALS: Mutex<Option<HashMap<Vec<u8>, Vec<Instant>>>> = Mutex::new(None);

fn main() {
    if let Some(at) = std::env::args().position(|argument| argument == "--bare") {
        return bare(&std::env::args().nth(at + 1).unwrap());
    }
    let accounts = number("ACCOUNTS", 10_000);
    let interval = Duration::from_secs(number("INTERVAL", 60));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (api, requests) = runtime.block_on(serve());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.yml");
    std::fs::write(&file, accounts_file(api, accounts, interval)).unwrap();
    let exporter = Running::exporter(&[("TRADERNET_CONFIG_FILE", file.to_str().unwrap())]);
    // Every account, then a moment for the last of them.
    while requests.load(Ordering::Relaxed) < accounts {
        std::thread::sleep(Duration::from_millis(100));
    }
    println!(
        "{accounts} accounts: {:.0} KiB resident, never scraped",
        exporter.resident_kib()
    );

    let (kind, body) = FIRST.get().unwrap();
    let (api, bare_requests) = runtime.block_on(serve());
    let mut bare = Command::new(std::env::current_exe().unwrap())
        .args(["--bare", &format!("http://{api}/api")])
        .env(
            "PAUSE",
            (interval.as_secs_f64() / accounts as f64).to_string(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = bare.stdin.take().unwrap();
    writeln!(input, "{kind}").unwrap();
    input.write_all(body).unwrap();
    drop(input);
    // The first requests connect.
    (BufReader::new(bare.stdout.take().unwrap()).read_line(&mut String::new())).unwrap();
    let bare = Running {
        child: bare,
        address: api,
    };
    // Both within the same time: the speed of a virtual machine changes from one minute to the next.
    let meters = [
        Meter::new(exporter.child.id(), requests),
        Meter::new(bare.child.id(), bare_requests),
    ];
    std::thread::sleep(interval);
    let [ours, theirs] = meters.map(|meter| meter.microseconds());
    drop(bare);
    println!(
        "{accounts} accounts, {SESSIONS} sessions each: a poll {ours:.0} µs, the same request by bare reqwest {theirs:.0} µs: {:.2}",
        ours / theirs
    );
    let scrapes = scrapes(exporter.address);
    lateness(interval, &scrapes);
    println!(
        "{:.0} KiB resident after the scrapes",
        exporter.resident_kib()
    );
}

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().unwrap())
}

fn accounts_file(api: SocketAddr, accounts: u64, interval: Duration) -> String {
    let mut text = format!(
        "defaults:\n  url: http://{api}\n  poll_interval: {}s\naccounts:\n",
        interval.as_secs()
    );
    for n in 0..accounts {
        writeln!(text, "  - account: account-{n:05}\n    sid: {n:032x}").unwrap();
    }
    text
}

/// A process, and the requests that it sends.
struct Meter {
    pid: u32,
    requests: Arc<AtomicU64>,
    cpu_before: f64,
    requests_before: u64,
}

impl Meter {
    fn new(pid: u32, requests: Arc<AtomicU64>) -> Self {
        Self {
            pid,
            cpu_before: cpu(pid),
            requests_before: requests.load(Ordering::Relaxed),
            requests,
        }
    }

    /// Processor time for each request since then.
    fn microseconds(self) -> f64 {
        let requests = self.requests.load(Ordering::Relaxed) - self.requests_before;
        (cpu(self.pid) - self.cpu_before) * 1e6 / requests as f64
    }
}

/// An API on loopback that answers every request with ten sessions, and its number of requests.
async fn serve() -> (SocketAddr, Arc<AtomicU64>) {
    let sessions: Vec<String> = (0..SESSIONS)
        .map(|n| {
            let (id, safety_type) = (7_165_011 + n, 2 + n % 3);
            format!(
                r#"{{"id":{id},"owner_login":"desk@example.com","user_login":"desk@example.com","safety_type_id":{safety_type},"key_current":"Login, password","start_datetime":"2016-06-14T13:14:13.187","expire_datetime":"2016-06-15T13:14:13.187","expire":85299000,"ip":"c5u7","ip_client":"203.0.113.7"}}"#
            )
        })
        .collect();
    let answer = Bytes::from(format!("[{}]", sessions.join(",")));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (answer, counter) = (answer.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, counter) = (answer.clone(), Arc::clone(&counter));
                    async move {
                        if let Some(session) = request.headers().get("cookie") {
                            let mut arrivals = ARRIVALS.lock().unwrap();
                            let arrivals = arrivals.get_or_insert_default();
                            let of = arrivals.entry(session.as_bytes().to_owned());
                            of.or_default().push(Instant::now());
                        }
                        let kind = request.headers().get("content-type").cloned();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        FIRST.get_or_init(|| {
                            let kind = kind.as_ref().and_then(|kind| kind.to_str().ok());
                            (kind.unwrap_or_default().to_owned(), body)
                        });
                        counter.fetch_add(1, Ordering::Relaxed);
                        Ok::<_, Infallible>(Response::new(Full::new(answer)))
                    }
                });
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    (address, requests)
}

/// The request of standard input again and again, one each `PAUSE` seconds; the answers are read and dropped.
#[tokio::main]
async fn bare(url: &str) {
    let mut input = BufReader::new(std::io::stdin());
    let (mut kind, mut body) = (String::new(), Vec::new());
    input.read_line(&mut kind).unwrap();
    input.read_to_end(&mut body).unwrap();
    let (kind, body) = (kind.trim().to_owned(), Bytes::from(body));
    let pause = Duration::from_secs_f64(std::env::var("PAUSE").unwrap().parse().unwrap());
    rustls::crypto::ring::default_provider()
        .install_default()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = move || {
        let (client, url) = (client.clone(), url.to_owned());
        let (kind, body) = (kind.clone(), body.clone());
        async move {
            let request = client.post(url).header("content-type", kind).body(body);
            request.send().await.unwrap().bytes().await.unwrap()
        }
    };
    request().await;
    println!("ready");
    let mut ticks = tokio::time::interval(pause);
    loop {
        ticks.tick().await;
        tokio::spawn(request());
    }
}

/// Scrapes with gzip, as Prometheus does, against copying and compressing the finished page. Returns
/// when each scrape took place.
fn scrapes(exporter: SocketAddr) -> Vec<RangeInclusive<Instant>> {
    let page = get(exporter, "/metrics");
    let page = &page[support::body_at(&page)..];
    let (mut ours, mut bounds, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    let mut late = Duration::ZERO;
    let mut scrapes = Vec::new();
    for _ in 0..SCRAPES {
        // A page is kept for a second.
        std::thread::sleep(Duration::from_millis(1100));
        let done = AtomicBool::new(false);
        let worst = std::thread::scope(|scope| {
            let probes = scope.spawn(|| probe_until(exporter, &done));
            let start = Instant::now();
            ours.push(timed(|| scrape(exporter, "gzip")));
            scrapes.push(start..=Instant::now());
            done.store(true, Ordering::Relaxed);
            probes.join().unwrap()
        });
        late = late.max(worst);
        bounds.push(timed(|| {
            let copy = page.to_vec();
            let level = flate2::Compression::new(3);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&copy).unwrap();
            encoder.finish().unwrap();
        }));
        std::thread::sleep(Duration::from_millis(1100));
        let start = Instant::now();
        plain.push(timed(|| scrape(exporter, "identity")));
        scrapes.push(start..=Instant::now());
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (ours, bound, plain) = (median(&mut ours), median(&mut bounds), median(&mut plain));
    println!(
        "a page of {} KiB: scrape with gzip {ours:.1} ms, copying and compressing it {bound:.1} ms: {:.2}; scrape without {plain:.1} ms; slowest probe beside a scrape {:.1} ms",
        page.len() / 1024,
        ours / bound,
        late.as_secs_f64() * 1000.0
    );
    scrapes
}

/// How long after the last request and the interval each request arrives: those that were due or
/// arrived during a scrape, and the others.
fn lateness(interval: Duration, scrapes: &[RangeInclusive<Instant>]) {
    let arrivals = ARRIVALS.lock().unwrap().take().unwrap();
    let (mut beside, mut others) = (Vec::new(), Vec::new());
    for pair in arrivals.values().flat_map(|of| of.windows(2)) {
        let (due, arrived) = (pair[0] + interval, pair[1]);
        let is_beside = (scrapes.iter()).any(|of| of.contains(&due) || of.contains(&arrived));
        let late = arrived.saturating_duration_since(due);
        let lates = if is_beside { &mut beside } else { &mut others };
        lates.push(late.as_secs_f64() * 1000.0);
    }
    for (name, mut lates) in [("beside a scrape", beside), ("without one", others)] {
        lates.sort_by(f64::total_cmp);
        let p99 = lates[lates.len() * 99 / 100];
        println!(
            "{} polls {name}: 99 % at most {p99:.1} ms late, the latest {:.1} ms",
            lates.len(),
            lates[lates.len() - 1]
        );
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1000.0
}

fn scrape(exporter: SocketAddr, coding: &str) {
    let mut stream = TcpStream::connect(exporter).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {exporter}\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
}

/// Probes one after the other, a millisecond apart; the slowest.
fn probe_until(exporter: SocketAddr, done: &AtomicBool) -> Duration {
    let mut worst = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let start = Instant::now();
        get(exporter, "/-/healthy");
        worst = worst.max(start.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    worst
}
