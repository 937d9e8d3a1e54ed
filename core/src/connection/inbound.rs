//! Where the events of a reply go.

use super::adapter::Adapter;
use super::handshake::Reply;
use super::queue::{Entry, Queue, Role};
use crate::cache::{Cache, Caching};
use crate::machine::{ReplySink, Slot};
use crate::pubsub::Reading;
use crate::resp::{Aggregate, Event, Sink, Text, tell};
use crate::shape::Shaper;

/// Whose reply is being read. Decided once per reply, before its first byte is decoded.
#[derive(Debug)]
pub(super) enum Route {
    /// Out-of-band data: the cache's, if anybody's.
    Push,
    /// The listener's: what the server sent unasked.
    Notice,
    /// A command's that was given up.
    Tombstone,
    /// A command's that is sent again: the error that says so.
    Refused,
    /// The handshake's.
    Handshake,
    /// The caller's.
    Forward(Adapter),
    /// The caller's, unless a conversation waits for it.
    Attended(Adapter),
    /// The caller's, and the cache's too.
    Shared(Adapter),
    /// The caller's, out of the cache.
    Kept(Adapter),
    /// MULTI's, or that of a command in a transaction.
    Queued,
    /// EXEC's: the next element, and the adapter for it.
    Exec { depth: u32, index: u32, element: Adapter },
}

impl Route {
    pub(super) fn of(entry: &Entry, flat: bool) -> Self {
        match entry.role {
            Role::Multi | Role::Member => Self::Queued,
            _ if !entry.live => Self::Tombstone,
            _ if entry.attended => Self::Attended(Adapter::new(entry.shape, flat)),
            Role::Plain => Self::Forward(Adapter::new(entry.shape, flat)),
            Role::Exec => Self::Exec { depth: 0, index: 0, element: Adapter::new(entry.shape, flat) },
        }
    }

    /// Tells whoever gets the reply, which is `entry`'s, that it begins.
    #[inline(always)]
    pub(super) fn begin<S: ReplySink>(&self, entry: &Entry, sink: &mut S) {
        match self {
            Self::Attended(_) => sink.attend(entry.slot),
            _ if self.is_forwarded() => sink.begin(entry.slot),
            _ => {}
        }
    }

    /// Tells whoever got the reply that it ended.
    #[inline(always)]
    pub(super) fn end<S: ReplySink>(&self, sink: &mut S) {
        match self {
            Self::Attended(_) => sink.conclude(),
            _ if self.is_forwarded() => sink.end(),
            _ => {}
        }
    }

    /// Tells whether the reply goes to the caller.
    pub(super) fn is_forwarded(&self) -> bool {
        matches!(self, Self::Forward(_) | Self::Attended(_) | Self::Shared(_) | Self::Exec { .. })
    }
}

/// Sends events where the route says.
pub(super) struct Router<'a, S> {
    pub(super) route: &'a mut Route,
    pub(super) queue: &'a Queue,
    pub(super) handshake: Option<&'a mut Reply>,
    /// Who hears pushes.
    pub(super) cache: Option<(&'a mut Cache, &'a Caching)>,
    /// Reads what is for the listener, in its slot.
    pub(super) listener: Option<(&'a mut Reading, Slot)>,
    /// Whether the link speaks RESP2.
    pub(super) flat: bool,
    pub(super) shaper: &'a mut Shaper,
    pub(super) sink: &'a mut S,
}

impl<S: ReplySink> Sink for Router<'_, S> {
    #[inline(always)]
    fn event(&mut self, event: Event<'_>) {
        if let Route::Forward(adapter) = self.route {
            adapter.event(event, self.shaper, self.sink);
        } else {
            self.aside(event);
        }
    }
}

impl<S: ReplySink> Router<'_, S> {
    #[inline(never)]
    fn aside(&mut self, event: Event<'_>) {
        match self.route {
            Route::Tombstone | Route::Refused => {}
            Route::Notice => {
                if let Some((reading, slot)) = &mut self.listener {
                    reading.event(event, *slot, self.sink);
                }
            }
            Route::Push => {
                if let Some((cache, _)) = &mut self.cache {
                    cache.hear(event);
                }
            }
            Route::Forward(adapter) | Route::Kept(adapter) => {
                adapter.pass(event, self.shaper, self.sink);
            }
            Route::Attended(adapter) => {
                if self.sink.overhear(event) {
                    adapter.pass(event, self.shaper, self.sink);
                }
            }
            Route::Shared(adapter) => {
                let mut event = event;
                // who is told how long it is may read it past us
                if let (Event::BulkOpen(_, length), Some((cache, caching))) = (&mut event, &mut self.cache)
                    && length.is_some_and(|length| cache.admits(caching, length))
                {
                    *length = None;
                }
                adapter.pass(event, self.shaper, self.sink);
            }
            Route::Handshake => {
                if let Some(reply) = &mut self.handshake {
                    reply.event(event);
                }
            }
            Route::Queued => {
                if let (Event::Text(Text::Error | Text::BlobError, text), Some(entry)) =
                    (event, self.queue.current().filter(|entry| entry.live))
                {
                    self.sink.queue_error(entry.slot, self.queue.member(), text);
                }
            }
            Route::Exec { depth, index, element } => match (*depth, event) {
                (0, Event::Open(Aggregate::Array, _)) if element.is_idle() => {
                    *depth = 1;
                    *element = Adapter::new(self.queue.member_shape(0), self.flat);
                    tell(self.sink, event);
                }
                (1, Event::Close { .. }) if element.is_idle() => {
                    *depth = 0;
                    tell(self.sink, event);
                }
                (1, event) => {
                    if element.pass(event, self.shaper, self.sink) {
                        *index += 1;
                        *element = Adapter::new(self.queue.member_shape(*index), self.flat);
                    }
                }
                (_, event) => {
                    element.pass(event, self.shaper, self.sink);
                }
            },
        }
    }
}
