//! The readers of what a server sends, on any bytes. An error must be fit for logs: it quotes no secret.

use secrecy::ExposeSecret as _;

use super::Error;
use super::classify;
use super::error::ResponseHead;
use super::frame::{Event, websocket_event};
use super::login::{self, LoginReply};
use super::redact::Redactor;
use super::response;
use super::socketio;

/// A secret of the account; inputs may contain it.
const SECRET: &str = "fuzz-secret-0123";

fn head(status: u16) -> ResponseHead {
    ResponseHead {
        status: Some(status),
        retry_after: None,
        ..ResponseHead::default()
    }
}

pub(crate) fn answer(bytes: &[u8]) {
    let redactor = Redactor::new([SECRET.into()]);
    match classify::list(head(200), response::read(bytes), &redactor) {
        Ok(list) => {
            let ids: Vec<u64> = list.sessions().iter().map(|session| session.id).collect();
            assert!(ids.is_sorted_by(|a, b| a < b), "an id twice");
        }
        Err(error) => assert_no_secret(&error),
    }
}

/// The first line is a `Set-Cookie` header, the rest the body.
pub(crate) fn login(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let cookie = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let body = lines.next().unwrap_or_default();
    for status in [200, 401, 500] {
        let reply = LoginReply {
            head: head(status),
            cookies: vec![cookie.as_ref().into()],
            body: body.to_vec().into(),
        };
        match login::sid(&reply, &Redactor::new([SECRET.into()])) {
            Ok(sid) => {
                let sid = sid.expose_secret();
                let fits = |byte: u8| byte.is_ascii_graphic() && !b";,".contains(&byte);
                assert!(
                    !sid.is_empty() && sid.bytes().all(fits),
                    "an SID that is no cookie"
                );
            }
            Err(error) => assert_no_secret(&error),
        }
    }
}

pub(crate) fn websocket(bytes: &[u8]) {
    check_event(websocket_event(&String::from_utf8_lossy(bytes)));
}

pub(crate) fn socketio(bytes: &[u8]) {
    check_event(socketio::read(&String::from_utf8_lossy(bytes)));
}

fn check_event(event: Event) {
    let redactor = Redactor::new([SECRET.into()]);
    if let Event::Answer(answer) = event
        && let Err(error) = classify::list(ResponseHead::default(), answer, &redactor)
    {
        assert_no_secret(&error);
    }
}

fn assert_no_secret(error: &Error) {
    let text = error.to_string();
    assert!(!text.to_lowercase().contains(SECRET), "{text}");
    assert!(!text.contains('\n'), "more than a line: {text}");
}
