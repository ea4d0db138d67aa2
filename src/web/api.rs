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
use super::query::Query;
use crate::clock::Timestamps;
use crate::session::diff::CloseReason;
use crate::session::safety_type::SafetyNames;
use crate::session::summary::{SessionDetail, Summary};
use crate::session::tracker::SessionCounters;
use crate::status::{AccountStatus, Attempt, LoginBlock, PastFailure, StatusStore};
use crate::tradernet::Error;

/// The whole answer.
#[derive(Serialize)]
struct AccountsResponse<'a> {
    /// The time of this response.
    timestamp_seconds: f64,
    /// By ascending name.
    accounts: Vec<AccountJson<'a>>,
}

/// One account.
#[derive(Serialize)]
struct AccountJson<'a> {
    account: &'a str,
    /// See [`AccountHealth::name`].
    state: &'static str,
    needs_attention: bool,
    transport: &'static str,
    poll_interval_seconds: f64,
    /// From this age on `sessions` is `null`.
    max_age_seconds: f64,
    /// Whether the last attempt succeeded; `null` before the first.
    up: Option<bool>,
    last_attempt: Option<LastAttempt>,
    last_success_timestamp_seconds: Option<f64>,
    /// Kept when attempts succeed again; `null` before the first.
    last_failure: Option<LastFailure>,
    polls_total: u64,
    poll_failures_total: BTreeMap<&'static str, u64>,
    logins_total: u64,
    login_failures_total: u64,
    /// `refused`, `too_many`, or `null` where logins are allowed.
    login_blocked: Option<&'static str>,
    expire_unit: &'static str,
    expire_unit_confirmed: bool,
    /// `null` before the first answer.
    sessions_opened_total: Option<u64>,
    /// By reason; `null` before the first answer.
    sessions_closed_total: Option<BTreeMap<&'static str, u64>>,
    /// `null` for an account that is polled.
    stream: Option<Stream>,
    /// The last good answer; `null` where there is none or it is too old.
    sessions: Option<Sessions<'a>>,
}

#[derive(Serialize)]
struct Stream {
    connected: bool,
    reconnects_total: u64,
}

#[derive(Serialize)]
struct LastAttempt {
    timestamp_seconds: f64,
    duration_seconds: f64,
    queue_seconds: f64,
    /// `null` where it succeeded.
    failure: Option<FailureJson>,
}

#[derive(Serialize)]
struct LastFailure {
    timestamp_seconds: f64,
    #[serde(flatten)]
    failure: FailureJson,
}

#[derive(Serialize)]
struct FailureJson {
    /// The label `reason` of `tradernet_poll_failures_total`.
    reason: &'static str,
    message: String,
    advice: &'static str,
}

#[derive(Serialize)]
struct Sessions<'a> {
    /// When the answer arrived: `…_milliseconds` are as of then.
    answer_timestamp_seconds: f64,
    open: u64,
    by_safety_type: Vec<TypeCount<'a>>,
    expire_min_milliseconds: Option<f64>,
    expire_max_milliseconds: Option<f64>,
    min_expiry_timestamp_seconds: Option<f64>,
    max_expiry_timestamp_seconds: Option<f64>,
    expire_unknown: u64,
    max_lifetime_seconds: Option<f64>,
    client_ips: u64,
    logins: u64,
    /// Configured rules with the number of sessions that break each.
    violating: BTreeMap<&'static str, u64>,
    undecodable: u64,
    /// SessionJson sessions; empty unless details are on.
    details: Vec<SessionJson<'a>>,
}

#[derive(Serialize)]
struct TypeCount<'a> {
    /// An id, `none` or `other`, as in the metrics.
    safety_type_id: String,
    safety_type: &'a str,
    open: u64,
}

#[derive(Serialize)]
struct SessionJson<'a> {
    /// Text: it may be larger than the integers that JavaScript represents exactly.
    session_id: String,
    safety_type_id: String,
    safety_type: &'a str,
    /// Only with full details.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_login: Option<&'a str>,
    /// Only with full details.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<String>,
    expiry_timestamp_seconds: Option<f64>,
    /// The rules that it breaks.
    violating: Vec<&'static str>,
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
    serde_json::to_vec(&document(&accounts, names, now)).map(Bytes::from)
}

fn document<'a>(
    accounts: &'a [Arc<AccountStatus>],
    names: &'a SafetyNames,
    now: Timestamps,
) -> AccountsResponse<'a> {
    AccountsResponse {
        timestamp_seconds: now.wall_seconds(),
        accounts: accounts
            .iter()
            .map(|status| account(status, names, now))
            .collect(),
    }
}

