//! A client in Node, run as a program that tells what happens to it, a JSON line at a time.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Fails instead of hanging. Long: Node starts slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct NodeClient {
    lines: Lines<BufReader<ChildStdout>>,
    words: ChildStdin,
    _program: Child,
}

impl NodeClient {
    /// Starts a script of `tests/e2e/third_party`.
    pub(super) fn start(script: &str, arguments: &[&str]) -> Self {
        let mut program = Command::new("node")
            .arg(folder().join(script))
            .args(arguments)
            .env("NODE_PATH", modules())
            // It is a client on loopback; what the tests' own environment says of proxies is not for it.
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is needed: scripts/setup-tests.sh installs it");
        Self {
            lines: BufReader::new(program.stdout.take().unwrap()).lines(),
            words: program.stdin.take().unwrap(),
            _program: program,
        }
    }

    /// What happens next.
    pub(super) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line())
            .await
            .expect("in time")
            .unwrap()
            .expect("the peer ended: its standard error says why");
        serde_json::from_str(&line).unwrap()
    }

    /// The next of this event; others are passed over.
    pub(super) async fn next_of(&mut self, event: &str) -> Value {
        loop {
            let happened = self.next().await;
            if happened["event"] == event {
                return happened;
            }
        }
    }

    /// Tells it to do something.
    pub(super) async fn tell(&mut self, word: &str) {
        let line = format!("{word}\n");
        self.words.write_all(line.as_bytes()).await.unwrap();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/third_party")
}

/// Where the packages are: the folder that the environment names, or the one that `npm ci` makes beside the
/// scripts.
fn modules() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "where the tests' tools are is the caller's affair"
    )]
    let named = std::env::var_os("TEST_NODE_MODULES");
    let modules = named.map_or_else(|| folder().join("node_modules"), PathBuf::from);
    assert!(
        modules.join("ws").is_dir() && modules.join("socket.io-client").is_dir(),
        "no packages in {}: run `npm ci` in tests/e2e/third_party, or scripts/setup-tests.sh",
        modules.display()
    );
    modules
}
