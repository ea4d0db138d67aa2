//! Slots to a host: how many requests may be under way to it at once.
//!
//! Accounts that hang share at most a quarter of the slots, so that they cannot starve the rest:
//! those whose last attempt timed out, and, since nobody knows before the first time, any whose
//! request takes much longer than the host's usual while others wait. Where the quarter is full,
//! such a request makes room and waits for the quarter like the others that hang.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use url::Url;

/// A request that takes so many times as long as usual may be one that hangs.
const MUCH_LONGER: u32 = 4;
/// It is not suspected before this, however fast the host is.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);
/// The share of the latest answer in what is usual: the last eight or so count.
const SHARE_OF_THE_LATEST: u32 = 8;

/// Slots to every host.
#[derive(Clone, Debug)]
pub struct Slots {
    per_host: usize,
    hosts: Arc<Mutex<HashMap<String, Arc<Host>>>>,
}

#[derive(Debug)]
struct Host {
    all: Arc<Semaphore>,
    hanging: Arc<Semaphore>,
    state: Mutex<State>,
    /// Somebody began to wait for one of `all`.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Those who wait for one of all the slots.
    waiting: usize,
    /// Those of them for whom somebody makes room.
    expected: usize,
    /// How long an answer usually takes; `None` before the first.
    usual: Option<Duration>,
}

/// Holds a slot until it is dropped.
#[derive(Debug)]
pub struct Slot {
    host: Arc<Host>,
    _all: Option<OwnedSemaphorePermit>,
    hanging: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// `TRADERNET_MAX_REQUESTS_PER_HOST`, at least 1.
    pub fn new(per_host: usize) -> Self {
        Self {
            per_host: per_host.max(1),
            hosts: Arc::default(),
        }
    }

    /// Waits for a slot to the host of `origin`; for one of the quarter if the account is known
    /// to hang.
    pub async fn take(&self, origin: &Url, hangs: bool) -> Slot {
        let host = self.host(origin);
        // Never closed, so never an error. The quarter comes first: one that waits for it must not
        // hold one of the others.
        let hanging = match hangs {
            true => Arc::clone(&host.hanging).acquire_owned().await.ok(),
            false => None,
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
            _all: all,
            hanging,
        }
    }

    fn host(&self, origin: &Url) -> Arc<Host> {
        let name = origin.origin().ascii_serialization();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(name).or_insert_with(|| {
            Arc::new(Host {
                all: Arc::new(Semaphore::new(self.per_host)),
                hanging: Arc::new(Semaphore::new((self.per_host / 4).max(1))),
                state: Mutex::default(),
                wanted: Notify::new(),
            })
        });
        Arc::clone(host)
    }
}

impl Slot {
    /// Waits until the request that this slot is for, begun just now, is to be broken off and
    /// made again with a slot of the quarter. That is never so for one that has such a slot, nor
    /// before the host has answered for the first time: a slow host is not one that hangs.
    pub async fn make_room(&mut self) {
        let Some(patience) = self.host.patience() else {
            return pending().await;
        };
        if self.hanging.is_some() {
            return pending().await;
        }
        sleep(patience).await;
        tokio::select! {
            biased;
            hanging = Arc::clone(&self.host.hanging).acquire_owned() => {
                self.hanging = hanging.ok();
                pending().await
            }
            () = self.host.room_is_wanted() => {}
        }
    }

    /// Takes in how long the host took to answer.
    pub fn answered(&self, took: Duration) {
        let mut state = self.host.state();
        let before = state.usual.unwrap_or(took);
        state.usual = Some(before - before / SHARE_OF_THE_LATEST + took / SHARE_OF_THE_LATEST);
    }
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn patience(&self) -> Option<Duration> {
        let usual = self.state().usual?;
        Some((usual * MUCH_LONGER).max(LEAST_PATIENCE))
    }

    fn wait(&self) -> Waiting<'_> {
        self.state().waiting += 1;
        self.wanted.notify_one();
        Waiting(self)
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
