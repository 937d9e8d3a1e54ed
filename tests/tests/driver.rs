//! The native driver over a transport that does what a test says, in virtual time.

use redwire_core::client::Client;
use redwire_core::command::{Command, command};
use redwire_core::commands::{del, eval, get, hpttl, hset, incr, ping, set, sintercard, xread, zunionstore};
use redwire_core::connection::{Config, Protocol};
use redwire_core::driver::Driver;
use redwire_core::error::Error;
use redwire_core::machine::{Failure, Reason};
use redwire_core::operation::Script;
use redwire_core::owned::Bytes;
use redwire_core::request::Request;
use redwire_core::subscription::Gap;
use redwire_core::time::Instant;
use redwire_core::transport::Transport;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The other side of the transport.
#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: u64,
    open: bool,
    refuse: bool,
    opened: u32,
    greeted: bool,
    hung_up: bool,
    /// Bytes that the transport takes before it blocks.
    room: usize,
    /// Bytes moved by one call at most.
    step: usize,
    written: Vec<u8>,
    flushed: usize,
    incoming: VecDeque<u8>,
    calls: u32,
    /// Another stream to the same server.
    second: Option<World>,
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn says(&self, bytes: &[u8]) {
        self.state().incoming.extend(bytes);
    }

    /// Gives what arrived, flushed, since it was last asked.
    fn hears(&self) -> String {
        let mut state = self.state();
        let flushed = std::mem::take(&mut state.flushed);
        String::from_utf8_lossy(&state.written.drain(..flushed).collect::<Vec<_>>()).into_owned()
    }
}

impl Transport for World {
    type Error = &'static str;

