//! Messages of channels and patterns, for as many tasks as want them, over one link.

use crate::batch::flags;
use crate::client::{Client, Pending};
use crate::error::Error;
use crate::machine::{Failure, LeaseId, Reason, Slot};
use crate::outbox::Commands;
use crate::pubsub::{KINDS, Kind, LONGEST_NAME, Notice, Registry};
use crate::resp::Frame;
use crate::slab::Shared;
use crate::table;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use spin::Mutex;

/// The slot of what is sent unasked.
pub(crate) const EAR: Slot = Slot(u32::MAX - 1);
/// The slot of commands whose outcome nobody waits for.
const NOBODY: Slot = Slot(u32::MAX - 2);
/// How many messages wait by default.
const LIMIT: usize = 10_000;
/// Bytes that may wait.
const LARGEST: usize = 64 << 20;

/// What somebody published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The channel.
    pub channel: Bytes,
    /// The pattern that matched, where that was subscribed to.
    pub pattern: Option<Bytes>,
    /// What was published.
    pub data: Bytes,
    /// What may be missing before this message; while names are subscribed to again one by one, some messages come before the gap is told.
    /// Most messages have none.
    pub gap: Option<Box<Gap>>,
}

/// Messages of some names may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Channels of which they may be, shard channels among them; not those that the subscription had left when the link was there again.
    pub channels: BTreeSet<Bytes>,
    /// Patterns, likewise.
    pub patterns: BTreeSet<Bytes>,
    /// Since when and until when the link was lost, on the transport's clock: what was published in this time may be missing. Until
    /// [`Instant::NEVER`] where the server does not allow one of the names any more: nothing comes of that until it is subscribed to again.
    pub lost: Option<(Instant, Instant)>,
    /// How many messages were let go because nobody took them in time.
    pub dropped: u64,
}

/// What becomes of messages that nobody takes in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest are let go.
    #[default]
    DropOldest,
    /// The new ones are.
    DropNewest,
    /// The subscription is closed: [`Subscription::take_gap`] counts what came too late, once everything before was given.
    Close,
}

/// What a [`Subscription`] is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What somebody published.
    Message(Message),
    /// The server has confirmed a name: when it was asked for, by whomever of this client, and again after a lost link.
    Subscribed(Kind, Bytes),
    /// A name that this subscription left is not listened to any more.
    Unsubscribed(Kind, Bytes),
}

impl Event {
    /// Gives how many bytes it has, those of names included.
    fn size(&self) -> usize {
        match self {
            Self::Message(Message { channel, pattern, data, .. }) => {
                channel.len() + pattern.as_ref().map_or(0, Bytes::len) + data.len()
            }
            Self::Subscribed(_, name) | Self::Unsubscribed(_, name) => name.len(),
        }
    }
}

impl Gap {
    /// Adds a name whose messages may be missing.
    fn add(&mut self, kind: Kind, name: Bytes) {
        let names = if kind == Kind::Pattern { &mut self.patterns } else { &mut self.channels };
        names.insert(name);
    }

    /// Adds a time in which they may be.
    fn span(&mut self, (from, to): (Instant, Instant)) {
        let (first, last) = self.lost.unwrap_or((from, to));
        self.lost = Some((first.min(from), last.max(to)));
    }

    /// Adds a message that is let go.
    fn let_go(&mut self, message: &Message) {
        self.dropped += 1;
        match &message.pattern {
            Some(pattern) => self.add(Kind::Pattern, pattern.clone()),
            None => self.add(Kind::Channel, message.channel.clone()),
        }
    }

    /// Adds what is missing before or behind it.
    fn join(&mut self, mut other: Self) {
        self.channels.append(&mut other.channels);
        self.patterns.append(&mut other.patterns);
        other.lost.into_iter().for_each(|lost| self.span(lost));
        self.dropped += other.dropped;
    }
}

/// The messages of some names, until it is closed or dropped.
///
/// All subscriptions of a client share a link of their own, on which each name is subscribed to once; it counts among
/// [`max_connections`](crate::pool::Limits::max_connections), and is closed when the last of them is dropped. When that link is lost, it is
/// opened again and everything is subscribed to again; the next message tells of the [`Gap`], unless that is taken before:
///
/// ```
/// use core::{future::poll_fn, task::Poll};
/// use redwire_core::subscription::{Gap, Message, Subscription};
///
/// /// Gives what comes next, be it that messages are missing.
/// async fn next(subscription: &mut Subscription) -> Result<Option<Message>, Gap> {
///     poll_fn(|cx| match subscription.poll_next(cx) {
///         Poll::Ready(message) => Poll::Ready(Ok(message)),
///         Poll::Pending => subscription.take_gap().map_or(Poll::Pending, |gap| Poll::Ready(Err(gap))),
///     })
///     .await
/// }
/// ```
#[derive(Debug)]
pub struct Subscription {
    /// Keeps the driver going.
    _client: Client,
    ears: Arc<Ears>,
    id: u32,
}

