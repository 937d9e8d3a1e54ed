//! The bytes of commands, from acceptance until the command that they belong to settles.
//!
//! ```text
//!   | retired | written, waiting for replies | not written |
//!             base                           sent          end
//! ```

use crate::batch::{Batch, Malformed, Place, Request};
use crate::fifo::Fifo;
use crate::machine::{Segment, Slot};
use crate::resp::Writer;
use crate::table::Row;
use alloc::vec::Vec;

/// Something that is not in the bytes, or must not be sent though it is.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: u64,
    what: Away,
}

#[derive(Clone, Copy, Debug)]
enum Away {
    /// An argument of the caller's.
    External { slot: Slot, index: u32, length: u32 },
    /// This many bytes of a command that was given up.
    Skip(u64),
}

#[derive(Debug)]
pub(super) struct Outbound {
    bytes: Vec<u8>,
    base: u64,
    sent: u64,
    cuts: Fifo<Cut>,
    /// Cuts at the start that were passed; they stay as long as their bytes, which may have to be sent again.
    passed: usize,
    /// External arguments so far of the command, or transaction, that was written last.
    externals: u32,
}

/// Where the bytes stood before a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    end: usize,
    cuts: usize,
}

/// An idle buffer above this is given back.
const KEEP: usize = 1 << 20;
/// Retired bytes above this are moved away.
const RETIRED: usize = 64 << 10;
/// No word of a batch needs more bytes than this beside those of its argument.
const FRAMING: usize = 16;

