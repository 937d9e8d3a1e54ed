//! Which words of a command are keys.

/// Where some keys of a command are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// The word at which they begin.
    pub begin: Begin,
    /// Which words from there on they are.
    pub find: Find,
}

/// The word at which keys begin, the name's first word being 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this word.
    Index(i16),
    /// At this word, unless it is empty.
    Filled(i16),
    /// Behind the first such word, looked for from this one; backwards, from so many before the end, when it is negative.
    Keyword(&'static str, i16),
    /// Behind the last such option, looked for from this word; other options and what they take (so many words) are stepped over.
    Option(&'static str, i16, &'static [(&'static str, usize)]),
}

/// Which words are keys, counted from the word at which they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// The last of them (from the end when it is negative: -1 is the last word); how many words apart they are; a divisor: only the
    /// first so-manieth part of the words is keys when it is more than 1.
    Range(i16, i16, i16),
    /// Where their number stands; the first of them; how many words apart they are.
    Keynum(i16, i16, i16),
}

impl KeySpec {
    /// Gives the positions of the keys among `words`.
    pub fn keys<W: AsRef<[u8]>>(&self, words: &[W]) -> impl Iterator<Item = usize> + use<W> {
        let (first, end, step) = self.span(words).unwrap_or_default();
        (first..end).step_by(step.max(1))
    }

    /// Gives the keys among `words` to `take`.
    #[cfg(feature = "alloc")]
    pub(super) fn each(&self, words: &[&[u8]], take: &mut dyn FnMut(&[u8])) {
        let (mut at, end, step) = self.span(words).unwrap_or_default();
        while at < end {
            take(words.get(at).copied().unwrap_or_default());
            at += step.max(1);
        }
    }

    fn span<W: AsRef<[u8]>>(&self, words: &[W]) -> Option<(usize, usize, usize)> {
        let begin = self.begin.position(words)?;
        let (first, count, step) = match self.find {
            Find::Range(last, step, limit) => {
                let left = words.len().checked_sub(begin)?;
                let within = match (limit, last) {
                    (2.., _) => left / usize::try_from(limit).ok()?,
                    (_, ..0) => (left + 1).checked_sub(usize::from(last.unsigned_abs()))?,
                    _ => usize::try_from(last).ok()? + 1,
                };
                (begin, within, step)
            }
            Find::Keynum(number, first, step) => {
                let number = words.get(begin.checked_add_signed(number.into())?)?.as_ref();
                let number = usize::try_from(super::whole(number)?).ok()?;
                let step_size = usize::try_from(step).ok()?;
                (begin.checked_add_signed(first.into())?, number.checked_mul(step_size)?, step)
            }
        };
        let end = first.checked_add(count)?.min(words.len());
        Some((first, end, usize::try_from(step).ok()?))
    }
}

impl Begin {
    fn position<W: AsRef<[u8]>>(self, words: &[W]) -> Option<usize> {
        let is = |at: usize, word: &str| {
            words.get(at).is_some_and(|there| super::is(there.as_ref(), word.as_bytes()))
        };
        match self {
            Self::Index(index) => usize::try_from(index).ok(),
            Self::Filled(index) => Self::Index(index).position(words).filter(|&at| !is(at, "")),
            Self::Keyword(word, from @ 0..) => {
                (from as usize..words.len()).find(|&at| is(at, word)).map(|at| at + 1)
            }
            Self::Keyword(word, from) => {
                let from = words.len().checked_sub(from.unsigned_abs().into())?;
                (1..=from).rev().find(|&at| is(at, word)).map(|at| at + 1)
            }
            Self::Option(word, from, others) => {
                let mut found = None;
                let mut at = usize::try_from(from).ok()?;
                while at < words.len() {
                    if is(at, word) {
                        found = Some(at + 1);
                    }
                    at += 1 + others.iter().find(|other| is(at, other.0)).map_or(0, |other| other.1);
                }
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use crate::table::{Row, find_words};
    use alloc::vec::Vec;

    fn keys(command: &str) -> Vec<&str> {
        let words: Vec<&str> = command.split(' ').collect();
        let row = Row::at(find_words(words[0].as_bytes(), words.get(1).map(|word| word.as_bytes())));
        row.keys(&words).map(|at| words[at]).collect()
    }

    #[test]
    fn keys_are_found_wherever_they_stand() {
        for (command, expected) in [
            ("GET a", "a"),
            ("mset a 1 b 2", "a b"),
            ("BLPOP a b 0", "a b"),
            ("EVAL script 2 a b c", "a b"),
            ("EVAL script 0 c", ""),
            ("EVAL script 99999999999 a", "a"),
            ("EVAL script x a", ""),
            ("ZUNIONSTORE to 2 a b WEIGHTS 1 2", "to a b"),
            ("XREAD COUNT 2 STREAMS a b 0 0", "a b"),
            ("XREADGROUP GROUP streams c STREAMS a >", "a"),
            ("SORT a BY STORE GET STORE STORE b", "a b"),
            ("GEORADIUS a 1 2 3 m STORE b", "a b"),
            ("MIGRATE host 1 a 0 9", "a"),
            ("MIGRATE host 1  0 9 KEYS b c", "b c"),
            ("OBJECT ENCODING a", "a"),
            ("PING a", ""),
            ("JSON.MSET a p 1 b p 2", "a b"),
            ("MSETEX 2 a 1 b 2 EX 5", "a b"),
            ("BITOP AND to a b", "to a b"),
            ("GET", ""),
        ] {
            assert_eq!(keys(command).join(" "), expected, "{command}");
        }
    }
}
