//! Carries conversations on over any machine.

use super::outgoing::{BESIDE, Written, is_beside};
use super::script::ScriptCall;
use super::tap::{Heard, Open, Tap};
use super::{Operation, Outgoing, Reply, Script, Step, keep, library, lock, watching};
use crate::batch::{Batch, BatchBuffer, Malformed, Request, flags};
use crate::machine::{Action, Failure, LeaseId, LinkId, Machine, Reason, ReplySink, Segment, Slot};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{ControlFlow, Deref, DerefMut};

/// Numbers of operations: the row of a request with [`flags::OPERATION`]. Arguments that are numbers are decimal text.
pub mod kind {
    /// Takes a lock: key, token, its time to live in milliseconds (0: no limit), milliseconds between two tries, milliseconds until the last
    /// try (0: there is one only; empty: no limit), any 32-bit number. The reply is until when the lock is held,
    /// as the host tells time (-1: for ever), 0 when it was not to be had.
    pub const ACQUIRE: u16 = 1;
    /// Deletes a lock: key, token. The reply is 1, or 0 where the token is not its owner's. Where it is asked for on a lease that is over, it is
    /// said on the link that everybody shares, and where nobody knows what became of it, again and again behind the caller's back, until it is
    /// answered: the token has it do no harm, though the database be another.
    pub const RELEASE: u16 = 2;
    /// Gives a lock more time: key, token, milliseconds. The reply is until when the lock is held, or 0 where the token is not its owner's,
    /// or its time has no limit.
    pub const EXTEND: u16 = 3;
    /// Asks for a number above all that holders of a lock were given before: key, token. The reply is 0 where the token is not its owner's.
    pub const FENCE: u16 = 4;
    /// What [`RELEASE`] does, without a script: WATCH, GET, and a transaction, on a link of its own.
    pub const WATCH_RELEASE: u16 = 5;
    /// What [`EXTEND`] does, likewise.
    pub const WATCH_EXTEND: u16 = 6;
    /// Loads a library: what `FUNCTION LOAD` is given. The reply is that of `FUNCTION LIST`, about the library that the code was of.
    pub const LIBRARY: u16 = 7;
    /// Keeps a lock: key, token, its time to live in milliseconds, until when it is held, as the host tells time. Once a third of its time is over
    /// it is given that back, and where this fails again and again, while it lives. The reply is that of [`EXTEND`].
    pub const KEEP: u16 = 8;
    /// Likewise, as [`WATCH_EXTEND`] does it; on a lease of the caller's, where others may watch keys in the meantime, as `KEEP` does.
    pub const WATCH_KEEP: u16 = 9;
}

/// A machine that carries on conversations: [`Operation`]s in the slots of their callers.
///
/// What is [submitted](Machine::submit) goes to the machine inside as it is; what may hold conversations is given to
/// [`converse`](Self::converse).
pub struct Conversations<M> {
    machine: M,
    talks: Talks,
    /// Scripts whose text is known to calls that are still to come.
    scripts: Vec<Script>,
    /// When the host last said what time it is.
    now: Instant,
    open: Open,
    /// The link that `open` is about, and what is open on others.
    link: LinkId,
    parked: Vec<(LinkId, Open)>,
    out: Written,
    heard: Heard,
    /// Conversations that ended while no command of theirs was on its way.
    failed: Vec<(Slot, Failure)>,
}

/// Conversations by the slots of their callers.
#[derive(Default)]
pub(super) struct Talks {
    /// Those of callers, and those from [`BESIDE`] on.
    lists: [Vec<Option<Talk>>; 2],
    /// None waits for an earlier time.
    wake: Option<Instant>,
}

pub(super) struct Talk {
    /// Where it was begun.
    lease: LeaseId,
    /// The link that it has to itself.
    own: Option<LeaseId>,
    pub(super) operation: Box<dyn Operation + Send>,
    awaited: Awaited,
    limit: Instant,
    /// Why the server did not queue what it said.
    pub(super) refusal: Option<Reply>,
}

