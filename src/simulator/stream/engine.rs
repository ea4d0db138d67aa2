//! Engine.IO 3 beneath socket.io, as far as it is not a WebSocket from the start: sessions that begin with
//! polling, and their change to a WebSocket.
//!
//! A session's conversation is a task of its own; requests bring packets to it and take packets from it.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use super::super::response::Reply;
use super::super::spoil::Spoilt;
use super::attendance::Disconnect;
use super::line::{Gone, Line};
use super::payload;
use super::spec::StreamOptions;

/// Packets that stand alone.
const CLOSE: &str = "1";
const NOOP: &str = "6";

/// A silenced session of which nothing is heard for so long has gone.
const SILENCED: Duration = Duration::from_secs(60);

/// The sessions that one listener's clients began with polling. They end when the last of these is dropped.
#[derive(Clone, Default)]
pub(in super::super) struct Engine(Arc<Mutex<Desk>>);

#[derive(Default)]
struct Desk {
    open: HashMap<String, Arc<Session>>,
    talks: JoinSet<()>,
}

/// A session, as requests see it.
pub(super) struct Session {
    heard: UnboundedSender<String>,
    says: UnboundedSender<Said>,
    /// Held by the poll, or by the WebSocket, that packets go to.
    said: tokio::sync::Mutex<UnboundedReceiver<Said>>,
    /// A WebSocket is being tried: polls are not kept waiting, since the client waits for them.
    probed: AtomicBool,
}

enum Said {
    Packet(String),
    End(Disconnect),
}

/// The packet that a session begins with.
pub(super) fn open_packet(id: &str, quirks: &StreamOptions, polling: bool) -> String {
    let upgrades: &[&str] = if polling && quirks.upgrades {
        &["websocket"]
    } else {
        &[]
    };
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let open = json!({
        "sid": id,
        "upgrades": upgrades,
        "pingInterval": milliseconds(quirks.ping_interval),
        "pingTimeout": milliseconds(quirks.ping_timeout),
    });
    format!("0{open}")
}

/// An error in Engine.IO's own form.
pub(super) fn error(code: u8, message: &str) -> Reply {
    Reply {
        status: 400,
        ..Reply::json(&json!({ "code": code, "message": message }))
    }
}

impl Engine {
    /// Begins a session whose conversation is held over the line that `talk` is given.
    pub(super) fn begin<T>(&self, id: &str, talk: impl FnOnce(PollingLine) -> T) -> Arc<Session>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let (heard, hears) = mpsc::unbounded_channel();
        let (says, said) = mpsc::unbounded_channel();
        let session = Arc::new(Session {
            heard,
            says: says.clone(),
            said: tokio::sync::Mutex::new(said),
            probed: AtomicBool::new(false),
        });
        let line = PollingLine {
            hears,
            says,
            place: Place {
                desk: Arc::downgrade(&self.0),
                id: id.to_owned(),
            },
        };
        let mut desk = lock(&self.0);
        while desk.talks.try_join_next().is_some() {}
        desk.open.insert(id.to_owned(), Arc::clone(&session));
        desk.talks.spawn(talk(line));
        session
    }

    pub(super) fn session(&self, id: &str) -> Option<Arc<Session>> {
        lock(&self.0).open.get(id).map(Arc::clone)
    }
}

impl Session {
    /// Answers a poll, as soon as there is something to say.
    pub(super) async fn poll(&self) -> Spoilt {
        let mut said = self.said.lock().await;
        let first = if self.probed.load(Ordering::Relaxed) {
            said.try_recv().unwrap_or(Said::Packet(NOOP.to_owned()))
        } else {
            match said.recv().await {
                Some(first) => first,
                None => return Spoilt::Reply(error(1, "Session ID unknown")),
            }
        };
        let mut packets = vec![];
        let mut next = Some(first);
        while let Some(something) = next {
            match something {
                Said::Packet(packet) => packets.push(packet),
                Said::End(Disconnect::Close(_)) => packets.push(CLOSE.to_owned()),
                Said::End(Disconnect::Eof) => return Spoilt::Drop,
                Said::End(Disconnect::Reset) => return Spoilt::Reset,
                Said::End(Disconnect::Stall) => return silent(&mut said).await,
            }
            next = said.try_recv().ok();
        }
        let body = payload::encode(packets.iter().map(String::as_str));
        Spoilt::Reply(Reply::new(200, "text/plain; charset=UTF-8", body))
    }

