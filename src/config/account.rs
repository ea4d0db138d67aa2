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
use crate::tradernet::{KeyVersion, Target};

const DEFAULT_ORIGIN: &str = "https://tradernet.com";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest value of the label `account`, in characters.
const LONGEST_NAME: usize = 128;

/// The variable of a key.
fn name(key: &str) -> String {
    format!("TRADERNET_{}", key.to_ascii_uppercase())
}

fn place(key: &str) -> Place {
    Place::variable(&name(key))
}

impl RawAccount {
    /// The account, unless something is wrong with it; the report says what.
    pub(super) fn resolve(&self, report: &mut Report) -> Option<Account> {
        let account_name = match &self.account {
            None => Some("default".into()),
            text => report.value(place("account"), text, account_name),
        };
        let origin = self.origin(report);
        self.check_stream_origins(report);
        let transport = self.transport(report);
        let (interval, timeout, max_age) = self.times(report);
        let credential = self.credential(report);
        let policy = self.policy(report);
        let expire_unit = report.value(place("expire_unit"), &self.expire_unit, |text| {
            parse::one_of(
                text,
                &[
                    ("auto", UnitSetting::Auto),
                    ("ms", UnitSetting::Fixed(Unit::Milliseconds)),
                    ("s", UnitSetting::Fixed(Unit::Seconds)),
                ],
            )
        });
        let details = report.value(place("session_details"), &self.session_details, |text| {
            parse::one_of(
                text,
                &[
                    ("off", SessionDetails::Off),
                    ("anonymous", SessionDetails::Anonymous),
                    ("full", SessionDetails::Full),
                ],
            )
        });
        Some(Account {
            name: account_name?,
            target: Target {
                origin: origin?,
                timeout,
            },
            credential: credential?,
            transport: transport?,
            reading: Reading {
                policy,
                details: details.unwrap_or_default(),
                expire_unit: expire_unit.unwrap_or(UnitSetting::Auto),
                interval,
                max_age,
            },
        })
    }

    fn origin(&self, report: &mut Report) -> Option<Url> {
        let text = self.url.as_deref().unwrap_or(DEFAULT_ORIGIN);
        check_origin(report, "url", text, "https", "http")
    }

    /// Checked although nothing streams yet: what is wrong is better known now.
    fn check_stream_origins(&self, report: &mut Report) {
        for (key, text) in [
            ("ws_url", &self.ws_url),
            ("socketio_url", &self.socketio_url),
        ] {
            if let Some(text) = text {
                check_origin(report, key, text, "wss", "ws");
            }
        }
    }

    fn transport(&self, report: &mut Report) -> Option<Transport> {
        match self.transport.as_deref() {
            None | Some("http") => Some(Transport::Http),
            Some(text @ ("websocket" | "socketio")) => {
                let wrong = "this version polls: use http, or unset it";
                report.add(place("transport"), Some(text), wrong.to_owned());
                None
            }
            Some(_) => report.value(place("transport"), &self.transport, |text| {
                parse::one_of(text, &[("http", Transport::Http)])
            }),
        }
    }

    /// Interval, timeout and age; a default where one is wrong, so that the others are judged too.
    fn times(&self, report: &mut Report) -> (Duration, Duration, Duration) {
        let interval = report
            .value(place("poll_interval"), &self.poll_interval, |text| {
                parse::duration(text, Duration::from_secs(1), DAY)
            })
            .unwrap_or(DEFAULT_INTERVAL);
        let timeout = report
            .value(place("timeout"), &self.timeout, |text| {
                let timeout = parse::duration(text, Duration::from_millis(10), DAY)?;
                if timeout > interval {
                    return Err(format!(
                        "is longer than the polling interval of {}: shorten it, or raise {}",
                        humantime::format_duration(interval),
                        name("poll_interval"),
                    ));
                }
                Ok(timeout)
            })
            .unwrap_or(DEFAULT_TIMEOUT.min(interval));
        let least = interval + timeout;
        let max_age = report
            .value(place("max_age"), &self.max_age, |text| {
                parse::duration(text, least, DAY * 30)
                    .map_err(|wrong| format!("{wrong} (polling interval and timeout together)"))
            })
            .unwrap_or(interval * 3);
        (interval, timeout, max_age)
    }

