//! Thousands of random schedules over a world that fails in every way it can.
//!
//! Every command carries a value of its own. Checked after each step: nobody gets another's reply (I-1); nothing is executed twice that
//! may not be, or without being told (I-2); everything settles exactly once (I-3), at the latest when its time is up though no server
//! ever comes back, for a clock always runs; commands of a link are executed in order (I-4); what is queued and what is read hold no more
//! commands and bytes than they may (I-5); nothing of one link reaches the next (I-7). In the end nothing is left in memory. A failure names its seed: `REDWIRE_SEED=n cargo test --test simulate`.
//! `cargo xtask simulate` runs a million schedules.

use allocation_counter::measure;
use oorandom::Rand32;
use redwire_core::batch::flags;
use redwire_core::connection::{Bounds, Config, Credentials};
use redwire_core::machine::{Machine, Reason};
use redwire_core::resp::{Frame, Limits};
use redwire_tests::model::{Hello, Options, Outcome, Pair, Server, Words, words};
use redwire_tests::schedules::run_all;
use redwire_tests::tally;
use redwire_tests::wire::bulk;
use std::collections::{BTreeMap, BTreeSet};

const STEPS: u32 = 250;
/// How often a command may be sent again.
const RESENDS: u8 = 2;
/// How many commands may be on their way at most, where that is limited; a transaction counts as four.
const CEILING: u32 = 9;

/// How many bytes may be to be sent at most, where that is limited.
const UNSENT: u32 = 300;
/// What texts of a reply may have, where that is limited: more than most, and less than the largest.
const TEXT: usize = 200;
/// What is not done with, of a reply whose texts come in parts.
const PART: usize = 100;

/// What an idle connection holds in memory at most, though a schedule may have filled it: bytes.
const IDLE: i64 = 64 << 10;
/// How errors of a server begin that executed nothing.
const REFUSALS: [&[u8]; 4] = [b"LOADING ", b"READONLY ", b"NOAUTH ", b"EXECABORT "];

tally! {
    replies, cuts, refusals, timeouts, never_sent, in_doubt, cancels, late_cancels, pushes, stale,
    shutdowns, resp2, restarts, retries, resent, survivors, rests, wrong_passwords, deserted, late,
    full, dropped, high, pings, silent, refused, told, distrusted, renewed, stalls, oversized, crowded,
}

/// What a command must come to.
enum Expected {
    Value(Frame),
    /// The counter of this slot was raised.
    Counted,
    /// The same, as often as it was sent.
    Repeated,
    /// A transaction of both.
    Both(Frame),
}

