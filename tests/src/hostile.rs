//! What a decoder must stand, as plain functions: they run natively and as wasm32, both on a stack of 64 KiB.

use crate::frames::frame;
use crate::wire::{decode, encoded, tiny, whole};
use oorandom::Rand32;
use redwire_core::resp::{DecodeError, Decoder, Discard, Frame, FrameSink, Limits, MAX_DEPTH};

/// Bytes per stack that these tests must do with.
pub const STACK: usize = 64 << 10;

const VALUES: u64 = 150;

fn values() -> impl Iterator<Item = (Rand32, Frame)> {
    (0..VALUES).map(|seed| {
        let mut random = Rand32::new(seed);
        let frame = frame(&mut random, 4);
        (random, frame)
    })
}

/// What was encoded is decoded.
pub fn values_survive_the_wire() {
    for (_, frame) in values() {
        let wire = encoded(&frame);
        assert_eq!(whole(&wire), (vec![frame.clone()], Ok(())), "{wire:?}");
        assert_eq!(decode(tiny(), [wire.as_slice()]), (vec![frame], Ok(())), "in parts: {wire:?}");
    }
}

/// Where the bytes are split does not matter.
pub fn a_split_anywhere_changes_nothing() {
    for (mut random, frame) in values() {
        let wire = encoded(&frame);
        let expected = (vec![frame], Ok(()));
        for limits in [Limits::default(), tiny()] {
            for at in 0..=wire.len() {
                let (head, tail) = wire.split_at(at);
                assert_eq!(decode(limits, [head, tail]), expected, "split at {at} of {wire:?}");
            }
            for _ in 0..4 {
                assert_eq!(decode(limits, pieces(&mut random, &wire)), expected, "pieces of {wire:?}");
            }
            assert_eq!(decode(limits, wire.chunks(1)), expected, "bytes of {wire:?}");
        }
    }
}

fn pieces<'a>(random: &mut Rand32, wire: &'a [u8]) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), wire);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.rand_range(1..rest.len() as u32 + 1) as usize);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Broken values end in the same error wherever they are split, and never in a panic.
pub fn mutated_values_end_alike_wherever_they_are_split() {
    const BYTES: &[u8] = b"\r\n$*:+-%~>|_#,(=!.;?0129tf\x00\xff";
    for (mut random, frame) in values() {
        let mut wire = encoded(&frame);
        for _ in 0..8 {
            let at = random.rand_range(0..wire.len() as u32) as usize;
            wire[at] = BYTES[random.rand_range(0..BYTES.len() as u32) as usize];
            for limits in [Limits::default(), tiny()] {
                let (frames, end) = decode(limits, [wire.as_slice()]);
                let (others, other) = decode(limits, wire.chunks(1));
                // a value that is not a number never equals itself
                assert_eq!(format!("{frames:?}"), format!("{others:?}"), "{wire:?}");
                assert_eq!(end.is_err(), other.is_err(), "{end:?} or {other:?}: {wire:?}");
            }
        }
    }
}

/// Random bytes never panic.
pub fn random_bytes_are_values_or_errors() {
    let mut random = Rand32::new(11);
    for _ in 0..2_000 {
        let length = random.rand_range(1..64);
        let wire: Vec<u8> = (0..length).map(|_| random.rand_u32() as u8).collect();
        let _ = decode(tiny(), [wire.as_slice()]);
        let text = crate::frames::text(&mut random);
        let _ = decode(tiny(), [text.as_slice()]);
    }
}

/// Nesting without end is one error, whatever it is made of.
pub fn depth_bombs_are_one_error() {
    for unit in ["*1\r\n", "%1\r\n:1\r\n", "~1\r\n", "|1\r\n:1\r\n", "*?\r\n", "%?\r\n:1\r\n", "~?\r\n"] {
        let bomb = unit.repeat(1_000_000);
        assert_eq!(whole(bomb.as_bytes()), (vec![], Err(DecodeError::Depth)), "{unit:?}");
        for chunk in [1, 1000] {
            let mut decoder = Decoder::default();
            let head = bomb.as_bytes().get(..unit.len() * (MAX_DEPTH + 1)).unwrap_or_default();
            let mut end = Ok(());
            let mut unread = Vec::new();
            for piece in head.chunks(chunk) {
                unread.extend_from_slice(piece);
                match decoder.decode(&unread, &mut Discard) {
                    Ok(decoded) => drop(unread.drain(..decoded.consumed)),
                    Err(error) => end = Err(error),
                }
            }
            assert_eq!(end, Err(DecodeError::Depth), "{unit:?} by {chunk}");
        }
    }
}

