//! HTTP to Tradernet: one request, one answer.
//!
//! Redirects are never followed, since credentials would follow them; proxies are never used for
//! loopback; no answer is read past the allowed size.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE};
use reqwest::{Method, NoProxy, Proxy, Request, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tower::util::MapFutureLayer;
use url::Url;

use super::error::{Error, ResponseHead, Stage};
use super::login::{Login, LoginReply};
use super::redact::Redactor;
use super::request::{Credentials, Endpoint};
use super::resolver::SharedResolver;
use super::transport::Transport;
use super::transport_error::{
    CONNECTING, RequestContext, address, is_tunnel_refused, noting_connections, was_cut_off,
};
use super::{classify, login, response, signature};
use crate::clock::Clock;
use crate::session::SessionList;

/// The content network refuses well-known libraries' names, so requests carry our own.
pub const USER_AGENT: &str = concat!("tradernet-exporter/", env!("CARGO_PKG_VERSION"));

/// Header lines of an answer: browsers accept as many, and a login may set hundreds of cookies.
const MAX_HEADERS: usize = 1000;
/// Hosts that are never reached through a proxy, in the form of `NO_PROXY`; see [`is_loopback`].
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1,::ffff:127.0.0.0/104";
const INVALID_PROXY: &str = "the proxy cannot be used: write http://host:port in HTTPS_PROXY";
/// Longest answer to a login, in bytes.
const MAX_LOGIN_BYTES: u64 = 1 << 20;

/// Settings of outgoing connections.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// `HTTPS_PROXY` or `ALL_PROXY`; may hold a password.
    pub proxy: Option<SecretString>,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// `TRADERNET_MAX_RESPONSE_BYTES`, decoded.
    pub max_response_bytes: u64,
}

/// Connections to every host, kept alive and shared between accounts.
#[derive(Clone)]
pub struct Client {
    /// For plain HTTP, which needs no CA certificates.
    plain: reqwest::Client,
    /// For TLS, once the CA certificates are loaded.
    tls: Arc<OnceCell<reqwest::Client>>,
    pub(super) config: Arc<ClientConfig>,
    /// Host and port of the proxy.
    proxy: Option<String>,
    observe: RequestObserver,
    pub(super) clock: Clock,
}

/// Called with the duration of each request, or of a stream's first list, successful or not.
pub type RequestObserver = Arc<dyn Fn(Transport, Duration) + Send + Sync>;

impl Client {
    /// Prepares connections; none is made yet.
    ///
    /// # Errors
    ///
    /// The proxy cannot be used.
    pub fn new(
        config: &ClientConfig,
        observe: RequestObserver,
        clock: Clock,
    ) -> Result<Self, String> {
        let proxy = config.proxy.as_ref().map(|it| it.expose_secret().parse());
        let proxy = proxy.transpose().map_err(|_| INVALID_PROXY.to_owned())?;
        Ok(Self {
            plain: http(config, rustls::RootCertStore::empty())?,
            tls: Arc::default(),
            config: Arc::new(config.clone()),
            proxy: proxy.map(|proxy| address(&proxy)),
            observe,
            clock,
        })
    }

    /// Loads the CA certificates of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`, unless
    /// they are loaded already.
    ///
    /// # Errors
    ///
    /// There are none; the text names the files that were tried.
    pub async fn load_ca_certificates(&self) -> Result<(), String> {
        self.with_tls().await.map(|_| ())
    }

    async fn with_tls(&self) -> Result<&reqwest::Client, String> {
        let load = async || {
            let config = Arc::clone(&self.config);
            // It reads a few hundred files and parses certificates.
            let loaded = spawn_blocking(move || http(&config, system_roots()?));
            loaded.await.map_err(|error| error.to_string())?
        };
        self.tls.get_or_try_init(load).await
    }

    async fn http(&self, url: &Url, context: &RequestContext) -> Result<&reqwest::Client, Error> {
        if url.scheme() == "http" {
            return Ok(&self.plain);
        }
        self.with_tls().await.map_err(|detail| Error::Connection {
            stage: Stage::Tls,
            address: context.address.clone(),
            detail,
        })
    }

    /// Reads the list of open sessions once.
    ///
    /// # Errors
    ///
    /// Why there is no list: see [`Error`].
    pub async fn sessions(
        &self,
        endpoint: &Endpoint,
        credentials: Credentials<'_>,
        redactor: &Redactor,
    ) -> Result<(SessionList, ResponseHead), Error> {
        let request = endpoint.list_request(credentials, self.clock.now())?;
        let signature = request.headers().get(signature::HEADER);
        let signature = signature.and_then(|it| it.to_str().ok().map(SecretString::from));
        let redactor = redactor.with(signature.clone());
        let context = self.context(&endpoint.origin, endpoint.timeout, &redactor);
        let response = self.send_twice(request, &context).await?;
        let head = self.head(&response);
        let list = self.read_list(response, &context).await?;
        let signature = Redactor::new(signature);
        Ok((list.map_texts(|text| signature.redact(text)), head))
    }

