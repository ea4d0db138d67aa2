//! An answer that is too large is cut off at the limit: measured at the built binary.

use std::time::Duration;

use tradernet_exporter::simulator::{AccountSpec, BodyEnd, Fault, SessionSpec};

use crate::support::{ExporterProcess, LOGIN, SID, SimulatedApi, gzip};

/// The most memory that the process had, in bytes.
fn peak(program: &ExporterProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

/// The growth of the process's memory while it reads an answer that is too large.
async fn growth(limit: u64, fault: Fault) -> u64 {
    let upstream = SimulatedApi::start_for_process(AccountSpec::new(LOGIN).sid(SID), None).await;
    let session = SessionSpec::new(2, Duration::from_secs(3600));
    upstream.account().open_session(session);
    let limit = limit.to_string();
    let variables = [
        ("TRADERNET_SID", SID),
        ("TRADERNET_TIMEOUT", "60s"),
        ("TRADERNET_MAX_RESPONSE_BYTES", &limit),
    ];
    let program = ExporterProcess::start(&upstream.variables(&variables)).await;
    program.wait_for_value("tradernet_up", 1.0).await;
    let before = peak(&program);
    upstream.fail(fault);
    let page = program.poll().await;
    assert_eq!(page.failures(), [("too_large".to_owned(), 1.0)].into());
    peak(&program) - before
}

const MEBIBYTE: u64 = 1 << 20;

// On several threads: the simulator's bodies take long to make, and pages are requested meanwhile.

#[tokio::test(flavor = "multi_thread")]
async fn streaming_body_memory_bound() {
    let fault = Fault::json(200, "[0,0,0]".repeat(1000)).end(BodyEnd::Repeats);
    let growth = growth(4 * MEBIBYTE, fault).await;
    assert!(growth < 16 * MEBIBYTE, "grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_length_memory_bound() {
    let fault = Fault::json(200, "[0,0,0]".repeat(10_000_000));
    let growth = growth(4 * MEBIBYTE, fault).await;
    assert!(growth < 4 * MEBIBYTE, "grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_body_memory_bound() {
    let fault = Fault::json(200, gzip(64 << 20)).header("content-encoding", "gzip");
    let growth = growth(4 * MEBIBYTE, fault).await;
    assert!(growth < 16 * MEBIBYTE, "grew by {growth} bytes");
}

/// A WebSocket server that sends one text to every client.
async fn stream_server(text: String) -> String {
    use futures_util::SinkExt as _;
    use tokio_tungstenite::tungstenite::Message;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let text = text.clone();
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(connection).await.unwrap();
                // The client may hang up in the middle.
                let _ = socket.send(Message::text(text)).await;
                std::future::pending::<()>().await;
            });
        }
    });
    origin
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_frame_memory_bound() {
    let zeros = "0,".repeat(16 << 20);
    for (text, reason) in [
        (
            format!(r#"["userData",{{"mode":[{zeros}0]}}]"#),
            "too_large",
        ),
        (format!(r#"["error",{{"errMsg":[{zeros}0]}}]"#), "too_large"),
        (format!(r#"["sessions",[{zeros}0]]"#), "too_large"),
        (
            format!(r#"["sessions",[{}0]]"#, "0,".repeat(500_000)),
            "decode",
        ),
    ] {
        let origin = stream_server(text).await;
        let variables = [
            ("TRADERNET_SID", SID),
            ("TRADERNET_TRANSPORT", "websocket"),
            ("TRADERNET_WS_URL", origin.as_str()),
            ("TRADERNET_TIMEOUT", "60s"),
        ];
        let program = ExporterProcess::start(&variables).await;
        let before = peak(&program);
        let page = program.wait_for_value("tradernet_up", 0.0).await;
        assert_eq!(page.failures(), [(reason.to_owned(), 1.0)].into());
        let growth = peak(&program) - before;
        assert!(growth < 12 * MEBIBYTE, "grew by {growth} bytes");
    }
}
