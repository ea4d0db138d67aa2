//! An answer before it is put on a wire, in the forms that the platform uses.

use bytes::Bytes;
use serde_json::{Value, json};

use super::options::{ErrorEnvelope, ErrorField};

/// An answer before it is put on a wire.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    pub(super) gzip: bool,
}

/// The secrets that a request carried.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) sid: String,
    pub(super) key: String,
    pub(super) signature: String,
    pub(super) login: String,
    pub(super) password: String,
}

impl Sent {
    /// Puts what was sent where a text asks for it.
    pub(super) fn echo(&self, text: &str) -> String {
        text.replace("{SID}", &self.sid)
            .replace("{KEY}", &self.key)
            .replace("{SIG}", &self.signature)
            .replace("{LOGIN}", &self.login)
            .replace("{PASSWORD}", &self.password)
    }
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
            gzip: false,
        }
    }

    pub(super) fn json(value: &Value) -> Self {
        Self::new(200, "application/json", value.to_string())
    }

    pub(super) fn envelope(status: u16, envelope: &ErrorEnvelope, sent: &Sent) -> Self {
        let message = sent.echo(&envelope.message);
        let key = match envelope.style {
            ErrorField::ErrMsg => "errMsg",
            ErrorField::Error => "error",
        };
        let mut body = json!({ key: message });
        if let (Some(code), Some(fields)) = (envelope.code, body.as_object_mut()) {
            fields.insert("code".to_owned(), json!(code));
        }
        Self {
            status,
            ..Self::json(&body)
        }
    }

    pub(super) fn page(status: u16, title: &str) -> Self {
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
