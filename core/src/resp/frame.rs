//! A whole reply as an owned tree.

use super::encode::{Buffer, header};
use super::{Aggregate, Event, Sink, Text};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// Any value of RESP2 or RESP3. Maps and sets keep the server's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Null in any spelling.
    Null,
    /// A status.
    Simple(Bytes),
    /// An error, its code first; line and blob errors alike.
    Error(Bytes),
    /// User data.
    Bulk(Bytes),
    /// Text with its format of three letters.
    Verbatim([u8; 3], Bytes),
    /// An integer.
    Integer(i64),
    /// A double.
    Double(f64),
    /// A boolean.
    Boolean(bool),
    /// An integer of any size, as decimal digits.
    BigNumber(Bytes),
    /// An array.
    Array(Vec<Frame>),
    /// A set, in the order sent.
    Set(Vec<Frame>),
    /// A map, in the order sent.
    Map(Vec<(Frame, Frame)>),
    /// Out-of-band data.
    Push(Vec<Frame>),
    /// A value with attributes before it.
    Attribute(Vec<(Frame, Frame)>, Box<Frame>),
}

/// Builds a [`Frame`] from events.
///
/// Short texts of an aggregate share pieces of memory, 4 KiB each at most: who keeps one text keeps no more than that.
#[derive(Debug, Default)]
pub struct FrameSink {
    open: Vec<Building>,
    /// Room for short texts to come.
    piece: BytesMut,
    text: Option<(Text, BytesMut)>,
    attributes: Vec<(usize, Vec<(Frame, Frame)>)>,
    done: Option<Frame>,
}

#[derive(Debug)]
struct Building {
    kind: Aggregate,
    items: Vec<Frame>,
    /// Values announced; 0 when they were not.
    values: usize,
}

/// An announced length reserves no more than this many elements.
const RESERVE: usize = 64;

/// Texts up to this length share memory.
const SHORT: usize = 256;

/// Bytes of memory that is shared, at most.
const PIECE: usize = 4096;

impl FrameSink {
    /// Takes the frame that was last completed.
    pub fn take(&mut self) -> Option<Frame> {
        self.done.take()
    }

    /// Copies a text that arrived whole.
    fn copy(&mut self, text: &[u8]) -> Bytes {
        let left = self.open.last().map_or(0, |open| open.values.saturating_sub(open.items.len()));
        if left == 0 || text.len() > SHORT || left == 1 && self.piece.capacity() < text.len() {
            return Bytes::copy_from_slice(text);
        }
        if self.piece.capacity() < text.len() {
            self.piece = BytesMut::with_capacity(left.saturating_mul(text.len()).min(PIECE));
        }
        self.piece.extend_from_slice(text);
        self.piece.split().freeze()
    }

    fn value(&mut self, mut frame: Frame) {
        if let Some((_, attributes)) = self.attributes.pop_if(|(depth, _)| *depth == self.open.len()) {
            frame = Frame::Attribute(attributes, Box::new(frame));
        }
        match self.open.last_mut() {
            Some(building) => building.items.push(frame),
            None => self.done = Some(frame),
        }
    }

    fn close(&mut self) {
        let Some(Building { kind, items, .. }) = self.open.pop() else { return };
        self.value(match kind {
            Aggregate::Array => Frame::Array(items),
            Aggregate::Set => Frame::Set(items),
            Aggregate::Push => Frame::Push(items),
            Aggregate::Map | Aggregate::Struct => Frame::Map(pairs(items)),
            Aggregate::Attribute => return self.attribute(pairs(items)),
        });
    }

    /// Attributes before attributes join them: a row of them must not nest.
    fn attribute(&mut self, more: Vec<(Frame, Frame)>) {
        let depth = self.open.len();
        match self.attributes.last_mut() {
            Some((known, attributes)) if *known == depth => attributes.extend(more),
            _ => self.attributes.push((depth, more)),
        }
    }
}

