//! What a command's words say about its reply.

use super::programs::{REPLIES, SCANS, TESTS};
use super::{ANY, Id, Node, RESP2, Shape, node};

/// The shape of a row's reply: a node, and the place of what to look for in the command's words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) node: Id,
    pub(super) scan: u8,
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    /// Looked at first, in the words at fixed places.
    pub(super) probes: &'static [Probe],
    /// Words before the options.
    pub(super) lead: u8,
    /// The place of a word that says how many more stand before them; none when it is not among them.
    pub(super) counted: u8,
    /// Options: for each its bit, the words that it takes along, the length of its name, and its name.
    pub(super) tokens: &'static [u8],
}

/// A bit that is set for a word at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) bit: u8,
    pub(super) place: u8,
    pub(super) wanted: Wanted,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// Any word.
    Sent,
    /// Any word, and none behind it.
    Last,
    /// One that begins with this byte.
    Begins(u8),
}

/// An option takes a number, and so many words, along.
const COUNTED: u8 = 0xfe;
/// It takes all words that follow along.
const REST: u8 = 0xff;

impl Shape {
    /// As the server sent it.
    pub const PLAIN: Self = Self { node: ANY, bits: 0 };

    /// Exactly as it came, attributes apart.
    pub const RAW: Self = Self { node: Id::MAX, bits: 0 };

    /// Gives the shape of the reply to the command of the row at `place` with `args` (without the name).
    pub fn of<'a>(place: usize, args: impl Iterator<Item = &'a [u8]>) -> Self {
        let Some(reply) = REPLIES.get(place) else { return Self::PLAIN };
        let scan = match SCANS.get(usize::from(reply.scan)) {
            Some(scan) if reply.scan > 0 => scan,
            _ => return Self { node: reply.node, bits: 0 },
        };
        let bits = scan.bits(args);
        Self { node: settled(reply.node, bits), bits }
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

impl Scan {
    fn bits<'a>(&self, args: impl Iterator<Item = &'a [u8]>) -> u8 {
        let (mut bits, mut lead, mut at) = (0, usize::from(self.lead), 0);
        let mut args = args.peekable();
        while let Some(word) = args.next() {
            for probe in self.probes.iter().filter(|probe| usize::from(probe.place) == at) {
                let found = match probe.wanted {
                    Wanted::Sent => true,
                    Wanted::Last => args.peek().is_none(),
                    Wanted::Begins(byte) => word.first() == Some(&byte),
                };
                bits |= if found { probe.bit } else { 0 };
            }
            if at == usize::from(self.counted) {
                lead += count(word);
            }
            at += 1;
            if at <= lead {
                continue;
            }
            match self.token(word) {
                None => {}
                Some((bit, words)) => {
                    bits |= bit;
                    // what an option takes along is no option
                    lead = at
                        + match words {
                            REST => return bits,
                            COUNTED => 1 + args.peek().map_or(0, |word| count(word)),
                            words => words.into(),
                        };
                }
            }
        }
        bits
    }

    /// Gives the bit of an option, and the words that it takes along.
    fn token(&self, word: &[u8]) -> Option<(u8, u8)> {
        let mut tokens = self.tokens;
        while let [bit, words, length, rest @ ..] = tokens {
            let (name, others) = rest.split_at_checked(usize::from(*length))?;
            if name.eq_ignore_ascii_case(word) {
                return Some((*bit, *words));
            }
            tokens = others;
        }
        None
    }
}

/// Gives the number in `word`; a word that is none counts nothing.
fn count(word: &[u8]) -> usize {
    super::number::integer(word).and_then(|count| u16::try_from(count).ok()).map_or(0, usize::from)
}
