//! HostLimiter to a host: how many requests may be under way to it at once.
//!
//! Requests that may hang have lanes, a quarter of the slots each, so that they cannot starve the
//! rest: those of accounts whose last attempt timed out; logins, which cannot be broken off; and,
//! since nobody knows before the first time, those that were broken off since they took much
//! longer than usual while others waited. The latter may also have what nobody else wants. With
//! fewer than four slots there is one lane for all.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use url::Url;

/// A request that takes so many times as long as usual may be one that hangs.
const MUCH_LONGER: u32 = 4;
/// It is not suspected before this, however fast the host and the account are.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);
/// Nor before this where the account has never answered: it may be a slow one.
const PATIENCE_WITH_A_STRANGER: Duration = Duration::from_secs(1);
/// What a host usually takes is the median of so many answers: more than a few slow accounts
/// that are asked one after the other.
const ANSWERS: usize = 64;

/// HostLimiter to every host.
#[derive(Clone, Debug)]
pub struct HostLimiter {
    per_host: usize,
    hosts: Arc<Mutex<HashMap<String, Arc<Host>>>>,
}

/// What a slot is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A request that nothing is known against.
    Open,
    /// Any request of an account whose last attempt timed out.
    Hanging,
    /// A login of another account.
    Login,
    /// A request that was broken off.
    BrokenOff,
}

#[derive(Debug)]
struct Host {
    all: Arc<Semaphore>,
    hanging: Arc<Semaphore>,
    logins: Arc<Semaphore>,
    broken_off: Arc<Semaphore>,
    state: Mutex<State>,
    /// Somebody began to wait for one of `all`.
    wanted: Notify,
    /// One of `all` was given back, and nobody waited for it.
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Those who wait for one of all the slots.
    waiting: usize,
    /// Those of them for whom somebody makes room.
    expected: usize,
    /// How long the last answers took.
    answers: VecDeque<Duration>,
}

/// Holds a slot until it is dropped.
#[derive(Debug)]
pub struct Slot {
    host: Arc<Host>,
    all: Option<OwnedSemaphorePermit>,
    lane: Option<OwnedSemaphorePermit>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.all = None;
        if self.host.state().waiting == 0 {
            self.host.idle.notify_one();
        }
    }
}

impl HostLimiter {
    /// `TRADERNET_MAX_REQUESTS_PER_HOST`, at least 1.
    pub fn new(per_host: usize) -> Self {
        Self {
            per_host: per_host.max(1),
            hosts: Arc::default(),
        }
    }

    /// Waits for a slot to the host of `origin`.
    pub async fn take(&self, origin: &Url, lane: Lane) -> Slot {
        let host = self.host(origin);
        // Semaphores are never closed, so there is never an error. The lane comes first: one that
        // waits for it must not hold one of the others.
        let permit = match host.lane(lane) {
            None => None,
            Some(semaphore) => {
                let semaphore = Arc::clone(semaphore);
                tokio::select! {
                    biased;
                    permit = semaphore.acquire_owned() => permit.ok(),
                    all = host.idle_slot(), if lane == Lane::BrokenOff => {
                        return Slot { all: Some(all), lane: None, host };
                    }
                }
            }
        };
        let all = match Arc::clone(&host.all).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let _waiting = host.wait();
                Arc::clone(&host.all).acquire_owned().await.ok()
            }
        };
        Slot {
            host,
            all,
            lane: permit,
        }
    }

    fn host(&self, origin: &Url) -> Arc<Host> {
        let name = origin.origin().ascii_serialization();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts
            .entry(name)
            .or_insert_with(|| Arc::new(Host::new(self.per_host)));
        Arc::clone(host)
    }
}

impl Slot {
    /// Waits until the request that this slot is for, begun just now, is to be broken off and
    /// made again in its lane. That is never so for one that is in a lane, nor before the host
    /// has answered for the first time. `usual` is how long the account's own answers take.
    pub async fn make_room(&mut self, usual: Option<Duration>) {
        let patience = self.host.patience(usual).filter(|_| self.lane.is_none());
        let Some(patience) = patience else {
            return pending().await;
        };
        sleep(patience).await;
        tokio::select! {
            biased;
            // Where there is room in the lane nobody has to make any.
            lane = Arc::clone(&self.host.broken_off).acquire_owned() => {
                self.lane = lane.ok();
                pending().await
            }
            () = self.host.room_is_wanted() => {}
        }
    }

    /// Takes in how long the host took to answer.
    pub fn answered(&self, took: Duration) {
        let answers = &mut self.host.state().answers;
        answers.push_back(took);
        if answers.len() > ANSWERS {
            answers.pop_front();
        }
    }
}

/// How long an account's answers usually take, with one more: growing at once and shrinking
/// slowly, so that one that is slow now and then is not suspected.
pub fn usual(before: Option<Duration>, took: Duration) -> Duration {
    const SHARE: u32 = 8;
    before.map_or(took, |before| {
        took.max(before - before / SHARE + took / SHARE)
    })
}

impl Host {
    fn new(slots: usize) -> Self {
        let lane = || Arc::new(Semaphore::new((slots / 4).max(1)));
        let hanging = lane();
        let other = || match slots {
            0..4 => Arc::clone(&hanging),
            4.. => lane(),
        };
        Self {
            all: Arc::new(Semaphore::new(slots)),
            logins: other(),
            broken_off: other(),
            hanging,
            state: Mutex::default(),
            wanted: Notify::new(),
            idle: Notify::new(),
        }
    }

    fn lane(&self, lane: Lane) -> Option<&Arc<Semaphore>> {
        match lane {
            Lane::Open => None,
            Lane::Hanging => Some(&self.hanging),
            Lane::Login => Some(&self.logins),
            Lane::BrokenOff => Some(&self.broken_off),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a request may take before it is suspected; `None` while nothing is known.
    fn patience(&self, usual: Option<Duration>) -> Option<Duration> {
        let mut answers: Vec<Duration> = self.state().answers.iter().copied().collect();
        let middle = answers.len() / 2;
        let (_, median, _) = answers
            .get(middle)
            .is_some()
            .then(|| answers.select_nth_unstable(middle))?;
        let least = match usual {
            Some(_) => LEAST_PATIENCE,
            None => PATIENCE_WITH_A_STRANGER,
        };
        let usual = usual.unwrap_or_default().max(*median);
        Some((usual * MUCH_LONGER).max(least))
    }

    fn wait(&self) -> Waiting<'_> {
        self.state().waiting += 1;
        // The one that was suspected last: whoever hangs longest is soon known to.
        self.wanted.notify_last();
        Waiting(self)
    }

    /// Waits for one of all the slots that nobody else wants.
    async fn idle_slot(&self) -> OwnedSemaphorePermit {
        loop {
            let idle = self.idle.notified();
            if self.state().waiting == 0
                && let Ok(permit) = Arc::clone(&self.all).try_acquire_owned()
            {
                return permit;
            }
            idle.await;
        }
    }

    /// Waits until somebody waits for whom nobody makes room yet.
    async fn room_is_wanted(&self) {
        loop {
            // Before the look, so that nobody who comes after it is missed.
            let wanted = self.wanted.notified();
            {
                let mut state = self.state();
                if state.waiting > state.expected {
                    state.expected += 1;
                    return;
                }
            }
            wanted.await;
        }
    }
}

/// Waits for one of all the slots until it is dropped.
struct Waiting<'a>(&'a Host);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        state.expected = state.expected.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
