//! One account: raw texts to an [`AccountConfig`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::env::RawAccount;
use super::error::Report;
use super::parse;
use super::source::Home;
use crate::config::{AccountConfig, CredentialSource};
use crate::session::expire_unit::{Unit, UnitSetting};
use crate::session::rules::Policy;
use crate::session::tracker::{SessionDetails, TrackingConfig};
use crate::status::Transport;
use crate::tradernet::{Endpoint, StreamEndpoint, StreamProtocol, is_loopback};

const DEFAULT_ORIGIN: &str = "https://tradernet.com";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest value of the label `account`, in characters.
const LONGEST_NAME: usize = 128;

impl RawAccount {
    /// The account, unless something is wrong with it; the report says what.
    pub(super) fn resolve(&self, home: &dyn Home, report: &mut Report) -> Option<AccountConfig> {
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
        Some(AccountConfig {
            name: account_name?,
            target: Endpoint {
                origin: origin?,
                timeout,
            },
            credential: credential?,
            transport: transport?,
            stream,
            reading: TrackingConfig {
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
        report.url(home.place("url"), Some(text), |text| {
            parse::origin(text, "https", "http")
        })
    }

    /// The stream origins that are given: of the WebSocket, of socket.io. Both are checked, whichever
    /// is used.
    fn stream_origins(&self, home: &dyn Home, report: &mut Report) -> [Option<Url>; 2] {
        [
            ("ws_url", &self.ws_url),
            ("socketio_url", &self.socketio_url),
        ]
        .map(|(key, text)| {
            report.url(home.place(key), text.as_deref(), |text| {
                parse::origin(text, "wss", "ws")
            })
        })
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
    ) -> Option<StreamEndpoint> {
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
            (Transport::Socketio, Some(login)) => StreamProtocol::Socketio {
                login: login.clone(),
            },
            (Transport::Socketio, None) => {
                if let Some(CredentialSource::Sid(_)) = credential
                    && !home.is_in_doubt("login")
                {
                    let wrong = format!(
                        "is missing: {}=socketio subscribes with the login's name, beside an SID too",
                        home.mention("transport")
                    );
                    report.add(home.place("login"), None, wrong);
                }
                return None;
            }
            _ => StreamProtocol::Websocket,
        };
        let origin = match (given, origin) {
            // What is wrong with it has been said.
            (Some(_), _) => found?,
            (None, origin) => {
                let derived = stream_origin(origin?, host);
                if derived.is_none() && !home.is_in_doubt(key) {
                    let wrong = format!(
                        "is missing: it cannot be told from {}, which names an address or a port",
                        home.mention("url")
                    );
                    report.add(home.place(key), None, wrong);
                }
                derived?
            }
        };
        Some(StreamEndpoint { origin, dialect })
    }

    /// Interval, timeout and age. Where one is wrong or cannot be read, the others are not measured by
    /// it.
    fn times(&self, home: &dyn Home, report: &mut Report) -> (Duration, Duration, Duration) {
        let known = |key, text: &Option<String>, parsed: Option<Duration>, default| match text {
            None => (!home.is_in_doubt(key)).then_some(default),
            Some(_) => parsed,
        };
        let text = &self.poll_interval;
        let interval = report.value(home.place("poll_interval"), text, |text| {
            parse::duration(text, Duration::from_secs(1), DAY)
        });
        let interval = known("poll_interval", text, interval, DEFAULT_INTERVAL);

        let text = &self.timeout;
        let timeout = report.value(home.place("timeout"), text, |text| {
            let timeout = parse::duration(text, Duration::from_millis(10), DAY)?;
            match interval {
                Some(interval) if timeout > interval => Err(format!(
                    "is longer than the polling interval of {}: shorten it, or raise {}",
                    humantime::format_duration(interval),
                    home.mention("poll_interval"),
                )),
                _ => Ok(timeout),
            }
        });
        let default = DEFAULT_TIMEOUT.min(interval.unwrap_or(DEFAULT_TIMEOUT));
        let timeout = known("timeout", text, timeout, default);

        let least = interval.zip(timeout).map(|(one, other)| one + other);
        let max_age = report.value(home.place("max_age"), &self.max_age, |text| {
            let max_age = parse::duration(text, Duration::ZERO, DAY * 30)?;
            match least {
                Some(least) if max_age < least => Err(format!(
                    "is too short: at least {} (polling interval and timeout together)",
                    humantime::format_duration(least)
                )),
                _ => Ok(max_age),
            }
        });
        let interval = interval.unwrap_or(DEFAULT_INTERVAL);
        (
            interval,
            timeout.unwrap_or(default),
            max_age.unwrap_or(interval * 3),
        )
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
            client_ips: report.list(
                |number| home.item("allowed_client_ips", number),
                &self.allowed_client_ips,
                parse::network,
            ),
            safety_types: report
                .list(
                    |number| home.item("allowed_safety_types", number),
                    &self.allowed_safety_types,
                    parse::safety_type,
                )
                .map(BTreeSet::from_iter),
            logins: report
                .list(
                    |number| home.item("allowed_logins", number),
                    &self.allowed_logins,
                    |login| Ok(login.to_owned()),
                )
                .map(|logins| logins.into_iter().collect()),
            min_sessions,
            min_sessions_safety_types: None,
            max_sessions,
            max_lifetime: report.value(home.place("max_lifetime"), &self.max_lifetime, |text| {
                parse::duration(text, Duration::from_secs(1), DAY * 36_500)
            }),
        }
    }
}

fn account_name(text: &str) -> Result<Arc<str>, String> {
    match text.chars().count() {
        _ if text.trim().is_empty() => Err("is blank: write a name".to_owned()),
        // Nobody could tell the two apart.
        _ if text.trim() != text => Err("begins or ends with a blank: remove it".to_owned()),
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
