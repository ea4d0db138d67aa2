//! Servers not written here, as peers of the streams: Python packages driven by the scripts in
//! `third_party/`, one JSON object a line both ways.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use crate::external::interpreter;
use crate::support::within_timeout;

pub(crate) const WEBSOCKET: &str = include_str!("third_party/websocket.py");
pub(crate) const SOCKETIO: &str = include_str!("third_party/socketio.py");

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

    /// Everything of one kind that it told so far.
    pub(crate) fn all(&self, key: &str) -> Vec<Value> {
        let told = self.told.borrow();
        told.iter()
            .map(|event| event[key].clone())
            .filter(|value| !value.is_null())
            .collect()
    }

    /// Waits until it has told so many of one kind, and returns them.
    pub(crate) async fn some(&mut self, key: &str, count: usize) -> Vec<Value> {
        self.wait(&format!("{count} times {key}"), |told| {
            let found: Vec<Value> = told
                .iter()
                .map(|event| event[key].clone())
                .filter(|value| !value.is_null())
                .collect();
            (found.len() >= count).then_some(found)
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
