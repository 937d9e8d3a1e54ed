//! What clients want from their driver.

use crate::batch::BatchBuffer;
use crate::machine::{LeaseId, Slot};
use crate::operation::Script;
use alloc::vec::Vec;

/// What clients want from their driver.
#[derive(Default)]
pub(crate) struct Outbox {
    /// For the connection that everybody shares.
    pub(crate) shared: Commands,
    pub(crate) leased: Vec<(LeaseId, Commands)>,
    pub(crate) cancelled: Vec<Slot>,
    /// Who wants a lease.
    pub(crate) asked: Vec<Slot>,
    /// Leases that are over, once what was wanted on them is taken over.
    pub(crate) released: Vec<LeaseId>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { shared, leased, cancelled, asked, released } = self;
        let idle = cancelled.is_empty() && asked.is_empty() && released.is_empty();
        shared.batch.is_empty() && shared.watched.is_none() && leased.is_empty() && idle
    }

    /// Gives what is wanted on `lease`.
    pub(crate) fn on(&mut self, lease: LeaseId) -> &mut Commands {
        if lease == LeaseId::SHARED {
            return &mut self.shared;
        }
        let known = self.leased.iter().position(|(of, _)| *of == lease);
        let at = known.unwrap_or_else(|| {
            self.leased.push((lease, Commands::default()));
            self.leased.len() - 1
        });
        &mut self.leased[at].1
    }
}

/// What is wanted on one connection.
#[derive(Default)]
pub(crate) struct Commands {
    pub(crate) batch: BatchBuffer,
    /// Whether the batch holds more than commands.
    pub(crate) converses: bool,
    /// Scripts that the batch calls by their digest.
    pub(crate) scripts: Vec<Script>,
    /// The WATCH in the batch.
    pub(crate) watch: Option<Slot>,
    /// The transaction that is sent only on the link of the last WATCH.
    pub(crate) watched: Option<(Slot, BatchBuffer)>,
}
