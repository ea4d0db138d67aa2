//! Configuration: flags, variables and the accounts file in, a [`Config`] that cannot be wrong out.
//!
//! The environment is an argument. All errors are found in one go, each with the name by which the
//! value was given, the value unless it may be a secret, and what would be right.

mod account;
mod account_config;
mod credential;
mod env;
mod error;
mod file;
mod flags;
mod parse;
mod settings;
mod suggest;
mod web;
mod yaml;

use std::collections::HashSet;
use std::ffi::OsString;
use std::time::Duration;

use secrecy::SecretString;

pub use self::account_config::{AccountConfig, CredentialSource};
use self::env::Environment;
pub use self::error::ConfigErrors;
use self::error::Location;
pub use self::file::{Accounts, AccountsFile};
pub use self::flags::Flags;
use self::settings::Settings;
pub use self::web::WebSettings;
use crate::clock::Clock;
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;
use crate::tradernet::ClientConfig;

/// A whole configuration, valid by construction.
#[derive(Clone, Debug)]
pub struct Config {
    /// The accounts to watch, their names unique.
    pub accounts: Vec<AccountConfig>,
    /// The file that they are read from again at a reload, unless variables name the account.
    pub accounts_file: Option<AccountsFile>,
    /// This process's share of the accounts.
    pub shard: Shard,
    /// Proxy and size limit of outgoing requests.
    pub outbound: ClientConfig,
    /// Maximum of concurrent requests to one host.
    pub max_requests_per_host: usize,
    /// Maximum of logins to one host in a minute, all accounts together.
    pub max_logins_per_minute: usize,
    /// Names of safety types.
    pub safety_names: SafetyNames,
    /// What is served where.
    pub web: WebSettings,
    /// Level and format of the log.
    pub log: Log,
    /// The clocks.
    pub clock: Clock,
    /// A page of metrics is rendered at most once in this time for each format and encoding.
    pub scrape_interval: Duration,
    /// Shortest time between two retries of an account that an operator requests; a constant, except
    /// in tests.
    pub min_retry_interval: Duration,
    /// For the log: settings that are ignored or doubtful.
    pub warnings: Vec<String>,
}

/// Level and format of the log.
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
    /// A JSON object.
    Json,
}

impl Config {
    /// Resolves flags and variables, and reads the accounts file that they name. Secret files are
    /// not read: see [`crate::secret::SecretSource`].
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        Self::resolve(flags, variables, None)
    }

    /// Resolves everything but the accounts, for the demo, which has its own. Variables of an
    /// account are ignored.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once; an accounts file is.
    pub fn load_demo(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        accounts: Vec<AccountConfig>,
    ) -> Result<Self, ConfigErrors> {
        Self::resolve(flags, variables, Some(accounts))
    }

    fn resolve(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        demo: Option<Vec<AccountConfig>>,
    ) -> Result<Self, ConfigErrors> {
        let errors = &mut ConfigErrors::default();
        let mut environment = Environment::read(variables, errors);
        flags.override_variables(&mut environment);
        let global = &environment.global;
        let names = safety_names(global, errors);
        let shard = shard(&environment, errors);
        let accounts_file = accounts_file(global, shard, &names, errors);
        let (found, shard) = match (demo, &accounts_file) {
            (Some(accounts), file) => {
                if file.is_some() {
                    let message = "is not possible with the demo, which has its own accounts";
                    errors.push(&global.location("config_file"), message);
                }
                let safety_names = with_defaults(&names);
                let accounts = Accounts {
                    accounts,
                    safety_names,
                };
                (accounts, Shard::default())
            }
            (None, Some(file)) => {
                refuse_account_variables(&environment, errors);
                (file.read_into(errors), shard)
            }
            (None, None) => {
                let safety_names = with_defaults(&names);
                let account = account::resolve(&environment.account, &safety_names, errors);
                let account = account.filter(|account| shard.owns(&account.name));
                let accounts = Accounts {
                    accounts: account.into_iter().collect(),
                    safety_names,
                };
                (accounts, shard)
            }
        };
        let log = log(global, errors);
        let mut number = |key, min, max, default| {
            let number = global.parse(key, errors, |text| parse::integer(text, min, max));
            number.unwrap_or(default)
        };
        let max_requests_per_host = number("max_requests_per_host", 1, 1024, 16);
        let max_logins_per_minute = number("max_logins_per_minute", 1, 1000, 10);
        let max_response_bytes = number("max_response_bytes", 1024, 1 << 40, 4 << 20);
        let web = web::resolve(&environment.web, errors);
        let outbound = ClientConfig {
            proxy: proxy(&environment, errors),
            no_proxy: environment.no_proxy.clone(),
            max_response_bytes,
        };
        std::mem::take(errors).into_result()?;
        Ok(Self {
            accounts: found.accounts,
            accounts_file,
            shard,
            outbound,
            max_requests_per_host: usize::try_from(max_requests_per_host).unwrap_or(usize::MAX),
            max_logins_per_minute: usize::try_from(max_logins_per_minute).unwrap_or(usize::MAX),
            safety_names: found.safety_names,
            web,
            log,
            clock: Clock::system(),
            scrape_interval: Duration::from_secs(1),
            min_retry_interval: Duration::from_secs(5),
            warnings: environment.warnings,
        })
    }
}

