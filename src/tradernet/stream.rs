//! One connection that pushes the list: opened, requested from, read. Its user decides whether and
//! when to open another.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

use super::classify;
use super::client::Client;
use super::error::{AuthError, Awaited, Error, ResponseHead, Stage};
use super::frame::{Event, websocket_event};
use super::handshake::{self, Socket};
use super::redact::Redactor;
use super::request::Credentials;
use super::response::ApiErrorBody;
use super::transport::{StreamEndpoint, StreamProtocol};
use super::transport_error::RequestContext;
use super::{response, signature, socketio};
use crate::session::SessionList;

/// Pings are sent no more often, whatever interval the server expects.
const MIN_PING_INTERVAL: Duration = Duration::from_secs(1);

/// A server that does not read what it is sent is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest frame, in bytes; less where `TRADERNET_MAX_RESPONSE_BYTES` is less. A thousand streams
/// must not hold a gigabyte.
const MAX_FRAME_BYTES: u64 = 1 << 20;

/// A close has a reason of at most 123 bytes. One that is nearly as long may have been cut in the
/// middle of a secret, so it is not shown.
const MAX_REASON_BYTES: usize = 120;

/// Events that a server sends beside the list.
const EXPECTED_EVENTS: [&str; 2] = ["keepAlive", "userData"];

/// Requests the list, and every change of it. The vendor's Node client sends `["sessions",[]]`.
const WEBSOCKET_REQUEST: &str = r#"["sessions"]"#;

/// An open connection.
pub struct Stream {
    socket: Socket,
    protocol: StreamProtocol,
    /// How often a server of socket.io expects a ping.
    ping_interval: Option<Duration>,
    /// The payload of the pings that have no pong yet. The server cannot guess it. socket.io's
    /// have none.
    pinged: Option<u64>,
    /// The last event that was sent for no known reason.
    unexpected: Option<String>,
    limit: u64,
    context: RequestContext,
}

/// The meaning of a frame.
#[derive(Debug)]
pub enum StreamEvent {
    /// The list; or an error, or something unreadable instead of a list. The connection is open
    /// then, but the last list may not hold any more.
    Answer(Result<SessionList, Error>),
    /// A ping of ours was answered: at most once for each.
    Pong,
    /// Another frame.
    Other,
}

impl Client {
    /// Opens a stream and waits for its first list, for no longer than `allowed`.
    ///
    /// # Errors
    ///
    /// Why there is no list: see [`Error`].
    pub async fn stream(
        &self,
        endpoint: &StreamEndpoint,
        credentials: Credentials<'_>,
        allowed: Duration,
        redactor: &Redactor,
    ) -> Result<(Stream, SessionList), Error> {
        let parameters = handshake::parameters(credentials, self.clock.now());
        let is_signature = |(name, _): &&(&str, _)| *name == signature::HEADER;
        let signature = parameters.iter().find(is_signature);
        let redactor = redactor.with(signature.map(|(_, value)| value.clone()));
        let context = self.context(&endpoint.origin, allowed, &redactor);
        let deadline = context.start + allowed;
        let limit = self.config.max_response_bytes.min(MAX_FRAME_BYTES);
        let socket = handshake::open(self, endpoint, &parameters, limit, &context);
        let socket = timeout_at(deadline, socket).await;
        let no_answer = Awaited::Answer { received: None };
        let socket = socket.unwrap_or_else(|_| Err(context.late(allowed, no_answer)))?;
        let mut stream = Stream::new(socket, endpoint.protocol.clone(), limit, context);
        let list = timeout_at(deadline, stream.first_list()).await;
        let list = list.unwrap_or_else(|_| {
            let received = stream.unexpected.take();
            Err(stream.context.late(allowed, Awaited::Answer { received }))
        })?;
        Ok((stream, list))
    }
}

impl Stream {
    fn new(socket: Socket, protocol: StreamProtocol, limit: u64, context: RequestContext) -> Self {
        Self {
            socket,
            protocol,
            ping_interval: None,
            pinged: None,
            unexpected: None,
            limit,
            context,
        }
    }

    /// A WebSocket over a connection of a test's making.
    #[cfg(test)]
    pub(crate) async fn over(connection: tokio::io::DuplexStream) -> Self {
        let socket = handshake::over(Box::new(connection), MAX_FRAME_BYTES).await;
        let context = RequestContext {
            address: String::new(),
            proxy: None,
            connecting: Default::default(),
            timeout: Duration::ZERO,
            start: tokio::time::Instant::now(),
            redactor: Redactor::default(),
        };
        Self::new(socket, StreamProtocol::Websocket, MAX_FRAME_BYTES, context)
    }

    /// The error of a stream on which nothing has come for so long.
    pub fn late(&self, after: Duration) -> Error {
        self.context.late(after, Awaited::Frame)
    }

