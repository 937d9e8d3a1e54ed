//! One link to one server: the brick that pools and clusters are built from.

mod adapter;
mod config;
mod fifo;
mod handshake;
mod inbound;
mod outbound;
mod queue;

pub use config::{Config, Credentials, Protocol};
pub use handshake::Server;

use crate::batch::{Batch, Malformed};
use crate::machine::{Action, Failure, LinkId, Machine, Reason, ReplySink, Segment, Slot};
use crate::resp::Decoder;
use crate::shape::Shaper;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;
use fifo::Fifo;
use handshake::{Handshake, Progress};
use inbound::{Route, Router};
use queue::Queue;

/// Where a link stands.
///
/// ```text
///            submit, connect          handle_open            last reply of the handshake
///   Idle ------------------> Opening ------------> Shaking ----------------------------> Ready
///    ^                          |                     |                                    |
///    +--------------------------+---------------------+------------------------------------+
///        closed, refused, timed out, broken protocol, shutdown: everything waiting is settled
/// ```
#[derive(Debug)]
enum State {
    Idle,
    Opening,
    Shaking(Box<Handshake>),
    Ready,
}

/// A [`Machine`] with one link at a time, opened when a command needs it.
pub struct Connection {
    config: Config,
    session: Session,
    link: Link,
    queue: Queue,
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
    /// When to give up opening and shaking hands.
    deadline: Instant,
}

impl Connection {
    /// Makes an idle connection.
    pub const fn new(config: Config) -> Self {
        let link = Link {
            id: LinkId(0),
            state: State::Idle,
            decoder: Decoder::new(config.limits),
            route: None,
            shaper: Shaper::new(),
            deadline: Instant::NEVER,
        };
        let session = Session { last_link: 0, no_hello: false, server: Server::resp2(), detail: Vec::new() };
        Self { config, session, link, queue: Queue::new(), actions: Fifo::new() }
    }

