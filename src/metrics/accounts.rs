//! The families of accounts: their names, their help, and when each is absent.
//!
//! A function of what is published of the accounts and of the time; it keeps nothing. Long
//! because all families stand in one table.

use std::fmt::Display;
use std::sync::Arc;

use super::exposition::{ExpositionWriter, FamilyMeta, FamilyWriter, MetricType, Value, label};
use crate::clock::Timestamps;
use crate::session::expire_unit::Unit;
use crate::session::rules::CloseReason;
use crate::session::safety_type::SafetyNames;
use crate::session::tracker::{Range, SessionCounters, SessionDetail, SessionDetails, Summary};
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

/// In the order of the page: the sessions, single sessions, what is known of the numbers, the
/// polls, the logins.
static FAMILIES: &[AccountFamily] = &[
    gauge(
        "tradernet_security_sessions_open",
        "Open security sessions.",
        |account, to| to.of_view(account, |view| Some(view.open)),
    ),
    gauge(
        "tradernet_security_sessions_by_safety_type",
        "Open security sessions by safety type; a type once seen stays, at 0.",
        by_safety_type,
    ),
    gauge(
        "tradernet_security_session_expire_max_milliseconds",
        "Longest time left of an open session as of the last answer, 0 when none is open.",
        |account, to| to.of_view(account, |view| Some(left(view)?.max)),
    ),
    gauge(
        "tradernet_security_session_expire_min_milliseconds",
        "Shortest time left of an open session as of the last answer, 0 when none is open.",
        |account, to| to.of_view(account, |view| Some(left(view)?.min)),
    ),
    gauge(
        "tradernet_security_session_max_expiry_timestamp_seconds",
        "When the open session with the longest time left expires.",
        |account, to| to.of_view(account, |view| Some(seconds(ends(view)?.max))),
    ),
    gauge(
        "tradernet_security_session_min_expiry_timestamp_seconds",
        "When the open session with the shortest time left expires.",
        |account, to| to.of_view(account, |view| Some(seconds(ends(view)?.min))),
    ),
    gauge(
        "tradernet_security_sessions_expire_unknown",
        "Open sessions whose time left cannot be read.",
        |account, to| to.of_view(account, |view| Some(view.expire_unknown)),
    ),
    gauge(
        "tradernet_security_session_max_lifetime_seconds",
        "Longest time between the opening and the closing date of an open session.",
        |account, to| to.of_view(account, |view| view.max_lifetime_ms.map(seconds)),
    ),
    gauge(
        "tradernet_security_session_client_ips",
        "Distinct client addresses of open sessions.",
        |account, to| to.of_view(account, |view| Some(view.client_ips)),
    ),
    gauge(
        "tradernet_security_session_logins",
        "Distinct user logins of open sessions.",
        |account, to| to.of_view(account, |view| Some(view.logins)),
    ),
    gauge(
        "tradernet_security_sessions_violating",
        "Open sessions that break a configured rule; too many or missing ones for max_sessions \
         and min_sessions. Not to be summed over rules.",
        |account, to| {
            for (rule, count) in account.view.iter().flat_map(|view| &view.violating) {
                to.add(&[("rule", &rule.name())], *count);
            }
        },
    ),
    counter(
        "tradernet_security_sessions_opened_total",
        "Sessions first seen after the first answer.",
        |account, to| to.of_movements(account, &[], |movements| movements.opened),
    ),
    counter(
        "tradernet_security_sessions_closed_total",
        "Sessions gone from an answer: expired, ended before their time, or unknown.",
        |account, to| {
            for reason in CloseReason::ALL {
                to.of_movements(account, &[("reason", &reason.name())], |movements| {
                    movements.closed(reason)
                });
            }
        },
    ),
    gauge(
        "tradernet_security_session_info",
        "An open session, always 1.",
        info,
    ),
    gauge(
        "tradernet_security_session_expiry_timestamp_seconds",
        "When an open session expires.",
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
        "A rule that an open session breaks, always 1.",
        |account, to| {
            for detail in account.details() {
                for rule in &detail.broken {
                    to.add(&[("session_id", &detail.id), ("rule", &rule.name())], true);
                }
            }
        },
    ),
    gauge(
        "tradernet_sessions_undecodable",
        "Entries of the last answer that were no session or repeated an id.",
        |account, to| to.of_view(account, |view| Some(view.undecodable)),
    ),
    gauge(
        "tradernet_expire_unit",
        "Unit in which the server's time left is read, 1 for the one in force.",
        |account, to| {
            for unit in Unit::ALL {
                to.add(&[("unit", &unit.name())], unit == account.status.unit.0);
            }
        },
    ),
    gauge(
        "tradernet_expire_unit_confirmed",
        "Whether evidence or configuration has settled the unit of the time left.",
        |account, to| to.add(&[], account.status.unit.1),
    ),
    gauge(
        "tradernet_up",
        "Whether the last attempt to read the sessions succeeded.",
        |account, to| to.maybe(account.status.up()),
    ),
    counter(
        "tradernet_polls_total",
        "Attempts to read the sessions.",
        |account, to| to.add(&[], account.status.polls),
    ),
    counter(
        "tradernet_poll_failures_total",
        "Failed attempts to read the sessions by reason.",
        |account, to| {
            for (reason, count) in account.status.failures.iter() {
                to.add(&[("reason", &reason.name())], count);
            }
        },
    ),
    gauge(
        "tradernet_poll_duration_seconds",
        "Duration of the last attempt.",
        |account, to| to.of_attempt(account, |attempt| attempt.duration.as_secs_f64()),
    ),
    gauge(
        "tradernet_poll_queue_seconds",
        "How long the last attempt waited for a slot to the host before it began.",
        |account, to| to.of_attempt(account, |attempt| attempt.queued.as_secs_f64()),
    ),
    gauge(
        "tradernet_last_successful_poll_timestamp_seconds",
        "When the last good answer arrived.",
        |account, to| {
            to.maybe(account.status.last_success.map(|at| seconds(at.wall_ms)));
        },
    ),
    gauge(
        "tradernet_poll_interval_seconds",
        "Polling interval as configured.",
        |account, to| to.add(&[], account.status.interval.as_secs_f64()),
    ),
    counter("tradernet_logins_total", "Logins tried.", |account, to| {
        to.add(&[], account.status.logins)
    }),
    counter(
        "tradernet_login_failures_total",
        "Logins refused.",
        |account, to| to.add(&[], account.status.login_failures),
    ),
    gauge(
        "tradernet_login_blocked",
        "Whether the circuit breaker forbids logins.",
        |account, to| to.add(&[], account.status.login_blocked.is_some()),
    ),
    // What only streams have: no sample for any other transport.
    gauge(
        "tradernet_stream_connected",
        "Whether the stream stands and its list has arrived.",
        |account, to| to.maybe(account.status.stream.map(|stream| stream.connected)),
    ),
    counter(
        "tradernet_stream_reconnects_total",
        "Streams made again after the first.",
        |account, to| to.maybe(account.status.stream.map(|stream| stream.reconnects)),
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

/// What the families of one account are made of.
struct AccountSamples<'a> {
    status: &'a AccountStatus,
    view: Option<&'a Summary>,
    names: &'a SafetyNames,
    /// `account="…"`, made once. Its length is the configuration's affair: a cut could make two
    /// accounts one.
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

/// Where an account's samples of one family go.
struct Samples<'a> {
    family: FamilyWriter<'a>,
    account: &'a str,
}

impl Samples<'_> {
    fn add(&mut self, labels: &[(&str, &dyn Display)], value: impl Into<Value>) {
        self.family.sample("", self.account, labels, value.into());
    }

    fn maybe(&mut self, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(&[], value);
        }
    }

    fn of_view<V: Into<Value>>(
        &mut self,
        account: &AccountSamples<'_>,
        value: impl Fn(&Summary) -> Option<V>,
    ) {
        self.maybe(account.view.and_then(value));
    }

    fn of_attempt(&mut self, account: &AccountSamples<'_>, value: impl Fn(&Attempt) -> f64) {
        self.maybe(account.status.last_attempt.as_ref().map(value));
    }

    fn of_movements(
        &mut self,
        account: &AccountSamples<'_>,
        labels: &[(&str, &dyn Display)],
        count: impl Fn(&SessionCounters) -> u64,
    ) {
        if let Some(movements) = &account.status.movements {
            self.add(labels, count(movements));
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

fn info(account: &AccountSamples<'_>, to: &mut Samples<'_>) {
    let full = account
        .view
        .is_some_and(|view| view.disclosed == SessionDetails::Full);
    for detail in account.details() {
        // All of an account's sessions carry the same labels: what is missing is empty.
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

/// Times left in milliseconds, to the microsecond: the server's own precision, without what
/// the conversion between units leaves behind.
fn left(view: &Summary) -> Option<Range> {
    let left_ms = view.expiry?.left_ms;
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
    view.expiry?.at_ms
}

/// Milliseconds as seconds with three digits.
fn seconds(milliseconds: f64) -> f64 {
    milliseconds.round() / 1000.0
}
