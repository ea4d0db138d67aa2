//! Listen addresses, paths and files of the pages: settings to [`WebSettings`].

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::env;
use super::error::{ConfigErrors, ErrorCollector};
use super::flags::Flags;
use super::parse;
use super::settings::Settings;
use super::web_config::{WebConfig, WebConfigFile};

const DEFAULT_ADDRESS: &str = "127.0.0.1:10460";

/// Listen addresses, paths and files of the pages. Valid, except that an address may not exist or not
/// be free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// Addresses for everything: `host:port` or `unix:/path`. With `systemd_socket` they are not bound,
    /// and there may be none.
    pub listen_addresses: Vec<String>,
    /// Whether systemd has bound the addresses.
    pub systemd_socket: bool,
    /// An address for the probes only.
    pub probe_listen_address: Option<String>,
    /// Path of the metrics.
    pub telemetry_path: String,
    /// The URL of the pages for their readers.
    pub external_url: Option<Url>,
    /// Whether `POST /-/reload` is allowed.
    pub enable_lifecycle: bool,
    /// The file with TLS, passwords, headers and rate limit.
    pub config_file: Option<PathBuf>,
}

impl WebSettings {
    /// Resolves these settings only, for a health check, which needs neither the rest of the
    /// configuration nor the right to read secrets.
    ///
    /// # Errors
    ///
    /// All their errors at once.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        // The exporter itself reports errors in other variables.
        let (mut values, _) = env::read(variables, &ErrorCollector::default());
        flags.override_variables(&mut values);
        let errors = ErrorCollector::default();
        let settings = resolve(&Settings::new(values, 0, "", &errors));
        errors.finish(Path::new(""))?;
        Ok(settings)
    }

    /// Reads the web configuration file, where one is set. Blocks.
    ///
    /// # Errors
    ///
    /// All its errors at once.
    pub fn read_config_file(
        &self,
    ) -> Result<Option<(WebConfigFile, Arc<WebConfig>)>, ConfigErrors> {
        let Some(path) = self.config_file.clone() else {
            return Ok(None);
        };
        let mut file = WebConfigFile::new(path);
        let config = file.read()?;
        Ok(Some((file, Arc::new(config))))
    }
}

pub(super) fn resolve(settings: &Settings<'_>) -> WebSettings {
    let mut seen = HashSet::new();
    let mut listen_address = |text: &str| {
        let address = parse::listen_address(text)?;
        // The system chooses a free port for 0.
        if !address.ends_with(":0") && !seen.insert(address.clone()) {
            return Err("is a duplicate listen address".to_owned());
        }
        Ok(address)
    };
    let listen_addresses = settings.list("web_listen_address", &mut listen_address);
    let probe_listen_address = settings.get("web_probe_listen_address", &mut listen_address);
    let telemetry_path = settings.get("web_telemetry_path", telemetry_path);
    let external_url = settings.get("web_external_url", external_url);
    let enable_lifecycle = settings.get("web_enable_lifecycle", parse::boolean);
    let systemd_socket = settings.get("web_systemd_socket", parse::boolean) == Some(true);
    let default_address = (!systemd_socket).then(|| DEFAULT_ADDRESS.to_owned());
    let config_file = settings.get("web_config_file", parse::path);
    WebSettings {
        listen_addresses: listen_addresses.unwrap_or(Vec::from_iter(default_address)),
        systemd_socket,
        probe_listen_address,
        telemetry_path: telemetry_path.unwrap_or_else(|| "/metrics".to_owned()),
        external_url,
        enable_lifecycle: enable_lifecycle.unwrap_or(false),
        config_file,
    }
}

fn telemetry_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') || !text.chars().all(is_path) {
        return Err("is not a valid path; use /metrics".to_owned());
    }
    let is_other = matches!(text, "/" | "/favicon.ico" | "/api/v1/accounts");
    if is_other || text.starts_with("/-/") {
        return Err("is the path of another page; use /metrics".to_owned());
    }
    Ok(text.to_owned())
}

fn external_url(text: &str) -> Result<Url, String> {
    // After parsing: what is not allowed in a path is encoded with a percent sign.
    let is_safe = |url: &Url| {
        url.as_str()
            .chars()
            .all(|c| is_path(c) || ":[]".contains(c))
    };
    let url = parse::http_url(text).filter(is_safe);
    url.ok_or_else(|| {
        "is not a valid URL; use https://host/path, and letters, digits and -_.~ in the path"
            .to_owned()
    })
}

fn is_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/-_.~".contains(c)
}
