//! Threads for work that blocks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Longer than any process runs.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// A secret, a certificate or a configuration that takes longer, such as one on a network file system
/// that hangs, counts as unreadable.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Reads at a time, without those that were given up: a reload must not start a thread for each of
/// thousands of files.
static READS: Semaphore = Semaphore::const_new(16);

/// A runtime with at most `max` threads for work that blocks. It starts the first now and keeps
/// those it has started: where the system allows no other, work waits for its turn, whereas tokio
/// panics where there is none at all.
///
/// # Errors
///
/// The runtime cannot be made.
///
/// # Panics
///
/// No thread can be started.
pub fn runtime(builder: &mut Builder, max: usize) -> io::Result<Runtime> {
    let runtime = builder
        .max_blocking_threads(max)
        .thread_keep_alive(FOREVER)
        .build()?;
    drop(runtime.spawn_blocking(|| ()));
    Ok(runtime)
}

/// Reads one file, or some, off the threads that serve and poll. A file system may hang for ever: a
/// read is given up after a while, and then blocks one thread until it ends, however often it is
/// tried again.
#[derive(Clone, Debug, Default)]
pub struct FileReader(Arc<Mutex<()>>);

impl FileReader {
    /// Reads, for no longer than `allowed`.
    ///
    /// # Errors
    ///
    /// There was no answer in time, or the read panicked.
    pub async fn read<T: Send + 'static>(
        &self,
        allowed: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let reading = async {
            let turn = Arc::clone(&self.0).lock_owned().await;
            let _permit = READS.acquire().await;
            spawn_blocking(move || {
                // Released when the read ends, which may be long after it was given up.
                let _turn = turn;
                read()
            })
            .await
        };
        match timeout(allowed, reading).await {
            Ok(result) => result.map_err(|_| "the read was aborted".to_owned()),
            Err(_) => Err(no_answer_within(allowed)),
        }
    }
}

#[cfg(test)]
impl FileReader {
    /// A file system that hangs until the result is dropped.
    pub(crate) async fn hang(&self) -> impl Drop + use<> {
        Arc::clone(&self.0).lock_owned().await
    }
}

/// The error of a file that was not read in time.
pub fn no_answer_within(allowed: Duration) -> String {
    let seconds = allowed.as_secs();
    format!("no answer from the file system within {seconds} s")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn reads_that_hang_delay_no_others() {
        let (ends, hangs): (Vec<_>, Vec<_>) = (0..40).map(|_| mpsc::channel::<()>()).unzip();
        let allowed = Duration::from_millis(10);
        let hanging = hangs.into_iter().map(async |hang| {
            let read = FileReader::default();
            read.read(allowed, move || hang.recv().is_ok()).await
        });
        for read in join_all(hanging).await {
            assert_eq!(read, Err(no_answer_within(allowed)));
        }
        let read = FileReader::default().read(READ_TIMEOUT, || 7).await;
        assert_eq!(read, Ok(7));
        drop(ends);
    }
}
