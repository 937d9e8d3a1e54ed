//! The decoder: incremental, strict, without recursion or allocation.

use super::event::tell;
use super::number;
use super::{Aggregate, DecodeError, Event, Sink, Text};

/// How deep values can nest at most, whatever [`Limits::depth`] says.
pub const MAX_DEPTH: usize = 128;

/// What a peer may announce before it is refused with [`DecodeError::TooLarge`] or [`DecodeError::Depth`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open aggregates; at most [`MAX_DEPTH`].
    pub depth: usize,
    /// Bytes of one text.
    pub bulk: u64,
    /// Elements of one aggregate (pairs, for maps).
    pub aggregate: u32,
    /// Bytes of one line: a status, an error, a number.
    pub line: usize,
    /// Texts of this many bytes and more are given in parts as they arrive; shorter ones wait until they are whole,
    /// so the caller must be able to hold this much and a header.
    pub whole: usize,
    /// Whether decoding pauses at the start of a text that is given in parts, so that the caller may read it to where it
    /// belongs ([`Decoder::skip`]) instead.
    pub pause: bool,
}

impl Limits {
    /// The default limits.
    pub const fn new() -> Self {
        Self {
            depth: MAX_DEPTH,
            bulk: u32::MAX as u64 - 1,
            aggregate: 1 << 28,
            line: 64 << 10,
            whole: 64 << 10,
            pause: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// What one call of [`Decoder::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are done with; the rest must be given again, with more behind it.
    pub consumed: usize,
    /// Whether a whole reply ended; the next call starts the next one.
    pub done: bool,
}

/// Turns bytes into [`Event`]s, one reply after the other.
///
/// Feeding and parsing are separate: the caller keeps what was not consumed and appends to it. Splitting the input
/// anywhere gives the same values (large texts may come in other parts). After an error the stream cannot be trusted:
/// drop the decoder with its connection.
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: Limits,
    levels: [Level; MAX_DEPTH],
    depth: usize,
    state: State,
    /// Bytes of an unfinished line that hold no line end.
    scanned: usize,
    /// See [`Decoder::size`].
    taken: u64,
}

/// What a value in an aggregate counts for beside its bytes, so that the size of a reply bounds the memory that it takes.
const VALUE: u64 = 16;
/// The same, of an aggregate.
const AGGREGATE: u64 = 4 * VALUE;

/// A streamed aggregate cannot end here: attributes stand before a value.
const ATTRIBUTED: u32 = 2;

#[derive(Clone, Copy, Debug)]
struct Level {
    /// Values to come; for a streamed aggregate, values seen modulo two, and [`ATTRIBUTED`].
    left: u32,
    streamed: bool,
    kind: Aggregate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    /// Inside a text given in parts.
    Bulk {
        left: u64,
    },
    /// Between the chunks of a streamed text.
    Chunks,
    /// Inside a chunk of a streamed text.
    Chunk {
        left: u64,
    },
}

/// What a step left to do.
enum Step {
    /// This many bytes make up something that is not a value of its own.
    Part(usize),
    /// This many bytes end a value.
    Value(usize),
}

type Stepped = Result<Option<Step>, DecodeError>;

impl Decoder {
    /// Makes a decoder for a fresh stream.
    #[inline(never)]
    pub const fn new(limits: Limits) -> Self {
        let level = Level { left: 0, streamed: false, kind: Aggregate::Array };
        Self { limits, levels: [level; MAX_DEPTH], depth: 0, state: State::Value, scanned: 0, taken: 0 }
    }

