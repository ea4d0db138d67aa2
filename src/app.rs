//! Runs the exporter: starts pollers and servers from a configuration, reloads, and stops them.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::config::{AccountConfig, AccountsFile, Config, WebConfig, WebSettings};
use crate::metrics::Metrics;
use crate::poller::PollerContext;
use crate::poller::change_log::ChangeLog;
use crate::poller::host::Hosts;
use crate::poller::set::PollerSet;
use crate::session::safety_type::SafetyNames;
use crate::status::StatusStore;
use crate::threads::FileReader;
use crate::tradernet::{Client, RequestObserver};
use crate::web::{self, App, Listener, ListenerKind, ReloadRequest};

/// Reload requests that may wait; further ones wait to be sent.
const MAX_PENDING_RELOADS: usize = 8;
/// An accounts file that takes longer counts as unreadable. A large one takes some seconds, and a
/// client's answer has 30 s in all.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// Bound sockets, which the caller of [`run`] chooses.
#[derive(Debug, Default)]
pub struct Listeners {
    /// All routes.
    pub web: Vec<Listener>,
    /// Probes only.
    pub probes: Vec<Listener>,
}

/// How a running exporter is stopped and reloaded.
#[derive(Debug)]
pub struct Signals {
    /// True requests the shutdown.
    pub shutdown: watch::Receiver<bool>,
    /// A message for every SIGHUP.
    pub hangup: mpsc::Receiver<()>,
}

impl Listeners {
    /// Binds the configured addresses, or takes those that systemd has bound.
    ///
    /// # Errors
    ///
    /// The address that cannot be bound, and why.
    pub async fn bind(settings: &WebSettings) -> Result<Self, String> {
        let mut listeners = Self::default();
        if settings.systemd_socket {
            listeners.web = Listener::from_systemd().map_err(|error| {
                format!("cannot use the sockets of systemd: {error}; start the exporter by systemd with a \
                     socket unit, or unset --web.systemd-socket")
            })?;
        } else {
            for address in &settings.listen_addresses {
                listeners.web.push(bind(address).await?);
            }
        }
        if let Some(address) = &settings.probe_listen_address {
            listeners.probes.push(bind(address).await?);
        }
        Ok(listeners)
    }
}

async fn bind(address: &str) -> Result<Listener, String> {
    Listener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; choose another with --web.listen-address")
    })
}

/// Client, limits, store and clock, which all pollers share.
///
/// # Errors
///
/// Where the proxy cannot be used.
pub fn poller_context(
    config: &Config,
    store: StatusStore,
    observe: RequestObserver,
    runtime: &Handle,
) -> Result<Arc<PollerContext>, String> {
    Ok(Arc::new(PollerContext {
        client: Client::new(&config.outbound, observe, config.clock.clone())?,
        hosts: Hosts::new(config.max_requests_per_host, config.max_logins_per_minute),
        changes: ChangeLog::default(),
        runtime: runtime.clone(),
        store,
        clock: config.clock.clone(),
        min_retry_interval: config.min_retry_interval,
    }))
}