impl Talk {
    fn new(lease: LeaseId, operation: Box<dyn Operation + Send>, awaited: Awaited) -> Self {
        let limit = operation.limit();
        Self { lease, own: None, operation, awaited, limit, refusal: None }
    }

    /// Gives when something is to be done about it.
    fn due(&self) -> Instant {
        if let Awaited::Wake(at) = self.awaited { at } else { self.limit }
    }

    /// Gives where its commands go.
    fn place(&self) -> LeaseId {
        self.own.unwrap_or(self.lease)
    }
}

/// What a conversation waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Awaited {
    /// A reply that is its own.
    Listen,
    /// A reply that is the caller's, unless it is an error that begins so.
    Forward(&'static [u8]),
    /// Its time.
    Wake(Instant),
    /// A link of its own.
    Lease,
}

impl Talks {
    /// Gives which list `slot` is in, and where.
    fn at(slot: Slot) -> (usize, usize) {
        match slot.0.checked_sub(BESIDE.0) {
            None => (0, slot.0 as usize),
            Some(index) => (1, index as usize),
        }
    }

    /// Gives what the conversation in `slot` waits for.
    pub(super) fn awaits(&self, slot: Slot) -> Option<Awaited> {
        let (list, index) = Self::at(slot);
        self.lists[list].get(index)?.as_ref().map(|talk| talk.awaited)
    }

    fn place(&mut self, slot: Slot) -> Option<&mut Option<Talk>> {
        let (list, index) = Self::at(slot);
        self.lists[list].get_mut(index)
    }

    pub(super) fn get(&mut self, slot: Slot) -> Option<&mut Talk> {
        self.place(slot)?.as_mut()
    }

    /// Gives a slot that nobody waits for.
    fn free(&self) -> Slot {
        let [_, beside] = &self.lists;
        let index = beside.iter().position(Option::is_none).unwrap_or(beside.len());
        Slot(BESIDE.0 + index as u32)
    }

    #[inline(never)]
    fn put(&mut self, slot: Slot, talk: Talk) {
        let (list, index) = Self::at(slot);
        let list = &mut self.lists[list];
        while list.len() <= index {
            list.push(None);
        }
        list[index] = Some(talk);
    }

    #[inline(never)]
    fn take(&mut self, slot: Slot) -> Option<Talk> {
        self.place(slot)?.take()
    }

    /// Gives a conversation whose time it is, and otherwise notes when the next one's comes.
    fn due(&mut self, now: Instant) -> Option<Slot> {
        if self.wake.is_none_or(|wake| wake > now) {
            return None;
        }
        let [callers, beside] = &self.lists;
        let slots = (0..).zip(callers).chain((BESIDE.0..).zip(beside));
        let waiting = slots.filter_map(|(slot, talk)| Some((talk.as_ref()?.due(), Slot(slot))));
        let next = waiting.min().filter(|(at, _)| *at < Instant::NEVER);
        self.wake = next.map(|(at, _)| at);
        next.filter(|(at, _)| *at <= now).map(|(_, slot)| slot)
    }
}

impl<M> Conversations<M> {
    /// Makes one without conversations over `machine`.
    pub const fn new(machine: M) -> Self {
        Self {
            machine,
            talks: Talks { lists: [Vec::new(), Vec::new()], wake: None },
            scripts: Vec::new(),
            now: Instant(0),
            open: Open::Callers,
            link: LinkId(0),
            parked: Vec::new(),
            out: Written { batch: BatchBuffer::new(), begun: Vec::new() },
            heard: Heard { steps: Vec::new(), told: Vec::new() },
            failed: Vec::new(),
        }
    }

    /// Keeps the text of `script`, for calls by its digest that are submitted from now on.
    pub fn learn(&mut self, script: &Script) {
        if self.script(script.digits()).is_none() {
            self.scripts.push(script.clone());
        }
    }

    /// Keeps the text of `script` in `place`, and forgets the one that was there; gives its digest. Places are taken in order.
    pub fn keep(&mut self, place: usize, script: Script) -> &[u8; 40] {
        let place = place.min(self.scripts.len());
        if place == self.scripts.len() {
            self.scripts.push(script);
        } else {
            self.scripts[place] = script;
        }
        self.scripts[place].digits()
    }

