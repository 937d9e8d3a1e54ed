//! What is known about each command: `rows.rs` is generated from `core/commands/`.

mod keys;
#[rustfmt::skip]
mod rows;

use core::cmp::Ordering;
use core::fmt;

#[cfg(feature = "alloc")]
use crate::batch::Arguments;
#[cfg(feature = "alloc")]
use crate::shape::Shape;
pub use keys::{Begin, Find, KeySpec};
use rows::{ENTRIES, HEADS, KEYS, LIMITS, PROFILES, VERSIONS};

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(u16);

/// What the generated table says about a command. The columns are kept apart: so they take the least room in a module.
#[derive(Clone, Copy)]
struct Entry {
    /// The length of its name as it is sent.
    length: u8,
    /// The place of the rest in [`PROFILES`].
    profile: u8,
    /// The place of the version that brought it in [`VERSIONS`].
    since: u8,
}

/// What several commands have in common.
#[derive(Clone, Copy, Debug)]
struct Profile {
    /// The number of words of the name.
    words: u8,
    access: Access,
    /// The place of the specs in [`KEYS`].
    keys: u8,
    /// The place of the limit in [`LIMITS`].
    limit: u8,
    effect: Effect,
    cacheable: bool,
    internal: bool,
}

/// A version of the server: major, minor, patch. For commands of modules it is the module's.
pub type Version = [u8; 3];

/// What a command does to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it; a replica may do so.
    Read,
    /// Changes it.
    Write,
    /// Neither, or nobody knows.
    None,
}

/// Where a blocking command says how long the server may hold its reply back; 0 is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Where it stands.
    pub place: LimitPlace,
    /// Seconds, maybe with a fraction; else milliseconds.
    pub seconds: bool,
}

/// Where a time limit stands among the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPlace {
    /// At this word, the name's first being 0.
    Word(u8),
    /// At the last word.
    Last,
    /// Behind this token; without it the command does not block.
    Token(&'static str),
}

pub use rows::Effect;

/// The position of a [`Row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId(pub u16);

impl RowId {
    /// A command that the table does not know.
    pub const UNKNOWN: Self = Self(0);
}

/// How many rows there are: the unknown one first, the others sorted by name.
pub const COUNT: usize = ENTRIES.len();

/// Where names begin in [`HEADS`], and behind the last the end: low bytes, high bytes. Apart they pack well in the module.
static STARTS: [[u8; COUNT + 1]; 2] = {
    let mut starts = [[0; COUNT + 1]; 2];
    let (mut id, mut start) = (0, 0);
    while id < COUNT {
        start += ENTRIES[id].length as usize;
        id += 1;
        starts[0][id] = start as u8;
        starts[1][id] = (start >> 8) as u8;
    }
    starts
};

static PROFILE_OF: [u8; COUNT] = {
    let (mut column, mut id) = ([0; COUNT], 0);
    while id < COUNT {
        column[id] = ENTRIES[id].profile;
        id += 1;
    }
    column
};

static VERSION_OF: [u8; COUNT] = {
    let (mut column, mut id) = ([0; COUNT], 0);
    while id < COUNT {
        column[id] = ENTRIES[id].since;
        id += 1;
    }
    column
};

/// Gives the row of `name`, its words separated by single spaces, in any case.
pub fn find(name: &[u8]) -> RowId {
    let space = name.iter().position(|&byte| byte == b' ');
    match space.and_then(|space| Some((name.get(..space)?, name.get(space + 1..)?))) {
        Some((first, second)) => search(first, second),
        None => search(name, b""),
    }
}

/// Gives the row of a command by its first words, in any case; a name may have two.
pub fn find_words(first: &[u8], second: Option<&[u8]>) -> RowId {
    let one = search(first, b"");
    match second {
        Some(second) if one == RowId::UNKNOWN || Row::at(RowId(one.0 + 1)).continues(first) => {
            match search(first, second) {
                RowId::UNKNOWN => one,
                two => two,
            }
        }
        _ => one,
    }
}

#[inline(never)]
fn search(first: &[u8], second: &[u8]) -> RowId {
    let (mut low, mut high) = (1, COUNT as u16);
    while low < high {
        let middle = low.midpoint(high);
        let name = Row(middle).name().pair();
        match compare(name.0, first).then_with(|| compare(name.1, second)) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return RowId(middle),
            Ordering::Greater => high = middle,
        }
    }
    RowId::UNKNOWN
}

