//! The pollers of all accounts: one task each, their first attempts spread over the interval.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, error, info};

use crate::config::AccountConfig;
use crate::poller::change_log::MAX_ACCOUNTS;
use crate::poller::login_breaker::LoginBreaker;
use crate::poller::{DesiredState, Poller, PollerContext};

/// First attempts are at most this far apart, so that a few accounts are all polled at once.
const MAX_FIRST_SPREAD: Duration = Duration::from_millis(100);
/// So that a poller that panics whenever it is run does not occupy a core.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The running pollers. Dropping it stops them, whatever they wait for.
pub struct PollerSet {
    pollers: BTreeMap<Arc<str>, PollerHandle>,
    shared: Arc<PollerContext>,
    /// Of the accounts, and of removed ones that have logged in: one that comes back has no more
    /// logins for it.
    breakers: BTreeMap<Arc<str>, LoginBreaker>,
    /// Ends with the last first attempt.
    latch: mpsc::WeakSender<Infallible>,
    ready: watch::Receiver<bool>,
}

struct PollerHandle {
    desired: watch::Sender<DesiredState>,
    task: AbortOnDropHandle<()>,
}

impl PollerSet {
    /// Starts a poller for each account.
    pub fn start(accounts: Vec<AccountConfig>, shared: Arc<PollerContext>) -> Self {
        let (latch, mut first_attempts) = mpsc::channel::<Infallible>(1);
        let deadline = accounts
            .iter()
            .map(|account| account.tracking.interval + account.target.timeout)
            .max()
            .unwrap_or_default();
        let (ready, receiver) = watch::channel(accounts.is_empty());
        let mut set = Self {
            pollers: BTreeMap::new(),
            shared,
            breakers: BTreeMap::new(),
            latch: latch.downgrade(),
            ready: receiver,
        };
        set.add(accounts, Some(latch));
        tokio::spawn(async move {
            // Nothing is ever sent: the channel ends when the last poller drops its sender.
            let _ = timeout(deadline, first_attempts.recv()).await;
            ready.send_replace(true);
        });
        set
    }