    /// Forgets every script. Calls that were submitted have their own.
    pub fn forget(&mut self) {
        self.scripts.clear();
    }

    fn script(&self, sha: &[u8]) -> Option<&Script> {
        self.scripts.iter().find(|script| script.digits() == sha)
    }

    /// Ends every conversation that waits for its time. To be called when the machine inside was shut down, which ends all others.
    pub fn hush(&mut self) {
        let [callers, beside] = &mut self.talks.lists;
        beside.clear();
        for (slot, place) in (0..).map(Slot).zip(callers) {
            if let Some(Talk { awaited: Awaited::Wake(_), .. }) = place {
                *place = None;
                self.failed.push((slot, Failure { reason: Reason::Closed, maybe_executed: false }));
            }
        }
    }
}

impl<M: Machine> Conversations<M> {
    /// Like [`submit_on`](Machine::submit_on), for a batch with requests that have the flag [`SCRIPT`](flags::SCRIPT) or
    /// [`OPERATION`](flags::OPERATION). A script whose text was not [learnt](Self::learn) is called like any command.
    ///
    /// # Errors
    /// [`Malformed`] when the batch is not well-formed; nothing of it is accepted then.
    pub fn converse(&mut self, now: Instant, lease: LeaseId, batch: &Batch<'_>) -> Result<(), Malformed> {
        let mut rest = *batch;
        while rest.next_request()?.is_some() {}
        // what was not submitted yet begins with `plain`
        let (mut plain, mut rest) = (*batch, *batch);
        loop {
            let before = rest;
            let Some(request) = rest.next_request()? else { break };
            if request.flags & flags::OPERATION != 0 {
                self.submit_on(now, lease, &until(&plain, &before))?;
                plain = rest;
                let releases = matches!(request.row.0, kind::RELEASE | kind::WATCH_RELEASE);
                let place = if releases { self.living(lease) } else { lease };
                self.begin(now, place, request.slot, operation(now, place, &request));
            } else if request.flags & flags::SCRIPT != 0 {
                self.attend(lease, &request);
            }
        }
        self.submit_on(now, lease, &plain)
    }

    /// Gives `lease`, or in place of one that is over the link that everybody shares.
    fn living(&self, lease: LeaseId) -> LeaseId {
        if self.machine.is_lost(lease) { LeaseId::SHARED } else { lease }
    }

    /// Begins a conversation in `slot`.
    #[inline(never)]
    pub fn begin(&mut self, now: Instant, lease: LeaseId, slot: Slot, operation: Box<dyn Operation + Send>) {
        self.now = now;
        self.talks.put(slot, Talk::new(lease, operation, Awaited::Wake(now)));
        self.wake(slot);
    }

    /// Follows a call by digest that is being submitted.
    #[inline(never)]
    fn attend(&mut self, lease: LeaseId, request: &Request<'_>) {
        let sha = request.args().next().map_or(&[][..], |sha| sha.bytes());
        if let Some(script) = self.script(sha).cloned() {
            let operation = Box::new(ScriptCall::new(script, request));
            let awaited = Awaited::Forward(super::script::NOSCRIPT);
            self.talks.put(request.slot, Talk::new(lease, operation, awaited));
        }
    }

    #[inline(never)]
    fn wake(&mut self, slot: Slot) {
        let Some(talk) = self.talks.get(slot) else { return };
        let step = talk.operation.next(self.now, &mut Outgoing::new(slot, &mut self.out));
        self.go_on(slot, step);
    }

    /// Sees to the conversation in `slot`, whose time it is: to go on, or to be over.
    fn call(&mut self, slot: Slot) {
        let Some(talk) = self.talks.get(slot) else { return };
        if matches!(talk.awaited, Awaited::Wake(_)) {
            return self.wake(slot);
        }
        talk.limit = Instant::NEVER;
        // it has failed already where the machine does not know it
        if let Some(maybe_executed) = self.machine.cancel(self.now, slot) {
            let failure = Failure { reason: Reason::Timeout, maybe_executed };
            if let Some(Action::Settle(slot, failure)) = self.fail(slot, failure) {
                self.failed.push((slot, failure));
            }
        }
    }

