//! Logins to one host: one at a time, at most so many a minute, first come first served.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::schedule::MAX_RETRY_AFTER;

const MINUTE: Duration = Duration::from_secs(60);

/// Paces the logins of all accounts, host by host.
#[derive(Clone, Debug)]
pub struct LoginPacer {
    per_minute: usize,
    hosts: Arc<std::sync::Mutex<HashMap<String, Arc<Mutex<HostLogins>>>>>,
}

#[derive(Debug, Default)]
struct HostLogins {
    /// When the last logins began, the oldest first.
    began: VecDeque<Instant>,
    paused_until: Option<Instant>,
}

/// Permission for one login; the next begins when it is dropped.
#[derive(Debug)]
pub struct LoginPermit(OwnedMutexGuard<HostLogins>);

impl LoginPacer {
    /// `TRADERNET_MAX_LOGINS_PER_MINUTE`, at least 1.
    pub fn new(per_minute: usize) -> Self {
        Self {
            per_minute: per_minute.max(1),
            hosts: Arc::default(),
        }
    }

    /// Waits for this login's turn.
    pub async fn acquire(&self, origin: &Url) -> LoginPermit {
        let host = {
            let name = origin.origin().ascii_serialization();
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(hosts.entry(name).or_default())
        };
        // The mutex is fair: who waits longest is next.
        let mut logins = host.lock_owned().await;
        if let Some(until) = logins.paused_until {
            sleep_until(until).await;
        }
        if logins.began.len() >= self.per_minute
            && let Some(oldest) = logins.began.front()
        {
            sleep_until(*oldest + MINUTE).await;
            // Only now: one that gives up waiting has to leave it.
            logins.began.pop_front();
        }
        logins.began.push_back(Instant::now());
        LoginPermit(logins)
    }
}

impl LoginPermit {
    /// The host answered with a limit: the next login waits so long, or a minute.
    pub fn pause(&mut self, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(MINUTE).min(MAX_RETRY_AFTER);
        self.0.paused_until = Some(Instant::now() + pause);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn origin(host: &str) -> Url {
        format!("https://{host}").parse().unwrap()
    }

    /// When each of so many logins begins, in seconds, where each takes a second.
    async fn begin(pacer: &LoginPacer, count: usize) -> Vec<u64> {
        let start = Instant::now();
        let logins: Vec<_> = (0..count)
            .map(|_| {
                let pacer = pacer.clone();
                tokio::spawn(async move {
                    let _permit = pacer.acquire(&origin("tradernet.com")).await;
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
    async fn one_at_a_time_in_order_and_so_many_a_minute() {
        let pacer = LoginPacer::new(3);
        assert_eq!(begin(&pacer, 8).await, [0, 1, 2, 60, 61, 62, 120, 121]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_pauses_one_host() {
        let pacer = LoginPacer::new(10);
        let here = origin("tradernet.com");
        for (retry_after, pause) in [(None, 60), (Some(7), 7), (Some(86_400), 3600)] {
            let mut permit = pacer.acquire(&here).await;
            permit.pause(retry_after.map(Duration::from_secs));
            drop(permit);
            let start = Instant::now();
            drop(pacer.acquire(&origin("tradernet.kz")).await);
            assert_eq!(start.elapsed().as_secs(), 0);
            drop(pacer.acquire(&here).await);
            assert_eq!(start.elapsed().as_secs(), pause);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gives_up_waiting_takes_nothing() {
        let pacer = LoginPacer::new(1);
        let here = origin("tradernet.com");
        drop(pacer.acquire(&here).await);
        let start = Instant::now();
        let patience = Duration::from_secs(10);
        assert!(
            tokio::time::timeout(patience, pacer.acquire(&here))
                .await
                .is_err()
        );
        drop(pacer.acquire(&here).await);
        assert_eq!(start.elapsed().as_secs(), 60);
    }
}
