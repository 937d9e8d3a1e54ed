//! Random schedules over a pool: blocking commands, leases that change their connection, and links that are cut, each on its own.
//!
//! Checked besides what `simulate.rs` checks of one link (I-1 to I-5): what blocks never stands before somebody else's command; what is
//! sent on a lease is executed on one link, in order, or not at all (I-7: no EXEC without its WATCH); whoever comes next on a link
//! finds it as new; an element that a blocking command did not take is still there; no more links are open than may be. A failure
//! names its seed: `REDWIRE_SEED=n cargo test --test simulate_pool`.

use oorandom::Rand32;
use redwire_core::connection::{Bounds, Config};
use redwire_core::machine::{LeaseId, LinkId, Reason};
use redwire_core::pool::Limits;
use redwire_core::resp::Frame;
use redwire_tests::model::{Fleet, Hello, Options, Outcome, Server, words};
use redwire_tests::wire::bulk;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SEEDS: u64 = 3_000;
const STEPS: u32 = 300;
/// How many may wait for a connection, where that is limited.
const CEILING: u32 = 20;

/// What happened, over all schedules.
#[derive(Debug, Default)]
struct Tally {
    replies: u32,
    unanswered: u32,
    in_doubt: u32,
    never_sent: u32,
    cancels: u32,
    late_cancels: u32,
    cuts: u32,
    leases: u32,
    lost: u32,
    late: u32,
    full: u32,
    popped: u32,
    expired: u32,
    conflicts: u32,
    reused: u32,
    idle: u32,
    shutdowns: u32,
}

/// What a command must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its own text.
    Echo,
    /// Its counter is raised.
    Incr,
    /// The element that was pushed for it, or nothing.
    Blpop,
    /// Whatever says that it was done.
    Change,
    /// Its counter is raised, unless the one that the lease watches was.
    Exec,
    Lease,
}

struct World {
    random: Rand32,
    fleet: Fleet,
    kinds: BTreeMap<u32, Kind>,
    next: u32,
    /// The lease that a slot was sent on.
    users: BTreeMap<u32, LeaseId>,
    /// Leases that are held, and whether CLIENT REPLY silenced them.
    held: Vec<(LeaseId, bool)>,
    bounded: bool,
    limits: Limits,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rand32::new(seed);
        let mut coin = || random.rand_u32() & 1 == 0;
        let hello = if coin() { Hello::Known } else { Hello::Unknown };
        let bounded = coin();
        let limits = Limits {
            max_connections: 2 + u8::from(coin()),
            min_idle: u8::from(coin()),
            max_idle_time: if coin() { 30 } else { 0 },
            pool_timeout: if coin() { 100 } else { 0 },
        };
        let config = Config {
            connect_timeout: 300,
            timeout: 200,
            queue_timeout: 150,
            backoff: (5, 40),
            seed: seed as u32,
            offline: Bounds { commands: if bounded { CEILING } else { 10_000 }, ..Config::default().offline },
            keep_alive: if coin() { 90 } else { 0 },
            tombstone_limit: 300,
            ..Config::default()
        };
        let server = Server::new(Options { hello, setinfo: true, ..Options::default() });
        Self {
            random,
            fleet: Fleet::new(config, limits, server),
            kinds: BTreeMap::new(),
            next: 0,
            users: BTreeMap::new(),
            held: Vec::new(),
            bounded,
            limits,
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
        self.next
    }

    /// Several commands at once, some of which block, for the shared connection.
    fn submit(&mut self) {
        let mut commands = Vec::new();
        for _ in 0..=self.up_to(2) {
            let (kind, line) = match self.random.rand_range(0..6) {
                0 | 1 => (Kind::Echo, "ECHO"),
                2 | 3 => (Kind::Incr, "INCR"),
                _ => (Kind::Blpop, "BLPOP"),
            };
            let slot = self.slot(kind);
            commands.push((
                slot,
                match kind {
                    Kind::Blpop => words(&format!("{line} q{slot} 0")),
                    _ => words(&format!("{line} n{slot}")),
                },
            ));
        }
        let timeout = self.chance(4).then_some(50);
        self.fleet.submit(None, &commands, timeout);
    }

