//! The simulator's HTTP API where the exporter does not exercise it: other clients' requests, byte for byte,
//! and what its options do. Signatures were computed with Python's `hmac`.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tradernet_exporter::simulator::{
    AccountSpec, Fault, FaultTarget, LoginBehaviour, Repeat, SessionSpec,
};

use crate::support::{LOGIN, SID, SimulatedApi};

const KEY: &str = "3fae61b9c7aa4c0f8e52";
const SECRET: &str = "b2c4d6e8f0a1b3c5d7e9";
/// The test clock's time.
const NOW: &str = "1781524800";
/// Of `NOW`.
const SIGNED_NOW: &str = "48bdef56a9a41120ae3a4c798f6a12d9521256cc994eb4e407e54f4cd90f5d1b";
const ACCEPT: &str = "User-Agent: Tradernet-PHP-SDK\r\n";

/// An account with every credential and one session.
async fn upstream(change: impl FnOnce(&mut AccountSpec)) -> SimulatedApi {
    let mut account = AccountSpec::new(LOGIN)
        .sid(SID)
        .password("right")
        .key(KEY, SECRET);
    change(&mut account);
    let upstream = SimulatedApi::start_with(account).await;
    upstream
        .world
        .account(LOGIN)
        .open_session(SessionSpec::default());
    upstream
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    fn code(&self) -> Option<i64> {
        self.json()["code"].as_i64()
    }

    /// The cookie of this name.
    fn cookie(&self, name: &str) -> Option<&str> {
        let start = format!("set-cookie: {name}=");
        let line = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix(&start))?;
        line.split(';').next()
    }
}

