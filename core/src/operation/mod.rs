//! Conversations: commands whose replies decide what is sent next.
//!
//! ```text
//!          start, woken                 reply, failed
//!   (idle) ------------> Listen, Forward -------------> Listen, Forward   another command
//!                                        -------------> Wait              nothing until then
//!                                        -------------> Lease             nothing until it has a link to itself
//!                                        -------------> Answer            the caller's slot is settled
//! ```
//!
//! [`Conversations`] is a [`Machine`](crate::machine::Machine) over any other, and what it is not asked to carry on passes it by: a reply
//! costs one look at whether its slot has a conversation. Each of these lives in the slot of its caller, has one command on its way at
//! most, and settles its slot once, as commands do.

mod conversations;
mod keep;
mod library;
mod lock;
mod outgoing;
mod script;
mod tap;
mod watching;

pub use conversations::{Conversations, kind};
pub use outgoing::Outgoing;
pub use script::Script;
pub(crate) use script::{by_text, has_text};

use crate::machine::Failure;
use crate::time::Instant;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// A conversation: what to send first, and after each reply.
pub trait Operation {
    /// Writes the next command: at the start, and when a wait is over, or the link there.
    fn next(&mut self, now: Instant, out: &mut Outgoing<'_>) -> Step;

    /// Takes the reply that it listened for, or the error that was not to be passed on.
    fn reply(&mut self, now: Instant, reply: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step>;

    /// Learns that no reply will come; gives the failure up to the caller unless it goes on.
    fn failed(
        &mut self,
        now: Instant,
        failure: Failure,
        out: &mut Outgoing<'_>,
    ) -> ControlFlow<Failure, Step> {
        let _ = (now, out);
        ControlFlow::Break(failure)
    }

    /// Tells whether it may wait for others for as long as it likes.
    fn may_block(&self) -> bool {
        false
    }

    /// Gives from when on nothing that it waits for is of use: it [failed](Self::failed) then.
    fn limit(&self) -> Instant {
        Instant::NEVER
    }

    /// Nobody waits for it any more, and nothing that it writes but [`Outgoing::forget`] is heard; `maybe_executed` is whether the server may
    /// execute its last command.
    fn abandon(&mut self, maybe_executed: bool, out: &mut Outgoing<'_>) {
        let _ = (maybe_executed, out);
    }
}

/// What a conversation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The command that was written is sent, and [`Operation::reply`] takes its reply.
    Listen,
    /// The command that was written is sent, and its reply goes to the caller as it comes in, whatever its size. An error that begins with
    /// these bytes goes to [`Operation::reply`] instead.
    Forward(&'static [u8]),
    /// Nothing is sent before; [`Operation::next`] is asked then.
    Wait(Instant),
    /// What it says from now on is said on a link of its own, which goes back when it ends, or asks for another; [`Operation::next`] is asked
    /// when that is there. Who began it on a lease has given it one.
    Lease,
}

/// How a conversation ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The caller gets a number.
    Integer(i64),
    /// The caller gets this error of the server's.
    Error(Vec<u8>),
}

/// A reply that a conversation listened for: the whole of a short one, no more than its kind of any other. A list of one is told as its
/// element, and a transaction that the server would not queue as the error that says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A status, or user data of at most [`SHORT`](Self::SHORT) bytes.
    Text(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// Null.
    Null,
    /// An error, its code first; cut behind [`ERROR`](Self::ERROR) bytes.
    Error(Vec<u8>),
    /// Something else.
    Other,
}

impl Reply {
    /// The longest text that is kept, in bytes.
    pub const SHORT: usize = 256;
    /// The longest error that is kept, in bytes.
    pub const ERROR: usize = 1024;
}
