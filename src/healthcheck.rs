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
    let (address, may_have_tls) = match &settings.probe_listen_address {
        Some(address) => (address, false),
        None => {
            let address = settings.listen_addresses.first();
            let unknown =
                "the address of systemd's socket is unknown here; set WEB_LISTEN_ADDRESS to it";
            (address.ok_or(unknown)?, settings.config_file.is_some())
        }
    };
    let mut answer = get(address, may_have_tls).await;
    // The file that says whether there is TLS may be invalid, or readable for the exporter only.
    if may_have_tls
        && answer.as_ref().is_err_and(|error| !error.is_timeout())
        && let Ok(StatusCode::OK) = get(address, false).await
    {
        answer = Ok(StatusCode::OK);
    }
    match answer {
        Ok(StatusCode::OK) => Ok(()),
        Ok(status) => Err(format!("{address} answered HTTP {}", status.as_u16())),
        Err(error) if error.is_timeout() => {
            let seconds = PROBE_TIMEOUT.as_secs();
            Err(format!("{address}: no answer within {seconds}s"))
        }
        Err(error) if may_have_tls => Err(format!(
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
