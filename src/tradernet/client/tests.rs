#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::connections::MAX_HEADERS;
use super::*;
use crate::tradernet::{Reason, StreamEndpoint, StreamProtocol};

/// The error of a login that is answered with these bytes.
async fn login_answered_with(bytes: Vec<u8>) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
        // The client may hang up before it has read everything.
        let _ = connection.write_all(&bytes).await;
        connection.shutdown().await.unwrap_or_default();
    };
    let config = ClientConfig {
        max_response_bytes: 1 << 16,
        ..ClientConfig::default()
    };
    let client = Client::new(&config, Arc::new(|_, _| {}), Clock::system()).unwrap();
    let endpoint = Endpoint {
        origin: origin.parse().unwrap(),
        timeout: Duration::from_secs(10),
    };
    let login = Login {
        name: "desk",
        password: &"secret".into(),
        view_only: false,
        user_id: None,
    };
    let redactor = Redactor::default();
    let answer = client.log_in(&endpoint, login, &redactor);
    tokio::join!(answer, server).0.unwrap_err()
}

#[tokio::test]
async fn an_answer_that_is_no_http_or_too_large_is_unreadable() {
    let many = "set-cookie: a=b\r\n".repeat(MAX_HEADERS + 1);
    let large = format!("x: {}\r\n", "y".repeat(1 << 20));
    let body = format!("content-length: 99999\r\n\r\n{}", "y".repeat(99_999));
    let chunks = "transfer-encoding: chunked\r\n\r\nzz\r\n";
    for (rest, reason) in [
        (&*many, Reason::TooLarge),
        (&large, Reason::TooLarge),
        (&body, Reason::TooLarge),
        ("no colon\r\n", Reason::Decode),
        ("x: a\r\n folded\r\n", Reason::Decode),
        ("x: a\0b\r\n", Reason::Decode),
        ("content-length: -1\r\n", Reason::Decode),
        (chunks, Reason::Decode),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{rest}\r\n");
        let error = login_answered_with(answer.into()).await;
        assert_eq!(error.reason(), reason, "{error}: {:.40}", rest);
        assert!(error.is_unreadable(), "{error}");
    }
    for (answer, reason) in [
        ("HTTP/1.1 200 OK\r\nx", Reason::Network),
        ("HTTP/1.1 200 OK\r\n\r\n<html>", Reason::Decode),
    ] {
        let error = login_answered_with(answer.into()).await;
        assert_eq!(error.reason(), reason, "{error}");
        assert!(!error.is_unreadable(), "{error}");
    }
}

/// The errors of a request, a login and a handshake that are answered with this.
async fn errors_after(answer: &'static str, timeout: Duration) -> [Error; 3] {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4096]).await;
            connection.write_all(answer.as_bytes()).await.unwrap();
            if answer.contains("stalls") {
                // Until the client closes it.
                let _ = connection.read(&mut [0]).await;
            }
        }
    });
    let config = ClientConfig {
        max_response_bytes: 1000,
        ..ClientConfig::default()
    };
    let client = Client::new(&config, Arc::new(|_, _| {}), Clock::system()).unwrap();
    let endpoint = Endpoint {
        origin: format!("http://{address}").parse().unwrap(),
        timeout,
    };
    let stream = StreamEndpoint {
        origin: format!("ws://{address}").parse().unwrap(),
        protocol: StreamProtocol::Websocket,
    };
    let (secret, redactor) = ("s3cret".into(), Redactor::default());
    let sid = Credentials::Sid(&secret);
    let login = Login {
        name: "desk",
        password: &secret,
        view_only: false,
        user_id: None,
    };
    [
        client
            .sessions(&endpoint, sid, &redactor)
            .await
            .unwrap_err(),
        client
            .log_in(&endpoint, login, &redactor)
            .await
            .unwrap_err(),
        (client.stream(&stream, sid, timeout, &redactor).await)
            .err()
            .unwrap(),
    ]
}

/// A file system that hangs is played by a read that never gets its turn.
#[tokio::test(start_paused = true)]
async fn ca_certificates_that_hang_are_given_up_by_all_that_wait() {
    let config = ClientConfig::default();
    let client = Client::new(&config, Arc::new(|_, _| {}), Clock::system()).unwrap();
    let hanging = client.ca_reader.hang().await;
    let start = Instant::now();
    let loads = (0..3).map(|_| client.load_ca_certificates());
    for loaded in futures_util::future::join_all(loads).await {
        let error = "no CA certificate could be loaded: no answer from the file system within 5 s";
        assert_eq!(loaded.unwrap_err(), error);
    }
    assert!(start.elapsed() < 2 * READ_TIMEOUT);
    drop(hanging);
}

#[tokio::test]
async fn retry_after_counts_whatever_happens_to_the_body() {
    const LONG: Duration = Duration::from_secs(30);
    let mut attempts = tokio::task::JoinSet::new();
    for (rest, timeout, reason) in [
        (
            "Content-Length: 9\r\n\r\nstalls",
            Duration::from_secs(1),
            Reason::Timeout,
        ),
        ("Content-Length: 9\r\n\r\ncut", LONG, Reason::Network),
        (
            "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            LONG,
            Reason::Decode,
        ),
        ("Content-Length: 1001\r\n\r\n", LONG, Reason::TooLarge),
        (
            "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            LONG,
            Reason::Decode,
        ),
    ] {
        for status in ["503", "200", "429"] {
            let answer = format!("HTTP/1.1 {status} X\r\nRetry-After: 7\r\n{rest}").leak();
            attempts.spawn(async move {
                for error in errors_after(answer, timeout).await {
                    let after = error.retry_after();
                    assert_eq!(after, Some(Duration::from_secs(7)), "{answer}");
                    let is_limit = status == "429";
                    let reason = if is_limit {
                        Reason::RateLimited
                    } else {
                        reason
                    };
                    assert_eq!(error.reason(), reason, "{answer}");
                    assert!(error.to_string().ends_with("; retry after 7s"), "{error}");
                }
            });
        }
    }
    attempts.join_all().await;
}

#[test]
fn retry_after_out_of_range_is_the_longest_pause() {
    let parsed = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        retry_after(&headers)
    };
    assert_eq!(parsed(" 7 "), Some(Duration::from_secs(7)));
    assert_eq!(
        parsed("99999999999999999999"),
        Some(Duration::from_secs(u64::MAX))
    );
    for nothing in ["", "-1", "+1", "1.5", "soon"] {
        assert_eq!(parsed(nothing), None, "{nothing}");
    }
}
