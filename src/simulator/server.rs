//! The network face of a world: HTTP/1.1 over TCP or TLS.
//!
//! Thin on purpose: it reads a request, asks the world, and writes the answer. It decides nothing about
//! accounts or sessions.

use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::fault::Kind;
use super::handles::{Simulator, Visit};
use super::request_log::LoggedRequest;
use super::resettable_stream::Wire;
use super::response::Reply;
use super::routes::{Asked, Call};
use super::spoil::{self, Body, Spoilt};
use super::stream::{Doorway, Engine, Knock};

/// No request of the API comes near this.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// The network in front of the API refuses these: libraries that did not say who they are. The vendor's
/// own SDK says `python-requests`, and is let in.
const REFUSED_AGENTS: [&str; 5] = [
    "reqwest/",
    "hyper/",
    "Go-http-client",
    "Java/",
    "libwww-perl",
];

/// Serves the world on the listener until the shutdown is complete; then every connection is cut.
pub async fn serve(
    listener: TcpListener,
    world: Simulator,
    tls: Option<Arc<rustls::ServerConfig>>,
    shutdown: impl Future<Output = ()>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let mut shutdown = std::pin::pin!(shutdown);
    // Aborts what it holds when it is dropped.
    let mut connections = JoinSet::new();
    let engine = Engine::default();
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let peer = peer.ip().to_canonical();
                    connections.spawn(connection(stream, peer, world.clone(), engine.clone(), tls.clone()));
                }
                // Out of descriptors, as a rule: they come back, and until then a loop would burn the processor.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: IpAddr,
    world: Simulator,
    engine: Engine,
    tls: Option<TlsAcceptor>,
) {
    stream.set_nodelay(true).ok();
    let reset = Arc::new(AtomicBool::new(false));
    let wire = Wire::new(stream, Arc::clone(&reset));
    // How a connection ends is the client's affair, and for the rest the world's log tells it.
    match tls {
        None => requests(wire, peer, world, engine, reset).await.ok(),
        Some(tls) => match tls.accept(wire).await {
            Ok(wire) => requests(wire, peer, world, engine, reset).await.ok(),
            Err(_) => None,
        },
    };
}

async fn requests(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: IpAddr,
    world: Simulator,
    engine: Engine,
    reset: Arc<AtomicBool>,
) -> hyper::Result<()> {
    let doorway = Doorway::new(engine, Arc::clone(&reset));
    let service = service_fn(|request| answer(&world, peer, &reset, &doorway, request));
    // No header timeout: it would close idle connections under tests whose clock is paused, and on
    // loopback it protects nobody.
    http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
        .await?;
    if let Some(afterwards) = doorway.afterwards() {
        afterwards.await;
    }
    Ok(())
}

/// The connection is to be cut; hyper drops it on an error.
#[derive(Debug)]
struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulator cuts this connection")
    }
}

impl std::error::Error for CutOff {}

