//! `/api/v1/accounts`: the published status of each account, as JSON.
//!
//! `docs/api.md` describes the shape to users; a test compares its example. Fields are
//! added within `v1`, not renamed or removed. Units are in the names; points in time are
//! seconds since the epoch; `null` is "unknown", never 0.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::health::AccountHealth;
use super::query::{self, Query};
use crate::clock::Timestamps;
use crate::session::safety_type::{SafetyNames, SafetyType};
use crate::session::summary::{SessionDetail, Summary};
use crate::status::{AccountStatus, LoginBlock, StatusStore};
use crate::text::printable;
use crate::tradernet::Error;

#[derive(Serialize)]
struct Accounts {
    timestamp_seconds: f64,
    /// By ascending name. Each is serialised by itself: the values of all would take much memory.
    accounts: Vec<Box<RawValue>>,
}

/// The answer as of `now`.
pub(super) fn render(
    store: &StatusStore,
    names: &SafetyNames,
    query: &Query,
    now: Timestamps,
) -> serde_json::Result<Bytes> {
    let mut accounts = store.accounts();
    accounts.retain(|status| query.matches(AccountHealth::of(status, now), &status.account));
    let accounts = accounts.iter().map(|status| account(status, names, now));
    let answer = Accounts {
        timestamp_seconds: now.wall_seconds(),
        accounts: accounts
            .map(|account| to_raw_value(&account))
            .collect::<Result<_, _>>()?,
    };
    serde_json::to_vec(&answer).map(Bytes::from)
}

fn account(status: &AccountStatus, names: &SafetyNames, now: Timestamps) -> Value {
    let health = AccountHealth::of(status, now);
    let failure = |error: &Error| Failure::new(error, &status.account);
    let counters = status.session_counters;
    json!({
        "account": *status.account,
        "state": health.name(),
        "needs_attention": health.needs_attention(),
        "transport": status.transport.name(),
        "poll_interval_seconds": status.tracking.interval.as_secs_f64(),
        "max_age_seconds": status.tracking.max_age.as_secs_f64(),
        "up": status.up(),
        "last_attempt": status.last_attempt.as_ref().map(|attempt| json!({
            "timestamp_seconds": attempt.at.wall_seconds(),
            "duration_seconds": attempt.duration.as_secs_f64(),
            "queue_seconds": attempt.queue_wait.as_secs_f64(),
            "failure": attempt.failure.as_ref().map(failure),
        })),
        "last_success_timestamp_seconds": status.last_success.map(Timestamps::wall_seconds),
        "last_failure": status.last_failure.as_ref().map(|past| {
            let Failure { reason, message, advice } = failure(&past.error);
            let at = past.at.wall_seconds();
            json!({"timestamp_seconds": at, "reason": reason, "message": message, "advice": advice})
        }),
        "polls_total": status.polls,
        "poll_failures_total":
            BTreeMap::from_iter(status.failures.iter().map(|(reason, count)| (reason.name(), count))),
        "logins_total": status.logins,
        "login_failures_total": status.login_failures,
        "login_blocked": status.login_blocked.map(|block| match block {
            LoginBlock::Rejected => "refused",
            LoginBlock::RateLimited => "too_many",
        }),
        "expire_unit": status.unit.unit.name(),
        "expire_unit_confirmed": status.unit.confirmed,
        "sessions_opened_total": counters.map(|counters| counters.opened),
        "sessions_closed_total": counters.map(|counters| {
            BTreeMap::from(counters.closed.map(|(reason, count)| (reason.name(), count)))
        }),
        "stream": status.stream.map(|stream| json!({
            "connected": stream.connected,
            "reconnects_total": stream.reconnects(),
        })),
        "sessions": status.fresh_view(now).map(|summary| sessions(summary, names)),
    })
}

fn sessions(summary: &Summary, names: &SafetyNames) -> Value {
    let (left, ends) = (summary.remaining_ms, summary.expires_at_ms);
    json!({
        "answer_timestamp_seconds": summary.received_at.wall_seconds(),
        "open": summary.open,
        "by_safety_type": type_counts(&summary.by_safety_type, names),
        "expire_min_milliseconds": left.map(|left| left.min),
        "expire_max_milliseconds": left.map(|left| left.max),
        "min_expiry_timestamp_seconds": ends.map(|ends| ends.min / 1000.0),
        "max_expiry_timestamp_seconds": ends.map(|ends| ends.max / 1000.0),
        "expire_unknown": summary.expire_unknown,
        "max_lifetime_seconds": summary.max_lifetime_ms.map(|ms| ms / 1000.0),
        "client_ips": summary.client_ips,
        "logins": summary.logins,
        "violating": violating(summary),
        "undecodable": summary.undecodable,
        "details": Vec::from_iter(summary.details.iter().map(|detail| session(detail, names))),
    })
}

fn session(detail: &SessionDetail, names: &SafetyNames) -> Value {
    let mut session = json!({
        // Text: it may be larger than the integers that JavaScript represents exactly.
        "session_id": detail.id.to_string(),
        "safety_type_id": detail.safety_type.to_string(),
        "safety_type": names.name(detail.safety_type),
        "expiry_timestamp_seconds": detail.expires_at_ms.map(|ms| ms / 1000.0),
        "violating": Vec::from_iter(detail.violated_rules.iter().map(|rule| rule.name())),
    });
    // Only with full details.
    let client = detail.client.as_ref().map(ToString::to_string);
    let shown = [
        ("user_login", detail.user_login.as_deref()),
        ("client_ip", client.as_deref()),
    ];
    for (name, value) in shown {
        if let (Some(fields), Some(value)) = (session.as_object_mut(), value) {
            fields.insert(name.to_owned(), printable(value).into());
        }
    }
    session
}

