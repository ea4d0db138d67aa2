//! A Tradernet of our own, for the demo and for tests: accounts whose sessions open, renew and expire, and
//! whose server misbehaves on request.
//!
//! ```text
//! spec, session, fault   what a world is told: accounts, their oddities, sessions, failures
//! world, state, log      the state behind one lock, by one clock, and who waits for a change of it
//! answer, sign           pure: sessions to JSON, signatures to a verdict
//! access, login          who a request is, and the login form
//! api, reply             routes and envelopes: a request to an answer
//! spoil                  a fault to what goes over the wire
//! face, wire             the HTTP server, as thin as can be
//! stream                 the faces that push, over WebSocket and socket.io, on the same listener
//! demo                   the world of the `demo` command, and what goes on in it
//! ```
//!
//! It shares no code with the client in this crate: a wrong signature would verify itself. Where it says
//! what the platform does, the source is the vendor's page of `getSecuritySessions` and its public clients.
//!
//! ```
//! use std::time::Duration;
//! use tradernet_exporter::simulator::{AccountSpec, Fault, FaultTarget, SessionSpec, Times, World};
//!
//! let world = World::new();
//! world.add_account(AccountSpec::new("desk-1").sid("0123456789abcdef"));
//! let id = world.open("desk-1", SessionSpec::new(2, Duration::from_secs(3600)))?;
//! world.fail("desk-1", FaultTarget::Lists, Times::Count(1), Fault::status(502))?;
//! world.close("desk-1", id)?;
//! assert!(world.sessions("desk-1").is_empty());
//! # Ok::<(), tradernet_exporter::simulator::NotThere>(())
//! ```

mod access;
mod answer;
mod api;
pub mod demo;
mod face;
mod fault;
mod log;
mod login;
mod reply;
mod session;
mod sign;
mod spec;
mod spoil;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod wire;
mod world;

pub use face::serve;
pub use fault::{Fault, FaultTarget, RetryAfter, Times};
pub use log::LoggedRequest;
pub use session::{Session, SessionSpec};
pub use spec::{
    AccountSpec, AnswerShape, DatetimeStyle, Envelope, EnvelopeStyle, ExpireUnit, LoginBehaviour,
    OwnLogin, Quirks,
};
pub use state::Seen;
pub use stream::{Answered, Cut, DemoWords, SocketIoForms, StreamConnect, StreamQuirks};
pub use world::{NotThere, World};