/// Compares a word of a name with one in any case.
#[inline(never)]
fn compare(word: &[u8], other: &[u8]) -> Ordering {
    for (one, other) in word.iter().zip(other) {
        let other = other.to_ascii_uppercase();
        if *one != other {
            return one.cmp(&other);
        }
    }
    word.len().cmp(&other.len())
}

impl Row {
    /// That of a command which the table does not know.
    #[cfg(feature = "alloc")]
    pub(crate) const UNKNOWN: Self = Self(0);

    /// Gives the row at `id`, the unknown one when there is none.
    #[inline]
    pub const fn at(id: RowId) -> Self {
        if (id.0 as usize) < COUNT { Self(id.0) } else { Self(0) }
    }

    /// Gives the position.
    pub fn id(self) -> RowId {
        RowId(self.0)
    }

    fn profile(self) -> &'static Profile {
        &PROFILES[usize::from(PROFILE_OF[usize::from(self.0)])]
    }

    /// Gives the name as Redis spells it; empty for the unknown row.
    #[inline]
    pub const fn name(self) -> Name {
        let id = self.0 as usize;
        let [low, high] = &STARTS;
        Name {
            start: low[id] as usize | (high[id] as usize) << 8,
            end: low[id + 1] as usize | (high[id + 1] as usize) << 8,
        }
    }

    /// Gives the name as it is sent, with bytes behind its end; its length; and the number of its words.
    #[inline]
    pub(crate) fn head(self) -> (&'static [u8], usize, usize) {
        let Name { start, end } = self.name();
        (HEADS.get(start..).unwrap_or_default(), end - start, self.words())
    }

    /// Gives the number of words of the name.
    pub fn words(self) -> usize {
        self.profile().words.into()
    }

    /// Gives the version that brought the command.
    pub fn since(self) -> Version {
        VERSIONS[usize::from(VERSION_OF[usize::from(self.0)])]
    }

    /// Gives what the command does to data.
    pub fn access(self) -> Access {
        self.profile().access
    }

    /// Gives what the command does to its connection.
    pub fn effect(self) -> Effect {
        self.profile().effect
    }

    /// Tells whether the command may be sent again when its link is lost before the reply: it only reads and never waits, or asks for
    /// nothing but an answer.
    #[inline(never)]
    pub fn is_repeatable(self) -> bool {
        let reads = self.access() == Access::Read && !self.may_block();
        reads || ["PING", "ECHO"].iter().any(|name| self.name().is(name))
    }

    /// Tells whether the command writes and does nothing else: only where its arguments tell, and not even in part where it was refused.
    #[inline(never)]
    pub fn is_write(self) -> bool {
        let scripts = ["EVAL", "EVALSHA", "FCALL"];
        self.access() == Access::Write && !scripts.iter().any(|name| self.name().is(name))
    }

    /// Tells whether the reply is the same until a key of the command changes.
    pub fn is_cacheable(self) -> bool {
        self.profile().cacheable
    }

    /// Tells whether the command is none of a client's business.
    pub fn is_internal(self) -> bool {
        self.profile().internal
    }

    /// Tells whether nobody knows what the command does.
    #[cfg(feature = "alloc")]
    pub(crate) fn is_obscure(self) -> bool {
        self == Self::UNKNOWN || self.is_internal()
    }

    /// Gives where a blocking command says how long it blocks.
    pub fn limit(self) -> Option<Limit> {
        LIMITS.get(usize::from(self.profile().limit)).copied().flatten()
    }

    /// Tells whether the server may hold back its reply to this command.
    #[inline]
    pub(crate) fn may_block(self) -> bool {
        self.profile().limit != 0
    }

    /// Gives how many milliseconds the server may hold back its reply to this command with `args` (without the name): 0 for
    /// ever, or as long as something says that is no plain number; `None` when it does not block.
    pub fn time_limit<'a>(self, args: impl Iterator<Item = &'a [u8]>) -> Option<u32> {
        let limit = self.limit()?;
        let mut text = None;
        let mut behind = false;
        for (place, arg) in (self.words()..).zip(args) {
            let found = match limit.place {
                LimitPlace::Word(word) => place == usize::from(word),
                LimitPlace::Last => true,
                LimitPlace::Token(token) => core::mem::replace(&mut behind, is(arg, token.as_bytes())),
            };
            if found {
                text = Some(arg);
            }
        }
        Some(milliseconds(text?, limit.seconds).unwrap_or(0))
    }

    /// Gives where its keys are.
    pub fn key_specs(self) -> &'static [KeySpec] {
        KEYS.get(usize::from(self.profile().keys)).copied().unwrap_or_default()
    }

    /// Gives the positions of the keys among `words`, those of the name included; each once, in order of the specs.
    pub fn keys<'a, W: AsRef<[u8]>>(self, words: &'a [W]) -> impl Iterator<Item = usize> + use<'a, W> {
        self.key_specs().iter().flat_map(move |spec| spec.keys(words))
    }

    /// Gives the same to `take` one by one, as keys.
    #[cfg(feature = "alloc")]
    #[inline(never)]
    pub(crate) fn each_key(self, words: &[&[u8]], take: &mut dyn FnMut(&[u8])) {
        for spec in self.key_specs() {
            spec.each(words, take);
        }
    }

    /// Gives the shape of the reply to this command with `args` (without the name).
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn shape_with(self, args: Arguments<'_>) -> Shape {
        Shape::of(self.0.into(), args)
    }

    /// Tells whether the name begins with `word` and goes on.
    fn continues(self, word: &[u8]) -> bool {
        self.words() > 1 && compare(self.name().pair().0, word).is_eq()
    }
}

