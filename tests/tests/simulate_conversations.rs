//! Random schedules of conversations on one connection: calls of scripts that the server forgets at any time, and locks that are taken,
//! extended, numbered and given back; links are cut at any byte, and callers give up at any step.
//!
//! Checked: every caller is answered exactly once, with what its own script gives; no script runs twice, nor without whoever asked being told that it
//! may have; what ended holds no memory. A failure names its seed: `REDWIRE_SEED=n cargo test --test simulate_conversations`.

use oorandom::Rand32;
use redwire_core::connection::{Config, Connection};
use redwire_core::operation::{Conversations, Script, kind};
use redwire_core::resp::Frame;
use redwire_tests::model::{Hello, Options, Outcome, Pair, Server, Store};
use redwire_tests::schedules::run_all;
use redwire_tests::tally;
use redwire_tests::wire::bulk;
use std::mem;

const STEPS: u32 = 500;
/// How many talk at once.
const SLOTS: u32 = 12;

tally! {
    called, held, taken, given_back, numbers, echoes, in_doubt, never_sent > 20, cancelled, late_cancels, cuts, flushes,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// The text of a script's argument, which is the number of the call.
    Call(u32),
    /// A number.
    Lock(u16),
    /// The text of a plain command, likewise.
    Echo(u32),
}