    /// Logs in once, and returns the SID.
    ///
    /// # Errors
    ///
    /// [`Error::Auth`] where the login was rejected, else why there was no verdict.
    pub async fn log_in(
        &self,
        endpoint: &Endpoint,
        login: Login<'_>,
        redactor: &Redactor,
    ) -> Result<SecretString, Error> {
        let context = self.context(&endpoint.origin, endpoint.timeout, redactor);
        let response = self.send(login.request(endpoint), &context).await?;
        let cookies = response.headers().get_all(SET_COOKIE).iter();
        let cookies = cookies
            .filter_map(|cookie| cookie.to_str().ok().map(SecretString::from))
            .collect();
        let limit = self.config.max_response_bytes.min(MAX_LOGIN_BYTES);
        let (head, body) = self.read_body(response, limit, &context).await?;
        let reply = LoginReply {
            head,
            cookies,
            body,
        };
        login::sid(&reply, redactor)
    }

    /// Reports how long a request takes, successful or not.
    pub async fn observed<T>(&self, transport: Transport, request: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = request.await;
        self.observe(transport, start.elapsed());
        result
    }

    /// Reports a duration that was measured elsewhere.
    pub fn observe(&self, transport: Transport, duration: Duration) {
        (self.observe)(transport, duration);
    }

    /// What errors of a request to this URL name.
    pub(super) fn context(
        &self,
        url: &Url,
        timeout: Duration,
        redactor: &Redactor,
    ) -> RequestContext {
        RequestContext {
            address: address(url),
            proxy: self.proxy.clone().filter(|_| !is_loopback(url)),
            connecting: Arc::default(),
            timeout,
            start: Instant::now(),
            redactor: redactor.clone(),
        }
    }

    /// Sends a request once.
    async fn send(&self, request: Request, context: &RequestContext) -> Result<Response, Error> {
        let http = self.http(request.url(), context).await?;
        let sent = execute(http, request, context).await;
        self.answered(sent, http, context).await
    }

    /// Sends a request. A server may end a kept connection in the very moment in which it is used
    /// again. Nothing is wrong then, so a request that was cut off before any answer is sent once
    /// more, in what is left of its time.
    pub(super) async fn send_twice(
        &self,
        request: Request,
        context: &RequestContext,
    ) -> Result<Response, Error> {
        let http = self.http(request.url(), context).await?;
        let again = request.try_clone();
        let sent = match (execute(http, request, context).await, again) {
            (Err(error), Some(mut again)) if was_cut_off(&error) => {
                *again.timeout_mut() = Some(context.time_left());
                execute(http, again, context).await
            }
            (sent, _) => sent,
        };
        self.answered(sent, http, context).await
    }

    /// The answer, or why there is none. The HTTP library drops the status with which a proxy refuses
    /// a tunnel, so the proxy is asked once more, in half of the time that is left.
    async fn answered(
        &self,
        sent: reqwest::Result<Response>,
        http: &reqwest::Client,
        context: &RequestContext,
    ) -> Result<Response, Error> {
        let error = match sent {
            Ok(response) => return Ok(response),
            Err(error) => context.error(error),
        };
        // In the scheme of HTTP the library opens no tunnel first. A URL without a port has that of
        // plain HTTP, for which it would ask without one.
        let target = Url::parse(&format!("http://{}", context.address)).ok();
        let Some(target) = target.filter(|url| is_tunnel_refused(&error) && url.port().is_some())
        else {
            return Err(error);
        };
        let mut connect = Request::new(Method::CONNECT, target);
        *connect.timeout_mut() = Some(context.time_left() / 2);
        Err(match http.execute(connect).await {
            Ok(response) if response.status() != StatusCode::OK => {
                context.refused_by_proxy(response.status())
            }
            _ => error,
        })
    }

    /// Reads the answer to a request for the list, or to a refused handshake.
    pub(super) async fn read_list(
        &self,
        response: Response,
        context: &RequestContext,
    ) -> Result<SessionList, Error> {
        let limit = self.config.max_response_bytes;
        let (head, body) = self.read_body(response, limit, context).await?;
        classify::list(head, response::read(&body), &context.redactor)
    }

    /// The head of an answer and its whole body. An error keeps what the head says.
    async fn read_body(
        &self,
        response: Response,
        limit: u64,
        context: &RequestContext,
    ) -> Result<(ResponseHead, Bytes), Error> {
        let head = self.head(&response);
        let is_limit = response.status() == StatusCode::TOO_MANY_REQUESTS;
        let body = read_body(response, limit, context);
        // Handshakes have no time limit of their own.
        let body = tokio::time::timeout_at(context.start + context.timeout, body).await;
        match body.unwrap_or_else(|_| Err(context.timed_out())) {
            Ok(body) => Ok((head, body)),
            // Its meaning does not depend on a body.
            Err(_) if is_limit => Ok((head, Bytes::new())),
            Err(cause) => Err(Error::Body {
                cause: Box::new(cause),
                head,
            }),
        }
    }

