//! What the exporter says over HTTP: routes, status page, JSON, probes, reload.
//!
//! It reads what is published (the board, the metrics, readiness) and hands reloads on. It owns
//! no account, no configuration and no signal, and chooses no port: [`serve`] is given a listener
//! and a shutdown.

mod api;
mod compression;
mod csrf;
mod health;
mod html;
mod io_timeout;
mod negotiation;
mod page;
mod response;
mod routes;
mod server;
#[cfg(test)]
mod test_support;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hyper::Uri;
use hyper::header::HeaderValue;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::session::safety_type::SafetyNames;
use crate::status::StatusStore;

pub use server::{Role, serve};

/// How the exporter is served, as the configuration resolved it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--web.telemetry-path`: absolute, without query, and none of the other routes.
    pub telemetry_path: String,
    /// `--web.external-url`: absolute, with scheme and host. Its host may ask for a reload.
    pub external_url: Option<Uri>,
    /// `--web.enable-lifecycle`: whether `/-/reload` does anything.
    pub enable_lifecycle: bool,
}

/// Somebody asked for a reload.
#[derive(Debug)]
pub struct ReloadRequest {
    /// The account whose login may be tried again; `None` is the whole configuration.
    pub account: Option<String>,
    /// Whether it worked; the reason is shown to whoever asked and must hold no secret.
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// Everything that an answer is made from. Shared by all listeners.
#[derive(Debug)]
pub struct App {
    settings: Settings,
    metrics: Metrics,
    board: StatusStore,
    clock: Clock,
    names: watch::Receiver<SafetyNames>,
    ready: watch::Receiver<bool>,
    reload: mpsc::Sender<ReloadRequest>,
    /// The status page's own policy: a hash of each of its two inline parts.
    page_policy: HeaderValue,
    /// Length of the last scrape, which tells where to make the next one.
    scrape_bytes: Arc<AtomicUsize>,
}

impl App {
    /// Puts the sources together. `ready` is a latch: whoever owns it never takes it back.
    pub fn new(
        settings: Settings,
        metrics: Metrics,
        board: StatusStore,
        clock: Clock,
        names: watch::Receiver<SafetyNames>,
        ready: watch::Receiver<bool>,
        reload: mpsc::Sender<ReloadRequest>,
    ) -> Self {
        Self {
            settings,
            metrics,
            board,
            clock,
            names,
            ready,
            reload,
            page_policy: page::policy(),
            scrape_bytes: Arc::default(),
        }
    }
}