    /// Replaces the configuration, which the next link is opened with.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
    }

    /// Opens the link unless it is open or being opened.
    pub fn connect(&mut self, now: Instant) {
        if matches!(self.link.state, State::Idle) {
            self.open(now);
        }
    }

    /// Ends the link, if any, and settles everything that waits. The connection can be used again.
    pub fn shutdown(&mut self) {
        self.end(Reason::Closed);
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
        if self.link.shaper.is_parsing() { 0 } else { self.link.decoder.bulk_left() }
    }

    fn open(&mut self, now: Instant) {
        self.session.last_link += 1;
        self.link = Link {
            id: LinkId(self.session.last_link),
            state: State::Opening,
            decoder: Decoder::new(self.config.limits),
            route: None,
            shaper: Shaper::new(),
            deadline: now.limit(self.config.connect_timeout),
        };
        self.actions.push(Action::Open(self.link.id));
    }

    fn ready(&mut self, now: Instant, server: Server) {
        self.session.server = server;
        self.link.state = State::Ready;
        self.link.deadline = Instant::NEVER;
        self.queue.restart_deadlines(now);
        self.actions.push(Action::Ready(self.link.id));
    }

    fn end(&mut self, reason: Reason) {
        if !matches!(self.link.state, State::Idle) {
            self.actions.push(Action::Close(self.link.id, reason));
        }
        if matches!(self.link.state, State::Opening | State::Shaking(_)) {
            // RESP2 was no better: what hung up on HELLO did not do so because of it
            self.session.no_hello = false;
        }
        self.link.state = State::Idle;
        self.link.deadline = Instant::NEVER;
        let actions = &mut self.actions;
        self.queue.clear(|slot, maybe_executed| {
            actions.push(Action::Settle(slot, Failure { reason, maybe_executed }));
        });
    }

    fn is_current(&self, link: LinkId) -> bool {
        link == self.link.id && !matches!(self.link.state, State::Idle)
    }

    /// Decides whose reply begins with `first`.
    fn route<S: ReplySink>(&mut self, first: u8, sink: &mut S) -> Result<Route, Reason> {
        if first == b'>' {
            return Ok(Route::Push);
        }
        if matches!(self.link.state, State::Shaking(_)) {
            return Ok(Route::Handshake);
        }
        let entry = self.queue.current().ok_or(Reason::Unsolicited)?;
        let route = Route::of(entry, self.is_flat());
        if route.is_forwarded() {
            sink.begin(entry.slot);
        }
        Ok(route)
    }

    /// Takes the end of a reply.
    fn answered<S: ReplySink>(&mut self, now: Instant, route: &Route, sink: &mut S) -> Result<(), Reason> {
        match (route, &mut self.link.state) {
            (Route::Push, _) => {}
            (Route::Handshake, State::Shaking(handshake)) => {
                match handshake.end(&self.config, &mut self.session.detail) {
                    Progress::More => {}
                    Progress::Done => {
                        let server = handshake.server();
                        self.ready(now, server);
                    }
                    Progress::Fail(reason) => return Err(reason),
                }
            }
            _ => {
                if route.is_forwarded() {
                    sink.end();
                }
                self.queue.answer();
            }
        }
        Ok(())
    }

    fn read<S: ReplySink>(&mut self, now: Instant, input: &[u8], sink: &mut S) -> Result<usize, Reason> {
        let mut consumed = 0;
        self.link.shaper.forget();
        while let Some((rest, &first)) = input.get(consumed..).and_then(|rest| Some((rest, rest.first()?))) {
            let mut route = match self.link.route.take() {
                Some(route) => route,
                None => self.route(first, sink)?,
            };
            let flat = self.is_flat();
            let mut router = Router {
                route: &mut route,
                queue: &self.queue,
                handshake: match &mut self.link.state {
                    State::Shaking(handshake) => Some(handshake.reply()),
                    _ => None,
                },
                flat,
                shaper: &mut self.link.shaper,
                sink,
            };
            let decoded = self.link.decoder.decode(rest, &mut router).map_err(Reason::Protocol)?;
            consumed += decoded.consumed;
            if !decoded.done {
                self.link.route = Some(route);
                // the decoder paused for a text that is taken here
                if decoded.consumed > 0 && self.link.shaper.is_parsing() {
                    continue;
                }
                break;
            }
            self.answered(now, &route, sink)?;
        }
        Ok(consumed)
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

/// Without what is being sent and read: that is user data, and in a handshake the password.
impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let state = match self.link.state {
            State::Idle => "idle",
            State::Opening => "opening",
            State::Shaking(_) => "shaking hands",
            State::Ready => "ready",
        };
        f.debug_struct("Connection")
            .field("link", &self.link.id)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl Machine for Connection {
    fn submit(&mut self, now: Instant, batch: &Batch<'_>) -> Result<(), Malformed> {
        self.queue.accept(now, self.config.timeout, batch)?;
        self.connect(now);
        Ok(())
    }

    fn cancel(&mut self, slot: Slot) -> Option<bool> {
        let written = self.queue.cancel(slot);
        self.bury();
        written
    }

    fn handle_open(&mut self, now: Instant, link: LinkId) {
        if link != self.link.id || !matches!(self.link.state, State::Opening) {
            return;
        }
        let hello = self.config.protocol != Protocol::Resp2 && !self.session.no_hello;
        let handshake = Handshake::new(&self.config, hello);
        if handshake.is_done() {
            self.ready(now, Server::resp2());
        } else {
            self.link.state = State::Shaking(Box::new(handshake));
        }
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
        self.read(now, input, sink).unwrap_or_else(|reason| {
            self.end(reason);
            input.len()
        })
    }

    fn handle_read(&mut self, link: LinkId, count: usize) -> usize {
        if self.is_current(link) { self.link.decoder.skip(count) } else { 0 }
    }

    fn handle_closed(&mut self, now: Instant, link: LinkId) {
        if !self.is_current(link) {
            return;
        }
        match &self.link.state {
            State::Opening => self.end(Reason::Refused),
            State::Shaking(handshake)
                if handshake.awaits_hello() && self.config.protocol == Protocol::Auto =>
            {
                self.session.no_hello = true;
                self.open(now);
            }
            _ => self.end(Reason::Dropped),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.link.deadline <= now {
            return self.end(Reason::ConnectTimeout);
        }
        let actions = &mut self.actions;
        self.queue.expire(now, |slot, maybe_executed| {
            actions.push(Action::Settle(slot, Failure { reason: Reason::Timeout, maybe_executed }));
        });
        self.bury();
    }

    fn handle_transmitted(&mut self, link: LinkId, count: usize) {
        if self.is_current(link) {
            match &mut self.link.state {
                State::Shaking(handshake) => handshake.transmitted(count),
                State::Ready => self.queue.transmitted(count),
                State::Idle | State::Opening => {}
            }
        }
    }

    fn poll_transmit(&self, link: LinkId) -> Option<Segment<'_>> {
        match &self.link.state {
            _ if !self.is_current(link) => None,
            State::Shaking(handshake) => {
                Some(handshake.unsent()).filter(|bytes| !bytes.is_empty()).map(Segment::Bytes)
            }
            State::Ready => self.queue.segment(),
            State::Idle | State::Opening => None,
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.link.deadline.min(self.queue.next_deadline())).filter(|&at| at != Instant::NEVER)
    }
}
