//! What is refused at start: word for word, everything at once, secrets never shown.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use tradernet_exporter::Config;
use tradernet_exporter::config::Flags;

use crate::support::run_to_exit;

type Variables<'a> = &'a [(&'a str, &'a str)];

const SID: (&str, &str) = ("TRADERNET_SID", "hunter2");
const KEY: (&str, &str) = ("TRADERNET_API_KEY", "hunter2");
const SECRET: (&str, &str) = ("TRADERNET_API_SECRET", "hunter2");
const LOGIN: (&str, &str) = ("TRADERNET_LOGIN", "desk-1");
const PASSWORD: (&str, &str) = ("TRADERNET_PASSWORD", "hunter2");

/// Serving, checking, and checking offline: all refuse the same with exit code 2, before anybody is asked.
async fn is_refused(variables: Variables<'_>, wanted: &[&str]) {
    let wanted: String = wanted
        .iter()
        .map(|line| format!("tradernet-exporter: {line}\n"))
        .collect();
    for arguments in [&[][..], &["check"], &["check", "--offline"]] {
        let run = run_to_exit(arguments, variables).await;
        assert_eq!(run.stderr, wanted, "{variables:?}");
        assert_eq!(run.code, Some(2), "{variables:?}");
        assert_eq!(run.stdout, "");
        assert!(!run.stderr.contains("hunter2"));
    }
}

#[tokio::test]
async fn credentials() {
    let one = "unset one of them; an account has one credential";
    is_refused(
        &[],
        &["TRADERNET_SID: no credential is set: set TRADERNET_SID, or TRADERNET_LOGIN and TRADERNET_PASSWORD, \
           or TRADERNET_API_KEY and TRADERNET_API_SECRET (or their _FILE forms)"],
    )
    .await;
    for (variables, wanted) in [
        (
            &[SID, ("TRADERNET_SID_FILE", "/run/sid")][..],
            "TRADERNET_SID: is set together with TRADERNET_SID_FILE: unset one of them",
        ),
        (
            &[SID, LOGIN, PASSWORD],
            &format!("TRADERNET_PASSWORD: is set together with TRADERNET_SID: {one}"),
        ),
        (
            &[SID, KEY, SECRET],
            &format!("TRADERNET_API_KEY: is set together with TRADERNET_SID: {one}"),
        ),
        (
            &[LOGIN, PASSWORD, KEY, SECRET],
            &format!("TRADERNET_API_KEY: is set together with TRADERNET_PASSWORD: {one}"),
        ),
        (
            &[KEY],
            "TRADERNET_API_SECRET: is missing: TRADERNET_API_KEY is of no use without it",
        ),
        (
            &[SECRET],
            "TRADERNET_API_KEY: is missing: TRADERNET_API_SECRET is of no use without it",
        ),
        (
            &[LOGIN],
            "TRADERNET_LOGIN=\"desk-1\": has no password: set TRADERNET_PASSWORD or TRADERNET_PASSWORD_FILE",
        ),
        (
            &[PASSWORD],
            "TRADERNET_PASSWORD: has no login: set TRADERNET_LOGIN",
        ),
        (
            &[SID, ("TRADERNET_API_VERSION", "3")],
            "TRADERNET_API_VERSION=\"3\": does not go with an SID or a login: use 1, or a key pair",
        ),
        (
            &[LOGIN, PASSWORD, ("TRADERNET_API_VERSION", "2")],
            "TRADERNET_API_VERSION=\"2\": does not go with an SID or a login: use 1, or a key pair",
        ),
        (
            &[KEY, SECRET, ("TRADERNET_API_VERSION", "1")],
            "TRADERNET_API_VERSION=\"1\": does not go with a key pair: use 2 or 3",
        ),
        (
            &[SID, ("TRADERNET_API_VERSION", "4")],
            "TRADERNET_API_VERSION=\"4\": is none of 1, 2, 3",
        ),
        (
            &[("TRADERNET_SID", "hunter2 ")],
            "TRADERNET_SID: has a space or another character that no SID or key has: check how it was copied",
        ),
        (
            &[("TRADERNET_SID_FILE", "/nowhere/sid")],
            "TRADERNET_SID_FILE: secret file /nowhere/sid: cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        is_refused(variables, &[wanted]).await;
    }
}

#[tokio::test]
async fn secret_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let path = file.to_str().unwrap();
    let control = "contains a line break or another control character";
    for (content, wanted) in [
        (&b""[..], "is empty"),
        (b" \n", "is empty"),
        (b"hunter2\nhunter3\n", control),
        (b"hunter2\xff", "is not UTF-8"),
        (&[b'x'; 70_000], "cannot be read: larger than 64 KiB"),
    ] {
        std::fs::write(&file, content).unwrap();
        let wanted = format!("TRADERNET_PASSWORD_FILE: secret file {path}: {wanted}");
        is_refused(&[LOGIN, ("TRADERNET_PASSWORD_FILE", path)], &[&wanted]).await;
    }
}

