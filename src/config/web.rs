//! What is served where: raw texts to [`WebSettings`].

use std::ffi::OsString;

use url::Url;

use super::env::{Environment, RawWeb};
use super::error::{Place, Problems, Report, first_given};
use super::{Flags, parse};

/// The port that the exporter listens on unless told otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:10460";

/// Paths that are taken.
const ROUTES: [&str; 6] = [
    "/",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
    "/api/v1/accounts",
    "/favicon.ico",
];

/// What is served where, valid by construction but for what only the system knows: whether an
/// address is there and free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// Addresses for everything, at least one: `host:port`.
    pub listen_addresses: Vec<String>,
    /// An address for the probes alone.
    pub probe_listen_address: Option<String>,
    /// Path of the metrics.
    pub telemetry_path: String,
    /// Under which URL people see the pages.
    pub external_url: Option<Url>,
    /// Whether `POST /-/reload` is there.
    pub enable_lifecycle: bool,
}

impl WebSettings {
    /// Resolves these settings alone, for whoever asks a running exporter: nothing else of its
    /// configuration matters, and its secrets need not be readable.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, at once.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Problems> {
        // What is wrong with the rest, the exporter itself has said.
        let environment = Environment::read(variables, &mut Report::default());
        let mut report = Report::default();
        let settings = resolve(flags, &environment.web, &mut report);
        report.into_result()?;
        Ok(settings)
    }
}

pub(super) fn resolve(flags: &Flags, raw: &RawWeb, report: &mut Report) -> WebSettings {
    let listen_addresses = if flags.listen_addresses.is_empty() {
        report
            .list(
                |number| Place::variable("WEB_LISTEN_ADDRESS").item(number),
                &raw.listen_address,
                listen_address,
            )
            .unwrap_or_else(|| vec![DEFAULT_ADDRESS.to_owned()])
    } else {
        flags
            .listen_addresses
            .iter()
            .filter_map(|text| {
                report.value(
                    Place::flag("--web.listen-address"),
                    &Some(text.clone()),
                    listen_address,
                )
            })
            .collect()
    };
    let probe_listen_address = report.flag_or_variable(
        ("--web.probe-listen-address", &flags.probe_listen_address),
        ("WEB_PROBE_LISTEN_ADDRESS", &raw.probe_listen_address),
        listen_address,
    );
    let telemetry_path = report.flag_or_variable(
        ("--web.telemetry-path", &flags.telemetry_path),
        ("WEB_TELEMETRY_PATH", &raw.telemetry_path),
        telemetry_path,
    );
    let (place, text) = first_given(
        ("--web.external-url", &flags.external_url),
        ("WEB_EXTERNAL_URL", &raw.external_url),
    );
    let external_url = report.url(place, text.as_deref(), external_url);
    let place = Place::variable("WEB_ENABLE_LIFECYCLE");
    let lifecycle = report.value(place, &raw.enable_lifecycle, parse::switch);
    WebSettings {
        listen_addresses,
        probe_listen_address,
        telemetry_path: telemetry_path.unwrap_or_else(|| "/metrics".to_owned()),
        external_url,
        enable_lifecycle: flags.enable_lifecycle || lifecycle.unwrap_or(false),
    }
}

/// `127.0.0.1:10460`, `[::]:10460`, `localhost:10460`, or `:10460` for every address.
fn listen_address(text: &str) -> Result<String, String> {
    let wrong =
        || "is no address to listen on: write 127.0.0.1:10460, [::]:10460 or :10460".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    port.parse::<u16>().map_err(|_| wrong())?;
    if host.is_empty() {
        return Ok(format!("[::]:{port}"));
    }
    // A bare IPv6 address would be taken apart at the wrong colon.
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(wrong());
    }
    Ok(text.to_owned())
}

fn telemetry_path(text: &str) -> Result<String, String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    if !text.starts_with('/') || !text.chars().all(safe) {
        return Err("is no path: write /metrics".to_owned());
    }
    if ROUTES.contains(&text) || text.starts_with("/-/") {
        return Err("is taken by another page: write /metrics".to_owned());
    }
    Ok(text.to_owned())
}

fn external_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    url.ok_or_else(|| "is no URL: write https://host/path".to_owned())
}
