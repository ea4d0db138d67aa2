//! `tradernet-exporter check`: asks every account once and tells what came of it in a table.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::app::http;
use crate::clock::Timestamps;
use crate::config::AccountConfig;
use crate::config::Config;
use crate::poller::host_limiter::HostLimiter;
use crate::poller::host_recovery::HostRecovery;
use crate::poller::login_breaker::LoginLog;
use crate::poller::login_pacer::LoginPacer;
use crate::poller::{Poller, PollerContext};
use crate::status::{AccountStatus, StatusStore};
use crate::tradernet::{RequestObserver, SetupError};

/// What a check found.
#[derive(Debug)]
pub struct Findings {
    /// The table, for a person.
    pub table: String,
    /// Whether every account answered.
    pub all_well: bool,
}

/// Tells what is configured, without asking anybody.
pub fn offline(config: &Config) -> Findings {
    let rows = config.accounts.iter().map(|account| {
        let mut row = start_of_row(&account.name, account.transport.name());
        row.push("-".to_owned());
        row.push(format!(
            "not asked: {}",
            account
                .stream
                .as_ref()
                .map_or(&account.target.origin, |stream| &stream.origin)
                .as_str()
                .trim_end_matches('/')
        ));
        row
    });
    Findings {
        table: table(rows.collect()),
        all_well: true,
    }
}

/// Asks every account once.
///
/// # Errors
///
/// Where outgoing connections cannot be prepared.
pub async fn online(config: &Config) -> Result<Findings, SetupError> {
    let shared = PollerContext {
        http: http(config, RequestObserver(Arc::new(|_, _| {})))?,
        host_limiter: HostLimiter::new(config.max_requests_per_host),
        host_recovery: HostRecovery::default(),
        login_pacer: LoginPacer::new(config.max_logins_per_minute),
        store: StatusStore::default(),
        clock: config.clock.clone(),
        min_retry_interval: config.min_retry_interval,
    };
    let mut asked = JoinSet::new();
    for account in config.accounts.iter().cloned() {
        let shared = shared.clone();
        asked.spawn(async move { ask(account, shared).await });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by(|a, b| a.account.cmp(&b.account));
    let all_well = answers.iter().all(|status| status.up() == Some(true));
    let now = config.clock.now();
    let rows = answers.iter().map(|status| row(status, now)).collect();
    Ok(Findings {
        table: table(rows),
        all_well,
    })
}

async fn ask(account: AccountConfig, shared: PollerContext) -> AccountStatus {
    let (_configure, configured) = watch::channel(account);
    let (_commands, inbox) = mpsc::channel(1);
    let poller = Poller::new(
        configured,
        shared,
        inbox,
        LoginLog::default(),
        Instant::now(),
    );
    poller.once().await
}

fn start_of_row(account: &str, transport: &str) -> Vec<String> {
    // A name may hold anything; a control character could paint over the table.
    let account = account
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    vec![account, transport.to_owned()]
}

fn row(status: &AccountStatus, now: Timestamps) -> Vec<String> {
    let mut row = start_of_row(&status.account, status.transport.name());
    let failure = status
        .last_attempt
        .as_ref()
        .and_then(|attempt| attempt.failure.as_ref());
    match (failure, &status.view) {
        (Some(failure), _) => {
            row.push("?".to_owned());
            row.push(format!(
                "failed ({}): {}; {}",
                failure.reason().name(),
                failure,
                failure.advice()
            ));
        }
        (None, Some(view)) => {
            row.push(view.open.to_string());
            let ends = view.expiry.and_then(|expiry| expiry.expires_at_ms);
            row.push(match ends {
                Some(ends) => next_expiry(ends.min - now.wall_ms, status.unit.confirmed),
                None if view.open > 0 => "cannot be read".to_owned(),
                None => "-".to_owned(),
            });
        }
        (None, None) => row.extend(["?".to_owned(), "no answer".to_owned()]),
    }
    row
}

fn next_expiry(left_ms: f64, unit_settled: bool) -> String {
    let left = Duration::try_from_secs_f64((left_ms / 1000.0).max(0.0).floor());
    let left = left.map_or_else(
        |_| "a very long time".to_owned(),
        |left| humantime::format_duration(left).to_string(),
    );
    if unit_settled {
        format!("in {left}")
    } else {
        // One answer cannot tell: see docs/configuration.md on TRADERNET_EXPIRE_UNIT.
        format!("in {left}, if expire is in milliseconds as documented")
    }
}

/// Columns padded to their widest cell, but for the last.
fn table(rows: Vec<Vec<String>>) -> String {
    let head = ["ACCOUNT", "TRANSPORT", "SESSIONS", "NEXT EXPIRY"]
        .map(str::to_owned)
        .to_vec();
    let head_width = head.len();
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    // Once, not once a row: there may be ten thousand.
    let widths: Vec<usize> = (0..head_width)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let last = row.len().saturating_sub(1);
        for (column, cell) in row.iter().enumerate() {
            let width = if column < last {
                widths.get(column).unwrap_or(&0) + 2
            } else {
                0
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "{cell:<width$}");
        }
        text.push('\n');
    }
    text
}
