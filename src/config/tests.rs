//! What is refused, word for word, and what a good configuration resolves to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing
)]

mod credentials;
mod names;
mod streams;

use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use super::*;
use crate::config::CredentialSource;
use crate::session::expire_unit::{Unit, UnitSetting};
use crate::session::tracker::SessionDetails;
use crate::tradernet::{KeyVersion, StreamProtocol, Transport};

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn load(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::load(&Flags::default(), variables(pairs))
}

/// With an SID, so that a credential is not what is wrong.
fn load_with_sid(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    let mut all = vec![("TRADERNET_SID", "0123456789abcdef")];
    all.extend(pairs);
    load(&all)
}

fn account(pairs: &[(&str, &str)]) -> AccountConfig {
    load_with_sid(pairs).unwrap().accounts.remove(0)
}

#[track_caller]
fn refused(pairs: &[(&str, &str)], problems: &str) {
    assert_eq!(load(pairs).unwrap_err().to_string(), problems);
}

#[track_caller]
fn refused_with_sid(pairs: &[(&str, &str)], problems: &str) {
    assert_eq!(load_with_sid(pairs).unwrap_err().to_string(), problems);
}

#[test]
fn an_sid_is_enough() {
    let config = load_with_sid(&[]).unwrap();
    let [account] = config.accounts.as_slice() else {
        panic!()
    };
    assert_eq!(&*account.name, "default");
    assert_eq!(account.target.origin.as_str(), "https://tradernet.com/");
    assert_eq!(account.target.timeout, Duration::from_secs(10));
    assert_eq!(account.reading.interval, Duration::from_secs(30));
    assert_eq!(account.reading.max_age, Duration::from_secs(90));
    assert_eq!(account.reading.expire_unit, UnitSetting::Auto);
    assert_eq!(account.reading.details, SessionDetails::Off);
    assert_eq!(
        account.reading.policy,
        crate::session::rules::Policy::default()
    );
    assert!(matches!(account.credential, CredentialSource::Sid(_)));
    assert_eq!(config.outbound.max_response_bytes, 64 << 20);
    assert_eq!(config.max_requests_per_host, 16);
    assert_eq!(config.web.listen_addresses, ["127.0.0.1:10460"]);
    assert_eq!(config.web.telemetry_path, "/metrics");
    assert!(!config.web.enable_lifecycle);
    assert_eq!(
        config.log,
        Log {
            level: tracing::Level::INFO,
            format: LogFormat::Logfmt
        }
    );
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
        ("TRADERNET_ALLOWED_SAFETY_TYPES", "2, 3"),
        ("TRADERNET_ALLOWED_LOGINS", "a@example.com,b@example.com"),
        ("TRADERNET_MIN_SESSIONS", "1"),
        ("TRADERNET_MAX_SESSIONS", "4"),
        ("TRADERNET_MAX_LIFETIME", "1d"),
        ("TRADERNET_SESSION_DETAILS", "full"),
    ]);
    assert_eq!(&*account.name, "desk 1");
    assert_eq!(account.target.origin.as_str(), "https://tradernet.kz/");
    assert_eq!(account.target.timeout, Duration::from_secs(5));
    let reading = account.reading;
    assert_eq!(reading.interval, Duration::from_secs(60));
    assert_eq!(reading.max_age, Duration::from_secs(150));
    assert_eq!(reading.expire_unit, UnitSetting::Fixed(Unit::Seconds));
    assert_eq!(reading.details, SessionDetails::Full);
    let networks: Vec<_> = reading
        .policy
        .client_ips
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        networks,
        [
            "203.0.113.0/24",
            "2001:db8::/32",
            "198.51.100.7/32",
            "192.0.2.0/24"
        ]
    );
    assert_eq!(
        reading
            .policy
            .safety_types
            .unwrap()
            .into_iter()
            .collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(reading.policy.logins.unwrap().len(), 2);
    assert_eq!(reading.policy.min_sessions, Some(1));
    assert_eq!(reading.policy.max_sessions, Some(4));
    assert_eq!(
        reading.policy.max_lifetime,
        Some(Duration::from_secs(86_400))
    );
}

#[test]
fn a_short_interval_shortens_the_timeout() {
    let account = account(&[("TRADERNET_POLL_INTERVAL", "3")]);
    assert_eq!(account.target.timeout, Duration::from_secs(3));
    assert_eq!(account.reading.max_age, Duration::from_secs(9));
}

