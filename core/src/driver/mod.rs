//! Moves bytes between a machine and a transport.

mod inbox;
mod place;
mod watch;
mod wire;

use crate::connection::{Connection, Stage};
use crate::error::Error;
use crate::machine::{Action, Failure, LeaseId, LinkId, Machine, Reason, Slot};
use crate::operation::Conversations;
use crate::outbox::{Commands, Outbox};
use crate::pool::Pool;
use crate::resp::Frame;
use crate::slab::{News, Shared};
use crate::subscription::{EAR, Ears};
use crate::time::Instant;
use crate::transport::{Blocking, Transport};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use inbox::{Half, Inbox, Reading};
use place::{PLACE, Place};
use watch::Watch;
use wire::{Step, Wire};

/// Does the work of the [`Client`](crate::client::Client)s that it was made with: a future to spawn, or [`run_blocking`](Self::run_blocking)
/// on a thread of its own.
///
/// It ends when the last client is dropped. Dropping it closes all links and fails what waits with
/// [`Reason::Closed`]. It is `Send` when the transport is.
pub struct Driver<T: Transport> {
    /// One per lane; the first has the clock.
    wires: Vec<Wire<T>>,
    machine: Conversations<Pool>,
    shared: Arc<Shared>,
    watch: Watch,
    outbox: Outbox,
    inbox: Inbox,
    wakers: Vec<Waker>,
    fault: Option<T::Error>,
    /// What the transport said when it failed last.
    told: Bytes,
    /// Does the same for subscriptions, on a link of their own.
    listener: Option<Box<Self>>,
    /// Where that link counts.
    place: Place,
}

/// Steps in one poll before other tasks get their turn.
const PATIENCE: u32 = 128;