/// Polls every account in the runtime `polling`, and serves the metrics and pages in this one,
/// until shutdown.
///
/// # Errors
///
/// Where outgoing connections cannot be prepared.
pub async fn run(
    config: Config,
    listeners: Listeners,
    mut signals: Signals,
    polling: &Handle,
) -> Result<(), String> {
    let store = StatusStore::default();
    let (safety_names, names) = watch::channel(config.safety_names.clone());
    let metrics = Metrics::new(store.clone(), config.clock.clone(), names, config.shard);
    let observer = metrics.clone();
    let observe: RequestObserver =
        Arc::new(move |transport, took| observer.observe_api_request(transport, took));
    let shared = poller_context(&config, store, observe, polling)?;
    let use_tls = config.accounts.iter().any(AccountConfig::uses_tls);
    let pollers = PollerSet::start(config.accounts, Arc::clone(&shared));
    let (reload, reloads) = mpsc::channel(MAX_PENDING_RELOADS);
    let (web_config_file, web_config) = config.web_config.unzip();
    let web_config = web_config.unwrap_or_default();
    let settings = web::Settings {
        telemetry_path: config.web.telemetry_path,
        external_url: (config.web.external_url).and_then(|url| url.as_str().parse().ok()),
        enable_lifecycle: config.web.enable_lifecycle,
        shard: config.shard,
        scrape_interval: config.scrape_interval,
        web_config: Arc::clone(&web_config),
    };
    let app = App::new(settings, metrics.clone(), pollers.readiness(), reload);
    let app = Arc::new(app);
    let mut servers = serve(listeners, &app, &web_config, &signals.shutdown);
    let mut background = JoinSet::new();
    if let Some(file) = web_config_file {
        background.spawn(async move { app.follow_web_config(file).await });
    }

    if use_tls {
        tokio::select! {
            loaded = shared.client.load_ca_certificates() => loaded?,
            () = stopped(&mut signals.shutdown) => {}
        }
    }
    notify_systemd(NotifyState::Ready);
    background.spawn(notify_watchdog());
    let reloader = Reloader {
        pollers,
        file: config.accounts_file,
        reader: FileReader::default(),
        safety_names,
        metrics,
        client: shared.client.clone(),
    };
    // Requests under way are dropped: an upstream that hangs must not delay the shutdown.
    reloader.run(signals, reloads).await;
    shared.changes.flush();
    notify_systemd(NotifyState::Stopping);
    drop(background);
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// Serves on each listener until shutdown.
fn serve(
    listeners: Listeners,
    app: &Arc<App>,
    web_config: &WebConfig,
    shutdown: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut servers = JoinSet::new();
    let web = listeners.web.into_iter().map(|of| (of, ListenerKind::Main));
    let probes = (listeners.probes.into_iter()).map(|of| (of, ListenerKind::Probe));
    for (listener, kind) in web.chain(probes) {
        log_address(&listener, kind, web_config);
        let mut shutdown = shutdown.clone();
        let ended = async move { stopped(&mut shutdown).await };
        servers.spawn(web::serve(listener, Arc::clone(app), kind, ended));
    }
    servers
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: a shutdown too.
    let _ = shutdown.wait_for(|shutdown| *shutdown).await;
}

/// Reloads on request.
struct Reloader {
    pollers: PollerSet,
    file: Option<AccountsFile>,
    reader: FileReader,
    safety_names: watch::Sender<SafetyNames>,
    metrics: Metrics,
    client: Client,
}

impl Reloader {
    /// Serves requests until shutdown, which stops the pollers.
    async fn run(mut self, mut signals: Signals, mut requests: mpsc::Receiver<ReloadRequest>) {
        loop {
            let (by, answer) = tokio::select! {
                () = stopped(&mut signals.shutdown) => return,
                Some(()) = signals.hangup.recv() => ("SIGHUP".to_owned(), None),
                Some(ReloadRequest { account, by, answer }) = requests.recv() => match account {
                    None => (by, Some(answer)),
                    Some(account) => {
                        // A retry, which does not reload the configuration.
                        let known = self.pollers.retry_now(&account);
                        let unknown = || format!("no account is named {account:?}");
                        let _ = answer.send(known.then_some(()).ok_or_else(unknown));
                        continue;
                    }
                }
            };
            let result = tokio::select! {
                result = self.reload(&by) => result,
                () = stopped(&mut signals.shutdown) => return,
            };
            if let Err(error) = &result {
                error!(
                    by,
                    error, "reload failed; keeping the previous configuration"
                );
            }
            self.metrics.set_reload(result.is_ok());
            if let Some(answer) = answer {
                // Last: the client finds the result in the metrics.
                let _ = answer.send(result);
            }
        }
    }

    /// Reloads the accounts file, or without one the secrets.
    async fn reload(&mut self, by: &str) -> Result<(), String> {
        let Some(file) = self.file.clone() else {
            self.pollers.reload_secrets(by);
            return Ok(());
        };
        let path = file.path.clone();
        let read = self.reader.read(RELOAD_TIMEOUT, move || file.read()).await;
        let read = read.map_err(|error| format!("{}: {error}", path.display()))?;
        let read = read.map_err(|errors| errors.to_string())?;
        if read.accounts.iter().any(AccountConfig::uses_tls) {
            self.client.load_ca_certificates().await?;
        }
        self.safety_names.send_replace(read.safety_names);
        self.pollers.reload(read.accounts, by).await;
        Ok(())
    }
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

fn log_address(address: &Listener, kind: ListenerKind, web_config: &WebConfig) {
    if matches!(kind, ListenerKind::Probe) {
        info!(%address, "listening for probes");
        return;
    }
    info!(%address, "listening");
    let tcp = address.tcp_address();
    if tcp.is_none_or(|address| address.ip().to_canonical().is_loopback()) {
        return;
    }
    let knows_clients = web_config.verifies_clients || !web_config.users.is_empty();
    match (web_config.tls.is_some(), knows_clients) {
        (true, true) => {}
        (false, false) => {
            warn!(%address, "anyone who can reach this address can read the metrics: there is no TLS and no password");
        }
        (true, false) => {
            warn!(%address, "anyone who can reach this address can read the metrics: there is no password and no client certificate");
        }
        (false, true) => {
            warn!(%address, "passwords and metrics are sent unencrypted: there is no TLS");
        }
    }
}
