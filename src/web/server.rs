//! Accepts connections, bounds what they may cost, and drains them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::App;
use super::stall::WriteStall;

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections of one listener; more wait in the system's queue. A Prometheus needs one.
    connections: usize,
    /// For a request's head to arrive whole, and for a kept connection to be used again.
    head: Duration,
    /// Without progress on an answer that the client does not read.
    write: Duration,
    /// Bytes of a request's head.
    buffer: usize,
    /// For answers under way once shutdown is asked for: the whole process has a second.
    drain: Duration,
}

const LIMITS: Limits = Limits {
    connections: 512,
    head: Duration::from_secs(10),
    write: Duration::from_secs(30),
    buffer: 64 * 1024,
    drain: Duration::from_millis(400),
};

/// After an accept that failed for want of something that other connections hold (descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Every route.
    Full,
    /// `/-/healthy` and `/-/ready` alone.
    Probes,
}

/// Serves until `shutdown` is done, then closes idle connections at once and gives answers under
/// way 400 ms. No connection outlives the call.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    role: Role,
    shutdown: impl Future<Output = ()>,
) {
    serve_within(LIMITS, listener, app, role, shutdown).await;
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    app: Arc<App>,
    role: Role,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let (drain, draining) = watch::channel(());
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            Some((slot, accept(&listener).await))
        };
        let (slot, stream) = tokio::select! {
            () = &mut shutdown => break,
            // Reaps, so that what is over takes no memory.
            Some(_) = connections.join_next() => continue,
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        let app = Arc::clone(&app);
        let draining = draining.clone();
        connections.spawn(async move {
            connection(limits, stream, app, role, draining).await;
            drop(slot);
        });
    }
    drop(listener);
    drop(drain);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, drained).await.is_err() {
        tracing::debug!(connections = connections.len(), "cut off at shutdown");
        connections.shutdown().await;
    }
}

/// The next connection, however many fail before it.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are written whole; waiting to fill a segment only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return stream;
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Errors that the next accept does not share.
fn is_the_peers(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// One connection's life. `draining` ends when its sender is dropped.
async fn connection(
    limits: Limits,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    app: Arc<App>,
    role: Role,
    mut draining: watch::Receiver<()>,
) {
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, std::convert::Infallible>(app.answer(role, request).await) }
    });
    let stream = TokioIo::new(WriteStall::new(stream, limits.write));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(limits.buffer)
            .serve_connection(stream, service)
    );
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        _ = draining.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended badly");
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