impl Outbound {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), base: 0, sent: 0, cuts: Fifo::new(), passed: 0, externals: 0 }
    }

    /// Makes room for `batch`; to be followed by a [`write`](Self::write) per command, and [`finish`](Self::finish).
    pub(super) fn begin(&mut self, batch: &Batch<'_>) -> (Mark, usize) {
        let mark = Mark { end: self.bytes.len(), cuts: self.cuts.len() };
        let room = batch.text.len() + batch.side.len() + batch.words.len() * FRAMING + Writer::SLACK;
        self.bytes.resize(mark.end + room, 0);
        (mark, mark.end)
    }

    /// Writes the command that `request` begins behind `at`, taking its arguments off `batch`; gives where it ends. `continued`
    /// is whether it belongs to the transaction of the command before.
    #[inline]
    pub(super) fn write(
        &mut self,
        at: usize,
        request: &Request<'_>,
        row: Row,
        continued: bool,
        batch: &mut Batch<'_>,
    ) -> Result<usize, Malformed> {
        if !continued {
            self.externals = 0;
        }
        let mut out = Writer::new(&mut self.bytes, at);
        let count = request.args().len();
        let (head, length, words) = row.head();
        out.header(b'*', count + words);
        out.text(head, length);
        for _ in 0..count {
            let (place, length) = batch.place()?;
            out.header(b'$', length);
            match place {
                Place::Text => out.text(batch.text, length),
                Place::Side => out.text(batch.side, length),
                Place::External => {
                    let at = self.base + out.at() as u64;
                    let (slot, index) = (request.slot, self.externals);
                    self.cuts.push(Cut { at, what: Away::External { slot, index, length: length as u32 } });
                    self.externals += 1;
                }
            }
            batch.advance(place, length);
            out.newline();
        }
        Ok(out.at())
    }

    /// Writes `command`, as it is sent, at `at`, before one that [`write`](Self::write) writes; gives where it ends.
    #[cold]
    #[inline(never)]
    pub(super) fn precede(&mut self, at: usize, command: &[u8]) -> usize {
        // the room that there is belongs to the batch
        self.bytes.resize(self.bytes.len() + command.len(), 0);
        let end = at + command.len();
        if let Some(place) = self.bytes.get_mut(at..end) {
            place.copy_from_slice(command);
        }
        end
    }

    /// Adds a command as it is sent.
    pub(super) fn append(&mut self, command: &[u8]) {
        self.bytes.extend_from_slice(command);
    }

    /// Ends a batch at `at`.
    pub(super) fn finish(&mut self, at: usize) {
        self.bytes.truncate(at);
    }

    /// Forgets what was written since `mark`.
    pub(super) fn revert(&mut self, mark: Mark) {
        self.bytes.truncate(mark.end);
        self.cuts.truncate(mark.cuts);
    }

    /// Gives the offset of position `at` in the stream.
    pub(super) fn offset(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    /// Gives the offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.offset(self.bytes.len())
    }

    /// Gives how many bytes are to be sent, those of external arguments included.
    pub(super) fn unsent(&self) -> u64 {
        let external = |cut: &Cut| match cut.what {
            Away::External { length, .. } => u64::from(length),
            Away::Skip(_) => 0,
        };
        self.end() - self.sent + self.cuts.iter().skip(self.passed).map(external).sum::<u64>()
    }

    /// Forgets the bytes from `offset` on, none of which was sent.
    pub(super) fn truncate(&mut self, offset: u64) {
        self.bytes.truncate((offset - self.base) as usize);
        self.cuts.truncate(self.cuts.partition_point(|cut| cut.at < offset));
    }

    /// Tells whether the byte at `offset` was written.
    pub(super) fn is_sent(&self, offset: u64) -> bool {
        offset < self.sent
    }

    /// Gives the next stretch to send of what is before `limit`.
    pub(super) fn segment(&self, limit: u64) -> Option<Segment<'_>> {
        let end = match self.cuts.get(self.passed) {
            Some(Cut { at, what: Away::External { slot, index, .. } }) if *at == self.sent => {
                return Some(Segment::External(*slot, *index));
            }
            Some(cut) => cut.at.min(limit),
            None => self.end().min(limit),
        };
        let bytes = self.bytes.get((self.sent - self.base) as usize..(end - self.base) as usize)?;
        (!bytes.is_empty()).then_some(Segment::Bytes(bytes))
    }

    /// Notes that the transport took `count` bytes of the last segment.
    pub(super) fn transmitted(&mut self, count: usize) {
        match self.cuts.get(self.passed) {
            Some(Cut { at, what: Away::External { .. } }) if *at == self.sent => self.passed += 1,
            _ => self.sent = (self.sent + count as u64).min(self.end()),
        }
        self.skip();
    }

    /// Steps over bytes that are not to be sent.
    #[inline(never)]
    fn skip(&mut self) {
        while let Some(Cut { at, what: Away::Skip(length) }) = self.cuts.get(self.passed) {
            if *at != self.sent {
                break;
            }
            self.sent += length;
            self.passed += 1;
        }
    }

    /// Keeps the bytes from `start` to `end` from being sent, unless it is too late.
    #[inline(never)]
    pub(super) fn withhold(&mut self, start: u64, end: u64) {
        if self.is_sent(start) {
            return;
        }
        let place = |offset| self.cuts.partition_point(|cut| cut.at < offset);
        let (first, last) = (place(start), place(end));
        self.cuts.remove(first..last);
        self.cuts.insert(first, Cut { at: start, what: Away::Skip(end - start) });
        self.skip();
    }

    /// Begins to send anew from `offset`, where a command starts; `None` is the end.
    #[inline(never)]
    pub(super) fn rewind(&mut self, offset: Option<u64>) {
        let offset = offset.unwrap_or(self.end());
        self.sent = offset;
        self.passed = self.cuts.partition_point(|cut| cut.at < offset);
        self.skip();
    }

    /// Lets go of the bytes before `offset`, or of all when `None`; none that is still to be sent.
    pub(super) fn retire(&mut self, offset: Option<u64>) {
        let offset = offset.unwrap_or(self.end()).min(self.sent);
        while self.passed > 0 && self.cuts.first().is_some_and(|cut| cut.at < offset) {
            self.cuts.skip(1);
            self.passed -= 1;
        }
        if offset == self.end() {
            self.base = offset;
            self.bytes.clear();
            if self.bytes.capacity() > KEEP {
                self.bytes = Vec::new();
            }
            return;
        }
        let retired = (offset - self.base) as usize;
        if retired > RETIRED && retired * 2 > self.bytes.len() {
            self.bytes.drain(..retired);
            self.base = offset;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cuts.clear();
        self.passed = 0;
        self.base = 0;
        self.sent = 0;
    }
}
