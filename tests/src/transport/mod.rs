//! Transports of real hosts, small enough to copy: sockets for a thread that blocks, TLS for tokio.

mod halves;
mod socket;
mod tls;

pub use halves::{Ticks, halves};
pub use socket::{Address, Socket};
pub use tls::Tls;

use redwire_core::time::Instant;
use std::io::Read;

/// Reads what the system gives for secrets.
fn entropy() -> std::io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A host's clock: milliseconds since it was made.
#[derive(Clone, Copy, Debug)]
struct Clock(std::time::Instant);

impl Clock {
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn now(self) -> Instant {
        Instant(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
