//! Tests against programs that were not written here.

mod simulator_streams;
