//! Which requests are answered, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hyper::header::HeaderValue;

use super::*;
use crate::web::test_support::{Answer, Served, request_on, settings};
use crate::web::turns::MAX_WAITING;

/// Hashes of the least cost of `right`.
fn config(users: &[&str]) -> WebConfig {
    let hash = bcrypt::hash("right", 4).unwrap();
    let users = users.iter().map(|user| ((*user).to_owned(), hash.clone()));
    WebConfig {
        users: users.collect::<BTreeMap<_, _>>(),
        ..WebConfig::default()
    }
}

async fn served(config: WebConfig) -> Served {
    let web_config = Arc::new(config);
    Served::start(crate::web::Settings {
        web_config,
        ..settings()
    })
    .await
}

fn authorization(user: &str, password: &str) -> String {
    let both = BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {both}")
}

async fn get_as(served: &Served, path: &str, user: &str, password: &str) -> Answer {
    let line = authorization(user, password);
    served.request("GET", path, &[&line]).await
}

#[tokio::test]
async fn everything_but_probes_needs_a_password() {
    let served = served(config(&["alice", "bob"])).await;
    for path in ["/metrics", "/", "/api/v1/accounts", "/-/log-level", "/no"] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        let expected = "Basic realm=\"tradernet-exporter\", charset=\"UTF-8\"";
        assert_eq!(answer.header("www-authenticate"), Some(expected));
    }
    for path in ["/-/reload", "/-/reload?account=a"] {
        assert_eq!(
            served.request("POST", path, &[]).await.status,
            401,
            "{path}"
        );
    }
    assert_eq!(served.request("PUT", "/-/log-level", &[]).await.status, 401);
    assert_eq!(served.get("/-/healthy").await.status, 200);
    assert_eq!(served.get("/-/ready").await.status, 503);

    assert_eq!(
        get_as(&served, "/metrics", "bob", "right").await.status,
        200
    );
    for (user, password) in [("bob", "wrong"), ("carol", "right"), ("", ""), ("bob", "")] {
        let answer = get_as(&served, "/metrics", user, password).await;
        assert_eq!(answer.status, 401, "{user}");
    }
    for value in [
        "Basic",
        "Basic !",
        "Bearer x",
        "Basic Ym9i",
        "basic  Ym9iOnJpZ2h0 ",
    ] {
        let line = format!("Authorization: {value}");
        let answer = served.request("GET", "/metrics", &[&line]).await;
        let expected = if value.starts_with("basic") { 200 } else { 401 };
        assert_eq!(answer.status, expected, "{value}");
    }
}

#[tokio::test]
async fn passwords_are_checked_one_at_a_time_beside_other_requests() {
    let served = served(config(&["alice"])).await;
    assert_eq!(
        get_as(&served, "/metrics", "alice", "right").await.status,
        200
    );

    let checks = &served.app.access.checks;
    let running = checks.turn.acquire().await.unwrap();
    let ask = |user: &'static str| {
        let (line, address) = (authorization(user, "wrong"), served.address);
        tokio::spawn(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            request_on(stream, "GET", "/metrics", &[&line]).await.status
        })
    };
    // An unknown user is checked like a wrong password.
    let waiting: Vec<_> = ["alice", "nobody"]
        .into_iter()
        .cycle()
        .take(MAX_WAITING)
        .map(ask)
        .collect();
    while checks.waiting.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    // Neither a check that succeeded before nor a probe waits.
    assert_eq!(
        get_as(&served, "/metrics", "alice", "right").await.status,
        200
    );
    assert_eq!(served.get("/-/healthy").await.status, 200);
    let refused = get_as(&served, "/metrics", "alice", "wrong").await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("1"))
    );
    assert!(waiting.iter().all(|request| !request.is_finished()));

    drop(running);
    for request in waiting {
        assert_eq!(request.await.unwrap(), 401);
    }
}

#[tokio::test]
async fn reload_keeps_passwords_that_were_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    let hash = bcrypt::hash("right", 4).unwrap();
    let write = |value| {
        let header = format!("http_server_config: {{headers: {{X-Frame-Options: {value}}}}}");
        std::fs::write(
            &path,
            format!("basic_auth_users: {{alice: {hash}}}\n{header}\n"),
        )
        .unwrap();
    };
    write("deny");
    let mut file = WebConfigFile::new(path.clone());
    let served = served(file.read().unwrap()).await;
    let app = Arc::clone(&served.app);
    tokio::spawn(async move { app.follow_web_config(file).await });
    assert_eq!(
        get_as(&served, "/metrics", "alice", "right").await.status,
        200
    );
    write("sameorigin");
    let header = async || {
        let answer = served.get("/-/healthy").await;
        answer.header("x-frame-options").map(str::to_owned)
    };
    while header().await.as_deref() != Some("sameorigin") {}

    // A comparison would be answered with 429.
    let waiting = &served.app.access.checks.waiting;
    let _all = waiting
        .acquire_many(MAX_WAITING.try_into().unwrap())
        .await
        .unwrap();
    assert_eq!(
        get_as(&served, "/metrics", "alice", "right").await.status,
        200
    );
}

#[tokio::test]
async fn rate_limit_comes_before_the_password() {
    let interval = Duration::from_secs(10);
    let rate_limit = Some(RateLimit { interval, burst: 2 });
    let served = served(WebConfig {
        rate_limit,
        ..config(&["alice"])
    })
    .await;
    let statuses = async || {
        [
            get_as(&served, "/metrics", "alice", "right").await.status,
            served.get("/metrics").await.status,
            served.get("/metrics").await.status,
        ]
    };
    assert_eq!(statuses().await, [200, 401, 429]);
    let refused = get_as(&served, "/metrics", "alice", "right").await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("10"))
    );
    assert_eq!(served.get("/-/healthy").await.status, 200);

    tokio::time::pause();
    tokio::time::advance(interval).await;
    assert_eq!(statuses().await, [200, 429, 429]);
    tokio::time::advance(interval * 100).await;
    assert_eq!(statuses().await, [200, 401, 429]);
}

#[tokio::test]
async fn headers_are_part_of_every_answer() {
    let header =
        |name: &'static str, value| (name.parse().unwrap(), HeaderValue::from_static(value));
    let headers = vec![
        header("x-frame-options", "deny"),
        header("content-security-policy", "default-src 'self'"),
    ];
    let served = served(WebConfig {
        headers,
        ..config(&["alice"])
    })
    .await;
    for path in ["/", "/-/healthy"] {
        let answer = served.get(path).await;
        assert_eq!(answer.header("x-frame-options"), Some("deny"));
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'self'")
        );
    }
}
