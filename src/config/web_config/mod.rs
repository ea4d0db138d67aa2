//! The web configuration file: TLS, passwords, headers and rate limit, in the format of Prometheus'
//! exporter-toolkit (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>).
//!
//! As in the toolkit, `null` leaves a key unset, and so does a blank value of those that are a text or a
//! file. `docs/security.md` lists the intended differences.

mod client_certificates;
mod content;
mod files;
mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

pub use self::content::{RateLimit, WebConfig};
use self::files::Files;
use super::error::{ConfigErrors, ErrorCollector, may_be_quoted};
use super::keys::{Key, keys};
use super::parse::{self, Parsed};
use super::settings::{Settings, mapping};
use super::suggest::unknown;
use super::yaml::{self, Node, Value};

/// Between two requests.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);

const TOP_KEYS: &[Key] = keys! {
    basic_auth_users, http_server_config, rate_limit, tls_server_config,
};
const HTTP_KEYS: &[Key] = keys! { headers, http2, };
const RATE_LIMIT_KEYS: &[Key] = keys! { burst, interval, };

/// The headers that may be set, and their values where these are enumerated.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// `--web.config.file` with the files that it names.
#[derive(Clone, Debug)]
pub struct WebConfigFile {
    path: PathBuf,
    files: Files,
}

impl WebConfigFile {
    /// The file at this path; nothing is read yet.
    pub fn new(path: PathBuf) -> Self {
        let files = Files::default();
        Self { path, files }
    }

    /// Reads the file. Blocks: not for a thread that serves.
    ///
    /// # Errors
    ///
    /// A syntax error by itself, otherwise all errors.
    pub fn read(&mut self) -> Result<WebConfig, ConfigErrors> {
        self.files = Files::default();
        // For its digest. A change from here on is seen later.
        drop(self.files.read(&self.path));
        let errors = ErrorCollector::default();
        let root = errors.take(yaml::read(&self.path));
        let config = root.map(|root| self.config(root, &errors));
        errors.finish(&self.path)?;
        Ok(config.unwrap_or_default())
    }

    /// The same, where the file or one that it names has changed.
    pub fn read_if_changed(&mut self) -> Option<Result<WebConfig, ConfigErrors>> {
        self.files.have_changed().then(|| self.read())
    }

    /// The content; of use only if no error is added.
    fn config(&mut self, root: Node, errors: &ErrorCollector) -> WebConfig {
        let mut config = WebConfig::default();
        let mut top = section(errors, Some(root), TOP_KEYS, "");
        let mut take = |key| top.values.remove(key);
        let tls = take("tls_server_config");
        let tls = section(errors, tls, tls::KEYS, "tls_server_config.");
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let tls = Settings { folder, ..tls };
        if !tls.values.is_empty() {
            tls::resolve(&tls, &mut self.files, &mut config);
        }
        let http = take("http_server_config");
        let mut http = section(errors, http, HTTP_KEYS, "http_server_config.");
        http.get("http2", parse::boolean);
        let known = HEADERS.map(|(name, _)| Key::named(name));
        let headers = http.values.remove("headers");
        let headers = section(errors, headers, &known, "http_server_config.headers.");
        config.headers = self::headers(&headers);
        if let Some(node) = take("basic_auth_users") {
            config.users = users(errors, node);
        }
        let limit = take("rate_limit");
        config.rate_limit = rate_limit(&section(errors, limit, RATE_LIMIT_KEYS, "rate_limit."));
        config
    }
}

/// The keys of a mapping that are set. A header needs a value.
fn section<'a>(
    errors: &'a ErrorCollector,
    node: Option<Node>,
    known: &[Key],
    prefix: &'a str,
) -> Settings<'a> {
    let unknown = |name: &str| unknown("key", name, known, str::to_owned);
    let node = node.filter(|node| !node.value.is_empty());
    let line = node.as_ref().map_or(1, |node| node.line);
    let values = node.and_then(|node| mapping(errors, node, known, prefix, unknown));
    let mut values = values.unwrap_or_default();
    values.retain(|key, node| match node.value.text() {
        Some("") => tls::TEXTS.split(' ').all(|text| text != *key),
        _ => !node.value.is_empty() || HEADERS.iter().any(|(name, _)| name == key),
    });
    Settings::new(values, line, prefix, errors)
}

fn headers(settings: &Settings<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, allowed) in HEADERS {
        let value = settings.get(name, |value| {
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

/// Hashes by user. No error quotes a hash.
fn users(errors: &ErrorCollector, node: Node) -> BTreeMap<String, String> {
    let mut users = BTreeMap::new();
    let Value::Map(pairs) = node.value else {
        errors.push(node.line, &node.name, "must be a mapping of keys to values");
        return users;
    };
    for Node { line, name, value } in pairs {
        let mut place = "basic_auth_users".to_owned();
        if may_be_quoted(&name) {
            // A name may have any characters.
            place += &format!(".{}", name.escape_debug());
        }
        let hash = value.text().unwrap_or_default();
        let is_hash = hash.parse::<bcrypt::HashParts>().is_ok_and(|parts| {
            // Hashes of the variant x are wrong for passwords beyond ASCII.
            (4..=31).contains(&parts.get_cost()) && !hash.starts_with("$2x")
        });
        if !is_hash {
            let message = "is not a bcrypt hash; make one with tradernet-exporter hash-password";
            errors.push_value(line, &place, None, message);
        }
        if users.insert(name, hash.to_owned()).is_some() {
            errors.push(line, &place, "duplicate user");
        }
    }
    users
}

fn rate_limit(settings: &Settings<'_>) -> Option<RateLimit> {
    let interval = settings.get("interval", interval).unwrap_or_default();
    let burst = settings.get_or("burst", 0, parse::integer(0, u32::MAX));
    if interval.is_zero() {
        return None;
    }
    if burst == Some(0) {
        // The toolkit answers every request with 429 then.
        let message = "must be at least 1 where interval is set, or every request would be refused";
        settings.error("burst", message);
    }
    let burst = burst?;
    Some(RateLimit { interval, burst })
}

/// A duration as Go writes it: `1s`, `1.5h`, `1m30s`; 0 needs no unit.
fn interval(text: &str) -> Parsed<Duration> {
    let found = match text {
        "0" => Ok(Duration::ZERO),
        _ => humantime::parse_duration(text),
    };
    let found = found.map_err(|_| "is not a valid duration; use 1s, 100ms or 0")?;
    if found > MAX_INTERVAL {
        return Err("is too long; use at most 24h".to_owned());
    }
    Ok(found)
}
