//! All accounts: one poller task each, spread over the interval, and the way to speak to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::account::{Account, Command, Poller, Shared};
use crate::secret::SecretError;
use crate::status::Board;

/// First attempts are at most this far apart, so that a few accounts are all seen at once.
const WIDEST_SPREAD: Duration = Duration::from_millis(100);
/// Commands that may wait for a poller that is busy; more would ask for the same again.
const COMMANDS: usize = 4;

/// The running pollers. Dropping it stops them, whatever they wait for.
pub struct Fleet {
    running: BTreeMap<Arc<str>, Running>,
    board: Board,
    tasks: JoinSet<()>,
}

struct Running {
    account: Account,
    commands: mpsc::Sender<Command>,
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

impl Fleet {
    /// Starts a poller for each account.
    pub fn start(accounts: Vec<Account>, shared: &Shared) -> Self {
        let mut fleet = Self {
            running: BTreeMap::new(),
            board: shared.board.clone(),
            tasks: JoinSet::new(),
        };
        let count = u32::try_from(accounts.len()).unwrap_or(u32::MAX).max(1);
        for (index, account) in (0..count).zip(accounts) {
            let apart = WIDEST_SPREAD.min(account.reading.interval / count);
            let name = Arc::clone(&account.name);
            let (commands, inbox) = mpsc::channel(COMMANDS);
            let poller = Poller::new(account.clone(), shared.clone(), inbox);
            fleet.tasks.spawn(poller.run(apart * index));
            fleet.running.insert(name, Running { account, commands });
        }
        fleet
    }

    /// Has the secret files of all accounts read again.
    ///
    /// # Errors
    ///
    /// Where some cannot be read; the others are taken up all the same.
    pub fn read_secrets(&self) -> Result<(), ReloadError> {
        let mut errors = Vec::new();
        for (name, running) in &self.running {
            match running.account.credential.check() {
                Ok(()) => running.ask(Command::ReadSecrets),
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
        running.account.credential.check().map_err(|error| {
            ReloadError::Secrets(vec![(Arc::clone(&running.account.name), error)])
        })?;
        running.ask(Command::TryNow);
        Ok(())
    }

    /// True once every account had its first attempt, well or not, or the longest interval and
    /// timeout have passed; never false again.
    pub fn readiness(&self) -> watch::Receiver<bool> {
        let (ready, receiver) = watch::channel(self.running.is_empty());
        let accounts = self.running.values().map(|running| &running.account);
        let patience = accounts
            .map(|account| account.reading.interval + account.target.timeout)
            .max()
            .unwrap_or_default();
        let mut waiting: Vec<Arc<str>> = self.running.keys().cloned().collect();
        let board = self.board.clone();
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
    fn ask(&self, command: Command) {
        // A full inbox means that the same has been asked already and waits to be done.
        let _ = self.commands.try_send(command);
    }
}
