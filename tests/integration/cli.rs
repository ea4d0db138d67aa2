//! `--help`, `--version`, `check` and `healthcheck`: output and exit codes.

use std::time::Duration;

use tokio::net::TcpListener;
use tradernet_exporter::simulator::{AccountSpec, ExpireUnit, Fault, SessionSpec};

use crate::support::{ExporterProcess, LOGIN, SID, SimulatedApi, run_to_exit};

async fn upstream() -> SimulatedApi {
    SimulatedApi::start_for_process(AccountSpec::new(LOGIN).sid(SID), None).await
}

/// That every variable is listed is tested in `src/config/tests/names.rs`.
#[tokio::test]
async fn help_lists_what_applies_to_a_command_in_80_columns() {
    for (command, listed, not_listed) in [
        (
            "",
            "demo --shard [env: TRADERNET_SHARD] TRADERNET_SID NO_PROXY",
            "--strict",
        ),
        (
            "check",
            "--strict --config.file TRADERNET_SID NO_PROXY",
            "--web. --log.",
        ),
        (
            "demo",
            "--web.listen-address --log.level NO_PROXY",
            "--config.file TRADERNET_SID",
        ),
        (
            "healthcheck",
            "[env: WEB_PROBE_LISTEN_ADDRESS]",
            "--web.telemetry-path --log. NO_PROXY",
        ),
        ("completions", "bash", "--web. NO_PROXY"),
        ("man", "manual", "NO_PROXY --web."),
        ("hash-password", "bcrypt", "NO_PROXY --web."),
    ] {
        let arguments: Vec<&str> = [command, "--help"]
            .into_iter()
            .filter(|a| !a.is_empty())
            .collect();
        let run = run_to_exit(&arguments, &[]).await;
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        for line in run.stdout.lines() {
            assert!(line.chars().count() <= 80, "{line:?}");
        }
        let words: Vec<&str> = run.stdout.split_whitespace().collect();
        let help = words.join(" ");
        for word in listed.split(' ') {
            assert!(help.contains(word), "{command}: {word}");
        }
        for word in not_listed.split(' ') {
            assert!(!help.contains(word), "{command}: {word}");
        }
    }
}

#[tokio::test]
async fn completions_and_manual_page_name_the_flags() {
    for (arguments, expected) in [
        (&["completions", "bash"][..], "--web.listen-address"),
        (&["completions", "fish"], "web.listen-address"),
        (&["man"], "web.listen\\-address"),
        // Of a command, which has no page of its own.
        (&["man"], "\\-\\-strict"),
    ] {
        let run = run_to_exit(arguments, &[]).await;
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        assert!(run.stdout.contains(expected), "{arguments:?}");
    }
}

