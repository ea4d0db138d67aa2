//! HTTP to Tradernet: one request, one answer.
//!
//! Redirects are never followed, since credentials would follow them; proxies are never used for
//! loopback; no answer is read past the allowed size.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE};
use reqwest::{Method, Request, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use url::Url;

use super::connections::{ClientConfig, INVALID_PROXY, http, is_loopback};
use super::error::{Error, ResponseHead, Stage};
use super::login::{Login, LoginReply};
use super::redact::Redactor;
use super::request::{Credentials, Endpoint};
use super::transport::Transport;
use super::transport_error::{CONNECTING, RequestContext, address, is_tunnel_refused, was_cut_off};
use super::{ca, classify, login, response, signature};
use crate::clock::Clock;
use crate::session::SessionList;
use crate::threads::{FileReader, READ_TIMEOUT, no_answer_within};

/// Longest answer to a login, in bytes.
const MAX_LOGIN_BYTES: u64 = 1 << 20;

/// Connections to every host, kept alive and shared between accounts.
#[derive(Clone)]
pub struct Client {
    /// For plain HTTP, which needs no CA certificates.
    plain: reqwest::Client,
    /// For TLS, once the CA certificates are loaded.
    tls: Arc<OnceCell<reqwest::Client>>,
    ca_reader: FileReader,
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
            ca_reader: FileReader::default(),
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
            let load = move || http(&config, ca::load()?);
            self.ca_reader.read(READ_TIMEOUT, load).await?
        };
        // All that wait give up together.
        let loaded = timeout(READ_TIMEOUT, self.tls.get_or_try_init(load)).await;
        loaded
            .unwrap_or_else(|_| Err(no_answer_within(READ_TIMEOUT)))
            .map_err(|error| format!("no CA certificate could be loaded: {error}"))
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
        let mut list = self.read_list(response, &context).await?;
        // It is not among the account's secrets, which its poller replaces.
        if signature.is_some() {
            let signature = Redactor::new(signature);
            list = list.map_texts(|text| signature.redact(text));
        }
        Ok((list, head))
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

    /// The data that errors of a request to this URL need.
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
    /// a tunnel, so a second request to the proxy reads it, in half of the time that is left.
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
        // plain HTTP, for which it would open none.
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
mod tests;
