//! What clients and their driver share: commands on the way out, and the places of their replies.
//!
//! ```text
//!            take                deliver            settled
//!   (free) ------> Waiting(waker) ------> Done(reply) ------> (free)
//!                      | abandon
//!                      v          release, when the machine knows
//!                  Abandoned ------------------------------> (free)
//!
//!            detach               deliver
//!   (free) --------> Detached ------------------------------> (free)
//! ```
//!
//! Locks are held for a few steps, and while the commands of a request are copied into the outbox, however large; never while a waker is run,
//! or a value of the caller's dropped.

use crate::error::{Error, ServerError};
use crate::machine::{Failure, LeaseId, Reason, Slot};
use crate::outbox::{Commands, Outbox};
use crate::resp::Frame;
use alloc::vec::Vec;
use bytes::Bytes;
use core::task::{Context, Poll, Waker};
use spin::Mutex;

/// The clients' and the driver's common state.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outbox: Outbox,
    entries: Vec<Entry>,
    free: Vec<Slot>,
    driver: Option<Waker>,
    /// Commands on their way whose reply nobody waits for.
    detached: u32,
    /// One at a time may watch keys on a connection, since the next EXEC there ends that: whoever else wants to send one waits.
    gates: Vec<(LeaseId, Vec<Waker>)>,
    /// How many numbers were given.
    numbers: u64,
    /// No client is left.
    deserted: bool,
    /// No driver is left.
    closed: bool,
}

#[derive(Default)]
enum Entry {
    #[default]
    Free,
    Waiting {
        waker: Option<Waker>,
        refusal: Option<Refusal>,
    },
    Done(Outcome),
    /// The lease is there.
    Leased(LeaseId),
    Abandoned,
    /// Nobody waits, and it is not given up.
    Detached,
}

/// The command of a transaction that the server would not queue, and why.
pub(crate) struct Refusal {
    index: u32,
    text: Bytes,
}

/// How a command ended.
pub(crate) type Outcome<T = Frame> = Result<T, Error>;

/// News for the one who waits in a slot.
pub(crate) enum News {
    /// The server would not queue a command.
    Refused(Refusal),
    /// The reply.
    Reply(Frame),
    /// The lease that was asked for.
    Leased(LeaseId),
    /// There will be no reply.
    Failed(Error),
}

impl News {
    pub(crate) fn refused(index: u32, text: &[u8]) -> Self {
        Self::Refused(Refusal { index, text: Bytes::copy_from_slice(text) })
    }
}

impl Shared {
    /// Takes `slots.len()` slots, lets `write` put their commands into the batch of `lease`, and wakes the driver.
    pub(crate) fn submit(
        &self,
        lease: LeaseId,
        slots: &mut [Slot],
        write: impl FnOnce(&[Slot], &mut Commands),
    ) -> Result<(), Failure> {
        self.enter(|state| {
            slots.iter_mut().for_each(|slot| *slot = state.take());
            write(slots, state.outbox.on(lease));
        })
    }

    /// Likewise, for one command that ends with an EXEC: waits while somebody watches keys.
    pub(crate) fn poll_submit(
        &self,
        lease: LeaseId,
        cx: &mut Context<'_>,
        write: impl FnOnce(Slot, &mut Commands),
    ) -> Poll<Result<Slot, Failure>> {
        let mut slot = None;
        let entered = self.enter(|state| {
            if let Some(waiting) = state.gate(lease) {
                return wait_among(waiting, cx);
            }
            let taken = state.take();
            write(taken, state.outbox.on(lease));
            slot = Some(taken);
        });
        match (entered, slot) {
            (Err(failure), _) => Poll::Ready(Err(failure)),
            (Ok(()), Some(slot)) => Poll::Ready(Ok(slot)),
            (Ok(()), None) => Poll::Pending,
        }
    }

    /// Likewise, for one command whose reply nobody waits for; the driver stays until it is answered.
    pub(crate) fn detach(&self, lease: LeaseId, write: impl FnOnce(Slot, &mut Commands)) {
        // a driver that is gone has closed the link
        let _ = self.enter(|state| {
            let slot = state.take();
            if let Some(entry) = state.entry(slot) {
                *entry = Entry::Detached;
            }
            state.detached += 1;
            write(slot, state.outbox.on(lease));
        });
    }

    /// Asks for a lease.
    pub(crate) fn ask(&self) -> Result<Slot, Failure> {
        let mut slot = Slot(0);
        self.enter(|state| {
            slot = state.take();
            state.outbox.asked.push(slot);
        })?;
        Ok(slot)
    }

    /// Ends a lease.
    pub(crate) fn give_back(&self, lease: LeaseId) {
        // a driver that is gone has closed the link
        let _ = self.enter(|state| state.outbox.released.push(lease));
    }

