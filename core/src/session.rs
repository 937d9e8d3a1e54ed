//! One command at a time on a buffer of the caller's: for firmware, without an allocator.

use crate::argument::Fault;
use crate::command::Call;
use crate::resp::encode::{Buffer, Full};
use crate::resp::{DecodeError, Decoder, Discard, Limits, Sink};
use core::fmt;

/// A conversation over a byte stream that the caller reads and writes. It speaks RESP2, does not shake hands, and keeps nothing
/// but one command or one reply, in `buffer`: that is how large each may be.
///
/// ```
/// use redwire_core::{commands, session::Session};
/// # use std::io::{Read, Write, Error};
/// # struct Socket;
/// # impl Socket {
/// #     fn write_all(&mut self, wire: &[u8]) { assert_eq!(wire, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n") }
/// #     fn read(&mut self, space: &mut [u8]) -> usize { (&b"$5\r\nvalue\r\n"[..]).read(&mut space[..3]).unwrap(); 0 }
/// # }
/// # let mut replies: &[u8] = b"$5\r\nvalue\r\n";
/// # let mut socket = Socket;
/// let mut memory = [0; 128];
/// let mut session = Session::new(&mut memory);
/// socket.write_all(session.send(&commands::get("key"))?);
/// let reply = loop {
///     # let read = replies.read(&mut session.space()[..5]).unwrap();
///     # /*
///     let read = socket.read(session.space());
///     # */
///     if session.handle_bytes(read)? {
///         break session.reply()?;
///     }
/// };
/// assert_eq!(reply.text(), Some(&b"value"[..]));
/// # Ok::<(), redwire_core::session::SessionError>(())
/// ```
#[derive(Debug)]
pub struct Session<'buf> {
    buffer: &'buf mut [u8],
    /// Bytes of the reply so far.
    filled: usize,
    /// How many of them the decoder is done with.
    decoded: usize,
    state: State,
    decoder: Decoder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was asked.
    Quiet,
    /// A reply is on its way.
    Waiting,
    /// The reply is whole.
    Answered,
    /// The peer cannot be understood any more.
    Broken(SessionError),
}

/// Why a session cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// The buffer cannot hold the command. Nothing happened.
    Full,
    /// A list that takes one value at least has none: the parameter of this name. Nothing happened.
    Empty(&'static str),
    /// The last command has no reply yet, or none was sent.
    Order,
    /// The buffer cannot hold the reply. The stream is of no use any more: open another and [`reset`](Session::reset).
    ReplyTooLarge,
    /// The peer broke the protocol. Likewise.
    Protocol(DecodeError),
    /// Bytes came that nothing had asked for. Likewise.
    Unsolicited,
}

impl<'buf> Session<'buf> {
    /// Makes a session for a fresh stream.
    pub fn new(buffer: &'buf mut [u8]) -> Self {
        let length = buffer.len();
        let limits = Limits {
            bulk: length as u64,
            line: length,
            whole: length.saturating_add(1),
            ..Limits::default()
        };
        Self { buffer, filled: 0, decoded: 0, state: State::Quiet, decoder: Decoder::new(limits) }
    }

    /// Begins again with a fresh stream.
    pub fn reset(&mut self) {
        self.clear();
        self.state = State::Quiet;
    }

    /// Begins a command, and forgets the last reply; gives what the caller must write to the stream before it reads.
    ///
    /// # Errors
    /// [`SessionError::Full`], [`SessionError::Empty`], [`SessionError::Order`] while a reply is on its way, or what broke the stream.
    pub fn send(&mut self, command: &impl AsRef<Call>) -> Result<&[u8], SessionError> {
        match self.state {
            State::Broken(error) => return Err(error),
            State::Waiting => return Err(SessionError::Order),
            State::Quiet | State::Answered => {}
        }
        self.clear();
        self.state = State::Quiet;
        let mut room = Room { buffer: self.buffer, length: 0 };
        let call = command.as_ref();
        let length = call.encode(&mut room).map_err(|Full| match call.args().fault() {
            Some(Fault::Empty(parameter)) => SessionError::Empty(parameter),
            _ => SessionError::Full,
        })?;
        self.state = State::Waiting;
        self.buffer.get(..length).ok_or(SessionError::Full)
    }

