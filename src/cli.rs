//! The command line: commands, and the text of `--help`. The flags are those of the configuration.

use std::ffi::OsString;

use clap::{Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
pub use clap_complete::Shell;

use crate::config::{Flags, variable_of};

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("BUILD_REVISION"),
    ", rustc ",
    env!("BUILD_RUSTC_VERSION"),
    ")"
);

const ACCOUNT_VARIABLES: &str = "\
Variables of an account. A secret is never a flag; SID, PASSWORD, API_KEY and
API_SECRET can also be given as a file, such as TRADERNET_SID_FILE. In the
accounts file, keys are the same names in lower case without TRADERNET_.
  TRADERNET_ACCOUNT               the label `account` [default: default]
  TRADERNET_URL                   API origin [default: https://tradernet.com]
  TRADERNET_SID                   an SID obtained elsewhere
  TRADERNET_LOGIN                 name that logs in to obtain an SID
  TRADERNET_PASSWORD              password of the login
  TRADERNET_LOGIN_VIEW_ONLY       log in for viewing only [default: false]
  TRADERNET_USER_ID               account of a view-only login that has several
  TRADERNET_API_KEY               public key of a key pair (recommended)
  TRADERNET_API_SECRET            private key of the pair, which signs requests
  TRADERNET_API_VERSION           1 with an SID or a login; with a key pair 2 or
                                  3, the way of signing [default: 1 or 3]
  TRADERNET_TRANSPORT             http polls, websocket or socketio is pushed to
                                  [default: http]
  TRADERNET_WS_URL                origin of the WebSocket [default: wss.DOMAIN]
  TRADERNET_SOCKETIO_URL          origin of socket.io [default: ws.DOMAIN]
  TRADERNET_POLL_INTERVAL         time between two polls [default: 30s]
  TRADERNET_TIMEOUT               limit of a request [default: 10s, or interval]
  TRADERNET_MAX_AGE               age at which session gauges are dropped
                                  [default: 3 intervals]
  TRADERNET_EXPIRE_UNIT           unit of the time left: auto, ms or s
                                  [default: auto]
  TRADERNET_ALLOWED_CLIENT_IPS    addresses and networks that sessions may have
  TRADERNET_ALLOWED_SAFETY_TYPES  safety types that sessions may have
  TRADERNET_ALLOWED_LOGINS        logins that sessions may have
  TRADERNET_MIN_SESSIONS          least number of open sessions
  TRADERNET_MAX_SESSIONS          greatest number of open sessions
  TRADERNET_MIN_SESSIONS_SAFETY_TYPES
                                  types counted for the minimum [default: any]
  TRADERNET_MAX_LIFETIME          longest time from opening to expiry
  TRADERNET_SESSION_DETAILS       series of single sessions: off, anonymous or
                                  full [default: off]";

const PROCESS_VARIABLES: &str = "\
Other variables:
  TRADERNET_MAX_REQUESTS_PER_HOST concurrent requests to a host [default: 16]
  TRADERNET_MAX_LOGINS_PER_MINUTE logins to a host in a minute [default: 10]
  TRADERNET_MAX_RESPONSE_BYTES    largest answer that is read [default: 4194304]
  TRADERNET_SAFETY_TYPES          display names, such as 2=token,4=plain
  HTTPS_PROXY                     proxy for requests, else ALL_PROXY
  NO_PROXY                        hosts that are reached without the proxy
  SSL_CERT_FILE                   CA certificates instead of the system's";

const EXIT_CODES: &str =
    "Exit codes: 0 success, 1 failure, 2 invalid command line or configuration.";

/// The flags that apply to a command, by their beginnings: its help lists these only.
const FLAGS_OF_COMMANDS: [(&str, &[&str]); 6] = [
    ("check", &["config.file", "shard"]),
    ("completions", &[]),
    ("demo", &["web.", "log."]),
    ("hash-password", &[]),
    (
        "healthcheck",
        &["web.config", "web.listen-", "web.probe-", "web.systemd-"],
    ),
    ("man", &[]),
];

/// Watches the open security sessions of Tradernet accounts and serves them to
/// Prometheus. Without a command: poll and serve.
#[derive(Debug, Parser)]
#[command(
    version = VERSION,
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

/// Parses a command line.
///
/// # Errors
///
/// What is wrong with it, or the text of `--help` or `--version`.
pub fn parse<I>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item: Into<OsString> + Clone>,
{
    let matches = command().try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// The completion script for a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), env!("CARGO_PKG_NAME"), &mut script);
    script
}

/// The manual page.
///
/// # Errors
///
/// None: it is written to memory.
pub fn manual_page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command()).render(&mut page)?;
    Ok(page)
}

/// The command line; each command's help lists what applies to it, and each flag's its variable.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command().mut_args(|flag| {
        let variable = flag.get_long().map(variable_of).unwrap_or_default();
        let help = flag.get_help().cloned().unwrap_or_default();
        flag.help(format!("{help}\n[env: {variable}]")).global(true)
    });
    let flags: Vec<Arg> = command.get_arguments().cloned().collect();
    let hide = |command: clap::Command, (name, listed): (&str, &[&str])| {
        let hidden = flags.iter().filter(|flag| {
            let flag = flag.get_long().unwrap_or_default();
            !listed.iter().any(|start| flag.starts_with(start))
        });
        command.mut_subcommand(name, |command| {
            command.args(hidden.map(|flag| flag.clone().hide(true)))
        })
    };
    let command = FLAGS_OF_COMMANDS.into_iter().fold(command, hide);
    let variables = format!("{ACCOUNT_VARIABLES}\n\n{PROCESS_VARIABLES}");
    command
        .mut_subcommand("check", |check| check.after_help(variables.clone()))
        .mut_subcommand("demo", |demo| demo.after_help(PROCESS_VARIABLES))
        .after_help(format!("{variables}\n\n{EXIT_CODES}"))
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
    /// Print a completion script
    Completions {
        /// The shell that reads it
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Print the bcrypt hash of a password for the web configuration; reads the
    /// terminal, asking twice, or standard input
    HashPassword,
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
