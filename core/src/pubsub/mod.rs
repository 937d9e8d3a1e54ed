//! What a listening [`Connection`](crate::connection::Connection) is told without asking for it, and what it is subscribed to.
//!
//! A connection listens once [`listen`](crate::connection::Connection::listen) gave it a slot. What the server then sends unasked
//! (pushes of RESP3, arrays of RESP2, lines of MONITOR) goes to that slot as arrays whose first element says what they are, a
//! [`Notice`] as an integer, and which never settle the slot:
//!
//! | notice | the other elements |
//! |---|---|
//! | [`Message`](Notice::Message), [`Smessage`](Notice::Smessage) | channel, data |
//! | [`Pmessage`](Notice::Pmessage) | pattern, channel, data |
//! | confirmations ([`Subscribe`](Notice::Subscribe) to [`Sunsubscribe`](Notice::Sunsubscribe)) | name (or null), how many names are left |
//! | [`Line`](Notice::Line) | a line of MONITOR |
//! | [`Gap`](Notice::Gap) | since when and until when messages may be missing, or the error for which they are not subscribed to any more; an array of channels, patterns and shard channels |
//!
//! A message of the channel that the [`Message`](Notice::Message) before it was of may come as its data alone, a text: the name need not be
//! read and looked up again.
//!
//! ```text
//!   SUBSCRIBE --- confirmed ---> the registry --- confirmed --- UNSUBSCRIBE
//!   (in the queue)                |    ^                        (in the queue)
//!                    the link     |    |  the next link: subscribed again
//!                    is lost      v    |  before any command is sent
//!                                  gap ---- a name that may not be: gap with an error
//! ```

mod reading;
mod registry;

pub(crate) use reading::{Outcome, Reading};
pub(crate) use registry::Registry;

use crate::table::{Effect, Row};

/// A name longer than this is not subscribed to, since what confirms it must be held as a whole.
pub const LONGEST_NAME: usize = 64 << 10;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A channel, by its name.
    Channel,
    /// All channels whose names match a pattern.
    Pattern,
    /// A channel that lives in one slot of a cluster.
    Shard,
}

/// All kinds.
pub(crate) const KINDS: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];

/// What an array for a listening slot is. Numbers are those of `wasm/js/pubsub/notices.ts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Notice {
    /// A message of a channel.
    Message = 0,
    /// A message of a channel that a pattern matches.
    Pmessage = 1,
    /// A message of a shard channel.
    Smessage = 2,
    /// A channel is subscribed to.
    Subscribe = 3,
    /// A pattern is.
    Psubscribe = 4,
    /// A shard channel is.
    Ssubscribe = 5,
    /// A channel is not subscribed to any more.
    Unsubscribe = 6,
    /// A pattern is not.
    Punsubscribe = 7,
    /// A shard channel is not.
    Sunsubscribe = 8,
    /// A line of MONITOR.
    Line = 9,
    /// Messages may be missing.
    Gap = 10,
}

/// What the server calls them, in order.
const WORDS: [(&str, Notice); 9] = [
    ("message", Notice::Message),
    ("pmessage", Notice::Pmessage),
    ("smessage", Notice::Smessage),
    ("subscribe", Notice::Subscribe),
    ("psubscribe", Notice::Psubscribe),
    ("ssubscribe", Notice::Ssubscribe),
    ("unsubscribe", Notice::Unsubscribe),
    ("punsubscribe", Notice::Punsubscribe),
    ("sunsubscribe", Notice::Sunsubscribe),
];

impl Notice {
    /// Gives the notice that an integer stands for.
    pub fn from_code(code: i64) -> Option<Self> {
        let known = WORDS.iter().map(|(_, notice)| *notice).chain([Self::Line, Self::Gap]);
        known.into_iter().find(|notice| *notice as i64 == code)
    }

    fn from_word(word: &[u8]) -> Option<Self> {
        WORDS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word)).map(|(_, notice)| *notice)
    }

    /// Gives what confirms a command; `None` when nothing does.
    pub(crate) fn confirming(row: Row) -> Option<Self> {
        let word = matches!(row.effect(), Effect::Subscribe | Effect::Unsubscribe)
            .then(|| row.name().words().next());
        word.flatten().and_then(Self::from_word)
    }

    /// Gives what it is about; of no use for lines and gaps.
    pub fn kind(self) -> Kind {
        match self as u8 % 3 {
            0 => Kind::Channel,
            1 => Kind::Pattern,
            _ => Kind::Shard,
        }
    }

    /// Tells whether it confirms a subscription, or the end of one (`Some(false)`); `None` when it confirms nothing.
    pub fn confirms(self) -> Option<bool> {
        match self as u8 / 3 {
            1 => Some(true),
            2 => Some(false),
            _ => None,
        }
    }
}
