//! Batches as callers write them.

use super::Words;
use redwire_core::batch::{BatchBuffer, flags};
use redwire_core::machine::Slot;
use redwire_core::operation::Script;
use redwire_core::table::{self, RowId};

/// Commands of one slot each, of which the connection knows no more than their names.
pub fn commands(commands: &[(u32, Words)], flags: u32, timeout: Option<u32>) -> BatchBuffer {
    let mut buffer = BatchBuffer::default();
    for (slot, words) in commands {
        buffer.push(Slot(*slot), RowId::UNKNOWN, flags, timeout, words.iter().map(Vec::as_slice));
    }
    buffer
}

/// A transaction of `members`.
pub fn transaction(slot: u32, members: &[Words]) -> BatchBuffer {
    let mut buffer = BatchBuffer::default();
    let none = || std::iter::empty::<&[u8]>();
    buffer.push(Slot(slot), table::find(b"MULTI"), flags::MULTI, None, none());
    for member in members {
        let args = member.iter().map(Vec::as_slice);
        buffer.push(Slot(slot), RowId::UNKNOWN, flags::MEMBER, None, args);
    }
    buffer.push(Slot(slot), table::find(b"EXEC"), flags::EXEC, None, none());
    buffer
}

/// A call of `script` by its digest with the arguments in `line`.
pub fn call(slot: u32, script: &Script, line: &str) -> BatchBuffer {
    let mut args = vec![script.sha().as_bytes().to_vec()];
    args.extend(super::words(line));
    let mut buffer = BatchBuffer::default();
    let args = args.iter().map(Vec::as_slice);
    buffer.push(Slot(slot), table::find(b"EVALSHA"), flags::SCRIPT, None, args);
    buffer
}

/// An operation with the arguments in `line`, `_` for an empty one.
pub fn operation(slot: u32, kind: u16, line: &str) -> BatchBuffer {
    let args = line.split(' ').map(|arg| if arg == "_" { b"" } else { arg.as_bytes() });
    let mut buffer = BatchBuffer::default();
    buffer.push(Slot(slot), RowId(kind), flags::OPERATION, None, args);
    buffer
}

/// The words of a command whose arguments behind the first `copied` stay with the caller.
pub fn external(slot: u32, args: &Words, copied: usize) -> Vec<u32> {
    let (near, far) = args.split_at(copied);
    let mut words = vec![slot, flags::NAMED, args.len() as u32];
    words.extend(near.iter().map(|arg| 1 << 30 | arg.len() as u32));
    words.extend(far.iter().flat_map(|arg| [2 << 30, arg.len() as u32]));
    words
}