    /// Something on a lease.
    fn use_lease(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.up_to(self.held.len() as u32 - 1);
        let (lease, silent) = self.held[at];
        let kind = match self.random.rand_range(0..11) {
            0 => Kind::Echo,
            1 | 2 => Kind::Incr,
            3 if self.chance(4) => Kind::Blpop,
            4..7 => Kind::Exec,
            _ => Kind::Change,
        };
        let slot = self.slot(kind);
        self.users.insert(slot, lease);
        let line = match kind {
            Kind::Echo => format!("ECHO n{slot}"),
            Kind::Incr => format!("INCR n{slot}"),
            Kind::Blpop => format!("BLPOP q{slot} 0"),
            Kind::Exec => {
                return self.fleet.transaction(Some(lease), slot, &[words(&format!("INCR n{slot}"))]);
            }
            _ => match self.random.rand_range(0..8) {
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
        };
        self.fleet.submit(Some(lease), &[(slot, words(&line))], None);
    }

    fn step(&mut self, tally: &mut Tally) {
        let wires = self.fleet.wires.len() as u32;
        let at = if wires == 0 { 0 } else { self.random.rand_range(0..wires) as usize };
        match self.random.rand_range(0..40) {
            0..2 => self.submit(),
            2..9 => self.use_lease(),
            9 => {
                let slot = self.slot(Kind::Lease);
                self.fleet.lease(slot);
            }
            10 if !self.held.is_empty() => {
                let at = self.up_to(self.held.len() as u32 - 1);
                let (lease, _) = self.held.swap_remove(at);
                self.fleet.release(lease);
            }
            11..16 => {
                let room = self.up_to(400);
                self.fleet.write(at, room);
            }
            16..21 => {
                let (count, give_up) = (self.up_to(400), self.chance(6));
                self.fleet.serve(at, count, give_up);
            }
            21..27 => {
                let count = self.up_to(150);
                self.fleet.read(at, count);
            }
            27..31 => {
                if self.chance(12) {
                    tally.cuts += 1;
                    self.fleet.cut(at);
                } else {
                    self.fleet.open(at);
                }
            }
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
                    let (key, element) = (format!("q{slot}"), format!("e{slot}"));
                    self.fleet.server.store.execute(&[b"RPUSH", key.as_bytes(), element.as_bytes()]);
                }
            }
            37 | 39 => {
                self.fleet.server.store.execute(&[b"INCR", b"w"]);
            }
            38 if self.chance(25) => {
                tally.shutdowns += 1;
                self.held.clear();
                self.fleet.shutdown();
            }
            _ => {}
        }
        self.note_leases();
    }

    /// Holds the leases that were given; one whose asker gave it up meanwhile would be nobody's.
    fn note_leases(&mut self) {
        let known: BTreeSet<u32> = self.users.keys().copied().collect();
        let leased: Vec<(u32, LeaseId)> = self
            .fleet
            .outcomes
            .iter()
            .filter(|(slot, _)| self.kinds[slot] == Kind::Lease && !known.contains(slot))
            .filter_map(|(slot, outcomes)| match outcomes.as_slice() {
                [Outcome::Leased(lease)] => Some((*slot, *lease)),
                _ => None,
            })
            .collect();
        for (slot, lease) in leased {
            self.users.insert(slot, lease);
            self.held.push((lease, false));
        }
    }

    /// What is true at any time.
    fn check_now(&self) {
        let lanes: BTreeSet<u8> = self.fleet.wires.iter().map(|wire| wire.link.lane()).collect();
        assert_eq!(lanes.len(), self.fleet.wires.len(), "a lane has one link");
        assert!(lanes.iter().all(|&lane| lane <= self.limits.max_connections), "{lanes:?}");
        let shared = self.fleet.wires.iter().find(|wire| wire.link.lane() == 0);
        let session = shared.and_then(|wire| wire.session.as_ref());
        assert!(session.is_none_or(|session| !session.is_blocked()), "nothing blocks everybody");
    }

    /// Everything that is left goes well.
    fn finish(&mut self) {
        for (lease, _) in std::mem::take(&mut self.held) {
            self.fleet.release(lease);
        }
        for _ in 0..200 {
            self.fleet.settle();
            self.note_leases();
            for (lease, _) in std::mem::take(&mut self.held) {
                self.fleet.release(lease);
            }
            for at in 0..self.fleet.wires.len() {
                self.fleet.serve(at, 0, true);
            }
            if self.fleet.pool.is_quiet() {
                break;
            }
            self.fleet.advance(10);
        }
        assert!(self.fleet.pool.is_quiet(), "everything settles");
    }

    /// What each link executed.
    fn check_links(&self, tally: &mut Tally) -> BTreeMap<u32, u32> {
        let mut executed: BTreeMap<u32, u32> = BTreeMap::new();
        let mut links_of: BTreeMap<LeaseId, BTreeSet<LinkId>> = BTreeMap::new();
        let live = self.fleet.wires.iter().filter_map(|wire| Some((wire.link, wire.session.as_ref()?)));
        let over = self.fleet.over.iter().map(|(link, session)| (*link, session));
        for (link, session) in over.chain(live) {
            let (mut user, mut last, mut count) = (None, 0, 0);
            for (command, changed) in &session.log {
                let text = |at: usize| command.get(at).map(|word| String::from_utf8_lossy(word).into_owned());
                let (name, key) = (text(0).unwrap_or_default(), text(1).unwrap_or_default());
                let own = key.strip_prefix(['n', 'q']).and_then(|number| number.parse::<u32>().ok());
                let Some(slot) = own.filter(|_| name != "WATCH") else { continue };
                *executed.entry(slot).or_default() += 1;
                let now = self.users.get(&slot);
                // who comes next may have waited for long
                last = if link.lane() != 0 && (now != user || now.is_none()) { 0 } else { last };
                assert!(slot > last, "{slot} was executed after {last} on {link:?}");
                last = slot;
                if let Some(lease) = now {
                    links_of.entry(*lease).or_default().insert(link);
                }
                assert_eq!(link.lane() == 0, now.is_none() && name != "BLPOP", "{slot} is on the right link");
                if count == 0 || now != user || now.is_none() {
                    tally.reused += u32::from(count > 0 && link.lane() != 0);
                    let begun = now.is_some();
                    assert!(!changed || begun, "{slot} found what another had left on {link:?}");
                }
                (user, count) = (now, count + 1);
            }
        }
        for (lease, links) in links_of {
            assert!(links.len() == 1, "{lease:?} was on {links:?}");
        }
        executed
    }

    fn check(&self, tally: &mut Tally) {
        let executed = self.check_links(tally);
        for (slot, kind) in &self.kinds {
            let times = executed.get(slot).copied().unwrap_or_default();
            let store = &self.fleet.server.store;
            let count = store.text(&format!("n{slot}")).map(<[u8]>::to_vec);
            assert!(matches!(count.as_deref(), None | Some(b"1")), "{slot} was executed twice");
            assert!(times <= 1 || *kind == Kind::Echo, "{slot} was executed {times} times");
            let Some(outcome) = self.fleet.outcome(*slot) else {
                unreachable!("{slot} ({kind:?}) never settled")
            };
            match outcome {
                Outcome::Reply(frame) => {
                    tally.replies += 1;
                    match (kind, frame) {
                        (Kind::Echo, frame) => assert_eq!(*frame, bulk(format!("n{slot}"))),
                        (Kind::Incr, frame) => assert_eq!(*frame, Frame::Integer(1)),
                        (Kind::Blpop, Frame::Null) => tally.expired += 1,
                        (Kind::Blpop, frame) => {
                            tally.popped += 1;
                            let own = Frame::Array(vec![bulk(format!("q{slot}")), bulk(format!("e{slot}"))]);
                            assert_eq!(*frame, own);
                        }
                        (Kind::Exec, Frame::Null) => tally.conflicts += 1,
                        (Kind::Exec, frame) => assert_eq!(*frame, Frame::Array(vec![Frame::Integer(1)])),
                        (Kind::Change, frame) => assert_eq!(*frame, Frame::Boolean(true)),
                        (kind, frame) => unreachable!("{slot} ({kind:?}) has {frame:?}"),
                    }
                }
                Outcome::Unanswered => tally.unanswered += 1,
                Outcome::Leased(_) => {
                    tally.leases += 1;
                    assert_eq!(*kind, Kind::Lease);
                }
                Outcome::Cancelled(maybe) => assert!(*maybe || times == 0, "{slot} was executed"),
                Outcome::Failed(failure) => {
                    assert!(failure.maybe_executed || times == 0, "{slot} was executed: {failure:?}");
                    match failure.maybe_executed {
                        true => tally.in_doubt += 1,
                        false => tally.never_sent += 1,
                    }
                    tally.lost += u32::from(failure.reason == Reason::LeaseLost);
                    tally.late += u32::from(failure.reason == Reason::PoolTimeout);
                    tally.full += u32::from(failure.reason == Reason::QueueFull && self.bounded);
                }
            }
        }
        let idle = |(_, reason): &&(LinkId, Reason)| *reason == Reason::Closed;
        tally.idle += self.fleet.closed.iter().filter(idle).count() as u32;
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step(tally);
        world.check_now();
    }
    world.finish();
    world.check(tally);
}

#[test]
fn every_schedule_of_a_pool_keeps_the_promises() {
    let mut tally = Tally::default();
    if let Some(seed) = std::env::var("REDWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed, &mut tally);
    }
    for seed in 0..SEEDS {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| run(seed, &mut tally))) {
            eprintln!("replay with REDWIRE_SEED={seed}");
            resume_unwind(cause);
        }
    }
    println!("{tally:?}");
    let Tally { replies, unanswered, in_doubt, never_sent, cancels, late_cancels, .. } = tally;
    let Tally { cuts, leases, lost, late, full, popped, expired, conflicts, reused, idle, .. } = tally;
    let commands = [replies, unanswered, in_doubt, never_sent, cancels, late_cancels, popped, expired];
    let leased = [leases, lost, late, full, conflicts, reused, idle, cuts, tally.shutdowns];
    assert!(commands.iter().chain(&leased).all(|&count| count > 50), "everything happened: {tally:?}");
}
