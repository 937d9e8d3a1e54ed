//! Commands from acceptance to settlement.

use super::outbound::Outbound;
use crate::batch::{Batch, Malformed, Request, flags};
use crate::machine::{Segment, Slot};
use crate::shape::Shape;
use crate::table::{self, Row, RowId};
use crate::time::Instant;
use alloc::collections::VecDeque;

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

#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    outbound: Outbound,
    /// Leading entries that have their reply and stay for EXEC's.
    answered: usize,
    /// No deadline is earlier.
    next_deadline: Option<Instant>,
}

impl Queue {
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
        let known = Row::at(if named { named_row(request) } else { request.row });
        let args = request.args().skip(if named { known.words() } else { 0 }).map(|arg| arg.bytes());
        let shape = match request.flags & flags::RAW {
            0 => known.shape_with(args.clone()),
            _ => Shape::RAW,
        };
        let role = match request.flags & (flags::MULTI | flags::MEMBER | flags::EXEC) {
            0 => Role::Plain,
            flags::MULTI => Role::Multi,
            flags::MEMBER => Role::Member,
            _ => Role::Exec,
        };
        let written = if named { Row::at(RowId::UNKNOWN) } else { known };
        let continued = matches!(role, Role::Member | Role::Exec);
        let end = self.outbound.write(at, request, written, continued, batch)?;
        let timeout = match role {
            // a transaction has the deadline of its EXEC
            Role::Multi | Role::Member => 0,
            Role::Plain | Role::Exec => {
                request.timeout.unwrap_or_else(|| patience(known.time_limit(args), default_timeout))
            }
        };
        let deadline = now.limit(timeout);
        let start = self.outbound.offset(at);
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
        self.outbound.retire(self.entries.front().map(|entry| entry.start));
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
        self.entries.drain(first..first + count);
        self.outbound.withhold(start, end);
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
        let mut written = false;
        for entry in self.entries.drain(..) {
            // a transaction was written when its first command was
            written = match entry.role {
                Role::Member | Role::Exec => written,
                _ => self.outbound.is_sent(entry.start),
            };
            if entry.live && matches!(entry.role, Role::Plain | Role::Exec) {
                tell(entry.slot, written);
            }
        }
        self.outbound.clear();
        self.answered = 0;
        self.next_deadline = None;
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

/// Gives how many milliseconds to wait for a reply that the server may hold back for `own`; 0 is for ever.
fn patience(own: Option<u32>, default: u32) -> u32 {
    match own {
        Some(0) => 0,
        Some(own) if default > 0 => own.saturating_add(MARGIN),
        _ => default,
    }
}

fn named_row(request: &Request<'_>) -> RowId {
    let mut words = request.args().map(|word| word.bytes());
    words.next().map_or(RowId::UNKNOWN, |first| table::find_words(first, words.next()))
}
