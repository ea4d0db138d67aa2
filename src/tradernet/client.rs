//! HTTP to Tradernet: one request, one answer, one verdict.
//!
//! Redirects are never followed, since credentials would follow them; proxies are never used for
//! loopback; no answer is read past the allowed size.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::header::{
    CONTENT_TYPE, COOKIE, DATE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE,
};
use reqwest::{NoProxy, Proxy, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::io::{StreamReader, SyncIoBridge};
use url::Url;

use super::connect::Connector;
use super::error::{Error, ServerMessage};
use super::login::LoginReply;
use super::redact::Redactor;
use super::response::{self, Answer, DecodeError};
use super::stream::Stream;
use super::transport::{StreamEndpoint, Transport};
use super::transport_error::{Unanswered, failure, was_cut_off};
use crate::session::SessionList;

/// The content network refuses well-known libraries' names, so requests carry our own.
pub const USER_AGENT: &str = concat!("tradernet-exporter/", env!("CARGO_PKG_VERSION"));

/// Answers up to this size are read whole; larger ones are read as they arrive.
const WHOLE: usize = 1 << 20;

/// What a person set for outgoing connections.
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
                "no CA certificate could be loaded: {errors}; install ca-certificates, or mend SSL_CERT_FILE"
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
    /// Streams to anywhere.
    connector: Connector,
    max_response_bytes: u64,
    observe: RequestObserver,
}

/// Told how long each request took, or a stream's first list, whatever came of it.
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
        let client = |proxy: Option<Proxy>| {
            let builder = reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .tls_backend_preconfigured(tls.clone())
                .pool_idle_timeout(Duration::from_secs(90))
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
            loopback: client(None)?,
            remote: client(proxy)?,
            connector: Connector::new(outbound, tls.clone()),
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
            Err(unsent) if unsent.was_cut_off => {
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
        let answer = self.read(response, timeout, &redactor).await?;
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
        let cookies = response
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok().map(SecretString::from))
            .collect();
        let limit = self.max_response_bytes.min(WHOLE as u64);
        let mut body = Vec::new();
        let mut response = response;
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failure(error, timeout, redactor))?
        {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(Error::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(LoginReply {
            status: status.as_u16(),
            retry_after,
            cookies,
            body,
        })
    }

    /// Opens a stream and waits for its first list.
    ///
    /// # Errors
    ///
    /// Every way in which there is no list to be had: see [`Error`].
    pub async fn stream(
        &self,
        target: &StreamEndpoint,
        sid: &SecretString,
        timeout: Duration,
        redactor: &Redactor,
    ) -> Result<(Stream, SessionList), Error> {
        let _timer = self.timer(target.dialect.transport());
        let limit = self.max_response_bytes;
        Stream::open(&self.connector, target, sid, timeout, limit, redactor).await
    }

    /// Tells how long a stream took to answer a request.
    pub fn observe(&self, transport: Transport, took: Duration) {
        (self.observe.0)(transport, took);
    }

    fn timer(&self, transport: Transport) -> Timer<'_> {
        Timer {
            transport,
            observe: &self.observe,
            start: tokio::time::Instant::now(),
        }
    }

    async fn send(&self, outgoing: Outgoing, redactor: &Redactor) -> Result<Response, Unanswered> {
        let client = if is_loopback(&outgoing.url) {
            &self.loopback
        } else {
            &self.remote
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
            .map_err(|error| Unanswered {
                was_cut_off: was_cut_off(&error),
                error: failure(error, outgoing.timeout, redactor),
            })
    }

    /// Reads a body of any size up to the limit: a small one whole, a large one as it arrives, so
    /// that neither is held in memory twice and the latter not even once.
    async fn read(
        &self,
        mut response: Response,
        timeout: Duration,
        redactor: &Redactor,
    ) -> Result<Result<Answer, DecodeError>, Error> {
        let limit = self.max_response_bytes;
        if response
            .content_length()
            .is_some_and(|length| length > limit)
        {
            return Err(Error::TooLarge { limit });
        }
        let mut start = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failure(error, timeout, redactor))?
        {
            start.extend_from_slice(&chunk);
            if start.len() as u64 > limit {
                return Err(Error::TooLarge { limit });
            }
            if start.len() > WHOLE {
                return read_as_it_arrives(start.into(), response, limit)
                    .await
                    .map_err(|broken| broken.into_error(limit, timeout, redactor));
            }
        }
        Ok(response::read(&start))
    }
}

/// Reports a request's duration when it is over, also when it is given up.
struct Timer<'a> {
    transport: Transport,
    observe: &'a RequestObserver,
    start: tokio::time::Instant,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        (self.observe.0)(self.transport, self.start.elapsed());
    }
}

/// Why a body could not be read to its end.
enum Broken {
    TooLarge,
    Transfer(reqwest::Error),
    Stopped,
}

impl Broken {
    fn into_error(self, limit: u64, timeout: Duration, redactor: &Redactor) -> Error {
        match self {
            Self::TooLarge => Error::TooLarge { limit },
            Self::Transfer(error) => failure(error, timeout, redactor),
            Self::Stopped => Error::Decode {
                detail: "reading it was given up".to_owned(),
                retry_after: None,
            },
        }
    }
}

async fn read_as_it_arrives(
    start: Bytes,
    response: Response,
    limit: u64,
) -> Result<Result<Answer, DecodeError>, Broken> {
    let broken: Arc<Mutex<Option<Broken>>> = Arc::default();
    let mut read = start.len() as u64;
    let rest = response.bytes_stream().map({
        let broken = Arc::clone(&broken);
        move |chunk| {
            let cause = match chunk {
                Ok(chunk) => {
                    read += chunk.len() as u64;
                    if read <= limit {
                        return Ok(chunk);
                    }
                    Broken::TooLarge
                }
                Err(error) => Broken::Transfer(error),
            };
            *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
            Err(io::Error::other("the body broke off"))
        }
    });
    let body = futures_util::stream::iter([Ok(start)]).chain(rest);
    let mut bridge = SyncIoBridge::new(StreamReader::new(Box::pin(body)));
    let answer = tokio::task::spawn_blocking(move || {
        let answer = response::read_from(io::BufReader::new(&mut bridge));
        if answer.is_err() {
            // "Too large" and "timed out" come before "unreadable", so the rest must be seen too.
            let _ = io::copy(&mut bridge, &mut io::sink());
        }
        answer
    })
    .await
    .map_err(|_| Broken::Stopped)?;
    let broken = broken.lock().unwrap_or_else(PoisonError::into_inner).take();
    broken.map_or(Ok(answer), Err)
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
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

pub(super) fn secret_header(value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Error::Network {
        detail: "the credential has characters that HTTP cannot carry".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Retry-After` in seconds or as a date. A date is taken relative to the server's own `Date`, so
/// that a clock that is off by hours does not turn a minute into hours.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is very long, and kept as long as anything is.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = headers
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(|| {
            UNIX_EPOCH + Duration::from_secs_f64(crate::clock::Clock::system().now().wall_seconds())
        });
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
