//! x
pub mod account;
pub mod anomaly;
pub mod backoff;
pub mod breaker;
pub mod clock;
pub mod config;
pub mod expiry;
pub mod fleet;
pub mod ledger;
pub mod metrics;
pub mod safety;
pub mod secret;
pub mod session;
pub mod slots;
pub mod status;
pub mod tradernet;
