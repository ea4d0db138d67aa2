//! Watches the open security sessions of Tradernet accounts and serves them to Prometheus.
//!
//! Imports run downwards only:
//!
//! | module | owns | does not know |
//! | --- | --- | --- |
//! | [`app`] | [`run`]: puts the parts together | ports, signals |
//! | [`config`] | flags, variables and the accounts file to a valid [`Config`] | sockets |
//! | [`web`] | routes, status page, probes | pollers |
//! | [`metrics`] | names, HELP, exposition formats | transports |
//! | [`poller`] | one account's loop: attempt, back off, again | readers of the result |
//! | [`status`] | the published state of each account | where it came from |
//! | [`tradernet`] | the API: requests, responses, errors | retry policy |
//! | [`session`] | the domain, pure: time is an argument | serde, metrics, tokio |
//! | [`simulator`], [`demo`] | an embedded Tradernet | the client's code |

#[macro_use]
mod labels;

pub mod app;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hash_password;
pub mod healthcheck;
pub mod logging;
pub mod metrics;
pub mod poller;
pub mod secret;
pub mod session;
pub mod shard;
pub mod simulator;
pub mod status;
pub mod text;
pub mod threads;
pub mod tradernet;
pub mod web;

pub use app::{Listeners, Signals, run};
pub use config::Config;
