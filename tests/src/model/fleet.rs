//! A pool and a server, joined by as many links as the pool asks for.

use super::{Caller, Outcome, Server, Session, Words, requests};
use redwire_core::batch::{Batch, BatchBuffer};
use redwire_core::connection::{Config, Stage};
use redwire_core::machine::{Action, LeaseId, LinkId, Machine, Reason, Segment, Slot};
use redwire_core::operation::Conversations;
use redwire_core::pool::{Limits, Pool};
use redwire_core::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// How often a clock may ring without time passing: a lock whose try failed makes the next at once when it has no more time.
const PATIENCE: u32 = 20;

/// Both ends and what is between them.
pub struct Fleet {
    /// The client's end.
    pub pool: Conversations<Pool>,
    /// The server's end.
    pub server: Server,
    /// The time.
    pub now: Instant,
    /// What came of each slot.
    pub outcomes: BTreeMap<u32, Vec<Outcome>>,
    /// The slots that were submitted, in order.
    pub submitted: Vec<u32>,
    /// Arguments that stay with the caller, by slot.
    pub externals: BTreeMap<u32, Vec<Vec<u8>>>,
    /// What the caller does as soon as something came of something, while the pool has more to say: one thing each time.
    pub reactions: VecDeque<Reaction>,
    /// Links that are open or asked for, in order.
    pub wires: Vec<Wire>,
    /// Links that are over, as the server saw them.
    pub over: Vec<(LinkId, Session)>,
    /// Every link that ended, and why.
    pub closed: Vec<(LinkId, Reason)>,
    /// How often the pool came to rest.
    pub rests: u32,
}

/// A link that is not over.
pub struct Wire {
    /// Its number.
    pub link: LinkId,
    /// The server's end, once it is open.
    pub session: Option<Session>,
    /// Nothing gets through in either direction, and nobody is told.
    pub mute: bool,
    caller: Caller,
    written: VecDeque<u8>,
    /// How much of the external argument at hand was written.
    external: usize,
    replies: VecDeque<u8>,
    unread: Vec<u8>,
}

/// What a caller does when it hears of something.
pub enum Reaction {
    /// Submits what may be more than commands, on a lease or for the shared connection.
    Submit(Option<LeaseId>, BatchBuffer),
    /// Gives up a command.
    Cancel(u32),
    /// Asks for a lease.
    Lease(u32),
    /// Asks for a place alone.
    Place(u32),
    /// Ends a lease.
    Release(LeaseId),
}

impl Fleet {
    /// Joins an idle pool and `server`.
    pub fn new(config: Config, limits: Limits, server: Server) -> Self {
        Self {
            pool: Conversations::new(Pool::new(config, limits)),
            server,
            now: Instant(1_000),
            outcomes: BTreeMap::new(),
            submitted: Vec::new(),
            externals: BTreeMap::new(),
            reactions: VecDeque::new(),
            wires: Vec::new(),
            over: Vec::new(),
            closed: Vec::new(),
            rests: 0,
        }
    }

    /// Submits commands of one slot each, on `lease` or for the shared connection.
    pub fn submit(&mut self, lease: Option<LeaseId>, commands: &[(u32, Words)], timeout: Option<u32>) {
        self.react(Reaction::Submit(lease, requests::commands(commands, 0, timeout)));
    }

    /// Submits a transaction of `members`.
    pub fn transaction(&mut self, lease: Option<LeaseId>, slot: u32, members: &[Words]) {
        self.react(Reaction::Submit(lease, requests::transaction(slot, members)));
    }

    /// Submits a command whose arguments behind the first stay with the caller.
    pub fn submit_external(&mut self, lease: Option<LeaseId>, slot: u32, args: &Words) {
        let words = requests::external(slot, args, 1);
        self.externals.insert(slot, args[1..].to_vec());
        self.accept(lease, &Batch { words: &words, text: &[], side: &args[0] });
        self.act();
    }

    /// Does what a caller does, now.
    pub fn react(&mut self, reaction: Reaction) {
        self.perform(reaction);
        self.act();
    }

