//! Moves bytes between a machine and a transport.

use crate::batch::BatchBuffer;
use crate::connection::Connection;
use crate::machine::{Action, Failure, LeaseId, LinkId, Machine, Reason, ReplySink, Segment, Slot};
use crate::operation::Conversations;
use crate::resp::{Event, FrameSink, Sink};
use crate::slab::{News, Outbox, Shared};
use crate::subscription::{EAR, Ears};
use crate::time::Instant;
use crate::transport::{Blocking, Transport};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

/// Does the work of the [`Client`](crate::client::Client)s that it was made with: a future to spawn, or [`run_blocking`](Self::run_blocking)
/// on a thread of its own.
///
/// It ends when the last client is dropped. Dropping it closes the link and fails what waits with
/// [`Reason::Closed`]. It is `Send` when the transport is.
pub struct Driver<T: Transport> {
    transport: T,
    machine: Conversations<Connection>,
    shared: Arc<Shared>,
    watch: Watch,
    stream: Stream,
    input: Input,
    outbox: Outbox,
    inbox: Inbox,
    wakers: Vec<Waker>,
    fault: Option<T::Error>,
    /// Does the same for subscriptions, on a link of their own.
    listener: Option<Box<Self>>,
}

/// Where the transport stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Closed,
    Opening(LinkId),
    Open { link: LinkId, flushed: bool },
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Something happened: more may be possible.
    Busy,
    /// The host will wake the task.
    Idle,
    /// No client is left.
    Over,
}

/// Steps in one poll before other tasks get their turn.
const PATIENCE: u32 = 128;

impl<T: Transport> Driver<T> {
    pub(crate) fn new(transport: T, machine: Connection, shared: Arc<Shared>) -> Self {
        Self {
            transport,
            machine: Conversations::new(machine),
            shared,
            watch: Watch::default(),
            stream: Stream::Closed,
            input: Input::default(),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            wakers: Vec::new(),
            fault: None,
            listener: None,
        }
    }

    /// Has what is received unasked go to `ears`, over `transport`.
    pub(crate) fn listen(&mut self, transport: T, mut machine: Connection, ears: Arc<Ears>) {
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

    /// Gives the machine, which knows what the server said of itself.
    pub fn connection(&self) -> &Connection {
        &self.machine
    }

    /// Does what can be done now, once.
    fn round(&mut self, cx: &mut Context<'_>) -> Step {
        if !self.shared.collect(&mut self.outbox, cx) {
            self.hang_up();
            return Step::Over;
        }
        let now = self.transport.now();
        let steps = [
            self.accept(now),
            self.expire(now, cx),
            self.open(now, cx),
            self.write(now, cx),
            self.read(now, cx),
        ];
        if steps.contains(&Step::Busy) { Step::Busy } else { Step::Idle }
    }

    /// Takes what clients want.
    fn accept(&mut self, now: Instant) -> Step {
        if self.outbox.batch.is_empty() && self.outbox.cancelled.is_empty() && self.outbox.watched.is_none() {
            return Step::Idle;
        }
        if !self.outbox.batch.is_empty() {
            let accepted = if self.outbox.converses {
                self.learn();
                let accepted = self.machine.converse(now, LeaseId::SHARED, &self.outbox.batch.batch());
                self.machine.forget();
                accepted
            } else {
                self.machine.submit(now, &self.outbox.batch.batch())
            };
            debug_assert!(accepted.is_ok(), "clients write whole batches");
            self.outbox.batch.clear();
            // a reply may be half read
            let mut known = Inbox { news: core::mem::take(&mut self.inbox.news), ..Inbox::default() };
            self.machine.poll_cached(&mut known);
            self.inbox.news = known.news;
        }
        if let Some((slot, batch)) = self.outbox.watched.take() {
            self.watched(now, slot, &batch);
        }
        for &slot in &self.outbox.cancelled {
            self.machine.cancel(now, slot);
            self.watch.forget(slot);
        }
        // nothing that is on its way to a slot may come after the slot is free again
        self.act();
        self.shared.release(&mut self.outbox.cancelled);
        Step::Busy
    }

    /// Takes over what the batch needs to be more than commands.
    fn learn(&mut self) {
        self.outbox.converses = false;
        for script in self.outbox.scripts.drain(..) {
            self.machine.learn(&script);
        }
        if let Some(slot) = self.outbox.watch.take() {
            self.watch = Watch::Asked(slot);
        }
    }

    /// Sends a transaction whose keys are watched, unless the link that knows of it is over.
    fn watched(&mut self, now: Instant, slot: Slot, batch: &BatchBuffer) {
        match self.watch {
            Watch::Watching(link) if self.stream.is_of(link) => {
                let accepted = self.machine.submit(now, &batch.batch());
                debug_assert!(accepted.is_ok(), "clients write whole batches");
                self.watch = Watch::Ending(slot, link);
            }
            _ => {
                let failure = Failure { reason: Reason::Dropped, maybe_executed: false };
                self.inbox.news.push((slot, News::Failed(failure)));
            }
        }
    }

    /// Notes that `link` is over, and what was watched on it is not any more.
    fn unwatch(&mut self, now: Instant, link: LinkId) {
        if self.watch.is_on(link)
            && let Watch::Ending(slot, _) = core::mem::take(&mut self.watch)
            && let Some(maybe_executed) = self.machine.cancel(now, slot)
        {
            let failure = Failure { reason: Reason::Dropped, maybe_executed };
            self.inbox.news.push((slot, News::Failed(failure)));
        }
    }

    fn expire(&mut self, now: Instant, cx: &mut Context<'_>) -> Step {
        let Some(deadline) = self.machine.poll_timeout() else { return Step::Idle };
        if deadline > now && self.transport.poll_sleep(cx, deadline).is_pending() {
            return Step::Idle;
        }
        let now = self.transport.now();
        self.machine.handle_timeout(now);
        self.act();
        Step::Busy
    }

    fn open(&mut self, now: Instant, cx: &mut Context<'_>) -> Step {
        let Stream::Opening(link) = self.stream else { return Step::Idle };
        match self.transport.poll_open(cx) {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Ok(())) => {
                self.stream = Stream::Open { link, flushed: true };
                self.input.clear();
                self.machine.handle_open(now, link);
            }
            Poll::Ready(Err(error)) => self.fail(now, link, Some(error)),
        }
        self.act();
        Step::Busy
    }

