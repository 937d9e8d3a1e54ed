//! Commands from acceptance to settlement.

use super::fifo::Fifo;
use super::outbound::Outbound;
use crate::batch::{Arguments, Batch, Malformed, Request, flags};
use crate::machine::{Segment, Slot};
use crate::shape::Shape;
use crate::table::{self, Row, RowId};
use crate::time::Instant;

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

#[derive(Debug)]
pub(super) struct Queue {
    entries: Fifo<Entry>,
    outbound: Outbound,
    /// Leading entries that have their reply and stay for EXEC's.
    answered: usize,
    /// No deadline is earlier.
    next_deadline: Instant,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { entries: Fifo::new(), outbound: Outbound::new(), answered: 0, next_deadline: Instant::NEVER }
    }

    /// Accepts the commands of `batch`, all or none.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        default_timeout: u32,
        batch: &Batch<'_>,
    ) -> Result<(), Malformed> {
        let mut batch = *batch;
        let accepted = self.entries.len();
        let (mark, mut at) = self.outbound.begin(&batch);
        loop {
            let step = match batch.head() {
                Ok(Some(request)) => self.push(now, default_timeout, at, &request, &mut batch),
                Ok(None) => break,
                Err(malformed) => Err(malformed),
            };
            match step {
                Ok(end) => at = end,
                Err(malformed) => {
                    self.entries.truncate(accepted);
                    self.outbound.revert(mark);
                    return Err(malformed);
                }
            }
        }
        self.outbound.finish(at);
        Ok(())
    }

    #[inline]
    fn push(
        &mut self,
        now: Instant,
        default_timeout: u32,
        at: usize,
        request: &Request<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<usize, Malformed> {
        let named = request.flags & flags::NAMED != 0;
        let row = Row::at(if named { RowId::UNKNOWN } else { request.row });
        let known = if named { named_row(request.args()) } else { row };
        let shape = match request.flags & flags::RAW {
            0 if named => named_shape(known, request.args()),
            0 => row.shape_with(request.args()),
            _ => Shape::RAW,
        };
        let role = match request.flags & (flags::MULTI | flags::MEMBER | flags::EXEC) {
            0 => Role::Plain,
            flags::MULTI => Role::Multi,
            flags::MEMBER => Role::Member,
            _ => Role::Exec,
        };
        let continued = matches!(role, Role::Member | Role::Exec);
        let end = self.outbound.write(at, request, row, continued, batch)?;
        let timeout = match role {
            // a transaction has the deadline of its EXEC
            Role::Multi | Role::Member => 0,
            Role::Plain | Role::Exec => match request.timeout {
                Some(timeout) => timeout,
                None if known.may_block() => {
                    let names = if named { known.words() } else { 0 };
                    let (count, Batch { words, text, side }) = (request.args().len(), request.args().rest());
                    patience(known, names, count, words, text, side, default_timeout)
                }
                None => default_timeout,
            },
        };
        let deadline = now.limit(timeout);
        let start = self.outbound.offset(at);
        self.entries.push(Entry { slot: request.slot, role, shape, live: true, timeout, deadline, start });
        self.next_deadline = self.next_deadline.min(deadline);
        Ok(end)
    }

    /// Gives the next stretch to send.
    pub(super) fn segment(&self) -> Option<Segment<'_>> {
        self.outbound.segment()
    }

    /// Notes that the transport took `count` bytes of the last segment.
    pub(super) fn transmitted(&mut self, count: usize) {
        self.outbound.transmitted(count);
    }

    /// Gives the entry whose reply comes next.
    pub(super) fn current(&self) -> Option<&Entry> {
        // a reply to something that was never written answers nothing
        self.entries.get(self.answered).filter(|entry| self.is_written(entry))
    }

    /// Gives the position of the current entry among the members of its transaction.
    pub(super) fn member(&self) -> u32 {
        (self.answered as u32).wrapping_sub(1)
    }

    /// Gives the shape of the `index`th member of the transaction that is being answered.
    pub(super) fn member_shape(&self, index: u32) -> Shape {
        self.entries.get(index as usize + 1).map_or(Shape::PLAIN, |entry| entry.shape)
    }

    /// Notes that the current entry has its reply.
    pub(super) fn answer(&mut self) {
        match self.current().map(|entry| entry.role) {
            Some(Role::Multi | Role::Member) => self.answered += 1,
            Some(Role::Plain | Role::Exec) => {
                let settled = self.answered + 1;
                self.answered = 0;
                self.entries.skip(settled);
                self.retire();
            }
            None => {}
        }
    }

    /// Lets go of bytes that no entry needs.
    fn retire(&mut self) {
        self.outbound.retire(self.entries.first().map(|entry| entry.start));
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
        let start_of = |entry: Option<&Entry>| entry.map_or(self.outbound.end(), |entry| entry.start);
        let (start, end) = (start_of(self.entries.get(first)), start_of(self.entries.get(first + count)));
        self.entries.remove(first..first + count);
        self.outbound.withhold(start, end);
        self.retire();
    }

    /// Starts the clocks of commands that waited for the link.
    pub(super) fn restart_deadlines(&mut self, now: Instant) {
        for entry in self.entries.iter_mut() {
            entry.deadline = now.limit(entry.timeout);
        }
        self.refresh();
    }

    /// Gives up commands whose time is up; tells of each, with whether it was written.
    pub(super) fn expire(&mut self, now: Instant, mut tell: impl FnMut(Slot, bool)) {
        if self.next_deadline > now {
            return;
        }
        let (mut at, mut kept) = (0, 0);
        while let Some(&first) = self.entries.get(at) {
            let last = |entry: &Entry| matches!(entry.role, Role::Plain | Role::Exec);
            let members = self.entries.iter().skip(at).position(last).unwrap_or(0);
            let next = at + members + 1;
            let due = |entry: &Entry| entry.live && entry.deadline <= now;
            let due = self.entries.get(next - 1).is_some_and(due);
            let written = self.is_written(&first);
            if due {
                tell(first.slot, written);
                if !written {
                    let end = self.entries.get(next).map_or(self.outbound.end(), |next| next.start);
                    self.outbound.withhold(first.start, end);
                }
            }
            for at in at..next {
                let entry = self.entries.get(at).filter(|_| written || !due).copied();
                if let (Some(entry), Some(place)) = (entry, self.entries.get_mut(kept)) {
                    *place = Entry { live: entry.live && !due, ..entry };
                    kept += 1;
                }
            }
            at = next;
        }
        self.entries.truncate(kept);
        self.retire();
        self.refresh();
    }

    fn refresh(&mut self) {
        let waiting = self.entries.iter().filter(|entry| entry.live);
        self.next_deadline = waiting.fold(Instant::NEVER, |next, entry| next.min(entry.deadline));
    }

    /// Gives when to call [`expire`](Self::expire).
    pub(super) fn next_deadline(&self) -> Instant {
        self.next_deadline
    }

    /// Empties the queue; tells of each command that is still waited for, with whether it was written.
    pub(super) fn clear(&mut self, mut tell: impl FnMut(Slot, bool)) {
        let mut written = false;
        for entry in self.entries.iter() {
            // a transaction was written when its first command was
            written = match entry.role {
                Role::Member | Role::Exec => written,
                _ => self.outbound.is_sent(entry.start),
            };
            if entry.live && matches!(entry.role, Role::Plain | Role::Exec) {
                tell(entry.slot, written);
            }
        }
        self.entries.clear();
        self.outbound.clear();
        self.answered = 0;
        self.next_deadline = Instant::NEVER;
    }

    /// Tells whether nothing waits for a reply.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn is_written(&self, entry: &Entry) -> bool {
        self.outbound.is_sent(entry.start)
    }
}

/// How long what the server does in between may take when it holds its reply back at will.
const MARGIN: u32 = 1000;

/// Gives how many milliseconds to wait for a reply that the server may hold back as the command's arguments, which are behind
/// `names` words, say. See `Shape::of` for why they come in parts.
#[inline(never)]
fn patience(
    known: Row,
    names: usize,
    count: usize,
    words: &[u32],
    text: &[u8],
    side: &[u8],
    default: u32,
) -> u32 {
    let args = Arguments::new(count, Batch { words, text, side }).skip(names).map(|arg| arg.bytes());
    match known.time_limit(args) {
        Some(0) => 0,
        Some(own) if default > 0 => own.saturating_add(MARGIN),
        _ => default,
    }
}

#[inline(never)]
fn named_row(args: Arguments<'_>) -> Row {
    let mut words = args.map(|word| word.bytes());
    Row::at(table::find_words(words.next().unwrap_or_default(), words.next()))
}

#[inline(never)]
fn named_shape(known: Row, mut args: Arguments<'_>) -> Shape {
    args.by_ref().take(known.words()).for_each(drop);
    known.shape_with(args)
}