    pub(super) fn head(&self, response: &Response) -> ResponseHead {
        let date = date(response.headers().get(DATE));
        ResponseHead {
            status: Some(response.status().as_u16()),
            retry_after: retry_after(response.headers()),
            clock_offset: date.map(|date| self.clock.now().wall_seconds_since(date)),
        }
    }
}

/// Connections that trust these CA certificates.
fn http(config: &ClientConfig, roots: rustls::RootCertStore) -> Result<reqwest::Client, String> {
    let mut http = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .http1_max_headers(MAX_HEADERS)
        .tls_backend_preconfigured(client_tls(roots).map_err(|error| error.to_string())?)
        .pool_idle_timeout(Duration::from_secs(90))
        .connector_layer(MapFutureLayer::new(noting_connections))
        .dns_resolver(Arc::new(SharedResolver::default()))
        .no_proxy();
    if let Some(proxy) = &config.proxy {
        let direct = [LOOPBACK, config.no_proxy.as_deref().unwrap_or_default()].join(",");
        let proxy = Proxy::all(proxy.expose_secret()).map_err(|_| INVALID_PROXY.to_owned())?;
        http = http.proxy(proxy.no_proxy(NoProxy::from_string(&direct)));
    }
    http.build()
        .map_err(|error| error.without_url().to_string())
}

/// Executes a request, which notes whether it waits for a connection.
async fn execute(
    http: &reqwest::Client,
    request: Request,
    context: &RequestContext,
) -> reqwest::Result<Response> {
    let connecting = Arc::clone(&context.connecting);
    CONNECTING.scope(connecting, http.execute(request)).await
}

/// Reads a whole body of at most `limit` bytes, decoded.
async fn read_body(
    mut response: Response,
    limit: u64,
    context: &RequestContext,
) -> Result<Bytes, Error> {
    let too_large = |length: u64| length > limit;
    if response.content_length().is_some_and(too_large) {
        return Err(Error::TooLarge { limit: Some(limit) });
    }
    let mut body = Vec::new();
    // Not through `http_body`: there reqwest does not say that a compression is broken.
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| context.error(error))?
    {
        body.extend_from_slice(&chunk);
        if too_large(body.len() as u64) {
            return Err(Error::TooLarge { limit: Some(limit) });
        }
    }
    Ok(body.into())
}

/// Whether a URL's host is this machine for certain.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "rustls-native-certs reads the same variable"
)]
fn system_roots() -> Result<rustls::RootCertStore, String> {
    // A FIFO would block the read for ever, and a device may be endless. In a directory only regular
    // files are read.
    if let Some(path) = std::env::var_os("SSL_CERT_FILE")
        && std::fs::metadata(&path).is_ok_and(|file| !file.is_file())
    {
        let path = path.to_string_lossy();
        let path = path.escape_debug();
        return Err(format!(
            "no CA certificate could be loaded: {path} is not a regular file; name a file with SSL_CERT_FILE"
        ));
    }
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let mut errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        if errors.is_empty() {
            errors.push("none was found".to_owned());
        }
        let errors = errors.join("; ");
        return Err(format!(
            "no CA certificate could be loaded: {errors}; install ca-certificates, or name a file with SSL_CERT_FILE"
        ));
    }
    Ok(roots)
}

fn client_tls(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A WebSocket needs version 1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// `Retry-After` in seconds, or as a date relative to the server's own `Date`: a clock that is off
/// by hours must not turn a minute into hours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a very long pause.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = date(headers.get(RETRY_AFTER))?;
    let now = date(headers.get(DATE))?;
    Some(until.duration_since(now).unwrap_or(Duration::ZERO))
}

