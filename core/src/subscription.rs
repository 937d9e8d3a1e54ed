//! Messages of channels and patterns, for as many tasks as want them, over one link.

use crate::batch::flags;
use crate::client::Client;
use crate::machine::{Failure, LeaseId, Slot};
use crate::outbox::Commands;
use crate::pubsub::{KINDS, Kind, Notice};
use crate::resp::Frame;
use crate::slab::Shared;
use crate::table;
use crate::time::Instant;
use alloc::collections::{BTreeMap, VecDeque};
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
    pub gap: Option<Gap>,
}

/// Messages may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Since when and until when the link was lost, on the transport's clock: what was published in this time may be missing. Until
    /// [`Instant::NEVER`] where the server does not allow one of the names any more: nothing comes of that until it is subscribed to again.
    pub lost: Option<(Instant, Instant)>,
    /// How many messages were let go because nobody took them in time, the oldest first.
    pub dropped: u64,
}

impl Gap {
    fn join(&mut self, before: Self) {
        self.dropped += before.dropped;
        self.lost = match (before.lost, self.lost) {
            (Some((from, end)), Some((_, to))) => Some((from, end.max(to))),
            (before, own) => before.or(own),
        };
    }
}

/// The messages of the names that it was made with, from then on until it is dropped.
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
    /// Gives the next message; `None` when the driver is gone and everything was given.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Gives the next message, or has the task woken when there is one, or a gap; `None` as with [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.ears.state.lock();
        let closed = state.closed;
        let Some(inbox) = state.inboxes.get_mut(&self.id) else { return Poll::Ready(None) };
        match inbox.queue.pop_front() {
            Some(message) => Poll::Ready(Some(message)),
            None if closed => Poll::Ready(None),
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
        let mut state = self.ears.state.lock();
        let inbox = state.inboxes.get_mut(&self.id)?;
        if inbox.queue.is_empty() { inbox.gap.take() } else { None }
    }

    /// Sets how many messages may wait, one at least, 10 000 by default: beyond that the oldest are let go, and the [`Gap`] before the
    /// next one counts them.
    pub fn limit(&mut self, messages: usize) {
        if let Some(inbox) = self.ears.state.lock().inboxes.get_mut(&self.id) {
            inbox.limit = messages.max(1);
        }
    }

    /// Begins to keep messages of `names`, and asks the server for them: the answer comes to the slot given back.
    pub(crate) fn begin(
        client: Client,
        ears: Arc<Ears>,
        kind: Kind,
        names: Vec<Bytes>,
    ) -> Result<(Self, Slot), Failure> {
        let (mut id, mut slots) = (0, [Slot(0)]);
        ears.shared.submit(LeaseId::SHARED, &mut slots, |slots, commands| {
            ask(commands, slots[0], kind, true, &names);
            id = ears.state.lock().join(kind, names);
        })?;
        Ok((Self { _client: client, ears, id }, slots[0]))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(inbox) = self.ears.state.lock().inboxes.remove(&self.id) else { return };
        // a driver that is gone has closed the link
        let _ = self.ears.shared.submit(LeaseId::SHARED, &mut [], |_, commands| {
            let unheard = self.ears.state.lock().leave(self.id, inbox.kind, &inbox.names);
            if !unheard.is_empty() {
                ask(commands, NOBODY, inbox.kind, false, &unheard);
            }
        });
    }
}

/// Writes the command that begins or ends a subscription.
fn ask(commands: &mut Commands, slot: Slot, kind: Kind, begins: bool, names: &[Bytes]) {
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
    kind: Kind,
    names: Vec<Bytes>,
    queue: VecDeque<Message>,
    /// What is missing before the message that comes next.
    gap: Option<Gap>,
    waker: Option<Waker>,
    limit: usize,
}

impl Inbox {
    /// Notes what is missing; gives whom to wake.
    fn miss(&mut self, mut gap: Gap) -> Option<Waker> {
        if let Some(before) = self.gap.take() {
            gap.join(before);
        }
        self.gap = Some(gap);
        self.waker.take()
    }

