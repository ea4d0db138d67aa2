//! One connection that pushes the list: opened, requested from, read. Its user decides whether and
//! when to open another.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

use super::classify;
use super::client::Client;
use super::error::{AuthError, Error};
use super::frame::Event;
use super::handshake::{self, Socket};
use super::redact::Redactor;
use super::request::Credentials;
use super::response::{Answer, ApiErrorBody};
use super::socketio::{self, Packet};
use super::transport::{StreamEndpoint, StreamProtocol};
use super::transport_error::connection_error;
use super::websocket;
use crate::clock::Timestamps;
use crate::session::SessionList;

/// A server that asks for more pings does not get them.
const MIN_PING_INTERVAL: Duration = Duration::from_secs(1);

/// Longest frame, in bytes; less where `TRADERNET_MAX_RESPONSE_BYTES` is less. A thousand streams
/// must not hold a gigabyte.
const MAX_FRAME_BYTES: u64 = 1 << 20;

/// An open connection.
pub struct Stream {
    socket: Socket,
    protocol: ProtocolState,
    limit: u64,
    redactor: Redactor,
}

enum ProtocolState {
    Websocket,
    Socketio {
        login: String,
        ping_interval: Option<Duration>,
        connected: bool,
    },
}

/// What a frame means.
#[derive(Debug)]
pub enum StreamEvent {
    /// The list.
    List(SessionList),
    /// An error, or something unreadable instead of a list. The connection is open, but the last
    /// list may not hold any more.
    NoList(Error),
    /// A ping was answered.
    Pong,
    /// Another frame.
    Alive,
}

impl Client {
    /// Opens a stream and waits for its first list, for no longer than `allowed`.
    ///
    /// # Errors
    ///
    /// Why there is no list: see [`Error`].
    pub async fn stream(
        &self,
        target: &StreamEndpoint,
        credentials: Credentials<'_>,
        now: Timestamps,
        allowed: Duration,
        redactor: &Redactor,
    ) -> Result<(Stream, SessionList), Error> {
        let _timer = self.timer(target.dialect.transport());
        let opened = async {
            let mut stream = Stream::connect(self, target, credentials, now, redactor).await?;
            let list = stream.first_list().await?;
            Ok((stream, list))
        };
        let opened = timeout_at(Instant::now() + allowed, opened).await;
        opened.unwrap_or(Err(Error::Timeout { after: allowed }))
    }
}

impl Stream {
    async fn connect(
        client: &Client,
        target: &StreamEndpoint,
        credentials: Credentials<'_>,
        now: Timestamps,
        redactor: &Redactor,
    ) -> Result<Self, Error> {
        let mut redactor = redactor.clone();
        // The page's example sends the SID also as a cookie only for socket.io.
        let (path, cookie, protocol) = match (&target.dialect, credentials) {
            (StreamProtocol::Websocket, credentials) => {
                let (path, signature) = websocket::path(credentials, now);
                redactor = redactor.with(signature);
                (path, None, ProtocolState::Websocket)
            }
            (StreamProtocol::Socketio { login }, Credentials::Sid(sid)) => (
                socketio::path(sid),
                Some(sid),
                ProtocolState::Socketio {
                    login: login.clone(),
                    ping_interval: None,
                    connected: false,
                },
            ),
            (StreamProtocol::Socketio { .. }, Credentials::KeyPair { .. }) => {
                return Err(Error::Credential {
                    detail: "socketio requires an SID or a login".to_owned(),
                });
            }
        };
        let limit = client.max_response_bytes.min(MAX_FRAME_BYTES);
        let origin = &target.origin;
        let socket = handshake::open(client, origin, &path, cookie, limit, &redactor).await?;
        let mut stream = Self {
            socket,
            protocol,
            limit,
            redactor,
        };
        while !stream.connected() {
            if let StreamEvent::NoList(error) = stream.next().await? {
                return Err(error);
            }
        }
        stream.ask().await?;
        Ok(stream)
    }

    /// A WebSocket over a connection of a test's making.
    #[cfg(test)]
    pub(crate) async fn over(connection: tokio::io::DuplexStream) -> Self {
        let limit = MAX_FRAME_BYTES;
        Self {
            socket: handshake::over(Box::new(connection), limit).await,
            protocol: ProtocolState::Websocket,
            limit,
            redactor: Redactor::default(),
        }
    }

    /// Replaces these secrets in the server's words from now on.
    pub fn set_redactor(&mut self, redactor: Redactor) {
        self.redactor = redactor;
    }

    /// Whether events can be sent: a server of socket.io says so.
    fn connected(&self) -> bool {
        match self.protocol {
            ProtocolState::Websocket => true,
            ProtocolState::Socketio { connected, .. } => connected,
        }
    }

    async fn first_list(&mut self) -> Result<SessionList, Error> {
        loop {
            let news = match self.ping_interval() {
                None => self.next().await?,
                // The server expects pings before the first list too.
                Some(interval) => match timeout(interval, self.next()).await {
                    Ok(news) => news?,
                    Err(_) => {
                        self.ping().await?;
                        continue;
                    }
                },
            };
            match news {
                StreamEvent::List(list) => return Ok(list),
                StreamEvent::NoList(error) => return Err(error),
                StreamEvent::Pong | StreamEvent::Alive => {}
            }
        }
    }

    /// How often the server expects a ping, where it said so; at least a second.
    pub fn ping_interval(&self) -> Option<Duration> {
        match self.protocol {
            ProtocolState::Websocket => None,
            ProtocolState::Socketio { ping_interval, .. } => ping_interval,
        }
    }

