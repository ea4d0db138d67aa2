//! All accounts: one poller task each, spread over the interval, and the way to speak to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::config::AccountConfig;
use crate::poller::login_breaker::LoginLog;
use crate::poller::{Poller, PollerCommand, PollerContext};
use crate::secret::SecretError;

/// First attempts are at most this far apart, so that a few accounts are all seen at once.
const WIDEST_SPREAD: Duration = Duration::from_millis(100);
/// Commands that may wait for a poller that is busy; more would ask for the same again.
const COMMANDS: usize = 4;

/// The running pollers. Dropping it stops them, whatever they wait for.
pub struct PollerSet {
    running: BTreeMap<Arc<str>, Running>,
    shared: PollerContext,
    /// Of accounts that were stopped: one that comes back has no more logins for it.
    former_logins: BTreeMap<Arc<str>, LoginLog>,
}

struct Running {
    configured: watch::Sender<AccountConfig>,
    commands: mpsc::Sender<PollerCommand>,
    logins: LoginLog,
    task: AbortOnDropHandle<()>,
}

/// What a reload came to, in numbers of accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReloadSummary {
    /// Started.
    pub added: usize,
    /// Stopped.
    pub removed: usize,
    /// Stopped and started, since URL or credential made them others.
    pub replaced: usize,
    /// Running on, whatever else of them has changed.
    pub kept: usize,
}

/// Why a reload could not be done as asked.
#[derive(Debug, PartialEq, Eq)]
pub enum ReloadError {
    /// No account has that name.
    UnknownAccount(String),
    /// Secrets that cannot be read; the accounts keep those that they have.
    Secrets(Vec<(Arc<str>, SecretError)>),
}

impl std::fmt::Display for ReloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownAccount(name) => write!(f, "no account is named {name:?}"),
            Self::Secrets(errors) => {
                let mut errors = errors.iter();
                if let Some((account, error)) = errors.next() {
                    write!(f, "account {account}: {error}")?;
                }
                errors.try_for_each(|(account, error)| write!(f, "; account {account}: {error}"))
            }
        }
    }
}

impl std::error::Error for ReloadError {}

impl PollerSet {
    /// Starts a poller for each account.
    pub fn start(accounts: Vec<AccountConfig>, shared: &PollerContext) -> Self {
        let mut fleet = Self {
            running: BTreeMap::new(),
            shared: shared.clone(),
            former_logins: BTreeMap::new(),
        };
        fleet.add(accounts);
        fleet
    }

    /// Watches these accounts from now on: starts those that are new, stops those that are gone,
    /// and tells the others what has changed about them, which asks nobody for anything.
    pub async fn reload(&mut self, accounts: Vec<AccountConfig>) -> ReloadSummary {
        let mut changes = ReloadSummary::default();
        let mut wanted: BTreeMap<Arc<str>, AccountConfig> = accounts
            .into_iter()
            .map(|account| (Arc::clone(&account.name), account))
            .collect();
        let mut stopped = Vec::new();
        let running = std::mem::take(&mut self.running);
        for (name, running) in running {
            let same =
                |account: &mut AccountConfig| account.is_same_as(&running.configured.borrow());
            match wanted.get_mut(&name).map(same) {
                Some(true) => {
                    if let Some(account) = wanted.remove(&name) {
                        running.configured.send_replace(account);
                    }
                    self.running.insert(name, running);
                    changes.kept += 1;
                }
                Some(false) => {
                    stopped.push((name, running));
                    changes.replaced += 1;
                }
                None => {
                    stopped.push((name, running));
                    changes.removed += 1;
                }
            }
        }
        stopped.iter().for_each(|(_, running)| running.task.abort());
        for (name, running) in stopped {
            // Waited for, since one that is just publishing would bring its series back.
            let _ = running.task.await;
            if !wanted.contains_key(&name) {
                self.shared.board.remove(&name);
            }
            self.former_logins.insert(name, running.logins);
        }
        changes.added = wanted.len() - changes.replaced;
        self.add(wanted.into_values().collect());
        let now = self.shared.clock.now();
        self.former_logins.retain(|_, logins| !logins.is_empty(now));
        changes
    }

    /// Starts pollers, their first attempts spread over the interval.
    fn add(&mut self, accounts: Vec<AccountConfig>) {
        let count = u32::try_from(accounts.len()).unwrap_or(u32::MAX).max(1);
        for (index, account) in (0..count).zip(accounts) {
            let apart = WIDEST_SPREAD.min(account.reading.interval / count);
            let name = Arc::clone(&account.name);
            let logins = self.former_logins.remove(&name).unwrap_or_default();
            let (configured, configuration) = watch::channel(account);
            let (commands, inbox) = mpsc::channel(COMMANDS);
            let poller = Poller::new(configuration, self.shared.clone(), inbox, logins.clone());
            let task = AbortOnDropHandle::new(tokio::spawn(poller.run(apart * index)));
            let running = Running {
                configured,
                commands,
                logins,
                task,
            };
            self.running.insert(name, running);
        }
    }

    /// Has the secret files of all accounts read again.
    ///
    /// # Errors
    ///
    /// Where some cannot be read; the others are taken up all the same.
    pub fn read_secrets(&self) -> Result<(), ReloadError> {
        let mut errors = Vec::new();
        for (name, running) in &self.running {
            match running.check() {
                Ok(()) => running.ask(PollerCommand::ReadSecrets),
                Err(error) => errors.push((Arc::clone(name), error)),
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(ReloadError::Secrets(errors))
        }
    }

    /// Has one account try at once, also after a refused login.
    ///
    /// # Errors
    ///
    /// Where there is no such account, or its secret cannot be read.
    pub fn try_now(&self, name: &str) -> Result<(), ReloadError> {
        let running = self
            .running
            .get(name)
            .ok_or_else(|| ReloadError::UnknownAccount(name.to_owned()))?;
        running
            .check()
            .map_err(|error| ReloadError::Secrets(vec![(name.into(), error)]))?;
        running.ask(PollerCommand::TryNow);
        Ok(())
    }

    /// True once every account had its first attempt, well or not, or the longest interval and
    /// timeout have passed; never false again.
    pub fn readiness(&self) -> watch::Receiver<bool> {
        let (ready, receiver) = watch::channel(self.running.is_empty());
        let patience = self
            .running
            .values()
            .map(Running::patience)
            .max()
            .unwrap_or_default();
        let mut waiting: Vec<Arc<str>> = self.running.keys().cloned().collect();
        let board = self.shared.board.clone();
        let deadline = Instant::now() + patience;
        tokio::spawn(async move {
            let mut changes = board.subscribe();
            let all_attempted = async {
                loop {
                    let attempted = |name: &mut Arc<str>| {
                        board
                            .account(name)
                            .is_none_or(|status| status.last_attempt.is_some())
                    };
                    while waiting.pop_if(attempted).is_some() {}
                    if waiting.is_empty() || changes.changed().await.is_err() {
                        return;
                    }
                }
            };
            // Ready either way.
            let _ = tokio::time::timeout_at(deadline, all_attempted).await;
            ready.send_replace(true);
        });
        receiver
    }
}

impl Running {
    fn check(&self) -> Result<(), SecretError> {
        self.configured.borrow().credential.check()
    }

    /// How long a first attempt may take to come to something.
    fn patience(&self) -> Duration {
        let account = self.configured.borrow();
        account.reading.interval + account.target.timeout
    }

    fn ask(&self, command: PollerCommand) {
        // A full inbox means that the same has been asked already and waits to be done.
        let _ = self.commands.try_send(command);
    }
}
