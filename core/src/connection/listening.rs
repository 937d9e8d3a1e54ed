//! What is received without being asked for: see [`crate::pubsub`].

use super::{Connection, State};
use crate::machine::{Reason, ReplySink, Slot};
use crate::pubsub::{Notice, Outcome, Registry};
use crate::resp::{Aggregate, Event, Text, short_message, tell};
use crate::table::Effect;
use crate::time::Instant;
use alloc::vec::Vec;

/// While messages come, the server is asked this many milliseconds apart whether everything before came.
const ROUND: u32 = 1_000;

/// Who listens, and what to.
#[derive(Debug)]
pub(super) struct Listening {
    slot: Slot,
    registry: Registry,
    /// The channel of the message that was told last; empty where that was none, or a long one.
    channel: Vec<u8>,
    /// What was published before has come: the server answered something that was asked then.
    sure: Instant,
    /// When the PING was asked that has no answer yet.
    asked: Option<Instant>,
    /// When to ask again: `NEVER` unless a message came.
    round: Instant,
    /// Since when messages may be missing, until everything is subscribed to again.
    missing: Option<Instant>,
    /// What the last link was refused, and why: what was told may point there.
    forbidden: Vec<(Registry, Vec<u8>)>,
}

impl Listening {
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    /// Forgets what there is to ask.
    fn rest(&mut self) {
        (self.asked, self.round) = (None, Instant::NEVER);
    }

    pub(super) fn clear(&mut self) {
        self.registry.clear();
        self.missing = None;
        self.rest();
    }

    /// Gives when to call [`Connection::make_sure`].
    pub(super) fn round(&self) -> Instant {
        self.round
    }
}

impl Connection {
    /// Makes the connection one that listens: what its server sends unasked goes to `slot`, which nothing settles, as
    /// [`pubsub`](crate::pubsub) describes. It takes SUBSCRIBE and its like, MONITOR and PING, but no other commands. Each subscribing
    /// command settles, with `true`, when the server has confirmed all its names; mark it with
    /// [`flags::IDEMPOTENT`](crate::batch::flags::IDEMPOTENT), so that it outlives a lost link.
    ///
    /// What is subscribed to is subscribed to again on each further link before any command is sent, and the slot is told of the gap. A name
    /// that the server does not allow any more (NOPERM) is forgotten, which the slot is told too.
    pub fn listen(&mut self, slot: Slot) {
        self.session.listening = Some(Listening {
            slot,
            registry: Registry::new(),
            channel: Vec::new(),
            sure: Instant(0),
            asked: None,
            round: Instant::NEVER,
            missing: None,
            forbidden: Vec::new(),
        });
    }

    /// Takes short messages off the start of `input`: most of what there is, by a shorter way. Gives how many bytes they were.
    #[inline(never)]
    pub(super) fn messages<S: ReplySink>(&mut self, now: Instant, input: &[u8], sink: &mut S) -> usize {
        let push = if self.is_flat() { b'*' } else { b'>' };
        let (State::Ready, Some(listening)) = (&self.link.state, &mut self.session.listening) else {
            return 0;
        };
        let mut used = 0;
        while let Some((channel, data, length)) =
            short_message(input.get(used..).unwrap_or_default(), push, self.config.limits.whole)
        {
            sink.begin(listening.slot);
            let again = listening.channel == channel && !channel.is_empty();
            if !again {
                listening.channel.clear();
                listening.channel.extend_from_slice(channel);
                tell(sink, Event::Open(Aggregate::Array, Some(3)));
                tell(sink, Event::Integer(Notice::Message as i64));
                tell(sink, Event::Text(Text::Bulk, channel));
            }
            sink.event(Event::Text(Text::Bulk, data));
            if !again {
                tell(sink, Event::Close { streamed: false });
            }
            sink.end();
            used += length;
        }
        if used > 0 {
            listening.round = listening.round.min(now.limit(ROUND));
        }
        used
    }

    /// Tells whether what begins with `first` is not the reply to a command, though it is no push.
    #[inline]
    pub(super) fn is_unasked(&self, first: u8) -> bool {
        self.session.listening.is_some() && self.may_be_unasked(first)
    }

    #[inline(never)]
    fn may_be_unasked(&self, first: u8) -> bool {
        match &self.link.state {
            State::Shaking(handshake) if !handshake.is_resuming() => false,
            _ => first == b'*' && self.is_flat() || first == b'+' && self.link.monitoring,
        }
    }

