//! The command line: commands, and the text of `--help`. The flags are those of the configuration.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Flags;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("BUILD_REVISION"),
    ", rustc ",
    env!("BUILD_RUSTC_VERSION"),
    ")"
);

const AFTER_HELP: &str = "\
Variables of an account. A secret is never a flag; SID, PASSWORD, API_KEY and
API_SECRET can also be given as a file, such as TRADERNET_SID_FILE. In the
accounts file, keys are the same names in lower case without TRADERNET_.
  TRADERNET_ACCOUNT             value of the label `account` [default: default]
  TRADERNET_URL                 API origin [default: https://tradernet.com]
  TRADERNET_SID                 credential: an SID obtained elsewhere, or
  TRADERNET_LOGIN, TRADERNET_PASSWORD
                                login and password, or
  TRADERNET_API_KEY, TRADERNET_API_SECRET
                                a key pair (recommended)
  TRADERNET_API_VERSION         1, 2 or 3 [default: 3 with a key pair, else 1]
  TRADERNET_TRANSPORT           http, websocket or socketio [default: http]
  TRADERNET_WS_URL, TRADERNET_SOCKETIO_URL
                                stream origins [default: from the API origin]
  TRADERNET_POLL_INTERVAL       time between two polls [default: 30s]
  TRADERNET_TIMEOUT             of one request [default: 10s, or the interval]
  TRADERNET_MAX_AGE             drop older gauges [default: 3 intervals]
  TRADERNET_EXPIRE_UNIT         auto, ms or s [default: auto]
  TRADERNET_ALLOWED_CLIENT_IPS, TRADERNET_ALLOWED_SAFETY_TYPES,
  TRADERNET_ALLOWED_LOGINS      rules that sessions must satisfy
  TRADERNET_MIN_SESSIONS, TRADERNET_MAX_SESSIONS, TRADERNET_MAX_LIFETIME
                                limits; violations are reported
  TRADERNET_MIN_SESSIONS_SAFETY_TYPES
                                types that count for the minimum [default: any]
  TRADERNET_SESSION_DETAILS     off, anonymous or full [default: off]

Other variables:
  TRADERNET_CONFIG_FILE, TRADERNET_SHARD, TRADERNET_LOG_LEVEL,
  TRADERNET_LOG_FORMAT, WEB_LISTEN_ADDRESS, WEB_PROBE_LISTEN_ADDRESS,
  WEB_TELEMETRY_PATH, WEB_EXTERNAL_URL, WEB_ENABLE_LIFECYCLE
                                the same as the flags; a flag wins
  TRADERNET_MAX_REQUESTS_PER_HOST
                                concurrent requests [default: 16]
  TRADERNET_MAX_LOGINS_PER_MINUTE
                                logins to one host [default: 10]
  TRADERNET_MAX_RESPONSE_BYTES  [default: 4194304]
  TRADERNET_SAFETY_TYPES        display names, such as 2=token,4=plain
  HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE
                                proxy and CA certificates

Exit codes: 0 success, 1 failure, 2 invalid command line or configuration.";

/// Watches the open security sessions of Tradernet accounts and serves them to
/// Prometheus. Without a command: poll and serve.
#[derive(Debug, Parser)]
#[command(
    version = VERSION,
    after_help = AFTER_HELP,
    term_width = 80,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags, for every command.
    #[command(flatten)]
    pub flags: Flags,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve an embedded Tradernet simulator with a few accounts; needs no
    /// account and no network
    Demo,
    /// Read the configuration, poll each account once and print a table; exit
    /// code 0 success, 1 an account failed, 2 invalid configuration
    Check(CheckOptions),
    /// Request /-/healthy of the running exporter; exit code 0 or 1
    Healthcheck,
}

/// Options of `check`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CheckOptions {
    /// Read the configuration only
    #[arg(long)]
    pub offline: bool,
    /// Exit with 1 also where an account breaks a rule
    #[arg(long)]
    pub strict: bool,
    /// Format of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,
}

/// Format of the report of `check`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// A table, errors and a summary
    #[default]
    Text,
    /// One JSON object
    Json,
}
