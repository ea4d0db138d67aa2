//! `tradernet-exporter healthcheck`: requests the running exporter's `/-/healthy`, for images without a
//! shell.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use crate::config::WebSettings;
use crate::tradernet::USER_AGENT;

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
    match get(address, has_tls).await {
        Ok(StatusCode::OK) => Ok(()),
        Ok(status) => Err(format!("{address} answered HTTP {}", status.as_u16())),
        Err(error) if error.is_timeout() => {
            let seconds = PROBE_TIMEOUT.as_secs();
            Err(format!("{address}: no answer within {seconds}s"))
        }
        Err(error) if has_tls => Err(format!(
            "{address}: {}; where client certificates are required, set --web.probe-listen-address",
            cause(&error)
        )),
        Err(error) => Err(format!("{address}: {}", cause(&error))),
    }
}

async fn get(address: &str, has_tls: bool) -> reqwest::Result<StatusCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder()
        .user_agent(USER_AGENT)
        .timeout(PROBE_TIMEOUT)
        .redirect(Policy::none())
        .no_proxy()
        // The certificate names another host than this machine's loopback address, and nothing secret
        // is sent.
        .tls_danger_accept_invalid_certs(true);
    // A wildcard address includes loopback, where the machine may lack IPv4 or IPv6.
    let loopback = [
        (Ipv4Addr::LOCALHOST, 0).into(),
        (Ipv6Addr::LOCALHOST, 0).into(),
    ];
    client = client.resolve_to_addrs("localhost", &loopback);
    let mut host = address.to_owned();
    if let Some(path) = address.strip_prefix("unix:") {
        client = client.unix_socket(path);
        host = "localhost".to_owned();
    } else if let Ok(socket) = address.parse::<SocketAddr>()
        && socket.ip().is_unspecified()
    {
        host = format!("localhost:{}", socket.port());
    }
    let scheme = if has_tls { "https" } else { "http" };
    let request = client.build()?.get(format!("{scheme}://{host}/-/healthy"));
    Ok(request.send().await?.status())
}

/// The innermost error: the outer ones say only that a request failed.
fn cause(error: &reqwest::Error) -> &dyn Error {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}
