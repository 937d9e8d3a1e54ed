//! Tells replies that a conversation waits for from those that are the caller's.

use super::{Answer, Outgoing, Reply, Step};
use crate::machine::{ReplySink, Slot};
use crate::operation::conversations::{Awaited, Talks};
use crate::operation::outgoing::{NOBODY, Written, is_beside};
use crate::resp::{Aggregate, Event, Sink, Text, tell};
use crate::time::Instant;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// Whose reply is being read on a link. It may come in several pieces.
#[derive(Debug, Default)]
pub(super) enum Open {
    /// The caller's, if any.
    #[default]
    Callers,
    /// The caller's, unless the first event is an error that begins so.
    Either(Slot, &'static [u8]),
    /// The caller's: what ends the conversation in this slot.
    Last(Slot),
    /// The conversation's in this slot; its first event says what it is.
    Listening(Slot, Option<Reply>),
    /// Nobody's.
    Dropped,
}

/// What was heard on a link since the last time that it was seen to.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Conversations that do something next, and that ended (`None`), in order.
    pub(super) steps: Vec<(Slot, Option<Step>)>,
    /// Errors that were told: a sink may know no more of them than where they are.
    pub(super) told: Vec<Vec<u8>>,
}

/// A sink in front of the caller's.
pub(super) struct Tap<'a, S> {
    pub(super) open: &'a mut Open,
    pub(super) talks: &'a mut Talks,
    pub(super) heard: &'a mut Heard,
    pub(super) now: Instant,
    /// What conversations write.
    pub(super) out: &'a mut Written,
    pub(super) sink: &'a mut S,
}

impl<S: ReplySink> Sink for Tap<'_, S> {
    #[inline(always)]
    fn event(&mut self, event: Event<'_>) {
        self.sink.event(event);
    }
}

impl<S: ReplySink> ReplySink for Tap<'_, S> {
    #[inline(always)]
    fn begin(&mut self, slot: Slot) {
        self.sink.begin(slot);
    }

    #[inline(always)]
    fn end(&mut self) {
        self.sink.end();
    }

    fn queue_error(&mut self, slot: Slot, index: u32, text: &[u8]) {
        match self.talks.get(slot) {
            Some(talk) => drop(talk.refusal.get_or_insert_with(|| error(text))),
            None => self.sink.queue_error(slot, index, text),
        }
    }

    #[inline(never)]
    fn attend(&mut self, slot: Slot) {
        *self.open = match self.talks.awaits(slot) {
            Some(Awaited::Forward(code)) => Open::Either(slot, code),
            Some(Awaited::Listen | Awaited::Lease | Awaited::Wake(_)) => Open::Listening(slot, None),
            None if slot == NOBODY => Open::Dropped,
            None => {
                self.sink.begin(slot);
                Open::Callers
            }
        };
    }

    #[inline(never)]
    fn overhear(&mut self, event: Event<'_>) -> bool {
        match (&mut *self.open, event) {
            (Open::Either(slot, code), Event::Text(Text::Error | Text::BlobError, text))
                if !code.is_empty() && text.starts_with(code) =>
            {
                *self.open = Open::Listening(*slot, Some(error(text)));
            }
            (Open::Either(slot, _), _) => {
                let slot = *slot;
                *self.open = Open::Last(slot);
                self.sink.begin(slot);
                return true;
            }
            // a transaction of one command is answered as that is
            (Open::Listening(_, None), Event::Open(Aggregate::Array, Some(1))) => {}
            (Open::Listening(_, reply @ None), event) => *reply = Some(short(event)),
            (Open::Callers | Open::Last(_), _) => return true,
            _ => {}
        }
        false
    }

    #[inline(never)]
    fn conclude(&mut self) {
        match core::mem::take(self.open) {
            Open::Last(slot) => {
                self.sink.end();
                self.heard.steps.push((slot, None));
            }
            Open::Listening(slot, reply) => self.go_on(slot, reply.unwrap_or(Reply::Other)),
            Open::Callers => self.sink.end(),
            Open::Either(..) | Open::Dropped => {}
        }
    }
}

impl<S: ReplySink> Tap<'_, S> {
    /// Gives a conversation its reply, and the caller the answer, if it is one: at once, for the next reply may come in several pieces.
    fn go_on(&mut self, slot: Slot, reply: Reply) {
        let Some(talk) = self.talks.get(slot) else { return };
        let refusal = talk.refusal.take().filter(|_| matches!(reply, Reply::Error(_)));
        let reply = refusal.unwrap_or(reply);
        let step = match talk.operation.reply(self.now, reply, &mut Outgoing::new(slot, self.out)) {
            ControlFlow::Continue(step) => Some(step),
            ControlFlow::Break(_) if is_beside(slot) => None,
            ControlFlow::Break(answer) => {
                self.sink.begin(slot);
                match answer {
                    Answer::Integer(value) => tell(self.sink, Event::Integer(value)),
                    Answer::Error(text) => {
                        tell(self.sink, Event::Text(Text::Error, &text));
                        self.heard.told.push(text);
                    }
                }
                self.sink.end();
                None
            }
        };
        self.heard.steps.push((slot, step));
    }
}

fn short(event: Event<'_>) -> Reply {
    match event {
        Event::Text(Text::Error | Text::BlobError, text) => error(text),
        Event::Text(_, text) if text.len() <= Reply::SHORT => Reply::Text(text.into()),
        Event::Integer(value) => Reply::Integer(value),
        Event::Null => Reply::Null,
        _ => Reply::Other,
    }
}

fn error(text: &[u8]) -> Reply {
    Reply::Error(text.get(..Reply::ERROR).unwrap_or(text).into())
}
