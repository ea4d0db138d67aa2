//! The command line: commands, and the text of `--help`. The flags are those of the configuration.

use std::ffi::OsString;
use std::io::Write as _;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
pub use clap_complete::Shell;
use clap_mangen::Man;

use crate::config::{Flags, variables_help};

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
accounts file, keys are the same names in lower case without TRADERNET_.";

const SHARED_VARIABLES: &str =
    "  HTTPS_PROXY                     proxy for requests, else ALL_PROXY
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
    /// The command; none serves.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags, for every command.
    #[arg(skip)]
    pub flags: Flags,
}

/// Parses a command line.
///
/// # Errors
///
/// A usage error, or the text of `--help` or `--version`.
pub fn parse<I>(arguments: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item: Into<OsString> + Clone>,
{
    let matches = command().try_get_matches_from(arguments)?;
    let flags = Flags::from_matches(&matches);
    Cli::from_arg_matches(&matches).map(|cli| Cli { flags, ..cli })
}

/// The completion script for a shell.
pub fn completions(shell: Shell) -> String {
    let (mut command, mut script) = (command(), Vec::new());
    clap_complete::generate(shell, &mut command, env!("CARGO_PKG_NAME"), &mut script);
    let names = Vec::from_iter(command.get_subcommands().map(clap::Command::get_name));
    let names = names.join("|");
    // Two faults of the generator: in bash the name's second word is taken for a command, and fish's
    // `argparse` refuses options with a dot, so the command is looked for by its name.
    String::from_utf8_lossy(&script)
        .replace("tradernet__subcmd__exporter", "tradernet__exporter")
        .replace(
            "argparse -s (__fish_tradernet_exporter_global_optspecs) -- $cmd 2>/dev/null\n    or return",
            &format!("set -l argv (string match --regex '^(?:{names})$' -- $cmd)"),
        )
}

/// The manual page.
///
/// # Errors
///
/// None: it is written to memory.
pub fn manual_page() -> std::io::Result<Vec<u8>> {
    let mut command = command();
    command.build();
    let (mut page, man) = (
        Vec::new(),
        Man::new(command.clone())
            .date(" ")
            .source(concat!("tradernet-exporter ", env!("CARGO_PKG_VERSION"))),
    );
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    // One page for all commands: a section for each instead of a reference to a page of its own.
    for command in command.get_subcommands() {
        let (mut section, man) = (Vec::new(), Man::new(command.clone()));
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        let section = String::from_utf8_lossy(&section).replace(".SH ", ".SS ");
        writeln!(page, ".SH \"COMMAND {}\"\n{section}", command.get_name())?;
    }
    let mut variables = Vec::new();
    man.render_extra_section(&mut variables)?;
    let variables = String::from_utf8_lossy(&variables);
    // A table, whose lines are not filled.
    let variables = variables.replacen(".SH EXTRA", ".SH ENVIRONMENT\n.nf", 1);
    writeln!(page, "{variables}.fi")?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// The command line; each command's help lists what applies to it, and each flag's its variable.
pub(crate) fn command() -> clap::Command {
    let flags = Vec::from_iter(Flags::arguments());
    let command = Cli::command().args(&flags);
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
    let [account, process] = variables_help();
    let process = format!("Other variables:\n{process}{SHARED_VARIABLES}");
    let variables = format!("{ACCOUNT_VARIABLES}\n{account}\n{process}");
    command
        .mut_subcommand("check", |check| check.after_help(variables.clone()))
        .mut_subcommand("demo", |demo| demo.after_help(process))
        .after_help(format!("{variables}\n\n{EXIT_CODES}"))
}

/// The commands.
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
