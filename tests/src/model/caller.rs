//! Who asked, and what came of it.

use redwire_core::machine::{Failure, LeaseId, ReplySink, Slot};
use redwire_core::resp::{Aggregate, Event, Frame, FrameSink, Sink};
use std::collections::BTreeMap;

/// What came of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its reply.
    Reply(Frame),
    /// Its failure.
    Failed(Failure),
    /// The caller's own word, with what the machine said to it.
    Cancelled(bool),
    /// It was written, and no reply comes.
    Unanswered,
    /// A lease.
    Leased(LeaseId),
}

/// Collects outcomes and insists that what it is told makes sense.
#[derive(Debug, Default)]
pub struct Caller {
    /// Everything that came of each slot, in order: one outcome each, if all is well.
    pub outcomes: BTreeMap<u32, Vec<Outcome>>,
    /// Refusals to queue: slot, place, text.
    pub refused: Vec<(u32, u32, String)>,
    current: Option<Slot>,
    frame: FrameSink,
    /// Values to come per open aggregate; `None` when streamed.
    open: Vec<Option<u32>>,
    values: usize,
}

impl Caller {
    /// Notes what came of a slot.
    pub fn note(&mut self, slot: Slot, outcome: Outcome) {
        self.outcomes.entry(slot.0).or_default().push(outcome);
    }

    /// Lets `tell` tell whole replies while another may be half told.
    pub fn aside(&mut self, tell: impl FnOnce(&mut Self)) {
        let half = core::mem::take(self);
        (self.outcomes, self.refused) = (half.outcomes, half.refused);
        tell(self);
        assert_eq!(self.current, None, "whole replies were told");
        let whole = core::mem::take(self);
        *self = Self { outcomes: whole.outcomes, refused: whole.refused, ..half };
    }

    fn value(&mut self) {
        match self.open.last_mut() {
            Some(Some(left)) => *left = left.checked_sub(1).expect("no more values than announced"),
            Some(None) => {}
            None => self.values += 1,
        }
    }
}

impl Sink for Caller {
    fn event(&mut self, event: Event<'_>) {
        assert!(self.current.is_some(), "{event:?} belongs to nobody");
        match event {
            Event::Open(Aggregate::Attribute, _) => unreachable!("attributes are dropped"),
            Event::Open(kind, len) => {
                self.value();
                let paired = matches!(kind, Aggregate::Map | Aggregate::Struct);
                self.open.push(len.map(|len| if paired { len * 2 } else { len }));
            }
            Event::Close { streamed } => {
                let left = self.open.pop().expect("something is open");
                assert_eq!(left, if streamed { None } else { Some(0) }, "values still to come");
            }
            Event::BulkPart(_) | Event::BulkClose => {}
            _ => self.value(),
        }
        self.frame.event(event);
    }
}

impl ReplySink for Caller {
    fn begin(&mut self, slot: Slot) {
        self.current = Some(slot);
        // a reply that nobody waits for any more may have stopped half-way
        (self.frame, self.values) = (FrameSink::default(), 0);
        self.open.clear();
    }

    fn end(&mut self) {
        assert_eq!((self.values, self.open.len()), (1, 0), "a reply is one whole value");
        let (slot, frame) = (self.current.take(), self.frame.take());
        let (slot, frame) = slot.zip(frame).expect("a reply that began");
        self.note(slot, Outcome::Reply(frame));
    }

    fn queue_error(&mut self, slot: Slot, index: u32, text: &[u8]) {
        self.refused.push((slot.0, index, String::from_utf8_lossy(text).into_owned()));
    }
}
