//! Configuration: raw texts from flags and variables in, a [`Config`] that cannot be wrong out.
//!
//! The environment is an argument. All problems are found in one go, each with the name under
//! which the value was given, the value unless it may be a secret, and the mend.

mod account;
mod account_config;
mod credential;
mod env;
mod error;
mod file;
mod parse;
mod redaction;
mod source;
mod suggest;
mod web;
mod yaml;

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

pub use self::account_config::{AccountConfig, CredentialSource};
use self::env::Environment;
pub use self::env::{ACCOUNT_KEYS, GLOBAL_KEYS, WEB_KEYS};
use self::error::{Place, Report};
pub use self::error::{Problem, Problems};
pub use self::file::{Accounts, AccountsFile};
use self::source::{Home as _, Variables};
pub use self::web::WebSettings;
use crate::clock::Clock;
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;
use crate::tradernet::ClientConfig;

/// Flags as given; each beats its variable.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config.file`
    pub config_file: Option<String>,
    /// `--shard`
    pub shard: Option<String>,
    /// `--web.listen-address`, repeatable
    pub listen_addresses: Vec<String>,
    /// `--web.probe-listen-address`
    pub probe_listen_address: Option<String>,
    /// `--web.telemetry-path`
    pub telemetry_path: Option<String>,
    /// `--web.config.file`
    pub web_config_file: Option<String>,
    /// `--web.external-url`
    pub external_url: Option<String>,
    /// `--web.systemd-socket`
    pub systemd_socket: bool,
    /// `--web.enable-lifecycle`
    pub enable_lifecycle: bool,
    /// `--log.level`
    pub log_level: Option<String>,
    /// `--log.format`
    pub log_format: Option<String>,
}

/// A whole configuration, valid by construction.
#[derive(Clone, Debug)]
pub struct Config {
    /// The accounts to watch, their names unique.
    pub accounts: Vec<AccountConfig>,
    /// Where they are read from again, unless variables name the account.
    pub accounts_file: Option<AccountsFile>,
    /// This process's share of the accounts.
    pub shard: Shard,
    /// Proxy and size limit of outgoing requests.
    pub outbound: ClientConfig,
    /// Requests under way to one host at once.
    pub max_requests_per_host: usize,
    /// Names of safety types.
    pub safety_names: SafetyNames,
    /// What is served where.
    pub web: WebSettings,
    /// What the log looks like.
    pub log: Log,
    /// The clocks.
    pub clock: Clock,
    /// A page of metrics is rendered at most once in this time for each format and encoding.
    pub scrape_interval: Duration,
}

/// What the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important lines that are written.
    pub level: tracing::Level,
    /// How a line is written.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// An object a line.
    Json,
}

impl Config {
    /// Resolves flags and variables, and reads the accounts file that they name, for serving or
    /// checking the accounts.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Problems> {
        Self::resolve(flags, variables, |environment, report| {
            let names = safety_names(environment, report);
            let shard = shard(flags, environment, report);
            let (file, found) = match accounts_file(flags, environment) {
                Some(path) => {
                    refuse_account_variables(flags, environment, report);
                    let file = AccountsFile { path, shard, names };
                    let found = file.read_into(report);
                    (Some(file), found)
                }
                None => (None, environment_account(environment, shard, names, report)),
            };
            (found, file, shard)
        })
    }

    /// Resolves everything but the account, for the demo: it brings accounts of its own, and says
    /// so where one is configured.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn load_demo(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        accounts: Vec<AccountConfig>,
    ) -> Result<Self, Problems> {
        Self::resolve(flags, variables, |environment, report| {
            if let Some(path) = accounts_file(flags, environment) {
                let text = "the demo brings accounts of its own: unset it";
                let value = path.display().to_string();
                report.add(file_place(flags), Some(&value), text.to_owned());
            }
            let names = safety_names(environment, report);
            let found = Accounts {
                accounts,
                safety_names: named(names),
            };
            (found, None, Shard::default())
        })
    }

    fn resolve(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        accounts: impl FnOnce(&Environment, &mut Report) -> (Accounts, Option<AccountsFile>, Shard),
    ) -> Result<Self, Problems> {
        let mut report = Report::default();
        let environment = Environment::read(variables, &mut report);
        let global = &environment.global;
        refuse_unsupported(flags, &environment, &mut report);
        let (found, accounts_file, shard) = accounts(&environment, &mut report);
        let log = log(flags, &environment, &mut report);
        let max_requests_per_host = report
            .value(
                Place::variable("TRADERNET_MAX_REQUESTS_PER_HOST"),
                &global.max_requests_per_host,
                |text| parse::whole_number(text, 1, 1024),
            )
            .unwrap_or(16);
        let max_response_bytes = report
            .value(
                Place::variable("TRADERNET_MAX_RESPONSE_BYTES"),
                &global.max_response_bytes,
                |text| parse::whole_number(text, 1024, 1 << 40),
            )
            .unwrap_or(64 << 20);
        let web = web::resolve(flags, &environment.web, &mut report);
        let outbound = ClientConfig {
            proxy: proxy(&environment, &mut report),
            no_proxy: environment.no_proxy.clone(),
            max_response_bytes,
        };
        check_ca_file(&environment, &found.accounts, &mut report);
        report.into_result()?;
        Ok(Self {
            accounts: found.accounts,
            accounts_file,
            shard,
            outbound,
            max_requests_per_host: usize::try_from(max_requests_per_host).unwrap_or(usize::MAX),
            safety_names: found.safety_names,
            web,
            log,
            clock: Clock::system(),
            scrape_interval: Duration::from_secs(1),
        })
    }
}

