//! One account: raw texts to an [`Account`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::environment::RawAccount;
use super::parse;
use super::problem::{Place, Report};
use crate::account::{Account, CredentialSource};
use crate::anomaly::Policy;
use crate::expiry::{Unit, UnitSetting};
use crate::ledger::{Reading, SessionDetails};
use crate::secret::SecretSource;
use crate::status::Transport;
use crate::tradernet::{Dialect, KeyVersion, StreamTarget, Target, is_loopback};

const DEFAULT_ORIGIN: &str = "https://tradernet.com";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest value of the label `account`, in characters.
const LONGEST_NAME: usize = 128;

/// Where an account was configured: what its keys are called there, and where they stand.
pub(super) trait Home {
    /// What a person writes to set the key.
    fn name(&self, key: &str) -> String;
    /// The same, for a text about another key.
    fn mention(&self, key: &str) -> String;
    /// Where the key is set, or would be.
    fn place(&self, key: &str) -> Place;
    /// A file that a key names.
    fn path(&self, path: &str) -> PathBuf;
    /// What a secret's key ends in where it names a file.
    fn file_suffix(&self) -> &'static str;
    /// Whether all that was written could be read; if not, nothing is said to be missing.
    fn is_whole(&self) -> bool {
        true
    }
}

/// The environment, which has one account.
pub(super) struct Variables;

impl Home for Variables {
    fn name(&self, key: &str) -> String {
        format!("TRADERNET_{}", key.to_ascii_uppercase())
    }

    fn mention(&self, key: &str) -> String {
        self.name(key)
    }

    fn place(&self, key: &str) -> Place {
        Place::variable(&self.name(key))
    }

    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(path)
    }

    fn file_suffix(&self) -> &'static str {
        "_FILE"
    }
}

impl RawAccount {
    /// The account, unless something is wrong with it; the report says what.
    pub(super) fn resolve(&self, home: &dyn Home, report: &mut Report) -> Option<Account> {
        let account_name = match &self.account {
            None => Some("default".into()),
            text => report.value(home.place("account"), text, account_name),
        };
        let origin = self.origin(home, report);
        let streams = self.stream_origins(home, report);
        let transport = self.transport(home, report);
        let (interval, timeout, max_age) = self.times(home, report);
        let credential = self.credential(home, report);
        let stream = self.stream(
            transport,
            origin.as_ref(),
            streams,
            credential.as_ref(),
            home,
            report,
        );
        let policy = self.policy(home, report);
        let expire_unit = report.value(home.place("expire_unit"), &self.expire_unit, |text| {
            parse::one_of(
                text,
                &[
                    ("auto", UnitSetting::Auto),
                    ("ms", UnitSetting::Fixed(Unit::Milliseconds)),
                    ("s", UnitSetting::Fixed(Unit::Seconds)),
                ],
            )
        });
        let details = report.value(
            home.place("session_details"),
            &self.session_details,
            |text| {
                parse::one_of(
                    text,
                    &[
                        ("off", SessionDetails::Off),
                        ("anonymous", SessionDetails::Anonymous),
                        ("full", SessionDetails::Full),
                    ],
                )
            },
        );
        Some(Account {
            name: account_name?,
            target: Target {
                origin: origin?,
                timeout,
            },
            credential: credential?,
            transport: transport?,
            stream,
            reading: Reading {
                policy,
                details: details.unwrap_or_default(),
                expire_unit: expire_unit.unwrap_or(UnitSetting::Auto),
                interval,
                max_age,
            },
        })
    }

    fn origin(&self, home: &dyn Home, report: &mut Report) -> Option<Url> {
        let text = self.url.as_deref().unwrap_or(DEFAULT_ORIGIN);
        check_origin(home, report, "url", text, "https", "http")
    }

