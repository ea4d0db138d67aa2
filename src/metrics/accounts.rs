//! The families of accounts: their names, their HELP, and when each is absent.
//!
//! A function of the published status of the accounts and of the time. Long because it is one
//! table of all families.

use std::fmt::Display;
use std::sync::Arc;

use super::exposition::{ExpositionWriter, FamilyMeta, FamilyWriter, MetricType, Value, label};
use crate::clock::Timestamps;
use crate::session::expire_unit::Unit;
use crate::session::safety_type::SafetyNames;
use crate::session::summary::{Range, SessionDetail, SessionDetails, Summary};
use crate::status::{AccountStatus, Attempt};

/// A family's name and HELP, and how an account adds to it. The name of a counter, and of no gauge,
/// ends in `_total`.
type AccountFamily = (&'static str, &'static str, fn(&mut Samples<'_, '_, '_>));

/// In the order of the page: sessions, single sessions, decoding, polls, logins, streams.
static FAMILIES: &[AccountFamily] = &[
    (
        "tradernet_security_sessions_open",
        "Open security sessions.",
        |to| to.add_summary(|view| Some(view.open)),
    ),
    (
        "tradernet_security_sessions_by_safety_type",
        "Open security sessions by safety type.",
        by_safety_type,
    ),
    (
        "tradernet_security_session_expire_max_milliseconds",
        "Longest time left of the open sessions, as of the last answer; 0 if no session is open.",
        |to| to.add_summary(|view| Some(left(view)?.max)),
    ),
    (
        "tradernet_security_session_expire_min_milliseconds",
        "Shortest time left of the open sessions, as of the last answer; 0 if no session is open.",
        |to| to.add_summary(|view| Some(left(view)?.min)),
    ),
    (
        "tradernet_security_session_max_expiry_timestamp_seconds",
        "Expiry of the open session with the longest time left.",
        |to| to.add_summary(|view| Some(seconds(ends(view)?.max))),
    ),
    (
        "tradernet_security_session_min_expiry_timestamp_seconds",
        "Expiry of the open session with the shortest time left.",
        |to| to.add_summary(|view| Some(seconds(ends(view)?.min))),
    ),
    (
        "tradernet_security_sessions_expire_unknown",
        "Open sessions without a readable time left.",
        |to| to.add_summary(|view| Some(view.expire_unknown)),
    ),
    (
        "tradernet_security_session_max_lifetime_seconds",
        "Longest time from start to expiry of an open session.",
        |to| to.add_summary(|view| view.max_lifetime_ms.map(seconds)),
    ),
    (
        "tradernet_security_session_client_ips",
        "Distinct client addresses of the open sessions.",
        |to| to.add_summary(|view| Some(view.client_ips)),
    ),
    (
        "tradernet_security_session_logins",
        "Distinct logins of the open sessions.",
        |to| to.add_summary(|view| Some(view.logins)),
    ),
    (
        "tradernet_security_sessions_violating",
        "Open sessions that break a configured rule; for max_sessions and min_sessions the excess \
         and the shortfall. Do not sum over rules.",
        |to| {
            for (rule, count) in to.account.view.iter().flat_map(|view| &view.violating) {
                to.add(&[("rule", &rule.name())], *count);
            }
        },
    ),
    (
        "tradernet_security_sessions_limit",
        "Configured bounds of the number of open sessions.",
        |to| {
            let policy = &to.account.status.tracking.policy;
            for (bound, limit) in [("min", policy.min_sessions), ("max", policy.max_sessions)] {
                if let Some(limit) = limit {
                    to.add(&[("bound", &bound)], limit);
                }
            }
        },
    ),
    (
        "tradernet_security_sessions_required",
        "Open sessions that count for the configured minimum.",
        |to| to.add_summary(|view| Some(view.required?.open)),
    ),
    (
        "tradernet_security_session_required_max_expiry_timestamp_seconds",
        "Latest expiry of the open sessions that count for the configured minimum.",
        |to| {
            to.add_summary(|view| Some(seconds(view.required?.max_expiry_ms?)));
        },
    ),
    (
        "tradernet_security_sessions_opened_total",
        "Sessions opened since the first answer.",
        |to| to.add_opt(to.account.status.session_counters.map(|of| of.opened)),
    ),
    (
        "tradernet_security_sessions_closed_total",
        "Sessions closed: expired, ended before their expiry, or unknown.",
        |to| {
            if let Some(counters) = to.account.status.session_counters {
                for (reason, count) in counters.closed {
                    to.add(&[("reason", &reason.name())], count);
                }
            }
        },
    ),
    (
        "tradernet_security_session_info",
        "An open session; always 1.",
        info,
    ),
    (
        "tradernet_security_session_expiry_timestamp_seconds",
        "Expiry of an open session.",
        |to| {
            for detail in to.account.details() {
                if let Some(at_ms) = detail.expires_at_ms {
                    to.add(&[("session_id", &detail.id)], seconds(at_ms));
                }
            }
        },
    ),
    (
        "tradernet_security_session_violating",
        "A rule that an open session breaks; always 1.",
        |to| {
            for detail in to.account.details() {
                for rule in &detail.violated_rules {
                    to.add(&[("session_id", &detail.id), ("rule", &rule.name())], true);
                }
            }
        },
    ),
    (
        "tradernet_account_info",
        "Transport, kind of credential and configured labels of an account; always 1.",
        account_info,
    ),
    (
        "tradernet_sessions_undecodable",
        "Entries of the last answer that are not sessions or have a duplicate id.",
        |to| to.add_summary(|view| Some(view.undecodable)),
    ),
    (
        "tradernet_expire_unit",
        "Unit assumed for the server's time left: 1 for the unit in use, 0 for the other.",
        |to| {
            for unit in Unit::ALL {
                to.add(
                    &[("unit", &unit.name())],
                    unit == to.account.status.unit.unit,
                );
            }
        },
    ),
    (
        "tradernet_expire_unit_confirmed",
        "1 if evidence or configuration confirms the unit of the time left.",
        |to| to.add(&[], to.account.status.unit.confirmed),
    ),
    ("tradernet_up", "1 if the last poll succeeded.", |to| {
        to.add_opt(to.account.status.up())
    }),
    (
        "tradernet_polls_total",
        "Attempts to read the sessions.",
        |to| to.add(&[], to.account.status.polls),
    ),
    (
        "tradernet_poll_failures_total",
        "Failed polls by reason.",
        |to| {
            for (reason, count) in to.account.status.failures.iter() {
                to.add(&[("reason", &reason.name())], count);
            }
        },
    ),
    (
        "tradernet_poll_duration_seconds",
        "Duration of the last poll.",
        |to| to.add_attempt(|attempt| attempt.duration.as_secs_f64()),
    ),
    (
        "tradernet_poll_queue_seconds",
        "Time that the last poll waited for a slot to the host before it started.",
        |to| to.add_attempt(|attempt| attempt.queue_wait.as_secs_f64()),
    ),
    (
        "tradernet_last_successful_poll_timestamp_seconds",
        "Time of the last successful poll.",
        |to| {
            to.add_opt(to.account.status.last_success.map(|at| seconds(at.wall_ms)));
        },
    ),
    (
        "tradernet_clock_offset_seconds",
        "Clock of this machine less the server's, as of the last answer.",
        |to| to.add_opt(to.account.status.clock_offset_seconds),
    ),
    (
        "tradernet_poll_interval_seconds",
        "Configured poll interval.",
        |to| to.add(&[], to.account.status.tracking.interval.as_secs_f64()),
    ),
    ("tradernet_logins_total", "Login attempts.", |to| {
        to.add(&[], to.account.status.logins)
    }),
    ("tradernet_login_failures_total", "Rejected logins.", |to| {
        to.add(&[], to.account.status.login_failures)
    }),
    (
        "tradernet_login_blocked",
        "1 if the circuit breaker forbids logins.",
        |to| to.add(&[], to.account.status.login_blocked.is_some()),
    ),
    // Only streaming transports have these.
    (
        "tradernet_stream_connected",
        "1 if the stream is connected and has delivered a list.",
        |to| to.add_opt(to.account.status.stream.map(|stream| stream.connected)),
    ),
    (
        "tradernet_stream_reconnects_total",
        "Stream reconnects.",
        |to| to.add_opt(to.account.status.stream.map(|stream| stream.reconnects())),
    ),
];

/// Writes every account's series.
pub(super) fn write(
    page: &mut ExpositionWriter<'_>,
    statuses: &[Arc<AccountStatus>],
    names: &SafetyNames,
    now: Timestamps,
) {
    let accounts: Vec<Account<'_>> = statuses
        .iter()
        .map(|status| Account {
            status,
            view: status.fresh_view(now),
            names,
            label: label("account", &status.account),
        })
        .collect();
    for (name, help, samples) in FAMILIES {
        let kind = if name.ends_with("_total") {
            MetricType::Counter
        } else {
            MetricType::Gauge
        };
        let mut family = page.family(FamilyMeta { name, kind, help });
        for account in &accounts {
            samples(&mut Samples {
                family: &mut family,
                account,
            });
        }
    }
}

/// The sources of one account's samples.
struct Account<'a> {
    status: &'a AccountStatus,
    view: Option<&'a Summary>,
    names: &'a SafetyNames,
    /// `account="…"`.
    label: String,
}

impl<'a> Account<'a> {
    fn details(&self) -> impl Iterator<Item = &'a SessionDetail> + use<'a> {
        self.view.into_iter().flat_map(|view| &view.details)
    }
}

/// Writes one account's samples of one family.
struct Samples<'a, 'family, 'page> {
    family: &'a mut FamilyWriter<'family, 'page>,
    account: &'a Account<'a>,
}

