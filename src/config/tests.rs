//! Each kind of value: valid values, and the exact errors for invalid ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing
)]

mod credentials;
mod names;
mod streams;

use std::time::Duration;

use super::*;
use crate::session::expire_unit::Unit;
use crate::session::summary::SessionDetails;
use crate::tradernet::{KeyVersion, StreamProtocol, Transport};

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let variable = |(name, value): &(&str, &str)| (name.into(), value.into());
    pairs.iter().map(variable).collect()
}

fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::load(&Flags::default(), variables(pairs))
}

/// With an SID, so that the credential is valid.
fn load_with_sid(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let mut all = vec![("TRADERNET_SID", "0123456789abcdef")];
    all.extend(pairs);
    load(&all)
}

fn account(pairs: &[(&str, &str)]) -> AccountConfig {
    load_with_sid(pairs).unwrap().accounts.remove(0)
}

#[track_caller]
fn assert_refused(pairs: &[(&str, &str)], errors: &str) {
    assert_eq!(load(pairs).unwrap_err().to_string(), errors);
}

#[track_caller]
fn assert_refused_with_sid(pairs: &[(&str, &str)], errors: &str) {
    assert_eq!(load_with_sid(pairs).unwrap_err().to_string(), errors);
}

#[test]
fn everything_except_a_credential_has_a_default() {
    let config = load_with_sid(&[]).unwrap();
    let [account] = config.accounts.as_slice() else {
        panic!()
    };
    assert_eq!(&*account.name, "default");
    assert_eq!(account.target.origin.as_str(), "https://tradernet.com/");
    assert_eq!(account.target.timeout, Duration::from_secs(10));
    assert_eq!(account.transport, Transport::Http);
    assert_eq!(account.stream, None);
    assert_eq!(account.tracking.interval, Duration::from_secs(30));
    assert_eq!(account.tracking.max_age, Duration::from_secs(90));
    assert_eq!(account.tracking.expire_unit, None);
    assert_eq!(account.tracking.details, SessionDetails::Off);
    assert_eq!(account.tracking.policy, Default::default());
    assert!(matches!(account.credential, CredentialSource::Sid(_)));
    assert_eq!(config.outbound.max_response_bytes, 4 << 20);
    assert_eq!(config.max_requests_per_host, 16);
    assert_eq!(config.max_logins_per_minute, 10);
    assert_eq!(config.web.listen_addresses, ["127.0.0.1:10460"]);
    assert_eq!(config.web.telemetry_path, "/metrics");
    assert!(!config.web.enable_lifecycle);
    assert_eq!(config.log.level, Level::INFO);
    assert_eq!(config.log.format, LogFormat::Logfmt);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn every_value_is_read() {
    let account = account(&[
        ("TRADERNET_URL", "https://tradernet.kz/"),
        ("TRADERNET_ACCOUNT", "desk 1"),
        ("TRADERNET_POLL_INTERVAL", "1m"),
        ("TRADERNET_TIMEOUT", "5"),
        ("TRADERNET_MAX_AGE", "2m 30s"),
        ("TRADERNET_EXPIRE_UNIT", "s"),
        (
            "TRADERNET_ALLOWED_CLIENT_IPS",
            "203.0.113.0/24, 2001:db8::/32,198.51.100.7,::ffff:192.0.2.0/120",
        ),
        ("TRADERNET_ALLOWED_SAFETY_TYPES", "2, sms,own name"),
        ("TRADERNET_ALLOWED_LOGINS", "a@example.com,b@example.com"),
        ("TRADERNET_MIN_SESSIONS", "1"),
        ("TRADERNET_MIN_SESSIONS_SAFETY_TYPES", "sms"),
        ("TRADERNET_MAX_SESSIONS", "4"),
        ("TRADERNET_MAX_LIFETIME", "1d"),
        ("TRADERNET_SESSION_DETAILS", "full"),
        ("TRADERNET_SAFETY_TYPES", "77=own name,78=own name"),
    ]);
    assert_eq!(&*account.name, "desk 1");
    assert_eq!(account.target.origin.as_str(), "https://tradernet.kz/");
    assert_eq!(account.target.timeout, Duration::from_secs(5));
    let reading = account.tracking;
    assert_eq!(reading.interval, Duration::from_secs(60));
    assert_eq!(reading.max_age, Duration::from_secs(150));
    assert_eq!(reading.expire_unit, Some(Unit::Seconds));
    assert_eq!(reading.details, SessionDetails::Full);
    let policy = &reading.policy;
    let networks = policy.client_ips.as_ref().unwrap();
    let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
    assert_eq!(
        networks,
        [
            "203.0.113.0/24",
            "2001:db8::/32",
            "198.51.100.7/32",
            "192.0.2.0/24"
        ]
    );
    assert_eq!(policy.safety_types, Some([2, 3, 77, 78].into()));
    assert_eq!(policy.min_sessions_safety_types, Some([3].into()));
    assert_eq!(policy.logins.as_ref().unwrap().len(), 2);
    assert_eq!(policy.min_sessions, Some(1));
    assert_eq!(policy.max_sessions, Some(4));
    assert_eq!(policy.max_lifetime, Some(Duration::from_secs(86_400)));
}

#[test]
fn a_short_interval_shortens_the_timeout() {
    let account = account(&[("TRADERNET_POLL_INTERVAL", "3")]);
    assert_eq!(account.target.timeout, Duration::from_secs(3));
    assert_eq!(account.tracking.max_age, Duration::from_secs(9));
}

/// Variable, value, message.
const INVALID_VALUES: &str = "
TRADERNET_POLL_INTERVAL | 0 | is too short; use at least 1s
TRADERNET_POLL_INTERVAL | 500ms | is too short; use at least 1s
TRADERNET_POLL_INTERVAL | 2d | is too long; use at most 1day
TRADERNET_POLL_INTERVAL | soon | is not a valid duration; use 30s, 5m or a number of seconds
TRADERNET_POLL_INTERVAL | -5 | is not a valid duration; use 30s, 5m or a number of seconds
TRADERNET_POLL_INTERVAL | nan | is not a valid duration; use 30s, 5m or a number of seconds
TRADERNET_TIMEOUT | 0s | is too short; use at least 10ms
TRADERNET_TIMEOUT | 31s | is longer than TRADERNET_POLL_INTERVAL, which is 30s
TRADERNET_MAX_AGE | 39s | is too short; use at least 40s (polling interval and timeout together)
TRADERNET_MAX_LIFETIME | never | is not a valid duration; use 30s, 5m or a number of seconds
TRADERNET_EXPIRE_UNIT | min | must be one of auto, ms, s
TRADERNET_SESSION_DETAILS | on | must be one of off, anonymous, full
TRADERNET_ALLOWED_CLIENT_IPS | 10.0.0.0/40 | is not an IP address or network; use 203.0.113.7 or 203.0.113.0/24
TRADERNET_MIN_SESSIONS | -1 | must be a whole number from 0 to 4294967295
TRADERNET_MAX_SESSIONS | 99999999999999999999999 | must be a whole number from 0 to 4294967295
TRADERNET_MAX_RESPONSE_BYTES | 12 | must be a whole number from 1024 to 1099511627776
TRADERNET_MAX_REQUESTS_PER_HOST | 0 | must be a whole number from 1 to 1024
TRADERNET_SAFETY_TYPES | 2:token | is not an id with a name; use 2=token
TRADERNET_LOG_LEVEL | loud | must be one of debug, info, warn, error
TRADERNET_LOG_FORMAT | xml | must be one of logfmt, json
TRADERNET_TRANSPORT | pigeon | must be one of http, websocket, socketio
WEB_TELEMETRY_PATH | metrics | is not a valid path; use /metrics
WEB_TELEMETRY_PATH | /-/ready | is the path of another page; use /metrics
WEB_LISTEN_ADDRESS | localhost | is not a listen address; use 127.0.0.1:10460, [::]:10460 or :10460
WEB_LISTEN_ADDRESS | :99999 | is not a listen address; use 127.0.0.1:10460, [::]:10460 or :10460
WEB_LISTEN_ADDRESS | unix:exporter.sock | needs an absolute path, as in unix:/run/exporter.sock
WEB_LISTEN_ADDRESS | ::1:10460 | needs brackets around the IPv6 address: [::1]:10460
WEB_ENABLE_LIFECYCLE | maybe | must be true or false
";

#[test]
fn errors_quote_invalid_values_and_name_valid_ones() {
    let rows = INVALID_VALUES.trim().lines().map(|row| {
        let mut cells = row.split(" | ");
        [(); 3].map(|()| cells.next().unwrap())
    });
    let name = "must not be empty or begin or end with a space";
    let control = "contains a line break or another control character";
    let format = "contains an invisible formatting character; remove it";
    let others = [
        ["TRADERNET_ACCOUNT", " ", name],
        ["TRADERNET_ACCOUNT", "desk-1 ", name],
        ["TRADERNET_ACCOUNT", "desk\u{202e}1", format],
        ["TRADERNET_ACCOUNT", "desk\t1", control],
        ["TRADERNET_SAFETY_TYPES", "2=to\u{202e}ken", format],
        ["TRADERNET_ALLOWED_LOGINS", "a@example.com\u{0}", control],
    ];
    for [variable, value, message] in rows.chain(others) {
        let error = format!("{variable}: {value:?} {message}");
        assert_refused_with_sid(&[(variable, value)], &error);
    }
    let long = "ä".repeat(129);
    assert_refused_with_sid(
        &[("TRADERNET_ACCOUNT", &long)],
        "TRADERNET_ACCOUNT: the value is longer than 128 characters",
    );
    let name = "ä".repeat(128);
    assert_eq!(&*account(&[("TRADERNET_ACCOUNT", &name)]).name, name);
}

#[test]
fn each_wrong_item_of_a_list_is_reported() {
    assert_refused_with_sid(
        &[
            ("TRADERNET_ALLOWED_CLIENT_IPS", "10.0.0.1,desk,,10.0.0.1"),
            ("TRADERNET_SAFETY_TYPES", "2=token,x=sms,4=,2=dongle"),
            (
                "WEB_LISTEN_ADDRESS",
                ":80,127.0.0.1:0,[0::0]:80,127.0.0.1:0",
            ),
            ("WEB_PROBE_LISTEN_ADDRESS", ":80"),
        ],
        "TRADERNET_SAFETY_TYPES, item 2: \"x=sms\" does not begin with the id of a safety type, such as 2\n\
         TRADERNET_SAFETY_TYPES, item 3: \"4=\" must have a name of 1 to 64 characters\n\
         TRADERNET_SAFETY_TYPES, item 4: \"2=dongle\" is a second name for safety type 2\n\
         TRADERNET_ALLOWED_CLIENT_IPS, item 2: \"desk\" is not an IP address or network; use 203.0.113.7 or 203.0.113.0/24\n\
         TRADERNET_ALLOWED_CLIENT_IPS, item 3: \"\" is empty; write a value or remove the item\n\
         WEB_LISTEN_ADDRESS, item 3: \"[0::0]:80\" is a duplicate listen address\n\
         WEB_PROBE_LISTEN_ADDRESS: \":80\" is a duplicate listen address",
    );
}

#[test]
fn a_value_is_not_compared_with_an_invalid_one() {
    assert_refused_with_sid(
        &[
            ("TRADERNET_POLL_INTERVAL", "soon"),
            ("TRADERNET_TIMEOUT", "45s"),
            ("TRADERNET_MAX_AGE", "50s"),
            ("TRADERNET_MIN_SESSIONS", "few"),
            ("TRADERNET_MAX_SESSIONS", "0"),
        ],
        "TRADERNET_POLL_INTERVAL: \"soon\" is not a valid duration; use 30s, 5m or a number of seconds\n\
         TRADERNET_MIN_SESSIONS: \"few\" must be a whole number from 0 to 4294967295",
    );
}

#[test]
fn url_must_be_an_origin_with_tls_except_on_loopback() {
    let plain =
        "would send credentials unencrypted; use https:// (http:// is allowed to loopback only)";
    let more = "is more than an origin; use https://host or https://host:port";
    let invalid = "is not a valid URL; use https://host or https://host:port";
    let password = "contains a user name or password; set credentials by their own keys";
    for (url, message, is_quoted) in [
        ("http://tradernet.com", plain, true),
        ("http://localhost.example.com", plain, true),
        ("https://tradernet.com/api", more, true),
        ("ftp://tradernet.com", "must begin with https://", true),
        ("tradernet.com", invalid, false),
        // Each contains a secret.
        ("https://me:hunter2@tradernet.com", password, false),
        ("https://me:hunter2", invalid, false),
        ("https://tradernet.com/#hunter2", more, false),
        ("https://tradernet.com/?SID=0123", more, false),
    ] {
        let shown = match is_quoted {
            true => format!("{url:?}"),
            false => "the value".to_owned(),
        };
        let error = format!("TRADERNET_URL: {shown} {message}");
        assert_refused_with_sid(&[("TRADERNET_URL", url)], &error);
    }
    for loopback in [
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost:1",
        "https://127.9.9.9",
    ] {
        let result = load_with_sid(&[("TRADERNET_URL", loopback)]);
        assert!(result.is_ok(), "{loopback}");
    }
}

#[test]
fn external_url_is_a_host_and_a_path() {
    for url in [
        "ftp://host",
        "https://me:hunter2@host",
        "https://host/?a=hunter2",
        "https://host/#hunter2",
        "https://host/a b",
        "https://host/<",
    ] {
        let error = load_with_sid(&[("WEB_EXTERNAL_URL", url)]).unwrap_err();
        let expected =
            "is not a valid URL; use https://host/path, and letters, digits and -_.~ in the path";
        let error = error.to_string();
        assert!(
            error.ends_with(expected) && !error.contains("hunter2"),
            "{error}"
        );
    }
    for (url, expected) in [
        ("https://host:8443/a/../b_c/", "https://host:8443/b_c/"),
        ("http://[::1]", "http://[::1]/"),
    ] {
        let config = load_with_sid(&[("WEB_EXTERNAL_URL", url)]).unwrap();
        assert_eq!(config.web.external_url.unwrap().as_str(), expected);
    }
}

#[test]
fn a_proxy_may_contain_a_password() {
    assert_refused_with_sid(
        &[("HTTPS_PROXY", "socks5://me:hunter2@proxy:1080")],
        "HTTPS_PROXY: the value is not a supported proxy; use http://host:port or https://host:port",
    );
    let lower_case_wins = [("https_proxy", "proxy:3128"), ("HTTPS_PROXY", "socks5://x")];
    assert!(load_with_sid(&lower_case_wins).is_ok());
    let config = load(&[
        ("TRADERNET_LOGIN", "me"),
        ("TRADERNET_PASSWORD", "hunter2"),
        ("HTTPS_PROXY", "http://me:hunter2@proxy:3128"),
    ]);
    assert!(!format!("{config:?}").contains("hunter2"));
}