    fn poll_open(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        let mut state = self.state();
        if state.refuse {
            return Poll::Ready(Err("refused"));
        }
        *state = State {
            open: true,
            opened: state.opened + 1,
            now: state.now,
            room: state.room,
            step: state.step,
            refuse: state.refuse,
            second: state.second.take(),
            ..State::default()
        };
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, &'static str>> {
        let mut state = self.state();
        state.calls += 1;
        assert!(state.open && !buffer.is_empty());
        let count = state.incoming.len().min(state.step).min(buffer.len());
        if count == 0 {
            return if state.hung_up { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        buffer.iter_mut().zip(state.incoming.drain(..count)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, &'static str>> {
        let mut state = self.state();
        assert!(state.open && !bytes.is_empty());
        let count = bytes.len().min(state.room).min(state.step);
        if count == 0 {
            return Poll::Pending;
        }
        state.room -= count;
        state.written.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        let mut state = self.state();
        if !state.greeted && state.written.starts_with(PING.as_bytes()) {
            state.greeted = true;
            state.written.drain(..PING.len());
            state.room = state.room.saturating_add(PING.len());
            state.incoming.extend(b"+PONG\r\n");
        }
        state.flushed = state.written.len();
        Poll::Ready(Ok(()))
    }

    fn close(&mut self) {
        self.state().open = false;
    }

    fn another(&self) -> Option<Self> {
        self.state().second.clone()
    }

    fn is_secure(&self) -> bool {
        false
    }

    fn now(&self) -> Instant {
        Instant(self.state().now)
    }

    fn poll_sleep(&mut self, _: &mut Context<'_>, until: Instant) -> Poll<()> {
        if self.now() < until { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Stage {
    world: World,
    client: Client,
    driver: Driver<World>,
    bell: Arc<Bell>,
}

impl Stage {
    fn new(step: usize) -> Self {
        Self::with(step, None)
    }

    fn with(step: usize, second: Option<World>) -> Self {
        Self::of(step, second, config())
    }

    fn of(step: usize, second: Option<World>, config: Config) -> Self {
        let world = World::default();
        *world.state() = State { room: usize::MAX, step, second, ..State::default() };
        let (client, driver) = Client::new(world.clone(), config);
        Self { world, client, driver, bell: Arc::default() }
    }

    /// Lets the driver do what it can; tells whether it is over.
    fn turn(&mut self) -> bool {
        let waker = Waker::from(self.bell.clone());
        loop {
            let rung = self.bell.0.load(Ordering::Relaxed);
            let over = Pin::new(&mut self.driver).poll(&mut Context::from_waker(&waker)).is_ready();
            if over || self.bell.0.load(Ordering::Relaxed) == rung {
                return over;
            }
        }
    }
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn config() -> Config {
    let (protocol, library) = (Protocol::Resp2, None);
    Config { protocol, library, timeout: 100, backoff: (10, 10), ..Config::default() }
}

fn unmade(reason: Reason, said: &'static str) -> Error {
    Error::NoLink { failure: Failure { reason, maybe_executed: false }, said: said.into() }
}

fn failed(reason: Reason, maybe_executed: bool) -> Error {
    Error::Failure(Failure { reason, maybe_executed })
}

const GET: &str = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
const INCR: &str = "*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n";
const PING: &str = "*1\r\n$4\r\nPING\r\n";

#[test]
fn bytes_may_move_in_any_pieces() {
    for step in [1, 2, 3, 7, 1000] {
        let mut stage = Stage::new(step);
        let client = stage.client.clone();
        let mut both = Box::pin(client.execute((get("k"), ping())));
        assert!(poll(&mut both).is_pending());
        assert!(!stage.turn());
        assert_eq!(stage.world.hears(), format!("{GET}{PING}"), "flushed in pieces of {step}");
        stage.world.says(b"$5\r\nvalue\r\n+PONG\r\n");
        stage.turn();
        assert_eq!(poll(&mut both), Poll::Ready(Ok((Some("value".into()), "PONG".into()))));
    }
}

#[test]
fn a_quiet_driver_calls_nobody_and_is_not_woken() {
    let mut stage = Stage::new(100);
    let client = stage.client.clone();
    let mut pinged = Box::pin(client.execute(ping()));
    assert!(poll(&mut pinged).is_pending());
    stage.turn();
    let (rung, calls) = (stage.bell.0.load(Ordering::Relaxed), stage.world.state().calls);
    stage.turn();
    assert_eq!(stage.bell.0.load(Ordering::Relaxed), rung);
    assert_eq!(stage.world.state().calls, calls + 1, "one look for each time it is polled");
}

#[test]
fn a_request_that_is_dropped_when_it_is_done_leaves_the_driver_to_be_woken() {
    let mut stage = Stage::new(100);
    let client = stage.client.clone();
    let mut pinged = Box::pin(client.execute(ping()));
    assert!(poll(&mut pinged).is_pending());
    stage.turn();
    stage.world.says(b"+PONG\r\n");
    stage.turn();
    // nobody looked
    drop(pinged);
    let rung = stage.bell.0.load(Ordering::Relaxed);
    let mut again = Box::pin(client.execute(ping()));
    assert!(poll(&mut again).is_pending());
    assert_eq!(stage.bell.0.load(Ordering::Relaxed), rung + 1);
}

#[test]
fn the_driver_ends_when_what_the_last_client_left_behind_is_answered() {
    let Stage { world, client, driver, bell } = Stage::new(1_000);
    let mut stage = Stage { world, client: client.clone(), driver, bell };
    let mut given_up = Box::pin(async move {
        client.transaction(&["k"], async |_| Err::<Command<i64>, _>(Error::TooLarge)).await
    });
    // there is no link of its own for it
    for _ in 0..2 {
        assert!(poll(&mut given_up).is_pending());
        stage.turn();
    }
    assert_eq!(stage.world.hears(), "*2\r\n$5\r\nWATCH\r\n$1\r\nk\r\n");
    stage.world.says(b"+OK\r\n");
    stage.turn();
    assert_eq!(poll(&mut given_up), Poll::Ready(Err(Error::TooLarge)));
    drop(given_up);
    stage.client = Client::new(World::default(), Config::default()).0;
    assert!(!stage.turn(), "the UNWATCH is to be sent and answered");
    assert_eq!(stage.world.hears(), "*1\r\n$7\r\nUNWATCH\r\n");
    stage.world.says(b"+OK\r\n");
    assert!(stage.turn());
}

#[test]
fn promise_59_a_server_that_has_no_libraries_says_so() {
    let mut stage = Stage::new(1_000);
    let client = stage.client.clone();
    let mut registered = Box::pin(client.register_library("lib", "#!lua name=lib", true));
    assert!(poll(&mut registered).is_pending());
    stage.turn();
    assert!(stage.world.hears().contains("LOAD"));
    stage.world.says(b"-ERR unknown command `FUNCTION`, with args beginning with: `LOAD`\r\n");
    stage.turn();
    let Poll::Ready(Err(Error::Unsupported { command: name, since })) = poll(&mut registered) else {
        unreachable!("it fails")
    };
    assert_eq!(
        (name.to_string().as_str(), since, stage.world.hears().as_str()),
        ("FUNCTION LOAD", [7, 0, 0], "")
    );
    // others of its batch have their own outcomes, and what the table does not know the server's word
    let mut all =
        Box::pin(client.try_execute((incr("k"), hpttl("k", ["f"]), command("HPTTL"), command("NO.SUCH"))));
    assert!(poll(&mut all).is_pending());
    stage.turn();
    stage.world.says(b":1\r\n-ERR unknown command 'HPTTL'\r\n-ERR unknown command 'HPTTL'\r\n-ERR unknown command 'NO.SUCH'\r\n");
    stage.turn();
    let Poll::Ready((first, typed, named, unknown)) = poll(&mut all) else { unreachable!("all have come") };
    assert!(matches!(first, Ok(1)) && matches!(unknown, Err(Error::Server(_))));
    let too_new = |error: Option<Error>| error.map(|error| error.to_string());
    let said = Some("the server does not know HPTTL, which came with version 7.4.0".into());
    assert_eq!((too_new(typed.err()), too_new(named.err())), (said.clone(), said));
}

/// What was watched on one link is not executed on another.
#[test]
fn a_transaction_is_never_sent_on_another_link_than_its_watch() {
    const WATCH: &str = "*2\r\n$5\r\nWATCH\r\n$1\r\nk\r\n";
    const MULTI: &str = "*1\r\n$5\r\nMULTI\r\n";
    let mut stage = Stage::new(1_000);
    let client = stage.client.clone();
    let mut raised = Box::pin(client.transaction(&["k"], async |_| Ok((incr("k"),))));
    for round in 1..=5 {
        // what was decided on the last link is not sent, and it begins anew, where there is no link of its own
        for _ in 0..3 {
            assert!(poll(&mut raised).is_pending());
            stage.turn();
        }
        assert_eq!(stage.world.hears(), WATCH, "{round}");
        stage.world.says(b"+OK\r\n");
        stage.turn();
        if round < 5 {
            if round % 2 == 0 {
                // taken over by the driver, and not written
                stage.world.state().room = 0;
                assert!(poll(&mut raised).is_pending());
                stage.turn();
            }
            stage.world.state().hung_up = true;
            stage.turn();
            stage.world.state().now += 10;
            stage.turn();
            stage.world.state().room = usize::MAX;
        }
    }
    assert!(poll(&mut raised).is_pending());
    stage.turn();
    assert_eq!(stage.world.hears(), format!("{MULTI}{INCR}*1\r\n$4\r\nEXEC\r\n"));
    stage.world.says(b"+OK\r\n+QUEUED\r\n*1\r\n:7\r\n");
    stage.turn();
    assert_eq!(poll(&mut raised), Poll::Ready(Ok((7,))));
}

/// Where it has links of its own, another is taken when one is lost before anything was watched.
#[test]
fn a_transaction_whose_own_link_is_lost_begins_anew() {
    for known in [false, true] {
        let second = World::default();
        *second.state() = State { room: usize::MAX, step: 1_000, ..State::default() };
        let mut stage = Stage::with(1_000, Some(second.clone()));
        let client = stage.client.clone();
        // a link is left over, and closed while nobody looks
        let mut leased = Box::pin(client.lease());
        assert!(poll(&mut leased).is_pending());
        stage.turn();
        let Poll::Ready(Ok(own)) = poll(&mut leased) else { unreachable!("there is room") };
        let mut pinged = Box::pin(own.execute(ping()));
        assert!(poll(&mut pinged).is_pending());
        stage.turn();
        second.says(b"+PONG\r\n");
        stage.turn();
        assert!(poll(&mut pinged).is_ready());
        drop((pinged, leased));
        drop(own);
        stage.turn();
        second.hears();
        let mut raised = Box::pin(client.transaction(&["k"], async |_| Ok((incr("k"),))));
        assert!(poll(&mut raised).is_pending());
        if known {
            // it was given the link
            stage.turn();
        }
        second.state().hung_up = true;
        for _ in 0..6 {
            assert!(poll(&mut raised).is_pending());
            stage.turn();
            stage.world.state().now += 10;
        }
        assert_eq!(second.hears(), "*2\r\n$5\r\nWATCH\r\n$1\r\nk\r\n");
        second.says(b"+OK\r\n");
        stage.turn();
        assert!(poll(&mut raised).is_pending());
        stage.turn();
        second.says(b"+OK\r\n+QUEUED\r\n*1\r\n:7\r\n");
        stage.turn();
        assert_eq!(poll(&mut raised), Poll::Ready(Ok((7,))));
    }
}

/// One that waits while others watch keys is remembered once.
#[test]
fn who_waits_for_a_transaction_is_woken_once() {
    let mut stage = Stage::new(1_000);
    let client = stage.client.clone();
    let mut first = Box::pin(client.transaction(&["k"], async |_| Ok((incr("k"),))));
    for _ in 0..2 {
        assert!(poll(&mut first).is_pending());
        stage.turn();
    }
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let (mut second, mut third) =
        (Box::pin(client.atomic((ping(),))), Box::pin(client.transaction(&["k"], async |_| Ok((ping(),)))));
    for _ in 0..100 {
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(third.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        stage.turn();
    }
    assert!(Arc::strong_count(&bell) < 6, "{}", Arc::strong_count(&bell));
    drop(first);
    assert!(bell.0.load(Ordering::Relaxed) > 0);
}

#[test]
fn the_driver_ends_with_the_last_client_and_hangs_up() {
    let Stage { world, client, driver, bell } = Stage::new(100);
    let mut stage = Stage { world, client: client.clone(), driver, bell };
    let mut pinged = Box::pin(async move { client.execute(ping()).await });
    assert!(poll(&mut pinged).is_pending());
    assert!(!stage.turn());
    drop(pinged);
    assert!(!stage.turn() && stage.world.state().open);
    let Stage { world, client, mut driver, bell } = stage;
    let rung = bell.0.load(Ordering::Relaxed);
    drop(client);
    assert_eq!(bell.0.load(Ordering::Relaxed), rung + 1);
    assert!(Pin::new(&mut driver).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(!world.state().open);
}

#[test]
fn a_broken_link_tells_what_may_have_been_executed_and_leaves_nothing_behind() {
    let mut stage = Stage::new(1000);
    stage.world.state().room = INCR.len() + 3;
    let client = stage.client.clone();
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(client.execute(incr("k")))).collect();
    calls.iter_mut().for_each(|call| assert!(poll(call).is_pending()));
    stage.turn();
    stage.world.says(b":12");
    stage.world.state().hung_up = true;
    stage.turn();
    let told: Vec<_> = calls.iter_mut().map(poll).collect();
    let dropped = || Poll::Ready(Err(failed(Reason::Dropped, true)));
    assert_eq!(told, [dropped(), dropped(), Poll::Pending]);

    stage.world.state().room = 1000;
    stage.world.state().now = 10;
    stage.turn();
    assert_eq!(stage.world.state().opened, 2);
    assert_eq!(stage.world.hears(), INCR);
    stage.world.says(b":3\r\n");
    stage.turn();
    assert_eq!(poll(&mut calls[2]), Poll::Ready(Ok(3)));
}

#[test]
fn a_command_that_is_said_to_do_no_harm_twice_is_sent_again() {
    let mut stage = Stage::new(1000);
    let client = stage.client.clone();
    let mut counted = Box::pin(client.execute(incr("k").idempotent()));
    let mut stored = Box::pin(client.execute(set("k", "v").nx().idempotent()));
    let script = Script::new("return 7");
    let call = || script.call::<i64>(&[], &[]).idempotent();
    let mut called = Box::pin(client.execute((call(), call())));
    let mut both = Box::pin(client.atomic((incr("k").idempotent(), call())));
    assert!(poll(&mut counted).is_pending() && poll(&mut stored).is_pending());
    assert!(poll(&mut called).is_pending() && poll(&mut both).is_pending());
    stage.turn();
    stage.world.state().hung_up = true;
    stage.turn();
    assert_eq!(poll(&mut both), Poll::Ready(Err(failed(Reason::Dropped, true))), "no transaction is");
    stage.world.hears();
    stage.world.state().now += 10;
    stage.world.state().room = 1000;
    stage.turn();
    let heard = stage.world.hears();
    assert!(heard.starts_with(INCR) && heard.contains("NX") && !heard.contains("MULTI"), "{heard}");
    assert_eq!(heard.matches("return 7").count(), 2, "{heard}");
    stage.world.says(b":2\r\n$-1\r\n:7\r\n:7\r\n");
    stage.turn();
    assert_eq!(poll(&mut called), Poll::Ready(Ok((7, 7))));
    assert_eq!(poll(&mut counted), Poll::Ready(Ok(2)));
    assert_eq!(poll(&mut stored), Poll::Ready(Ok(false)));
}

#[test]
fn a_command_that_only_reads_outlives_its_link() {
    let mut stage = Stage::new(1000);
    let client = stage.client.clone();
    let mut got = Box::pin(client.execute(get("k")));
    assert!(poll(&mut got).is_pending());
    for link in 1..=3 {
        stage.turn();
        let opened = stage.world.state().opened;
        assert_eq!((opened, stage.world.hears().as_str()), (link, GET));
        stage.world.says(b"$5\r\nval");
        stage.world.state().hung_up = true;
        stage.turn();
        stage.world.state().now += 10;
        stage.world.state().room = 1000;
    }
    stage.turn();
    stage.world.says(b"$3\r\nnew\r\n");
    stage.turn();
    assert_eq!(poll(&mut got), Poll::Ready(Ok(Some("new".into()))));
}

#[test]
fn a_transport_that_does_not_open_is_told_with_its_error() {
    let mut stage = Stage::new(1000);
    stage.world.state().refuse = true;
    let client = stage.client.clone();
    let mut pinged = Box::pin(client.execute(ping()));
    assert!(poll(&mut pinged).is_pending());
    stage.turn();
    assert_eq!(stage.driver.fault(), Some(&"refused"));
    assert_eq!(stage.driver.connection().trouble(), Some(Reason::Refused));
    for now in 0..=5_000 {
        assert!(poll(&mut pinged).is_pending());
        stage.world.state().now = now;
        stage.turn();
    }
    assert_eq!(poll(&mut pinged), Poll::Ready(Err(unmade(Reason::Refused, "refused"))));
    // what the other side says in a handshake
    let mut selected = Stage::of(1_000, None, Config { database: 99, ..config() });
    let client = selected.client.clone();
    let mut pinged = Box::pin(client.execute(ping()));
    assert!(poll(&mut pinged).is_pending());
    selected.turn();
    selected.world.says(b"-ERR DB index is out of range\r\n");
    selected.turn();
    let error = unmade(Reason::Database, "ERR DB index is out of range");
    let shown =
        "the database could not be selected (ERR DB index is out of range); the command was not executed";
    assert_eq!(error.to_string(), shown);
    assert_eq!(poll(&mut pinged), Poll::Ready(Err(error)));
    // and nothing that an earlier attempt failed with
    let mut mute = Stage::of(1_000, None, Config { database: 99, ..config() });
    mute.world.state().refuse = true;
    let client = mute.client.clone();
    let mut pinged = Box::pin(client.execute(ping()));
    assert!(poll(&mut pinged).is_pending());
    mute.turn();
    mute.world.state().refuse = false;
    for now in 0..=5_000 {
        (mute.world.state().now, mute.world.state().hung_up) = (now, true);
        mute.turn();
    }
    assert_eq!(poll(&mut pinged), Poll::Ready(Err(unmade(Reason::HungUp, ""))));
}

#[test]
fn a_late_reply_reaches_nobody() {
    let mut stage = Stage::new(1000);
    let client = stage.client.clone();
    let mut late = Box::pin(client.execute(get("k")));
    assert!(poll(&mut late).is_pending());
    stage.turn();
    stage.world.says(b"$5\r\nla");
    stage.turn();
    stage.world.state().now = 100;
    stage.turn();
    assert_eq!(poll(&mut late), Poll::Ready(Err(failed(Reason::Timeout, true))));
    let mut next = Box::pin(client.execute(incr("n")));
    assert!(poll(&mut next).is_pending());
    stage.turn();
    stage.world.says(b"ter\r\n:1\r\n");
    stage.turn();
    assert_eq!(poll(&mut next), Poll::Ready(Ok(1)));
}

#[test]
fn a_slot_is_free_only_when_nothing_can_come_for_it() {
    for before in ["", "$5\r\nv", "$5\r\nvalue\r"] {
        let mut stage = Stage::new(1000);
        let client = stage.client.clone();
        let mut dropped = Box::pin(client.execute(get("k")));
        assert!(poll(&mut dropped).is_pending());
        stage.turn();
        stage.world.says(before.as_bytes());
        stage.turn();
        drop(dropped);
        let mut kept = Box::pin(client.execute((incr("n"), ping())));
        assert!(poll(&mut kept).is_pending());
        stage.turn();
        let mut more = Box::pin(client.execute(incr("n")));
        assert!(poll(&mut more).is_pending());
        stage.world.says(&b"$5\r\nvalue\r\n"[before.len()..]);
        stage.turn();
        stage.world.says(b":1\r\n+PONG\r\n:2\r\n");
        stage.turn();
        assert_eq!(poll(&mut kept), Poll::Ready(Ok((1, "PONG".into()))));
        assert_eq!(poll(&mut more), Poll::Ready(Ok(2)));
    }
}

#[test]
fn what_a_dropped_driver_leaves_tells_what_may_have_been_executed() {
    let Stage { world, client, driver, bell } = Stage::new(1000);
    let mut stage = Stage { world, client: client.clone(), driver, bell };
    let mut written = Box::pin(client.execute(ping()));
    assert!(poll(&mut written).is_pending());
    stage.turn();
    let mut waiting = Box::pin(client.execute(ping()));
    assert!(poll(&mut waiting).is_pending());
    drop(stage.driver);
    assert_eq!(poll(&mut written), Poll::Ready(Err(failed(Reason::Closed, true))));
    assert_eq!(poll(&mut waiting), Poll::Ready(Err(failed(Reason::Closed, false))));
}

#[test]
fn nothing_that_can_be_printed_holds_what_was_sent() {
    let script = format!("{:?}", Script::new("return 1").call::<i64>(&["secret"], &[]));
    assert!(script.len() < 300 && !script.contains("114, 101"), "{script}");
    let mut stage = Stage::new(1000);
    stage.world.state().room = 0;
    let client = stage.client.clone();
    let (said, unsaid) = (get("secret"), incr("secret"));
    let shown = format!("{said:?}");
    let mut first = Box::pin(client.execute(said));
    assert!(poll(&mut first).is_pending());
    stage.turn();
    let mut second = Box::pin(client.execute(unsaid));
    assert!(poll(&mut second).is_pending());
    let shown = format!("{shown} {client:?} {:?}", stage.driver.connection());
    let bytes = format!("{:?}", b"secret");
    assert!(!shown.contains("secret") && !shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}

/// Expects that `request` is refused with this text, and what is executed with it, and that nothing is sent.
fn refused(stage: &mut Stage, request: impl Request<Output: std::fmt::Debug>, wanted: &str) {
    let client = stage.client.clone();
    let mut both = Box::pin(client.execute((ping(), request)));
    let Poll::Ready(Err(error)) = poll(&mut both) else { unreachable!("{wanted}") };
    assert_eq!(error.to_string(), wanted);
    assert!(matches!(error, Error::Empty { .. }) && !error.maybe_executed());
    assert!(!stage.turn());
    assert_eq!(stage.world.hears(), "", "{wanted}");
}

#[test]
fn an_empty_list_where_one_value_is_needed_is_refused_with_its_name_and_nothing_is_sent() {
    const NONE: [&str; 0] = [];
    let stage = &mut Stage::new(100);
    refused(stage, del(NONE), "DEL: parameter 'keys' expected one value at least, got none");
    let pairs = NONE.map(|name| (name, "$"));
    refused(stage, hset("k", pairs), "HSET: parameter 'data' expected one value at least, got none");
    refused(stage, sintercard(NONE), "SINTERCARD: parameter 'keys' expected one value at least, got none");
    refused(stage, xread(pairs), "XREAD: parameter 'streams' expected one value at least, got none");
    let weights = zunionstore("to", ["a"]).weights([0.5; 0]);
    refused(stage, weights, "ZUNIONSTORE: parameter 'weight' expected one value at least, got none");
    let client = stage.client.clone();
    let mut allowed = Box::pin(client.execute(eval("return 1").keys(NONE)));
    assert!(poll(&mut allowed).is_pending());
    stage.turn();
    assert_eq!(stage.world.hears(), "*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n");
}

#[test]
fn what_is_left_in_an_outage_is_not_subscribed_to_for_ever() {
    const CONFIRMED: &str =
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n";
    for dropped in [true, false] {
        let listening = World::default();
        *listening.state() = State { room: usize::MAX, step: usize::MAX, ..State::default() };
        let mut stage = Stage::with(usize::MAX, Some(listening.clone()));
        let client = stage.client.clone();
        let subscribed = |stage: &mut Stage, name: &'static str| {
            let client = client.clone();
            let mut asked = Box::pin(async move { client.subscribe(&[name]).await });
            assert!(poll(&mut asked).is_pending());
            stage.turn();
            assert!(listening.hears().contains("SUBSCRIBE"));
            listening.says(format!("*3\r\n$9\r\nsubscribe\r\n$1\r\n{name}\r\n:1\r\n").as_bytes());
            stage.turn();
            let Poll::Ready(Ok(subscription)) = poll(&mut asked) else { unreachable!("it is confirmed") };
            subscription
        };
        let mut left = subscribed(&mut stage, "a");
        let mut kept = subscribed(&mut stage, "b");
        {
            let mut state = listening.state();
            (state.hung_up, state.refuse) = (true, true);
        }
        stage.turn();
        assert!(!listening.state().open);
        let advance = |stage: &mut Stage, milliseconds: u64| {
            for _ in 0..milliseconds / 100 {
                listening.state().now += 100;
                stage.world.state().now += 100;
                stage.turn();
            }
        };
        if dropped {
            drop(left);
            advance(&mut stage, 20_000);
        } else {
            let mut leaving = Box::pin(async {
                let outcome = left.unsubscribe(&["a"]).await;
                (outcome, left.channels())
            });
            assert!(poll(&mut leaving).is_pending());
            advance(&mut stage, 20_000);
            let Poll::Ready((outcome, channels)) = poll(&mut leaving) else { unreachable!("time is up") };
            assert!(matches!(outcome, Err(Error::NoLink { .. })) && channels.is_empty());
            advance(&mut stage, 20_000);
        }
        listening.state().refuse = false;
        advance(&mut stage, 1_000);
        listening.says(CONFIRMED.as_bytes());
        stage.turn();
        let asked = listening.hears();
        assert!(asked.ends_with("*2\r\n$11\r\nUNSUBSCRIBE\r\n$1\r\na\r\n"), "{asked}");
        listening.says(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n");
        listening.says(b"*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n");
        stage.turn();
        let Poll::Ready(Some(message)) = kept.poll_next(&mut Context::from_waker(Waker::noop())) else {
            unreachable!("it was published")
        };
        assert_eq!(message.data, "x");
        assert!(message.gap.is_some_and(|gap| gap.channels.iter().eq(["b"]) && gap.patterns.is_empty()));
        // the next link knows of one name only
        listening.state().hung_up = true;
        stage.turn();
        advance(&mut stage, 1_000);
        assert!(listening.hears().ends_with("*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nb\r\n"));
    }
}

#[test]
fn a_gap_names_what_was_listened_to_all_along_and_not_what_was_left_or_joined_in_the_outage() {
    let confirmed = |word: &str, name: &str| {
        format!("*3\r\n${}\r\n{word}\r\n${}\r\n{name}\r\n:1\r\n", word.len(), name.len())
    };
    let listening = World::default();
    *listening.state() = State { room: usize::MAX, step: usize::MAX, ..State::default() };
    let mut stage = Stage::with(usize::MAX, Some(listening.clone()));
    let client = stage.client.clone();
    let at = |stage: &mut Stage, now: u64| {
        (listening.state().now, stage.world.state().now) = (now, now);
        stage.turn();
    };
    at(&mut stage, 100);
    let joined: [(&str, &[&str]); 3] =
        [("subscribe", &["a", "b"]), ("psubscribe", &["p*"]), ("ssubscribe", &["s"])];
    let mut some = {
        let mut joining = Box::pin(async {
            let mut some = client.subscribe(joined[0].1).await?;
            some.psubscribe(joined[1].1).await?;
            some.ssubscribe(joined[2].1).await?;
            Ok::<_, Error>(some)
        });
        for (word, names) in joined {
            assert!(poll(&mut joining).is_pending());
            stage.turn();
            names.iter().for_each(|name| listening.says(confirmed(word, name).as_bytes()));
            stage.turn();
        }
        let Poll::Ready(Ok(some)) = poll(&mut joining) else { unreachable!("all is confirmed") };
        some
    };
    let mut other = {
        let mut joining = Box::pin(async { client.subscribe(&["a"]).await });
        assert!(poll(&mut joining).is_pending());
        stage.turn();
        listening.says(confirmed("subscribe", "a").as_bytes());
        stage.turn();
        let Poll::Ready(Ok(other)) = poll(&mut joining) else { unreachable!("it is confirmed") };
        other
    };
    listening.state().hung_up = true;
    listening.state().refuse = true;
    at(&mut stage, 200);
    assert!(!listening.state().open);
    {
        let mut changing = Box::pin(async {
            some.unsubscribe(&["a"]).await?;
            some.subscribe(&["c"]).await
        });
        assert!(poll(&mut changing).is_pending(), "the other listens to it: the server is not asked");
        listening.state().refuse = false;
        (3..=9).for_each(|step| at(&mut stage, step * 100));
        for (word, names) in joined {
            names.iter().for_each(|name| listening.says(confirmed(word, name).as_bytes()));
        }
        at(&mut stage, 1_000);
        listening.says(confirmed("subscribe", "c").as_bytes());
        stage.turn();
        assert!(matches!(poll(&mut changing), Poll::Ready(Ok(()))));
    }
    let set = |names: &[&'static str]| names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect();
    let lost = Some((Instant(100), Instant(1_000)));
    let gap = Gap { channels: set(&["b", "s"]), patterns: set(&["p*"]), lost, dropped: 0 };
    assert_eq!(some.take_gap(), Some(gap));
    assert_eq!(other.take_gap(), Some(Gap { channels: set(&["a"]), lost, ..Gap::default() }));
}
