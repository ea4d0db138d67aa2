//! No secret appears in an error, a page or a log line.

mod config;
mod runtime;