#[test]
fn values_out_of_range() {
    for (name, value, problem) in [
        ("TRADERNET_POLL_INTERVAL", "0", "is too short: at least 1s"),
        (
            "TRADERNET_POLL_INTERVAL",
            "500ms",
            "is too short: at least 1s",
        ),
        ("TRADERNET_POLL_INTERVAL", "2d", "is too long: at most 1day"),
        (
            "TRADERNET_POLL_INTERVAL",
            "soon",
            "is no duration: write 30s, 1m, or a number of seconds",
        ),
        (
            "TRADERNET_POLL_INTERVAL",
            "-5",
            "is no duration: write 30s, 1m, or a number of seconds",
        ),
        (
            "TRADERNET_POLL_INTERVAL",
            "nan",
            "is no duration: write 30s, 1m, or a number of seconds",
        ),
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
        ("TRADERNET_EXPIRE_UNIT", "min", "is none of auto, ms, s"),
        (
            "TRADERNET_SESSION_DETAILS",
            "on",
            "is none of off, anonymous, full",
        ),
        (
            "TRADERNET_ALLOWED_CLIENT_IPS",
            "10.0.0.0/40",
            "is no address and no network: write 203.0.113.7 or 203.0.113.0/24",
        ),
        (
            "TRADERNET_ALLOWED_SAFETY_TYPES",
            "sms",
            "is no safety type: write a number such as 4",
        ),
        (
            "TRADERNET_MIN_SESSIONS",
            "-1",
            "is no whole number: write one from 0 to 4294967295",
        ),
        (
            "TRADERNET_MAX_SESSIONS",
            "99999999999999999999999",
            "is out of range: 0 to 4294967295",
        ),
        (
            "TRADERNET_MAX_RESPONSE_BYTES",
            "12",
            "is out of range: 1024 to 1099511627776",
        ),
        (
            "TRADERNET_MAX_REQUESTS_PER_HOST",
            "0",
            "is out of range: 1 to 1024",
        ),
        (
            "TRADERNET_SAFETY_TYPES",
            "2:token",
            "is no name for a type: write 2=token",
        ),
        (
            "TRADERNET_LOG_LEVEL",
            "loud",
            "is none of debug, info, warn, error",
        ),
        ("TRADERNET_LOG_FORMAT", "xml", "is none of logfmt, json"),
        (
            "TRADERNET_TRANSPORT",
            "pigeon",
            "is none of http, websocket, socketio",
        ),
        (
            "WEB_TELEMETRY_PATH",
            "metrics",
            "is no path: write /metrics",
        ),
        (
            "WEB_TELEMETRY_PATH",
            "/-/ready",
            "is taken by another page: write /metrics",
        ),
        (
            "WEB_LISTEN_ADDRESS",
            "localhost",
            "is no address to listen on: write 127.0.0.1:10460, [::]:10460 or :10460",
        ),
        (
            "WEB_EXTERNAL_URL",
            "example",
            "is no URL: write https://host/path",
        ),
        (
            "WEB_ENABLE_LIFECYCLE",
            "maybe",
            "is none of true, false, 1, 0, on, off",
        ),
    ] {
        refused_with_sid(&[(name, value)], &format!("{name}={value:?}: {problem}"));
    }
}

#[test]
fn every_wrong_item_of_a_list_is_told() {
    let address = "is no address to listen on: write 127.0.0.1:10460, [::]:10460 or :10460";
    let network = "is no address and no network: write 203.0.113.7 or 203.0.113.0/24";
    let empty = "is empty: write a value, or remove the item";
    refused_with_sid(
        &[
            ("TRADERNET_ALLOWED_CLIENT_IPS", "10.0.0.1,desk, 10.0.0.0/40,,desk"),
            ("TRADERNET_ALLOWED_SAFETY_TYPES", "sms,2,"),
            ("TRADERNET_ALLOWED_LOGINS", " "),
            ("TRADERNET_SAFETY_TYPES", "2=token,3,sms=3,4=,2=dongle"),
            ("WEB_LISTEN_ADDRESS", "::1:80,:81,:99999"),
        ],
        &[
            "TRADERNET_SAFETY_TYPES, item 2=\"3\": is no name for a type: write 2=token",
            "TRADERNET_SAFETY_TYPES, item 3=\"sms=3\": has a number that is no safety type: write a number such as 4",
            "TRADERNET_SAFETY_TYPES, item 4=\"4=\": has a name that is empty or longer than 64 characters",
            "TRADERNET_SAFETY_TYPES, item 5=\"2=dongle\": names type 2 again: a type has one name",
            &format!("TRADERNET_ALLOWED_CLIENT_IPS, item 2=\"desk\": {network}"),
            &format!("TRADERNET_ALLOWED_CLIENT_IPS, item 3=\"10.0.0.0/40\": {network}"),
            &format!("TRADERNET_ALLOWED_CLIENT_IPS, item 4=\"\": {empty}"),
            &format!("TRADERNET_ALLOWED_CLIENT_IPS, item 5=\"desk\": {network}"),
            "TRADERNET_ALLOWED_SAFETY_TYPES, item 1=\"sms\": is no safety type: write a number such as 4",
            &format!("TRADERNET_ALLOWED_SAFETY_TYPES, item 3=\"\": {empty}"),
            &format!("TRADERNET_ALLOWED_LOGINS=\"\": {empty}"),
            &format!("WEB_LISTEN_ADDRESS, item 1=\"::1:80\": {address}"),
            &format!("WEB_LISTEN_ADDRESS, item 3=\":99999\": {address}"),
        ]
        .join("\n"),
    );
}

