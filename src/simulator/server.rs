//! The HTTP server: reads a request, lets the state answer it, writes the answer. It decides nothing itself.
//!
//! Also the accept loop of both listeners.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault::{self, Body, Fault, FaultTarget, Outcome};
use super::handles::Simulator;
use super::request::ApiRequest;
use super::response::Response;
use super::routes::{self, ParsedRequest};

/// No request of the API comes near this.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// The CDN in front of the API refuses these default user agents of HTTP libraries. The vendor's own SDK sends
/// `python-requests`, which is accepted.
const BLOCKED_USER_AGENTS: [&str; 5] = [
    "reqwest/",
    "hyper/",
    "Go-http-client",
    "Java/",
    "libwww-perl",
];

/// Serves the HTTP API on the listener until the shutdown completes; then every connection is dropped.
pub async fn serve(
    listener: TcpListener,
    simulator: Simulator,
    tls: Option<Arc<rustls::ServerConfig>>,
    shutdown: impl Future<Output = ()>,
) {
    accept(listener, tls, shutdown, move |io, peer| {
        connection(io, peer, simulator.clone())
    })
    .await;
}

/// A connection over TCP, with TLS or without.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connection for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Accepts connections and runs one task for each.
pub(super) async fn accept<T>(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    shutdown: impl Future<Output = ()>,
    serve: impl Fn(Box<dyn Connection>, IpAddr) -> T + Clone + Send + 'static,
) where
    T: Future<Output = ()> + Send,
{
    let tls = tls.map(TlsAcceptor::from);
    let mut shutdown = std::pin::pin!(shutdown);
    // Aborts its tasks when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else {
                    // Out of descriptors, as a rule; without a pause the loop would use a whole processor.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let peer = peer.ip().to_canonical();
                let (tls, serve) = (tls.clone(), serve.clone());
                connections.spawn(async move {
                    stream.set_nodelay(true).ok();
                    match tls {
                        None => serve(Box::new(stream), peer).await,
                        Some(tls) => if let Ok(stream) = tls.accept(stream).await {
                            serve(Box::new(stream), peer).await;
                        },
                    }
                });
            }
        }
    }
}

async fn connection(io: Box<dyn Connection>, peer: IpAddr, simulator: Simulator) {
    let service = service_fn(|request| Box::pin(handle(&simulator, peer, request)));
    // No header timeout: it would close idle connections in tests with a paused clock.
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service);
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let io = connection.into_parts().io.into_inner();
    if ended.is_err() {
        // Of a lost connection too, where it has no effect.
        io.tcp().set_zero_linger().ok();
    }
}

/// Makes hyper drop the connection without an answer; it is reset.
#[derive(Debug)]
struct ConnectionAborted;

impl fmt::Display for ConnectionAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulator resets this connection")
    }
}

impl std::error::Error for ConnectionAborted {}

async fn handle(
    simulator: &Simulator,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<hyper::Response<Body>, ConnectionAborted> {
    let Some(request) = read(peer, request).await else {
        let response = Response::html_page(413, "413 Payload Too Large");
        return Ok(write(simulator, response, None));
    };
    let agent = request.header("user-agent");
    let blocked = agent.is_empty() || is_blocked_user_agent(agent);
    let (parsed, mut in_flight) = start(simulator, &request, blocked);
    if blocked {
        let response = Response::html_page(403, "403 Forbidden");
        return Ok(write(simulator, response, None));
    }
    let mut outcome = None;
    if let Some(fault) = in_flight.as_mut().and_then(|it| it.fault.take()) {
        outcome = fault::apply(fault, &parsed.secrets, simulator.now()).await;
    }
    match outcome {
        None => {
            let response = parsed.respond(&mut simulator.state(), peer, simulator.now());
            simulator.notify_waiters();
            let response = if response.gzip {
                gzip(response, &request)
            } else {
                response
            };
            Ok(write(simulator, response, None))
        }
        Some(Outcome::Response(response)) => Ok(write(simulator, response, None)),
        Some(Outcome::Streamed(response, body)) => {
            // In flight while the body is: a client that leaves drops it.
            let body = body.map_frame(move |frame| {
                let _ = &in_flight;
                frame
            });
            Ok(write(simulator, response, Some(body.boxed_unsync())))
        }
        Some(Outcome::NoResponse) => std::future::pending().await,
        Some(Outcome::Reset) => Err(ConnectionAborted),
    }
}

/// `None` where the body is too large or breaks off.
async fn read(peer: IpAddr, request: Request<Incoming>) -> Option<ApiRequest> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST_BYTES).collect().await.ok()?;
    Some(ApiRequest {
        peer,
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    })
}