    /// Forgets the stream and starts a fresh one.
    pub fn reset(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Tells whether a reply has begun and not ended.
    pub fn is_within_reply(&self) -> bool {
        self.depth > 0 || self.state != State::Value || self.taken > 0
    }

    /// Gives how many bytes of the open text are to come; 0 when none is open or its length is unknown.
    pub fn bulk_left(&self) -> u64 {
        match self.state {
            State::Bulk { left } => left,
            _ => 0,
        }
    }

    /// Gives how large the open reply is, as far as it is known: its bytes, those to come of the open text, and for each value that its
    /// aggregates announced a few more, as values take memory of their own.
    pub fn size(&self) -> u64 {
        self.taken + self.bulk_left()
    }

    /// Takes up to `count` bytes of the open text as decoded: the caller read them to where they belong. Gives how many.
    pub fn skip(&mut self, count: usize) -> usize {
        let State::Bulk { left } = &mut self.state else { return 0 };
        let taken = (*left).min(count as u64);
        *left -= taken;
        self.taken += taken;
        taken as usize
    }

    /// Decodes from `input` until one reply ends or more bytes are needed.
    ///
    /// # Errors
    /// When the bytes break the protocol or a limit.
    #[inline]
    pub fn decode<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<Decoded, DecodeError> {
        let mut consumed = 0;
        let mut done = false;
        while let Some(rest) = input.get(consumed..).filter(|rest| !rest.is_empty()) {
            let state = self.state;
            let step = match state {
                State::Value => self.value(rest, sink)?,
                State::Bulk { left } => self.part(rest, left, sink)?,
                State::Chunks => self.chunk_header(rest, sink)?,
                State::Chunk { left } => self.chunk(rest, left, sink)?,
            };
            let used = match step {
                None => break,
                Some(Step::Part(used) | Step::Value(used)) => used,
            };
            consumed += used;
            self.taken += used as u64;
            if self.limits.pause && state == State::Value && self.bulk_left() > 0 {
                break;
            }
            if matches!(step, Some(Step::Value(_))) && self.end_value(sink) {
                self.taken = 0;
                done = true;
                break;
            }
        }
        Ok(Decoded { consumed, done })
    }

    /// Takes a reply from the start of `input` where it is there as a whole and one short text, an integer or `OK`; gives the bytes used.
    /// No other reply may have begun.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn short_reply<'a>(&mut self, input: &'a [u8]) -> Option<(Event<'a>, usize)> {
        let (&tag, body) = input.split_first()?;
        let (event, used) = match tag {
            b'$' => {
                let (text, used) = short_bulk(body, self.limits.whole.min(SHORT))?;
                (Event::Text(Text::Bulk, text), used)
            }
            b'+' if is_ok(body) => (Event::Text(Text::Simple, body.get(..2)?), 4),
            b':' => {
                let (value, used) = number::line(body, DecodeError::Integer).ok()??;
                (Event::Integer(value), used)
            }
            _ => return None,
        };
        self.scanned = 0;
        Some((event, used + 1))
    }

    /// Takes a value, or the start of one. What is frequent is here; the rest is told through one door, which keeps it small.
    #[inline(always)]
    fn value<S: Sink>(&mut self, rest: &[u8], sink: &mut S) -> Stepped {
        let Some((&tag, body)) = rest.split_first() else { return Ok(None) };
        match tag {
            b'$' => {
                let mut at = 0;
                loop {
                    let text = rest.get(at..).and_then(|rest| rest.strip_prefix(b"$"));
                    match text.and_then(|body| short_bulk(body, self.limits.whole.min(SHORT))) {
                        Some((text, used)) => {
                            sink.event(Event::Text(Text::Bulk, text));
                            at += 1 + used;
                        }
                        None if at == 0 => return self.bulk(Text::Bulk, body, sink),
                        None => return Ok(Some(Step::Part(at))),
                    }
                    // the next of the same aggregate is likely to be another
                    match self.depth.checked_sub(1).and_then(|top| self.levels.get_mut(top)) {
                        Some(level) if !level.streamed && level.left > 1 => level.left -= 1,
                        _ => return Ok(Some(Step::Value(at))),
                    }
                }
            }
            b'+' if is_ok(body) => {
                self.scanned = 0;
                sink.event(Event::Text(Text::Simple, body.get(..2).unwrap_or_default()));
                Ok(Some(Step::Value(5)))
            }
            b':' => Ok(number::line(body, DecodeError::Integer)?.map(|(value, used)| {
                sink.event(Event::Integer(value));
                Step::Value(1 + used)
            })),
            b'*' => self.aggregate(Aggregate::Array, body, sink),
            b'%' => self.aggregate(Aggregate::Map, body, sink),
            b'~' => self.aggregate(Aggregate::Set, body, sink),
            // with attributes before it, it would be taken for a reply
            b'>' if self.depth == 0 && self.taken == 0 => self.aggregate(Aggregate::Push, body, sink),
            b'|' => self.aggregate(Aggregate::Attribute, body, sink),
            b'=' => self.bulk(Text::Verbatim(*b"txt"), body, sink),
            b'!' => self.bulk(Text::BlobError, body, sink),
            b'.' => self.end(body, sink),
            b'+' | b'-' | b'_' | b'#' | b',' | b'(' => self.line(tag, body, sink),
            _ => Err(DecodeError::Tag(tag)),
        }
    }

