//! Random schedules of the native client: requests, transactions, scripts, leases, what blocks and subscriptions, over transports that
//! move any piece, refuse, hang up and lag, while callers drop what they asked for at any time.
//!
//! In the end every future is ready or dropped, every place of a reply is free, as many leases are to be had as ever, and nothing is left in memory. A
//! failure names its seed: `REDWIRE_SEED=n cargo test --test simulate_client`.

use allocation_counter::measure;
use oorandom::Rand32;
use redwire_core::client::Client;
use redwire_core::commands::{blpop, command, get, incr, set};
use redwire_core::connection::{Config, Protocol};
use redwire_core::driver::Driver;
use redwire_core::error::Error;
use redwire_core::machine::Reason;
use redwire_core::operation::Script;
use redwire_core::pool::Limits;
use redwire_core::subscription::Subscription;
use redwire_core::time::Instant;
use redwire_core::transport::Transport;
use redwire_tests::model::{Options, Server, Session};
use redwire_tests::schedules::run_all;
use redwire_tests::tally;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

const STEPS: u32 = 150;
const LINKS: u8 = 2;

tally! {
    replies, failed, in_doubt, late, reserved, leases, subscriptions, dropped, cuts, refused,
}

/// Where everything is: one server, and time.
struct World {
    now: Cell<u64>,
    random: RefCell<Rand32>,
    server: RefCell<Server>,
    /// Nothing goes wrong any more, and nobody is kept waiting.
    calm: Cell<bool>,
    happened: RefCell<Tally>,
}

impl World {
    fn below(&self, end: u32) -> u32 {
        self.random.borrow_mut().rand_range(0..end)
    }

    /// Something goes wrong, or is late.
    fn trouble(&self, of: u32) -> bool {
        !self.calm.get() && self.below(of) == 0
    }

    /// Counts what a request came to.
    fn note<T>(&self, outcome: Result<T, Error>) {
        let tally = &mut *self.happened.borrow_mut();
        match outcome {
            Ok(_) => tally.replies += 1,
            Err(Error::Failure(failure) | Error::NoLink { failure, .. }) => {
                tally.failed += 1;
                tally.in_doubt += u32::from(failure.maybe_executed);
                tally.late += u32::from(failure.reason == Reason::PoolTimeout);
            }
            Err(Error::Reserved { .. }) => tally.reserved += 1,
            Err(error) => unreachable!("{error}"),
        }
    }
}

/// A stream to the server.
struct Stream {
    world: Rc<World>,
    session: Option<Session>,
    incoming: VecDeque<u8>,
}

impl Stream {
    fn new(world: Rc<World>) -> Self {
        Self { world, session: None, incoming: VecDeque::new() }
    }
}

impl Transport for Stream {
    type Error = &'static str;

