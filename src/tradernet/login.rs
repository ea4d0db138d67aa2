//! Login and password to SID: the form, and what its answer means.
//!
//! Source: the vendor's pages (`check-login-password`, cookie `SID`; `authByLogin`) and its clients
//! (an SID in the JSON body). A rejection ends all logins with this credential; trouble of the
//! server does not.

use bytes::Bytes;
use reqwest::Request;
use secrecy::{ExposeSecret as _, SecretString};

use super::classify::{is_transient, message};
use super::error::{AuthError, Error, ResponseHead};
use super::redact::Redactor;
use super::request::Endpoint;
use super::response::{self, Answer, ApiErrorBody};
use super::value::{Text, Value};

/// An SID longer than this, in bytes, is not one.
const MAX_SID_LENGTH: usize = 4096;

/// A login's answer.
pub(super) struct LoginReply {
    pub(super) head: ResponseHead,
    /// The `Set-Cookie` headers.
    pub(super) cookies: Vec<SecretString>,
    pub(super) body: Bytes,
}

/// As whom to log in, and how.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The login's name.
    pub name: &'a str,
    /// Its password.
    pub password: &'a SecretString,
    /// By `authByLogin` with `viewOnlyMode` instead of `check-login-password`.
    pub view_only: bool,
    /// The account to log in to, where a view-only login has several.
    pub user_id: Option<u64>,
}

impl Login<'_> {
    /// The login's request. No SID cookie goes with it.
    pub(super) fn request(&self, endpoint: &Endpoint) -> Request {
        let password = self.password.expose_secret();
        if !self.view_only {
            let fields = [
                ("login", self.name),
                ("password", password),
                ("rememberMe", "1"),
            ];
            return endpoint.form("/api/check-login-password", &fields);
        }
        let mut params = serde_json::json!({
            "login": self.name,
            "password": password,
            "rememberMe": 1,
            "viewOnlyMode": true,
        });
        if let (Some(user_id), Some(params)) = (self.user_id, params.as_object_mut()) {
            params.insert("userId".to_owned(), user_id.into());
        }
        let query = serde_json::json!({"cmd": "authByLogin", "params": params});
        endpoint.form("/api/", &[("q", &query.to_string())])
    }
}

