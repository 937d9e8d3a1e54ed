//! Thousands of random schedules of a pool that keeps replies, whose leases read and write too.
//!
//! Every value is a counter's, which never goes back. Checked: what is read, on a lease or not, is never older than what the shared link
//! had told of the key, or than a write of the client's own that was settled, when it was asked for (I-8); and a transaction that
//! succeeds raises what was read behind its WATCH, so no update is lost. A failure names its seed: `REDWIRE_SEED=n cargo test --test
//! cache_leases`.

use oorandom::Rand32;
use redwire_core::batch::flags;
use redwire_core::cache::{Caching, Tracking};
use redwire_core::connection::Config;
use redwire_core::machine::LeaseId;
use redwire_core::pool::Limits;
use redwire_core::resp::Frame;
use redwire_tests::model::{Fleet, Options, Outcome, Reaction, Server, Store, Words, requests, words};
use redwire_tests::schedules::run_all;
use redwire_tests::tally;
use std::collections::{BTreeMap, VecDeque};

const STEPS: u32 = 400;
const KEYS: u32 = 4;

tally! {
    reads > 50_000, leased_reads > 50_000, hits > 5_000, leased_hits > 2_000, writes > 1_000, own_writes > 1_000, updates > 1_000,
    conflicts, scripts > 1_000, cuts > 1_000, cancels, leases > 1_000, invalidations > 1_000,
}

/// What a slot was for.
enum Asked {
    /// What the keys had been at least, and whether it was on a lease.
    Read(Vec<(u32, i64)>, bool),
    Raised(u32),
    Lease,
    /// What the key is, behind a WATCH on a lease.
    Watched(u32, LeaseId),
    /// EXEC of a transaction that raises a key, which was so much.
    Updated(u32, i64, LeaseId),
    Nothing,
}

struct World {
    random: Rand32,
    fleet: Fleet,
    next: u32,
    asked: BTreeMap<u32, Asked>,
    leases: Vec<LeaseId>,
    /// Those that are at a transaction: one at a time, since any EXEC ends every WATCH.
    watching: Vec<LeaseId>,
    /// What each key is at least, for all that the client was told.
    least: Vec<i64>,
    /// The same, at a place in what the server wrote on the shared link that the client did not read yet.
    told: VecDeque<(usize, u32, i64)>,
    /// How many bytes of it the client has read.
    heard: usize,
}

fn key(number: u32) -> String {
    format!("key:{number}")
}

