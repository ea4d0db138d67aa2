//! An answer that is too large is cut off at the limit: measured at the built binary.

use std::time::Duration;

use tradernet_exporter::simulator::{AccountSpec, Fault, SessionSpec, Simulator};

use crate::support::{ExporterProcess, Exposition, LOGIN, SID, SimulatedApi, TestClock};

/// What the process had in memory at most, in bytes.
fn peak(program: &ExporterProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

/// What the process grows by at most while it reads an answer that is too large.
async fn growth(limit: u64, fault: Fault) -> u64 {
    let world = Simulator::new();
    world.add_account(AccountSpec::new(LOGIN).sid(SID));
    let upstream = SimulatedApi::serve_simulator(world, TestClock::new(), None).await;
    let session = SessionSpec::new(2, Duration::from_secs(3600));
    upstream.world.account(LOGIN).open_session(session);
    let limit = limit.to_string();
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
        ("TRADERNET_TIMEOUT", "60s"),
        ("TRADERNET_MAX_RESPONSE_BYTES", &limit),
    ];
    let program = ExporterProcess::start(&[], &variables).await;
    let up = |page: &Exposition| page.find("tradernet_up", &[]) == Some(1.0);
    program.wait_for("it is up", up).await;
    let before = peak(&program);
    upstream.fail(fault);
    let page = program.poll().await;
    assert_eq!(page.failures(), [("too_large".to_owned(), 1.0)].into());
    peak(&program) - before
}

const MEBIBYTE: u64 = 1 << 20;

// On several threads: what the simulator makes takes this process long, and questions come meanwhile.

#[tokio::test(flavor = "multi_thread")]
async fn streaming_body_memory_bound() {
    let fault = Fault::OversizedList {
        bytes: 1 << 40,
        with_content_length: false,
    };
    let growth = growth(4 * MEBIBYTE, fault).await;
    assert!(growth < 16 * MEBIBYTE, "grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_how_long_it_is() {
    let fault = Fault::OversizedList {
        bytes: 70 * MEBIBYTE,
        with_content_length: true,
    };
    let growth = growth(4 * MEBIBYTE, fault).await;
    assert!(growth < 4 * MEBIBYTE, "grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_answer_that_is_large_once_decoded() {
    let fault = Fault::GzipBomb {
        decoded_bytes: 1 << 40,
    };
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
async fn a_stream_frame_of_more_than_a_mebibyte() {
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
        let program = ExporterProcess::start(&[], &variables).await;
        let before = peak(&program);
        let failed = |page: &Exposition| page.find("tradernet_up", &[]) == Some(0.0);
        let page = program.wait_for("the failure", failed).await;
        assert_eq!(page.failures(), [(reason.to_owned(), 1.0)].into());
        let growth = peak(&program) - before;
        assert!(growth < 12 * MEBIBYTE, "grew by {growth} bytes");
    }
}