#[tokio::test]
async fn misspelt_names() {
    for (name, nearest) in [
        ("TRADERNET_SIDD", "TRADERNET_SID"),
        ("TRADERNET_sid", "TRADERNET_SID"),
        ("TRADERNET_PASWORD", "TRADERNET_PASSWORD"),
        ("TRADERNET_APIKEY", "TRADERNET_API_KEY"),
        ("TRADERNET_INTERVAL", "TRADERNET_POLL_INTERVAL"),
        ("TRADERNET_ALLOWED_PINS", "TRADERNET_ALLOWED_LOGINS"),
    ] {
        let wanted = format!(
            "{name}: unknown variable; the nearest known one is {nearest} \
             (its value is not shown: it may be a secret)"
        );
        is_refused(&[SID, (name, "hunter2")], &[&wanted]).await;
    }
    for (name, value, nearest) in [
        ("TRADERNET_POLL_INTERVALL", "30s", "TRADERNET_POLL_INTERVAL"),
        ("TRADERNET_TIMOUT", "5s", "TRADERNET_TIMEOUT"),
        ("TRADERNET_LOGN", "desk-1", "TRADERNET_LOGIN"),
        (
            "TRADERNET_API_SECERT_FILE",
            "/run/secret",
            "TRADERNET_API_SECRET_FILE",
        ),
    ] {
        let wanted =
            format!("{name}={value:?}: unknown variable; the nearest known one is {nearest}");
        is_refused(&[SID, (name, value)], &[&wanted]).await;
    }
}

#[tokio::test]
async fn times() {
    let not_a_duration = "is no duration: write 30s, 1m, or a number of seconds";
    for (name, value, wanted) in [
        (
            "TRADERNET_POLL_INTERVAL",
            "500ms",
            "is too short: at least 1s",
        ),
        ("TRADERNET_POLL_INTERVAL", "0", "is too short: at least 1s"),
        ("TRADERNET_POLL_INTERVAL", "2d", "is too long: at most 1day"),
        ("TRADERNET_POLL_INTERVAL", "-1", not_a_duration),
        ("TRADERNET_POLL_INTERVAL", "nan", not_a_duration),
        ("TRADERNET_POLL_INTERVAL", "soon", not_a_duration),
        ("TRADERNET_TIMEOUT", "0s", "is too short: at least 10ms"),
        (
            "TRADERNET_TIMEOUT",
            "31s",
            "is longer than the polling interval of 30s: shorten it, or raise TRADERNET_POLL_INTERVAL",
        ),
        (
            "TRADERNET_MAX_AGE",
            "39s",
            "is too short: at least 40s (polling interval and timeout together)",
        ),
        ("TRADERNET_MAX_LIFETIME", "never", not_a_duration),
    ] {
        let wanted = format!("{name}={value:?}: {wanted}");
        is_refused(&[SID, (name, value)], &[&wanted]).await;
    }
}