fn accounts_file(
    global: &Settings,
    shard: Shard,
    names: &[(i64, String)],
    errors: &mut ConfigErrors,
) -> Option<AccountsFile> {
    let path = global.parse("config_file", errors, |text| match text {
        // A flag; an empty variable is unset.
        "" => Err("is empty; use the path of a file".to_owned()),
        path => Ok(path.into()),
    })?;
    let names = names.to_vec();
    Some(AccountsFile { path, shard, names })
}

fn refuse_account_variables(environment: &Environment, errors: &mut ConfigErrors) {
    let file = environment.global.location("config_file");
    for setting in environment.account.iter() {
        let message = format!("conflicts with {file}, which lists the accounts; unset one of them");
        errors.push(&setting.location, message);
    }
}

fn with_defaults(names: &[(i64, String)]) -> SafetyNames {
    let mut safety_names = SafetyNames::default();
    for (id, name) in names {
        safety_names.set(*id, name.clone());
    }
    safety_names
}

fn safety_names(global: &Settings, errors: &mut ConfigErrors) -> Vec<(i64, String)> {
    let mut ids = HashSet::new();
    let names = global.parse_list("safety_types", errors, |item| {
        let (id, name) = parse::named_safety_type(item)?;
        match ids.insert(id) {
            true => Ok((id, name)),
            false => Err(format!("is a second name for safety type {id}")),
        }
    });
    names.unwrap_or_default()
}

fn shard(environment: &Environment, errors: &mut ConfigErrors) -> Shard {
    // In a pod, the host's name is the pod's.
    let host_name = || {
        let name = rustix::system::uname();
        name.nodename().to_str().ok().map(str::to_owned)
    };
    let host = || environment.pod_name.clone().or_else(host_name);
    let shard = environment
        .global
        .parse("shard", errors, |text| Shard::parse(text, host));
    shard.unwrap_or_default()
}

fn log(global: &Settings, errors: &mut ConfigErrors) -> Log {
    let level = global.parse("log_level", errors, parse::log_level);
    let format = global.parse("log_format", errors, |text| {
        let formats = [("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)];
        parse::one_of(text, &formats)
    });
    Log {
        level: level.unwrap_or(tracing::Level::INFO),
        format: format.unwrap_or(LogFormat::Logfmt),
    }
}

fn proxy(environment: &Environment, errors: &mut ConfigErrors) -> Option<SecretString> {
    let (name, proxy) = environment.proxy.as_ref()?;
    match parse::proxy(proxy) {
        Ok(proxy) => Some(proxy),
        Err(message) => {
            // It may contain a password.
            errors.push_value(&Location::named(name.as_str()), None, message);
            None
        }
    }
}

#[cfg(test)]
mod tests;
