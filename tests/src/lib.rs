//! Suites that need more than one room, and what they share.

#[cfg(unix)]
pub mod clients;
pub mod frames;
pub mod hostile;
pub mod model;
pub mod schedules;
#[cfg(unix)]
pub mod server;
#[cfg(unix)]
pub mod transport;
pub mod wire;
