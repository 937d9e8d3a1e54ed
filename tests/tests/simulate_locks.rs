//! Random schedules of clients that contend for a lock: they crash, are held up, have clocks that run apart, and lose links and replies;
//! scripts are forgotten at any time, and servers are replaced by replicas that have not got everything.
//!
//! Scenario 9: as long as no server is replaced, no two clients hold the lock at once within their own `valid_until`, and none that holds it
//! is refused by a resource that takes no number below one that it has seen. These numbers always grow. A failure names its seed:
//! `REDWIRE_SEED=n cargo test --test simulate_locks`.

use oorandom::Rand32;
use redwire_core::connection::Config;
use redwire_core::operation::kind;
use redwire_core::resp::Frame;
use redwire_core::time::Instant;
use redwire_tests::model::{Hello, Options, Outcome, Pair, Server, Store};
use redwire_tests::schedules::run_all;
use redwire_tests::tally;
use std::collections::BTreeSet;
use std::mem::swap;

const STEPS: u32 = 3_000;
const CLIENTS: usize = 4;
/// How long the lock lives, in milliseconds.
const TTL: u64 = 120;
/// Clocks run so much faster or slower at most, in millionths.
const DRIFT: u32 = 4_500;
/// A replica's clock differs by so many microseconds at most, and takes over after as many at least.
const SKEW: u32 = 5_000;
/// What every client's clock shows at the start, in milliseconds.
const START: u64 = 1_000;

tally! {
    held, taken, failed, cancelled, extended, fenced, lost, crashes, pauses, cuts, flushes, replacements, refused, twice > 20,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    Acquiring,
    Holding,
    /// It holds the lock, and asked for something.
    Asking(u16),
}

struct Client {
    pair: Pair,
    /// Millionths of the true speed.
    rate: u64,
    /// Microseconds of true time until which nothing of it runs.
    asleep: u64,
    state: State,
    slot: u32,
    token: String,
    /// From when, in true microseconds, until when, on its own clock, it holds the lock.
    held: (u64, u64),
    fence: Option<i64>,
}

impl Client {
    fn new(rate: u64, seed: u32) -> Self {
        let config = Config {
            connect_timeout: 300,
            timeout: 200,
            queue_timeout: 150,
            backoff: (2, 20),
            seed,
            ..Config::default()
        };
        let pair = Pair::new(config, Server::default());
        let (asleep, state, held, fence) = (0, State::Idle, (0, 0), None);
        Self { pair, rate, asleep, state, slot: 0, token: String::new(), held, fence }
    }

    fn clock(&self, time: u64) -> Instant {
        Instant(START + time * self.rate / 1_000_000_000)
    }

    /// Gives when its clock shows `at`, in true microseconds.
    fn time(&self, at: u64) -> u64 {
        ((at - START) * 1_000_000_000).div_ceil(self.rate)
    }

    fn ask(&mut self, kind: u16, arguments: &str) {
        self.slot += 1;
        self.pair.peer.operate(self.slot, kind, arguments);
    }

    /// Gives what came of what it asked for last: a number, or nothing that tells.
    fn answer(&self) -> Option<Option<i64>> {
        match self.pair.peer.outcome(self.slot)? {
            Outcome::Reply(Frame::Integer(number)) => Some(Some(*number)),
            Outcome::Failed(_) => Some(None),
            other => unreachable!("{other:?}"),
        }
    }
}

