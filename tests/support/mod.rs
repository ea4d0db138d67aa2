//! Shared by both test binaries: a simulated Tradernet, the exporter in this process or as the built
//! binary, a clock that is turned by hand, and readers of what is served.
//!
//! ```text
//! address     where the built binary listens, from its log
//! clock       wall and monotonic clock, moved apart from one another
//! simulator   a simulated Tradernet on a free port, plain or with TLS by a private CA
//! client      what is read of an exporter of either kind: pages, polls on request
//! exporter    `run` in this process: configured by variables, polled on request
//! process     the built binary, in an empty environment, its log captured
//! exposition  a metrics page, read strictly
//! proxy       an HTTP proxy, an end of TLS
//! http        one request, one answer, nothing hidden
//! wait        for an effect, with an end
//! ```
//!
//! Nothing here sleeps for a fixed time, and no port is fixed. A test waits for an effect.

mod address;
mod client;
mod clock;
mod exporter;
mod exposition;
mod http;
mod process;
mod proxy;
mod simulator;
mod wait;

pub(crate) use clock::TestClock;
pub(crate) use exporter::InProcessExporter;
pub(crate) use exposition::Exposition;
pub(crate) use http::{Reply, ask, ask_socket, get, get_over_tls, post, send_raw};
pub(crate) use process::{
    ExporterProcess, ProcessOutput, other, run_to_exit, run_until, run_with_input,
};
pub(crate) use proxy::{Proxy, tls_terminator};
pub(crate) use simulator::{Ca, LOGIN, SID, SimulatedApi, gzip};
pub(crate) use wait::{advance_time, wait_until_some, within_timeout};