impl Subscription {
    pub(crate) fn new(client: Client, ears: Arc<Ears>) -> Self {
        let id = ears.state.lock().open();
        Self { _client: client, ears, id }
    }

    /// Gives the next message; `None` when the subscription is over, or the driver gone, and everything was given.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Gives the next message, or has the task woken when there is one, or a gap; `None` as with [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match self.poll_event(cx) {
                Poll::Ready(Some(Event::Message(message))) => return Poll::Ready(Some(message)),
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Gives the next message or, where [they are wanted](Self::confirmations), confirmation; `None` as with [`next`](Self::next).
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub async fn next_event(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Gives the next message or confirmation, or has the task woken when there is one, or a gap; `None` as with [`next`](Self::next).
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.ears.state.lock();
        let closed = state.closed;
        let Some(inbox) = state.inboxes.get_mut(&self.id) else { return Poll::Ready(None) };
        match inbox.take() {
            Some(event) => Poll::Ready(Some(event)),
            None if closed || inbox.over => Poll::Ready(None),
            None => {
                let old = inbox.waker.replace(cx.waker().clone());
                drop(state);
                drop(old);
                Poll::Pending
            }
        }
    }

    /// Gives what is missing before a message that is yet to come, which then does not tell it.
    pub fn take_gap(&mut self) -> Option<Gap> {
        let gap = self.with_inbox(|inbox| if inbox.queue.is_empty() { inbox.gap.take() } else { None });
        gap.flatten().map(|gap| *gap)
    }

    /// Sets how many messages may wait, one at least, 10 000 by default, and no more than 64 MiB of them and their names either way: what becomes of those
    /// beyond says [`overflow`](Self::overflow). The [`Gap`] before the next one counts what was let go.
    pub fn limit(&mut self, messages: usize) {
        self.with_inbox(|inbox| inbox.limit = messages.max(1));
    }

    /// Sets what becomes of messages that nobody takes in time; at first the oldest are let go.
    pub fn overflow(&mut self, overflow: Overflow) {
        self.with_inbox(|inbox| inbox.overflow = overflow);
    }

    /// Sets whether confirmations are told from now on, at first not. They are not told while as many messages wait as may.
    pub fn confirmations(&mut self, told: bool) {
        self.with_inbox(|inbox| inbox.confirmations = told);
    }

    /// Gives the names of the channels that it listens to, shard channels among them.
    pub fn channels(&self) -> Vec<Bytes> {
        [Kind::Channel, Kind::Shard].into_iter().flat_map(|kind| self.names(kind)).collect()
    }

    /// Gives the patterns that it listens to.
    pub fn patterns(&self) -> Vec<Bytes> {
        self.names(Kind::Pattern)
    }

    /// Listens to the channels `names` too, from when the server has confirmed them all.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when a name is longer than [`LONGEST_NAME`], and whatever a command may fail with: it listens then to what it
    /// did before.
    ///
    /// # Cancellation
    /// Dropping the future is likewise.
    pub async fn subscribe(&mut self, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.join(Kind::Channel, names).await
    }

    /// Likewise, to the channels whose names match the glob `patterns`.
    ///
    /// # Errors
    /// See [`subscribe`](Self::subscribe).
    pub async fn psubscribe(&mut self, patterns: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.join(Kind::Pattern, patterns).await
    }

    /// Likewise, to shard channels.
    ///
    /// # Errors
    /// See [`subscribe`](Self::subscribe).
    pub async fn ssubscribe(&mut self, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.join(Kind::Shard, names).await
    }

    /// Listens to the channels `names` no more, or to none at all where there are no names. It returns when the server has confirmed those
    /// that nobody else listens to.
    ///
    /// # Errors
    /// Whatever a command may fail with. Nothing comes of these names any more either way.
    ///
    /// # Cancellation
    /// What was begun goes on when the future is dropped.
    pub async fn unsubscribe(&mut self, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.leave(Kind::Channel, names).await
    }

