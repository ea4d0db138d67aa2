//! A Tradernet of our own, for the demo and for tests: accounts whose sessions open, extend and expire, and
//! whose server fails on request.
//!
//! ```text
//! options, session          configuration: accounts, their options, sessions
//! fault                     failures of requests and of streams
//! state, handles            the state; the simulator and its accounts as callers hold them
//! session_list, auth, login sessions to JSON; who a request is; logins
//! routes, request, response an HTTP request to an answer
//! protocol                  the messages of the streams
//! server, stream            the two listeners: HTTP, and WebSocket with socket.io
//! ```
//!
//! It shares no code with the client in this crate: a wrong signature would verify itself. The platform's
//! behaviour is taken from the vendor's pages, its public clients and published traffic; vendor and third-party
//! clients are run against it.
//!
//! ```
//! use std::time::Duration;
//! use tradernet_exporter::simulator::{AccountSpec, Fault, FaultTarget, SessionSpec, Repeat, Simulator};
//!
//! let simulator = Simulator::new();
//! let desk = simulator.add_account(AccountSpec::new("desk-1").sid("0123456789abcdef"));
//! let id = desk.open_session(SessionSpec::new(2, Duration::from_secs(3600)));
//! desk.inject_fault(FaultTarget::SessionList, Repeat::Once, Fault::status(502));
//! desk.close_session(id);
//! assert!(desk.open_sessions().is_empty());
//! ```

mod auth;
mod fault;
mod handles;
mod login;
mod options;
mod protocol;
mod request;
mod response;
mod routes;
mod server;
mod session;
mod session_list;
mod state;
mod stream;

pub use fault::{BodyEnd, Disconnect, Fault, FaultTarget, Repeat, StreamFault};
pub use handles::{Account, Simulator};
pub use options::{AccountSpec, ErrorEnvelope, ExpireUnit, ResponseShape};
pub use request::LoggedRequest;
pub use response::Response;
pub use server::serve;
pub use session::{Session, SessionSpec};
pub use state::RequestCounters;
pub use stream::serve_streams;