/// The deepest values can be built and dropped.
pub fn the_deepest_values_need_no_deep_stack() {
    for unit in ["*1\r\n", "%1\r\n:1\r\n", "~1\r\n", "|1\r\n:1\r\n:2\r\n*1\r\n"] {
        let depth = if unit.starts_with('|') { MAX_DEPTH - 1 } else { MAX_DEPTH };
        let wire = unit.repeat(depth) + "+x\r\n";
        let (frames, end) = whole(wire.as_bytes());
        assert_eq!((frames.len(), end), (1, Ok(())), "{unit:?}");
    }
}

/// Attributes before attributes are not nesting, however many there are.
pub fn rows_of_attributes_need_no_deep_stack() {
    for unit in ["|0\r\n", "|1\r\n+a\r\n:1\r\n"] {
        let wire = unit.repeat(200_000) + "+x\r\n";
        let (frames, end) = whole(wire.as_bytes());
        assert_eq!((frames.len(), end), (1, Ok(())), "{unit:?}");
    }
}

/// Headers that announce more than there can be, with what they must lead to; an empty error waits for more.
pub const ANNOUNCEMENTS: &[(&str, Option<DecodeError>)] = &[
    ("*4294967296\r\n", Some(DecodeError::TooLarge)),
    ("*4294967299\r\n+a\r\n+b\r\n+c\r\n", Some(DecodeError::TooLarge)),
    ("*2147483648\r\n", Some(DecodeError::TooLarge)),
    ("*9223372036854775807\r\n", Some(DecodeError::TooLarge)),
    ("*9223372036854775808\r\n", Some(DecodeError::Length)),
    ("*18446744073709551616\r\n", Some(DecodeError::Length)),
    ("$4294967296\r\n", Some(DecodeError::TooLarge)),
    ("$9223372036854775807\r\n", Some(DecodeError::TooLarge)),
    ("!9223372036854775806\r\n", Some(DecodeError::TooLarge)),
    ("=9223372036854775805\r\ntxt:", Some(DecodeError::TooLarge)),
    ("%2147483648\r\n", Some(DecodeError::TooLarge)),
    ("%4611686018427387904\r\n", Some(DecodeError::TooLarge)),
    ("|4611686018427387904\r\n", Some(DecodeError::TooLarge)),
    ("~4294967295\r\n", Some(DecodeError::TooLarge)),
    (">4294967295\r\n", Some(DecodeError::TooLarge)),
    ("$?\r\n;9223372036854775807\r\n", Some(DecodeError::TooLarge)),
    ("*268435456\r\n", None),
    ("%268435456\r\n", None),
    ("~268435456\r\n", None),
    ("$4294967294\r\n", None),
    ("$536870912\r\nabc", None),
    ("=4294967294\r\ntxt:abc", None),
    ("$?\r\n;4294967000\r\nabc", None),
];

/// Headers cost nothing: what they announce must come first.
pub fn announcements_are_refused_or_waited_for() {
    for &(wire, error) in ANNOUNCEMENTS {
        let mut decoder = Decoder::default();
        let mut sink = FrameSink::default();
        let end = decoder.decode(wire.as_bytes(), &mut sink);
        assert_eq!(end.err(), error, "{wire:?}");
        assert_eq!(sink.take(), None, "{wire:?}");
    }
}

/// Makes one list of all of the above.
pub const ALL: &[(&str, fn())] = &[
    ("values survive the wire", values_survive_the_wire),
    ("a split anywhere changes nothing", a_split_anywhere_changes_nothing),
    ("mutated values end alike wherever they are split", mutated_values_end_alike_wherever_they_are_split),
    ("random bytes are values or errors", random_bytes_are_values_or_errors),
    ("depth bombs are one error", depth_bombs_are_one_error),
    ("the deepest values need no deep stack", the_deepest_values_need_no_deep_stack),
    ("rows of attributes need no deep stack", rows_of_attributes_need_no_deep_stack),
    ("announcements are refused or waited for", announcements_are_refused_or_waited_for),
];
