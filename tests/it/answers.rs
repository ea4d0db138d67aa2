//! Answers and what the page shows of them.

use crate::harness::{Exporter, SID, Upstream};

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

#[tokio::test]
async fn the_vendors_sample_is_one_session_of_type_4_with_85299_ms_left() {
    let upstream = Upstream::start().await;
    upstream.answer(VENDORS_SAMPLE);
    let exporter = Exporter::start(&upstream, &[("TRADERNET_SID", SID)]).await;
    let page = exporter.metrics().await;
    assert_eq!(page.get("tradernet_security_sessions_open", &[]), 1.0);
    for name in ["max", "min"] {
        let name = format!("tradernet_security_session_expire_{name}_milliseconds");
        assert_eq!(page.get(&name, &[]), 85_299.0);
    }
    let of_type = |id| {
        page.get(
            "tradernet_security_sessions_by_safety_type",
            &[("safety_type_id", id)],
        )
    };
    assert_eq!([of_type("2"), of_type("3"), of_type("4")], [0.0, 0.0, 1.0]);
    assert_eq!(page.get("tradernet_up", &[]), 1.0);
    exporter.stop().await;
}