    /// The stream origins that are given: of the WebSocket, of socket.io. Both are checked, whichever
    /// is used.
    fn stream_origins(&self, home: &dyn Home, report: &mut Report) -> [Option<Url>; 2] {
        [
            ("ws_url", &self.ws_url),
            ("socketio_url", &self.socketio_url),
        ]
        .map(|(key, text)| check_origin(home, report, key, text.as_deref()?, "wss", "ws"))
    }

    fn transport(&self, home: &dyn Home, report: &mut Report) -> Option<Transport> {
        match &self.transport {
            None => Some(Transport::Http),
            text => report.value(home.place("transport"), text, |text| {
                let words = Transport::ALL.map(|transport| (transport.name(), transport));
                parse::one_of(text, &words)
            }),
        }
    }

    /// Where the list is pushed from; nothing with polling, or where something is wrong.
    fn stream(
        &self,
        transport: Option<Transport>,
        origin: Option<&Url>,
        [websocket, socketio]: [Option<Url>; 2],
        credential: Option<&CredentialSource>,
        home: &dyn Home,
        report: &mut Report,
    ) -> Option<StreamTarget> {
        let transport = transport?;
        let (key, given, found, host) = match transport {
            Transport::Http => return None,
            Transport::Websocket => ("ws_url", &self.ws_url, websocket, "wss"),
            Transport::Socketio => ("socketio_url", &self.socketio_url, socketio, "ws"),
        };
        if let Some(CredentialSource::KeyPair { .. }) = credential {
            let wrong = "needs an SID or a login: a key pair reads over http alone";
            report.add(
                home.place("transport"),
                Some(transport.name()),
                wrong.to_owned(),
            );
        }
        let dialect = match (transport, &self.login) {
            (Transport::Socketio, Some(login)) => Dialect::Socketio {
                login: login.clone(),
            },
            (Transport::Socketio, None) => {
                if let Some(CredentialSource::Sid(_)) = credential {
                    let wrong = format!(
                        "is missing: {}=socketio subscribes with the login's name, beside an SID too",
                        home.mention("transport")
                    );
                    report.add(home.place("login"), None, wrong);
                }
                return None;
            }
            _ => Dialect::Websocket,
        };
        let origin = match (given, origin) {
            // What is wrong with it has been said.
            (Some(_), _) => found?,
            (None, origin) => {
                let derived = stream_origin(origin?, host);
                if derived.is_none() {
                    let wrong = format!(
                        "is missing: it cannot be told from {}, which names an address or a port",
                        home.mention("url")
                    );
                    report.add(home.place(key), None, wrong);
                }
                derived?
            }
        };
        Some(StreamTarget { origin, dialect })
    }

    /// Interval, timeout and age; a default where one is wrong, so that the others are judged too.
    fn times(&self, home: &dyn Home, report: &mut Report) -> (Duration, Duration, Duration) {
        let interval = report
            .value(home.place("poll_interval"), &self.poll_interval, |text| {
                parse::duration(text, Duration::from_secs(1), DAY)
            })
            .unwrap_or(DEFAULT_INTERVAL);
        let timeout = report
            .value(home.place("timeout"), &self.timeout, |text| {
                let timeout = parse::duration(text, Duration::from_millis(10), DAY)?;
                if timeout > interval {
                    return Err(format!(
                        "is longer than the polling interval of {}: shorten it, or raise {}",
                        humantime::format_duration(interval),
                        home.mention("poll_interval"),
                    ));
                }
                Ok(timeout)
            })
            .unwrap_or(DEFAULT_TIMEOUT.min(interval));
        let least = interval + timeout;
        let max_age = report
            .value(home.place("max_age"), &self.max_age, |text| {
                let max_age = parse::duration(text, Duration::ZERO, DAY * 30)?;
                if max_age < least {
                    return Err(format!(
                        "is too short: at least {} (polling interval and timeout together)",
                        humantime::format_duration(least)
                    ));
                }
                Ok(max_age)
            })
            .unwrap_or(interval * 3);
        (interval, timeout, max_age)
    }

