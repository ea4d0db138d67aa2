//! The simulator's HTTP API where the exporter does not exercise it: other clients' requests,
//! and what its options do. Signatures were computed with Python's `hmac`.

use serde_json::{Value, json};
use tradernet_exporter::simulator::{
    AccountSpec, Fault, FaultTarget, LoginBehaviour, Repeat, SessionSpec,
};

use crate::support::{LOGIN, Reply, SID, SimulatedApi, ask, send_raw};

const KEY: &str = "3fae61b9c7aa4c0f8e52";
const SECRET: &str = "b2c4d6e8f0a1b3c5d7e9";
/// The test clock's time.
const NOW: &str = "1781524800";
/// Of `NOW`.
const SIGNED_NOW: &str = "48bdef56a9a41120ae3a4c798f6a12d9521256cc994eb4e407e54f4cd90f5d1b";
const LIST: &str = "/api/getSecuritySessions";

/// An account with every credential and one session.
async fn upstream(change: impl FnOnce(&mut AccountSpec)) -> SimulatedApi {
    let mut account = AccountSpec::new(LOGIN)
        .sid(SID)
        .password("right")
        .key(KEY, SECRET);
    change(&mut account);
    let upstream = SimulatedApi::start_with(account).await;
    upstream.account().open_session(SessionSpec::default());
    upstream
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    fn code(&self) -> Option<i64> {
        self.json()["code"].as_i64()
    }

    /// How many sessions the answer lists; `None` for an error.
    fn listed(&self) -> Option<usize> {
        self.json().as_array().map(Vec::len)
    }

    /// The value of the cookie of this name.
    fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.headers.get_all("set-cookie").iter();
        let mut cookies = cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap());
        cookies.find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Sends a request with a user agent that the simulator accepts, and these headers.
async fn send(
    upstream: &SimulatedApi,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let headers = [&[("user-agent", "Tradernet-PHP-SDK")], headers].concat();
    let address = ([127, 0, 0, 1], upstream.port).into();
    ask(address, method, target, &headers, body).await.unwrap()
}

async fn form(upstream: &SimulatedApi, path: &str, signature: Option<&str>, body: &str) -> Reply {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(signature.map(|signature| ("x-ntapi-sig", signature)));
    send(upstream, "POST", path, &headers, body).await
}

/// The list, requested by V3 with this cookie.
async fn list_with_sid(upstream: &SimulatedApi, sid: &str) -> Reply {
    let cookie = format!("SID={sid}");
    let headers = [("cookie", cookie.as_str())];
    send(upstream, "GET", LIST, &headers, "").await
}

fn v3_headers<'a>(timestamp: &'a str, signature: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("content-type", "application/json"),
        ("x-ntapi-publickey", KEY),
        ("x-ntapi-sig", signature),
        ("x-ntapi-timestamp", timestamp),
    ]
}

/// The vendor's SDK 1.0 to 1.3 sends no nonce, and to the path of V3 too.
#[tokio::test]
async fn v2_needs_a_signature_and_no_nonce() {
    let upstream = upstream(|_| {}).await;
    let fields = format!("apiKey={KEY}&cmd=getSecuritySessions");
    let signature = "264766dad7d5404f5f4ab7be934f2b0074b93284e4967f7bdf001049783dde88";
    let path = "/api/v2/cmd/getSecuritySessions";
    for path in [path, "/api/v3/cmd/getSecuritySessions"] {
        let answer = form(&upstream, path, Some(signature), &fields).await;
        assert_eq!(answer.listed(), Some(1), "{path}");
    }
    let with_nonce = format!("{fields}&nonce=1");
    let signed_nonce = "0a0e490c3441118f238fcdb0d0b1f197a139c75780bcf7089564a062419cad98";
    for _ in 0..2 {
        let same_nonce = form(&upstream, path, Some(signed_nonce), &with_nonce).await;
        assert_eq!(same_nonce.listed(), Some(1));
    }
    let wrong = form(&upstream, path, Some(signature), &with_nonce).await;
    assert_eq!((wrong.status, wrong.code()), (200, Some(4)));
    let unknown_key = fields.replace(KEY, "other");
    let unknown = form(&upstream, path, Some(signature), &unknown_key).await;
    assert_eq!(unknown.status, 403);
    let expected = json!({"error": "Invalid api key provided", "code": null});
    assert_eq!(unknown.json(), expected);
}