struct World {
    random: Rand32,
    /// Microseconds.
    time: u64,
    server: Server,
    rate: u64,
    /// What the server's clock is off by, in microseconds.
    skew: u64,
    /// What a replica has, in schedules where one may take over.
    replica: Option<Store>,
    clients: Vec<Client>,
    /// From when until when somebody held the lock, and who.
    held: Vec<(u64, u64, usize)>,
    fences: BTreeSet<i64>,
    /// The largest number that the resource has seen.
    seen: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rand32::new(seed);
        let mut rate = || u64::from(1_000_000 - DRIFT + random.rand_range(0..2 * DRIFT + 1));
        let clients = (0..CLIENTS).map(|client| Client::new(rate(), client as u32)).collect();
        let rate = rate();
        let hello = if seed & 1 == 0 { Hello::Known } else { Hello::Unknown };
        let server = Server::new(Options { hello, setinfo: true, ..Options::default() });
        let replica = (seed & 2 != 0).then(|| server.store.clone());
        Self {
            random,
            time: 0,
            server,
            rate,
            skew: SKEW.into(),
            replica,
            clients,
            held: Vec::new(),
            fences: BTreeSet::new(),
            seen: 0,
        }
    }

    fn up_to(&mut self, count: u32) -> usize {
        self.random.rand_range(0..count + 1) as usize
    }

    fn chance(&mut self, of: u32) -> bool {
        self.random.rand_range(0..of) == 0
    }

    fn pass(&mut self, microseconds: u64) {
        self.time += microseconds;
        self.server.store.now = (self.time + self.skew) * self.rate / 1_000_000_000;
    }

    fn step(&mut self, tally: &mut Tally) {
        let pause = self.up_to(2_000) as u64;
        self.pass(pause);
        let client = self.up_to(CLIENTS as u32 - 1);
        if self.chance(400) {
            self.server.store.execute(&[b"SCRIPT", b"FLUSH"]);
            tally.flushes += 1;
        }
        if self.replica.is_some() {
            self.replace(tally);
        }
        if self.clients[client].asleep > self.time {
            return;
        }
        self.ring(client);
        self.transfer(client, tally);
        self.act(client, tally);
        if self.chance(150) {
            self.clients[client].asleep = self.time + self.up_to(400_000) as u64;
            tally.pauses += 1;
        }
        if self.chance(1_500) {
            self.crash(client, tally);
        }
    }

    /// Tells a client what time it is.
    fn ring(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.pair.peer.now = client.clock(self.time);
        client.pair.peer.advance(0);
    }

    /// The replica gets everything now and then, and takes over without what came since.
    fn replace(&mut self, tally: &mut Tally) {
        if self.chance(20) {
            self.replica = Some(self.server.store.clone());
        }
        if self.chance(1_000) {
            self.server.store = self.replica.clone().unwrap_or_default();
            for client in 0..CLIENTS {
                self.cut(client);
            }
            self.skew = self.up_to(SKEW) as u64;
            self.pass(u64::from(SKEW) + 1_000);
            tally.replacements += 1;
        }
    }

    fn cut(&mut self, client: usize) -> bool {
        let pair = &mut self.clients[client].pair;
        let open = pair.is_open();
        if open {
            pair.cut();
        }
        open
    }

    /// Moves some bytes of a client's, or ends its link.
    fn transfer(&mut self, client: usize, tally: &mut Tally) {
        if self.chance(120) && self.cut(client) {
            tally.cuts += 1;
        }
        let [write, serve, read] = [400, 400, 200].map(|count| self.up_to(count));
        let opens = self.chance(3);
        let pair = &mut self.clients[client].pair;
        swap(&mut pair.server, &mut self.server);
        if opens && pair.is_opening() {
            pair.open();
        }
        pair.write(write);
        pair.serve(serve);
        pair.read(read);
        swap(&mut pair.server, &mut self.server);
    }

    fn act(&mut self, client: usize, tally: &mut Tally) {
        let state = self.clients[client].state;
        match state {
            State::Idle if self.chance(4) => self.acquire(client),
            State::Idle => {}
            State::Acquiring => self.acquiring(client, tally),
            State::Holding => self.holding(client, tally),
            State::Asking(kind) => self.asking(client, kind, tally),
        }
    }

    fn acquire(&mut self, client: usize) {
        let random = self.random.rand_u32();
        let wait = self.up_to(300);
        let this = &mut self.clients[client];
        this.token = format!("{client}:{random}");
        this.ask(kind::ACQUIRE, &format!("lock {} {TTL} 10 {wait} {random}", this.token));
        (this.state, this.fence) = (State::Acquiring, None);
    }

    fn acquiring(&mut self, client: usize, tally: &mut Tally) {
        let gives_up = self.chance(100);
        let (time, this) = (self.time, &mut self.clients[client]);
        match this.answer() {
            None if gives_up => {
                tally.cancelled += u32::from(this.pair.peer.cancel(this.slot).is_some());
                this.state = State::Idle;
            }
            None => {}
            Some(Some(until @ 1..)) => {
                tally.held += 1;
                (this.state, this.held) = (State::Holding, (time, until.unsigned_abs()));
            }
            Some(outcome) => {
                tally.taken += u32::from(outcome.is_some());
                tally.failed += u32::from(outcome.is_none());
                this.state = State::Idle;
            }
        }
    }

    /// Notes that a client does not count on the lock from now on, if it did until now.
    fn end(&mut self, client: usize) {
        let this = &mut self.clients[client];
        let (from, until) = (this.held.0, this.time(this.held.1).min(self.time));
        if from < until {
            self.held.push((from, until, client));
        }
    }

    fn holding(&mut self, client: usize, tally: &mut Tally) {
        self.work(client, tally);
        let kind = match self.up_to(40) {
            0..=3 => kind::RELEASE,
            4..=6 => kind::EXTEND,
            7..=14 => kind::FENCE,
            _ => return,
        };
        if kind == kind::RELEASE {
            self.end(client);
        }
        let more = if kind == kind::EXTEND { " 60" } else { "" };
        let this = &mut self.clients[client];
        this.ask(kind, &format!("lock {}{more}", this.token));
        this.state = State::Asking(kind);
    }

    /// Writes to the resource: even when the lock's time is up, as whoever was held up would.
    fn work(&mut self, client: usize, tally: &mut Tally) {
        let this = &self.clients[client];
        let Some(fence) = this.fence else { return };
        let valid = this.time(this.held.1) > self.time;
        if fence < self.seen {
            assert!(!valid || self.replica.is_some(), "{client} holds it and is refused");
            tally.refused += 1;
        }
        self.seen = self.seen.max(fence);
    }

    fn asking(&mut self, client: usize, kind: u16, tally: &mut Tally) {
        let (time, this) = (self.time, &mut self.clients[client]);
        let Some(answer) = this.answer() else { return };
        this.state = State::Holding;
        match (kind, answer) {
            (kind::EXTEND, Some(until @ 1..)) => {
                tally.extended += 1;
                let over = this.time(this.held.1) <= time;
                if over {
                    self.end(client);
                }
                let held = &mut self.clients[client].held;
                *held = (if over { time } else { held.0 }, until.unsigned_abs());
            }
            (kind::FENCE, Some(fence @ 1..)) => {
                tally.fenced += 1;
                this.fence = Some(fence);
                assert!(self.fences.insert(fence), "{fence} was given before");
            }
            (kind::RELEASE, answer) => {
                tally.lost += u32::from(answer == Some(0));
                this.state = State::Idle;
            }
            (_, None) => {}
            (_, Some(_)) => {
                tally.lost += 1;
                self.end(client);
                self.clients[client].state = State::Idle;
            }
        }
    }

    fn crash(&mut self, client: usize, tally: &mut Tally) {
        if matches!(self.clients[client].state, State::Holding | State::Asking(kind::EXTEND | kind::FENCE)) {
            self.end(client);
        }
        let this = &mut self.clients[client];
        *this = Client::new(this.rate, client as u32);
        tally.crashes += 1;
    }

    /// Ends everything: each slot settles, and the history is looked at.
    fn finish(mut self, tally: &mut Tally) {
        for client in 0..CLIENTS {
            if matches!(
                self.clients[client].state,
                State::Holding | State::Asking(kind::EXTEND | kind::FENCE)
            ) {
                self.end(client);
            }
            let this = &mut self.clients[client];
            this.pair.peer.shutdown();
            for outcomes in this.pair.peer.caller.outcomes.values() {
                assert_eq!(outcomes.len(), 1, "every slot settles once");
            }
            assert_eq!(this.pair.peer.caller.outcomes.len(), this.slot as usize, "every slot settles");
        }
        self.held.sort_unstable();
        let mut last = (0, 0, CLIENTS);
        for &span in &self.held {
            if last.1 > span.0 {
                assert!(self.replica.is_some(), "two hold it at once: {last:?}, {span:?}");
                tally.twice += 1;
            }
            last = if span.1 > last.1 { span } else { last };
        }
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step(tally);
    }
    world.finish(tally);
}

#[test]
fn scenario_9_no_two_hold_a_lock_at_once_and_their_numbers_grow() {
    run_all(300, run);
}
