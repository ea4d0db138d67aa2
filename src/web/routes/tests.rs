//! Every route over a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Timestamps};
use crate::session::summary::SessionDetails;
use crate::web::test_support::{NOW, Served, answered, reading, session, settings, starting};
use crate::web::turns::MAX_WAITING;
use crate::web::{ListenerKind, ReloadRequest, Settings, serve};

const PROMETHEUS: &str = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

fn lifecycle() -> Settings {
    Settings {
        enable_lifecycle: true,
        ..settings()
    }
}

#[tokio::test]
async fn each_route_answers_its_methods_only() {
    let served = Served::start(lifecycle()).await;
    for path in ["/", "/metrics", "/-/healthy", "/api/v1/accounts"] {
        let got = served.get(path).await;
        assert_eq!(got.status, 200, "{path}");
        let head = served.request("HEAD", path, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert!(head.header("content-length").is_some(), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let refused = served.request(method, path, &[]).await;
            assert_eq!(refused.status, 405, "{method} {path}");
            assert_eq!(refused.header("allow"), Some("GET, HEAD"));
        }
    }
    let refused = served.request("POST", "/-/log-level", &[]).await;
    assert_eq!(refused.header("allow"), Some("GET, HEAD, PUT"));
    for method in ["GET", "HEAD", "PUT"] {
        let refused = served.request(method, "/-/reload", &[]).await;
        assert_eq!(refused.status, 405);
        assert_eq!(refused.header("allow"), Some("POST"));
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let served = Served::start(settings()).await;
    for path in [
        "/",
        "/metrics",
        "/-/healthy",
        "/-/ready",
        "/api/v1/accounts",
        "/nothing",
    ] {
        let answer = served.get(path).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_are_404() {
    let served = Served::start(settings()).await;
    for path in [
        "/nothing",
        "/metrics/",
        "//",
        "/-/",
        "/api/v1/accounts/x",
        "/index.html",
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        let known = ["/metrics", "/api/v1/accounts", "/-/ready"];
        assert!(known.iter().all(|path| answer.text().contains(path)));
    }
}

#[tokio::test]
async fn telemetry_path_is_configurable() {
    let served = Served::start(Settings {
        telemetry_path: "/tradernet/metrics".to_owned(),
        ..settings()
    })
    .await;
    assert_eq!(served.get("/metrics").await.status, 404);
    assert_eq!(served.get("/tradernet/metrics?x=y").await.status, 200);
    let page = served.get("/").await;
    assert!(page.text().contains("href=\"./tradernet/metrics\""));
}

#[tokio::test]
async fn scrape_in_the_preferred_format() {
    let served = Served::start(settings()).await;
    let plain = served.get("/metrics").await;
    assert_eq!(
        plain.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(plain.header("vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(plain.header("content-encoding"), None);
    let open_metrics = served.request("GET", "/metrics", &[PROMETHEUS]).await;
    assert_eq!(
        open_metrics.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open_metrics.text().ends_with("# EOF\n"));
}

#[tokio::test]
async fn scrape_is_compressed_as_accepted() {
    let served = Served::start(settings()).await;
    served.sources.store.publish(answered(
        "desk",
        reading(Default::default(), SessionDetails::Off),
        vec![],
        NOW,
    ));
    let needle = "tradernet_up{account=\"desk\"} 1\n";

    let zipped = served
        .request("GET", "/metrics", &["Accept-Encoding: gzip"])
        .await;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(zipped.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains(needle));

    let accept = "Accept-Encoding: gzip, deflate, br, zstd";
    let zstd = served.request("GET", "/metrics", &[accept]).await;
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    let bytes = zstd::stream::decode_all(zstd.body.as_slice()).unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains(needle));
}

#[tokio::test]
async fn metrics_are_rendered_at_most_once_a_second() {
    let elapsed_ms = Arc::new(AtomicU64::new(0));
    let read_ms = Arc::clone(&elapsed_ms);
    let clock = Clock::from_fn(move || Timestamps {
        monotonic: Duration::from_millis(read_ms.load(Ordering::SeqCst)),
        ..NOW
    });
    let once_a_second = Settings {
        scrape_interval: Duration::from_secs(1),
        ..settings()
    };
    let served = Served::with(once_a_second, clock, |listener, app, stop| {
        serve(listener, app, ListenerKind::Main, stop)
    })
    .await;
    // The processor time on the page tells two renderings apart.
    let at_once = futures_util::future::join_all((0..5).map(|_| served.get("/metrics"))).await;
    assert!(at_once.iter().all(|page| page.body == at_once[0].body));
    let gzip = ["Accept-Encoding: gzip"];
    let zipped = served.request("GET", "/metrics", &gzip).await;

    served.sources.store.publish(starting("new"));
    elapsed_ms.store(999, Ordering::SeqCst);
    assert_eq!(served.get("/metrics").await.body, at_once[0].body);
    let again = served.request("GET", "/metrics", &gzip).await;
    assert_eq!(again.body, zipped.body);

    elapsed_ms.store(1000, Ordering::SeqCst);
    assert!(served.get("/metrics").await.text().contains("\"new\""));
    let again = served.request("GET", "/metrics", &gzip).await;
    assert_ne!(again.body, zipped.body);
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let served = Served::start(settings()).await;
    served.get("/-/healthy").await;
    served.get("/no-such-path").await;
    served.get("/nor%20this").await;
    served.request("POST", "/-/reload", &[]).await;
    let text = served.get("/metrics").await;
    for (handler, code, count) in [
        ("/-/healthy", 200, 1),
        ("other", 404, 2),
        ("/-/reload", 403, 1),
    ] {
        let line = format!(
            "tradernet_exporter_http_requests_total{{code=\"{code}\",handler=\"{handler}\"}} {count}\n"
        );
        assert!(text.text().contains(&line), "{line}");
    }
    assert!(!text.text().contains("no-such-path"));
}

#[tokio::test]
async fn reload_is_refused_without_lifecycle_and_from_foreign_origins() {
    let mut served = Served::start(settings()).await;
    let off = served.request("POST", "/-/reload", &[]).await;
    assert_eq!(off.status, 403);
    assert_eq!(
        off.text(),
        "this is disabled; start the exporter with --web.enable-lifecycle\n"
    );

    let mut on = Served::start(lifecycle()).await;
    for foreign in [
        "Host: evil.example",
        "Origin: https://evil.example",
        "Origin: null",
    ] {
        let refused = on.request("POST", "/-/reload", &[foreign]).await;
        assert_eq!(refused.status, 403, "{foreign}");
        assert!(refused.text().starts_with("refused: "), "{foreign}");
    }
    assert!(served.sources.reloads.try_recv().is_err());
    assert!(on.sources.reloads.try_recv().is_err());
}

/// Answers one reload request; returns also its account.
async fn reload(
    served: &mut Served,
    target: &str,
    outcome: Result<(), String>,
) -> (u16, String, Option<String>) {
    let requesting =
        super::super::test_support::request_on(served.connect().await, "POST", target, &[]);
    let answering = async {
        let ReloadRequest {
            account,
            by,
            answer,
        } = served.sources.reloads.recv().await.unwrap();
        assert_eq!(by, "127.0.0.1");
        answer.send(outcome).unwrap();
        account
    };
    let (answer, account) = tokio::join!(requesting, answering);
    (answer.status, answer.text().to_owned(), account)
}

#[tokio::test]
async fn reload_answers_with_its_outcome() {
    let mut served = Served::start(lifecycle()).await;
    served.sources.store.publish(starting("desk 1/ü"));
    assert_eq!(
        reload(&mut served, "/-/reload", Ok(())).await,
        (200, "reloaded\n".to_owned(), None)
    );
    assert_eq!(
        reload(
            &mut served,
            "/-/reload",
            Err("accounts.yml: line 3".to_owned())
        )
        .await,
        (500, "accounts.yml: line 3\n".to_owned(), None)
    );
    assert_eq!(
        reload(&mut served, "/-/reload?account=desk+1%2F%C3%BC", Ok(())).await,
        (200, "reloaded\n".to_owned(), Some("desk 1/ü".to_owned()))
    );
    for (target, status, text) in [
        ("/-/reload?account=desk-2", 404, "no account of this name\n"),
        (
            "/-/reload?account=",
            400,
            "the only parameter is account=NAME\n",
        ),
        (
            "/-/reload?account=a&account=b",
            400,
            "the only parameter is account=NAME\n",
        ),
        (
            "/-/reload?acount=a",
            400,
            "the only parameter is account=NAME\n",
        ),
    ] {
        let answer = served.request("POST", target, &[]).await;
        assert_eq!((answer.status, answer.text()), (status, text));
    }
    assert!(served.sources.reloads.try_recv().is_err());
    served.sources.reloads.close();
    let answer = served.request("POST", "/-/reload", &[]).await;
    assert_eq!(
        (answer.status, answer.text()),
        (500, "the exporter is shutting down\n")
    );
}

#[tokio::test]
async fn accounts_as_json_follow_configured_names() {
    let served = Served::start(settings()).await;
    let details = reading(Default::default(), SessionDetails::Off);
    let sessions = vec![session(7_165_011, 4, 60)];
    served
        .sources
        .store
        .publish(answered("desk", details, sessions, NOW));
    let mut names = crate::session::safety_type::SafetyNames::default();
    names.extend([(4, "Kennwort".to_owned())]);
    served.sources.names.send(names).unwrap();
    let answer = served.get("/api/v1/accounts").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let types = json.pointer("/accounts/0/sessions/by_safety_type").unwrap();
    let password = serde_json::json!({"safety_type_id": "4", "safety_type": "Kennwort", "open": 1});
    assert!(types.as_array().unwrap().contains(&password), "{types}");
    for secret in ["trader@example.com", "203.0.113.9", "7165011"] {
        assert!(!answer.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn part_of_the_accounts_as_json() {
    let served = Served::start(settings()).await;
    for name in ["n1", "n2", "m1"] {
        served.sources.store.publish(starting(name));
    }
    let found = served.get("/api/v1/accounts?state=starting&q=N").await;
    assert_eq!(found.text().matches("\"account\":").count(), 2);
    for path in ["/api/v1/accounts?state=bad", "/?state=bad"] {
        assert_eq!(served.get(path).await.status, 400);
    }
}

#[tokio::test]
async fn foreign_host_sees_no_page_on_loopback() {
    let external_url = Some("https://sessions.example/".parse().unwrap());
    let served = Served::start(Settings {
        external_url,
        ..settings()
    })
    .await;
    for path in ["/", "/metrics", "/api/v1/accounts", "/no"] {
        let answer = served.request("GET", path, &["Host: evil.example"]).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    for (path, host) in [
        ("/metrics", "Host: sessions.example"),
        ("/-/healthy", "Host: evil.example"),
    ] {
        let answer = served.request("GET", path, &[host]).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn pages_are_also_under_the_path_of_the_external_url() {
    let external_url = Some("https://sessions.example/tradernet/".parse().unwrap());
    let served = Served::start(Settings {
        external_url,
        ..settings()
    })
    .await;
    for prefix in ["", "/tradernet"] {
        for path in ["/", "/metrics", "/api/v1/accounts", "/-/healthy"] {
            let answer = served.get(&format!("{prefix}{path}")).await;
            assert_eq!(answer.status, 200, "{prefix}{path}");
        }
    }
    let answer = served.get("/tradernet").await;
    let location = answer.header("location");
    assert_eq!((answer.status, location), (308, Some("/tradernet/")));
    for path in [
        "/tradernetx",
        "/tradernetx/metrics",
        "/tradernet/tradernet/",
        "/x/metrics",
    ] {
        assert_eq!(served.get(path).await.status, 404, "{path}");
    }
    let metrics = served.get("/metrics").await;
    let count = "tradernet_exporter_http_requests_total{code=\"200\",handler=\"/metrics\"} 2\n";
    assert!(metrics.text().contains(count));
}

#[tokio::test]
async fn long_queue_for_pages_is_refused() {
    let served = Served::start(settings()).await;
    let waiting = &served.app.renderings.waiting;
    let all = u32::try_from(MAX_WAITING).unwrap();
    let held = waiting.acquire_many(all).await.unwrap();
    for path in ["/", "/api/v1/accounts"] {
        assert_eq!(served.get(path).await.status, 503, "{path}");
    }
    assert_eq!(served.get("/metrics").await.status, 200);
    drop(held);
    assert_eq!(served.get("/").await.status, 200);
}
