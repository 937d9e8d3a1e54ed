//! Thousands of random schedules over a connection that listens, and a world that fails.
//!
//! Checked: the set asked for is the set on the server once it is quiet, and each gap is announced (I-6): a message of a name that
//! is subscribed to for certain comes once per name, in order, or was published within a gap that was told. A failure names its
//! seed: `REDWIRE_SEED=n cargo test --test listening`.

use oorandom::Rand32;
use redwire_core::batch::flags;
use redwire_core::connection::Config;
use redwire_core::machine::Slot;
use redwire_core::pubsub::Notice;
use redwire_core::resp::{Frame, Limits};
use redwire_tests::model::{Hello, Options, Outcome, Pair, Server, words};
use redwire_tests::schedules::run_all;
use redwire_tests::tally;
use std::collections::BTreeMap;

const STEPS: u32 = 300;
const EAR: u32 = u32::MAX - 1;
const NAMES: [(&str, &str); 5] = [("", "a1"), ("", "a2"), ("", "b1"), ("P", "a*"), ("P", "b*")];

tally! {
    heard, missed, gaps, cuts, settled, failed, cancelled, resp2,
}

/// A command: what it does to names.
struct Asked {
    slot: u32,
    begins: bool,
    names: Vec<usize>,
}

struct Published {
    at: u64,
    channel: usize,
    /// The names that are subscribed to for certain.
    certain: Vec<usize>,
}