    /// Gives the room that the next bytes of the stream are to be read into.
    pub fn space(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Takes the first `count` bytes of [`space`](Self::space), which the caller has read there; tells whether the reply is whole.
    ///
    /// # Errors
    /// [`SessionError::ReplyTooLarge`], [`SessionError::Protocol`] or [`SessionError::Unsolicited`].
    pub fn handle_bytes(&mut self, count: usize) -> Result<bool, SessionError> {
        self.advance(count).inspect_err(|&error| self.state = State::Broken(error))
    }

    /// Gives the reply.
    ///
    /// # Errors
    /// [`SessionError::Order`] while it is not whole, or what broke the stream.
    pub fn reply(&self) -> Result<Reply<'_>, SessionError> {
        match self.state {
            State::Answered => Ok(Reply { bytes: self.buffer.get(..self.decoded).unwrap_or_default() }),
            State::Broken(error) => Err(error),
            State::Quiet | State::Waiting => Err(SessionError::Order),
        }
    }

    fn advance(&mut self, count: usize) -> Result<bool, SessionError> {
        match self.state {
            State::Broken(error) => return Err(error),
            State::Waiting => {}
            State::Quiet | State::Answered if count == 0 => return Ok(self.state == State::Answered),
            State::Quiet | State::Answered => return Err(SessionError::Unsolicited),
        }
        self.filled = (self.filled + count).min(self.buffer.len());
        let fresh = self.buffer.get(self.decoded..self.filled).unwrap_or_default();
        let decoded = self.decoder.decode(fresh, &mut Discard).map_err(|error| match error {
            DecodeError::TooLarge => SessionError::ReplyTooLarge,
            error => SessionError::Protocol(error),
        })?;
        self.decoded += decoded.consumed;
        if !decoded.done {
            let full = self.filled == self.buffer.len();
            return if full { Err(SessionError::ReplyTooLarge) } else { Ok(false) };
        }
        if self.decoded < self.filled {
            return Err(SessionError::Unsolicited);
        }
        self.state = State::Answered;
        Ok(true)
    }

    fn clear(&mut self) {
        self.filled = 0;
        self.decoded = 0;
        self.decoder.reset();
    }
}

/// A reply, or an element of one, where it lies in the session's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// One whole value, checked.
    bytes: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Gives the text of an error reply; `None` for any other.
    pub fn error(&self) -> Option<&'a [u8]> {
        self.line(b'-')
    }

    /// Gives a status or user data; `None` for anything else, null included.
    pub fn text(&self) -> Option<&'a [u8]> {
        self.line(b'+').or_else(|| match self.split() {
            (b'$', _, body) if !self.is_null() => body.strip_suffix(b"\r\n"),
            _ => None,
        })
    }

    /// Gives an integer, also one in text form; `None` for anything else.
    pub fn integer(&self) -> Option<i64> {
        let digits = self.line(b':').or_else(|| self.text())?;
        core::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Tells whether it is the status `OK`.
    pub fn is_ok(&self) -> bool {
        self.line(b'+') == Some(b"OK")
    }

    /// Tells whether there is no value: a missing key, a condition that did not hold.
    pub fn is_null(&self) -> bool {
        matches!(self.bytes, b"$-1\r\n" | b"*-1\r\n" | b"_\r\n")
    }

    /// Gives the elements of an array in order; of anything else, none.
    pub fn items(&self) -> impl Iterator<Item = Reply<'a>> + use<'a> {
        let mut rest = match self.split() {
            (b'*' | b'~' | b'%', _, body) => body,
            _ => &[],
        };
        let mut decoder = whole_decoder();
        core::iter::from_fn(move || {
            let used = decoder.decode(rest, &mut Discard).ok().filter(|decoded| decoded.done)?.consumed;
            let (bytes, tail) = rest.split_at_checked(used)?;
            rest = tail;
            Some(Reply { bytes })
        })
    }

    /// Gives the value's events to `sink`; every text comes whole.
    pub fn events<S: Sink>(&self, sink: &mut S) {
        let decoded = whole_decoder().decode(self.bytes, sink);
        debug_assert!(decoded.is_ok_and(|decoded| decoded.done), "the session decoded it before");
    }

    fn line(&self, tag: u8) -> Option<&'a [u8]> {
        self.bytes.strip_prefix(&[tag])?.strip_suffix(b"\r\n")
    }

    /// Gives the tag, the rest of the first line and what is behind it.
    fn split(&self) -> (u8, &'a [u8], &'a [u8]) {
        let end = self.bytes.iter().position(|&byte| byte == b'\n').map_or(self.bytes.len(), |end| end + 1);
        let (line, body) = self.bytes.split_at_checked(end).unwrap_or_default();
        match line.split_first() {
            Some((&tag, rest)) => (tag, rest, body),
            None => (0, &[], body),
        }
    }
}