    /// Takes a message; gives whom to wake.
    fn push(&mut self, mut message: Message) -> Option<Waker> {
        message.gap = self.gap.take();
        self.queue.push_back(message);
        while self.queue.len() > self.limit {
            let mut lost = Gap { lost: None, dropped: 1 };
            if let Some(before) = self.queue.pop_front().and_then(|message| message.gap) {
                lost.join(before);
            }
            if let Some(first) = self.queue.front_mut() {
                first.gap.get_or_insert_default().join(lost);
            }
        }
        self.waker.take()
    }
}

impl Ears {
    /// Hands out what the server sent unasked.
    pub(crate) fn hear(&self, told: Frame) {
        let mut state = self.state.lock();
        let mut wakers = Vec::new();
        match told {
            Frame::Array(items) => state.hear(items, &mut wakers),
            data @ Frame::Bulk(_) => {
                let channel = state.channel.clone();
                state.publish(Kind::Channel, channel.clone(), channel, None, Some(data), &mut wakers);
            }
            _ => {}
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
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
    /// Begins to keep messages of `names`; gives the number of who does.
    fn join(&mut self, kind: Kind, names: Vec<Bytes>) -> u32 {
        let id = self.next;
        self.next += 1;
        for name in &names {
            let ids = self.names.entry((kind, name.clone())).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let inbox = Inbox { kind, names, queue: VecDeque::new(), gap: None, waker: None, limit: LIMIT };
        self.inboxes.insert(id, inbox);
        id
    }

    /// Gives those of `names` that nobody listens to any more, now that `id` does not.
    fn leave(&mut self, id: u32, kind: Kind, names: &[Bytes]) -> Vec<Bytes> {
        let mut unheard = names.to_vec();
        unheard.retain(|name| {
            let key = (kind, name.clone());
            let Some(ids) = self.names.get_mut(&key) else { return false };
            ids.retain(|other| *other != id);
            ids.is_empty() && self.names.remove(&key).is_some()
        });
        unheard
    }

    fn hear(&mut self, items: Vec<Frame>, wakers: &mut Vec<Waker>) {
        let mut items = items.into_iter();
        let Some(Frame::Integer(code)) = items.next() else { return };
        match (Notice::from_code(code), [items.next(), items.next(), items.next()]) {
            (
                Some(notice @ (Notice::Message | Notice::Smessage)),
                [Some(Frame::Bulk(channel)), data, None],
            ) => {
                self.channel = channel.clone();
                self.publish(notice.kind(), channel.clone(), channel, None, data, wakers);
            }
            (Some(Notice::Pmessage), [Some(Frame::Bulk(pattern)), Some(Frame::Bulk(channel)), data]) => {
                self.publish(Kind::Pattern, pattern.clone(), channel, Some(pattern), data, wakers);
            }
            (Some(Notice::Gap), [Some(Frame::Integer(from)), Some(to), Some(Frame::Array(names))]) => {
                let to = if let Frame::Integer(to) = to { Instant(to as u64) } else { Instant::NEVER };
                let gap = Gap { lost: Some((Instant(from as u64), to)), dropped: 0 };
                for (kind, names) in KINDS.into_iter().zip(names) {
                    self.miss(kind, names, gap, wakers);
                }
            }
            _ => {}
        }
    }

    /// Messages of `names` are missing.
    fn miss(&mut self, kind: Kind, names: Frame, gap: Gap, wakers: &mut Vec<Waker>) {
        let Frame::Array(names) = names else { return };
        for name in names {
            let Frame::Bulk(name) = name else { continue };
            for id in self.names.get(&(kind, name)).into_iter().flatten() {
                if let Some(inbox) = self.inboxes.get_mut(id) {
                    wakers.extend(inbox.miss(gap));
                }
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
        wakers: &mut Vec<Waker>,
    ) {
        let (Some(Frame::Bulk(data)), Some(ids)) = (data, self.names.get(&(kind, name))) else { return };
        for id in ids {
            if let Some(inbox) = self.inboxes.get_mut(id) {
                let message = Message {
                    channel: channel.clone(),
                    pattern: pattern.clone(),
                    data: data.clone(),
                    gap: None,
                };
                wakers.extend(inbox.push(message));
            }
        }
    }
}

impl core::fmt::Debug for Ears {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ears")
    }
}
