//! The flags; each overrides its variable.

use clap::Args;

use super::keys::{PROCESS_KEYS, find, variable};
use super::settings::SettingsByKey;
use super::yaml::{Node, Value};

/// Flags as given.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// YAML file that lists the accounts
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<String>,
    /// Watch only shard I, counted from 0, of N; auto/N takes I from the end of
    /// POD_NAME or of the host's name [default: 0/1]
    #[arg(long = "shard", value_name = "I/N")]
    pub shard: Option<String>,
    /// Address or unix:/path to listen on; repeatable [default:
    /// 127.0.0.1:10460]
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    pub listen_addresses: Vec<String>,
    /// Serve the sockets that systemd has bound by a socket unit
    #[arg(long = "web.systemd-socket")]
    pub systemd_socket: bool,
    /// Address for /-/healthy and /-/ready only
    #[arg(long = "web.probe-listen-address", value_name = "ADDRESS")]
    pub probe_listen_address: Option<String>,
    /// Path of the metrics [default: /metrics]
    #[arg(long = "web.telemetry-path", value_name = "PATH")]
    pub telemetry_path: Option<String>,
    /// URL at which the pages are reached, for example through a proxy
    #[arg(long = "web.external-url", value_name = "URL")]
    pub external_url: Option<String>,
    /// YAML file with TLS, passwords, headers and rate limit of the pages
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<String>,
    /// Allow POST /-/reload and PUT /-/log-level
    #[arg(long = "web.enable-lifecycle")]
    pub enable_lifecycle: bool,
    /// Log level: debug, info, warn or error [default: info]
    #[arg(long = "log.level", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Log format: logfmt or json [default: logfmt]
    #[arg(long = "log.format", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl Flags {
    /// Whether a listener is named.
    pub fn has_listener(&self) -> bool {
        !self.listen_addresses.is_empty() || self.probe_listen_address.is_some()
    }

    /// Sets the keys whose flags are given.
    pub(super) fn override_variables(&self, settings: &mut SettingsByKey) {
        let switch = |is_on: bool| is_on.then(|| "true".to_owned());
        let addresses = self.listen_addresses.join(",");
        for (flag, text) in [
            ("--config.file", self.config_file.clone()),
            ("--log.format", self.log_format.clone()),
            ("--log.level", self.log_level.clone()),
            ("--shard", self.shard.clone()),
            ("--web.config.file", self.web_config_file.clone()),
            ("--web.enable-lifecycle", switch(self.enable_lifecycle)),
            ("--web.external-url", self.external_url.clone()),
            (
                "--web.listen-address",
                Some(addresses).filter(|_| !self.listen_addresses.is_empty()),
            ),
            (
                "--web.probe-listen-address",
                self.probe_listen_address.clone(),
            ),
            ("--web.systemd-socket", switch(self.systemd_socket)),
            ("--web.telemetry-path", self.telemetry_path.clone()),
        ] {
            if let (Some(text), Some(key)) = (text, find(PROCESS_KEYS, &key(flag))) {
                settings.insert(key, Node::new(0, flag, Value::Text(text.into())));
            }
        }
    }
}

/// `--web.external-url` sets the key `web_external_url`.
fn key(flag: &str) -> String {
    flag.trim_start_matches('-').replace(['-', '.'], "_")
}

/// The variable that a flag overrides.
pub(crate) fn variable_of(flag: &str) -> String {
    variable(&key(flag))
}