struct World {
    random: Rand32,
    pair: Pair,
    expected: BTreeMap<u32, Expected>,
    /// Slots that did not settle yet.
    open: BTreeSet<u32>,
    /// Slots that settled as never executed.
    never: BTreeSet<u32>,
    next: u32,
    /// How many commands of the server's log were checked.
    logged: usize,
    /// The highest slot that was executed, per link in order of links.
    last: u32,
    /// How often each slot's first command was executed.
    executed: BTreeMap<u32, u32>,
    /// The server is away: every link is refused.
    down: bool,
    /// The server's password when all is well.
    password: Option<&'static str>,
    /// How many commands may wait.
    ceiling: u32,
    /// How many bytes may be to be sent.
    unsent: u64,
    drop_oldest: bool,
    limits: Limits,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rand32::new(seed);
        let mut coin = || random.rand_u32() & 1 == 0;
        let hello = if coin() { Hello::Known } else { Hello::Unknown };
        let password = coin().then_some("secret");
        let server = Server::new(Options { hello, password, setinfo: coin(), ..Options::default() });
        let credentials = password.map(credentials);
        let limits = Limits {
            whole: if coin() { 8 } else { 64 << 10 },
            bulk: if coin() { TEXT as u64 } else { Limits::default().bulk },
            ..Limits::default()
        };
        let (bounded, drop_oldest, unqueued) = (coin(), coin(), coin() && coin() && coin());
        let slim = coin();
        let bytes = if slim { UNSENT } else { u32::MAX };
        let holds_back = coin();
        let offline = if bounded { 7 } else { 10_000 } * u32::from(!unqueued);
        let config = Config {
            credentials,
            limits,
            database: u32::from(coin()),
            connect_timeout: 300,
            timeout: 200,
            queue_timeout: 150,
            backoff: (5, 40),
            resends: RESENDS,
            seed: seed as u32,
            offline: Bounds { commands: offline, bytes },
            high_water: Bounds { commands: if bounded { CEILING } else { u32::MAX }, bytes },
            holds_back,
            drop_oldest,
            keep_alive: 90,
            tombstone_limit: 300,
            ..Config::default()
        };
        Self {
            random,
            pair: Pair::new(config, server),
            expected: BTreeMap::new(),
            open: BTreeSet::new(),
            never: BTreeSet::new(),
            next: 0,
            logged: 0,
            last: 0,
            executed: BTreeMap::new(),
            down: false,
            password,
            ceiling: match bounded {
                true if holds_back => CEILING + offline,
                true => CEILING,
                false => u32::MAX,
            },
            unsent: u64::from(bytes) << u32::from(holds_back),
            drop_oldest,
            limits,
        }
    }

    fn chance(&mut self, of: u32) -> bool {
        self.random.rand_range(0..of) == 0
    }

    fn up_to(&mut self, count: u32) -> usize {
        self.random.rand_range(0..count + 1) as usize
    }

    fn submit(&mut self, tally: &mut Tally) {
        self.next += 1;
        let slot = self.next;
        let size = if self.chance(10) { TEXT + self.up_to(20) } else { self.up_to(20) };
        let own = format!("{slot}-{}", "x".repeat(size));
        let unsent = self.pair.peer.connection.unsent();
        let (echo, incr) = (words(&format!("ECHO {own}")), words(&format!("INCR n{slot}")));
        let peer = &mut self.pair.peer;
        let timeout = match self.random.rand_range(0..4) {
            0 => Some(self.random.rand_range(1..100)),
            1 => Some(0),
            _ => None,
        };
        let mut plain = |args: &Words| peer.submit_with(slot, 0, timeout, args);
        let expected = match self.random.rand_range(0..7) {
            6 => {
                peer.submit_with(slot, flags::IDEMPOTENT, timeout, &incr);
                Expected::Repeated
            }
            0 | 1 => {
                plain(&echo);
                Expected::Value(bulk(&own))
            }
            2 => {
                plain(&incr);
                Expected::Counted
            }
            3 => {
                self.pair.server.store.execute(&[b"HSET", own.as_bytes(), b"own", own.as_bytes()]);
                plain(&words(&format!("HGETALL {own}")));
                Expected::Value(Frame::Map(vec![(bulk("own"), bulk(&own))]))
            }
            4 => {
                peer.submit_external(slot, &words(&format!("ECHO {own}")), 1);
                Expected::Value(bulk(&own))
            }
            _ => {
                peer.transaction(slot, &[echo, incr]);
                Expected::Both(bulk(&own))
            }
        };
        self.expected.insert(slot, expected);
        self.open.insert(slot);
        let now = self.pair.peer.connection.unsent();
        // what a lost link left to be sent again was accepted before
        assert!(now <= unsent.max(self.unsent), "{now} bytes are to be sent, {unsent} were");
        tally.crowded += u32::from(self.unsent < u32::MAX.into() && self.pair.peer.outcome(slot).is_some());
    }

    fn step(&mut self, tally: &mut Tally) {
        match self.random.rand_range(0..45) {
            0..8 => self.submit(tally),
            8..14 => drop({
                let room = self.up_to(150);
                self.pair.write(room)
            }),
            14..20 => drop({
                let count = self.up_to(200);
                self.pair.serve(count)
            }),
            20..27 => drop({
                let count = self.up_to(150);
                self.pair.read(count)
            }),
            27..31 => self.link(tally),
            31 => {
                if self.pair.is_open() && self.chance(2) {
                    tally.cuts += 1;
                    self.pair.cut();
                }
            }
            39 => self.restart(tally),
            32 | 33 => {
                let milliseconds = self.random.rand_range(0..80);
                if self.chance(10) {
                    tally.stalls += 1;
                    self.pair.peer.stall(milliseconds as u64 * 10);
                } else {
                    self.pair.peer.advance(milliseconds.into());
                }
            }
            34 | 35 => {
                let slot = self.random.rand_range(0..self.next + 1);
                match self.pair.peer.cancel(slot) {
                    Some(true) => tally.late_cancels += 1,
                    Some(false) => tally.cancels += 1,
                    None => {}
                }
            }
            36 | 37 => self.push(tally),
            38 => self.stale(tally),
            41 | 42 => self.refuse(),
            43 => self.renew(tally),
            44 => {
                if self.pair.is_opening() && self.chance(9) {
                    tally.distrusted += 1;
                    self.pair.peer.distrust();
                }
            }
            _ => {
                if self.chance(20) {
                    tally.shutdowns += 1;
                    self.pair.peer.shutdown();
                }
            }
        }
    }

    fn link(&mut self, tally: &mut Tally) {
        if !self.pair.is_opening() {
        } else if self.down || self.chance(5) {
            tally.refusals += 1;
            self.pair.cut();
        } else {
            self.pair.open();
        }
    }

    /// The server goes away or comes back, with another password now and then.
    fn restart(&mut self, tally: &mut Tally) {
        if !self.down && !self.chance(4) {
            return;
        }
        self.down = !self.down;
        if !self.down {
            let wrong = self.password.is_some() && self.chance(4);
            self.pair.server.options.password = if wrong { Some("another") } else { self.password };
        } else if self.pair.is_open() {
            tally.restarts += 1;
            self.pair.cut();
        }
    }

    /// The server changes its mind about what it executes.
    fn refuse(&mut self) {
        let what = self.random.rand_range(0..9);
        self.pair.server.refuse(what);
    }

    /// The client has new credentials, which may be wrong.
    fn renew(&mut self, tally: &mut Tally) {
        if let Some(password) = self.password
            && self.chance(3)
        {
            tally.renewed += 1;
            let wrong = self.chance(6);
            self.pair.peer.connection.authenticate(credentials(if wrong { "wrong" } else { password }));
        }
    }

    /// A push stands between replies: before the first one that did not begin to be read.
    fn push(&mut self, tally: &mut Tally) {
        if self.pair.is_open()
            && self.pair.replies.is_empty()
            && self.pair.peer.connection.server().protocol == 3
        {
            tally.pushes += 1;
            self.pair.replies.extend(b">2\r\n+invalidate\r\n*1\r\n$3\r\nkey\r\n");
        }
    }

    /// Something of a link that is over.
    fn stale(&mut self, tally: &mut Tally) {
        let peer = &mut self.pair.peer;
        let Some(old) = peer.links.iter().rev().nth(1).copied() else { return };
        tally.stale += 1;
        match self.random.rand_range(0..4) {
            0 => drop(peer.connection.handle_bytes(peer.now, old, b"$5\r\nstale\r\n", &mut peer.caller)),
            1 => peer.connection.handle_closed(peer.now, old),
            2 => peer.connection.handle_open(peer.now, old),
            _ => peer.connection.handle_transmitted(old, 7),
        }
        assert_eq!(peer.connection.poll_transmit(old), None);
    }

    /// Everything that is left goes well, or the server never comes back.
    fn finish(&mut self, tally: &mut Tally) {
        self.pair.server.options.password = self.password;
        (self.pair.server.options.loading, self.pair.server.options.replica) = (false, false);
        if let Some(password) = self.password {
            self.pair.peer.connection.authenticate(credentials(password));
        }
        let deserted = self.chance(4);
        tally.deserted += u32::from(deserted && !self.pair.peer.connection.is_quiet());
        for _ in 0..200 {
            if !deserted {
                self.pair.settle();
            } else if self.pair.peer.is_linked() {
                self.pair.cut();
            }
            if self.pair.peer.connection.is_quiet() {
                break;
            }
            self.pair.peer.advance(10);
        }
        assert!(self.pair.peer.connection.is_quiet(), "everything settles");
    }

    /// No more waits than may, and not for ever.
    fn check_bounds(&self) {
        let Self { pair: Pair { peer, .. }, .. } = self;
        let waiting = self.expected.len() - peer.caller.outcomes.len();
        assert!(waiting <= self.ceiling as usize, "{waiting} wait");
        let part = self.limits.whole.max(PART);
        assert!(peer.unread() <= part, "{} bytes are not done with", peer.unread());
        let next = peer.connection.poll_timeout();
        assert!(peer.connection.is_quiet() || next.is_some(), "nobody looks after what waits");
        assert!(next.is_none_or(|at| at > peer.now), "what is due is done");
    }

    fn check_order(&mut self, tally: &mut Tally) {
        // commands are told apart by the number that they carry
        for at in self.logged..self.pair.server.log.len() {
            if self.pair.begun.contains(&at) {
                self.last = 0;
            }
            let command = &self.pair.server.log[at];
            if command[0] == b"PING" {
                tally.pings += 1;
                continue;
            }
            let own = String::from_utf8_lossy(&command[1]);
            let number = own.trim_start_matches('n').split('-').next().and_then(|text| text.parse().ok());
            let slot: u32 = number.expect("a command carries its slot");
            assert!(slot >= self.last, "{slot} was executed after {}", self.last);
            if slot > self.last {
                let times = self.executed.entry(slot).or_default();
                *times += 1;
                tally.resent += u32::from(*times > 1);
                let allowed = match &self.expected[&slot] {
                    Expected::Counted | Expected::Both(_) => 1,
                    Expected::Value(_) | Expected::Repeated => 1 + u32::from(RESENDS),
                };
                assert!(*times <= allowed, "{slot} was executed {times} times");
                assert!(
                    !self.never.contains(&slot),
                    "{slot} was executed though its caller was told otherwise"
                );
            }
            self.last = slot;
        }
        self.logged = self.pair.server.log.len();
    }

    /// Checks what settled since the last time.
    fn check_settled(&mut self, tally: &mut Tally) {
        let settled = |slot: &&u32| self.pair.peer.outcome(**slot).is_some();
        let settled: Vec<u32> = self.open.iter().filter(settled).copied().collect();
        for slot in settled {
            self.open.remove(&slot);
            self.check(slot, tally);
            let unexecuted = match self.pair.peer.outcome(slot) {
                Some(Outcome::Failed(failure)) => !failure.maybe_executed,
                Some(Outcome::Cancelled(executed)) => !executed,
                _ => false,
            };
            if unexecuted {
                self.never.insert(slot);
            }
        }
    }

    fn check(&self, slot: u32, tally: &mut Tally) {
        let expected = &self.expected[&slot];
        let count = self.pair.server.store.text(&format!("n{slot}"));
        let repeated = matches!(expected, Expected::Repeated);
        assert!(repeated || matches!(count, None | Some(b"1")), "{slot} was executed twice");
        let counts = matches!(expected, Expected::Counted | Expected::Both(_) | Expected::Repeated);
        let times = self.executed.get(&slot).copied().unwrap_or_default();
        match self.pair.peer.outcome(slot).unwrap_or_else(|| unreachable!("{slot} never settled")) {
            Outcome::Reply(Frame::Error(text)) => {
                tally.told += 1;
                assert!(REFUSALS.iter().any(|code| text.starts_with(code)), "{slot}: {text:?}");
                assert!(repeated || count.is_none(), "{slot} was executed");
            }
            Outcome::Reply(frame) => {
                tally.replies += 1;
                let own = match expected {
                    Expected::Value(own) => own.clone(),
                    Expected::Counted => Frame::Integer(1),
                    Expected::Repeated => Frame::Integer(times.into()),
                    Expected::Both(own) => Frame::Array(vec![own.clone(), Frame::Integer(1)]),
                };
                assert_eq!(*frame, own, "{slot} has its own reply");
                tally.survivors += u32::from(times > 1);
                assert_eq!(count.is_some(), counts);
            }
            Outcome::Unanswered | Outcome::Leased(_) => unreachable!("{slot} is no lease's"),
            Outcome::Cancelled(executed) => assert!(*executed || count.is_none(), "{slot} was executed"),
            Outcome::Failed(failure) => {
                assert!(failure.maybe_executed || count.is_none(), "{slot} was executed");
                match failure.maybe_executed {
                    true => tally.in_doubt += 1,
                    false => tally.never_sent += 1,
                }
                let expected = [
                    Reason::Timeout,
                    Reason::ConnectTimeout,
                    Reason::Refused,
                    Reason::Dropped,
                    Reason::HungUp,
                    Reason::Closed,
                    Reason::QueueTimeout,
                    Reason::Authentication,
                    Reason::QueueFull,
                    Reason::HighWater,
                    Reason::Silent,
                    Reason::Demoted,
                    Reason::Loading,
                    Reason::Unauthenticated,
                    Reason::Untrusted,
                ];
                let oversized = matches!(failure.reason, Reason::Protocol(_));
                assert!(
                    if oversized {
                        self.limits.bulk == TEXT as u64
                    } else {
                        expected.contains(&failure.reason)
                    },
                    "{slot}: {failure:?}"
                );
                tally.oversized += u32::from(oversized);
                tally.timeouts += u32::from(failure.reason == Reason::Timeout);
                let full = failure.reason == Reason::QueueFull;
                tally.full += u32::from(full && !self.drop_oldest);
                tally.dropped += u32::from(full && self.drop_oldest);
                tally.high += u32::from(failure.reason == Reason::HighWater);
                let late = [Reason::QueueTimeout, Reason::Refused, Reason::ConnectTimeout];
                tally.late += u32::from(late.contains(&failure.reason) && !failure.maybe_executed);
            }
        }
    }
}

