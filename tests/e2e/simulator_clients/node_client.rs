//! A client in Node: a program that prints a JSON line for each event.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A test fails instead of hanging. Long, since Node starts slowly on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct NodeClient {
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
    _program: Child,
}

impl NodeClient {
    /// Starts a script of `tests/e2e/third_party`, with these variables too.
    pub(super) fn start(script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut program = Command::new("node")
            .arg(folder().join(script))
            .args(arguments)
            .env("NODE_PATH", modules())
            .envs(variables.iter().copied())
            // A client on loopback must not use a proxy of the test run's environment.
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is needed: scripts/setup-tests.sh installs it");
        Self {
            lines: BufReader::new(program.stdout.take().unwrap()).lines(),
            input: program.stdin.take().unwrap(),
            _program: program,
        }
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(TIMEOUT, self.lines.next_line())
            .await
            .expect("in time")
            .unwrap()
            .expect("the peer ended: its standard error says why");
        serde_json::from_str(&line).unwrap()
    }

    /// The next event of this name; others are skipped.
    pub(super) async fn next_of(&mut self, event: &str) -> Value {
        loop {
            let happened = self.next().await;
            if happened["event"] == event {
                return happened;
            }
        }
    }

    /// Sends the program a command.
    pub(super) async fn tell(&mut self, word: &str) {
        let line = format!("{word}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/third_party")
}

/// The folder of the packages: as the environment names it, or as `npm ci` makes it beside the scripts.
fn modules() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "the caller says where the tests' tools are"
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
