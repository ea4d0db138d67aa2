//! One HTTP request over a connection that may afterwards carry something else: the WebSocket
//! handshake, and what a proxy is asked.
//!
//! The handshake is made with hyper rather than by the WebSocket crate because a refusal's status,
//! `Retry-After` and body decide what an attempt is counted as.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, COOKIE, HOST, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;

use super::client;
use super::connect::{Connection, sort};
use super::error::Error;
use super::redact::Redactor;
use super::{classify, response};

/// A refusal longer than this is no envelope.
const LONGEST_REFUSAL: usize = 64 << 10;
/// Enough for a list of a few sessions; it grows for longer ones. A thousand streams have one each.
const READ_BUFFER: usize = 4 << 10;
/// What may wait to be sent: a request and many pongs. A server that does not read is owed no more.
const WRITE_BUFFER: usize = 64 << 10;

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The start of the body, where the connection is not to be used further.
    pub(super) body: Bytes,
    /// The connection with what was already read of it, where it is.
    pub(super) connection: Option<Connection>,
}

/// Sends the request, and takes the connection back where the status is what was hoped for.
pub(super) async fn converse(
    connection: Connection,
    request: Request<Empty<Bytes>>,
    hoped_for: impl Fn(&StatusCode) -> bool,
    redactor: &Redactor,
) -> Result<Answer, Error> {
    let failed = |error: hyper::Error| sort(&error, redactor);
    let (mut sender, mut http) = http1::handshake(TokioIo::new(connection))
        .await
        .map_err(failed)?;
    let mut ended = false;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = match hoped_for(&head.status) {
            true => Bytes::new(),
            false => refusal(body).await,
        };
        Ok((head, body))
    };
    tokio::pin!(answer);
    let (head, body) = poll_fn(|context| {
        // The connection's own end is told through the answer.
        if !ended {
            ended = http.poll_without_shutdown(context).is_ready();
        }
        answer.as_mut().poll(context)
    })
    .await
    .map_err(failed)?;
    let mut back = None;
    if hoped_for(&head.status) {
        poll_fn(|context| match ended {
            true => Poll::Ready(Ok(())),
            false => http.poll_without_shutdown(context),
        })
        .await
        .map_err(failed)?;
        let parts = http.into_parts();
        let read = std::io::Cursor::new(parts.read_buf);
        back = Some(Box::new(Resumed(read, parts.io.into_inner())) as Connection);
    }
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
        connection: back,
    })
}

/// As much of a refusal's body as can be had: one that breaks off is refused all the same.
async fn refusal(body: Incoming) -> Bytes {
    match Limited::new(body, LONGEST_REFUSAL).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    }
}

/// Makes a WebSocket of a connection. Redirects are refusals: the SID would follow them.
pub(super) async fn websocket(
    connection: Connection,
    origin: &Url,
    path: &SecretString,
    cookie: Option<&SecretString>,
    limit: u64,
    redactor: &Redactor,
) -> Result<WebSocketStream<Connection>, Error> {
    let key = generate_key();
    let unusable = |_| Error::Network {
        detail: "the credential has characters that HTTP cannot carry".to_owned(),
    };
    let host = origin.host_str().unwrap_or_default();
    let host = match origin.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let mut request = Request::builder()
        .uri(path.expose_secret())
        .header(HOST, host)
        .header(USER_AGENT, client::USER_AGENT)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    if let Some(sid) = cookie {
        let cookie = client::secret_header(&format!("SID={}", sid.expose_secret()))?;
        request = request.header(COOKIE, cookie);
    }
    let request = request.body(Empty::new()).map_err(unusable)?;
    let switches = |status: &StatusCode| *status == StatusCode::SWITCHING_PROTOCOLS;
    let answer = converse(connection, request, switches, redactor).await?;
    let Some(connection) = answer.connection else {
        return Err(refused(&answer, redactor));
    };
    let accepted = answer.headers.get(SEC_WEBSOCKET_ACCEPT);
    let expected = derive_accept_key(key.as_bytes());
    if accepted.is_none_or(|accepted| accepted.as_bytes() != expected.as_bytes()) {
        return Err(Error::Decode {
            detail: "the handshake is not a WebSocket's".to_owned(),
            retry_after: None,
        });
    }
    Ok(client(connection, limit).await)
}

/// A WebSocket over a connection that has become one.
pub(super) async fn client(connection: Connection, limit: u64) -> WebSocketStream<Connection> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await
}

/// A refused handshake means what the same answer to a request would mean.
fn refused(answer: &Answer, redactor: &Redactor) -> Error {
    let retry_after: Option<Duration> = client::retry_after(&answer.headers);
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        return client::too_many_requests(retry_after);
    }
    let read = response::read(&answer.body);
    match classify::list(answer.status.as_u16(), retry_after, read, redactor) {
        Err(error) if !matches!(error, Error::Decode { .. }) => error,
        _ => Error::Decode {
            detail: "the handshake is not a WebSocket's".to_owned(),
            retry_after: None,
        },
    }
}

/// A connection of which a part was read ahead.
struct Resumed(std::io::Cursor<Bytes>, Connection);

impl tokio::io::AsyncRead for Resumed {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let Self(ahead, connection) = &mut *self;
        if bytes::Buf::has_remaining(ahead) {
            return std::pin::Pin::new(ahead).poll_read(context, buffer);
        }
        // What was read ahead is not kept for the life of the stream.
        *ahead = std::io::Cursor::default();
        std::pin::Pin::new(connection).poll_read(context, buffer)
    }
}

impl tokio::io::AsyncWrite for Resumed {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.1).poll_write(context, buffer)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.1).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.1).poll_shutdown(context)
    }
}
