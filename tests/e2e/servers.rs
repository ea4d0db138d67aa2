//! Runs Prometheus, Alertmanager and VictoriaMetrics: on loopback, on a port that the kernel chooses, in a
//! temporary folder, killed when dropped.

use std::collections::HashSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::{ask, get, wait_until_some};

/// Column `st` of `/proc/net/tcp` for a socket that listens.
const LISTEN: &str = "0A";

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    folder: TempDir,
    _child: Child,
}

impl Server {
    /// Starts the program in a new folder with these files, and waits until `ready` responds with 200.
    /// The arguments must make it listen on port 0 of 127.0.0.1 only.
    pub(crate) async fn start(
        program: &str,
        arguments: &[&str],
        files: &[(&str, &str)],
        ready: &str,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let log = File::create(folder.path().join("log")).unwrap();
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
        let id = child.id().unwrap();
        let address = wait_until_some(&format!("{program} is ready"), async || {
            if let Some(status) = child.try_wait().unwrap() {
                let log = fs::read_to_string(folder.path().join("log")).unwrap();
                panic!("{program} ended with {status}:\n{log}");
            }
            let address = listening(id)?;
            let reply = ask(address, "GET", ready, &[], "").await.ok()?;
            (reply.status == 200).then_some(address)
        })
        .await;
        Self {
            address,
            folder,
            _child: child,
        }
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The JSON of a response, which must have status 200.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let reply = get(self.address, path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_str(reply.text()).unwrap()
    }

    /// The result of a query in Prometheus' API; panics on an error.
    pub(crate) async fn query(&self, api: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
        let text: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let answer = self.json(&format!("/api/v1/{api}?{text}")).await;
        assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
        match &answer["data"] {
            Value::Array(found) => found.clone(),
            data if data["resultType"] == "scalar" => vec![data["result"].clone()],
            data => data["result"].as_array().unwrap().clone(),
        }
    }

    /// Calls `look` until it succeeds, for conditions that need several evaluations of rules. Panics with
    /// the last error.
    pub(crate) async fn eventually<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut(&Self) -> Result<T, String>,
    ) -> T {
        const TIMEOUT: Duration = Duration::from_secs(90);
        let mut pace = tokio::time::interval(Duration::from_millis(250));
        let mut missed = String::new();
        let found = tokio::time::timeout(TIMEOUT, async {
            loop {
                pace.tick().await;
                match look(self).await {
                    Ok(seen) => return seen,
                    Err(why) => missed = why,
                }
            }
        })
        .await;
        match found {
            Ok(seen) => seen,
            Err(_) => panic!("not within {TIMEOUT:?}: {what}: {missed}\n{}", self.log()),
        }
    }
}

/// The address on which the process listens. These programs log the configured port, 0; the kernel knows
/// the real one.
fn listening(id: u32) -> Option<SocketAddr> {
    let sockets: HashSet<String> = fs::read_dir(format!("/proc/{id}/fd"))
        .ok()?
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            let socket = target.to_str()?.strip_prefix("socket:[")?;
            Some(socket.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = table.lines().skip(1).find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        (*state == LISTEN && sockets.contains(*inode))
            .then(|| u16::from_str_radix(local.split(':').nth(1)?, 16).ok())?
    })?;
    Some((Ipv4Addr::LOCALHOST, port).into())
}
