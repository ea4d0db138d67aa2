//! The web configuration file: valid files, and the errors of invalid ones.
//!
//! `web_config/*.good.yml` and `web_config/*.bad.yml` carry their verdict in their names; beside each
//! bad file is the exact text of its errors.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tradernet_exporter::Config;
use tradernet_exporter::config::{Flags, RateLimit};

/// Relative, so that the expected texts hold on every machine: tests run in the package's folder.
fn fixtures(verdict: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir("tests/fixtures/web_config")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(verdict))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn load(path: &Path, variables: &[(&str, &str)]) -> Result<Config, String> {
    let flags = Flags::new(&[("web.config.file", path.to_str().unwrap())]);
    let given = [&[("TRADERNET_SID", "0123456789abcdef")], variables].concat();
    let variables = given
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load(&flags, variables).map_err(|problems| problems.to_string())
}

fn good(name: &str) -> std::sync::Arc<tradernet_exporter::config::WebConfig> {
    let path = PathBuf::from(format!("tests/fixtures/web_config/{name}.good.yml"));
    load(&path, &[]).unwrap().web_config.unwrap().1
}

#[test]
fn good_files_are_accepted() {
    for path in fixtures(".good.yml") {
        if let Err(problems) = load(&path, &[]) {
            panic!("{problems}");
        }
    }
}

#[test]
fn bad_files_are_refused_with_exact_errors() {
    for path in fixtures(".bad.yml") {
        let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        let problems = load(&path, &[]).map(drop).unwrap_err();
        assert_eq!(problems + "\n", expected, "{path:?}");
    }
}

#[test]
fn errors_of_both_files_are_reported_at_once() {
    let path = Path::new("tests/fixtures/web_config/versions_crossed.bad.yml");
    let problems = load(path, &[("TRADERNET_LOG_LEVEL", "loud")])
        .map(drop)
        .unwrap_err();
    let lines: Vec<_> = problems.lines().collect();
    assert!(lines[0].starts_with("TRADERNET_LOG_LEVEL"), "{lines:?}");
    assert!(
        lines[1].starts_with("tests/fixtures/web_config/versions_crossed.bad.yml:4: "),
        "{lines:?}"
    );
}

#[test]
fn settings_not_applied_as_written_are_warnings() {
    for (name, warnings) in [
        ("tls", &[][..]),
        ("versions", &[]),
        ("client_allowed_sans", &[]),
        (
            "versions_too_old",
            &[
                "min_version of the web configuration is taken as TLS12: older versions are not secure",
            ],
        ),
        (
            "cipher_suites",
            &[
                "cipher_suites of the web configuration: not supported and left out: \
               TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, \
               TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
            ],
        ),
        (
            "curves",
            &["curve_preferences of the web configuration: not supported and left out: CurveP521"],
        ),
        (
            "client_allowed_sans_unverified",
            &[
                "client_allowed_sans of the web configuration does not protect: this \
               client_auth_type does not verify certificates; use RequireAndVerifyClientCert",
            ],
        ),
    ] {
        assert_eq!(good(name).warnings, warnings, "{name}");
    }
}

#[test]
fn values_are_read() {
    let empty = good("empty");
    assert!(empty.tls.is_none() && empty.users.is_empty() && empty.headers.is_empty());
    assert_eq!(empty.rate_limit, None);

    let interval = Duration::from_secs(1);
    let expected = RateLimit {
        interval,
        burst: 20,
    };
    assert_eq!(good("rate_limit").rate_limit, Some(expected));
    assert_eq!(good("rate_limit_off").rate_limit, None);

    let users: Vec<_> = good("users").users.keys().cloned().collect();
    assert_eq!(users, ["7", "alice", "bob"]);

    let headers = good("headers").headers.clone();
    assert_eq!(headers.len(), 5);
    assert!(
        headers
            .iter()
            .any(|(name, value)| name == "x-xss-protection" && value == "1")
    );

    for (name, verifies) in [
        ("tls", false),
        ("client_auth_request", false),
        ("client_auth_require_any", false),
        ("client_auth_verify_if_given", false),
        ("client_auth_require_and_verify", true),
        ("client_allowed_sans_unverified", false),
    ] {
        let config = good(name);
        assert!(config.tls.is_some(), "{name}");
        assert_eq!(config.verifies_clients, verifies, "{name}");
    }
}
