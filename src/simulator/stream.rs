//! The server of the streams: the list pushed over a WebSocket, or over the legacy socket.io in one.
//!
//! It has a listener of its own, as the platform has hosts of their own. Engine.IO's polling is not served.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use super::auth::{self, Credential};
use super::fault::{Disconnect, StreamFault};
use super::handles::Simulator;
use super::options::{ErrorEnvelope, ResponseShape};
use super::protocol::{ClientMessage, Protocol};
use super::request::{LoggedRequest, field};
use super::response::RequestSecrets;
use super::routes::signed;
use super::server::{Connection as Io, accept};
use super::state::access_denied;

/// Small, since there are thousands of connections and clients send little.
const READ_BUFFER_BYTES: usize = 1024;
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// How long a client may take to answer a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Close code: policy violation.
const POLICY_VIOLATION: u16 = 1008;

/// Serves the streams on the listener until the future is dropped, and every connection with it.
pub async fn serve_streams(
    listener: TcpListener,
    simulator: Simulator,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    accept(listener, tls, move |io, _| serve(io, simulator.clone())).await;
}

async fn serve(io: Box<dyn Io>, simulator: Simulator) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let mut accepted = None;
    #[expect(clippy::result_large_err, reason = "tungstenite's type")]
    let handshake = |request: &Request, response: Response| {
        accepted = Some(handshake(&simulator, request)?);
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async_with_config(io, handshake, Some(config)).await;
    if let (Ok(mut socket), Some((mut connection, disconnect))) = (socket, accepted) {
        let how = connection.run(&mut socket, disconnect).await;
        end(socket, how).await;
    }
}

/// The account that connects, and whether it may.
#[expect(clippy::result_large_err, reason = "tungstenite's type")]
fn handshake(
    simulator: &Simulator,
    request: &Request,
) -> Result<(Connection, oneshot::Receiver<Disconnect>), ErrorResponse> {
    let uri = request.uri();
    let now = simulator.now();
    let mut request = LoggedRequest {
        time: now,
        method: Method::GET,
        target: uri.to_string(),
        headers: request.headers().clone(),
        body: Bytes::new(),
        account: None,
    };
    let mut state = simulator.state();
    let sid = field(request.query(), "SID").filter(|sid| !sid.is_empty());
    let sid = sid.or_else(|| request.cookie("SID"));
    let (account, secrets, by_key) = if let Some(sid) = sid {
        let account = state.sids.get(&sid).map(|it| Arc::clone(&it.login));
        let secrets = RequestSecrets {
            sid,
            ..RequestSecrets::default()
        };
        (account, secrets, false)
    } else {
        let (timestamp, secrets) = signed(|name| field(request.query(), name).unwrap_or_default());
        let credential = Credential::v3(&[], timestamp);
        let account = auth::authenticate(&mut state, &credential, &secrets, now).ok();
        (account, secrets, true)
    };
    request.account = account.clone();
    let mut fault = None;
    if let Some(account) = account.as_ref().and_then(|it| state.accounts.get_mut(it)) {
        account.counters.handshakes += 1;
        fault = account.faults.next_stream(true);
    }
    let protocol = match request.path() {
        "" => Some(Protocol::WebSocket),
        "/socket.io" if field(request.query(), "EIO").as_deref() == Some("3") => {
            Some(Protocol::SocketIo)
        }
        _ => None,
    };
    state.log(request);
    let refused = match (&fault, protocol) {
        (Some(StreamFault::RefuseHandshake(status)), _) => Err(refusal(*status)),
        (_, None) => Err(refusal(404)),
        (_, Some(protocol)) => Ok(protocol),
    };
    let accepted = refused.map(|protocol| {
        let valid = by_key || state.account_of_sid(&secrets.sid).is_ok();
        let demo = account.is_none() || !valid || fault == Some(StreamFault::DemoMode);
        let (number, disconnect) = state.register(account.clone());
        let connection = Connection {
            simulator: simulator.clone(),
            number,
            protocol,
            account,
            secrets,
            by_key,
            demo,
            subscribed: false,
            sent_generation: None,
        };
        (connection, disconnect)
    });
    drop(state);
    simulator.notify_waiters();
    accepted
}

fn refusal(status: u16) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(format!("refused with {status}\n")));
    *refusal.status_mut() = status.try_into().unwrap_or_default();
    refusal
}

/// One stream. It is registered until it is dropped.
struct Connection {
    simulator: Simulator,
    number: u64,
    protocol: Protocol,
    /// Whose it is; in demo mode too, where the SID was revoked.
    account: Option<Arc<str>>,
    secrets: RequestSecrets,
    by_key: bool,
    demo: bool,
    /// Whether the list was requested: only then are its changes sent.
    subscribed: bool,
    /// The account's generation in the last list that was sent.
    sent_generation: Option<u64>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.simulator.state().connections.remove(&self.number);
        self.simulator.notify_waiters();
    }
}

enum Action {
    Send(String),
    End(Disconnect),
}