    #[inline(never)]
    fn line<S: Sink>(&mut self, tag: u8, body: &[u8], sink: &mut S) -> Stepped {
        let unseen = body.get(self.scanned..).unwrap_or_default();
        let Some(found) = unseen.iter().position(|&byte| byte == b'\r' || byte == b'\n') else {
            self.scanned = body.len();
            return if body.len() > self.limits.line { Err(DecodeError::TooLarge) } else { Ok(None) };
        };
        let end = self.scanned + found;
        if end > self.limits.line {
            return Err(DecodeError::TooLarge);
        }
        match body.get(end..) {
            Some([b'\r', b'\n', ..]) => {
                self.scanned = 0;
                tell(sink, line_event(tag, body.get(..end).unwrap_or_default())?);
                Ok(Some(Step::Value(1 + end + 2)))
            }
            Some([b'\r']) => {
                self.scanned = end;
                Ok(None)
            }
            _ => Err(DecodeError::Newline),
        }
    }

    #[inline(never)]
    fn bulk<S: Sink>(&mut self, kind: Text, body: &[u8], sink: &mut S) -> Stepped {
        if body.first() == Some(&b'?') {
            return self.streamed(body, || {
                if kind != Text::Bulk {
                    return Err(DecodeError::Length);
                }
                tell(sink, Event::BulkOpen(Text::Bulk, None));
                Ok(State::Chunks)
            });
        }
        let Some((length, used)) = number::length(body)? else { return Ok(None) };
        let header = 1 + used;
        let Ok(length) = u64::try_from(length) else {
            if length == -1 && kind == Text::Bulk {
                tell(sink, Event::Null);
                return Ok(Some(Step::Value(header)));
            }
            return Err(DecodeError::Length);
        };
        if length > self.limits.bulk {
            return Err(DecodeError::TooLarge);
        }
        let payload = body.get(used..).unwrap_or_default();
        let (kind, prefix) = match kind {
            Text::Verbatim(_) => match payload {
                _ if length < 4 => return Err(DecodeError::Verbatim),
                [a, b, c, b':', ..] => (Text::Verbatim([*a, *b, *c]), 4),
                [_, _, _, _, ..] => return Err(DecodeError::Verbatim),
                _ => return Ok(None),
            },
            kind => (kind, 0),
        };
        if length < self.limits.whole as u64 {
            let length = length as usize;
            let Some(tail) = payload.get(length..) else { return Ok(None) };
            return Ok(newline(tail)?.map(|used| {
                tell(sink, Event::Text(kind, payload.get(prefix..length).unwrap_or_default()));
                Step::Value(header + length + used)
            }));
        }
        let left = length - prefix as u64;
        tell(sink, Event::BulkOpen(kind, Some(left)));
        self.state = State::Bulk { left };
        Ok(Some(Step::Part(header + prefix)))
    }

    /// Takes `?` and its line end, then enters what `open` gives.
    fn streamed(&mut self, body: &[u8], open: impl FnOnce() -> Result<State, DecodeError>) -> Stepped {
        match body {
            [b'?', b'\r', b'\n', ..] => {
                self.state = open()?;
                Ok(Some(Step::Part(4)))
            }
            [b'?'] | [b'?', b'\r'] => Ok(None),
            _ => Err(DecodeError::Length),
        }
    }

    fn part<S: Sink>(&mut self, rest: &[u8], left: u64, sink: &mut S) -> Stepped {
        if left > 0 {
            let (part, used) = clip(rest, left);
            tell(sink, Event::BulkPart(part));
            self.state = State::Bulk { left: left - used as u64 };
            return Ok(Some(Step::Part(used)));
        }
        newline(rest).map(|found| {
            found.map(|used| {
                tell(sink, Event::BulkClose);
                self.state = State::Value;
                Step::Value(used)
            })
        })
    }

