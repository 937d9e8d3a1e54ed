//! What happens: one step after the other, none of which knows what came before.

use crate::Tally;
use crate::checks::Seen;
use oorandom::Rand32;
use redwire_core::batch::{BatchBuffer, flags};
use redwire_core::connection::{Bounds, Config, Credentials};
use redwire_core::machine::LeaseId;
use redwire_core::operation::{Script, kind};
use redwire_core::pool::Limits;
use redwire_core::resp::{Frame, Limits as Sizes};
use redwire_tests::model::{Fleet, Hello, Options, Outcome, Reaction, Server, Store, requests, words};
use std::collections::BTreeMap;

/// How often a command may be sent again on the shared connection.
pub(crate) const RESENDS: u8 = 2;
/// How many commands may wait for a link, and how many may be on their way, where that is limited.
pub(crate) const BOUNDS: (u32, u32) = (7, 9);

/// What a command must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its own text.
    Echo,
    /// Its counter is raised.
    Incr,
    /// The same, as often as it was sent.
    Repeated,
    /// A transaction of both.
    Both,
    /// The element that was pushed for it, or nothing.
    Blpop,
    /// Its counter is raised, and nobody says so.
    Silent,
    /// Whatever says that it was done.
    Change,
    /// Its counter is raised, unless the one that the lease watches was.
    Exec,
    Lease,
    /// A lease of a place alone.
    Place,
    /// Its counter is raised by a script, which gives its own text.
    Script,
    /// One of three locks is its own, or another's.
    Lock,
    /// The lock that was had is given back.
    Unlock,
}

