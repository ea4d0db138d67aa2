//! `tradernet-exporter check`: polls every account once and reports the results.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use tabwriter::TabWriter;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::app::poller_context;
use crate::clock::Timestamps;
use crate::config::{AccountConfig, Config};
use crate::poller::Poller;
use crate::session::expire_unit::Unit;
use crate::session::safety_type::{SafetyNames, SafetyType};
use crate::session::summary::Summary;
use crate::status::{AccountStatus, StatusStore};
use crate::text::{human_duration, printable};
use crate::web::api::{Failure, type_counts, violating};

/// Accounts that have the same error or note and are named.
const MAX_NAMES: usize = 20;

/// The results of a check.
#[derive(Debug)]
pub struct Report {
    /// By ascending name.
    accounts: Vec<AccountStatus>,
    names: SafetyNames,
    now: Timestamps,
}

/// Polls every account once.
///
/// # Errors
///
/// Where outgoing connections cannot be prepared.
pub async fn run(config: &Config) -> Result<Report, String> {
    let store = StatusStore::default();
    let context = poller_context(config, store, Arc::new(|_, _| {}), &Handle::current())?;
    if config.accounts.iter().any(AccountConfig::uses_tls) {
        context.client.load_ca_certificates().await?;
    }
    let mut polls = JoinSet::new();
    for account in config.accounts.iter().cloned() {
        polls.spawn(Poller::poll_once(account, Arc::clone(&context)));
    }
    let mut statuses = polls.join_all().await;
    statuses.sort_by(|a, b| a.account.cmp(&b.account));
    Ok(Report {
        accounts: statuses,
        names: config.safety_names.clone(),
        now: config.clock.now(),
    })
}

fn account(status: &AccountStatus, names: &SafetyNames) -> Value {
    json!({
        "account": printable(&status.account),
        "transport": status.transport.name(),
        "error": failure(status),
        "sessions": answer(status).map(|summary| json!({
            "open": summary.open,
            "by_safety_type": type_counts(open_types(summary), names),
            // `null` where no session is open, or no time left can be read.
            "next_expiry_timestamp_seconds": next_expiry_ms(summary).map(|at_ms| at_ms / 1000.0),
            "expire_unit": status.unit.unit.name(),
            // One answer confirms the unit only where it is configured, or a session's lifetime shows it.
            "expire_unit_confirmed": status.unit.confirmed,
            "expire_looks_like_seconds": status.looks_like_seconds,
            "own_sessions_count_for_minimum": counts_own_sessions(status),
            "violating": violating(summary),
        })),
    })
}

fn failure(status: &AccountStatus) -> Option<Failure> {
    let error = status.last_attempt.as_ref()?.failure.as_ref()?;
    Some(Failure::new(error, &status.account))
}

/// The summary of the answer, where the poll succeeded.
fn answer(status: &AccountStatus) -> Option<&Summary> {
    let attempt = status.last_attempt.as_ref()?;
    let view = status.view.as_deref();
    view.filter(|_| attempt.failure.is_none())
}

fn open_types(summary: &Summary) -> impl Iterator<Item = &(SafetyType, u64)> {
    summary.by_safety_type.iter().filter(|(_, open)| *open > 0)
}

fn next_expiry_ms(summary: &Summary) -> Option<f64> {
    Some(summary.expires_at_ms?.min)
}

fn broken_rules(summary: &Summary) -> Vec<String> {
    let broken = summary.violating.iter().filter(|(_, count)| *count > 0);
    broken
        .map(|(rule, count)| format!("{} {count}", rule.name()))
        .collect()
}

/// Whether a session that counts for the minimum may be the exporter's own.
fn counts_own_sessions(status: &AccountStatus) -> bool {
    let policy = &status.tracking.policy;
    let own = match status.info.credential {
        "login" => 4,
        "key_pair" => 14,
        _ => return false,
    };
    let is_own = |(id, open): &(SafetyType, u64)| *id == SafetyType::Id(own) && *open > 0;
    let is_listed = |summary: &Summary| summary.by_safety_type.iter().any(is_own);
    let counts = (policy.min_sessions_safety_types.as_ref()).is_none_or(|ids| ids.contains(&own));
    policy.min_sessions.is_some() && counts && answer(status).is_some_and(is_listed)
}