/// What the contract names and this version does not have yet: to pass over a request for TLS or a
/// password in silence would be worse than not to start.
fn refuse_unsupported(flags: &Flags, environment: &Environment, report: &mut Report) {
    let web = &environment.web;
    let mut refuse = |flag: &'static str,
                      given: &Option<String>,
                      name: &'static str,
                      variable: &Option<String>,
                      text: &str| {
        if let Some(value) = given {
            report.add(Place::flag(flag), Some(value), text.to_owned());
        } else if let Some(value) = variable {
            report.add(Place::variable(name), Some(value), text.to_owned());
        }
    };
    refuse(
        "--web.config.file",
        &flags.web_config_file,
        "WEB_CONFIG_FILE",
        &web.config_file,
        "this version serves neither TLS nor passwords; unset it and put a reverse proxy in front, or listen on loopback alone",
    );
    let systemd = |on: bool| on.then(|| "true".to_owned());
    refuse(
        "--web.systemd-socket",
        &systemd(flags.systemd_socket),
        "WEB_SYSTEMD_SOCKET",
        &web.systemd_socket
            .as_ref()
            .filter(|text| parse::switch(text) != Ok(false))
            .cloned(),
        "this version opens its own sockets; unset it and use --web.listen-address",
    );
}

/// `--config.file` or its variable.
fn accounts_file(flags: &Flags, environment: &Environment) -> Option<PathBuf> {
    let given = flags.config_file.as_ref();
    given
        .or(environment.global.config_file.as_ref())
        .map(PathBuf::from)
}

fn file_place(flags: &Flags) -> Place {
    match flags.config_file {
        Some(_) => Place::flag("--config.file"),
        None => Place::variable("TRADERNET_CONFIG_FILE"),
    }
}

fn refuse_account_variables(flags: &Flags, environment: &Environment, report: &mut Report) {
    let doubts = &environment.doubts;
    for key in environment.account.given() {
        let wrong = parse::clash(format!("{}, which lists the accounts", file_place(flags)));
        let text = environment.account.text(key);
        let value = text.and_then(|text| redaction::text(key, text));
        report.add(Variables { doubts }.place(key), value, wrong);
    }
}

/// The account of the variables, where it is this shard's.
fn environment_account(
    environment: &Environment,
    shard: Shard,
    names: Vec<(i64, String)>,
    report: &mut Report,
) -> Accounts {
    let mut doubts = environment.doubts.clone();
    if doubts.contains("config_file") {
        // What seems to be missing here stands there.
        doubts.add(None);
    }
    let variables = Variables { doubts: &doubts };
    let account = environment.account.resolve(&variables, report);
    let account = account.filter(|account| shard.owns(&account.name));
    Accounts {
        accounts: account.into_iter().collect(),
        safety_names: named(names),
    }
}

fn named(names: Vec<(i64, String)>) -> SafetyNames {
    let mut safety_names = SafetyNames::default();
    for (id, name) in names {
        safety_names.set(id, name);
    }
    safety_names
}

fn safety_names(environment: &Environment, report: &mut Report) -> Vec<(i64, String)> {
    let mut named = HashSet::new();
    let names = report.list(
        |number| Place::variable("TRADERNET_SAFETY_TYPES").item(number),
        &environment.global.safety_types,
        |item| {
            let (id, name) = parse::named_safety_type(item)?;
            match named.insert(id) {
                true => Ok((id, name)),
                false => Err(format!("names type {id} again: a type has one name")),
            }
        },
    );
    names.unwrap_or_default()
}

fn shard(flags: &Flags, environment: &Environment, report: &mut Report) -> Shard {
    let host = || environment.pod_name.clone().or_else(host_name);
    report
        .flag_or_variable(
            ("--shard", &flags.shard),
            ("TRADERNET_SHARD", &environment.global.shard),
            |text| Shard::parse(text, host),
        )
        .unwrap_or_default()
}

/// The machine's name, which in a pod is the pod's.
fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().map(str::to_owned)
}

fn log(flags: &Flags, environment: &Environment, report: &mut Report) -> Log {
    let global = &environment.global;
    let level = report.flag_or_variable(
        ("--log.level", &flags.log_level),
        ("TRADERNET_LOG_LEVEL", &global.log_level),
        parse::log_level,
    );
    let format = report.flag_or_variable(
        ("--log.format", &flags.log_format),
        ("TRADERNET_LOG_FORMAT", &global.log_format),
        |text| {
            parse::one_of(
                text,
                &[("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)],
            )
        },
    );
    Log {
        level: level.unwrap_or(tracing::Level::INFO),
        format: format.unwrap_or(LogFormat::Logfmt),
    }
}

fn proxy(environment: &Environment, report: &mut Report) -> Option<SecretString> {
    let (name, proxy) = environment.proxy.as_ref()?;
    match parse::proxy(proxy) {
        Ok(proxy) => Some(proxy),
        // A proxy's address may hold a password.
        Err(text) => {
            report.add(Place::variable(name), None, text);
            None
        }
    }
}

/// A CA file that holds no certificate is found out here, where it can be named.
fn check_ca_file(environment: &Environment, accounts: &[AccountConfig], report: &mut Report) {
    let Some(file) = &environment.ca_file else {
        return;
    };
    if !accounts.iter().any(AccountConfig::uses_tls) {
        return;
    }
    let loaded = rustls_native_certs::load_certs_from_paths(Some(Path::new(file)), None);
    if loaded.certs.is_empty() {
        let cause = loaded
            .errors
            .first()
            .map(|error| format!(" ({error})"))
            .unwrap_or_default();
        let text = format!("holds no certificate that can be read{cause}: name a PEM file");
        report.add(Place::variable(env::CA_FILE), Some(file), text);
    }
}

#[cfg(test)]
mod tests;
