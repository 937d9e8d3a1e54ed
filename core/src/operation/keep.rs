//! A lock that is kept: extended once a third of its time is over.
//!
//! ```text
//!           a third                      until when it is held, or 0: it is another's
//!   (begun) ------> try to extend it --------------------------------------------------> answer
//!                        ^    |
//!                        +----+ that failed: a tenth of its time later, while it lives
//! ```
//!
//! One that keeps a lock begins it again after each answer.

use super::lock::{Claim, Extend, Time, moment, number};
use super::watching::Change;
use super::{Answer, Operation, Outgoing, Reply, Step};
use crate::machine::Failure;
use crate::time::Instant;
use alloc::boxed::Box;
use core::ops::ControlFlow;

/// See [`kind::KEEP`](super::kind::KEEP).
pub(super) struct Keep {
    claim: Claim,
    /// How many milliseconds it lives from the next extension on.
    ttl: u32,
    until: Instant,
    timeout: Option<u32>,
    /// Whether it is extended without scripts.
    watches: bool,
    waited: bool,
    /// The try that is being made.
    attempt: Option<Box<dyn Operation + Send>>,
}

impl Keep {
    pub(super) fn new(args: [&[u8]; 6], timeout: Option<u32>, watches: bool) -> Self {
        let [key, token, ttl, until, ..] = args;
        Self {
            claim: Claim::new(key, token),
            ttl: number(ttl),
            until: moment(until),
            timeout,
            watches,
            waited: false,
            attempt: None,
        }
    }

    /// Makes what gives the lock its whole time back. Where that is done twice, since a reply was lost, it lives no longer.
    fn extension(&self) -> Box<dyn Operation + Send> {
        let (key, token) = self.claim.texts();
        let time = Time::AtLeast(self.ttl);
        if self.watches {
            Box::new(Change::new(key, token, Some(time), self.timeout))
        } else {
            Box::new(Extend::new(key, token, time, self.timeout))
        }
    }

    /// Goes on from a try that failed to the next one, if that comes before the lock's time is up.
    fn again<T>(&mut self, now: Instant, failed: ControlFlow<T, Step>) -> ControlFlow<T, Step> {
        let at = now.limit((self.ttl / 10).max(1));
        if failed.is_continue() || at >= self.until {
            return failed;
        }
        self.attempt = None;
        ControlFlow::Continue(Step::Wait(at))
    }
}

impl Operation for Keep {
    fn next(&mut self, now: Instant, out: &mut Outgoing<'_>) -> Step {
        let due = Instant(self.until.0.saturating_sub(u64::from(self.ttl) * 2 / 3));
        if !core::mem::replace(&mut self.waited, true) && due > now {
            return Step::Wait(due);
        }
        let attempt = self.attempt.take().unwrap_or_else(|| self.extension());
        self.attempt.insert(attempt).next(now, out)
    }

    fn reply(&mut self, now: Instant, reply: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        let Some(attempt) = &mut self.attempt else { return ControlFlow::Continue(Step::Wait(now)) };
        match attempt.reply(now, reply, out) {
            outcome @ ControlFlow::Break(Answer::Integer(_)) => outcome,
            outcome => self.again(now, outcome),
        }
    }

    fn failed(
        &mut self,
        now: Instant,
        failure: Failure,
        out: &mut Outgoing<'_>,
    ) -> ControlFlow<Failure, Step> {
        let outcome = match &mut self.attempt {
            Some(attempt) => attempt.failed(now, failure, out),
            None => ControlFlow::Break(failure),
        };
        self.again(now, outcome)
    }

    fn may_block(&self) -> bool {
        true
    }

    fn limit(&self) -> Instant {
        self.until
    }
}
