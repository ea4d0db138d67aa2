//! State shared by the accounts of one host: its limit of requests, the pace of logins, and
//! the notification of successes.
//!
//! Requests have two semaphores: one for all, and a quarter of it for accounts whose last attempt
//! timed out, so that accounts that hang leave three quarters to the others. No request is
//! cancelled for another. Therefore `h` accounts that begin to hang at the same time delay the
//! others by at most `h × timeout / limit`, once: from their first timeout on they are slow.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{MutexGuard, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use url::{Origin, Url};

use crate::tradernet::MAX_RETRY_AFTER;

const MINUTE: Duration = Duration::from_secs(60);

/// The hosts of all accounts; clones share them.
#[derive(Clone, Debug)]
pub struct Hosts {
    max_requests: usize,
    max_logins_per_minute: usize,
    hosts: Arc<Mutex<HashMap<Origin, Arc<Host>>>>,
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    all: Semaphore,
    slow: Semaphore,
    /// Fair: the login that waits longest is next.
    logins: tokio::sync::Mutex<Logins>,
    max_logins_per_minute: usize,
    /// Notified when an account of this host succeeds.
    pub(super) successes: watch::Sender<()>,
}

/// The right to send one request at a time; ends when it is dropped.
pub(super) type Permit<'a> = [Option<SemaphorePermit<'a>>; 2];

/// The logins to one host; held while one is under way.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// When the last logins began, the oldest first.
    began: VecDeque<Instant>,
    paused_until: Option<Instant>,
}

impl Hosts {
    /// `TRADERNET_MAX_REQUESTS_PER_HOST` and `TRADERNET_MAX_LOGINS_PER_MINUTE`; 0 counts as 1.
    pub fn new(max_requests: usize, max_logins_per_minute: usize) -> Self {
        Self {
            max_requests: max_requests.max(1),
            max_logins_per_minute: max_logins_per_minute.max(1),
            hosts: Arc::default(),
        }
    }

    /// The host of `origin`.
    pub(super) fn get(&self, origin: &Url) -> Arc<Host> {
        let origin = origin.origin();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(origin).or_insert_with(|| {
            Arc::new(Host {
                all: Semaphore::new(self.max_requests),
                slow: Semaphore::new((self.max_requests / 4).max(1)),
                logins: tokio::sync::Mutex::default(),
                max_logins_per_minute: self.max_logins_per_minute,
                successes: watch::Sender::default(),
            })
        });
        Arc::clone(host)
    }
}

impl Host {
    /// Waits until another request may be sent, first come first served. `last_timed_out` says
    /// whether the last attempt of this account timed out.
    pub(super) async fn permit(&self, last_timed_out: bool) -> Permit<'_> {
        // The smaller limit first: an account that waits for it must not hold one of `all`.
        // Acquiring fails only on a closed semaphore, and these are never closed.
        let slow = match last_timed_out {
            true => self.slow.acquire().await.ok(),
            false => None,
        };
        [slow, self.all.acquire().await.ok()]
    }

    /// Waits for this login's turn: one at a time, and at most so many a minute. The next begins
    /// when the result is dropped.
    pub(super) async fn login_permit(&self) -> MutexGuard<'_, Logins> {
        let mut logins = self.logins.lock().await;
        if let Some(until) = logins.paused_until {
            sleep_until(until).await;
        }
        if logins.began.len() >= self.max_logins_per_minute
            && let Some(oldest) = logins.began.front()
        {
            sleep_until(*oldest + MINUTE).await;
            // Only now: one that gives up waiting has to leave it.
            logins.began.pop_front();
        }
        logins.began.push_back(Instant::now());
        logins
    }
}

impl Logins {
    /// The host answered with a limit: the next login waits so long, or a minute.
    pub(super) fn pause(&mut self, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(MINUTE).min(MAX_RETRY_AFTER);
        self.paused_until = Some(Instant::now() + pause);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn host(hosts: &Hosts, name: &str) -> Arc<Host> {
        hosts.get(&format!("https://{name}").parse().unwrap())
    }

    async fn is_free(host: &Host, last_timed_out: bool) -> bool {
        let permit = host.permit(last_timed_out);
        timeout(Duration::from_secs(1), permit).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_accounts_have_a_quarter_of_a_hosts_requests() {
        for (limit, slow) in [(1, 1), (2, 1), (3, 1), (4, 1), (8, 2), (16, 4)] {
            let hosts = Hosts::new(limit, 1);
            let host_ = host(&hosts, "tradernet.com");
            let mut permits = Vec::new();
            for _ in 0..slow {
                permits.push(host_.permit(true).await);
            }
            assert!(!is_free(&host_, true).await, "slow {limit}");
            for _ in slow..limit {
                permits.push(host_.permit(false).await);
            }
            assert!(!is_free(&host_, false).await, "all {limit}");
            assert!(is_free(&host(&hosts, "freedom24.com"), false).await);
            permits.clear();
            assert!(is_free(&host_, true).await);
        }
    }

    /// When each of so many logins begins, in seconds, where each takes a second.
    async fn begin(hosts: &Hosts, count: usize) -> Vec<u64> {
        let start = Instant::now();
        let logins: Vec<_> = (0..count)
            .map(|_| {
                let host = host(hosts, "tradernet.com");
                tokio::spawn(async move {
                    let _permit = host.login_permit().await;
                    let began = start.elapsed().as_secs();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    began
                })
            })
            .collect();
        let mut began = Vec::new();
        for login in logins {
            began.push(login.await.unwrap());
        }
        began
    }

    #[tokio::test(start_paused = true)]
    async fn logins_one_at_a_time_in_order_and_so_many_a_minute() {
        let hosts = Hosts::new(16, 3);
        assert_eq!(begin(&hosts, 8).await, [0, 1, 2, 60, 61, 62, 120, 121]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_pauses_the_logins_of_one_host() {
        let hosts = Hosts::new(16, 10);
        let (here, elsewhere) = (host(&hosts, "tradernet.com"), host(&hosts, "tradernet.kz"));
        for (retry_after, pause) in [(None, 60), (Some(7), 7), (Some(86_400), 3600)] {
            let mut permit = here.login_permit().await;
            permit.pause(retry_after.map(Duration::from_secs));
            drop(permit);
            let start = Instant::now();
            drop(elsewhere.login_permit().await);
            assert_eq!(start.elapsed().as_secs(), 0);
            drop(here.login_permit().await);
            assert_eq!(start.elapsed().as_secs(), pause);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn cancelled_login_does_not_count() {
        let host = host(&Hosts::new(16, 1), "tradernet.com");
        drop(host.login_permit().await);
        let start = Instant::now();
        let waiting = timeout(Duration::from_secs(10), host.login_permit());
        assert!(waiting.await.is_err());
        drop(host.login_permit().await);
        assert_eq!(start.elapsed().as_secs(), 60);
    }
}
