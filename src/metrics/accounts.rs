//! The families of accounts: their names, their HELP, and when each is absent.
//!
//! A function of the published status of the accounts and of the time. Long because it is one
//! table of all families.

use std::fmt::Display;
use std::sync::Arc;

use super::exposition::{ExpositionWriter, FamilyMeta, FamilyWriter, MetricType, Value, label};
use crate::clock::Timestamps;
use crate::session::diff::CloseReason;
use crate::session::expire_unit::Unit;
use crate::session::safety_type::SafetyNames;
use crate::session::summary::{Range, SessionDetail, SessionDetails, Summary};
use crate::session::tracker::SessionCounters;
use crate::status::{AccountStatus, Attempt};

/// A family and how an account adds to it.
struct AccountFamily {
    meta: FamilyMeta<'static>,
    samples: fn(&AccountSamples<'_>, &mut Samples<'_>),
}

const fn gauge(
    name: &'static str,
    help: &'static str,
    samples: fn(&AccountSamples<'_>, &mut Samples<'_>),
) -> AccountFamily {
    let kind = MetricType::Gauge;
    AccountFamily {
        meta: FamilyMeta { name, kind, help },
        samples,
    }
}

const fn counter(
    name: &'static str,
    help: &'static str,
    samples: fn(&AccountSamples<'_>, &mut Samples<'_>),
) -> AccountFamily {
    let kind = MetricType::Counter;
    AccountFamily {
        meta: FamilyMeta { name, kind, help },
        samples,
    }
}

