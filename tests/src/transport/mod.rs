//! Transports of real hosts, small enough to copy: sockets for a thread that blocks, TLS for tokio.

mod halves;
mod socket;
mod tls;

pub use halves::{Ticks, halves};
pub use socket::{Address, Socket};
pub use tls::Tls;

use redwire_core::time::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::io::Read;

/// Reads what the system gives for secrets.
fn entropy() -> std::io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A host's clock: milliseconds, the same in all processes.
#[derive(Clone, Copy, Debug)]
struct Clock;

impl Clock {
    fn now(self) -> Instant {
        let time = clock_gettime(ClockId::Monotonic);
        let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
        Instant(seconds * 1_000 + nanoseconds / 1_000_000)
    }
}

/// Gives the time that transports here tell.
pub fn now() -> Instant {
    Clock.now()
}
