//! Finds out that a server is gone though nothing closed the link.
//!
//! ```text
//!   bytes came -- keep_alive --> PING, which no caller sees -- 5 s, no byte --> the link is over
//!        ^                                   |
//!        +-------------- bytes --------------+
//! ```

use super::Connection;
use crate::machine::Reason;
use crate::time::Instant;

/// Milliseconds that a server has to answer the PING, at most.
const PATIENCE: u32 = 5_000;

/// What was heard of the server on a link.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When bytes came last; `NEVER` when they came and nobody said when.
    heard: Instant,
    asked: bool,
}

impl Pulse {
    pub(super) const fn new() -> Self {
        Self { heard: Instant::NEVER, asked: false }
    }

    #[inline]
    pub(super) fn beat(&mut self, now: Instant) {
        *self = Self { heard: now, asked: false };
    }
}

impl Connection {
    /// Asks a silent server, or gives it up.
    #[cold]
    #[inline(never)]
    pub(super) fn watch(&mut self, now: Instant) {
        let every = self.config.keep_alive;
        // what blocks, or was told not to answer, does not answer this either
        let deaf = self.queue.blocked().is_some() || !self.is_answered();
        let pulse = &mut self.link.pulse;
        if pulse.heard == Instant::NEVER {
            pulse.beat(now);
        }
        let due = pulse.heard.limit(every);
        self.link.deadline = if due > now {
            due
        } else if deaf {
            now.limit(every)
        } else if pulse.asked {
            return self.lose(now, Reason::Silent);
        } else {
            pulse.asked = true;
            self.ask(now);
            now.limit(every.min(PATIENCE))
        };
    }
}