    /// Replaces these secrets in the server's words from now on.
    pub fn set_redactor(&mut self, redactor: Redactor) {
        self.context.redactor = redactor;
    }

    async fn first_list(&mut self) -> Result<SessionList, Error> {
        // A server of socket.io says when events can be sent.
        if self.protocol == StreamProtocol::Websocket {
            self.request_list().await?;
        }
        loop {
            // A server of socket.io expects pings before the first list too.
            let interval = self.ping_interval.unwrap_or(Duration::MAX);
            match timeout(interval, self.next()).await {
                Err(_) => self.ping().await?,
                Ok(event) => match event? {
                    StreamEvent::Answer(result) => return result,
                    StreamEvent::Pong | StreamEvent::Other => {}
                },
            }
        }
    }

    /// How often the server expects a ping, where it said so; at least a second.
    pub fn ping_interval(&self) -> Option<Duration> {
        self.ping_interval
    }

    /// Requests the list. It is not documented that a second request is answered.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub async fn request_list(&mut self) -> Result<(), Error> {
        let text = match &self.protocol {
            StreamProtocol::Websocket => WEBSOCKET_REQUEST.to_owned(),
            StreamProtocol::Socketio { login } => socketio::subscribe(login),
        };
        self.send(Message::text(text)).await
    }

    /// Sends a ping.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let payload = *self.pinged.get_or_insert_with(|| fastrand::u64(..));
        let ping = match &self.protocol {
            StreamProtocol::Websocket => Message::Ping(payload.to_be_bytes().to_vec().into()),
            StreamProtocol::Socketio { .. } => Message::text(socketio::PING),
        };
        self.send(ping).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(|error| self.lost(error)),
            Err(_) => Err(self.late(SEND_TIMEOUT)),
        }
    }

    /// Waits for the next frame. Nothing is lost where the wait is given up.
    ///
    /// # Errors
    ///
    /// Why the connection ended, or is of no more use: the SID is not accepted.
    pub async fn next(&mut self) -> Result<StreamEvent, Error> {
        let is_websocket = self.protocol == StreamProtocol::Websocket;
        let message = match self.socket.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(self.lost(error)),
            None => return Err(self.closed(None)),
        };
        let event = match &message {
            // Some servers send their texts as binary frames, where nothing has checked them.
            Message::Text(_) | Message::Binary(_) => {
                let bytes = message.clone().into_data();
                let text = response::text(&bytes);
                match is_websocket {
                    true => websocket_event(&text),
                    false => socketio::read(&text),
                }
            }
            // Engine.IO has pings of its own.
            Message::Pong(payload) if is_websocket => match self.pinged {
                Some(pinged) if payload[..] == pinged.to_be_bytes() => Event::Pong,
                _ => Event::Other(None),
            },
            Message::Close(frame) => return Err(self.closed(frame.as_ref())),
            _ => Event::Other(None),
        };
        self.handle(event).await
    }

    async fn handle(&mut self, event: Event) -> Result<StreamEvent, Error> {
        match event {
            Event::Answer(answer) => {
                let head = ResponseHead::default();
                return match classify::list(head, answer, &self.context.redactor) {
                    Err(error @ Error::Auth(_)) => Err(error),
                    result => Ok(StreamEvent::Answer(result)),
                };
            }
            Event::Demo => return Err(Error::Auth(AuthError::DemoMode)),
            Event::Pong if self.pinged.take().is_some() => return Ok(StreamEvent::Pong),
            Event::Closed => return Err(self.closed(None)),
            Event::Opened(interval) => {
                self.ping_interval = interval.map(|interval| interval.max(MIN_PING_INTERVAL));
            }
            Event::Connected => self.request_list().await?,
            Event::Other(Some(name)) if !EXPECTED_EVENTS.contains(&name.as_str()) => {
                self.unexpected = Some(self.context.redactor.redact(&name));
            }
            Event::Pong | Event::Other(_) => {}
        }
        Ok(StreamEvent::Other)
    }

    fn broken(&self, detail: &str) -> Error {
        self.context.connection_error_at(Stage::Response, detail)
    }

    /// A server's close. The code for a violated policy and those from 4400 on, which servers use
    /// like HTTP's statuses, point to the credential. Of the reason only a limit counts: a server
    /// that goes away may mention sessions too, and no login is sent for that.
    fn closed(&self, frame: Option<&CloseFrame>) -> Error {
        let Some(frame) = frame else {
            return self.broken("the server closed the stream");
        };
        let code = u16::from(frame.code);
        let reason = Some(frame.reason.as_str()).filter(|text| text.len() < MAX_REASON_BYTES);
        let body = ApiErrorBody {
            code: Some(code.into()),
            message: reason.unwrap_or_default().to_owned(),
        };
        let said = classify::message(ResponseHead::default(), &body, &self.context.redactor);
        match code {
            _ if code == 4429 || classify::is_limit(&frame.reason.to_lowercase()) => {
                Error::RateLimited(said)
            }
            4401 => Error::Auth(AuthError::SidRejected(said)),
            1008 | 4400..4500 => Error::Auth(AuthError::Rejected(said)),
            _ => self.broken(&format!("the server closed the stream: {said}")),
        }
    }

    fn lost(&self, error: tungstenite::Error) -> Error {
        use tungstenite::Error as Ws;
        match error {
            Ws::Capacity(CapacityError::MessageTooLong { .. }) => Error::TooLarge {
                limit: Some(self.limit),
            },
            Ws::ConnectionClosed | Ws::AlreadyClosed => self.closed(None),
            Ws::Utf8(_) => Error::decode("a text frame is not UTF-8"),
            Ws::WriteBufferFull(_) => {
                self.broken("the server does not read: the send buffer is full")
            }
            Ws::Io(error) => self.context.connection_error(&error, false),
            error => self.broken(&error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]

    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;
    use crate::tradernet::Reason;

    async fn closed_with(code: u16, reason: &str) -> Error {
        let (client, server) = tokio::io::duplex(1 << 10);
        let mut stream = Stream::over(client).await;
        stream.set_redactor(Redactor::new(["an-sid-of-mine".into()]));
        let mut server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        let close = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        server.close(Some(close)).await.unwrap();
        stream.next().await.unwrap_err()
    }

    #[tokio::test]
    async fn close_code_and_reason_decide_the_error() {
        for (code, reason, counted, logs_in) in [
            (4401, "", Reason::Auth, true),
            (4429, "", Reason::RateLimited, false),
            (1008, "SID expired", Reason::Auth, false),
            (4403, "SID expired", Reason::Auth, false),
            (1013, "Too many requests", Reason::RateLimited, false),
            (4000, "request limit", Reason::RateLimited, false),
            (1011, "GET /?SID=[masked] failed", Reason::Network, false),
            (
                1012,
                "maintenance, SID sessions closed",
                Reason::Network,
                false,
            ),
            (1000, "Not authorized", Reason::Network, false),
        ] {
            let error = closed_with(code, reason).await;
            assert_eq!(error.reason(), counted, "{code} {reason}");
            assert_eq!(error.is_cured_by_login(), logs_in, "{code} {reason}");
            assert!(error.to_string().contains(&code.to_string()), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[tokio::test]
    async fn a_pong_counts_once_for_a_ping_of_ours() {
        for is_websocket in [true, false] {
            let (client, server) = tokio::io::duplex(1 << 10);
            let mut stream = Stream::over(client).await;
            let mut server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
            let mut guess = Message::Pong(bytes::Bytes::new());
            if !is_websocket {
                let login = String::new();
                stream.protocol = StreamProtocol::Socketio { login };
                guess = Message::text("3");
            }
            server.send(guess.clone()).await.unwrap();
            assert!(matches!(stream.next().await.unwrap(), StreamEvent::Other));
            let mut last = None;
            for _ in 0..2 {
                stream.ping().await.unwrap();
                let pong = match server.next().await.unwrap().unwrap() {
                    Message::Ping(payload) => Message::Pong(payload),
                    _ => guess.clone(),
                };
                if is_websocket {
                    for wrong in last
                        .replace(pong.clone())
                        .into_iter()
                        .chain([guess.clone()])
                    {
                        server.send(wrong).await.unwrap();
                        assert!(matches!(stream.next().await.unwrap(), StreamEvent::Other));
                    }
                }
                server.send(pong.clone()).await.unwrap();
                assert!(matches!(stream.next().await.unwrap(), StreamEvent::Pong));
                server.send(pong).await.unwrap();
                assert!(matches!(stream.next().await.unwrap(), StreamEvent::Other));
            }
        }
    }

    #[tokio::test]
    async fn binary_frame_may_have_a_byte_order_mark_and_text_that_is_not_utf_8() {
        let (client, server) = tokio::io::duplex(1 << 10);
        let mut stream = Stream::over(client).await;
        let mut server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        let list = b"\xef\xbb\xbf[\"sessions\", [{\"id\": 7, \"user_login\": \"J\xfcrgen\"}]]";
        server.send(Message::binary(&list[..])).await.unwrap();
        let StreamEvent::Answer(Ok(list)) = stream.next().await.unwrap() else {
            panic!("no list")
        };
        assert!(list.get(7).is_some());
    }

    #[tokio::test]
    async fn close_reason_is_redacted_and_hidden_where_it_may_be_cut() {
        let error = closed_with(1011, "for an-sid-of-mine").await.to_string();
        assert!(error.contains("for [redacted]"), "{error}");
        let cut = format!("{}an-sid-of", "-".repeat(MAX_REASON_BYTES - 9));
        let error = closed_with(1011, &cut).await.to_string();
        assert!(!error.contains("an-sid"), "{error}");
        assert!(error.contains("1011"), "{error}");
    }
}
