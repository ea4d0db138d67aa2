//! Names: misspelt ones, those of others, flags beside variables.

use super::*;

#[test]
fn a_misspelt_name_is_shown_with_the_nearest_and_its_value_unless_it_may_be_a_secret() {
    refused_with_sid(
        &[("TRADERNET_PASWORD", "hunter2")],
        "TRADERNET_PASWORD: unknown variable; the nearest known one is TRADERNET_PASSWORD \
         (its value is not shown: it may be a secret)",
    );
    refused_with_sid(
        &[("TRADERNET_POLL_INTERVALL", "30s")],
        "TRADERNET_POLL_INTERVALL=\"30s\": unknown variable; the nearest known one is TRADERNET_POLL_INTERVAL",
    );
    refused_with_sid(
        &[("TRADERNET_ULR", "https://me:hunter2@tradernet.com")],
        "TRADERNET_ULR: unknown variable; the nearest known one is TRADERNET_URL \
         (its value is not shown: it may be a secret)",
    );
    refused_with_sid(
        &[("TRADERNET_LISTEN_ADDRESS", ":80")],
        "TRADERNET_LISTEN_ADDRESS=\":80\": unknown variable; the nearest known one is WEB_LISTEN_ADDRESS",
    );
}

#[test]
fn a_name_is_not_blank_and_does_not_begin_or_end_so() {
    refused_with_sid(
        &[("TRADERNET_ACCOUNT", " ")],
        "TRADERNET_ACCOUNT=\" \": is blank: write a name",
    );
    refused_with_sid(
        &[("TRADERNET_ACCOUNT", "desk-1 ")],
        "TRADERNET_ACCOUNT=\"desk-1 \": begins or ends with a blank: remove it",
    );
}

#[test]
fn what_only_follows_from_a_misspelt_name_is_not_told() {
    let hidden = "(its value is not shown: it may be a secret)";
    // The credential that seems to be missing, and the interval that the timeout seems to exceed.
    for (name, nearest) in [
        ("TRADERNET_SIDD", "TRADERNET_SID"),
        ("TRADERNET_PASWORD", "TRADERNET_PASSWORD"),
        ("TRADERNET_TOKEN", "TRADERNET_LOGIN"),
    ] {
        refused(
            &[(name, "hunter2")],
            &format!("{name}: unknown variable; the nearest known one is {nearest} {hidden}"),
        );
    }
    refused(
        &[("TRADERNET_CONFIG_FIL", "accounts.yml")],
        "TRADERNET_CONFIG_FIL=\"accounts.yml\": unknown variable; the nearest known one is TRADERNET_CONFIG_FILE",
    );
    refused(
        &[("TRADERNET_LOGN", "me"), ("TRADERNET_PASSWORD", "hunter2")],
        "TRADERNET_LOGN=\"me\": unknown variable; the nearest known one is TRADERNET_LOGIN",
    );
    refused_with_sid(
        &[
            ("TRADERNET_POL_INTERVAL", "1m"),
            ("TRADERNET_TIMEOUT", "45s"),
        ],
        "TRADERNET_POL_INTERVAL=\"1m\": unknown variable; the nearest known one is TRADERNET_POLL_INTERVAL",
    );
    // A slip elsewhere hides nothing.
    refused(
        &[("TRADERNET_POL_INTERVAL", "1m"), ("TRADERNET_LOGIN", "me")],
        "TRADERNET_POL_INTERVAL=\"1m\": unknown variable; the nearest known one is TRADERNET_POLL_INTERVAL\n\
         TRADERNET_LOGIN=\"me\": has no password: set TRADERNET_PASSWORD or TRADERNET_PASSWORD_FILE",
    );
}