    /// Likewise, to patterns.
    ///
    /// # Errors
    /// See [`unsubscribe`](Self::unsubscribe).
    pub async fn punsubscribe(&mut self, patterns: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.leave(Kind::Pattern, patterns).await
    }

    /// Likewise, to shard channels.
    ///
    /// # Errors
    /// See [`unsubscribe`](Self::unsubscribe).
    pub async fn sunsubscribe(&mut self, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        self.leave(Kind::Shard, names).await
    }

    /// Ends it as dropping it does, and returns when the server has confirmed that.
    ///
    /// # Errors
    /// Whatever a command may fail with. It is over either way.
    pub async fn close(mut self) -> Result<(), Error> {
        for kind in KINDS {
            self.leave(kind, &[&[]; 0]).await?;
        }
        Ok(())
    }

    fn with_inbox<T>(&self, task: impl FnOnce(&mut Inbox) -> T) -> Option<T> {
        self.ears.state.lock().inboxes.get_mut(&self.id).map(task)
    }

    fn names(&self, kind: Kind) -> Vec<Bytes> {
        self.with_inbox(|inbox| copies(inbox.names.names(kind))).unwrap_or_default()
    }

    /// Begins to keep messages of `names`, and waits for the server to confirm them.
    pub(crate) async fn join(&mut self, kind: Kind, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        if names.iter().any(|name| name.as_ref().len() > LONGEST_NAME) {
            return Err(Error::TooLarge);
        }
        if self.with_inbox(|inbox| inbox.over) == Some(true) {
            return Err(Failure { reason: Reason::Closed, maybe_executed: false }.into());
        }
        let names = copies(names);
        // until it is confirmed, what was begun ends with this
        let mut joining = Joining { ears: &self.ears, id: self.id, kind, names: Vec::new() };
        let mut slots = [Slot(0)];
        self.ears.shared.submit(LeaseId::SHARED, &mut slots, |slots, commands| {
            ask(commands, slots[0], kind, true, &names);
            joining.names = self.ears.state.lock().join(self.id, kind, &names);
        })?;
        self.settled(slots).await?;
        joining.names.clear();
        Ok(())
    }

    async fn leave(&mut self, kind: Kind, names: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        let names = if names.is_empty() { self.names(kind) } else { copies(names) };
        // until that is confirmed, it is asked for again with this
        let mut leaving = Leaving { ears: &self.ears, kind, unheard: Vec::new() };
        let (mut left, mut slots) = (Vec::new(), [Slot(0)]);
        self.ears.shared.submit(LeaseId::SHARED, &mut slots, |slots, commands| {
            (left, leaving.unheard) = self.ears.state.lock().leave(self.id, kind, &names);
            ask(commands, slots[0], kind, false, &leaving.unheard);
        })?;
        let settled = self.settled(slots);
        if !leaving.unheard.is_empty() {
            settled.await?;
            leaving.unheard.clear();
        }
        let wakers: Option<Vec<_>> = self.with_inbox(|inbox| {
            let events = left.into_iter().map(|name| Event::Unsubscribed(kind, name));
            events.filter_map(|event| inbox.confirm(event)).collect()
        });
        wakers.into_iter().flatten().for_each(Waker::wake);
        Ok(())
    }

    /// Waits for the reply to what was asked for; gives it up when it is dropped, be it before it was polled.
    fn settled(&self, slots: [Slot; 1]) -> impl Future<Output = Result<(), Error>> + use<> {
        let pending = Pending { shared: self.ears.shared.clone(), slots: slots.into() };
        async { pending.outcomes().await.into_iter().try_for_each(|outcome| outcome.map(drop)) }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(inbox) = self.ears.state.lock().inboxes.remove(&self.id) else { return };
        for kind in KINDS {
            self.ears.leave(self.id, kind, &copies(inbox.names.names(kind)));
        }
    }
}

/// Names that somebody joins, and leaves again unless that is confirmed.
struct Joining<'a> {
    ears: &'a Ears,
    id: u32,
    kind: Kind,
    names: Vec<Bytes>,
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        self.ears.leave(self.id, self.kind, &self.names);
    }
}

/// Names that nobody listens to any more, and that the server has to confirm.
struct Leaving<'a> {
    ears: &'a Ears,
    kind: Kind,
    unheard: Vec<Bytes>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.ears.end(self.kind, core::mem::take(&mut self.unheard));
    }
}

fn copies(names: &[impl AsRef<[u8]>]) -> Vec<Bytes> {
    names.iter().map(|name| Bytes::copy_from_slice(name.as_ref())).collect()
}

