//! An answer before it is sent, in the forms that the platform uses.

use bytes::Bytes;
use serde_json::{Value, json};

use super::options::{ErrorEnvelope, ErrorField};

/// An answer before it is sent.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// Compress the body where the client accepts it.
    pub(super) gzip: bool,
}

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
    /// Puts what the client sent where a text asks for it.
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
        match envelope.field {
            ErrorField::ErrMsg => json!({ "errMsg": message, "code": envelope.code }),
            ErrorField::Error => json!({ "error": message, "code": envelope.code }),
        }
    }
}

impl Response {
    pub(super) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
            gzip: false,
        }
    }

    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json", body)
    }

    pub(super) fn html_page(status: u16, title: &str) -> Self {
        let body = format!(
            "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><center><h1>{title}</h1></center></body></html>\n"
        );
        Self::new(status, "text/html; charset=utf-8", body)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
