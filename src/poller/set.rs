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
use tracing::error;

use crate::config::AccountConfig;
use crate::poller::login_breaker::LoginLog;
use crate::poller::{Poller, PollerCommand, PollerContext};

/// First attempts are at most this far apart, so that a few accounts are all polled at once.
const MAX_FIRST_SPREAD: Duration = Duration::from_millis(100);
/// Commands that may wait for a busy poller; more would request the same again.
const MAX_COMMANDS: usize = 4;
/// So that a poller that panics whenever it is run does not occupy a core.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The running pollers. Dropping it stops them, whatever they wait for.
pub struct PollerSet {
    pollers: BTreeMap<Arc<str>, PollerHandle>,
    shared: PollerContext,
    /// Of removed accounts: one that comes back has no more logins for it.
    former_logins: BTreeMap<Arc<str>, LoginLog>,
    ready: watch::Receiver<bool>,
}

struct PollerHandle {
    configured: watch::Sender<AccountConfig>,
    commands: mpsc::Sender<PollerCommand>,
    logins: LoginLog,
    task: AbortOnDropHandle<()>,
}

/// What a reload changed, in numbers of accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReloadSummary {
    /// Started.
    pub added: usize,
    /// Stopped.
    pub removed: usize,
    /// Stopped and started, since their URL or credential is another one.
    pub replaced: usize,
    /// Still running, whatever else of them has changed.
    pub kept: usize,
}

/// No account has the name of a requested retry.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownAccount(String);

impl std::fmt::Display for UnknownAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no account is named {:?}", self.0)
    }
}

impl std::error::Error for UnknownAccount {}

impl PollerSet {
    /// Starts a poller for each account.
    pub fn start(accounts: Vec<AccountConfig>, shared: &PollerContext) -> Self {
        let (latch, mut first_attempts) = mpsc::channel::<Infallible>(1);
        let deadline = accounts
            .iter()
            .map(|account| account.tracking.interval + account.target.timeout)
            .max()
            .unwrap_or_default();
        let (ready, receiver) = watch::channel(accounts.is_empty());
        let mut set = Self {
            pollers: BTreeMap::new(),
            shared: shared.clone(),
            former_logins: BTreeMap::new(),
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

    /// Polls these accounts from now on: starts new ones, stops removed ones, and applies what has
    /// changed of the others, for which no request is sent.
    pub async fn reload(&mut self, accounts: Vec<AccountConfig>) -> ReloadSummary {
        let mut summary = ReloadSummary::default();
        let mut configured: BTreeMap<Arc<str>, AccountConfig> = accounts
            .into_iter()
            .map(|account| (Arc::clone(&account.name), account))
            .collect();
        let mut stopped = Vec::new();
        for (name, poller) in std::mem::take(&mut self.pollers) {
            let is_same =
                |account: &mut AccountConfig| account.is_same_as(&poller.configured.borrow());
            match configured.get_mut(&name).map(is_same) {
                Some(true) => {
                    if let Some(account) = configured.remove(&name) {
                        poller.configured.send_replace(account);
                    }
                    self.pollers.insert(name, poller);
                    summary.kept += 1;
                }
                Some(false) => {
                    stopped.push((name, poller));
                    summary.replaced += 1;
                }
                None => {
                    stopped.push((name, poller));
                    summary.removed += 1;
                }
            }
        }
        stopped.iter().for_each(|(_, poller)| poller.task.abort());
        for (name, poller) in stopped {
            // Waited for: a poller that is just publishing would bring its series back.
            let _ = poller.task.await;
            if !configured.contains_key(&name) {
                self.shared.store.remove(&name);
            }
            self.former_logins.insert(name, poller.logins);
        }
        summary.added = configured.len() - summary.replaced;
        self.add(configured.into_values().collect(), None);
        let now = self.shared.clock.now();
        self.former_logins.retain(|_, logins| !logins.is_empty(now));
        summary
    }

    /// Starts pollers, their first attempts spread over the interval.
    fn add(&mut self, accounts: Vec<AccountConfig>, latch: Option<mpsc::Sender<Infallible>>) {
        let count = u32::try_from(accounts.len()).unwrap_or(u32::MAX).max(1);
        for (index, account) in (0..count).zip(accounts) {
            let apart = MAX_FIRST_SPREAD.min(account.tracking.interval / count);
            let first = Instant::now() + apart * index;
            let name = Arc::clone(&account.name);
            let logins = self.former_logins.remove(&name).unwrap_or_default();
            let (configured, configuration) = watch::channel(account);
            let (commands, inbox) = mpsc::channel(MAX_COMMANDS);
            let shared = self.shared.clone();
            let mut poller = Poller::new(configuration, shared, inbox, logins.clone(), first);
            poller.first_attempt = latch.clone();
            let handle = PollerHandle {
                configured,
                commands,
                logins,
                task: AbortOnDropHandle::new(tokio::spawn(supervise(poller))),
            };
            self.pollers.insert(name, handle);
        }
    }

    /// Has the secret files of all accounts read again.
    pub fn reload_secrets(&self) {
        for poller in self.pollers.values() {
            poller.send(PollerCommand::ReloadSecrets);
        }
    }

    /// Has one account attempted as soon as its server allows, also after a rejected login.
    ///
    /// # Errors
    ///
    /// No account has this name.
    pub fn retry_now(&self, name: &str) -> Result<(), UnknownAccount> {
        let poller = self.pollers.get(name);
        let poller = poller.ok_or_else(|| UnknownAccount(name.to_owned()))?;
        poller.send(PollerCommand::RetryNow);
        Ok(())
    }
}

impl PollerHandle {
    fn send(&self, command: PollerCommand) {
        // A full channel means that the same waits to be done already.
        let _ = self.commands.try_send(command);
    }
}

/// Runs a poller until its account is removed, and again after each panic; the message and place
/// of a panic are logged by the panic hook.
async fn supervise(mut poller: Poller) {
    while AssertUnwindSafe(poller.run()).catch_unwind().await.is_err() {
        error!(
            account = &*poller.account.name,
            "polling panicked; restarting"
        );
        sleep(RESTART_PAUSE).await;
    }
}
