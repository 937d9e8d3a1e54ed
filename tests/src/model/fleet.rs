//! A pool and a server, joined by as many links as the pool asks for.

use super::{Caller, Outcome, Server, Session, Words};
use redwire_core::batch::{BatchBuffer, flags};
use redwire_core::connection::Config;
use redwire_core::machine::{Action, LeaseId, LinkId, Machine, Reason, Segment, Slot};
use redwire_core::pool::{Limits, Pool};
use redwire_core::table::{self, RowId};
use redwire_core::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// Both ends and what is between them.
pub struct Fleet {
    /// The client's end.
    pub pool: Pool,
    /// The server's end.
    pub server: Server,
    /// The time.
    pub now: Instant,
    /// What came of each slot.
    pub outcomes: BTreeMap<u32, Vec<Outcome>>,
    /// Links that are open or asked for, in order.
    pub wires: Vec<Wire>,
    /// Links that are over, as the server saw them.
    pub over: Vec<(LinkId, Session)>,
    /// Every link that ended, and why.
    pub closed: Vec<(LinkId, Reason)>,
}

/// A link that is not over.
pub struct Wire {
    /// Its number.
    pub link: LinkId,
    /// The server's end, once it is open.
    pub session: Option<Session>,
    caller: Caller,
    written: VecDeque<u8>,
    replies: VecDeque<u8>,
    unread: Vec<u8>,
}

impl Fleet {
    /// Joins an idle pool and `server`.
    pub fn new(config: Config, limits: Limits, server: Server) -> Self {
        Self {
            pool: Pool::new(config, limits),
            server,
            now: Instant(1_000),
            outcomes: BTreeMap::new(),
            wires: Vec::new(),
            over: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// Submits commands of one slot each, on `lease` or for the shared connection.
    pub fn submit(&mut self, lease: Option<LeaseId>, commands: &[(u32, Words)], timeout: Option<u32>) {
        let mut buffer = BatchBuffer::default();
        for (slot, words) in commands {
            buffer.push(Slot(*slot), RowId::UNKNOWN, 0, timeout, words.iter().map(Vec::as_slice));
        }
        self.accept(lease, &buffer);
    }

    /// Submits a transaction of `members`.
    pub fn transaction(&mut self, lease: Option<LeaseId>, slot: u32, members: &[Words]) {
        let mut buffer = BatchBuffer::default();
        let none = || std::iter::empty::<&[u8]>();
        buffer.push(Slot(slot), table::find(b"MULTI"), flags::MULTI, None, none());
        for member in members {
            let args = member.iter().map(Vec::as_slice);
            buffer.push(Slot(slot), RowId::UNKNOWN, flags::MEMBER, None, args);
        }
        buffer.push(Slot(slot), table::find(b"EXEC"), flags::EXEC, None, none());
        self.accept(lease, &buffer);
    }

    fn accept(&mut self, lease: Option<LeaseId>, buffer: &BatchBuffer) {
        let batch = buffer.batch();
        let accepted = match lease {
            Some(lease) => self.pool.submit_leased(self.now, lease, &batch),
            None => self.pool.submit(self.now, &batch),
        };
        accepted.expect("the batch is well-formed");
        self.act();
    }

    /// Asks for a lease.
    pub fn lease(&mut self, slot: u32) {
        self.pool.lease(self.now, Slot(slot));
        self.act();
    }

    /// Ends a lease.
    pub fn release(&mut self, lease: LeaseId) {
        self.pool.release(self.now, lease);
        self.act();
    }

    /// Gives up a command.
    pub fn cancel(&mut self, slot: u32) -> Option<bool> {
        let executed = self.pool.cancel(self.now, Slot(slot));
        if let Some(executed) = executed {
            self.outcomes.entry(slot).or_default().push(Outcome::Cancelled(executed));
        }
        self.act();
        executed
    }

    /// Ends everything from inside.
    pub fn shutdown(&mut self) {
        self.pool.shutdown();
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

    /// Lets the transport take up to `room` bytes of the link at `at`; gives how many it took.
    pub fn write(&mut self, at: usize, room: usize) -> usize {
        let Some(wire) = self.wires.get_mut(at).filter(|wire| wire.session.is_some()) else { return 0 };
        let mut taken = 0;
        while let Some(Segment::Bytes(bytes)) = self.pool.poll_transmit(wire.link) {
            let count = bytes.len().min(room - taken);
            if count == 0 {
                break;
            }
            wire.written.extend(&bytes[..count]);
            taken += count;
            self.pool.handle_transmitted(wire.link, count);
        }
        self.act();
        taken
    }

    /// Lets the server read up to `count` bytes of the link at `at`, and go on where it waited; gives whether it did anything.
    pub fn serve(&mut self, at: usize, count: usize, give_up: bool) -> bool {
        let Some(wire) = self.wires.get_mut(at) else { return false };
        let Some(session) = &mut wire.session else { return false };
        let mut replies = self.server.wake(session, give_up);
        let bytes: Vec<u8> = wire.written.drain(..count.min(wire.written.len())).collect();
        replies.extend(self.server.receive(session, &bytes));
        let busy = !bytes.is_empty() || !replies.is_empty();
        wire.replies.extend(replies.concat());
        busy
    }

    /// Lets the client read up to `count` bytes of the link at `at`; gives how many there were.
    pub fn read(&mut self, at: usize, count: usize) -> usize {
        let Some(wire) = self.wires.get_mut(at) else { return 0 };
        let count = count.min(wire.replies.len());
        if count > 0 {
            wire.unread.extend(wire.replies.drain(..count));
            let used = self.pool.handle_bytes(self.now, wire.link, &wire.unread, &mut wire.caller);
            wire.unread.drain(..used);
            for (slot, outcomes) in std::mem::take(&mut wire.caller.outcomes) {
                self.outcomes.entry(slot).or_default().extend(outcomes);
            }
            self.act();
        }
        count
    }

    /// Moves the clock, and rings as often as it was asked to.
    pub fn advance(&mut self, milliseconds: u64) {
        let end = Instant(self.now.0 + milliseconds);
        while let Some(at) = self.pool.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.pool.handle_timeout(self.now);
            self.act();
            assert!(self.pool.poll_timeout() != Some(at), "a clock that rang is set anew");
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
                        caller: Caller::default(),
                        written: VecDeque::new(),
                        replies: VecDeque::new(),
                        unread: Vec::new(),
                    });
                }
                Action::Close(link, reason) => {
                    self.closed.push((link, reason));
                    self.end(link);
                }
                Action::Settle(slot, failure) => {
                    self.outcomes.entry(slot.0).or_default().push(Outcome::Failed(failure));
                }
                Action::Unanswered(slot) => {
                    self.outcomes.entry(slot.0).or_default().push(Outcome::Unanswered);
                }
                Action::Leased(slot, lease) => {
                    self.outcomes.entry(slot.0).or_default().push(Outcome::Leased(lease));
                }
                Action::Ready(_) | Action::Rest => {}
            }
        }
        assert_eq!(self.pool.poll_action(), None, "nothing is left when nothing is left");
    }
}
