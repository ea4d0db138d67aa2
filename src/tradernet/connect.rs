//! A byte stream to a host: TCP, through a proxy where one is set, TLS on top.
//!
//! The rules are those of requests: the same proxy for the same hosts, the same CA certificates,
//! loopback never through a proxy. What is said over the stream is somebody else's affair.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower_service::Service as _;
use url::Url;

use super::client::{self, ClientConfig, is_loopback};
use super::error::Error;
use super::handshake::converse;
use super::redact::Redactor;
use super::transport_error::cause;

/// Bytes both ways.
pub(super) trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

/// A connection, whatever it is made of.
pub(super) type Connection = Box<dyn Bytestream>;

/// Makes connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: Arc<rustls::ClientConfig>,
    proxy: Option<Arc<Matcher>>,
}

impl Connector {
    pub(super) fn new(outbound: &ClientConfig, mut tls: rustls::ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let proxy = outbound.proxy.as_ref().map(|proxy| {
            let matcher = Matcher::builder()
                .https(proxy.expose_secret().to_owned())
                .no(outbound.no_proxy.clone().unwrap_or_default());
            Arc::new(matcher.build())
        });
        Self {
            tcp,
            tls: Arc::new(tls),
            proxy,
        }
    }

    /// Connects to the host of a `ws` or `wss` URL.
    pub(super) async fn connect(
        &self,
        origin: &Url,
        redactor: &Redactor,
    ) -> Result<Connection, Error> {
        let secure = origin.scheme() == "wss";
        let host = origin.host_str().unwrap_or_default();
        let port = origin.port_or_known_default().unwrap_or(443);
        let there = uri(secure, host, port)?;
        let proxy = match &self.proxy {
            Some(matcher) if !is_loopback(origin) => matcher.intercept(&there),
            _ => None,
        };
        let connection = match proxy {
            None => self.tcp(there, redactor).await?,
            Some(proxy) => {
                let through = proxy.uri().clone();
                let host = through.host().unwrap_or_default().to_owned();
                let secure = through.scheme_str() == Some("https");
                let port = through.port_u16().unwrap_or(if secure { 443 } else { 80 });
                let mut connection = self.tcp(uri(secure, &host, port)?, redactor).await?;
                if secure {
                    connection = self.tls(connection, &host, redactor).await?;
                }
                tunnel(connection, &there, proxy.basic_auth(), redactor).await?
            }
        };
        match secure {
            true => self.tls(connection, host, redactor).await,
            false => Ok(connection),
        }
    }

    async fn tcp(&self, there: Uri, redactor: &Redactor) -> Result<Connection, Error> {
        let mut connector = self.tcp.clone();
        match connector.call(there).await {
            Ok(connection) => Ok(Box::new(connection.into_inner())),
            Err(error) => Err(sort(&error, redactor)),
        }
    }

    async fn tls(
        &self,
        connection: Connection,
        host: &str,
        redactor: &Redactor,
    ) -> Result<Connection, Error> {
        // A URL writes an IPv6 address in brackets, a certificate does not.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::Tls {
            detail: "the host's name is none that a certificate can have".to_owned(),
        })?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        match connector.connect(name, connection).await {
            Ok(connection) => Ok(Box::new(connection)),
            Err(error) => Err(sort(&error, redactor)),
        }
    }
}

/// Asks a proxy for a way through.
async fn tunnel(
    connection: Connection,
    there: &Uri,
    credential: Option<&hyper::header::HeaderValue>,
    redactor: &Redactor,
) -> Result<Connection, Error> {
    let unusable = |_| Error::Network {
        detail: "the host's name cannot be asked of a proxy".to_owned(),
    };
    let authority = there
        .authority()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(authority.clone())
        .header(HOST, authority)
        .header(USER_AGENT, client::USER_AGENT);
    if let Some(credential) = credential {
        request = request.header(PROXY_AUTHORIZATION, credential);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(unusable)?;
    let answer = converse(connection, request, StatusCode::is_success, redactor).await?;
    // A proxy's refusal says nothing of Tradernet: it is a network that does not let through.
    answer.connection.ok_or_else(|| Error::Network {
        detail: format!("the proxy answered HTTP {}", answer.status.as_u16()),
    })
}

fn uri(secure: bool, host: &str, port: u16) -> Result<Uri, Error> {
    let scheme = if secure { "https" } else { "http" };
    Uri::builder()
        .scheme(scheme)
        .authority(format!("{host}:{port}"))
        .path_and_query("/")
        .build()
        .map_err(|_| Error::Network {
            detail: "the host's name cannot be used".to_owned(),
        })
}

/// What was wrong with TLS. What people meet who try a certificate of their own is named in words.
pub(super) fn in_words(error: &rustls::Error) -> String {
    let text = error.to_string();
    match text.contains("CaUsedAsEndEntity") {
        true => "the server's own certificate is that of a CA: make it without CA:TRUE, or have the CA sign another".to_owned(),
        false => text,
    }
}

/// Sorts a failed connection into TLS and network, in the words of the innermost cause: none of
/// them knows the URL.
pub(super) fn sort(error: &(dyn StdError + 'static), redactor: &Redactor) -> Error {
    let mut innermost = error;
    loop {
        if let Some(tls) = innermost.downcast_ref::<rustls::Error>() {
            return Error::Tls {
                detail: redactor.redact(&in_words(tls)),
            };
        }
        match cause(innermost) {
            Some(source) => innermost = source,
            None => break,
        }
    }
    Error::Network {
        detail: redactor.redact(&innermost.to_string()),
    }
}