/// In the order of the page: sessions, single sessions, decoding, polls, logins, streams.
static FAMILIES: &[AccountFamily] = &[
    gauge(
        "tradernet_security_sessions_open",
        "Open security sessions.",
        |account, to| to.add_summary(account, |view| Some(view.open)),
    ),
    gauge(
        "tradernet_security_sessions_by_safety_type",
        "Open security sessions by safety type.",
        by_safety_type,
    ),
    gauge(
        "tradernet_security_session_expire_max_milliseconds",
        "Longest time left of the open sessions, as of the last answer; 0 if no session is open.",
        |account, to| to.add_summary(account, |view| Some(left(view)?.max)),
    ),
    gauge(
        "tradernet_security_session_expire_min_milliseconds",
        "Shortest time left of the open sessions, as of the last answer; 0 if no session is open.",
        |account, to| to.add_summary(account, |view| Some(left(view)?.min)),
    ),
    gauge(
        "tradernet_security_session_max_expiry_timestamp_seconds",
        "Expiry of the open session with the longest time left.",
        |account, to| to.add_summary(account, |view| Some(seconds(ends(view)?.max))),
    ),
    gauge(
        "tradernet_security_session_min_expiry_timestamp_seconds",
        "Expiry of the open session with the shortest time left.",
        |account, to| to.add_summary(account, |view| Some(seconds(ends(view)?.min))),
    ),
    gauge(
        "tradernet_security_sessions_expire_unknown",
        "Open sessions without a readable time left.",
        |account, to| to.add_summary(account, |view| Some(view.expire_unknown)),
    ),
    gauge(
        "tradernet_security_session_max_lifetime_seconds",
        "Longest time from start to expiry of an open session.",
        |account, to| to.add_summary(account, |view| view.max_lifetime_ms.map(seconds)),
    ),
    gauge(
        "tradernet_security_session_client_ips",
        "Distinct client addresses of the open sessions.",
        |account, to| to.add_summary(account, |view| Some(view.client_ips)),
    ),
    gauge(
        "tradernet_security_session_logins",
        "Distinct logins of the open sessions.",
        |account, to| to.add_summary(account, |view| Some(view.logins)),
    ),
    gauge(
        "tradernet_security_sessions_violating",
        "Open sessions that break a configured rule; for max_sessions and min_sessions the excess \
         and the shortfall. Do not sum over rules.",
        |account, to| {
            for (rule, count) in account.view.iter().flat_map(|view| &view.violating) {
                to.add(&[("rule", &rule.name())], *count);
            }
        },
    ),
    gauge(
        "tradernet_security_sessions_limit",
        "Configured bounds of the number of open sessions.",
        |account, to| {
            let limits = account.status.limits;
            for (bound, limit) in [("min", limits.min), ("max", limits.max)] {
                if let Some(limit) = limit {
                    to.add(&[("bound", &bound)], limit);
                }
            }
        },
    ),
    gauge(
        "tradernet_security_sessions_required",
        "Open sessions that count for the configured minimum.",
        |account, to| to.add_summary(account, |view| Some(view.required?.open)),
    ),
    gauge(
        "tradernet_security_session_required_max_expiry_timestamp_seconds",
        "Latest expiry of the open sessions that count for the configured minimum.",
        |account, to| {
            to.add_summary(account, |view| Some(seconds(view.required?.max_expiry_ms?)));
        },
    ),
    counter(
        "tradernet_security_sessions_opened_total",
        "Sessions opened since the first answer.",
        |account, to| to.add_counters(account, &[], |session_counters| session_counters.opened),
    ),
    counter(
        "tradernet_security_sessions_closed_total",
        "Sessions closed: expired, ended before their expiry, or unknown.",
        |account, to| {
            for reason in CloseReason::ALL {
                to.add_counters(account, &[("reason", &reason.name())], |session_counters| {
                    session_counters.closed(reason)
                });
            }
        },
    ),
    gauge(
        "tradernet_security_session_info",
        "An open session; always 1.",
        info,
    ),
    gauge(
        "tradernet_security_session_expiry_timestamp_seconds",
        "Expiry of an open session.",
        |account, to| {
            for detail in account.details() {
                if let Some(at_ms) = detail.expires_at_ms {
                    to.add(&[("session_id", &detail.id)], seconds(at_ms));
                }
            }
        },
    ),
    gauge(
        "tradernet_security_session_violating",
        "A rule that an open session breaks; always 1.",
        |account, to| {
            for detail in account.details() {
                for rule in &detail.violated_rules {
                    to.add(&[("session_id", &detail.id), ("rule", &rule.name())], true);
                }
            }
        },
    ),
    gauge(
        "tradernet_account_info",
        "Transport, kind of credential and configured labels of an account; always 1.",
        account_info,
    ),
    gauge(
        "tradernet_sessions_undecodable",
        "Entries of the last answer that are not sessions or have a duplicate id.",
        |account, to| to.add_summary(account, |view| Some(view.undecodable)),
    ),
    gauge(
        "tradernet_expire_unit",
        "Unit assumed for the server's time left: 1 for the unit in use, 0 for the other.",
        |account, to| {
            for unit in Unit::ALL {
                to.add(&[("unit", &unit.name())], unit == account.status.unit.unit);
            }
        },
    ),
    gauge(
        "tradernet_expire_unit_confirmed",
        "1 if evidence or configuration confirms the unit of the time left.",
        |account, to| to.add(&[], account.status.unit.confirmed),
    ),
    gauge(
        "tradernet_up",
        "1 if the last poll succeeded.",
        |account, to| to.add_opt(account.status.up()),
    ),
    counter(
        "tradernet_polls_total",
        "Attempts to read the sessions.",
        |account, to| to.add(&[], account.status.polls),
    ),
    counter(
        "tradernet_poll_failures_total",
        "Failed polls by reason.",
        |account, to| {
            for (reason, count) in account.status.failures.iter() {
                to.add(&[("reason", &reason.name())], count);
            }
        },
    ),
    gauge(
        "tradernet_poll_duration_seconds",
        "Duration of the last poll.",
        |account, to| to.add_attempt(account, |attempt| attempt.duration.as_secs_f64()),
    ),
    gauge(
        "tradernet_poll_queue_seconds",
        "Time that the last poll waited for a slot to the host before it started.",
        |account, to| to.add_attempt(account, |attempt| attempt.queue_wait.as_secs_f64()),
    ),
    gauge(
        "tradernet_last_successful_poll_timestamp_seconds",
        "Time of the last successful poll.",
        |account, to| {
            to.add_opt(account.status.last_success.map(|at| seconds(at.wall_ms)));
        },
    ),
    gauge(
        "tradernet_poll_interval_seconds",
        "Configured poll interval.",
        |account, to| to.add(&[], account.status.interval.as_secs_f64()),
    ),
    counter(
        "tradernet_logins_total",
        "Login attempts.",
        |account, to| to.add(&[], account.status.logins),
    ),
    counter(
        "tradernet_login_failures_total",
        "Rejected logins.",
        |account, to| to.add(&[], account.status.login_failures),
    ),
    gauge(
        "tradernet_login_blocked",
        "1 if the circuit breaker forbids logins.",
        |account, to| to.add(&[], account.status.login_blocked.is_some()),
    ),
    // Only streaming transports have these.
    gauge(
        "tradernet_stream_connected",
        "1 if the stream is connected and has delivered a list.",
        |account, to| to.add_opt(account.status.stream.map(|stream| stream.connected)),
    ),
    counter(
        "tradernet_stream_reconnects_total",
        "Stream reconnects.",
        |account, to| to.add_opt(account.status.stream.map(|stream| stream.reconnects)),
    ),
];

