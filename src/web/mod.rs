//! The exporter's HTTP server: routes, status page, JSON, probes, reload.
//!
//! It reads the published status and the metrics, and passes reloads on. It owns no account, no
//! configuration and no signal, and chooses no port: [`serve`] is given a listener and a shutdown.

mod accept;
pub(crate) mod api;
mod auth;
mod connections;
mod csrf;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod health;
mod listener;
mod page;
mod query;
mod response;
mod routes;
mod scrape;
mod server;
#[cfg(test)]
mod test_support;
mod tls;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use url::Url;

use self::auth::AccessControl;
use self::scrape::ScrapeCache;
use self::turns::Turns;
use crate::clock::Timestamps;
use crate::config::{WebConfig, WebConfigFile};
use crate::metrics::Metrics;
use crate::shard::Shard;

pub use listener::Listener;
pub use server::{ListenerKind, serve};

/// The web part of the resolved configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--web.telemetry-path`: absolute, without query, and different from the other routes.
    pub telemetry_path: String,
    /// `--web.external-url`: absolute, with scheme and host. Its host may request a reload.
    pub external_url: Option<Url>,
    /// `--web.enable-lifecycle`: whether requests may change anything.
    pub enable_lifecycle: bool,
    /// The share of the accounts that this process watches.
    pub shard: Shard,
    /// A page of metrics is rendered at most once in this time for each format and encoding.
    pub scrape_interval: Duration,
    /// TLS, passwords, headers and rate limit.
    pub web_config: Arc<WebConfig>,
}

impl Settings {
    /// The path of the external URL without a slash at its end; empty for none.
    fn path_prefix(&self) -> &str {
        let path = self.external_url.as_ref().map(Url::path);
        path.unwrap_or_default().trim_end_matches('/')
    }
}

/// A request to reload.
#[derive(Debug)]
pub struct ReloadRequest {
    /// The account whose login may be tried again; `None` reloads the whole configuration.
    pub account: Option<String>,
    /// The client that requested it, for the log.
    pub by: String,
    /// The outcome; the reason is sent to the client and must contain no secret.
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// The sources of every answer. Shared by all listeners.
pub struct App {
    settings: Settings,
    /// With the published statuses, the clock and the display names.
    metrics: Metrics,
    started: Timestamps,
    ready: watch::Receiver<bool>,
    reload: mpsc::Sender<ReloadRequest>,
    scrapes: ScrapeCache,
    access: AccessControl,
    /// For pages that are not shared.
    renderings: Turns,
    /// One permit, for TLS handshakes.
    signing: Semaphore,
}

impl App {
    /// Puts the sources together. `ready` is a latch: once true it stays true.
    pub fn new(
        settings: Settings,
        metrics: Metrics,
        ready: watch::Receiver<bool>,
        reload: mpsc::Sender<ReloadRequest>,
    ) -> Self {
        Self {
            scrapes: ScrapeCache::new(settings.scrape_interval),
            renderings: Turns::new(),
            signing: Semaphore::new(1),
            access: AccessControl::new(Arc::clone(&settings.web_config)),
            started: metrics.clock.now(),
            settings,
            metrics,
            ready,
            reload,
        }
    }

    /// Keeps up with the web configuration file and those that it names, forever.
    pub async fn follow_web_config(&self, file: WebConfigFile) {
        self.access.follow(file).await;
    }
}