/// Writes the command that begins a subscription, or ends it where there is something to end.
fn ask(commands: &mut Commands, slot: Slot, kind: Kind, begins: bool, names: &[Bytes]) {
    if !begins && names.is_empty() {
        return;
    }
    let row = table::find(match (kind, begins) {
        (Kind::Channel, true) => b"SUBSCRIBE",
        (Kind::Pattern, true) => b"PSUBSCRIBE",
        (Kind::Shard, true) => b"SSUBSCRIBE",
        (Kind::Channel, false) => b"UNSUBSCRIBE",
        (Kind::Pattern, false) => b"PUNSUBSCRIBE",
        (Kind::Shard, false) => b"SUNSUBSCRIBE",
    });
    commands.batch.push(slot, row, flags::IDEMPOTENT, None, names.iter().map(|name| &**name));
}

/// Who listens to what, on the link that is there for it.
#[derive(Default)]
pub(crate) struct Ears {
    /// What is sent on the link.
    pub(crate) shared: Arc<Shared>,
    /// Names are joined and left within `shared`: the server is asked in the order in which that happens.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inboxes: BTreeMap<u32, Inbox>,
    names: BTreeMap<(Kind, Bytes), Vec<u32>>,
    /// That of the message before.
    channel: Bytes,
    next: u32,
    closed: bool,
}

/// What waits for one subscription.
struct Inbox {
    /// What it listens to.
    names: Registry,
    queue: VecDeque<Event>,
    /// Bytes in the queue.
    size: usize,
    /// What is missing before the message that comes next.
    gap: Option<Box<Gap>>,
    waker: Option<Waker>,
    limit: usize,
    overflow: Overflow,
    /// Whether confirmations are wanted.
    confirmations: bool,
    /// It was closed since nobody took its messages.
    over: bool,
}

impl Inbox {
    const fn new() -> Self {
        Self {
            names: Registry::new(),
            queue: VecDeque::new(),
            size: 0,
            gap: None,
            waker: None,
            limit: LIMIT,
            overflow: Overflow::DropOldest,
            confirmations: false,
            over: false,
        }
    }

    /// Notes that messages of a name are missing; gives whom to wake.
    fn miss(&mut self, kind: Kind, name: Bytes, lost: (Instant, Instant)) -> Option<Waker> {
        let gap = self.gap.get_or_insert_default();
        gap.add(kind, name);
        gap.span(lost);
        self.waker.take()
    }

    fn is_full(&self) -> bool {
        self.queue.len() >= self.limit || self.size >= LARGEST
    }

    /// Gives what comes next.
    fn take(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        self.size -= event.size();
        Some(event)
    }

    /// Takes a confirmation; gives whom to wake.
    fn confirm(&mut self, event: Event) -> Option<Waker> {
        if !self.confirmations || self.is_full() {
            return None;
        }
        self.keep(event)
    }

    fn keep(&mut self, event: Event) -> Option<Waker> {
        self.size += event.size();
        self.queue.push_back(event);
        self.waker.take()
    }

    /// Takes a message; gives whom to wake.
    fn push(&mut self, mut message: Message) -> Option<Waker> {
        while self.is_full() {
            if self.overflow != Overflow::DropOldest {
                self.over = self.overflow == Overflow::Close;
                self.gap.get_or_insert_default().let_go(&message);
                return self.waker.take();
            }
            let Some(Event::Message(mut oldest)) = self.take() else { continue };
            let mut lost = oldest.gap.take().unwrap_or_default();
            lost.let_go(&oldest);
            let next = self.queue.iter_mut().find_map(|event| match event {
                Event::Message(next) => Some(&mut next.gap),
                _ => None,
            });
            match next.unwrap_or(&mut self.gap) {
                Some(next) => next.join(*lost),
                none => *none = Some(lost),
            }
        }
        message.gap = self.gap.take();
        self.keep(Event::Message(message))
    }
}

/// What is to be done once nothing is locked any more.
#[derive(Default)]
struct Errands {
    wakers: Vec<Waker>,
    /// Names that the server has and that nobody listens to.
    unheard: Vec<(Kind, Bytes)>,
}

impl Ears {
    /// Hands out what the server sent unasked.
    pub(crate) fn hear(&self, told: Frame) {
        let mut state = self.state.lock();
        let mut errands = Errands::default();
        match told {
            Frame::Array(items) => state.hear(items, &mut errands),
            data @ Frame::Bulk(_) => {
                let channel = state.channel.clone();
                state.publish(Kind::Channel, channel.clone(), channel, None, Some(data), &mut errands);
            }
            _ => {}
        }
        drop(state);
        errands.wakers.into_iter().for_each(Waker::wake);
        if !errands.unheard.is_empty() {
            for kind in KINDS {
                let own = errands.unheard.iter().filter(|(of, _)| *of == kind);
                self.end(kind, own.map(|(_, name)| name.clone()).collect());
            }
        }
    }

