//! Slots to a host: how many requests may be under way to it at once.
//!
//! Accounts whose last attempt timed out share at most a quarter of the slots, so that those that
//! hang cannot starve the rest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Slots to every host.
#[derive(Clone, Debug)]
pub struct Slots {
    per_host: usize,
    hosts: Arc<Mutex<HashMap<String, Host>>>,
}

#[derive(Clone, Debug)]
struct Host {
    all: Arc<Semaphore>,
    hanging: Arc<Semaphore>,
}

/// Holds a slot until it is dropped.
#[derive(Debug)]
pub struct Slot {
    _all: Option<OwnedSemaphorePermit>,
    _hanging: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// `TRADERNET_MAX_REQUESTS_PER_HOST`, at least 1.
    pub fn new(per_host: usize) -> Self {
        Self {
            per_host: per_host.max(1),
            hosts: Arc::default(),
        }
    }

    /// Waits for a slot to the host of `origin`.
    pub async fn take(&self, origin: &Url, timed_out_before: bool) -> Slot {
        let host = self.host(origin);
        // Never closed, so never an error. The quarter comes first: one that waits for it must not
        // hold one of the others.
        let hanging = match timed_out_before {
            true => host.hanging.acquire_owned().await.ok(),
            false => None,
        };
        Slot {
            _all: host.all.acquire_owned().await.ok(),
            _hanging: hanging,
        }
    }

    fn host(&self, origin: &Url) -> Host {
        let name = origin.origin().ascii_serialization();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(name).or_insert_with(|| Host {
            all: Arc::new(Semaphore::new(self.per_host)),
            hanging: Arc::new(Semaphore::new((self.per_host / 4).max(1))),
        });
        host.clone()
    }
}
