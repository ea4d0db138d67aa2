//! One account as the template shows it.

use crate::clock::Timestamps;
use crate::session::rules::Rule;
use crate::session::safety_type::{SafetyNames, SafetyType};
use crate::session::summary::{Range, SessionDetail, Summary};
use crate::status::AccountStatus;
use crate::text::{human_duration, printable};
use crate::web::api::Failure;
use crate::web::health::{AccountHealth, EXPIRING_MS, last_end_ms};
use crate::web::query;

/// Sessions that break a rule and are shown without opening the list.
const MAX_BREAKING: usize = 3;
/// The full bar.
const SCALE_MS: f64 = 86_400_000.0;
/// The scale is roughly linear up to this: the last hour takes nearly half of the bar.
const SCALE_UNIT_MS: f64 = 300_000.0;

pub(super) struct Account<'a> {
    pub(super) health: AccountHealth,
    pub(super) status: &'a AccountStatus,
    /// The last answer, where it is not too old.
    pub(super) summary: Option<&'a Summary>,
    pub(super) names: &'a SafetyNames,
    pub(super) now: Timestamps,
}

impl<'a> Account<'a> {
    pub(super) fn name(&self) -> String {
        printable(&self.status.account)
    }

    /// The name in a URL's query.
    pub(super) fn encoded_name(&self) -> String {
        query::encoded(&self.status.account)
    }

    /// Types with open sessions.
    pub(super) fn types(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = self
            .summary
            .into_iter()
            .flat_map(|summary| &summary.by_safety_type);
        let open = counts.filter(|(_, count)| *count > 0);
        open.map(|(of, count)| (self.type_name(of), *count))
    }

    pub(super) fn type_name(&self, safety_type: &SafetyType) -> String {
        match (safety_type, self.names.name(*safety_type)) {
            (SafetyType::None, _) => "no type".to_owned(),
            (SafetyType::Other, _) => "other types".to_owned(),
            (SafetyType::Id(id), "unknown") => format!("type {id}"),
            (SafetyType::Id(_), name) => printable(name),
        }
    }

    /// When the first and the last session end, where that is known.
    pub(super) fn ends(&self) -> Option<Range> {
        self.summary?.expires_at_ms
    }

    /// Whether the first session ends before the last one, in what the page shows of both.
    pub(super) fn has_two_ends(&self) -> bool {
        self.ends()
            .is_some_and(|ends| ends.max - ends.min >= 1000.0)
    }

    /// When the last session that matters ends.
    pub(super) fn last_end(&self) -> Option<f64> {
        self.summary.and_then(last_end_ms)
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        let error = self.status.last_attempt.as_ref()?.failure.as_ref()?;
        Some(Failure::new(error, &self.status.account))
    }

    /// Rules that are broken.
    pub(super) fn broken(&self) -> impl Iterator<Item = &'a (Rule, u64)> {
        let rules = self
            .summary
            .into_iter()
            .flat_map(|summary| &summary.violating);
        rules.filter(|(_, count)| *count > 0)
    }

    pub(super) fn can_retry(&self) -> bool {
        self.status.up() == Some(false) || self.status.login_blocked.is_some()
    }

    /// The first sessions that break a rule, and the sessions after them.
    pub(super) fn sessions(&self) -> (&'a [SessionDetail], &'a [SessionDetail]) {
        let details = self.summary.map_or(&[][..], |summary| &summary.details);
        let breaks_none = |detail: &SessionDetail| detail.violated_rules.is_empty();
        let breaking = details
            .iter()
            .position(breaks_none)
            .unwrap_or(details.len());
        details.split_at(breaking.min(MAX_BREAKING))
    }

    pub(super) fn interval(&self) -> String {
        human_duration(self.status.tracking.interval.as_secs_f64() * 1000.0)
    }

    pub(super) fn left_ms(&self, at_ms: &f64) -> f64 {
        at_ms - self.now.wall_ms
    }

    pub(super) fn age_ms(&self, at: &Timestamps) -> f64 {
        self.now.age_of(*at).as_secs_f64() * 1000.0
    }

    pub(super) fn is_low(&self, at_ms: &f64) -> bool {
        self.left_ms(at_ms) < EXPIRING_MS
    }

    /// A time left on the bars' scale; the script has the same.
    pub(super) fn percent(&self, at_ms: &f64) -> String {
        let units = self.left_ms(at_ms).max(0.0) / SCALE_UNIT_MS;
        let part = units.ln_1p() / (SCALE_MS / SCALE_UNIT_MS).ln_1p();
        format!("{:.2}", part.min(1.0) * 100.0)
    }
}
