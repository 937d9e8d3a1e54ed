//! What can go wrong, by whose fault.

use crate::machine::{Failure, Reason};
use crate::table::{Name, Row, RowId, Version};
use bytes::Bytes;
use core::fmt;

/// Why a request gave no reply of its type. Never holds arguments, nor secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The server refused the command.
    Server(ServerError),
    /// The server does not know the command: it is older, or has not got the module.
    Unsupported {
        /// The command's name.
        command: Name,
        /// The version that brought it, of Redis or of the module.
        since: Version,
    },
    /// The server refused to queue a command of a transaction, so that nothing of it was executed.
    Refused {
        /// The command's place in the transaction, from 0; `None` when MULTI itself was refused, as to a user who may not send
        /// it: the server took the commands for single ones then.
        index: Option<u32>,
        /// What the server said about it.
        error: ServerError,
    },
    /// A watched key changed: nothing of the transaction was executed.
    Watch,
    /// A lock is not held.
    Lock(LockError),
    /// The server has no library of functions with this name.
    NoLibrary,
    /// No reply came: the link failed, time was up, or the client was closed.
    Failure(Failure),
    /// No reply came, since no link could be made.
    NoLink {
        /// Why not.
        failure: Failure,
        /// What the server said when it refused the handshake, of an authentication its code only, or the transport when it could not be opened;
        /// may be empty.
        said: Bytes,
    },
    /// The reply is not of the type that the caller asked for.
    Reply(Mismatch),
    /// An argument is larger than any server takes; nothing was sent.
    TooLarge,
    /// A list that takes one value at least has none; nothing was sent.
    Empty {
        /// The command's name.
        command: Name,
        /// Which of the parameters it is.
        parameter: &'static str,
    },
    /// The command would change the link that everybody shares, or is about what was sent on it; nothing was sent.
    Reserved {
        /// The command's name.
        command: Name,
        /// What there is for it.
        instead: &'static str,
    },
    /// Security was demanded and the transport has none; nothing was opened.
    Insecure,
    /// Subscriptions, leases and commands that block need a stream of their own, and the transport gives no second one; nothing was sent.
    OneStream,
}

impl Error {
    /// Tells whether the server may have executed the command, or did.
    pub fn maybe_executed(&self) -> bool {
        match self {
            Self::Failure(failure) | Self::NoLink { failure, .. } => failure.maybe_executed,
            Self::Reply(_) | Self::Refused { index: None, .. } => true,
            _ => false,
        }
    }

    /// Notes that it was the command of `row` that the server refused.
    pub(crate) fn name(&mut self, row: Row) {
        match self {
            Self::Server(error) if error.is_unknown() && row.words() > 0 => {
                *self = Self::Unsupported { command: row.name(), since: row.since() };
            }
            Self::Server(error) => error.row = row.id(),
            _ => {}
        }
    }
}

/// Why a lock is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else held it as long as it was waited for.
    Taken,
    /// It is not held any more: its time was up, and somebody else may hold it.
    Lost,
    /// A lock without a time limit cannot be given more time.
    Unlimited,
    /// A time is 2^32 milliseconds or more, or the lock's is none at all.
    Time,
    /// The time between two tries must not be above the lock's.
    Sleep,
    /// The transport has no [`entropy`](crate::transport::Transport::entropy) to make tokens of.
    Entropy,
}

/// An error reply.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerError {
    /// The server's text, its code first.
    pub text: Bytes,
    /// The command that it refused, where that is known.
    row: RowId,
}

impl From<Bytes> for ServerError {
    fn from(text: Bytes) -> Self {
        Self { text, row: RowId::UNKNOWN }
    }
}

impl ServerError {
    /// Gives the code, the first word of the text: `WRONGTYPE`, `ERR`; empty when it is not text.
    pub fn code(&self) -> &str {
        let word = self.text.split(|&byte| byte == b' ').next().unwrap_or_default();
        core::str::from_utf8(word).unwrap_or_default()
    }

    /// Gives the command that was refused, where that is known: not among those of a script, nor of one that the table does not have.
    pub fn command(&self) -> Option<Name> {
        Some(Row::at(self.row)).filter(|row| row.words() > 0).map(Row::name)
    }

    /// Tells whether the server does not know the command.
    fn is_unknown(&self) -> bool {
        [&b"ERR unknown command"[..], b"ERR unknown subcommand"]
            .iter()
            .any(|start| self.text.starts_with(start))
    }
}

