//! One connection that pushes the list: opened, asked, listened to. Whether and when to open
//! another is not its affair.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use secrecy::SecretString;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{self, Message};

use super::connect::{Connection, Connector, sort};
use super::error::{AuthError, Error};
use super::frame::Event;
use super::redact::Redactor;
use super::response::{Answer, ApiErrorBody};
use super::socketio::{self, Form, Packet};
use super::transport::{StreamEndpoint, StreamProtocol};
use super::{classify, handshake, websocket};
use crate::session::SessionList;

/// A server that asks for more pings does not get them.
const SHORTEST_BEAT: Duration = Duration::from_secs(1);
/// How long a socket.io server may be silent before it is also asked the older way.
const PATIENCE_WITH_CURRENT_FORM: Duration = Duration::from_secs(10);

/// Longest frame, in bytes; less where `TRADERNET_MAX_RESPONSE_BYTES` is less. A thousand streams
/// must not hold a gigabyte.
const MAX_FRAME_BYTES: u64 = 1 << 20;

/// An open connection.
pub struct Stream {
    socket: WebSocketStream<Connection>,
    spoken: Spoken,
    limit: u64,
    redactor: Redactor,
}

enum Spoken {
    Websocket,
    Socketio {
        login: String,
        /// The form to ask in: the one in which a list came last, where one has.
        form: Form,
        ping_interval: Option<Duration>,
        connected: bool,
    },
}

/// What a connection tells.
#[derive(Debug)]
pub enum StreamEvent {
    /// The list.
    List(SessionList),
    /// In the place of a list came an error, or something that cannot be read. The connection
    /// stands, but what was known before is not known to be true any more.
    NoList(Error),
    /// A ping was answered.
    Pong,
    /// The other side lives, and said nothing that matters here.
    Alive,
}

impl Stream {
    /// Connects, asks, and waits for the first list: each for no longer than `allowed`.
    pub(super) async fn open(
        connector: &Connector,
        target: &StreamEndpoint,
        sid: &SecretString,
        allowed: Duration,
        limit: u64,
        redactor: &Redactor,
    ) -> Result<(Self, SessionList), Error> {
        let limit = limit.min(MAX_FRAME_BYTES);
        let late = Error::Timeout { after: allowed };
        let deadline = Instant::now() + allowed;
        let connect = Self::connect(connector, target, sid, limit, redactor);
        let mut stream = match timeout_at(deadline, connect).await {
            Ok(stream) => stream?,
            Err(_) => return Err(late),
        };
        let first = match &stream.spoken {
            Spoken::Websocket => timeout_at(deadline, stream.first_list()).await,
            Spoken::Socketio { .. } => {
                // The older way is tried only when time is over for the other.
                let patience = allowed.min(PATIENCE_WITH_CURRENT_FORM);
                match timeout(patience, stream.first_list()).await {
                    Err(_) if stream.fall_back().await? => {
                        timeout(allowed, stream.first_list()).await
                    }
                    first => first,
                }
            }
        };
        match first {
            Ok(list) => Ok((stream, list?)),
            Err(_) => Err(late),
        }
    }

