//! A test's requests to an exporter, in this process or the built binary, and their answers.

use std::net::SocketAddr;

use super::exposition::Exposition;
use super::http::{Reply, get, post};
use super::wait::wait_until_some;

/// The address of an exporter. Both kinds of exporter dereference to it.
#[derive(Clone, Copy)]
pub(crate) struct ExporterClient {
    pub(crate) address: SocketAddr,
}

impl ExporterClient {
    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(self.address, path).await
    }

    /// The metrics. A page of the built binary may be a second old: wait for an effect with
    /// [`wait_for`](Self::wait_for).
    pub(crate) async fn metrics(&self) -> Exposition {
        let reply = self.get("/metrics").await;
        assert_eq!(reply.status, 200);
        Exposition::parse(reply.text())
    }

    /// The metrics as soon as the condition holds.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        condition: impl Fn(&Exposition) -> bool,
    ) -> Exposition {
        wait_until_some(what, async || {
            Some(self.metrics().await).filter(|page| condition(page))
        })
        .await
    }

    /// The metrics as soon as the only series of this name has this value.
    pub(crate) async fn wait_for_value(&self, name: &str, value: f64) -> Exposition {
        let what = format!("{name} is {value}");
        self.wait_for(&what, |page| page.find(name, &[]) == Some(value))
            .await
    }

    /// Waits until every account had an attempt.
    pub(crate) async fn first_attempt(&self) -> Exposition {
        self.wait_for("every account is polled", |page| {
            let mut polls = page.matching("tradernet_polls_total", &[]).peekable();
            polls.peek().is_some() && polls.all(|(_, polls)| polls > 0.0)
        })
        .await
    }

    /// Has the account `default` polled now, and returns the metrics once that is over.
    pub(crate) async fn poll(&self) -> Exposition {
        self.poll_account("default").await
    }

    /// Has an account polled now, and returns the metrics once that is over.
    pub(crate) async fn poll_account(&self, account: &str) -> Exposition {
        let polls = |page: &Exposition| page.get("tradernet_polls_total", &[("account", account)]);
        let before = polls(&self.metrics().await);
        self.trigger_poll(account).await;
        self.wait_for("the poll is over", |page| polls(page) > before)
            .await
    }

    /// Requests a poll of the account, without waiting for it.
    pub(crate) async fn trigger_poll(&self, account: &str) {
        let name: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
        let reply = post(self.address, &format!("/-/reload?account={name}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}
