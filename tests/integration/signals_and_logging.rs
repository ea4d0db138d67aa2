//! The built binary as a process: how it ends, and what it logs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixDatagram};
use tokio::time::Instant;
use tradernet_exporter::simulator::{AccountSpec, BodyEnd, Fault};

use crate::support::{
    ExporterProcess, LOGIN, SID, SimulatedApi, ask, run_until, wait_until_some, within_timeout,
};

async fn upstream() -> SimulatedApi {
    SimulatedApi::start_for_process(AccountSpec::new(LOGIN).sid(SID), None).await
}

async fn start(upstream: &SimulatedApi, more: &[(&str, &str)]) -> ExporterProcess {
    let variables = [&[("TRADERNET_SID", SID)], more].concat();
    ExporterProcess::start(&upstream.variables(&variables)).await
}

#[tokio::test]
async fn sigterm_exits_promptly_with_hanging_upstream() {
    for signal in ["TERM", "INT"] {
        for fault in [
            Fault::NoResponse,
            Fault::json(200, "[").end(BodyEnd::Stalls),
        ] {
            let upstream = upstream().await;
            upstream.fail(fault);
            let mut program = start(&upstream, &[]).await;
            upstream.wait_for_list_requests(1).await;
            // Kept open, and idle.
            let idle = TcpStream::connect(program.address).await.unwrap();
            let asked = Instant::now();
            program.signal(signal).await;
            let status = program.wait_exit().await;
            let took = asked.elapsed();
            assert_eq!(status.code(), Some(0), "SIG{signal}");
            // Half of the timeout of the request that hangs.
            assert!(took < Duration::from_secs(5), "SIG{signal}: {took:?}");
            drop(idle);
        }
    }
}

#[tokio::test]
async fn no_core_dump_is_written() {
    let upstream = upstream().await;
    let program = start(&upstream, &[]).await;
    let folder = Path::new("/proc").join(program.id().to_string());
    let limits = fs::read_to_string(folder.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.contains("core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"]);
    // Where a process cannot be dumped, root owns these files.
    let owner = fs::metadata(folder.join("environ")).unwrap().uid();
    assert_eq!(owner, 0);
}

#[tokio::test]
async fn second_signal_exits_128_plus_n() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("INT", "INT", 130),
        ("TERM", "INT", 130),
    ] {
        let upstream = upstream().await;
        let mut program = start(&upstream, &[]).await;
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
    let mut program = start(&upstream, &[]).await;
    program.signal("HUP").await;
    program
        .wait_for_log("the reload", |line| line.contains("reloaded"))
        .await;
    assert_eq!(program.get("/-/healthy").await.status, 200);
}

async fn put_log_level(program: &ExporterProcess, level: &str) -> (u16, String) {
    let reply = ask(program.address, "PUT", "/-/log-level", &[], level).await;
    let reply = reply.unwrap();
    (reply.status, reply.text().to_owned())
}

#[tokio::test]
async fn log_level_changes_while_running() {
    let upstream = upstream().await;
    let mut program = start(&upstream, &[]).await;
    assert_eq!(program.get("/-/log-level").await.text(), "info\n");
    let is_debug = |line: &str| line.contains("level=debug");
    assert!(!program.log().iter().any(|line| is_debug(line)));
    let answer = put_log_level(&program, "debug").await;
    assert_eq!(answer, (200, "debug\n".to_owned()));
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
    // The level before `debug` was set by a request.
    let answer = put_log_level(&program, "error").await;
    assert_eq!(answer, (200, "error\n".to_owned()));
    program
        .wait_for_log("the change", |line| line.ends_with("to=error"))
        .await;
    for level in ["debug\n", "error\n"] {
        program.signal("USR1").await;
        wait_until_some(level, async || {
            (program.get("/-/log-level").await.text() == level).then_some(())
        })
        .await;
    }
    for wrong in ["trace", "5", "loud", &"debug".repeat(10)] {
        assert_eq!(put_log_level(&program, wrong).await.0, 400);
    }
}

/// From good to bad and back: at least one poll of each state is over, and two of the first failure.
async fn fail_and_recover(upstream: &SimulatedApi) {
    for (fault, requests) in [
        (None, 2),
        (Some(Fault::status(500)), 3),
        (Some(Fault::json(200, "{]not json")), 2),
        (None, 2),
        (Some(Fault::json(200, "{]not json")), 2),
    ] {
        upstream.heal();
        if let Some(fault) = fault {
            upstream.fail(fault);
        }
        // One request may have begun before; when the last begins, those before it are over.
        let before = upstream.account().counters().lists;
        upstream.wait_for_list_requests(before + requests).await;
    }
}

/// The polls' own lines: message, reason.
const POLL_LINES: [(&str, &str); 5] = [
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
    let program = start(&upstream, &every_second).await;
    fail_and_recover(&upstream).await;
    let lines = wait_until_some("the lines of the polls", async || {
        let mut lines = program.log();
        lines.retain(|line| line.contains("account=default"));
        (lines.len() >= POLL_LINES.len()).then_some(lines)
    })
    .await;
    assert_eq!(lines.len(), POLL_LINES.len(), "{lines:#?}");
    for (line, (message, reason)) in lines.iter().zip(POLL_LINES) {
        let level = if reason.is_empty() { "info" } else { "warn" };
        assert!(line.starts_with("ts="), "{line}");
        assert!(line.contains(&format!(" level={level} ")), "{line}");
        assert!(line.contains(&format!("msg=\"{message}\"")), "{line}");
        let reason_field = format!("reason={reason}");
        assert!(reason.is_empty() || line.contains(&reason_field), "{line}");
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
    let mut program = start(&upstream, &more).await;
    fail_and_recover(&upstream).await;
    let parse = |line: &String| -> serde_json::Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let finished = upstream.account().counters().lists - 1;
    let attempts = async || {
        let lines: Vec<_> = program.log().iter().map(parse).collect();
        let attempts = lines.iter().filter(|line| {
            let known = ["attempt succeeded", "attempt failed"];
            known.contains(&line["msg"].as_str().unwrap())
        });
        (attempts.count() as u64 >= finished).then_some(lines)
    };
    let lines = wait_until_some("every attempt is logged", attempts).await;
    for line in &lines {
        for field in ["ts", "level", "msg"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    let failed: Vec<_> = lines
        .iter()
        .filter(|line| line["msg"] == "attempt failed")
        .collect();
    assert!(!failed.is_empty(), "{lines:?}");
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
    let variables = [("TRADERNET_SID", SID), ("TRADERNET_LOG_LEVEL", "error")];
    // The address is logged at level info, so no page is requested.
    let polled = upstream.wait_for_list_requests(1);
    let run = run_until(&upstream.variables(&variables), polled).await;
    let output = (run.code, run.stdout.as_str(), run.stderr.as_str());
    assert_eq!(output, (Some(0), "", ""));
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
    let program = start(&upstream, &notify).await;
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
