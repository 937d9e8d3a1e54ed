//! Commands from acceptance to settlement, and the bytes that they are sent as.
//!
//! Bytes live in one buffer, in order, until the command that they belong to settles:
//!
//! ```text
//!   | retired | written, waiting for replies | not written |
//!             base                           sent          end
//! ```

use crate::batch::{Argument, Request, flags};
use crate::machine::{Segment, Slot};
use crate::resp::encode;
use crate::shape::Shape;
use crate::table::{self, Row, RowId};
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What a command is in its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// On its own.
    Plain,
    /// MULTI.
    Multi,
    /// Queued by the server until EXEC.
    Member,
    /// EXEC.
    Exec,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) slot: Slot,
    pub(super) role: Role,
    pub(super) shape: Shape,
    /// Whether the caller still waits; a tombstone only keeps its place.
    pub(super) live: bool,
    timeout: u32,
    deadline: Instant,
    start: u64,
}

/// Something that is not in the bytes, or must not be sent though it is.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: u64,
    what: Away,
}

#[derive(Clone, Copy, Debug)]
enum Away {
    /// An argument of the caller's.
    External(Slot, u32),
    /// This many bytes of a command that was given up.
    Skip(u64),
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    bytes: Vec<u8>,
    base: u64,
    sent: u64,
    cuts: VecDeque<Cut>,
    /// Leading entries that have their reply and stay for EXEC's.
    answered: usize,
    /// No deadline is earlier.
    next_deadline: Option<Instant>,
}

/// An idle buffer above this is given back.
const KEEP: usize = 1 << 20;
/// Retired bytes above this are moved away.
const RETIRED: usize = 64 << 10;

impl Queue {
    /// Accepts a well-formed request.
    pub(super) fn push(&mut self, now: Instant, default_timeout: u32, request: &Request<'_>) {
        let mut args = request.args();
        let named = request.flags & flags::NAMED != 0;
        let row = match (named, args.next()) {
            (true, Some(Argument::Bytes(name))) => table::find(name),
            (true, _) => RowId::UNKNOWN,
            (false, _) => request.row,
        };
        let row = Row::at(row);
        let skipped = usize::from(named);
        let bytes = request.args().skip(skipped).map(|arg| match arg {
            Argument::Bytes(bytes) => bytes,
            Argument::External(_) => &[],
        });
        let raw = request.flags & flags::RAW != 0;
        let shape = if raw { Shape::Plain } else { row.shape_with(bytes) };
        let role = match request.flags {
            flags if flags & flags::MULTI != 0 => Role::Multi,
            flags if flags & flags::MEMBER != 0 => Role::Member,
            flags if flags & flags::EXEC != 0 => Role::Exec,
            _ => Role::Plain,
        };
        let start = self.end();
        self.encode(if named { "" } else { row.name }, request);
        let timeout = match role {
            // a transaction has the deadline of its EXEC
            Role::Multi | Role::Member => 0,
            Role::Plain | Role::Exec => request.timeout.unwrap_or(default_timeout),
        };
        let deadline = now.limit(timeout);
        self.entries.push_back(Entry {
            slot: request.slot,
            role,
            shape,
            live: true,
            timeout,
            deadline,
            start,
        });
        self.expect(deadline);
    }

    fn encode(&mut self, name: &str, request: &Request<'_>) {
        let words = || name.split(' ').filter(|word| !word.is_empty()).map(str::as_bytes);
        let count = words().count() + request.args().len();
        let length: usize = words().map(|word| encode::bulk_len(word.len())).sum::<usize>()
            + request.args().map(copied_len).sum::<usize>();
        self.bytes.reserve(encode::header_len(count) + length);
        encode::header(&mut self.bytes, b'*', count);
        words().for_each(|word| encode::bulk(&mut self.bytes, word));
        let mut index = 0;
        for arg in request.args() {
            match arg {
                Argument::Bytes(bytes) => encode::bulk(&mut self.bytes, bytes),
                Argument::External(length) => {
                    encode::header(&mut self.bytes, b'$', length);
                    self.cuts.push_back(Cut { at: self.end(), what: Away::External(request.slot, index) });
                    self.bytes.extend_from_slice(b"\r\n");
                    index += 1;
                }
            }
        }
    }

