//! The WebSocket handshake, made by the client of the requests: the same proxy, CA certificates and
//! rules hold, and a refusal's status, `Retry-After` and body decide what an attempt is counted as.

use reqwest::header::{
    CONNECTION, COOKIE, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;

use super::client::{Client, retry_after, secret_header, too_many_requests};
use super::error::Error;
use super::redact::Redactor;
use super::transport_error::failure;
use super::{classify, response};

/// A longer refusal is not an envelope.
const MAX_REFUSAL_BYTES: usize = 64 << 10;
/// Enough for a list of a few sessions; it grows for longer ones. A thousand streams have one each.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// What may wait to be sent: a request and many pongs.
const MAX_WRITE_BUFFER_BYTES: usize = 64 << 10;

/// Bytes both ways.
pub(super) trait AsyncStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> AsyncStream for T {}

/// A WebSocket over a connection of any kind.
pub(super) type Socket = WebSocketStream<Box<dyn AsyncStream>>;

/// Opens a WebSocket at a path, which may contain the SID, of an origin. The caller limits its time.
pub(super) async fn open(
    client: &Client,
    origin: &Url,
    path: &SecretString,
    cookie: Option<&SecretString>,
    frame_limit: u64,
    redactor: &Redactor,
) -> Result<Socket, Error> {
    let unusable = || Error::Network {
        detail: "the stream's URL cannot be used".to_owned(),
    };
    // The client knows only the schemes of HTTP.
    let mut url = origin.join(path.expose_secret()).map_err(|_| unusable())?;
    let scheme = if origin.scheme() == "wss" {
        "https"
    } else {
        "http"
    };
    url.set_scheme(scheme).map_err(|()| unusable())?;

    let key = generate_key();
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, secret_header(&key)?);
    if let Some(sid) = cookie {
        let cookie = format!("SID={}", sid.expose_secret());
        headers.insert(COOKIE, secret_header(&cookie)?);
    }
    // The caller's limit of time is the only one.
    let failed = |error| failure(error, std::time::Duration::ZERO, redactor);
    let request = client.streams(&url).get(url).headers(headers);
    let response = request.send().await.map_err(failed)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(response, redactor).await);
    }
    // Nothing else checks it.
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    let expected = derive_accept_key(key.as_bytes());
    if accepted.is_none_or(|accepted| accepted.as_bytes() != expected.as_bytes()) {
        return Err(not_a_websocket());
    }
    let connection = response.upgrade().await.map_err(failed)?;
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

/// A refused handshake means what the same answer to a request would mean.
async fn refusal(mut response: Response, redactor: &Redactor) -> Error {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    if status == 429 {
        return too_many_requests(retry_after);
    }
    // A body that breaks off is a refusal too.
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_REFUSAL_BYTES {
            body.clear();
            break;
        }
    }
    match classify::list(status, retry_after, response::read(&body), redactor) {
        Err(error) if !matches!(error, Error::Decode { .. }) => error,
        _ => not_a_websocket(),
    }
}

fn not_a_websocket() -> Error {
    Error::Decode {
        detail: "the server did not switch to a WebSocket".to_owned(),
        retry_after: None,
    }
}
