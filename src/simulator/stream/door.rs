//! Requests that ask for a stream, or go on with one: who they are, and the way in.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::Method;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::super::fault::Fault;
use super::super::handles::Simulator;
use super::super::request_log::LoggedRequest;
use super::super::response::{Reply, Sent};
use super::super::routes::{Asked, cookie, field, header};
use super::super::spoil::Spoilt;
use super::attendance::Attendance;
use super::conversation::Conversation;
use super::dialect::StreamProtocol;
use super::engine::{self, Engine};
use super::line::WebSocketLine;
use super::talk;

/// Where socket.io is served, as its clients have it by default.
const SOCKET_IO: &str = "/socket.io";

/// What goes on over a connection once it speaks HTTP no more.
pub(in super::super) type Afterwards = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection's way out of HTTP.
#[derive(Clone)]
pub(in super::super) struct Doorway {
    engine: Engine,
    reset: Arc<AtomicBool>,
    afterwards: Arc<Mutex<Option<Afterwards>>>,
}

impl Doorway {
    /// That of one connection. The switch makes its end a reset.
    pub(in super::super) fn new(engine: Engine, reset: Arc<AtomicBool>) -> Self {
        Self {
            engine,
            reset,
            afterwards: Arc::default(),
        }
    }

    /// What is to be done after HTTP, once.
    pub(in super::super) fn afterwards(&self) -> Option<Afterwards> {
        let mut afterwards = self.afterwards.lock();
        afterwards
            .as_mut()
            .map_or_else(|poisoned| poisoned.get_mut().take(), |it| it.take())
    }

    fn leave_by(&self, afterwards: impl Future<Output = ()> + Send + 'static) {
        let mut place = self
            .afterwards
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Some(Box::pin(afterwards));
    }
}

/// A request for a stream.
pub(in super::super) struct Knock {
    wants: Wants,
    /// Whose it is, as far as the SID tells; a forgotten one still does.
    pub(in super::super) account: Option<Arc<str>>,
    pub(in super::super) sent: Sent,
}

enum Wants {
    WebSocket(StreamProtocol),
    Polling,
    /// The rest goes on with a session of this id.
    Poll(String),
    Post(String),
    Upgrade(String),
    Nonsense(Reply),
}

impl Knock {
    /// `None` for any other request.
    pub(in super::super) fn read(world: &Simulator, asked: &Asked) -> Option<Self> {
        let websocket = header(&asked.headers, "upgrade").eq_ignore_ascii_case("websocket");
        let wants = match asked.path.strip_suffix('/').unwrap_or(&asked.path) {
            "" if websocket => Wants::WebSocket(StreamProtocol::Plain),
            SOCKET_IO => Wants::of_engine(asked, websocket),
            _ => return None,
        };
        let sid = field(asked.query.as_bytes(), "SID").filter(|sid| !sid.is_empty());
        let sid = sid.or_else(|| cookie(&asked.headers, "SID"));
        let sid = sid.unwrap_or_default();
        Some(Self {
            wants,
            account: world.account_of_sid(&sid),
            sent: Sent {
                sid,
                ..Sent::default()
            },
        })
    }

    /// Whether a stream begins with it.
    pub(in super::super) fn is_handshake(&self) -> bool {
        matches!(self.wants, Wants::WebSocket(_) | Wants::Polling)
    }

    /// Lets the request in, or says what is wrong with it. The fault befalls what comes after a handshake.
    pub(in super::super) async fn open(
        self,
        world: &Simulator,
        asked: &Asked,
        upgrade: OnUpgrade,
        doorway: &Doorway,
        opening: Option<Fault>,
    ) -> Spoilt {
        let session = match &self.wants {
            Wants::Poll(id) | Wants::Post(id) | Wants::Upgrade(id) => doorway.engine.session(id),
            _ => None,
        };
        match (self.wants, session) {
            (Wants::WebSocket(dialect), _) => {
                let guest = Guest::new(world, asked, dialect, self.sent.sid, self.account, opening);
                Spoilt::Reply(guest.by_websocket(asked, upgrade, doorway))
            }
            (Wants::Polling, _) => {
                let dialect = StreamProtocol::SocketIo;
                let guest = Guest::new(world, asked, dialect, self.sent.sid, self.account, opening);
                guest.by_polling(&doorway.engine).await
            }
            (Wants::Poll(_), Some(session)) => session.poll().await,
            (Wants::Post(_), Some(session)) => Spoilt::Reply(session.post(&asked.body)),
            (Wants::Upgrade(_), Some(session)) => {
                let pings_heard = pings_heard(world, self.account);
                let reset = Arc::clone(&doorway.reset);
                Spoilt::Reply(switch(asked, upgrade, doorway, |io| async move {
                    let line = WebSocketLine::new(io, pings_heard, reset).await;
                    session.upgrade(line).await;
                }))
            }
            (Wants::Nonsense(reply), _) => Spoilt::Reply(reply),
            (_, None) => Spoilt::Reply(engine::error(1, "Session ID unknown")),
        }
    }
}