impl Samples<'_, '_, '_> {
    fn add(&mut self, labels: &[(&str, &dyn Display)], value: impl Into<Value>) {
        let common = &self.account.label;
        self.family.sample("", common, labels, value.into());
    }

    fn add_opt(&mut self, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(&[], value);
        }
    }

    /// A value of the last answer, while that is not too old.
    fn add_summary<V: Into<Value>>(&mut self, value: impl Fn(&Summary) -> Option<V>) {
        self.add_opt(self.account.view.and_then(value));
    }

    fn add_attempt(&mut self, value: impl Fn(&Attempt) -> f64) {
        self.add_opt(self.account.status.last_attempt.as_ref().map(value));
    }
}

fn by_safety_type(to: &mut Samples<'_, '_, '_>) {
    for (safety_type, count) in to.account.view.iter().flat_map(|view| &view.by_safety_type) {
        let labels: [(&str, &dyn Display); 2] = [
            ("safety_type_id", safety_type),
            ("safety_type", &to.account.names.name(*safety_type)),
        ];
        to.add(&labels, *count);
    }
}

fn account_info(to: &mut Samples<'_, '_, '_>) {
    let info = &to.account.status.info;
    let transport = to.account.status.transport.name();
    let mut labels: Vec<(&str, &dyn Display)> =
        vec![("transport", &transport), ("credential", &info.credential)];
    let configured = info.labels.iter();
    labels.extend(configured.map(|(name, value)| (name.as_str(), value as &dyn Display)));
    to.add(&labels, true);
}

fn info(to: &mut Samples<'_, '_, '_>) {
    let full = to
        .account
        .view
        .is_some_and(|view| view.detail_level == SessionDetails::Full);
    for detail in to.account.details() {
        // All sessions of an account have the same labels; a missing value is empty.
        let login = detail.user_login.as_deref().unwrap_or_default();
        let client: &dyn Display = match &detail.client {
            Some(client) => client,
            None => &"",
        };
        let labels: [(&str, &dyn Display); 5] = [
            ("session_id", &detail.id),
            ("safety_type_id", &detail.safety_type),
            ("safety_type", &to.account.names.name(detail.safety_type)),
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
    let Range { min, max } = view.remaining_ms?;
    let round = |ms: f64| ((ms * 1000.0).round() / 1000.0).min(f64::MAX);
    Some(Range {
        min: round(min),
        max: round(max),
    })
}

fn ends(view: &Summary) -> Option<Range> {
    view.expires_at_ms
}

/// Milliseconds as seconds with three digits.
fn seconds(milliseconds: f64) -> f64 {
    milliseconds.round() / 1000.0
}
