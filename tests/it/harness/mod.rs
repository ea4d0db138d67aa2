//! What the tests stand on: a simulated Tradernet, the exporter in this process or as the built
//! binary, a clock that is turned by hand, and readers of what is served.
//!
//! ```text
//! clock       wall and monotonic clock, moved apart from one another
//! upstream    a simulated Tradernet on a free port, plain or with TLS by a private CA
//! exporter    `run` in this process: configured by variables, polled on request
//! program     the built binary, in an empty environment, its log captured
//! browser     Chromium, for the status page
//! page        an exposition, read strictly
//! http        one request, one answer, nothing hidden
//! tools       Python and promtool
//! wait        for an effect, with an end
//! ```
//!
//! Nothing here sleeps for a fixed time, and no port is fixed. A test waits for an effect.

mod browser;
mod clock;
mod exporter;
mod http;
mod page;
mod program;
mod tools;
mod upstream;
mod wait;

pub(crate) use browser::{Browser, View};
pub(crate) use clock::TestClock;
pub(crate) use exporter::Exporter;
pub(crate) use http::{ask, get, post};
pub(crate) use page::Page;
pub(crate) use program::{Finished, Program, end_after, finish};
pub(crate) use tools::{interpreter, promtool_check, python, python_file, python_with};
pub(crate) use upstream::{Ca, LOGIN, SID, Upstream};
pub(crate) use wait::{let_pass, soon, until};
