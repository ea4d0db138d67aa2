//! An answer that never ends is cut off without being held in memory: measured at the built binary.

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
async fn an_endless_list() {
    let fault = Fault::OversizedList {
        bytes: 1 << 40,
        with_content_length: false,
    };
    // The text is not held, and of the sessions read from it a hundred thousand at the most.
    let growth = growth(64 * MEBIBYTE, fault).await;
    assert!(growth < 48 * MEBIBYTE, "grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_how_long_it_is() {
    let fault = Fault::OversizedList {
        bytes: 70 * MEBIBYTE,
        with_content_length: true,
    };
    let growth = growth(64 * MEBIBYTE, fault).await;
    assert!(growth < 4 * MEBIBYTE, "grew by {growth} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_answer_that_is_large_once_decoded() {
    let fault = Fault::GzipBomb {
        decoded_bytes: 1 << 40,
    };
    let growth = growth(16 * MEBIBYTE, fault).await;
    assert!(growth < 8 * MEBIBYTE, "grew by {growth} bytes");
}
