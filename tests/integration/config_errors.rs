//! An invalid configuration: every command that reads it reports all errors at once and exits with 2.
//! The errors of each value are tested in `src/config`.

use crate::support::run_to_exit;

/// Serving, checking, and checking offline refuse alike, before any request.
async fn assert_refused(variables: &[(&str, &str)], errors: &[&str]) {
    let line = |error: &&str| format!("tradernet-exporter: {error}\n");
    let expected: String = errors.iter().map(line).collect();
    for arguments in [&[][..], &["check"], &["check", "--offline"]] {
        let run = run_to_exit(arguments, variables).await;
        assert_eq!(run.stderr, expected, "{variables:?}");
        assert_eq!(run.code, Some(2), "{variables:?}");
        assert_eq!(run.stdout, "");
    }
}

#[tokio::test]
async fn two_credentials_are_refused() {
    assert_refused(
        &[
            ("TRADERNET_SID", "hunter2"),
            ("TRADERNET_LOGIN", "desk-1"),
            ("TRADERNET_PASSWORD", "hunter2"),
        ],
        &[
            "TRADERNET_PASSWORD: conflicts with TRADERNET_SID; unset one of them; an account has one credential",
        ],
    )
    .await;
}

#[tokio::test]
async fn all_errors_are_reported_at_once() {
    let long = "x".repeat(129);
    let long_name = format!("TRADERNET_ACCOUNT: \"{long}\" is longer than 128 characters");
    assert_refused(
        &[
            ("TRADERNET_SIDD", "hunter2"),
            ("TRADERNET_API_KEY", "hunter2"),
            ("TRADERNET_ACCOUNT", &long),
            ("TRADERNET_POLL_INTERVAL", "soon"),
            ("TRADERNET_EXPIRE_UNIT", "us"),
            ("TRADERNET_MIN_SESSIONS", "3"),
            ("TRADERNET_MAX_SESSIONS", "2"),
            ("TRADERNET_ALLOWED_CLIENT_IPS", "192.0.2.1, desk"),
            ("TRADERNET_MAX_REQUESTS_PER_HOST", "0"),
            ("TRADERNET_SAFETY_TYPES", "2"),
            ("TRADERNET_LOG_LEVEL", "loud"),
            ("WEB_LISTEN_ADDRESS", "::1:80"),
            ("WEB_TELEMETRY_PATH", "/-/ready"),
            ("WEB_EXTERNAL_URL", "exporter"),
            ("HTTPS_PROXY", "socks5://desk:hunter2@proxy"),
        ],
        &[
            "TRADERNET_SIDD: unknown variable; did you mean TRADERNET_SID?",
            "TRADERNET_SAFETY_TYPES: \"2\" is not an id with a name; use 2=token",
            &long_name,
            "TRADERNET_POLL_INTERVAL: \"soon\" is not a valid duration; use 30s, 5m or a number of seconds",
            "TRADERNET_API_KEY: requires TRADERNET_API_SECRET",
            "TRADERNET_MAX_SESSIONS: \"2\" is less than TRADERNET_MIN_SESSIONS, which is 3",
            "TRADERNET_ALLOWED_CLIENT_IPS, item 2: \"desk\" is not an IP address or network; use \
             203.0.113.7 or 203.0.113.0/24",
            "TRADERNET_EXPIRE_UNIT: \"us\" must be one of auto, ms, s",
            "TRADERNET_LOG_LEVEL: \"loud\" must be one of debug, info, warn, error",
            "TRADERNET_MAX_REQUESTS_PER_HOST: \"0\" must be a whole number from 1 to 1024",
            "WEB_LISTEN_ADDRESS: \"::1:80\" needs brackets around the IPv6 address: [::1]:80",
            "WEB_TELEMETRY_PATH: \"/-/ready\" is the path of another page; use /metrics",
            "WEB_EXTERNAL_URL: the value is not a valid URL; use https://host/path",
            "HTTPS_PROXY: the value is not a supported proxy; use http://host:port or https://host:port",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_flag_overrides_its_variable() {
    let variables = [
        ("TRADERNET_SID", "hunter2"),
        ("TRADERNET_LOG_LEVEL", "quiet"),
        ("WEB_LISTEN_ADDRESS", "there"),
    ];
    let run = run_to_exit(
        &["--log.level=loud", "--web.listen-address=here"],
        &variables,
    )
    .await;
    assert_eq!(run.code, Some(2));
    assert_eq!(
        run.stderr,
        "tradernet-exporter: --log.level: \"loud\" must be one of debug, info, warn, error\n\
         tradernet-exporter: --web.listen-address: \"here\" is not a listen address; use \
         127.0.0.1:10460, [::]:10460 or :10460\n"
    );
    let valid = [
        "check",
        "--offline",
        "--log.level=warn",
        "--web.listen-address=:1",
    ];
    assert_eq!(run_to_exit(&valid, &variables).await.code, Some(0));
}
