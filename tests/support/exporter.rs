//! The exporter in this process: [`run`](tradernet_exporter::run) with a configuration made from
//! variables, as users make it, on a free port, with the test's clock.

use std::ffi::OsString;
use std::ops::Deref;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tradernet_exporter::clock::Clock;
use tradernet_exporter::config::{ConfigErrors, Flags};
use tradernet_exporter::{Config, Listeners, Signals, run};

use super::client::ExporterClient;
use super::simulator::SimulatedApi;
use super::wait::within_timeout;

/// Defaults of the tests. The interval is so long that only attempts that
/// the test requests are made.
const DEFAULTS: [(&str, &str); 3] = [
    ("TRADERNET_POLL_INTERVAL", "1h"),
    ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
    ("WEB_ENABLE_LIFECYCLE", "1"),
];

/// A running exporter.
pub(crate) struct InProcessExporter {
    client: ExporterClient,
    shutdown: watch::Sender<bool>,
    hangup: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// The variables that a test sets, over the defaults.
pub(crate) fn variables<'a>(given: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let defaults = DEFAULTS
        .iter()
        .filter(|(name, _)| given.iter().all(|(other, _)| other != name));
    defaults.chain(given).copied().collect()
}

impl Deref for InProcessExporter {
    type Target = ExporterClient;

    fn deref(&self) -> &ExporterClient {
        &self.client
    }
}

impl InProcessExporter {
    /// Resolves a configuration as the program does.
    pub(crate) fn config(given: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let variables = variables(given)
            .into_iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::load(&Flags::default(), variables)
    }

    /// Watches `upstream` with these variables and waits for the first attempt to be over.
    pub(crate) async fn start(upstream: &SimulatedApi, given: &[(&str, &str)]) -> Self {
        let exporter = Self::start_unready(upstream, given).await;
        exporter.first_attempt().await;
        exporter
    }

    /// The same, without waiting: for an upstream that hangs.
    pub(crate) async fn start_unready(upstream: &SimulatedApi, given: &[(&str, &str)]) -> Self {
        Self::start_on(upstream.clock.clock(), &upstream.variables(given)).await
    }

    /// With exactly these variables over the defaults, on this clock.
    pub(crate) async fn start_on(clock: Clock, given: &[(&str, &str)]) -> Self {
        let config = Self::config(given).unwrap_or_else(|problems| panic!("{problems}"));
        Self::run(config, clock).await
    }

    /// Runs a configuration of the test's own making.
    pub(crate) async fn run(config: Config, clock: Clock) -> Self {
        let config = Config {
            clock,
            // The test's clock does not advance; a scrape shows the latest status.
            scrape_interval: Duration::ZERO,
            min_retry_interval: Duration::ZERO,
            ..config
        };
        let listeners = Listeners::bind(&config.web).await.unwrap();
        let address = listeners.web[0].tcp_address().unwrap();
        let (shutdown, shut_down) = watch::channel(false);
        let (hangup, hung_up) = mpsc::channel(1);
        let signals = Signals {
            shutdown: shut_down,
            hangup: hung_up,
        };
        let task = tokio::spawn(async {
            let polling = tokio::runtime::Handle::current();
            run(config, listeners, signals, &polling).await.unwrap();
        });
        Self {
            client: ExporterClient { address },
            shutdown,
            hangup,
            task,
        }
    }

    /// Reloads, like SIGHUP.
    pub(crate) async fn send_sighup(&self) {
        self.hangup.send(()).await.unwrap();
    }

    /// Ends it, and waits for that.
    pub(crate) async fn stop(self) {
        self.shutdown.send_replace(true);
        within_timeout("the exporter ends", self.task)
            .await
            .unwrap();
    }
}