    /// Gives the next stretch to send.
    pub(super) fn segment(&self) -> Option<Segment<'_>> {
        let cut = self.cuts.front();
        let end = match cut {
            Some(Cut { at, what: Away::External(slot, index) }) if *at == self.sent => {
                return Some(Segment::External(*slot, *index));
            }
            Some(cut) => cut.at,
            None => self.end(),
        };
        let bytes = self.bytes.get((self.sent - self.base) as usize..(end - self.base) as usize)?;
        (!bytes.is_empty()).then_some(Segment::Bytes(bytes))
    }

    /// Notes that the transport took `count` bytes of the last segment.
    pub(super) fn transmitted(&mut self, count: usize) {
        match self.cuts.front() {
            Some(Cut { at, what: Away::External(..) }) if *at == self.sent => {
                self.cuts.pop_front();
            }
            _ => self.sent = (self.sent + count as u64).min(self.end()),
        }
        self.skip();
    }

    /// Steps over bytes that are not to be sent.
    fn skip(&mut self) {
        while let Some(Cut { at, what: Away::Skip(length) }) = self.cuts.front() {
            if *at != self.sent {
                break;
            }
            self.sent += length;
            self.cuts.pop_front();
        }
    }

    /// Gives the entry whose reply comes next.
    pub(super) fn current(&self) -> Option<&Entry> {
        // a reply to something that was never written answers nothing
        self.entries.get(self.answered).filter(|entry| entry.start < self.sent)
    }

    /// Gives the position of the current entry among the members of its transaction.
    pub(super) fn member(&self) -> u32 {
        (self.answered as u32).wrapping_sub(1)
    }

    /// Gives the shape of the `index`th member of the transaction that is being answered.
    pub(super) fn member_shape(&self, index: u32) -> Shape {
        self.entries.get(index as usize + 1).map_or(Shape::Plain, |entry| entry.shape)
    }

    /// Notes that the current entry has its reply.
    pub(super) fn answer(&mut self) {
        match self.current().map(|entry| entry.role) {
            Some(Role::Multi | Role::Member) => self.answered += 1,
            Some(Role::Plain | Role::Exec) => {
                let settled = self.answered + 1;
                self.answered = 0;
                if settled == 1 {
                    self.entries.pop_front();
                } else {
                    self.entries.drain(..settled);
                }
                self.retire();
            }
            None => {}
        }
    }

    /// Lets go of bytes that no entry needs.
    fn retire(&mut self) {
        let Some(front) = self.entries.front() else {
            if self.sent == self.end() {
                self.base = self.end();
                self.bytes.clear();
                if self.bytes.capacity() > KEEP {
                    self.bytes = Vec::new();
                }
            }
            return;
        };
        let retired = (front.start.min(self.sent) - self.base) as usize;
        if retired > RETIRED && retired * 2 > self.bytes.len() {
            self.bytes.drain(..retired);
            self.base += retired as u64;
        }
    }

    /// Gives up every command in `slot`; `None` when there is none, else whether any of it was written.
    pub(super) fn cancel(&mut self, slot: Slot) -> Option<bool> {
        let first = self.entries.iter().position(|entry| entry.slot == slot && entry.live)?;
        let count = self.entries.iter().skip(first).take_while(|entry| entry.slot == slot).count();
        let written = self.entries.get(first).is_some_and(|entry| self.is_written(entry));
        if written {
            self.entries.iter_mut().skip(first).take(count).for_each(|entry| entry.live = false);
        } else {
            self.remove(first, count);
        }
        Some(written)
    }

    fn remove(&mut self, first: usize, count: usize) {
        let start = self.entries.get(first).map_or(self.end(), |entry| entry.start);
        let end = self.entries.get(first + count).map_or(self.end(), |entry| entry.start);
        self.entries.drain(first..first + count);
        self.cuts.retain(|cut| {
            !(start..end).contains(&cut.at) || matches!(cut.what, Away::Skip(_)) && cut.at < start
        });
        let place = self.cuts.partition_point(|cut| cut.at < start);
        self.cuts.insert(place, Cut { at: start, what: Away::Skip(end - start) });
        self.skip();
        self.retire();
    }

    /// Starts the clocks of commands that waited for the link.
    pub(super) fn restart_deadlines(&mut self, now: Instant) {
        self.next_deadline = None;
        for entry in &mut self.entries {
            entry.deadline = now.limit(entry.timeout);
        }
        self.refresh();
    }

    /// Gives up commands whose time is up; tells of each, with whether it was written.
    pub(super) fn expire(&mut self, now: Instant, mut tell: impl FnMut(Slot, bool)) {
        if self.next_deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        let due = |entry: &Entry| {
            entry.live && entry.deadline <= now && matches!(entry.role, Role::Plain | Role::Exec)
        };
        while let Some(slot) = self.entries.iter().find(|entry| due(entry)).map(|entry| entry.slot) {
            if let Some(written) = self.cancel(slot) {
                tell(slot, written);
            }
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        let waiting = self.entries.iter().filter(|entry| entry.live && entry.deadline != Instant::NEVER);
        self.next_deadline = waiting.map(|entry| entry.deadline).min();
    }

    fn expect(&mut self, deadline: Instant) {
        if deadline != Instant::NEVER && self.next_deadline.is_none_or(|next| deadline < next) {
            self.next_deadline = Some(deadline);
        }
    }

    /// Gives when to call [`expire`](Self::expire).
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline
    }

    /// Empties the queue; tells of each command that is still waited for, with whether it was written.
    pub(super) fn clear(&mut self, mut tell: impl FnMut(Slot, bool)) {
        let sent = self.sent;
        let mut written = false;
        for entry in self.entries.drain(..) {
            // a transaction was written when its first command was
            written = match entry.role {
                Role::Member | Role::Exec => written,
                _ => entry.start < sent,
            };
            if entry.live && matches!(entry.role, Role::Plain | Role::Exec) {
                tell(entry.slot, written);
            }
        }
        *self = Self {
            bytes: core::mem::take(&mut self.bytes),
            entries: core::mem::take(&mut self.entries),
            ..Self::default()
        };
        self.bytes.clear();
    }

    /// Tells whether nothing waits for a reply.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn is_written(&self, entry: &Entry) -> bool {
        entry.start < self.sent
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }
}

/// Gives the bytes that `arg` takes in the queue.
fn copied_len(arg: Argument<'_>) -> usize {
    match arg {
        Argument::Bytes(bytes) => encode::bulk_len(bytes.len()),
        Argument::External(length) => encode::header_len(length) + 2,
    }
}
