//! Heavy work, one piece at a time: the next in the queue waits, and a long queue is refused.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More are refused: otherwise requests that wait would fill the listener.
pub(super) const MAX_WAITING: usize = 16;

/// One queue, first come first served.
#[derive(Debug)]
pub(super) struct Turns {
    /// Permits for the work that is done or waits, and for the one that is done.
    pub(super) waiting: Arc<Semaphore>,
    pub(super) turn: Arc<Semaphore>,
}

/// Held while the work is done, even if the client has gone.
pub(super) type Turn = [OwnedSemaphorePermit; 2];

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Waits for its turn; none where too many wait.
    pub(super) async fn take(&self) -> Option<Turn> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        Some([waiting, turn])
    }
}
