//! Every failure, at log level debug, with a server that quotes the credential: no secret is in the
//! log, on any page, in any metric, in any error.

use std::collections::BTreeSet;
use std::time::Duration;

use tradernet_exporter::simulator::{
    AccountSpec, BodyEnd, Disconnect, ErrorEnvelope, Fault, FaultTarget, Repeat, SessionSpec,
    Simulator, StreamFault,
};

use crate::support::{ExporterProcess, LOGIN, ProcessOutput, SimulatedApi, ask, post, run_to_exit};

const SID: &str = "vQzKjXwPbYhGmRtNcLdFsWkTpQxZbVnM";
const PASSWORD: &str = "Jqxw ö&Zk=\"vB%Qyp/X+hGw\\kzT";
const KEY: &str = "kzQwVjXbTyPmHnGrDsFcLtRw";
const SECRET: &str = "xWqZvKbJyTpGmHrNdCsLfRkVwQzXjBtM";

const QUOTE: &str = "sid={SID} key={KEY} sig={SIG} login={LOGIN} password={PASSWORD}";

fn form_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn html_escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('"', "&quot;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

fn json_escaped(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    json[1..json.len() - 1].to_owned()
}

/// A text in each encoding in which a server may quote it.
fn encodings(text: &str) -> [String; 6] {
    let form = form_encoded(text);
    [
        text.to_owned(),
        form.to_lowercase(),
        form.replace('+', "%20"),
        form,
        html_escaped(text),
        json_escaped(text),
    ]
}

/// A server that fails in every way, and quotes as much as it can.
fn faults(secrets: &[&str]) -> Vec<Fault> {
    let mut faults = vec![
        Fault::NoResponse,
        Fault::json(200, "[").end(BodyEnd::Stalls),
        Fault::Reset,
        Fault::json(200, "[{\"id\"").end(BodyEnd::BreaksOff),
        Fault::json(200, &b"\x00\xff\xfe{]not json\x1b["[..]),
        Fault::html(200),
        Fault::json(200, ""),
        Fault::json(200, "[".repeat(100_000)),
        Fault::html(403),
        Fault::json(200, "[{\"id\":1},").end(BodyEnd::Repeats),
        Fault::rate_limited(1),
        Fault::answer(200, "text/html", format!("<h1>{QUOTE}</h1>")),
        Fault::json(200, "\"{SID} {KEY} {SIG}\""),
        Fault::json(200, "{\"{SID}\": \"{SIG}\"}"),
        Fault::json(
            200,
            "[{\"id\": \"{SID}\", \"expire\": \"{KEY}\"}, \"{SIG}\"]",
        ),
        Fault::json(401, "{\"errMsg\": \"{SID} {KEY} {SIG}\"}"),
        Fault::answer(429, "text/plain", QUOTE),
        Fault::answer(500, "text/plain", QUOTE),
    ];
    for code in [1, 8, 12] {
        faults.push(Fault::envelope(ErrorEnvelope::err_msg(code, QUOTE)));
        faults.push(Fault::envelope(ErrorEnvelope::error(
            code,
            format!("{QUOTE}{QUOTE}"),
        )));
    }
    for secret in secrets {
        let all = encodings(secret).join(" or ");
        let long = format!("{}{secret}", "x".repeat(195));
        let in_the_log = format!("\n\u{1b}[1m{secret}\r\n");
        for quote in [all, long, in_the_log] {
            let text = format!("no: {quote}");
            faults.push(Fault::envelope(ErrorEnvelope::err_msg(2, text)));
        }
        // One that ends an SID, so that a login is sent in between.
        faults.push(Fault::envelope(ErrorEnvelope::err_msg(12, *secret)));
        let location = format!("https://127.0.0.1:1/{}", form_encoded(secret));
        faults.push(Fault::html(302).header("location", location));
    }
    faults
}

/// The texts that must not be shown: these secrets and those that the simulator was sent, encoded in each way.
fn forbidden(world: &Simulator, secrets: &[&str]) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
    for request in world.requests() {
        for name in ["x-ntapi-sig", "x-ntapi-publickey"] {
            found.extend(request.header(name).map(str::to_owned));
        }
        let cookie = request
            .header("cookie")
            .and_then(|cookie| cookie.strip_prefix("SID="));
        found.extend(cookie.map(str::to_owned));
    }
    let encoded = found.iter().flat_map(|secret| encodings(secret));
    encoded.map(|secret| secret.to_lowercase()).collect()
}

/// Every text that the exporter shows: the place, and the text.
type Texts = Vec<(String, String)>;

