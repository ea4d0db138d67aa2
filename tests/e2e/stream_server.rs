//! Servers not written here, as peers of the streams: Python packages driven by the scripts in
//! `third_party/`, one JSON object a line both ways.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use crate::external::interpreter;
use crate::support::{ExporterProcess, InProcessExporter, TestClock, within_timeout};

pub(crate) const WEBSOCKET: &str = include_str!("third_party/websocket.py");
pub(crate) const SOCKETIO: &str = include_str!("third_party/socketio.py");

pub(crate) const OPEN: &str = "tradernet_security_sessions_open";
pub(crate) const UP: &str = "tradernet_up";
pub(crate) const CONNECTED: &str = "tradernet_stream_connected";

/// Short enough to see a reconnect.
pub(crate) const SHORT_INTERVAL: [(&str, &str); 2] = [
    ("TRADERNET_POLL_INTERVAL", "1s"),
    ("TRADERNET_TIMEOUT", "1s"),
];

/// This many sessions of a day.
pub(crate) fn sessions(count: u64) -> Value {
    let session = |id| json!({"id": id, "safety_type_id": 4, "expire": 80_000_000});
    (1..=count).map(session).collect()
}

/// An exporter in this process, in real time.
pub(crate) async fn start(given: &[(&str, &str)]) -> InProcessExporter {
    InProcessExporter::start_on(TestClock::with_tokio().clock(), given).await
}

/// The reasons of the first attempt, which fails. It has no list.
pub(crate) async fn first_failure(exporter: InProcessExporter) -> String {
    let page = exporter.first_attempt().await;
    assert_eq!(page.get(UP, &[]), 0.0);
    assert_eq!(page.get(CONNECTED, &[]), 0.0);
    assert_eq!(page.find(OPEN, &[]), None);
    exporter.stop().await;
    let reasons: Vec<String> = page.failures().into_keys().collect();
    reasons.join(" ")
}

/// The first attempt of the built binary, at log level debug, fails and shows none of these secrets.
pub(crate) async fn fails_without_secrets(given: &[(&str, &str)], secrets: &[&str]) {
    let variables = [given, &[("TRADERNET_LOG_LEVEL", "debug")]].concat();
    let mut program = ExporterProcess::start(&variables).await;
    let page = program.first_attempt().await;
    assert_eq!(page.get(UP, &[]), 0.0, "{given:?}");
    let failed = |line: &str| line.contains("poll failed");
    program.wait_for_log("the failure", failed).await;
    for text in [
        &program.log().join("\n"),
        &page.text,
        program.get("/").await.text(),
        program.get("/api/v1/accounts").await.text(),
    ] {
        for secret in secrets {
            assert!(!text.contains(secret), "{given:?}: {text}");
        }
    }
}

/// A running server; it ends when dropped.
pub(crate) struct StreamServer {
    pub(crate) port: u16,
    input: ChildStdin,
    told: watch::Receiver<Vec<Value>>,
    _child: Child,
}

impl StreamServer {
    pub(crate) async fn start(script: &str) -> Self {
        let mut child = Command::new(interpreter())
            .args(["-I", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let event = serde_json::from_str(&line).unwrap();
                tell.send_modify(|told: &mut Vec<Value>| told.push(event));
            }
        });
        let mut peer = Self {
            port: 0,
            input: child.stdin.take().unwrap(),
            told,
            _child: child,
        };
        let port = peer.wait("the peer listens", |told| {
            told.iter().find_map(|event| event["port"].as_u64())
        });
        peer.port = port.await.try_into().unwrap();
        peer
    }

    /// The origin for `TRADERNET_WS_URL` and its sibling.
    pub(crate) fn origin(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Has something done, and waits until it is.
    pub(crate) async fn tell(&mut self, command: Value) {
        let obeyed = |told: &[Value]| {
            let obeyed = told.iter().filter(|event| event["obeyed"] == json!(true));
            obeyed.count()
        };
        let before = obeyed(&self.told.borrow());
        self.input
            .write_all(format!("{command}\n").as_bytes())
            .await
            .unwrap();
        self.wait("the peer obeys", |told| {
            (obeyed(told) > before).then_some(())
        })
        .await;
    }

    /// Everything of one kind that it reported so far.
    pub(crate) fn all(&self, key: &str) -> Vec<Value> {
        of_kind(&self.told.borrow(), key)
    }

    /// Waits until it has reported so many of one kind, and returns them.
    pub(crate) async fn some(&mut self, key: &str, count: usize) -> Vec<Value> {
        self.wait(&format!("{count} times {key}"), |told| {
            Some(of_kind(told, key)).filter(|found| found.len() >= count)
        })
        .await
    }

    async fn wait<T>(&mut self, what: &str, look: impl Fn(&[Value]) -> Option<T>) -> T {
        within_timeout(what, async {
            loop {
                if let Some(found) = look(&self.told.borrow_and_update()) {
                    return found;
                }
                if self.told.changed().await.is_err() {
                    panic!("the peer ended: {:#?}", *self.told.borrow());
                }
            }
        })
        .await
    }
}

fn of_kind(told: &[Value], key: &str) -> Vec<Value> {
    let values = told.iter().map(|event| event[key].clone());
    values.filter(|value| !value.is_null()).collect()
}