    fn credential(&self, report: &mut Report) -> Option<CredentialSource> {
        let sid = self.secret(report, "sid", &self.sid, &self.sid_file);
        let password = self.secret(report, "password", &self.password, &self.password_file);
        let key = self.secret(report, "api_key", &self.api_key, &self.api_key_file);
        let secret = self.secret(
            report,
            "api_secret",
            &self.api_secret,
            &self.api_secret_file,
        );

        let has_keys = key.given || secret.given;
        let kinds = [
            (sid.given, "sid"),
            (password.given, "password"),
            (has_keys, if key.given { "api_key" } else { "api_secret" }),
        ];
        let mut given = kinds
            .iter()
            .filter(|(given, _)| *given)
            .map(|(_, key)| *key);
        let (first, second) = (given.next(), given.next());
        let wanted = "set TRADERNET_SID, or TRADERNET_LOGIN and TRADERNET_PASSWORD, or \
                      TRADERNET_API_KEY and TRADERNET_API_SECRET (or their _FILE forms)";
        let mut wrong = |key: &str, text: String| {
            report.add(place(key), None, text);
            None
        };
        if let (Some(first), Some(second)) = (first, second) {
            return wrong(
                second,
                format!(
                    "{}; an account has one credential",
                    parse::clash(name(first))
                ),
            );
        }
        let Some(kind) = first else {
            return match &self.login {
                Some(_) => wrong(
                    "login",
                    "has no password: set TRADERNET_PASSWORD or TRADERNET_PASSWORD_FILE".to_owned(),
                ),
                None => wrong("sid", format!("no credential is set: {wanted}")),
            };
        };
        let version = self.key_version(kind, report);
        match kind {
            "sid" => Some(CredentialSource::Sid(sid.source?)),
            "password" => match &self.login {
                Some(login) => Some(CredentialSource::Login {
                    login: login.clone(),
                    password: password.source?,
                }),
                None => {
                    report.add(
                        place("password"),
                        None,
                        "has no login: set TRADERNET_LOGIN".to_owned(),
                    );
                    None
                }
            },
            _ => {
                if self.login.is_some() {
                    let text = format!(
                        "{}; an account has one credential",
                        parse::clash(name(kind))
                    );
                    report.add(place("login"), None, text);
                }
                for (given, missing, other) in [
                    (key.given, "api_key", "api_secret"),
                    (secret.given, "api_secret", "api_key"),
                ] {
                    if !given {
                        let text = format!("is missing: {} is of no use without it", name(other));
                        report.add(place(missing), None, text);
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
    fn key_version(&self, kind: &str, report: &mut Report) -> Option<KeyVersion> {
        let keys = !matches!(kind, "sid" | "password");
        let version = match &self.api_version {
            None => {
                if keys {
                    3
                } else {
                    1
                }
            }
            text => report.value(place("api_version"), text, |text| {
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

    fn secret(
        &self,
        report: &mut Report,
        key: &str,
        given: &Option<String>,
        file: &Option<String>,
    ) -> Secret {
        let file_key = format!("{key}_file");
        let source = match (given, file) {
            (Some(_), Some(_)) => {
                report.add(place(key), None, parse::clash(name(&file_key)));
                None
            }
            (Some(secret), None) => Some((
                key,
                SecretSource::Given(SecretString::from(secret.as_str())),
            )),
            (None, Some(path)) => match SecretSource::from_file(PathBuf::from(path)) {
                Ok(source) => Some((file_key.as_str(), source)),
                Err(error) => {
                    report.add(place(&file_key), None, error.to_string());
                    None
                }
            },
            (None, None) => None,
        };
        // A password travels in a form and an API secret not at all; the others are headers.
        let in_header = matches!(key, "sid" | "api_key");
        if let Some((key, source)) = &source
            && in_header
            && !parse::is_header_safe(&source.initial())
        {
            report.add(
                place(key),
                None,
                "has a space or another character that no SID or key has: check how it was copied"
                    .to_owned(),
            );
        }
        Secret {
            given: given.is_some() || file.is_some(),
            source: source.map(|(_, source)| source),
        }
    }

    fn policy(&self, report: &mut Report) -> Policy {
        let count = |text: &str| parse::whole_number(text, 0, u64::from(u32::MAX));
        let min_sessions = report.value(place("min_sessions"), &self.min_sessions, count);
        let max_sessions = report.value(place("max_sessions"), &self.max_sessions, |text| {
            let most = count(text)?;
            match min_sessions {
                Some(fewest) if most < fewest => {
                    Err(format!("is less than {}={fewest}", name("min_sessions")))
                }
                _ => Ok(most),
            }
        });
        Policy {
            client_ips: report.value(
                place("allowed_client_ips"),
                &self.allowed_client_ips,
                |text| parse::list(text, parse::network),
            ),
            safety_types: report.value(
                place("allowed_safety_types"),
                &self.allowed_safety_types,
                parse::safety_types,
            ),
            logins: report
                .value(place("allowed_logins"), &self.allowed_logins, |text| {
                    parse::list(text, |login| Ok(login.to_owned()))
                })
                .map(|logins| logins.into_iter().collect()),
            min_sessions,
            max_sessions,
            max_lifetime: report.value(place("max_lifetime"), &self.max_lifetime, |text| {
                parse::duration(text, Duration::from_secs(1), DAY * 36_500)
            }),
        }
    }
}

/// Whether a secret was given, and whether it can be used.
struct Secret {
    given: bool,
    source: Option<SecretSource>,
}

fn check_origin(
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
                place(key),
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
