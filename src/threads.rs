//! Threads for work that blocks.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Longer than any process runs.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

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
