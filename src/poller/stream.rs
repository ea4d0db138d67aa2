//! The life of an account's stream between its first list and its end.
//!
//! Gauges change by lists alone: a pong says that the last list still holds, a clock says nothing
//! but that it is time to ask.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::keepalive::{PATIENCE, Step, Vigil};
use super::{Outcome, Poller, PollerCommand, Took};
use crate::poller::backoff;
use crate::tradernet::{Error, Stream, StreamEvent};

/// A session's end is a server's to round, so the list is asked for a little later.
const PAST_THE_END_MS: f64 = 1000.0;

/// Why a stream is held no longer.
enum End {
    Lost(Error),
    /// It was opened with what is no longer the account's credential or address.
    Outdated,
    /// Nobody can send commands any more.
    Gone,
}

impl Poller {
    /// Holds a stream as long as it lasts; returns when to open another, or nothing where none is
    /// wanted any more.
    pub(super) async fn hold(&mut self, mut stream: Stream) -> Option<Instant> {
        let (interval, max_age) = self.times();
        let wanted = stream.ping_interval();
        let mut vigil = Vigil::new(Instant::now(), interval, max_age, wanted);
        let end = self.listen(&mut stream, &mut vigil).await;
        drop(stream);
        self.disconnected();
        match end {
            End::Gone => None,
            End::Outdated => {
                self.publish();
                Some(Instant::now())
            }
            End::Lost(error) => {
                if error.is_cured_by_login() {
                    self.forget_sid();
                }
                // A loss is no attempt, but ends one that is under way.
                if vigil.is_asking() {
                    self.status.polls += 1;
                }
                self.conclude(Err(error), None);
                // Streams that were cut at once come back spread over the back-off's first step.
                let interval = self.account.reading.interval;
                let random = fastrand::f64();
                let pause = backoff::pause(interval, self.failures_in_a_row, None, random);
                Some(Instant::now() + pause)
            }
        }
    }

    /// The time between requests, and for how long gauges are true.
    fn times(&self) -> (Duration, Duration) {
        let reading = &self.account.reading;
        (reading.interval, reading.max_age)
    }

    /// Notes that no stream stands.
    pub(super) fn disconnected(&mut self) {
        if let Some(status) = &mut self.status.stream {
            status.connected = false;
        }
    }

    async fn listen(&mut self, stream: &mut Stream, vigil: &mut Vigil) -> End {
        let target = self.account.stream.clone();
        // Whether the last list is known not to hold any more: then a pong confirms nothing.
        let mut doubtful = false;
        let mut asked_for_end_ms = f64::NEG_INFINITY;
        loop {
            if let Some(end_ms) = self.next_end().filter(|end_ms| *end_ms > asked_for_end_ms) {
                let left_ms = end_ms + PAST_THE_END_MS - self.shared.clock.now().wall_ms;
                let left = Duration::try_from_secs_f64(left_ms / 1000.0).unwrap_or_default();
                // Far ends are looked at again when the next frame or beat is due.
                if left < PATIENCE && vigil.may_ask() {
                    asked_for_end_ms = end_ms;
                    vigil.ask_by(Instant::now() + left);
                }
            }
            let due = vigil.due();
            tokio::select! {
                news = stream.next() => match news {
                    Ok(news) => if let Err(error) = self.hear(news, vigil, &mut doubtful) {
                        return End::Lost(error);
                    },
                    Err(error) => return End::Lost(error),
                },
                () = sleep_until(due) => {
                    if let Err(end) = self.act(stream, vigil).await {
                        return end;
                    }
                }
                changed = self.configured.changed() => {
                    if changed.is_err() {
                        return End::Gone;
                    }
                    let secret_changed = self.read_secrets();
                    self.take_up(Instant::now());
                    stream.set_redactor(self.redactor());
                    if secret_changed || self.account.stream != target {
                        return End::Outdated;
                    }
                    let (interval, max_age) = self.times();
                    vigil.set_times(Instant::now(), interval, max_age);
                }
                command = self.commands.recv() => {
                    let Some(command) = command else { return End::Gone };
                    let changed = self.read_secrets();
                    if self.obey(command) && command == PollerCommand::TryNow {
                        vigil.ask_now(Instant::now());
                    }
                    if changed {
                        return End::Outdated;
                    }
                }
            }
        }
    }

    /// The earliest end of a session as of the last list, in milliseconds since the epoch. One that
    /// was over already when the list came is no reason to ask: the server knows, and lists it.
    fn next_end(&self) -> Option<f64> {
        let view = self.status.view.as_ref()?;
        let end = view.expiry?.expires_at_ms?.min;
        (end > view.received_at.wall_ms).then_some(end)
    }

    /// Does what is due.
    async fn act(&mut self, stream: &mut Stream, vigil: &mut Vigil) -> Result<(), End> {
        let (interval, max_age) = self.times();
        let allowed = self.account.target.timeout;
        while let Some(step) = vigil.step(Instant::now(), interval, allowed) {
            let sent = match step {
                Step::Dead => return Err(End::Lost(Error::Timeout { after: PATIENCE })),
                Step::Mute => return Err(End::Lost(Error::Timeout { after: max_age })),
                Step::Ping => timeout(PATIENCE, stream.ping()).await,
                Step::Ask => {
                    if self.read_secrets() {
                        return Err(End::Outdated);
                    }
                    timeout(PATIENCE, stream.ask()).await
                }
            };
            sent.unwrap_or(Err(Error::Timeout { after: PATIENCE }))
                .map_err(End::Lost)?;
        }
        Ok(())
    }

    /// Takes in what the stream tells.
    fn hear(
        &mut self,
        news: StreamEvent,
        vigil: &mut Vigil,
        doubtful: &mut bool,
    ) -> Result<(), Error> {
        let now = Instant::now();
        vigil.heard();
        match news {
            StreamEvent::Alive => {}
            StreamEvent::List(list) => {
                *doubtful = false;
                let took = self.asked(vigil.list(now));
                self.conclude(Ok(Outcome::List(list)), took);
            }
            StreamEvent::NoList(error) => {
                *doubtful = true;
                let took = self.asked(vigil.no_list(now));
                self.conclude(Err(error), took);
            }
            StreamEvent::Pong => {
                let took = vigil.pong(now);
                if *doubtful {
                    // Nothing but a new connection can tell any more.
                    return match took {
                        Some(_) => Err(Error::Timeout {
                            after: self.account.target.timeout,
                        }),
                        None => Ok(()),
                    };
                }
                vigil.confirmed(now);
                match self.asked(took) {
                    Some(took) => {
                        let account = &*self.account.name;
                        debug!(account, "a request was answered by a pong alone");
                        self.conclude(Ok(Outcome::StillTrue), Some(took));
                    }
                    None => {
                        self.confirm(self.shared.clock.now());
                        self.publish();
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts a request that has come to its end.
    fn asked(&mut self, took: Option<Duration>) -> Option<Took> {
        let duration = took?;
        self.status.polls += 1;
        self.shared.http.observe(self.account.transport, duration);
        Some(Took {
            duration,
            queued: Duration::ZERO,
        })
    }
}

#[cfg(test)]
mod tests;
