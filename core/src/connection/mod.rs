//! One link to one server: the brick that pools and clusters are built from.

mod adapter;
mod backoff;
mod caching;
mod config;
mod handshake;
mod inbound;
mod inspect;
mod keepalive;
mod lease;
mod listening;
mod outbound;
mod queue;
mod receiving;
mod refusal;
mod traces;

pub use config::{Bounds, Config, Credentials, Protocol};
pub use handshake::Server;
pub use inspect::{Pending, Stage};

use crate::batch::{Batch, Malformed};
use crate::cache::Cache;
use crate::fifo::Fifo;
use crate::machine::{Action, Failure, LinkId, Machine, Reason, ReplySink, Segment, Slot};
use crate::pubsub::Reading;
use crate::resp::Decoder;
use crate::shape::Shaper;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;
use backoff::Backoff;
use handshake::Handshake;
use inbound::Route;
use keepalive::Pulse;
use listening::Listening;
use queue::{Queue, Terms};
use traces::Traces;

/// Where a link stands.
///
/// ```text
///          submit, connect          handle_open            last reply of the handshake
///   Idle ----------------> Opening ------------> Shaking ----------------------------> Ready
///    | ^                    ^   |                   |                                    |
///    | | nobody     time is |   | refused,          | refused, closed,                   | closed, broken
///    | | wants it        up |   | timed out         | timed out                          | protocol, silent
///    v |                    |   v                   v                                    v
///   Waiting <---------------+---+-------------------+------------------------------------+
/// ```
#[derive(Debug)]
enum State {
    /// Nothing is tried.
    Idle,
    /// The next attempt is made when the link's deadline comes.
    Waiting,
    Opening,
    Shaking(Box<Handshake>),
    Ready,
}

/// A host that comes so many milliseconds late was held up, by a long task or because its process was stopped. Then answers may have come
/// that it did not read, so it has as much time again to do so, once.
const HELD_UP: u64 = 50;
/// Though not more.
const GRACE: u64 = 1_000;

/// A [`Machine`] with one link at a time, opened when a command needs it, and opened again when it was ready and is lost - unless it is
/// leased: then what was begun on one link is never gone on with on another.
pub struct Connection {
    /// 0 where it is shared.
    lane: u8,
    config: Config,
    session: Session,
    link: Link,
    queue: Queue,
    /// Made when the first command comes, where the configuration asks for it.
    cache: Option<Box<Cache>>,
    actions: Fifo<Action>,
}

/// What outlives a link.
#[derive(Debug)]
struct Session {
    last_link: u32,
    /// The server hung up on HELLO: ask in RESP2 from now on.
    no_hello: bool,
    server: Server,
    /// What the server said when it refused a link; never a text that may hold secrets.
    detail: Vec<u8>,
    backoff: Backoff,
    /// No attempt is made before.
    rest: Instant,
    /// No link is given up before because of what its server refuses.
    refusable: Instant,
    /// A link was ready, and nothing permanent came in the way: it is opened again for ever.
    lasting: bool,
    /// The application asked for a link.
    asked: bool,
    /// Why the last link ended, until one is ready.
    trouble: Option<Reason>,
    /// The lease lost the link that it had.
    spent: bool,
    /// What the lease's commands did to the link.
    traces: Traces,
    /// The host was held up: no deadline is looked at before.
    grace: Instant,
    /// Who is told what the server sends unasked, if anybody is.
    listening: Option<Listening>,
}

/// What dies with a link.
#[derive(Debug)]
struct Link {
    id: LinkId,
    state: State,
    decoder: Decoder,
    /// Whose reply has begun.
    route: Option<Route>,
    shaper: Shaper,
    /// When to give up opening and shaking hands, to end waiting, or to look after a link that is ready.
    deadline: Instant,
    pulse: Pulse,
    /// Why the link ends once what is in flight is answered, if so.
    leaving: Option<Reason>,
    /// What comes in unasked.
    reading: Reading,
    /// Names that the server has confirmed of the first command in the queue.
    confirmed: u32,
    /// The server sends the commands that it executes.
    monitoring: bool,
    /// The server was not told the new credentials yet.
    untold: bool,
    /// Where the first command began when it was ready.
    front: u64,
}