impl<T: Transport> Driver<T> {
    pub(crate) fn new(transport: T, machine: Pool, shared: Arc<Shared>) -> Self {
        Self {
            wires: alloc::vec![Wire::new(transport)],
            machine: Conversations::new(machine),
            shared,
            watch: Watch::default(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            wakers: Vec::new(),
            fault: None,
            told: Bytes::new(),
            listener: None,
            place: Place::None,
        }
    }

    /// Has what is received unasked go to `ears`, over `transport`.
    pub(crate) fn listen(&mut self, transport: T, mut machine: Pool, ears: Arc<Ears>) {
        machine.listen(EAR);
        let mut listener = Self::new(transport, machine, ears.shared.clone());
        listener.inbox.ears = Some(ears);
        self.listener = Some(Box::new(listener));
    }

    fn next_timeout(&self) -> Instant {
        let own = self.machine.poll_timeout().unwrap_or(Instant::NEVER);
        self.listener.as_ref().map_or(own, |listener| own.min(listener.next_timeout()))
    }

    /// Gives the error that the transport failed with last, if it did.
    pub fn fault(&self) -> Option<&T::Error> {
        self.fault.as_ref()
    }

    /// Gives the connection that everybody shares, which knows what the server said of itself.
    pub fn connection(&self) -> &Connection {
        self.machine.shared()
    }

    /// Gives all connections, the shared one and those that are leased, and what waits for one.
    pub fn pool(&self) -> &Pool {
        &self.machine
    }

    /// Lets subscriptions go on, once they have a place in the pool, which they give back when nobody listens any more.
    fn attend(&mut self, cx: &mut Context<'_>) {
        let now = self.now();
        while let Some(listener) = &mut self.listener {
            let before = self.place;
            match before {
                Place::None if listener.shared.is_awaited(cx) => {
                    self.place = Place::Asked;
                    self.machine.place(now, PLACE);
                }
                Place::Asked if !listener.shared.is_awaited(cx) => {
                    self.place = Place::None;
                    self.machine.cancel(now, PLACE);
                }
                Place::Held(lease) => {
                    // it ends with this one
                    let _ = Pin::new(&mut **listener).poll(cx);
                    if listener.is_at_rest() {
                        self.place = Place::None;
                        self.machine.release(now, lease);
                    }
                }
                Place::None | Place::Asked => {}
            }
            if self.place == before {
                return;
            }
            self.act();
        }
    }

    /// Closes the link that listens when nobody does; tells whether there is none, and none is tried.
    fn is_at_rest(&mut self) -> bool {
        if self.machine.is_quiet() && self.inbox.ears.as_ref().is_some_and(|ears| ears.is_deserted()) {
            self.machine.shutdown();
            self.act();
        }
        self.connection().stage() == Stage::Idle
    }

    /// Does what can be done now, once.
    fn round(&mut self, cx: &mut Context<'_>) -> Step {
        if !self.shared.collect(&mut self.outbox, cx) {
            self.hang_up();
            return Step::Over;
        }
        let now = self.now();
        let mut busy = self.accept(now) == Step::Busy;
        busy |= self.expire(now, cx) == Step::Busy;
        for lane in 0..self.wires.len() {
            busy |= self.turn(now, lane, cx) == Step::Busy;
        }
        if busy { Step::Busy } else { Step::Idle }
    }

    /// Takes what clients want.
    fn accept(&mut self, now: Instant) -> Step {
        if self.outbox.is_empty() {
            return Step::Idle;
        }
        let mut outbox = core::mem::take(&mut self.outbox);
        self.submit(now, LeaseId::SHARED, &mut outbox.shared);
        for (lease, mut commands) in outbox.leased.drain(..) {
            self.submit(now, lease, &mut commands);
        }
        for slot in outbox.asked.drain(..) {
            self.machine.lease(now, slot);
        }
        for &slot in &outbox.cancelled {
            self.machine.cancel(now, slot);
            self.watch.forget(slot);
        }
        for lease in outbox.released.drain(..) {
            self.machine.release(now, lease);
        }
        // nothing that is on its way to a slot may come after the slot is free again
        self.act();
        self.shared.release(&mut outbox.cancelled);
        self.outbox = outbox;
        Step::Busy
    }

    /// Submits what is wanted on one connection.
    fn submit(&mut self, now: Instant, lease: LeaseId, commands: &mut Commands) {
        if !commands.batch.is_empty() {
            let accepted = if commands.converses {
                self.learn(commands);
                let accepted = self.machine.converse(now, lease, &commands.batch.batch());
                self.machine.forget();
                accepted
            } else {
                self.machine.submit_on(now, lease, &commands.batch.batch())
            };
            debug_assert!(accepted.is_ok(), "clients write whole batches");
            commands.batch.clear();
            // a reply may be half read
            self.machine.poll_cached(&mut Reading { half: &mut Half::default(), inbox: &mut self.inbox });
        }
        if let Some((slot, batch)) = commands.watched.take() {
            match self.watch {
                Watch::Watching(link) if self.is_open(link) => {
                    let accepted = self.machine.submit(now, &batch.batch());
                    debug_assert!(accepted.is_ok(), "clients write whole batches");
                    self.watch = Watch::Ending(slot, link);
                }
                // the link that knows of it is over
                _ => self.fail(slot, Failure { reason: Reason::Dropped, maybe_executed: false }),
            }
        }
    }

    /// Takes over what the batch needs to be more than commands.
    fn learn(&mut self, commands: &mut Commands) {
        commands.converses = false;
        for script in commands.scripts.drain(..) {
            self.machine.learn(&script);
        }
        if let Some(slot) = commands.watch.take() {
            self.watch = Watch::Asked(slot);
        }
    }

    /// Notes that `link` is over, and what was watched on it is not any more.
    fn unwatch(&mut self, now: Instant, link: LinkId) {
        if self.watch.is_on(link)
            && let Watch::Ending(slot, _) = core::mem::take(&mut self.watch)
            && let Some(maybe_executed) = self.machine.cancel(now, slot)
        {
            self.fail(slot, Failure { reason: Reason::Dropped, maybe_executed });
        }
    }

    fn expire(&mut self, now: Instant, cx: &mut Context<'_>) -> Step {
        let Some(deadline) = self.machine.poll_timeout() else { return Step::Idle };
        let Some(first) = self.wires.first_mut() else { return Step::Idle };
        if deadline > now && first.transport.poll_sleep(cx, deadline).is_pending() {
            return Step::Idle;
        }
        let now = first.transport.now();
        self.machine.handle_timeout(now);
        self.act();
        Step::Busy
    }

    /// Opens, writes and reads on the wire of `lane`.
    fn turn(&mut self, now: Instant, lane: usize, cx: &mut Context<'_>) -> Step {
        let Some(wire) = self.wires.get_mut(lane) else { return Step::Idle };
        let Some(link) = wire.link() else { return Step::Idle };
        match wire.turn(&mut self.machine, now, &mut self.inbox, cx) {
            Ok(Step::Idle) => return Step::Idle,
            Ok(_) => {
                if let Some(slot) = self.watch.slot()
                    && self.inbox.news.iter().any(|news| news.0 == slot)
                {
                    self.watch = self.watch.answered(link);
                }
            }
            Err(error) => {
                wire.hang_up();
                self.told = error.as_ref().map_or(Bytes::new(), |error| error.to_string().into());
                self.fault = error.or(self.fault.take());
                self.machine.handle_closed(now, link);
            }
        }
        self.act();
        Step::Busy
    }

    /// Does what the machine wants done, and delivers.
    fn act(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Open(link) => self.dial(link),
                Action::Close(link, _) => {
                    self.unwatch(self.now(), link);
                    if let Some(wire) = self.wires.get_mut(usize::from(link.lane()))
                        && wire.link() == Some(link)
                    {
                        wire.hang_up();
                    }
                }
                Action::Settle(PLACE, failure) => {
                    self.place = Place::None;
                    let error = self.error(failure);
                    if let Some(listener) = &self.listener {
                        listener.shared.refuse(&error);
                    }
                }
                Action::Settle(slot, failure) => {
                    self.watch.forget(slot);
                    self.fail(slot, failure);
                }
                Action::Unanswered(slot) => self.inbox.news.push((slot, News::Reply(Frame::Null))),
                Action::Leased(PLACE, lease) => self.place = Place::Held(lease),
                Action::Leased(slot, lease) => self.inbox.news.push((slot, News::Leased(lease))),
                Action::Ready(_) | Action::Rest => {}
            }
        }
        self.shared.deliver(&mut self.inbox.news, &mut self.wakers);
    }

    /// Begins to open `link`, on the wire of its lane.
    fn dial(&mut self, link: LinkId) {
        let lane = usize::from(link.lane());
        while self.wires.len() <= lane {
            let another = self.wires.first().and_then(|first| first.transport.another());
            let Some(transport) = another else {
                // as where a transport cannot be opened
                let now = self.now();
                return self.machine.handle_closed(now, link);
            };
            self.wires.push(Wire::new(transport));
        }
        if let Some(wire) = self.wires.get_mut(lane) {
            wire.dial(link);
        }
    }

    fn error(&self, failure: Failure) -> Error {
        let alone = self.machine.limits().max_connections == 0 && failure.reason == Reason::PoolTimeout;
        let said = match failure.reason {
            _ if alone => return Error::OneStream,
            Reason::Refused | Reason::HungUp | Reason::Untrusted => self.told.clone(),
            Reason::Authentication | Reason::Database | Reason::Handshake => {
                let mut connections = self.machine.connections();
                let refused = connections.find(|connection| connection.trouble() == Some(failure.reason));
                refused.map_or(Bytes::new(), |connection| Bytes::copy_from_slice(connection.detail()))
            }
            Reason::Protocol3 | Reason::MaxClients | Reason::ConnectTimeout => Bytes::new(),
            _ => return failure.into(),
        };
        Error::NoLink { failure, said }
    }

    fn fail(&mut self, slot: Slot, failure: Failure) {
        let error = self.error(failure);
        self.inbox.news.push((slot, News::Failed(error)));
    }

    fn is_open(&self, link: LinkId) -> bool {
        self.wires.iter().any(|wire| wire.link() == Some(link))
    }

    /// Gives the time on the first wire's clock.
    fn now(&self) -> Instant {
        self.wires.first().map_or(Instant(0), |first| first.transport.now())
    }

    fn hang_up(&mut self) {
        self.wires.iter_mut().for_each(Wire::hang_up);
    }
}