    #[inline(never)]
    fn go_on(&mut self, slot: Slot, step: Step) {
        let awaited = match step {
            Step::Listen => Awaited::Listen,
            Step::Forward(code) => Awaited::Forward(code),
            Step::Wait(at) => Awaited::Wake(at),
            Step::Lease => Awaited::Lease,
        };
        let Some(talk) = self.talks.get(slot) else { return };
        talk.awaited = awaited;
        let (place, due) = (talk.place(), talk.due());
        let place = if is_beside(slot) { self.living(place) } else { place };
        if due < Instant::NEVER {
            self.talks.wake = Some(self.talks.wake.map_or(due, |wake| wake.min(due)));
        }
        self.flush(place);
        if step == Step::Lease {
            self.lend(slot);
        }
    }

    /// Gives up every conversation that [may block](Operation::may_block), or those on `lease` alone: its caller is told that it was closed, and what
    /// it may have got is given back.
    pub fn dismiss(&mut self, now: Instant, lease: Option<LeaseId>) {
        for slot in (0..self.talks.lists[0].len()).map(|index| Slot(index as u32)) {
            if lease.is_none() || self.talks.get(slot).map(|talk| talk.lease) == lease {
                self.dismiss_one(now, slot);
            }
        }
    }

    /// Likewise the one in `slot`, if it may block.
    pub fn dismiss_one(&mut self, now: Instant, slot: Slot) {
        if self.talks.get(slot).is_some_and(|talk| talk.operation.may_block())
            && let Some(maybe_executed) = self.cancel(now, slot)
        {
            self.failed.push((slot, Failure { reason: Reason::Closed, maybe_executed }));
        }
    }

    /// Gets the conversation in `slot` a link of its own, in place of the one that it may have.
    fn lend(&mut self, slot: Slot) {
        let Some(talk) = self.talks.get(slot) else { return };
        if let Some(lease) = talk.own.take() {
            self.machine.release(self.now, lease);
        }
        let reason = match talk.lease {
            LeaseId::SHARED if self.machine.lease(self.now, slot) => return,
            LeaseId::SHARED => Reason::PoolTimeout,
            lease if self.machine.is_lost(lease) => Reason::LeaseLost,
            _ => return self.wake(slot),
        };
        self.talks.take(slot);
        self.failed.push((slot, Failure { reason, maybe_executed: false }));
    }

    /// Takes `lease` for the conversation in `slot`; gives whether one waits for it.
    fn settle_in(&mut self, slot: Slot, lease: LeaseId) -> bool {
        let talk = self.talks.get(slot).filter(|talk| matches!(talk.awaited, Awaited::Lease));
        let waits = talk.map(|talk| talk.own = Some(lease)).is_some();
        if waits {
            self.wake(slot);
        }
        waits
    }

    /// Ends the conversation in `slot`: sends the last that it wrote, and gives its link back.
    #[inline(never)]
    fn end(&mut self, slot: Slot) {
        let Some(talk) = self.talks.take(slot) else { return };
        self.flush(talk.place());
        if let Some(lease) = talk.own {
            self.machine.release(self.now, lease);
        }
    }

    /// Sends what a conversation on `lease` wrote.
    #[inline(never)]
    fn flush(&mut self, lease: LeaseId) {
        if !self.out.batch.is_empty() {
            let sent = self.machine.submit_on(self.now, lease, &self.out.batch.batch());
            debug_assert!(sent.is_ok(), "conversations write whole commands");
            self.out.batch.clear();
        }
        while let Some(operation) = self.out.begun.pop() {
            let slot = self.talks.free();
            self.begin(self.now, lease, slot, operation);
        }
    }

