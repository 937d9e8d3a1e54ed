//! One reply shape whatever the protocol.

use crate::resp::{Aggregate, Event, Sink, Text};
use crate::shape::{Shape, Shaper, pass};

/// Passes one value on to a sink in its [`Shape`], without its attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapter {
    shape: Shape,
    /// Whether the value is in RESP2's form.
    flat: bool,
    depth: u32,
    /// The depth of the attribute that is being left out.
    attribute: Option<u32>,
    /// What needs no shaping here: most of what there is.
    passes: u8,
    /// Nothing deeper than this needs any.
    free: u32,
}

/// Gives what becomes of an event, where no more than a look at its kind tells.
#[inline(always)]
pub(super) fn unshaped(passes: u8, event: Event<'_>) -> Option<Event<'_>> {
    let needed = match event {
        Event::Text(Text::Bulk, _) => pass::BULK | pass::ALL,
        Event::Integer(_) => pass::INTEGER | pass::ALL,
        _ => pass::ALL,
    };
    match event {
        _ if passes & needed != 0 => Some(event),
        Event::Text(Text::Simple, b"OK") if passes & pass::STATUS != 0 => Some(Event::Boolean(true)),
        _ => None,
    }
}

impl Adapter {
    #[inline]
    pub(super) fn new(shape: Shape, flat: bool) -> Self {
        Self { shape, flat, depth: 0, attribute: None, passes: shape.passes(), free: u32::MAX }
    }

    /// Tells whether no aggregate is open.
    pub(super) fn is_idle(&self) -> bool {
        self.depth == 0
    }

    /// Takes an event; tells whether the value ended with it.
    #[inline(always)]
    pub(super) fn event<S: Sink>(&mut self, event: Event<'_>, shaper: &mut Shaper, sink: &mut S) -> bool {
        let depth = self.depth;
        match event {
            Event::Open(kind, _) => {
                self.depth += 1;
                if kind == Aggregate::Attribute && self.attribute.is_none() {
                    self.attribute = Some(depth);
                }
            }
            Event::Close { .. } => {
                self.depth -= 1;
                if self.attribute.is_some() {
                    self.attribute = self.attribute.filter(|&depth| depth < self.depth);
                    return false;
                }
            }
            _ => {}
        }
        if self.attribute.is_some() {
            return false;
        }
        let free = depth.max(self.depth) > self.free;
        match if free { Some(event) } else { unshaped(self.passes, event) } {
            Some(event) => sink.event(event),
            None => self.shape(event, depth, shaper, sink),
        }
        self.depth == 0 && !matches!(event, Event::BulkOpen(..) | Event::BulkPart(_))
    }

    /// The same, without a copy of the sink's code at the caller's.
    #[inline(never)]
    pub(super) fn pass<S: Sink>(&mut self, event: Event<'_>, shaper: &mut Shaper, sink: &mut S) -> bool {
        self.event(event, shaper, sink)
    }

    /// `depth` is that before the event.
    #[inline(never)]
    fn shape<S: Sink>(&mut self, event: Event<'_>, depth: u32, shaper: &mut Shaper, sink: &mut S) {
        if depth == 0 && !matches!(event, Event::BulkPart(_) | Event::BulkClose) {
            shaper.begin(self.shape, self.flat);
        }
        shaper.event(event, sink);
        (self.passes, self.free) = match self.depth {
            0 => (0, u32::MAX),
            depth => (shaper.passes(), if shaper.is_free() { depth } else { u32::MAX }),
        };
    }
}