pub(crate) struct World {
    pub(crate) random: Rand32,
    pub(crate) fleet: Fleet,
    pub(crate) kinds: BTreeMap<u32, Kind>,
    next: u32,
    /// The lease that a slot was sent on, or that was had in it.
    pub(crate) users: BTreeMap<u32, LeaseId>,
    /// Leases that are held, and whether CLIENT REPLY silenced them.
    held: Vec<(LeaseId, bool)>,
    /// Leases of places alone that are held.
    pub(crate) places: Vec<LeaseId>,
    /// Leases that are asked for.
    asked: Vec<u32>,
    /// Locks that are asked for.
    wanted: Vec<u32>,
    /// Who has each lock and did not begin to give it back.
    locks: BTreeMap<u32, u32>,
    /// How many elements were pushed for each slot.
    pub(crate) pushed: BTreeMap<u32, usize>,
    script: Script,
    /// The server is away: every link is refused.
    down: bool,
    password: Option<&'static str>,
    pub(crate) bounded: bool,
    pub(crate) drop_oldest: bool,
    pub(crate) limits: Limits,
    pub(crate) seen: Seen,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rand32::new(seed);
        let mut coin = || random.rand_u32() & 1 == 0;
        let hello = if coin() { Hello::Known } else { Hello::Unknown };
        let password = (coin() && coin()).then_some("secret");
        let (bounded, drop_oldest, holds_back) = (coin(), coin(), coin());
        let limits = Limits {
            max_connections: 2 + u8::from(coin()),
            min_idle: u8::from(coin()),
            max_idle_time: if coin() { 30 } else { 0 },
            pool_timeout: if coin() { 100 } else { 0 },
        };
        let (offline, high_water) = if bounded { BOUNDS } else { (10_000, u32::MAX) };
        let config = Config {
            credentials: password.map(credentials),
            limits: Sizes { whole: if coin() { 8 } else { 64 << 10 }, ..Sizes::default() },
            connect_timeout: 300,
            timeout: 200,
            queue_timeout: 150,
            backoff: (5, 40),
            resends: RESENDS,
            seed: seed as u32,
            offline: Bounds { commands: offline, ..Config::default().offline },
            high_water: Bounds { commands: high_water, bytes: u32::MAX },
            holds_back,
            drop_oldest,
            keep_alive: if coin() { 90 } else { 0 },
            tombstone_limit: 300,
            ..Config::default()
        };
        let server = Server::new(Options { hello, password, setinfo: true, ..Options::default() });
        let script = Script::new(std::str::from_utf8(Store::COUNT).expect("a script is text"));
        let mut fleet = Fleet::new(config, limits, server);
        fleet.pool.learn(&script);
        Self {
            random,
            fleet,
            kinds: BTreeMap::new(),
            next: 0,
            users: BTreeMap::new(),
            held: Vec::new(),
            places: Vec::new(),
            asked: Vec::new(),
            wanted: Vec::new(),
            locks: BTreeMap::new(),
            pushed: BTreeMap::new(),
            script,
            down: false,
            password,
            bounded,
            drop_oldest,
            limits,
            seen: Seen::default(),
        }
    }

    fn up_to(&mut self, count: u32) -> usize {
        self.random.rand_range(0..count + 1) as usize
    }

    fn chance(&mut self, of: u32) -> bool {
        self.random.rand_range(0..of) == 0
    }

    fn slot(&mut self, kind: Kind) -> u32 {
        self.next += 1;
        self.kinds.insert(self.next, kind);
        self.seen.open.insert(self.next);
        self.next
    }

    /// Several commands at once, some of which block, for the shared connection.
    fn some(&mut self) -> BatchBuffer {
        let mut commands = Vec::new();
        for _ in 0..=self.up_to(2) {
            let kind = match self.random.rand_range(0..6) {
                0 | 1 => Kind::Echo,
                2 | 3 => Kind::Incr,
                _ => Kind::Blpop,
            };
            let slot = self.slot(kind);
            commands.push((slot, words(&line(kind, slot))));
        }
        let timeout = self.chance(4).then_some(50);
        requests::commands(&commands, 0, timeout)
    }

    /// Something for the shared connection.
    fn request(&mut self) -> BatchBuffer {
        match self.random.rand_range(0..12) {
            0 => {
                let slot = self.slot(Kind::Repeated);
                requests::commands(&[(slot, words(&format!("INCR n{slot}")))], flags::IDEMPOTENT, None)
            }
            1 => {
                let slot = self.slot(Kind::Both);
                requests::transaction(
                    slot,
                    &[words(&format!("ECHO b{slot}")), words(&format!("INCR n{slot}"))],
                )
            }
            2 | 3 => self.call(),
            4 => {
                let slot = self.slot(Kind::Lock);
                self.wanted.push(slot);
                let ttl = [0, 60, 100_000][self.up_to(2)];
                let wait = ["0", "50", "300"][self.up_to(2)];
                let line = format!("l{} t{slot} {ttl} 20 {wait} {}", slot % 3, self.random.rand_u32());
                requests::operation(slot, kind::ACQUIRE, &line)
            }
            5 => match self.locks.pop_first() {
                Some((key, holder)) => {
                    let slot = self.slot(Kind::Unlock);
                    let kind = [kind::RELEASE, kind::WATCH_RELEASE][self.up_to(1)];
                    requests::operation(slot, kind, &format!("l{key} t{holder}"))
                }
                None => self.some(),
            },
            _ => self.some(),
        }
    }

    fn call(&mut self) -> BatchBuffer {
        let slot = self.slot(Kind::Script);
        requests::call(slot, &self.script, &format!("1 n{slot} v{slot}"))
    }

    fn submit(&mut self) {
        if self.chance(8) {
            let slot = self.slot(Kind::Echo);
            return self.fleet.submit_external(None, slot, &words(&line(Kind::Echo, slot)));
        }
        let batch = self.request();
        self.fleet.react(Reaction::Submit(None, batch));
    }

    /// Something on a lease that is held.
    fn request_leased(&mut self) -> Option<Reaction> {
        let at = self.up_to(u32::try_from(self.held.len().checked_sub(1)?).ok()?);
        let (lease, silent) = self.held[at];
        let kind = match self.random.rand_range(0..12) {
            0 => Kind::Echo,
            1 => Kind::Incr,
            2 if self.chance(4) => Kind::Blpop,
            3 => Kind::Silent,
            4..7 => Kind::Exec,
            7 => {
                let batch = self.call();
                self.users.insert(self.next, lease);
                return Some(Reaction::Submit(Some(lease), batch));
            }
            _ => Kind::Change,
        };
        let slot = self.slot(kind);
        self.users.insert(slot, lease);
        let line = match kind {
            Kind::Exec => {
                let batch = requests::transaction(slot, &[words(&format!("INCR n{slot}"))]);
                return Some(Reaction::Submit(Some(lease), batch));
            }
            Kind::Change => match self.random.rand_range(0..8) {
                0 => "SELECT 1".to_string(),
                1 => "UNWATCH".to_string(),
                2 if !silent => {
                    self.held[at].1 = true;
                    "CLIENT REPLY OFF".to_string()
                }
                2 | 3 if silent => {
                    self.held[at].1 = false;
                    "CLIENT REPLY ON".to_string()
                }
                3 => "CLIENT REPLY SKIP".to_string(),
                _ => "WATCH w".to_string(),
            },
            _ => line(kind, slot),
        };
        let flags = if kind == Kind::Silent { flags::SILENT } else { 0 };
        Some(Reaction::Submit(Some(lease), requests::commands(&[(slot, words(&line))], flags, None)))
    }

    fn ask_lease(&mut self) -> Reaction {
        let slot = self.slot(Kind::Lease);
        self.asked.push(slot);
        Reaction::Lease(slot)
    }

    fn ask_place(&mut self) -> Reaction {
        let slot = self.slot(Kind::Place);
        self.asked.push(slot);
        Reaction::Place(slot)
    }

    fn give_back(&mut self) -> Option<Reaction> {
        if let Some(lease) = self.places.pop_if(|_| self.held.is_empty() || self.random.rand_u32() & 1 == 0) {
            return Some(Reaction::Release(lease));
        }
        let at = self.up_to(u32::try_from(self.held.len().checked_sub(1)?).ok()?);
        let (lease, _) = self.held.swap_remove(at);
        Some(Reaction::Release(lease))
    }

    /// What a caller will do when it is told of something, before it is told of the rest.
    fn prepare(&mut self, tally: &mut Tally) {
        let reaction = match self.random.rand_range(0..7) {
            0 | 1 => Some(Reaction::Submit(None, self.request())),
            2 => self.request_leased(),
            3 => Some(self.ask_lease()),
            4 => self.give_back(),
            5 => Some(self.ask_place()),
            _ => Some(Reaction::Cancel(self.random.rand_range(0..self.next + 1))),
        };
        if let Some(reaction) = reaction {
            tally.reactions += 1;
            self.fleet.reactions.push_back(reaction);
        }
    }

    pub(crate) fn step(&mut self, tally: &mut Tally) {
        let wires = self.fleet.wires.len() as u32;
        let at = if wires == 0 { 0 } else { self.random.rand_range(0..wires) as usize };
        match self.random.rand_range(0..58) {
            0..3 => self.submit(),
            3..9 => {
                if let Some(reaction) = self.request_leased() {
                    self.fleet.react(reaction);
                }
            }
            9 => {
                let reaction = self.ask_lease();
                self.fleet.react(reaction);
            }
            10 => {
                if let Some(reaction) = self.give_back() {
                    self.fleet.react(reaction);
                }
            }
            11..16 => drop({
                let room = self.up_to(400);
                self.fleet.write(at, room)
            }),
            16..21 => drop({
                let (count, give_up) = (self.up_to(400), self.chance(6));
                self.fleet.serve(at, count, give_up)
            }),
            21..27 => drop({
                let count = self.up_to(150);
                self.fleet.read(at, count)
            }),
            27..31 => self.link(at, tally),
            31 if self.chance(8) => {
                tally.cuts += 1;
                self.fleet.cut(at);
            }
            32 => {
                let milliseconds = self.random.rand_range(0..60);
                self.fleet.advance(milliseconds.into());
            }
            33 | 34 => {
                let slot = self.random.rand_range(0..self.next + 1);
                match self.fleet.cancel(slot) {
                    Some(true) => tally.late_cancels += 1,
                    Some(false) => tally.cancels += 1,
                    None => {}
                }
            }
            35 | 36 => {
                let slot = self.random.rand_range(0..self.next + 1);
                if self.kinds.get(&slot) == Some(&Kind::Blpop) {
                    *self.pushed.entry(slot).or_default() += 1;
                    let (key, element) = (format!("q{slot}"), format!("e{slot}"));
                    self.fleet.server.store.execute(&[b"RPUSH", key.as_bytes(), element.as_bytes()]);
                }
            }
            40 if self.chance(25) => {
                tally.shutdowns += 1;
                self.held.clear();
                self.places.clear();
                self.fleet.shutdown();
            }
            41 if self.chance(12) => {
                tally.unblocked += 1;
                self.fleet.unblock();
            }
            42 | 43 => self.prepare(tally),
            44 => self.restart(tally),
            45 => self.refuse(),
            46 => self.renew(tally),
            47 => self.speak(at, tally),
            48 => self.stale(tally),
            49 if self.chance(4) => self.fleet.server.flush_in = Some(1 + self.up_to(3)),
            37..40 | 50..53 => drop(self.fleet.server.store.execute(&[b"INCR", b"w"])),
            53 if self.chance(9) => self.mute(at, tally),
            54 => {
                let reaction = self.ask_place();
                self.fleet.react(reaction);
            }
            _ => {}
        }
        self.note_leases();
        self.note_locks();
    }

    fn link(&mut self, at: usize, tally: &mut Tally) {
        let opening = self.fleet.wires.get(at).is_some_and(|wire| wire.session.is_none());
        if opening && (self.down || self.chance(24)) {
            tally.refusals += 1;
            if self.chance(20) {
                tally.distrusted += 1;
                return self.fleet.distrust(at);
            }
            return self.fleet.cut(at);
        }
        self.fleet.open(at);
    }

    /// The server goes away or comes back, with another password now and then.
    fn restart(&mut self, tally: &mut Tally) {
        if !self.down && !self.chance(16) {
            return;
        }
        self.down = !self.down;
        if self.down {
            tally.down += 1;
            self.fleet.server.flush_in = Some(1);
            while let Some(at) = self.fleet.wires.iter().position(|wire| wire.session.is_some()) {
                self.fleet.cut(at);
            }
        } else {
            let wrong = self.password.is_some() && self.chance(4);
            self.fleet.server.options.password = if wrong { Some("another") } else { self.password };
        }
    }

    /// The server changes its mind about what it executes.
    fn refuse(&mut self) {
        let what = self.random.rand_range(0..12);
        self.fleet.server.refuse(what);
    }

    /// The client has new credentials, which may be wrong.
    fn renew(&mut self, tally: &mut Tally) {
        if let Some(password) = self.password
            && self.chance(3)
        {
            tally.renewed += 1;
            let wrong = self.chance(8);
            self.fleet.pool.authenticate(&credentials(if wrong { "wrong" } else { password }));
        }
    }

    /// The server says what nobody asked for: a push, or what is no reply at all.
    fn speak(&mut self, at: usize, tally: &mut Tally) {
        if self.chance(12) {
            tally.broken += u32::from(self.fleet.say(at, b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        } else if self.fleet.pool.shared().server().protocol == 3 {
            tally.pushes += u32::from(self.fleet.say(at, b">2\r\n+invalidate\r\n*1\r\n$3\r\nkey\r\n"));
        }
    }

    /// A link falls silent, or speaks again.
    fn mute(&mut self, at: usize, tally: &mut Tally) {
        if let Some(wire) = self.fleet.wires.get_mut(at) {
            wire.mute = !wire.mute;
            tally.muted += u32::from(wire.mute);
        }
    }

    /// Something of a link that is over.
    fn stale(&mut self, tally: &mut Tally) {
        let Some(&(old, _)) = self.fleet.closed.last() else { return };
        tally.stale += 1;
        let what = self.random.rand_range(0..4);
        self.fleet.stale(old, what);
    }

    /// Holds the leases that were given.
    fn note_leases(&mut self) {
        let Self { asked, fleet, users, held, places, kinds, .. } = self;
        asked.retain(|slot| {
            let outcome = fleet.outcomes.get(slot).and_then(|outcomes| outcomes.first());
            if let Some(Outcome::Leased(lease)) = outcome {
                match kinds[slot] {
                    Kind::Place => places.push(*lease),
                    _ => {
                        users.insert(*slot, *lease);
                        held.push((*lease, false));
                    }
                }
            }
            outcome.is_none()
        });
    }

    /// Holds the locks that were had: nobody else has one of them.
    fn note_locks(&mut self) {
        let Self { wanted, fleet, locks, .. } = self;
        wanted.retain(|slot| {
            let outcome = fleet.outcomes.get(slot).and_then(|outcomes| outcomes.first());
            if let Some(Outcome::Reply(Frame::Integer(end))) = outcome
                && *end != 0
            {
                let holder = locks.insert(slot % 3, *slot);
                assert_eq!(holder, None, "{slot} has a lock that another has");
            }
            outcome.is_none()
        });
    }

    fn is_settled(&self) -> bool {
        self.fleet.pool.is_quiet() && self.fleet.outcomes.len() == self.fleet.submitted.len()
    }

    /// Everything that is left goes well, or the server never comes back.
    pub(crate) fn finish(&mut self, tally: &mut Tally) {
        let server = &mut self.fleet.server;
        (server.options.loading, server.options.replica) = (false, false);
        server.options.password = self.password;
        if let Some(password) = self.password {
            self.fleet.pool.authenticate(&credentials(password));
        }
        while let Some(reaction) = self.fleet.reactions.pop_front() {
            self.fleet.react(reaction);
        }
        self.fleet.wires.iter_mut().for_each(|wire| wire.mute = false);
        let deserted = self.chance(4);
        tally.deserted += u32::from(deserted && !self.is_settled());
        for _ in 0..400 {
            self.note_leases();
            self.note_locks();
            while let Some(reaction) = self.give_back() {
                self.fleet.react(reaction);
            }
            for at in (0..self.fleet.wires.len()).rev() {
                if deserted {
                    self.fleet.cut(at);
                } else {
                    self.fleet.serve(at, 0, true);
                }
            }
            if !deserted {
                self.fleet.settle();
            }
            if self.is_settled() && self.asked.is_empty() {
                break;
            }
            self.fleet.advance(10);
        }
        assert!(self.is_settled(), "everything settles");
    }
}

/// Gives what is sent, with something of its own in it.
fn line(kind: Kind, slot: u32) -> String {
    match kind {
        Kind::Echo => format!("ECHO {}", own(slot)),
        Kind::Blpop => format!("BLPOP q{slot} 0"),
        _ => format!("INCR n{slot}"),
    }
}

/// Gives a text that nobody else sends.
pub(crate) fn own(slot: u32) -> String {
    format!("n{slot}-{}", "x".repeat(slot as usize % 20))
}

fn credentials(password: &str) -> Credentials {
    Credentials { username: None, password: password.as_bytes().to_vec() }
}

/// Gives whose command it is, if it is one that only its own slot sends.
pub(crate) fn sender(command: &[Vec<u8>]) -> Option<u32> {
    let at = if command.first()?.starts_with(b"EVAL") { 3 } else { 1 };
    let key = std::str::from_utf8(command.get(at)?).ok()?;
    key.strip_prefix(['n', 'q'])?.split('-').next()?.parse().ok()
}
