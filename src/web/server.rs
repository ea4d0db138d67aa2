//! Accepts connections, bounds what they may cost, and drains them at shutdown.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::App;
use super::answer_stream::AnswerStream;
use super::tls;

/// Connections of one listener; more wait in the system's queue. A Prometheus needs one.
const MAX_CONNECTIONS: usize = 512;
/// For a request's head, and for an idle connection to be used again: longer than the usual
/// scrape interval.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// For answers in progress at shutdown: the whole process has a second.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(400);
/// After an accept that failed for lack of descriptors or memory: the log has a line for each.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The routes of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Every route.
    Main,
    /// Only `/-/healthy` and `/-/ready`.
    Probe,
}

/// Serves until `shutdown` completes, then closes idle connections at once and gives answers in
/// progress 400 ms. No connection outlives the call.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    kind: ListenerKind,
    shutdown: impl Future<Output = ()>,
) {
    serve_at_most(MAX_CONNECTIONS, listener, app, kind, shutdown).await;
}

async fn serve_at_most(
    max_connections: usize,
    listener: TcpListener,
    app: Arc<App>,
    kind: ListenerKind,
    shutdown: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES);
    let permits = Arc::new(Semaphore::new(max_connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (permit, stream) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        // Frees the memory of connections that have ended.
        while connections.try_join_next().is_some() {}

        // Answers are written whole: waiting to fill a segment would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
        let (http, watcher) = (http.clone(), graceful.watcher());
        let app = Arc::clone(&app);
        connections.spawn(async move {
            let stream = match secure(stream, &app, kind).await {
                Ok(stream) => AnswerStream::new(stream),
                Err(error) => return tracing::debug!(%error, "connection failed"),
            };
            let service = service_fn(move |request| {
                let app = Arc::clone(&app);
                async move { Ok::<_, Infallible>(app.respond(kind, request).await) }
            });
            let connection = http.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "connection failed");
            }
            drop(permit);
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(DRAIN_TIMEOUT) => tracing::debug!("connections cut off at shutdown"),
    }
    connections.shutdown().await;
}

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The connection after its handshake, where TLS is configured. Probes are served without.
async fn secure(stream: TcpStream, app: &App, kind: ListenerKind) -> io::Result<Box<dyn Stream>> {
    Ok(
        match app.access.tls().filter(|_| kind == ListenerKind::Main) {
            Some(config) => Box::new(tls::accept(stream, config).await?),
            None => Box::new(stream),
        },
    )
}

/// The next connection within the limit, however many end before they are accepted.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, TcpStream) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    // `None` is impossible: the semaphore is not closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (permit, stream),
            Err(error) => match error.kind() {
                ConnectionAborted | ConnectionRefused | ConnectionReset => {}
                _ => {
                    tracing::warn!(%error, "accepting a connection failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests;