    /// Requests the list. It is not documented that a second request is answered.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub async fn ask(&mut self) -> Result<(), Error> {
        let text = match &self.protocol {
            ProtocolState::Websocket => websocket::ASK.to_owned(),
            ProtocolState::Socketio { login, .. } => socketio::subscribe(login),
        };
        self.send(Message::text(text)).await
    }

    /// Sends a ping.
    ///
    /// # Errors
    ///
    /// Why the connection ended.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let ping = match &self.protocol {
            ProtocolState::Websocket => Message::Ping(bytes::Bytes::new()),
            ProtocolState::Socketio { .. } => Message::text(socketio::PING),
        };
        self.send(ping).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        let sent = self.socket.send(message).await;
        sent.map_err(|error| lost(error, self.limit, &self.redactor))
    }

    /// Waits for the next frame. Nothing is lost where the wait is given up.
    ///
    /// # Errors
    ///
    /// Why the connection ended, or is of no more use: the SID is not accepted.
    pub async fn next(&mut self) -> Result<StreamEvent, Error> {
        let message = match self.socket.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(lost(error, self.limit, &self.redactor)),
            None => return Err(closed(None, &self.redactor)),
        };
        match message {
            Message::Text(text) => self.read(&text).await,
            // Some servers send their texts as binary frames.
            Message::Binary(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.read(text).await,
                Err(_) => Ok(StreamEvent::Alive),
            },
            Message::Pong(_) => Ok(match self.protocol {
                ProtocolState::Websocket => StreamEvent::Pong,
                // Engine.IO has pings of its own.
                ProtocolState::Socketio { .. } => StreamEvent::Alive,
            }),
            Message::Close(frame) => Err(closed(frame, &self.redactor)),
            Message::Ping(_) | Message::Frame(_) => Ok(StreamEvent::Alive),
        }
    }

    async fn read(&mut self, text: &str) -> Result<StreamEvent, Error> {
        let ProtocolState::Socketio {
            ping_interval,
            connected,
            ..
        } = &mut self.protocol
        else {
            return self.event(websocket::read(text));
        };
        match socketio::read(text) {
            Packet::Open(interval) => {
                *ping_interval = interval.map(|interval| interval.max(MIN_PING_INTERVAL));
                Ok(StreamEvent::Alive)
            }
            Packet::Connected => {
                *connected = true;
                Ok(StreamEvent::Alive)
            }
            Packet::Ping(echo) => {
                let pong = format!("{}{echo}", socketio::PONG);
                self.send(Message::text(pong)).await?;
                Ok(StreamEvent::Alive)
            }
            Packet::Pong => Ok(StreamEvent::Pong),
            Packet::Event(event) => self.event(event),
            Packet::Refused(envelope) => Err(self.error(envelope)),
            Packet::End => Err(closed(None, &self.redactor)),
            Packet::Other => Ok(StreamEvent::Alive),
        }
    }

    fn event(&self, event: Event) -> Result<StreamEvent, Error> {
        match event {
            Event::Sessions(Ok(Answer::Sessions(list))) => Ok(StreamEvent::List(list)),
            Event::Sessions(Ok(Answer::Error(envelope))) | Event::Error(envelope) => {
                match self.error(envelope) {
                    error @ Error::Auth(_) => Err(error),
                    error => Ok(StreamEvent::NoList(error)),
                }
            }
            Event::Sessions(Err(unreadable)) => Ok(StreamEvent::NoList(Error::Decode {
                detail: unreadable.message,
                retry_after: None,
            })),
            Event::Demo => Err(Error::Auth(AuthError::DemoMode)),
            Event::Other => Ok(StreamEvent::Alive),
        }
    }

    fn error(&self, envelope: ApiErrorBody) -> Error {
        classify::stream_error(envelope, &self.redactor)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

/// A server's close. The code for a violated policy and those from 4400 on, which servers use like
/// HTTP's statuses, point to the credential unless the reason says something else.
fn closed(frame: Option<CloseFrame>, redactor: &Redactor) -> Error {
    let Some(frame) = frame else {
        return Error::Network {
            detail: "the server closed the stream".to_owned(),
        };
    };
    let code = u16::from(frame.code);
    let body = ApiErrorBody {
        code: None,
        message: frame.reason.to_string(),
    };
    let said = ApiErrorBody {
        code: Some(i64::from(code)),
        ..body.clone()
    };
    let said = classify::message(None, None, &said, redactor);
    match classify::stream_error(body, redactor) {
        Error::Api(_) if matches!(code, 1008 | 4400..4500) => {
            Error::Auth(AuthError::Rejected(said))
        }
        Error::Api(_) => Error::Network {
            detail: format!("the server closed the stream: {said}"),
        },
        error => error,
    }
}

fn lost(error: tungstenite::Error, limit: u64, redactor: &Redactor) -> Error {
    use tungstenite::Error as Ws;
    match error {
        Ws::Capacity(CapacityError::MessageTooLong { .. }) => Error::TooLarge { limit },
        Ws::ConnectionClosed | Ws::AlreadyClosed => closed(None, redactor),
        Ws::Utf8(_) => Error::Decode {
            detail: "a text frame is not UTF-8".to_owned(),
            retry_after: None,
        },
        Ws::WriteBufferFull(_) => Error::Network {
            detail: "the server does not read: the send buffer is full".to_owned(),
        },
        Ws::Io(error) => connection_error(&error, redactor),
        error => Error::Network {
            detail: redactor.redact(&error.to_string()),
        },
    }
}