impl Link {
    const fn new(id: LinkId, state: State, config: &Config) -> Self {
        Self {
            id,
            state,
            decoder: Decoder::new(config.limits),
            route: None,
            shaper: Shaper::new(),
            deadline: Instant::NEVER,
            pulse: Pulse::new(),
            leaving: None,
            reading: Reading::new(),
            confirmed: 0,
            monitoring: false,
            untold: false,
            front: 0,
        }
    }
}

impl Connection {
    /// Makes an idle connection.
    pub const fn new(config: Config) -> Self {
        Self::on(0, config)
    }

    /// Makes an idle connection on `lane`.
    pub(crate) const fn on(lane: u8, config: Config) -> Self {
        let link = Link::new(LinkId(0), State::Idle, &config);
        let session = Session {
            last_link: 0,
            no_hello: false,
            server: Server::resp2(),
            detail: Vec::new(),
            backoff: Backoff::new(config.seed),
            rest: Instant(0),
            refusable: Instant(0),
            lasting: false,
            asked: false,
            trouble: None,
            spent: false,
            traces: Traces::NONE,
            grace: Instant(0),
            listening: None,
        };
        Self { lane, config, session, link, queue: Queue::new(), cache: None, actions: Fifo::new() }
    }

    /// Replaces the configuration, which the next link is opened with.
    pub fn configure(&mut self, config: Config) {
        self.session.backoff = Backoff::new(config.seed);
        self.config = config;
    }

    /// Replaces the credentials: links are opened with the new ones, and the one that is ready tells them to the server, which answers
    /// what came before as the old user. Where it refuses them, the link ends once what is in flight is answered.
    pub fn authenticate(&mut self, credentials: Credentials) {
        self.config.credentials = Some(credentials);
        self.link.untold = matches!(self.link.state, State::Ready);
        self.introduce();
    }

    /// Opens the link unless it is open or being opened; after a failure, not before the time of the next attempt.
    pub fn connect(&mut self, now: Instant) {
        self.session.asked = true;
        self.begin(now);
    }

    /// Ends the link, if any, and settles everything that waits. The connection can be used again.
    pub fn shutdown(&mut self) {
        self.session.backoff.reset();
        self.session.rest = Instant(0);
        self.hang_up();
        if let Some(listening) = &mut self.session.listening {
            listening.clear();
        }
    }

    /// Tells whether a link that failed or was lost is going to be opened again.
    pub fn is_retrying(&self) -> bool {
        matches!(self.link.state, State::Waiting)
    }

    /// Gives why the last link ended or could not be opened; `None` once another is ready.
    pub fn trouble(&self) -> Option<Reason> {
        self.session.trouble
    }

    /// Gives what the server said of itself on the last link that got ready.
    pub fn server(&self) -> &Server {
        &self.session.server
    }

    /// Gives what the server said when it last refused a link; of an authentication, its error code only.
    pub fn detail(&self) -> &[u8] {
        &self.session.detail
    }