    /// True once every account was attempted once, or the longest interval and timeout have passed
    /// since the start; never false again.
    pub fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    /// Polls these accounts from now on: starts new ones, stops removed ones, replaces those whose
    /// URL or credential is another one, and applies what has changed of the others, for which no
    /// request is sent. `by` names the source of the request.
    pub async fn reload(&mut self, accounts: Vec<AccountConfig>, by: &str) {
        // Before any poller is stopped: readiness waits for the accounts that replace others, too.
        let latch = self.latch.upgrade();
        let (mut stopped, mut started, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        let mut running = std::mem::take(&mut self.pollers);
        for account in accounts {
            let name = Arc::clone(&account.name);
            let poller = running.remove(&name);
            let before = (poller.as_ref()).map(|poller| poller.desired.borrow().account.clone());
            let change = match before {
                None => "added",
                Some(before) if !account.is_same_as(&before) => "replaced",
                Some(before) if !account.has_same_settings(&before) => "changed",
                Some(_) => "kept",
            };
            changes.push((Arc::clone(&name), change));
            match (poller, change) {
                (Some(poller), "changed" | "kept") => {
                    (poller.desired).send_modify(|desired| desired.account = Arc::new(account));
                    self.pollers.insert(name, poller);
                }
                (replaced, _) => {
                    stopped.extend(replaced);
                    started.push(account);
                }
            }
        }
        changes.extend(running.keys().map(|name| (Arc::clone(name), "removed")));
        stopped.extend(running.into_values());
        stopped.iter().for_each(|poller| poller.task.abort());
        for poller in stopped {
            // Waited for: a poller that is just publishing would bring its series back.
            let _ = poller.task.await;
        }
        self.add(started, latch);
        let is_polled = |name: &str| self.pollers.contains_key(name);
        self.shared.store.retain(is_polled);
        self.breakers
            .retain(|name, breaker| self.pollers.contains_key(name) || breaker.is_used());
        log_reload(by, &changes);
    }

    /// Starts pollers, their first attempts spread over the interval.
    fn add(&mut self, accounts: Vec<AccountConfig>, latch: Option<mpsc::Sender<Infallible>>) {
        // First: the first of many accounts answers before the last one is started.
        (self.shared.changes).set_accounts(self.pollers.len() + accounts.len());
        let count = u32::try_from(accounts.len()).unwrap_or(u32::MAX).max(1);
        for (index, account) in (0..count).zip(accounts) {
            let apart = MAX_FIRST_SPREAD.min(account.tracking.interval / count);
            let first = Instant::now() + apart * index;
            let name = Arc::clone(&account.name);
            debug!(account = &*name, "account started");
            let breaker = self.breakers.entry(Arc::clone(&name)).or_default().clone();
            let (mut poller, desired) =
                Poller::new(account, Arc::clone(&self.shared), breaker, first);
            poller.first_attempt = latch.clone();
            let task =
                AbortOnDropHandle::new(self.shared.runtime.spawn(supervise(Box::new(poller))));
            self.pollers.insert(name, PollerHandle { desired, task });
        }
    }

    /// Has the secret files of all accounts read again. `by` names the source of the request.
    pub fn reload_secrets(&self, by: &str) {
        for poller in self.pollers.values() {
            // The secrets are read again whenever the desired state is applied.
            poller.desired.send_modify(|_| ());
        }
        info!(by, "secrets reloaded");
    }

    /// Has one account attempted as soon as its server allows, also after a rejected login; whether
    /// there is an account of this name.
    pub fn retry_now(&self, name: &str) -> bool {
        let poller = self.pollers.get(name);
        if let Some(poller) = poller {
            poller.desired.send_modify(|desired| desired.retries += 1);
        }
        poller.is_some()
    }
}

/// Logs a reload, and each account that it has changed, unless these are many.
fn log_reload(by: &str, changes: &[(Arc<str>, &str)]) {
    let count = |change| changes.iter().filter(|(_, of)| *of == change).count();
    let (added, removed, replaced) = (count("added"), count("removed"), count("replaced"));
    let (changed, kept) = (count("changed"), count("kept"));
    info!(
        by,
        added, removed, replaced, changed, kept, "configuration reloaded"
    );
    let changed = changes.iter().filter(|(_, change)| *change != "kept");
    for (account, change) in changed.filter(|_| changes.len() - kept <= MAX_ACCOUNTS) {
        info!(
            account = &**account,
            change, "account configuration changed"
        );
    }
}

/// Runs a poller, and again after each panic; the message and place of a panic are logged by the
/// panic hook.
async fn supervise(mut poller: Box<Poller>) {
    let mut panicked = false;
    while AssertUnwindSafe(poller.run(panicked))
        .catch_unwind()
        .await
        .is_err()
    {
        panicked = true;
        let account = &*poller.account.name;
        error!(account, "polling panicked; restarting");
        sleep(RESTART_PAUSE).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::runtime::Handle;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, Flags};
    use crate::poller::change_log::ChangeLog;
    use crate::poller::host::Hosts;
    use crate::status::StatusStore;
    use crate::tradernet::{Client, ClientConfig};

    /// One account of this name, at an address where no server listens.
    fn account(name: &str) -> Vec<AccountConfig> {
        let variables = [
            ("TRADERNET_ACCOUNT", name),
            ("TRADERNET_URL", "http://127.0.0.1:1"),
            ("TRADERNET_SID", "an-sid"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let config = Config::load(&Flags::default(), variables);
        config.unwrap().accounts
    }

    #[tokio::test]
    async fn removed_accounts_keep_their_breakers_only_after_a_login() {
        let clock = Clock::system();
        let client = Client::new(&ClientConfig::default(), Arc::new(|_, _| {}), clock.clone());
        let shared = PollerContext {
            client: client.unwrap(),
            hosts: Hosts::new(16, 10),
            runtime: Handle::current(),
            changes: ChangeLog::default(),
            store: StatusStore::default(),
            clock: clock.clone(),
            min_retry_interval: Duration::ZERO,
        };
        let mut set = PollerSet::start(account("without-login"), Arc::new(shared));
        set.reload(account("with-login"), "test").await;
        assert!(set.breakers.keys().eq([&Arc::from("with-login")]));
        let breaker = set.breakers.first_entry().unwrap();
        breaker.get().record_attempt(clock.now());
        set.reload(account("another"), "test").await;
        let kept = set.breakers.keys().map(|name| &**name);
        assert!(kept.eq(["another", "with-login"]));
    }
}