impl Sink for FrameSink {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Text(kind, text) => {
                let text = self.copy(text);
                self.value(textual(kind, text));
            }
            Event::Integer(value) | Event::Exact(value) => self.value(Frame::Integer(value)),
            Event::Double(text) => self.value(Frame::Double(double(text))),
            Event::Boolean(value) => self.value(Frame::Boolean(value)),
            Event::Null => self.value(Frame::Null),
            Event::Open(kind, len) => {
                let values = len.and_then(|len| kind.values(len)).unwrap_or(0) as usize;
                self.open.push(Building { kind, items: Vec::with_capacity(values.min(RESERVE)), values });
            }
            Event::Close { .. } => self.close(),
            Event::BulkOpen(kind, _) => self.text = Some((kind, BytesMut::new())),
            Event::BulkPart(part) => {
                if let Some((_, text)) = &mut self.text {
                    text.extend_from_slice(part);
                }
            }
            Event::BulkClose => {
                if let Some((kind, text)) = self.text.take() {
                    self.value(textual(kind, text.freeze()));
                }
            }
        }
    }
}

impl Frame {
    /// Appends the frame as RESP3 (a push or attribute only where RESP3 allows it).
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        let mut line = |tag: u8, text: &[u8]| {
            buffer.push(tag);
            buffer.put(text);
            buffer.put(b"\r\n");
        };
        match self {
            Self::Null => line(b'_', b""),
            Self::Simple(text) => line(b'+', text),
            Self::BigNumber(text) => line(b'(', text),
            Self::Boolean(value) => line(b'#', if *value { b"t" } else { b"f" }),
            Self::Integer(value) => line(b':', alloc::format!("{value}").as_bytes()),
            Self::Double(value) => line(b',', double_text(*value).as_bytes()),
            Self::Error(text) if text.iter().all(|byte| !matches!(byte, b'\r' | b'\n')) => line(b'-', text),
            Self::Error(text) => blob(buffer, b'!', &[], text),
            Self::Bulk(text) => blob(buffer, b'$', &[], text),
            Self::Verbatim(format, text) => {
                blob(buffer, b'=', &[format[0], format[1], format[2], b':'], text)
            }
            Self::Array(items) => list(buffer, b'*', items),
            Self::Set(items) => list(buffer, b'~', items),
            Self::Push(items) => list(buffer, b'>', items),
            Self::Map(pairs) => map(buffer, b'%', pairs),
            Self::Attribute(attributes, value) => {
                map(buffer, b'|', attributes);
                value.encode(buffer);
            }
        }
    }
}

fn blob(buffer: &mut Vec<u8>, tag: u8, prefix: &[u8], text: &[u8]) {
    header(buffer, tag, prefix.len() + text.len());
    buffer.put(prefix);
    buffer.put(text);
    buffer.put(b"\r\n");
}

fn list(buffer: &mut Vec<u8>, tag: u8, items: &[Frame]) {
    header(buffer, tag, items.len());
    items.iter().for_each(|item| item.encode(buffer));
}

fn map(buffer: &mut Vec<u8>, tag: u8, pairs: &[(Frame, Frame)]) {
    header(buffer, tag, pairs.len());
    for (key, value) in pairs {
        key.encode(buffer);
        value.encode(buffer);
    }
}

fn textual(kind: Text, text: Bytes) -> Frame {
    match kind {
        Text::Simple | Text::Name => Frame::Simple(text),
        Text::Error | Text::BlobError => Frame::Error(text),
        Text::Bulk | Text::Blob => Frame::Bulk(text),
        Text::Verbatim(format) => Frame::Verbatim(format, text),
        Text::BigNumber => Frame::BigNumber(text),
    }
}

fn pairs(items: Vec<Frame>) -> Vec<(Frame, Frame)> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    pairs.extend(core::iter::from_fn(|| Some((items.next()?, items.next()?))));
    pairs
}

/// Parses a double that the decoder checked.
pub(crate) fn double(text: &[u8]) -> f64 {
    core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

fn double_text(value: f64) -> alloc::string::String {
    if value.is_nan() { "nan".into() } else { alloc::format!("{value}") }
}