/// Logs and counts a request, and takes the fault that applies to it.
fn start(
    simulator: &Simulator,
    request: &ApiRequest,
    blocked: bool,
) -> (ParsedRequest, Option<InFlightRequest>) {
    let now = simulator.now();
    let mut state = simulator.state();
    let parsed = routes::parse(&state, request);
    state.log.push(request.logged(now, parsed.account.clone()));
    let login = parsed.account.clone().filter(|_| !blocked);
    let in_flight = login.and_then(|login| {
        let account = state.accounts.get_mut(&login)?;
        let counters = &mut account.counters;
        match parsed.kind() {
            FaultTarget::Login => counters.logins += 1,
            _ => counters.lists += 1,
        }
        counters.in_flight += 1;
        counters.max_in_flight = counters.max_in_flight.max(counters.in_flight);
        Some(InFlightRequest {
            simulator: simulator.clone(),
            fault: account.faults.next(parsed.kind()),
            login,
        })
    });
    drop(state);
    simulator.notify_waiters();
    (parsed, in_flight)
}

/// A request that is being answered. Dropped when its answer is made, or the client has left.
struct InFlightRequest {
    simulator: Simulator,
    login: Arc<str>,
    fault: Option<Fault>,
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        if let Some(account) = self.simulator.state().accounts.get_mut(&self.login) {
            account.counters.in_flight = account.counters.in_flight.saturating_sub(1);
        }
        self.simulator.notify_waiters();
    }
}

pub(super) fn is_blocked_user_agent(agent: &str) -> bool {
    BLOCKED_USER_AGENTS
        .iter()
        .any(|blocked| agent.starts_with(blocked))
}

fn gzip(mut response: Response, request: &ApiRequest) -> Response {
    if !request.header("accept-encoding").contains("gzip") {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let compressed = encoder
        .write_all(&response.body)
        .and_then(|()| encoder.finish());
    match compressed {
        Ok(compressed) => {
            response.body = Bytes::from(compressed);
            response.header("content-encoding", "gzip")
        }
        Err(_) => response,
    }
}

/// The response with its own body, or with this one.
fn write(simulator: &Simulator, response: Response, body: Option<Body>) -> hyper::Response<Body> {
    let body = body.unwrap_or_else(|| Full::new(response.body).boxed_unsync());
    let mut answer = hyper::Response::new(body);
    let date = httpdate::fmt_http_date(simulator.now());
    let content_type = ("content-type", response.content_type.to_owned());
    let headers = response.headers.into_iter();
    let result = (|| -> Result<(), hyper::http::Error> {
        *answer.status_mut() = StatusCode::from_u16(response.status)?;
        for (name, value) in headers.chain([("date", date), content_type]) {
            let value = HeaderValue::from_str(&value)?;
            answer.headers_mut().append(name, value);
        }
        Ok(())
    })();
    if let Err(error) = result {
        // A test asked for a header or a status that HTTP does not have.
        *answer.status_mut() = StatusCode::NOT_IMPLEMENTED;
        *answer.body_mut() = Full::new(Bytes::from(error.to_string())).boxed_unsync();
    }
    answer
}
