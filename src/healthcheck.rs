//! `tradernet-exporter healthcheck`: requests the running exporter's `/-/healthy`, for images without a
//! shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Empty;
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::WebSettings;
use crate::tradernet;

/// Longer than any healthy exporter takes, shorter than a container engine waits.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends one request.
///
/// # Errors
///
/// The reason why the exporter is not healthy, or cannot be reached.
pub async fn probe(settings: &WebSettings) -> Result<(), String> {
    let address = settings
        .probe_listen_address
        .as_ref()
        .or(settings.listen_addresses.first())
        .ok_or("no listen address is configured")?;
    match tokio::time::timeout(PROBE_TIMEOUT, get(address)).await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status)) => Err(format!("{address} answered HTTP {}", status.as_u16())),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!(
            "{address}: no answer within {}s",
            PROBE_TIMEOUT.as_secs()
        )),
    }
}

async fn get(address: &str) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/-/healthy")
        .header(HOST, address)
        .header(USER_AGENT, tradernet::USER_AGENT)
        .body(Empty::<bytes::Bytes>::new())?;
    let connection = tokio::spawn(connection);
    let status = sender.send_request(request).await?.status();
    connection.abort();
    Ok(status)
}

/// A wildcard address includes loopback.
async fn connect(address: &str) -> std::io::Result<TcpStream> {
    let Ok(socket) = address.parse::<SocketAddr>() else {
        return TcpStream::connect(address).await;
    };
    let loopback: &[IpAddr] = match socket.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        // Without IPv6 the exporter listens on IPv4 instead.
        IpAddr::V6(ip) if ip.is_unspecified() => &[
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(Ipv4Addr::LOCALHOST),
        ],
        ip => &[ip],
    };
    let candidates: Vec<_> = loopback
        .iter()
        .map(|ip| SocketAddr::new(*ip, socket.port()))
        .collect();
    TcpStream::connect(candidates.as_slice()).await
}
