//! The built binary as a process: how it ends, and what it logs.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixDatagram};
use tokio::time::Instant;
use tradernet_exporter::simulator::{AccountSpec, Fault, Simulator};

use crate::support::{
    ExporterProcess, LOGIN, SID, SimulatedApi, TestClock, wait_until_some, within_timeout,
};

async fn upstream() -> SimulatedApi {
    let world = Simulator::new();
    world.add_account(AccountSpec::new(LOGIN).sid(SID));
    SimulatedApi::serve_simulator(world, TestClock::new(), None).await
}

fn variables<'a>(
    upstream: &'a SimulatedApi,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let account = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
    ];
    [&account[..], more].concat()
}

#[tokio::test]
async fn sigterm_exits_promptly_with_hanging_upstream() {
    for signal in ["TERM", "INT"] {
        for fault in [Fault::NoResponse, Fault::StallBody] {
            let upstream = upstream().await;
            upstream.fail(fault);
            let mut program = ExporterProcess::start(&[], &variables(&upstream, &[])).await;
            upstream
                .world
                .wait_until(|world| world.account(LOGIN).list_request_count() == 1)
                .await;
            // Kept open, and idle.
            let idle = TcpStream::connect(program.address).await.unwrap();
            let asked = Instant::now();
            program.signal(signal).await;
            let status = program.wait_exit().await;
            let took = asked.elapsed();
            assert_eq!(status.code(), Some(0), "SIG{signal}");
            assert!(took < Duration::from_secs(1), "SIG{signal}: {took:?}");
            drop(idle);
        }
    }
}

#[tokio::test]
async fn second_signal_exits_128_plus_n() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("INT", "INT", 130),
        ("TERM", "INT", 130),
    ] {
        let upstream = upstream().await;
        let mut program = ExporterProcess::start(&[], &variables(&upstream, &[])).await;
        // A request that never ends keeps it from ending by itself, for 400 ms.
        let mut slow = TcpStream::connect(program.address).await.unwrap();
        slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: localh")
            .await
            .unwrap();
        program.get("/-/healthy").await;
        program.signal(first).await;
        program
            .wait_for_log("the first is heard", |line| line.contains("shutting down"))
            .await;
        program.signal(second).await;
        let status = program.wait_exit().await;
        assert_eq!(status.code(), Some(code), "{first} {second}");
    }
}

#[tokio::test]
async fn sighup_reloads() {
    let upstream = upstream().await;
    let mut program = ExporterProcess::start(&[], &variables(&upstream, &[])).await;
    program.signal("HUP").await;
    program
        .wait_for_log("the reload", |line| line.contains("reloaded"))
        .await;
    assert_eq!(program.get("/-/healthy").await.status, 200);
}

async fn put_log_level(program: &ExporterProcess, level: &str) -> String {
    let mut stream = TcpStream::connect(program.address).await.unwrap();
    let length = level.len();
    let request = format!(
        "PUT /-/log-level HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{level}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn log_level_changes_while_running() {
    let upstream = upstream().await;
    let mut program = ExporterProcess::start(&[], &variables(&upstream, &[])).await;
    assert_eq!(program.get("/-/log-level").await.text(), "info\n");
    let answer = put_log_level(&program, "debug").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("debug\n"),
        "{answer}"
    );
    let is_debug = |line: &str| line.contains("level=debug");
    assert!(!program.log().iter().any(|line| is_debug(line)));
    program.poll().await;
    program.wait_for_log("a line at debug", is_debug).await;

    program.signal("USR1").await;
    program
        .wait_for_log("the configured level", |line| {
            line.contains("log level changed") && line.contains("to=info")
        })
        .await;
    assert_eq!(program.get("/-/log-level").await.text(), "info\n");
    program.signal("USR1").await;
    wait_until_some("debug again", async || {
        let level = program.get("/-/log-level").await;
        (level.text() == "debug\n").then_some(())
    })
    .await;
    for wrong in ["loud", &"debug".repeat(10)] {
        let answer = put_log_level(&program, wrong).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}

/// From good to bad and back, with several polls of each.
async fn troubled(program: &ExporterProcess, upstream: &SimulatedApi) {
    program
        .wait_for("the first poll", |page| {
            page.find("tradernet_up", &[]).is_some()
        })
        .await;
    for (fault, polls) in [
        (None, 1.0),
        // One more than needed: the page may be a second old.
        (Some(Fault::status(500)), 3.0),
        (Some(Fault::InvalidJson), 3.0),
        (None, 2.0),
        (Some(Fault::InvalidJson), 3.0),
    ] {
        upstream.heal();
        if let Some(fault) = fault {
            upstream.fail(fault);
        }
        let count = |page: &crate::support::Exposition| page.get("tradernet_polls_total", &[]);
        let before = count(&program.metrics().await);
        program
            .wait_for("more polls", |page| count(page) >= before + polls)
            .await;
    }
}

/// The polls' own lines: message, reason.
const WANTED: [(&str, &str); 5] = [
    ("first answer", ""),
    ("poll failed", "http_status"),
    ("poll failed", "decode"),
    ("answering again", ""),
    ("poll failed", "decode"),
];

#[tokio::test]
async fn log_only_state_changes_at_info() {
    let upstream = upstream().await;
    let every_second = [
        ("TRADERNET_POLL_INTERVAL", "1s"),
        ("TRADERNET_MAX_AGE", "1h"),
    ];
    let program = ExporterProcess::start(&[], &variables(&upstream, &every_second)).await;
    troubled(&program, &upstream).await;
    let lines = program.log();
    let about_polls: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("account=default"))
        .collect();
    assert_eq!(about_polls.len(), WANTED.len(), "{about_polls:#?}");
    for (line, (message, reason)) in about_polls.iter().zip(WANTED) {
        assert!(line.contains(&format!("msg=\"{message}\"")), "{line}");
        assert!(
            reason.is_empty() || line.contains(&format!("reason={reason}")),
            "{line}"
        );
        assert!(line.starts_with("ts="), "{line}");
        let level = if reason.is_empty() { "info" } else { "warn" };
        assert!(line.contains(&format!(" level={level} ")), "{line}");
    }
}