fn date(header: Option<&HeaderValue>) -> Option<SystemTime> {
    httpdate::parse_http_date(header?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::tradernet::{Reason, StreamEndpoint, StreamProtocol};

    /// The error of a login that is answered with these bytes.
    async fn login_answered_with(bytes: Vec<u8>) -> Error {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
            // The client may hang up before it has read everything.
            let _ = connection.write_all(&bytes).await;
            connection.shutdown().await.unwrap_or_default();
        };
        let config = ClientConfig {
            max_response_bytes: 1 << 16,
            ..ClientConfig::default()
        };
        let client = Client::new(&config, Arc::new(|_, _| {}), Clock::system()).unwrap();
        let endpoint = Endpoint {
            origin: origin.parse().unwrap(),
            timeout: Duration::from_secs(10),
        };
        let login = Login {
            name: "desk",
            password: &"secret".into(),
            view_only: false,
            user_id: None,
        };
        let redactor = Redactor::default();
        let answer = client.log_in(&endpoint, login, &redactor);
        tokio::join!(answer, server).0.unwrap_err()
    }

    #[tokio::test]
    async fn an_answer_that_is_no_http_or_too_large_is_unreadable() {
        let many = "set-cookie: a=b\r\n".repeat(MAX_HEADERS + 1);
        let large = format!("x: {}\r\n", "y".repeat(1 << 20));
        let body = format!("content-length: 99999\r\n\r\n{}", "y".repeat(99_999));
        let chunks = "transfer-encoding: chunked\r\n\r\nzz\r\n";
        for (rest, reason) in [
            (&*many, Reason::TooLarge),
            (&large, Reason::TooLarge),
            (&body, Reason::TooLarge),
            ("no colon\r\n", Reason::Decode),
            ("x: a\r\n folded\r\n", Reason::Decode),
            ("x: a\0b\r\n", Reason::Decode),
            ("content-length: -1\r\n", Reason::Decode),
            (chunks, Reason::Decode),
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{rest}\r\n");
            let error = login_answered_with(answer.into()).await;
            assert_eq!(error.reason(), reason, "{error}: {:.40}", rest);
            assert!(error.is_unreadable(), "{error}");
        }
        for (answer, reason) in [
            ("HTTP/1.1 200 OK\r\nx", Reason::Network),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", Reason::Decode),
        ] {
            let error = login_answered_with(answer.into()).await;
            assert_eq!(error.reason(), reason, "{error}");
            assert!(!error.is_unreadable(), "{error}");
        }
    }

    /// The errors of a request, a login and a handshake that are answered with this.
    async fn errors_after(answer: &'static str, timeout: Duration) -> [Error; 3] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let _ = connection.read(&mut [0; 4096]).await;
                connection.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains("stalls") {
                    // Until the client closes it.
                    let _ = connection.read(&mut [0]).await;
                }
            }
        });
        let config = ClientConfig {
            max_response_bytes: 1000,
            ..ClientConfig::default()
        };
        let client = Client::new(&config, Arc::new(|_, _| {}), Clock::system()).unwrap();
        let endpoint = Endpoint {
            origin: format!("http://{address}").parse().unwrap(),
            timeout,
        };
        let stream = StreamEndpoint {
            origin: format!("ws://{address}").parse().unwrap(),
            protocol: StreamProtocol::Websocket,
        };
        let (secret, redactor) = ("s3cret".into(), Redactor::default());
        let sid = Credentials::Sid(&secret);
        let login = Login {
            name: "desk",
            password: &secret,
            view_only: false,
            user_id: None,
        };
        [
            client
                .sessions(&endpoint, sid, &redactor)
                .await
                .unwrap_err(),
            client
                .log_in(&endpoint, login, &redactor)
                .await
                .unwrap_err(),
            (client.stream(&stream, sid, timeout, &redactor).await)
                .err()
                .unwrap(),
        ]
    }

    #[tokio::test]
    async fn retry_after_counts_whatever_happens_to_the_body() {
        const LONG: Duration = Duration::from_secs(30);
        let mut attempts = tokio::task::JoinSet::new();
        for (rest, timeout, reason) in [
            (
                "Content-Length: 9\r\n\r\nstalls",
                Duration::from_secs(1),
                Reason::Timeout,
            ),
            ("Content-Length: 9\r\n\r\ncut", LONG, Reason::Network),
            (
                "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                LONG,
                Reason::Decode,
            ),
            ("Content-Length: 1001\r\n\r\n", LONG, Reason::TooLarge),
            (
                "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
                LONG,
                Reason::Decode,
            ),
        ] {
            for status in ["503", "200", "429"] {
                let answer = format!("HTTP/1.1 {status} X\r\nRetry-After: 7\r\n{rest}").leak();
                attempts.spawn(async move {
                    for error in errors_after(answer, timeout).await {
                        let after = error.retry_after();
                        assert_eq!(after, Some(Duration::from_secs(7)), "{answer}");
                        let is_limit = status == "429";
                        let reason = if is_limit {
                            Reason::RateLimited
                        } else {
                            reason
                        };
                        assert_eq!(error.reason(), reason, "{answer}");
                        assert!(error.to_string().ends_with("; retry after 7s"), "{error}");
                    }
                });
            }
        }
        attempts.join_all().await;
    }

    #[test]
    fn retry_after_out_of_range_is_the_longest_pause() {
        let parsed = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            retry_after(&headers)
        };
        assert_eq!(parsed(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            parsed("99999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        for nothing in ["", "-1", "+1", "1.5", "soon"] {
            assert_eq!(parsed(nothing), None, "{nothing}");
        }
    }
}
