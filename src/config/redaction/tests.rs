//! What is shown, case by case.

use super::*;

#[test]
fn no_text_under_a_secrets_key_or_in_an_accounts_place() {
    for key in [
        "sid",
        "password",
        "api_key",
        "api_secret",
        "defaults",
        "accounts",
    ] {
        for value in ["hunter2", "", "30s", "/run/secrets/desk"] {
            assert_eq!(text(key, value), None, "{key}={value}");
        }
    }
    for key in [
        "poll_interval",
        "login",
        "account",
        "sid_file",
        "password_file",
    ] {
        assert_eq!(text(key, "me@example.com"), Some("me@example.com"), "{key}");
    }
}

#[test]
fn logins() {
    for plain in ["me", "desk-1", "desk.1+a_b@example.com", "Дежурный", ""] {
        assert_eq!(text("login", plain), Some(plain));
    }
    for hidden in [
        "me:hunter2",
        "me hunter2",
        "me\nhunter2",
        "me/hunter2",
        "me,hunter2",
    ] {
        assert_eq!(text("login", hidden), None, "{hidden}");
    }
}

#[test]
fn urls() {
    for plain in [
        "https://tradernet.com",
        "http://tradernet.com:80/",
        "https://tradernet.com/api",
        "tradernet.com",
        "tradernet.com:443",
        "ftp://[2001:db8::1]:21/a",
        "https://",
        "soon",
        "",
    ] {
        for key in ["url", "ws_url", "socketio_url", "external_url"] {
            assert_eq!(text(key, plain), Some(plain));
        }
    }
    for hidden in [
        "https://me:hunter2@tradernet.com",
        "https://hunter2@tradernet.com",
        "me:hunter2@tradernet.com",
        "https://me:hunter2",
        "https:///me:hunter2",
        "https://me:hunter2/api",
        "https://me:hunter2%40tradernet.com",
        "https://tradernet.com:hunter2",
        "https://tradernet.com/me:hunter2",
        "https://tradernet.com/?sid=hunter2",
        "https://tradernet.com/#hunter2",
        "https://tradernet.com/;sid=hunter2",
        "https://tradernet.com hunter2",
        "https:\\\\me\\hunter2",
        "https://[::1]hunter2",
        "https://[hunter2",
        "hunter2:",
        "sid:hunter2",
    ] {
        assert_eq!(text("url", hidden), None, "{hidden}");
    }
}

#[test]
fn several_texts_are_joined_unless_they_may_hold_a_secret() {
    let joined = |key, items: &[&'static str]| several(key, items.iter().copied().map(Some));
    assert_eq!(joined("account", &["a", "b"]).as_deref(), Some("a,b"));
    assert_eq!(joined("url", &["https://a"]).as_deref(), Some("https://a"));
    assert_eq!(joined("url", &["https://a", "https://b:c@d"]), None);
    for key in ["login", "password", "sid", "api_key", "api_secret"] {
        assert_eq!(joined(key, &["me", "hunter2"]), None);
    }
    assert_eq!(several("account", [Some("a"), None].into_iter()), None);
    let many = vec!["0123456789"; 1_000_000];
    assert!(joined("account", &many).is_some_and(|text| text.len() < 2000));
}

#[test]
fn names() {
    let long = "x".repeat(100);
    for (given, shown) in [
        ("pol_interval", "pol_interval"),
        ("TRADERNET_FOO", "TRADERNET_FOO"),
        ("пароль", "пароль"),
        ("<<", "<<"),
        (":login", ":login"),
        ("sid:hunter2", "sid…"),
        ("sid=hunter2", "sid…"),
        ("password hunter2", "password…"),
        ("{sid:hunter2}", "{sid…"),
        ("a\u{1b}[31m", "a…"),
        ("\n", "…"),
        ("", "\"\""),
        (long.as_str(), &format!("{}…", "x".repeat(64))),
    ] {
        assert_eq!(name(given), shown);
    }
}