struct World {
    random: Rand32,
    pair: Pair,
    script: Script,
    /// Who talks, by slot; slots are used again.
    asked: [Option<Ask>; SLOTS as usize],
    next: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rand32::new(seed);
        let hello = if random.rand_u32() & 1 == 0 { Hello::Known } else { Hello::Unknown };
        let config = Config {
            connect_timeout: 300,
            timeout: 200,
            queue_timeout: 150,
            backoff: (2, 20),
            seed: seed as u32,
            ..Config::default()
        };
        let server = Server::new(Options { hello, setinfo: true, ..Options::default() });
        let script = Script::new(Store::COUNT);
        Self { random, pair: Pair::new(config, server), script, asked: [None; SLOTS as usize], next: 0 }
    }

    fn up_to(&mut self, count: u32) -> u32 {
        self.random.rand_range(0..count + 1)
    }

    fn chance(&mut self, of: u32) -> bool {
        self.random.rand_range(0..of) == 0
    }

    fn step(&mut self, tally: &mut Tally) {
        match self.up_to(19) {
            0..=4 => self.ask(),
            5 if self.chance(2) => self.give_up(tally),
            6 if self.chance(4) && self.pair.is_open() => {
                self.pair.cut();
                tally.cuts += 1;
            }
            7 => {
                self.pair.server.store.execute(&[b"SCRIPT", b"FLUSH"]);
                tally.flushes += 1;
            }
            8 if self.chance(3) => {
                let time = self.up_to(40).into();
                self.pair.peer.advance(time);
                self.pair.server.store.now += time;
            }
            9 if self.pair.is_opening() => self.pair.open(),
            _ => {
                let [write, serve, read] = [120, 120, 60].map(|count| self.up_to(count) as usize);
                self.pair.write(write);
                self.pair.serve(serve);
                self.pair.read(read);
            }
        }
        self.settle(tally);
    }

    fn ask(&mut self) {
        let slot = self.up_to(SLOTS - 1);
        if self.asked[slot as usize].is_some() {
            return;
        }
        self.next += 1;
        let (number, random) = (self.next, self.random.rand_u32());
        let wait = self.up_to(60);
        let peer = &mut self.pair.peer;
        let asked = match random % 8 {
            0 => {
                peer.submit(slot, &format!("ECHO {number}"));
                Ask::Echo(number)
            }
            1 => {
                peer.operate(slot, kind::ACQUIRE, &format!("lock {number} 50 5 {wait} {random}"));
                Ask::Lock(kind::ACQUIRE)
            }
            2..=4 => {
                let kind = [kind::RELEASE, kind::EXTEND, kind::FENCE][random as usize % 8 - 2];
                let token =
                    self.pair.server.store.text("lock").map_or("none".into(), String::from_utf8_lossy);
                let more = if kind == kind::EXTEND { " 20" } else { "" };
                let line = format!("lock {token}{more}");
                self.pair.peer.operate(slot, kind, &line);
                Ask::Lock(kind)
            }
            // it is told the text each time, and each call has its own
            _ => {
                peer.call(slot, &self.script, &format!("1 calls:{number} {number}"));
                peer.connection.forget();
                Ask::Call(number)
            }
        };
        self.asked[slot as usize] = Some(asked);
    }

    fn give_up(&mut self, tally: &mut Tally) {
        let slot = self.up_to(SLOTS - 1);
        if self.asked[slot as usize].is_some() {
            match self.pair.peer.cancel(slot) {
                None => {}
                Some(false) => tally.cancelled += 1,
                Some(true) => tally.late_cancels += 1,
            }
        }
    }

    /// Takes what was answered, and frees the slots.
    fn settle(&mut self, tally: &mut Tally) {
        for slot in 0..SLOTS {
            let Some(asked) = self.asked[slot as usize] else {
                assert!(!self.pair.peer.caller.outcomes.contains_key(&slot), "nobody asked in {slot}");
                continue;
            };
            let Some(outcome) = self.pair.peer.outcome(slot).cloned() else { continue };
            self.pair.peer.caller.outcomes.remove(&slot);
            self.asked[slot as usize] = None;
            self.check(asked, &outcome, tally);
        }
    }

    fn check(&mut self, asked: Ask, outcome: &Outcome, tally: &mut Tally) {
        let maybe_executed = match outcome {
            Outcome::Reply(_) => true,
            Outcome::Failed(failure) => failure.maybe_executed,
            Outcome::Cancelled(executed) => *executed,
            other => unreachable!("{other:?}"),
        };
        if let Outcome::Failed(_) = outcome {
            *(if maybe_executed { &mut tally.in_doubt } else { &mut tally.never_sent }) += 1;
        }
        match (asked, outcome) {
            (Ask::Call(number), outcome) => {
                let runs = self.pair.server.store.writes(format!("calls:{number}").as_bytes());
                assert!(runs <= u32::from(maybe_executed), "{number} ran {runs} times: {outcome:?}");
                if let Outcome::Reply(reply) = outcome {
                    assert_eq!((reply, runs), (&bulk(number.to_string().as_bytes()), 1));
                    tally.called += 1;
                }
            }
            (Ask::Echo(number), Outcome::Reply(reply)) => {
                assert_eq!(reply, &bulk(number.to_string().as_bytes()));
                tally.echoes += 1;
            }
            (Ask::Lock(kind), Outcome::Reply(reply)) => {
                let Frame::Integer(number) = *reply else { unreachable!("{kind}: {reply:?}") };
                let place = match (kind, number) {
                    (kind::ACQUIRE, 1..) => &mut tally.held,
                    (kind::RELEASE, 1) => &mut tally.given_back,
                    (kind::EXTEND | kind::FENCE, 1..) => &mut tally.numbers,
                    (_, 0) => &mut tally.taken,
                    _ => unreachable!("{kind}: {number}"),
                };
                *place += 1;
            }
            _ => {}
        }
    }

    /// Lets everything come to its end; gives how many bytes the core holds then.
    fn finish(mut self, tally: &mut Tally) -> i64 {
        for _ in 0..500 {
            self.pair.settle();
            self.settle(tally);
            // what is left behind the callers' backs takes its time too
            if self.asked.iter().all(Option::is_none) && self.pair.peer.connection.is_quiet() {
                break;
            }
            self.pair.peer.advance(5);
            self.pair.server.store.now += 5;
        }
        assert_eq!(self.asked, [None; SLOTS as usize], "every caller is answered");
        self.pair.settle();
        assert!(self.pair.peer.connection.is_quiet(), "nothing is on its way");
        let fresh = Conversations::new(Connection::new(Config::default()));
        let used = mem::replace(&mut self.pair.peer.connection, fresh);
        -allocation_counter::measure(|| drop(used)).bytes_current
    }
}

fn run(seed: u64, steps: u32, tally: &mut Tally) -> i64 {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step(tally);
    }
    world.finish(tally)
}

#[test]
fn every_conversation_ends_once_whatever_happens() {
    run_all(1_000, |seed, tally| {
        run(seed, STEPS, tally);
    });
}

#[test]
fn conversations_that_ended_hold_no_memory() {
    let mut tally = Tally::default();
    let mut held = |steps| (0..20).map(|seed| run(seed, steps, &mut tally)).max().unwrap_or_default();
    // buffers grow with what waited at once, and stay
    let (short, long) = (held(10_000), held(40_000));
    assert!(short > 0 && long < short * 2, "{short} bytes after 10 000 steps, {long} after 40 000");
}
