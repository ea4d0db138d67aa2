//! The built binary, in an environment that holds only what the test gives it.

use std::ffi::OsStr;
use std::future::Future;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};

use super::address::listening;
use super::client::ExporterClient;
use super::exporter::variables;
use super::wait::within_timeout;

/// The built binary as it runs; killed when dropped.
pub(crate) struct ExporterProcess {
    client: ExporterClient,
    child: Child,
    log: watch::Receiver<Vec<String>>,
    stop_reading: Arc<Notify>,
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct ProcessOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for ProcessOutput {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_tradernet-exporter");

fn command(arguments: &[&str], given: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env_clear()
        .envs(given.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the binary to its end with exactly these variables.
pub(crate) async fn run_to_exit(arguments: &[&str], given: &[(&str, &str)]) -> ProcessOutput {
    let output = command(arguments, given).output();
    let output = within_timeout("the program ends", output).await.unwrap();
    output.into()
}

/// Runs the binary to its end in an empty environment with this standard input.
pub(crate) async fn run_with_input(arguments: &[&str], input: &str) -> ProcessOutput {
    let mut command = command(arguments, &[]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output();
    let output = within_timeout("the program ends", output).await.unwrap();
    output.into()
}

/// Serves with these variables over the tests' defaults, and ends it after this event.
pub(crate) async fn run_until(
    given: &[(&str, &str)],
    event: impl Future<Output = ()>,
) -> ProcessOutput {
    let child = command(&[], &variables(given)).spawn().unwrap();
    let id = child.id().unwrap();
    within_timeout("the event", event).await;
    signal(id, "TERM").await;
    let output = within_timeout("the program ends", child.wait_with_output())
        .await
        .unwrap();
    output.into()
}

/// Through a shell, since there is no safe call for it in the standard library.
async fn signal(id: u32, name: &str) {
    let script = format!("kill -{name} {id}");
    let status = Command::new("/bin/sh").arg("-c").arg(script).status();
    assert!(status.await.unwrap().success());
}

impl Deref for ExporterProcess {
    type Target = ExporterClient;

    fn deref(&self) -> &ExporterClient {
        &self.client
    }
}

impl ExporterProcess {
    /// Starts the binary with these variables over the tests' defaults, and waits until it listens.
    pub(crate) async fn start(given: &[(&str, &str)]) -> Self {
        Self::spawn(command(&[], &variables(given))).await
    }

    /// Starts the demo, and waits until it listens.
    pub(crate) async fn start_demo() -> Self {
        let address = ("WEB_LISTEN_ADDRESS", "127.0.0.1:0");
        Self::spawn(command(&["demo"], &[address])).await
    }

    /// Starts the demo with these sockets as systemd would, and waits until it listens.
    pub(crate) async fn start_with_sockets(first: OwnedFd, second: OwnedFd) -> Self {
        Self::spawn(Self::with_sockets(first, second)).await
    }

    pub(crate) fn with_sockets(first: OwnedFd, second: OwnedFd) -> Command {
        // A shell, since the variable needs the number of the process.
        let script = "exec 3<&0 4<&1 </dev/null >/dev/null
            LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" demo --web.systemd-socket";
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", script, PROGRAM])
            .env_clear()
            .stdin(first)
            .stdout(second)
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        shell
    }

    async fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (log, mut read) = watch::channel(Vec::new());
        let stop_reading = Arc::<Notify>::default();
        let stopped = Arc::clone(&stop_reading);
        tokio::spawn(async move {
            let read = async {
                while let Ok(Some(line)) = lines.next_line().await {
                    log.send_modify(|log| log.push(line));
                }
            };
            tokio::select! {
                () = read => {}
                // The pipe stays open.
                () = stopped.notified() => std::future::pending().await,
            }
        });
        let listening = within_timeout("the program listens", async {
            loop {
                let address = read
                    .borrow_and_update()
                    .iter()
                    .find_map(|line| listening(line));
                if let Some(address) = address {
                    return address;
                }
                if read.changed().await.is_err() {
                    panic!("the program ended: {:#?}", *read.borrow());
                }
            }
        });
        let address = listening.await;
        Self {
            client: ExporterClient { address },
            child,
            log: read,
            stop_reading,
        }
    }

    /// Reads its log no further: the pipe fills up.
    pub(crate) fn stop_reading_log(&self) {
        self.stop_reading.notify_one();
    }

    /// Its log so far, line by line.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Waits for such a line and returns it.
    pub(crate) async fn wait_for_log(
        &mut self,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let found = async {
            loop {
                let lines = self.log.borrow_and_update().clone();
                if let Some(line) = lines.into_iter().find(|line| wanted(line)) {
                    return line;
                }
                if self.log.changed().await.is_err() {
                    panic!("the log ended without {what}: {:#?}", *self.log.borrow());
                }
            }
        };
        within_timeout(what, found).await
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("the program runs")
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) async fn signal(&self, name: &str) {
        signal(self.id(), name).await;
    }

    /// Waits for its end.
    pub(crate) async fn wait_exit(&mut self) -> ExitStatus {
        within_timeout("the program ends", self.child.wait())
            .await
            .unwrap()
    }
}

/// Runs another program to its end.
pub(crate) async fn other(
    program: impl AsRef<OsStr>,
    arguments: &[&str],
    given: &[(&str, &str)],
    input: &[u8],
) -> ProcessOutput {
    use tokio::io::AsyncWriteExt as _;
    let name = program.as_ref().to_string_lossy().into_owned();
    let mut child = Command::new(program)
        .args(arguments)
        .envs(given.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let ended = async {
        let write = async {
            // A program may end before it has read all; its exit code is checked.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        tokio::join!(write, child.wait_with_output()).1.unwrap()
    };
    let output = within_timeout(&format!("{name} ends"), ended).await;
    output.into()
}