fn number(reply: &Frame) -> i64 {
    match reply {
        Frame::Bulk(text) => {
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).expect("a counter")
        }
        Frame::Integer(value) => *value,
        _ => 0,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rand32::new(seed);
        let tracking = match random.rand_range(0..4) {
            0 => Tracking::OptIn,
            1 => Tracking::Broadcast(vec![b"key:0".to_vec(), b"key:1".to_vec()]),
            _ => Tracking::Default,
        };
        let config = Config {
            library: None,
            keep_alive: 0,
            tombstone_limit: 0,
            backoff: (1, 4),
            timeout: 400,
            seed: seed as u32,
            cache: Some(Caching { tracking, ..Caching::default() }),
            ..Config::default()
        };
        let limits = Limits { max_connections: 2, ..Limits::default() };
        let server = Server::new(Options { setinfo: true, ..Options::default() });
        let mut fleet = Fleet::new(config, limits, server);
        fleet.pool.connect(fleet.now);
        Self {
            random,
            fleet,
            next: 0,
            asked: BTreeMap::new(),
            leases: Vec::new(),
            watching: Vec::new(),
            least: vec![0; KEYS as usize],
            told: VecDeque::new(),
            heard: 0,
        }
    }

    fn slot(&mut self, asked: Asked) -> u32 {
        self.next += 1;
        self.asked.insert(self.next, asked);
        self.next
    }

    fn any(&mut self, count: usize) -> usize {
        self.random.rand_range(0..count.max(1) as u32) as usize
    }

    fn submit(&mut self, lease: Option<LeaseId>, slot: u32, line: &str) {
        let batch = requests::commands(&[(slot, words(line))], flags::CACHED, None);
        self.fleet.react(Reaction::Submit(lease, batch));
    }

    fn read(&mut self, lease: Option<LeaseId>) {
        let keys = [self.any(KEYS as usize) as u32, self.any(KEYS as usize) as u32];
        let keys = &keys[..1 + self.any(2)];
        let least = keys.iter().map(|&number| (number, self.least[number as usize])).collect();
        let slot = self.slot(Asked::Read(least, lease.is_some()));
        let named: Vec<_> = keys.iter().map(|&number| key(number)).collect();
        self.submit(
            lease,
            slot,
            &format!("{} {}", if keys.len() == 1 { "GET" } else { "MGET" }, named.join(" ")),
        );
    }

    fn raise(&mut self, lease: Option<LeaseId>) {
        let number = self.any(KEYS as usize) as u32;
        let slot = self.slot(Asked::Raised(number));
        self.submit(lease, slot, &format!("INCR {}", key(number)));
    }

    /// Has a script or a function raise a key that it does not declare, alone or in a transaction.
    fn raise_by_script(&mut self, lease: LeaseId) {
        let (number, other) = (self.any(KEYS as usize) as u32, self.any(KEYS as usize) as u32);
        let slot = self.slot(Asked::Raised(number));
        let mut script: Words = match self.any(2) {
            0 => vec![b"EVAL".to_vec(), Store::RAISE.to_vec()],
            _ => words("FCALL raise"),
        };
        script.extend(match self.any(2) {
            0 => words(&format!("0 {}", key(number))),
            _ => words(&format!("1 {} {}", key(other), key(number))),
        });
        match self.any(2) {
            0 => self.fleet.submit(Some(lease), &[(slot, script)], None),
            _ => self.fleet.transaction(Some(lease), slot, &[script]),
        }
    }

    fn shared(&self) -> Option<usize> {
        self.fleet.wires.iter().position(|wire| wire.link.lane() == 0)
    }

    fn hits(&self) -> u32 {
        self.fleet.pool.shared().cache_stats().hits as u32
    }

    fn values(&self) -> Vec<i64> {
        let store = &self.fleet.server.store;
        let value =
            |number| store.text(&key(number)).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        (0..KEYS).map(|number| value(number).unwrap_or(0)).collect()
    }

    /// Lets the server go on with the link at `at`; the shared link is told of what is written on others.
    fn serve(&mut self, at: usize, count: usize) {
        let before = self.values();
        self.fleet.serve(at, count, false);
        self.tell(&before, Some(at));
    }

    fn tell(&mut self, before: &[i64], by: Option<usize>) {
        let Some(shared) = self.shared() else { return };
        let now = self.values();
        for (number, value) in now.iter().enumerate() {
            if *value != before[number] && by != Some(shared) {
                self.fleet.tell(shared, &words(&format!("INCR {}", key(number as u32))));
            }
        }
        // once the client has read so far, it must not give anything older
        let end = self.heard + self.fleet.unread(shared);
        self.told.extend(now.iter().enumerate().map(|(number, &value)| (end, number as u32, value)));
    }

    fn hear(&mut self, at: usize, count: usize) {
        let shared = self.shared() == Some(at);
        let count = self.fleet.read(at, count);
        if !shared {
            return;
        }
        self.heard += count;
        while let Some(&(_, number, value)) = self.told.front().filter(|(at, ..)| *at <= self.heard) {
            let least = &mut self.least[number as usize];
            *least = value.max(*least);
            self.told.pop_front();
        }
    }

    fn step(&mut self, tally: &mut Tally) {
        let lease = self.any(self.leases.len());
        let lease = self.leases.get(lease).copied();
        let at = self.any(self.fleet.wires.len());
        let link = self.shared().map(|at| self.fleet.wires[at].link);
        match self.random.rand_range(0..48) {
            0..5 => self.read(None),
            5..11 if lease.is_some() => {
                let before = self.hits();
                self.read(lease);
                tally.leased_hits += self.hits() - before;
            }
            11 => self.raise(None),
            12 if lease.is_some() => self.raise(lease),
            13 if let Some(lease) = lease.filter(|lease| !self.watching.contains(lease)) => {
                self.watching.push(lease);
                let number = self.any(KEYS as usize) as u32;
                let watch = self.slot(Asked::Nothing);
                self.submit(Some(lease), watch, &format!("WATCH {}", key(number)));
                let read = self.slot(Asked::Watched(number, lease));
                self.submit(Some(lease), read, &format!("GET {}", key(number)));
            }
            14 => {
                let (before, number) = (self.values(), self.any(KEYS as usize) as u32);
                tally.writes += 1;
                self.fleet.server.store.execute(&[b"INCR", key(number).as_bytes()]);
                self.tell(&before, None);
            }
            15 if let Some(lease) = lease.filter(|lease| !self.watching.contains(lease))
                && self.random.rand_range(0..3) == 0 =>
            {
                tally.scripts += 1;
                self.raise_by_script(lease);
            }
            16 if self.leases.len() < 2 => {
                let slot = self.slot(Asked::Lease);
                self.fleet.lease(slot);
            }
            17 if self.random.rand_range(0..8) == 0 && !self.leases.is_empty() => {
                let lease = self.leases.swap_remove(0);
                self.fleet.release(lease);
            }
            18 if self.random.rand_range(0..10) == 0 => {
                tally.cuts += 1;
                self.fleet.cut(at);
            }
            19 if self.random.rand_range(0..4) == 0 => {
                let slot = self.any(self.next as usize + 1) as u32;
                // without its WATCH a transaction is another
                if !matches!(self.asked.get(&slot), Some(Asked::Nothing)) {
                    tally.cancels += u32::from(self.fleet.cancel(slot).is_some());
                }
            }
            20 => self.fleet.advance(u64::from(self.random.rand_range(0..20))),
            21..30 => drop(self.fleet.write(at, self.random.rand_range(0..300) as usize)),
            30..39 => {
                let count = self.random.rand_range(0..300) as usize;
                self.serve(at, count);
            }
            _ => {
                let count = self.random.rand_range(0..200) as usize;
                self.hear(at, count);
            }
        }
        for at in 0..self.fleet.wires.len() {
            self.fleet.open(at);
        }
        if link != self.shared().map(|at| self.fleet.wires[at].link) {
            (self.heard, self.told) = (0, VecDeque::new());
        }
        self.check(tally);
    }

    fn learn(&mut self, number: u32, value: i64) {
        let least = &mut self.least[number as usize];
        *least = value.max(*least);
    }

    /// Checks what was settled since the last time.
    fn check(&mut self, tally: &mut Tally) {
        for (slot, outcomes) in core::mem::take(&mut self.fleet.outcomes) {
            assert_eq!(outcomes.len(), 1, "{slot} settles once");
            let asked = self.asked.remove(&slot).expect("it was asked for");
            match (&outcomes[0], asked) {
                (Outcome::Leased(lease), Asked::Lease) => {
                    tally.leases += 1;
                    self.leases.push(*lease);
                }
                (Outcome::Reply(reply), Asked::Read(keys, leased)) => {
                    let values = if let Frame::Array(items) = reply {
                        items.as_slice()
                    } else {
                        std::slice::from_ref(reply)
                    };
                    for (value, (key, least)) in values.iter().zip(keys) {
                        let value = number(value);
                        assert!(
                            value >= least,
                            "{slot}: key {key} is {value}, and was {least} when it was asked for (leased: {leased})"
                        );
                        *(if leased { &mut tally.leased_reads } else { &mut tally.reads }) += 1;
                    }
                }
                (Outcome::Reply(reply), Asked::Raised(key)) => {
                    tally.own_writes += 1;
                    let reply = if let Frame::Array(items) = reply { &items[0] } else { reply };
                    self.learn(key, number(reply));
                }
                (Outcome::Reply(reply), Asked::Watched(watched, lease)) => {
                    let exec = self.slot(Asked::Updated(watched, number(reply), lease));
                    self.fleet.transaction(Some(lease), exec, &[words(&format!("INCR {}", key(watched)))]);
                }
                (Outcome::Reply(Frame::Array(items)), Asked::Updated(key, read, lease)) => {
                    let [Frame::Integer(value)] = items.as_slice() else { unreachable!("{items:?}") };
                    assert_eq!(*value, read + 1, "{slot}: key {key} was {read} behind its WATCH");
                    self.watching.retain(|other| *other != lease);
                    tally.updates += 1;
                    self.learn(key, *value);
                }
                (Outcome::Reply(Frame::Null), Asked::Updated(_, _, lease)) => {
                    self.watching.retain(|other| *other != lease);
                    tally.conflicts += 1;
                }
                _ => {}
            }
        }
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step(tally);
    }
    tally.hits += world.hits();
    tally.invalidations += world.fleet.pool.shared().cache_stats().invalidations as u32;
}

#[test]
fn no_schedule_gives_what_the_client_could_know_to_be_outdated_and_no_update_is_lost() {
    run_all(4_000, run);
}
