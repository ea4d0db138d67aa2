//! The web configuration file: TLS, passwords, headers and rate limit, in the format of Prometheus'
//! exporter-toolkit (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>).
//!
//! An absent, null or blank value leaves a key unset, as it does there. `docs/security.md` lists the
//! intended differences.

mod client_certificates;
mod content;
mod section;
mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

pub use self::content::{RateLimit, WebConfig};
use self::section::{Section, boolean};
use super::error::{ConfigErrors, ErrorCollector};
use super::parse;
use super::yaml::{self, Node};
use crate::secret::read_regular_file;

/// The configuration, a certificate, a key or CA certificates.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Between two requests.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);

const TOP_KEYS: &[&str] = &[
    "basic_auth_users",
    "http_server_config",
    "rate_limit",
    "tls_server_config",
];

/// The headers that may be set, and their values where these are enumerated.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];
const HEADER_NAMES: &[&str] = &[
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
];

/// `--web.config.file` with the files that it names.
#[derive(Clone, Debug)]
pub struct WebConfigFile {
    path: PathBuf,
    /// SHA-256 of each file as it was read last; none where it could not be read.
    digests: BTreeMap<PathBuf, Option<[u8; 32]>>,
}

impl WebConfigFile {
    /// The file at this path; nothing is read yet.
    pub fn new(path: PathBuf) -> Self {
        let digests = BTreeMap::new();
        Self { path, digests }
    }

    /// Reads the file. Blocks: not for a thread that serves.
    ///
    /// # Errors
    ///
    /// A syntax error by itself, otherwise everything that is wrong.
    pub fn read(&mut self) -> Result<WebConfig, ConfigErrors> {
        self.digests.clear();
        self.record_digest(&self.path.clone());
        let errors = ErrorCollector::default();
        let config = match yaml::read(&self.path) {
            Ok(root) => Reader {
                file: self,
                errors: &errors,
            }
            .config(root),
            Err((line, message)) => {
                errors.push(line, "", message);
                WebConfig::default()
            }
        };
        errors.finish(&self.path)?;
        Ok(config)
    }

    /// The same, where the file or one that it names has changed.
    pub fn read_if_changed(&mut self) -> Option<Result<WebConfig, ConfigErrors>> {
        let is_same = |(path, before): (&PathBuf, &Option<[u8; 32]>)| digest(path) == *before;
        let changed = !self.digests.iter().all(is_same);
        changed.then(|| self.read())
    }

    /// Before a file is read: a change between the two is a change to be seen later.
    fn record_digest(&mut self, path: &Path) {
        self.digests.insert(path.to_owned(), digest(path));
    }
}

fn digest(path: &Path) -> Option<[u8; 32]> {
    let bytes = read_regular_file(path, MAX_FILE_BYTES).ok()?;
    Some(Sha256::digest(bytes).into())
}

struct Reader<'a> {
    file: &'a mut WebConfigFile,
    errors: &'a ErrorCollector,
}

impl Reader<'_> {
    fn config(&mut self, root: Node) -> WebConfig {
        let mut config = WebConfig::default();
        let Some(mut top) = Section::new(self.errors, "", TOP_KEYS, root) else {
            return config;
        };
        if let Some(section) = top.section("tls_server_config", tls::KEYS) {
            let folder = self.file.path.parent().unwrap_or(Path::new("")).to_owned();
            let mut read = |path: &str| {
                let path = folder.join(path);
                self.file.record_digest(&path);
                read_regular_file(&path, MAX_FILE_BYTES)
            };
            tls::resolve(&section, &mut read, &mut config);
        }
        if let Some(mut section) = top.section("http_server_config", &["headers", "http2"]) {
            section.get("http2", boolean);
            if let Some(section) = section.section("headers", HEADER_NAMES) {
                config.headers = headers(&section);
            }
        }
        if let Some(users) = top.open_section("basic_auth_users") {
            config.users = users
                .all(|hash| {
                    let is_hash = hash.parse::<bcrypt::HashParts>().is_ok_and(|parts| {
                        // Hashes of the variant x are wrong for passwords beyond ASCII.
                        (4..=31).contains(&parts.get_cost()) && !hash.starts_with("$2x")
                    });
                    let message =
                        "is not a bcrypt hash; make one with tradernet-exporter hash-password";
                    is_hash
                        .then(|| hash.to_owned())
                        .ok_or_else(|| message.to_owned())
                })
                .collect();
        }
        if let Some(section) = top.section("rate_limit", &["burst", "interval"]) {
            config.rate_limit = rate_limit(&section);
        }
        config
    }
}

fn headers(section: &Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, allowed) in HEADERS {
        let value = section.get(name, |value| {
            if !allowed.is_empty() && !allowed.contains(&value) {
                return Err(format!("must be one of {}", allowed.join(", ")));
            }
            HeaderValue::from_str(value)
                .map_err(|_| "contains a character that no header can have".to_owned())
        });
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        headers.extend(name.zip(value));
    }
    headers
}

fn rate_limit(section: &Section<'_>) -> Option<RateLimit> {
    let interval = section.get("interval", interval).unwrap_or_default();
    let burst = section
        .get("burst", parse::integer(0, u32::MAX))
        .unwrap_or_default();
    if interval.is_zero() {
        return None;
    }
    if burst == 0 {
        // The toolkit answers every request with 429 then.
        let message = "must be at least 1 where interval is set, or every request would be refused";
        section.error("burst", message);
        return None;
    }
    Some(RateLimit { interval, burst })
}

/// A duration as Go writes it: `1s`, `1.5h`, `1m30s`; 0 needs no unit.
fn interval(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let parts = || {
        let mut rest = text;
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let is_number = |c: char| c.is_ascii_digit() || c == '.';
            let (number, after) = rest.split_at(rest.find(|c| !is_number(c))?);
            let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
            let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
            seconds += number.parse::<f64>().ok()? * scale;
            rest = after;
        }
        Duration::try_from_secs_f64(seconds).ok()
    };
    let found = match text {
        "0" => Some(Duration::ZERO),
        _ => parts(),
    };
    let found = found.ok_or("is not a valid duration; use 1s, 100ms or 0")?;
    if found > MAX_INTERVAL {
        return Err("is too long; use at most 24h".to_owned());
    }
    Ok(found)
}