/// What the vendor's PHP SDK sends: an empty body, or a GET, with the timestamp signed.
#[tokio::test]
async fn v3_requests_of_the_php_sdk() {
    let upstream = upstream(|_| {}).await;
    let good = v3_headers(NOW, SIGNED_NOW);
    for method in ["POST", "GET"] {
        let answer = send(&upstream, method, LIST, &good, "").await;
        assert_eq!(answer.listed(), Some(1), "{method}");
    }
    let signed_body = "ee3b88f2940e914a9bb6080c43b7b655c1bdf56143f30cf2e384cb315b72e85a";
    let with_body = v3_headers(NOW, signed_body);
    let answer = send(&upstream, "POST", LIST, &with_body, "{}").await;
    assert_eq!(answer.listed(), Some(1));
    let upper_case = SIGNED_NOW.to_uppercase();
    let too_old = "cfa204bfe20837b1246d55d32ea30f9325e88e92f7b5b269ce630c6f566ea99d";
    for (headers, body, code) in [
        (&good[..], "{}", 4),
        (&v3_headers(NOW, &upper_case), "", 4),
        (&v3_headers("1781524499", too_old), "", 4),
        (&good, "[", 2),
        (&[], "", 12),
    ] {
        let answer = send(&upstream, "POST", LIST, headers, body).await;
        assert_eq!(answer.code(), Some(code), "{headers:?}{body}");
    }
    // An SID precedes the signature.
    let with_cookie = [&good[..], &[("cookie", "SID=guessed")]].concat();
    let answer = send(&upstream, "POST", LIST, &with_cookie, "").await;
    assert_eq!(answer.code(), Some(12));
}

#[tokio::test]
async fn logins_of_every_client_issue_an_sid() {
    let upstream = upstream(|_| {}).await;
    let encoded = "login=desk-1%40example.com&password=right";
    let object = r#"{"login":"desk-1@example.com","password":"right","rememberMe":1}"#;
    let q: String = format!(r#"{{"cmd":"authByLogin","params":{object}}}"#);
    let q: String = form_urlencoded::byte_serialize(q.as_bytes()).collect();
    let login = "/api/check-login-password";
    let signature = "390fe48639788cb8026f5deba182dacfc6a89469a8e8dcab824ff344d8e774b0";
    let php = v3_headers(NOW, signature);
    let in_query = format!("{login}?{encoded}&remember_me=1");
    let answers = [
        form(&upstream, login, None, &format!("{encoded}&rememberMe=1")).await,
        send(&upstream, "POST", &in_query, &[], "").await,
        form(&upstream, "/api/", None, &format!("q={q}")).await,
        send(&upstream, "POST", "/api/authByLogin", &php, object).await,
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
        let list = list_with_sid(&upstream, sid).await;
        assert_eq!(list.listed(), Some(1), "{at}");
    }
    let decoy = answers[0].cookie("PHPSESSID").unwrap();
    let list = list_with_sid(&upstream, decoy).await;
    assert_eq!(list.code(), Some(12), "PHP's own session opens nothing");

    let wrong = form(&upstream, login, None, &encoded.replace("right", "wrong")).await;
    let expected = json!({"error": "Wrong login or password", "code": 12});
    assert_eq!(wrong.json(), expected);
    let account = upstream.account();
    assert_eq!(account.counters().logins_accepted, 4);
    account.set_login_behaviour(LoginBehaviour::SmsCodeRequired);
    let second_factor = form(&upstream, login, None, encoded).await.json();
    assert_eq!(second_factor["logged"], false);
    assert!(second_factor["auth_code_id"].is_string());
}

#[tokio::test]
async fn view_only_sid_reads_the_list_where_the_account_allows_it() {
    for allowed in [true, false] {
        let upstream = upstream(|account| account.view_only_reads_list = allowed).await;
        let object = r#"{"login":"desk-1@example.com","password":"right","viewOnlyMode":true,"userId":1002003}"#;
        let answer = send(&upstream, "POST", "/api/authByLogin", &[], object).await;
        let list = list_with_sid(&upstream, answer.cookie("SID").unwrap()).await;
        if allowed {
            assert_eq!(list.listed(), Some(1));
        } else {
            assert_eq!(list.status, 403);
            let words = "you need to open a security session";
            assert_eq!(list.json(), json!({"error": words, "code": null}));
        }
        let other_user = object.replace("1002003", "7");
        let answer = send(&upstream, "POST", "/api/authByLogin", &[], &other_user).await;
        assert_eq!(answer.code(), Some(7));
    }
}

#[tokio::test]
async fn default_user_agents_of_libraries_are_refused() {
    let upstream = upstream(|_| {}).await;
    let cookie = format!("SID={SID}");
    let with_sid = ("cookie", cookie.as_str());
    let address = ([127, 0, 0, 1], upstream.port).into();
    for headers in [
        &[with_sid][..],
        &[with_sid, ("user-agent", "reqwest/0.12")],
        &[with_sid, ("user-agent", "Go-http-client/1.1")],
    ] {
        let answer = ask(address, "GET", LIST, headers, "").await.unwrap();
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(answer.header("content-type").contains("text/html"));
    }
    assert_eq!(upstream.account().list_request_count(), 0);
}

#[tokio::test]
async fn reset_resets_the_connection_and_debug_output_has_no_secret() {
    let upstream = upstream(|_| {}).await;
    let account = upstream.account();
    account.inject_fault(FaultTarget::Any, Repeat::Count(1), Fault::Reset);
    let headers = format!(
        "{LIST}?secret=hidden HTTP/1.1\r\nHost: a\r\nUser-Agent: curl\r\nCookie: SID={SID}"
    );
    let address = ([127, 0, 0, 1], upstream.port).into();
    let error = send_raw(address, &format!("GET {headers}\r\n\r\n"))
        .await
        .unwrap_err();
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