    /// Goes on with the conversations that were heard. They are on one lease, as they were heard on one link.
    #[inline(never)]
    fn resume(&mut self) {
        for (slot, step) in core::mem::take(&mut self.heard.steps) {
            match step {
                Some(step) => self.go_on(slot, step),
                None => self.end(slot),
            }
        }
    }

    /// Takes the failure of the command in `slot`; gives it back where it is the caller's.
    #[inline(never)]
    fn fail(&mut self, slot: Slot, failure: Failure) -> Option<Action> {
        let failure = match self.talks.get(slot) {
            // nothing may begin anew
            Some(_) if failure.reason == Reason::Closed => {
                self.end(slot);
                failure
            }
            Some(talk) => {
                let out = &mut Outgoing::new(slot, &mut self.out);
                match talk.operation.failed(self.now, failure, out) {
                    ControlFlow::Continue(step) => {
                        self.go_on(slot, step);
                        return None;
                    }
                    ControlFlow::Break(failure) => {
                        self.end(slot);
                        failure
                    }
                }
            }
            None => failure,
        };
        (!is_beside(slot)).then_some(Action::Settle(slot, failure))
    }

    /// Forgets what is open on `link`, which is over.
    #[inline(never)]
    fn leave(&mut self, link: LinkId) {
        self.parked.retain(|(parked, _)| *parked != link);
        if self.link == link {
            self.open = Open::Callers;
        }
    }

    /// Turns to what is open on `link`.
    #[inline(never)]
    fn turn(&mut self, link: LinkId) {
        let known = self.parked.iter().position(|(parked, _)| *parked == link);
        let open = known.map(|at| self.parked.swap_remove(at).1).unwrap_or_default();
        let before = core::mem::replace(&mut self.open, open);
        if !matches!(before, Open::Callers) {
            self.parked.push((self.link, before));
        }
        self.link = link;
    }
}

/// Makes the operation that `request` asks for.
#[inline(never)]
fn operation(now: Instant, lease: LeaseId, request: &Request<'_>) -> Box<dyn Operation + Send> {
    let mut args = [&[][..]; 6];
    for (place, arg) in args.iter_mut().zip(request.args()) {
        *place = arg.bytes();
    }
    let [key, token, milliseconds, ..] = args;
    let more = lock::Time::More(lock::number(milliseconds));
    match request.row.0 {
        kind::ACQUIRE => Box::new(lock::Acquire::new(now, args, request.timeout)),
        kind::LIBRARY => Box::new(library::Load::new(request)),
        kind::WATCH_RELEASE => Box::new(watching::Change::new(key, token, None, request.timeout)),
        kind::WATCH_EXTEND => Box::new(watching::Change::new(key, token, Some(more), request.timeout)),
        kind::RELEASE => Box::new(lock::Release::new(key, token, request.timeout)),
        kind::FENCE => Box::new(lock::fence(key, token, request.timeout)),
        kind @ (kind::KEEP | kind::WATCH_KEEP) => {
            let watches = kind == kind::WATCH_KEEP && lease == LeaseId::SHARED;
            Box::new(keep::Keep::new(args, request.timeout, watches))
        }
        _ => Box::new(lock::Extend::new(key, token, more, request.timeout)),
    }
}

/// Gives the start of `batch`, of which `rest` is the end.
fn until<'a>(batch: &Batch<'a>, rest: &Batch<'_>) -> Batch<'a> {
    fn start<'a, T>(all: &'a [T], rest: &[T]) -> &'a [T] {
        all.get(..all.len() - rest.len()).unwrap_or_default()
    }
    Batch {
        words: start(batch.words, rest.words),
        text: start(batch.text, rest.text),
        side: start(batch.side, rest.side),
    }
}

impl<M: Machine> Machine for Conversations<M> {
    fn submit(&mut self, now: Instant, batch: &Batch<'_>) -> Result<(), Malformed> {
        self.now = now;
        self.machine.submit(now, batch)
    }

    fn submit_on(&mut self, now: Instant, lease: LeaseId, batch: &Batch<'_>) -> Result<(), Malformed> {
        self.now = now;
        self.machine.submit_on(now, lease, batch)
    }

