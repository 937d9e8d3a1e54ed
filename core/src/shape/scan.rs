//! What a command's words say about its reply.

use super::programs::{REPLIES, SCANS, SCRIPTS, TESTS};
use super::{ANY, Id, Node, RESP2, Shape, node};
use crate::batch::{Arguments, Batch};
use crate::table;

/// How many bits of a reply are its node when nothing is looked for or found; the others are the place of what to
/// look for, counted from 1.
const NODE: u16 = 9;

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    /// With fewer words nothing is found.
    pub(super) least: u8,
    /// The reply's node, with its choices.
    pub(super) node: Id,
    /// Where the script begins.
    pub(super) script: u16,
}

/// What words behind an option are its own: from here on not a number, but what its first says.
const COUNTED: u8 = 4;
/// All that follow.
const REST: u8 = 5;

/// How a word at a place is to be: else it begins with this byte.
const SENT: u8 = 0;
/// Sent, and the last.
const LAST: u8 = 1;

impl Shape {
    /// As the server sent it.
    pub const PLAIN: Self = Self { node: ANY, bits: 0 };

    /// Exactly as it came, attributes apart.
    pub const RAW: Self = Self { node: Id::MAX, bits: 0 };

    /// Gives the shape of the reply to the command of the row at `place` with `args` (without the name).
    #[inline]
    pub(crate) fn of(place: usize, args: Arguments<'_>) -> Self {
        let reply = REPLIES.get(place).copied().unwrap_or_default();
        let plain = Self { node: reply & ((1 << NODE) - 1), bits: 0 };
        match SCANS.get(usize::from(reply >> NODE).wrapping_sub(1)) {
            Some(scan) if args.len() >= scan.least.into() => {
                let Batch { words, text, side } = args.rest();
                Self::scanned(scan, args.len(), words, text, side)
            }
            _ => plain,
        }
    }

    /// Takes the arguments in parts: where they are passed as a whole, every command pays for putting them into memory.
    #[inline(never)]
    fn scanned(scan: &Scan, count: usize, words: &[u32], text: &[u8], side: &[u8]) -> Self {
        let args = Arguments::new(count, Batch { words, text, side });
        let script = SCRIPTS.get(usize::from(scan.script)..).unwrap_or_default();
        let bits = bits(script, args).unwrap_or_default();
        Self { node: settled(scan.node, bits), bits }
    }
}

/// Makes the choices that the protocol has no part in.
fn settled(mut id: Id, bits: u8) -> Id {
    while let Node::Case(place, yes, no) = node(id) {
        match TESTS.get(usize::from(place)) {
            Some(test) if (test.any | test.all | test.none) & RESP2 == 0 => {
                id = if test.holds(bits) { yes } else { no };
            }
            _ => break,
        }
    }
    id
}

/// Looks for what a script says:
///
/// ```text
/// probes | place, bit, how | ... words before the options | place of the word that says how many more | options | length, bit, own words, name | ...
/// ```
fn bits(script: &'static [u8], args: Arguments<'_>) -> Option<u8> {
    let (&probes, script) = script.split_first()?;
    let (probes, script) = script.split_at_checked(usize::from(probes) * 3)?;
    let ([lead, counted, options], names) = script.split_first_chunk()?;
    let count = args.len();
    let mut bits = 0;
    let mut next = usize::from(*lead);
    let mut counting = if counted < lead { usize::from(*counted) } else { usize::MAX };
    for (place, word) in args.enumerate() {
        let word = word.bytes();
        for probe in probes.as_chunks::<3>().0 {
            let found = match probe[2] {
                SENT => true,
                LAST => place + 1 == count,
                byte => word.first() == Some(&byte),
            };
            if usize::from(probe[0]) == place && found {
                bits |= probe[1];
            }
        }
        if place == counting {
            next += number(word);
        }
        if place < next {
            continue;
        }
        next = place + 1;
        let mut names = names;
        for _ in 0..*options {
            let ([length, bit, own], rest) = names.split_first_chunk()?;
            let (name, rest) = rest.split_at_checked((*length).into())?;
            names = rest;
            if table::is(name, word) {
                bits |= bit;
                match *own {
                    COUNTED => {
                        counting = next;
                        next += 1;
                    }
                    REST => next = usize::MAX,
                    own => next += usize::from(own),
                }
                break;
            }
        }
    }
    Some(bits)
}

/// Gives the number in `word`; a word that is none counts nothing.
fn number(word: &[u8]) -> usize {
    super::number::integer(word).and_then(|count| u16::try_from(count).ok()).map_or(0, usize::from)
}
