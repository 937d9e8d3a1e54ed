//! A connection and the hands that move its bytes: a test writes both sides of the dialogue.

use super::{Caller, Outcome, Words, requests};
use crate::wire;
use redwire_core::batch::Batch;
use redwire_core::connection::{Config, Connection};
use redwire_core::machine::{Action, LeaseId, LinkId, Machine, Reason, Segment, Slot};
use redwire_core::operation::{Conversations, Script};
use redwire_core::resp::{Frame, Limits};
use redwire_core::time::Instant;
use std::collections::BTreeMap;

/// A connection with a clock, a caller, and at most one link.
#[derive(Debug)]
pub struct Peer {
    /// The connection.
    pub connection: Conversations<Connection>,
    /// The time.
    pub now: Instant,
    /// Who asked.
    pub caller: Caller,
    /// Every link that was asked for.
    pub links: Vec<LinkId>,
    /// Every link that got ready.
    pub ready: Vec<LinkId>,
    /// Every link that the connection ended.
    pub closed: Vec<(LinkId, Reason)>,
    /// How often the connection came to rest.
    pub rests: u32,
    /// What was written on the last link.
    pub written: Vec<u8>,
    understood: usize,
    unread: Vec<u8>,
    /// Arguments that stay with the caller, by slot.
    pub externals: BTreeMap<u32, Vec<Vec<u8>>>,
    /// How much of the external argument at hand was written.
    external: usize,
}

impl Peer {
    /// Makes an idle connection.
    pub fn new(config: Config) -> Self {
        Self {
            connection: Conversations::new(Connection::new(config)),
            now: Instant(1_000),
            caller: Caller::default(),
            links: Vec::new(),
            ready: Vec::new(),
            closed: Vec::new(),
            rests: 0,
            written: Vec::new(),
            understood: 0,
            unread: Vec::new(),
            externals: BTreeMap::new(),
            external: 0,
        }
    }

    /// Makes a connection that speaks RESP2 and says nothing by itself.
    pub fn plain() -> Self {
        Self::new(plain())
    }

    /// Makes one that is ready on `protocol`, whose dialogue begins now.
    pub fn ready(protocol: u8, config: Config) -> Self {
        let mut peer = Self::new(Config { library: None, ..config });
        peer.connect();
        peer.open();
        if protocol == 3 {
            assert_eq!(peer.sent(), ["HELLO 3", "PING"]);
            peer.reply("%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n+PONG\r\n");
        }
        assert_eq!(peer.ready.len(), 1, "the link is ready");
        peer
    }

    /// Gives the link that is being used.
    pub fn link(&self) -> LinkId {
        *self.links.last().expect("a link was asked for")
    }

    /// Tells whether the last link is still wanted.
    pub fn is_linked(&self) -> bool {
        self.links.last().is_some_and(|link| self.closed.iter().all(|(closed, _)| closed != link))
    }

    /// Submits the command in `line`.
    pub fn submit(&mut self, slot: u32, line: &str) {
        self.submit_with(slot, 0, None, &super::words(line));
    }

    /// Submits a command with flags and a timeout of its own.
    pub fn submit_with(&mut self, slot: u32, flags: u32, timeout: Option<u32>, args: &Words) {
        self.accept(&requests::commands(&[(slot, args.clone())], flags, timeout).batch());
    }

    /// Submits a transaction of `members`.
    pub fn transaction(&mut self, slot: u32, members: &[Words]) {
        self.accept(&requests::transaction(slot, members).batch());
    }

    /// Submits a command whose arguments behind the first `copied` stay with the caller.
    pub fn submit_external(&mut self, slot: u32, args: &Words, copied: usize) {
        let words = requests::external(slot, args, copied);
        let (near, far) = args.split_at(copied);
        self.externals.insert(slot, far.to_vec());
        self.accept(&Batch { words: &words, text: &[], side: &near.concat() });
    }

