//! One account as the template shows it.

use std::fmt::Display;
use std::time::Duration;

use super::text::{Countdown, Elapsed, HumanDuration, Text, Time, sentence};
use crate::clock::Timestamps;
use crate::session::rules::Rule;
use crate::session::safety_type::{SafetyNames, SafetyType};
use crate::session::summary::{SessionDetail, Summary};
use crate::status::{AccountStatus, LoginBlock};
use crate::web::health::AccountHealth;
use crate::web::query;

/// Sessions that break a rule and are shown without opening the list.
const MAX_BREAKING: usize = 3;
/// Other sessions in the list; the JSON has more.
const MAX_SESSIONS: usize = 10;
/// The full bar.
const SCALE_MS: f64 = 86_400_000.0;
/// What the scale is linear up to, about: the last hour takes nearly half of the bar.
const SCALE_UNIT_MS: f64 = 300_000.0;
/// A bar below this has another colour.
const LOW_MS: f64 = 1_800_000.0;

pub(super) struct Account<'a> {
    pub(super) health: AccountHealth,
    pub(super) status: &'a AccountStatus,
    /// The last answer, where it is not too old.
    pub(super) summary: Option<&'a Summary>,
    names: &'a SafetyNames,
    now: Timestamps,
}

/// What a card says of the last poll where it failed.
pub(super) struct FailureText {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) advice: String,
    /// Whether the advice names a command that needs `--web.enable-lifecycle`.
    pub(super) names_command: bool,
}

impl<'a> Account<'a> {
    pub(super) fn new(
        health: AccountHealth,
        status: &'a AccountStatus,
        names: &'a SafetyNames,
        now: Timestamps,
    ) -> Self {
        Self {
            health,
            status,
            summary: status.fresh_view(now),
            names,
            now,
        }
    }