/// Open sessions by safety type: an id, `none` or `other`, as in the metrics.
pub(crate) fn type_counts<'a>(
    counts: impl IntoIterator<Item = &'a (SafetyType, u64)>,
    names: &SafetyNames,
) -> Vec<Value> {
    let counts = counts.into_iter().map(|(safety_type, open)| {
        let (id, name) = (safety_type.to_string(), names.name(*safety_type));
        json!({"safety_type_id": id, "safety_type": name, "open": open})
    });
    counts.collect()
}

/// Configured rules with the number of sessions that break each.
pub(crate) fn violating(summary: &Summary) -> BTreeMap<&'static str, u64> {
    let rules = summary.violating.iter();
    rules.map(|(rule, count)| (rule.name(), *count)).collect()
}

/// Why an attempt failed and what to do about it, in words for the page, the JSON and `check`.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    /// The label `reason` of `tradernet_poll_failures_total`.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// With the account's name in the command, where it names one.
    pub(crate) advice: String,
}

impl Failure {
    pub(crate) fn new(error: &Error, account: &str) -> Self {
        let parameter = format!("account={}", query::encoded(account));
        Self {
            reason: error.reason().name(),
            message: printable(&error.to_string()),
            advice: error.advice().replace("account=NAME", &parameter),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::session::rules::Policy;
    use crate::session::summary::SessionDetails;
    use crate::tradernet::ResponseHead;
    use crate::web::test_support::{
        NOW, ago, answered, failed, published, reading, session, starting,
    };

    fn shown(accounts: Vec<AccountStatus>) -> Value {
        let store = published(accounts);
        let bytes = render(&store, &SafetyNames::default(), &Query::default(), NOW).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn refused() -> Error {
        Error::HttpStatus(ResponseHead {
            status: Some(502),
            ..ResponseHead::default()
        })
    }

    #[test]
    fn documented_example_is_the_response() {
        let policy = Policy {
            client_ips: Some(vec!["198.51.100.0/24".parse().unwrap()]),
            max_sessions: Some(5),
            ..Policy::default()
        };
        let sessions = vec![session(7_165_011, 4, 60), session(7_165_012, 15, 90)];
        let read = reading(policy, SessionDetails::Full);
        let before = failed(starting("desk-1"), &refused(), ago(45));
        let desk = answered("desk-1", read, sessions, ago(40));
        let desk = failed(desk, &refused(), ago(10));
        let answer = shown(vec![before, desk]);
        let page = include_str!("../../docs/api.md");
        let (_, rest) = page.split_once("```json\n").expect("an example");
        let (example, _) = rest.split_once("\n```").expect("its end");
        let example: Value = serde_json::from_str(example).unwrap();
        assert_eq!(example, answer, "docs/api.md should show:\n{answer:#}");
    }

    #[test]
    fn last_failure_outlives_the_next_answer() {
        let quiet = reading(Policy::default(), SessionDetails::Off);
        let before = failed(starting("a"), &refused(), ago(45));
        let after = AccountStatus {
            last_failure: before.last_failure,
            ..answered("a", quiet, vec![], NOW)
        };
        let answer = shown(vec![after, starting("b")]);
        let at = |pointer| answer.pointer(pointer).unwrap();
        assert!(at("/accounts/0/last_attempt/failure").is_null());
        let past = at("/accounts/0/last_failure");
        assert_eq!(past["timestamp_seconds"], 1_772_434_755.0);
        assert_eq!(past["reason"], "http_status");
        assert_eq!(past["message"], "the server answered HTTP 502");
        assert!(past["advice"].is_string());
        assert!(at("/accounts/1/last_failure").is_null());
    }

    #[test]
    fn unknown_is_null_and_not_zero() {
        let quiet = || reading(Policy::default(), SessionDetails::Off);
        let once = answered("a", quiet(), vec![], ago(91));
        let stale = failed(once.clone(), &refused(), NOW);
        let none = answered("b", quiet(), vec![], NOW);
        let answer = shown(vec![once, stale, none]);
        assert!(answer.pointer("/accounts/0/sessions").unwrap().is_null());
        assert_eq!(answer.pointer("/accounts/0/state").unwrap(), "no_data");
        assert_eq!(answer.pointer("/accounts/1/sessions/open").unwrap(), 0);
        assert_eq!(answer.pointer("/accounts/1/state").unwrap(), "no_session");
        let end = "/accounts/1/sessions/max_expiry_timestamp_seconds";
        assert!(answer.pointer(end).unwrap().is_null());
    }

    #[test]
    fn control_and_format_characters_of_the_server_are_replaced() {
        let mut one = session(1, 4, 60);
        one.user_login = Some("a\u{202e}\u{9b}b".into());
        let read = reading(Policy::default(), SessionDetails::Full);
        let answer = shown(vec![answered("a", read, vec![one], NOW)]);
        let login = answer.pointer("/accounts/0/sessions/details/0/user_login");
        assert_eq!(login.unwrap(), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn logins_and_addresses_only_with_full_details() {
        for (details, shows) in [
            (SessionDetails::Off, false),
            (SessionDetails::Anonymous, false),
            (SessionDetails::Full, true),
        ] {
            let read = reading(Policy::default(), details);
            let text = shown(vec![answered("a", read, vec![session(1, 4, 60)], NOW)]).to_string();
            assert_eq!(text.contains("trader@example.com"), shows);
            assert_eq!(text.contains("203.0.113.9"), shows);
            assert_eq!(text.contains("session_id"), details != SessionDetails::Off);
        }
    }
}
