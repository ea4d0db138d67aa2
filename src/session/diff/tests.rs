//! Opened and closed sessions, and the reasons.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::session::SessionList;
use crate::session::test_support::{after, list, moment, session, vendors};

const MAX_AGE: Duration = Duration::from_secs(90);

/// The last answer, in milliseconds.
fn last(list: &SessionList, expiry_ms: HashMap<u64, f64>) -> LastAnswer {
    LastAnswer {
        snapshot: Arc::new(snapshot(list, after(0.0))),
        confirmed_at: after(0.0),
        unit: Unit::Milliseconds,
        expiry_ms,
    }
}

fn snapshot(list: &SessionList, received_at: Timestamps) -> Snapshot {
    Snapshot {
        list: list.clone(),
        received_at,
    }
}

fn unit(confirmed: bool) -> UnitStatus {
    UnitStatus {
        unit: Unit::Milliseconds,
        confirmed,
    }
}

fn compare(previous: &SessionList, current: &SessionList) -> SessionDiff {
    let current = snapshot(current, after(30.0));
    diff(
        &last(previous, HashMap::new()),
        &current,
        unit(true),
        MAX_AGE,
    )
}

#[test]
fn sessions_are_compared_by_id() {
    for (previous, current, opened, closed) in [
        (vec![], vec![], vec![], vec![]),
        (vec![1, 2], vec![1, 2], vec![], vec![]),
        (vec![], vec![1, 2], vec![1, 2], vec![]),
        (vec![1, 2], vec![], vec![], vec![1, 2]),
        (vec![1, 2, 3], vec![3, 4], vec![4], vec![1, 2]),
    ] {
        let listed = |ids: &[u64]| list(ids.iter().map(|id| session(*id)).collect::<Vec<_>>());
        let diff = compare(&listed(&previous), &listed(&current));
        let ids = |sessions: Vec<Session>| sessions.iter().map(|s| s.id).collect::<Vec<_>>();
        assert_eq!(ids(diff.opened), opened, "{previous:?} {current:?}");
        let gone = diff.closed.into_iter().map(|(session, _)| session);
        assert_eq!(ids(gone.collect()), closed, "{previous:?} {current:?}");
    }
}

#[test]
fn renewed_session_is_neither_opened_nor_closed() {
    let renewed = Session {
        expire_datetime_hash: Some(20160616131413),
        time_left: Some(172_800.0),
        ..vendors()
    };
    let diff = compare(&list([vendors()]), &list([renewed]));
    assert_eq!(diff, SessionDiff::default());
}

/// The reason for a missing session whose expiry is this many milliseconds after the answer.
fn reason(
    expiry_after_ms: Option<f64>,
    received_at: Timestamps,
    unit_settled: bool,
) -> CloseReason {
    let expiry = expiry_after_ms.map(|ms| (1, received_at.wall_ms + ms));
    let last = last(&list([session(1)]), expiry.into_iter().collect());
    let current = snapshot(&list([]), received_at);
    let closed = diff(&last, &current, unit(unit_settled), MAX_AGE).closed;
    assert_eq!(closed.len(), 1);
    closed.first().unwrap().1
}

#[test]
fn session_expired_or_ended_by_its_expiry() {
    for (expiry_after_ms, expected) in [
        (-20_000.0, CloseReason::Expired),
        (0.0, CloseReason::Expired),
        (2000.0, CloseReason::Expired),
        (2001.0, CloseReason::Ended),
        (86_400_000.0, CloseReason::Ended),
    ] {
        let reason = reason(Some(expiry_after_ms), after(30.0), true);
        assert_eq!(reason, expected, "{expiry_after_ms}");
    }
}

#[test]
fn reason_is_unknown_without_expiry_or_settled_unit() {
    assert_eq!(reason(None, after(30.0), true), CloseReason::Unknown);
    for expiry_after_ms in [-20_000.0, 0.0, 86_400_000.0] {
        let reason = reason(Some(expiry_after_ms), after(30.0), false);
        assert_eq!(reason, CloseReason::Unknown, "{expiry_after_ms}");
    }
}

#[test]
fn reason_is_unknown_after_a_gap_past_max_age_that_covers_the_expiry() {
    let expired = |received_at| reason(Some(-50_000.0), received_at, true);
    assert_eq!(expired(after(90.0)), CloseReason::Expired);
    let long = after(90.001);
    assert_eq!(expired(long), CloseReason::Unknown);
    assert_eq!(reason(Some(2000.0), long, true), CloseReason::Unknown);
    // Later than the gap.
    assert_eq!(reason(Some(2001.0), long, true), CloseReason::Ended);
    // Earlier than the gap.
    assert_eq!(reason(Some(-90_100.0), long, true), CloseReason::Expired);
}

#[test]
fn suspended_machine_counts_as_a_gap() {
    let suspended = moment(8.0 * 3600.0, 30.0);
    assert_eq!(reason(Some(-3600e3), suspended, true), CloseReason::Unknown);
    assert_eq!(reason(Some(3600e3), suspended, true), CloseReason::Ended);
}
