//! Arbitrary values from a seed; small enough for wasm.

use crate::wire::{bulk, error, simple};
use bytes::Bytes;
use oorandom::Rand32;
use redwire_core::resp::Frame;

/// Gives any value that a server may send, nested up to `depth`.
pub fn frame(random: &mut Rand32, depth: u32) -> Frame {
    match random.rand_range(0..if depth == 0 { 10 } else { 14 }) {
        0 => Frame::Null,
        1 => simple(line(random)),
        2 => error(text(random)),
        3 | 4 => bulk(text(random)),
        5 => Frame::Verbatim(*b"txt", Bytes::from(text(random))),
        6 => Frame::Integer((u64::from(random.rand_u32()) << 32 | u64::from(random.rand_u32())) as i64),
        7 => Frame::Double(f64::from(random.rand_i32()) / 1024.0),
        8 => Frame::Boolean(random.rand_u32() & 1 == 0),
        9 => Frame::BigNumber(Bytes::from(format!("-{}", "7".repeat(random.rand_range(1..40) as usize)))),
        10 => Frame::Array(items(random, depth)),
        11 => Frame::Set(items(random, depth)),
        12 => Frame::Map(pairs(random, depth)),
        _ => match frame(random, depth - 1) {
            // the attributes of one value are one map
            value @ Frame::Attribute(..) => value,
            value => Frame::Attribute(pairs(random, depth), Box::new(value)),
        },
    }
}

fn items(random: &mut Rand32, depth: u32) -> Vec<Frame> {
    (0..random.rand_range(0..5)).map(|_| frame(random, depth - 1)).collect()
}

fn pairs(random: &mut Rand32, depth: u32) -> Vec<(Frame, Frame)> {
    let count = random.rand_range(0..4);
    (0..count).map(|_| (frame(random, depth - 1), frame(random, depth - 1))).collect()
}

/// Gives any bytes, line ends and wire tags among them.
pub fn text(random: &mut Rand32) -> Vec<u8> {
    const ODD: &[u8] = b"\r\n$*:+-%~>|_#,(=!.;?0123456789tf\xff\xc3\xa4";
    let length = random.rand_range(0..24);
    (0..length).map(|_| ODD[random.rand_range(0..ODD.len() as u32) as usize]).collect()
}

fn line(random: &mut Rand32) -> Vec<u8> {
    let mut line = text(random);
    line.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    line
}
