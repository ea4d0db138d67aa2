//! Accepts connections, bounds what they may cost, and drains them at shutdown.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::App;
use super::answer_stream::AnswerStream;
use super::connections::{Connection, Connections};
use super::listener::{Listener, Stream};
use super::response::{Body, Response};
use super::tls;

/// Connections of one listener. A Prometheus needs one.
const MAX_CONNECTIONS: usize = 512;
/// For a request's head, and for an idle connection to be used again: longer than the usual
/// scrape interval.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Of all answers of one listener that are being sent; a page of 1000 accounts has about 2 MiB.
const MAX_ANSWER_BYTES: usize = 32 << 20;
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
    listener: Listener,
    app: Arc<App>,
    kind: ListenerKind,
    shutdown: impl Future<Output = ()>,
) {
    serve_at_most(MAX_CONNECTIONS, listener, app, kind, shutdown).await;
}

async fn serve_at_most(
    max_connections: usize,
    listener: Listener,
    app: Arc<App>,
    kind: ListenerKind,
    shutdown: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES);
    let connections = Arc::new(Connections::new(max_connections, MAX_ANSWER_BYTES));
    let address = listener.tcp_address();
    let is_loopback = address.is_some_and(|address| address.ip().to_canonical().is_loopback());
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = accept(&listener) => stream,
        };
        // Frees the memory of connections that have ended.
        while tasks.try_join_next().is_some() {}

        let (http, watcher) = (http.clone(), graceful.watcher());
        let app = Arc::clone(&app);
        let connection = Arc::new(connections.open());
        tasks.spawn(async move {
            let served = async {
                let stream = secure(stream, &app, kind).await?;
                let stream = AnswerStream::new(stream, Arc::clone(&connection));
                let service = service_fn(|request| {
                    let (app, connection) = (Arc::clone(&app), Arc::clone(&connection));
                    answer(connection, app, kind, is_loopback, request)
                });
                let served = http.serve_connection(TokioIo::new(stream), service);
                watcher.watch(served).await.map_err(io::Error::other)
            };
            let served = tokio::select! {
                served = served => served,
                () = connection.closed() => Err(io::Error::other("closed to make room")),
            };
            if let Err(error) = served {
                tracing::debug!(%error, "connection failed");
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(DRAIN_TIMEOUT) => tracing::debug!("connections cut off at shutdown"),
    }
    tasks.shutdown().await;
}

async fn answer(
    connection: Arc<Connection>,
    app: Arc<App>,
    kind: ListenerKind,
    is_loopback: bool,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    // Requests that are sent ahead do not keep other connections waiting: hyper yields after 16.
    connection.start_request();
    let response = app.respond(kind, is_loopback, request).await;
    let body = response.extensions().get::<Body>();
    connection.start_answer(body.map(|Body(bytes)| bytes.clone()).unwrap_or_default());
    Ok(response)
}

/// The connection after its handshake, where TLS is configured. Probes are served without.
async fn secure(
    stream: Stream,
    app: &App,
    kind: ListenerKind,
) -> io::Result<Either<Box<TlsStream<Stream>>, Stream>> {
    Ok(
        match app.access.tls().filter(|_| kind == ListenerKind::Main) {
            Some(config) => {
                Either::Left(Box::new(tls::accept(stream, config, &app.signing).await?))
            }
            None => Either::Right(stream),
        },
    )
}

/// The next connection, however many end before they are accepted.
async fn accept(listener: &Listener) -> Stream {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok(stream) => return stream,
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