    /// Tells whether nothing waits for a reply.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty()
    }

    /// Gives how many bytes are to come of the large text that is open on the link and may be read to where it belongs; 0 when
    /// there is none.
    pub fn bulk_left(&self) -> u64 {
        if self.takes_texts() { 0 } else { self.link.decoder.bulk_left() }
    }

    /// Tells whether large texts of this reply are taken here, as others are.
    fn takes_texts(&self) -> bool {
        self.link.shaper.is_parsing() || self.cache.as_ref().is_some_and(|cache| cache.takes_texts())
    }

    /// Accepts `batch`, but for the commands that block, which are put `aside` where that is given.
    pub(crate) fn accept<'a>(
        &mut self,
        now: Instant,
        batch: &Batch<'a>,
        aside: Option<&mut Vec<Batch<'a>>>,
    ) -> Result<(), Malformed> {
        let ready = matches!(self.link.state, State::Ready);
        let wait = (!ready).then_some(self.config.queue_timeout);
        let before = self.queue.len();
        let terms = Terms { now, timeout: self.config.timeout, wait };
        match self.config.cache {
            None => self.queue.accept(&terms, batch, aside)?,
            Some(_) => self.accept_cached(&terms, batch, aside)?,
        }
        if self.lane != 0 {
            self.queue.note(before, batch);
        }
        if self.session.spent {
            self.settle(Reason::LeaseLost);
            return Ok(());
        }
        self.begin(now);
        let (bounds, oldest, reason) = match self.session.trouble {
            _ if ready && self.config.holds_back => {
                let Bounds { commands, bytes } = self.config.offline;
                let Bounds { commands: flying, bytes: unsent } = self.config.high_water;
                let bounds =
                    Bounds { commands: flying.saturating_add(commands), bytes: unsent.saturating_add(bytes) };
                (bounds, false, Reason::HighWater)
            }
            _ if ready => (self.config.high_water, false, Reason::HighWater),
            Some(reason) if self.config.offline.commands == 0 => {
                self.settle(reason);
                return Ok(());
            }
            None if self.config.offline.commands == 0 => (self.config.high_water, false, Reason::HighWater),
            _ => (self.config.offline, self.config.drop_oldest, Reason::QueueFull),
        };
        let actions = &mut self.actions;
        let keep = if oldest { 0 } else { before };
        self.queue.bound(bounds, oldest, keep, |slot, maybe_executed| {
            fail(actions, slot, reason, maybe_executed);
        });
        self.admit(now, before);
        Ok(())
    }

    /// Lets commands go for which there is room on the link, where others are held back; those behind the first `known` came just now.
    fn admit(&mut self, now: Instant, known: usize) {
        if self.config.holds_back && matches!(self.link.state, State::Ready) {
            self.queue.admit(now, self.config.high_water.commands, self.config.queue_timeout, known);
        }
    }

    #[inline(never)]
    fn begin(&mut self, now: Instant) {
        if !matches!(self.link.state, State::Idle) {
        } else if self.session.rest > now {
            self.wait();
        } else {
            self.open(now);
        }
    }

    fn wait(&mut self) {
        self.link.state = State::Waiting;
        self.link.deadline = self.session.rest;
    }

    #[inline(never)]
    fn open(&mut self, now: Instant) {
        self.session.last_link = self.session.last_link.wrapping_add(1);
        let id = LinkId(self.session.last_link << 8 | u32::from(self.lane));
        self.link = Link::new(id, State::Opening, &self.config);
        self.link.deadline = now.limit(self.config.connect_timeout);
        self.actions.push(Action::Open(self.link.id));
    }

    /// The server has agreed on everything but what is to be subscribed to again.
    #[inline(never)]
    fn agree(&mut self, now: Instant, server: Server) {
        self.session.server = server;
        if !self.resume(now) {
            self.ready(now);
        }
    }

    #[inline(never)]
    fn ready(&mut self, now: Instant) {
        self.session.backoff.ready(now, self.config.backoff.1);
        (self.session.lasting, self.session.asked, self.session.trouble) = (self.lane == 0, false, None);
        self.link.state = State::Ready;
        self.link.front = self.queue.front();
        self.link.deadline = now.limit(self.config.keep_alive);
        self.link.pulse.beat(now);
        self.queue.restart_deadlines(now);
        self.admit(now, 0);
        self.actions.push(Action::Ready(self.link.id));
    }

    /// Ends the link because of `reason`, and decides what comes of the commands and whether another link is opened.
    #[cold]
    #[inline(never)]
    fn lose(&mut self, now: Instant, reason: Reason) {
        let (least, most) = self.config.backoff;
        let permanent = reason.is_permanent();
        let was_ready = matches!(self.link.state, State::Ready);
        self.close(reason);
        if was_ready {
            self.miss();
            if self.queue.front() > self.link.front {
                self.session.backoff.reset();
            }
        }
        // what hung up on HELLO may have done so for another reason
        self.session.no_hello = false;
        self.session.trouble = Some(reason);
        self.session.asked = false;
        let delay = self.session.backoff.next(now, least, most);
        self.session.rest = now.limit(if permanent { most } else { delay }.max(1));
        if permanent {
            self.session.lasting = false;
        }
        self.session.spent |= was_ready && self.lane != 0;
        if permanent || self.session.spent || self.config.offline.commands == 0 {
            self.settle(reason);
        } else if was_ready {
            let actions = &mut self.actions;
            let (wait, resends) = (self.config.queue_timeout, self.config.resends);
            self.queue.cut(now, wait, resends, |slot| {
                fail(actions, slot, reason, true);
            });
        }
        self.link.state = State::Idle;
        self.link.deadline = Instant::NEVER;
        if self.is_wanted() {
            self.wait();
        }
    }

    fn is_wanted(&self) -> bool {
        self.session.lasting || self.session.asked || !self.queue.is_empty() || self.is_subscribed()
    }

    fn close(&mut self, reason: Reason) {
        if let Some(cache) = &mut self.cache {
            cache.cut();
        }
        if !matches!(self.link.state, State::Idle | State::Waiting) {
            self.actions.push(Action::Close(self.link.id, reason));
        }
    }

    /// Fails everything that waits.
    #[inline(never)]
    fn settle(&mut self, reason: Reason) {
        let actions = &mut self.actions;
        self.queue.clear(|slot, maybe_executed| {
            fail(actions, slot, reason, maybe_executed);
        });
    }

    fn is_current(&self, link: LinkId) -> bool {
        link == self.link.id && !matches!(self.link.state, State::Idle | State::Waiting)
    }

    /// Tells whether the link speaks RESP2, where maps and pairs are flat.
    fn is_flat(&self) -> bool {
        self.session.server.protocol == 2
    }

    /// Stops passing on a reply whose command was given up while it came in.
    fn bury(&mut self) {
        let buried = self.queue.current().is_some_and(|entry| !entry.live);
        if let Some(route) = self.link.route.as_mut().filter(|route| buried && route.is_forwarded()) {
            *route = Route::Tombstone;
        }
    }
}

