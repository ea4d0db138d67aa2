//! Liveness and readiness probes.

use std::time::Duration;

use tradernet_exporter::simulator::{AccountSpec, Fault};

use crate::support::{
    ExporterProcess, InProcessExporter, LOGIN, SID, SimulatedApi, advance_time, get, run_to_exit,
};

async fn hanging() -> SimulatedApi {
    let account = AccountSpec::new(LOGIN).sid(SID);
    let upstream = SimulatedApi::start_running(account).await;
    upstream.fail(Fault::NoResponse);
    upstream
}

#[tokio::test(start_paused = true)]
async fn readiness_latches_after_first_attempt() {
    let upstream = hanging().await;
    let exporter = InProcessExporter::start_unready(&upstream, &[("TRADERNET_SID", SID)]).await;
    upstream.wait_for_list_requests(1).await;
    assert_eq!(exporter.get("/-/ready").await.status, 503);
    assert_eq!(exporter.get("/-/healthy").await.status, 200);
    // The timeout of ten seconds.
    advance_time(Duration::from_secs(11)).await;
    assert_eq!(exporter.get("/-/ready").await.status, 200);
    assert_eq!(exporter.metrics().await.get("tradernet_up", &[]), 0.0);
    advance_time(Duration::from_secs(3600)).await;
    assert_eq!(exporter.get("/-/ready").await.status, 200);
    exporter.stop().await;
}

#[tokio::test]
async fn probe_listener_serves_only_probes() {
    let upstream = SimulatedApi::start().await;
    let variables = [
        ("TRADERNET_SID", SID),
        ("WEB_PROBE_LISTEN_ADDRESS", "127.0.0.1:0"),
    ];
    let mut program = ExporterProcess::start(&upstream.variables(&variables)).await;
    let line = program
        .wait_for_log("the probes' address", |line| {
            line.contains("listening for probes")
        })
        .await;
    let probes = line.split_once("address=").unwrap().1.to_owned();
    let address = probes.parse().unwrap();
    program.first_attempt().await;
    for (path, status) in [
        ("/-/healthy", 200),
        ("/-/ready", 200),
        ("/metrics", 404),
        ("/", 404),
        ("/api/v1/accounts", 404),
    ] {
        assert_eq!(get(address, path).await.status, status, "{path}");
    }
    // The health check uses this listener, even if none listens at the other address.
    let variables = [
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:1"),
        ("WEB_PROBE_LISTEN_ADDRESS", probes.as_str()),
    ];
    assert_eq!(
        run_to_exit(&["healthcheck"], &variables).await.code,
        Some(0)
    );
}
