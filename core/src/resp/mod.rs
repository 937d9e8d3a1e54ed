//! RESP2 and RESP3: one decoder and one encoder for both.
//!
//! [`Decoder`] turns bytes into [`Event`]s for a [`Sink`]; an owned [`Frame`] is one of the things a sink can build.
//! [`encode`] writes commands (and, for servers and tests, frames).

mod decode;
pub mod encode;
mod event;
#[cfg(feature = "alloc")]
mod frame;
mod number;
#[cfg(feature = "alloc")]
mod writer;

#[cfg(feature = "alloc")]
pub(crate) use decode::short_message;
pub use decode::{Decoded, Decoder, Limits, MAX_DEPTH};
pub use encode::{Buffer, Full};
#[cfg(feature = "alloc")]
pub(crate) use event::tell;
pub use event::{Aggregate, Discard, Event, Sink, Text};
#[cfg(feature = "alloc")]
pub use frame::{Frame, FrameSink};
#[cfg(feature = "alloc")]
pub(crate) use number::is_double;
#[cfg(feature = "alloc")]
pub(crate) use writer::Writer;

/// How bytes from the peer broke the protocol or a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// No value starts with this byte here.
    Tag(u8),
    /// A length is not a number, or negative.
    Length,
    /// An integer is not a number, or too large.
    Integer,
    /// A double is not a number.
    Double,
    /// A boolean is neither `t` nor `f`.
    Boolean,
    /// A null has a body.
    Null,
    /// A verbatim string has no format.
    Verbatim,
    /// A line end is missing, or stands where none may.
    Newline,
    /// Values nest deeper than the limit.
    Depth,
    /// A text, line, aggregate or reply is larger than its limit.
    TooLarge,
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Tag(tag) => return write!(f, "no value starts with byte 0x{tag:02x}"),
            Self::Length => "malformed length",
            Self::Integer => "malformed integer",
            Self::Double => "malformed double",
            Self::Boolean => "malformed boolean",
            Self::Null => "malformed null",
            Self::Verbatim => "malformed verbatim string",
            Self::Newline => "line end missing or misplaced",
            Self::Depth => "nested too deeply",
            Self::TooLarge => "larger than the limit",
        })
    }
}

impl core::error::Error for DecodeError {}
