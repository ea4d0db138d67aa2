//! `--help`, `--version`, `check` and `healthcheck`: what they print and how they end.

use std::time::Duration;

use tokio::net::TcpListener;
use tradernet_exporter::simulator::{
    AccountSpec, ErrorEnvelope, Fault, LoginBehaviour, SessionSpec, Simulator,
};

use crate::support::{ExporterProcess, LOGIN, SID, SimulatedApi, TestClock, run_to_exit};

/// The built binary has a clock of its own, so this world lives by the system's.
async fn upstream(account: AccountSpec) -> SimulatedApi {
    let world = Simulator::new();
    world.add_account(account);
    SimulatedApi::serve_simulator(world, TestClock::new(), None).await
}

#[tokio::test]
async fn help_fits_80_columns_and_names_what_there_is() {
    let run = run_to_exit(&["--help"], &[]).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    for line in run.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    for name in [
        "demo",
        "check",
        "healthcheck",
        "--web.listen-address",
        "--log.level",
        "--log.format",
        "--version",
        "TRADERNET_SID",
        "TRADERNET_LOGIN",
        "TRADERNET_PASSWORD",
        "TRADERNET_API_KEY",
        "TRADERNET_API_SECRET",
        "TRADERNET_POLL_INTERVAL",
        "TRADERNET_MAX_AGE",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
    ] {
        assert!(run.stdout.contains(name), "{name}");
    }
    for command in ["demo", "check", "healthcheck"] {
        let run = run_to_exit(&[command, "--help"], &[]).await;
        assert_eq!(run.code, Some(0));
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 80));
    }
}

#[test]
fn a_table_that_nobody_reads_and_one_that_cannot_be_written() {
    let check = |stdout: std::process::Stdio| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tradernet-exporter"))
            .args(["check", "--offline"])
            .env_clear()
            .env("TRADERNET_SID", SID)
            .stdout(stdout)
            .output()
            .unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), words)
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(check(writer.into()), (Some(0), String::new()));
    let full = std::fs::File::options().write(true).open("/dev/full");
    assert_eq!(
        check(full.unwrap().into()),
        (
            Some(1),
            "tradernet-exporter: cannot write the table: No space left on device (os error 28)\n"
                .to_owned()
        )
    );
}

#[tokio::test]
async fn version_is_one_line() {
    for flag in ["--version", "-V"] {
        let run = run_to_exit(&[flag], &[]).await;
        let start = format!(
            "tradernet-exporter {} (revision ",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        assert!(run.stdout.starts_with(&start), "{}", run.stdout);
        assert_eq!(run.stdout.lines().count(), 1);
    }
}

#[tokio::test]
async fn an_unknown_command_or_flag_ends_with_2() {
    for arguments in [&["serve"][..], &["--web.listen"], &["check", "now"]] {
        let run = run_to_exit(arguments, &[]).await;
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
}

#[tokio::test]
async fn check_shows_sessions_and_the_next_expiry() {
    let upstream = upstream(AccountSpec::new(LOGIN).sid(SID)).await;
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
        ("TRADERNET_ACCOUNT", "desk 1"),
    ];
    let run = run_to_exit(&["check"], &variables).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let empty = "ACCOUNT  TRANSPORT  SESSIONS  NEXT EXPIRY\ndesk 1   http       0         -\n";
    assert_eq!(run.stdout, empty);

    for hours in [3, 20] {
        let lifetime = Duration::from_secs(3600 * hours) + Duration::from_millis(900);
        upstream
            .world
            .account(LOGIN)
            .open_session(SessionSpec::new(4, lifetime));
    }
    let run = run_to_exit(&["check"], &variables).await;
    let row = run.stdout.lines().nth(1).unwrap();
    let unsettled = "in 3h, if expire is in milliseconds as documented";
    assert_eq!(row, format!("desk 1   http       2         {unsettled}"));
    let unit = ("TRADERNET_EXPIRE_UNIT", "ms");
    let run = run_to_exit(&["check"], &[&variables[..], &[unit]].concat()).await;
    let row = run.stdout.lines().nth(1).unwrap();
    assert_eq!(row, "desk 1   http       2         in 3h");
    assert_eq!(run.code, Some(0));
}

#[tokio::test]
async fn check_says_what_failed_and_what_to_do() {
    let refusal = ErrorEnvelope::error(12, "Wrong login or password");
    let account = AccountSpec::new(LOGIN)
        .sid(SID)
        .password("right")
        .login_behaviour(LoginBehaviour::Reject(refusal));
    let upstream = upstream(account).await;
    let url = ("TRADERNET_URL", upstream.origin.as_str());
    let row = |run: &crate::support::ProcessOutput| run.stdout.lines().nth(1).unwrap().to_owned();

    let login = [
        url,
        ("TRADERNET_LOGIN", LOGIN),
        ("TRADERNET_PASSWORD", "right"),
    ];
    let run = run_to_exit(&["check"], &login).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    assert_eq!(
        row(&run),
        "default  http       ?         failed (auth): the login was refused: \"Wrong login or password\" \
         (code 12); check login and password; a changed credential or POST /-/reload?account=NAME allows \
         another try"
    );
    // Asked once.
    assert_eq!(upstream.world.account(LOGIN).login_count(), 1);

    upstream.fail_once(Fault::HtmlPage);
    let run = run_to_exit(&["check"], &[url, ("TRADERNET_SID", SID)]).await;
    assert_eq!(run.code, Some(1));
    assert!(
        row(&run).starts_with(
            "default  http       ?         failed (decode): the answer cannot be read: "
        )
    );
    assert_eq!(upstream.world.account(LOGIN).list_request_count(), 1);
}

#[tokio::test]
async fn check_offline_asks_nobody() {
    let upstream = upstream(AccountSpec::new(LOGIN).sid(SID)).await;
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
    ];
    let run = run_to_exit(&["check", "--offline"], &variables).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let wanted = format!(
        "ACCOUNT  TRANSPORT  SESSIONS  NEXT EXPIRY\ndefault  http       -         not asked: {}\n",
        upstream.origin
    );
    assert_eq!(run.stdout, wanted);
    assert_eq!(upstream.world.requests().len(), 0);
}

