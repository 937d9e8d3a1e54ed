//! The machine and the memory that it shares with JavaScript.

use alloc::vec::Vec;
use redwire_core::batch::{self, Batch, Malformed};
use redwire_core::cache::{Caching, Tracking};
use redwire_core::connection::{Bounds, Config, Credentials, Pending, Protocol};
use redwire_core::machine::{Action, LeaseId, LinkId, Machine, Reason, Segment, Slot};
use redwire_core::operation::{Conversations, Script};
use redwire_core::pool::{Limits as Lanes, Pool};
use redwire_core::resp::{DecodeError, Limits};
use redwire_core::slot::key_slot;
use redwire_core::table::{Row, RowId};
use redwire_core::tape::Tape;
use redwire_core::time::Instant;

/// Texts of this many bytes and more never pass through here.
const LARGE: usize = 16 << 10;
/// What is decoded at once: more than the tail of a value that waits for its end, and the longest line.
const WINDOW: usize = 160 << 10;
/// The longest line of MONITOR: a command with all its arguments.
const LONGEST_LINE: usize = 64 << 20;
/// The slot of what is sent unasked; that of `wasm/js/reader.ts`.
const LISTENER: Slot = Slot(u32::MAX - 1);

/// One client's machine. See the module's documentation for how memory is shared.
pub struct Host {
    pool: Conversations<Pool>,
    /// Text and bytes on their way in from JavaScript.
    input: Vec<u8>,
    /// Words on their way in.
    words: Vec<u32>,
    /// What came in, behind the tail of what came before.
    window: Vec<u8>,
    /// What of the window is read and not decoded.
    unread: core::ops::Range<usize>,
    /// The link that it came from.
    reading: u32,
    /// The same of other links.
    tails: Vec<(u32, Vec<u8>)>,
    tape: Tape,
    actions: Vec<u32>,
    /// Where results of more than one number are given.
    registers: [u32; 2],
    stats: [f64; 6],
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// Makes an idle machine with the default configuration.
    pub const fn new() -> Self {
        Self {
            pool: Conversations::new(Pool::new(Config::new(), Lanes::new())),
            input: Vec::new(),
            words: Vec::new(),
            window: Vec::new(),
            unread: 0..0,
            reading: 0,
            tails: Vec::new(),
            tape: Tape::new(),
            actions: Vec::new(),
            registers: [0; 2],
            stats: [0.0; 6],
        }
    }

    /// Gives the address of the two result registers.
    pub fn registers(&self) -> usize {
        self.registers.as_ptr() as usize
    }

    /// Gives the address of the input, with room for `bytes`.
    pub fn input(&mut self, bytes: usize) -> usize {
        reserve(&mut self.input, bytes);
        self.input.as_ptr() as usize
    }

    /// Gives the address of the words, with room for `count`.
    pub fn words(&mut self, count: usize) -> usize {
        reserve(&mut self.words, count);
        self.words.as_ptr() as usize
    }