/// A reply of another type than expected. The reply itself is user data and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What was asked for.
    pub wanted: &'static str,
    /// What came.
    pub found: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => error.fmt(f),
            Self::Unsupported { command, since: [major, minor, patch] } => {
                write!(f, "the server does not know {command}, which came with version {major}.{minor}.{patch}")
            }
            Self::Refused { index: Some(index), error } => {
                write!(f, "transaction refused at its command {index}: {error}")
            }
            Self::Refused { index: None, error } => write!(f, "transaction refused: {error}"),
            Self::Watch => f.write_str("a watched key changed, the transaction was not executed"),
            Self::Lock(error) => error.fmt(f),
            Self::NoLibrary => f.write_str("the server has no library of functions with this name"),
            Self::Failure(failure) => failure.fmt(f),
            Self::NoLink { failure, said } if said.is_empty() => failure.fmt(f),
            Self::NoLink { failure, said } => {
                write!(f, "{} (", failure.reason)?;
                show(said, f)?;
                write!(f, "){}", failure.outcome())
            }
            Self::Reply(mismatch) => mismatch.fmt(f),
            Self::TooLarge => f.write_str("an argument is too large"),
            Self::Empty { command, parameter } => {
                write!(f, "{command}: parameter '{parameter}' expected one value at least, got none")
            }
            Self::Reserved { command, instead } => {
                write!(f, "{command} is not for the link that everybody shares: use {instead}")
            }
            Self::OneStream => f.write_str("subscriptions, leases and commands that block need a stream of their own, and the transport gives one only"),
            Self::Insecure => f.write_str("security was demanded but the transport has none"),
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "the lock was held by somebody else as long as it was waited for",
            Self::Lost => "the lock is not held any more: its time was up",
            Self::Unlimited => "a lock without a time limit cannot be given more time",
            Self::Time => "the times of a lock must be below 2^32 milliseconds, and its own at least 1",
            Self::Sleep => "the time between two tries must not be above the lock's",
            Self::Entropy => "the transport has no entropy to make a lock's token of",
        })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(command) = self.command() {
            write!(f, "{command}: ")?;
        }
        show(&self.text, f)
    }
}

/// Writes what the other side said, which may be any bytes.
fn show(text: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.utf8_chunks().try_for_each(|chunk| {
        f.write_str(chunk.valid())?;
        if chunk.invalid().is_empty() { Ok(()) } else { f.write_str("\u{fffd}") }
    })
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerError({self})")
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, got {}", self.wanted, self.found)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.reason, self.outcome())
    }
}

impl Failure {
    fn outcome(self) -> &'static str {
        if self.maybe_executed {
            "; the command may have been executed"
        } else {
            "; the command was not executed"
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no reply in time",
            Self::QueueTimeout => "no link was ready in time",
            Self::QueueFull => "too much waits for a link",
            Self::HighWater => "too much is on its way",
            Self::ConnectTimeout => "the link was not ready in time",
            Self::Refused => "the transport could not be opened",
            Self::HungUp => "the other side closed the link during the handshake",
            Self::Dropped => "the link was closed by the other side",
            Self::Silent => "the peer answers nothing any more",
            Self::Demoted => "the server takes no writes any more",
            Self::Loading => "the server is loading its data set",
            Self::Unauthenticated => "the server does not know the client any more",
            Self::Untrusted => "one side does not trust the other's certificate",
            Self::Protocol(error) => return write!(f, "the peer broke the protocol: {error}"),
            Self::Unsolicited => "a reply came that nothing had asked for",
            Self::Authentication => "name or password were refused or are missing",
            Self::Database => "the database could not be selected",
            Self::Protocol3 => "the server does not speak RESP3",
            Self::MaxClients => "the server has no room for another client",
            Self::Handshake => "the server refused the handshake",
            Self::Closed => "the client is closed",
            Self::PoolTimeout => {
                "leases, commands that block and subscriptions had all connections that there may be"
            }
            Self::LeaseLost => "the lease is over",
            Self::ReplyTooLarge => "the reply is too large",
        })
    }
}

impl core::error::Error for Error {}
impl core::error::Error for LockError {}
impl core::error::Error for ServerError {}
impl core::error::Error for Mismatch {}
impl core::error::Error for Failure {}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        Self::Server(error)
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Mismatch> for Error {
    fn from(mismatch: Mismatch) -> Self {
        Self::Reply(mismatch)
    }
}
