//! x
pub mod anomaly;
pub mod clock;
pub mod expiry;
pub mod ledger;
pub mod metrics;
pub mod safety;
pub mod session;
pub mod status;
pub mod tradernet;
pub mod web;