#[inline(never)]
fn fail(actions: &mut Fifo<Action>, slot: Slot, reason: Reason, maybe_executed: bool) {
    actions.push(Action::Settle(slot, Failure { reason, maybe_executed }));
}

/// Without what is being sent and read: that is user data, and in a handshake the password.
impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection")
            .field("link", &self.link.id)
            .field("stage", &self.stage())
            .finish_non_exhaustive()
    }
}

impl Machine for Connection {
    fn submit(&mut self, now: Instant, batch: &Batch<'_>) -> Result<(), Malformed> {
        self.accept(now, batch, None)
    }

    fn cancel(&mut self, now: Instant, slot: Slot) -> Option<bool> {
        let written = self.queue.cancel(slot, self.config.tombstone_limit);
        self.bury();
        self.admit(now, usize::MAX);
        written
    }

    fn handle_open(&mut self, now: Instant, link: LinkId) {
        if link != self.link.id || !matches!(self.link.state, State::Opening) {
            return;
        }
        let hello = self.config.protocol != Protocol::Resp2 && !self.session.no_hello;
        if self.config.cache.is_some() && !hello {
            return self.lose(now, Reason::Protocol3);
        }
        self.link.state = State::Shaking(Box::new(Handshake::new(&self.config, hello)));
    }

