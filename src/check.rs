//! `tradernet-exporter check`: polls every account once and reports the results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use crate::app::http;
use crate::clock::Timestamps;
use crate::config::Config;
use crate::poller::host::Hosts;
use crate::poller::{Poller, PollerContext};
use crate::session::safety_type::{SafetyNames, SafetyType};
use crate::session::summary::Summary;
use crate::status::{AccountStatus, StatusStore};
use crate::tradernet::{Error, RequestObserver, SetupError};

const COLUMNS: [&str; 6] = [
    "ACCOUNT",
    "TRANSPORT",
    "SESSIONS",
    "TYPES",
    "NEXT EXPIRY",
    "BROKEN RULES",
];

/// The results of a check, by ascending account name.
#[derive(Debug, Serialize)]
pub struct Report {
    accounts: Vec<AccountReport>,
    answered: usize,
    failed: usize,
    /// Accounts that break at least one rule.
    breaking_rules: usize,
}

#[derive(Debug, Serialize)]
struct AccountReport {
    account: String,
    transport: &'static str,
    error: Option<ErrorReport>,
    sessions: Option<SessionsReport>,
}

#[derive(Debug, Serialize)]
struct ErrorReport {
    reason: &'static str,
    message: String,
    advice: String,
}

#[derive(Debug, Serialize)]
struct SessionsReport {
    open: u64,
    by_safety_type: Vec<TypeCount>,
    /// `null` where no session is open, or no time left can be read.
    next_expiry_timestamp_seconds: Option<f64>,
    expire_unit: &'static str,
    /// One answer confirms the unit only where it is configured, or a session's lifetime shows it.
    expire_unit_confirmed: bool,
    /// Every configured rule with the number of sessions that break it.
    violating: BTreeMap<&'static str, u64>,
    #[serde(skip)]
    next_expiry: String,
}

#[derive(Debug, Serialize)]
struct TypeCount {
    safety_type_id: String,
    safety_type: String,
    open: u64,
}

/// Polls every account once.
///
/// # Errors
///
/// Where outgoing connections cannot be prepared.
pub async fn run(config: &Config) -> Result<Report, SetupError> {
    let context = PollerContext {
        client: http(config, RequestObserver(Arc::new(|_, _| {})))?,
        hosts: Hosts::new(config.max_requests_per_host, config.max_logins_per_minute),
        store: StatusStore::default(),
        clock: config.clock.clone(),
        min_retry_interval: config.min_retry_interval,
    };
    let mut polls = JoinSet::new();
    for account in config.accounts.iter().cloned() {
        polls.spawn(Poller::poll_once(account, context.clone()));
    }
    let mut statuses = polls.join_all().await;
    statuses.sort_by(|a, b| a.account.cmp(&b.account));
    let (now, names) = (config.clock.now(), &config.safety_names);
    let reports = statuses.iter().map(|status| report(status, names, now));
    Ok(Report::new(reports.collect()))
}

fn report(status: &AccountStatus, names: &SafetyNames, now: Timestamps) -> AccountReport {
    let attempt = status.last_attempt.as_ref();
    let error = attempt.and_then(|attempt| attempt.failure.as_ref());
    AccountReport {
        // A control character could overwrite other lines of a terminal.
        account: status.account.replace(char::is_control, "\u{fffd}"),
        transport: status.transport.name(),
        error: error.map(|error| error_report(error, &status.account)),
        sessions: match (&status.view, error) {
            (Some(summary), None) => Some(sessions_report(summary, status, names, now)),
            _ => None,
        },
    }
}

fn error_report(error: &Error, account: &str) -> ErrorReport {
    let account: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
    ErrorReport {
        reason: error.reason().name(),
        message: error.to_string(),
        advice: error
            .advice()
            .replace("account=NAME", &format!("account={account}")),
    }
}

fn sessions_report(
    summary: &Summary,
    status: &AccountStatus,
    names: &SafetyNames,
    now: Timestamps,
) -> SessionsReport {
    let of_type = |(id, open): &(SafetyType, u64)| TypeCount {
        safety_type_id: id.to_string(),
        safety_type: names.name(*id).to_owned(),
        open: *open,
    };
    let open_types = summary.by_safety_type.iter().filter(|(_, open)| *open > 0);
    let expiries = summary.expiry.and_then(|expiry| expiry.expires_at_ms);
    SessionsReport {
        open: summary.open,
        by_safety_type: open_types.map(of_type).collect(),
        next_expiry_timestamp_seconds: expiries.map(|expiries| expiries.min / 1000.0),
        expire_unit: status.unit.unit.name(),
        expire_unit_confirmed: status.unit.confirmed,
        violating: (summary.violating.iter())
            .map(|(rule, count)| (rule.name(), *count))
            .collect(),
        next_expiry: match expiries {
            Some(expiries) => time_left(expiries.min - now.wall_ms),
            None if summary.open > 0 => "unreadable".to_owned(),
            None => "-".to_owned(),
        },
    }
}

