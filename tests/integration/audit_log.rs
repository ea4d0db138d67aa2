//! The log as the audit trail, of many accounts, and with a reader that has stopped.

use std::fmt::Write as _;
use std::time::Duration;

use tradernet_exporter::simulator::{
    AccountSpec, Fault, FaultTarget, Repeat, SessionSpec, Simulator,
};

use crate::support::{ExporterProcess, LOGIN, SID, SimulatedApi, TestClock, ask};

const DAY: Duration = Duration::from_secs(86_400);

async fn start(upstream: &SimulatedApi, more: &[(&str, &str)]) -> ExporterProcess {
    let variables = [
        &[("TRADERNET_SID", SID), ("TRADERNET_POLL_INTERVAL", "1s")],
        more,
    ];
    ExporterProcess::start(&upstream.variables(&variables.concat())).await
}

#[tokio::test]
async fn sessions_and_rules_are_logged_with_what_the_details_allow() {
    // A server may send what must not be shown.
    let mut account = AccountSpec::new(LOGIN).sid(SID);
    account.user_login = Some(format!("trader\u{202e}{SID}"));
    let upstream = SimulatedApi::start_for_process(account, None).await;
    let rules = ("TRADERNET_MAX_SESSIONS", "1");
    let full = ("TRADERNET_SESSION_DETAILS", "full");
    let mut shows_all = start(&upstream, &[rules, full]).await;
    let mut shows_ids = start(&upstream, &[rules]).await;
    for program in [&mut shows_all, &mut shows_ids] {
        program
            .wait_for_log("an answer", |line| line.contains("first answer"))
            .await;
    }
    let account = upstream.account();
    let session = SessionSpec::new(2, DAY).client_ip("203.0.113.9");
    let one = account.open_session(session);
    let other = account.open_session(SessionSpec::new(None, DAY));
    let ids = [one, other].map(|id| format!("session_id={id}"));
    let mut lines = Vec::new();
    for (closes, texts) in [
        (
            None,
            ["session opened", &format!("{} safety_type_id=2", ids[0])],
        ),
        (None, ["session opened", &ids[1]]),
        (None, ["rule broken", "rule=max_sessions sessions=1"]),
        (Some(other), ["session closed", &ids[1]]),
        (None, ["rule holds again", "rule=max_sessions"]),
        (Some(one), ["session closed", "reason=ended"]),
        (None, ["no session left", "account=default"]),
    ] {
        if let Some(id) = closes {
            account.close_session(id);
        }
        for program in [&mut shows_all, &mut shows_ids] {
            let is_such = |line: &str| texts.iter().all(|text| line.contains(text));
            let line = program.wait_for_log(texts[0], is_such).await;
            assert!(line.contains(" level=info "), "{line}");
            lines.push(line);
        }
    }
    let (all, ids) = (&lines[0], &lines[1]);
    assert!(
        all.contains("user_login=") && all.contains("client_ip=203.0.113.9"),
        "{all}"
    );
    assert!(
        all.contains("[redacted]") && !all.contains('\u{202e}'),
        "{all}"
    );
    assert!(
        !ids.contains("user_login") && !ids.contains("client_ip"),
        "{ids}"
    );
}

