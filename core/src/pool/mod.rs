//! One endpoint: a connection that everybody shares, and leased ones for what needs a connection of its own.

mod machine;
mod waiting;

use crate::batch::{Batch, Malformed, flags};
use crate::cache::{Caching, Written};
use crate::connection::{Config, Connection, Credentials, Pending};
use crate::fifo::Fifo;
use crate::machine::{Action, Failure, LeaseId, LinkId, Machine, Reason, Slot};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;
use waiting::{Command, Waiter, Waiting, Want};

/// How many leased connections there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at most beside the shared one, leased or elsewhere in a [`place`](Pool::place) of the pool; 0: none.
    pub max_connections: u8,
    /// Leased connections that are kept open for whoever comes, while the shared one is ready.
    pub min_idle: u8,
    /// Milliseconds after which a leased connection that nobody uses is closed; 0: never.
    pub max_idle_time: u32,
    /// Milliseconds that a blocking command, or who wants a lease, waits for a connection at most; 0: no limit.
    pub pool_timeout: u32,
}

impl Limits {
    /// The default limits.
    pub const fn new() -> Self {
        Self { max_connections: 8, min_idle: 0, max_idle_time: 60_000, pool_timeout: 5_000 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`Machine`] with one shared connection and up to [`Limits::max_connections`] leased ones.
///
/// A command that blocks does so on a connection of its own, which goes back when it settles; whoever gives it up closes its link.
/// [`lease`](Machine::lease) gives a connection to whoever changes what a connection is, or waits for its writes; [`place`](Self::place) counts
/// a connection that is driven elsewhere, such as one that listens.
pub struct Pool {
    limits: Limits,
    shared: Connection,
    lanes: Vec<Lane>,
    waiting: Waiting,
    actions: Fifo<Action>,
    /// How many leases there were.
    leases: u32,
}

/// A connection that is leased; its lane is its place, counted from 1.
struct Lane {
    connection: Connection,
    user: User,
    /// What commands may write that the server may not have executed yet, as far as the shared connection keeps replies.
    written: Written,
}

/// Who uses a leased connection.
///
/// ```text
///             a blocking command          settled, link clean
///         +------------------------> Passing ---------------+
///         |                             ^                   v
///       Idle                            | released        Idle, its link open for max_idle_time
///         |                             |                   ^
///         +------------------------> Holder ----------------+
///                  a lease                    link lost, or not clean: closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    /// Nobody, who lets go of the link at this time.
    Idle(Instant),
    /// Whoever waits for what is in flight.
    Passing,
    /// Whoever has this lease, which may be of the place alone.
    Holder(LeaseId),
}

impl Pool {
    /// Makes an idle pool.
    pub const fn new(config: Config, limits: Limits) -> Self {
        Self {
            limits,
            shared: Connection::new(config),
            lanes: Vec::new(),
            waiting: Waiting::new(),
            actions: Fifo::new(),
            leases: 0,
        }
    }

    /// Replaces the configuration, which the next links are opened with.
    pub fn configure(&mut self, config: Config, limits: Limits) {
        for lane in &mut self.lanes {
            lane.connection.configure(leased(&config));
        }
        self.shared.configure(config);
        self.limits = limits;
    }

    /// Gives how many leased connections there may be, and for how long.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes the shared connection one that listens, for nothing else: see [`Connection::listen`].
    pub fn listen(&mut self, slot: Slot) {
        self.shared.listen(slot);
    }

    /// Replaces the credentials, on links that are ready too: see [`Connection::authenticate`].
    pub fn authenticate(&mut self, credentials: &Credentials) {
        let leased = self.lanes.iter_mut().map(|lane| &mut lane.connection);
        for connection in leased.chain([&mut self.shared]) {
            connection.authenticate(credentials.clone());
        }
    }

    /// Has the shared connection keep replies, before the first use. What is leased is given them while its link is as any other, and what it
    /// asks for is not kept.
    pub fn cache(&mut self, caching: Caching) {
        self.shared.cache(caching);
    }

    /// Gives the connection that everybody shares.
    pub fn shared(&self) -> &Connection {
        &self.shared
    }

    /// Gives the connections that there are: the shared one, and those that are leased now and then.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        core::iter::once(&self.shared).chain(self.lanes.iter().map(|lane| &lane.connection))
    }

    /// Gives the blocking commands, and the leases, that wait for a connection.
    pub fn pending(&self, now: Instant) -> impl Iterator<Item = Pending> {
        self.waiting.pending(now)
    }

    /// Gives the connection of `link`.
    pub fn connection(&self, link: LinkId) -> Option<&Connection> {
        match link.lane() {
            0 => Some(&self.shared),
            lane => self.lanes.get(usize::from(lane) - 1).map(|lane| &lane.connection),
        }
    }

    /// Opens the shared link unless it is open or being opened; after a failure, not before the time of the next attempt.
    pub fn connect(&mut self, now: Instant) {
        self.shared.connect(now);
    }

