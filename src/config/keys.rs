//! The keys of settings: one table for variables, the accounts file, errors, suggestions and `--help`.

use std::fmt::Write as _;

/// A key of the accounts file or the web configuration file, or a variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// The variable in lower case without `TRADERNET_`.
    pub(super) name: &'static str,
    /// Its names in other programs.
    pub(super) synonyms: &'static str,
    /// Its lines in `--help`, where it has some.
    pub(super) help: &'static str,
    /// Its flag, where it has one, and the name of the flag's value; a switch has none.
    pub(super) flag: [&'static str; 2],
}

impl Key {
    pub(super) const fn named(name: &'static str) -> Self {
        Self {
            name,
            synonyms: "",
            help: "",
            flag: ["", ""],
        }
    }
}

/// A table of keys. The comment is the help: a line each, at most 46 columns wide.
macro_rules! keys {
    ($($(#[doc = $help:literal])* $key:ident $($synonyms:literal)?
        $(= $flag:literal $value:literal)?,)+) => {
        &[$($crate::config::keys::Key {
            synonyms: concat!("" $(, $synonyms)?),
            help: concat!("" $(, $help, "\n")*),
            flag: [concat!("" $(, $flag)?), concat!("" $(, $value)?)],
            ..$crate::config::keys::Key::named(stringify!($key))
        },)+]
    };
}
pub(super) use keys;

/// The keys at the top of the accounts file.
pub(super) const TOP_KEYS: &[Key] = keys! { accounts, defaults, safety_types, };

/// The keys of an account.
pub(super) const ACCOUNT_KEYS: &[Key] = keys! {
    /// the label `account` [default: default]
    account "account_name name",
    labels,
    /// API origin [default: https://tradernet.com]
    url "api_url base_url endpoint host hostname origin server",
    /// an SID obtained elsewhere
    sid "session_id",
    sid_file "session_id_file",
    /// name that logs in to obtain an SID
    login "email user username",
    /// password of the login
    password "pass passwd pwd",
    password_file "pass_file passwd_file pwd_file",
    /// log in for viewing only [default: false]
    login_view_only "read_only view_only",
    /// account of a view-only login that has several
    user_id,
    /// public key of a key pair (recommended)
    api_key "api_public_key public_key",
    api_key_file "api_public_key_file public_key_file",
    /// private key of the pair, which signs requests
    api_secret "api_private_key private_key secret secret_key",
    api_secret_file "api_private_key_file private_key_file secret_file secret_key_file",
    /// 1 with an SID or a login; with a key pair 2 or
    /// 3, the way of signing [default: 1 or 3]
    api_version "version",
    /// http polls, websocket or socketio is pushed to
    /// [default: http]
    transport,
    /// origin of the WebSocket [default: wss.DOMAIN]
    ws_url,
    /// origin of socket.io [default: ws.DOMAIN]
    socketio_url,
    /// time between two polls [default: 30s]
    poll_interval "interval scrape_interval",
    /// limit of a request [default: 10s, or interval]
    timeout,
    /// age at which session gauges are dropped
    /// [default: 3 intervals]
    max_age,
    /// unit of the time left: auto, ms or s
    /// [default: auto]
    expire_unit,
    /// addresses and networks that sessions may have
    allowed_client_ips "allowed_ips allowed_networks client_ips ips",
    /// safety types that sessions may have
    allowed_safety_types,
    /// logins that sessions may have
    allowed_logins "allowed_users logins",
    /// least number of open sessions
    min_sessions,
    /// greatest number of open sessions
    max_sessions,
    /// types counted for the minimum [default: any]
    min_sessions_safety_types,
    /// longest time from opening to expiry
    max_lifetime,
    /// series of single sessions: off, anonymous or
    /// full [default: off]
    session_details "details",
};

/// A mapping, which only the accounts file can hold.
pub(super) const LABELS: &str = "labels";

/// The other variables' keys. Where the key begins with `web_`, the variable does too.
pub(super) const PROCESS_KEYS: &[Key] = keys! {
    /// YAML file that lists the accounts
    config_file = "config.file" "FILE",
    /// Watch only shard I, counted from 0, of N; auto/N takes I from the end of
    /// POD_NAME or of the host's name [default: 0/1]
    shard = "shard" "I/N",
    /// Address or unix:/path to listen on; repeatable [default:
    /// 127.0.0.1:10460]
    web_listen_address "listen_address" = "web.listen-address" "ADDRESS",
    /// Serve the sockets that systemd has bound by a socket unit
    web_systemd_socket "systemd_socket" = "web.systemd-socket" "",
    /// Address for /-/healthy and /-/ready only
    web_probe_listen_address "probe_listen_address" = "web.probe-listen-address" "ADDRESS",
    /// Path of the metrics [default: /metrics]
    web_telemetry_path "telemetry_path" = "web.telemetry-path" "PATH",
    /// URL at which the pages are reached, for example through a proxy
    web_external_url "external_url" = "web.external-url" "URL",
    /// YAML file with TLS, passwords, headers and rate limit of the pages
    web_config_file = "web.config.file" "FILE",
    /// Allow POST /-/reload and PUT /-/log-level
    web_enable_lifecycle "enable_lifecycle" = "web.enable-lifecycle" "",
    /// Log level: debug, info, warn or error [default: info]
    log_level = "log.level" "LEVEL",
    /// Log format: logfmt or json [default: logfmt]
    log_format = "log.format" "FORMAT",
    /// concurrent requests to a host [default: 16]
    max_requests_per_host,
    /// logins to a host in a minute [default: 10]
    max_logins_per_minute,
    /// largest answer that is read [default: 4194304]
    max_response_bytes,
    /// display names, such as 2=token,4=plain
    safety_types "safety_type_names",
};

/// The secrets; the second key is that of a file.
pub(super) const SECRET_KEYS: [[&str; 2]; 4] = [
    ["sid", "sid_file"],
    ["password", "password_file"],
    ["api_key", "api_key_file"],
    ["api_secret", "api_secret_file"],
];

pub(super) fn is_secret(key: &str) -> bool {
    SECRET_KEYS.iter().any(|[secret, _]| *secret == key)
}

/// The key of this name among the known ones.
pub(super) fn find(known: &[Key], name: &str) -> Option<&'static str> {
    let mut names = known.iter().map(|key| key.name);
    names.find(|key| *key == name)
}

/// The variable of a key.
pub(super) fn variable(key: &str) -> String {
    let name = key.to_ascii_uppercase();
    match name.starts_with("WEB_") {
        true => name,
        false => format!("TRADERNET_{name}"),
    }
}

/// For `--help`: the variables of an account, and those of the process that have no flag.
pub(crate) fn variables_help() -> [String; 2] {
    [ACCOUNT_KEYS, PROCESS_KEYS].map(|keys| {
        let mut text = String::new();
        for key in keys
            .iter()
            .filter(|key| !key.help.is_empty() && key.flag[0].is_empty())
        {
            let name = variable(key.name);
            let mut lines = key.help.lines();
            // A long name has a line of its own.
            let first = if name.len() > 31 { None } else { lines.next() };
            let _ = writeln!(text, "  {name:31}{}", first.unwrap_or_default());
            for line in lines {
                let _ = writeln!(text, "{:33}{line}", "");
            }
        }
        text
    })
}