    fn perform(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::Submit(lease, buffer) => self.accept(lease, &buffer.batch()),
            Reaction::Cancel(slot) => drop(self.give_up(slot)),
            Reaction::Lease(slot) => {
                self.submitted.push(slot);
                self.pool.lease(self.now, Slot(slot));
            }
            Reaction::Place(slot) => {
                self.submitted.push(slot);
                self.pool.place(self.now, Slot(slot));
            }
            Reaction::Release(lease) => self.pool.release(self.now, lease),
        }
    }

    fn accept(&mut self, lease: Option<LeaseId>, batch: &Batch<'_>) {
        let accepted = self.pool.converse(self.now, lease.unwrap_or(LeaseId::SHARED), batch);
        accepted.expect("the batch is well-formed");
        let mut caller = Caller::default();
        self.pool.poll_cached(&mut caller);
        for (slot, outcomes) in caller.outcomes {
            self.outcomes.entry(slot).or_default().extend(outcomes);
        }
        let mut rest = *batch;
        while let Ok(Some(request)) = rest.next_request() {
            let slot = request.slot.0;
            if self.submitted.last() != Some(&slot) {
                self.submitted.push(slot);
            }
        }
    }

    /// Asks for a lease.
    pub fn lease(&mut self, slot: u32) {
        self.react(Reaction::Lease(slot));
    }

    /// Ends a lease.
    pub fn release(&mut self, lease: LeaseId) {
        self.react(Reaction::Release(lease));
    }

    /// Gives up a command.
    pub fn cancel(&mut self, slot: u32) -> Option<bool> {
        let executed = self.give_up(slot);
        self.act();
        executed
    }

    fn give_up(&mut self, slot: u32) -> Option<bool> {
        let executed = self.pool.cancel(self.now, Slot(slot));
        if let Some(executed) = executed {
            self.outcomes.entry(slot).or_default().push(Outcome::Cancelled(executed));
        }
        executed
    }

    /// Fails what blocks.
    pub fn unblock(&mut self) {
        self.pool.unblock(self.now);
        self.pool.dismiss(self.now, None);
        self.act();
    }

    /// Ends everything from inside.
    pub fn shutdown(&mut self) {
        self.pool.shutdown();
        self.pool.hush();
        self.act();
    }

    /// Opens the link at `at`, unless it is open.
    pub fn open(&mut self, at: usize) {
        if let Some(wire) = self.wires.get_mut(at).filter(|wire| wire.session.is_none()) {
            wire.session = Some(self.server.session());
            let link = wire.link;
            self.pool.handle_open(self.now, link);
            self.act();
        }
    }

    /// Closes the link at `at` from outside, or refuses it.
    pub fn cut(&mut self, at: usize) {
        if let Some(link) = self.wires.get(at).map(|wire| wire.link) {
            self.pool.handle_closed(self.now, link);
            self.end(link);
            self.act();
        }
    }

    /// Likewise, because one side does not trust the other.
    pub fn distrust(&mut self, at: usize) {
        if let Some(link) = self.wires.get(at).map(|wire| wire.link) {
            self.pool.handle_untrusted(self.now, link);
            self.end(link);
            self.act();
        }
    }

    /// Tells of one of four things on a link that is over.
    pub fn stale(&mut self, link: LinkId, what: u32) {
        match what {
            0 => self.pool.handle_closed(self.now, link),
            1 => self.pool.handle_open(self.now, link),
            2 => self.pool.handle_untrusted(self.now, link),
            _ => self.pool.handle_transmitted(link, 7),
        }
        assert_eq!(self.pool.poll_transmit(link), None);
        self.act();
    }

    /// Lets the transport take up to `room` bytes of the link at `at`; gives how many it took.
    pub fn write(&mut self, at: usize, room: usize) -> usize {
        let Some(wire) = self.wires.get_mut(at).filter(|wire| wire.session.is_some()) else { return 0 };
        let mut taken = 0;
        while taken < room {
            let (count, whole) = match self.pool.poll_transmit(wire.link) {
                None => break,
                Some(Segment::Bytes(bytes)) => {
                    let count = bytes.len().min(room - taken);
                    wire.written.extend(&bytes[..count]);
                    (count, true)
                }
                Some(Segment::External(slot, index)) => {
                    let bytes = &self.externals[&slot.0][index as usize];
                    let count = (bytes.len() - wire.external).min(room - taken);
                    wire.written.extend(&bytes[wire.external..][..count]);
                    wire.external += count;
                    (count, wire.external == bytes.len())
                }
            };
            taken += count;
            if whole {
                wire.external = 0;
                self.pool.handle_transmitted(wire.link, count);
            }
        }
        self.act();
        taken
    }

    /// Lets the server read up to `count` bytes of the link at `at`, and go on where it waited; gives whether it did anything.
    pub fn serve(&mut self, at: usize, count: usize, give_up: bool) -> bool {
        let Some(wire) = self.wires.get_mut(at).filter(|wire| !wire.mute) else { return false };
        let Some(session) = &mut wire.session else { return false };
        let mut replies = self.server.wake(session, give_up);
        let bytes: Vec<u8> = wire.written.drain(..count.min(wire.written.len())).collect();
        replies.extend(self.server.receive(session, &bytes));
        let busy = !bytes.is_empty() || !replies.is_empty();
        wire.replies.extend(replies.concat());
        busy
    }

    /// Has the server say something between two replies on the link at `at`; gives whether it could.
    pub fn say(&mut self, at: usize, words: &[u8]) -> bool {
        let Some(wire) = self.wires.get_mut(at) else { return false };
        // what is not read yet may end within a reply, but what there is was answered whole
        let ready = self.pool.connection(wire.link).is_some_and(|one| one.stage() == Stage::Ready);
        if ready {
            wire.replies.extend(words);
        }
        ready
    }

    /// Has somebody else, or who is at another link, execute a command, of which the link at `at` is told what it is to be told.
    pub fn tell(&mut self, at: usize, command: &Words) {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        if let Some(Wire { session: Some(session), replies, .. }) = self.wires.get_mut(at) {
            replies.extend(session.tell(&words));
        }
    }

    /// Gives how many bytes the server wrote on the link at `at` that the client did not read.
    pub fn unread(&self, at: usize) -> usize {
        self.wires.get(at).map_or(0, |wire| wire.replies.len())
    }

    /// Lets the client read up to `count` bytes of the link at `at`; gives how many there were.
    pub fn read(&mut self, at: usize, count: usize) -> usize {
        let Some(wire) = self.wires.get_mut(at).filter(|wire| !wire.mute) else { return 0 };
        let count = count.min(wire.replies.len());
        if count > 0 {
            wire.unread.extend(wire.replies.drain(..count));
            let used = self.pool.handle_bytes(self.now, wire.link, &wire.unread, &mut wire.caller);
            wire.unread.drain(..used);
            for (slot, outcomes) in std::mem::take(&mut wire.caller.outcomes) {
                self.outcomes.entry(slot).or_default().extend(outcomes);
                if let Some(reaction) = self.reactions.pop_front() {
                    self.perform(reaction);
                }
            }
            self.act();
        }
        count
    }

    /// Moves the clock, and rings as often as it was asked to.
    pub fn advance(&mut self, milliseconds: u64) {
        let end = Instant(self.now.0 + milliseconds);
        let mut again = 0;
        while let Some(at) = self.pool.poll_timeout().filter(|&at| at <= end) {
            again = if at > self.now { 0 } else { again + 1 };
            assert!(again <= PATIENCE, "a clock that rang is set anew");
            self.now = self.now.max(at);
            self.pool.handle_timeout(self.now);
            self.act();
        }
        self.now = end;
    }

    /// Moves everything until nothing moves, opening links as they are asked for.
    pub fn settle(&mut self) {
        loop {
            let mut busy = false;
            for at in 0..self.wires.len() {
                if self.wires.get(at).is_some_and(|wire| wire.session.is_none()) {
                    self.open(at);
                    busy = true;
                }
                busy |= self.write(at, usize::MAX) > 0;
                busy |= self.serve(at, usize::MAX, false);
                busy |= self.read(at, usize::MAX) > 0;
            }
            if !busy {
                return;
            }
        }
    }

    /// Gives what came of `slot`, once and for all.
    pub fn outcome(&self, slot: u32) -> Option<&Outcome> {
        let outcomes = self.outcomes.get(&slot)?;
        assert_eq!(outcomes.len(), 1, "slot {slot} settles once: {outcomes:?}");
        outcomes.first()
    }

    /// Gives every link that was open, as the server saw it.
    pub fn sessions(&self) -> impl Iterator<Item = (LinkId, &Session)> {
        let live = self.wires.iter().filter_map(|wire| Some((wire.link, wire.session.as_ref()?)));
        self.over.iter().map(|(link, session)| (*link, session)).chain(live)
    }

    fn end(&mut self, link: LinkId) {
        if let Some(at) = self.wires.iter().position(|wire| wire.link == link) {
            let wire = self.wires.remove(at);
            self.over.extend(wire.session.map(|session| (link, session)));
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            match action {
                Action::Open(link) => {
                    let same = |wire: &Wire| wire.link.lane() == link.lane();
                    assert!(self.over.iter().all(|(over, _)| *over != link), "links have new numbers");
                    // what hung up on HELLO is not worth a word
                    if let Some(before) = self.wires.iter().find(|wire| same(wire)).map(|wire| wire.link) {
                        self.end(before);
                    }
                    self.wires.push(Wire {
                        link,
                        session: None,
                        mute: false,
                        caller: Caller::default(),
                        written: VecDeque::new(),
                        external: 0,
                        replies: VecDeque::new(),
                        unread: Vec::new(),
                    });
                }
                Action::Close(link, reason) => {
                    self.closed.push((link, reason));
                    self.end(link);
                }
                Action::Settle(slot, failure) => self.note(slot, Outcome::Failed(failure)),
                Action::Unanswered(slot) => self.note(slot, Outcome::Unanswered),
                Action::Leased(slot, lease) => self.note(slot, Outcome::Leased(lease)),
                Action::Rest => self.rests += 1,
                Action::Ready(_) => {}
            }
        }
        assert_eq!(self.pool.poll_action(), None, "nothing is left when nothing is left");
    }

    fn note(&mut self, slot: Slot, outcome: Outcome) {
        self.outcomes.entry(slot.0).or_default().push(outcome);
        if let Some(reaction) = self.reactions.pop_front() {
            self.perform(reaction);
        }
    }
}