/// The names of accounts: of many the first ones.
fn names(statuses: &[&AccountStatus]) -> String {
    let (shown, rest) = statuses.split_at(statuses.len().min(MAX_NAMES));
    let shown = Vec::from_iter(shown.iter().map(|status| printable(&status.account))).join(", ");
    match rest.len() {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

impl Report {
    fn answered(&self) -> usize {
        self.accounts.iter().filter_map(answer).count()
    }

    fn failed(&self) -> usize {
        self.accounts.len() - self.answered()
    }

    /// Accounts that break at least one rule.
    fn breaking_rules(&self) -> usize {
        let answers = self.accounts.iter().filter_map(answer);
        let breaks_one = |summary: &&Summary| !broken_rules(summary).is_empty();
        answers.filter(breaks_one).count()
    }

    /// Whether every account answered and, with `strict`, breaks no rule.
    pub fn is_ok(&self, strict: bool) -> bool {
        self.failed() == 0 && !(strict && self.breaking_rules() > 0)
    }

    /// A table, the errors, and a summary.
    ///
    /// # Errors
    ///
    /// None: it is written to memory.
    pub fn text(&self) -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let mut table = TabWriter::new(&mut text);
        writeln!(
            table,
            "ACCOUNT\tTRANSPORT\tSESSIONS\tTYPES\tNEXT EXPIRY\tBROKEN RULES"
        )?;
        for status in &self.accounts {
            writeln!(table, "{}", self.row(status))?;
        }
        table.flush()?;
        drop(table);
        let mut errors: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for status in &self.accounts {
            if let Some(error) = failure(status) {
                let error = format!("{}; {}", error.message, error.advice);
                errors.entry(error).or_default().push(status);
            }
        }
        for (error, statuses) in errors {
            writeln!(text, "\n{}: {error}", names(&statuses))?;
        }
        let shows_expiry =
            |status: &&AccountStatus| answer(status).and_then(next_expiry_ms).is_some();
        let (seconds, others): (Vec<_>, Vec<_>) = (self.accounts.iter().filter(shows_expiry))
            .partition(|of| of.looks_like_seconds && of.unit.unit == Unit::Milliseconds);
        if !seconds.is_empty() {
            let accounts = names(&seconds);
            writeln!(
                text,
                "\nnote: `expire` looks like seconds, compared with `expire_datetime` and the answer's `Date`; \
                 times are shown as milliseconds (TRADERNET_EXPIRE_UNIT=s): {accounts}"
            )?;
        }
        if others.iter().any(|status| !status.unit.confirmed) {
            writeln!(
                text,
                "\nnote: times assume that `expire` is in milliseconds, as documented; one answer \
                 does not confirm it (TRADERNET_EXPIRE_UNIT)"
            )?;
        }
        let counts_own = |status: &&AccountStatus| counts_own_sessions(status);
        let own: Vec<_> = self.accounts.iter().filter(counts_own).collect();
        if !own.is_empty() {
            let accounts = names(&own);
            writeln!(
                text,
                "\nnote: sessions of the type of the exporter's own access count for the minimum, and may hide \
                 that the session that matters is missing (TRADERNET_MIN_SESSIONS_SAFETY_TYPES): {accounts}"
            )?;
        }
        let breaking = match self.breaking_rules() {
            1 => "1 breaks a rule".to_owned(),
            count => format!("{count} break a rule"),
        };
        let (answered, failed, total) = (self.answered(), self.failed(), self.accounts.len());
        let accounts = if total == 1 { "account" } else { "accounts" };
        writeln!(
            text,
            "\n{answered} of {total} {accounts} answered, {failed} failed, {breaking}"
        )?;
        Ok(text)
    }

    /// The cells of an account, with tabs between them.
    fn row(&self, status: &AccountStatus) -> String {
        let account = printable(&status.account);
        let transport = status.transport.name();
        let Some(summary) = answer(status) else {
            let reason = failure(status).map_or("no answer", |failure| failure.reason);
            return format!("{account}\t{transport}\tfailed: {reason}\t?\t?\t?");
        };
        let types = open_types(summary).map(|(id, open)| match self.names.name(*id) {
            "unknown" => format!("unknown ({id}) {open}"),
            name => format!("{} {open}", printable(name)),
        });
        let next_expiry = match next_expiry_ms(summary) {
            Some(at_ms) => format!("in {}", human_duration(at_ms - self.now.wall_ms)),
            None if summary.open > 0 => "unreadable".to_owned(),
            None => "-".to_owned(),
        };
        let joined = |items: Vec<String>| match items.is_empty() {
            true => "-".to_owned(),
            false => items.join(", "),
        };
        let (types, broken) = (joined(types.collect()), joined(broken_rules(summary)));
        let open = summary.open;
        format!("{account}\t{transport}\t{open}\t{types}\t{next_expiry}\t{broken}")
    }

    /// The same for scripts, with a line end.
    ///
    /// # Errors
    ///
    /// None in practice: every key is a text.
    pub fn json(&self) -> serde_json::Result<String> {
        let accounts = self.accounts.iter();
        let accounts: Vec<_> = accounts
            .map(|status| account(status, &self.names))
            .collect();
        let report = json!({
            "accounts": accounts,
            "answered": self.answered(),
            "failed": self.failed(),
            "breaking_rules": self.breaking_rules(),
        });
        serde_json::to_string_pretty(&report).map(|json| json + "\n")
    }
}