    fn enter(&self, task: impl FnOnce(&mut State)) -> Result<(), Failure> {
        let driver = {
            let mut state = self.state.lock();
            if state.closed {
                return Err(Failure { reason: Reason::Closed, maybe_executed: false });
            }
            task(&mut state);
            state.driver.take()
        };
        wake(driver);
        Ok(())
    }

    /// Gives how many places are not free.
    pub(crate) fn occupied(&self) -> usize {
        let state = self.state.lock();
        state.entries.len() - state.free.len()
    }

    /// Gives a number that it never gave before.
    pub(crate) fn number(&self) -> u64 {
        let mut state = self.state.lock();
        state.numbers += 1;
        state.numbers
    }

    /// Waits until nobody watches keys on the connection of `lease`, and lets nobody else until [`leave`](Self::leave).
    pub(crate) fn poll_watch(&self, lease: LeaseId, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        let closed = state.closed;
        match state.gate(lease) {
            Some(waiting) if !closed => {
                wait_among(waiting, cx);
                return Poll::Pending;
            }
            Some(_) => {}
            None => state.gates.push((lease, Vec::new())),
        }
        Poll::Ready(())
    }

    /// Lets others watch keys.
    pub(crate) fn leave(&self, lease: LeaseId) {
        let gate = {
            let mut state = self.state.lock();
            let at = state.gates.iter().position(|(of, _)| *of == lease);
            at.map(|at| state.gates.swap_remove(at))
        };
        gate.into_iter().flat_map(|(_, waiting)| waiting).for_each(Waker::wake);
    }

