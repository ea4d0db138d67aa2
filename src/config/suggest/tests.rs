use super::*;
use crate::config::keys::ACCOUNT_KEYS;

#[test]
fn a_synonym_or_a_near_miss_is_suggested() {
    for (name, key) in [
        ("USERNAME", "login"),
        ("private_key_file", "api_secret_file"),
        ("Passwrod", "password"),
        ("apiKey", "api_key"),
        ("api_secert_file", "api_secret_file"),
        ("TRADERNET_TIMEOUT", "timeout"),
        ("logn", "login"),
    ] {
        assert_eq!(suggest(name, ACCOUNT_KEYS), Some(key), "{name}");
    }
}

#[test]
fn unrelated_names_have_no_suggestion() {
    for name in ["token", "colour", "max", "x", "", "пароль", "expires"] {
        assert_eq!(suggest(name, ACCOUNT_KEYS), None, "{name}");
    }
}

#[test]
fn names_of_secrets_never_suggest_keys_sent_in_clear() {
    for word in SECRET_WORDS {
        for key in ACCOUNT_KEYS.iter().map(|key| key.name) {
            for name in [
                format!("{key}{word}"),
                format!("{word}_{key}"),
                (*word).to_owned(),
            ] {
                if let Some(key) = suggest(&name, ACCOUNT_KEYS) {
                    assert!(is_hidden(key), "{name}: {key}");
                }
            }
        }
    }
    // By letters, this one is next to `api_key`.
    assert_eq!(suggest("pin_key", &[Key::named("api_key")]), None);
}
