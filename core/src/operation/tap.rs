//! Tells replies that a conversation waits for from those that are the caller's.

use super::Reply;
use crate::machine::{ReplySink, Slot};
use crate::operation::conversations::{Awaited, Talks};
use crate::operation::outgoing::NOBODY;
use crate::resp::{Event, Sink, Text};
use alloc::vec::Vec;

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

/// A sink in front of the caller's.
pub(super) struct Tap<'a, S> {
    pub(super) open: &'a mut Open,
    pub(super) talks: &'a Talks,
    /// Replies that conversations were waiting for, and the slots of conversations that ended (`None`), in order.
    pub(super) heard: &'a mut Vec<(Slot, Option<Reply>)>,
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
        self.sink.queue_error(slot, index, text);
    }

    #[inline(never)]
    fn attend(&mut self, slot: Slot) {
        *self.open = match self.talks.awaits(slot) {
            Some(Awaited::Forward(code)) => Open::Either(slot, code),
            Some(Awaited::Listen | Awaited::Wake(_)) => Open::Listening(slot, None),
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
                self.heard.push((slot, None));
            }
            Open::Listening(slot, reply) => self.heard.push((slot, Some(reply.unwrap_or(Reply::Other)))),
            Open::Callers => self.sink.end(),
            Open::Either(..) | Open::Dropped => {}
        }
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
