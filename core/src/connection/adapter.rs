//! One reply shape whatever the protocol: RESP2's flat forms become RESP3's.

use crate::resp::{Aggregate, Event, Sink, Text, is_double, tell};
use crate::shape::Shape;

/// Passes one value on to a sink in its [`Shape`], without its attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapter {
    shape: Shape,
    /// Whether the value is in RESP2's form.
    flat: bool,
    depth: u32,
    /// The depth of the attribute that is being left out.
    attribute: Option<u32>,
    /// Whether elements are being paired.
    paired: bool,
    /// Whether the next of them is a score.
    score: bool,
}

impl Adapter {
    pub(super) const fn new(shape: Shape, flat: bool) -> Self {
        Self { shape, flat, depth: 0, attribute: None, paired: false, score: false }
    }

    /// Tells whether no aggregate is open.
    pub(super) fn is_idle(&self) -> bool {
        self.depth == 0
    }

    /// Takes an event; tells whether the value ended with it.
    #[inline(always)]
    pub(super) fn event<S: Sink>(&mut self, event: Event<'_>, sink: &mut S) -> bool {
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
        if self.shape == Shape::Plain {
            sink.event(event);
        } else {
            self.shaped(event, depth, sink);
        }
        self.depth == 0 && !matches!(event, Event::BulkOpen(..) | Event::BulkPart(_))
    }

    /// The same, without a copy of the sink's code at the caller's.
    #[inline(never)]
    pub(super) fn pass<S: Sink>(&mut self, event: Event<'_>, sink: &mut S) -> bool {
        self.event(event, sink)
    }

    /// `depth` is that before the event.
    fn shaped<S: Sink>(&mut self, event: Event<'_>, depth: u32, sink: &mut S) {
        tell(
            sink,
            match (self.shape, event) {
                (Shape::Status, Event::Text(Text::Simple, b"OK")) if depth == 0 => Event::Boolean(true),
                (Shape::Status, Event::Null) if depth == 0 => Event::Boolean(false),
                (Shape::Double, event) if depth == 0 => double(event),
                (Shape::Map, Event::Open(Aggregate::Array, Some(len))) if depth == 0 && len % 2 == 0 => {
                    Event::Open(Aggregate::Map, Some(len / 2))
                }
                (Shape::Set, Event::Open(Aggregate::Array, len)) if depth == 0 => {
                    Event::Open(Aggregate::Set, len)
                }
                (Shape::Scores, Event::Open(Aggregate::Array, Some(len)))
                    if depth == 0 && self.flat && len % 2 == 0 =>
                {
                    self.paired = true;
                    Event::Open(Aggregate::Array, Some(len / 2))
                }
                (Shape::Scores, event) if self.paired => return self.pairs(event, depth, sink),
                _ => event,
            },
        );
    }

    fn pairs<S: Sink>(&mut self, event: Event<'_>, depth: u32, sink: &mut S) {
        let begins =
            depth == 1 && !matches!(event, Event::BulkPart(_) | Event::BulkClose | Event::Close { .. });
        let ends = self.depth == 1 && !matches!(event, Event::BulkOpen(..) | Event::BulkPart(_));
        if begins && !self.score {
            tell(sink, Event::Open(Aggregate::Array, Some(2)));
        }
        tell(sink, if depth == 1 && self.score { double(event) } else { event });
        if ends && self.score {
            tell(sink, Event::Close { streamed: false });
        }
        self.score ^= ends;
    }
}

/// RESP2 has doubles as user data.
fn double(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Text(Text::Bulk, text) if is_double(text) => Event::Double(text),
        event => event,
    }
}