    /// Submits a call of `script` by its digest, which goes on by itself where the server does not know it.
    pub fn call(&mut self, slot: u32, script: &Script, line: &str) {
        self.connection.learn(script);
        self.converse(&requests::call(slot, script, line).batch());
    }

    /// Begins an operation with the arguments in `line`, `_` for an empty one.
    pub fn operate(&mut self, slot: u32, kind: u16, line: &str) {
        self.converse(&requests::operation(slot, kind, line).batch());
    }

    /// Submits what may be more than commands.
    pub fn converse(&mut self, batch: &Batch<'_>) {
        self.connection.converse(self.now, LeaseId::SHARED, batch).expect("the batch is well-formed");
        self.act();
    }

    fn accept(&mut self, batch: &Batch<'_>) {
        self.connection.submit(self.now, batch).expect("the batch is well-formed");
        self.caller.aside(|caller| self.connection.poll_cached(caller));
        self.act();
    }

    /// Gives up a command.
    pub fn cancel(&mut self, slot: u32) -> Option<bool> {
        let executed = self.connection.cancel(self.now, Slot(slot));
        if let Some(executed) = executed {
            self.caller.note(Slot(slot), Outcome::Cancelled(executed));
        }
        self.act();
        executed
    }

    /// Asks for a link.
    pub fn connect(&mut self) {
        self.connection.connect(self.now);
        self.act();
    }

    /// Opens the link, and answers a handshake that asks nothing but PING.
    pub fn open(&mut self) {
        self.open_silent();
        if let Some(Segment::Bytes(b"*1\r\n$4\r\nPING\r\n")) = self.connection.poll_transmit(self.link()) {
            self.sent();
            self.reply("+PONG\r\n");
        }
    }

    /// Opens the link.
    pub fn open_silent(&mut self) {
        self.connection.handle_open(self.now, self.link());
        self.act();
    }

    /// Closes the link, or refuses to open it.
    pub fn close(&mut self) {
        self.connection.handle_closed(self.now, self.link());
        self.act();
    }

    /// Closes the link, or refuses to open it, because one side does not trust the other.
    pub fn distrust(&mut self) {
        self.connection.handle_untrusted(self.now, self.link());
        self.act();
    }

    /// Fails what waits for a lock.
    pub fn dismiss(&mut self) {
        self.connection.dismiss(self.now, None);
        self.act();
    }

    /// Ends the link from inside.
    pub fn shutdown(&mut self) {
        self.connection.shutdown();
        self.connection.hush();
        self.act();
    }

