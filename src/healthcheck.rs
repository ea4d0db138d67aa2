//! `tradernet-exporter healthcheck`: requests the running exporter's `/-/healthy`, for images without a
//! shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;

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
    let (address, has_tls) = match &settings.probe_listen_address {
        Some(address) => (address, false),
        None => {
            let web_config = settings.read_config_file();
            let web_config = web_config.map_err(|errors| errors.to_string())?;
            let has_tls = web_config.is_some_and(|(_, config)| config.tls.is_some());
            let address = settings.listen_addresses.first();
            let unknown =
                "the address of systemd's socket is unknown here; set WEB_LISTEN_ADDRESS to it";
            (address.ok_or(unknown)?, has_tls)
        }
    };
    match tokio::time::timeout(PROBE_TIMEOUT, get(address, has_tls)).await {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status)) => Err(format!("{address} answered HTTP {}", status.as_u16())),
        Ok(Err(error)) if has_tls => Err(format!(
            "{address}: {error}; where client certificates are required, set \
             --web.probe-listen-address"
        )),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!(
            "{address}: no answer within {}s",
            PROBE_TIMEOUT.as_secs()
        )),
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn get(address: &str, has_tls: bool) -> Result<StatusCode, Error> {
    let stream = connect(address).await?;
    if !has_tls {
        return get_on(stream).await;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into()?, stream).await?;
    get_on(stream).await
}

async fn get_on(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<StatusCode, Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/-/healthy")
        .header(HOST, "localhost")
        .header(USER_AGENT, tradernet::USER_AGENT)
        .body(Empty::<bytes::Bytes>::new())?;
    let connection = tokio::spawn(connection);
    let status = sender.send_request(request).await?.status();
    connection.abort();
    Ok(status)
}

/// Accepts any server: the certificate names another host than this machine's loopback address, and
/// nothing secret is sent.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = ring::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A wildcard address includes loopback.
async fn connect(address: &str) -> std::io::Result<Either<TcpStream, UnixStream>> {
    if let Some(path) = address.strip_prefix("unix:") {
        return UnixStream::connect(path).await.map(Either::Right);
    }
    let Ok(socket) = address.parse::<SocketAddr>() else {
        return TcpStream::connect(address).await.map(Either::Left);
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
    let connected = TcpStream::connect(candidates.as_slice()).await;
    connected.map(Either::Left)
}