    fn chunk_header<S: Sink>(&mut self, rest: &[u8], sink: &mut S) -> Stepped {
        let [b';', body @ ..] = rest else {
            return Err(DecodeError::Tag(rest.first().copied().unwrap_or(0)));
        };
        let Some((length, used)) = number::length(body)? else { return Ok(None) };
        match u64::try_from(length) {
            Ok(0) => {
                tell(sink, Event::BulkClose);
                self.state = State::Value;
                Ok(Some(Step::Value(1 + used)))
            }
            Ok(left) if left <= self.limits.bulk.saturating_sub(self.taken) => {
                self.state = State::Chunk { left };
                Ok(Some(Step::Part(1 + used)))
            }
            Ok(_) => Err(DecodeError::TooLarge),
            Err(_) => Err(DecodeError::Length),
        }
    }

    fn chunk<S: Sink>(&mut self, rest: &[u8], left: u64, sink: &mut S) -> Stepped {
        if left > 0 {
            let (part, used) = clip(rest, left);
            tell(sink, Event::BulkPart(part));
            self.state = State::Chunk { left: left - used as u64 };
            return Ok(Some(Step::Part(used)));
        }
        let found = newline(rest)?;
        if found.is_some() {
            self.state = State::Chunks;
        }
        Ok(found.map(Step::Part))
    }

    #[cfg_attr(target_family = "wasm", inline(never))]
    #[cfg_attr(not(target_family = "wasm"), inline)]
    fn aggregate<S: Sink>(&mut self, kind: Aggregate, body: &[u8], sink: &mut S) -> Stepped {
        if body.first() == Some(&b'?') {
            if matches!(kind, Aggregate::Push | Aggregate::Attribute) {
                return Err(DecodeError::Length);
            }
            let step = self.streamed(body, || Ok(State::Value))?;
            if step.is_some() {
                self.push(Level { left: 0, streamed: true, kind })?;
                self.taken += AGGREGATE;
                tell(sink, Event::Open(kind, None));
            }
            return Ok(step);
        }
        let Some((length, used)) = number::length(body)? else { return Ok(None) };
        let header = 1 + used;
        if length == -1 && kind == Aggregate::Array {
            tell(sink, Event::Null);
            return Ok(Some(Step::Value(header)));
        }
        let length = u64::try_from(length).map_err(|_| DecodeError::Length)?;
        let length = u32::try_from(length).ok().filter(|&length| length <= self.limits.aggregate);
        let length = length.ok_or(DecodeError::TooLarge)?;
        let left = kind.values(length).ok_or(DecodeError::TooLarge)?;
        self.taken += AGGREGATE + u64::from(left) * VALUE;
        if left > 0 {
            self.push(Level { left, streamed: false, kind })?;
            tell(sink, Event::Open(kind, Some(length)));
            return Ok(Some(Step::Part(header)));
        }
        tell(sink, Event::Open(kind, Some(0)));
        tell(sink, Event::Close { streamed: false });
        if kind == Aggregate::Attribute {
            self.attributed();
            return Ok(Some(Step::Part(header)));
        }
        Ok(Some(Step::Value(header)))
    }

    #[inline]
    fn push(&mut self, level: Level) -> Result<(), DecodeError> {
        if self.depth >= self.limits.depth {
            return Err(DecodeError::Depth);
        }
        *self.levels.get_mut(self.depth).ok_or(DecodeError::Depth)? = level;
        self.depth += 1;
        Ok(())
    }

    /// Takes the `.` that ends a streamed aggregate.
    fn end<S: Sink>(&mut self, body: &[u8], sink: &mut S) -> Stepped {
        let level = self.depth.checked_sub(1).and_then(|top| self.levels.get(top));
        let whole = |level: &Level| {
            level.streamed && (level.left == 0 || level.left == 1 && level.kind != Aggregate::Map)
        };
        if !level.is_some_and(whole) {
            return Err(DecodeError::Tag(b'.'));
        }
        Ok(newline(body)?.map(|used| {
            self.depth -= 1;
            tell(sink, Event::Close { streamed: true });
            Step::Value(1 + used)
        }))
    }