fn assert_nothing_leaked(texts: &Texts, forbidden: &BTreeSet<String>) {
    for (place, text) in texts {
        let text = text.to_lowercase();
        for secret in forbidden {
            if let Some(at) = text.find(secret) {
                let start = text.floor_char_boundary(at.saturating_sub(80));
                let around: String = text[start..].chars().take(200).collect();
                panic!("{secret:?} in {place}: …{around}…");
            }
        }
    }
}

fn printed(what: &str, run: &ProcessOutput) -> (String, String) {
    (what.to_owned(), format!("{}{}", run.stdout, run.stderr))
}

/// Everything that the program shows: every page, and the log.
async fn shown(program: &ExporterProcess) -> Texts {
    let mut texts = Texts::new();
    for path in [
        "/",
        "/metrics",
        "/api/v1/accounts",
        "/-/ready",
        "/-/healthy",
        "/nothing",
    ] {
        texts.push((path.to_owned(), program.get(path).await.text().to_owned()));
    }
    let accept = [("accept", "application/openmetrics-text")];
    let reply = ask(program.address, "GET", "/metrics", &accept, "");
    let reply = reply.await.unwrap();
    texts.push(("OpenMetrics".to_owned(), reply.text().to_owned()));
    texts.push(("the log".to_owned(), program.log().join("\n")));
    texts
}

struct Case {
    credential: Vec<(&'static str, &'static str)>,
    secrets: Vec<&'static str>,
    target: FaultTarget,
}

fn sid() -> Case {
    Case {
        credential: vec![("TRADERNET_SID", SID)],
        secrets: vec![SID],
        target: FaultTarget::SessionList,
    }
}

fn key_pair(version: &'static str) -> Case {
    Case {
        credential: vec![
            ("TRADERNET_API_KEY", KEY),
            ("TRADERNET_API_SECRET", SECRET),
            ("TRADERNET_API_VERSION", version),
        ],
        secrets: vec![KEY, SECRET],
        target: FaultTarget::SessionList,
    }
}

fn login(target: FaultTarget) -> Case {
    Case {
        credential: vec![("TRADERNET_LOGIN", LOGIN), ("TRADERNET_PASSWORD", PASSWORD)],
        secrets: vec![PASSWORD],
        target,
    }
}

async fn upstream() -> SimulatedApi {
    let account = AccountSpec::new(LOGIN);
    let account = account.sid(SID).password(PASSWORD).key(KEY, SECRET);
    let upstream = SimulatedApi::start_for_process(account, None).await;
    let session = SessionSpec::new(4, Duration::from_secs(3600));
    upstream.account().open_session(session);
    upstream
}

/// Faults one after the other, with this format of the log, then the same for `check`.
async fn keeps_its_secrets(format: &str, case: Case, faults: &[Fault]) {
    let upstream = upstream().await;
    let common = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_TIMEOUT", "400ms"),
        ("TRADERNET_MAX_RESPONSE_BYTES", "1000000"),
        ("TRADERNET_SESSION_DETAILS", "full"),
        ("TRADERNET_LOG_LEVEL", "debug"),
        ("TRADERNET_LOG_FORMAT", format),
    ];
    let variables = [&common[..], &case.credential].concat();
    let fail = |fault: &Fault| {
        upstream.account().clear_faults();
        upstream
            .account()
            .inject_fault(case.target, Repeat::Forever, fault.clone());
    };
    let mut texts = Texts::new();
    for fault in faults {
        fail(fault);
        let program = ExporterProcess::start(&variables).await;
        program.wait_for_value("tradernet_up", 0.0).await;
        texts.extend(shown(&program).await);
    }
    upstream.account().clear_faults();
    for fault in [faults.len() / 2, faults.len() - 1].map(|at| &faults[at]) {
        fail(fault);
        texts.push(printed("check", &run_to_exit(&["check"], &variables).await));
    }
    let wrong = [&variables[..], &[("TRADERNET_POLL_INTERVAL", "never")]].concat();
    texts.push(printed(
        "a wrong configuration",
        &run_to_exit(&["check"], &wrong).await,
    ));
    assert_nothing_leaked(&texts, &forbidden(&upstream.world, &case.secrets));
}

#[tokio::test]
async fn of_an_sid() {
    keeps_its_secrets("logfmt", sid(), &faults(&[SID])).await;
}

#[tokio::test]
async fn of_a_key_pair_version_2() {
    keeps_its_secrets("logfmt", key_pair("2"), &faults(&[KEY, SECRET])).await;
}

#[tokio::test]
async fn of_a_key_pair_version_3() {
    keeps_its_secrets("json", key_pair("3"), &faults(&[KEY, SECRET])).await;
}