    fn write(&mut self, now: Instant, cx: &mut Context<'_>) -> Step {
        let Stream::Open { link, flushed } = self.stream else { return Step::Idle };
        let written = match self.machine.poll_transmit(link) {
            Some(Segment::Bytes(bytes)) => self.transport.poll_write(cx, bytes),
            // clients give arguments away: none is outside
            Some(Segment::External(..)) => Poll::Ready(Ok(0)),
            None if flushed => return Step::Idle,
            None => match self.transport.poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.stream = Stream::Open { link, flushed: true };
                    return Step::Busy;
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => return Step::Idle,
            },
        };
        match written {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Ok(0)) => self.fail(now, link, None),
            Poll::Ready(Ok(count)) => {
                self.stream = Stream::Open { link, flushed: false };
                self.machine.handle_transmitted(link, count);
            }
            Poll::Ready(Err(error)) => self.fail(now, link, Some(error)),
        }
        self.act();
        Step::Busy
    }

    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> Step {
        let Stream::Open { link, .. } = self.stream else { return Step::Idle };
        match self.transport.poll_read(cx, self.input.space()) {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Ok(0)) => self.fail(now, link, None),
            Poll::Ready(Ok(count)) => {
                let bytes = self.input.filled(count);
                let used = self.machine.handle_bytes(now, link, bytes, &mut self.inbox);
                self.input.consume(used);
                if let Some(slot) = self.watch.slot()
                    && self.inbox.news.iter().any(|news| news.0 == slot)
                {
                    self.watch = self.watch.answered(link);
                }
            }
            Poll::Ready(Err(error)) => self.fail(now, link, Some(error)),
        }
        self.act();
        Step::Busy
    }

    fn fail(&mut self, now: Instant, link: LinkId, error: Option<T::Error>) {
        if error.is_some() {
            self.fault = error;
        }
        self.hang_up();
        self.machine.handle_closed(now, link);
    }

    /// Does what the machine wants done, and delivers.
    fn act(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Open(link) => {
                    self.hang_up();
                    self.stream = Stream::Opening(link);
                }
                Action::Close(link, _) => {
                    self.unwatch(self.transport.now(), link);
                    if self.stream.is_of(link) {
                        self.hang_up();
                    }
                }
                Action::Settle(slot, failure) => {
                    self.watch.forget(slot);
                    self.inbox.news.push((slot, News::Failed(failure)));
                }
                Action::Ready(_) | Action::Rest | Action::Leased(..) | Action::Unanswered(_) => {}
            }
        }
        self.shared.deliver(&mut self.inbox.news, &mut self.wakers);
    }

    fn hang_up(&mut self) {
        if self.stream != Stream::Closed {
            self.stream = Stream::Closed;
            self.transport.close();
        }
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
        let waker = self.transport.waker();
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Some(output);
            }
            if Pin::new(&mut *self).poll(&mut cx).is_ready() {
                return None;
            }
            self.transport.wait(self.next_timeout());
        }
    }
}

