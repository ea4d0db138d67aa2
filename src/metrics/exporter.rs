//! The exporter's own metrics: build, configuration, process, requests made and answered.
//!
//! The `prometheus` crate keeps and gathers them; [`write()`] renders them in the page's formats.

use std::fmt::Display;

#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{self, MetricFamily};
use prometheus::{
    Gauge, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry,
    register_gauge_with_registry, register_histogram_vec_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry,
    register_int_gauge_vec_with_registry, register_int_gauge_with_registry,
};
#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};

use super::exposition::{ExpositionWriter, FamilyMeta, MetricType};
use crate::logging;
use crate::shard::Shard;

/// Upper bounds in seconds: from an answer of a near server to the longest sensible timeout.
const REQUEST_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Handles of the exporter's own metrics, and the registry that gathers them. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct ExporterMetrics {
    registry: Registry,
    pub(super) http_requests: IntCounterVec,
    pub(super) api_requests: HistogramVec,
    pub(super) reload_successful: IntGauge,
    pub(super) reload_success_at: Gauge,
    log_lines_dropped: IntCounter,
}

impl ExporterMetrics {
    /// Fails only where a name below is not a valid metric name.
    pub(super) fn new(shard: Shard) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let version = env!("CARGO_PKG_VERSION");
        register_int_gauge_vec_with_registry!(
            "tradernet_exporter_build_info",
            "Version and revision of the exporter and version of the compiler; always 1.",
            &["version", "revision", "rustversion"],
            registry
        )?
        .with_label_values(&[version, env!("BUILD_REVISION"), env!("BUILD_RUSTC_VERSION")])
        .set(1);
        let (index, count) = (shard.index.to_string(), shard.count.to_string());
        register_int_gauge_vec_with_registry!(
            "tradernet_exporter_shard_info",
            "The share of the accounts that this process watches; always 1.",
            &["shard", "shards"],
            registry
        )?
        .with_label_values(&[&index, &count])
        .set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            http_requests: register_int_counter_vec_with_registry!(
                "tradernet_exporter_http_requests_total",
                "HTTP requests answered, by route and status code.",
                &["handler", "code"],
                registry
            )?,
            api_requests: register_histogram_vec_with_registry!(
                "tradernet_api_request_duration_seconds",
                "Duration of requests to Tradernet over all accounts.",
                &["transport"],
                REQUEST_BUCKETS.into(),
                registry
            )?,
            reload_successful: register_int_gauge_with_registry!(
                "tradernet_exporter_config_last_reload_successful",
                "1 if the last reading of the configuration succeeded.",
                registry
            )?,
            reload_success_at: register_gauge_with_registry!(
                "tradernet_exporter_config_last_reload_success_timestamp_seconds",
                "Time of the last successful reading of the configuration.",
                registry
            )?,
            log_lines_dropped: register_int_counter_with_registry!(
                "tradernet_exporter_log_lines_dropped_total",
                "Log lines dropped because standard error could not be written, or not fast enough.",
                registry
            )?,
            registry,
        })
    }

    /// All families as of now; reads `/proc`.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        let counted = self.log_lines_dropped.get();
        let dropped = logging::dropped_lines();
        self.log_lines_dropped
            .inc_by(dropped.saturating_sub(counted));
        let mut families = self.registry.gather();
        #[cfg(target_os = "linux")]
        for family in &mut families {
            // The crate reads whole seconds.
            if family.name() == "process_cpu_seconds_total" {
                let cpu = clock_gettime(ClockId::ProcessCPUTime);
                let mut counter = proto::Counter::default();
                counter.set_value(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
                let mut metric = proto::Metric::default();
                metric.set_counter(counter);
                family.set_metric(vec![metric]);
            }
        }
        families
    }
}

/// Writes gathered families.
pub(super) fn write(page: &mut ExpositionWriter<'_>, families: &[MetricFamily]) {
    for family in families {
        let kind = match family.get_field_type() {
            proto::MetricType::COUNTER => MetricType::Counter,
            proto::MetricType::HISTOGRAM => MetricType::Histogram,
            // No other type is registered above.
            _ => MetricType::Gauge,
        };
        let mut writer = page.family(FamilyMeta {
            name: family.name(),
            kind,
            help: family.help(),
        });
        for metric in family.get_metric() {
            let pairs = metric.get_label().iter();
            let pairs: Vec<_> = pairs.map(|pair| (pair.name(), pair.value())).collect();
            let labels = pairs
                .iter()
                .map(|(name, value)| (*name, value as &dyn Display));
            let labels: Vec<_> = labels.collect();
            match kind {
                MetricType::Gauge => {
                    writer.sample("", "", &labels, metric.get_gauge().get_value().into());
                }
                MetricType::Counter => {
                    writer.sample("", "", &labels, metric.get_counter().get_value().into());
                }
                MetricType::Histogram => {
                    let histogram = metric.get_histogram();
                    for bucket in histogram.get_bucket() {
                        writer.bucket(&labels, bucket.upper_bound(), bucket.cumulative_count());
                    }
                    let count = histogram.get_sample_count();
                    writer.bucket(&labels, f64::INFINITY, count);
                    let sum = histogram.get_sample_sum();
                    writer.sample("_sum", "", &labels, sum.into());
                    writer.sample("_count", "", &labels, count.into());
                }
            }
        }
    }
}
