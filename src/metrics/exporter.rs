//! The exporter's own metrics: build, configuration, process, requests made and served.
//!
//! The `prometheus` crate keeps and gathers them; the page's one writer renders them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::exposition::{self, Format, Kind, Meta, Page};
use crate::clock::Timestamps;
use crate::status::Transport;

/// Upper bounds in seconds: from an answer of a near server to the longest sensible timeout.
const REQUEST_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Room for the requests served by some routes.
const SERVED_CAPACITY: usize = 512;

const HTTP_REQUESTS: Meta<'static> = Meta {
    name: "tradernet_exporter_http_requests_total",
    kind: Kind::Counter,
    help: "Requests that the exporter answered, by route and status.",
};

/// Handles of the exporter's own metrics, and the registry that gathers them.
#[derive(Debug)]
pub(super) struct Own {
    /// All but the requests served, which every scrape changes and writes anew.
    rest: Registry,
    http_requests: IntCounterVec,
    /// The counters of `http_requests` by route and status: looking one up, and writing them,
    /// takes no allocation.
    served: Mutex<BTreeMap<(&'static str, u16), Served>>,
    /// Their metadata in the text format and in OpenMetrics.
    served_header: [String; 2],
    api_requests: HistogramVec,
    reload_successful: IntGaugeVec,
    reload_success_at: GaugeVec,
}

/// A counter of requests, and its line on the page without the number.
#[derive(Debug)]
struct Served {
    line: String,
    counter: IntCounter,
}

impl Own {
    /// Fails only where a name below is no metric name.
    pub(super) fn new() -> prometheus::Result<Self> {
        let http_requests = IntCounterVec::new(
            Opts::new(HTTP_REQUESTS.name, HTTP_REQUESTS.help),
            &["handler", "code"],
        )?;
        let api_requests = HistogramVec::new(
            HistogramOpts::new(
                "tradernet_api_request_duration_seconds",
                "Duration of requests to Tradernet over all accounts.",
            )
            .buckets(REQUEST_BUCKETS.into()),
            &["transport"],
        )?;
        // Vectors without labels: absent until they are set.
        let reload_successful = IntGaugeVec::new(
            Opts::new(
                "tradernet_exporter_config_last_reload_successful",
                "Whether the last reading of the configuration succeeded.",
            ),
            &[],
        )?;
        let reload_success_at = GaugeVec::new(
            Opts::new(
                "tradernet_exporter_config_last_reload_success_timestamp_seconds",
                "When the configuration was last read with success.",
            ),
            &[],
        )?;
        let build_info = IntGaugeVec::new(
            Opts::new(
                "tradernet_exporter_build_info",
                "Version and revision of the exporter and the compiler's version, always 1.",
            ),
            &["version", "revision", "rustversion"],
        )?;
        build_info
            .with_label_values(&[
                env!("CARGO_PKG_VERSION"),
                env!("BUILD_REVISION"),
                env!("BUILD_RUSTC_VERSION"),
            ])
            .set(1);

        let rest = Registry::new();
        rest.register(Box::new(api_requests.clone()))?;
        rest.register(Box::new(reload_successful.clone()))?;
        rest.register(Box::new(reload_success_at.clone()))?;
        rest.register(Box::new(build_info))?;
        #[cfg(target_os = "linux")]
        rest.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            served: Mutex::default(),
            served_header: [Format::Text004, Format::OpenMetrics100].map(|format| {
                let mut page = Page::new(format, 0);
                page.header(HTTP_REQUESTS);
                page.text
            }),
            rest,
            http_requests,
            api_requests,
            reload_successful,
            reload_success_at,
        })
    }

    pub(super) fn count_request(&self, handler: &'static str, code: u16) {
        let new = || {
            let labels: [(&str, &dyn Display); 2] = [("handler", &handler), ("code", &code)];
            let mut line = String::new();
            exposition::series(&mut line, [HTTP_REQUESTS.name, ""], "", &labels);
            line.push(' ');
            let code = code.to_string();
            let counter = self.http_requests.with_label_values(&[handler, &code]);
            Served { line, counter }
        };
        self.served()
            .entry((handler, code))
            .or_insert_with(new)
            .counter
            .inc();
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<(&'static str, u16), Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observe_api_request(&self, transport: Transport, took: Duration) {
        self.api_requests
            .with_label_values(&[transport.name()])
            .observe(took.as_secs_f64());
    }

    pub(super) fn set_reload(&self, successful: bool, at: Timestamps) {
        let none: [&str; 0] = [];
        self.reload_successful
            .with_label_values(&none)
            .set(successful.into());
        if successful {
            self.reload_success_at
                .with_label_values(&none)
                .set(at.wall_ms.round() / 1000.0);
        }
    }

    /// The requests served, exact as of now.
    pub(super) fn served_segment(&self, format: Format) -> String {
        let served = self.served();
        let mut text = String::with_capacity(SERVED_CAPACITY);
        if !served.is_empty() {
            text.push_str(match format {
                Format::Text004 => &self.served_header[0],
                Format::OpenMetrics100 => &self.served_header[1],
            });
        }
        for Served { line, counter } in served.values() {
            text.push_str(line);
            exposition::number(&mut text, counter.get().into());
        }
        text
    }

    /// Writes the rest; reads `/proc`.
    pub(super) fn write_rest(&self, page: &mut Page) {
        write(page, &self.rest.gather());
    }
}

fn write(page: &mut Page, families: &[MetricFamily]) {
    for family in families {
        let kind = match family.get_field_type() {
            MetricType::COUNTER => Kind::Counter,
            MetricType::GAUGE => Kind::Gauge,
            MetricType::HISTOGRAM => Kind::Histogram,
            // None is registered above.
            MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        let mut to = page.family(Meta {
            name: family.name(),
            kind,
            help: family.help(),
        });
        for metric in family.get_metric() {
            let pairs: Vec<_> = metric
                .get_label()
                .iter()
                .map(|pair| (pair.name(), pair.value()))
                .collect();
            let labels: Vec<(&str, &dyn Display)> = pairs
                .iter()
                .map(|(name, value)| (*name, value as &dyn Display))
                .collect();
            match kind {
                Kind::Counter => {
                    to.sample("", "", &labels, metric.get_counter().get_value().into())
                }
                Kind::Gauge => to.sample("", "", &labels, metric.get_gauge().get_value().into()),
                Kind::Histogram => {
                    let histogram = metric.get_histogram();
                    for bucket in histogram.get_bucket() {
                        to.bucket(&labels, bucket.upper_bound(), bucket.cumulative_count());
                    }
                    let count = histogram.get_sample_count();
                    to.bucket(&labels, f64::INFINITY, count);
                    let sum = histogram.get_sample_sum();
                    to.sample("_sum", "", &labels, sum.into());
                    to.sample("_count", "", &labels, count.into());
                }
            }
        }
    }
}
