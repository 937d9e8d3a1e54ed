//! Commands on their way in: words that describe them, and bytes that hold their arguments.
//!
//! The same form serves callers in Rust ([`BatchBuffer`]) and across a wasm boundary, where one tick's commands come as one
//! array of words and one text. Per command:
//!
//! ```text
//! slot | row + flags << 16 | arguments | (timeout, when flagged) | one word per argument
//! ```
//!
//! An argument's word is its length with its [`Place`] in the two top bits; an external argument has a second word with its
//! length.

use crate::machine::Slot;
use crate::table::RowId;

/// Flags of a command.
pub mod flags {
    /// The reply keeps the form that the server gave it.
    pub const RAW: u32 = 1 << 16;
    /// The first argument is the command's name; its row is looked up.
    pub const NAMED: u32 = 1 << 17;
    /// A word with the command's own timeout in milliseconds follows (0: none).
    pub const TIMEOUT: u32 = 1 << 18;
    /// MULTI, beginning a transaction; the following members and EXEC share its slot.
    pub const MULTI: u32 = 1 << 19;
    /// A command queued in a transaction.
    pub const MEMBER: u32 = 1 << 20;
    /// EXEC, ending a transaction; its reply is the transaction's.
    pub const EXEC: u32 = 1 << 21;
    /// Executing the command twice does no harm: it is sent again when its link is lost before the reply.
    pub const IDEMPOTENT: u32 = 1 << 22;
    /// The server does not answer: `CLIENT REPLY SKIP` goes right before the command, as part of it. On leases only, and not in transactions.
    pub const SILENT: u32 = 1 << 23;
    /// An EVALSHA, or EVALSHA_RO, that goes on with the script's text when the server does not know the digest; see
    /// [`Conversations::converse`](crate::operation::Conversations::converse), without which this is any other command.
    pub const SCRIPT: u32 = 1 << 24;
    /// Sent by a conversation, which its reply is for.
    pub const CONVERSATION: u32 = 1 << 26;
    /// No command: the row is the number of an [operation](crate::operation::kind), the arguments are its own.
    pub const OPERATION: u32 = 1 << 25;
    /// The reply may be kept, and come from what is kept, where commands are asked for that one by one.
    pub const CACHED: u32 = 1 << 28;
    /// The reply must come from the server and is not kept.
    pub const UNCACHED: u32 = 1 << 29;
}

/// Where the bytes of an argument are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Next in [`Batch::text`].
    Text,
    /// Next in [`Batch::side`].
    Side,
    /// With the caller, who sends them itself ([`Segment::External`](crate::machine::Segment)).
    External,
}

const PLACE: u32 = 30;
const LENGTH: u32 = (1 << PLACE) - 1;

impl Place {
    fn of(word: u32) -> Option<Self> {
        match word >> PLACE {
            0 => Some(Self::Text),
            1 => Some(Self::Side),
            2 => Some(Self::External),
            _ => None,
        }
    }
}

/// The batch contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Words end early, or name what does not exist.
    Words,
    /// Lengths do not add up to the bytes given.
    Bytes,
    /// Two arguments meet inside one character, so their bytes cannot be told apart.
    Joined,
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Words => "words of the batch are incomplete",
            Self::Bytes => "lengths of the batch do not match its bytes",
            Self::Joined => "two arguments of the batch share a character",
        })
    }
}

impl core::error::Error for Malformed {}

/// Commands, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// What the commands are.
    pub words: &'a [u32],
    /// Arguments that came as text, one behind the other.
    pub text: &'a [u8],
    /// Arguments that came as bytes, one behind the other.
    pub side: &'a [u8],
}

/// One command of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its slot.
    pub slot: Slot,
    /// Its row; [`RowId::UNKNOWN`] with [`flags::NAMED`].
    pub row: RowId,
    /// Its [`flags`].
    pub flags: u32,
    /// Its own timeout in milliseconds.
    pub timeout: Option<u32>,
    args: Arguments<'a>,
}

/// An argument of a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// Its length; the caller holds the bytes.
    External(usize),
}

impl<'a> Argument<'a> {
    /// Gives the length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::External(length) => *length,
        }
    }

    /// Gives the bytes; none for an external argument.
    #[cfg(feature = "alloc")]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::External(_) => &[],
        }
    }

    /// Tells whether its bytes are here, and no more than `most`.
    #[cfg(feature = "alloc")]
    pub(crate) fn is_short(&self, most: usize) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes.len() <= most)
    }

    /// Tells whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The arguments of a [`Request`], in order.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    left: u32,
    rest: Batch<'a>,
}

