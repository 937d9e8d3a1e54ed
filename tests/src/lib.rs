//! Suites that need more than one room, and what they share.

pub mod frames;
pub mod hostile;
pub mod model;
#[cfg(unix)]
pub mod server;
#[cfg(unix)]
pub mod transport;
pub mod wire;