impl<T: Blocking> Driver<T> {
    /// Drives on this thread until every client is dropped, blocking while there is nothing to do.
    pub fn run_blocking(&mut self) {
        self.block_on(core::future::pending::<()>());
    }

    /// Drives on this thread until `future` is ready, and gives what it gives; `None` when every client is dropped before.
    ///
    /// This is how a program without threads and executor runs requests one after the other.
    pub fn block_on<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let waker = self.wires.first()?.transport.waker();
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Some(output);
            }
            if Pin::new(&mut *self).poll(&mut cx).is_ready() {
                return None;
            }
            let until = self.next_timeout();
            self.wires.first_mut()?.transport.wait(until);
        }
    }
}

impl<T: Transport> Future for Driver<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.attend(cx);
        let mut place = this.place;
        for _ in 0..PATIENCE {
            match this.round(cx) {
                Step::Busy => {}
                Step::Idle if this.place == place => return Poll::Pending,
                Step::Idle => {
                    this.attend(cx);
                    place = this.place;
                }
                Step::Over => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

// nothing in it is ever pinned
impl<T: Transport> Unpin for Driver<T> {}

impl<T: Transport> Drop for Driver<T> {
    fn drop(&mut self) {
        self.hang_up();
        if let Some(ears) = &self.inbox.ears {
            ears.close();
        }
        let waiting = self.shared.close();
        let now = self.now();
        for slot in waiting {
            let maybe_executed = self.machine.cancel(now, slot).unwrap_or(false);
            self.fail(slot, Failure { reason: Reason::Closed, maybe_executed });
        }
        self.shared.deliver(&mut self.inbox.news, &mut self.wakers);
    }
}