    fn handle_bytes<S: ReplySink>(
        &mut self,
        now: Instant,
        link: LinkId,
        input: &[u8],
        sink: &mut S,
    ) -> usize {
        if !self.is_current(link) {
            return input.len();
        }
        self.link.pulse.beat(now);
        self.link.shaper.forget();
        let read = self.read(now, input, sink).unwrap_or_else(|reason| {
            self.lose(now, reason);
            input.len()
        });
        self.admit(now, usize::MAX);
        read
    }

    fn handle_read(&mut self, link: LinkId, count: usize) -> usize {
        if !self.is_current(link) {
            return 0;
        }
        self.link.pulse = Pulse::new();
        self.link.decoder.skip(count)
    }

    fn handle_closed(&mut self, now: Instant, link: LinkId) {
        if !self.is_current(link) {
            return;
        }
        match &self.link.state {
            State::Opening => self.lose(now, Reason::Refused),
            State::Shaking(handshake) if handshake.awaits_hello() && self.config.falls_back() => {
                self.session.no_hello = true;
                self.open(now);
            }
            State::Shaking(_) => self.lose(now, Reason::HungUp),
            _ => self.lose(now, Reason::Dropped),
        }
    }

    fn handle_untrusted(&mut self, now: Instant, link: LinkId) {
        if self.is_current(link) {
            self.lose(now, Reason::Untrusted);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Some(due) = self.poll_timeout().filter(|&due| due <= now) else { return };
        let late = now.0 - due.0;
        if late >= HELD_UP && self.session.grace == Instant(0) {
            self.session.grace = now.limit(late.min(GRACE) as u32);
            return;
        }
        self.session.grace = Instant(0);
        if self.link.deadline <= now {
            match self.link.state {
                State::Waiting if self.is_wanted() => self.open(now),
                State::Waiting => {
                    self.link.state = State::Idle;
                    self.link.deadline = Instant::NEVER;
                    self.actions.push(Action::Rest);
                }
                State::Ready => self.watch(now),
                _ => self.lose(now, Reason::ConnectTimeout),
            }
        }
        self.make_sure(now);
        let actions = &mut self.actions;
        let ready = matches!(self.link.state, State::Ready);
        let waited = self.session.trouble.unwrap_or(Reason::QueueTimeout);
        let stalled = self.queue.expire(now, self.config.tombstone_limit, |slot, maybe_executed, held| {
            let reason = match ready {
                true if held => Reason::HighWater,
                true => Reason::Timeout,
                false => waited,
            };
            fail(actions, slot, reason, maybe_executed);
        });
        if stalled {
            return self.lose(now, Reason::Silent);
        }
        self.bury();
        self.admit(now, usize::MAX);
    }

    fn handle_transmitted(&mut self, link: LinkId, count: usize) {
        if self.is_current(link) {
            match &mut self.link.state {
                State::Shaking(handshake) => handshake.transmitted(count),
                State::Ready => {
                    self.queue.transmitted(count);
                    if self.lane != 0 {
                        self.settle_silent();
                    }
                }
                State::Idle | State::Waiting | State::Opening => {}
            }
        }
    }

    fn poll_transmit(&self, link: LinkId) -> Option<Segment<'_>> {
        match &self.link.state {
            _ if !self.is_current(link) => None,
            State::Shaking(handshake) => {
                Some(handshake.unsent()).filter(|bytes| !bytes.is_empty()).map(Segment::Bytes)
            }
            State::Ready if self.link.leaving.is_some() => None,
            State::Ready if self.config.holds_back => self.queue.segment(self.config.high_water.commands),
            State::Ready => self.queue.segment(u32::MAX),
            State::Idle | State::Waiting | State::Opening => None,
        }
    }

    fn poll_cached<S: ReplySink>(&mut self, sink: &mut S) {
        self.tell_cached(sink);
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let round = self.session.listening.as_ref().map_or(Instant::NEVER, Listening::round);
        let next = self.link.deadline.min(self.queue.next_deadline()).min(round);
        Some(next.max(self.session.grace)).filter(|&at| at != Instant::NEVER)
    }
}
