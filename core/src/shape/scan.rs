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
    pub(super) tokens: &'static [Token],
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

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) name: &'static str,
    pub(super) bit: u8,
    /// How many words it takes with it.
    pub(super) words: Words,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Words {
    Fixed(u8),
    /// A number, and so many words.
    Counted,
    /// All that follow.
    Rest,
}

impl Shape {
    /// As the server sent it.
    pub const PLAIN: Self = Self { node: ANY, bits: 0 };

    /// Exactly as it came, attributes apart.
    pub const RAW: Self = Self { node: Id::MAX, bits: 0 };

    /// Gives the shape of the reply to the command of the row at `place` with `args` (without the name).
    pub fn of<'a>(place: usize, args: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
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
    fn bits<'a>(&self, args: impl Iterator<Item = &'a [u8]> + Clone) -> u8 {
        let mut bits = 0;
        for probe in self.probes {
            let mut words = args.clone().skip(probe.place.into());
            let found = match (words.next(), probe.wanted) {
                (None, _) => false,
                (Some(_), Wanted::Sent) => true,
                (Some(_), Wanted::Last) => words.next().is_none(),
                (Some(word), Wanted::Begins(byte)) => word.first() == Some(&byte),
            };
            bits |= if found { probe.bit } else { 0 };
        }
        if self.tokens.is_empty() {
            return bits;
        }
        let more = args
            .clone()
            .nth(self.counted.into())
            .map_or(0, |word| if self.counted < self.lead { count(word) } else { 0 });
        let mut words = args.skip(usize::from(self.lead) + more);
        while let Some(word) = words.next() {
            let known = self.tokens.iter().find(|token| token.name.as_bytes().eq_ignore_ascii_case(word));
            let Some(token) = known else { continue };
            bits |= token.bit;
            let taken = match token.words {
                Words::Fixed(words) => words.into(),
                Words::Counted => words.next().map_or(0, count),
                Words::Rest => break,
            };
            if taken > 0 {
                words.nth(taken - 1);
            }
        }
        bits
    }
}

/// Gives the number in `word`; a word that is none counts nothing.
fn count(word: &[u8]) -> usize {
    super::number::integer(word).and_then(|count| u16::try_from(count).ok()).map_or(0, usize::from)
}