impl<T: Transport> Future for Driver<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(listener) = &mut this.listener {
            // it ends with this one
            let _ = Pin::new(&mut **listener).poll(cx);
        }
        for _ in 0..PATIENCE {
            match this.round(cx) {
                Step::Busy => {}
                Step::Idle => return Poll::Pending,
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
        let now = self.transport.now();
        let machine = &mut self.machine;
        self.inbox.news.extend(waiting.into_iter().map(|slot| {
            let maybe_executed = machine.cancel(now, slot).unwrap_or(false);
            (slot, News::Failed(Failure { reason: Reason::Closed, maybe_executed }))
        }));
        self.shared.deliver(&mut self.inbox.news, &mut self.wakers);
    }
}

impl Stream {
    fn is_of(self, link: LinkId) -> bool {
        matches!(self, Self::Opening(this) | Self::Open { link: this, .. } if this == link)
    }
}

/// The one transaction with watched keys that there may be at a time.
#[derive(Clone, Copy, Debug, Default)]
enum Watch {
    #[default]
    None,
    /// WATCH has no reply.
    Asked(Slot),
    /// The keys are watched on this link.
    Watching(LinkId),
    /// The transaction is on its way, and must not be sent on any other link.
    Ending(Slot, LinkId),
}

impl Watch {
    /// Gives the command whose reply changes it.
    fn slot(self) -> Option<Slot> {
        match self {
            Self::Asked(slot) | Self::Ending(slot, _) => Some(slot),
            Self::None | Self::Watching(_) => None,
        }
    }

    /// Gives what it is when that reply came on `link`.
    fn answered(self, link: LinkId) -> Self {
        if let Self::Asked(_) = self { Self::Watching(link) } else { Self::None }
    }

    /// The command in `slot` has no reply, or nobody waits for it.
    fn forget(&mut self, slot: Slot) {
        if self.slot() == Some(slot) {
            *self = Self::None;
        }
    }

    fn is_on(self, link: LinkId) -> bool {
        matches!(self, Self::Watching(this) | Self::Ending(_, this) if this == link)
    }
}

/// Bytes read and not done with, at the start of a buffer that grows when they fill it.
#[derive(Debug, Default)]
struct Input {
    buffer: Vec<u8>,
    filled: usize,
}

/// What is read at once at least.
const WINDOW: usize = 16 << 10;

impl Input {
    fn space(&mut self) -> &mut [u8] {
        if self.buffer.len() - self.filled < WINDOW / 4 {
            self.buffer.resize((self.buffer.len() * 2).max(WINDOW), 0);
        }
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Counts `count` more bytes; gives all.
    fn filled(&mut self, count: usize) -> &[u8] {
        self.filled = (self.filled + count).min(self.buffer.len());
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    fn clear(&mut self) {
        self.filled = 0;
    }
}

/// Makes frames of replies.
#[derive(Default)]
struct Inbox {
    slot: Option<Slot>,
    frame: FrameSink,
    news: Vec<(Slot, News)>,
    /// Who hears what nobody asked for.
    ears: Option<Arc<Ears>>,
}

impl Sink for Inbox {
    fn event(&mut self, event: Event<'_>) {
        self.frame.event(event);
    }
}

impl ReplySink for Inbox {
    fn begin(&mut self, slot: Slot) {
        // what stands there is of a link that broke off, or was given up
        self.frame = FrameSink::default();
        self.slot = Some(slot);
    }

    fn end(&mut self) {
        let (Some(slot), Some(frame)) = (self.slot.take(), self.frame.take()) else { return };
        match &self.ears {
            Some(ears) if slot == EAR => ears.hear(frame),
            _ => self.news.push((slot, News::Reply(frame))),
        }
    }

    fn queue_error(&mut self, slot: Slot, index: u32, text: &[u8]) {
        self.news.push((slot, News::refused(index, text)));
    }
}