    async fn connect(
        connector: &Connector,
        target: &StreamEndpoint,
        sid: &SecretString,
        limit: u64,
        redactor: &Redactor,
    ) -> Result<Self, Error> {
        let origin = &target.origin;
        let connection = connector.connect(origin, redactor).await?;
        // The page's example sends the SID as a cookie too for socket.io alone.
        let (path, cookie, spoken) = match &target.dialect {
            StreamProtocol::Websocket => (websocket::path(sid), None, Spoken::Websocket),
            StreamProtocol::Socketio { login } => (
                socketio::path(sid),
                Some(sid),
                Spoken::Socketio {
                    login: login.clone(),
                    form: Form::Current,
                    ping_interval: None,
                    connected: false,
                },
            ),
        };
        let socket =
            handshake::websocket(connection, origin, &path, cookie, limit, redactor).await?;
        let mut stream = Self {
            socket,
            spoken,
            limit,
            redactor: redactor.clone(),
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
        let limit = 64 << 20;
        Self {
            socket: handshake::client(Box::new(connection), limit).await,
            spoken: Spoken::Websocket,
            limit,
            redactor: Redactor::default(),
        }
    }

    /// Replaces these secrets in the server's words from now on.
    pub fn set_redactor(&mut self, redactor: Redactor) {
        self.redactor = redactor;
    }

    /// Whether events can be sent: a WebSocket that stands is enough for the one dialect, the
    /// other's server says so.
    fn connected(&self) -> bool {
        match self.spoken {
            Spoken::Websocket => true,
            Spoken::Socketio { connected, .. } => connected,
        }
    }

    async fn first_list(&mut self) -> Result<SessionList, Error> {
        loop {
            let news = match self.ping_interval() {
                None => self.next().await?,
                // The heartbeat does not wait for the first list.
                Some(beat) => match timeout(beat, self.next()).await {
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

    /// Asks the older way from now on; whether there is one.
    async fn fall_back(&mut self) -> Result<bool, Error> {
        let Spoken::Socketio { form, .. } = &mut self.spoken else {
            return Ok(false);
        };
        *form = Form::Older;
        self.ask().await?;
        Ok(true)
    }

    /// How often the other side wants to be pinged, where it said so; at least a second.
    pub fn ping_interval(&self) -> Option<Duration> {
        match self.spoken {
            Spoken::Websocket => None,
            Spoken::Socketio { ping_interval, .. } => ping_interval,
        }
    }

    /// Asks for the list. It is not documented that a second request is answered.
    ///
    /// # Errors
    ///
    /// Why the connection is no more.
    pub async fn ask(&mut self) -> Result<(), Error> {
        let text = match &self.spoken {
            Spoken::Websocket => websocket::ASK.to_owned(),
            Spoken::Socketio { login, form, .. } => form.ask(login),
        };
        self.send(Message::text(text)).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    ///
    /// Why the connection is no more.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let ping = match &self.spoken {
            Spoken::Websocket => Message::Ping(bytes::Bytes::new()),
            Spoken::Socketio { .. } => Message::text(socketio::PING),
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
    /// Why the connection is no more, or is of no more use: the SID is not accepted.
    pub async fn next(&mut self) -> Result<StreamEvent, Error> {
        let message = match self.socket.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(lost(error, self.limit, &self.redactor)),
            None => return Err(closed()),
        };
        let text = match message {
            Message::Text(text) => text,
            Message::Pong(_) => {
                return Ok(match self.spoken {
                    Spoken::Websocket => StreamEvent::Pong,
                    // Its heartbeat is its own.
                    Spoken::Socketio { .. } => StreamEvent::Alive,
                });
            }
            Message::Close(_) => return Err(closed()),
            Message::Binary(_) | Message::Ping(_) | Message::Frame(_) => {
                return Ok(StreamEvent::Alive);
            }
        };
        match &mut self.spoken {
            Spoken::Websocket => self.news(websocket::read(&text)),
            Spoken::Socketio {
                ping_interval,
                connected,
                form,
                ..
            } => match socketio::read(&text) {
                Packet::Open(every) => {
                    *ping_interval = every.map(|every| every.max(SHORTEST_BEAT));
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
                Packet::Event(event, came) => {
                    if matches!(event, Event::Sessions(Ok(Answer::Sessions(_)))) {
                        *form = came;
                    }
                    self.news(event)
                }
                Packet::Refused(envelope) => Err(self.refusal(envelope)),
                Packet::End => Err(closed()),
                Packet::Other => Ok(StreamEvent::Alive),
            },
        }
    }

    fn news(&self, event: Event) -> Result<StreamEvent, Error> {
        match event {
            Event::Sessions(Ok(Answer::Sessions(list))) => Ok(StreamEvent::List(list)),
            Event::Sessions(Ok(Answer::Error(envelope))) | Event::Error(envelope) => {
                match self.refusal(envelope) {
                    error @ Error::Auth(_) => Err(error),
                    error => Ok(StreamEvent::NoList(error)),
                }
            }
            Event::Sessions(Err(unreadable)) => Ok(StreamEvent::NoList(Error::Decode {
                detail: unreadable.what,
                retry_after: None,
            })),
            Event::Demo => Err(Error::Auth(AuthError::DemoMode)),
            Event::Other => Ok(StreamEvent::Alive),
        }
    }

    fn refusal(&self, envelope: ApiErrorBody) -> Error {
        classify::stream_error(envelope, &self.redactor)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

fn closed() -> Error {
    Error::Network {
        detail: "the server closed the stream".to_owned(),
    }
}

fn lost(error: tungstenite::Error, limit: u64, redactor: &Redactor) -> Error {
    use tungstenite::Error as Ws;
    match error {
        Ws::Capacity(CapacityError::MessageTooLong { .. }) => Error::TooLarge { limit },
        Ws::ConnectionClosed | Ws::AlreadyClosed => closed(),
        Ws::Utf8(_) => Error::Decode {
            detail: "a text frame is not UTF-8".to_owned(),
            retry_after: None,
        },
        Ws::WriteBufferFull(_) => Error::Network {
            detail: "the server does not read what it is sent".to_owned(),
        },
        Ws::Io(error) => sort(&error, redactor),
        error => Error::Network {
            detail: redactor.redact(&error.to_string()),
        },
    }
}