impl<'a> Request<'a> {
    /// Gives the arguments, with the name first where [`flags::NAMED`] says so.
    pub fn args(&self) -> Arguments<'a> {
        self.args
    }
}

#[cfg(feature = "alloc")]
impl<'a> Arguments<'a> {
    /// Makes them of their number and a batch that begins with them.
    pub(crate) fn new(count: usize, rest: Batch<'a>) -> Self {
        Self { left: count as u32, rest }
    }

    /// Gives the batch that begins with them.
    pub(crate) fn rest(&self) -> Batch<'a> {
        self.rest
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = Argument<'a>;

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.rest.argument().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Arguments<'_> {}

impl<'a> Batch<'a> {
    /// Takes the first command off the batch; `None` at its end.
    ///
    /// # Errors
    /// [`Malformed`] when what stands there is no whole command.
    #[inline(never)]
    pub fn next_request(&mut self) -> Result<Option<Request<'a>>, Malformed> {
        let request = self.head()?;
        self.pass(request.map_or(0, |request| request.args.len()))?;
        Ok(request)
    }

    /// Gives what stands before `rest`, which is the end of this batch.
    #[cfg(feature = "alloc")]
    #[inline(never)]
    pub(crate) fn before(&self, rest: &Self) -> Self {
        Self {
            words: self.words.get(..self.words.len() - rest.words.len()).unwrap_or_default(),
            text: self.text.get(..self.text.len() - rest.text.len()).unwrap_or_default(),
            side: self.side.get(..self.side.len() - rest.side.len()).unwrap_or_default(),
        }
    }

    /// Steps over `count` arguments.
    #[inline(never)]
    pub(crate) fn pass(&mut self, count: usize) -> Result<(), Malformed> {
        for _ in 0..count {
            let (place, length) = self.place()?;
            self.advance(place, length);
        }
        Ok(())
    }

    /// Takes the first command off the batch, but for its arguments, which are unchecked and stay; `None` at the end.
    #[inline]
    pub(crate) fn head(&mut self) -> Result<Option<Request<'a>>, Malformed> {
        if self.words.is_empty() {
            return if self.text.is_empty() && self.side.is_empty() {
                Ok(None)
            } else {
                Err(Malformed::Bytes)
            };
        }
        let [slot, what, count] = self.take_words()?;
        let timeout = match what & flags::TIMEOUT {
            0 => None,
            _ => Some(self.take_words::<1>()?[0]),
        };
        let args = Arguments { left: count, rest: *self };
        Ok(Some(Request { slot: Slot(slot), row: RowId(what as u16), flags: what, timeout, args }))
    }

    /// Takes the word of the next argument; gives where its bytes are, which are there, and how many.
    #[inline]
    pub(crate) fn place(&mut self) -> Result<(Place, usize), Malformed> {
        let [word] = self.take_words()?;
        let length = (word & LENGTH) as usize;
        let place = Place::of(word).ok_or(Malformed::Words)?;
        let bytes = match place {
            Place::Text => self.text,
            Place::Side => self.side,
            Place::External => return Ok((place, self.take_words::<1>()?[0] as usize)),
        };
        if length > bytes.len() { Err(Malformed::Bytes) } else { Ok((place, length)) }
    }

    /// Steps over the bytes of an argument.
    #[inline]
    pub(crate) fn advance(&mut self, place: Place, length: usize) {
        let bytes = match place {
            Place::Text => &mut self.text,
            Place::Side => &mut self.side,
            Place::External => return,
        };
        *bytes = bytes.get(length..).unwrap_or_default();
    }

    #[inline]
    fn argument(&mut self) -> Result<Argument<'a>, Malformed> {
        let (place, length) = self.place()?;
        let bytes = match place {
            Place::Text => self.text,
            Place::Side => self.side,
            Place::External => return Ok(Argument::External(length)),
        };
        self.advance(place, length);
        bytes.get(..length).map(Argument::Bytes).ok_or(Malformed::Bytes)
    }

    #[inline]
    fn take_words<const N: usize>(&mut self) -> Result<[u32; N], Malformed> {
        let (words, rest) = self.words.split_first_chunk().ok_or(Malformed::Words)?;
        self.words = rest;
        Ok(*words)
    }
}