#[tokio::test]
async fn of_a_login_and_the_sid_it_was_traded_for() {
    for fault in [
        Fault::envelope(ErrorEnvelope::error(12, QUOTE)),
        Fault::envelope(ErrorEnvelope::err_msg(99, form_encoded(PASSWORD))),
        Fault::answer(200, "text/html", QUOTE),
        Fault::json(401, "{\"error\": \"{LOGIN} {PASSWORD}\"}"),
        Fault::answer(500, "text/plain", QUOTE),
    ] {
        keeps_its_secrets("json", login(FaultTarget::Login), &[fault]).await;
    }
    let (refusals, others): (Vec<_>, Vec<_>) =
        faults(&[PASSWORD]).into_iter().partition(refuses_the_sid);
    keeps_its_secrets("json", login(FaultTarget::SessionList), &others).await;
    // After a refused list comes a login, and three in 15 minutes are all that a process may make.
    assert!(refusals.len() > 4);
    for refusal in refusals.chunks(1) {
        keeps_its_secrets("json", login(FaultTarget::SessionList), refusal).await;
    }
}

fn refuses_the_sid(fault: &Fault) -> bool {
    match fault {
        Fault::Answer(response, _) => response.status() == 401,
        Fault::Error(_, envelope) => matches!(envelope.code, Some(8 | 12)),
        _ => false,
    }
}

/// A login beside an SID is as private as one that logs in.
#[tokio::test]
async fn of_a_login_beside_an_sid() {
    let upstream = upstream().await;
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_SID", SID),
        ("TRADERNET_LOGIN", LOGIN),
    ];
    let words = format!("no list for {LOGIN}");
    upstream.fail(Fault::envelope(ErrorEnvelope::err_msg(2, words)));
    let program = ExporterProcess::start(&variables).await;
    program.wait_for_value("tradernet_up", 0.0).await;
    let texts = shown(&program).await;
    assert!(
        texts
            .iter()
            .any(|(_, text)| text.contains("no list for [redacted]"))
    );
    assert_nothing_leaked(&texts, &forbidden(&upstream.world, &[LOGIN]));
}

/// Requests after the first carry an SID and neither login nor password.
#[tokio::test]
async fn of_a_login_that_later_answers_quote() {
    let words = format!("user {LOGIN}, password {PASSWORD}");
    for transport in ["http", "websocket"] {
        let upstream = upstream().await;
        let variables = [
            ("TRADERNET_URL", upstream.origin.as_str()),
            ("TRADERNET_WS_URL", upstream.stream_origin.as_str()),
            ("TRADERNET_TRANSPORT", transport),
            ("TRADERNET_LOGIN", LOGIN),
            ("TRADERNET_PASSWORD", PASSWORD),
            ("TRADERNET_LOG_LEVEL", "debug"),
        ];
        let program = ExporterProcess::start(&variables).await;
        program.wait_for_value("tradernet_up", 1.0).await;
        let world = &upstream.world;
        let account = world.account(LOGIN);
        let error = ErrorEnvelope::err_msg(2, words.as_str());
        if transport == "http" {
            let fault = Fault::envelope(error);
            account.inject_fault(FaultTarget::SessionList, Repeat::Forever, fault);
        } else {
            account.inject_stream_fault(Repeat::Forever, StreamFault::ErrorEvent(error));
            account.disconnect(Disconnect::Close(1001));
            program.wait_for_value("tradernet_up", 0.0).await;
        }
        let mut texts = Texts::new();
        for _ in 0..2 {
            program.poll().await;
            texts.extend(shown(&program).await);
        }
        let log = program.log().join("\n");
        assert!(
            log.contains("user [redacted], password [redacted]"),
            "{log}"
        );
        texts.push(("the log".to_owned(), log));
        assert_nothing_leaked(&texts, &forbidden(world, &[LOGIN, PASSWORD]));
    }
}

#[tokio::test]
async fn of_a_login_that_works_and_an_sid_that_expires() {
    let upstream = upstream().await;
    let variables = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_LOGIN", LOGIN),
        ("TRADERNET_PASSWORD", PASSWORD),
        ("TRADERNET_SESSION_DETAILS", "full"),
        ("TRADERNET_LOG_LEVEL", "debug"),
    ];
    let program = ExporterProcess::start(&variables).await;
    program.first_attempt().await;
    upstream.account().revoke_sids();
    let page = program.poll().await;
    assert_eq!(page.get("tradernet_logins_total", &[]), 2.0);
    let refusal = Fault::json(200, format!("{{\"error\":\"{QUOTE}\",\"code\":12}}"))
        .header("set-cookie", "SID=anonymous; Path=/");
    upstream
        .account()
        .inject_fault(FaultTarget::Login, Repeat::Forever, refusal);
    upstream.account().revoke_sids();
    program.poll().await;
    let reply = post(program.address, &format!("/-/reload?account={SID}")).await;
    assert_ne!(reply.status, 200);
    assert_eq!(upstream.account().counters().logins_accepted, 2);
    let texts = shown(&program).await;
    assert_nothing_leaked(&texts, &forbidden(&upstream.world, &[PASSWORD]));
}

