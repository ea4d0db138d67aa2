//! The page at `/metrics`: names, HELP and both exposition formats.
//!
//! A page is a function of the published status of the accounts, of the exporter's own registry
//! and of the time. This module knows neither how data arrived nor how a page is sent.

mod accounts;
mod exporter;
mod exposition;

use std::io;
use std::time::Duration;

use tokio::sync::watch;

use self::exporter::ExporterMetrics;
use self::exposition::ExpositionWriter;
pub use self::exposition::Format;
use crate::clock::Clock;
use crate::session::safety_type::SafetyNames;
use crate::shard::Shard;
use crate::status::{StatusStore, Transport};

/// Everything that `/metrics` shows. Clones share their counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) store: StatusStore,
    pub(crate) clock: Clock,
    pub(crate) names: watch::Receiver<SafetyNames>,
    exporter: ExporterMetrics,
}

impl Metrics {
    /// The metrics of the accounts in `store`, with display names for safety types, and of the
    /// process that watches this shard and has just read its configuration.
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
        let metrics = Self {
            store,
            clock,
            names,
            exporter,
        };
        metrics.set_reload(true);
        metrics
    }

    /// Counts an answered request. `handler` is a known route or `other`, `code` the HTTP status.
    pub fn count_request(&self, handler: &str, code: &str) {
        let requests = &self.exporter.http_requests;
        requests.with_label_values(&[handler, code]).inc();
    }

    /// Records the duration of one request to Tradernet.
    pub fn observe_api_request(&self, transport: Transport, duration: Duration) {
        let requests = &self.exporter.api_requests;
        let requests = requests.with_label_values(&[transport.name()]);
        requests.observe(duration.as_secs_f64());
    }

    /// Records that the configuration was read again, and whether it was valid.
    pub fn set_reload(&self, successful: bool) {
        self.exporter.reload_successful.set(successful.into());
        if successful {
            let now_ms = self.clock.now().wall_ms;
            self.exporter.reload_success_at.set(now_ms.round() / 1000.0);
        }
    }

    /// Renders the page in chunks. It waits for no account; ten thousand take some tens of milliseconds.
    ///
    /// # Errors
    ///
    /// Those of writing to `to`.
    pub fn render(&self, format: Format, to: &mut dyn io::Write) -> io::Result<()> {
        let mut page = ExpositionWriter::new(format, to);
        // Before the accounts: a page that shows a reload shows its effects too.
        let exporter_families = self.exporter.gather();
        let (accounts, names) = (self.store.accounts(), self.names.borrow().clone());
        accounts::write(&mut page, &accounts, &names, self.clock.now());
        exporter::write(&mut page, &exporter_families);
        page.finish()
    }
}

#[cfg(test)]
mod tests;