    /// Configures the machine, before its first use. The first words are protocol (0: auto), database, connect timeout, timeout, queue
    /// timeout, first and last ceiling of the time between attempts, resends, seed, commands and bytes that may wait for a link,
    /// whether the oldest make room (1), commands and bytes that may be on their way, whether others wait for room (1), bytes of a reply at most, keep-alive, leased connections at most and idle
    /// ones at least, how long these stay and how long one is waited for, what to ask of the server (1: no-evict, 2: no-touch, 4: its version), whether it listens (1) or monitors (2), and the lengths of user name, password and client name, which stand one behind the other in the input; all ones
    /// where there is none.
    pub fn configure(&mut self) {
        let mut rest = self.input.as_slice();
        let mut words = self.words.iter().copied();
        let mut number = || words.next().unwrap_or_default();
        let mut numbers = [0; 23];
        numbers.fill_with(&mut number);
        let [protocol, database, connect_timeout, timeout, queue_timeout, least, most, resends, seed, ..] =
            numbers;
        let [
            ..,
            waiting,
            waiting_bytes,
            drop_oldest,
            flying,
            flying_bytes,
            holds_back,
            max_reply,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
        ] = numbers;
        let [.., keep_alive, max_connections, min_idle, max_idle_time, pool_timeout, features, listens] =
            numbers;
        let mut text = || {
            let (text, after) = rest.split_at_checked(number() as usize)?;
            rest = after;
            Some(text.to_vec())
        };
        let (username, password, client_name) = (text(), text(), text());
        let lanes = Lanes {
            max_connections: max_connections as u8,
            min_idle: min_idle as u8,
            max_idle_time,
            pool_timeout,
        };
        let config = Config {
            protocol: match protocol {
                2 => Protocol::Resp2,
                3 => Protocol::Resp3,
                _ => Protocol::Auto,
            },
            database,
            connect_timeout,
            timeout,
            queue_timeout,
            backoff: (least, most),
            resends: resends as u8,
            seed,
            offline: Bounds { commands: waiting, bytes: waiting_bytes },
            drop_oldest: drop_oldest == 1,
            high_water: Bounds { commands: flying, bytes: flying_bytes },
            holds_back: holds_back == 1,
            max_reply: max_reply.into(),
            keep_alive,
            credentials: password.map(|password| Credentials { username, password }),
            client_name,
            no_evict: features & 1 != 0,
            no_touch: features & 2 != 0,
            ask_version: features & 4 != 0,
            limits: Limits {
                whole: LARGE,
                pause: true,
                line: if listens == 2 { LONGEST_LINE } else { Limits::default().line },
                ..Limits::default()
            },
            ..Config::default()
        };
        self.pool.configure(config, lanes);
        if listens > 0 {
            self.pool.listen(LISTENER);
        }
    }

    /// Begins to keep replies, before the first use. Of the `words` words the first are the mode (0: what was read, 1: broadcast, 2: opt-in),
    /// replies and bytes at most, milliseconds at most, and then the lengths of prefixes, which stand one behind the other in the input.
    pub fn cache(&mut self, words: usize) {
        let words = self.words.get(..words).unwrap_or_default();
        let &[mode, max_keys, max_bytes, ttl, ref lengths @ ..] = words else { return };
        let (mut prefixes, mut rest) = (Vec::new(), self.input.as_slice());
        for &length in lengths {
            let (prefix, after) = rest.split_at_checked(length as usize).unwrap_or_default();
            prefixes.push(prefix.to_vec());
            rest = after;
        }
        let tracking = match mode {
            0 => Tracking::Default,
            1 => Tracking::Broadcast(prefixes),
            _ => Tracking::OptIn,
        };
        self.pool.cache(Caching { max_keys, max_bytes, ttl, tracking });
    }

    /// Gives the number of words on the tape: the replies to commands submitted last that need not be sent.
    pub fn cached(&mut self) -> usize {
        self.tape.start(0);
        self.pool.poll_cached(&mut self.tape);
        self.tape.words().len()
    }

    /// Gives the address of a word that changes whenever a reply is let go; it stays there once a reply was kept.
    pub fn cache_epoch(&self) -> usize {
        self.pool.shared().cache_epoch().map_or(0, |epoch| core::ptr::from_ref(epoch) as usize)
    }

    /// Gives the address of six doubles: hits, misses, evictions, invalidations, replies and bytes that are kept.
    pub fn cache_stats(&mut self) -> usize {
        let stats = self.pool.shared().cache_stats();
        self.stats = [
            stats.hits as f64,
            stats.misses as f64,
            stats.evictions as f64,
            stats.invalidations as f64,
            stats.keys.into(),
            stats.bytes.into(),
        ];
        self.stats.as_ptr() as usize
    }

    /// Submits the commands that `words` words describe, on a lease or (0) for everybody's connection. The input holds `text` bytes of text, then `side` bytes; lengths of
    /// text are in UTF-16 code units where `how` has 1. It has 2 where some are no plain commands (`flags::SCRIPT`, `flags::OPERATION`).
    ///
    /// Gives 0, 1 when two arguments share a character (encode each on its own), or 2 when the words are malformed.
    pub fn submit(&mut self, now: f64, lease: u32, words: usize, text: usize, side: usize, how: u32) -> u32 {
        let (Some(words), Some((text, rest))) =
            (self.words.get_mut(..words), self.input.split_at_checked(text))
        else {
            return 2;
        };
        if how & 1 != 0 {
            match batch::measure_utf16(words, text) {
                Err(Malformed::Joined) => return 1,
                Err(_) => return 2,
                Ok(()) => {}
            }
        }
        let side = rest.get(..side).unwrap_or_default();
        let batch = Batch { words, text, side };
        let accepted = match how & 2 {
            0 => self.pool.submit_on(instant(now), LeaseId(lease), &batch),
            _ => self.pool.converse(instant(now), LeaseId(lease), &batch),
        };
        match accepted {
            Ok(()) => 0,
            Err(_) => 2,
        }
    }