/// A list that can be read, with what was sent in the places of logins and addresses.
#[tokio::test]
async fn of_sessions_that_carry_what_was_sent() {
    for case in [
        sid(),
        key_pair("2"),
        key_pair("3"),
        login(FaultTarget::SessionList),
    ] {
        let upstream = upstream().await;
        let common = [
            ("TRADERNET_URL", upstream.origin.as_str()),
            ("TRADERNET_SESSION_DETAILS", "full"),
            ("TRADERNET_LOG_LEVEL", "debug"),
        ];
        let variables = [&common[..], &case.credential].concat();
        let mut texts = Texts::new();
        let secret = ["{SID}", "{KEY}", "{SIG}", "{PASSWORD}"];
        // Where a text is cut, the start of a secret would be left of it.
        let lengths = [0, 3, 100, 120, 127, 190, 204, 245, 248, 251];
        let texts_of_session =
            lengths.map(|length| secret.map(|secret| format!("{}{secret}", "-".repeat(length))));
        let sessions: Vec<_> = (0..)
            .zip(texts_of_session.as_flattened())
            .map(|(id, text)| serde_json::json!({"id": id, "user_login": text, "ip_client": text}))
            .collect();
        let list = serde_json::to_string(&sessions).unwrap();
        upstream.fail(Fault::json(200, list));
        let program = ExporterProcess::start(&variables).await;
        program
            .wait_for_value("tradernet_security_sessions_open", 40.0)
            .await;
        texts.extend(shown(&program).await);
        assert_nothing_leaked(&texts, &forbidden(&upstream.world, &case.secrets));
    }
}

/// The server quotes an SID that was replaced and the present one; neither is shown.
async fn quotes_former_sid(
    upstream: &SimulatedApi,
    program: &ExporterProcess,
    former: &str,
    secrets: &[&str],
) {
    let words = format!("{former} is no more, {{SID}} is");
    upstream.fail(Fault::envelope(ErrorEnvelope::err_msg(1, words)));
    let mut texts = Texts::new();
    for _ in 0..2 {
        program.poll().await;
        texts.extend(shown(program).await);
    }
    assert!(texts.iter().any(|(_, text)| text.contains("is no more")));
    assert_nothing_leaked(&texts, &forbidden(&upstream.world, secrets));
}

/// A former SID may still open something.
#[tokio::test]
async fn of_secrets_that_were_replaced() {
    const NEW: &str = "pTzXvQwKjBmYrGnHcLsDfRkVtZxQwPbJ";
    let upstream = upstream().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sid");
    std::fs::write(&file, SID).unwrap();
    let common = [
        ("TRADERNET_URL", upstream.origin.as_str()),
        ("TRADERNET_LOG_LEVEL", "debug"),
    ];
    let by_file = [("TRADERNET_SID_FILE", file.to_str().unwrap())];
    let program = ExporterProcess::start(&[&common[..], &by_file].concat()).await;
    program.poll().await;
    upstream.account().accept_sid(NEW);
    std::fs::write(&file, NEW).unwrap();
    quotes_former_sid(&upstream, &program, SID, &[SID, NEW]).await;

    // The SID of a login, rejected and replaced.
    upstream.heal();
    let credential = login(FaultTarget::SessionList).credential;
    let program = ExporterProcess::start(&[&common[..], &credential].concat()).await;
    program.poll().await;
    let requests = upstream.world.requests();
    let cookie = requests.last().unwrap().header("cookie").unwrap();
    let first = cookie.strip_prefix("SID=").unwrap().to_owned();
    upstream.account().revoke_sids();
    program.poll().await;
    quotes_former_sid(&upstream, &program, &first, &[PASSWORD, &first]).await;
}

#[tokio::test]
async fn no_leak_on_connect_failure() {
    let upstream = upstream().await;
    let secure = upstream.origin.replace("http://", "https://");
    let cases = [sid(), key_pair("2"), key_pair("3"), login(FaultTarget::Any)];
    for case in cases {
        for url in [
            secure.as_str(),
            "https://tradernet.test",
            "http://127.0.0.1:1",
        ] {
            let common = [
                ("TRADERNET_URL", url),
                ("TRADERNET_TIMEOUT", "400ms"),
                ("TRADERNET_LOG_LEVEL", "debug"),
            ];
            let variables = [&common[..], &case.credential].concat();
            let program = ExporterProcess::start(&variables).await;
            program.wait_for_value("tradernet_up", 0.0).await;
            let mut texts = shown(&program).await;
            texts.push(printed("check", &run_to_exit(&["check"], &variables).await));
            assert_nothing_leaked(&texts, &forbidden(&upstream.world, &case.secrets));
        }
    }
}
