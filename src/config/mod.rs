//! Reads flags, variables and the accounts file into a [`Config`], which is valid by construction.
//!
//! The environment is an argument. All errors are reported at once: each has the name of the flag,
//! variable or key, the value unless it may be a secret, and the valid forms.

mod account;
mod account_config;
mod credential;
mod env;
mod error;
mod file;
mod flags;
mod keys;
mod parse;
mod settings;
mod suggest;
mod web;
mod web_config;
mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

pub use self::account_config::{AccountConfig, CredentialSource};
pub use self::error::ConfigErrors;
use self::error::ErrorCollector;
pub use self::file::{Accounts, AccountsFile};
pub use self::flags::Flags;
pub(crate) use self::keys::variables_help;
use self::keys::{ACCOUNT_KEYS, find};
use self::settings::{Settings, named_safety_types};
pub use self::web::WebSettings;
pub use self::web_config::{RateLimit, WebConfig, WebConfigFile};
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
    /// Listen addresses, paths and files of the pages.
    pub web: WebSettings,
    /// The web configuration file and its content at the start, where one is set.
    pub web_config: Option<(WebConfigFile, Arc<WebConfig>)>,
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

/// The levels of the log by name.
pub const LOG_LEVELS: [(&str, Level); 4] = [
    ("debug", Level::DEBUG),
    ("info", Level::INFO),
    ("warn", Level::WARN),
    ("error", Level::ERROR),
];

/// Level and format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important lines that are written.
    pub level: Level,
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
    /// All errors at once.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        Self::load_with(flags, variables, None)
    }

    /// The same with the demo's accounts file, where its text is given, instead of configured accounts.
    /// Variables of an account are ignored then.
    ///
    /// # Errors
    ///
    /// All errors at once; with the demo, an accounts file is one.
    pub fn load_with(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        demo: Option<&str>,
    ) -> Result<Self, ConfigErrors> {
        let errors = ErrorCollector::default();
        let (mut values, warnings) = env::read(variables, &errors);
        flags.override_variables(&mut values);
        let settings = &Settings::new(values, 0, "", &errors);
        let names = named_safety_types(settings);
        let shard = Some(shard(settings)).filter(|_| demo.is_none());
        let shard = shard.unwrap_or_default();
        let file = |path| AccountsFile {
            path,
            shard,
            names: names.clone(),
        };
        let accounts_file = settings.get("config_file", parse::path).map(file);
        let found = match (demo, &accounts_file) {
            (Some(_), Some(_)) => {
                let message = "is not possible with the demo, which has its own accounts";
                settings.error("config_file", message);
                Accounts::default()
            }
            (Some(text), None) => file(PathBuf::new()).accounts(yaml::parse(text), &errors),
            (None, Some(file)) => {
                refuse_account_variables(settings);
                file.read_into(&errors)
            }
            (None, None) => {
                let mut safety_names = SafetyNames::default();
                safety_names.extend(names.iter().cloned());
                let account = account::resolve(settings, &safety_names);
                let account = account.filter(|account| shard.owns(&account.name));
                let accounts = account.into_iter().collect();
                Accounts {
                    accounts,
                    safety_names,
                }
            }
        };
        let log = log(settings);
        let requests = settings.get("max_requests_per_host", parse::integer(1, 1024));
        let logins = settings.get("max_logins_per_minute", parse::integer(1, 1000));
        let bytes = settings.get("max_response_bytes", parse::integer(1 << 10, 1 << 40));
        let web = web::resolve(settings);
        let outbound = ClientConfig {
            proxy: settings.get("proxy", parse::proxy),
            no_proxy: settings.get("no_proxy", |text| Ok(text.to_owned())),
            max_response_bytes: bytes.unwrap_or(4 << 20),
        };
        let path = accounts_file.as_ref().map(|file| file.path.clone());
        let found_errors = errors.finish(&path.unwrap_or_default());
        let web_config = web.read_config_file();
        let web_config = match (found_errors, web_config) {
            (Ok(()), web_config) => web_config?,
            (Err(errors), Ok(_)) => return Err(errors),
            (Err(errors), Err(more)) => return Err(errors.and(&more)),
        };
        Ok(Self {
            accounts: found.accounts,
            accounts_file,
            shard,
            outbound,
            max_requests_per_host: requests.unwrap_or(16),
            max_logins_per_minute: logins.unwrap_or(10),
            safety_names: found.safety_names,
            web,
            web_config,
            log,
            clock: Clock::system(),
            scrape_interval: Duration::from_secs(1),
            min_retry_interval: Duration::from_secs(5),
            warnings,
        })
    }
}

fn refuse_account_variables(settings: &Settings<'_>) {
    let file = settings.values.get("config_file").map(|node| &node.name);
    let Some(file) = file else { return };
    let message = format!("conflicts with {file}, which lists the accounts; unset one of them");
    let set = settings.values.keys();
    for key in set.filter(|key| find(ACCOUNT_KEYS, key).is_some()) {
        settings.error(key, &message);
    }
}

fn shard(settings: &Settings<'_>) -> Shard {
    let pod_name = settings.get("pod_name", |text| Ok(text.to_owned()));
    // In a pod, the host's name is the pod's.
    let host_name = || {
        let name = rustix::system::uname();
        name.nodename().to_str().ok().map(str::to_owned)
    };
    let host = || pod_name.or_else(host_name);
    let shard = settings.get("shard", |text| Shard::parse(text, host));
    shard.unwrap_or_default()
}

fn log(settings: &Settings<'_>) -> Log {
    let formats = [("logfmt", LogFormat::Logfmt), ("json", LogFormat::Json)];
    let level = settings.get("log_level", parse::word(LOG_LEVELS));
    let format = settings.get("log_format", parse::word(formats));
    Log {
        level: level.unwrap_or(Level::INFO),
        format: format.unwrap_or(LogFormat::Logfmt),
    }
}

#[cfg(test)]
mod tests;