    /// Keeps the text of a script, the first `length` bytes of the input, for calls by its digest, in place of what was in `place`; gives the
    /// address of the digest, 40 hexadecimal digits.
    pub fn script(&mut self, length: usize, place: usize) -> usize {
        let text = self.input.get(..length).unwrap_or_default();
        self.pool.keep(place, Script::new(text)).as_ptr() as usize
    }

    /// Gives up a command: -1 when it does not wait, 0 when it was never written, 1 when it may be executed.
    pub fn cancel(&mut self, now: f64, slot: u32) -> i32 {
        self.pool.cancel(instant(now), Slot(slot)).map_or(-1, i32::from)
    }

    /// Asks for a lease, or a place without a link (`bare`): the slot settles with it.
    pub fn lease(&mut self, now: f64, slot: u32, bare: bool) {
        if bare {
            self.pool.place(instant(now), Slot(slot));
        } else {
            self.pool.lease(instant(now), Slot(slot));
        }
    }

    /// Ends a lease.
    pub fn release(&mut self, now: f64, lease: u32) {
        self.pool.release(instant(now), LeaseId(lease));
    }

    /// Fails what blocks, and whoever waits for a connection of its own, or for a lock.
    pub fn unblock(&mut self, now: f64) {
        self.pool.unblock(instant(now));
        self.pool.dismiss(instant(now), None);
    }

    /// Fails who waits for a lock in `slot`.
    pub fn dismiss(&mut self, now: f64, slot: u32) {
        self.pool.dismiss_one(instant(now), Slot(slot));
    }

    /// Opens the shared link unless it is open.
    pub fn connect(&mut self, now: f64) {
        self.pool.connect(instant(now));
    }

    /// Ends all links and settles everything.
    pub fn shutdown(&mut self) {
        self.pool.shutdown();
        self.pool.hush();
    }

    /// The socket is open.
    pub fn opened(&mut self, now: f64, link: u32) {
        self.pool.handle_open(instant(now), LinkId(link));
    }

    /// The socket is closed, or could not be opened: `untrusted`, because one side does not trust the other.
    pub fn closed(&mut self, now: f64, link: u32, untrusted: bool) {
        self.forget(link);
        let (now, link) = (instant(now), LinkId(link));
        if untrusted {
            self.pool.handle_untrusted(now, link);
        } else {
            self.pool.handle_closed(now, link);
        }
    }

    /// Replaces the credentials by the user name and password in the input; a length of all ones: no user name.
    pub fn authenticate(&mut self, username: u32, password: usize) {
        let (user, rest) = self.input.split_at_checked(username as usize).unwrap_or((&[], &self.input));
        let username = (username != u32::MAX).then(|| user.to_vec());
        let password = rest.get(..password).unwrap_or_default().to_vec();
        self.pool.authenticate(&Credentials { username, password });
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: f64) {
        self.pool.handle_timeout(instant(now));
    }

    /// Gives when to call `timeout`; negative when never.
    pub fn next_timeout(&self) -> f64 {
        self.pool.poll_timeout().map_or(-1.0, |at| at.0 as f64)
    }

