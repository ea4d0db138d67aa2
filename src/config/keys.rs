//! The keys of settings: one table for variables, the accounts file, errors and suggestions.

/// A key, which is a variable's name in lower case without `TRADERNET_`, and its names in other
/// programs.
pub(super) type Key = (&'static str, &'static str);

/// The keys at the top of the accounts file.
pub(super) const TOP_KEYS: &[Key] = &[("accounts", ""), ("defaults", ""), ("safety_types", "")];

/// The keys of an account.
pub(super) const ACCOUNT_KEYS: &[Key] = &[
    ("account", "account_name name"),
    (
        "allowed_client_ips",
        "allowed_ips allowed_networks client_ips ips",
    ),
    ("allowed_logins", "allowed_users logins"),
    ("allowed_safety_types", ""),
    ("api_key", "api_public_key public_key"),
    ("api_key_file", "api_public_key_file public_key_file"),
    (
        "api_secret",
        "api_private_key private_key secret secret_key",
    ),
    (
        "api_secret_file",
        "api_private_key_file private_key_file secret_file secret_key_file",
    ),
    ("api_version", "version"),
    ("expire_unit", ""),
    (LABELS, ""),
    ("login", "email user username"),
    ("login_view_only", "read_only view_only"),
    ("max_age", ""),
    ("max_lifetime", ""),
    ("max_sessions", ""),
    ("min_sessions", ""),
    ("min_sessions_safety_types", ""),
    ("password", "pass passwd pwd"),
    ("password_file", "pass_file passwd_file pwd_file"),
    ("poll_interval", "interval scrape_interval"),
    ("session_details", "details"),
    ("sid", "session_id"),
    ("sid_file", "session_id_file"),
    ("socketio_url", ""),
    ("timeout", ""),
    ("transport", ""),
    (
        "url",
        "api_url base_url endpoint host hostname origin server",
    ),
    ("user_id", ""),
    ("ws_url", ""),
];

/// A mapping, which only the accounts file can hold.
pub(super) const LABELS: &str = "labels";

/// The other variables' keys. Where the key begins with `web_`, the variable does too.
pub(super) const PROCESS_KEYS: &[Key] = &[
    ("config_file", ""),
    ("log_format", ""),
    ("log_level", ""),
    ("max_logins_per_minute", ""),
    ("max_requests_per_host", ""),
    ("max_response_bytes", ""),
    ("safety_types", "safety_type_names"),
    ("shard", ""),
    ("web_config_file", ""),
    ("web_enable_lifecycle", "enable_lifecycle"),
    ("web_external_url", "external_url"),
    ("web_listen_address", "listen_address"),
    ("web_probe_listen_address", "probe_listen_address"),
    ("web_systemd_socket", "systemd_socket"),
    ("web_telemetry_path", "telemetry_path"),
];

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
    let mut keys = known.iter().map(|(key, _)| *key);
    keys.find(|key| *key == name)
}

/// The variable of a key.
pub(super) fn variable(key: &str) -> String {
    let prefix = if key.starts_with("web_") {
        ""
    } else {
        "TRADERNET_"
    };
    format!("{prefix}{}", key.to_ascii_uppercase())
}
