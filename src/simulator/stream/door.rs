//! Requests that ask for a stream: who they are, and the way in.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Method};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::super::api::{Asked, cookie, field, header};
use super::super::fault::Fault;
use super::super::log::LoggedRequest;
use super::super::reply::{Reply, Sent};
use super::super::world::World;
use super::attendance::Attendance;
use super::conversation::Conversation;
use super::dialect::Dialect;
use super::line::WebSocketLine;
use super::talk;

/// What goes on over a connection once it speaks HTTP no more.
pub(in super::super) type Afterwards = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection's way out of HTTP.
#[derive(Clone, Default)]
pub(in super::super) struct Doorway(Arc<Mutex<Option<Afterwards>>>);

impl Doorway {
    fn leave_by(&self, afterwards: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(afterwards));
    }

    /// What is to be done after HTTP, once.
    pub(in super::super) fn afterwards(&self) -> Option<Afterwards> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A request for a stream.
pub(in super::super) struct Knock {
    dialect: Dialect,
    /// Whose it is, as far as the SID tells; a forgotten one still does.
    pub(in super::super) account: Option<Arc<str>>,
    pub(in super::super) sent: Sent,
}

impl Knock {
    /// `None` for any other request.
    pub(in super::super) fn read(world: &World, asked: &Asked) -> Option<Self> {
        let dialect = match asked.path.as_str() {
            "/" if wants_websocket(&asked.headers) => Dialect::Plain,
            _ => return None,
        };
        let sid = field(asked.query.as_bytes(), "SID").filter(|sid| !sid.is_empty());
        let sid = sid.or_else(|| cookie(&asked.headers, "SID"));
        let sid = sid.unwrap_or_default();
        let account = world.account_of_sid(&sid);
        Some(Self {
            dialect,
            account,
            sent: Sent {
                sid,
                ..Sent::default()
            },
        })
    }

    /// Lets the request in, or says what is wrong with it. The fault befalls what comes after.
    pub(in super::super) fn open(
        self,
        world: &World,
        asked: &Asked,
        upgrade: OnUpgrade,
        (doorway, reset): (&Doorway, Arc<AtomicBool>),
        opening: Option<Fault>,
    ) -> Reply {
        let key = header(&asked.headers, "sec-websocket-key");
        if asked.method != Method::GET || key.is_empty() {
            return Reply::page(400, "400 Bad Request");
        }
        if header(&asked.headers, "sec-websocket-version") != "13" {
            return Reply::page(426, "426 Upgrade Required").header("sec-websocket-version", "13");
        }
        let attendance = Attendance::enter(world, self.account.clone());
        let pings_heard = pings_heard(world, self.account.clone());
        let log = log_of(world, asked, self.account.clone());
        let conversation =
            Conversation::new(world, self.dialect, self.sent.sid, self.account, opening);
        doorway.leave_by(async move {
            let Ok(io) = upgrade.await else { return };
            let line = WebSocketLine::new(TokioIo::new(io), pings_heard, reset).await;
            talk::hold(line, conversation, attendance, false, log).await;
        });
        Reply {
            status: 101,
            ..Reply::new(101, "", "")
        }
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
    }
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    header(headers, "upgrade").eq_ignore_ascii_case("websocket")
}

fn pings_heard(world: &World, account: Option<Arc<str>>) -> impl Fn() -> bool + Send + 'static {
    let world = world.clone();
    move || {
        let state = world.state();
        let account = account.as_ref().and_then(|it| state.accounts.get(it));
        account.is_none_or(|account| account.quirks.stream.answers_pings)
    }
}

/// Requests for the list stand in the world's log like any other: the message as the body, the handshake's
/// target.
fn log_of(
    world: &World,
    asked: &Asked,
    account: Option<Arc<str>>,
) -> impl Fn(&str) + Send + 'static {
    let (world, peer, target) = (world.clone(), asked.peer, asked.target());
    move |text| {
        world.log(LoggedRequest {
            time: world.now(),
            peer,
            method: "MESSAGE".to_owned(),
            target: target.clone(),
            headers: vec![],
            body: text.to_owned().into(),
            account: account.clone(),
        });
    }
}
