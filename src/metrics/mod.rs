//! The page at `/metrics`: names, HELP and both exposition formats.
//!
//! A page is a function of the published status of the accounts, of the exporter's own registry
//! and of the time. This module knows neither how data arrived nor how a page is sent.

mod accounts;
mod exporter;
mod exposition;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::exporter::ExporterMetrics;
use self::exposition::ExpositionWriter;
pub use self::exposition::Format;
use crate::clock::{Clock, Timestamps};
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;
use crate::status::{StatusStore, Transport};

/// Everything that `/metrics` shows. Clones share their counters.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: StatusStore,
    clock: Clock,
    names: watch::Receiver<SafetyNames>,
    exporter: ExporterMetrics,
}

impl Metrics {
    /// The metrics of the accounts in `store`, with display names for safety types, and of the
    /// process that watches this shard.
    pub fn new(
        store: StatusStore,
        clock: Clock,
        names: watch::Receiver<SafetyNames>,
        shard: Shard,
    ) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "names and labels are constants, checked by every test of this type"
        )]
        let exporter =
            ExporterMetrics::new(shard).expect("the exporter's metrics have valid, distinct names");
        Self(Arc::new(Inner {
            store,
            clock,
            names,
            exporter,
        }))
    }

    /// Counts an answered request. `handler` is a known route or `other`, `code` the HTTP status.
    pub fn count_request(&self, handler: &str, code: &str) {
        self.0.exporter.count_request(handler, code);
    }

    /// Records the duration of one request to Tradernet.
    pub fn observe_api_request(&self, transport: Transport, duration: Duration) {
        self.0.exporter.observe_api_request(transport, duration);
    }

    /// Records that the configuration was read, the first time included, and whether it was valid.
    pub fn set_reload(&self, successful: bool, at: Timestamps) {
        self.0.exporter.set_reload(successful, at);
    }

    /// Renders the page. It waits for no account; ten thousand take some tens of milliseconds.
    pub fn render(&self, format: Format) -> String {
        let Inner {
            store,
            clock,
            names,
            exporter,
        } = &*self.0;
        let mut page = ExpositionWriter::new(format);
        // Before the accounts: a page that shows a reload shows its effects too.
        let exporter_families = exporter.gather();
        accounts::write(&mut page, &store.accounts(), &names.borrow(), clock.now());
        exporter::write(&mut page, &exporter_families);
        page.finish()
    }
}

#[cfg(test)]
mod tests;
