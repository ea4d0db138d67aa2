//! A secret in every place of a wrong configuration: no error shows a part of it.

use std::ffi::OsString;
use std::path::Path;

use tradernet_exporter::Config;
use tradernet_exporter::config::Flags;

/// Letters that no word of an error has together.
const SECRET: &str = "qzvxkjwb";
/// A stretch of this many characters is a leak.
const STRETCH: usize = 4;

/// Forms of a secret after its key: whole, and split by a character with a meaning in YAML.
const VALUES: [&str; 44] = [
    "qzvxkjwb",
    "\"qzvxkjwb\"",
    "'qzvxkjwb",
    "\"qzvxkjwb",
    "'qzvx'kjwb'",
    "\"qzvx\\kjwb\"",
    "\"qzvxkjwb\\e[31m\"",
    "\"qzvxkjwb\\0\"",
    "\"qzvxkjwb\\nqzvxkjwb\"",
    "|\n        me\n        qzvxkjwb",
    ">\n        qzvxkjwb\n\n        qzvxkjwb",
    "|qzvxkjwb",
    "> qzvxkjwb",
    "[qzvxkjwb]",
    "[qzvxkjwb, qzvxkjwb]",
    "[me, [qzvxkjwb]]",
    "[{me: qzvxkjwb}]",
    "[qzvxkjwb",
    "]qzvxkjwb",
    "{qzvxkjwb}",
    "{qzvxkjwb: qzvxkjwb}",
    "{file: qzvxkjwb}",
    "{sid: qzvxkjwb, password:qzvxkjwb}",
    "{{ qzvxkjwb }}",
    "{qzvxkjwb",
    "}qzvxkjwb",
    "!qzvxkjwb",
    "!qzvxkjwb me",
    "!vault qzvxkjwb",
    "!qzvx!kjwb",
    "!<qzvxkjwb",
    "!!qzvxkjwb me",
    "&qzvxkjwb",
    "*qzvxkjwb",
    "@qzvxkjwb",
    "%qzvxkjwb",
    "- qzvxkjwb",
    "? qzvxkjwb",
    "qzvx: kjwb",
    "qzvx:kjwb",
    "qzvx,kjwb",
    "qzvx #kjwb",
    "qzvx\n        kjwb",
    "me qzvxkjwb",
];

const KEYS: [&str; 8] = [
    "password",
    "sid",
    "token",
    "pasword",
    "Password",
    "TRADERNET_SID",
    "api-secret",
    "login_password",
];

/// The part of the secret that a text shows.
fn leaked(text: &str) -> Option<String> {
    let secret: Vec<char> = SECRET.chars().collect();
    let mut stretches = secret.windows(STRETCH).map(String::from_iter);
    stretches.find(|stretch| text.contains(stretch.as_str()))
}

/// Loads a file and looks through what is said of it; whether anything was.
fn is_refused_without_secret(path: &Path, text: &str) -> bool {
    std::fs::write(path, text).unwrap();
    let flags = Flags::new(&[("config.file", path.to_str().unwrap())]);
    let Err(problems) = Config::load(&flags, []) else {
        return false;
    };
    let shown = format!("{problems}\n{problems:?}");
    if let Some(leaked) = leaked(&shown) {
        panic!("{leaked} of\n{text}\nin\n{problems}");
    }
    true
}

