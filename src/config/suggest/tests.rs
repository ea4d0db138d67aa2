//! Which names may show their values: a table, and every slip of the pen in a secret's name.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{ACCOUNT_KEYS, GLOBAL_KEYS};

fn known() -> impl Iterator<Item = &'static str> {
    ACCOUNT_KEYS.iter().chain(GLOBAL_KEYS).copied()
}

fn guessed(name: &str) -> Guess {
    guess(name, known()).unwrap()
}

#[test]
fn a_clear_slip_in_a_harmless_name_shows_its_value() {
    for (name, nearest) in [
        ("pol_interval", "poll_interval"),
        ("poll_intervall", "poll_interval"),
        ("pollInterval", "poll_interval"),
        ("poll-interval", "poll_interval"),
        ("poll interval", "poll_interval"),
        ("POLL_INTERVAL", "poll_interval"),
        ("TRADERNET_POLL_INTERVAL", "poll_interval"),
        ("TRADERNET_LOGIN", "login"),
        ("logn", "login"),
        ("logins", "login"),
        ("acount", "account"),
        ("timout", "timeout"),
        ("ulr", "url"),
        ("uri", "url"),
        ("max_sesions", "max_sessions"),
        ("alowed_client_ip", "allowed_client_ips"),
        ("allowed_saftey_type", "allowed_safety_types"),
        ("config_fil", "config_file"),
        ("log_levl", "log_level"),
        // Paths.
        ("sid_flie", "sid_file"),
        ("sidfile", "sid_file"),
        ("password_fiel", "password_file"),
        ("pasword_file", "password_file"),
        ("api_secert_file", "api_secret_file"),
        ("apiKeyFile", "api_key_file"),
    ] {
        let expected = Guess {
            nearest,
            is_clear: true,
            may_show: true,
        };
        assert_eq!(guessed(name), expected, "{name}");
    }
}

#[test]
fn what_may_be_a_secrets_name_does_not() {
    for (name, nearest, is_clear) in [
        ("pasword", "password", true),
        ("PASSWORD", "password", true),
        ("TRADERNET_SID", "sid", true),
        ("sidd", "sid", true),
        ("s_id", "sid", true),
        ("ssid", "sid", true),
        ("apiKey", "api_key", true),
        ("api-secret", "api_secret", true),
        ("api_keys", "api_key", true),
        // Nothing in sight.
        ("token", "login", false),
        ("secret", "api_secret", false),
        ("interval", "poll_interval", false),
        ("pass", "password", false),
        ("session", "min_sessions", false),
        ("parol", "url", false),
        // As near to a secret's name as to a harmless one's, or nearly so.
        ("srl", "url", true),
        ("uid", "sid", true),
        ("password_f", "password", true),
        ("sid_f", "sid_file", false),
        // Near to a harmless name, but for a word.
        ("allowed_pins", "allowed_logins", true),
        ("login_key", "login", false),
        ("authlogin", "login", false),
        ("max_sidions", "max_sessions", true),
        ("allowed_logins_pw", "allowed_logins", true),
        ("pinout", "timeout", false),
        ("shared", "shard", true),
        // No longer a name.
        ("timeout:5s", "timeout", true),
        ("sid:hunter2", "sid", true),
        ("login=me", "login", true),
        (":login", "login", true),
        ("login\n\u{1b}[31m", "login", true),
    ] {
        let expected = Guess {
            nearest,
            is_clear,
            may_show: false,
        };
        assert_eq!(guessed(name), expected, "{name}");
    }
}

/// All names that are one slip away: a letter left out, doubled, added, exchanged, two swapped.
fn slips(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let others = ('a'..='z').chain("_0129-".chars());
    let mut slips = Vec::new();
    for at in 0..=letters.len() {
        let (before, after) = letters.split_at(at);
        let made = |middle: &[char], after: &[char]| [before, middle, after].concat();
        for other in others.clone() {
            slips.push(made(&[other], after));
            if let [_, rest @ ..] = after {
                slips.push(made(&[other], rest));
            }
        }
        if let [_, rest @ ..] = after {
            slips.push(made(&[], rest));
        }
        if let [one, two, rest @ ..] = after {
            slips.push(made(&[*two, *one], rest));
        }
    }
    slips.into_iter().map(String::from_iter).collect()
}

#[test]
fn no_slip_in_a_secrets_name_shows_it() {
    for secret in SECRET_KEYS {
        for slip in slips(secret) {
            if known().any(|known| known == slip) {
                continue;
            }
            assert!(!guessed(&slip).may_show, "{slip} for {secret}");
            assert!(!guessed(&slip.to_uppercase()).may_show, "{slip}");
        }
    }
}

#[test]
fn no_harmless_key_smells() {
    for key in known().filter(|key| !SECRET_KEYS.contains(key)) {
        let is_secrets_file = SECRET_KEYS
            .iter()
            .any(|secret| key == format!("{secret}_file"));
        assert_eq!(smells(key), is_secrets_file, "{key}");
    }
}

#[test]
fn an_endless_name_is_soon_judged() {
    assert!(!guessed(&"x".repeat(1 << 20)).may_show);
}
