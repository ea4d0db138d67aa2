//! HTTP to Tradernet: one request, one answer.
//!
//! Redirects are never followed, since credentials would follow them; proxies are never used for
//! loopback; no answer is read past the allowed size.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    CONTENT_TYPE, COOKIE, DATE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE,
};
use reqwest::{NoProxy, Proxy, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::error::{Error, ServerMessage};
use super::login::LoginReply;
use super::redact::Redactor;
use super::response;
use super::transport::Transport;
use super::transport_error::{SendError, failure, was_cut_off};
use crate::session::SessionList;

/// The content network refuses well-known libraries' names, so requests carry our own.
pub const USER_AGENT: &str = concat!("tradernet-exporter/", env!("CARGO_PKG_VERSION"));

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

/// Why no connection could ever be made.
#[derive(Debug)]
pub enum SetupError {
    /// No CA certificate could be loaded.
    Certificates(String),
    /// The proxy's address cannot be used.
    Proxy,
    /// The TLS library refused its settings.
    Tls(String),
}

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Certificates(errors) if errors.is_empty() => f.write_str(
                "no CA certificate was found: install ca-certificates, or name a file with SSL_CERT_FILE",
            ),
            Self::Certificates(errors) => write!(
                f,
                "no CA certificate could be loaded: {errors}; install ca-certificates, or fix SSL_CERT_FILE"
            ),
            Self::Proxy => f.write_str("the proxy cannot be used: write http://host:port in HTTPS_PROXY"),
            Self::Tls(error) => write!(f, "outgoing connections cannot be prepared: {error}"),
        }
    }
}

impl StdError for SetupError {}

/// Connections to every host, kept alive and shared between accounts.
#[derive(Clone, Debug)]
pub struct Client {
    /// Plain HTTP and HTTPS to loopback.
    loopback: reqwest::Client,
    /// HTTPS to everywhere else.
    remote: reqwest::Client,
    /// The same two for streams: their connections are not shared with requests.
    loopback_streams: reqwest::Client,
    remote_streams: reqwest::Client,
    pub(super) max_response_bytes: u64,
    observe: RequestObserver,
}

/// Called with the duration of each request, or of a stream's first list, successful or not.
#[derive(Clone)]
pub struct RequestObserver(pub Arc<dyn Fn(Transport, Duration) + Send + Sync>);

impl std::fmt::Debug for RequestObserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestObserver")
    }
}

/// A form or JSON body with the headers that belong to it.
pub(super) struct Outgoing {
    pub(super) url: Url,
    pub(super) content_type: &'static str,
    pub(super) body: SecretString,
    /// Sent as cookie `SID`.
    pub(super) sid: Option<SecretString>,
    pub(super) signed: Vec<(&'static str, SecretString)>,
    pub(super) timeout: Duration,
}

impl Outgoing {
    fn signature(&self) -> Option<&SecretString> {
        let mut signed = self.signed.iter();
        signed.find_map(|(name, value)| (*name == super::signature::HEADER).then_some(value))
    }
}

/// An answer with the list.
#[derive(Debug)]
pub struct ListResponse {
    /// The list.
    pub sessions: SessionList,
    /// The request's signature, which an entry may quote.
    pub signature: Option<SecretString>,
}

impl Client {
    /// Prepares connections; none is made yet.
    ///
    /// # Errors
    ///
    /// Where the CA certificates of the system or of `SSL_CERT_FILE` cannot be loaded, or the
    /// proxy cannot be used.
    pub fn new(
        outbound: &ClientConfig,
        roots: rustls::RootCertStore,
        observe: RequestObserver,
    ) -> Result<Self, SetupError> {
        let tls = client_tls(roots)?;
        let client = |proxy: Option<Proxy>, idle_connections: usize| {
            let builder = reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .tls_backend_preconfigured(tls.clone())
                .pool_idle_timeout(Duration::from_secs(90))
                .pool_max_idle_per_host(idle_connections)
                .no_proxy();
            match proxy {
                Some(proxy) => builder.proxy(proxy),
                None => builder,
            }
            .build()
            .map_err(|error| SetupError::Tls(error.without_url().to_string()))
        };
        let proxy = outbound
            .proxy
            .as_ref()
            .map(|proxy| Proxy::https(proxy.expose_secret()))
            .transpose()
            .map_err(|_| SetupError::Proxy)?
            .map(|proxy| {
                proxy.no_proxy(outbound.no_proxy.as_deref().and_then(NoProxy::from_string))
            });
        Ok(Self {
            loopback: client(None, usize::MAX)?,
            remote: client(proxy.clone(), usize::MAX)?,
            loopback_streams: client(None, 0)?,
            remote_streams: client(proxy, 0)?,
            max_response_bytes: outbound.max_response_bytes,
            observe,
        })
    }

