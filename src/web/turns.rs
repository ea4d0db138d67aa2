//! Heavy work, one piece at a time: the next in the queue waits, and a long queue is refused.

use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// More are refused: otherwise requests that wait would fill the listener.
pub(super) const MAX_WAITING: usize = 16;

/// One queue, first come first served.
#[derive(Debug)]
pub(super) struct Turns {
    /// Permits for the work that is done or waits, and for the one that is done.
    pub(super) waiting: Arc<Semaphore>,
    pub(super) turn: Arc<Semaphore>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Does the work in its turn on a thread that serves and polls nothing; none where too many wait. It is
    /// done even if the client has gone. A panic is an error.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<io::Result<T>> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        let done = spawn_blocking(move || {
            let _permits = (waiting, turn);
            work()
        });
        Some(done.await.map_err(io::Error::from))
    }
}
