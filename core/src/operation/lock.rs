//! A lock on one server: a key that holds its owner's token and goes by itself when its time is up.
//!
//! Time is counted from before the command was sent that took or extended the lock, so that its owner never thinks longer than the server
//! that it is held, and some is taken off for clocks that do not run alike.

use super::script::{EVAL, NOSCRIPT, ScriptCall};
use super::{Answer, Operation, Outgoing, Reply, Script, Step};
use crate::batch::flags;
use crate::draft;
use crate::machine::{Failure, Reason};
use crate::slot::key_slot;
use crate::table::RowId;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::ControlFlow;

const SET: RowId = const { draft::id("SET") };
const GETRANGE: RowId = const { draft::id("GETRANGE") };

/// Deletes the lock if the token is its owner's.
const RELEASE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";

/// Gives the lock more time, or so much at least, if the token is its owner's and its time is limited; gives how much it has then.
const EXTEND: &str = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
local left = redis.call('pttl', KEYS[1])
if left < 0 then return 0 end
left = ARGV[3] and math.max(left, ARGV[2]) or left + ARGV[2]
redis.call('pexpire', KEYS[1], left)
return left";

/// What an extension is told that was only queued.
const UNANSWERED: &[u8] = b"ERR the lock was not extended: its lease is in a transaction";

/// Gives, if the token is its owner's, a number above all that were given before. A server that took over from another may not know of
/// the last ones: so it is the time in microseconds at least.
const FENCE: &str = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
local time = redis.call('time')
local fence = math.max((redis.call('get', KEYS[2]) or 0) + 1, time[1] * 1000000 + time[2])
redis.call('set', KEYS[2], string.format('%.0f', fence), 'px', 86400000)
return fence";

/// So many lost replies are asked after.
const LOST: u8 = 3;

/// A lock as one owner has it.
#[derive(Clone)]
pub(super) struct Claim {
    /// The key, and behind it the token.
    texts: Vec<u8>,
    token: usize,
}

impl Claim {
    pub(super) fn new(key: &[u8], token: &[u8]) -> Self {
        Self { texts: [key, token].concat(), token: key.len() }
    }

    /// Gives the key and the token.
    pub(super) fn texts(&self) -> (&[u8], &[u8]) {
        self.texts.split_at(self.token)
    }
}

/// What a release failed with: where its link is lost, or nobody knows what became of it, it is said again, on whatever link there is.
pub(super) fn unreleased(failure: Failure, claim: &Claim, out: &mut Outgoing<'_>) -> Failure {
    let lost = failure.maybe_executed || matches!(failure.reason, Reason::Dropped | Reason::LeaseLost);
    if lost {
        give_back(claim, out);
    }
    Failure { maybe_executed: lost, ..failure }
}

/// Deletes the lock if it is the claim's, and tells nobody.
#[inline(never)]
fn give_back(claim: &Claim, out: &mut Outgoing<'_>) {
    out.begin(Box::new(GiveBack(claim.clone())));
}

/// Deletes a lock that somebody may hold in vain, however long that takes: one without a time limit would never be free again.
struct GiveBack(Claim);

/// So many milliseconds are between two tries to give a lock back.
const PAUSE: u32 = 1000;

impl Operation for GiveBack {
    fn next(&mut self, _: Instant, out: &mut Outgoing<'_>) -> Step {
        let (key, token) = self.0.texts();
        let args = [RELEASE.as_bytes(), b"1", key, token];
        out.command(EVAL, flags::RAW | flags::IDEMPOTENT, None, &args);
        Step::Listen
    }

    fn reply(&mut self, _: Instant, _: Reply, _: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        ControlFlow::Break(Answer::Integer(0))
    }

    fn failed(&mut self, now: Instant, _: Failure, _: &mut Outgoing<'_>) -> ControlFlow<Failure, Step> {
        ControlFlow::Continue(Step::Wait(now.limit(PAUSE)))
    }
}

/// Deletes a lock. Its reply is 1, or 0 where the token is not its owner's.
pub(super) struct Release {
    call: ScriptCall,
    claim: Claim,
}

impl Release {
    pub(super) fn new(key: &[u8], token: &[u8], timeout: Option<u32>) -> Self {
        let call = ScriptCall::with(Script::new(RELEASE), timeout, &[b"1", key, token]);
        Self { call, claim: Claim::new(key, token) }
    }
}

impl Operation for Release {
    fn next(&mut self, now: Instant, out: &mut Outgoing<'_>) -> Step {
        self.call.next(now, out)
    }

    fn reply(&mut self, now: Instant, reply: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        self.call.reply(now, reply, out)
    }

    fn failed(&mut self, _: Instant, failure: Failure, out: &mut Outgoing<'_>) -> ControlFlow<Failure, Step> {
        ControlFlow::Break(unreleased(failure, &self.claim, out))
    }
}

/// Makes the conversation that gives the next number of the lock `key` if it holds `token`, and 0 where it does not.
pub(super) fn fence(key: &[u8], token: &[u8], timeout: Option<u32>) -> ScriptCall {
    // both keys have to be in one slot
    let tagged = [b"{", key, b"}:fence"].concat();
    let last = if key_slot(&tagged) == key_slot(key) { tagged } else { [key, b":fence"].concat() };
    ScriptCall::with(Script::new(FENCE), timeout, &[b"2", key, &last, token])
}

/// What time a lock gets, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// So much more.
    More(u32),
    /// So much, unless it has more.
    AtLeast(u32),
}