    pub(super) fn name(&self) -> Text<'a> {
        Text(&self.status.account)
    }

    /// The name in a URL's query.
    pub(super) fn encoded_name(&self) -> String {
        query::encoded(&self.status.account)
    }

    /// `, at most 3 allowed`, after the number of open sessions.
    pub(super) fn limits(&self) -> String {
        match (self.status.limits.min, self.status.limits.max) {
            (None, None) => String::new(),
            (Some(min), None) => format!(", at least {min} required"),
            (None, Some(max)) => format!(", at most {max} allowed"),
            (Some(min), Some(max)) => format!(", {min} to {max} allowed"),
        }
    }

    /// Types with open sessions.
    pub(super) fn types(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = self.summary.map(|summary| &summary.by_safety_type);
        counts
            .into_iter()
            .flatten()
            .filter(|(_, count)| *count > 0)
            .map(|(of, count)| (self.type_name(of), *count))
    }

    /// `2 password, 1 token`.
    pub(super) fn type_counts(&self) -> String {
        let counts = self.types().map(|(name, count)| format!("{count} {name}"));
        counts.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn type_name(&self, safety_type: &SafetyType) -> String {
        match (safety_type, self.names.name(*safety_type)) {
            (SafetyType::None, _) => "no type".to_owned(),
            (SafetyType::Other, _) => "other types".to_owned(),
            (SafetyType::Id(id), "unknown") => format!("type {id}"),
            (SafetyType::Id(_), name) => Text(name).to_string(),
        }
    }

    pub(super) fn has_sessions(&self) -> bool {
        self.summary.is_some_and(|summary| summary.open > 0)
    }

    /// Rules that sessions break, but for the limits, which stand beside the number of sessions.
    pub(super) fn violations(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let violating = self.summary.map(|summary| &summary.violating);
        violating.into_iter().flatten().filter_map(|(rule, count)| {
            let text = match rule {
                Rule::ClientIp => "from an address that is not allowed",
                Rule::SafetyType => "of a type that is not allowed",
                Rule::Login => "of a login that is not allowed",
                Rule::Lifetime => "with a lifetime longer than allowed",
                Rule::MaxSessions | Rule::MinSessions => return None,
            };
            (*count > 0).then_some((text, *count))
        })
    }

    /// When the first and the last session end, where that is known.
    pub(super) fn ends(&self) -> Option<Ends> {
        let summary = self.summary?;
        let at = summary.expiry?.expires_at_ms?;
        Some(Ends {
            first: at.min,
            last: at.max,
            several: summary.open - summary.expire_unknown.min(summary.open) > 1,
            now_ms: self.now.wall_ms,
        })
    }

    /// What limits the facts above.
    pub(super) fn notes(&self) -> Vec<String> {
        let Some(summary) = self.summary else {
            return Vec::new();
        };
        let mut notes = Vec::new();
        match (summary.expire_unknown, summary.open) {
            (0, _) => {}
            (unknown, open) if unknown >= open => notes.push("No end can be read.".to_owned()),
            (unknown, _) => notes.push(format!("The end of {unknown} cannot be read.")),
        }
        let unit = self.status.unit;
        if !unit.confirmed && self.ends().is_some() {
            notes.push(format!(
                "The unit of the time left is not confirmed; {} assumed.",
                unit.unit.name()
            ));
        }
        if summary.undecodable > 0 {
            notes.push(format!(
                "{} more entries of the answer cannot be read and are left out.",
                summary.undecodable
            ));
        }
        notes
    }

    pub(super) fn failure(&self) -> Option<FailureText> {
        let failure = self.status.last_attempt.as_ref()?.failure.as_ref()?;
        let command = format!("account={}", self.encoded_name());
        Some(FailureText {
            reason: failure.reason().name(),
            message: sentence(&failure.to_string()),
            advice: sentence(&failure.advice().replace("account=NAME", &command)),
            names_command: failure.advice().contains("/-/reload"),
        })
    }

    /// Whether the number of open sessions breaks a limit.
    pub(super) fn breaks_limit(&self) -> bool {
        let violating = self.summary.map(|summary| &summary.violating);
        violating.into_iter().flatten().any(|(rule, count)| {
            matches!(rule, Rule::MaxSessions | Rule::MinSessions) && *count > 0
        })
    }

    /// Why no login is made, where no failure says it.
    pub(super) fn block(&self) -> Option<&'static str> {
        let attempt = self.status.last_attempt.as_ref();
        if attempt.is_some_and(|attempt| attempt.failure.is_some()) {
            return None;
        }
        match self.status.login_blocked? {
            LoginBlock::Rejected => Some("No login is made: the last one was rejected."),
            LoginBlock::RateLimited => Some("No login is made: there were 3 within 15 minutes."),
        }
    }

    pub(super) fn can_retry(&self) -> bool {
        self.status.up() == Some(false) || self.status.login_blocked.is_some()
    }

    fn details(&self) -> &'a [SessionDetail] {
        self.summary.map_or(&[], |summary| &summary.details)
    }

    /// The first sessions that break a rule.
    pub(super) fn breaking(&self) -> &'a [SessionDetail] {
        let breaking = self.details().iter().take(MAX_BREAKING);
        let count = breaking
            .take_while(|detail| !detail.violated_rules.is_empty())
            .count();
        self.details().get(..count).unwrap_or_default()
    }

    /// The sessions after [`Self::breaking`].
    pub(super) fn others(&self) -> &'a [SessionDetail] {
        let rest = self.details().get(self.breaking().len()..);
        let rest = rest.unwrap_or_default();
        rest.get(..MAX_SESSIONS).unwrap_or(rest)
    }

    /// Sessions in neither of the two lists.
    pub(super) fn unlisted(&self) -> u64 {
        let listed = (self.breaking().len() + self.others().len()) as u64;
        self.summary
            .map_or(0, |summary| summary.open.saturating_sub(listed))
    }

    /// How the list is read.
    pub(super) fn schedule(&self) -> String {
        let interval = HumanDuration::from(self.status.interval);
        let transport = self.status.transport.name();
        match self.status.stream {
            None => format!("Every {interval} over {transport}."),
            Some(stream) if stream.connected => {
                format!("Stream over {transport}, connected; requested every {interval}.")
            }
            Some(_) => format!("Stream over {transport}, not connected."),
        }
    }

    pub(super) fn countdown(&self, at_ms: &f64) -> Countdown {
        Countdown(at_ms - self.now.wall_ms)
    }

    pub(super) fn elapsed(&self, at: &Timestamps) -> Elapsed {
        Elapsed(self.now.age_of(*at))
    }

    pub(super) fn time(&self, at_ms: &f64) -> Time {
        Time(*at_ms)
    }

    pub(super) fn seconds(&self, duration: &Duration) -> String {
        format!("{:.2} s", duration.as_secs_f64())
    }

    pub(super) fn sentence(&self, words: &impl Display) -> String {
        sentence(&words.to_string())
    }

    /// Text from the server.
    pub(super) fn text(&self, text: impl Display) -> String {
        Text(&text.to_string()).to_string()
    }
}

/// When an account's first and last session end, in milliseconds since the epoch.
pub(super) struct Ends {
    pub(super) first: f64,
    pub(super) last: f64,
    several: bool,
    now_ms: f64,
}

impl Ends {
    /// Whether first and last are different sessions.
    pub(super) fn several(&self) -> bool {
        self.several
    }

    pub(super) fn is_low(&self) -> bool {
        self.last - self.now_ms < LOW_MS
    }

    pub(super) fn first_ms(&self) -> String {
        format!("{:.0}", self.first - self.now_ms)
    }

    pub(super) fn last_ms(&self) -> String {
        format!("{:.0}", self.last - self.now_ms)
    }

    pub(super) fn first_percent(&self) -> String {
        percent(self.first - self.now_ms)
    }

    pub(super) fn last_percent(&self) -> String {
        percent(self.last - self.now_ms)
    }
}

/// A time left on the bars' scale; the script has the same.
fn percent(left_ms: f64) -> String {
    let part = (left_ms.max(0.0) / SCALE_UNIT_MS).ln_1p() / (SCALE_MS / SCALE_UNIT_MS).ln_1p();
    format!("{:.2}", part.min(1.0) * 100.0)
}
