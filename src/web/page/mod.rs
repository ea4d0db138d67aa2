//! The status page `/`: for a person on duty with a phone, and for a screen on the wall.
//!
//! A template rendered from the published status: accounts that need attention as cards, the others
//! as rows. The script only fetches the same page again and counts in between; the page works
//! without it.

mod account;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use askama::Template;

use self::account::Account;
use super::Settings;
use super::health::{AccountHealth, last_end_ms};
use super::query::Query;
use crate::clock::Timestamps;
use crate::session::rules::Rule;
use crate::session::safety_type::SafetyNames;
use crate::status::{AccountStatus, LoginBlock, StatusStore};

/// Accounts on one page.
const PER_PAGE: usize = 200;
/// Up to so many accounts are all shown as cards.
const MAX_CARDS_ONLY: usize = 12;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const REVISION: &str = env!("BUILD_REVISION");
const DOCUMENTATION: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/tree/main/docs");

/// The page's content security policy: its own style and script by the hashes that the build
/// computes, an icon in the page itself, requests and forms to its own origin, nothing else.
pub(super) const POLICY: &str = concat!(
    "default-src 'none'; style-src 'sha256-",
    env!("PAGE_STYLE_SHA256"),
    "'; script-src 'sha256-",
    env!("PAGE_SCRIPT_SHA256"),
    "'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
);

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    query: &'a Query,
    totals: Totals,
    /// Accounts that the query selects.
    matching: usize,
    /// Accounts of earlier pages.
    first: usize,
    number: usize,
    pages: usize,
    cards: Vec<Account<'a>>,
    rows: Vec<Account<'a>>,
    settings: &'a Settings,
    started: Timestamps,
    now: Timestamps,
}

impl Page<'_> {
    fn has_bars(&self) -> bool {
        let mut accounts = self.cards.iter().chain(&self.rows);
        accounts.any(|account| account.ends().is_some())
    }
}

/// All accounts in numbers, those that are not shown included.
struct Totals {
    accounts: usize,
    /// Accounts in each state, the most urgent first.
    by_state: [(AccountHealth, usize); AccountHealth::ALL.len()],
    /// Sessions of the accounts whose sessions are known.
    open: u64,
    /// Accounts whose sessions are not known.
    unknown: usize,
}

impl Totals {
    fn of(accounts: &[(AccountHealth, Arc<AccountStatus>)], now: Timestamps) -> Self {
        let count = |state| accounts.iter().filter(|(of, _)| *of == state).count();
        let summaries = || accounts.iter().map(|(_, status)| status.fresh_view(now));
        Self {
            accounts: accounts.len(),
            by_state: AccountHealth::ALL.map(|state| (state, count(state))),
            open: summaries().flatten().map(|summary| summary.open).sum(),
            unknown: summaries().filter(Option::is_none).count(),
        }
    }

    /// The most urgent state of any account.
    fn worst(&self) -> AccountHealth {
        self.by_state
            .iter()
            .find(|(_, count)| *count > 0)
            .map_or(AccountHealth::Starting, |(state, _)| *state)
    }

    /// Accounts that a person should look at.
    fn attention(&self) -> usize {
        let states = self.by_state.iter();
        let urgent = states.filter(|(state, _)| state.needs_attention());
        urgent.map(|(_, count)| count).sum()
    }
}

/// The page at `now`. A page number past the last one is the last one.
///
/// # Errors
///
/// None in practice: writing to a `String` does not fail.
pub(super) fn render(
    store: &StatusStore,
    names: &SafetyNames,
    query: &Query,
    settings: &Settings,
    started: Timestamps,
    now: Timestamps,
) -> askama::Result<String> {
    let mut accounts: Vec<_> = store
        .accounts()
        .into_iter()
        .map(|status| (AccountHealth::of(&status, now), status))
        .collect();
    let totals = Totals::of(&accounts, now);
    accounts.retain(|(health, status)| query.matches(*health, &status.account));
    // The account that is searched for by its whole name is the first. The sort is stable: equals
    // stay in the order of their names.
    let is_another = |status: &AccountStatus| *status.account != *query.account;
    accounts.sort_by(|(a, one), (b, other)| {
        (is_another(one).cmp(&is_another(other)))
            .then_with(|| a.cmp(b))
            .then_with(|| last_end(one, now).total_cmp(&last_end(other, now)))
    });
    let pages = accounts.len().div_ceil(PER_PAGE).max(1);
    let number = query.page.clamp(1, pages);
    let first = (number - 1) * PER_PAGE;
    let shown = accounts.iter().skip(first).take(PER_PAGE);
    let shown: Vec<_> = shown
        .map(|(health, status)| Account {
            health: *health,
            status,
            summary: status.fresh_view(now),
            names,
            now,
        })
        .collect();
    let all_cards = shown.len() <= MAX_CARDS_ONLY;
    let (cards, rows) = shown
        .into_iter()
        .partition(|account| all_cards || account.health.needs_attention());
    Page {
        query,
        totals,
        matching: accounts.len(),
        first,
        number,
        pages,
        cards,
        rows,
        settings,
        started,
        now,
    }
    .render()
}

/// Among equals the account that is without a session first comes first.
fn last_end(status: &AccountStatus, now: Timestamps) -> f64 {
    let summary = status.fresh_view(now);
    summary.and_then(last_end_ms).unwrap_or(f64::INFINITY)
}
