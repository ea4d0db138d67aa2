//! The state and its effects: time, counters, the log, and how changes are noticed.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::client::{Ask, serving, soon};
use crate::simulator::{
    AccountSpec, Fault, FaultTarget, Repeat, ResponseOptions, SessionSpec, Simulator,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A world whose time stands still until it is moved, with `desk-1`, whose SID is `sid`.
fn world() -> (Simulator, impl Fn(Duration)) {
    let clock = Arc::new(AtomicU64::new(1_700_000_000));
    let read = Arc::clone(&clock);
    let world = Simulator::with_clock(move || {
        SystemTime::UNIX_EPOCH + Duration::from_secs(read.load(Ordering::Relaxed))
    });
    world.add_account(AccountSpec::new("desk-1").sid("sid").user_login("broker"));
    (world, move |by| {
        clock.fetch_add(by.as_secs(), Ordering::Relaxed);
    })
}

fn ids(world: &Simulator) -> Vec<i64> {
    world
        .sessions("desk-1")
        .iter()
        .map(|session| session.id)
        .collect()
}

#[test]
fn sessions_open_renew_close_and_expire_by_the_worlds_clock() {
    let (world, pass) = world();
    let first = world.open("desk-1", SessionSpec::new(2, HOUR)).unwrap();
    let second = world
        .open("desk-1", SessionSpec::new(3, HOUR).age(HOUR / 2))
        .unwrap();
    let third = world.open("desk-1", SessionSpec::new(None, HOUR)).unwrap();
    assert_eq!(ids(&world), [first, second, third]);
    assert_eq!(world.next_expiry("desk-1"), Some(world.now() + HOUR / 2));

    pass(HOUR / 2);
    assert_eq!(ids(&world), [first, third], "at its end a session is gone");
    world.renew("desk-1", first, 2 * HOUR).unwrap();
    world.close("desk-1", third).unwrap();
    pass(2 * HOUR - Duration::from_secs(1));
    assert_eq!(ids(&world), [first]);
    pass(Duration::from_secs(1));
    assert_eq!(ids(&world), [] as [i64; 0]);
    assert_eq!(world.next_expiry("desk-1"), None);
}

#[test]
fn what_is_not_there_is_an_error() {
    let (world, pass) = world();
    let id = world.open("desk-1", SessionSpec::new(2, HOUR)).unwrap();
    pass(HOUR);
    let gone = format!("the simulator has no open session {id} of desk-1");
    assert_eq!(
        world.renew("desk-1", id, HOUR).unwrap_err().to_string(),
        gone
    );
    assert_eq!(world.close("desk-1", id).unwrap_err().to_string(), gone);
    let nobody = world.open("desk-2", SessionSpec::default()).unwrap_err();
    assert_eq!(nobody.to_string(), "the simulator has no account desk-2");
    assert!(
        world
            .fail("desk-2", FaultTarget::Any, Repeat::Forever, Fault::Hang)
            .is_err()
    );
}

#[test]
fn ids_given_and_ids_made_do_not_meet() {
    let (world, _) = world();
    assert_eq!(
        world.open("desk-1", SessionSpec::default()).unwrap(),
        7_165_011
    );
    assert_eq!(
        world
            .open("desk-1", SessionSpec::default().id(7_165_012))
            .unwrap(),
        7_165_012
    );
    assert_eq!(
        world.open("desk-1", SessionSpec::default()).unwrap(),
        7_165_013
    );
}

#[test]
fn a_watcher_sees_changes_of_its_account_only() {
    let (world, pass) = world();
    world.add_account(AccountSpec::new("desk-2"));
    let mut watch = world.watch("desk-1").unwrap();
    world.open("desk-2", SessionSpec::default()).unwrap();
    world
        .fail("desk-1", FaultTarget::Any, Repeat::Forever, Fault::Hang)
        .unwrap();
    assert!(!watch.has_changed().unwrap());
    let id = world.open("desk-1", SessionSpec::new(2, HOUR)).unwrap();
    assert!(watch.has_changed().unwrap());
    watch.mark_unchanged();
    world.renew("desk-1", id, HOUR).unwrap();
    assert!(watch.has_changed().unwrap());
    watch.mark_unchanged();
    pass(HOUR);
    assert!(world.list("desk-1").unwrap().is_empty());
    assert!(
        watch.has_changed().unwrap(),
        "an expiry is a change once someone has looked"
    );
}

#[test]
fn an_account_added_again_begins_anew() {
    let (world, _) = world();
    world.open("desk-1", SessionSpec::default()).unwrap();
    world.add_account(AccountSpec::new("desk-1").sid("new"));
    assert!(ids(&world).is_empty());
    assert_eq!(world.login_of_sid("sid"), None);
    assert_eq!(world.login_of_sid("new").as_deref(), Some("desk-1"));
}

#[test]
fn old_sids_make_room() {
    let (world, _) = world();
    for number in 0..100 {
        world.add_sid("desk-1", format!("sid-{number}")).unwrap();
    }
    assert_eq!(world.login_of_sid("sid"), None);
    assert_eq!(world.login_of_sid("sid-35"), None);
    assert!(world.login_of_sid("sid-36").is_some());
}

#[tokio::test]
async fn the_log_shows_what_was_sent_and_keeps_no_more_than_asked() {
    let (world, _) = world();
    let address = serving(&world).await;
    Ask::get("/api/?q=1")
        .header("x-odd", "yes")
        .answer(address)
        .await;
    Ask::sid("sid").answer(address).await;
    let requests = world.requests();
    let [first, second] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert_eq!(
        (first.method.as_str(), first.target.as_str()),
        ("GET", "/api/?q=1")
    );
    assert_eq!(
        (first.header("x-odd"), &first.account),
        (Some("yes"), &None)
    );
    assert_eq!(second.header("user-agent"), Some("test/1"));
    assert!(second.body.starts_with(b"q=%7B"));
    assert_eq!(second.account.as_deref(), Some("desk-1"));
    assert_eq!(second.time, world.now());
    assert!(!format!("{second:?}").contains("sid"), "{second:?}");

    world.keep_requests(1);
    Ask::get("/api/?q=3").answer(address).await;
    assert_eq!(
        world
            .requests()
            .iter()
            .map(|request| request.target.clone())
            .collect::<Vec<_>>(),
        ["/api/?q=3"]
    );
}

#[tokio::test]
async fn a_test_waits_for_an_effect() {
    let (world, _) = world();
    let address = serving(&world).await;
    let waiter = tokio::spawn({
        let world = world.clone();
        async move {
            world
                .wait_until(|world| world.lists_seen("desk-1") == 2)
                .await
        }
    });
    Ask::sid("sid").answer(address).await;
    assert!(!waiter.is_finished());
    Ask::sid("sid").answer(address).await;
    soon(waiter).await.unwrap();
}

#[tokio::test]
async fn requests_under_way_are_counted_and_forgotten_when_the_client_leaves() {
    let (world, _) = world();
    world
        .fail("desk-1", FaultTarget::Lists, Repeat::Count(1), Fault::Hang)
        .unwrap();
    world
        .fail(
            "desk-1",
            FaultTarget::Lists,
            Repeat::Count(1),
            Fault::HangBody,
        )
        .unwrap();
    let address = serving(&world).await;
    let hanging = Ask::sid("sid").send(address).await;
    soon(world.wait_until(|world| world.seen("desk-1").in_flight == 1)).await;
    let half = Ask::sid("sid").send(address).await;
    soon(world.wait_until(|world| world.seen("desk-1").in_flight == 2)).await;
    drop((hanging, half));
    soon(world.wait_until(|world| world.seen("desk-1").in_flight == 0)).await;
    Ask::sid("sid").answer(address).await;
    assert_eq!(
        (
            world.seen("desk-1").max_in_flight,
            world.lists_seen("desk-1")
        ),
        (2, 3)
    );
}

#[tokio::test]
async fn answers_are_compressed_where_the_client_accepts_it() {
    let (world, _) = world();
    world.open("desk-1", SessionSpec::default().id(9)).unwrap();
    let address = serving(&world).await;
    let ask = Ask::sid("sid").header("accept-encoding", "br, gzip");
    assert_eq!(ask.answer(address).await.header("content-encoding"), "");
    world
        .set_quirks("desk-1", |quirks| {
            *quirks = ResponseOptions {
                gzip: true,
                ..ResponseOptions::default()
            }
        })
        .unwrap();
    assert_eq!(Ask::sid("sid").ids(address).await, Ok(vec![9]));
    let answer = ask.answer(address).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*answer.body)
        .read_to_string(&mut text)
        .unwrap();
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&list[0]["id"], &list[0]["user_login"]),
        (&json!(9), &json!("broker"))
    );
}

#[tokio::test]
async fn shutdown_cuts_what_hangs() {
    let (world, _) = world();
    world
        .fail("desk-1", FaultTarget::Any, Repeat::Forever, Fault::Hang)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let face = tokio::spawn(crate::simulator::serve(
        listener,
        world.clone(),
        None,
        async {
            stopped.await.ok();
        },
    ));
    let hanging = tokio::spawn(async move { Ask::sid("sid").raw(address).await });
    soon(world.wait_until(|world| world.seen("desk-1").in_flight == 1)).await;
    stop.send(()).unwrap();
    soon(face).await.unwrap();
    assert!(
        soon(hanging)
            .await
            .unwrap()
            .is_ok_and(|answer| answer.is_empty())
    );
}
