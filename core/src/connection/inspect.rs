//! What stands where, for whoever looks for what is wrong.

use super::{Connection, State};
use crate::machine::Slot;
use crate::time::Instant;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is tried.
    Idle,
    /// The next attempt to open a link is to come.
    Waiting,
    /// The transport is being opened.
    Opening,
    /// Hands are being shaken.
    Shaking,
    /// Commands flow.
    Ready,
    /// No more is written, and the link ends when all is answered.
    Leaving,
}

/// A command that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its slot.
    pub slot: Slot,
    /// Whether any of it was written on the link that is open.
    pub written: bool,
    /// Milliseconds since it was accepted.
    pub age: u32,
}

impl Connection {
    /// Tells where the connection stands.
    pub fn stage(&self) -> Stage {
        match self.link.state {
            State::Idle => Stage::Idle,
            State::Waiting => Stage::Waiting,
            State::Opening => Stage::Opening,
            State::Shaking(_) => Stage::Shaking,
            State::Ready if self.link.leaving.is_some() => Stage::Leaving,
            State::Ready => Stage::Ready,
        }
    }

    /// Gives how many bytes of commands are to be sent, external arguments included.
    pub fn unsent(&self) -> u64 {
        self.queue.unsent()
    }

    /// Gives the commands that somebody waits for, in order; of a transaction one.
    pub fn pending(&self, now: Instant) -> impl Iterator<Item = Pending> {
        self.queue.pending(now)
    }
}
