//! Watches the open security sessions of Tradernet accounts and serves them to Prometheus.
//!
//! The map of the house, from the outside in:
//!
//! | module | owns | must not know |
//! | --- | --- | --- |
//! | [`config`] | flags and variables to a [`Config`] that cannot be wrong | sockets |
//! | [`account`], [`fleet`] | one poller an account, the only retry loop | who reads the result |
//! | [`tradernet`] | the API: requests, answers, errors | when to try again |
//! | [`shard`] | which accounts are ours: pure | the others |
//! | [`ledger`], [`anomaly`], [`expiry`], [`session`] | what answers mean: pure | wire, metrics, runtime |
//! | [`status`] | what is published of each account | how it was found out |
//! | [`metrics`] | names, HELP, rendering | how data arrived |
//! | [`web`] | routes, status page, probes | accounts' internals |
//! | [`simulator`], [`demo`] | a Tradernet of our own | the client's code |
//!
//! [`run`] puts them together; it chooses neither port nor signal.

pub mod account;
pub mod anomaly;
pub mod backoff;
pub mod breaker;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod expiry;
pub mod fleet;
pub mod healthcheck;
pub mod ledger;
pub mod log;
pub mod metrics;
pub mod safety;
pub mod secret;
pub mod serve;
pub mod session;
pub mod shard;
pub mod simulator;
pub mod slots;
pub mod status;
pub mod tradernet;
pub mod web;

pub use config::Config;
pub use serve::{Listeners, Signals, run};
