//! Names: unknown ones, those of other programs, flags and variables.

use std::os::unix::ffi::OsStringExt as _;

use super::*;
use crate::config::keys::{PROCESS_KEYS, variable};

#[test]
fn an_unknown_variable_is_refused_without_its_value() {
    for (name, suggestion) in [
        ("TRADERNET_PASWORD", "TRADERNET_PASSWORD"),
        ("TRADERNET_sid", "TRADERNET_SID"),
        ("TRADERNET_HOST", "TRADERNET_URL"),
        ("TRADERNET_LISTEN_ADDRESS", "WEB_LISTEN_ADDRESS"),
        ("TRADERNET_WEB_TELEMETRY_PATH", "WEB_TELEMETRY_PATH"),
    ] {
        assert_refused_with_sid(
            &[(name, "hunter2")],
            &format!("{name}: unknown variable; did you mean {suggestion}?"),
        );
    }
    let error = load_with_sid(&[("TRADERNET_TOKEN", "hunter2")]).unwrap_err();
    let error = error.to_string();
    let start = "TRADERNET_TOKEN: unknown variable; known variables are TRADERNET_ACCOUNT, ";
    assert!(error.starts_with(start), "{error}");
    assert!(error.ends_with(", WEB_TELEMETRY_PATH"), "{error}");
    assert!(!error.contains("LABELS") && !error.contains("hunter2"));
    // Labels are a mapping, which only the file can hold.
    assert!(load_with_sid(&[("TRADERNET_LABELS", "a=b")]).is_err());
}

#[test]
fn control_characters_in_variable_names_are_escaped() {
    let error = load_with_sid(&[("TRADERNET_X\n\u{1b}[31mTRADERNET_SID", "hunter2")]);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("TRADERNET_X\\n\\u{1b}[31mTRADERNET_SID: unknown"));
}

#[test]
fn a_misspelt_web_variable_is_a_warning() {
    let config = load_with_sid(&[
        ("WEB_LISTEN_ADRESS", ":80"),
        ("WEB_CONCURRENCY", "4"),
        ("WEB_PORT", "tcp://10.0.0.1:80"),
    ]);
    assert_eq!(
        config.unwrap().warnings,
        ["unknown variable WEB_LISTEN_ADRESS is ignored; did you mean WEB_LISTEN_ADDRESS?"]
    );
}

#[test]
fn variables_injected_by_kubernetes_are_ignored() {
    let injected = [
        ("TRADERNET_EXPORTER_SERVICE_HOST", "10.0.0.1"),
        ("TRADERNET_EXPORTER_SERVICE_PORT", "10460"),
        ("TRADERNET_EXPORTER_SERVICE_PORT_METRICS", "10460"),
        ("TRADERNET_EXPORTER_PORT", "tcp://10.0.0.1:10460"),
        ("TRADERNET_EXPORTER_PORT_10460_TCP", "tcp://10.0.0.1:10460"),
        ("TRADERNET_EXPORTER_PORT_10460_TCP_ADDR", "10.0.0.1"),
        ("TRADERNET_SERVICE_HOST", "10.0.0.1"),
        ("TRADERNET_PORT", "tcp://10.0.0.1:10460"),
        ("TRADERNET_PORT_10460_TCP_PROTO", "tcp"),
    ];
    assert!(load_with_sid(&injected).is_ok());
    assert!(load_with_sid(&[("TRADERNET_PORT_OF_CALL", "x")]).is_err());
}

#[test]
fn an_empty_variable_is_unset() {
    let empty = [
        ("TRADERNET_POLL_INTERVAL", ""),
        ("TRADERNET_PASSWORD", ""),
        ("TRADERNET_NONSENSE", ""),
    ];
    assert!(load_with_sid(&empty).is_ok());
}