#[test]
fn in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.yml");
    let places = [
        "accounts:\n  - account: desk\n    timeout: 1\n    KEY: VALUE\n    max_age: never\n",
        "accounts:\n  - KEY: VALUE\n  - KEY: VALUE\n",
        "accounts:\n  - {account: desk, KEY: VALUE, max_age: never}\n",
        "defaults:\n    KEY: VALUE\naccounts:\n  - account: desk\n  - account: desk\n    KEY: VALUE\n",
        "accounts:\n  - account: desk\n    KEY: VALUE\n    KEY: VALUE\n    KEY_file: /nowhere\n",
        "accounts:\n  - account: desk\nKEY: VALUE\n",
        "accounts:\n  - account: desk\n    timeout:\n      KEY: VALUE\n",
        "accounts:\n  - account: desk\n    max_age: never\n   KEY: VALUE\n",
        "accounts:\n  - desk:\n      KEY: VALUE\n",
        "accounts:\n  desk:\n      KEY: VALUE\n",
        "accounts:\n  - desk\nsafety_types:\n    KEY: VALUE\n",
        "accounts:\n  - account: desk\n    allowed_logins:\n      - KEY: VALUE\n",
        "default:\n    KEY: VALUE\nacounts:\n  - KEY: VALUE\n",
        "accounts:\n  - !account {KEY: VALUE}\n---\nKEY: VALUE\n",
        // Without what makes a key of it.
        "accounts:\n  - {account: desk, KEY:VALUE}\n",
        "accounts:\n  - {account: desk, KEY VALUE}\n",
        "accounts:\n  - {account: desk, KEY=VALUE: }\n",
        "accounts:\n  - account: desk\n    KEY:VALUE\n",
        "accounts:\n  - KEY:VALUE\n",
        "accounts:\n  - VALUE\n",
        "accounts: VALUE\n",
        "defaults: VALUE\naccounts:\n  - account: desk\n",
        "VALUE\n",
        "KEY:VALUE\n",
    ];
    let (mut all, mut wrong) = (0, 0);
    for (index, place) in places.iter().enumerate() {
        // Every key in one place, and a few in every place.
        let step = if index == 0 { 1 } else { 4 };
        for key in KEYS.iter().step_by(step) {
            for value in VALUES {
                // A secret before a colon is a key like any other, and keys are named.
                if !place.contains("KEY") && value.contains(": ") {
                    continue;
                }
                let text = place.replace("KEY", key).replace("VALUE", value);
                all += 1;
                wrong += usize::from(is_refused_without_secret(&path, &text));
            }
        }
    }
    assert!(wrong > all * 9 / 10, "{wrong} of {all} are wrong");
}

/// Slips of one character: a missing space, line break, colon or quote makes something else of the
/// secret beside it.
#[test]
fn in_a_file_with_one_wrong_character() {
    const FILE: &str = "\
defaults: {timeout: 5s, password: qzvxkjwb}
accounts:
  - account: desk-1
    login: desk1@example.com
    password: qzvxkjwb
    url: https://tradernet.com
    max_age: 2m
  - {account: desk-2, sid: 'qzvxkjwb', poll_interval: 30s}
  - api_key: \"qzvxkjwb\"
    api_secret: |
      qzvxkjwb
    allowed_logins: [a@example.com, b@example.com]
    labels: {desk: fx}
";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.yml");
    let mut refused = 0;
    for position in 0..=FILE.len() {
        let (before, after) = FILE.split_at(position);
        let rest = after.get(1..).unwrap_or_default();
        refused += usize::from(is_refused_without_secret(&path, &format!("{before}{rest}")));
        for c in ["\n", " ", ":", ",", "'"] {
            let text = format!("{before}{c}{after}");
            refused += usize::from(is_refused_without_secret(&path, &text));
        }
    }
    assert!(refused > FILE.len() * 2, "{refused}");
}

