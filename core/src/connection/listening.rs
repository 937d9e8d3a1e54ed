//! What is received without being asked for: see [`crate::pubsub`].

use super::{Connection, State};
use crate::machine::{Reason, ReplySink, Slot};
use crate::pubsub::{Notice, Outcome, Registry};
use crate::resp::{Event, tell};
use crate::table::Effect;
use crate::time::Instant;

/// Who listens, and what to.
#[derive(Debug)]
pub(super) struct Listening {
    slot: Slot,
    registry: Registry,
    /// When bytes came last.
    heard: Instant,
    /// Since when messages may be missing, until everything is subscribed to again.
    missing: Option<Instant>,
}

impl Listening {
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    #[inline]
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn clear(&mut self) {
        self.registry.clear();
        self.missing = None;
    }
}

impl Connection {
    /// Makes the connection one that listens: what its server sends unasked goes to `slot`, which nothing settles, as
    /// [`pubsub`](crate::pubsub) describes. It takes SUBSCRIBE and its like, MONITOR and PING, but no other commands. Each subscribing
    /// command settles, with `true`, when the server has confirmed all its names; mark it with
    /// [`flags::IDEMPOTENT`](crate::batch::flags::IDEMPOTENT), so that it outlives a lost link.
    ///
    /// What is subscribed to is subscribed to again on each further link before any command is sent, and the slot is told of the gap.
    pub fn listen(&mut self, slot: Slot) {
        self.session.listening =
            Some(Listening { slot, registry: Registry::new(), heard: Instant(0), missing: None });
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
    pub(super) fn resume(&mut self) -> bool {
        match (&self.session.listening, &mut self.link.state) {
            (Some(listening), State::Shaking(handshake)) if !listening.registry.is_empty() => {
                handshake.resume(&listening.registry);
                true
            }
            _ => false,
        }
    }

    /// Tells whether messages are missed while there is no link.
    pub(super) fn is_subscribed(&self) -> bool {
        self.session.listening.as_ref().is_some_and(|listening| !listening.registry.is_empty())
    }

    /// The link is lost: whatever is published from now on is missed.
    pub(super) fn miss(&mut self) {
        if let Some(listening) = &mut self.session.listening
            && !listening.registry.is_empty()
        {
            listening.missing.get_or_insert(listening.heard);
        }
    }

    /// The first command in the queue has its reply.
    pub(super) fn answer(&mut self) {
        if self.session.listening.is_some() {
            self.link.confirmed = 0;
            let is_monitor = |effect| effect == Effect::Monitor;
            self.link.monitoring |= self.queue.current().is_some_and(|entry| is_monitor(entry.row.effect()));
        }
        self.queue.answer();
    }

    /// Takes the end of what the server sent unasked.
    #[inline(never)]
    pub(super) fn noticed<S: ReplySink>(&mut self, now: Instant, sink: &mut S) -> Result<(), Reason> {
        match self.link.reading.end(sink) {
            Outcome::Told(notice) => {
                if let Some(subscribed) = notice.confirms() {
                    self.confirmed(now, notice, subscribed, sink);
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

    /// The server has confirmed a name.
    fn confirmed<S: ReplySink>(&mut self, now: Instant, notice: Notice, subscribed: bool, sink: &mut S) {
        let Some(listening) = &mut self.session.listening else { return };
        if let State::Shaking(handshake) = &mut self.link.state {
            if subscribed && handshake.is_resuming() && handshake.confirm() {
                if let Some(from) = listening.missing.take() {
                    listening.registry.tell_gap(listening.slot, from, now, sink);
                }
                self.ready(now);
            }
            return;
        }
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