    fn poll_open(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        if self.world.trouble(3) {
            return Poll::Pending;
        }
        if self.world.trouble(8) {
            self.world.happened.borrow_mut().refused += 1;
            return Poll::Ready(Err("cut"));
        }
        self.session = Some(self.world.server.borrow_mut().session());
        self.incoming.clear();
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, &'static str>> {
        let Some(session) = &mut self.session else { return Poll::Ready(Err("cut")) };
        let woken = self.world.server.borrow_mut().wake(session, self.world.calm.get());
        self.incoming.extend(woken.concat());
        if self.world.trouble(60) {
            self.world.happened.borrow_mut().cuts += 1;
            return Poll::Ready(Ok(0));
        }
        let most = if self.world.trouble(2) { self.world.below(20) as usize } else { usize::MAX };
        let count = self.incoming.len().min(buffer.len()).min(most);
        if count == 0 {
            return Poll::Pending;
        }
        buffer.iter_mut().zip(self.incoming.drain(..count)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, &'static str>> {
        let Some(session) = &mut self.session else { return Poll::Ready(Err("cut")) };
        let most = if self.world.trouble(2) { self.world.below(20) as usize } else { usize::MAX };
        let count = bytes.len().min(most);
        if count == 0 {
            return Poll::Pending;
        }
        self.incoming.extend(self.world.server.borrow_mut().receive(session, &bytes[..count]).concat());
        Poll::Ready(Ok(count))
    }

    fn close(&mut self) {
        self.session = None;
    }

    fn is_secure(&self) -> bool {
        false
    }

    fn another(&self) -> Option<Self> {
        Some(Self::new(self.world.clone()))
    }

    fn now(&self) -> Instant {
        Instant(self.world.now.get())
    }

    fn poll_sleep(&mut self, _: &mut Context<'_>, until: Instant) -> Poll<()> {
        if self.now() < until { Poll::Pending } else { Poll::Ready(()) }
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Schedule {
    world: Rc<World>,
    client: Client,
    driver: Driver<Stream>,
    tasks: Vec<Task>,
    subscriptions: Rc<RefCell<Vec<Subscription>>>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let world = Rc::new(World {
            now: Cell::new(1_000),
            random: RefCell::new(Rand32::new(seed)),
            server: RefCell::new(Server::new(Options { setinfo: true, ..Options::default() })),
            calm: Cell::new(false),
            happened: RefCell::default(),
        });
        let config = Config {
            protocol: if seed.is_multiple_of(2) { Protocol::Auto } else { Protocol::Resp2 },
            connect_timeout: 100,
            timeout: 150,
            queue_timeout: 100,
            backoff: (5, 20),
            seed: seed as u32,
            ..Config::default()
        };
        let limits =
            Limits { max_connections: LINKS, pool_timeout: 80, max_idle_time: 30, ..Limits::default() };
        let (client, driver) = Client::with_limits(Stream::new(world.clone()), config, limits);
        Self { world, client, driver, tasks: Vec::new(), subscriptions: Rc::default() }
    }

    /// Somebody asks for something.
    fn ask(&mut self) {
        let (world, client) = (self.world.clone(), self.client.clone());
        let name = format!("n{}", world.below(3));
        let task: Task = match world.below(9) {
            0 | 1 => Box::pin(async move { world.note(client.execute(incr(&name)).await) }),
            2 => Box::pin(async move { world.note(client.execute((set(&name, 1), get(&name))).await) }),
            3 => Box::pin(async move { world.note(client.atomic((incr(&name), get(&name))).await) }),
            4 => Box::pin(async move { world.note(client.execute(blpop([&format!("q{name}")], 0.0)).await) }),
            5 => Box::pin(async move {
                let script =
                    Script::new(std::str::from_utf8(redwire_tests::model::Store::COUNT).expect("text"));
                world.note(client.execute(script.call::<String>(&[&name], &[&"v"])).await);
            }),
            6 => {
                Box::pin(
                    async move { world.note(client.execute(command("SELECT").arg("1").typed::<()>()).await) },
                )
            }
            7 => Box::pin(async move {
                let lease = match client.lease().await {
                    Ok(lease) => lease,
                    Err(error) => return world.note(Err::<(), _>(error)),
                };
                world.happened.borrow_mut().leases += 1;
                world.note(lease.execute(incr(&name)).await);
                if world.trouble(2) {
                    pending().await
                }
            }),
            _ => {
                let kept = self.subscriptions.clone();
                Box::pin(async move {
                    match client.subscribe(&[&name]).await {
                        Ok(mut subscription) => {
                            world.happened.borrow_mut().subscriptions += 1;
                            match world.below(3) {
                                0 => world.note(subscription.close().await),
                                1 => world.note(subscription.unsubscribe(&[&name, "never"]).await),
                                _ => kept.borrow_mut().push(subscription),
                            }
                        }
                        Err(error) => world.note(Err::<(), _>(error)),
                    }
                })
            }
        };
        self.tasks.push(task);
    }

    fn turn(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut self.driver).poll(&mut cx).is_pending(), "a client is left");
        self.tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
    }

    fn step(&mut self) {
        match self.world.below(12) {
            0..4 => self.ask(),
            4 if !self.tasks.is_empty() => {
                let at = self.world.below(self.tasks.len() as u32) as usize;
                drop(self.tasks.swap_remove(at));
                self.world.happened.borrow_mut().dropped += 1;
            }
            5 => drop(self.subscriptions.borrow_mut().pop()),
            6 => self.world.now.set(self.world.now.get() + u64::from(self.world.below(60))),
            _ => self.turn(),
        }
    }

    /// Everybody gets what is left to get, or leaves.
    fn finish(&mut self) {
        self.world.calm.set(true);
        self.tasks.truncate(self.world.below(8) as usize);
        self.subscriptions.borrow_mut().clear();
        for _ in 0..60 {
            self.turn();
            self.subscriptions.borrow_mut().clear();
            self.world.now.set(self.world.now.get() + 5);
        }
        // who holds a lease for ever is all that is left
        self.tasks.clear();
        self.turn();
        assert_eq!(format!("{:?}", self.client), "Client { waiting: 0, .. }");
        assert!(self.driver.pool().is_quiet());
        let leases = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..LINKS {
            let (client, leases) = (self.client.clone(), leases.clone());
            self.tasks.push(Box::pin(async move {
                let lease = client.lease().await.expect("a place is free");
                leases.borrow_mut().push(lease);
            }));
        }
        (0..4).for_each(|_| self.turn());
        assert_eq!(leases.borrow().len(), usize::from(LINKS), "nobody holds a place");
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let memory = measure(|| {
        let mut schedule = Schedule::new(seed);
        for _ in 0..STEPS {
            schedule.step();
        }
        schedule.finish();
        let happened = schedule.world.happened.take();
        redwire_tests::schedules::Counts::add(tally, &happened);
    });
    assert_eq!((memory.bytes_current, memory.count_current), (0, 0), "everything was given back");
}

#[test]
fn every_schedule_of_a_client_frees_every_place() {
    run_all(2_000, run);
}