impl Connection {
    /// Serves the stream until either side ends it, and returns how.
    async fn run(
        &mut self,
        socket: &mut WebSocketStream<Box<dyn Io>>,
        mut disconnect: oneshot::Receiver<Disconnect>,
    ) -> Disconnect {
        let mut changes = {
            let state = self.simulator.state();
            let account = self.account.as_ref().and_then(|it| state.accounts.get(it));
            account.map(|account| account.generation.subscribe())
        };
        let mut actions = self.on_open();
        loop {
            for action in actions {
                match action {
                    Action::Send(text) => {
                        if socket.send(Message::text(text)).await.is_err() {
                            return Disconnect::Eof;
                        }
                    }
                    Action::End(how) => return how,
                }
            }
            let expiry = self.next_expiry();
            actions = tokio::select! {
                // A disconnect precedes whatever else has happened.
                biased;
                Ok(how) = &mut disconnect => return how,
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.on_message(&text),
                    // Pings and a close are answered by tungstenite with the next read.
                    Some(Ok(_)) => vec![],
                    None | Some(Err(_)) => return Disconnect::Eof,
                },
                changed = or_never(changes.as_mut().map(watch::Receiver::changed)) => match changed {
                    Ok(()) => self.on_change(),
                    // The account was replaced.
                    Err(_) => return Disconnect::Close(1001),
                },
                () = or_never(expiry.map(tokio::time::sleep)) => self.on_change(),
            };
        }
    }

    fn on_open(&self) -> Vec<Action> {
        let user = self.account.as_deref().filter(|_| !self.demo);
        let id = format!("engine-io-{}", self.number);
        let greeting = self.protocol.greeting(user, &id);
        greeting.into_iter().map(Action::Send).collect()
    }

    fn on_message(&mut self, text: &str) -> Vec<Action> {
        match self.protocol.parse(text) {
            ClientMessage::Subscribe => self.on_subscribe(),
            ClientMessage::Ping(payload) => vec![Action::Send(format!("3{payload}"))],
            ClientMessage::Other => vec![],
        }
    }

    fn on_subscribe(&mut self) -> Vec<Action> {
        let mut state = self.simulator.state();
        let account = self.account.as_ref();
        let fault = account
            .and_then(|it| state.accounts.get_mut(it))
            .and_then(|account| {
                account.counters.stream_requests += 1;
                account.faults.next_stream(false)
            });
        drop(state);
        self.simulator.notify_waiters();
        match fault {
            Some(StreamFault::ErrorEvent(envelope)) => return vec![self.error(&envelope)],
            Some(StreamFault::RawFrames(texts)) => {
                return texts.into_iter().map(Action::Send).collect();
            }
            Some(StreamFault::Disconnect(how)) => return vec![Action::End(how)],
            Some(StreamFault::NoResponse) => return vec![],
            _ => {}
        }
        if self.demo {
            // The newer stream is silent then; the legacy one sends an error.
            return match self.protocol {
                Protocol::WebSocket => vec![],
                Protocol::SocketIo => vec![self.error(&access_denied())],
            };
        }
        self.subscribed = true;
        self.sent_generation = None;
        self.on_change()
    }

    /// Sends the list where it was requested and has changed; ends the stream where its SID was revoked.
    fn on_change(&mut self) -> Vec<Action> {
        if self.demo {
            return vec![];
        }
        let now = self.simulator.now();
        let mut state = self.simulator.state();
        if !self.by_key && state.account_of_sid(&self.secrets.sid).is_err() {
            let end = Action::End(Disconnect::Close(POLICY_VIOLATION));
            return vec![self.error(&access_denied()), end];
        }
        let account = self.account.as_ref().filter(|_| self.subscribed);
        let Some(account) = account.and_then(|it| state.accounts.get_mut(it)) else {
            return vec![];
        };
        let shape = match self.protocol {
            Protocol::WebSocket => account.spec.shape,
            Protocol::SocketIo => ResponseShape::ResponseInArray,
        };
        // Reads the list before its generation: sessions that are over count as a change.
        let list = account.list(shape, now);
        let generation = *account.generation.borrow();
        if self.sent_generation == Some(generation) {
            return vec![];
        }
        self.sent_generation = Some(generation);
        let list = String::from_utf8_lossy(&list);
        vec![Action::Send(self.protocol.list(&list))]
    }

    fn error(&self, envelope: &ErrorEnvelope) -> Action {
        let envelope = self.secrets.envelope(envelope);
        Action::Send(self.protocol.error(&envelope))
    }

    /// How long until the list changes by itself, where that is to be sent.
    fn next_expiry(&self) -> Option<Duration> {
        let now = self.simulator.now();
        let mut state = self.simulator.state();
        let account = self.account.as_ref().filter(|_| self.subscribed)?;
        let sessions = state.accounts.get_mut(account)?.open_sessions(now);
        let end = sessions.map(|session| session.expires).min()?;
        // A clock that a test moves may not have reached it: not at once again.
        let left = end.duration_since(now).unwrap_or_default();
        Some(left.max(Duration::from_millis(1)))
    }
}

async fn or_never<T>(future: Option<impl Future<Output = T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

async fn end(mut socket: WebSocketStream<Box<dyn Io>>, how: Disconnect) {
    match how {
        Disconnect::Close(code) => {
            let frame = CloseFrame {
                code: code.into(),
                reason: "".into(),
            };
            let closing = async {
                socket.close(Some(frame)).await.ok();
                while let Some(Ok(_)) = socket.next().await {}
            };
            tokio::time::timeout(CLOSE_TIMEOUT, closing).await.ok();
        }
        Disconnect::Reset => {
            socket.get_ref().tcp().set_zero_linger().ok();
        }
        Disconnect::Eof => {}
    }
}
