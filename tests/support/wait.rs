//! Waiting for an effect, with an end.

use std::future::Future;
use std::time::Duration;

/// Far longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// The future's result; fails instead of hanging.
pub(crate) async fn within_timeout<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(result) => result,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

/// Looks again and again until there is something to be seen.
pub(crate) async fn wait_until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut pace = tokio::time::interval(LOOK);
    within_timeout(what, async {
        loop {
            pace.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    })
    .await
}

/// Lets paused time pass, in small steps. Left alone it would jump straight to the next timer, a
/// timeout perhaps, in the moment in which bytes are under way in the kernel.
pub(crate) async fn advance_time(time: Duration) {
    let mut step = tokio::time::interval(Duration::from_millis(100));
    let start = tokio::time::Instant::now();
    while start.elapsed() < time {
        step.tick().await;
    }
}