    /// Asks for a place alone, as for a [`lease`](Machine::lease): nothing is opened in it, and it counts as a connection, that of the caller's, until
    /// it is given back.
    pub fn place(&mut self, now: Instant, slot: Slot) {
        self.admit(now, slot, Want::Place);
    }

    fn admit(&mut self, now: Instant, slot: Slot, want: Want) {
        let links = matches!(want, Want::Lease);
        match self.vacancy(links) {
            Some(at) => self.grant(now, at, slot, links),
            None => self.wait(now, slot, want),
        }
        self.supply(now);
    }

    /// Accepts every command of `batch`, in order, on the connection of `lease`. They wait for its first link; once that is lost
    /// they fail with [`Reason::LeaseLost`].
    ///
    /// # Errors
    /// [`Malformed`] when the batch is not well-formed; nothing of it is accepted then.
    pub fn submit_leased(
        &mut self,
        now: Instant,
        lease: LeaseId,
        batch: &Batch<'_>,
    ) -> Result<(), Malformed> {
        if let Some(at) = self.holder(lease) {
            let Lane { connection, written, .. } = &mut self.lanes[at];
            return self.shared.accept_beside(now, batch, connection, written);
        }
        let mut rest = *batch;
        while rest.next_request()?.is_some() {}
        rest = *batch;
        while let Some(request) = rest.next_request()? {
            if request.flags & (flags::MULTI | flags::MEMBER) == 0 {
                self.fail(request.slot, Reason::LeaseLost);
            }
        }
        Ok(())
    }

    /// Fails what blocks, and whoever waits for a connection; everything else goes on.
    pub fn unblock(&mut self, now: Instant) {
        self.dismiss(Instant::NEVER, Reason::Closed);
        for at in 0..self.lanes.len() {
            if self.lanes[at].connection.may_block() {
                self.lanes[at].connection.break_off();
            }
            self.review(now, at);
        }
    }

    /// Ends all links and leases, and settles everything that waits. The pool can be used again.
    pub fn shutdown(&mut self) {
        self.dismiss(Instant::NEVER, Reason::Closed);
        self.shared.shutdown();
        for lane in &mut self.lanes {
            lane.connection.shutdown();
            lane.user = User::Idle(Instant::NEVER);
        }
    }

