//! A stream connection between its first list and its end.
//!
//! Sessions change by lists only: a pong confirms the last list, and a timer changes nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::Poller;
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
/// Frames change counters, status and log no more often: the latest counts.
const MIN_UPDATE_INTERVAL: Duration = Duration::from_secs(1);
/// Frames a second. A connection that sends more, on average over [`FRAME_RATE_WINDOW`], is closed.
const MAX_FRAME_RATE: f64 = 100.0;
const FRAME_RATE_WINDOW: Duration = Duration::from_secs(10);

/// One connection, and when what happened on it.
struct Connection {
    stream: Stream,
    last_frame: Instant,
    last_list: Instant,
    last_ping: Instant,
    last_request: Instant,
    /// Nothing has come in reply to the last request.
    awaits_reply: bool,
    /// The latest list or error that is not recorded yet, and its arrival.
    pending: Option<(Result<SessionList, Error>, Timestamps)>,
    next_update: Instant,
    /// Frames since [`Self::counted_since`].
    frames: u32,
    counted_since: Instant,
}

impl Poller {
    /// Follows a stream until it ends.
    pub(super) async fn follow(&mut self, stream: Stream) {
        let now = Instant::now();
        let mut connection = Connection {
            stream,
            last_frame: now,
            last_list: now,
            last_ping: now,
            last_request: now,
            awaits_reply: false,
            pending: None,
            next_update: now,
            frames: 0,
            counted_since: now,
        };
        let end = loop {
            match self.next_step(&mut connection).await {
                Ok(true) => {}
                end => break end,
            }
        };
        self.record_update(&mut connection);
        self.recorder.stream.connected = false;
        match end {
            Ok(_) => {
                self.schedule.attempt_now(Instant::now());
                self.publish();
            }
            Err(error) => {
                if error.is_cured_by_login() {
                    self.credential.forget_sid();
                }
                self.conclude(Err(error), self.now());
            }
        }
    }

    /// Waits for what is due next and does it. `false` where the account's credential or its
    /// stream's address has changed.
    async fn next_step(&mut self, connection: &mut Connection) -> Result<bool, Error> {
        let config = &self.account.tracking;
        let (interval, max_age) = (config.interval, config.max_age);
        let confirmed_at = self.recorder.tracker.confirmed_at();
        let age = confirmed_at.map_or(Duration::ZERO, |at| self.now().age_of(at));
        // An interval of an hour or more must leave time for the reply.
        let list_timeout = LIST_TIMEOUT.max(interval + self.account.target.timeout);
        let ping_due = connection.last_ping + self.ping_interval(&connection.stream);
        let request_due = connection.last_request + interval;
        let request_due =
            (self.schedule.retry_due()).map_or(request_due, |due| due.min(request_due));
        tokio::select! {
            event = connection.stream.next() => self.receive(connection, event?)?,
            () = sleep_until(connection.next_update), if connection.pending.is_some() => {
                self.record_update(connection);
            }
            () = sleep_until(ping_due) => {
                connection.last_ping = Instant::now();
                connection.stream.ping().await?;
            }
            () = sleep_until(request_due) => {
                self.begin_retry();
                return self.request_list(connection).await;
            }
            () = sleep_until(connection.last_frame + SILENCE_TIMEOUT) => {
                return Err(connection.stream.late(SILENCE_TIMEOUT));
            }
            () = sleep(max_age.saturating_sub(age)) => return Err(connection.stream.late(max_age)),
            () = sleep_until(connection.last_list + list_timeout) => {
                return Err(connection.stream.late(list_timeout));
            }
            Ok(()) = self.desired.changed() => {
                if self.apply_desired_state().await {
                    return Ok(false);
                }
                connection.stream.set_redactor(self.redactor());
            }
        }
        Ok(true)
    }

    /// The time between pings: an idle connection never lets its last list become too old.
    fn ping_interval(&self, stream: &Stream) -> Duration {
        let interval = MAX_PING_INTERVAL.min(self.account.tracking.max_age / PINGS_PER_MAX_AGE);
        interval.min(stream.ping_interval().unwrap_or(interval))
    }

    /// Requests the list, unless the secrets have changed.
    async fn request_list(&mut self, connection: &mut Connection) -> Result<bool, Error> {
        if self.read_secrets().await {
            return Ok(false);
        }
        connection.last_request = Instant::now();
        connection.awaits_reply = true;
        self.recorder.status.polls += 1;
        connection.stream.request_list().await?;
        Ok(true)
    }

    fn receive(&mut self, connection: &mut Connection, event: StreamEvent) -> Result<(), Error> {
        let now = Instant::now();
        connection.last_frame = now;
        connection.count_frame(now)?;
        match event {
            StreamEvent::Answer(result) => {
                if result.is_ok() {
                    connection.last_list = now;
                }
                self.receive_update(connection, result);
            }
            StreamEvent::Pong => {
                // After an error a pong confirms nothing.
                let has_failed = match &connection.pending {
                    Some((result, _)) => result.is_err(),
                    None => self.recorder.last_error().is_some(),
                };
                if !has_failed {
                    self.recorder.tracker.confirm(self.now());
                    self.publish();
                }
            }
            StreamEvent::Other => {}
        }
        Ok(())
    }

    fn receive_update(&mut self, connection: &mut Connection, result: Result<SessionList, Error>) {
        if std::mem::take(&mut connection.awaits_reply) {
            let duration = connection.last_request.elapsed();
            self.shared.client.observe(self.account.transport, duration);
            self.recorder.duration = duration;
            self.recorder.queue_wait = Duration::ZERO;
        }
        connection.pending = Some((result, self.now()));
    }

    fn record_update(&mut self, connection: &mut Connection) {
        if let Some((result, arrival)) = connection.pending.take() {
            connection.next_update = Instant::now() + MIN_UPDATE_INTERVAL;
            self.conclude(result, arrival);
        }
    }
}

impl Connection {
    /// # Errors
    ///
    /// The server has sent too many frames.
    fn count_frame(&mut self, now: Instant) -> Result<(), Error> {
        self.frames = self.frames.saturating_add(1);
        let elapsed = now.duration_since(self.counted_since);
        if elapsed < FRAME_RATE_WINDOW {
            return Ok(());
        }
        let too_many = f64::from(self.frames) > MAX_FRAME_RATE * elapsed.as_secs_f64();
        (self.frames, self.counted_since) = (0, now);
        match too_many {
            false => Ok(()),
            true => Err(Error::decode(format!(
                "the server sent more than {MAX_FRAME_RATE} frames a second for {} s",
                FRAME_RATE_WINDOW.as_secs()
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
