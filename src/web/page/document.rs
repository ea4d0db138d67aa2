//! The page around the accounts: what it all adds up to, pages, links.

use std::fmt::{self, Display};
use std::sync::Arc;

use super::card::{Card, Clock};
use super::{PER_PAGE, SCRIPT, STYLE};
use crate::clock::Timestamps;
use crate::session::safety_type::SafetyNames;
use crate::status::AccountStatus;
use crate::web::health::State;
use crate::web::html::Escaped;

/// Everything that one page shows.
pub(super) struct Document<'a> {
    pub(super) numbers: Numbers,
    /// How many accounts come before this page's.
    pub(super) first: usize,
    /// This page's accounts, worst first.
    pub(super) accounts: &'a [(State, Arc<AccountStatus>)],
    /// Which page it is, from 1.
    pub(super) number: usize,
    pub(super) pages: usize,
    pub(super) names: &'a SafetyNames,
    pub(super) now: Timestamps,
    pub(super) telemetry_path: &'a str,
}

/// All accounts in numbers, those of other pages included.
pub(super) struct Numbers {
    accounts: usize,
    /// Accounts in each state, worst first.
    by_state: [(State, usize); State::ALL.len()],
    /// Sessions of the accounts whose sessions are known.
    open: u64,
    /// Accounts whose sessions are not known.
    unknown: usize,
}

impl Numbers {
    pub(super) fn of(accounts: &[(State, Arc<AccountStatus>)], now: Timestamps) -> Self {
        let count = |of: State| accounts.iter().filter(|(state, _)| *state == of).count();
        let views = || accounts.iter().map(|(_, status)| status.fresh_view(now));
        Self {
            accounts: accounts.len(),
            by_state: State::ALL.map(|state| (state, count(state))),
            open: views().flatten().map(|view| view.open).sum(),
            unknown: views().filter(Option::is_none).count(),
        }
    }

    fn attention(&self) -> usize {
        self.by_state
            .iter()
            .filter(|(state, _)| state.needs_attention())
            .map(|(_, count)| count)
            .sum()
    }

    /// The worst state that any account is in.
    fn worst(&self) -> State {
        self.by_state
            .iter()
            .find(|(_, count)| *count > 0)
            .map_or(State::Starting, |(state, _)| *state)
    }

    fn verdict(&self) -> String {
        match (self.attention(), self.accounts) {
            (_, 0) => "No account is configured".to_owned(),
            (0, 1) => match self.worst() {
                State::Starting => "The account has not been asked yet".to_owned(),
                _ => "The account is well".to_owned(),
            },
            (0, all) => match self.worst() {
                State::Starting => "Waiting for the first answers".to_owned(),
                _ => format!("All {all} accounts are well"),
            },
            (1, 1) => "The account needs attention".to_owned(),
            (1, all) => format!("1 of {all} accounts needs attention"),
            (some, all) => format!("{some} of {all} accounts need attention"),
        }
    }

    fn sessions(&self) -> String {
        let known = self.accounts - self.unknown;
        if known == 0 {
            return "Sessions unknown".to_owned();
        }
        let sum = format!(
            "{} open in {}",
            counted(self.open, "session"),
            counted(known as u64, "account")
        );
        match self.unknown {
            0 => sum,
            unknown => format!("{sum}, {} unknown", counted(unknown as u64, "account")),
        }
    }
}

/// `1 session`, `2 sessions`.
fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

impl Display for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.numbers.worst();
        let verdict = self.numbers.verdict();
        write!(
            f,
            "<!doctype html>\n\
             <html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{symbol} {verdict} – Tradernet sessions</title>\n\
             {icon}\n<style>{STYLE}</style>\n\
             <noscript><meta http-equiv=\"refresh\" content=\"15\"></noscript>\n\
             </head>\n<body>\n\
             <p id=\"lost\" role=\"alert\" hidden></p>\n\
             <div id=\"live\">\n\
             <header>\n<h1>Tradernet security sessions</h1>\n\
             <p class=\"verdict s-{name}\"><span aria-hidden=\"true\">{symbol}</span> {verdict}</p>\n\
             <p class=\"sum\">{sessions}</p>\n",
            symbol = worst.symbol(),
            icon = Icon(worst),
            name = worst.name(),
            sessions = self.numbers.sessions(),
        )?;
        self.tally(f)?;
        f.write_str("</header>\n<main>\n")?;
        self.pager(f)?;
        f.write_str("<ul class=\"cards\">\n")?;
        for (state, status) in self.accounts {
            Card {
                state: *state,
                status,
                names: self.names,
                now: self.now,
            }
            .fmt(f)?;
        }
        f.write_str("</ul>\n")?;
        self.pager(f)?;
        write!(
            f,
            "</main>\n<footer>\n<p class=\"links\"><a href=\".{metrics}\">Metrics</a> \
             <a href=\"./api/v1/accounts\">JSON</a> \
             <a href=\"./-/ready\">Ready</a> <a href=\"./-/healthy\">Healthy</a></p>\n\
             <p>As of {clock}, worst first. tradernet-exporter {version} ({revision})</p>\n\
             </footer>\n</div>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
            metrics = Escaped(self.telemetry_path),
            clock = Clock::seconds(self.now.wall_ms),
            version = env!("CARGO_PKG_VERSION"),
            revision = Escaped(env!("BUILD_REVISION")),
        )
    }
}

impl Document<'_> {
    fn tally(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<ul class=\"tally\" aria-label=\"Accounts by state\">\n")?;
        for (state, count) in self.numbers.by_state {
            if count > 0 {
                writeln!(
                    f,
                    "<li class=\"s-{}\"><span aria-hidden=\"true\">{}</span> {count} {}</li>",
                    state.name(),
                    state.symbol(),
                    state.words(),
                )?;
            }
        }
        f.write_str("</ul>\n")
    }

    fn pager(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pages == 1 {
            return Ok(());
        }
        write!(
            f,
            "<nav class=\"pager\" aria-label=\"Pages\"><span>Accounts {} to {} of {}, worst first, {PER_PAGE} a page.</span>",
            self.first + 1,
            self.first + self.accounts.len(),
            self.numbers.accounts,
        )?;
        if self.number > 1 {
            write!(
                f,
                " <a href=\"?page={}\" rel=\"prev\">Previous</a>",
                self.number - 1
            )?;
        }
        if self.number < self.pages {
            write!(
                f,
                " <a href=\"?page={}\" rel=\"next\">Next</a>",
                self.number + 1
            )?;
        }
        f.write_str("</nav>\n")
    }
}

/// The worst state as the tab's icon, so that a tab in the background tells it.
struct Icon(State);

impl Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = match self.0 {
            State::RuleBroken | State::LoginBlocked => "c62828",
            State::Unknown | State::Failing | State::Expiring => "b45309",
            State::Starting | State::NoneOpen => "64748b",
            State::Ok => "15803d",
        };
        write!(
            f,
            "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
             viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23{colour}'/%3E%3C/svg%3E\">"
        )
    }
}