/// The meaning of a login's answer; the first rule that matches decides.
///
/// [`Error::Auth`] is a rejection: no other login is to be sent with this credential. Any other
/// error is transient.
pub(super) fn sid(reply: &LoginReply, redactor: &Redactor) -> Result<SecretString, Error> {
    let head = reply.head;
    let status = head.status.unwrap_or_default();
    let text = String::from_utf8_lossy(&reply.body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let json = Value::parse(text);
    let is_json = json.is_ok();
    let body = json.unwrap_or(Value::Null);
    // The last cookie is what a browser keeps.
    let cookie = reply.cookies.iter().rev().find_map(cookie_sid);
    let sid = cookie.or_else(|| body_sid(&body));
    // The SID of an answer is a secret, also where the login was rejected.
    let redactor = redactor.with(sid.clone());
    let is_code_alone = matches!(body, Value::Object(_)) && !body.has_error();
    let envelope = match response::read(&reply.body) {
        // A code beside an SID is not an error.
        Ok(Answer::Error(envelope)) if sid.is_none() || !is_code_alone => Some(envelope),
        _ => None,
    };
    let has_envelope = envelope.is_some();
    let envelope = envelope.unwrap_or_else(|| ApiErrorBody {
        code: None,
        message: body.field("message").text().unwrap_or_default().to_owned(),
    });
    let words = envelope.message.to_lowercase();
    let said = || message(head, &envelope, &redactor);

    let logged = body.field("logged");
    let is_not_logged_in = !matches!(logged, Value::Null) && !logged.is_flag_set();
    if body.field("auth_code_id").is_truthy() || is_not_logged_in {
        return Err(Error::Auth(AuthError::SecondFactor(head)));
    }
    if is_permanent(&words) {
        return Err(Error::Auth(AuthError::LoginRejected(said())));
    }
    let codes = [Some(i64::from(status)), envelope.code];
    let is_code = |is: fn(i64) -> bool| codes.into_iter().flatten().any(is);
    if is_code(|code| code == 429) || words.contains("limit") || words.contains("too many") {
        return Err(Error::RateLimited(said()));
    }
    let has_words = has_envelope || !words.is_empty();
    if has_words && (is_transient(&words) || is_code(|code| (500..600).contains(&code))) {
        return Err(Error::Api(said()));
    }
    if !is_json || status >= 500 {
        return Err(match status {
            200..300 => Error::Decode {
                detail: "a login was answered without JSON".to_owned(),
                head,
            },
            _ => Error::HttpStatus(head),
        });
    }
    // An unknown text may be a rejection in another language.
    if has_envelope || matches!(status, 401 | 403) {
        return Err(Error::Auth(AuthError::LoginRejected(said())));
    }
    sid.ok_or(Error::Auth(AuthError::NoSessionInLoginResponse(head)))
}

/// Whether a text, in lower case, is a rejection that no further try changes.
fn is_permanent(words: &str) -> bool {
    let has = |any: &[&str]| any.iter().any(|word| words.contains(word));
    (has(&["wrong", "invalid", "incorrect"]) && has(&["password", "login", "credentials"]))
        || has(&["2fa", "two-factor", "blocked", "disabled"])
}

fn body_sid(body: &Value<'_>) -> Option<SecretString> {
    let names = ["SID", "sid", "sessionId"];
    names.into_iter().find_map(|name| {
        let sid = match body.field(name) {
            Value::Text(Text(sid)) => sid.into_owned(),
            Value::Number(sid) => sid.to_owned(),
            _ => return None,
        };
        is_sendable(&sid).then(|| sid.into())
    })
}

/// The value of a `Set-Cookie` header whose cookie is named `SID`: `PHPSESSID=` ends the same way.
fn cookie_sid(header: &SecretString) -> Option<SecretString> {
    let pair = header.expose_secret().split(';').next()?;
    let (name, value) = pair.split_once('=')?;
    let value = value.trim().trim_matches('"');
    // PHP takes a cookie back by setting it to "deleted".
    let usable = name.trim() == "SID" && is_sendable(value) && value != "deleted";
    usable.then(|| value.into())
}

/// Whether it can be sent back as a cookie; what cannot is not an SID.
fn is_sendable(sid: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b';' | b',');
    (1..=MAX_SID_LENGTH).contains(&sid.len()) && sid.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]

    use super::*;

    fn read(status: u16, cookies: &[&str], body: &str) -> Result<SecretString, Error> {
        let reply = LoginReply {
            head: ResponseHead {
                status: Some(status),
                ..ResponseHead::default()
            },
            cookies: cookies.iter().map(|&cookie| cookie.into()).collect(),
            body: body.to_owned().into(),
        };
        sid(&reply, &Redactor::default())
    }

    /// The rules of the list, in short. `cookie` is the SID's.
    fn answer(status: u16, cookie: Option<&str>, body: &str) -> &'static str {
        let cookie = cookie.map(|sid| format!("SID={sid}; Path=/"));
        let cookies: Vec<&str> = cookie.iter().map(String::as_str).collect();
        match read(status, &cookies, body) {
            Ok(_) => "in",
            Err(Error::Auth(AuthError::SecondFactor(_))) => "second factor",
            Err(Error::Auth(AuthError::LoginRejected(_))) => "rejected",
            Err(Error::Auth(AuthError::NoSessionInLoginResponse(_))) => "no session",
            Err(Error::RateLimited(_)) => "limit",
            Err(Error::Api(_) | Error::HttpStatus { .. } | Error::Decode { .. }) => "transient",
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn second_factor_is_rejected_even_with_an_sid() {
        for body in [
            r#"{"logged":false,"SID":"abc"}"#,
            r#"{"auth_code_id":17,"SID":"abc","logged":true}"#,
            r#"{"auth_code_id":"17"}"#,
            r#"{"logged":0,"error":"too many requests","code":429}"#,
            r#"{"logged":"false"}"#,
        ] {
            assert_eq!(answer(200, Some("abc"), body), "second factor", "{body}");
            assert_eq!(answer(500, None, body), "second factor", "{body}");
        }
        for body in [
            r#"{"auth_code_id":null,"logged":true}"#,
            r#"{"logged":null}"#,
        ] {
            assert_eq!(answer(200, Some("abc"), body), "in", "{body}");
        }
    }

    #[test]
    fn retry_after_counts_whatever_the_login_answers() {
        let retry_after = Some(std::time::Duration::from_secs(7));
        for (status, body) in [
            (200, r#"{"logged":false}"#),
            (200, r#"{"logged":true}"#),
            (403, r#"{"error":"Wrong password"}"#),
            (429, ""),
            (503, r#"{"error":"maintenance"}"#),
            (503, ""),
            (200, ""),
        ] {
            let head = ResponseHead {
                status: Some(status),
                retry_after,
                ..ResponseHead::default()
            };
            let reply = LoginReply {
                head,
                cookies: Vec::new(),
                body: body.into(),
            };
            let error = sid(&reply, &Redactor::default()).unwrap_err();
            assert_eq!(error.retry_after(), retry_after, "{error}");
        }
    }

    #[test]
    fn permanent_words_are_rejections_at_any_status() {
        for text in [
            "Wrong login or password",
            "Invalid credentials",
            "INCORRECT PASSWORD, too many attempts",
            "2FA required",
            "Two-factor code expected",
            "Account is blocked, try again later",
            "user disabled",
        ] {
            for (status, code) in [(200, 12), (500, 500), (429, 429), (403, 0)] {
                let body = serde_json::json!({"errMsg": text, "code": code}).to_string();
                assert_eq!(answer(status, Some("abc"), &body), "rejected", "{text}");
            }
            let body = serde_json::json!({"success": false, "message": text}).to_string();
            assert_eq!(answer(200, None, &body), "rejected", "{text}");
        }
    }

    #[test]
    fn server_trouble_is_transient() {
        for (status, body, row) in [
            (
                200,
                r#"{"error":"Request limit exceeded","code":null}"#,
                "limit",
            ),
            (200, r#"{"error":"no","code":429}"#, "limit"),
            (429, "", "limit"),
            (429, "{}", "limit"),
            (
                200,
                r#"{"error":"Maintenance until 6:00","code":1}"#,
                "transient",
            ),
            (403, r#"{"error":"Temporarily closed"}"#, "transient"),
            (200, r#"{"error":"Service unavailable"}"#, "transient"),
            (200, r#"{"message":"Please try again later"}"#, "transient"),
            (200, r#"{"error":"no","code":503}"#, "transient"),
            (500, r#"{"error":"no","code":12}"#, "transient"),
            (502, "{}", "transient"),
            (200, "", "transient"),
            (200, "<html>login</html>", "transient"),
            (401, "<html>401</html>", "transient"),
            (403, "<html>403</html>", "transient"),
            (200, r#"{"SID":"abc""#, "transient"),
        ] {
            assert_eq!(answer(status, None, body), row, "{status} {body}");
            assert_eq!(answer(status, Some("abc"), body), row, "{status} {body}");
        }
    }

    #[test]
    fn other_login_errors_are_rejections() {
        for (status, body) in [
            (200, r#"{"error":"Неверный пароль","code":12}"#),
            (200, r#"{"errMsg":"no"}"#),
            (200, r#"[{"error":"no","code":7}]"#),
            (401, "{}"),
            (403, "[]"),
            (400, r#"{"error":true}"#),
        ] {
            assert_eq!(
                answer(status, Some("abc"), body),
                "rejected",
                "{status} {body}"
            );
        }
    }

    #[test]
    fn login_succeeds_only_with_an_sid() {
        assert_eq!(answer(200, Some("abc"), "{}"), "in");
        assert_eq!(answer(200, None, "\u{feff}{\"SID\":\"abc\"}"), "in");
        assert_eq!(answer(200, None, r#"{"sid":"abc","error":false}"#), "in");
        assert_eq!(answer(200, None, r#"{"SID":17}"#), "in");
        assert_eq!(answer(200, None, r#"{"SID":"abc","code":200}"#), "in");
        let nested = format!(
            r#"{{"SID":"abc","x":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(answer(200, None, &nested), "in");
        for body in [
            "{}",
            "[]",
            "7",
            r#"{"SID":""}"#,
            r#"{"SID":"a b"}"#,
            r#"{"SID":["abc"]}"#,
        ] {
            assert_eq!(answer(200, None, body), "no session", "{body}");
        }
        let long = "s".repeat(MAX_SID_LENGTH + 1);
        assert_eq!(answer(200, Some(&long), "{}"), "no session");
        assert_eq!(answer(200, Some("deleted"), "{}"), "no session");
    }

    #[test]
    fn last_cookie_of_exactly_this_name_wins() {
        for (cookies, body) in [
            (&["SID=left-over", "SID=good"][..], "{}"),
            (&["SID=good; Path=/", "SID=deleted"], "{}"),
            (&["SID=no\u{e9}"], r#"{"sessionId": "good"}"#),
        ] {
            let sid = read(200, cookies, body).unwrap();
            assert_eq!(sid.expose_secret(), "good", "{cookies:?}");
        }
        for cookie in [
            "PHPSESSID=0123456789abcdef; Path=/",
            "uid=7; Path=/; SID=0123456789abcdef",
            "XSID=0123456789abcdef",
            "SID=; Path=/",
            "SID=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT",
        ] {
            let answer = read(200, &[cookie], "{\"logged\":true}");
            let none = matches!(
                answer,
                Err(Error::Auth(AuthError::NoSessionInLoginResponse(_)))
            );
            assert!(none, "{cookie}");
        }
    }

    #[test]
    fn view_only_login_sends_auth_by_login_in_a_form() {
        let request = |view_only, user_id| {
            let password = "p&ss".into();
            let login = Login {
                name: "me",
                password: &password,
                view_only,
                user_id,
            };
            let endpoint = Endpoint {
                origin: "https://tradernet.test".parse().unwrap(),
                timeout: std::time::Duration::ZERO,
            };
            let request = login.request(&endpoint);
            let body = request.body().unwrap().as_bytes().unwrap();
            let form = form_urlencoded::parse(body)
                .into_owned()
                .collect::<Vec<_>>();
            (request.url().path().to_owned(), form)
        };
        let (path, form) = request(false, None);
        assert_eq!(path, "/api/check-login-password");
        assert_eq!(form.len(), 3);
        for (user_id, expected) in [
            (
                None,
                r#"{"cmd":"authByLogin","params":{"login":"me","password":"p&ss","rememberMe":1,"viewOnlyMode":true}}"#,
            ),
            (
                Some(7),
                r#"{"cmd":"authByLogin","params":{"login":"me","password":"p&ss","rememberMe":1,"userId":7,"viewOnlyMode":true}}"#,
            ),
        ] {
            let (path, form) = request(true, user_id);
            assert_eq!(path, "/api/");
            assert_eq!(form, [("q".to_owned(), expected.to_owned())]);
        }
    }

    #[test]
    fn rejection_redacts_the_sid_of_its_answer() {
        let reply = LoginReply {
            head: ResponseHead::default(),
            cookies: vec!["SID=0123456789".to_owned().into()],
            body: br#"{"error":"no, 0123456789","code":12}"#[..].into(),
        };
        let error = sid(&reply, &Redactor::default()).map(|_| ()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the login was rejected: \"no, [redacted]\" (code 12)"
        );
    }
}
