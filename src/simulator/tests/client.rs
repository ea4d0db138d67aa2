//! An HTTP client of a few lines that hides nothing: what it reads is what was on the wire.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use ring::hmac;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::simulator::{Simulator, serve};

/// Serves the world on a free port for as long as the test runs.
pub(super) async fn serving(world: &Simulator) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, world.clone(), None, std::future::pending()));
    address
}

/// Fails instead of hanging.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("in time")
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }
}

/// What a client sends; every request has a connection of its own.
#[derive(Clone)]
pub(super) struct Ask {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Ask {
    pub(super) fn get(target: impl Into<String>) -> Self {
        Self {
            method: "GET",
            target: target.into(),
            headers: vec![],
            body: String::new(),
        }
        .header("user-agent", "test/1")
    }

    /// A form, unless another content type is set.
    pub(super) fn post(target: impl Into<String>, body: impl Into<String>) -> Self {
        let ask = Self {
            method: "POST",
            body: body.into(),
            ..Self::get(target)
        };
        ask.header("content-type", "application/x-www-form-urlencoded")
    }

    /// V1 by POST.
    pub(super) fn v1(q: &Value) -> Self {
        Self::post("/api/", form(&[("q", &q.to_string())]))
    }

    pub(super) fn sid(sid: &str) -> Self {
        Self::v1(&serde_json::json!({ "cmd": "getSecuritySessions", "SID": sid, "params": {} }))
    }

    pub(super) fn login(login: &str, password: &str) -> Self {
        Self::post(
            "/api/check-login-password",
            form(&[
                ("login", login),
                ("password", password),
                ("rememberMe", "1"),
            ]),
        )
    }

    pub(super) fn v2(key: &str, secret: &str, nonce: u64) -> Self {
        let body = format!("apiKey={key}&cmd=getSecuritySessions&nonce={nonce}");
        Self::post("/api/v2/cmd/getSecuritySessions", body.clone())
            .header("x-ntapi-sig", &sign(secret, &body))
    }

    pub(super) fn v3(key: &str, secret: &str, timestamp: i64) -> Self {
        Self::post("/api/getSecuritySessions", "{}")
            .header("content-type", "application/json")
            .header("x-ntapi-publickey", key)
            .header("x-ntapi-timestamp", &timestamp.to_string())
            .header("x-ntapi-sig", &sign(secret, &format!("{{}}{timestamp}")))
    }

    /// Adds the header, or replaces it.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) async fn send(&self, address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
            self.method, self.target
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n{}", self.body.len(), self.body);
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// What was on the wire, to its end.
    pub(super) async fn raw(&self, address: SocketAddr) -> std::io::Result<Vec<u8>> {
        let mut stream = self.send(address).await;
        let mut all = Vec::new();
        soon(stream.read_to_end(&mut all)).await.map(|_| all)
    }

    pub(super) async fn answer(&self, address: SocketAddr) -> Answer {
        let raw = self.raw(address).await.unwrap();
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&raw[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.into(), value.into()));
        Answer {
            status,
            headers: headers.collect(),
            body: raw[end + 4..].to_vec(),
        }
    }

    /// The ids of the answered list, or the code of the envelope.
    pub(super) async fn ids(&self, address: SocketAddr) -> Result<Vec<i64>, i64> {
        match self.answer(address).await.json() {
            Value::Array(list) => Ok(list
                .iter()
                .map(|session| session["id"].as_i64().unwrap())
                .collect()),
            envelope => Err(envelope["code"].as_i64().unwrap()),
        }
    }
}

pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// Not what verifies: the known-answer vectors beside that code hold both to the same values.
fn sign(secret: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
