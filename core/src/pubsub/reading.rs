//! One value that the server sent unasked, while it comes in.

use super::{LONGEST_NAME, Notice};
use crate::machine::{ReplySink, Slot};
use crate::resp::{Aggregate, Event, Text, tell};
use alloc::vec::Vec;

/// What has come in of a value. It is passed on once its first element says what it is.
#[derive(Debug)]
pub(crate) struct Reading {
    state: State,
    /// Elements of the value.
    elements: u32,
    /// Elements that are complete.
    complete: u32,
    /// Aggregates that are open within an element, or attributes.
    depth: u32,
    /// The first element, and of a confirmation the second.
    word: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    /// The first element is awaited.
    Opened,
    Told(Notice),
    /// The reply to a PING where subscriptions allow no other form, or MONITOR's lines.
    Pong,
    /// Nobody's.
    Unknown,
}

/// What a value came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was passed on.
    Told(Notice),
    /// It answers the first command in the queue.
    Reply,
    /// It is no notice that is known.
    Unknown,
}

/// The longest word that says what a value is.
const LONGEST_WORD: usize = 16;
/// Elements of the longest notice from a server.
const LONGEST: u32 = 4;

impl Reading {
    pub(crate) const fn new() -> Self {
        Self { state: State::Fresh, elements: 0, complete: 0, depth: 0, word: Vec::new() }
    }

    /// Ends the value.
    pub(crate) fn end<S: ReplySink>(&mut self, sink: &mut S) -> Outcome {
        let state = core::mem::replace(&mut self.state, State::Fresh);
        match state {
            State::Told(notice) => {
                sink.end();
                Outcome::Told(notice)
            }
            State::Pong => Outcome::Reply,
            State::Fresh | State::Opened | State::Unknown => Outcome::Unknown,
        }
    }

    /// Gives the name in the confirmation that ended last; `None` where there was none, or one that nobody can have asked for.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        Some(self.word.as_slice()).filter(|name| self.complete > 1 && name.len() <= LONGEST_NAME)
    }

    /// Takes the next event of the value; what is for the slot goes to `sink`.
    #[inline(never)]
    pub(crate) fn event<S: ReplySink>(&mut self, event: Event<'_>, slot: Slot, sink: &mut S) {
        if self.state == State::Fresh {
            return self.open(event, slot, sink);
        }
        // notices hold nothing nested: whatever is, is left out, and what it stands in is null
        let nested = self.depth > 0;
        match event {
            Event::Open(kind, _) => {
                self.depth += 1;
                if !nested && kind != Aggregate::Attribute {
                    self.element(Event::Null, slot, sink);
                }
            }
            Event::Close { .. } if nested => self.depth -= 1,
            Event::Close { .. } => {
                if let State::Told(_) = self.state {
                    tell(sink, event);
                }
            }
            _ if nested => {}
            event => self.element(event, slot, sink),
        }
    }

    fn open<S: ReplySink>(&mut self, event: Event<'_>, slot: Slot, sink: &mut S) {
        *self = Self { word: core::mem::take(&mut self.word), ..Self::new() };
        self.word.clear();
        self.state = match event {
            Event::Open(Aggregate::Array | Aggregate::Push, Some(elements @ 1..=LONGEST)) => {
                self.elements = elements;
                State::Opened
            }
            // a line of MONITOR begins with the time
            Event::Text(Text::Simple, line @ [b'0'..=b'9', ..]) => {
                sink.begin(slot);
                tell(sink, Event::Open(Aggregate::Array, Some(2)));
                tell(sink, Event::Integer(Notice::Line as i64));
                tell(sink, Event::Text(Text::Simple, line));
                tell(sink, Event::Close { streamed: false });
                State::Told(Notice::Line)
            }
            Event::Text(Text::Simple, _) => State::Pong,
            _ => {
                self.depth = u32::from(matches!(event, Event::Open(..)));
                State::Unknown
            }
        };
    }

    /// Takes an event of an element that is no aggregate.
    fn element<S: ReplySink>(&mut self, event: Event<'_>, slot: Slot, sink: &mut S) {
        let ends = !matches!(event, Event::BulkOpen(..) | Event::BulkPart(_));
        if let (State::Opened, 0) = (self.state, self.complete) {
            self.gather(event, LONGEST_WORD);
            if ends {
                self.decide(slot, sink);
            }
        } else if let State::Told(notice) = self.state {
            if self.complete == 1 && notice.confirms().is_some() {
                self.gather(event, LONGEST_NAME);
            }
            tell(sink, event);
        }
        self.complete += u32::from(ends);
    }

    /// Keeps a text of at most `limit` bytes; of a longer one, enough to see that it is.
    fn gather(&mut self, event: Event<'_>, limit: usize) {
        if let Event::Text(_, part) | Event::BulkPart(part) = event {
            let room = limit + 1 - self.word.len();
            self.word.extend_from_slice(part.get(..room).unwrap_or(part));
        }
    }

    /// The first element is known.
    fn decide<S: ReplySink>(&mut self, slot: Slot, sink: &mut S) {
        self.state = match Notice::from_word(&self.word) {
            _ if self.word == b"pong" => State::Pong,
            Some(notice) if self.elements == elements(notice) => {
                sink.begin(slot);
                tell(sink, Event::Open(Aggregate::Array, Some(self.elements)));
                tell(sink, Event::Integer(notice as i64));
                State::Told(notice)
            }
            _ => State::Unknown,
        };
        self.word.clear();
    }
}

fn elements(notice: Notice) -> u32 {
    if notice == Notice::Pmessage { LONGEST } else { LONGEST - 1 }
}
