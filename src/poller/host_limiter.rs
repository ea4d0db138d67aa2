//! How many requests may be under way to one host at once.
//!
//! Two semaphores a host: one for all requests, and a quarter of it for accounts whose last attempt
//! timed out, so that accounts that hang leave three quarters to the others. No request is
//! cancelled for another. Therefore `h` accounts that begin to hang at the same time delay the
//! others by at most `h × timeout / limit`, once: from their first timeout on they are slow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// The limits of every host; clones share them.
#[derive(Clone, Debug)]
pub struct HostLimiter {
    limit: usize,
    hosts: Arc<Mutex<HashMap<String, Host>>>,
}

#[derive(Clone, Debug)]
struct Host {
    all: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

/// The right to send one request at a time; ends when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _all: Option<OwnedSemaphorePermit>,
    _slow: Option<OwnedSemaphorePermit>,
}

impl HostLimiter {
    /// `TRADERNET_MAX_REQUESTS_PER_HOST`; 0 counts as 1.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            hosts: Arc::default(),
        }
    }

    /// Waits for a permit to the host of `origin`, first come first served. `last_timed_out` says
    /// whether the last attempt of this account timed out.
    pub async fn acquire(&self, origin: &Url, last_timed_out: bool) -> Permit {
        let host = self.host(origin);
        // The smaller limit first: an account that waits for it must not hold one of `all`.
        // Acquiring fails only on a closed semaphore, and these are never closed.
        let slow = match last_timed_out {
            true => host.slow.acquire_owned().await.ok(),
            false => None,
        };
        Permit {
            _all: host.all.acquire_owned().await.ok(),
            _slow: slow,
        }
    }

    fn host(&self, origin: &Url) -> Host {
        let name = origin.origin().ascii_serialization();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(name).or_insert_with(|| Host {
            all: Arc::new(Semaphore::new(self.limit)),
            slow: Arc::new(Semaphore::new((self.limit / 4).max(1))),
        });
        host.clone()
    }
}

/// One attempt's requests at the limiter.
pub(super) struct SlotRequest {
    /// Whether the account's last attempt timed out.
    pub(super) last_timed_out: bool,
    /// The wait so far.
    pub(super) queue_wait: Duration,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn is_free(limiter: &HostLimiter, host: &str, last_timed_out: bool) -> bool {
        let origin = Url::parse(host).unwrap();
        let permit = limiter.acquire(&origin, last_timed_out);
        timeout(Duration::from_secs(1), permit).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_accounts_have_a_quarter_of_a_hosts_requests() {
        const HOST: &str = "https://tradernet.com";
        let origin = Url::parse(HOST).unwrap();
        for (limit, slow) in [(1, 1), (2, 1), (3, 1), (4, 1), (8, 2), (16, 4)] {
            let limiter = HostLimiter::new(limit);
            let mut permits = Vec::new();
            for _ in 0..slow {
                permits.push(limiter.acquire(&origin, true).await);
            }
            assert!(!is_free(&limiter, HOST, true).await, "slow {limit}");
            for _ in slow..limit {
                permits.push(limiter.acquire(&origin, false).await);
            }
            assert!(!is_free(&limiter, HOST, false).await, "all {limit}");
            assert!(is_free(&limiter, "https://freedom24.com", false).await);
            permits.clear();
            assert!(is_free(&limiter, HOST, true).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_account_that_waits_holds_no_permit() {
        let origin = Url::parse("https://tradernet.com").unwrap();
        let limiter = HostLimiter::new(2);
        let _slow = limiter.acquire(&origin, true).await;
        let mut waiting = std::pin::pin!(limiter.acquire(&origin, true));
        assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err());
        assert!(is_free(&limiter, origin.as_str(), false).await);
    }
}
