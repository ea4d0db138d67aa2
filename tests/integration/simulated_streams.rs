//! Streams from the simulator to the metrics page: pushes and reconnects. The details of both protocols
//! are tested against servers of other projects, in `tests/e2e`.

use std::time::Duration;

use tradernet_exporter::simulator::{AccountSpec, Disconnect, Repeat, SessionSpec, StreamFault};

use crate::support::{Exposition, InProcessExporter, LOGIN, SID, SimulatedApi};

const OPEN: &str = "tradernet_security_sessions_open";
const HOUR: Duration = Duration::from_secs(3600);
const TRANSPORTS: [&str; 2] = ["websocket", "socketio"];

async fn upstream() -> SimulatedApi {
    let account = AccountSpec::new(LOGIN).sid(SID).password("right");
    SimulatedApi::start_running(account).await
}

async fn start(
    upstream: &SimulatedApi,
    transport: &str,
    credential: (&str, &str),
) -> InProcessExporter {
    let variables = [
        ("TRADERNET_TRANSPORT", transport),
        ("TRADERNET_LOGIN", LOGIN),
        ("TRADERNET_POLL_INTERVAL", "1s"),
        credential,
    ];
    InProcessExporter::start_unready(upstream, &variables).await
}

async fn open(exporter: &InProcessExporter, count: f64) -> Exposition {
    exporter.wait_for_value(OPEN, count).await
}

#[tokio::test]
async fn changes_are_pushed() {
    for transport in TRANSPORTS {
        let upstream = upstream().await;
        let account = upstream.account();
        let exporter = start(&upstream, transport, ("TRADERNET_SID", SID)).await;
        open(&exporter, 0.0).await;
        let id = account.open_session(SessionSpec::new(2, HOUR));
        let page = open(&exporter, 1.0).await;
        assert_eq!(page.get("tradernet_up", &[]), 1.0);
        assert_eq!(page.get("tradernet_stream_connected", &[]), 1.0);
        account.close_session(id);
        let page = open(&exporter, 0.0).await;
        assert_eq!(
            page.get("tradernet_security_sessions_opened_total", &[]),
            1.0
        );
        assert_eq!(account.counters().handshakes, 1);
        assert_eq!(account.counters().lists, 0);
        exporter.stop().await;
    }
}

#[tokio::test]
async fn timeout_names_the_event_that_came_instead_of_the_list() {
    for (transport, frame) in [
        ("websocket", r#"["quotes",{}]"#),
        ("socketio", r#"42["quotes",{}]"#),
    ] {
        let upstream = upstream().await;
        let frames = StreamFault::RawFrames(vec![frame.to_owned()]);
        upstream
            .account()
            .inject_stream_fault(Repeat::Forever, frames);
        let exporter = start(&upstream, transport, ("TRADERNET_SID", SID)).await;
        let page = exporter.wait_for_value("tradernet_up", 0.0).await;
        assert_eq!(page.failures(), [("timeout".to_owned(), 1.0)].into());
        let accounts = exporter.get("/api/v1/accounts").await;
        let named = r#"the server sent the event \"quotes\" instead"#;
        assert!(accounts.text().contains(named), "{}", accounts.text());
        exporter.stop().await;
    }
}

#[tokio::test]
async fn each_kind_of_disconnect_is_followed_by_a_reconnect() {
    for transport in TRANSPORTS {
        let upstream = upstream().await;
        let account = upstream.account();
        account.open_session(SessionSpec::new(2, HOUR));
        let exporter = start(&upstream, transport, ("TRADERNET_SID", SID)).await;
        open(&exporter, 1.0).await;
        for (reconnects, how) in
            (1_u32..).zip([Disconnect::Close(1001), Disconnect::Eof, Disconnect::Reset])
        {
            assert_eq!(account.disconnect(how), 1);
            let page = exporter
                .wait_for("a reconnect", |page| {
                    page.get("tradernet_stream_reconnects_total", &[]) == f64::from(reconnects)
                        && page.get("tradernet_up", &[]) == 1.0
                })
                .await;
            assert_eq!(page.get(OPEN, &[]), 1.0, "{how:?}");
        }
        exporter.stop().await;
    }
}

#[tokio::test]
async fn revoked_sid_triggers_one_relogin() {
    for transport in TRANSPORTS {
        let upstream = upstream().await;
        let account = upstream.account();
        account.open_session(SessionSpec::new(2, HOUR));
        let exporter = start(&upstream, transport, ("TRADERNET_PASSWORD", "right")).await;
        open(&exporter, 1.0).await;
        account.revoke_sids();
        let page = exporter
            .wait_for("up again", |page| {
                page.get("tradernet_logins_total", &[]) == 2.0
                    && page.get("tradernet_up", &[]) == 1.0
            })
            .await;
        assert_eq!(page.get(OPEN, &[]), 1.0);
        assert_eq!(account.counters().logins, 2);
        exporter.stop().await;
    }
}
