//! Listeners that are not addresses of the network: Unix sockets, and sockets from systemd.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::support::{ExporterProcess, SID, SimulatedApi, ask_socket, get, run_to_exit};

async fn status_from(socket: &Path) -> u16 {
    let reply = ask_socket(socket, "exporter", "GET", "/metrics", &[]).await;
    reply.unwrap().status
}

#[tokio::test]
async fn unix_socket_is_served_beside_tcp_and_removed_at_exit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let unix = format!("unix:{}", path.display());
    let both = format!("127.0.0.1:0,{unix}");
    // A process that was killed has left this one.
    drop(UnixListener::bind(&path).unwrap());
    let upstream = SimulatedApi::start().await;
    let variables = [("TRADERNET_SID", SID), ("WEB_LISTEN_ADDRESS", &both)];
    let mut program = ExporterProcess::start(&upstream.variables(&variables)).await;
    let listening = format!("msg=listening address={unix}");
    let line = program.wait_for_log("the socket", |line| line.ends_with(&listening));
    line.await;

    assert_eq!(get(program.address, "/metrics").await.status, 200);
    assert_eq!(status_from(&path).await, 200);
    let file = fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660);
    let settings = [("WEB_LISTEN_ADDRESS", unix.as_str())];
    let healthy = run_to_exit(&["healthcheck"], &settings).await;
    assert_eq!(healthy.code, Some(0), "{}", healthy.stderr);

    // A socket in use is not taken over.
    let second = [("TRADERNET_SID", SID), ("WEB_LISTEN_ADDRESS", &unix)];
    let second = run_to_exit(&[], &upstream.variables(&second)).await;
    assert_eq!(second.code, Some(1));
    let error = format!("cannot listen on {unix}: Address already in use");
    assert!(second.stderr.contains(&error), "{}", second.stderr);
    assert_eq!(status_from(&path).await, 200);

    program.signal("TERM").await;
    assert!(program.wait_exit().await.success());
    assert!(!path.exists());
    let unhealthy = run_to_exit(&["healthcheck"], &settings).await;
    assert_eq!(unhealthy.code, Some(1));
}

#[tokio::test]
async fn file_that_is_no_socket_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    fs::write(&path, "notes").unwrap();
    let unix = format!("unix:{}", path.display());
    let variables = [("TRADERNET_SID", SID), ("WEB_LISTEN_ADDRESS", &unix)];
    let run = run_to_exit(&[], &variables).await;
    assert_eq!(run.code, Some(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
}

#[tokio::test]
async fn sockets_from_systemd_are_served_and_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let unix = UnixListener::bind(&path).unwrap();
    let mut program = ExporterProcess::start_with_sockets(tcp.into(), unix.into()).await;
    assert_eq!(program.address, address);
    assert_eq!(get(address, "/metrics").await.status, 200);
    assert_eq!(status_from(&path).await, 200);

    let address = address.to_string();
    let systemd = ("WEB_SYSTEMD_SOCKET", "1");
    let with_address = [systemd, ("WEB_LISTEN_ADDRESS", address.as_str())];
    let run = run_to_exit(&["healthcheck"], &with_address).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let run = run_to_exit(&["healthcheck"], &[systemd]).await;
    let advice = "the address of systemd's socket is unknown here; set WEB_LISTEN_ADDRESS to it";
    assert_eq!(run.code, Some(1));
    assert_eq!(run.stderr, format!("tradernet-exporter: {advice}\n"));

    program.signal("TERM").await;
    assert!(program.wait_exit().await.success());
    assert!(path.exists());
}

#[tokio::test]
async fn systemd_without_a_socket_is_an_error() {
    let run = run_to_exit(&["demo", "--web.systemd-socket"], &[]).await;
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.stderr.lines().last().unwrap(),
        "tradernet-exporter: cannot use the sockets of systemd: no socket was passed; start the \
         exporter by systemd with a socket unit, or unset --web.systemd-socket"
    );
}

#[tokio::test]
async fn socket_from_systemd_that_does_not_listen_is_an_error() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let (connected, _peer) = UnixStream::pair().unwrap();
    let mut program = ExporterProcess::with_sockets(tcp.into(), connected.into());
    let run = program.spawn().unwrap().wait_with_output().await.unwrap();
    let run = String::from_utf8(run.stderr).unwrap();
    let error = "cannot use the sockets of systemd: a socket does not listen; the socket unit needs Accept=no";
    assert!(run.contains(error), "{run}");
}

#[tokio::test]
async fn unix_socket_of_another_process_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let unix = format!("unix:{},127.0.0.1:0", path.display());
    let upstream = SimulatedApi::start().await;
    let variables = [("TRADERNET_SID", SID), ("WEB_LISTEN_ADDRESS", &unix)];
    let mut program = ExporterProcess::start(&upstream.variables(&variables)).await;
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    program.signal("TERM").await;
    assert!(program.wait_exit().await.success());
    assert!(path.exists());
}
