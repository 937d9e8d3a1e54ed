//! What a conversation sends.

use super::Operation;
use crate::batch::{
    BatchBuffer, Kept,
    flags::{self, CONVERSATION},
};
use crate::draft;
use crate::machine::Slot;
use crate::table::RowId;
use alloc::boxed::Box;
use alloc::vec::Vec;

const MULTI: RowId = const { draft::id("MULTI") };
const EXEC: RowId = const { draft::id("EXEC") };

/// The first slot of conversations that nobody waits for. Slots of callers are smaller, or the last few.
pub(super) const BESIDE: Slot = Slot(1 << 31);
/// The slot of commands whose reply nobody waits for.
pub(super) const NOBODY: Slot = Slot(3 << 30);

/// Tells whether nobody waits for what becomes of `slot`.
pub(super) fn is_beside(slot: Slot) -> bool {
    (BESIDE..=NOBODY).contains(&slot)
}

/// What conversations have written, and begun beside themselves.
#[derive(Default)]
pub(super) struct Written {
    pub(super) batch: BatchBuffer,
    pub(super) begun: Vec<Box<dyn Operation + Send>>,
}

/// Takes the commands of a conversation.
pub struct Outgoing<'a> {
    slot: Slot,
    written: &'a mut Written,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(slot: Slot, written: &'a mut Written) -> Self {
        Self { slot, written }
    }

    /// Writes the command that is answered to the conversation, or to its caller; `timeout` is its own, in milliseconds (0: none).
    pub fn command(&mut self, row: RowId, flags: u32, timeout: Option<u32>, args: &[&[u8]]) {
        self.command_with(row, flags, timeout, args, &Kept::default());
    }

    /// Likewise; the arguments in `rest` come behind the others.
    pub(super) fn command_with(
        &mut self,
        row: RowId,
        flags: u32,
        timeout: Option<u32>,
        args: &[&[u8]],
        rest: &Kept,
    ) {
        self.written.batch.push_with(self.slot, row, flags | CONVERSATION, timeout, args, rest);
    }

    /// Writes a transaction of one command, which is answered as that would be, or by null where a key that was watched has changed.
    pub fn transaction(&mut self, row: RowId, timeout: Option<u32>, args: &[&[u8]]) {
        for (row, role, args) in
            [(MULTI, flags::MULTI, &[][..]), (row, flags::MEMBER, args), (EXEC, flags::EXEC, &[])]
        {
            self.command(row, flags::RAW | role, timeout, args);
        }
    }

    /// Writes a command whose reply is dropped, and that is sent again when its link is lost: executing it twice must do no harm.
    pub fn forget(&mut self, row: RowId, args: &[&[u8]]) {
        let flags = flags::RAW | flags::IDEMPOTENT | CONVERSATION;
        self.written.batch.push_with(NOBODY, row, flags, None, args, &Kept::default());
    }

    /// Begins a conversation that nobody waits for, behind what is written, or on the link that everybody shares where this one is lost.
    pub(super) fn begin(&mut self, operation: Box<dyn Operation + Send>) {
        self.written.begun.push(operation);
    }
}