impl Wants {
    fn of_engine(asked: &Asked, websocket: bool) -> Self {
        let given = |name| field(asked.query.as_bytes(), name).unwrap_or_default();
        let (transport, id) = (given("transport"), given("sid"));
        if given("EIO") != "3" {
            return Self::Nonsense(engine::error(5, "Unsupported protocol version"));
        }
        match (transport.as_str(), &asked.method) {
            ("websocket", _) if !websocket => Self::Nonsense(engine::error(3, "Bad request")),
            ("websocket", _) if id.is_empty() => Self::WebSocket(StreamProtocol::SocketIo),
            ("websocket", _) => Self::Upgrade(id),
            ("polling", &Method::GET) if id.is_empty() => Self::Polling,
            ("polling", &Method::GET) => Self::Poll(id),
            ("polling", &Method::POST) if !id.is_empty() => Self::Post(id),
            ("polling", _) => Self::Nonsense(engine::error(2, "Bad handshake method")),
            _ => Self::Nonsense(engine::error(0, "Transport unknown")),
        }
    }
}

/// Somebody who begins a stream.
struct Guest {
    world: Simulator,
    account: Option<Arc<str>>,
    conversation: Conversation,
    log: Log,
}

impl Guest {
    fn new(
        world: &Simulator,
        asked: &Asked,
        dialect: StreamProtocol,
        sid: String,
        account: Option<Arc<str>>,
        opening: Option<Fault>,
    ) -> Self {
        let log = Log {
            world: world.clone(),
            handshake: LoggedRequest {
                time: world.now(),
                peer: asked.peer,
                method: "MESSAGE".to_owned(),
                target: asked.target(),
                headers: vec![],
                body: bytes::Bytes::new(),
                account: account.clone(),
            },
        };
        Self {
            world: world.clone(),
            conversation: Conversation::new(world, dialect, sid, account.clone(), opening),
            account,
            log,
        }
    }

    fn by_websocket(mut self, asked: &Asked, upgrade: OnUpgrade, doorway: &Doorway) -> Reply {
        let is_engine = self.conversation.dialect() == StreamProtocol::SocketIo;
        if is_engine {
            self.welcome(false);
        }
        let attendance = Attendance::enter(&self.world, self.account.clone());
        let pings_heard = pings_heard(&self.world, self.account);
        let reset = Arc::clone(&doorway.reset);
        switch(asked, upgrade, doorway, move |io| async move {
            let line = WebSocketLine::new(io, pings_heard, reset).await;
            let log = |text: &str| self.log.request(text);
            talk::hold(line, self.conversation, attendance, is_engine, log).await;
        })
    }

    async fn by_polling(mut self, engine: &Engine) -> Spoilt {
        let id = self.welcome(true);
        let attendance = Attendance::enter(&self.world, self.account);
        let session = engine.begin(&id, |line| async move {
            let log = |text: &str| self.log.request(text);
            talk::hold(line, self.conversation, attendance, true, log).await;
        });
        match session.poll().await {
            Spoilt::Reply(reply) => {
                Spoilt::Reply(reply.header("set-cookie", format!("io={id}; Path=/; HttpOnly")))
            }
            other => other,
        }
    }

    /// What Engine.IO and socket.io begin with; tells the session's id.
    fn welcome(&mut self, polling: bool) -> String {
        let id = self.world.state().make_sid();
        let open = engine::open_packet(&id, &self.conversation.quirks(), polling);
        self.conversation.begin_with([open, "40".to_owned()]);
        id
    }
}

/// Requests for the list stand in the world's log like any other: the message as the body, and the
/// handshake's target.
struct Log {
    world: Simulator,
    handshake: LoggedRequest,
}

impl Log {
    fn request(&self, text: &str) {
        self.world.log(LoggedRequest {
            time: self.world.now(),
            body: text.to_owned().into(),
            ..self.handshake.clone()
        });
    }
}

/// Answers a WebSocket's handshake, and does the rest over what becomes of the connection.
fn switch<T>(
    asked: &Asked,
    upgrade: OnUpgrade,
    doorway: &Doorway,
    afterwards: impl FnOnce(TokioIo<hyper::upgrade::Upgraded>) -> T + Send + 'static,
) -> Reply
where
    T: Future<Output = ()> + Send,
{
    let key = header(&asked.headers, "sec-websocket-key");
    if asked.method != Method::GET || key.is_empty() {
        return Reply::page(400, "400 Bad Request");
    }
    if header(&asked.headers, "sec-websocket-version") != "13" {
        return Reply::page(426, "426 Upgrade Required").header("sec-websocket-version", "13");
    }
    doorway.leave_by(async move {
        if let Ok(io) = upgrade.await {
            afterwards(TokioIo::new(io)).await;
        }
    });
    Reply::new(101, "", "")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
}

fn pings_heard(world: &Simulator, account: Option<Arc<str>>) -> impl Fn() -> bool + Send + 'static {
    let world = world.clone();
    move || {
        let state = world.state();
        let account = account.as_ref().and_then(|it| state.accounts.get(it));
        account.is_none_or(|account| account.options.stream.answers_pings)
    }
}