/// Writes every account's series.
pub(super) fn write(
    page: &mut ExpositionWriter,
    statuses: &[Arc<AccountStatus>],
    names: &SafetyNames,
    now: Timestamps,
) {
    let accounts: Vec<AccountSamples<'_>> = statuses
        .iter()
        .map(|status| AccountSamples::new(status, names, now))
        .collect();
    for family in FAMILIES {
        let mut samples = Samples {
            family: page.family(family.meta),
            account: "",
        };
        for account in &accounts {
            samples.account = &account.label;
            (family.samples)(account, &mut samples);
        }
    }
}

/// The sources of one account's samples.
struct AccountSamples<'a> {
    status: &'a AccountStatus,
    view: Option<&'a Summary>,
    names: &'a SafetyNames,
    /// `account="…"`, whole: the configuration bounds it, and cutting it could make two accounts
    /// one.
    label: String,
}

impl<'a> AccountSamples<'a> {
    fn new(status: &'a AccountStatus, names: &'a SafetyNames, now: Timestamps) -> Self {
        let mut account = String::new();
        label(&mut account, "account", &status.account, usize::MAX);
        Self {
            status,
            view: status.fresh_view(now),
            names,
            label: account,
        }
    }

    fn details(&self) -> impl Iterator<Item = &'a SessionDetail> + use<'a> {
        self.view.into_iter().flat_map(|view| &view.details)
    }
}

/// Writes one account's samples of one family.
struct Samples<'a> {
    family: FamilyWriter<'a>,
    account: &'a str,
}

impl Samples<'_> {
    fn add(&mut self, labels: &[(&str, &dyn Display)], value: impl Into<Value>) {
        self.family.sample("", self.account, labels, value.into());
    }

    fn add_opt(&mut self, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(&[], value);
        }
    }

    fn add_summary<V: Into<Value>>(
        &mut self,
        account: &AccountSamples<'_>,
        value: impl Fn(&Summary) -> Option<V>,
    ) {
        self.add_opt(account.view.and_then(value));
    }

    fn add_attempt(&mut self, account: &AccountSamples<'_>, value: impl Fn(&Attempt) -> f64) {
        self.add_opt(account.status.last_attempt.as_ref().map(value));
    }

    fn add_counters(
        &mut self,
        account: &AccountSamples<'_>,
        labels: &[(&str, &dyn Display)],
        count: impl Fn(&SessionCounters) -> u64,
    ) {
        if let Some(session_counters) = &account.status.session_counters {
            self.add(labels, count(session_counters));
        }
    }
}

fn by_safety_type(account: &AccountSamples<'_>, to: &mut Samples<'_>) {
    for (safety_type, count) in account.view.iter().flat_map(|view| &view.by_safety_type) {
        let labels: [(&str, &dyn Display); 2] = [
            ("safety_type_id", safety_type),
            ("safety_type", &account.names.name(*safety_type)),
        ];
        to.add(&labels, *count);
    }
}

fn account_info(account: &AccountSamples<'_>, to: &mut Samples<'_>) {
    let info = &account.status.info;
    let transport = account.status.transport.name();
    let mut labels: Vec<(&str, &dyn Display)> =
        vec![("transport", &transport), ("credential", &info.credential)];
    let configured = info.labels.iter();
    labels.extend(configured.map(|(name, value)| (name.as_str(), value as &dyn Display)));
    to.add(&labels, true);
}

fn info(account: &AccountSamples<'_>, to: &mut Samples<'_>) {
    let full = account
        .view
        .is_some_and(|view| view.detail_level == SessionDetails::Full);
    for detail in account.details() {
        // All sessions of an account have the same labels; a missing value is empty.
        let login = detail.user_login.as_deref().unwrap_or_default();
        let client: &dyn Display = match &detail.client {
            Some(client) => client,
            None => &"",
        };
        let labels: [(&str, &dyn Display); 5] = [
            ("session_id", &detail.id),
            ("safety_type_id", &detail.safety_type),
            ("safety_type", &account.names.name(detail.safety_type)),
            ("user_login", &login),
            ("client_ip", client),
        ];
        let shown = if full { 5 } else { 3 };
        to.add(labels.get(..shown).unwrap_or_default(), true);
    }
}

/// Times left in milliseconds, to the microsecond: without the rounding errors of the conversion
/// between units.
fn left(view: &Summary) -> Option<Range> {
    let left_ms = view.expiry?.remaining_ms;
    let round = |ms: f64| {
        if ms < 1e12 {
            (ms * 1000.0).round() / 1000.0
        } else {
            ms
        }
    };
    Some(Range {
        min: round(left_ms.min),
        max: round(left_ms.max),
    })
}

fn ends(view: &Summary) -> Option<Range> {
    view.expiry?.expires_at_ms
}

/// Milliseconds as seconds with three digits.
fn seconds(milliseconds: f64) -> f64 {
    milliseconds.round() / 1000.0
}
