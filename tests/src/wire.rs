//! Bytes to frames as a client would read them, and short names for frames.

use bytes::Bytes;
use redwire_core::resp::{DecodeError, Decoder, Frame, FrameSink, Limits};

/// Decodes `pieces` as they would arrive; gives the whole values, and what ended the stream.
pub fn decode<'a>(
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Result<(), DecodeError>) {
    let (mut decoder, mut sink) = (Decoder::new(limits), FrameSink::default());
    let (mut frames, mut unread) = (Vec::new(), Vec::new());
    for piece in pieces {
        unread.extend_from_slice(piece);
        let mut consumed = 0;
        loop {
            match decoder.decode(&unread[consumed..], &mut sink) {
                Err(error) => return (frames, Err(error)),
                Ok(decoded) => {
                    consumed += decoded.consumed;
                    if !decoded.done {
                        break;
                    }
                    frames.extend(sink.take());
                }
            }
        }
        unread.drain(..consumed);
    }
    (frames, Ok(()))
}

/// Decodes `wire` given at once, with the default limits.
pub fn whole(wire: &[u8]) -> (Vec<Frame>, Result<(), DecodeError>) {
    decode(Limits::default(), [wire])
}

/// Limits under which almost every text comes in parts.
pub fn tiny() -> Limits {
    Limits { whole: 5, ..Limits::default() }
}

/// Encodes a frame as RESP3.
pub fn encoded(frame: &Frame) -> Vec<u8> {
    let mut wire = Vec::new();
    frame.encode(&mut wire);
    wire
}

/// Encodes a frame the way a server does on RESP2: flat maps, doubles as text, `$-1` for null.
pub fn encoded_resp2(frame: &Frame) -> Vec<u8> {
    match frame {
        Frame::Null => b"$-1\r\n".to_vec(),
        Frame::Double(value) => encoded(&bulk(value.to_string())),
        Frame::Boolean(value) => encoded(&Frame::Integer((*value).into())),
        Frame::Verbatim(_, text) => encoded(&Frame::Bulk(text.clone())),
        Frame::Map(pairs) => list_resp2(pairs.iter().flat_map(|(key, value)| [key, value]).collect()),
        Frame::Array(items) | Frame::Set(items) => list_resp2(items.iter().collect()),
        other => encoded(other),
    }
}

fn list_resp2(items: Vec<&Frame>) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", items.len()).into_bytes();
    items.into_iter().for_each(|item| wire.extend(encoded_resp2(item)));
    wire
}

fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

/// Makes user data.
pub fn bulk(text: impl AsRef<[u8]>) -> Frame {
    Frame::Bulk(bytes(text))
}

/// Makes a status.
pub fn simple(text: impl AsRef<[u8]>) -> Frame {
    Frame::Simple(bytes(text))
}

/// Makes an error.
pub fn error(text: impl AsRef<[u8]>) -> Frame {
    Frame::Error(bytes(text))
}

/// Makes a big number.
pub fn big(digits: &str) -> Frame {
    Frame::BigNumber(bytes(digits))
}