    /// Takes a post.
    pub(super) fn post(&self, body: &[u8]) -> Reply {
        let packets = std::str::from_utf8(body).ok().and_then(payload::decode);
        let Some(packets) = packets else {
            return error(3, "Bad request");
        };
        for packet in packets {
            // A conversation that has ended meanwhile hears nothing; the next request is told so.
            self.heard.send(packet).ok();
        }
        Reply::new(200, "text/html", "ok")
    }

    /// Tries a WebSocket, and goes on over it if the client takes it.
    pub(super) async fn upgrade(&self, mut line: impl Line) {
        if self.probe(&mut line).await.is_none() {
            self.probed.store(false, Ordering::Relaxed);
            return line.end(Disconnect::Eof).await;
        }
        let mut said = self.said.lock().await;
        let cut = loop {
            tokio::select! {
                heard = line.hear() => match heard {
                    Some(packet) => self.hear(packet),
                    None => break Disconnect::Eof,
                },
                something = said.recv() => match something {
                    Some(Said::Packet(packet)) => {
                        if line.say(packet).await.is_err() {
                            break Disconnect::Eof;
                        }
                    }
                    Some(Said::End(Disconnect::Stall)) => tokio::select! {
                        () = line.endure() => break Disconnect::Eof,
                        cut = next_end(&mut said) => break cut,
                    },
                    Some(Said::End(cut)) => break cut,
                    None => break Disconnect::Eof,
                },
            }
        };
        line.end(cut).await;
        self.hear(CLOSE.to_owned());
    }

    /// The client pings with a word, is answered, and changes over once its last poll has come back.
    async fn probe(&self, line: &mut impl Line) -> Option<()> {
        (line.hear().await? == "2probe").then_some(())?;
        line.say("3probe".to_owned()).await.ok()?;
        self.probed.store(true, Ordering::Relaxed);
        self.says.send(Said::Packet(NOOP.to_owned())).ok()?;
        (line.hear().await? == "5").then_some(())
    }

    fn hear(&self, packet: String) {
        self.heard.send(packet).ok();
    }
}

/// A session's end of the polling.
pub(super) struct PollingLine {
    hears: UnboundedReceiver<String>,
    says: UnboundedSender<Said>,
    place: Place,
}

/// Leaves the desk when the conversation is over.
struct Place {
    desk: Weak<Mutex<Desk>>,
    id: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.upgrade() {
            lock(&desk).open.remove(&self.id);
        }
    }
}

impl Line for PollingLine {
    async fn hear(&mut self) -> Option<String> {
        self.hears.recv().await
    }

    async fn say(&mut self, text: String) -> Result<(), Gone> {
        self.says.send(Said::Packet(text)).map_err(|_| Gone)
    }

    async fn say_in_pieces(
        &mut self,
        pieces: impl Stream<Item = Bytes> + Send,
    ) -> Result<(), Gone> {
        // A poll's body says its length first.
        let all = pieces.collect::<Vec<_>>().await.concat();
        self.say(String::from_utf8_lossy(&all).into_owned()).await
    }

    async fn say_half(&mut self, _text: String) -> Result<(), Gone> {
        // Half a packet is no packet here: what follows, the end, is all that arrives.
        Ok(())
    }

    async fn endure(&mut self) {
        self.says.send(Said::End(Disconnect::Stall)).ok();
        while let Ok(Some(packet)) = tokio::time::timeout(SILENCED, self.hears.recv()).await {
            if packet == CLOSE {
                return;
            }
        }
    }

    async fn end(self, cut: Disconnect) {
        self.says.send(Said::End(cut)).ok();
        drop(self.place);
    }
}

/// The poll of a silenced session: not answered, until the session is cut in another way.
async fn silent(said: &mut UnboundedReceiver<Said>) -> Spoilt {
    match next_end(said).await {
        Disconnect::Reset => Spoilt::Reset,
        _ => Spoilt::Drop,
    }
}

async fn next_end(said: &mut UnboundedReceiver<Said>) -> Disconnect {
    loop {
        match said.recv().await {
            Some(Said::End(cut)) => return cut,
            Some(Said::Packet(_)) => {}
            None => pending().await,
        }
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    // A panic elsewhere leaves no half-made state here worth refusing.
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}
