//! Runs the exporter: starts pollers and servers from a configuration, reloads, and stops them.

use std::io;
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::config::AccountConfig;
use crate::config::{Accounts, AccountsFile, Config, WebSettings};
use crate::metrics::Metrics;
use crate::poller::PollerContext;
use crate::poller::host::Hosts;
use crate::poller::set::{PollerSet, ReloadSummary};
use crate::session::safety_type::SafetyNames;
use crate::status::StatusStore;
use crate::tradernet::{Client, RequestObserver, SetupError, system_roots};
use crate::web::{self, App, ListenerKind, ReloadRequest};

/// Reload requests that may wait; further ones wait to be sent.
const MAX_PENDING_RELOADS: usize = 8;

/// Bound sockets, which the caller of [`run`] chooses.
#[derive(Debug, Default)]
pub struct Listeners {
    /// All routes.
    pub web: Vec<TcpListener>,
    /// Probes only.
    pub probes: Vec<TcpListener>,
}

/// How a running exporter is stopped and reloaded.
#[derive(Debug)]
pub struct Signals {
    /// Becomes true when it shall stop.
    pub shutdown: watch::Receiver<bool>,
    /// A message for every SIGHUP.
    pub hangup: mpsc::Receiver<()>,
}

impl Listeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    ///
    /// The address that cannot be bound, and why.
    pub async fn bind(settings: &WebSettings) -> Result<Self, (String, io::Error)> {
        let mut listeners = Self::default();
        for address in &settings.listen_addresses {
            listeners.web.push(bind(address).await?);
        }
        if let Some(address) = &settings.probe_listen_address {
            listeners.probes.push(bind(address).await?);
        }
        Ok(listeners)
    }
}

/// Linux's `EAFNOSUPPORT`: the machine has no IPv6.
const NO_SUCH_FAMILY: i32 = 97;

async fn bind(address: &str) -> Result<TcpListener, (String, io::Error)> {
    let bound = match (
        TcpListener::bind(address).await,
        address.strip_prefix("[::]:"),
    ) {
        // All addresses: without IPv6 those of IPv4.
        (Err(error), Some(port)) if error.raw_os_error() == Some(NO_SUCH_FAMILY) => {
            TcpListener::bind(format!("0.0.0.0:{port}")).await
        }
        (bound, _) => bound,
    };
    bound.map_err(|error| (address.to_owned(), error))
}

/// Prepares outgoing connections as configured.
///
/// # Errors
///
/// Where CA certificates or the proxy cannot be used.
pub fn http(config: &Config, observe: RequestObserver) -> Result<Client, SetupError> {
    let plain = !config.accounts.iter().any(AccountConfig::uses_tls);
    // Without CA certificates a demo still works: nothing it does leaves this machine.
    let roots = match system_roots() {
        Err(_) if plain => rustls::RootCertStore::empty(),
        roots => roots?,
    };
    Client::new(&config.outbound, roots, observe)
}

