//! The exporter in this process: [`run`](tradernet_exporter::run) with a configuration made from
//! variables, as users make it, on a free port, with the test's clock.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tradernet_exporter::clock::Clock;
use tradernet_exporter::config::{ConfigErrors, Flags};
use tradernet_exporter::{Config, Listeners, Signals, run};

use super::exposition::Exposition;
use super::http::{Reply, get, post};
use super::simulator::SimulatedApi;
use super::wait::{wait_until_some, within_timeout};

/// What tests set unless they set it otherwise. The interval is so long that only attempts that
/// the test asks for are made.
const DEFAULTS: [(&str, &str); 3] = [
    ("TRADERNET_POLL_INTERVAL", "1h"),
    ("WEB_LISTEN_ADDRESS", "127.0.0.1:0"),
    ("WEB_ENABLE_LIFECYCLE", "1"),
];

/// A running exporter.
pub(crate) struct InProcessExporter {
    pub(crate) address: SocketAddr,
    shutdown: watch::Sender<bool>,
    hangup: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

/// The variables that a test sets, over the defaults.
pub(crate) fn variables(given: &[(&str, &str)]) -> Vec<(String, String)> {
    let defaults = DEFAULTS
        .iter()
        .filter(|(name, _)| given.iter().all(|(other, _)| other != name));
    defaults
        .chain(given)
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
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
        let mut given = given.to_vec();
        if given.iter().all(|(name, _)| *name != "TRADERNET_URL") {
            given.push(("TRADERNET_URL", &upstream.origin));
        }
        let config = Self::config(&given).unwrap_or_else(|problems| panic!("{problems}"));
        Self::run(config, upstream.clock.clock()).await
    }

    /// Runs a configuration of the test's own making.
    pub(crate) async fn run(config: Config, clock: Clock) -> Self {
        let config = Config {
            clock,
            // The test's clock stands still; a scrape shows what was just published.
            scrape_interval: Duration::ZERO,
            min_retry_interval: Duration::ZERO,
            ..config
        };
        let listeners = Listeners::bind(&config.web).await.unwrap();
        let address = listeners.web[0].local_addr().unwrap();
        let (shutdown, shut_down) = watch::channel(false);
        let (hangup, hung_up) = mpsc::channel(1);
        let signals = Signals {
            shutdown: shut_down,
            hangup: hung_up,
        };
        let task = tokio::spawn(async { run(config, listeners, signals).await.unwrap() });
        Self {
            address,
            shutdown,
            hangup,
            task,
        }
    }

    /// Waits until every account had an attempt.
    pub(crate) async fn first_attempt(&self) -> Exposition {
        self.wait_for("every account is polled", |page| {
            let mut polls = page.matching("tradernet_polls_total", &[]).peekable();
            polls.peek().is_some() && polls.all(|(_, polls)| polls > 0.0)
        })
        .await
    }

    /// Has the account `default` polled now, and shows the metrics once that is over.
    pub(crate) async fn poll(&self) -> Exposition {
        self.poll_account("default").await
    }

    /// Has an account polled now, and shows the metrics once that is over.
    pub(crate) async fn poll_account(&self, account: &str) -> Exposition {
        let polls = |page: &Exposition| page.get("tradernet_polls_total", &[("account", account)]);
        let before = polls(&self.metrics().await);
        self.trigger_poll(account).await;
        self.wait_for("the poll is over", |page| polls(page) > before)
            .await
    }

    /// Asks for a poll of the account, without waiting for it.
    pub(crate) async fn trigger_poll(&self, account: &str) {
        let name: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
        let reply = post(self.address, &format!("/-/reload?account={name}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// The metrics as they are now.
    pub(crate) async fn metrics(&self) -> Exposition {
        let reply = self.get("/metrics").await;
        assert_eq!(reply.status, 200);
        Exposition::parse(reply.text())
    }

    /// The metrics as soon as they are as the test wants them.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        wanted: impl Fn(&Exposition) -> bool,
    ) -> Exposition {
        wait_until_some(what, async || {
            Some(self.metrics().await).filter(|page| wanted(page))
        })
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(self.address, path).await
    }

    /// What SIGHUP does.
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
