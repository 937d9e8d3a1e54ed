//! Commands from acceptance to settlement.

mod accept;

pub(super) use accept::{Terms, known_row, shape_of};

use super::config::Bounds;
use super::inspect::Pending;
use super::outbound::Outbound;
use super::traces::Note;
use crate::batch::Batch;
use crate::fifo::Fifo;
use crate::machine::{Segment, Slot};
use crate::shape::Shape;
use crate::table::{Effect, Row, RowId};
use crate::time::Instant;
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
    /// Whether a conversation may wait for its reply.
    pub(super) attended: bool,
    /// The cache's registration of its reply; 0: none.
    pub(super) registration: u32,
    /// How often it was sent on links that are over.
    tries: u8,
    /// Whether the caller said that it may be executed twice.
    idempotent: bool,
    /// The server did not execute it, and it is sent again on the next link.
    refused: bool,
    /// What it does to a link that is leased.
    pub(super) note: Note,
    pub(super) row: Row,
    /// How many arguments it has, of those that are not its name.
    pub(super) args: u32,
    timeout: u32,
    /// When it was accepted.
    since: Instant,
    deadline: Instant,
    start: u64,
}

impl Entry {
    /// Tells whether the server may have executed it, knowing whether any of it was written on this link.
    fn maybe_executed(&self, written: bool) -> bool {
        (written && !self.refused) || self.tries > 0
    }

    /// Starts its clock. One that was sent before has no more time than it had.
    fn restart(&mut self, now: Instant) {
        if self.tries == 0 || self.timeout == 0 {
            self.deadline = now.limit(self.timeout);
        }
    }

    /// Has it wait to be written, until `limit` at most.
    fn wait_until(&mut self, limit: Instant) {
        self.deadline = if self.tries > 0 { self.deadline.min(limit) } else { limit };
    }

    /// Tells whether the server may hold back its reply.
    fn may_block(&self) -> bool {
        self.role == Role::Plain && self.row.may_block()
    }

    /// Gives what it does to its connection.
    pub(super) fn effect(&self) -> Effect {
        self.row.effect()
    }
}

/// Tells whether it begins what is executed as one.
fn is_head(entry: &Entry) -> bool {
    matches!(entry.role, Role::Plain | Role::Multi)
}

/// Tells whether it ends that.
fn is_last(entry: &Entry) -> bool {
    matches!(entry.role, Role::Plain | Role::Exec)
}

/// What becomes of a command, or of a transaction.
enum Fate {
    Stay,
    /// It keeps its place as a tombstone.
    Bury,
    /// It is gone, and its bytes are not sent any more.
    Remove,
}

