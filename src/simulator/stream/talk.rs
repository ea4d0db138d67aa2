//! Carries a conversation out over a line, until either side ends it. The only loop of a stream.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::spoil::sessions;
use super::attendance::{Attendance, Disconnect, Orders};
use super::conversation::{Act, Conversation};
use super::line::{Gone, Line};

/// The server goes away, in WebSocket's words.
const GOING_AWAY: u16 = 1001;

/// Holds the conversation to its end. `log` is told of every request for the list.
pub(super) async fn hold(
    mut line: impl Line,
    mut conversation: Conversation,
    attendance: (Attendance, Orders),
    heartbeat: bool,
    log: impl Fn(&str) + Send,
) {
    let (_attendance, Orders { mut says, mut cuts }) = attendance;
    let mut talk = Talk {
        late: vec![],
        heartbeat,
        log,
    };
    let mut cut = tokio::select! {
        // A cut comes before whatever else has happened by then.
        biased;
        Some(cut) = cuts.recv() => cut,
        cut = talk.run(&mut line, &mut conversation, &mut says) => cut,
    };
    while cut == Disconnect::Stall {
        cut = tokio::select! {
            () = line.endure() => Disconnect::Eof,
            Some(cut) = cuts.recv() => cut,
        };
    }
    line.end(cut).await;
}

struct Talk<F> {
    /// When answers are due that were put off.
    late: Vec<Instant>,
    /// Whether a client that says nothing is taken for gone.
    heartbeat: bool,
    log: F,
}

impl<F: Fn(&str) + Send> Talk<F> {
    async fn run(
        &mut self,
        line: &mut impl Line,
        conversation: &mut Conversation,
        says: &mut tokio::sync::mpsc::UnboundedReceiver<Vec<String>>,
    ) -> Disconnect {
        let mut watch = conversation.watch();
        let (mut heard_last, mut said_last) = (Instant::now(), Instant::now());
        let mut acts = conversation.opened();
        loop {
            match self.perform(line, acts).await {
                Ok(None) => {}
                Ok(Some(cut)) => return cut,
                Err(Gone) => return Disconnect::Eof,
            }
            let quirks = conversation.quirks();
            let patience = quirks.ping_interval + quirks.ping_timeout;
            let deadline = self.heartbeat.then(|| heard_last + patience);
            let next_late = self.late.iter().min().copied();
            acts = tokio::select! {
                heard = line.hear() => {
                    let Some(text) = heard else { return Disconnect::Eof };
                    heard_last = Instant::now();
                    conversation.heard(&text, || (self.log)(&text))
                }
                still_there = changed(&mut watch) => {
                    if !still_there {
                        return Disconnect::Close(GOING_AWAY);
                    }
                    conversation.changed()
                }
                () = after(conversation.until_expiry()) => conversation.changed(),
                Some(texts) = says.recv() => conversation.told(texts),
                () = at(next_late) => {
                    self.late.retain(|due| Some(*due) != next_late);
                    conversation.answer()
                }
                () = at(quirks.chatter.map(|every| said_last + every)) => {
                    said_last = Instant::now();
                    vec![conversation.chatter()]
                }
                () = at(deadline) => return Disconnect::Eof,
            };
        }
    }

    async fn perform(
        &mut self,
        line: &mut impl Line,
        acts: Vec<Act>,
    ) -> Result<Option<Disconnect>, Gone> {
        for act in acts {
            match act {
                Act::Say(text) => line.say(text).await?,
                Act::SayHalf(text) => line.say_half(text).await?,
                Act::SayLong {
                    before,
                    bytes,
                    after,
                    whole,
                } => {
                    let before = stream::iter([Bytes::from(before)]);
                    let after = stream::iter([Bytes::from_static(after.as_bytes())]);
                    let pieces = before.chain(sessions(bytes)).chain(after);
                    if whole {
                        let all = pieces.collect::<Vec<_>>().await.concat();
                        line.say(String::from_utf8_lossy(&all).into_owned()).await?;
                    } else {
                        line.say_in_pieces(pieces).await?;
                    }
                }
                Act::AnswerAfter(delay) => self.late.push(Instant::now() + delay),
                Act::End(cut) => return Ok(Some(cut)),
            }
        }
        Ok(None)
    }
}

/// Waits for a change; false when the account has gone.
async fn changed(watch: &mut Option<watch::Receiver<u64>>) -> bool {
    match watch {
        Some(watch) => watch.changed().await.is_ok(),
        None => pending().await,
    }
}

async fn after(time: Option<Duration>) {
    match time {
        // A clock that was not reached yet would be asked at once again.
        Some(time) => tokio::time::sleep(time.max(Duration::from_millis(1))).await,
        None => pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => pending().await,
    }
}