    /// Tells whether nothing waits for a reply or a connection.
    pub fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
            && self.shared.is_quiet()
            && self.lanes.iter().all(|lane| lane.connection.is_quiet())
    }

    /// Gives the place of the connection of `lease`, while that lasts.
    fn holder(&self, lease: LeaseId) -> Option<usize> {
        let at = usize::from(lease.0 as u8).checked_sub(1)?;
        (self.lanes.get(at)?.user == User::Holder(lease)).then_some(at)
    }

    /// Gives the place of a connection that nobody uses: one with a link, or one that there is, or a new one; where none of its `links` is
    /// wanted, one without, or a new one, before one whose link others may use.
    fn vacancy(&mut self, links: bool) -> Option<usize> {
        let is_idle = |lane: &Lane| matches!(lane.user, User::Idle(_));
        let suits = |lane: &Lane| is_idle(lane) && lane.connection.is_linked() == links;
        let suitable = self.lanes.iter().position(suits);
        let any = self.lanes.iter().position(is_idle);
        if links {
            suitable.or(any).or_else(|| self.extend())
        } else {
            suitable.or_else(|| self.extend()).or(any)
        }
    }

    /// Adds a connection, if there may be another; gives its place.
    fn extend(&mut self) -> Option<usize> {
        let at = self.lanes.len();
        let number = u8::try_from(at + 1).ok().filter(|&number| number <= self.limits.max_connections)?;
        let connection = Connection::on(number, leased(self.shared.config()));
        self.lanes.push(Lane { connection, user: User::Idle(Instant::NEVER), written: Written::NOTHING });
        Some(at)
    }

    fn grant(&mut self, now: Instant, at: usize, slot: Slot, links: bool) {
        self.leases = self.leases.wrapping_add(1);
        let lease = LeaseId((self.leases << 8) | (at as u32 + 1));
        let lane = &mut self.lanes[at];
        lane.user = User::Holder(lease);
        lane.connection.renew(now);
        if links {
            lane.connection.connect(now);
        } else {
            lane.connection.hang_up();
        }
        self.actions.push(Action::Leased(slot, lease));
    }

    /// Has the connection at `at` run the command of `batch`, which blocks.
    fn run(&mut self, now: Instant, at: usize, batch: &Batch<'_>) {
        let lane = &mut self.lanes[at];
        lane.user = User::Passing;
        lane.connection.renew(now);
        let accepted = self.shared.accept_beside(now, batch, &mut lane.connection, &mut lane.written);
        debug_assert!(accepted.is_ok(), "it was well-formed");
    }

    /// Runs the command of `batch`, which blocks, now or when a connection comes free.
    fn divert(&mut self, now: Instant, batch: &Batch<'_>) {
        let Some(&slot) = batch.words.first() else { return };
        match self.vacancy(true) {
            Some(at) => self.run(now, at, batch),
            None => self.wait(now, Slot(slot), Want::Run(Box::new(Command::new(batch)))),
        }
        self.supply(now);
    }

    fn wait(&mut self, now: Instant, slot: Slot, want: Want) {
        if self.limits.max_connections == 0 {
            // none ever comes free
            self.fail(slot, Reason::PoolTimeout);
        } else if self.waiting.has_room(self.shared.config().offline) {
            let deadline = now.limit(self.limits.pool_timeout);
            self.waiting.push(Waiter { slot, since: now, deadline, want });
        } else {
            self.fail(slot, Reason::QueueFull);
        }
    }

    /// Fails those who wait no longer than to `end`.
    fn dismiss(&mut self, end: Instant, reason: Reason) {
        while let Some(waiter) = self.waiting.pop_until(end) {
            self.fail(waiter.slot, reason);
        }
    }

    fn fail(&mut self, slot: Slot, reason: Reason) {
        self.actions.push(Action::Settle(slot, Failure { reason, maybe_executed: false }));
    }

    /// Looks after the leased connection at `at` when something happened there.
    fn review(&mut self, now: Instant, at: usize) {
        let lane = &mut self.lanes[at];
        if !lane.written.is_nothing() {
            // before anybody learns that it was written
            self.shared.forget(&lane.written);
            if lane.connection.is_executed() {
                lane.written = Written::NOTHING;
            }
        }
        if lane.connection.is_stuck() {
            lane.connection.break_off();
        }
        if lane.user == User::Passing && !lane.connection.is_awaited() {
            if !lane.connection.is_clean() {
                lane.connection.hang_up();
            }
            lane.user = User::Idle(now.limit(self.limits.max_idle_time));
        }
        self.supply(now);
    }

    /// Gives free connections to those who wait, and opens as many more as are kept open.
    fn supply(&mut self, now: Instant) {
        while let Some(first) = self.waiting.first() {
            let links = !matches!(first, Want::Place);
            let Some(at) = self.vacancy(links) else { return };
            let Some(waiter) = self.waiting.pop_until(Instant::NEVER) else { return };
            match waiter.want {
                Want::Run(command) => self.run(now, at, &command.batch()),
                Want::Lease | Want::Place => self.grant(now, at, waiter.slot, links),
            }
        }
        if self.limits.min_idle > 0 && self.shared.is_ready() {
            self.stock(now);
        }
    }

    /// Opens idle connections until there are enough.
    #[cold]
    #[inline(never)]
    fn stock(&mut self, now: Instant) {
        let is_idle = |lane: &Lane| matches!(lane.user, User::Idle(_));
        let is_stocked = |lane: &&Lane| is_idle(lane) && !lane.connection.is_idle();
        for _ in self.lanes.iter().filter(is_stocked).count()..self.limits.min_idle.into() {
            let at = self.lanes.iter().position(|lane| is_idle(lane) && lane.connection.is_idle());
            let Some(at) = at.or_else(|| self.extend()) else { return };
            self.lanes[at].connection.connect(now);
        }
    }

    /// Looks after everything but the shared connection when time has passed.
    #[cold]
    #[inline(never)]
    fn tend(&mut self, now: Instant) {
        self.dismiss(now, Reason::PoolTimeout);
        for at in 0..self.lanes.len() {
            self.lanes[at].connection.handle_timeout(now);
            self.review(now, at);
        }
        let is_idle = |lane: &Lane| matches!(lane.user, User::Idle(_)) && lane.connection.is_linked();
        let mut idle = self.lanes.iter().filter(|lane| is_idle(lane)).count();
        for lane in &mut self.lanes {
            if matches!(lane.user, User::Idle(until) if until <= now) {
                // who is kept now is kept for good: others come after it
                lane.user = User::Idle(Instant::NEVER);
                if is_idle(lane) && idle > self.limits.min_idle.into() {
                    idle -= 1;
                    lane.connection.hang_up();
                }
            }
        }
    }

    /// Gives up the command in `slot` unless it is on the shared connection.
    #[inline(never)]
    fn cancel_leased(&mut self, now: Instant, slot: Slot) -> Option<bool> {
        if self.waiting.remove(slot).is_some() {
            return Some(false);
        }
        if let Some(at) =
            self.actions.iter().position(|action| matches!(action, Action::Leased(of, _) if *of == slot))
            && let Some(Action::Leased(_, lease)) = self.actions.get(at).copied()
        {
            self.actions.remove(at..at + 1);
            self.release(now, lease);
            return Some(false);
        }
        for at in 0..self.lanes.len() {
            if let Some(written) = self.lanes[at].connection.cancel(now, slot) {
                self.review(now, at);
                return Some(written);
            }
        }
        None
    }
}

/// Gives the configuration of leased connections: nothing is kept of what they read.
fn leased(config: &Config) -> Config {
    Config { cache: None, ..config.clone() }
}
