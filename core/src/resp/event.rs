//! What a decoder tells, and who listens.

/// One step of a value as it is recognised on the wire.
///
/// Slices borrow from the input given to [`Decoder::decode`](super::Decoder::decode); a listener copies what it keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A text value that arrived whole.
    Text(Text, &'a [u8]),
    /// An integer.
    Integer(i64),
    /// An integer beyond what a double can hold, where nothing promised one. Only shapes tell it.
    Exact(i64),
    /// A double, as its checked text: digits with an optional fraction and exponent, `inf`, `-inf` or `nan`.
    Double(&'a [u8]),
    /// `#t` or `#f`.
    Boolean(bool),
    /// Null in any of its three spellings (`_`, `$-1`, `*-1`).
    Null,
    /// The start of a large or streamed text; its length in bytes, `None` when streamed.
    BulkOpen(Text, Option<u64>),
    /// The next bytes of the open text.
    BulkPart(&'a [u8]),
    /// The end of the open text.
    BulkClose,
    /// The start of an aggregate; its elements (pairs, for maps and attributes), `None` when streamed.
    Open(Aggregate, Option<u32>),
    /// The end of the innermost open aggregate.
    Close {
        /// Whether the aggregate was opened without a length.
        streamed: bool,
    },
}

/// The kinds of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// `+`: a status.
    Simple,
    /// `-`: an error in one line.
    Error,
    /// `!`: an error that may hold any bytes.
    BlobError,
    /// `$`: user data.
    Bulk,
    /// `=`: text with a format of three letters, which is not part of the bytes.
    Verbatim([u8; 3]),
    /// `(`: an integer of any size, as checked decimal digits.
    BigNumber,
    /// The name of a field, which never moves. Only shapes tell it.
    Name,
    /// User data that is no text. Only shapes tell it.
    Blob,
}

/// The kinds of aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// `*`
    Array,
    /// `~`
    Set,
    /// `%`
    Map,
    /// `>`: out-of-band data, only between replies.
    Push,
    /// `|`: a map about the value that follows; not a value itself.
    Attribute,
    /// A map whose names are fields, not data. Only shapes tell it.
    Struct,
}

impl Aggregate {
    /// Gives how many values make up `len` elements.
    pub(crate) fn values(self, len: u32) -> Option<u32> {
        match self {
            Self::Map | Self::Attribute | Self::Struct => len.checked_mul(2),
            _ => Some(len),
        }
    }
}

/// Takes the events of a decoder, in order.
pub trait Sink {
    /// Takes one event.
    fn event(&mut self, event: Event<'_>);
}

/// Tells an event that is not worth a copy of the sink's code.
#[cfg_attr(target_family = "wasm", inline(never))]
#[cfg_attr(not(target_family = "wasm"), inline)]
pub(crate) fn tell<S: Sink>(sink: &mut S, event: Event<'_>) {
    sink.event(event);
}

/// Forgets everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn event(&mut self, _: Event<'_>) {}
}
