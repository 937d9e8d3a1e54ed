//! Who waits for a connection of their own: first come, first served.

use crate::batch::Batch;
use crate::connection::{Bounds, Pending};
use crate::machine::Slot;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) slot: Slot,
    pub(super) since: Instant,
    /// When it gives up.
    pub(super) deadline: Instant,
    pub(super) want: Want,
}

/// What is waited for.
#[derive(Debug)]
pub(super) enum Want {
    /// A connection for this command, which blocks.
    Run(Box<Command>),
    /// A lease.
    Lease,
    /// A lease without its link.
    Place,
}

impl Want {
    /// Gives how many bytes it holds.
    fn len(&self) -> usize {
        if let Self::Run(command) = self { command.len() } else { 0 }
    }
}

/// A command of its own: the batch that it came in is gone.
#[derive(Debug)]
pub(super) struct Command {
    words: Box<[u32]>,
    text: Box<[u8]>,
    side: Box<[u8]>,
}

impl Command {
    pub(super) fn new(batch: &Batch<'_>) -> Self {
        Self { words: batch.words.into(), text: batch.text.into(), side: batch.side.into() }
    }

    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { words: &self.words, text: &self.text, side: &self.side }
    }

    fn len(&self) -> usize {
        self.words.len() * size_of::<u32>() + self.text.len() + self.side.len()
    }
}

/// All who wait, whose deadlines are in order: they may all wait as long.
#[derive(Debug)]
pub(super) struct Waiting {
    waiters: Vec<Waiter>,
    /// Bytes of their commands.
    bytes: usize,
}

impl Waiting {
    pub(super) const fn new() -> Self {
        Self { waiters: Vec::new(), bytes: 0 }
    }

    /// Gives all who wait, with the milliseconds since they do.
    pub(super) fn pending(&self, now: Instant) -> impl Iterator<Item = Pending> {
        self.waiters.iter().map(move |waiter| Pending {
            slot: waiter.slot,
            written: false,
            age: now.0.saturating_sub(waiter.since.0).try_into().unwrap_or(u32::MAX),
        })
    }

    /// Tells whether another may wait.
    pub(super) fn has_room(&self, bounds: Bounds) -> bool {
        self.waiters.len() < bounds.commands as usize && self.bytes <= bounds.bytes as usize
    }

    pub(super) fn push(&mut self, waiter: Waiter) {
        self.bytes += waiter.want.len();
        self.waiters.push(waiter);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Gives what the first wants.
    pub(super) fn first(&self) -> Option<&Want> {
        self.waiters.first().map(|first| &first.want)
    }

    /// Takes the first, if it waits no longer than to `end`.
    pub(super) fn pop_until(&mut self, end: Instant) -> Option<Waiter> {
        self.waiters.first().filter(|first| first.deadline <= end)?;
        Some(self.take(0))
    }

    /// Takes the one in `slot`.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Waiter> {
        let at = self.waiters.iter().position(|waiter| waiter.slot == slot)?;
        Some(self.take(at))
    }

    fn take(&mut self, at: usize) -> Waiter {
        let waiter = self.waiters.remove(at);
        self.bytes -= waiter.want.len();
        waiter
    }

    /// Gives when the first gives up.
    pub(super) fn deadline(&self) -> Instant {
        self.waiters.first().map_or(Instant::NEVER, |first| first.deadline)
    }
}