    /// Ends what `id` has begun.
    fn leave(&self, id: u32, kind: Kind, names: &[Bytes]) {
        // a driver that is gone has closed the link
        let _ = self.shared.submit(LeaseId::SHARED, &mut [], |_, commands| {
            let (_, unheard) = self.state.lock().leave(id, kind, names);
            ask(commands, NOBODY, kind, false, &unheard);
        });
    }

    /// Has the server end those of `names` that nobody listens to.
    fn end(&self, kind: Kind, mut names: Vec<Bytes>) {
        let _ = self.shared.submit(LeaseId::SHARED, &mut [], |_, commands| {
            let state = self.state.lock();
            names.retain(|name| !state.names.contains_key(&(kind, name.clone())));
            ask(commands, NOBODY, kind, false, &names);
        });
    }

    /// Tells whether nobody listens to anything.
    pub(crate) fn is_deserted(&self) -> bool {
        self.state.lock().names.is_empty()
    }

    /// Nothing comes any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let wakers: Vec<_> = state.inboxes.values_mut().filter_map(|inbox| inbox.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Begins a subscription to nothing yet; gives its number.
    fn open(&mut self) -> u32 {
        let id = self.next;
        self.next += 1;
        self.inboxes.insert(id, Inbox::new());
        id
    }

    /// Has `id` keep messages of `names`; gives those of which it did not before.
    fn join(&mut self, id: u32, kind: Kind, names: &[Bytes]) -> Vec<Bytes> {
        let Some(inbox) = self.inboxes.get_mut(&id) else { return Vec::new() };
        let mut joined = Vec::new();
        for name in names {
            let ids = self.names.entry((kind, name.clone())).or_default();
            if !ids.contains(&id) {
                ids.push(id);
                inbox.names.note(kind, name, true);
                joined.push(name.clone());
            }
        }
        joined
    }

    /// Has `id` keep nothing more of `names`; gives those of which it did, and of these those that nobody listens to any more.
    fn leave(&mut self, id: u32, kind: Kind, names: &[Bytes]) -> (Vec<Bytes>, Vec<Bytes>) {
        let (mut left, mut unheard) = (Vec::new(), Vec::new());
        for name in names {
            let key = (kind, name.clone());
            let Some(ids) = self.names.get_mut(&key) else { continue };
            let Some(at) = ids.iter().position(|other| *other == id) else { continue };
            ids.remove(at);
            left.push(name.clone());
            if ids.is_empty() {
                self.names.remove(&key);
                unheard.push(name.clone());
            }
            if let Some(inbox) = self.inboxes.get_mut(&id) {
                inbox.names.note(kind, name, false);
            }
        }
        (left, unheard)
    }

    fn hear(&mut self, items: Vec<Frame>, errands: &mut Errands) {
        let mut items = items.into_iter();
        let Some(Frame::Integer(code)) = items.next() else { return };
        match (Notice::from_code(code), [items.next(), items.next(), items.next()]) {
            (
                Some(notice @ (Notice::Message | Notice::Smessage)),
                [Some(Frame::Bulk(channel)), data, None],
            ) => {
                self.channel = channel.clone();
                self.publish(notice.kind(), channel.clone(), channel, None, data, errands);
            }
            (Some(Notice::Pmessage), [Some(Frame::Bulk(pattern)), Some(Frame::Bulk(channel)), data]) => {
                self.publish(Kind::Pattern, pattern.clone(), channel, Some(pattern), data, errands);
            }
            (Some(Notice::Gap), [Some(Frame::Integer(from)), Some(to), Some(Frame::Array(names))]) => {
                let to = if let Frame::Integer(to) = to { Instant(to as u64) } else { Instant::NEVER };
                for (kind, names) in KINDS.into_iter().zip(names) {
                    self.miss(kind, names, (Instant(from as u64), to), errands);
                }
            }
            (Some(notice), [Some(Frame::Bulk(name)), ..]) if notice.confirms() == Some(true) => {
                let kind = notice.kind();
                for id in self.names.get(&(kind, name.clone())).into_iter().flatten() {
                    if let Some(inbox) = self.inboxes.get_mut(id) {
                        errands.wakers.extend(inbox.confirm(Event::Subscribed(kind, name.clone())));
                    }
                }
            }
            _ => {}
        }
    }

