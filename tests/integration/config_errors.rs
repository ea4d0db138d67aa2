//! An invalid configuration: every command that reads it reports all errors at once and exits with 2, before any
//! request. The errors of each value are tested in `src/config`.

use crate::support::run_to_exit;

#[tokio::test]
async fn all_errors_are_reported_at_once() {
    let variables = [
        ("TRADERNET_SIDD", "hunter2"),
        ("TRADERNET_API_KEY", "hunter2"),
        ("TRADERNET_POLL_INTERVAL", "soon"),
        ("TRADERNET_ALLOWED_CLIENT_IPS", "192.0.2.1, desk"),
        ("TRADERNET_MAX_REQUESTS_PER_HOST", "0"),
        ("TRADERNET_LOG_LEVEL", "never read"),
        ("WEB_TELEMETRY_PATH", "/-/ready"),
        ("HTTPS_PROXY", "socks5://desk:hunter2@proxy"),
    ];
    let expected = [
        "TRADERNET_SIDD: unknown variable; did you mean TRADERNET_SID?",
        "TRADERNET_POLL_INTERVAL: \"soon\" is not a valid duration; use 30s, 5m or a number of seconds",
        "TRADERNET_API_KEY: requires TRADERNET_API_SECRET",
        "TRADERNET_ALLOWED_CLIENT_IPS, item 2: \"desk\" is not an IP address or network; use \
         203.0.113.7 or 203.0.113.0/24",
        "--log.level: \"loud\" must be one of debug, info, warn, error",
        "TRADERNET_MAX_REQUESTS_PER_HOST: \"0\" must be a whole number from 1 to 1024",
        "--web.listen-address, item 2: \"::1:80\" needs brackets around the IPv6 address: [::1]:80",
        "WEB_TELEMETRY_PATH: \"/-/ready\" is the path of another page; use /metrics",
        "HTTPS_PROXY: the value is not a supported proxy; use http://host:port or https://host:port",
    ];
    let expected = expected.map(|error| format!("tradernet-exporter: {error}\n"));
    let flags = [
        "--log.level=loud",
        "--web.listen-address=:80",
        "--web.listen-address=::1:80",
    ];
    for command in [&[][..], &["check"], &["check", "--offline"]] {
        let run = run_to_exit(&[command, &flags].concat(), &variables).await;
        assert_eq!(run.stderr, expected.concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    }
}