async fn answer(
    world: &Simulator,
    peer: IpAddr,
    reset: &AtomicBool,
    doorway: &Doorway,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, CutOff> {
    let upgrade = hyper::upgrade::on(&mut request);
    let Some(asked) = read(peer, request).await else {
        let reply = Reply::page(413, "413 Payload Too Large");
        return Ok(response(world, None, reply, None));
    };
    let (answer, visit) = match Knock::read(world, &asked) {
        Some(knock) => knocked(world, knock, &asked, upgrade, doorway).await,
        None => called(world, &asked).await,
    };
    match answer {
        Spoilt::Reply(reply) => Ok(response(world, Some(&asked.headers), reply, None)),
        Spoilt::Streamed(reply, body) => {
            // Under way for as long as the body is: a client that reads no more drops it.
            let body = body.map_frame(move |frame| {
                let _ = &visit;
                frame
            });
            Ok(response(world, None, reply, Some(body.boxed_unsync())))
        }
        Spoilt::Hang => std::future::pending().await,
        Spoilt::Drop => Err(CutOff),
        Spoilt::Reset => {
            reset.store(true, Ordering::Relaxed);
            Err(CutOff)
        }
    }
}

/// A request of the API.
async fn called(world: &Simulator, asked: &Asked) -> (Spoilt, Option<Visit>) {
    let call = Call::read(world, asked);
    log(world, asked, call.account.clone());
    if says_nothing(&asked.headers) || is_refused_agent(&asked.headers) {
        return (Spoilt::Reply(Reply::page(403, "403 Forbidden")), None);
    }
    let mut visit = call
        .account
        .as_ref()
        .and_then(|login| world.begin(login, call.kind()));
    if let Some(held) = &mut visit
        && let Some(fault) = held.fault.take()
        && let Some(spoilt) = spoil::spoil(world, &held.login, fault, &call.sent).await
    {
        return (spoilt, visit);
    }
    (Spoilt::Reply(call.answer(world, asked.peer)), visit)
}

/// A request for a stream: refused, or let in.
async fn knocked(
    world: &Simulator,
    knock: Knock,
    asked: &Asked,
    upgrade: OnUpgrade,
    doorway: &Doorway,
) -> (Spoilt, Option<Visit>) {
    log(world, asked, knock.account.clone());
    // The vendor's own clients of streams do not say who they are.
    if is_refused_agent(&asked.headers) {
        return (Spoilt::Reply(Reply::page(403, "403 Forbidden")), None);
    }
    let mut visit = None;
    let mut opening = None;
    if knock.is_handshake() {
        world.note_connect(knock.account.clone());
        visit = knock
            .account
            .as_ref()
            .and_then(|login| world.begin(login, Kind::Connect));
        opening = visit.as_mut().and_then(|visit| visit.fault.take());
    }
    if let Some(login) = &knock.account
        && let Some(fault) = opening.take_if(|fault| !fault.is_of_streams())
        && let Some(spoilt) = spoil::spoil(world, login, fault, &knock.sent).await
    {
        return (spoilt, visit);
    }
    let answer = knock.open(world, asked, upgrade, doorway, opening).await;
    (answer, visit)
}

/// `None` where the body is too large or breaks off.
async fn read(peer: IpAddr, request: Request<Incoming>) -> Option<Asked> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST_BYTES)
        .collect()
        .await
        .ok()?
        .to_bytes();
    Some(Asked {
        peer,
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    })
}

fn log(world: &Simulator, asked: &Asked, account: Option<Arc<str>>) {
    let headers = asked.headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    world.log(LoggedRequest {
        time: world.now(),
        peer: asked.peer,
        method: asked.method.to_string(),
        target: asked.target(),
        headers: headers.collect(),
        body: asked.body.clone(),
        account,
    });
}

fn says_nothing(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .is_none_or(|agent| agent.is_empty())
}

fn is_refused_agent(headers: &HeaderMap) -> bool {
    let agent = headers
        .get(header::USER_AGENT)
        .map(|agent| agent.as_bytes())
        .unwrap_or_default();
    REFUSED_AGENTS
        .iter()
        .any(|refused| agent.starts_with(refused.as_bytes()))
}

/// The reply with its own body, compressed where it wants to be and `asked` allows it, or with `body`.
fn response(
    world: &Simulator,
    asked: Option<&HeaderMap>,
    reply: Reply,
    body: Option<Body>,
) -> Response<Body> {
    let accepted = asked.and_then(|headers| headers.get(header::ACCEPT_ENCODING)?.to_str().ok());
    let mut headers = reply.headers;
    let mut bytes = reply.body;
    if reply.gzip
        && accepted.is_some_and(|accepted| accepted.contains("gzip"))
        && let Ok(compressed) = gzip(&bytes)
    {
        bytes = compressed;
        headers.push(("content-encoding", "gzip".to_owned()));
    }
    let mut response = Response::builder()
        .status(reply.status)
        .header(header::DATE, httpdate::fmt_http_date(world.now()));
    if !reply.content_type.is_empty() {
        response = response.header(header::CONTENT_TYPE, reply.content_type);
    }
    for (name, value) in headers {
        response = response.header(name, value);
    }
    // A test may ask for a header or a status that HTTP has not; the answer says so.
    response
        .body(body.unwrap_or_else(|| spoil::full(bytes)))
        .unwrap_or_else(|error| {
            let mut refusal = Response::new(spoil::full(Bytes::from(error.to_string())));
            *refusal.status_mut() = StatusCode::NOT_IMPLEMENTED;
            refusal
        })
}

fn gzip(bytes: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(Bytes::from(encoder.finish()?))
}