/// Turns the lengths of text arguments from UTF-16 code units into bytes of `text`, which is UTF-8.
///
/// # Errors
/// [`Malformed::Joined`] when a surrogate pair spans two arguments: encoded together it became one character, though each
/// half belongs to its own argument. The words are undefined then.
pub fn measure_utf16(words: &mut [u32], text: &[u8]) -> Result<(), Malformed> {
    let mut rest = words;
    let mut text = text;
    while let [_, what, count, tail @ ..] = rest {
        let timeout = usize::from(*what & flags::TIMEOUT != 0);
        let mut tail = tail.get_mut(timeout..).ok_or(Malformed::Words)?;
        for _ in 0..*count {
            let (word, after) = tail.split_first_mut().ok_or(Malformed::Words)?;
            tail = after;
            match Place::of(*word).ok_or(Malformed::Words)? {
                Place::Text => {
                    let length = utf8_len(text, *word & LENGTH)?;
                    *word = u32::try_from(length).map_err(|_| Malformed::Bytes)?;
                    text = text.get(length..).ok_or(Malformed::Bytes)?;
                }
                Place::Side => {}
                Place::External => tail = tail.get_mut(1..).ok_or(Malformed::Words)?,
            }
        }
        rest = tail;
    }
    Ok(())
}

/// Gives how many bytes at the start of `text` make up `units` UTF-16 code units.
fn utf8_len(text: &[u8], units: u32) -> Result<usize, Malformed> {
    let (mut at, mut left) = (0, units);
    while left > 0 {
        let (bytes, wide) = match text.get(at).ok_or(Malformed::Bytes)? {
            0..0x80 => (1, 1),
            0x80..0xe0 => (2, 1),
            0xe0..0xf0 => (3, 1),
            0xf0.. => (4, 2),
        };
        left = left.checked_sub(wide).ok_or(Malformed::Joined)?;
        at += bytes;
    }
    Ok(at)
}

/// Commands, owned: grows as they are added and keeps its memory when cleared.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, Default)]
pub struct BatchBuffer {
    words: alloc::vec::Vec<u32>,
    side: alloc::vec::Vec<u8>,
}

#[cfg(feature = "alloc")]
impl BatchBuffer {
    /// Makes an empty one.
    pub const fn new() -> Self {
        Self { words: alloc::vec::Vec::new(), side: alloc::vec::Vec::new() }
    }

    /// Adds a command; `args` begin with its name where `row` is [`RowId::UNKNOWN`].
    pub fn push<'a>(
        &mut self,
        slot: Slot,
        row: RowId,
        flags: u32,
        timeout: Option<u32>,
        args: impl Iterator<Item = &'a [u8]>,
    ) {
        let count = self.head(slot, row, flags, timeout);
        for arg in args {
            self.argument(count, arg);
        }
    }

    /// Adds a command whose arguments are `args` and then those of `rest`.
    #[inline(never)]
    pub(crate) fn push_with(
        &mut self,
        slot: Slot,
        row: RowId,
        flags: u32,
        timeout: Option<u32>,
        args: &[&[u8]],
        rest: &Kept,
    ) {
        let count = self.head(slot, row, flags, timeout);
        for arg in args {
            self.argument(count, arg);
        }
        self.words[count] += rest.count;
        self.words.extend_from_slice(&rest.arguments.words);
        self.side.extend_from_slice(&rest.arguments.side);
    }

    /// Begins a command; gives where the number of its arguments stands.
    fn head(&mut self, slot: Slot, row: RowId, flags: u32, timeout: Option<u32>) -> usize {
        let named = if row == RowId::UNKNOWN { flags::NAMED } else { 0 };
        let timed = if timeout.is_some() { flags::TIMEOUT } else { 0 };
        self.words.extend([slot.0, u32::from(row.0) | flags | named | timed, 0]);
        let count = self.words.len() - 1;
        self.words.extend(timeout);
        count
    }

    fn argument(&mut self, count: usize, arg: &[u8]) {
        self.side.extend_from_slice(arg);
        self.words.push(1 << PLACE | arg.len() as u32 & LENGTH);
        self.words[count] += 1;
    }

    /// Gives the commands.
    pub fn batch(&self) -> Batch<'_> {
        Batch { words: &self.words, text: &[], side: &self.side }
    }

    /// Forgets the commands.
    pub fn clear(&mut self) {
        self.words.clear();
        self.side.clear();
    }

    /// Tells whether there are no commands.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

/// Arguments of a command, owned, to be sent another time.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    arguments: BatchBuffer,
    count: u32,
}

#[cfg(feature = "alloc")]
impl Kept {
    /// Adds an argument.
    #[inline(never)]
    pub(crate) fn push(&mut self, arg: Argument<'_>) {
        self.count += 1;
        let BatchBuffer { words, side } = &mut self.arguments;
        match arg {
            Argument::Bytes(bytes) => {
                side.extend_from_slice(bytes);
                words.push(1 << PLACE | bytes.len() as u32 & LENGTH);
            }
            Argument::External(length) => words.extend_from_slice(&[2 << PLACE, length as u32]),
        }
    }
}
