//! The WebSocket handshake, made by the client of the requests: the same proxy, CA certificates and
//! rules hold, and a refusal's status, `Retry-After` and body decide what an attempt is counted as.
//!
//! Source: the vendor's pages; a key pair's query is that of the vendor's Python SDK. The URL contains
//! the credential, so it is never shown.

use reqwest::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use reqwest::{Method, Request, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::client::Client;
use super::error::{Error, Reason};
use super::request::{Credentials, insert_secret, version_3_signature};
use super::transport::{StreamEndpoint, StreamProtocol};
use super::transport_error::RequestContext;
use crate::clock::Timestamps;

/// Enough for a list of a few sessions; it grows for longer ones. A thousand streams have one each.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// The most that may wait to be sent: a request and many pongs.
const MAX_WRITE_BUFFER_BYTES: usize = 64 << 10;

/// Bytes both ways.
pub(super) trait AsyncStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> AsyncStream for T {}

/// A WebSocket over a connection of any kind.
pub(super) type Socket = WebSocketStream<Box<dyn AsyncStream>>;

/// The parameters by which a server knows the account: an SID, or a signature of the timestamp.
pub(super) fn parameters(
    credentials: Credentials<'_>,
    now: Timestamps,
) -> Vec<(&'static str, SecretString)> {
    match credentials {
        Credentials::Sid(sid) => vec![("SID", sid.clone())],
        Credentials::KeyPair { key, secret, .. } => {
            version_3_signature(key, secret, "", now).into()
        }
    }
}

/// The handshake's URL, in the scheme of HTTP. The vendor's page sends the SID also as a cookie, only
/// for socket.io.
fn request(
    endpoint: &StreamEndpoint,
    parameters: &[(&'static str, SecretString)],
) -> Result<Request, Error> {
    let mut url = endpoint.origin.clone();
    let scheme = if url.scheme() == "wss" {
        "https"
    } else {
        "http"
    };
    // Both are special schemes, so this cannot fail.
    let _ = url.set_scheme(scheme);
    let is_socketio = matches!(endpoint.protocol, StreamProtocol::Socketio { .. });
    if is_socketio {
        url.set_path("/socket.io/");
        url.query_pairs_mut()
            .append_pair("EIO", "3")
            .append_pair("transport", "websocket");
    }
    for (name, value) in parameters {
        url.query_pairs_mut()
            .append_pair(name, value.expose_secret());
    }
    let mut request = Request::new(Method::GET, url);
    for (name, sid) in parameters.iter().filter(|_| is_socketio) {
        let cookie = format!("{name}={}", sid.expose_secret());
        insert_secret(&mut request, "Cookie", &cookie.into())?;
    }
    Ok(request)
}

/// Opens a WebSocket. The caller limits its time.
pub(super) async fn open(
    client: &Client,
    endpoint: &StreamEndpoint,
    parameters: &[(&'static str, SecretString)],
    frame_limit: u64,
    context: &RequestContext,
) -> Result<Socket, Error> {
    let mut request = request(endpoint, parameters)?;
    let key = generate_key();
    insert_secret(
        &mut request,
        SEC_WEBSOCKET_KEY.as_str(),
        &key.clone().into(),
    )?;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));

    let response = client.send_twice(request, context).await?;
    let head = client.head(&response);
    let not_a_websocket = || Error::Decode {
        detail: "the server did not switch to a WebSocket".to_owned(),
        head,
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // It means what the same answer to a request would mean.
        return Err(match client.read_list(response, context).await {
            Err(error) if error.reason() != Reason::Decode => error,
            _ => not_a_websocket(),
        });
    }
    // Nothing else checks it.
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    let expected = derive_accept_key(key.as_bytes());
    if accepted.is_none_or(|accepted| accepted.as_bytes() != expected.as_bytes()) {
        return Err(not_a_websocket());
    }
    let connection = response.upgrade().await;
    let connection = connection.map_err(|error| context.error(error))?;
    Ok(over(Box::new(connection), frame_limit).await)
}

/// A WebSocket over a connection that has become one.
pub(super) async fn over(connection: Box<dyn AsyncStream>, frame_limit: u64) -> Socket {
    let limit = usize::try_from(frame_limit).unwrap_or(usize::MAX);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::tradernet::KeyVersion;

    #[test]
    fn a_key_pair_signs_the_timestamp() {
        let now = Timestamps {
            wall_ms: 1_700_000_000_900.0,
            monotonic: std::time::Duration::ZERO,
        };
        let (key, secret) = ("pub&".into(), "s3cret".into());
        let credentials = Credentials::KeyPair {
            key: &key,
            secret: &secret,
            version: KeyVersion::V3,
        };
        let endpoint = StreamEndpoint {
            origin: "wss://wss.example.com".parse().unwrap(),
            protocol: StreamProtocol::Websocket,
        };
        let request = request(&endpoint, &parameters(credentials, now)).unwrap();
        // `hmac.new(b"s3cret", b"1700000000", hashlib.sha256).hexdigest()` in Python.
        let expected = "b82d76a98690627a418267faa0be5e8830d04d82cc88b5450d2c0f32173127c5";
        assert_eq!(
            request.url().as_str(),
            format!(
                "https://wss.example.com/?X-NtApi-PublicKey=pub%26&X-NtApi-Timestamp=1700000000&X-NtApi-Sig={expected}"
            )
        );
        assert!(request.headers().is_empty());
    }

    #[test]
    fn socketio_handshake_has_the_sid_in_query_and_cookie() {
        let endpoint = StreamEndpoint {
            origin: "ws://127.0.0.1:7".parse().unwrap(),
            protocol: StreamProtocol::Socketio {
                login: String::new(),
            },
        };
        let request = request(&endpoint, &[("SID", "a&b=c/d".into())]).unwrap();
        assert_eq!(
            request.url().as_str(),
            "http://127.0.0.1:7/socket.io/?EIO=3&transport=websocket&SID=a%26b%3Dc%2Fd"
        );
        assert_eq!(request.headers().get("cookie").unwrap(), "SID=a&b=c/d");
    }
}
