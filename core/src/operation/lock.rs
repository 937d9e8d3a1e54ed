//! A lock on one server: a key that holds its owner's token and goes by itself when its time is up.
//!
//! Time is counted from before the command was sent that took or extended the lock, so that its owner never thinks longer than the server
//! that it is held, and some is taken off for clocks that do not run alike.

use super::script::{EVAL, EVALSHA, ScriptCall};
use super::{Answer, Operation, Outgoing, Reply, Script, Step};
use crate::argument::{Arguments, ToArg};
use crate::batch::{Argument, flags};
use crate::draft;
use crate::machine::Failure;
use crate::table::RowId;
use crate::time::Instant;
use alloc::vec::Vec;
use core::ops::ControlFlow;

const SET: RowId = const { draft::id("SET") };
const GETRANGE: RowId = const { draft::id("GETRANGE") };

/// Deletes the lock if the token is its owner's.
const RELEASE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";

/// Gives the lock more time if the token is its owner's and its time is limited; gives how much it has then.
const EXTEND: &str = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
local left = redis.call('pttl', KEYS[1])
if left < 0 then return 0 end
left = left + ARGV[2]
redis.call('pexpire', KEYS[1], left)
return left";

/// So many lost replies are asked after.
const LOST: u8 = 3;

/// Makes the conversation that deletes the lock `key` if it holds `token`: its reply is 1, or 0 where it does not.
pub(super) fn release(key: &[u8], token: &[u8], timeout: Option<u32>) -> ScriptCall {
    owned(RELEASE, &[b"1", key, token], timeout)
}

/// Makes the conversation that gives the lock `key` so many `milliseconds` more if it holds `token`: its reply is the time to live, or 0
/// where it does not, or has none.
pub(super) fn extend(key: &[u8], token: &[u8], milliseconds: &[u8], timeout: Option<u32>) -> ScriptCall {
    owned(EXTEND, &[b"1", key, token, milliseconds], timeout)
}

fn owned(lua: &str, args: &[&[u8]], timeout: Option<u32>) -> ScriptCall {
    ScriptCall::with(Script::new(lua), EVALSHA, 0, timeout, args.iter().copied().map(Argument::Bytes))
}

/// Takes a lock. Its answer is for how many milliseconds the lock is held from now on (-1: for ever); 0 when it was not to be had.
///
/// A try whose reply was lost may have taken the lock: when the next finds it taken, the token tells by whom. Whatever may hold the
/// token in vain is deleted behind the caller's back.
pub(super) struct Acquire {
    key: Vec<u8>,
    token: Vec<u8>,
    /// Milliseconds after which the lock goes by itself; 0: never.
    ttl: u32,
    /// Milliseconds between two tries, about.
    sleep: u32,
    /// No try is made after.
    deadline: Instant,
    timeout: Option<u32>,
    /// Where the next random number comes from.
    random: u32,
    /// When the last try was sent.
    sent: Instant,
    /// When the first try was sent whose outcome nobody knows.
    unsure: Option<Instant>,
    /// Whether the server was asked whose the lock is.
    asking: bool,
    lost: u8,
}

impl Acquire {
    /// Times are in milliseconds; `random` is any number.
    pub(super) fn new(
        key: &[u8],
        token: &[u8],
        ttl: u32,
        sleep: u32,
        deadline: Instant,
        random: u32,
        timeout: Option<u32>,
    ) -> Self {
        Self {
            key: key.into(),
            token: token.into(),
            ttl,
            sleep,
            deadline,
            timeout,
            random: random | 1,
            sent: deadline,
            unsure: None,
            asking: false,
            lost: 0,
        }
    }

    fn held(&mut self, now: Instant, since: Instant, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        if self.ttl == 0 {
            return ControlFlow::Break(Answer::Integer(-1));
        }
        let (ttl, elapsed) = (u64::from(self.ttl), now.0.saturating_sub(since.0));
        let drift = ttl / 100 + 2;
        match ttl.saturating_sub(elapsed + drift) {
            0 => {
                self.clean(out);
                self.again(now, out)
            }
            left => ControlFlow::Break(Answer::Integer(left as i64)),
        }
    }

    fn again(&mut self, now: Instant, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        if now >= self.deadline {
            self.clean_unsure(out);
            return ControlFlow::Break(Answer::Integer(0));
        }
        ControlFlow::Continue(self.pause(now))
    }

    /// Waits half of the time between two tries at least, one and a half at most.
    fn pause(&mut self, now: Instant) -> Step {
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let pause = self.sleep / 2 + self.random % self.sleep.saturating_add(1);
        Step::Wait(now.limit(pause.max(1)).min(self.deadline.max(now)))
    }

    /// Sees to it that no try whose outcome nobody knows leaves the lock taken.
    fn clean_unsure(&mut self, out: &mut Outgoing<'_>) {
        if self.unsure.is_some() {
            self.clean(out);
        }
    }

    /// Deletes the lock if it is ours after all.
    fn clean(&mut self, out: &mut Outgoing<'_>) {
        self.unsure = None;
        out.forget(EVAL, [RELEASE.as_bytes(), b"1", &self.key, &self.token].into_iter());
    }
}

impl Operation for Acquire {
    fn next(&mut self, now: Instant, out: &mut Outgoing<'_>) -> Step {
        (self.sent, self.asking) = (now, false);
        let mut args = Arguments::default();
        for arg in [self.key.as_slice(), &self.token, b"NX"] {
            args.push(arg);
        }
        if self.ttl > 0 {
            args.push(b"PX");
            self.ttl.write_to(&mut args);
        }
        out.command(SET, flags::RAW, self.timeout, args.iter().map(Argument::Bytes));
        Step::Listen
    }

    fn reply(&mut self, now: Instant, reply: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        match reply {
            Reply::Text(token) if self.asking => match self.unsure {
                Some(since) if token == self.token => self.held(now, since, out),
                _ => self.again(now, out),
            },
            Reply::Text(_) => self.held(now, self.sent, out),
            Reply::Error(text) => {
                self.clean_unsure(out);
                ControlFlow::Break(Answer::Error(text))
            }
            _ if self.unsure.is_some() && !self.asking => {
                self.asking = true;
                // no token is longer, and what stands there may be large
                let args = [self.key.as_slice(), b"0", b"255"].map(Argument::Bytes);
                out.command(GETRANGE, flags::RAW, self.timeout, args.into_iter());
                ControlFlow::Continue(Step::Listen)
            }
            _ => self.again(now, out),
        }
    }

    fn failed(
        &mut self,
        now: Instant,
        failure: Failure,
        out: &mut Outgoing<'_>,
    ) -> ControlFlow<Failure, Step> {
        let Failure { reason, maybe_executed } = failure;
        if maybe_executed && !self.asking {
            self.unsure.get_or_insert(self.sent);
        }
        self.lost += 1;
        if maybe_executed && self.lost <= LOST && !reason.is_permanent() {
            return ControlFlow::Continue(self.pause(now));
        }
        let maybe_executed = self.unsure.is_some();
        self.clean_unsure(out);
        ControlFlow::Break(Failure { reason, maybe_executed })
    }

    fn abandon(&mut self, maybe_executed: bool, out: &mut Outgoing<'_>) {
        if maybe_executed || self.unsure.is_some() {
            self.clean(out);
        }
    }
}