struct World {
    random: Rand32,
    pair: Pair,
    asked: Vec<Asked>,
    published: Vec<Published>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rand32::new(seed);
        let mut coin = || random.rand_u32() & 1 == 0;
        let hello = if coin() { Hello::Known } else { Hello::Unknown };
        let limits = Limits { whole: if coin() { 4 } else { 64 << 10 }, ..Limits::default() };
        let config = Config {
            limits,
            connect_timeout: 300,
            timeout: 200,
            queue_timeout: 150,
            backoff: (5, 40),
            seed: seed as u32,
            keep_alive: if coin() { 900 } else { 0 },
            ..Config::default()
        };
        let mut pair =
            Pair::new(config, Server::new(Options { hello, setinfo: coin(), ..Options::default() }));
        pair.peer.connection.listen(Slot(EAR));
        Self { random, pair, asked: Vec::new(), published: Vec::new() }
    }

    fn up_to(&mut self, count: u32) -> usize {
        self.random.rand_range(0..count + 1) as usize
    }

    fn ask(&mut self) {
        let (begins, patterns) = (self.up_to(2) > 0, self.up_to(2) == 0);
        let range = if patterns { 3..5 } else { 0..3 };
        let mut names: Vec<usize> = range.clone().filter(|_| self.random.rand_u32() & 1 == 0).collect();
        if begins && names.is_empty() {
            names.push(range.start);
        }
        let verb = ["UNSUBSCRIBE", "SUBSCRIBE"][usize::from(begins)];
        let mut line = format!("{}{verb}", NAMES[range.start].0);
        for name in &names {
            line = format!("{line} {}", NAMES[*name].1);
        }
        let slot = self.asked.len() as u32;
        let names = if names.is_empty() { range.collect() } else { names };
        self.asked.push(Asked { slot, begins, names });
        self.pair.peer.submit_with(slot, flags::IDEMPOTENT, None, &words(&line));
    }

    /// Tells whether `name` is subscribed to; `None` when nobody can know.
    fn certain(&self, name: usize) -> Option<bool> {
        for asked in self.asked.iter().rev().filter(|asked| asked.names.contains(&name)) {
            match self.pair.peer.outcome(asked.slot) {
                Some(Outcome::Reply(Frame::Boolean(true))) => return Some(asked.begins),
                Some(Outcome::Failed(failure)) if !failure.maybe_executed => {}
                Some(Outcome::Cancelled(false)) => {}
                _ => return None,
            }
        }
        Some(false)
    }

    fn publish(&mut self) {
        let channel = self.up_to(2);
        let name = NAMES[channel].1;
        let matching = [channel, 3 + usize::from(name.starts_with('b'))];
        let certain = matching.into_iter().filter(|&name| self.certain(name) == Some(true)).collect();
        self.pair.publish(name, &self.published.len().to_string());
        self.published.push(Published { at: self.pair.peer.now.0, channel, certain });
    }

    fn step(&mut self, tally: &mut Tally) {
        match self.random.rand_range(0..40) {
            0..4 => self.ask(),
            4..13 => self.publish(),
            13..18 => drop({
                let room = self.up_to(100);
                self.pair.write(room)
            }),
            18..23 => drop({
                let count = self.up_to(100);
                self.pair.serve(count)
            }),
            23..30 => drop({
                let count = self.up_to(150);
                self.pair.read(count)
            }),
            30..34 => {
                if self.pair.is_opening() {
                    if self.up_to(4) == 0 { self.pair.cut() } else { self.pair.open() }
                }
            }
            34 => {
                if self.pair.is_open() && self.up_to(1) == 0 {
                    tally.cuts += 1;
                    self.pair.cut();
                }
            }
            35 if !self.asked.is_empty() => {
                let slot = self.up_to(self.asked.len() as u32 - 1) as u32;
                tally.cancelled += u32::from(self.pair.peer.cancel(slot).is_some());
            }
            _ => {
                let milliseconds = self.up_to(60);
                self.pair.peer.advance(milliseconds as u64);
            }
        }
    }

    fn finish(&mut self) {
        for _ in 0..100 {
            self.pair.settle();
            self.pair.peer.advance(50);
            if self.pair.is_open() && self.pair.peer.connection.is_quiet() && self.pair.replies.is_empty() {
                break;
            }
            self.pair.peer.connect();
        }
        assert!(self.pair.peer.connection.is_quiet(), "everything settles");
    }

    fn check(&mut self, tally: &mut Tally) {
        let on_server = self.pair.names().expect("the link is open");
        for (name, (prefix, text)) in NAMES.iter().enumerate() {
            let there = on_server.contains(&((*prefix).to_owned(), text.as_bytes().to_vec()));
            assert!(self.certain(name).is_none_or(|certain| certain == there), "{text}: {there}");
        }
        let mut heard: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        let mut last = [None; NAMES.len()];
        let mut gaps = Vec::new();
        let mut channel = String::new();
        for outcome in self.pair.peer.caller.outcomes.remove(&EAR).unwrap_or_default() {
            let items = match outcome {
                Outcome::Reply(Frame::Array(items)) => items,
                Outcome::Reply(data) => {
                    vec![Frame::Integer(Notice::Message as i64), Frame::Bulk(channel.clone().into()), data]
                }
                other => unreachable!("{other:?}"),
            };
            let number = |at: usize| match &items[at] {
                Frame::Integer(number) => *number as u64,
                other => unreachable!("{other:?}"),
            };
            let text = |at: usize| match &items[at] {
                Frame::Bulk(text) => std::str::from_utf8(text).expect("text").to_owned(),
                other => unreachable!("{other:?}"),
            };
            match Notice::from_code(number(0) as i64) {
                Some(Notice::Message | Notice::Pmessage) => {
                    channel = text(1);
                    let name = NAMES.iter().position(|(_, name)| *name == channel).expect("a name of ours");
                    let data: usize = text(items.len() - 1).parse().expect("a number");
                    assert!(last[name].replace(data) < Some(data), "{data} of {channel} in order, once");
                    *heard.entry((name, data)).or_default() += 1;
                }
                Some(Notice::Gap) => gaps.push((number(1), number(2), format!("{:?}", items[3]))),
                _ => {}
            }
        }
        for (data, published) in self.published.iter().enumerate() {
            for name in &published.certain {
                let channel = NAMES[published.channel].1;
                let quoted = format!("\"{}\"", NAMES[*name].1);
                if heard.contains_key(&(*name, data)) {
                    tally.heard += 1;
                    continue;
                }
                tally.missed += 1;
                let told = |(from, to, names): &(u64, u64, String)| {
                    *from <= published.at && published.at <= *to && names.contains(&quoted)
                };
                assert!(
                    gaps.iter().any(told),
                    "{data} of {channel} for {quoted} at {}: {gaps:?}",
                    published.at
                );
            }
        }
        tally.gaps += gaps.len() as u32;
        for asked in &self.asked {
            match self
                .pair
                .peer
                .outcome(asked.slot)
                .unwrap_or_else(|| unreachable!("{} never settled", asked.slot))
            {
                Outcome::Reply(reply) => {
                    assert_eq!(*reply, Frame::Boolean(true));
                    tally.settled += 1;
                }
                Outcome::Failed(_) => tally.failed += 1,
                Outcome::Cancelled(_) => {}
                other => unreachable!("{other:?}"),
            }
        }
        tally.resp2 += u32::from(self.pair.peer.connection.server().protocol == 2);
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step(tally);
    }
    world.finish();
    world.check(tally);
}

#[test]
fn every_schedule_tells_what_was_missed() {
    run_all(4_000, run);
}