/// Tells whether both are the same word, in any case.
#[inline(never)]
pub(crate) fn is(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Reads a whole number; one that is larger than all others stands for any larger one.
fn whole(text: &[u8]) -> Option<u32> {
    milliseconds(text, false)
}

/// Reads a number without an exponent, in seconds or milliseconds.
#[inline(never)]
fn milliseconds(text: &[u8], seconds: bool) -> Option<u32> {
    let mut value = 0u32;
    let mut places = if seconds { 3 } else { 0 };
    let mut fraction = false;
    for &byte in text {
        match byte {
            b'.' if seconds && !fraction => fraction = true,
            b'0'..=b'9' if fraction && places == 0 => {}
            b'0'..=b'9' => {
                value = value.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
                places -= u32::from(fraction);
            }
            _ => return None,
        }
    }
    let value = value.saturating_mul(10u32.pow(places));
    (!text.is_empty()).then_some(value)
}

/// A command's name. It is kept as it is sent: a bulk string per word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    start: usize,
    end: usize,
}

impl Name {
    /// Gives the words.
    pub fn words(self) -> impl Iterator<Item = &'static [u8]> + Clone {
        let (first, second) = self.pair();
        [first, second].into_iter().filter(|word| !word.is_empty())
    }

    /// Gives the first word, and the second, each empty where there is none.
    pub(crate) fn pair(self) -> (&'static [u8], &'static [u8]) {
        if self.start == self.end {
            return (&[], &[]);
        }
        let (first, next) = line(past_line(self.start));
        if next < self.end { (first, line(past_line(next)).0) } else { (first, &[]) }
    }

    /// Gives the bytes, words separated by spaces.
    pub fn bytes(self) -> impl Iterator<Item = u8> + Clone {
        self.words()
            .enumerate()
            .flat_map(|(place, word)| (place > 0).then_some(b' ').into_iter().chain(word.iter().copied()))
    }

    /// Compares while compiling.
    pub(crate) const fn is(self, name: &str) -> bool {
        if name.is_empty() || self.start == self.end {
            return name.is_empty() && self.start == self.end;
        }
        let name = name.as_bytes();
        let (mut at, mut sent) = (0, past_line(self.start));
        while at < name.len() {
            let matches = match name[at] {
                b' ' => HEADS[sent] == b'\r',
                byte => HEADS[sent] == byte,
            };
            if !matches {
                return false;
            }
            sent = if name[at] == b' ' { past_line(past_line(sent)) } else { sent + 1 };
            at += 1;
        }
        sent + 2 == self.end
    }
}

/// Gives the line that begins at `at`, among the names, and the place behind it.
fn line(at: usize) -> (&'static [u8], usize) {
    let next = past_line(at);
    (HEADS.get(at..next - 2).unwrap_or_default(), next)
}