    /// Asks for a list and judges the answer.
    ///
    /// A server may end a kept connection in the very moment in which it is used again. Nothing is
    /// wrong then, so a request that was cut off before any answer is made once more, in what is
    /// left of its time. `outgoing` makes it, since a signature is good for one request alone.
    pub(super) async fn list(
        &self,
        outgoing: impl Fn() -> Outgoing,
        redactor: &Redactor,
    ) -> Result<ListResponse, Error> {
        let timer = self.timer(Transport::Http);
        let first = outgoing();
        let timeout = first.timeout;
        let mut signature = first.signature().cloned();
        let mut redactor = redactor.with(signature.clone());
        let sent = match self.send(first, &redactor).await {
            Err(unsent) if unsent.retryable => {
                let mut second = outgoing();
                second.timeout = timeout.saturating_sub(timer.start.elapsed());
                signature = second.signature().cloned();
                redactor = redactor.with(signature.clone());
                self.send(second, &redactor).await
            }
            sent => sent,
        };
        let response = sent.map_err(|unsent| unsent.into_error(timeout))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(too_many_requests(retry_after));
        }
        let body = read_body(response, self.max_response_bytes, timeout, &redactor).await?;
        let answer = response::read(&body);
        let sessions = super::classify::list(status.as_u16(), retry_after, answer, &redactor)?;
        Ok(ListResponse {
            sessions,
            signature,
        })
    }

    /// Sends a login; the answer's cookies and body are for [`super::login`] to understand.
    pub(super) async fn login(
        &self,
        outgoing: Outgoing,
        redactor: &Redactor,
    ) -> Result<LoginReply, Error> {
        let _timer = self.timer(Transport::Http);
        let timeout = outgoing.timeout;
        let response = self.send(outgoing, redactor).await;
        let response = response.map_err(|unsent| unsent.into_error(timeout))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let cookies = response.headers().get_all(SET_COOKIE).iter();
        let cookies = cookies
            .filter_map(|cookie| cookie.to_str().ok().map(SecretString::from))
            .collect();
        let limit = self.max_response_bytes.min(MAX_LOGIN_BYTES);
        let body = read_body(response, limit, timeout, redactor).await?;
        Ok(LoginReply {
            status: status.as_u16(),
            retry_after,
            cookies,
            body,
        })
    }

    /// Reports how long a stream took to answer a request.
    pub fn observe(&self, transport: Transport, took: Duration) {
        (self.observe.0)(transport, took);
    }

    /// Reports a request's duration when it is dropped.
    pub(super) fn timer(&self, transport: Transport) -> Timer<'_> {
        Timer {
            transport,
            observe: &self.observe,
            start: tokio::time::Instant::now(),
        }
    }

    async fn send(&self, outgoing: Outgoing, redactor: &Redactor) -> Result<Response, SendError> {
        let client = match is_loopback(&outgoing.url) {
            true => &self.loopback,
            false => &self.remote,
        };
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(outgoing.content_type),
        );
        if let Some(sid) = &outgoing.sid {
            headers.insert(
                COOKIE,
                secret_header(&format!("SID={}", sid.expose_secret()))?,
            );
        }
        for (name, value) in &outgoing.signed {
            headers.insert(*name, secret_header(value.expose_secret())?);
        }
        client
            .post(outgoing.url)
            .headers(headers)
            .body(outgoing.body.expose_secret().to_owned())
            .timeout(outgoing.timeout)
            .send()
            .await
            .map_err(|error| SendError {
                retryable: was_cut_off(&error),
                error: failure(error, outgoing.timeout, redactor),
            })
    }

    /// The client for streams to this URL.
    pub(super) fn streams(&self, url: &Url) -> &reqwest::Client {
        match is_loopback(url) {
            true => &self.loopback_streams,
            false => &self.remote_streams,
        }
    }
}

/// Reports a request's duration when it is over, also when it is given up.
pub(super) struct Timer<'a> {
    transport: Transport,
    observe: &'a RequestObserver,
    start: tokio::time::Instant,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        (self.observe.0)(self.transport, self.start.elapsed());
    }
}

/// Reads a whole body of at most `limit` bytes, decoded.
async fn read_body(
    mut response: Response,
    limit: u64,
    timeout: Duration,
    redactor: &Redactor,
) -> Result<Vec<u8>, Error> {
    let too_large = |length: u64| length > limit;
    if response.content_length().is_some_and(too_large) {
        return Err(Error::TooLarge { limit });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failure(error, timeout, redactor))?
    {
        body.extend_from_slice(&chunk);
        if too_large(body.len() as u64) {
            return Err(Error::TooLarge { limit });
        }
    }
    Ok(body)
}

/// HTTP 429, whatever its body says.
pub(super) fn too_many_requests(retry_after: Option<Duration>) -> Error {
    Error::RateLimited(ServerMessage {
        status: Some(429),
        retry_after,
        ..ServerMessage::default()
    })
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

/// The CA certificates of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
///
/// # Errors
///
/// Where none could be loaded; the text names the files that were tried.
pub fn system_roots() -> Result<rustls::RootCertStore, SetupError> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        return Err(SetupError::Certificates(errors.join("; ")));
    }
    Ok(roots)
}

fn client_tls(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, SetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A WebSocket needs version 1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

pub(super) fn secret_header(value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Error::Network {
        detail: "the credential has characters that HTTP cannot carry".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Retry-After` in seconds, or as a date relative to the server's own `Date`: a clock that is off
/// by hours must not turn a minute into hours.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a very long pause.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = |value: &str| httpdate::parse_http_date(value).ok();
    let until = date(value)?;
    let now = date(headers.get(DATE)?.to_str().ok()?)?;
    Some(until.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_no_number_holds_is_a_very_long_one() {
        let asked = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            retry_after(&headers)
        };
        assert_eq!(asked(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            asked("99999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        for nothing in ["", "-1", "+1", "1.5", "soon"] {
            assert_eq!(asked(nothing), None, "{nothing}");
        }
    }
}