    fn credential(&self, home: &dyn Home, report: &mut Report) -> Option<CredentialSource> {
        let mut secret = |keys, given: &_, file: &_| secret(home, report, keys, given, file);
        let sid = secret(["sid", "sid_file"], &self.sid, &self.sid_file);
        let password = secret(
            ["password", "password_file"],
            &self.password,
            &self.password_file,
        );
        let key = secret(
            ["api_key", "api_key_file"],
            &self.api_key,
            &self.api_key_file,
        );
        let secret = secret(
            ["api_secret", "api_secret_file"],
            &self.api_secret,
            &self.api_secret_file,
        );

        let kinds = [
            ("sid", sid.given),
            ("password", password.given),
            ("key pair", key.given.or(secret.given)),
        ];
        let mut given = kinds
            .into_iter()
            .filter_map(|(kind, key)| Some((kind, key?)));
        let (first, second) = (given.next(), given.next());
        let mut wrong = |key: &str, text: String| {
            report.add(home.place(key), None, text);
            None
        };
        if let (Some((_, first)), Some((_, second))) = (first, second) {
            return wrong(
                second,
                format!(
                    "{}; an account has one credential",
                    parse::clash(home.mention(first))
                ),
            );
        }
        let Some((kind, kind_key)) = first else {
            if !home.is_whole() {
                return None;
            }
            return match &self.login {
                Some(_) => wrong(
                    "login",
                    format!(
                        "has no password: set {} or {}",
                        home.name("password"),
                        home.name("password_file")
                    ),
                ),
                None => wrong(
                    "sid",
                    format!(
                        "no credential is set: set {}, or {} and {}, or {} and {} (or their {} forms)",
                        home.name("sid"),
                        home.name("login"),
                        home.name("password"),
                        home.name("api_key"),
                        home.name("api_secret"),
                        home.file_suffix(),
                    ),
                ),
            };
        };
        let version = self.key_version(kind, home, report);
        match kind {
            "sid" => Some(CredentialSource::Sid(sid.source?)),
            "password" => match &self.login {
                Some(login) => Some(CredentialSource::Login {
                    login: login.clone(),
                    password: password.source?,
                }),
                None if !home.is_whole() => None,
                None => {
                    let text = format!("has no login: set {}", home.name("login"));
                    report.add(home.place(kind_key), None, text);
                    None
                }
            },
            _ => {
                if self.login.is_some() {
                    let text = format!(
                        "{}; an account has one credential",
                        parse::clash(home.mention(kind_key))
                    );
                    report.add(home.place("login"), None, text);
                }
                for (missing, key) in [("api_key", key.given), ("api_secret", secret.given)] {
                    if key.is_none() && home.is_whole() {
                        let other = home.mention(kind_key);
                        let text = format!("is missing: {other} is of no use without it");
                        report.add(home.place(missing), None, text);
                    }
                }
                Some(CredentialSource::KeyPair {
                    version: version?,
                    key: key.source?,
                    secret: secret.source?,
                })
            }
        }
    }

    /// Version 1 goes with an SID or a login, 2 and 3 with keys.
    fn key_version(&self, kind: &str, home: &dyn Home, report: &mut Report) -> Option<KeyVersion> {
        let keys = kind == "key pair";
        let version = match &self.api_version {
            None => {
                if keys {
                    3
                } else {
                    1
                }
            }
            text => report.value(home.place("api_version"), text, |text| {
                let version = parse::one_of(text, &[("1", 1), ("2", 2), ("3", 3)])?;
                match (version, keys) {
                    (1, true) => Err("does not go with a key pair: use 2 or 3".to_owned()),
                    (2 | 3, false) => {
                        Err("does not go with an SID or a login: use 1, or a key pair".to_owned())
                    }
                    _ => Ok(version),
                }
            })?,
        };
        Some(if version == 2 {
            KeyVersion::V2
        } else {
            KeyVersion::V3
        })
    }

