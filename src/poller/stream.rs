//! A stream connection between its first list and its end.
//!
//! Sessions change by lists only: a pong confirms the last list, and a timer changes nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::recorder::Timing;
use super::{Poller, PollerCommand};
use crate::clock::Timestamps;
use crate::session::SessionList;
use crate::tradernet::{Error, Stream, StreamEvent};

/// Longest time between pings.
const MAX_PING_INTERVAL: Duration = Duration::from_secs(10);
/// Pings within `max_age`: one may be late, and the last list is still confirmed in time.
const PINGS_PER_MAX_AGE: u32 = 3;
/// A connection without any frame for so long is dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection without a list for so long is replaced, whatever else it sends.
const LIST_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// A server that does not read what it is sent is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames change counters, status and log no more often: the latest counts.
const MIN_UPDATE_INTERVAL: Duration = Duration::from_secs(1);
/// Frames a second. A connection that sends more for [`MAX_BUSY_SECONDS`] is closed.
const MAX_FRAME_RATE: u32 = 100;
const MAX_BUSY_SECONDS: u32 = 10;

/// Why a stream is no longer followed.
enum StreamEnd {
    Disconnected(Error),
    /// The account's credential or stream's address has changed.
    ConfigChanged,
    /// The account was removed.
    Shutdown,
}

/// One connection, and when what happened on it.
struct Connection {
    stream: Stream,
    last_frame: Instant,
    last_list: Instant,
    next_ping: Instant,
    /// A ping of ours has no pong yet; other pongs confirm nothing.
    awaits_pong: bool,
    next_request: Instant,
    /// When the list was requested, until something comes in reply.
    requested: Option<Instant>,
    /// The server's last word was a list, which a pong confirms, and not an error.
    last_was_list: bool,
    /// What was received and is not recorded yet.
    pending: Option<Update>,
    next_update: Instant,
    frame_rate: FrameRate,
}

/// A list or an error that the server sent.
struct Update {
    result: Result<SessionList, Error>,
    arrival: Timestamps,
    /// Set where it was requested.
    timing: Option<Timing>,
}

impl Poller {
    /// Follows a stream until it ends; `false` where the account was removed.
    pub(super) async fn follow(&mut self, stream: Stream) -> bool {
        let now = Instant::now();
        let mut connection = Connection {
            next_ping: now + self.ping_interval(&stream),
            next_request: now + self.account.tracking.interval,
            stream,
            last_frame: now,
            last_list: now,
            awaits_pong: false,
            requested: None,
            last_was_list: true,
            pending: None,
            next_update: now,
            frame_rate: FrameRate::starting_at(now),
        };
        let end = loop {
            if let Err(end) = self.next_step(&mut connection).await {
                break end;
            }
        };
        self.record_update(&mut connection);
        self.recorder.disconnected();
        match end {
            StreamEnd::Shutdown => return false,
            StreamEnd::ConfigChanged => {
                self.schedule.attempt_now(Instant::now());
                self.publish();
            }
            StreamEnd::Disconnected(error) => {
                if error.is_cured_by_login() {
                    self.forget_sid();
                }
                self.conclude(Err(error), self.now(), None);
            }
        }
        true
    }

    async fn next_step(&mut self, connection: &mut Connection) -> Result<(), StreamEnd> {
        let reading = &self.account.tracking;
        let (interval, max_age) = (reading.interval, reading.max_age);
        let confirmed_at = self.recorder.tracker.confirmed_at();
        let age = confirmed_at.map_or(Duration::ZERO, |at| self.now().age_of(at));
        // An interval of an hour or more must leave time for the reply.
        let list_timeout = LIST_TIMEOUT.max(interval + self.account.target.timeout);
        let retry_due = self.schedule.retry_due();
        let late = |after| Err(StreamEnd::Disconnected(Error::Timeout { after }));
        tokio::select! {
            event = connection.stream.next() => {
                let event = event.map_err(StreamEnd::Disconnected)?;
                self.receive(connection, event).map_err(StreamEnd::Disconnected)
            }
            () = sleep_until(connection.next_update), if connection.pending.is_some() => {
                self.record_update(connection);
                Ok(())
            }
            () = sleep_until(connection.next_ping) => {
                connection.awaits_pong = true;
                connection.next_ping = Instant::now() + self.ping_interval(&connection.stream);
                send(connection.stream.ping()).await
            }
            () = sleep_until(connection.next_request) => self.request_list(connection).await,
            () = sleep_until(retry_due.unwrap_or(connection.next_request)), if retry_due.is_some() => {
                self.begin_retry();
                self.request_list(connection).await
            }
            () = sleep_until(connection.last_frame + SILENCE_TIMEOUT) => late(SILENCE_TIMEOUT),
            () = sleep(max_age.saturating_sub(age)) => late(max_age),
            () = sleep_until(connection.last_list + list_timeout) => late(list_timeout),
            changed = self.configured.changed() => {
                if changed.is_err() {
                    return Err(StreamEnd::Shutdown);
                }
                if self.apply_config().await {
                    return Err(StreamEnd::ConfigChanged);
                }
                connection.stream.set_redactor(self.redactor());
                let now = Instant::now();
                let next_ping = now + self.ping_interval(&connection.stream);
                connection.next_ping = connection.next_ping.min(next_ping);
                let next_request = now + self.account.tracking.interval;
                connection.next_request = connection.next_request.min(next_request);
                Ok(())
            }
            command = self.commands.recv() => match command {
                None => Err(StreamEnd::Shutdown),
                Some(PollerCommand::RetryNow) => {
                    self.schedule.request_retry();
                    Ok(())
                }
                Some(PollerCommand::ReloadSecrets) => match self.reload_secrets().await {
                    true => Err(StreamEnd::ConfigChanged),
                    false => Ok(()),
                },
            },
        }
    }