    fn lease(&mut self, now: Instant, slot: Slot) -> bool {
        self.now = now;
        self.machine.lease(now, slot)
    }

    fn is_lost(&self, lease: LeaseId) -> bool {
        self.machine.is_lost(lease)
    }

    fn release(&mut self, now: Instant, lease: LeaseId) {
        self.dismiss(now, Some(lease));
        self.now = now;
        self.machine.release(now, lease);
    }

    fn cancel(&mut self, now: Instant, slot: Slot) -> Option<bool> {
        self.now = now;
        let cancelled = self.machine.cancel(now, slot);
        let Some(talk) = self.talks.get(slot) else { return cancelled };
        // what it waits for has failed already where the machine does not know it: its caller is about to be told
        let failed = cancelled.is_none() && !matches!(talk.awaited, Awaited::Wake(_));
        let maybe_executed = cancelled.unwrap_or(failed);
        talk.operation.abandon(maybe_executed, &mut Outgoing::new(slot, &mut self.out));
        self.end(slot);
        (!failed).then_some(maybe_executed)
    }

    fn handle_open(&mut self, now: Instant, link: LinkId) {
        self.now = now;
        self.machine.handle_open(now, link);
    }

    fn handle_bytes<S: ReplySink>(
        &mut self,
        now: Instant,
        link: LinkId,
        input: &[u8],
        sink: &mut S,
    ) -> usize {
        self.now = now;
        if self.link != link {
            self.turn(link);
        }
        let Self { machine, talks, open, heard, out, .. } = self;
        heard.told.clear();
        let used = machine.handle_bytes(now, link, input, &mut Tap { open, talks, heard, now, out, sink });
        if !self.heard.steps.is_empty() {
            self.resume();
        }
        used
    }

    fn handle_read(&mut self, link: LinkId, count: usize) -> usize {
        self.machine.handle_read(link, count)
    }

    fn handle_untrusted(&mut self, now: Instant, link: LinkId) {
        self.now = now;
        self.machine.handle_untrusted(now, link);
    }

    fn handle_closed(&mut self, now: Instant, link: LinkId) {
        self.now = now;
        self.leave(link);
        self.machine.handle_closed(now, link);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.machine.handle_timeout(now);
        while let Some(slot) = self.talks.due(now) {
            self.call(slot);
        }
    }

    fn handle_transmitted(&mut self, link: LinkId, count: usize) {
        self.machine.handle_transmitted(link, count);
    }

    fn poll_transmit(&self, link: LinkId) -> Option<Segment<'_>> {
        self.machine.poll_transmit(link)
    }

    fn poll_cached<S: ReplySink>(&mut self, sink: &mut S) {
        // none is a conversation's, since what these ask for is never kept; the tap spares another copy of all that decodes
        let Self { machine, talks, open, heard, now, out, .. } = self;
        machine.poll_cached(&mut Tap { open, talks, heard, now: *now, out, sink });
    }

    fn poll_action(&mut self) -> Option<Action> {
        loop {
            match self.machine.poll_action() {
                Some(Action::Settle(slot, failure)) => {
                    if let Some(action) = self.fail(slot, failure) {
                        return Some(action);
                    }
                }
                Some(Action::Leased(slot, lease)) if self.settle_in(slot, lease) => {}
                Some(action) => {
                    match action {
                        Action::Close(link, _) => self.leave(link),
                        Action::Unanswered(slot) => self.end(slot),
                        _ => {}
                    }
                    return Some(action);
                }
                None => return self.failed.pop().map(|(slot, failure)| Action::Settle(slot, failure)),
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let (machine, wake) = (self.machine.poll_timeout(), self.talks.wake);
        wake.map_or(machine, |wake| Some(machine.map_or(wake, |at| at.min(wake))))
    }
}

/// What the machine inside can do besides.
impl<M> Deref for Conversations<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M> DerefMut for Conversations<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.machine
    }
}

impl<M: core::fmt::Debug> core::fmt::Debug for Conversations<M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.machine.fmt(f)
    }
}