/// Polls every account and serves the metrics and pages until shutdown.
///
/// # Errors
///
/// Where outgoing connections cannot be prepared; nothing is served then.
pub async fn run(
    config: Config,
    listeners: Listeners,
    mut signals: Signals,
) -> Result<(), SetupError> {
    let store = StatusStore::default();
    let (names_sender, names) = watch::channel(config.safety_names.clone());
    let metrics = Metrics::new(
        store.clone(),
        config.clock.clone(),
        names.clone(),
        config.shard,
    );
    let observe = {
        let metrics = metrics.clone();
        RequestObserver(Arc::new(move |transport, took| {
            metrics.observe_api_request(transport, took)
        }))
    };
    let shared = PollerContext {
        client: http(&config, observe)?,
        hosts: Hosts::new(config.max_requests_per_host, config.max_logins_per_minute),
        store: store.clone(),
        clock: config.clock.clone(),
        min_retry_interval: config.min_retry_interval,
    };
    let (accounts, shard) = (config.accounts.len(), config.shard);
    info!(accounts, %shard, "starting pollers");
    let mut pollers = PollerSet::start(config.accounts, &shared);
    let (reload, mut reloads) = mpsc::channel(MAX_PENDING_RELOADS);
    let file = config.accounts_file;
    let app = Arc::new(App::new(
        web::Settings {
            telemetry_path: config.web.telemetry_path,
            external_url: config.web.external_url,
            enable_lifecycle: config.web.enable_lifecycle,
            shard: config.shard,
            scrape_interval: config.scrape_interval,
        },
        metrics.clone(),
        pollers.readiness(),
        reload,
    ));

    let mut servers = JoinSet::new();
    let kinds = [
        (listeners.web, ListenerKind::Main),
        (listeners.probes, ListenerKind::Probe),
    ];
    for (listeners, kind) in kinds {
        for listener in listeners {
            log_address(&listener, kind);
            let mut shutdown = signals.shutdown.clone();
            let ended = async move {
                // An error means that the sender is gone: a shutdown too.
                let _ = shutdown.wait_for(|shutdown| *shutdown).await;
            };
            servers.spawn(web::serve(listener, Arc::clone(&app), kind, ended));
        }
    }

    notify_systemd(NotifyState::Ready);
    let watchdog = tokio::spawn(notify_watchdog());

    let mut shutdown = signals.shutdown.clone();
    let mut hangups_end = false;
    loop {
        let (result, answer) = tokio::select! {
            () = async { let _ = shutdown.wait_for(|shutdown| *shutdown).await; } => break,
            hangup = signals.hangup.recv(), if !hangups_end => match hangup {
                Some(()) => {
                    let result = reload_config(&mut pollers, file.as_ref(), &names_sender);
                    (result.await, None)
                }
                None => {
                    hangups_end = true;
                    continue;
                }
            },
            Some(request) = reloads.recv() => {
                let ReloadRequest { account, answer } = request;
                if let Some(account) = account {
                    // A retry, which does not reload the configuration.
                    let known = pollers.retry_now(&account);
                    let unknown = || format!("no account is named {account:?}");
                    let _ = answer.send(known.then_some(()).ok_or_else(unknown));
                    continue;
                }
                let result = reload_config(&mut pollers, file.as_ref(), &names_sender);
                (result.await, Some(answer))
            }
        };
        if let Err(error) = &result {
            error!(error, "reload failed; keeping the previous configuration");
        }
        metrics.set_reload(result.is_ok());
        if let Some(answer) = answer {
            // Last: the client finds the result in the metrics.
            let _ = answer.send(result);
        }
    }

    info!("shutting down");
    notify_systemd(NotifyState::Stopping);
    watchdog.abort();
    // Requests under way are dropped: an upstream that hangs must not delay the shutdown.
    drop(pollers);
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// Reloads the accounts file, or without one the secrets.
async fn reload_config(
    pollers: &mut PollerSet,
    file: Option<&AccountsFile>,
    names: &watch::Sender<SafetyNames>,
) -> Result<(), String> {
    let Some(file) = file.cloned() else {
        pollers.reload_secrets();
        info!("reloaded the secrets");
        return Ok(());
    };
    // On another thread: a large file takes a while, and polls must not wait.
    let Accounts {
        accounts,
        safety_names,
    } = tokio::task::spawn_blocking(move || file.read())
        .await
        .map_err(|_| "reading the accounts file panicked".to_owned())?
        .map_err(|problems| problems.to_string())?;
    names.send_replace(safety_names);
    let ReloadSummary {
        added,
        removed,
        replaced,
        kept,
    } = pollers.reload(accounts).await;
    info!(added, removed, replaced, kept, "reloaded");
    Ok(())
}

/// Does nothing where systemd has not started this process with `Type=notify`.
fn notify_systemd(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "cannot notify systemd");
    }
}

/// Shows systemd that tasks are run, where the unit has `WatchdogSec=`.
async fn notify_watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut pace = tokio::time::interval(limit / 2);
    loop {
        pace.tick().await;
        notify_systemd(NotifyState::Watchdog);
    }
}

fn log_address(listener: &TcpListener, kind: ListenerKind) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    match kind {
        ListenerKind::Main => info!(%address, "listening"),
        ListenerKind::Probe => info!(%address, "listening for probes"),
    }
    if matches!(kind, ListenerKind::Main) && !address.ip().to_canonical().is_loopback() {
        warn!(%address, "anyone who can reach this address can read the metrics: there is no TLS and no password");
    }
}