#[test]
fn what_only_follows_from_a_value_that_is_wrong_is_not_told() {
    refused_with_sid(
        &[
            ("TRADERNET_POLL_INTERVAL", "soon"),
            ("TRADERNET_TIMEOUT", "45s"),
            ("TRADERNET_MAX_AGE", "50s"),
        ],
        "TRADERNET_POLL_INTERVAL=\"soon\": is no duration: write 30s, 1m, or a number of seconds",
    );
    let mut login = variables(&[("TRADERNET_LOGIN", "me")]);
    let bytes = OsString::from_vec(b"hunter2\xff".to_vec());
    login.push(("TRADERNET_PASSWORD".into(), bytes));
    let problems = Config::load(&Flags::default(), login).unwrap_err();
    assert_eq!(problems.to_string(), "TRADERNET_PASSWORD: is not UTF-8");
}

#[test]
fn a_name_with_a_control_sequence_forges_no_line() {
    refused_with_sid(
        &[("TRADERNET_TIMEOUT\n\u{1b}[31mTRADERNET_SID", "hunter2")],
        "TRADERNET_TIMEOUT…: unknown variable; the nearest known one is TRADERNET_TIMEOUT \
         (its value is not shown: it may be a secret)",
    );
}

#[test]
fn what_kubernetes_injects_is_passed_over() {
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
    assert!(load_with_sid(&[("TRADERNET_POLL_INTERVAL", ""), ("TRADERNET_PASSWORD", "")]).is_ok());
    assert!(load_with_sid(&[("TRADERNET_NONSENSE", "")]).is_ok());
}

#[test]
fn what_is_not_utf_8_matters_only_if_it_is_ours() {
    let bytes = || OsString::from_vec(vec![0xff, 0xfe]);
    let mut theirs = variables(&[("TRADERNET_SID", "0123456789abcdef")]);
    theirs.push(("PATH".into(), bytes()));
    theirs.push((bytes(), "x".into()));
    assert!(Config::load(&Flags::default(), theirs.clone()).is_ok());
    theirs.push(("TRADERNET_ACCOUNT".into(), bytes()));
    let problems = Config::load(&Flags::default(), theirs).unwrap_err();
    assert_eq!(problems.to_string(), "TRADERNET_ACCOUNT: is not UTF-8");
}

#[test]
fn several_problems_are_told_at_once() {
    refused(
        &[
            ("TRADERNET_SIDD", "x"),
            ("TRADERNET_POLL_INTERVAL", "0"),
            ("TRADERNET_API_KEY", "k"),
            ("TRADERNET_LOG_LEVEL", "loud"),
        ],
        "TRADERNET_SIDD: unknown variable; the nearest known one is TRADERNET_SID (its value is not shown: it may be a secret)\n\
         TRADERNET_POLL_INTERVAL=\"0\": is too short: at least 1s\n\
         TRADERNET_API_SECRET: is missing: TRADERNET_API_KEY is of no use without it\n\
         TRADERNET_LOG_LEVEL=\"loud\": is none of debug, info, warn, error",
    );
}

#[test]
fn a_flag_beats_its_variable_and_is_named_when_it_is_wrong() {
    let flags = Flags {
        log_level: Some("warn".to_owned()),
        listen_addresses: vec![":1".to_owned(), "127.0.0.1:2".to_owned()],
        ..Flags::default()
    };
    let pairs = variables(&[
        ("TRADERNET_SID", "0123456789abcdef"),
        ("TRADERNET_LOG_LEVEL", "nonsense that is never read"),
        ("WEB_LISTEN_ADDRESS", "127.0.0.1:3"),
    ]);
    let config = Config::load(&flags, pairs.clone()).unwrap();
    assert_eq!(config.log.level, tracing::Level::WARN);
    assert_eq!(config.web.listen_addresses, ["[::]:1", "127.0.0.1:2"]);
    let flags = Flags {
        log_level: Some("loud".to_owned()),
        ..Flags::default()
    };
    assert_eq!(
        Config::load(&flags, pairs).unwrap_err().to_string(),
        "--log.level=\"loud\": is none of debug, info, warn, error"
    );
}
