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
//! Locks are held for a few steps only, and never while a waker or a value of the caller's is run or dropped.

use crate::batch::BatchBuffer;
use crate::error::{Error, ServerError};
use crate::machine::{Failure, Reason, Slot};
use crate::operation::Script;
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
    gate: Gate,
    /// How many numbers were given.
    numbers: u64,
    /// No client is left.
    deserted: bool,
    /// No driver is left.
    closed: bool,
}

/// What clients want from the driver.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) batch: BatchBuffer,
    /// Whether the batch holds more than commands.
    pub(crate) converses: bool,
    /// Scripts that the batch calls by their digest.
    pub(crate) scripts: Vec<Script>,
    pub(crate) cancelled: Vec<Slot>,
    /// The WATCH in the batch.
    pub(crate) watch: Option<Slot>,
    /// The transaction that is sent only on the link of the last WATCH.
    pub(crate) watched: Option<(Slot, BatchBuffer)>,
}

/// One at a time may watch keys, since the next EXEC on the link ends that: whoever else wants to send one waits.
#[derive(Default)]
struct Gate {
    taken: bool,
    waiting: Vec<Waker>,
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
pub(crate) type Outcome = Result<Frame, Error>;

/// News for the one who waits in a slot.
pub(crate) enum News {
    /// The server would not queue a command.
    Refused(Refusal),
    /// The reply.
    Reply(Frame),
    /// There will be no reply.
    Failed(Failure),
}

impl News {
    pub(crate) fn refused(index: u32, text: &[u8]) -> Self {
        Self::Refused(Refusal { index, text: Bytes::copy_from_slice(text) })
    }
}

impl Shared {
    /// Takes `slots.len()` slots, lets `write` put their commands into the batch, and wakes the driver.
    pub(crate) fn submit(
        &self,
        slots: &mut [Slot],
        write: impl FnOnce(&[Slot], &mut Outbox),
    ) -> Result<(), Failure> {
        self.enter(|state| {
            slots.iter_mut().for_each(|slot| *slot = state.take());
            write(slots, &mut state.outbox);
        })
    }

    /// Likewise, for one command that ends with an EXEC: waits while somebody watches keys.
    pub(crate) fn poll_submit(
        &self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Slot, &mut Outbox),
    ) -> Poll<Result<Slot, Failure>> {
        let mut slot = None;
        let entered = self.enter(|state| {
            if state.gate.taken {
                return state.gate.waiting.push(cx.waker().clone());
            }
            let taken = state.take();
            write(taken, &mut state.outbox);
            slot = Some(taken);
        });
        match (entered, slot) {
            (Err(failure), _) => Poll::Ready(Err(failure)),
            (Ok(()), Some(slot)) => Poll::Ready(Ok(slot)),
            (Ok(()), None) => Poll::Pending,
        }
    }

    /// Likewise, for one command whose reply nobody waits for; the driver stays until it is answered.
    pub(crate) fn detach(&self, write: impl FnOnce(Slot, &mut Outbox)) {
        // a driver that is gone has closed the link
        let _ = self.enter(|state| {
            let slot = state.take();
            if let Some(entry) = state.entry(slot) {
                *entry = Entry::Detached;
            }
            state.detached += 1;
            write(slot, &mut state.outbox);
        });
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

    /// Gives a number that it never gave before.
    pub(crate) fn number(&self) -> u64 {
        let mut state = self.state.lock();
        state.numbers += 1;
        state.numbers
    }

    /// Waits until nobody watches keys, and lets nobody else until [`leave`](Self::leave).
    pub(crate) fn poll_watch(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.gate.taken && !state.closed {
            state.gate.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        state.gate.taken = true;
        Poll::Ready(())
    }

    /// Lets others watch keys.
    pub(crate) fn leave(&self) {
        let waiting = {
            let mut state = self.state.lock();
            core::mem::take(&mut state.gate).waiting
        };
        waiting.into_iter().for_each(Waker::wake);
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

    /// Gives up `slots`: those that are done are freed, the others are cancelled.
    pub(crate) fn abandon(&self, slots: &[Slot]) {
        let mut dropped = Vec::with_capacity(slots.len());
        let driver = {
            let mut state = self.state.lock();
            for &slot in slots {
                let Some(entry) = state.entry(slot) else { continue };
                let waiting = matches!(entry, Entry::Waiting { .. });
                let left = if waiting { Entry::Abandoned } else { Entry::Free };
                dropped.push(core::mem::replace(entry, left));
                if waiting { state.outbox.cancelled.push(slot) } else { state.free.push(slot) }
            }
            // who is taken must be woken
            if state.outbox.cancelled.is_empty() { None } else { state.driver.take() }
        };
        wake(driver);
    }

    /// Swaps the outbox with an empty one and remembers whom to wake; tells whether a client is left, or something that one left behind.
    pub(crate) fn collect(&self, outbox: &mut Outbox, cx: &mut Context<'_>) -> bool {
        let mut state = self.state.lock();
        core::mem::swap(&mut state.outbox, outbox);
        let known = state.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let old = if known { None } else { state.driver.replace(cx.waker().clone()) };
        let over = state.deserted && state.detached == 0;
        drop(state);
        drop(old);
        !over
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
                    Some(entry) => wakers.extend(entry.hear(news)),
                    None => {}
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
        self.leave();
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = (0..).map(Slot).zip(&state.entries);
        waiting.filter(|(_, entry)| matches!(entry, Entry::Waiting { .. })).map(|(slot, _)| slot).collect()
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
                None => ServerError { text }.into(),
                Some(Refusal { index, text }) => Error::Refused {
                    index: Some(index).filter(|&index| index != u32::MAX),
                    error: ServerError { text },
                },
            }),
            News::Reply(frame) => Ok(frame),
            News::Failed(failure) => Err(failure.into()),
        };
        let waker = waker.take();
        *self = Self::Done(outcome);
        waker
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
