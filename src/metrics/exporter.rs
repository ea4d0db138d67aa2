//! The exporter's own metrics: build, configuration, process, requests made and answered.
//!
//! The `prometheus` crate keeps and gathers them; [`write()`] renders them in the page's formats.

use std::fmt::Display;
use std::time::Duration;

use prometheus::proto::{self, MetricFamily};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::exposition::{ExpositionWriter, FamilyMeta, MetricType};
use crate::clock::Timestamps;
use crate::logging;
use crate::shard::Shard;
use crate::status::Transport;

/// Upper bounds in seconds: from an answer of a near server to the longest sensible timeout.
const REQUEST_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// The labels of a vector that is absent until it is set.
const NO_LABELS: [&str; 0] = [];

/// Handles of the exporter's own metrics, and the registry that gathers them.
#[derive(Debug)]
pub(super) struct ExporterMetrics {
    registry: Registry,
    http_requests: IntCounterVec,
    api_requests: HistogramVec,
    reload_successful: IntGaugeVec,
    reload_success_at: GaugeVec,
    log_lines_dropped: IntCounter,
}

impl ExporterMetrics {
    /// Fails only where a name below is not a valid metric name.
    pub(super) fn new(shard: Shard) -> prometheus::Result<Self> {
        let http_requests = IntCounterVec::new(
            Opts::new(
                "tradernet_exporter_http_requests_total",
                "HTTP requests answered, by route and status code.",
            ),
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
        let reload_successful = IntGaugeVec::new(
            Opts::new(
                "tradernet_exporter_config_last_reload_successful",
                "1 if the last reading of the configuration succeeded.",
            ),
            &NO_LABELS,
        )?;
        let reload_success_at = GaugeVec::new(
            Opts::new(
                "tradernet_exporter_config_last_reload_success_timestamp_seconds",
                "Time of the last successful reading of the configuration.",
            ),
            &NO_LABELS,
        )?;
        let build_info = IntGaugeVec::new(
            Opts::new(
                "tradernet_exporter_build_info",
                "Version and revision of the exporter and version of the compiler; always 1.",
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

        let log_lines_dropped = IntCounter::new(
            "tradernet_exporter_log_lines_dropped_total",
            "Log lines dropped because standard error was not read fast enough.",
        )?;

        let shard_info = IntGaugeVec::new(
            Opts::new(
                "tradernet_exporter_shard_info",
                "The share of the accounts that this process watches; always 1.",
            ),
            &["shard", "shards"],
        )?;
        let (index, count) = (shard.index().to_string(), shard.count().to_string());
        shard_info.with_label_values(&[&index, &count]).set(1);

        let registry = Registry::new();
        registry.register(Box::new(shard_info))?;
        registry.register(Box::new(log_lines_dropped.clone()))?;
        registry.register(Box::new(http_requests.clone()))?;
        registry.register(Box::new(api_requests.clone()))?;
        registry.register(Box::new(reload_successful.clone()))?;
        registry.register(Box::new(reload_success_at.clone()))?;
        registry.register(Box::new(build_info))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(process::Process::new()))?;
        Ok(Self {
            registry,
            http_requests,
            api_requests,
            reload_successful,
            reload_success_at,
            log_lines_dropped,
        })
    }

    pub(super) fn count_request(&self, handler: &str, code: &str) {
        self.http_requests.with_label_values(&[handler, code]).inc();
    }

    pub(super) fn observe_api_request(&self, transport: Transport, duration: Duration) {
        self.api_requests
            .with_label_values(&[transport.name()])
            .observe(duration.as_secs_f64());
    }

    pub(super) fn set_reload(&self, successful: bool, at: Timestamps) {
        self.reload_successful
            .with_label_values(&NO_LABELS)
            .set(successful.into());
        if successful {
            self.reload_success_at
                .with_label_values(&NO_LABELS)
                .set(at.wall_ms.round() / 1000.0);
        }
    }

    /// All families as of now; reads `/proc`.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        let counted = self.log_lines_dropped.get();
        let dropped = logging::dropped_lines();
        self.log_lines_dropped
            .inc_by(dropped.saturating_sub(counted));
        self.registry.gather()
    }
}

/// Writes gathered families.
pub(super) fn write(page: &mut ExpositionWriter, families: &[MetricFamily]) {
    for family in families {
        let kind = match family.get_field_type() {
            proto::MetricType::COUNTER => MetricType::Counter,
            proto::MetricType::GAUGE => MetricType::Gauge,
            proto::MetricType::HISTOGRAM => MetricType::Histogram,
            // Not registered above.
            proto::MetricType::SUMMARY | proto::MetricType::UNTYPED => continue,
        };
        let mut writer = page.family(FamilyMeta {
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
            let value = match kind {
                MetricType::Counter => metric.get_counter().get_value(),
                MetricType::Gauge => metric.get_gauge().get_value(),
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
                    continue;
                }
            };
            writer.sample("", "", &labels, value.into());
        }
    }
}

#[cfg(target_os = "linux")]
mod process {
    //! `process_*`, with processor time in fractions of a second.

    use prometheus::core::{Collector, Desc};
    use prometheus::process_collector::ProcessCollector;
    use prometheus::proto::{Counter, MetricFamily};
    use rustix::time::{ClockId, clock_gettime};

    /// The crate's collector, whose processor time is whole seconds.
    pub(super) struct Process(ProcessCollector);

    impl Process {
        pub(super) fn new() -> Self {
            Self(ProcessCollector::for_self())
        }
    }

    impl Collector for Process {
        fn desc(&self) -> Vec<&Desc> {
            self.0.desc()
        }

        fn collect(&self) -> Vec<MetricFamily> {
            let mut families = self.0.collect();
            let cpu = clock_gettime(ClockId::ProcessCPUTime);
            let mut counter = Counter::default();
            counter.set_value(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
            for family in &mut families {
                if family.name() == "process_cpu_seconds_total" {
                    for metric in family.mut_metric() {
                        metric.set_counter(counter.clone());
                    }
                }
            }
            families
        }
    }
}
