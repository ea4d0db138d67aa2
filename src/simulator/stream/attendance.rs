//! Who is connected over a stream, when they came, and the orders that reach them.
//!
//! Part of the world's state. Knows nothing of what is said over a connection.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;

use super::super::handles::{Account, Simulator};

/// Connects that are remembered; the oldest makes room.
const CONNECTS_KEPT: usize = 65_536;

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// A proper end, with this close code (1001: the server goes away). Engine.IO's polls end with its own.
    Close(u16),
    /// The end of the TCP connection, without a word.
    Eof,
    /// A reset of the TCP connection.
    Reset,
    /// Nothing ends: not a frame, not a pong any more, and nothing is understood; half-open.
    Stall,
}

/// A handshake that a stream began with, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeRecord {
    /// When it was read, by the world's clock.
    pub time: SystemTime,
    /// Whose it was, as far as it could be told.
    pub account: Option<Arc<str>>,
}

/// The open connections of all accounts, and the handshakes of late.
#[derive(Default)]
pub(in super::super) struct Streams {
    open: HashMap<u64, Open>,
    next: u64,
    connects: VecDeque<HandshakeRecord>,
}

struct Open {
    account: Option<Arc<str>>,
    says: mpsc::UnboundedSender<Vec<String>>,
    cuts: mpsc::UnboundedSender<Disconnect>,
}

/// What reaches a connection from the world's owner.
pub(super) struct Orders {
    /// Texts to be said as they are.
    pub(super) says: mpsc::UnboundedReceiver<Vec<String>>,
    pub(super) cuts: mpsc::UnboundedReceiver<Disconnect>,
}

/// A connection's place in the world. It is open until this is dropped.
pub(super) struct Attendance {
    world: Simulator,
    number: u64,
    account: Option<Arc<str>>,
}

impl Attendance {
    /// Enters a connection. The orders reach it from now on.
    pub(super) fn enter(world: &Simulator, account: Option<Arc<str>>) -> (Self, Orders) {
        let (says_to, says) = mpsc::unbounded_channel();
        let (cuts_to, cuts) = mpsc::unbounded_channel();
        let mut state = world.state();
        let number = state.streams.next;
        state.streams.next += 1;
        let open = Open {
            account: account.clone(),
            says: says_to,
            cuts: cuts_to,
        };
        state.streams.open.insert(number, open);
        if let Some(account) = account.as_ref().and_then(|it| state.accounts.get_mut(it)) {
            account.counters.connected += 1;
            account.counters.max_connected = account
                .counters
                .max_connected
                .max(account.counters.connected);
        }
        drop(state);
        world.notify_waiters();
        let attendance = Self {
            world: world.clone(),
            number,
            account,
        };
        (attendance, Orders { says, cuts })
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut state = self.world.state();
        state.streams.open.remove(&self.number);
        let account = self.account.as_ref();
        if let Some(account) = account.and_then(|it| state.accounts.get_mut(it)) {
            account.counters.connected = account.counters.connected.saturating_sub(1);
        }
        drop(state);
        self.world.notify_waiters();
    }
}

impl Simulator {
    /// Cuts every stream of everybody at once, those in demo mode too, and tells how many that were.
    pub fn disconnect_all(&self, cut: Disconnect) -> usize {
        self.cut(cut, |_| true)
    }

    /// The open streams of all accounts, and those of nobody in particular.
    #[must_use]
    pub fn open_stream_count(&self) -> usize {
        self.state().streams.open.len()
    }

    /// The handshakes of all streams, the oldest first; of very many, the last.
    #[must_use]
    pub fn handshakes(&self) -> Vec<HandshakeRecord> {
        self.state().streams.connects.iter().cloned().collect()
    }

    /// Remembers a handshake.
    pub(in super::super) fn note_connect(&self, account: Option<Arc<str>>) {
        let time = self.now();
        let connects = &mut self.state().streams.connects;
        if connects.len() == CONNECTS_KEPT {
            connects.pop_front();
        }
        connects.push_back(HandshakeRecord { time, account });
    }

    fn cut(&self, cut: Disconnect, whose: impl Fn(Option<&str>) -> bool) -> usize {
        let state = self.state();
        let theirs = state.streams.open.values();
        let cut = theirs
            .filter(|open| whose(open.account.as_deref()))
            .filter(|open| open.cuts.send(cut).is_ok());
        cut.count()
    }
}

impl Account {
    /// Disconnects every stream of the account and returns how many there were.
    pub fn disconnect(&self, how: Disconnect) -> usize {
        self.simulator()
            .cut(how, |account| account == Some(self.login()))
    }

    /// Sends these texts, as they are, over every open stream of the account and returns how many there were.
    ///
    /// Over socket.io a text is an Engine.IO packet: `42["event",…]`. `{SID}` in a text becomes the SID of
    /// the connection.
    pub fn send_raw(&self, texts: &[&str]) -> usize {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let state = self.simulator().state();
        let theirs = state.streams.open.values();
        let sent = theirs
            .filter(|open| open.account.as_deref() == Some(self.login()))
            .filter(|open| open.says.send(texts.clone()).is_ok());
        sent.count()
    }
}
