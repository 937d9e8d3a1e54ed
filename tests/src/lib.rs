//! Suites that need more than one room, and what they share.

pub mod frames;
pub mod hostile;
pub mod model;
pub mod wire;
#[cfg(unix)]
pub mod server;
#[cfg(unix)]
pub mod transport;
