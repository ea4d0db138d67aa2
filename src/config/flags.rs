//! The flags; each beats its variable.

use clap::Args;

use super::keys::{PROCESS_KEYS, find};
use super::settings::SettingsByKey;
use super::yaml::{Node, Value};

/// Flags as given.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// YAML file that lists the accounts
    #[arg(long = "config.file", value_name = "FILE", global = true)]
    pub config_file: Option<String>,
    /// Watch only shard I, counted from 0, of N; auto/N takes I from the end of
    /// POD_NAME or of the host's name [default: 0/1]
    #[arg(long = "shard", value_name = "I/N", global = true)]
    pub shard: Option<String>,
    /// Address to listen on; repeatable [default: 127.0.0.1:10460]
    #[arg(long = "web.listen-address", value_name = "ADDRESS", global = true)]
    pub listen_addresses: Vec<String>,
    /// Address for /-/healthy and /-/ready only
    #[arg(
        long = "web.probe-listen-address",
        value_name = "ADDRESS",
        global = true
    )]
    pub probe_listen_address: Option<String>,
    /// Path of the metrics [default: /metrics]
    #[arg(long = "web.telemetry-path", value_name = "PATH", global = true)]
    pub telemetry_path: Option<String>,
    /// URL at which the pages are reached, for example through a proxy
    #[arg(long = "web.external-url", value_name = "URL", global = true)]
    pub external_url: Option<String>,
    /// Allow POST /-/reload
    #[arg(long = "web.enable-lifecycle", global = true)]
    pub enable_lifecycle: bool,
    /// Log level: debug, info, warn or error [default: info]
    #[arg(long = "log.level", value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
    /// Log format: logfmt or json [default: logfmt]
    #[arg(long = "log.format", value_name = "FORMAT", global = true)]
    pub log_format: Option<String>,
    // Not supported yet: refused with a reason, so not advertised.
    /// Not supported in this version
    #[arg(
        long = "web.config.file",
        value_name = "FILE",
        global = true,
        hide = true
    )]
    pub web_config_file: Option<String>,
    /// Not supported in this version
    #[arg(long = "web.systemd-socket", global = true, hide = true)]
    pub systemd_socket: bool,
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
            let key = flag.trim_start_matches('-').replace(['-', '.'], "_");
            if let (Some(text), Some(key)) = (text, find(PROCESS_KEYS, &key)) {
                settings.insert(key, Node::new(0, flag, Value::Text(text)));
            }
        }
    }
}