#[tokio::test]
async fn debug_has_every_attempt_and_json_lines_parse() {
    let upstream = upstream().await;
    let more = [
        ("TRADERNET_LOG_LEVEL", "debug"),
        ("TRADERNET_LOG_FORMAT", "json"),
        ("TRADERNET_POLL_INTERVAL", "1s"),
        ("TRADERNET_MAX_AGE", "1h"),
    ];
    let mut program = ExporterProcess::start(&[], &variables(&upstream, &more)).await;
    troubled(&program, &upstream).await;
    let parse = |line: &String| -> serde_json::Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let page = program.metrics().await;
    let polls = page.get("tradernet_polls_total", &[]);
    // The page shows a poll a moment before its line is read here.
    let failed_again = async || {
        let lines: Vec<_> = program.log().iter().map(parse).collect();
        let attempts = lines.iter().filter(|line| {
            let known = [
                "first answer",
                "polled",
                "poll failed",
                "poll failed again",
                "answering again",
            ];
            known.contains(&line["msg"].as_str().unwrap())
        });
        (attempts.map(|_| 1.0).sum::<f64>() >= polls).then_some(lines)
    };
    let lines = wait_until_some("every attempt is logged", failed_again).await;
    for line in &lines {
        for field in ["ts", "level", "msg"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    let failed: Vec<_> = lines
        .iter()
        .filter(|line| line["msg"] == "poll failed again")
        .collect();
    assert!(failed.len() >= 3, "{failed:?}");
    assert_eq!(failed[0]["reason"], "http_status");
    assert_eq!(failed[0]["account"], "default");

    program.signal("TERM").await;
    let last = program
        .wait_for_log("the end", |line| line.contains("shutting down"))
        .await;
    parse(&last);
}

#[tokio::test]
async fn stdout_and_stderr_are_clean() {
    let upstream = upstream().await;
    let more = [("TRADERNET_LOG_LEVEL", "error")];
    // The address is a line of level info, so nobody would know where to ask: only the end is seen.
    let upstream_variables = variables(&upstream, &more);
    let run = crate::support::run_until(&upstream_variables, async {
        upstream
            .world
            .wait_until(|world| world.account(LOGIN).list_request_count() == 1)
            .await;
    })
    .await;
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (Some(0), "", "")
    );
}

#[tokio::test]
async fn systemd_is_notified_of_start_life_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let upstream = upstream().await;
    let notify = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "100000"),
    ];
    let program = ExporterProcess::start(&[], &variables(&upstream, &notify)).await;
    let next = async || {
        let mut buffer = [0; 64];
        let received = socket.recv(&mut buffer);
        let length = within_timeout("a message", received).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(next().await, "READY=1");
    for _ in 0..3 {
        assert_eq!(next().await, "WATCHDOG=1");
    }
    program.signal("TERM").await;
    loop {
        let message = next().await;
        if message == "STOPPING=1" {
            break;
        }
        assert_eq!(message, "WATCHDOG=1");
    }
}