fn whole_decoder() -> Decoder {
    Decoder::new(Limits { whole: usize::MAX, ..Limits::default() })
}

/// A buffer of fixed length.
struct Room<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Buffer for Room<'_> {
    fn reserve(&mut self, additional: usize) -> Result<(), Full> {
        if self.buffer.len() - self.length < additional { Err(Full) } else { Ok(()) }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(space) = self.buffer.get_mut(self.length..end) {
            space.copy_from_slice(bytes);
            self.length = end;
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the buffer cannot hold the command",
            Self::Empty(parameter) => {
                return write!(f, "parameter '{parameter}' expected one value at least, got none");
            }
            Self::Order => "a command and its reply must take turns",
            Self::ReplyTooLarge => "the buffer cannot hold the reply",
            Self::Protocol(error) => return write!(f, "the peer broke the protocol: {error}"),
            Self::Unsolicited => "a reply came that nothing had asked for",
        })
    }
}

impl core::error::Error for SessionError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands;

    fn told(session: &mut Session<'_>, bytes: &[u8]) -> Result<bool, SessionError> {
        let mut whole = false;
        for byte in bytes {
            session.space()[0] = *byte;
            whole = session.handle_bytes(1)?;
        }
        Ok(whole)
    }

    #[test]
    fn replies_are_read_where_they_lie_however_they_arrive() {
        let mut memory = [0; 64];
        let mut session = Session::new(&mut memory);
        assert_eq!(session.send(&commands::incr("n")), Ok(&b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"[..]));
        assert_eq!(session.send(&commands::ping()), Err(SessionError::Order));
        assert_eq!(told(&mut session, b":-7\r\n"), Ok(true));
        assert_eq!(session.reply().map(|reply| reply.integer()), Ok(Some(-7)));

        assert!(session.send(&commands::lrange("l", 0, -1)).is_ok());
        assert_eq!(told(&mut session, b"*3\r\n$1\r\na\r\n*1\r\n:2\r\n$-1\r\n"), Ok(true));
        let items = session.reply().map(|reply| {
            let mut items = reply.items();
            let first = items.next().and_then(|item| item.text());
            let nested = items.next().and_then(|item| item.items().next()?.integer());
            (first, nested, items.next().is_some_and(|item| item.is_null()), items.next().is_none())
        });
        assert_eq!(items, Ok((Some(&b"a"[..]), Some(2), true, true)));

        assert!(session.send(&commands::ping()).is_ok());
        assert_eq!(told(&mut session, b"-ERR no\r\n"), Ok(true));
        let errors = session.reply().map(|reply| (reply.error(), reply.text(), reply.is_ok()));
        assert_eq!(errors, Ok((Some(&b"ERR no"[..]), None, false)));
    }

    #[test]
    fn what_does_not_fit_or_was_not_asked_for_is_told() {
        let mut memory = [0; 32];
        let mut session = Session::new(&mut memory);
        assert_eq!(
            session.send(&commands::command("a name that is far too long for it")),
            Err(SessionError::Full)
        );
        assert!(session.send(&commands::ping()).is_ok());
        assert_eq!(told(&mut session, b"$33\r\n"), Err(SessionError::ReplyTooLarge));
        assert_eq!(session.send(&commands::ping()), Err(SessionError::ReplyTooLarge));
        session.reset();
        assert_eq!(told(&mut session, b"+"), Err(SessionError::Unsolicited));
        session.reset();
        assert!(session.send(&commands::ping()).is_ok());
        assert!(matches!(told(&mut session, b"?"), Err(SessionError::Protocol(_))));
    }
}