#[test]
fn more_than_there_may_be_is_less_than_there_must_be() {
    refused_with_sid(
        &[
            ("TRADERNET_MIN_SESSIONS", "3"),
            ("TRADERNET_MAX_SESSIONS", "2"),
        ],
        "TRADERNET_MAX_SESSIONS=\"2\": is less than TRADERNET_MIN_SESSIONS=3",
    );
}

#[test]
fn urls() {
    for (url, problem) in [
        (
            "tradernet.com",
            "TRADERNET_URL=\"tradernet.com\": is no URL: write https://host, as in https://tradernet.com",
        ),
        (
            "http://tradernet.com",
            "TRADERNET_URL=\"http://tradernet.com\": would send credentials unencrypted: use https://, http:// is for loopback alone",
        ),
        (
            "https://tradernet.com/api",
            "TRADERNET_URL=\"https://tradernet.com/api\": is more than an origin: write https://host or https://host:port",
        ),
        (
            "ftp://tradernet.com",
            "TRADERNET_URL=\"ftp://tradernet.com\": has the scheme ftp: use https://",
        ),
        // None of these is shown: they hold a secret.
        (
            "https://me:hunter2@tradernet.com",
            "TRADERNET_URL: has a user name or password in it: give credentials in their own variables",
        ),
        (
            "https://me:hunter2",
            "TRADERNET_URL: is no URL: write https://host, as in https://tradernet.com",
        ),
        (
            "https://tradernet.com/#hunter2",
            "TRADERNET_URL: is more than an origin: write https://host or https://host:port",
        ),
        (
            "https://tradernet.com/?SID=0123",
            "TRADERNET_URL: is more than an origin: write https://host or https://host:port",
        ),
    ] {
        refused_with_sid(&[("TRADERNET_URL", url)], problem);
    }
    for loopback in [
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost:1",
        "https://127.9.9.9",
    ] {
        assert!(
            load_with_sid(&[("TRADERNET_URL", loopback)]).is_ok(),
            "{loopback}"
        );
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_not_shown() {
    refused_with_sid(
        &[("HTTPS_PROXY", "socks5://me:hunter2@proxy:1080")],
        "HTTPS_PROXY: is no proxy that can be used: write http://host:port or https://host:port",
    );
    assert!(load_with_sid(&[("https_proxy", "proxy:3128"), ("HTTPS_PROXY", "socks5://x")]).is_ok());
}

#[test]
fn an_account_name_has_an_end() {
    let name = "ä".repeat(128);
    assert_eq!(&*account(&[("TRADERNET_ACCOUNT", &name)]).name, name);
    let longer = "ä".repeat(129);
    refused_with_sid(
        &[("TRADERNET_ACCOUNT", &longer)],
        &format!("TRADERNET_ACCOUNT={longer:?}: is longer than 128 characters"),
    );
}

#[test]
fn no_debug_output_shows_a_secret() {
    let config = load(&[
        ("TRADERNET_LOGIN", "me"),
        ("TRADERNET_PASSWORD", "hunter2"),
        ("HTTPS_PROXY", "http://me:hunter2@proxy:3128"),
    ]);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn an_external_url_may_hold_a_password() {
    let wrong = "is no URL: write https://host/path";
    let url = "ftp://me:hunter2@proxy";
    refused_with_sid(
        &[("WEB_EXTERNAL_URL", url)],
        &format!("WEB_EXTERNAL_URL: {wrong}"),
    );
    let flags = Flags {
        external_url: Some(url.to_owned()),
        ..Flags::default()
    };
    let sid = variables(&[("TRADERNET_SID", "0123456789abcdef")]);
    assert_eq!(
        Config::load(&flags, sid).unwrap_err().to_string(),
        format!("--web.external-url: {wrong}")
    );
}
