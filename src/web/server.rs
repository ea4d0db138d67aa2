//! Accepts connections, bounds what they may cost, and drains them at shutdown.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::either::Either;

use super::App;
use super::connections::{Connection, Connections};
use super::listener::{Listener, Stream};
use super::tls;

/// Connections of one listener. A Prometheus needs one.
const MAX_CONNECTIONS: usize = 512;
/// For a request's head, for an idle connection to be used again (longer than the usual scrape
/// interval), and for a client to take its answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks for clients that have taken longer.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
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
    let server = Arc::new(Server {
        app,
        source: Source {
            kind,
            is_loopback: listener
                .tcp_address()
                .is_some_and(|address| address.ip().to_canonical().is_loopback()),
            client: None,
        },
        connections: Connections::new(max_connections, MAX_ANSWER_BYTES),
    });
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            () = &mut shutdown => break,
            stream = accept(&listener) => stream,
            _ = checks.tick(), if !server.connections.is_empty() => {
                server.connections.close_overdue(CLIENT_TIMEOUT);
                continue;
            }
        };
        // Frees the memory of connections that have ended.
        while tasks.try_join_next().is_some() {}

        let connection = Arc::new(Connection::new());
        let served = Arc::clone(&server).serve(stream, Arc::clone(&connection), graceful.watcher());
        let task = tasks.spawn(async {
            if let Err(error) = served.await {
                tracing::debug!(%error, "connection failed");
            }
        });
        server.connections.insert(connection, task);
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(DRAIN_TIMEOUT) => tracing::debug!("connections cut off at shutdown"),
    }
    tasks.shutdown().await;
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// The kind of its listener.
    pub(super) kind: ListenerKind,
    /// Whether the listener can be reached from this machine only.
    pub(super) is_loopback: bool,
    /// The client's address, over TCP.
    pub(super) client: Option<SocketAddr>,
}

/// State shared by the connections of one listener.
struct Server {
    app: Arc<App>,
    /// Without a client.
    source: Source,
    connections: Connections,
}

impl Server {
    async fn serve(
        self: Arc<Self>,
        stream: Stream,
        connection: Arc<Connection>,
        watcher: Watcher,
    ) -> io::Result<()> {
        let client = match &stream {
            Either::Left(stream) => stream.peer_addr().ok(),
            Either::Right(_) => None,
        };
        let from = Source {
            client,
            ..self.source
        };
        // Probes are served without TLS.
        let tls = self.app.access.tls();
        let stream = match tls.filter(|_| from.kind == ListenerKind::Main) {
            Some(tls) => Either::Left(tls::accept(stream, tls, &self.app.signing).await?),
            None => Either::Right(stream),
        };
        let service = service_fn(|request| self.answer(&connection, from, request));
        let served = http1::Builder::new()
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        watcher.watch(served).await.map_err(io::Error::other)
    }

    async fn answer(
        &self,
        connection: &Arc<Connection>,
        from: Source,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        connection.start_request();
        let response = self.app.respond(from, request).await;
        let connection = Arc::clone(connection);
        Ok(response.map(|body| Full::new(self.connections.start_answer(connection, body))))
    }
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
