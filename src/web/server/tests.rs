//! The server over real sockets: limits, shutdown, panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, Ordering};

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::*;
use crate::clock::Clock;
use crate::config::WebConfig;
use crate::web::test_support::{Answer, NOW, Served, request_on, settings, starting};

/// How far the runtime's timers may round up.
const TIMER: Duration = Duration::from_millis(2);

/// Reads one answer that leaves the connection open; its body is known.
async fn read_answer(stream: &mut (impl AsyncRead + Unpin), body: &str) -> Answer {
    let mut bytes = Vec::new();
    while !bytes.ends_with(body.as_bytes()) {
        let read = stream.read_buf(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "closed early: {}", String::from_utf8_lossy(&bytes));
    }
    Answer::parse(&bytes)
}

async fn healthy_on(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let request = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert_eq!(read_answer(stream, "healthy\n").await.status, 200);
}

fn lifecycle() -> crate::web::Settings {
    crate::web::Settings {
        enable_lifecycle: true,
        ..settings()
    }
}

#[tokio::test]
async fn idle_connections_close_at_once_at_shutdown() {
    let mut served = Served::start(settings()).await;
    let mut used = served.connect().await;
    healthy_on(&mut used).await;
    let mut unused = served.connect().await;
    // Answered after `unused` was accepted, since connections are accepted in order.
    assert_eq!(served.get("/-/healthy").await.status, 200);

    tokio::time::pause();
    let start = Instant::now();
    served.stop.take().unwrap().send(()).unwrap();
    served.server.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    for stream in [&mut used, &mut unused] {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn unfinished_request_is_cut_off_at_shutdown() {
    let mut served = Served::start(settings()).await;
    let mut hanging = served.connect().await;
    hanging
        .write_all(b"GET /metrics HTTP/1.1\r\nHo")
        .await
        .unwrap();
    assert_eq!(served.get("/-/healthy").await.status, 200);

    tokio::time::pause();
    let start = Instant::now();
    served.stop.take().unwrap().send(()).unwrap();
    served.server.await.unwrap();
    assert!(start.elapsed() <= DRAIN_TIMEOUT + TIMER);
    assert_eq!(hanging.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn answer_in_progress_is_finished_at_shutdown() {
    let mut served = Served::start(lifecycle()).await;
    let requesting = tokio::spawn(request_on(served.connect().await, "POST", "/-/reload", &[]));
    let request = served.sources.reloads.recv().await.unwrap();
    served.stop.take().unwrap().send(()).unwrap();
    request.answer.send(Ok(())).unwrap();
    assert_eq!(requesting.await.unwrap().status, 200);
    served.server.await.unwrap();
}

#[tokio::test]
async fn endless_answer_is_cut_off_at_shutdown() {
    let mut served = Served::start(lifecycle()).await;
    let mut requesting = served.connect().await;
    requesting
        .write_all(b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let _unanswered = served.sources.reloads.recv().await.unwrap();

    tokio::time::pause();
    let start = Instant::now();
    served.stop.take().unwrap().send(()).unwrap();
    served.server.await.unwrap();
    let took = start.elapsed();
    assert!(took >= DRAIN_TIMEOUT && took <= DRAIN_TIMEOUT + TIMER);
}

#[tokio::test]
async fn incomplete_head_closes_the_connection() {
    let served = Served::start(settings()).await;
    let start = Instant::now();
    let mut slow = served.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(served.get("/-/healthy").await.status, 200);

    tokio::time::pause();
    slow.read_to_end(&mut Vec::new()).await.unwrap();
    let took = start.elapsed();
    assert!(
        took >= CLIENT_TIMEOUT && took <= CLIENT_TIMEOUT + 2 * CHECK_INTERVAL,
        "{took:?}"
    );
}

#[tokio::test]
async fn large_heads_are_refused() {
    let served = Served::start(settings()).await;
    let headers: Vec<_> = (0..101).map(|number| format!("X{number}: y")).collect();
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    let few = served
        .request("GET", "/metrics", headers.get(..90).unwrap())
        .await;
    assert_eq!(few.status, 200);
    let many = served.request("GET", "/metrics", &headers).await;
    assert_eq!(many.status, 431);
    let mut stream = served.connect().await;
    let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(4 * MAX_HEADER_BYTES));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

#[tokio::test]
async fn full_listener_closes_the_connection_that_owes_a_request_longest() {
    let mut served = Served::with(
        lifecycle(),
        Clock::from_fn(|| NOW),
        |listener, app, stop| serve_at_most(3, listener, app, ListenerKind::Main, stop),
    )
    .await;
    let mut answered = served.connect().await;
    let request = b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\n\r\n";
    answered.write_all(request).await.unwrap();
    let reload = served.sources.reloads.recv().await.unwrap();
    let mut silent = served.connect().await;
    let mut used = served.connect().await;
    healthy_on(&mut used).await;

    let mut fourth = served.connect().await;
    healthy_on(&mut fourth).await;
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
    let mut fifth = served.connect().await;
    healthy_on(&mut fifth).await;
    assert_eq!(used.read(&mut [0; 1]).await.unwrap_or(0), 0);
    healthy_on(&mut fourth).await;
    reload.answer.send(Ok(())).unwrap();
    assert_eq!(read_answer(&mut answered, "reloaded\n").await.status, 200);
}

#[tokio::test]
async fn requests_sent_ahead_do_not_delay_other_connections() {
    const AHEAD: usize = 100;
    let served = Served::start(settings()).await;
    let mut other = served.connect().await;
    healthy_on(&mut other).await;
    let mut greedy = served.connect().await;
    let requests = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(AHEAD);
    greedy.write_all(requests.as_bytes()).await.unwrap();
    healthy_on(&mut other).await;
    let mut answers = Vec::new();
    let _ = greedy.try_read_buf(&mut answers);
    let answers = String::from_utf8(answers).unwrap();
    let answered = answers.matches("healthy\n").count();
    // One for each time that the runtime polls a task of the other connection.
    assert!(answered < 16, "{answered}");
}

#[tokio::test]
async fn panic_costs_one_answer() {
    let broken = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&broken);
    let clock = Clock::from_fn(move || {
        assert!(!switch.load(Ordering::SeqCst), "the clock is broken");
        NOW
    });
    let served = Served::with(settings(), clock, |listener, app, stop| {
        serve(listener, app, ListenerKind::Main, stop)
    })
    .await;
    broken.store(true, Ordering::SeqCst);
    let mut kept = served.connect().await;
    kept.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let answer = read_answer(&mut kept, "see the exporter's log\n").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("clock"));
    healthy_on(&mut kept).await;

    broken.store(false, Ordering::SeqCst);
    assert_eq!(served.get("/").await.status, 200);
    let metrics = served.get("/metrics").await;
    let count = "tradernet_exporter_http_requests_total{code=\"500\",handler=\"/\"} 1\n";
    assert!(metrics.text().contains(count));
}

/// A server with TLS, and a client that trusts it.
async fn with_tls() -> (Served, TlsConnector) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = signed.cert.der().clone();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let served = Served::start(crate::web::Settings {
        web_config: Arc::new(WebConfig {
            tls: Some(Arc::new(server)),
            ..WebConfig::default()
        }),
        ..settings()
    });
    (served.await, TlsConnector::from(Arc::new(client)))
}

#[tokio::test]
async fn handshakes_are_signed_one_at_a_time_beside_open_connections() {
    let (served, tls) = with_tls().await;
    let connect = async || {
        let stream = served.connect().await;
        tls.connect("localhost".try_into().unwrap(), stream).await
    };
    let mut open = connect().await.unwrap();
    let other = served.app.signing.acquire().await.unwrap();
    let mut waiting = Box::pin(connect());
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("signed beside another"),
            () = healthy_on(&mut open) => {}
        }
    }
    drop(other);
    healthy_on(&mut waiting.await.unwrap()).await;
}

