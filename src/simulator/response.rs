//! Answers in the forms that the platform uses.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use super::options::ErrorEnvelope;

/// An answer before it is sent.
pub type Response = hyper::Response<Bytes>;

/// The secrets in a request.
#[derive(Default)]
pub(super) struct RequestSecrets {
    pub(super) sid: String,
    pub(super) key: String,
    pub(super) signature: String,
    pub(super) login: String,
    pub(super) password: String,
}

impl RequestSecrets {
    /// Replaces placeholders in a text by the values that the client sent.
    pub(super) fn substitute_placeholders(&self, text: &str) -> String {
        text.replace("{SID}", &self.sid)
            .replace("{KEY}", &self.key)
            .replace("{SIG}", &self.signature)
            .replace("{LOGIN}", &self.login)
            .replace("{PASSWORD}", &self.password)
    }

    /// The envelope's JSON, with what the client sent.
    pub(super) fn envelope(&self, envelope: &ErrorEnvelope) -> Value {
        let message = self.substitute_placeholders(&envelope.message);
        json!({ (envelope.field): message, "code": envelope.code })
    }
}

pub(super) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    // A status that HTTP does not have is a mistake of the test.
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_IMPLEMENTED);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Response {
    new(status, "application/json", body)
}

pub(super) fn html_page(status: u16) -> Response {
    let body = format!(
        "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\n<body><center><h1>{status}</h1></center></body></html>\n"
    );
    new(status, "text/html; charset=utf-8", body)
}

/// The answer with one more header; one whose value HTTP does not have is left out.
pub(super) fn with_header(
    mut response: Response,
    name: &'static str,
    value: impl ToString,
) -> Response {
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        response.headers_mut().append(name, value);
    }
    response
}