    /// Counts a value in its aggregates; tells whether the reply ended with it.
    #[inline(always)]
    fn end_value<S: Sink>(&mut self, sink: &mut S) -> bool {
        while let Some(level) = self.depth.checked_sub(1).and_then(|top| self.levels.get_mut(top)) {
            if level.streamed {
                level.left = (level.left ^ 1) & 1;
                self.taken += VALUE;
                return false;
            }
            level.left -= 1;
            if level.left > 0 {
                return false;
            }
            let kind = level.kind;
            self.depth -= 1;
            sink.event(Event::Close { streamed: false });
            if kind == Aggregate::Attribute {
                self.attributed();
                return false;
            }
        }
        true
    }

    /// Notes that attributes ended, which are about a value to come.
    fn attributed(&mut self) {
        let level = self.depth.checked_sub(1).and_then(|top| self.levels.get_mut(top));
        if let Some(level) = level.filter(|level| level.streamed) {
            level.left |= ATTRIBUTED;
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// Texts up to this length are taken with their header in one step.
const SHORT: usize = 10_000;

/// Takes the two texts of a message from the start of `input`, with the bytes used, where all of it is there and short; `push` is the tag of
/// what is sent unasked, `limit` what whole texts are shorter than.
#[cfg(feature = "alloc")]
#[inline]
pub(crate) fn short_message(input: &[u8], push: u8, limit: usize) -> Option<(&[u8], &[u8], usize)> {
    const HEAD: &[u8] = b"3\r\n$7\r\nmessage\r\n";
    let limit = limit.min(SHORT);
    let body = input.strip_prefix(&[push])?.strip_prefix(HEAD)?;
    let mut texts = [(&[][..], 0); 2];
    let mut used = 0;
    for text in &mut texts {
        *text = short_bulk(body.get(used..)?.strip_prefix(b"$")?, limit)?;
        used += 1 + text.1;
    }
    let [(channel, _), (data, _)] = texts;
    Some((channel, data, 1 + HEAD.len() + used))
}

/// Takes a text of less than `limit` bytes that is there as a whole, with the bytes used; `None` where a second look is needed.
#[inline(always)]
fn short_bulk(body: &[u8], limit: usize) -> Option<(&[u8], usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    let (length, used) = match body {
        [a @ b'0'..=b'9', b'\r', b'\n', ..] => (digit(*a), 3),
        [a @ b'0'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => (digit(*a) * 10 + digit(*b), 4),
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n', ..] => {
            (digit(*a) * 100 + digit(*b) * 10 + digit(*c), 5)
        }
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', d @ b'0'..=b'9', b'\r', b'\n', ..] => {
            (digit(*a) * 1000 + digit(*b) * 100 + digit(*c) * 10 + digit(*d), 6)
        }
        _ => return None,
    };
    let (text, tail) = body.get(used..)?.split_at_checked(length).filter(|_| length < limit)?;
    matches!(tail, [b'\r', b'\n', ..]).then_some((text, used + length + 2))
}

/// Byte by byte, which is a comparison of words: `starts_with` calls one of any length.
#[inline(always)]
fn is_ok(body: &[u8]) -> bool {
    matches!(body, [b'O', b'K', b'\r', b'\n', ..])
}

/// Gives what a line with this tag says.
fn line_event(tag: u8, text: &[u8]) -> Result<Event<'_>, DecodeError> {
    match (tag, text) {
        (b'+', _) => Ok(Event::Text(Text::Simple, text)),
        (b'-', _) => Ok(Event::Text(Text::Error, text)),
        (b'_', []) => Ok(Event::Null),
        (b'_', _) => Err(DecodeError::Null),
        (b'#', b"t") => Ok(Event::Boolean(true)),
        (b'#', b"f") => Ok(Event::Boolean(false)),
        (b'#', _) => Err(DecodeError::Boolean),
        (b',', _) if number::is_double(text) => Ok(Event::Double(text)),
        (b',', _) => Err(DecodeError::Double),
        _ if number::is_big_number(text) => Ok(Event::Text(Text::BigNumber, text)),
        _ => Err(DecodeError::Integer),
    }
}

/// Takes a line end; `None` for "more bytes".
fn newline(rest: &[u8]) -> Result<Option<usize>, DecodeError> {
    match rest {
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [] | [b'\r'] => Ok(None),
        _ => Err(DecodeError::Newline),
    }
}

fn clip(rest: &[u8], left: u64) -> (&[u8], usize) {
    let used = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
    (rest.get(..used).unwrap_or_default(), used)
}