/// A client that has requested more than the system's buffers take.
async fn slow_client() -> (Served, TcpStream) {
    let served = Served::start(settings()).await;
    for number in 0..600 {
        served
            .sources
            .store
            .publish(starting(&format!("n{number}")));
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(served.address).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    slow.write_all(request).await.unwrap();
    slow.readable().await.unwrap();
    (served, slow)
}

#[tokio::test]
async fn client_that_does_not_read_is_cut_off() {
    let (_served, mut slow) = slow_client().await;
    tokio::time::pause();
    sleep(CLIENT_TIMEOUT + CHECK_INTERVAL + TIMER).await;
    let mut bytes = Vec::new();
    let _ = slow.read_to_end(&mut bytes).await;
    // Nor does the system keep the answer for it.
    assert!(bytes.len() < 200_000, "{}", bytes.len());
    let answer = Answer::parse(&bytes);
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert!(length > 500_000, "{length}");
}

#[tokio::test]
async fn client_that_reads_slowly_is_cut_off() {
    let (_served, mut slow) = slow_client().await;
    tokio::time::pause();
    let start = Instant::now();
    while slow.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
        sleep(Duration::from_millis(50)).await;
    }
    // Bytes that the system had accepted are still read.
    assert!(start.elapsed() >= CLIENT_TIMEOUT, "{:?}", start.elapsed());
}