#[test]
fn beside_a_login_and_in_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.yml");
    let mut wrong = 0;
    for key in ["login", "logn", "Login", "TRADERNET_LOGIN"] {
        for value in [
            "me:qzvxkjwb",
            "me qzvxkjwb",
            "me, qzvxkjwb",
            "me/qzvxkjwb",
            "[me, qzvxkjwb]",
            "|\n      me\n      qzvxkjwb",
            "{me: qzvxkjwb}",
        ] {
            let text =
                format!("accounts:\n  - account: desk\n    {key}: {value}\n    api_key: x\n");
            wrong += usize::from(is_refused_without_secret(&path, &text));
        }
    }
    for key in [
        "url",
        "ws_url",
        "socketio_url",
        "ulr",
        "ws_ulr",
        "socketioUrl",
    ] {
        for value in [
            "https://me:qzvxkjwb@tradernet.com",
            "https://qzvxkjwb@tradernet.com",
            "me:qzvxkjwb@tradernet.com",
            "https://me:qzvxkjwb",
            "https:///me:qzvxkjwb@",
            "https://me:qzvxkjwb%40tradernet.com",
            "https://tradernet.com/?sid=qzvxkjwb",
            "https://tradernet.com/#qzvxkjwb",
            "[https://tradernet.com, https://me:qzvxkjwb@tradernet.com]",
            "\"https://me:qzvxkjwb@tradernet.com\\n\"",
        ] {
            let text = format!("accounts:\n  - account: desk\n    sid: x\n    {key}: {value}\n");
            wrong += usize::from(is_refused_without_secret(&path, &text));
        }
    }
    assert_eq!(wrong, 4 * 7 + 6 * 10);
}

fn are_refused_without_secret(variables: &[(&str, &str)]) -> bool {
    let given = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let Err(problems) = Config::load(&Flags::default(), given) else {
        return false;
    };
    let shown = format!("{problems}\n{problems:?}");
    if let Some(leaked) = leaked(&shown) {
        panic!("{leaked} of {variables:?} in\n{problems}");
    }
    true
}

#[test]
fn in_variables() {
    let names = KEYS.map(|key| {
        let key = key.trim_start_matches("TRADERNET_").to_uppercase();
        format!("TRADERNET_{}", key.replace('-', "_"))
    });
    let others = [
        ("TRADERNET_ACCOUNT", "desk"),
        ("TRADERNET_SID", "x"),
        ("TRADERNET_SID_FILE", "/nowhere"),
        ("TRADERNET_PASSWORD_FILE", "/nowhere"),
        ("TRADERNET_API_KEY_FILE", "/nowhere"),
        ("TRADERNET_API_SECRET_FILE", "/nowhere"),
        ("TRADERNET_CONFIG_FILE", "/nowhere"),
        ("TRADERNET_TRANSPORT", "socketio"),
        ("TRADERNET_API_VERSION", "4"),
    ];
    let mut wrong = 0;
    for name in &names {
        for value in [
            "qzvxkjwb",
            " qzvxkjwb",
            "qzvx kjwb",
            "me:qzvxkjwb",
            "qzvxkjwb\n",
        ] {
            for other in others {
                wrong += usize::from(are_refused_without_secret(&[(name, value), other]));
            }
        }
    }
    assert!(wrong > names.len() * 5 * 8, "{wrong}");
    for (name, value) in [
        ("TRADERNET_LOGIN", "me:qzvxkjwb"),
        ("TRADERNET_LOGN", "me:qzvxkjwb"),
        ("TRADERNET_URL", "https://me:qzvxkjwb@tradernet.com"),
        ("TRADERNET_ULR", "https://me:qzvxkjwb@tradernet.com"),
        ("TRADERNET_URL", "https://me:qzvxkjwb"),
        ("TRADERNET_WS_URL", "wss://tradernet.com/?SID=qzvxkjwb"),
        ("TRADERNET_EXTERNAL_URL", "https://me:qzvxkjwb@proxy"),
        ("WEB_EXTERNAL_URL", "ftp://me:qzvxkjwb@proxy"),
        ("WEB_EXTERNAL_URL", "me:qzvxkjwb"),
        ("HTTPS_PROXY", "socks5://me:qzvxkjwb@proxy"),
        ("https_proxy", "http://me:qzvxkjwb"),
        ("ALL_PROXY", "qzvxkjwb://me"),
    ] {
        assert!(
            are_refused_without_secret(&[(name, value)]),
            "{name}={value}"
        );
    }
}
