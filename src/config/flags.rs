//! The flags; each beats its variable.

use std::rc::Rc;

use clap::Args;

use super::env::{Environment, GLOBAL_KEYS, WEB_KEYS};
use super::settings::Settings;
use super::yaml::{Content, Node};

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
        let addresses = self.listen_addresses.iter();
        let addresses = addresses.map(|address| Rc::new(Node::new(0, text(address))));
        let addresses: Vec<_> = addresses.collect();
        let web = &mut environment.web;
        if !addresses.is_empty() {
            let addresses = Content::List(addresses);
            web.set("listen_address", "--web.listen-address", addresses);
        }
        for (flag, value) in [
            ("--web.config.file", &self.web_config_file),
            ("--web.enable-lifecycle", &switch(self.enable_lifecycle)),
            ("--web.external-url", &self.external_url),
            ("--web.probe-listen-address", &self.probe_listen_address),
            ("--web.systemd-socket", &switch(self.systemd_socket)),
            ("--web.telemetry-path", &self.telemetry_path),
        ] {
            set(web, WEB_KEYS, flag, value);
        }
        for (flag, value) in [
            ("--config.file", &self.config_file),
            ("--log.format", &self.log_format),
            ("--log.level", &self.log_level),
            ("--shard", &self.shard),
        ] {
            set(&mut environment.global, GLOBAL_KEYS, flag, value);
        }
    }
}

/// `--web.external-url` is the key `external_url`.
fn set(settings: &mut Settings, keys: &[&'static str], flag: &str, value: &Option<String>) {
    let key = flag.trim_start_matches("--").trim_start_matches("web.");
    let key = key.replace(['-', '.'], "_");
    let key = keys.iter().find(|known| **known == key);
    if let (Some(key), Some(value)) = (key, value) {
        settings.set(key, flag, text(value));
    }
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}
