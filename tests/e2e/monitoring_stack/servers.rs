//! Prometheus, Alertmanager and VictoriaMetrics, the real programs: on loopback, on a port that the
//! kernel chose, in a folder of their own, killed when dropped.

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

/// A server as it runs.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    folder: TempDir,
    _child: Child,
}

impl Server {
    /// Starts the program in a new folder with these files, and waits until `ready` answers 200.
    /// It must be told to listen on port 0 of 127.0.0.1, and on nothing else.
    pub(super) async fn start(
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
            let reply = ask(address, "GET", ready, &[]).await.ok()?;
            (reply.status == 200).then_some(address)
        })
        .await;
        Self {
            address,
            folder,
            _child: child,
        }
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The JSON of an answer that must be 200.
    pub(super) async fn json(&self, path: &str) -> Value {
        let reply = get(self.address, path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_str(reply.text()).unwrap()
    }

    /// What a query answers in Prometheus' API; fails where it answers an error.
    pub(super) async fn query(&self, api: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
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

    /// Looks until there is something to be seen, for things that take their time: some evaluations
    /// of rules that build on one another. Fails with what the last look has missed.
    pub(super) async fn eventually<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut(&Self) -> Result<T, String>,
    ) -> T {
        const PATIENCE: Duration = Duration::from_secs(90);
        let mut pace = tokio::time::interval(Duration::from_millis(250));
        let mut missed = String::new();
        let found = tokio::time::timeout(PATIENCE, async {
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
            Err(_) => panic!("not within {PATIENCE:?}: {what}: {missed}\n{}", self.log()),
        }
    }
}

/// Where the process listens. These programs log the port that they were given, 0, and not the one
/// that they got; the kernel knows it.
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