fn account<'a>(
    status: &'a AccountStatus,
    names: &'a SafetyNames,
    now: Timestamps,
) -> AccountJson<'a> {
    let state = AccountHealth::of(status, now);
    AccountJson {
        account: &status.account,
        state: state.name(),
        needs_attention: state.needs_attention(),
        transport: status.transport.name(),
        poll_interval_seconds: status.interval.as_secs_f64(),
        max_age_seconds: status.max_age.as_secs_f64(),
        up: status.up(),
        last_attempt: status.last_attempt.as_ref().map(last_attempt),
        last_success_timestamp_seconds: status.last_success.map(Timestamps::wall_seconds),
        last_failure: status.last_failure.as_ref().map(last_failure),
        polls_total: status.polls,
        poll_failures_total: status
            .failures
            .iter()
            .map(|(reason, count)| (reason.name(), count))
            .collect(),
        logins_total: status.logins,
        login_failures_total: status.login_failures,
        login_blocked: status.login_blocked.map(|block| match block {
            LoginBlock::Rejected => "refused",
            LoginBlock::RateLimited => "too_many",
        }),
        expire_unit: status.unit.unit.name(),
        expire_unit_confirmed: status.unit.confirmed,
        sessions_opened_total: status
            .session_counters
            .map(|session_counters| session_counters.opened),
        sessions_closed_total: status.session_counters.map(closed),
        stream: status.stream.map(|stream| Stream {
            connected: stream.connected,
            reconnects_total: stream.reconnects,
        }),
        sessions: status.fresh_view(now).map(|view| sessions(view, names)),
    }
}

fn last_attempt(attempt: &Attempt) -> LastAttempt {
    LastAttempt {
        timestamp_seconds: attempt.at.wall_seconds(),
        duration_seconds: attempt.duration.as_secs_f64(),
        queue_seconds: attempt.queue_wait.as_secs_f64(),
        failure: attempt.failure.as_ref().map(failed_for),
    }
}

fn last_failure(past: &PastFailure) -> LastFailure {
    LastFailure {
        timestamp_seconds: past.at.wall_seconds(),
        failure: failed_for(&past.error),
    }
}

fn failed_for(error: &Error) -> FailureJson {
    FailureJson {
        reason: error.reason().name(),
        message: error.to_string(),
        advice: error.advice(),
    }
}

fn closed(session_counters: SessionCounters) -> BTreeMap<&'static str, u64> {
    CloseReason::ALL
        .into_iter()
        .map(|reason| (reason.name(), session_counters.closed(reason)))
        .collect()
}

fn sessions<'a>(view: &'a Summary, names: &'a SafetyNames) -> Sessions<'a> {
    let left = view.expiry.map(|expiry| expiry.remaining_ms);
    let at = view.expiry.and_then(|expiry| expiry.expires_at_ms);
    Sessions {
        answer_timestamp_seconds: view.received_at.wall_seconds(),
        open: view.open,
        by_safety_type: view
            .by_safety_type
            .iter()
            .map(|(safety_type, open)| TypeCount {
                safety_type_id: safety_type.to_string(),
                safety_type: names.name(*safety_type),
                open: *open,
            })
            .collect(),
        expire_min_milliseconds: left.map(|left| left.min),
        expire_max_milliseconds: left.map(|left| left.max),
        min_expiry_timestamp_seconds: at.map(|at| at.min / 1000.0),
        max_expiry_timestamp_seconds: at.map(|at| at.max / 1000.0),
        expire_unknown: view.expire_unknown,
        max_lifetime_seconds: view.max_lifetime_ms.map(|ms| ms / 1000.0),
        client_ips: view.client_ips,
        logins: view.logins,
        violating: view
            .violating
            .iter()
            .map(|(rule, count)| (rule.name(), *count))
            .collect(),
        undecodable: view.undecodable,
        details: view
            .details
            .iter()
            .map(|detail| single(detail, names))
            .collect(),
    }
}

fn single<'a>(detail: &'a SessionDetail, names: &'a SafetyNames) -> SessionJson<'a> {
    SessionJson {
        session_id: detail.id.to_string(),
        safety_type_id: detail.safety_type.to_string(),
        safety_type: names.name(detail.safety_type),
        user_login: detail.user_login.as_deref(),
        client_ip: detail.client.as_ref().map(ToString::to_string),
        expiry_timestamp_seconds: detail.expires_at_ms.map(|ms| ms / 1000.0),
        violating: detail
            .violated_rules
            .iter()
            .map(|rule| rule.name())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::session::rules::Policy;
    use crate::session::summary::SessionDetails;
    use crate::tradernet::Error;
    use crate::web::test_support::{
        NOW, ago, answered, failed, published, reading, session, starting,
    };

    fn shown(accounts: Vec<AccountStatus>) -> serde_json::Value {
        let board = published(accounts);
        let bytes = render(&board, &SafetyNames::default(), &Query::default(), NOW).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn refused() -> Error {
        Error::HttpStatus {
            status: 502,
            retry_after: None,
        }
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
        let board = published(vec![before, desk]);
        let accounts = board.accounts();
        let answer = serde_json::to_string_pretty(&document(&accounts, &names, NOW));
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
