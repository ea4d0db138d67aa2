//! Name resolution, shared by all accounts.
//!
//! The system's resolver blocks a thread, and where no name server answers it does so for longer
//! than any request waits. Therefore one look-up at a time is made for a name, however many requests
//! wait for it, and look-ups have a few threads of their own: those that hang delay only each other.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::runtime::{Builder, Runtime};

use crate::threads;

/// Names that are looked up at once; the others wait.
const MAX_THREADS: usize = 16;

/// Never dropped: that would wait for look-ups that hang.
static THREADS: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| threads::runtime(&mut Builder::new_current_thread(), MAX_THREADS));

/// Starts the first of the threads that look up names.
///
/// # Errors
///
/// They cannot be prepared.
///
/// # Panics
///
/// No thread can be started.
pub fn prepare_lookups() -> io::Result<()> {
    runtime().map(|_| ())
}

fn runtime() -> io::Result<&'static Runtime> {
    (THREADS.as_ref()).map_err(|error| io::Error::other(error.to_string()))
}

/// The addresses of a name, or why there are none.
type Lookup = Shared<BoxFuture<'static, Result<Vec<SocketAddr>, Arc<io::Error>>>>;

/// The look-ups under way; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedResolver(Arc<Mutex<HashMap<String, Lookup>>>);

impl SharedResolver {
    /// Joins the look-up of this name that is under way, or starts one.
    fn join<L>(&self, name: &str, look_up: impl FnOnce(String) -> L) -> Lookup
    where
        L: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let mut lookups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lookups.retain(|_, lookup| lookup.peek().is_none());
        let start = || {
            let result = look_up(name.to_owned()).map(|result| result.map_err(Arc::new));
            let lookup = result.boxed().shared();
            // It goes on when no request waits for it any more, and ends then too.
            tokio::spawn(lookup.clone());
            lookup
        };
        lookups.entry(name.to_owned()).or_insert_with(start).clone()
    }
}

async fn system_lookup(name: String) -> io::Result<Vec<SocketAddr>> {
    let look_up = move || (name.as_str(), 0).to_socket_addrs();
    Ok(runtime()?.spawn_blocking(look_up).await??.collect())
}

impl Resolve for SharedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.join(name.as_str(), system_lookup);
        Box::pin(async move {
            let addresses: Addrs = Box::new(lookup.await?.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn requests_for_a_name_share_one_lookup_which_is_not_kept() {
        let resolver = SharedResolver::default();
        let (answer, answered) = watch::channel(false);
        let lookups = Arc::<AtomicUsize>::default();
        let look_up = |name: &str| {
            let (lookups, mut answered) = (Arc::clone(&lookups), answered.clone());
            resolver.join(name, async move |_| {
                lookups.fetch_add(1, Ordering::Relaxed);
                let _ = answered.wait_for(|answered| *answered).await;
                Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
            })
        };
        let waiting: Vec<_> = (0..300).map(|_| look_up("tradernet.com")).collect();
        let other = look_up("tradernet.kz");
        answer.send_replace(true);
        for lookup in waiting {
            assert!(lookup.await.is_ok());
        }
        assert!(other.await.is_ok());
        assert_eq!(lookups.load(Ordering::Relaxed), 2);
        assert!(look_up("tradernet.com").await.is_ok());
        assert_eq!(lookups.load(Ordering::Relaxed), 3);
    }

    /// Files that hang are played by a pool with one thread, which waits.
    #[test]
    fn lookups_and_files_have_threads_of_their_own() {
        let pool = threads::runtime(&mut Builder::new_multi_thread(), 1).unwrap();
        let (end, ended) = mpsc::channel::<()>();
        let hanging = pool.spawn_blocking(move || ended.recv());
        assert!(
            pool.block_on(pool.spawn(system_lookup("localhost".to_owned())))
                .unwrap()
                .is_ok()
        );
        drop(end);
        assert!(pool.block_on(hanging).unwrap().is_err());
    }

    #[test]
    fn lookups_that_hang_are_few_and_the_others_wait() {
        let (end, ended) = watch::channel(());
        let (started, start) = mpsc::channel();
        let pool = runtime().unwrap();
        let lookups: Vec<_> = (0..2 * MAX_THREADS)
            .map(|_| {
                let (started, mut ended) = (started.clone(), ended.clone());
                pool.spawn_blocking(move || {
                    let _ = started.send(());
                    let _ = pool.block_on(ended.changed());
                })
            })
            .collect();
        (0..MAX_THREADS).for_each(|_| start.recv().unwrap());
        assert!(start.try_recv().is_err());
        drop(end);
        for lookup in lookups {
            pool.block_on(lookup).unwrap();
        }
    }
}