    /// Gives the address that the next bytes of `link` belong to; the first register gives the room there.
    pub fn window(&mut self, link: u32) -> usize {
        if self.reading != link {
            self.turn(link);
        }
        if self.window.is_empty() {
            self.window.resize(WINDOW, 0);
        }
        if self.unread.start > 0 {
            self.window.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        // only a line of MONITOR can be longer
        if self.unread.end == self.window.len() {
            self.window.resize(self.window.len() * 2, 0);
        }
        self.registers[0] = (self.window.len() - self.unread.end) as u32;
        self.window.as_ptr() as usize + self.unread.end
    }

    /// Puts what is left of the link that was read into the window aside, and what is left of `link` there.
    #[cold]
    #[inline(never)]
    fn turn(&mut self, link: u32) {
        let rest = self.window.get(self.unread.clone()).unwrap_or_default();
        if !rest.is_empty() {
            self.tails.push((self.reading, rest.to_vec()));
        }
        (self.reading, self.unread) = (link, 0..0);
        if let Some(at) = self.tails.iter().position(|(of, _)| *of == link) {
            let (_, tail) = self.tails.swap_remove(at);
            self.window[..tail.len()].copy_from_slice(&tail);
            self.unread = 0..tail.len();
        }
    }

    /// Forgets what is left of `link`, which is over.
    fn forget(&mut self, link: u32) {
        self.tails.retain(|(of, _)| *of != link);
        if self.reading == link {
            self.unread = 0..0;
        }
    }

    /// Decodes, after `count` more bytes were put into the window. Gives the number of words on the tape; the first register
    /// gives the address behind the bytes, the second how many of them, at the end, are given back because a large text began:
    /// they belong to where JavaScript wants it. `link` is the one that the window was asked for.
    pub fn receive(&mut self, now: f64, link: u32, count: usize) -> usize {
        self.unread.end = (self.unread.end + count).min(self.window.len());
        let input = self.window.get(self.unread.clone()).unwrap_or_default();
        self.tape.start(0);
        self.unread.start += self.pool.handle_bytes(instant(now), LinkId(link), input, &mut self.tape);
        let end = self.window.as_ptr() as usize + self.unread.end;
        self.registers = [end as u32, 0];
        if self.pool.connection(LinkId(link)).is_some_and(|connection| connection.bulk_left() > 0) {
            self.registers[1] = self.unread.len() as u32;
            self.unread = 0..0;
        }
        self.tape.words().len()
    }

    /// Takes `count` bytes as read that belong to the open large text and are where JavaScript wants them; gives how many do.
    pub fn read(&mut self, link: u32, count: usize) -> usize {
        self.pool.handle_read(LinkId(link), count)
    }

    /// Gives the address of the tape; its offsets are addresses.
    pub fn tape(&self) -> usize {
        self.tape.words().as_ptr() as usize
    }

    /// Gives the next stretch to send and takes it as sent: 0 none, 1 the bytes at the address in the first register, as many as
    /// the second says, 2 the argument of the slot in the first register, at the index in the second.
    pub fn transmit(&mut self, link: u32) -> u32 {
        let link = LinkId(link);
        let (kind, registers, count) = match self.pool.poll_transmit(link) {
            None => return 0,
            Some(Segment::Bytes(bytes)) => (1, [bytes.as_ptr() as u32, bytes.len() as u32], bytes.len()),
            Some(Segment::External(slot, index)) => (2, [slot.0, index], 0),
        };
        self.registers = registers;
        self.pool.handle_transmitted(link, count);
        kind
    }

    /// Gives the number of words that tell what is to be done, four per action; the first register gives their address.
    ///
    /// An action is `kind, link or slot, reason or lease, detail`: 0 open, 1 ready (the reason is the protocol), 2 close, 3 settle a command
    /// that was never written, 4 settle one that may have been executed, 5 rest, 6 close and open another later, 7 settle with a lease, 8 settle
    /// without an answer.
    pub fn poll(&mut self) -> usize {
        self.actions.clear();
        while let Some(action) = self.pool.poll_action() {
            let (kind, id, (reason, detail)) = match action {
                Action::Open(link) => (0, link.0, (0, 0)),
                Action::Ready(link) => {
                    let server = self.pool.connection(link).map(|connection| connection.server());
                    (1, link.0, server.map_or((0, 0), |said| (said.protocol.into(), said.is_fork.into())))
                }
                Action::Close(link, reason) => {
                    self.forget(link.0);
                    (if self.pool.shared().is_retrying() { 6 } else { 2 }, link.0, coded(reason))
                }
                Action::Unanswered(slot) => (8, slot.0, (0, 0)),
                Action::Leased(slot, lease) => (7, slot.0, (lease.0, 0)),
                Action::Rest => (5, 0, (0, 0)),
                Action::Settle(slot, failure) => {
                    (3 + u32::from(failure.maybe_executed), slot.0, coded(failure.reason))
                }
            };
            self.actions.extend_from_slice(&[kind, id, reason, detail]);
        }
        self.registers[0] = self.actions.as_ptr() as u32;
        self.actions.len()
    }

    /// Gives the number of words that tell what stands where; the first register gives their address.
    ///
    /// Of each connection: its stage, the bytes that are to be sent, and how many commands are waited for; of each of these its slot,
    /// whether it was written, and its age in milliseconds. Those that wait for a connection come last, as if on one of stage 6.
    pub fn inspect(&mut self, now: f64) -> usize {
        let now = instant(now);
        self.actions.clear();
        for connection in self.pool.connections() {
            let unsent = u32::try_from(connection.unsent()).unwrap_or(u32::MAX);
            list(&mut self.actions, [connection.stage() as u32, unsent], &mut connection.pending(now));
        }
        list(&mut self.actions, [6, 0], &mut self.pool.pending(now));
        self.registers[0] = self.actions.as_ptr() as u32;
        self.actions.len()
    }

    /// Gives the length of what the server said when it last refused a link of `lane`; the first register gives its address.
    pub fn detail(&mut self, lane: u32) -> usize {
        let detail = self.pool.connection(LinkId(lane)).map_or(&[][..], |connection| connection.detail());
        self.registers[0] = detail.as_ptr() as u32;
        detail.len()
    }

    /// Gives the length of the version that the server of `lane` said; the first register gives its address.
    pub fn version(&mut self, lane: u32) -> usize {
        let known = self.pool.connection(LinkId(lane));
        let version = known.map_or(&[][..], |connection| &connection.server().version);
        self.registers[0] = version.as_ptr() as u32;
        version.len()
    }

    /// Tells whether the command of `row` may be executed twice.
    pub fn repeatable(&self, row: u32) -> bool {
        Row::at(RowId(row as u16)).is_repeatable()
    }

    /// Gives the slot of the key in the first `length` bytes of the input.
    pub fn key_slot(&self, length: usize) -> u32 {
        self.input.get(..length).map_or(0, key_slot).into()
    }
}

/// Adds `head`, and what is pending, to `out`.
fn list(out: &mut Vec<u32>, head: [u32; 2], pending: &mut dyn Iterator<Item = Pending>) {
    out.extend_from_slice(&head);
    let at = out.len();
    out.push(0);
    for one in pending {
        out.extend_from_slice(&[one.slot.0, one.written.into(), one.age]);
        out[at] += 1;
    }
}

fn instant(now: f64) -> Instant {
    Instant(now as u64)
}

fn reserve<T: Clone + Default>(memory: &mut Vec<T>, count: usize) {
    if memory.len() < count {
        memory.resize(count.next_power_of_two(), T::default());
    }
}

/// Numbers are those of `wasm/js/failure.ts`.
fn coded(reason: Reason) -> (u32, u32) {
    match reason {
        Reason::Timeout => (1, 0),
        Reason::ConnectTimeout => (2, 0),
        Reason::Refused => (3, 0),
        Reason::Dropped => (4, 0),
        Reason::Protocol(error) => (5, decode_error(error)),
        Reason::Unsolicited => (6, 0),
        Reason::Authentication => (7, 0),
        Reason::Database => (8, 0),
        Reason::Protocol3 => (9, 0),
        Reason::MaxClients => (10, 0),
        Reason::Handshake => (11, 0),
        Reason::Closed => (12, 0),
        Reason::QueueTimeout => (13, 0),
        Reason::QueueFull => (14, 0),
        Reason::HighWater => (15, 0),
        Reason::Silent => (16, 0),
        Reason::Demoted => (17, 0),
        Reason::PoolTimeout => (18, 0),
        Reason::LeaseLost => (19, 0),
        Reason::Loading => (20, 0),
        Reason::Unauthenticated => (21, 0),
        Reason::Untrusted => (22, 0),
        Reason::HungUp => (23, 0),
        Reason::ReplyTooLarge => (24, 0),
        _ => (0, 0),
    }
}

fn decode_error(error: DecodeError) -> u32 {
    match error {
        DecodeError::Tag(tag) => 256 + u32::from(tag),
        DecodeError::Length => 1,
        DecodeError::Integer => 2,
        DecodeError::Double => 3,
        DecodeError::Boolean => 4,
        DecodeError::Null => 5,
        DecodeError::Verbatim => 6,
        DecodeError::Newline => 7,
        DecodeError::Depth => 8,
        DecodeError::TooLarge => 9,
        _ => 0,
    }
}