impl Time {
    /// Gives how much it has, where so much was left.
    pub(super) fn from(self, left: u64) -> u64 {
        match self {
            Self::More(milliseconds) => left + u64::from(milliseconds),
            Self::AtLeast(milliseconds) => left.max(milliseconds.into()),
        }
    }
}

/// Gives a lock more time. Its answer is until when the lock is held; 0 when the token is not its owner's, or its
/// time has no limit.
pub(super) struct Extend {
    call: ScriptCall,
    sent: Instant,
}

impl Extend {
    pub(super) fn new(key: &[u8], token: &[u8], time: Time, timeout: Option<u32>) -> Self {
        let (Time::More(milliseconds) | Time::AtLeast(milliseconds)) = time;
        let milliseconds = milliseconds.to_string();
        let args = [b"1", key, token, milliseconds.as_bytes(), b"least"];
        let count = if let Time::More(_) = time { args.len() - 1 } else { args.len() };
        let call = ScriptCall::with(Script::new(EXTEND), timeout, &args[..count]);
        Self { call, sent: Instant::NEVER }
    }
}

impl Operation for Extend {
    fn next(&mut self, now: Instant, out: &mut Outgoing<'_>) -> Step {
        self.sent = now;
        self.call.next(now, out);
        Step::Listen
    }

    fn reply(&mut self, now: Instant, reply: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        ControlFlow::Break(match reply {
            Reply::Error(text) if text.starts_with(NOSCRIPT) => {
                self.sent = now;
                self.call.send_text(out);
                return ControlFlow::Continue(Step::Listen);
            }
            Reply::Error(text) => Answer::Error(text),
            Reply::Integer(left) => {
                Answer::Integer(valid_until(left.unsigned_abs(), self.sent, now).map_or(0, |at| at.0 as i64))
            }
            // as a transaction that its owner began on the lease has it
            _ => Answer::Error(UNANSWERED.into()),
        })
    }
}

/// Gives until when its owner can count on a lock that lives `ttl` milliseconds from `since` on at the earliest, unless it is over.
pub(super) fn valid_until(ttl: u64, since: Instant, now: Instant) -> Option<Instant> {
    let drift = ttl / 100 + 2;
    Some(Instant((since.0 + ttl).saturating_sub(drift))).filter(|&end| end > now)
}

/// Takes a lock. Its answer is until when the lock is held (-1: for ever); 0 when it was not to be had.
///
/// A try whose reply was lost may have taken the lock: when the next finds it taken, the token tells by whom. Whatever may hold the
/// token in vain is deleted behind the caller's back.
pub(super) struct Acquire {
    claim: Claim,
    /// Milliseconds after which the lock goes by itself; 0: never.
    milliseconds: u32,
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
    /// Makes one of its arguments: see [`kind::ACQUIRE`](super::kind::ACQUIRE).
    pub(super) fn new(now: Instant, args: [&[u8]; 6], timeout: Option<u32>) -> Self {
        let [key, token, ttl, sleep, wait, random] = args;
        let deadline = match wait {
            [] => Instant::NEVER,
            wait => Instant(now.0 + u64::from(number(wait))),
        };
        Self {
            claim: Claim::new(key, token),
            milliseconds: number(ttl),
            sleep: number(sleep),
            deadline,
            timeout,
            random: number(random) | 1,
            sent: now,
            unsure: None,
            asking: false,
            lost: 0,
        }
    }

    #[inline(never)]
    fn send(&self, row: RowId, args: &[&[u8]], out: &mut Outgoing<'_>) {
        out.command(row, flags::RAW | flags::UNCACHED, self.timeout, args);
    }

    fn held(&mut self, now: Instant, since: Instant, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        if self.milliseconds == 0 {
            return ControlFlow::Break(Answer::Integer(-1));
        }
        match valid_until(self.milliseconds.into(), since, now) {
            None => {
                self.clean(out);
                self.again(now, out)
            }
            Some(end) => ControlFlow::Break(Answer::Integer(end.0 as i64)),
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
        let pause = (self.sleep / 2).saturating_add(self.random % self.sleep.saturating_add(1));
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
        give_back(&self.claim, out);
    }
}

/// Reads decimal digits; what is too large is as large as can be.
pub(super) fn number(text: &[u8]) -> u32 {
    u32::try_from(moment(text).0).unwrap_or(u32::MAX)
}

/// Likewise a time that the host told.
#[inline(never)]
pub(super) fn moment(text: &[u8]) -> Instant {
    let add = |number: u64, digit: &u8| {
        number.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')))
    };
    Instant(text.iter().fold(0, add))
}

impl Operation for Acquire {
    fn next(&mut self, now: Instant, out: &mut Outgoing<'_>) -> Step {
        (self.sent, self.asking) = (now, false);
        let (key, token) = self.claim.texts();
        let ttl = self.milliseconds.to_string();
        let args = [key, token, b"NX", b"PX", ttl.as_bytes()];
        let count = if self.milliseconds > 0 { args.len() } else { 3 };
        self.send(SET, &args[..count], out);
        Step::Listen
    }

    fn reply(&mut self, now: Instant, reply: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        match reply {
            Reply::Text(token) if self.asking => match self.unsure {
                Some(since) if token == self.claim.texts().1 => self.held(now, since, out),
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
                self.send(GETRANGE, &[self.claim.texts().0, b"0", b"255"], out);
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

    fn may_block(&self) -> bool {
        self.sent < self.deadline
    }

    fn abandon(&mut self, maybe_executed: bool, out: &mut Outgoing<'_>) {
        if maybe_executed || self.unsure.is_some() {
            self.clean(out);
        }
    }
}
