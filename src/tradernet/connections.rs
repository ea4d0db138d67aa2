//! How connections are made: proxy, trusted CAs, limits of a head.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{NoProxy, Proxy};
use secrecy::{ExposeSecret as _, SecretString};
use tower::util::MapFutureLayer;
use url::Url;

use super::resolver::SharedResolver;
use super::transport_error::noting_connections;

/// The content network refuses well-known libraries' names, so requests carry our own.
pub const USER_AGENT: &str = concat!("tradernet-exporter/", env!("CARGO_PKG_VERSION"));

/// Header lines of an answer: browsers accept as many, and a login may set hundreds of cookies.
pub(super) const MAX_HEADERS: usize = 1000;
/// Hosts that are never reached through a proxy, in the form of `NO_PROXY`; see [`is_loopback`].
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1,::ffff:127.0.0.0/104";
pub(super) const INVALID_PROXY: &str =
    "the proxy cannot be used: write http://host:port in HTTPS_PROXY";
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

/// Connections that trust these CA certificates.
pub(super) fn http(
    config: &ClientConfig,
    roots: rustls::RootCertStore,
) -> Result<reqwest::Client, String> {
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

/// Whether a URL's host is this machine for certain.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
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
