//! Lists of sessions and their metrics.

use std::time::Duration;

use tradernet_exporter::simulator::{Fault, ResponseShape, SessionSpec};

use crate::support::{Exposition, InProcessExporter, SID, SimulatedApi};

/// The sample of the vendor's page, its comments and its ellipsis left out.
const VENDORS_SAMPLE: &str = r#"[
    {
        "id"              : 7165011,
        "owner_login"     : "virtual@virtual.com",
        "user_login"      : "virtual@virtual.com",
        "safety_type_id"  : 4,
        "key_current"     : "Login, password",
        "start_datetime"  : "2016-06-14T13:14:13.187",
        "expire_datetime" : "2016-06-15T13:14:13.187",
        "expire"          : 85299,
        "ip"              : "c5u7iip134fdfsxfqt4aq1osqchtg5b",
        "ip_client"       : "19.16.32.32"
    }
]"#;

const OPEN: &str = "tradernet_security_sessions_open";
const HOUR: Duration = Duration::from_secs(3600);

fn expire(page: &Exposition, which: &str) -> f64 {
    let name = format!("tradernet_security_session_expire_{which}_milliseconds");
    page.get(&name, &[])
}

/// Open sessions by type, in the order of the ids' texts.
fn by_type(page: &Exposition) -> Vec<(String, String, f64)> {
    let mut types: Vec<_> = page
        .matching("tradernet_security_sessions_by_safety_type", &[])
        .map(|(labels, open)| {
            let label = |name: &str| labels[name].clone();
            (label("safety_type_id"), label("safety_type"), open)
        })
        .collect();
    types.sort_by(|a, b| a.0.cmp(&b.0));
    types
}

fn types(expected: &[(&str, &str, f64)]) -> Vec<(String, String, f64)> {
    expected
        .iter()
        .map(|&(id, name, open)| (id.to_owned(), name.to_owned(), open))
        .collect()
}

#[tokio::test]
async fn vendor_sample_is_one_session_of_type_4_with_85299_ms_left() {
    let upstream = SimulatedApi::start().await;
    upstream.answer(VENDORS_SAMPLE);
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get(OPEN, &[]), 1.0);
    assert_eq!(expire(&page, "max"), 85_299.0);
    assert_eq!(expire(&page, "min"), 85_299.0);
    let expected = [
        ("2", "token", 0.0),
        ("3", "sms", 0.0),
        ("4", "password", 1.0),
    ];
    assert_eq!(by_type(&page), types(&expected));
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(page.get("tradernet_security_session_client_ips", &[]), 1.0);
    let ends = upstream.clock.wall_seconds() + 85.299;
    for which in ["max", "min"] {
        let name = format!("tradernet_security_session_{which}_expiry_timestamp_seconds");
        assert!((page.get(&name, &[]) - ends).abs() < 0.01);
    }
    exporter.stop().await;
}

#[tokio::test]
async fn clock_offset_is_that_of_the_last_answer() {
    let upstream = SimulatedApi::start().await;
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let offset = |page: &Exposition| page.get("tradernet_clock_offset_seconds", &[]);
    let equal = offset(&exporter.metrics().await);
    assert!((0.0..5.0).contains(&equal), "{equal}");
    let two_hours_ago = upstream.world.now() - 2 * HOUR;
    let date = httpdate::fmt_http_date(two_hours_ago);
    upstream.fail(Fault::json(200, "[]").header("date", date));
    let behind = offset(&exporter.poll().await) - 7200.0;
    assert!((0.0..5.0).contains(&behind), "{behind}");
    exporter.stop().await;
}

#[tokio::test]
async fn empty_list_zeroes_known_types() {
    let upstream = SimulatedApi::start().await;
    let account = upstream.account();
    let opened = [
        account.open_session(SessionSpec::new(15, HOUR)),
        account.open_session(SessionSpec::new(4, HOUR * 2)),
        account.open_session(SessionSpec::new(None, HOUR * 3)),
    ];
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get(OPEN, &[]), 3.0);
    assert_eq!(expire(&page, "min"), 3_600_000.0);
    assert_eq!(expire(&page, "max"), 3.0 * 3_600_000.0);
    let expected = |each: f64| {
        types(&[
            ("15", "earlier_instructions", each),
            ("2", "token", 0.0),
            ("3", "sms", 0.0),
            ("4", "password", each),
            ("none", "none", each),
        ])
    };
    assert_eq!(by_type(&page), expected(1.0));

    for id in opened {
        account.close_session(id);
    }
    let page = exporter.poll().await;
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    assert_eq!(page.get(OPEN, &[]), 0.0);
    assert_eq!([expire(&page, "max"), expire(&page, "min")], [0.0, 0.0]);
    assert_eq!(by_type(&page), expected(0.0));
    assert!(!page.text.contains("_expiry_timestamp_seconds"));
    exporter.stop().await;
}

#[tokio::test]
async fn list_in_an_envelope() {
    let upstream = SimulatedApi::start().await;
    let account = upstream.account();
    account.change_spec(|spec| spec.shape = ResponseShape::ResponseInArray);
    let exporter = InProcessExporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    // An empty list is a null.
    let page = exporter.metrics().await;
    assert_eq!(page.get(OPEN, &[]), 0.0);
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    account.open_session(SessionSpec::new(2, HOUR));
    let page = exporter.poll().await;
    assert_eq!(page.get(OPEN, &[]), 1.0);
    assert_eq!(expire(&page, "min"), 3_600_000.0);
    exporter.stop().await;
}

#[tokio::test]
async fn secret_in_session_fields_is_redacted() {
    let upstream = SimulatedApi::start().await;
    upstream.answer(format!(
        r#"[{{"id":1,"user_login":"{SID}","ip_client":"{}"}}, {{"id":2,"user_login":"desk"}}]"#,
        SID.to_uppercase()
    ));
    let variables = [
        ("TRADERNET_SID", SID),
        ("TRADERNET_SESSION_DETAILS", "full"),
    ];
    let exporter = InProcessExporter::start(&upstream, &variables).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get(OPEN, &[]), 2.0);
    assert!(page.text.contains(r#"user_login="desk""#));
    assert!(
        page.text
            .contains(r#"user_login="[redacted]",client_ip="[redacted]""#)
    );
    assert!(!page.text.to_lowercase().contains(&SID.to_lowercase()));
    exporter.stop().await;
}