    /// Moves the clock, and rings as often as it was asked to.
    pub fn advance(&mut self, milliseconds: u64) {
        let end = Instant(self.now.0 + milliseconds);
        let mut rings = (Instant::NEVER, 0);
        while let Some(at) = self.connection.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.connection.handle_timeout(self.now);
            self.act();
            // a conversation whose command ran out of time may go on at once
            rings = if rings.0 == at { (at, rings.1 + 1) } else { (at, 0) };
            assert!(rings.1 < 3, "a clock that rang is set anew");
        }
        self.now = end;
    }

    /// Moves the clock while the host is held up, which rings no sooner than it is through.
    pub fn stall(&mut self, milliseconds: u64) {
        self.now.0 += milliseconds;
        if self.connection.poll_timeout().is_some_and(|at| at <= self.now) {
            self.connection.handle_timeout(self.now);
            self.act();
        }
    }

    /// Takes up to `room` bytes as a socket would; gives how many there were.
    pub fn transmit(&mut self, room: usize) -> usize {
        let (link, mut taken) = (self.links.last().copied().unwrap_or(LinkId(0)), 0);
        while taken < room {
            let (count, whole) = match self.connection.poll_transmit(link) {
                None => break,
                Some(Segment::Bytes(bytes)) => {
                    assert!(!bytes.is_empty(), "a segment has bytes");
                    let count = bytes.len().min(room - taken);
                    self.written.extend_from_slice(&bytes[..count]);
                    (count, true)
                }
                Some(Segment::External(slot, index)) => {
                    let bytes = &self.externals[&slot.0][index as usize];
                    let count = (bytes.len() - self.external).min(room - taken);
                    self.written.extend_from_slice(&bytes[self.external..][..count]);
                    self.external += count;
                    (count, self.external == bytes.len())
                }
            };
            taken += count;
            if whole {
                self.external = 0;
                self.connection.handle_transmitted(link, count);
            }
        }
        taken
    }

    /// Takes everything and gives the commands that came since the last time, one line each.
    pub fn sent(&mut self) -> Vec<String> {
        self.transmit(usize::MAX);
        let (frames, end) = wire::decode(Limits::default(), [&self.written[self.understood..]]);
        assert_eq!(end, Ok(()), "commands are well-formed");
        self.understood = self.written.len();
        frames.iter().map(line).collect()
    }

    /// Delivers bytes from the server.
    pub fn reply(&mut self, wire: impl AsRef<[u8]>) {
        self.unread.extend_from_slice(wire.as_ref());
        let link = self.link();
        let used = self.connection.handle_bytes(self.now, link, &self.unread, &mut self.caller);
        self.unread.drain(..used);
        self.act();
    }

    /// Gives how many bytes the connection left to come again with more behind them.
    pub fn unread(&self) -> usize {
        self.unread.len()
    }

    /// Gives what came of `slot`, once and for all.
    pub fn outcome(&self, slot: u32) -> Option<&Outcome> {
        let outcomes = self.caller.outcomes.get(&slot)?;
        assert_eq!(outcomes.len(), 1, "slot {slot} settles once: {outcomes:?}");
        outcomes.first()
    }

    /// Gives the reply to `slot`.
    pub fn replied(&self, slot: u32) -> Option<&Frame> {
        match self.outcome(slot)? {
            Outcome::Reply(frame) => Some(frame),
            _ => None,
        }
    }

    /// Gives why `slot` failed, and whether it may have been executed.
    pub fn failed(&self, slot: u32) -> Option<(Reason, bool)> {
        match self.outcome(slot)? {
            Outcome::Failed(failure) => Some((failure.reason, failure.maybe_executed)),
            _ => None,
        }
    }

    /// Moves the clock until the next attempt is made, after a failure.
    pub fn retry(&mut self) {
        assert!(self.connection.is_retrying(), "another attempt is to come");
        let links = self.links.len();
        for _ in 0..=2_000 {
            if self.links.len() > links {
                return;
            }
            self.advance(1);
        }
        unreachable!("no attempt within the longest delay");
    }

    fn act(&mut self) {
        while let Some(action) = self.connection.poll_action() {
            match action {
                Action::Open(link) => {
                    assert!(self.links.last() < Some(&link), "links have new numbers");
                    self.links.push(link);
                    self.written.clear();
                    self.unread.clear();
                    (self.understood, self.external) = (0, 0);
                }
                Action::Ready(link) => self.ready.push(link),
                Action::Rest => self.rests += 1,
                Action::Leased(..) | Action::Unanswered(_) => unreachable!("nothing is leased"),
                Action::Close(link, reason) => self.closed.push((link, reason)),
                Action::Settle(slot, failure) => self.caller.note(slot, Outcome::Failed(failure)),
            }
        }
    }
}

/// Gives a configuration whose handshake is PING alone.
pub fn plain() -> Config {
    let protocol = redwire_core::connection::Protocol::Resp2;
    Config { protocol, library: None, keep_alive: 0, tombstone_limit: 0, ..Config::default() }
}

fn line(command: &Frame) -> String {
    let Frame::Array(args) = command else { unreachable!("a command is an array: {command:?}") };
    let words: Vec<_> = args.iter().map(word).collect();
    words.join(" ")
}

fn word(arg: &Frame) -> std::borrow::Cow<'_, str> {
    let Frame::Bulk(text) = arg else { unreachable!("an argument is a bulk: {arg:?}") };
    String::from_utf8_lossy(text)
}