    /// The time between pings: an idle connection never lets its last list become too old.
    fn ping_interval(&self, stream: &Stream) -> Duration {
        let interval = MAX_PING_INTERVAL.min(self.account.tracking.max_age / PINGS_PER_MAX_AGE);
        interval.min(stream.ping_interval().unwrap_or(interval))
    }

    async fn request_list(&mut self, connection: &mut Connection) -> Result<(), StreamEnd> {
        if self.read_secrets().await {
            return Err(StreamEnd::ConfigChanged);
        }
        let now = Instant::now();
        connection.next_request = now + self.account.tracking.interval;
        connection.requested = Some(now);
        self.recorder.polls += 1;
        send(connection.stream.ask()).await
    }

    fn receive(&mut self, connection: &mut Connection, event: StreamEvent) -> Result<(), Error> {
        let now = Instant::now();
        connection.last_frame = now;
        if connection.frame_rate.is_excessive(now) {
            return Err(Error::Decode {
                detail: format!(
                    "the server sent more than {MAX_FRAME_RATE} frames a second for {MAX_BUSY_SECONDS} s"
                ),
                retry_after: None,
            });
        }
        match event {
            StreamEvent::List(list) => {
                connection.last_list = now;
                self.receive_update(connection, Ok(list));
            }
            StreamEvent::NoList(error) => self.receive_update(connection, Err(error)),
            StreamEvent::Pong => {
                if std::mem::take(&mut connection.awaits_pong) && connection.last_was_list {
                    self.recorder.confirm(self.now());
                    self.publish();
                }
            }
            StreamEvent::Alive => {}
        }
        Ok(())
    }

    fn receive_update(&self, connection: &mut Connection, result: Result<SessionList, Error>) {
        connection.last_was_list = result.is_ok();
        let timing = connection.requested.take().map(|sent| {
            let duration = sent.elapsed();
            self.shared.client.observe(self.account.transport, duration);
            Timing {
                duration,
                queue_wait: Duration::ZERO,
            }
        });
        let before = connection.pending.take().and_then(|update| update.timing);
        connection.pending = Some(Update {
            result,
            arrival: self.now(),
            timing: timing.or(before),
        });
    }

    fn record_update(&mut self, connection: &mut Connection) {
        if let Some(update) = connection.pending.take() {
            connection.next_update = Instant::now() + MIN_UPDATE_INTERVAL;
            self.conclude(update.result, update.arrival, update.timing);
        }
    }
}

/// Sends, unless the server has stopped reading.
async fn send(sending: impl Future<Output = Result<(), Error>>) -> Result<(), StreamEnd> {
    let late = Error::Timeout {
        after: SEND_TIMEOUT,
    };
    let sent = timeout(SEND_TIMEOUT, sending).await.unwrap_or(Err(late));
    sent.map_err(StreamEnd::Disconnected)
}

/// Counts frames by the second.
struct FrameRate {
    second: Instant,
    frames: u32,
    /// Seconds in a row with more than [`MAX_FRAME_RATE`] frames.
    busy_seconds: u32,
}

impl FrameRate {
    fn starting_at(now: Instant) -> Self {
        Self {
            second: now,
            frames: 0,
            busy_seconds: 0,
        }
    }

    /// Counts a frame; whether the connection is to be closed.
    fn is_excessive(&mut self, now: Instant) -> bool {
        const SECOND: Duration = Duration::from_secs(1);
        let elapsed = now.duration_since(self.second);
        if elapsed >= SECOND {
            let was_busy = self.frames > MAX_FRAME_RATE && elapsed < 2 * SECOND;
            self.busy_seconds = if was_busy { self.busy_seconds + 1 } else { 0 };
            self.second = now;
            self.frames = 0;
        }
        self.frames = self.frames.saturating_add(1);
        self.busy_seconds >= MAX_BUSY_SECONDS
    }
}

#[cfg(test)]
mod tests;