#[tokio::test]
async fn many_accounts_start_fail_and_recover_in_a_few_lines() {
    const ACCOUNTS: usize = 60;
    let world = Simulator::new();
    let mut file = "defaults: {poll_interval: 3s, max_age: 1h}\naccounts:\n".to_owned();
    for n in 0..ACCOUNTS {
        let (name, sid) = (format!("desk-{n}"), format!("sid-of-desk-{n}"));
        writeln!(file, "  - {{account: {name}, sid: {sid}}}").unwrap();
        world.add_account(AccountSpec::new(name).sid(sid));
    }
    let upstream = SimulatedApi::serve_simulator(world, TestClock::new(), None).await;
    let file = file.replacen('{', &format!("{{url: \"{}\", ", upstream.origin), 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.yml");
    std::fs::write(&path, file).unwrap();
    let variables = [
        ("TRADERNET_CONFIG_FILE", path.to_str().unwrap()),
        ("TRADERNET_POLL_INTERVAL", ""),
    ];
    let mut program = ExporterProcess::start(&variables).await;
    let together = |line: &str| line.contains("accounts answer") && line.contains("recovered=0");
    program.wait_for_log("the start", together).await;
    let is_single = |line: &String| line.contains("first answer");
    assert!(!program.log().iter().any(is_single), "{:#?}", program.log());
    let first = program.log().remove(0);
    for text in [
        "msg=starting",
        "version=",
        "revision=",
        "accounts.yml",
        "accounts=60",
        "shard=0/1",
    ] {
        assert!(first.contains(text), "{first}");
    }
    let accounts = || (0..ACCOUNTS).map(|n| upstream.world.account(&format!("desk-{n}")));
    for account in accounts() {
        account.inject_fault(
            FaultTarget::SessionList,
            Repeat::Forever,
            Fault::status(503),
        );
    }
    let together = |line: &str| line.contains("polls failed") && line.contains("http_status:");
    program.wait_for_log("the outage", together).await;
    accounts().for_each(|account| account.clear_faults());
    let together = |line: &str| {
        let has_ended = line.contains("accounts answer") && !line.contains("recovered=0");
        has_ended && line.contains("outage_s=")
    };
    program
        .wait_for_log("the end of the outage", together)
        .await;
    let lines = program.log();
    let of_polls = ["poll failed", "answering again", "polls failed"];
    let of_polls = |line: &&String| of_polls.iter().any(|of| line.contains(of));
    // The line of the outage. A few accounts may fail before it begins to be collected.
    assert_eq!(lines.iter().filter(of_polls).count(), 1, "{lines:#?}");

    let file = std::fs::read_to_string(&path).unwrap();
    let (file, _) = file.split_at(file.find("  - {account: desk-58,").unwrap());
    let labelled = file.replace("{account: desk-7,", "{account: desk-7, labels: {desk: fx},");
    let signed = labelled.replace("sid: sid-of-desk-8}", "sid: another-sid}");
    std::fs::write(&path, signed + "  - {account: desk-60, sid: sid-60}\n").unwrap();
    program.signal("HUP").await;
    let reloaded = |line: &str| line.contains("configuration reloaded");
    let line = program.wait_for_log("the reload", reloaded).await;
    let counts = "by=SIGHUP added=1 removed=2 replaced=1 changed=1 kept=56";
    assert!(line.contains(counts), "{line}");
    for change in [
        "account=desk-7 change=changed",
        "account=desk-8 change=replaced",
        "account=desk-60 change=added",
        "account=desk-59 change=removed",
    ] {
        let of_account = |line: &str| line.contains(change);
        program.wait_for_log(change, of_account).await;
    }
    program.signal("TERM").await;
    let end = |line: &str| line.contains("msg=\"shutting down\" signal=SIGTERM");
    program.wait_for_log("the end", end).await;
}

#[tokio::test]
async fn a_blocked_reader_of_stderr_delays_neither_polls_nor_pages_nor_the_end() {
    let upstream = SimulatedApi::start_for_process(AccountSpec::new(LOGIN).sid(SID), None).await;
    let mut program = start(&upstream, &[("WEB_ENABLE_LIFECYCLE", "true")]).await;
    program.stop_reading_log();
    // More lines than a pipe and the reader's buffer hold.
    for _ in 0..1500 {
        let reply = ask(program.address, "PUT", "/-/log-level", &[], "info").await;
        assert_eq!(reply.unwrap().status, 200);
    }
    let requests = upstream.account().counters().lists;
    upstream.wait_for_list_requests(requests + 2).await;
    assert_eq!(program.get("/metrics").await.status, 200);
    assert_eq!(program.get("/-/healthy").await.status, 200);
    program.signal("TERM").await;
    assert_eq!(program.wait_exit().await.code(), Some(0));
}