fn time_left(left_ms: f64) -> String {
    let seconds = (left_ms / 1000.0).max(0.0).floor();
    // Whole minutes where there are hours.
    let seconds = seconds
        - if seconds < 3600.0 {
            0.0
        } else {
            seconds % 60.0
        };
    Duration::try_from_secs_f64(seconds).map_or_else(
        |_| "in more than 500 billion years".to_owned(),
        |left| format!("in {}", humantime::format_duration(left)),
    )
}

impl AccountReport {
    fn row(&self) -> [String; 6] {
        let (account, transport) = (self.account.clone(), self.transport.to_owned());
        let Some(sessions) = &self.sessions else {
            let reason = self
                .error
                .as_ref()
                .map_or("no answer", |error| error.reason);
            let failed = format!("failed: {reason}");
            return [
                account,
                transport,
                failed,
                "?".into(),
                "?".into(),
                "?".into(),
            ];
        };
        let types = sessions.by_safety_type.iter().map(|of| {
            let (id, name, open) = (&of.safety_type_id, &of.safety_type, of.open);
            match name.as_str() {
                "unknown" => format!("unknown ({id}) {open}"),
                _ => format!("{name} {open}"),
            }
        });
        let broken = sessions.violating.iter().filter(|(_, count)| **count > 0);
        let broken = broken.map(|(rule, count)| format!("{rule} {count}"));
        let joined = |items: Vec<String>| match items.is_empty() {
            true => "-".to_owned(),
            false => items.join(", "),
        };
        [
            account,
            transport,
            sessions.open.to_string(),
            joined(types.collect()),
            sessions.next_expiry.clone(),
            joined(broken.collect()),
        ]
    }

    fn breaks_a_rule(&self) -> bool {
        let sessions = self.sessions.as_ref();
        sessions.is_some_and(|sessions| sessions.violating.values().any(|count| *count > 0))
    }
}

impl Report {
    fn new(accounts: Vec<AccountReport>) -> Self {
        let answered = accounts.iter().filter(|of| of.sessions.is_some()).count();
        Self {
            answered,
            failed: accounts.len() - answered,
            breaking_rules: accounts.iter().filter(|of| of.breaks_a_rule()).count(),
            accounts,
        }
    }

    /// Whether every account answered and, with `strict`, breaks no rule.
    pub fn is_ok(&self, strict: bool) -> bool {
        self.failed == 0 && !(strict && self.breaking_rules > 0)
    }

    /// A table, the errors, and a summary.
    pub fn text(&self) -> String {
        let mut text = table(self.accounts.iter().map(AccountReport::row));
        for account in &self.accounts {
            if let Some(error) = &account.error {
                let ErrorReport {
                    message, advice, ..
                } = error;
                // Writing to a string cannot fail.
                let _ = write!(text, "\n{}: {message}; {advice}\n", account.account);
            }
        }
        let mut sessions = self.accounts.iter().filter_map(|of| of.sessions.as_ref());
        if sessions
            .any(|of| of.next_expiry_timestamp_seconds.is_some() && !of.expire_unit_confirmed)
        {
            text.push_str(
                "\nnote: times assume that `expire` is in milliseconds, as documented; one answer \
                 does not confirm it (TRADERNET_EXPIRE_UNIT)\n",
            );
        }
        let (total, answered) = (self.accounts.len(), self.answered);
        let breaking = match self.breaking_rules {
            1 => "1 breaks a rule".to_owned(),
            count => format!("{count} break a rule"),
        };
        let accounts = if total == 1 { "account" } else { "accounts" };
        let failed = self.failed;
        let _ = writeln!(
            text,
            "\n{answered} of {total} {accounts} answered, {failed} failed, {breaking}"
        );
        text
    }

    /// The same for scripts, with a line end.
    ///
    /// # Errors
    ///
    /// None in practice: every key is a text.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

/// Columns padded to their widest cell, except for the last.
fn table(rows: impl Iterator<Item = [String; 6]>) -> String {
    let rows: Vec<_> = std::iter::once(COLUMNS.map(str::to_owned))
        .chain(rows)
        .collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let start = text.len();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        let end = text.trim_end().len().max(start);
        text.truncate(end);
        text.push('\n');
    }
    text
}
