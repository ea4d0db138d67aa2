//! The only code that knows the Tradernet API: what is sent, what comes back, what it means.
//!
//! It makes one attempt at a time and never decides whether to make another.

mod error;

pub use error::{AuthError, Error, Reason};