/// Gives the place behind the line that holds `at`, among the names.
const fn past_line(mut at: usize) -> usize {
    while HEADS[at] != b'\n' {
        at += 1;
    }
    at + 1
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().try_for_each(|byte| fmt::Write::write_char(f, char::from(byte)))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_are_found_in_any_case_and_once() {
        const { assert!(COUNT > 500) };
        for position in 0..COUNT {
            let row = Row::at(RowId(position as u16));
            let name = row.name().to_string();
            assert_eq!(find(name.to_ascii_lowercase().as_bytes()), RowId(position as u16), "{name}");
            assert!(row.name().is(&name), "{name}");
            let mut words = name.split(' ').map(str::as_bytes);
            let first = words.next().unwrap_or_default();
            assert_eq!(find_words(first, words.next().or(Some(b"other"))), RowId(position as u16), "{name}");
        }
        assert_eq!(find(b"NOSUCH"), RowId::UNKNOWN);
        assert_eq!(find_words(b"CLIENT", Some(b"NOSUCH")), RowId::UNKNOWN);
        assert_eq!(find_words(b"command", Some(b"x")), find(b"COMMAND"));
        assert!(!Row::at(RowId(1)).name().is("ACL"));
    }

    #[test]
    fn blocking_commands_say_how_long_they_block() {
        let limit = |name: &str, args: &[&'static [u8]]| {
            Row::at(find(name.as_bytes())).time_limit(args.iter().copied())
        };
        assert_eq!(limit("BLPOP", &[b"a", b"b", b"1.5"]), Some(1500));
        assert_eq!(limit("BLMPOP", &[b"2", b"1", b"a", b"LEFT"]), Some(2000));
        assert_eq!(limit("BLPOP", &[b"a", b"0"]), Some(0));
        assert_eq!(limit("BLPOP", &[b"a", b"0.001"]), Some(1));
        assert_eq!(limit("XREAD", &[b"COUNT", b"1", b"block", b"250", b"STREAMS", b"s", b"0"]), Some(250));
        assert_eq!(limit("XREAD", &[b"STREAMS", b"s", b"0"]), None);
        assert_eq!(limit("BLPOP", &[b"a", b"1e3"]), Some(0));
        assert_eq!(limit("BLPOP", &[]), None);
        assert_eq!(limit("GET", &[b"a"]), None);
    }

    #[test]
    fn only_what_changes_nothing_may_be_sent_again() {
        let repeatable = |name: &&str| Row::at(find(name.as_bytes())).is_repeatable();
        let reads = "GET MGET GETRANGE STRLEN EXISTS TTL TYPE SCAN RANDOMKEY HGETALL HRANDFIELD LRANGE LPOS SMEMBERS SRANDMEMBER \
            ZRANGE ZSCORE XRANGE XLEN XPENDING BITCOUNT BITFIELD_RO GEOSEARCH SORT_RO EVAL_RO EVALSHA_RO FCALL_RO PING ECHO";
        assert_eq!(reads.split(' ').find(|name| !repeatable(name)), None);
        // some of them are called reads: they take what they give, move a deadline, or wait
        let others = "GETDEL GETEX GETSET SPOP LPOP RPOP LMOVE LMPOP ZPOPMIN ZMPOP HGETDEL HGETEX XREADGROUP XAUTOCLAIM XCLAIM XACK XREAD \
            BLPOP BRPOP BLMOVE BLMPOP BZPOPMIN BZMPOP EVAL EVALSHA FCALL SET SETNX INCR APPEND LPUSH SADD HINCRBY XADD PUBLISH BITFIELD \
            SORT GEORADIUS RESTORE MIGRATE EXPIRE PERSIST DEL UNLINK FLUSHALL WAIT WAITAOF WATCH MULTI EXEC DISCARD SELECT AUTH \
            HELLO RESET SUBSCRIBE MONITOR NOSUCH";
        assert_eq!(others.split(' ').find(repeatable), None);
    }

    #[test]
    fn rows_tell_what_the_facts_say() {
        let row = |name: &str| Row::at(find(name.as_bytes()));
        assert_eq!(row("GET").access(), Access::Read);
        assert_eq!(row("CLIENT LIST").head().2, 2);
        assert_eq!(row("BLPOP").limit(), Some(Limit { place: LimitPlace::Last, seconds: true }));
        assert_eq!(row("XREAD").limit(), Some(Limit { place: LimitPlace::Token("BLOCK"), seconds: false }));
        assert_eq!(row("GET").limit(), None);
        assert_eq!(row("SELECT").effect(), Effect::Select);
        assert_eq!(row("HEXPIRE").since(), [7, 4, 0]);
        assert!(row("PSYNC").is_internal());
    }
}