#[tokio::test]
async fn origins() {
    let more = "is more than an origin: write https://host or https://host:port";
    let plain = "would send credentials unencrypted: use https://, http:// is for loopback alone";
    for (value, wanted) in [
        ("http://tradernet.com", plain),
        ("http://127.0.0.1.example.com", plain),
        ("http://localhost.example.com", plain),
        ("http://10.0.0.1", plain),
        ("https://tradernet.com/api", more),
        ("ftp://tradernet.com", "has the scheme ftp: use https://"),
        (
            "tradernet.com",
            "is no URL: write https://host, as in https://tradernet.com",
        ),
    ] {
        let wanted = format!("TRADERNET_URL={value:?}: {wanted}");
        is_refused(&[SID, ("TRADERNET_URL", value)], &[&wanted]).await;
    }
    // What may hold a secret is not shown.
    let names = "has a user name or password in it: give credentials in their own variables";
    for (value, wanted) in [
        ("https://desk:hunter2@tradernet.com", names),
        ("https://tradernet.com/?SID=hunter2", more),
    ] {
        let wanted = format!("TRADERNET_URL: {wanted}");
        is_refused(&[SID, ("TRADERNET_URL", value)], &[&wanted]).await;
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let long = "x".repeat(129);
    let long_name = format!("TRADERNET_ACCOUNT=\"{long}\": is longer than 128 characters");
    let address = "is no address to listen on: write 127.0.0.1:10460, [::]:10460 or :10460";
    is_refused(
        &[
            SID,
            ("TRADERNET_ACCOUNT", &long),
            ("TRADERNET_POLL_INTERVAL", "soon"),
            // Not measured by an interval that is wrong itself.
            ("TRADERNET_TIMEOUT", "40s"),
            ("TRADERNET_EXPIRE_UNIT", "us"),
            ("TRADERNET_SESSION_DETAILS", "all"),
            ("TRADERNET_MIN_SESSIONS", "3"),
            ("TRADERNET_MAX_SESSIONS", "2"),
            ("TRADERNET_ALLOWED_CLIENT_IPS", "192.0.2.1, desk"),
            ("TRADERNET_ALLOWED_SAFETY_TYPES", "2,,3"),
            ("TRADERNET_MAX_REQUESTS_PER_HOST", "0"),
            ("TRADERNET_MAX_RESPONSE_BYTES", "1"),
            ("TRADERNET_SAFETY_TYPES", "2"),
            ("TRADERNET_LOG_LEVEL", "loud"),
            ("TRADERNET_LOG_FORMAT", "xml"),
            ("WEB_LISTEN_ADDRESS", "::1:80"),
            ("WEB_PROBE_LISTEN_ADDRESS", "80"),
            ("WEB_TELEMETRY_PATH", "/-/ready"),
            ("WEB_EXTERNAL_URL", "exporter"),
            ("WEB_ENABLE_LIFECYCLE", "maybe"),
            ("HTTPS_PROXY", "socks5://desk:hunter2@proxy"),
        ],
        &[
            "TRADERNET_SAFETY_TYPES=\"2\": is no name for a type: write 2=token",
            &long_name,
            "TRADERNET_POLL_INTERVAL=\"soon\": is no duration: write 30s, 1m, or a number of seconds",
            "TRADERNET_MAX_SESSIONS=\"2\": is less than TRADERNET_MIN_SESSIONS=3",
            "TRADERNET_ALLOWED_CLIENT_IPS, item 2=\"desk\": is no address and no network: write \
             203.0.113.7 or 203.0.113.0/24",
            "TRADERNET_ALLOWED_SAFETY_TYPES, item 2=\"\": is empty: write a value, or remove the item",
            "TRADERNET_EXPIRE_UNIT=\"us\": is none of auto, ms, s",
            "TRADERNET_SESSION_DETAILS=\"all\": is none of off, anonymous, full",
            "TRADERNET_LOG_LEVEL=\"loud\": is none of debug, info, warn, error",
            "TRADERNET_LOG_FORMAT=\"xml\": is none of logfmt, json",
            "TRADERNET_MAX_REQUESTS_PER_HOST=\"0\": is out of range: 1 to 1024",
            "TRADERNET_MAX_RESPONSE_BYTES=\"1\": is out of range: 1024 to 1099511627776",
            &format!("WEB_LISTEN_ADDRESS=\"::1:80\": {address}"),
            &format!("WEB_PROBE_LISTEN_ADDRESS=\"80\": {address}"),
            "WEB_TELEMETRY_PATH=\"/-/ready\": is taken by another page: write /metrics",
            "WEB_EXTERNAL_URL=\"exporter\": is no URL: write https://host/path",
            "WEB_ENABLE_LIFECYCLE=\"maybe\": is none of true, false, 1, 0, on, off",
            "HTTPS_PROXY: is no proxy that can be used: write http://host:port or https://host:port",
        ],
    )
    .await;
}

#[tokio::test]
async fn flags_are_named_as_flags_and_beat_variables() {
    let wrong = ["--log.level=loud", "--web.listen-address=here"];
    let variables = [
        SID,
        ("TRADERNET_LOG_LEVEL", "quiet"),
        ("WEB_LISTEN_ADDRESS", "there"),
    ];
    let run = run_to_exit(&wrong, &variables).await;
    assert_eq!(run.code, Some(2));
    assert_eq!(
        run.stderr,
        "tradernet-exporter: --log.level=\"loud\": is none of debug, info, warn, error\n\
         tradernet-exporter: --web.listen-address=\"here\": is no address to listen on: write \
         127.0.0.1:10460, [::]:10460 or :10460\n"
    );
    let right = [
        "check",
        "--offline",
        "--log.level=warn",
        "--web.listen-address=:1",
    ];
    assert_eq!(run_to_exit(&right, &variables).await.code, Some(0));
}

#[tokio::test]
async fn what_is_empty_or_of_others_is_passed_over() {
    let variables = [
        SID,
        LOGIN,
        ("TRADERNET_PASSWORD", ""),
        ("TRADERNET_POLL_INTERVAL", ""),
        ("TRADERNET_TIMEOUT", ""),
        ("TRADERNET_SERVICE_HOST", "10.0.0.1"),
        ("TRADERNET_EXPORTER_SERVICE_HOST", "10.0.0.1"),
        ("TRADERNET_EXPORTER_SERVICE_PORT", "80"),
        ("TRADERNET_EXPORTER_SERVICE_PORT_HTTP", "80"),
        ("TRADERNET_EXPORTER_PORT", "tcp://10.0.0.1:80"),
        ("TRADERNET_EXPORTER_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("TRADERNET_EXPORTER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("WEB_CONCURRENCY", "4"),
        ("TRADER", "1"),
    ];
    let run = run_to_exit(&["check", "--offline"], &variables).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_name_in_lower_case_is_another_name() {
    let variables = [
        SID,
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:1"),
        ("web_listen_address", "127.0.0.1:2"),
        ("WEB_listen_address", "127.0.0.1:3"),
        ("WEB_telemetry_path", "/other"),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let web = Config::load(&Flags::default(), variables).unwrap().web;
    assert_eq!(web.listen_addresses, ["127.0.0.1:1"]);
    assert_eq!(web.telemetry_path, "/metrics");
}

#[test]
fn variables_that_are_not_utf_8_matter_if_they_are_ours() {
    let bytes = || OsString::from_vec(b"hunter2\xff".to_vec());
    let load = |name: OsString| {
        let sid = (OsString::from(SID.0), OsString::from(SID.1));
        Config::load(&Flags::default(), [sid, (name, bytes())])
    };
    load("LS_COLORS".into()).unwrap();
    load(bytes()).unwrap();
    let problems = load("TRADERNET_LOGIN".into()).unwrap_err();
    assert_eq!(problems.to_string(), "TRADERNET_LOGIN: is not UTF-8");
}
