//! Each fault, as it arrives at the client.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::client::{Answer, Ask, serving, soon};
use crate::simulator::{
    AccountSpec, ErrorEnvelope, Fault, FaultTarget, Repeat, RetryAfter, SessionSpec, Simulator,
};

async fn world_with(fault: Fault) -> (Simulator, std::net::SocketAddr) {
    let world =
        Simulator::with_clock(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    world.add_account(
        AccountSpec::new("desk-1")
            .sid("sid-of-desk")
            .password("right")
            .key("key", "secret"),
    );
    world
        .account("desk-1")
        .open_session(SessionSpec::default().id(1));
    world
        .account("desk-1")
        .inject_fault(FaultTarget::SessionList, Repeat::Count(1), fault);
    let address = serving(&world).await;
    (world, address)
}

/// The answer that the fault spoils. The one after it is well again.
async fn spoilt(fault: Fault) -> Answer {
    let (_world, address) = world_with(fault).await;
    let answer = Ask::sid("sid-of-desk").answer(address).await;
    assert_eq!(Ask::sid("sid-of-desk").ids(address).await, Ok(vec![1]));
    answer
}

async fn spoilt_raw(fault: Fault) -> std::io::Result<Vec<u8>> {
    let (_world, address) = world_with(fault).await;
    Ask::sid("sid-of-desk").raw(address).await
}

#[tokio::test]
async fn statuses_come_with_their_body_and_headers() {
    let answer = spoilt(Fault::Status {
        code: 503,
        body: Bytes::from_static(b"cannot serve {SID}"),
        content_type: "text/plain",
        headers: vec![("retry-after", "7".into())],
    })
    .await;
    assert_eq!(
        (
            answer.status,
            answer.header("content-type"),
            answer.header("retry-after")
        ),
        (503, "text/plain", "7")
    );
    assert_eq!(answer.body, b"cannot serve sid-of-desk");
    assert_eq!(spoilt(Fault::HtmlForbidden).await.status, 403);
    assert_eq!(
        spoilt(Fault::HtmlPage).await.header("content-type"),
        "text/html; charset=utf-8"
    );
    let answer = spoilt(Fault::EmptyBody).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert!(
        serde_json::from_slice::<serde_json::Value>(&spoilt(Fault::InvalidJson).await.body)
            .is_err()
    );
    let answer = spoilt(Fault::Redirect {
        status: 307,
        location: "http://127.0.0.1:1/x".into(),
    })
    .await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (307, "http://127.0.0.1:1/x")
    );
}

#[tokio::test]
async fn a_rate_limit_tells_how_long_or_until_when_or_nothing() {
    let retry_after = |retry_after| async move {
        let answer = spoilt(Fault::RateLimited { retry_after }).await;
        assert_eq!(answer.status, 429);
        (
            answer.header("retry-after").to_owned(),
            answer.header("date").to_owned(),
        )
    };
    let date = "Tue, 14 Nov 2023 22:13:20 GMT".to_owned();
    assert_eq!(
        retry_after(RetryAfter::Absent).await,
        (String::new(), date.clone())
    );
    assert_eq!(
        retry_after(RetryAfter::Seconds(90)).await,
        ("90".into(), date.clone())
    );
    let later = RetryAfter::Date(Duration::from_secs(90));
    assert_eq!(
        retry_after(later).await,
        ("Tue, 14 Nov 2023 22:14:50 GMT".into(), date)
    );
}