    /// Begins to subscribe again to what was subscribed to; tells whether there is anything.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        let Some(listening) = &mut self.session.listening else { return false };
        listening.sure = now;
        listening.forbidden.clear();
        match &mut self.link.state {
            State::Shaking(handshake) if !listening.registry.is_empty() => {
                handshake.resume(&listening.registry);
                true
            }
            _ => false,
        }
    }

    /// Asks the server for a sign of life.
    pub(super) fn ask(&mut self, now: Instant) {
        if let Some(listening) = &mut self.session.listening {
            if listening.asked.is_some() {
                return;
            }
            // the first answer to redwire's own must be this one's
            listening.asked = self.queue.is_empty().then_some(now);
        }
        self.queue.ask(b"*1\r\n$4\r\nPING\r\n");
    }

    /// Asks, when it is time, so that less is in doubt should the link be lost.
    pub(super) fn make_sure(&mut self, now: Instant) {
        if let Some(listening) = &mut self.session.listening
            && listening.round <= now
        {
            listening.round = Instant::NEVER;
            self.ask(now);
        }
    }

    /// Tells whether messages are missed while there is no link.
    pub(super) fn is_subscribed(&self) -> bool {
        self.session.listening.as_ref().is_some_and(|listening| !listening.registry.is_empty())
    }

    /// The link is lost: whatever may not have come is missed.
    pub(super) fn miss(&mut self) {
        let Some(listening) = &mut self.session.listening else { return };
        listening.rest();
        if !listening.registry.is_empty() {
            listening.missing.get_or_insert(listening.sure);
        }
    }

    /// The first command in the queue has its reply.
    pub(super) fn answer(&mut self) {
        let own = self.session.listening.is_some() && self.queue.is_own();
        if let (Some(listening), Some(entry)) = (&mut self.session.listening, self.queue.current()) {
            self.link.confirmed = 0;
            self.link.monitoring |= entry.row.effect() == Effect::Monitor;
            if let Some(asked) = listening.asked.take_if(|_| own) {
                listening.sure = asked;
            }
        }
        self.queue.answer();
    }

    /// Takes the end of what the server sent unasked.
    #[inline(never)]
    pub(super) fn noticed<S: ReplySink>(&mut self, now: Instant, sink: &mut S) -> Result<(), Reason> {
        match self.link.reading.end(sink) {
            Outcome::Told(notice) => {
                if let Some(listening) = &mut self.session.listening {
                    listening.channel.clear();
                }
                if let Some(subscribed) = notice.confirms() {
                    self.confirmed(now, notice, subscribed, sink);
                } else if let Some(listening) = &mut self.session.listening {
                    listening.round = listening.round.min(now.limit(ROUND));
                }
            }
            // pushes of other kinds are nobody's business
            Outcome::Unknown if !self.is_flat() => {}
            Outcome::Reply
                if self.queue.current().is_some_and(|entry| Notice::confirming(entry.row).is_none()) =>
            {
                self.answer();
            }
            Outcome::Reply | Outcome::Unknown => return Err(Reason::Unsolicited),
        }
        Ok(())
    }

    /// A name may not be subscribed to again: it is not any more.
    #[cold]
    pub(super) fn forbidden<S: ReplySink>(&mut self, now: Instant, error: Vec<u8>, sink: &mut S) {
        if let (Some(listening), State::Shaking(handshake)) = (&mut self.session.listening, &self.link.state)
            && let Some(gone) = listening.registry.split(handshake.resumed())
        {
            let from = listening.missing.unwrap_or(listening.sure);
            let (gone, error) = listening.forbidden.push_mut((gone, error));
            gone.tell_gap(listening.slot, from, Event::Text(Text::Error, error), sink);
        }
        self.resumed(now, sink);
    }

    /// One more name was answered that is subscribed to again: after the last, the link is ready.
    fn resumed<S: ReplySink>(&mut self, now: Instant, sink: &mut S) {
        let (Some(listening), State::Shaking(handshake)) = (&mut self.session.listening, &self.link.state)
        else {
            return;
        };
        if !handshake.is_done() {
            return;
        }
        if let Some(from) = listening.missing.take()
            && !listening.registry.is_empty()
        {
            listening.registry.tell_gap(listening.slot, from, Event::Integer(now.0 as i64), sink);
        }
        self.ready(now);
    }

    /// The server has confirmed a name.
    fn confirmed<S: ReplySink>(&mut self, now: Instant, notice: Notice, subscribed: bool, sink: &mut S) {
        if let State::Shaking(handshake) = &mut self.link.state {
            if subscribed && handshake.is_resuming() {
                handshake.confirm();
                self.resumed(now, sink);
            }
            return;
        }
        let Some(listening) = &mut self.session.listening else { return };
        let asked = self.queue.current().filter(|entry| Notice::confirming(entry.row) == Some(notice));
        let kind = notice.kind();
        if let Some(name) = self.link.reading.name().filter(|_| !subscribed || asked.is_some()) {
            listening.registry.note(kind, name, subscribed);
        }
        let Some(entry) = asked else { return };
        self.link.confirmed += 1;
        // without names, every one is meant
        let complete = match entry.args {
            0 => listening.registry.names(kind).is_empty(),
            names => self.link.confirmed >= names,
        };
        if complete {
            if entry.live {
                sink.begin(entry.slot);
                tell(sink, Event::Boolean(true));
                sink.end();
            }
            self.answer();
        }
    }
}