#[tokio::test]
async fn healthcheck_tells_a_running_exporter_from_none() {
    let upstream = upstream(AccountSpec::new(LOGIN).sid(SID)).await;
    // An upstream that fails makes nobody unhealthy.
    upstream.fail(Fault::NoResponse);
    let account = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
    ];
    let program = ExporterProcess::start(&[], &account).await;
    let port = program.address.port();
    let wildcards = [
        format!("127.0.0.1:{port}"),
        format!("0.0.0.0:{port}"),
        format!(":{port}"),
    ];
    for address in &wildcards {
        // The exporter's own variables are read, and what is wrong with its account does not matter.
        let variables = [
            ("WEB_LISTEN_ADDRESS", address.as_str()),
            ("TRADERNET_SIDD", "x"),
        ];
        let run = run_to_exit(&["healthcheck"], &variables).await;
        assert_eq!(
            (run.code, run.stderr.as_str(), run.stdout.as_str()),
            (Some(0), "", ""),
            "{address}"
        );
    }
    // The probe listener is asked where there is one, even if the other would answer.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_address = silent.local_addr().unwrap().to_string();
    let variables = [
        ("WEB_LISTEN_ADDRESS", wildcards[0].as_str()),
        ("WEB_PROBE_LISTEN_ADDRESS", &silent_address),
    ];
    drop(silent);
    let run = run_to_exit(&["healthcheck"], &variables).await;
    assert_eq!(run.code, Some(1));
    let refused =
        format!("tradernet-exporter: {silent_address}: Connection refused (os error 111)\n");
    assert_eq!(run.stderr, refused);
}

#[tokio::test]
async fn healthcheck_waits_for_nobody_for_long() {
    // Accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let run = run_to_exit(&["healthcheck"], &[("WEB_LISTEN_ADDRESS", &address)]).await;
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.stderr,
        format!("tradernet-exporter: {address}: no answer within 3s\n")
    );
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = run_to_exit(
        &[],
        &[("TRADERNET_SID", "x"), ("WEB_LISTEN_ADDRESS", &address)],
    )
    .await;
    assert_eq!(run.code, Some(1));
    let wanted = format!(
        "tradernet-exporter: cannot listen on {address}: Address already in use (os error 98); choose \
         another with --web.listen-address\n"
    );
    assert_eq!(run.stderr, wanted);
}
