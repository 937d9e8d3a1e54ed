//! What a conversation sends.

use crate::batch::{Argument, BatchBuffer, flags};
use crate::machine::Slot;
use crate::table::RowId;

/// The slot of commands whose reply nobody waits for. Slots of callers are smaller.
pub(super) const NOBODY: Slot = Slot(1 << 31);

/// Takes the commands of a conversation.
#[derive(Debug)]
pub struct Outgoing<'a> {
    slot: Slot,
    batch: &'a mut BatchBuffer,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(slot: Slot, batch: &'a mut BatchBuffer) -> Self {
        Self { slot, batch }
    }

    /// Writes the command that is answered to the conversation, or to its caller; `timeout` is its own, in milliseconds (0: none).
    pub fn command<'b>(
        &mut self,
        row: RowId,
        flags: u32,
        timeout: Option<u32>,
        args: impl Iterator<Item = Argument<'b>>,
    ) {
        self.batch.push_arguments(self.slot, row, flags, timeout, args);
    }

    /// Writes a command whose reply is dropped, and that is sent again when its link is lost: executing it twice must do no harm.
    pub fn forget<'b>(&mut self, row: RowId, args: impl Iterator<Item = &'b [u8]>) {
        self.batch.push(NOBODY, row, flags::RAW | flags::IDEMPOTENT, None, args);
    }
}