    fn policy(&self, home: &dyn Home, report: &mut Report) -> Policy {
        let count = |text: &str| parse::whole_number(text, 0, u64::from(u32::MAX));
        let min_sessions = report.value(home.place("min_sessions"), &self.min_sessions, count);
        let max_sessions = report.value(home.place("max_sessions"), &self.max_sessions, |text| {
            let most = count(text)?;
            match min_sessions {
                Some(fewest) if most < fewest => Err(format!(
                    "is less than {}={fewest}",
                    home.name("min_sessions")
                )),
                _ => Ok(most),
            }
        });
        Policy {
            client_ips: report.value(
                home.place("allowed_client_ips"),
                &self.allowed_client_ips,
                |text| parse::list(text, parse::network),
            ),
            safety_types: report.value(
                home.place("allowed_safety_types"),
                &self.allowed_safety_types,
                parse::safety_types,
            ),
            logins: report
                .value(home.place("allowed_logins"), &self.allowed_logins, |text| {
                    parse::list(text, |login| Ok(login.to_owned()))
                })
                .map(|logins| logins.into_iter().collect()),
            min_sessions,
            max_sessions,
            max_lifetime: report.value(home.place("max_lifetime"), &self.max_lifetime, |text| {
                parse::duration(text, Duration::from_secs(1), DAY * 36_500)
            }),
        }
    }
}

/// The key by which a secret was given, and the secret where it can be used.
struct Secret {
    given: Option<&'static str>,
    source: Option<SecretSource>,
}

fn secret(
    home: &dyn Home,
    report: &mut Report,
    [key, file_key]: [&'static str; 2],
    given: &Option<String>,
    file: &Option<String>,
) -> Secret {
    let (form, source) = match (given, file) {
        (None, None) => (None, None),
        (Some(_), Some(_)) => {
            let text = parse::clash(home.mention(file_key));
            report.add(home.place(key), None, text);
            (Some(key), None)
        }
        (Some(secret), None) => {
            let secret = SecretString::from(secret.as_str());
            (Some(key), Some(SecretSource::Given(secret)))
        }
        (None, Some(path)) => match SecretSource::from_file(home.path(path)) {
            Ok(source) => (Some(file_key), Some(source)),
            Err(error) => {
                report.add(home.place(file_key), None, error.to_string());
                (Some(file_key), None)
            }
        },
    };
    // A password travels in a form and an API secret not at all; the others are headers.
    let in_header = matches!(key, "sid" | "api_key");
    if let (Some(form), Some(source)) = (form, &source)
        && in_header
        && !parse::is_header_safe(&source.initial())
    {
        let text =
            "has a space or another character that no SID or key has: check how it was copied";
        report.add(home.place(form), None, text.to_owned());
    }
    Secret {
        given: form,
        source,
    }
}

fn check_origin(
    home: &dyn Home,
    report: &mut Report,
    key: &str,
    text: &str,
    secure: &str,
    plain: &str,
) -> Option<Url> {
    match parse::origin(text, secure, plain) {
        Ok(url) => Some(url),
        Err(wrong) => {
            report.add(
                home.place(key),
                Some(text).filter(|text| parse::is_showable(text)),
                wrong,
            );
            None
        }
    }
}

fn account_name(text: &str) -> Result<Arc<str>, String> {
    match text.chars().count() {
        1..=LONGEST_NAME => Ok(text.into()),
        _ => Err(format!("is longer than {LONGEST_NAME} characters")),
    }
}

/// `wss://wss.<domain>` or `wss://ws.<domain>` of an API origin; none for an address, a port, or
/// this machine.
fn stream_origin(origin: &Url, host: &str) -> Option<Url> {
    let domain = origin.domain()?;
    if origin.port().is_some() || is_loopback(origin) {
        return None;
    }
    let domain = domain.strip_prefix("www.").unwrap_or(domain);
    Url::parse(&format!("wss://{host}.{domain}")).ok()
}
