//! The HTTP server: reads a request, lets the state answer it, writes the answer. It decides nothing itself.
//!
//! Also the accept loop of both listeners.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, DATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault::{self, Body, Fault, FaultTarget, complete};
use super::handles::Simulator;
use super::request::LoggedRequest;
use super::response::{Response, html_page, with_header};
use super::routes::{self, ParsedRequest};

/// No request of the API comes near this.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Serves the HTTP API on the listener until the future is dropped, and every connection with it.
pub async fn serve(
    listener: TcpListener,
    simulator: Simulator,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    accept(listener, tls, move |io, peer| {
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
    serve: impl Fn(Box<dyn Connection>, IpAddr) -> T + Clone + Send + 'static,
) where
    T: Future<Output = ()> + Send,
{
    let tls = tls.map(TlsAcceptor::from);
    // Aborts its tasks when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
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
    let cause = ended.as_ref().err().and_then(Error::source);
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionReset) {
        io.tcp().set_zero_linger().ok();
    }
}

/// An error resets the connection without an answer.
async fn handle(
    simulator: &Simulator,
    peer: IpAddr,
    request: Request<Incoming>,
) -> io::Result<hyper::Response<Body>> {
    let mut response = answer(simulator, peer, request).await?;
    if !response.headers().contains_key(DATE) {
        let date = httpdate::fmt_http_date(simulator.now());
        response
            .headers_mut()
            .extend(date.try_into().map(|date| (DATE, date)));
    }
    Ok(response)
}

async fn answer(
    simulator: &Simulator,
    peer: IpAddr,
    request: Request<Incoming>,
) -> io::Result<hyper::Response<Body>> {
    let now = simulator.now();
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
        return Ok(html_page(413).map(complete));
    };
    let accepted = head.headers.get(ACCEPT_ENCODING);
    let takes_gzip = accepted.is_some_and(|of| of.to_str().is_ok_and(|of| of.contains("gzip")));
    let request = LoggedRequest {
        time: now,
        method: head.method,
        target: head.uri.to_string(),
        headers: head.headers,
        body: body.to_bytes(),
        account: None,
    };
    let (parsed, mut in_flight) = start(simulator, request);
    if let Some(fault) = in_flight.as_mut().and_then(|it| it.fault.take())
        && let Some(answer) = fault::apply(fault, &parsed.secrets, in_flight).await?
    {
        return Ok(answer);
    }
    let response = parsed.respond(&mut simulator.state(), peer, simulator.now());
    simulator.notify_waiters();
    let response = match takes_gzip {
        true => gzip(response)?,
        false => response,
    };
    Ok(response.map(complete))
}

/// Logs and counts a request, and takes the fault that applies to it.
fn start(
    simulator: &Simulator,
    mut request: LoggedRequest,
) -> (ParsedRequest, Option<InFlightRequest>) {
    let mut state = simulator.state();
    let parsed = routes::parse(&state, &request);
    request.account = parsed.account.clone();
    state.log(request);
    let in_flight = parsed.account.clone().and_then(|login| {
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

fn gzip(response: Response) -> io::Result<Response> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(response.body())?;
    let body = encoder.finish()?;
    Ok(with_header(response, "content-encoding", "gzip").map(|_| body.into()))
}