#[tokio::test]
async fn envelopes_have_both_styles_and_echo_what_was_sent() {
    let answer = spoilt(Fault::envelope(ErrorEnvelope::error(
        8,
        "SID {SID} from an unknown address",
    )))
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({ "error": "SID sid-of-desk from an unknown address", "code": 8 })
    );

    let envelope = ErrorEnvelope {
        code: None,
        ..ErrorEnvelope::err_msg(0, "{KEY} {SIG}")
    };
    let (_world, address) = world_with(Fault::ErrorEnvelope {
        status: 401,
        envelope,
    })
    .await;
    let answer = Ask::v3("key", "secret", 1_700_000_000)
        .header("x-ntapi-sig", "feed")
        .answer(address)
        .await;
    assert_eq!(
        (answer.status, answer.json()),
        (401, json!({ "errMsg": "key feed" }))
    );

    let (world, address) = world_with(Fault::InvalidJson).await;
    let envelope = ErrorEnvelope::err_msg(12, "{LOGIN} is not {PASSWORD}");
    world.account("desk-1").inject_fault(
        FaultTarget::Login,
        Repeat::Count(1),
        Fault::envelope(envelope),
    );
    let answer = Ask::login("desk-1", "guess").answer(address).await;
    assert_eq!(
        answer.json(),
        json!({ "errMsg": "desk-1 is not guess", "code": 12 })
    );
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let error = spoilt_raw(Fault::Reset).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_truncated_body_is_shorter_than_its_head_says() {
    let answer = spoilt(Fault::Truncated).await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, "1000")
    );
    assert_eq!(answer.body.len(), 43);
}

#[tokio::test]
async fn a_body_that_hangs_comes_after_its_head() {
    let (_world, address) = world_with(Fault::StallBody).await;
    let mut stream = Ask::sid("sid-of-desk").send(address).await;
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        assert_ne!(soon(stream.read_buf(&mut read)).await.unwrap(), 0);
    }
    assert!(read.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn too_large_a_list_is_valid_for_its_whole_length() {
    let answer = spoilt(Fault::OversizedList {
        bytes: 3_000_000,
        with_content_length: true,
    })
    .await;
    assert_eq!(
        (answer.header("content-length"), answer.body.len()),
        ("3000000", 3_000_000)
    );
    assert!(answer.json().as_array().unwrap().len() > 10_000);
    let answer = spoilt(Fault::OversizedList {
        bytes: 3_000_000,
        with_content_length: false,
    })
    .await;
    assert_eq!(answer.header("transfer-encoding"), "chunked");
    assert!(answer.body.len() > 3_000_000);
}

#[tokio::test]
async fn too_large_a_list_ends_when_the_client_leaves() {
    // A thousand times what any buffer holds: it could not be made within the test's time.
    let (world, address) = world_with(Fault::OversizedList {
        bytes: 1 << 50,
        with_content_length: false,
    })
    .await;
    let mut stream = Ask::sid("sid-of-desk").send(address).await;
    let mut some = vec![0; 1_000_000];
    soon(stream.read_exact(&mut some)).await.unwrap();
    assert_eq!(world.account("desk-1").counters().in_flight, 1);
    drop(stream);
    soon(world.wait_until(|world| world.account("desk-1").counters().in_flight == 0)).await;
}

#[tokio::test]
async fn a_bomb_says_that_it_is_compressed() {
    let answer = spoilt(Fault::GzipBomb {
        decoded_bytes: 10_000_000,
    })
    .await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert!(answer.body.len() < 12_000, "{}", answer.body.len());
}

#[tokio::test]
async fn brackets_are_nested_as_deep_as_asked() {
    let answer = spoilt(Fault::NestedBrackets(100_000)).await;
    assert_eq!(
        answer.body,
        ["[".repeat(100_000), "]".repeat(100_000)]
            .concat()
            .as_bytes()
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_the_usual_one_later() {
    let (_world, address) = world_with(Fault::Slow {
        delay: Duration::from_secs(5),
    })
    .await;
    let begun = tokio::time::Instant::now();
    assert_eq!(Ask::sid("sid-of-desk").ids(address).await, Ok(vec![1]));
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn an_expired_sid_stays_refused_until_a_login() {
    let (_world, address) = world_with(Fault::RevokeSid).await;
    assert_eq!(Ask::sid("sid-of-desk").ids(address).await, Err(12));
    assert_eq!(Ask::sid("sid-of-desk").ids(address).await, Err(12));
    assert_eq!(
        Ask::v3("key", "secret", 1_700_000_000).ids(address).await,
        Ok(vec![1])
    );
}