/// Sends a request line, headers and a body, as they are, and reads the answer.
async fn send(upstream: &SimulatedApi, line: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", upstream.port))
        .await
        .unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: tradernet.com\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

async fn form(upstream: &SimulatedApi, path: &str, headers: &str, body: &str) -> Answer {
    let content_type = "Content-Type: application/x-www-form-urlencoded\r\n";
    let headers = [ACCEPT, content_type, headers].concat();
    send(upstream, &format!("POST {path}"), &headers, body).await
}

fn v3_headers(key: &str, timestamp: &str, signature: &str) -> String {
    format!(
        "{ACCEPT}Content-Type: application/json\r\nX-NtApi-PublicKey: {key}\r\nX-NtApi-Sig: {signature}\r\n\
         X-NtApi-Timestamp: {timestamp}\r\n"
    )
}

/// How many sessions an answer lists; `None` for an error.
fn listed(answer: &Answer) -> Option<usize> {
    answer.json().as_array().map(Vec::len)
}

#[tokio::test]
async fn v1_takes_the_sid_from_the_query_and_from_the_cookie() {
    let upstream = upstream(|_| {}).await;
    let get = |q: Value, headers: String| {
        let q: String = form_urlencoded::byte_serialize(q.to_string().as_bytes()).collect();
        let line = format!("GET /api/?q={q}");
        let upstream = &upstream;
        async move { send(upstream, &line, &[ACCEPT, &headers].concat(), "").await }
    };
    let command = "getSecuritySessions";
    let answer = get(json!({"cmd": command, "SID": SID}), String::new()).await;
    assert_eq!(listed(&answer), Some(1));
    let answer = get(
        json!({"cmd": command}),
        format!("Cookie: a=b; SID={SID}\r\n"),
    )
    .await;
    assert_eq!(listed(&answer), Some(1));
    for (q, code) in [
        (json!({"cmd": command}), 12),
        (json!({"cmd": command, "SID": "guessed"}), 12),
        (json!({"cmd": command, "SID": SID, "params": 5}), 5),
        (json!({"cmd": "getOPQ", "SID": SID}), 3),
        (json!({}), 1),
    ] {
        assert_eq!(
            get(q.clone(), String::new()).await.code(),
            Some(code),
            "{q}"
        );
    }
    let not_json = send(&upstream, "GET /api/?q=%7B", ACCEPT, "").await;
    assert_eq!(not_json.code(), Some(2));
}

/// The vendor's SDK 1.0 to 1.3 sends no nonce, and to the path of V3 too.
#[tokio::test]
async fn v2_needs_a_signature_and_no_nonce() {
    let upstream = upstream(|_| {}).await;
    let fields = format!("apiKey={KEY}&cmd=getSecuritySessions");
    let sig = |signature: &str| format!("X-NtApi-Sig: {signature}\r\n");
    for path in [
        "/api/v2/cmd/getSecuritySessions",
        "/api/v3/cmd/getSecuritySessions",
    ] {
        let answer = form(
            &upstream,
            path,
            &sig("264766dad7d5404f5f4ab7be934f2b0074b93284e4967f7bdf001049783dde88"),
            &fields,
        )
        .await;
        assert_eq!(listed(&answer), Some(1), "{path}");
    }
    let path = "/api/v2/cmd/getSecuritySessions";
    for _ in 0..2 {
        let same_nonce = form(
            &upstream,
            path,
            &sig("0a0e490c3441118f238fcdb0d0b1f197a139c75780bcf7089564a062419cad98"),
            &format!("{fields}&nonce=1"),
        )
        .await;
        assert_eq!(listed(&same_nonce), Some(1));
    }
    let wrong = form(
        &upstream,
        path,
        &sig("264766dad7d5404f5f4ab7be934f2b0074b93284e4967f7bdf001049783dde88"),
        &format!("{fields}&nonce=1"),
    )
    .await;
    assert_eq!((wrong.status, wrong.code()), (200, Some(4)));
    let unknown = form(
        &upstream,
        path,
        &sig("264766dad7d5404f5f4ab7be934f2b0074b93284e4967f7bdf001049783dde88"),
        &fields.replace(KEY, "other"),
    )
    .await;
    assert_eq!(unknown.status, 403);
    let expected = json!({"error": "Invalid api key provided", "code": null});
    assert_eq!(unknown.json(), expected);
}

/// What the vendor's PHP SDK sends: an empty body, or a GET, with the timestamp signed.
#[tokio::test]
async fn v3_requests_of_the_php_sdk() {
    let upstream = upstream(|_| {}).await;
    let path = "/api/getSecuritySessions";
    let good = v3_headers(KEY, NOW, SIGNED_NOW);
    for line in [format!("POST {path}"), format!("GET {path}")] {
        let answer = send(&upstream, &line, &good, "").await;
        assert_eq!(listed(&answer), Some(1), "{line}");
    }
    let post = format!("POST {path}");
    let body = v3_headers(
        KEY,
        NOW,
        "ee3b88f2940e914a9bb6080c43b7b655c1bdf56143f30cf2e384cb315b72e85a",
    );
    assert_eq!(listed(&send(&upstream, &post, &body, "{}").await), Some(1));
    for (headers, body, code) in [
        (good.clone(), "{}", 4),
        (v3_headers(KEY, NOW, &SIGNED_NOW.to_uppercase()), "", 4),
        (
            v3_headers(
                KEY,
                "1781524499",
                "cfa204bfe20837b1246d55d32ea30f9325e88e92f7b5b269ce630c6f566ea99d",
            ),
            "",
            4,
        ),
        (good.clone(), "[", 2),
        (ACCEPT.to_owned(), "", 12),
    ] {
        let answer = send(&upstream, &post, &headers, body).await;
        assert_eq!(answer.code(), Some(code), "{headers}{body}");
    }
    // The server tries an SID first.
    let cookie = format!("{good}Cookie: SID=guessed\r\n");
    assert_eq!(send(&upstream, &post, &cookie, "").await.code(), Some(12));
}

#[tokio::test]
async fn logins_of_every_client_issue_an_sid() {
    let upstream = upstream(|account| account.logins_per_minute = 100).await;
    let encoded = "login=desk-1%40example.com&password=right";
    let object = r#"{"login":"desk-1@example.com","password":"right","rememberMe":1}"#;
    let q: String = format!(r#"{{"cmd":"authByLogin","params":{object}}}"#);
    let q: String = form_urlencoded::byte_serialize(q.as_bytes()).collect();
    let part = |name: &str, value: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let multipart = [part("login", LOGIN), part("password", "right")].concat() + "--xyz--\r\n";
    let login = "/api/check-login-password";
    let php = v3_headers(
        KEY,
        NOW,
        "390fe48639788cb8026f5deba182dacfc6a89469a8e8dcab824ff344d8e774b0",
    );
    let answers = [
        form(&upstream, login, "", &format!("{encoded}&rememberMe=1")).await,
        send(
            &upstream,
            &format!("POST {login}?{encoded}&remember_me=1"),
            ACCEPT,
            "",
        )
        .await,
        send(
            &upstream,
            &format!("POST {login}"),
            &format!("{ACCEPT}Content-Type: multipart/form-data; boundary=xyz\r\n"),
            &multipart,
        )
        .await,
        form(&upstream, "/api/", "", &format!("q={q}")).await,
        send(&upstream, "POST /api/authByLogin", &php, object).await,
    ];
    for (at, answer) in answers.iter().enumerate() {
        let sid = answer
            .cookie("SID")
            .unwrap_or_else(|| panic!("no SID from {at}"));
        let expected = json!({
            "success": true, "logged": true, "SID": sid, "userId": 1_002_003,
            "isSecuritySessionOpened": false
        });
        assert_eq!(answer.json(), expected, "{at}");
        let cookie = format!("{ACCEPT}Cookie: SID={sid}\r\n");
        let list = send(&upstream, "GET /api/getSecuritySessions", &cookie, "").await;
        assert_eq!(listed(&list), Some(1), "{at}");
    }
    let decoy = answers[0].cookie("PHPSESSID").unwrap();
    let cookie = format!("{ACCEPT}Cookie: SID={decoy}\r\n");
    let list = send(&upstream, "GET /api/getSecuritySessions", &cookie, "").await;
    assert_eq!(list.code(), Some(12), "PHP's own session opens nothing");

    let wrong = form(&upstream, login, "", &encoded.replace("right", "wrong")).await;
    let expected = json!({"error": "Wrong login or password", "code": 12});
    assert_eq!(wrong.json(), expected);
    let account = upstream.world.account(LOGIN);
    assert_eq!(account.counters().logins_accepted, 5);
    account.set_login_behaviour(LoginBehaviour::SmsCodeRequired);
    let second_factor = form(&upstream, login, "", encoded).await.json();
    assert_eq!(second_factor["logged"], false);
    assert!(second_factor["auth_code_id"].is_string());
}

#[tokio::test]
async fn rate_limits_come_in_both_shapes() {
    let upstream = upstream(|account| account.logins_per_minute = 1).await;
    let fields = "login=desk-1%40example.com&password=right";
    let login = "/api/check-login-password";
    assert_eq!(form(&upstream, login, "", fields).await.status, 200);
    upstream.clock.advance(std::time::Duration::from_secs(20));
    let limited = form(&upstream, login, "", fields).await;
    assert_eq!(limited.status, 429);
    assert!(limited.head.contains("retry-after: 40"), "{}", limited.head);
    let q = r#"q={"cmd":"authByLogin","params":{"login":"desk-1@example.com"}}"#;
    let limited = form(&upstream, "/api/", "", q).await;
    assert_eq!((limited.status, limited.code()), (200, Some(429)));
    let account = upstream.world.account(LOGIN);
    let fault = Fault::rate_limit_envelope();
    account.inject_fault(FaultTarget::SessionList, Repeat::Count(1), fault);
    let cookie = format!("{ACCEPT}Cookie: SID={SID}\r\n");
    let limited = send(&upstream, "GET /api/getSecuritySessions", &cookie, "").await;
    assert_eq!((limited.status, limited.code()), (200, Some(429)));
    upstream.clock.advance(std::time::Duration::from_secs(40));
    assert_eq!(form(&upstream, login, "", fields).await.status, 200);
}

#[tokio::test]
async fn view_only_sid_reads_the_list_where_the_account_allows_it() {
    for allowed in [true, false] {
        let upstream = upstream(|account| account.view_only_reads_list = allowed).await;
        let object = r#"{"login":"desk-1@example.com","password":"right","viewOnlyMode":true,"userId":1002003}"#;
        let answer = send(&upstream, "POST /api/authByLogin", ACCEPT, object).await;
        let cookie = format!("{ACCEPT}Cookie: SID={}\r\n", answer.cookie("SID").unwrap());
        let list = send(&upstream, "GET /api/getSecuritySessions", &cookie, "").await;
        if allowed {
            assert_eq!(listed(&list), Some(1));
        } else {
            assert_eq!(list.status, 403);
            let words = "you need to open a security session";
            assert_eq!(list.json(), json!({"error": words, "code": null}));
        }
        let other_user = object.replace("1002003", "7");
        let answer = send(&upstream, "POST /api/authByLogin", ACCEPT, &other_user).await;
        assert_eq!(answer.code(), Some(7));
    }
}

#[tokio::test]
async fn key_use_opens_one_session_of_type_14() {
    let hour = std::time::Duration::from_secs(3600);
    let upstream = upstream(|account| account.key_session = Some(hour)).await;
    let good = v3_headers(KEY, NOW, SIGNED_NOW);
    for _ in 0..2 {
        let list = send(&upstream, "GET /api/getSecuritySessions", &good, "")
            .await
            .json();
        assert_eq!(list.as_array().unwrap().len(), 2);
        let own = &list[1];
        assert_eq!(
            (&own["safety_type_id"], &own["ip_client"]),
            (&json!(14), &json!("127.0.0.1"))
        );
        assert!(own["ip"].as_str().unwrap().starts_with("api:"));
    }
}

#[tokio::test]
async fn default_user_agents_of_libraries_are_refused() {
    let upstream = upstream(|_| {}).await;
    for agent in [
        "",
        "User-Agent: reqwest/0.12\r\n",
        "User-Agent: Go-http-client/1.1\r\n",
    ] {
        let headers = format!("{agent}Cookie: SID={SID}\r\n");
        let answer = send(&upstream, "GET /api/getSecuritySessions", &headers, "").await;
        assert_eq!(answer.status, 403, "{agent}");
        assert!(answer.head.contains("text/html"));
    }
    assert_eq!(upstream.world.account(LOGIN).list_request_count(), 0);
}

#[tokio::test]
async fn reset_is_a_reset_and_no_secret_is_in_debug_output() {
    let upstream = upstream(|_| {}).await;
    let account = upstream.world.account(LOGIN);
    account.inject_fault(FaultTarget::Any, Repeat::Count(1), Fault::Reset);
    let mut stream = TcpStream::connect(("127.0.0.1", upstream.port))
        .await
        .unwrap();
    let request = format!(
        "GET /api/getSecuritySessions?secret=hidden HTTP/1.1\r\nHost: a\r\n{ACCEPT}Cookie: SID={SID}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    let spec = AccountSpec::new(LOGIN)
        .sid(SID)
        .password("hidden")
        .key(KEY, SECRET);
    let printed = format!("{spec:?} {account:?} {:?}", upstream.world.requests());
    for secret in [SID, KEY, SECRET, "hidden"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