#[test]
fn non_utf8_env_only_fails_for_our_names() {
    let bytes = || OsString::from_vec(b"hunter2\xff".to_vec());
    let mut all = variables(&[("TRADERNET_SID", "0123456789abcdef")]);
    all.push(("PATH".into(), bytes()));
    all.push((bytes(), "x".into()));
    assert!(Config::load(&Flags::default(), all.clone()).is_ok());
    all.push(("TRADERNET_ACCOUNT".into(), bytes()));
    let errors = Config::load(&Flags::default(), all).unwrap_err();
    assert_eq!(errors.to_string(), "TRADERNET_ACCOUNT: is not valid UTF-8");
}

#[test]
fn env_names_are_case_sensitive() {
    let config = load_with_sid(&[
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:1"),
        ("web_listen_address", "127.0.0.1:2"),
        ("WEB_telemetry_path", "/other"),
    ]);
    let web = config.unwrap().web;
    assert_eq!(web.listen_addresses, ["127.0.0.1:1"]);
    assert_eq!(web.telemetry_path, "/metrics");
}

#[test]
fn a_flag_overrides_its_variable_and_is_named_in_errors() {
    let flags = Flags::new(&[
        ("log.level", "warn"),
        ("web.listen-address", ":1,127.0.0.1:2"),
        ("web.enable-lifecycle", "true"),
    ]);
    let pairs = variables(&[
        ("TRADERNET_SID", "0123456789abcdef"),
        ("TRADERNET_LOG_LEVEL", "nonsense that is never read"),
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:3"),
        ("WEB_ENABLE_LIFECYCLE", "false"),
    ]);
    let config = Config::load(&flags, pairs.clone()).unwrap();
    assert_eq!(config.log.level, Level::WARN);
    assert_eq!(config.web.listen_addresses, ["[::]:1", "127.0.0.1:2"]);
    assert!(config.web.enable_lifecycle);
    let flags = Flags::new(&[
        ("log.level", "loud"),
        ("config.file", ""),
        ("web.listen-address", ":1,here"),
    ]);
    let address = "is not a listen address; use 127.0.0.1:10460, [::]:10460 or :10460";
    assert_eq!(
        Config::load(&flags, pairs).unwrap_err().to_string(),
        format!(
            "--config.file: \"\" is empty; use the path of a file\n\
             --log.level: \"loud\" must be one of debug, info, warn, error\n\
             --web.listen-address, item 2: \"here\" {address}"
        )
    );
}

#[test]
fn every_variable_is_documented() {
    let documentation = include_str!("../../../docs/configuration.md");
    let help = crate::cli::command().render_help().to_string();
    for key in ACCOUNT_KEYS.iter().chain(PROCESS_KEYS) {
        let key = key.name;
        // Each secret's file is documented once, with the first.
        let name = variable(key.strip_suffix("_file").unwrap_or(key));
        // A key of the file only.
        assert!(key == "labels" || documentation.contains(&name), "{name}");
        assert!(key == "labels" || help.contains(&name), "{name}");
    }
}

#[test]
fn every_documented_variable_exists_and_has_the_documented_default() {
    let documentation = include_str!("../../../docs/configuration.md");
    let mut defaults = 0;
    for row in documentation.lines().filter(|line| line.starts_with('|')) {
        let mut key = None;
        for name in row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|text| text.starts_with("TRADERNET_") || text.starts_with("WEB_"))
        {
            let mut keys = ACCOUNT_KEYS.iter().chain(PROCESS_KEYS);
            let found = keys.find(|key| variable(key.name) == name);
            assert!(found.is_some(), "{name}");
            key = key.or(found);
        }
        let cell = row
            .trim_end_matches([' ', '|'])
            .rsplit("| ")
            .next()
            .unwrap();
        if let (Some(key), Some(default)) = (key, cell.strip_prefix('`'))
            && let Some(default) = default.strip_suffix('`').filter(|text| !text.contains('`'))
        {
            defaults += 1;
            let help = key.help.split_whitespace().collect::<Vec<_>>().join(" ");
            let named = format!("[default: {default}]");
            assert!(help.contains(&named), "{row}: {help}");
        }
    }
    assert!(defaults > 8, "{defaults}");
}