    /// Waits until all of `slots` are done, woken by the last one that is not.
    pub(crate) fn poll_all(&self, slots: &[Slot], cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        for slot in slots.iter().rev() {
            if let Some(Entry::Waiting { waker, .. }) = state.entry(*slot) {
                let known = waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
                let old = if known { None } else { waker.replace(cx.waker().clone()) };
                drop(state);
                drop(old);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Takes the outcomes of `slots`, all of them done, and frees them.
    pub(crate) fn settle(&self, slots: &[Slot]) -> Vec<Outcome> {
        let mut state = self.state.lock();
        slots
            .iter()
            .map(|slot| match state.entry(*slot).map(core::mem::take) {
                Some(Entry::Done(outcome)) => {
                    state.free.push(*slot);
                    outcome
                }
                _ => Err(Failure { reason: Reason::Closed, maybe_executed: true }.into()),
            })
            .collect()
    }

    /// Takes the lease that was asked for in `slot`, which is done, and frees it.
    pub(crate) fn take_lease(&self, slot: Slot) -> Outcome<LeaseId> {
        let mut state = self.state.lock();
        let outcome = match state.entry(slot).map(core::mem::take) {
            Some(Entry::Leased(lease)) => Ok(lease),
            Some(Entry::Done(Err(error))) => Err(error),
            _ => return Err(Failure { reason: Reason::Closed, maybe_executed: false }.into()),
        };
        state.free.push(slot);
        outcome
    }

    /// Gives up `slots`: those that are done are freed, the others are cancelled.
    pub(crate) fn abandon(&self, slots: &[Slot]) {
        let mut dropped = Vec::with_capacity(slots.len());
        let driver = {
            let mut state = self.state.lock();
            for &slot in slots {
                let Some(entry) = state.entry(slot) else { continue };
                let waiting = matches!(entry, Entry::Waiting { .. });
                let left = if waiting { Entry::Abandoned } else { Entry::Free };
                let entry = core::mem::replace(entry, left);
                if let Entry::Leased(lease) = entry {
                    state.outbox.released.push(lease);
                }
                dropped.push(entry);
                if waiting { state.outbox.cancelled.push(slot) } else { state.free.push(slot) }
            }
            // who is taken must be woken
            let idle = state.outbox.cancelled.is_empty() && state.outbox.released.is_empty();
            if idle { None } else { state.driver.take() }
        };
        wake(driver);
    }

    /// Swaps the outbox with an empty one and remembers whom to wake; tells whether a client is left, or something that one left behind.
    pub(crate) fn collect(&self, outbox: &mut Outbox, cx: &mut Context<'_>) -> bool {
        let mut state = self.state.lock();
        core::mem::swap(&mut state.outbox, outbox);
        let old = state.remember(cx);
        let over = state.deserted && state.detached == 0;
        drop(state);
        drop(old);
        !over
    }

    /// Tells whether somebody waits for commands to be taken over, and remembers whom to wake; what nobody waits for is forgotten, since
    /// nothing of it was taken over.
    pub(crate) fn is_awaited(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.state.lock();
        let old = state.remember(cx);
        let waits = |entry: &Entry| matches!(entry, Entry::Waiting { .. });
        let awaited = !state.outbox.shared.batch.is_empty() && state.entries.iter().any(waits);
        if !awaited {
            state.forget();
        }
        drop(state);
        drop(old);
        awaited
    }

    /// Fails all who wait; nothing of what they want was taken over.
    pub(crate) fn refuse(&self, error: &Error) {
        let wakers: Vec<Waker> = {
            let mut state = self.state.lock();
            state.forget();
            state.entries.iter_mut().filter_map(|entry| entry.hear(News::Failed(error.clone()))).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Hands out `news` and wakes those who wait; `wakers` is empty before and after.
    pub(crate) fn deliver(&self, news: &mut Vec<(Slot, News)>, wakers: &mut Vec<Waker>) {
        if news.is_empty() {
            return;
        }
        {
            let mut state = self.state.lock();
            for (slot, news) in news.drain(..) {
                match state.entry(slot) {
                    Some(entry @ Entry::Detached) if !matches!(news, News::Refused(_)) => {
                        *entry = Entry::Free;
                        state.free.push(slot);
                        state.detached -= 1;
                    }
                    Some(entry @ Entry::Waiting { .. }) => wakers.extend(entry.hear(news)),
                    // who asked for it is gone: the driver finds it there when it looks next
                    _ => {
                        if let News::Leased(lease) = news {
                            state.outbox.released.push(lease);
                        }
                    }
                }
            }
        }
        wakers.drain(..).for_each(Waker::wake);
    }

    /// Frees slots that were abandoned and that the machine gave up.
    pub(crate) fn release(&self, slots: &mut Vec<Slot>) {
        if slots.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        for slot in slots.drain(..) {
            if let Some(entry @ Entry::Abandoned) = state.entry(slot) {
                *entry = Entry::Free;
                state.free.push(slot);
            }
        }
    }

    /// The last client went.
    pub(crate) fn desert(&self) {
        let driver = {
            let mut state = self.state.lock();
            state.deserted = true;
            state.driver.take()
        };
        wake(driver);
    }

    /// The driver goes: takes no more commands, and gives the slots that still wait.
    pub(crate) fn close(&self) -> Vec<Slot> {
        let (slots, gates) = {
            let mut state = self.state.lock();
            state.closed = true;
            let all = (0..).map(Slot).zip(&state.entries);
            let waiting = all.filter(|(_, entry)| matches!(entry, Entry::Waiting { .. }));
            (waiting.map(|(slot, _)| slot).collect(), core::mem::take(&mut state.gates))
        };
        gates.into_iter().flat_map(|(_, waiting)| waiting).for_each(Waker::wake);
        slots
    }
}

impl State {
    fn take(&mut self) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::Free);
            Slot(self.entries.len() as u32 - 1)
        });
        if let Some(entry) = self.entry(slot) {
            *entry = Entry::Waiting { waker: None, refusal: None };
        }
        slot
    }

    /// Gives who waits until nobody watches keys on the connection of `lease`, if somebody does.
    fn gate(&mut self, lease: LeaseId) -> Option<&mut Vec<Waker>> {
        self.gates.iter_mut().find(|(of, _)| *of == lease).map(|(_, waiting)| waiting)
    }

    /// Remembers the driver; gives what was remembered instead, to be dropped outside.
    fn remember(&mut self, cx: &Context<'_>) -> Option<Waker> {
        let known = self.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if known { None } else { self.driver.replace(cx.waker().clone()) }
    }

    /// Forgets what is wanted, and frees who gave it up.
    fn forget(&mut self) {
        for slot in core::mem::take(&mut self.outbox).cancelled {
            if let Some(entry @ Entry::Abandoned) = self.entry(slot) {
                *entry = Entry::Free;
                self.free.push(slot);
            }
        }
    }

    fn entry(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.0 as usize)
    }
}

impl Entry {
    /// Takes news; gives whom to wake.
    fn hear(&mut self, news: News) -> Option<Waker> {
        let Self::Waiting { waker, refusal } = self else { return None };
        let outcome = match news {
            News::Refused(first) => {
                refusal.get_or_insert(first);
                return None;
            }
            News::Reply(Frame::Error(text)) => Err(match refusal.take() {
                None => ServerError::from(text).into(),
                Some(Refusal { index, text }) => Error::Refused {
                    index: Some(index).filter(|&index| index != u32::MAX),
                    error: text.into(),
                },
            }),
            News::Reply(frame) => Ok(frame),
            News::Failed(error) => Err(error),
            News::Leased(lease) => {
                let waker = waker.take();
                *self = Self::Leased(lease);
                return waker;
            }
        };
        let waker = waker.take();
        *self = Self::Done(outcome);
        waker
    }
}

/// Remembers whom to wake, once.
fn wait_among(waiting: &mut Vec<Waker>, cx: &Context<'_>) {
    if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
        waiting.push(cx.waker().clone());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
