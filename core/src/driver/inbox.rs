//! Replies as frames, for those who wait for them.

use crate::machine::{ReplySink, Slot};
use crate::resp::{Event, FrameSink, Sink};
use crate::slab::News;
use crate::subscription::{EAR, Ears};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What is to be delivered.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) news: Vec<(Slot, News)>,
    /// Who hears what nobody asked for.
    pub(super) ears: Option<Arc<Ears>>,
}

/// The reply that is being read on a link.
#[derive(Default)]
pub(super) struct Half {
    slot: Option<Slot>,
    frame: FrameSink,
}

/// Makes frames of the replies on a link.
pub(super) struct Reading<'a> {
    pub(super) half: &'a mut Half,
    pub(super) inbox: &'a mut Inbox,
}

impl Sink for Reading<'_> {
    fn event(&mut self, event: Event<'_>) {
        self.half.frame.event(event);
    }
}

impl ReplySink for Reading<'_> {
    fn begin(&mut self, slot: Slot) {
        // what stands there is of a link that broke off, or was given up
        *self.half = Half { slot: Some(slot), frame: FrameSink::default() };
    }

    fn end(&mut self) {
        let (Some(slot), Some(frame)) = (self.half.slot.take(), self.half.frame.take()) else { return };
        match &self.inbox.ears {
            Some(ears) if slot == EAR => ears.hear(frame),
            _ => self.inbox.news.push((slot, News::Reply(frame))),
        }
    }

    fn queue_error(&mut self, slot: Slot, index: u32, text: &[u8]) {
        self.inbox.news.push((slot, News::refused(index, text)));
    }
}
