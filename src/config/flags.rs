//! The flags; each beats its variable.

use clap::Args;

use super::env::Environment;
use super::error::Location;

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
    pub(super) fn override_variables(&self, environment: &mut Environment) {
        let switch = |is_on: bool| is_on.then(|| "true".to_owned());
        let global = [
            ("config_file", "--config.file", &self.config_file),
            ("shard", "--shard", &self.shard),
            ("log_level", "--log.level", &self.log_level),
            ("log_format", "--log.format", &self.log_format),
        ];
        let web = [
            (
                "probe_listen_address",
                "--web.probe-listen-address",
                &self.probe_listen_address,
            ),
            (
                "telemetry_path",
                "--web.telemetry-path",
                &self.telemetry_path,
            ),
            ("external_url", "--web.external-url", &self.external_url),
            ("config_file", "--web.config.file", &self.web_config_file),
            (
                "enable_lifecycle",
                "--web.enable-lifecycle",
                &switch(self.enable_lifecycle),
            ),
            (
                "systemd_socket",
                "--web.systemd-socket",
                &switch(self.systemd_socket),
            ),
        ];
        for (key, flag, text) in global {
            environment.global.set_text(key, flag, text.as_deref());
        }
        for (key, flag, text) in web {
            environment.web.set_text(key, flag, text.as_deref());
        }
        if !self.listen_addresses.is_empty() {
            let addresses = self.listen_addresses.iter().cloned();
            let location = || Location::named("--web.listen-address");
            let items = addresses.map(|address| (location(), address)).collect();
            environment
                .web
                .set_list("listen_address", location(), items);
        }
    }
}