#[test]
fn check_exit_code_for_closed_and_full_stdout() {
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
            "tradernet-exporter: cannot write the report: No space left on device (os error 28)\n"
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
async fn unknown_command_or_flag_exits_with_2() {
    for arguments in [&["serve"][..], &["--web.listen"], &["check", "now"]] {
        let run = run_to_exit(arguments, &[]).await;
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
}

#[tokio::test]
async fn check_reports_sessions_types_expiry_and_broken_rules() {
    let upstream = upstream().await;
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
        ("TRADERNET_ACCOUNT", "desk 1"),
        ("TRADERNET_MIN_SESSIONS", "1"),
    ];
    let run = run_to_exit(&["check"], &variables).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let empty = "\
ACCOUNT  TRANSPORT  SESSIONS  TYPES  NEXT EXPIRY  BROKEN RULES
desk 1   http       0         -      -            min_sessions 1

1 of 1 account answered, 0 failed, 1 breaks a rule
";
    assert_eq!(run.stdout, empty);
    let strict = run_to_exit(&["check", "--strict"], &variables).await;
    assert_eq!((strict.code, strict.stdout.as_str()), (Some(1), empty));

    for (safety_type, hours) in [(4, 3), (10, 20)] {
        let lifetime = Duration::from_secs(3600 * hours + 59);
        upstream
            .account()
            .open_session(SessionSpec::new(safety_type, lifetime));
    }
    let unit = ("TRADERNET_EXPIRE_UNIT", "ms");
    let run = run_to_exit(&["check", "--strict"], &[&variables[..], &[unit]].concat()).await;
    assert_eq!(run.code, Some(0));
    let full = "\
ACCOUNT  TRANSPORT  SESSIONS  TYPES                       NEXT EXPIRY   BROKEN RULES
desk 1   http       2         password 1, unknown (10) 1  in 3 h 0 min  -

1 of 1 account answered, 0 failed, 0 break a rule
";
    assert_eq!(run.stdout, full);
}

#[tokio::test]
async fn check_reports_once_that_expire_looks_like_seconds() {
    let account = |name: &str| AccountSpec::new(name).sid(name);
    let upstream = SimulatedApi::start_for_process(account("desk-1"), None).await;
    for name in ["desk-2", "desk-3"] {
        upstream.world.add_account(account(name));
    }
    for (name, unit) in [
        ("desk-1", ExpireUnit::Seconds),
        ("desk-2", ExpireUnit::Seconds),
        ("desk-3", ExpireUnit::Milliseconds),
    ] {
        let account = upstream.world.account(name);
        account.change_spec(|spec| spec.expire_unit = unit);
        account.open_session(SessionSpec::new(4, Duration::from_secs(80_000)));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.yml");
    let check = async |defaults: &str| {
        let accounts = ["desk-1", "desk-2", "desk-3"]
            .map(|name| format!("  - {{account: {name}, sid: {name}}}\n"));
        let text = format!(
            "defaults: {{url: '{}'{defaults}}}\naccounts:\n{}",
            upstream.origin,
            accounts.concat()
        );
        std::fs::write(&file, text).unwrap();
        let run = run_to_exit(&["check", "--config.file", file.to_str().unwrap()], &[]).await;
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        let notes = run.stdout.lines().filter(|line| line.starts_with("note: "));
        notes.map(str::to_owned).collect::<Vec<_>>()
    };
    let seconds = "note: `expire` looks like seconds, compared with `expire_datetime` and the answer's `Date`; \
                   times are shown as milliseconds (TRADERNET_EXPIRE_UNIT=s): desk-1, desk-2";
    assert_eq!(check("").await[0], seconds);
    assert_eq!(check(", expire_unit: ms").await, [seconds]);
    assert_eq!(check(", expire_unit: s").await, Vec::<String>::new());
}

#[tokio::test]
async fn check_json_has_accounts_and_counts() {
    let upstream = upstream().await;
    let session = SessionSpec::new(4, Duration::from_secs(3600));
    upstream.account().open_session(session);
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
        ("TRADERNET_ALLOWED_SAFETY_TYPES", "2"),
    ];
    let run = run_to_exit(&["check", "--format", "json"], &variables).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let counts = ["answered", "failed", "breaking_rules"].map(|key| report[key].as_u64());
    assert_eq!(counts, [Some(1), Some(0), Some(1)]);
    let account = &report["accounts"][0];
    assert_eq!(account["account"], "default");
    assert!(account["error"].is_null());
    let sessions = &account["sessions"];
    assert_eq!(sessions["open"], 1);
    assert_eq!(sessions["by_safety_type"][0]["safety_type"], "password");
    assert_eq!(sessions["violating"]["safety_type"], 1);
    assert!(sessions["next_expiry_timestamp_seconds"].is_f64());
    assert_eq!(sessions["expire_unit"], "milliseconds");
}

#[tokio::test]
async fn check_reports_each_error_with_advice_for_its_account() {
    let upstream = upstream().await;
    let login = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_LOGIN", LOGIN),
        ("TRADERNET_PASSWORD", "right"),
        ("TRADERNET_ACCOUNT", "desk 1"),
    ];
    let run = run_to_exit(&["check"], &login).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(
        lines[1],
        "desk 1   http       failed: auth  ?      ?            ?"
    );
    assert!(lines[3].starts_with("desk 1: "), "{}", lines[3]);
    assert!(lines[3].contains("Wrong login or password"), "{}", lines[3]);
    assert!(
        lines[3].contains("; check login and password")
            && lines[3].contains("/-/reload?account=desk+1 "),
        "{}",
        lines[3]
    );
    assert_eq!(
        lines.last().unwrap(),
        &"0 of 1 account answered, 1 failed, 0 break a rule"
    );
    assert_eq!(upstream.account().counters().logins, 1);
}

