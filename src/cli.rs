//! The command line: commands and flags, and the text of `--help`.

use clap::{Args, Parser, Subcommand};

use crate::config::Flags;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("BUILD_REVISION"),
    ", rustc ",
    env!("BUILD_RUSTC_VERSION"),
    ")"
);

const VARIABLES: &str = "\
Account variables (no secret is ever a flag; each secret also as …_FILE;
in a file of accounts, the same names in lower case without TRADERNET_):
  TRADERNET_URL                  API origin [https://tradernet.com]
  TRADERNET_ACCOUNT              value of the label `account` [default]
  TRADERNET_SID                  an SID obtained elsewhere, or
  TRADERNET_LOGIN, TRADERNET_PASSWORD
                                 login and password, or
  TRADERNET_API_KEY, TRADERNET_API_SECRET
                                 a key pair (recommended)
  TRADERNET_API_VERSION          1, 2 or 3 [1 with SID or login, 3 with keys]
  TRADERNET_TRANSPORT            http, websocket or socketio [http]
  TRADERNET_WS_URL, TRADERNET_SOCKETIO_URL
                                 stream origins [of the URL's domain]
  TRADERNET_POLL_INTERVAL        [30s]
  TRADERNET_TIMEOUT              one request [10s, at most the interval]
  TRADERNET_MAX_AGE              older gauges are dropped [3 × interval]
  TRADERNET_EXPIRE_UNIT          auto, ms or s [auto]
  TRADERNET_ALLOWED_CLIENT_IPS, TRADERNET_ALLOWED_SAFETY_TYPES,
  TRADERNET_ALLOWED_LOGINS, TRADERNET_MIN_SESSIONS, TRADERNET_MAX_SESSIONS,
  TRADERNET_MAX_LIFETIME         what is not anomalous [anything]
  TRADERNET_SESSION_DETAILS      off, anonymous or full [off]

Other variables:
  TRADERNET_CONFIG_FILE, TRADERNET_SHARD, TRADERNET_LOG_LEVEL,
  TRADERNET_LOG_FORMAT, WEB_LISTEN_ADDRESS, WEB_PROBE_LISTEN_ADDRESS,
  WEB_TELEMETRY_PATH, WEB_EXTERNAL_URL, WEB_ENABLE_LIFECYCLE
                                 as the flags
  TRADERNET_MAX_REQUESTS_PER_HOST  [16]
  TRADERNET_MAX_RESPONSE_BYTES   [67108864]
  TRADERNET_SAFETY_TYPES         names [2=token,3=sms,4=password]
  HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE
                                 proxy and private CA

Exit codes: 0 well, 1 failed, 2 command line or configuration wrong.";

/// Watches the open security sessions of Tradernet accounts and serves them to
/// Prometheus. Without a command: poll and serve.
#[derive(Debug, Parser)]
#[command(version = VERSION, after_help = VARIABLES, term_width = 80, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    serve: ServeFlags,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve an embedded Tradernet with a few accounts: needs no account, no
    /// network
    Demo,
    /// Read the configuration, ask each account once, print a table; exit 0 all
    /// well, 1 one failed, 2 configuration wrong
    Check {
        /// Read the configuration only
        #[arg(long)]
        offline: bool,
    },
    /// Ask the running exporter's /-/healthy; exit 0 or 1
    Healthcheck,
}

#[derive(Debug, Args)]
struct ServeFlags {
    /// YAML file that lists the accounts
    #[arg(long = "config.file", value_name = "FILE", global = true)]
    config_file: Option<String>,
    /// Watch shard I (from 0) of N alone; auto/N: the number at the end of
    /// POD_NAME or the host's name [default: 0/1]
    #[arg(long = "shard", value_name = "I/N", global = true)]
    shard: Option<String>,
    /// Address to listen on; repeatable [default: 127.0.0.1:10460]
    #[arg(long = "web.listen-address", value_name = "ADDRESS", global = true)]
    listen_address: Vec<String>,
    /// Address for /-/healthy and /-/ready alone
    #[arg(
        long = "web.probe-listen-address",
        value_name = "ADDRESS",
        global = true
    )]
    probe_listen_address: Option<String>,
    /// Path of the metrics [default: /metrics]
    #[arg(long = "web.telemetry-path", value_name = "PATH", global = true)]
    telemetry_path: Option<String>,
    /// URL under which people see the pages
    #[arg(long = "web.external-url", value_name = "URL", global = true)]
    external_url: Option<String>,
    /// Allow POST /-/reload
    #[arg(long = "web.enable-lifecycle", global = true)]
    enable_lifecycle: bool,
    /// debug, info, warn or error [default: info]
    #[arg(long = "log.level", value_name = "LEVEL", global = true)]
    log_level: Option<String>,
    /// logfmt or json [default: logfmt]
    #[arg(long = "log.format", value_name = "FORMAT", global = true)]
    log_format: Option<String>,
    // Named by the contract, not in this version yet: refused with a reason, so not advertised.
    #[arg(
        long = "web.config.file",
        value_name = "FILE",
        global = true,
        hide = true
    )]
    web_config_file: Option<String>,
    #[arg(long = "web.systemd-socket", global = true, hide = true)]
    systemd_socket: bool,
}

impl Cli {
    /// The flags, as the configuration takes them.
    pub fn flags(&self) -> Flags {
        let serve = &self.serve;
        Flags {
            config_file: serve.config_file.clone(),
            shard: serve.shard.clone(),
            listen_addresses: serve.listen_address.clone(),
            probe_listen_address: serve.probe_listen_address.clone(),
            telemetry_path: serve.telemetry_path.clone(),
            web_config_file: serve.web_config_file.clone(),
            external_url: serve.external_url.clone(),
            systemd_socket: serve.systemd_socket,
            enable_lifecycle: serve.enable_lifecycle,
            log_level: serve.log_level.clone(),
            log_format: serve.log_format.clone(),
        }
    }
}
