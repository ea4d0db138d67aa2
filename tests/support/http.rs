//! One request, one answer, over a connection of its own: nothing is followed, decoded or retried.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::wait::within_timeout;

/// An answer as it was on the wire.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, "GET", path, &[], "").await.unwrap()
}

pub(crate) async fn post(address: SocketAddr, path: &str) -> Reply {
    ask(address, "POST", path, &[], "").await.unwrap()
}

/// Sends these bytes on a connection of their own, and returns all that comes back until its end.
///
/// # Errors
/// Where the connection breaks.
pub(crate) async fn send_raw(address: SocketAddr, bytes: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes.as_bytes()).await?;
    let mut answer = String::new();
    within_timeout("the answer", stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

/// # Errors
/// Where no server listens, or the connection breaks.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let asked = async {
        let stream = TcpStream::connect(address).await?;
        ask_on(stream, &address.to_string(), method, path, headers, body).await
    };
    within_timeout(&format!("{method} {path}"), asked).await
}

/// The same over TLS; the server's name is localhost.
///
/// # Errors
/// Where the handshake fails too.
pub(crate) async fn get_over_tls(
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let asked = async {
        let stream = TcpStream::connect(address).await?;
        let name = "localhost".try_into()?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        ask_on(stream, "localhost", "GET", path, headers, "").await
    };
    within_timeout(&format!("GET {path}"), asked).await
}

/// The same over a Unix socket, as from a client that knows the exporter by this name.
///
/// # Errors
/// No program listens there, or the connection breaks.
pub(crate) async fn ask_socket(
    socket: &Path,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let asked = async {
        let stream = UnixStream::connect(socket).await?;
        ask_on(stream, host, method, path, headers, "").await
    };
    within_timeout(&format!("{method} {path}"), asked).await
}

async fn ask_on(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(body.to_owned())))?);
    let (head, body) = response.await?.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}
