//! `/api/v1/accounts`: the published status of each account, as JSON.
//!
//! `docs/api.md` describes the shape to users; a test compares its example. Fields are
//! added within `v1`, not renamed or removed. Units are in the names; points in time are
//! seconds since the epoch; `null` is "unknown", never 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::health::AccountHealth;
use super::query::{self, Query};
use crate::clock::Timestamps;
use crate::session::diff::CloseReason;
use crate::session::safety_type::{SafetyNames, SafetyType};
use crate::session::summary::{SessionDetail, Summary};
use crate::status::{AccountStatus, Attempt, LoginBlock, StatusStore, StreamStatus};
use crate::text::printable;
use crate::tradernet::Error;

/// Implements `Serialize` as a JSON object with these fields, in this order.
macro_rules! json_object {
    ($type:ty, $fields:pat => { $($name:literal: $value:expr,)+ }) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $fields = self;
                let mut map = serializer.serialize_map(None)?;
                $(serde::ser::SerializeMap::serialize_entry(&mut map, $name, &$value)?;)+
                serde::ser::SerializeMap::end(map)
            }
        }
    };
}
pub(crate) use json_object;

/// The whole answer, by ascending name.
struct AccountsResponse<'a>(&'a [Arc<AccountStatus>], &'a SafetyNames, Timestamps);

json_object!(AccountsResponse<'_>, AccountsResponse(accounts, names, now) => {
    "timestamp_seconds": now.wall_seconds(),
    "accounts": Vec::from_iter(accounts.iter().map(|status| Account(status, names, *now))),
});

struct Account<'a>(&'a AccountStatus, &'a SafetyNames, Timestamps);

json_object!(Account<'_>, Account(status, names, now) => {
    "account": *status.account,
    "state": AccountHealth::of(status, *now).name(),
    "needs_attention": AccountHealth::of(status, *now).needs_attention(),
    "transport": status.transport.name(),
    "poll_interval_seconds": status.tracking.interval.as_secs_f64(),
    "max_age_seconds": status.tracking.max_age.as_secs_f64(),
    "up": status.up(),
    "last_attempt": status.last_attempt.as_ref().map(|attempt| LastAttempt(attempt, status)),
    "last_success_timestamp_seconds": status.last_success.map(Timestamps::wall_seconds),
    "last_failure": status.last_failure.as_ref().map(|past| LastFailure {
        timestamp_seconds: past.at.wall_seconds(),
        failure: Failure::new(&past.error, &status.account),
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
    "sessions_opened_total": status.session_counters.map(|counters| counters.opened),
    "sessions_closed_total": status.session_counters.map(|counters| {
        BTreeMap::from(CloseReason::ALL.map(|reason| (reason.name(), counters.closed(reason))))
    }),
    "stream": status.stream.map(Stream),
    "sessions": status.fresh_view(*now).map(|summary| Sessions(summary, names)),
});

struct LastAttempt<'a>(&'a Attempt, &'a AccountStatus);

json_object!(LastAttempt<'_>, LastAttempt(attempt, status) => {
    "timestamp_seconds": attempt.at.wall_seconds(),
    "duration_seconds": attempt.duration.as_secs_f64(),
    "queue_seconds": attempt.queue_wait.as_secs_f64(),
    "failure": attempt.failure.as_ref().map(|error| Failure::new(error, &status.account)),
});

#[derive(Serialize)]
struct LastFailure {
    timestamp_seconds: f64,
    #[serde(flatten)]
    failure: Failure,
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

struct Stream(StreamStatus);

json_object!(Stream, Stream(stream) => {
    "connected": stream.connected,
    "reconnects_total": stream.reconnects,
});

struct Sessions<'a>(&'a Summary, &'a SafetyNames);

json_object!(Sessions<'_>, Sessions(summary, names) => {
    "answer_timestamp_seconds": summary.received_at.wall_seconds(),
    "open": summary.open,
    "by_safety_type":
        Vec::from_iter(summary.by_safety_type.iter().map(|count| TypeCount(count, names))),
    "expire_min_milliseconds": summary.expiry.map(|expiry| expiry.remaining_ms.min),
    "expire_max_milliseconds": summary.expiry.map(|expiry| expiry.remaining_ms.max),
    "min_expiry_timestamp_seconds":
        summary.expiry.and_then(|expiry| Some(expiry.expires_at_ms?.min / 1000.0)),
    "max_expiry_timestamp_seconds":
        summary.expiry.and_then(|expiry| Some(expiry.expires_at_ms?.max / 1000.0)),
    "expire_unknown": summary.expire_unknown,
    "max_lifetime_seconds": summary.max_lifetime_ms.map(|ms| ms / 1000.0),
    "client_ips": summary.client_ips,
    "logins": summary.logins,
    "violating": violating(summary),
    "undecodable": summary.undecodable,
    "details": Vec::from_iter(summary.details.iter().map(|detail| SessionJson::new(detail, names))),
});

/// Open sessions of a safety type: an id, `none` or `other`, as in the metrics.
pub(crate) struct TypeCount<'a>(pub(crate) &'a (SafetyType, u64), pub(crate) &'a SafetyNames);

json_object!(TypeCount<'_>, TypeCount((safety_type, open), names) => {
    "safety_type_id": safety_type.to_string(),
    "safety_type": names.name(*safety_type),
    "open": open,
});

/// Configured rules with the number of sessions that break each.
pub(crate) fn violating(summary: &Summary) -> BTreeMap<&'static str, u64> {
    let rules = summary.violating.iter();
    rules.map(|(rule, count)| (rule.name(), *count)).collect()
}

#[derive(Serialize)]
struct SessionJson<'a> {
    /// Text: it may be larger than the integers that JavaScript represents exactly.
    session_id: String,
    safety_type_id: String,
    safety_type: &'a str,
    /// Only with full details.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_login: Option<String>,
    /// Only with full details.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<String>,
    expiry_timestamp_seconds: Option<f64>,
    /// The rules that it breaks.
    violating: Vec<&'static str>,
}

impl<'a> SessionJson<'a> {
    fn new(detail: &SessionDetail, names: &'a SafetyNames) -> Self {
        Self {
            session_id: detail.id.to_string(),
            safety_type_id: detail.safety_type.to_string(),
            safety_type: names.name(detail.safety_type),
            user_login: detail.user_login.as_deref().map(printable),
            client_ip: detail.client.as_ref().map(|ip| printable(&ip.to_string())),
            expiry_timestamp_seconds: detail.expires_at_ms.map(|ms| ms / 1000.0),
            violating: detail
                .violated_rules
                .iter()
                .map(|rule| rule.name())
                .collect(),
        }
    }
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
    serde_json::to_vec(&AccountsResponse(&accounts, names, now)).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::session::rules::Policy;
    use crate::session::summary::SessionDetails;
    use crate::tradernet::{Error, ResponseHead};
    use crate::web::test_support::{
        NOW, ago, answered, failed, published, reading, session, starting,
    };

    fn shown(accounts: Vec<AccountStatus>) -> serde_json::Value {
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
        let names = SafetyNames::default();
        let store = published(vec![before, desk]);
        let accounts = store.accounts();
        let answer = serde_json::to_string_pretty(&AccountsResponse(&accounts, &names, NOW));
        let answer = answer.unwrap();
        let page = include_str!("../../docs/api.md");
        let (_, rest) = page.split_once("```json\n").expect("an example");
        let (example, _) = rest.split_once("\n```").expect("its end");
        assert_eq!(example, answer, "docs/api.md should show:\n{answer}");
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