#[derive(Debug)]
pub(super) struct Queue {
    entries: Fifo<Entry>,
    outbound: Outbound,
    /// Leading entries that were refused or settled, and stay until the link is over.
    kept: usize,
    /// Entries behind those that have their reply and stay for EXEC's.
    answered: usize,
    /// No deadline is earlier.
    next_deadline: Instant,
    /// Where the command stood that was cancelled last: what one signal gives up stands together.
    cancelled: usize,
    /// Where the bytes began of what was held back, when clocks were last set for it.
    gate: u64,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            entries: Fifo::new(),
            outbound: Outbound::new(),
            kept: 0,
            answered: 0,
            next_deadline: Instant::NEVER,
            cancelled: 0,
            gate: u64::MAX,
        }
    }

    /// Adds a command of redwire's own, as it is sent, whose reply is nobody's.
    #[cold]
    #[inline(never)]
    pub(super) fn ask(&mut self, command: &[u8]) {
        let start = self.outbound.end();
        self.outbound.append(command);
        self.entries.push(Entry {
            slot: OWN,
            role: Role::Plain,
            shape: Shape::RAW,
            live: false,
            attended: false,
            registration: 0,
            tries: 0,
            idempotent: false,
            refused: false,
            note: Note::Nothing,
            row: Row::at(RowId::UNKNOWN),
            args: 0,
            timeout: 0,
            since: Instant(0),
            deadline: Instant::NEVER,
            start,
        });
    }

    /// Notes the cache's registration of the reply to the command that came last.
    pub(super) fn register(&mut self, registration: u32) {
        if let Some(entry) = self.entries.last_mut() {
            entry.registration = registration;
        }
    }

    /// Gives the next stretch to send of the first `room` commands; a transaction that began goes on.
    pub(super) fn segment(&self, room: u32) -> Option<Segment<'_>> {
        self.outbound.segment(self.gate_behind(room))
    }

    /// Notes that the transport took `count` bytes of the last segment.
    pub(super) fn transmitted(&mut self, count: usize) {
        self.outbound.transmitted(count);
    }

    /// Gives the entry whose reply comes next.
    #[inline]
    pub(super) fn current(&self) -> Option<&Entry> {
        // a reply to something that was never written answers nothing
        self.entries.get(self.kept + self.answered).filter(|entry| self.is_written(entry))
    }

    /// Gives the entry whose reply comes next, where that is nothing but its caller's.
    #[inline]
    pub(super) fn plain(&self) -> Option<&Entry> {
        let entry = self.entries.first().filter(|_| self.kept == 0)?;
        let plain = entry.role == Role::Plain && entry.live && !entry.attended;
        (plain && self.is_written(entry)).then_some(entry)
    }

    /// Notes that the [`plain`](Self::plain) entry has its reply; [`retire`](Self::retire) is to follow.
    #[inline]
    pub(super) fn pass(&mut self) {
        self.entries.skip(1);
    }

    /// Takes replies that say of commands in a transaction that they are queued, and no more; gives the bytes used.
    pub(super) fn take_queued(&mut self, input: &[u8]) -> usize {
        const QUEUED: &[u8; 9] = b"+QUEUED\r\n";
        let mut used = 0;
        while input.get(used..).and_then(<[u8]>::first_chunk) == Some(QUEUED)
            && self.current().is_some_and(|entry| entry.role == Role::Member)
        {
            self.answered += 1;
            used += QUEUED.len();
        }
        used
    }

    /// Tells whether nothing that was written as a whole has no reply.
    pub(super) fn is_drained(&self) -> bool {
        let next = self.kept + self.answered;
        let end = self.entries.get(next + 1).map_or(self.outbound.end(), |next| next.start);
        next >= self.entries.len() || !self.outbound.is_sent(end - 1)
    }

    /// Gives the position of the current entry among the members of its transaction.
    pub(super) fn member(&self) -> u32 {
        (self.answered as u32).wrapping_sub(1)
    }

    /// Gives the shape of the `index`th member of the transaction that is being answered.
    pub(super) fn member_shape(&self, index: u32) -> Shape {
        self.entries.get(self.kept + index as usize + 1).map_or(Shape::PLAIN, |entry| entry.shape)
    }

    /// Notes that the current entry has its reply.
    pub(super) fn answer(&mut self) {
        match self.current().map(|entry| entry.role) {
            Some(Role::Multi | Role::Member) => self.answered += 1,
            Some(Role::Plain | Role::Exec) => {
                let settled = self.answered + 1;
                self.answered = 0;
                if self.kept > 0 {
                    return self.keep(settled, false);
                }
                self.entries.skip(settled);
                self.retire();
            }
            None => {}
        }
    }

    /// Notes that the server did not execute the current command, which is to be sent again on the next link; false: its caller has to
    /// be told, and decides.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse(&mut self, writes: bool) -> bool {
        let refusable = |entry: &&Entry| {
            // what a script did before its own refusal nobody knows
            entry.live && entry.role == Role::Plain && (!writes || entry.row.is_write())
        };
        let refused = self.current().filter(refusable).is_some();
        if refused {
            self.keep(1, true);
        }
        refused
    }

    /// Keeps the next `count` entries until the link is over: because they are to be sent again, or only because earlier ones are.
    #[cold]
    #[inline(never)]
    fn keep(&mut self, count: usize, refused: bool) {
        for entry in self.entries.iter_mut().skip(self.kept).take(count) {
            (entry.refused, entry.live) = (refused, refused);
            if !refused {
                entry.deadline = Instant::NEVER;
            }
        }
        self.kept += count;
    }

    /// Tells whether the current entry is a command of redwire's own.
    pub(super) fn is_own(&self) -> bool {
        self.current().is_some_and(|entry| entry.slot == OWN)
    }

    /// Lets go of bytes that no entry needs.
    #[inline]
    pub(super) fn retire(&mut self) {
        self.outbound.retire(self.entries.first().map(|entry| entry.start));
    }

    /// Gives up every command in `slot`; `None` when there is none, else whether any of it was ever written.
    pub(super) fn cancel(&mut self, slot: Slot, limit: u32) -> Option<bool> {
        let is_wanted = |entry: &Entry| entry.slot == slot && entry.live;
        let (before, behind) = self.entries.split_at(self.cancelled.min(self.entries.len()));
        let first = match behind.iter().position(is_wanted) {
            // a transaction may begin before
            Some(0) => before.iter().rposition(|entry| !is_wanted(entry)).map_or(0, |at| at + 1),
            Some(at) => before.len() + at,
            None => before.iter().position(is_wanted)?,
        };
        self.cancelled = first;
        let count = self.entries.iter().skip(first).take_while(|entry| entry.slot == slot).count();
        let entry = self.entries.get(first)?;
        let written = self.is_written(entry);
        let maybe_executed = entry.maybe_executed(written);
        if written {
            for entry in self.entries.iter_mut().skip(first).take(count) {
                entry.live = false;
                entry.deadline = entry.deadline.limit(limit);
            }
        } else {
            self.remove(first, count);
        }
        Some(maybe_executed)
    }

    fn remove(&mut self, first: usize, count: usize) {
        let start_of = |entry: Option<&Entry>| entry.map_or(self.outbound.end(), |entry| entry.start);
        let (start, end) = (start_of(self.entries.get(first)), start_of(self.entries.get(first + count)));
        self.entries.remove(first..first + count);
        self.outbound.withhold(start, end);
        self.retire();
    }

    /// Starts the clocks of commands that waited for the link. One that is sent again has no more time than it had.
    pub(super) fn restart_deadlines(&mut self, now: Instant) {
        self.entries.iter_mut().for_each(|entry| entry.restart(now));
        self.refresh();
    }

    /// Gives where the commands begin that are behind the first `room`.
    fn gate_behind(&self, room: u32) -> u64 {
        let behind = self.entries.get(room as usize..).unwrap_or_default();
        behind.iter().find(|entry| is_head(entry)).map_or(u64::MAX, |entry| entry.start)
    }

    /// Sets the clocks of what is held back because there is no more `room`: what is so from now on, of those behind the first `known`,
    /// waits for `wait` milliseconds at most, and what is not any more has its own time.
    #[inline(never)]
    pub(super) fn admit(&mut self, now: Instant, room: u32, wait: u32, known: usize) {
        let gate = self.gate_behind(room);
        let before = core::mem::replace(&mut self.gate, gate);
        let waited = self.entries.partition_point(|entry| entry.start < before);
        let known = known.min(self.entries.len());
        let (old, new) = self.entries.split_at_mut(known);
        for entry in old.iter_mut().skip(waited).take_while(|entry| entry.start < gate) {
            entry.restart(now);
            self.next_deadline = self.next_deadline.min(entry.deadline);
        }
        for entry in new.iter_mut().filter(|entry| entry.start >= gate && entry.live && is_last(entry)) {
            entry.wait_until(now.limit(wait));
            self.next_deadline = self.next_deadline.min(entry.deadline);
        }
    }

    /// Gives up commands whose time is up; tells of each, with whether it was ever written and whether it was held back. Gives whether
    /// one that was given up has no reply `limit` milliseconds later.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        limit: u32,
        mut tell: impl FnMut(Slot, bool, bool),
    ) -> bool {
        if self.next_deadline > now {
            return false;
        }
        let (gate, mut stalled) = (self.gate, false);
        self.sift(false, &mut |entry, written| {
            if entry.deadline > now {
                return Fate::Stay;
            }
            entry.deadline = now.limit(limit);
            if !entry.live {
                stalled = true;
                return Fate::Stay;
            }
            tell(entry.slot, entry.maybe_executed(written), !written && entry.start >= gate);
            if written { Fate::Bury } else { Fate::Remove }
        });
        stalled
    }

    /// Prepares for another link after one that was ready: what was not written stays, as do commands that may be repeated and were
    /// not `resends` times yet. Tells of each other that is waited for.
    pub(super) fn cut(&mut self, now: Instant, wait: u32, resends: u8, mut tell: impl FnMut(Slot)) {
        (self.kept, self.answered) = (0, 0);
        let limit = now.limit(wait);
        self.sift(true, &mut |entry, written| {
            if !entry.live {
                return Fate::Remove;
            }
            if !written || entry.refused {
                entry.refused = false;
                entry.wait_until(limit);
                return Fate::Stay;
            }
            let repeatable = entry.idempotent || entry.row.is_repeatable();
            if entry.role == Role::Plain && repeatable && entry.tries < resends {
                entry.tries += 1;
                entry.deadline = entry.deadline.min(limit);
                return Fate::Stay;
            }
            if is_last(entry) {
                tell(entry.slot);
            }
            Fate::Remove
        });
    }

    /// Keeps the queue within `bounds`; tells of the commands that are given up for it, with whether they were ever written: of the
    /// newest behind the first `keep`, or, where nothing is written, of the `oldest`.
    #[inline]
    pub(super) fn bound(
        &mut self,
        bounds: Bounds,
        oldest: bool,
        keep: usize,
        mut tell: impl FnMut(Slot, bool),
    ) {
        if self.is_over(bounds) {
            self.shrink(bounds, oldest, keep, &mut tell);
        }
    }

    #[inline(never)]
    fn is_over(&self, bounds: Bounds) -> bool {
        self.entries.len() as u64 > bounds.commands.into() || self.outbound.unsent() > bounds.bytes.into()
    }

    #[cold]
    #[inline(never)]
    fn shrink(&mut self, bounds: Bounds, oldest: bool, keep: usize, tell: &mut dyn FnMut(Slot, bool)) {
        while self.is_over(bounds) {
            let head = if oldest { Some(0) } else { self.entries.iter().rposition(is_head) };
            let Some((at, entry)) = head.and_then(|at| Some((at, *self.entries.get(at)?))) else { break };
            if at < keep || self.is_written(&entry) {
                break;
            }
            if entry.live {
                tell(entry.slot, entry.tries > 0);
            }
            if oldest {
                let behind = self.entries.iter().skip(1).position(is_head);
                self.entries.skip(behind.map_or(self.entries.len(), |behind| behind + 1));
                self.outbound.rewind(self.entries.first().map(|entry| entry.start));
            } else {
                self.entries.truncate(at);
                self.outbound.truncate(entry.start);
            }
        }
        self.retire();
        self.refresh();
    }

    /// Decides about each command, and each transaction by its EXEC, knowing whether any of it was written on this link. Where that
    /// is over, what stays is sent from its start.
    #[inline(never)]
    fn sift(&mut self, over: bool, decide: &mut dyn FnMut(&mut Entry, bool) -> Fate) {
        let mut withheld: Vec<(u64, u64)> = Vec::new();
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            let (start, written) = (entry.start, self.is_written(entry));
            let count = self.entries.iter().skip(at).position(is_last).map_or(1, |members| members + 1);
            let fate =
                self.entries.get_mut(at + count - 1).map_or(Fate::Stay, |entry| decide(entry, written));
            match fate {
                Fate::Stay => {}
                Fate::Bury => {
                    self.entries.iter_mut().skip(at).take(count).for_each(|entry| entry.live = false);
                }
                Fate::Remove => {
                    let end = self.entries.get(at + count).map_or(self.outbound.end(), |next| next.start);
                    match withheld.last_mut() {
                        Some(before) if before.1 == start => before.1 = end,
                        _ => withheld.push((start, end)),
                    }
                }
            }
            at += count;
        }
        let mut ranges = withheld.iter().peekable();
        self.entries.retain(|entry| {
            while ranges.next_if(|range| range.1 <= entry.start).is_some() {}
            ranges.peek().is_none_or(|range| entry.start < range.0)
        });
        if over {
            self.outbound.rewind(self.entries.first().map(|entry| entry.start));
        }
        for (start, end) in withheld {
            self.outbound.withhold(start, end);
        }
        self.retire();
        self.refresh();
    }

    #[inline(never)]
    fn refresh(&mut self) {
        self.next_deadline = self.entries.iter().fold(Instant::NEVER, |next, entry| next.min(entry.deadline));
    }

    /// Gives when to call [`expire`](Self::expire).
    pub(super) fn next_deadline(&self) -> Instant {
        self.next_deadline
    }

    /// Empties the queue; tells of each command that is still waited for, with whether it was ever written.
    pub(super) fn clear(&mut self, mut tell: impl FnMut(Slot, bool)) {
        let mut written = false;
        for entry in self.entries.iter() {
            // a transaction was written when its first command was
            written = match entry.role {
                Role::Member | Role::Exec => written,
                _ => self.outbound.is_sent(entry.start),
            };
            if entry.live && is_last(entry) {
                tell(entry.slot, entry.maybe_executed(written));
            }
        }
        self.entries.clear();
        self.outbound.clear();
        (self.kept, self.answered) = (0, 0);
        self.next_deadline = Instant::NEVER;
    }

    /// Gives where the first command begins that is not settled.
    pub(super) fn front(&self) -> u64 {
        self.entries.first().map_or(self.outbound.end(), |entry| entry.start)
    }

    /// Tells whether nothing waits for a reply.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Gives how many bytes are to be sent.
    pub(super) fn unsent(&self) -> u64 {
        self.outbound.unsent()
    }

    /// Gives the commands that somebody waits for, and of a transaction its EXEC.
    pub(super) fn pending(&self, now: Instant) -> impl Iterator<Item = Pending> {
        let waited = |entry: &&Entry| entry.live && is_last(entry);
        self.entries.iter().filter(waited).map(move |entry| Pending {
            slot: entry.slot,
            written: self.is_written(entry) && !entry.refused,
            age: now.0.saturating_sub(entry.since.0).try_into().unwrap_or(u32::MAX),
        })
    }

    /// Gives how many commands there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes note of what the commands of `batch` do, which were accepted behind the first `count`.
    #[inline(never)]
    pub(super) fn note(&mut self, count: usize, batch: &Batch<'_>) {
        let mut batch = *batch;
        for entry in self.entries.iter_mut().skip(count) {
            if let Ok(Some(request)) = batch.next_request() {
                entry.note = Note::of(entry.row, entry.role, &request);
            }
        }
    }

    /// Gives what all commands do, in order.
    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        self.entries.iter().skip(self.answered).map(|entry| entry.note)
    }

    /// Gives the entry whose reply comes next, if it was written as a whole.
    pub(super) fn written(&self) -> Option<&Entry> {
        let end = self.entries.get(self.answered + 1).map_or(self.outbound.end(), |next| next.start);
        self.current().filter(|_| self.outbound.is_sent(end - 1))
    }

    /// Tells whether anybody waits for a reply.
    pub(super) fn is_awaited(&self) -> bool {
        self.entries.iter().any(|entry| entry.live)
    }

    /// Tells whether a command is among those that wait whose reply the server may hold back.
    pub(super) fn may_block(&self) -> bool {
        self.entries.iter().any(|entry| entry.live && entry.may_block())
    }

    /// Gives the command whose reply the server is holding back, if it may do so.
    pub(super) fn blocked(&self) -> Option<&Entry> {
        self.current().filter(|entry| entry.may_block())
    }

    fn is_written(&self, entry: &Entry) -> bool {
        self.outbound.is_sent(entry.start)
    }
}

/// The slot of redwire's own commands, which no caller has.
const OWN: Slot = Slot(u32::MAX);