    /// Messages of `names` are missing, for ever where they are not allowed any more.
    fn miss(&mut self, kind: Kind, names: Frame, lost: (Instant, Instant), errands: &mut Errands) {
        let Frame::Array(names) = names else { return };
        let over = lost.1 == Instant::NEVER;
        for name in names {
            let Frame::Bulk(name) = name else { continue };
            let key = (kind, name);
            let Some(ids) = self.names.get(&key) else {
                // what was to end it was given up
                errands.unheard.push(key);
                continue;
            };
            for id in ids {
                if let Some(inbox) = self.inboxes.get_mut(id) {
                    errands.wakers.extend(inbox.miss(kind, key.1.clone(), lost));
                    if over {
                        inbox.names.note(kind, &key.1, false);
                    }
                }
            }
            if over {
                self.names.remove(&key);
            }
        }
    }

    fn publish(
        &mut self,
        kind: Kind,
        name: Bytes,
        channel: Bytes,
        pattern: Option<Bytes>,
        data: Option<Frame>,
        errands: &mut Errands,
    ) {
        let (Some(Frame::Bulk(data)), Some(ids)) = (data, self.names.get(&(kind, name))) else { return };
        let mut over = Vec::new();
        for id in ids {
            if let Some(inbox) = self.inboxes.get_mut(id) {
                let message = Message {
                    channel: channel.clone(),
                    pattern: pattern.clone(),
                    data: data.clone(),
                    gap: None,
                };
                errands.wakers.extend(inbox.push(message));
                if inbox.over {
                    over.push((*id, core::mem::replace(&mut inbox.names, Registry::new())));
                }
            }
        }
        for (id, names) in over {
            for kind in KINDS {
                let (_, unheard) = self.leave(id, kind, &copies(names.names(kind)));
                errands.unheard.extend(unheard.into_iter().map(|name| (kind, name)));
            }
        }
    }
}

impl core::fmt::Debug for Ears {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ears")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: &Bytes) -> Message {
        Message { channel: Bytes::new(), pattern: None, data: data.clone(), gap: None }
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_gaps_stand_where_something_is_missing() {
        let large = Bytes::from(alloc::vec![0; 16 << 20]);
        let mut inbox = Inbox::new();
        inbox.confirmations = true;
        let lost = (Instant(1), Instant(2));
        inbox.miss(Kind::Pattern, Bytes::from_static(b"p*"), lost);
        inbox.miss(Kind::Shard, Bytes::from_static(b"s"), lost);
        inbox.push(message(&large));
        inbox.confirm(Event::Subscribed(Kind::Channel, Bytes::new()));
        for _ in 0..5 {
            inbox.push(message(&large));
        }
        assert_eq!(
            (inbox.queue.len(), inbox.size),
            (4, LARGEST),
            "the confirmation was between two that went"
        );
        let set = |names: &[&'static str]| names.iter().map(|name| Bytes::from(*name)).collect();
        let gap = Gap { channels: set(&["", "s"]), patterns: set(&["p*"]), lost: Some(lost), dropped: 2 };
        let first = Message { gap: Some(Box::new(gap)), ..message(&large) };
        assert_eq!(inbox.take(), Some(Event::Message(first)));
        inbox.push(message(&Bytes::from(alloc::vec![0; LARGEST])));
        inbox.push(message(&Bytes::from_static(b"x")));
        assert_eq!((inbox.queue.len(), inbox.size), (1, 1), "the largest waits for no other");
        let gap = Some(Box::new(Gap { channels: set(&[""]), dropped: 4, ..Gap::default() }));
        let last = Message { gap, ..message(&Bytes::from_static(b"x")) };
        assert_eq!(inbox.take(), Some(Event::Message(last)));
        assert_eq!((inbox.take(), inbox.size, inbox.gap.take()), (None, 0, None));
        // names count
        let name = Bytes::from(alloc::vec![0; 8 << 20]);
        let named = Message { channel: name.clone(), pattern: Some(name.clone()), ..message(&Bytes::new()) };
        for _ in 0..10 {
            inbox.push(named.clone());
        }
        inbox.confirm(Event::Subscribed(Kind::Channel, name));
        assert_eq!((inbox.queue.len(), inbox.size), (4, LARGEST));
        core::iter::from_fn(|| inbox.take()).for_each(drop);
        assert_eq!(inbox.size, 0);
    }
}