fn credentials(password: &str) -> Credentials {
    Credentials { username: None, password: password.as_bytes().to_vec() }
}

fn simulate(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step(tally);
        world.check_order(tally);
        world.check_settled(tally);
        world.check_bounds();
    }
    world.finish(tally);
    world.check_order(tally);
    world.check_settled(tally);
    assert!(world.open.is_empty(), "{:?} never settled", world.open);
    let peer = &world.pair.peer;
    // none of them twice
    assert!(world.expected.keys().all(|slot| peer.outcome(*slot).is_some()));
    assert_eq!((peer.connection.pending(peer.now).count(), peer.connection.unsent()), (0, 0));
    tally.rests += peer.rests;
    tally.retries += peer.links.len().saturating_sub(1) as u32;
    let ended =
        |reasons: &[Reason]| peer.closed.iter().filter(|(_, why)| reasons.contains(why)).count() as u32;
    tally.silent += ended(&[Reason::Silent]);
    tally.wrong_passwords += ended(&[Reason::Authentication]);
    tally.refused += ended(&[Reason::Demoted, Reason::Loading, Reason::Unauthenticated]);
    tally.resp2 += u32::from(peer.connection.server().protocol == 2);
    let idle = measure(|| drop(world.pair.peer.connection));
    assert!(-idle.bytes_current < IDLE, "an idle connection holds {} bytes", -idle.bytes_current);
}

/// Runs one schedule; nothing of it may be left in memory.
fn run(seed: u64, tally: &mut Tally) {
    let memory = measure(|| simulate(seed, tally));
    assert_eq!((memory.bytes_current, memory.count_current), (0, 0), "everything was given back");
}

#[test]
fn every_schedule_keeps_the_promises() {
    run_all(10_000, run);
}
