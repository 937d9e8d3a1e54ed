//! Replies as pairs of words: what a JavaScript host reads instead of objects.
//!
//! Each pair is `tag | ascii << 5 | length << 6` and a payload: an offset from the tape's base for texts, a small value
//! otherwise.

use crate::machine::{ReplySink, Slot};
use crate::resp::{Aggregate, Event, Sink, Text};
use alloc::vec::Vec;

/// What a pair means. Numbers are those of `wasm/js/reader.ts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Tag {
    /// A reply begins; the payload is its slot.
    Reply = 0,
    /// User data at an offset.
    Bulk = 1,
    /// A status at an offset.
    Simple = 2,
    /// An error at an offset.
    Error = 3,
    /// An integer of 32 bits in the payload.
    Integer = 4,
    /// An integer of 64 bits: its low half in the payload, its high half in the payload of the next pair.
    Wide = 5,
    /// A double's text at an offset.
    Double = 6,
    /// A big number's text at an offset.
    BigNumber = 7,
    /// 0 null, 1 true, 2 false.
    Atom = 8,
    /// An array; the payload is its length, all ones when streamed.
    Array = 9,
    /// A set, likewise.
    Set = 10,
    /// A map, likewise, in pairs.
    Map = 11,
    /// The end of the open large text, or of the innermost streamed aggregate.
    End = 12,
    /// A large text of the payload's length (all ones when streamed) begins; its length field is the tag of its kind.
    Open = 13,
    /// The next bytes of the large text at an offset.
    Part = 14,
    /// The server refused to queue a command: the payload is its place in the transaction, the next pair's the
    /// transaction's slot; an error follows.
    Refused = 15,
    /// The name of a field, at an address that always holds it.
    Name = 16,
    /// User data that is no text, at an offset.
    Blob = 17,
    /// A map whose names are fields; the payload is its length.
    Struct = 18,
    /// A [`Wide`](Self::Wide) integer that nothing promised to be a number.
    Exact = 19,
}

/// A streamed or unknown length.
pub const STREAMED: u32 = u32::MAX;

/// Writes a tape.
#[derive(Debug, Default)]
pub struct Tape {
    pairs: Vec<[u32; 2]>,
    base: usize,
}

impl Tape {
    /// Makes an empty tape.
    pub const fn new() -> Self {
        Self { pairs: Vec::new(), base: 0 }
    }

    /// Empties the tape; offsets are those of addresses from `base`.
    pub fn start(&mut self, base: usize) {
        self.pairs.clear();
        self.base = base;
    }

    /// Gives the words written since the start.
    pub fn words(&self) -> &[u32] {
        self.pairs.as_flattened()
    }

    #[inline(always)]
    fn pair(&mut self, tag: Tag, field: u32, payload: u32) {
        self.pairs.push([tag as u32 | field << 6, payload]);
    }

    #[inline(always)]
    fn text(&mut self, tag: Tag, text: &[u8]) {
        let offset = (text.as_ptr() as usize).wrapping_sub(self.base) as u32;
        let field = (text.len() as u32) << 6 | u32::from(is_ascii(text)) << 5;
        self.pairs.push([tag as u32 | field, offset]);
    }
}

impl Sink for Tape {
    #[inline(always)]
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Text(Text::Bulk, text) => self.text(Tag::Bulk, text),
            Event::Close { streamed: false } => {}
            Event::Open(Aggregate::Array, Some(len)) => self.pair(Tag::Array, 0, len),
            Event::Integer(value) => match i32::try_from(value) {
                Ok(value) => self.pair(Tag::Integer, 0, value as u32),
                Err(_) => self.wide(Tag::Wide, value),
            },
            event => self.rare(event),
        }
    }
}

impl Tape {
    /// What is worth no copy at each place that tells events.
    #[cfg_attr(target_family = "wasm", inline(never))]
    fn rare(&mut self, event: Event<'_>) {
        let (tag, text) = match event {
            Event::Text(kind, text) => (tag(kind), text),
            Event::Double(text) => (Tag::Double, text),
            Event::BulkPart(part) => (Tag::Part, part),
            event => return self.small(event),
        };
        self.text(tag, text);
    }

    /// What is no text.
    fn small(&mut self, event: Event<'_>) {
        let (tag, field, payload) = match event {
            Event::Text(..) | Event::Double(_) | Event::BulkPart(_) | Event::Integer(_) => return,
            Event::Exact(value) => return self.wide(Tag::Exact, value),
            Event::Null => (Tag::Atom, 0, 0),
            Event::Boolean(true) => (Tag::Atom, 0, 1),
            Event::Boolean(false) => (Tag::Atom, 0, 2),
            Event::Open(kind, len) => {
                let tag = match kind {
                    Aggregate::Map | Aggregate::Attribute => Tag::Map,
                    Aggregate::Struct => Tag::Struct,
                    Aggregate::Set => Tag::Set,
                    Aggregate::Array | Aggregate::Push => Tag::Array,
                };
                (tag, 0, len.unwrap_or(STREAMED))
            }
            Event::Close { streamed: true } | Event::BulkClose => (Tag::End, 0, 0),
            Event::Close { streamed: false } => return,
            Event::BulkOpen(kind, len) => {
                let len = len.and_then(|len| u32::try_from(len).ok()).unwrap_or(STREAMED);
                (Tag::Open, tag(kind) as u32, len)
            }
        };
        self.pair(tag, field, payload);
    }

    #[inline(never)]
    fn wide(&mut self, tag: Tag, value: i64) {
        self.pair(tag, 0, value as u32);
        self.pair(tag, 0, (value >> 32) as u32);
    }
}

impl ReplySink for Tape {
    #[inline(always)]
    fn begin(&mut self, slot: Slot) {
        self.pair(Tag::Reply, 0, slot.0);
    }

    #[inline(always)]
    fn end(&mut self) {}

    fn queue_error(&mut self, slot: Slot, index: u32, text: &[u8]) {
        self.pair(Tag::Refused, 0, index);
        self.pair(Tag::Refused, 0, slot.0);
        self.text(Tag::Error, text);
    }
}

fn tag(kind: Text) -> Tag {
    match kind {
        Text::Bulk | Text::Verbatim(_) => Tag::Bulk,
        Text::Simple => Tag::Simple,
        Text::Error | Text::BlobError => Tag::Error,
        Text::BigNumber => Tag::BigNumber,
        Text::Name => Tag::Name,
        Text::Blob => Tag::Blob,
    }
}

/// Looks at what is frequent, a text of 4 to 16 bytes, by two words.
#[inline(always)]
fn is_ascii(text: &[u8]) -> bool {
    let seen = match text.len() {
        4..8 => {
            let word = |bytes: &[u8; 4]| u64::from(u32::from_ne_bytes(*bytes));
            text.first_chunk().map(word).zip(text.last_chunk().map(word))
        }
        8..=16 => {
            let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
            text.first_chunk().map(word).zip(text.last_chunk().map(word))
        }
        _ => None,
    };
    match seen {
        Some((first, last)) => (first | last) & HIGH_BITS == 0,
        None => is_all_ascii(text),
    }
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// Looks at eight bytes at a time, the last of which may be looked at twice.
#[cfg_attr(target_family = "wasm", inline(never))]
fn is_all_ascii(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks::<8>();
    let seen = match text.last_chunk::<8>() {
        Some(last) => {
            chunks.iter().fold(u64::from_ne_bytes(*last), |seen, chunk| seen | u64::from_ne_bytes(*chunk))
        }
        None => rest.iter().fold(0, |seen, &byte| seen | u64::from(byte)),
    };
    seen & HIGH_BITS == 0
}
