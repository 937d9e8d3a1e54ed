//! A lock that is released and extended without scripts: a transaction does it, unless the key was changed since it was read.
//!
//! ```text
//!            a link of its own        OK         the token            time is left
//!   (begun) ------------------> WATCH ----> GET -----------> PTTL -----------------> PEXPIRE ---> until when it is held
//!                                ^  ^        |                                       ^  | |
//!                                |  |        +-------------------------------------> DEL  | ---> 1
//!                                |  |                                                     |
//!                                |  +---------------- null: it was changed ---------------+
//!                                +------- not written, and the link lost: another --------+
//! ```
//!
//! Anything else ends with UNWATCH: it is not the owner's, or has no time limit. A link that is lost with the transaction on its way ends it
//! too, since nobody knows whether that was executed; a lock that was to be deleted is, by a script, behind the caller's back.

use super::lock::{Claim, Time, unreleased, valid_until};
use super::{Answer, Operation, Outgoing, Reply, Step};
use crate::batch::flags;
use crate::draft;
use crate::machine::{Failure, Reason};
use crate::table::RowId;
use crate::time::Instant;
use alloc::string::ToString;
use core::ops::ControlFlow;

const WATCH: RowId = const { draft::id("WATCH") };
const UNWATCH: RowId = const { draft::id("UNWATCH") };
const GET: RowId = const { draft::id("GET") };
const PTTL: RowId = const { draft::id("PTTL") };
const DEL: RowId = const { draft::id("DEL") };
const PEXPIRE: RowId = const { draft::id("PEXPIRE") };

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begun,
    Leased,
    Watched,
    Got,
    Left,
    Executed,
}

/// Deletes a lock, or gives it more time, if the token is its owner's. Its answer is 1, or until when the lock is held; 0 when the token is
/// not its owner's, or there is no limit to extend.
pub(super) struct Change {
    claim: Claim,
    /// What time it gets; it is deleted without.
    more: Option<Time>,
    timeout: Option<u32>,
    stage: Stage,
    /// When the server was asked how much time is left.
    asked: Instant,
    /// How much there is with what is added.
    time: u64,
}

impl Change {
    pub(super) fn new(key: &[u8], token: &[u8], more: Option<Time>, timeout: Option<u32>) -> Self {
        let (stage, asked) = (Stage::Begun, Instant::NEVER);
        Self { claim: Claim::new(key, token), more, timeout, stage, asked, time: 0 }
    }

    fn ask(&mut self, stage: Stage, row: RowId, out: &mut Outgoing<'_>) -> Step {
        self.stage = stage;
        out.command(row, flags::RAW, self.timeout, &[self.claim.texts().0]);
        Step::Listen
    }

    /// Has the lock deleted, or live for so many milliseconds from now on.
    fn execute(&mut self, time: u64, out: &mut Outgoing<'_>) -> Step {
        (self.stage, self.time) = (Stage::Executed, time);
        let (key, _) = self.claim.texts();
        match self.more {
            None => out.transaction(DEL, self.timeout, &[key]),
            Some(_) => out.transaction(PEXPIRE, self.timeout, &[key, time.to_string().as_bytes()]),
        }
        Step::Listen
    }

    /// Gives the answer when it is done.
    fn done(&self, now: Instant) -> i64 {
        if self.more.is_none() {
            return 1;
        }
        valid_until(self.time, self.asked, now).map_or(0, |at| at.0 as i64)
    }
}

impl Operation for Change {
    fn next(&mut self, _: Instant, out: &mut Outgoing<'_>) -> Step {
        if self.stage == Stage::Begun {
            self.stage = Stage::Leased;
            return Step::Lease;
        }
        self.ask(Stage::Watched, WATCH, out)
    }

    fn reply(&mut self, now: Instant, reply: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        let step = match (self.stage, reply) {
            (Stage::Watched, Reply::Text(_)) => self.ask(Stage::Got, GET, out),
            (Stage::Got, Reply::Text(token)) if token == self.claim.texts().1 => match self.more {
                None => self.execute(0, out),
                Some(_) => {
                    self.asked = now;
                    self.ask(Stage::Left, PTTL, out)
                }
            },
            (Stage::Left, Reply::Integer(left @ 1..)) => {
                let left = left.unsigned_abs();
                self.execute(self.more.map_or(left, |more| more.from(left)), out)
            }
            (Stage::Executed, Reply::Null) => self.ask(Stage::Watched, WATCH, out),
            (Stage::Executed, Reply::Integer(1)) => {
                return ControlFlow::Break(Answer::Integer(self.done(now)));
            }
            (stage, reply) => {
                if stage != Stage::Executed {
                    out.forget(UNWATCH, &[]);
                }
                return ControlFlow::Break(match reply {
                    Reply::Error(text) => Answer::Error(text),
                    _ => Answer::Integer(0),
                });
            }
        };
        ControlFlow::Continue(step)
    }

    fn failed(&mut self, _: Instant, failure: Failure, out: &mut Outgoing<'_>) -> ControlFlow<Failure, Step> {
        let reason = failure.reason;
        let maybe_executed = self.stage == Stage::Executed && failure.maybe_executed;
        if !maybe_executed && matches!(reason, Reason::Dropped | Reason::LeaseLost) {
            self.stage = Stage::Leased;
            return ControlFlow::Continue(Step::Lease);
        }
        let failure = Failure { reason, maybe_executed };
        ControlFlow::Break(if self.more.is_some() { failure } else { unreleased(failure, &self.claim, out) })
    }
}