#[tokio::test]
async fn check_names_the_accounts_of_an_error_and_of_a_note_once() {
    let (key, secret) = ("public-key", "secret-of-the-key");
    let account = AccountSpec::new("desk-1").key(key, secret);
    let upstream = SimulatedApi::start_for_process(account, None).await;
    let own = SessionSpec::new(14, Duration::from_secs(3600));
    upstream.world.account("desk-1").open_session(own);
    let text = |min_types: &str| {
        let mut text = format!(
            "defaults: {{url: '{}'}}\naccounts:\n  - {{account: key, api_key: {key}, api_secret: {secret}, \
             expire_unit: ms, min_sessions: 1{min_types}}}\n",
            upstream.origin
        );
        for n in 10..35 {
            text += &format!("  - {{account: desk-{n}, sid: an-unknown-sid}}\n");
        }
        text
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.yml");
    let check = async |text: String| {
        std::fs::write(&file, text).unwrap();
        let run = run_to_exit(&["check", "--config.file", file.to_str().unwrap()], &[]).await;
        let below = run.stdout.split_once("\n\n").unwrap().1.to_owned();
        below.split("\n\n").map(str::to_owned).collect::<Vec<_>>()
    };
    let below = check(text("")).await;
    assert_eq!(below.len(), 3, "{below:#?}");
    assert!(
        below[0].starts_with("desk-10, desk-11, ") && below[0].contains(", desk-29 and 5 more: ")
    );
    assert!(below[1].starts_with("note: sessions of the type") && below[1].ends_with(": key"));
    assert!(
        below[2].starts_with("1 of 26 accounts answered, 25 failed"),
        "{}",
        below[2]
    );
    assert_eq!(
        check(text(", min_sessions_safety_types: sms")).await.len(),
        2
    );
}

#[tokio::test]
async fn check_offline_sends_nothing() {
    let upstream = upstream().await;
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
    ];
    let run = run_to_exit(&["check", "--offline"], &variables).await;
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (Some(0), "the configuration is valid; accounts: 1\n", "")
    );
    let run = run_to_exit(&["check", "--offline", "--format=json"], &variables).await;
    assert_eq!(run.stdout, "{\"valid\": true, \"accounts\": 1}\n");
    let misspelt = [&variables[..], &[("WEB_LISTEN_ADRESS", ":80")]].concat();
    let run = run_to_exit(&["check", "--offline"], &misspelt).await;
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (
            Some(0),
            "tradernet-exporter: warning: unknown variable WEB_LISTEN_ADRESS is ignored; did you mean WEB_LISTEN_ADDRESS?\n"
        )
    );
    assert_eq!(upstream.world.requests().len(), 0);
}

#[tokio::test]
async fn healthcheck_probes_the_running_exporter() {
    let upstream = upstream().await;
    // A failing upstream does not make the exporter unhealthy.
    upstream.fail(Fault::NoResponse);
    let program = ExporterProcess::start(&upstream.variables(&[("TRADERNET_SID", SID)])).await;
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
    // A probe listener is preferred, even if the other would answer.
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
async fn healthcheck_times_out() {
    // Accepts and sends nothing.
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
async fn listen_address_in_use_is_reported() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = run_to_exit(
        &[],
        &[("TRADERNET_SID", "x"), ("WEB_LISTEN_ADDRESS", &address)],
    )
    .await;
    assert_eq!(run.code, Some(1));
    let expected = format!(
        "tradernet-exporter: cannot listen on {address}: Address already in use (os error 98); choose \
         another with --web.listen-address\n"
    );
    assert!(run.stderr.ends_with(&expected), "{}", run.stderr);
}
