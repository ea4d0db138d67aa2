//! Accepts connections, bounds what they may cost, and drains them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::App;
use super::io_timeout::{Progress, WriteStall};

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections of one listener; more wait in the system's queue. A Prometheus needs one.
    connections: usize,
    /// For a request's head to arrive whole, and for a kept connection to be used again; up to
    /// twice as long for the latter.
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
    // Dropped to ask a connection to end. One each: a channel that all share is a lock, taken
    // whenever any of them moves.
    let mut open: HashMap<_, oneshot::Sender<Infallible>> = HashMap::new();
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
            Some(ended) = connections.join_next_with_id() => {
                open.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                continue;
            }
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        let app = Arc::clone(&app);
        let (drain, draining) = oneshot::channel();
        let task = connections.spawn(async move {
            connection(limits, stream, &app, role, draining).await;
            drop(slot);
        });
        open.insert(task.id(), drain);
    }
    drop(listener);
    drop(open);
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

/// One connection's life, which is to end when the other side of `draining` is dropped.
async fn connection(
    limits: Limits,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    app: &App,
    role: Role,
    draining: oneshot::Receiver<Infallible>,
) {
    let progress = &Progress::default();
    let service = service_fn(move |request| async move {
        let _answering = progress.answering();
        Ok::<_, Infallible>(app.answer(role, request).await)
    });
    let stream = TokioIo::new(WriteStall::new(stream, limits.write, progress));
    let mut connection = pin!(
        http1::Builder::new()
            .max_buf_size(limits.buffer)
            .serve_connection(stream, service)
    );
    // hyper's own limit on heads sets a timer for each request.
    let overdue = pin!(progress.head_overdue(limits.head));
    let outcome = tokio::select! {
        biased;
        outcome = connection.as_mut() => outcome,
        _ = draining => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = overdue => {
            tracing::debug!("a request did not come in time");
            Ok(())
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended badly");
    }
}

#[cfg(test)]
mod tests;
