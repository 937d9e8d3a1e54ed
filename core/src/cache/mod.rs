//! Replies that are kept until the server says that a key of theirs changed (`CLIENT TRACKING`).
//!
//! ```text
//!            miss: registered          the whole reply            hit
//!   (none) ---------------------> due ------------------> kept -------> told again
//!      ^                           |                       |
//!      +---------------------------+-----------------------+
//!        a key changed (the server says so, or a write of the client's own passes by), everything was flushed, the link is
//!        over, time is up, or there is no room
//! ```
//!
//! Replies and `invalidate` pushes come in one order on one link, so a reply that was registered before it was asked for and still is
//! when it comes was not outdated when it came. What ends a registration lets the reply pass and keeps nothing.

mod store;

use crate::batch::{Request, flags};
use crate::fifo::Fifo;
use crate::machine::Slot;
use crate::resp::Event;
use crate::shape::{Shape, Shaper};
use crate::table::{Access, Row};
use crate::time::Instant;
use alloc::sync::Arc;
use alloc::vec::Vec;
use store::{OVERHEAD, Store};

/// How replies are kept: those that come on the shared link, for whoever asks again there or on a lease whose link is as any other. Demands
/// RESP3.
#[derive(Clone, Debug)]
pub struct Caching {
    /// How many replies are kept at most; one to a command with several keys counts once. What was not used for longest goes first.
    pub max_keys: u32,
    /// Bytes of commands and replies kept at most, with 128 for each reply.
    pub max_bytes: u32,
    /// Milliseconds that a reply is kept at most; 0: no limit.
    pub ttl: u32,
    /// What the server is asked to tell.
    pub tracking: Tracking,
}

/// What the server is asked to tell of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Keys that were read.
    Default,
    /// Keys that begin with one of these, read or not; all when there is none. Only replies about such keys are kept.
    Broadcast(Vec<Vec<u8>>),
    /// Keys that were read by commands with [`flags::CACHED`], which are the only ones whose replies are kept.
    OptIn,
}

impl Caching {
    /// The default: 10 000 replies, 16 MiB, no limit of time, keys that were read.
    pub const fn new() -> Self {
        Self { max_keys: 10_000, max_bytes: 16 << 20, ttl: 0, tracking: Tracking::Default }
    }
}

impl Default for Caching {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of commands whose replies may be kept, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Replies that were given from the cache.
    pub hits: u64,
    /// Replies that were not there, or not any more, and were asked for to be kept.
    pub misses: u64,
    /// Replies that went to make room.
    pub evictions: u64,
    /// Replies that went because a key changed, everything was flushed, or the link was lost.
    pub invalidations: u64,
    /// Replies that are kept now, or on their way.
    pub keys: u32,
    /// Their bytes.
    pub bytes: u32,
}

/// Larger replies are not kept, whatever there is room for: no pair of the tape could hold their length.
const LARGEST: usize = 32 << 20;
/// Nor are replies to commands with longer arguments.
const LONGEST: usize = 4 << 10;

/// What becomes of a command.
pub(crate) enum Verdict {
    /// It is sent as any other.
    Send,
    /// It is sent, and its reply kept for this registration.
    Miss(u32),
    /// Its reply is there.
    Hit,
}

/// A reply that is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    registration: u32,
    entry: u32,
    life: u32,
}

/// A reply that is there.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) slot: Slot,
    pub(crate) shape: Shape,
    pub(crate) reply: Arc<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Cache {
    seed: u64,
    store: Store,
    stats: CacheStats,
    registrations: u32,
    /// In the order in which they come.
    due: Fifo<Due>,
    /// The one that is coming in, and what came of it.
    coming: Option<Due>,
    bytes: Vec<u8>,
    /// The request at hand, as entries hold it.
    request: Vec<u8>,
    hits: Vec<Hit>,
    told: Vec<Hit>,
    push: Push,
    /// Whether replies that are kept are being told.
    telling: bool,
    /// What shapes them while another reply is half read: it holds texts that were told.
    pub(crate) shaper: Shaper,
}

/// What commands of the client's own may have changed.
#[derive(Debug)]
pub(crate) struct Written {
    /// Anything: the keys of a command are not told by its arguments, or there were too many.
    all: bool,
    /// The hashes of keys.
    keys: Vec<u32>,
}

/// A lease that asks.
pub(crate) struct Lease<'a> {
    /// Whether the server would answer on its link as on any other.
    pub(crate) neutral: bool,
    /// What it is writing.
    pub(crate) written: &'a mut Written,
}

/// Beyond so many keys all are forgotten.
const MOST_WRITTEN: usize = 1_000;

impl Written {
    pub(crate) const NOTHING: Self = Self { all: false, keys: Vec::new() };

    pub(crate) fn is_nothing(&self) -> bool {
        !self.all && self.keys.is_empty()
    }
}

/// Tells whether a command may change something.
fn writes(row: Row) -> bool {
    row.access() == Access::Write || row.is_obscure()
}

/// Where in a push we are.
#[derive(Debug, Default)]
struct Push {
    depth: u32,
    /// Whether it tells of keys, as its first text says.
    tells: Option<bool>,
    /// The hash of a key that comes in parts.
    hash: u64,
}

impl Cache {
    /// `seed` is any number that others do not know.
    pub(crate) fn new(caching: &Caching, seed: u32) -> Self {
        Self {
            seed: u64::from(seed) << 32 ^ 0xcbf2_9ce4_8422_2325,
            store: Store::new(caching.max_keys),
            stats: CacheStats::default(),
            registrations: 0,
            due: Fifo::new(),
            coming: None,
            bytes: Vec::new(),
            request: Vec::new(),
            hits: Vec::new(),
            told: Vec::new(),
            push: Push::default(),
            telling: false,
            shaper: Shaper::new(),
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats { keys: self.store.len() as u32, bytes: self.store.bytes as u32, ..self.stats }
    }

    pub(crate) fn epoch(&self) -> &u32 {
        &self.store.epoch
    }

    /// Decides about `request`, a command of `row` whose reply has `shape` and that is asked for on the shared link, or on that of `lease`;
    /// what it writes is forgotten.
    #[inline(never)]
    pub(crate) fn take(
        &mut self,
        caching: &Caching,
        now: Instant,
        request: &Request<'_>,
        row: Row,
        shape: Shape,
        lease: Option<&mut Lease<'_>>,
    ) -> Verdict {
        if writes(row) {
            // on the shared link what is asked for later is executed later, and the news of what a script writes comes behind its reply
            let mut own = Written::NOTHING;
            let written = lease.map_or(&mut own, |lease| {
                lease.written.all |= !row.is_write();
                lease.written
            });
            self.note_write(row, request, written);
            return Verdict::Send;
        }
        let alone = request.flags & (flags::MULTI | flags::MEMBER | flags::EXEC | flags::UNCACHED) == 0;
        let asked = request.flags & flags::CACHED != 0 || caching.tracking != Tracking::OptIn;
        if !(row.is_cacheable() && alone && asked && request.args().all(|arg| arg.is_short(LONGEST))) {
            return Verdict::Send;
        }
        let words = words(row, request);
        if let Some(Lease { neutral, written }) = &lease {
            let mut known = *neutral && !written.all;
            row.each_key(&words, &mut |key| known &= !written.keys.contains(&self.hash(key)));
            if !known {
                return Verdict::Send;
            }
        }
        self.write_request(row, &words);
        let hash = self.hash(&self.request);
        let found = self.store.find(hash, &self.request);
        if let Some(entry) = found.and_then(|entry| self.store.get(entry))
            && entry.until > now
            && let Some(reply) = &entry.reply
        {
            self.hits.push(Hit { slot: request.slot, shape, reply: reply.clone() });
            self.stats.hits += 1;
            return Verdict::Hit;
        }
        if lease.is_some() {
            return Verdict::Send;
        }
        let entry = match found {
            Some(entry) => entry,
            None => {
                let (mut hashes, mut tracked) = (Vec::from([hash]), true);
                row.each_key(&words, &mut |key| {
                    tracked &= is_tracked(caching, key);
                    hashes.push(self.hash(key));
                });
                if !tracked || hashes.len() < 2 {
                    return Verdict::Send;
                }
                self.make_room(caching, 1, self.request.len() + OVERHEAD);
                self.store.insert(&self.request, &hashes)
            }
        };
        self.stats.misses += 1;
        // 0 is no registration
        self.registrations = self.registrations.wrapping_add(1).max(1);
        let (registration, life) = (self.registrations, self.life(entry));
        self.due.push(Due { registration, entry, life });
        Verdict::Miss(registration)
    }

    /// Writes what an entry is found by: the row, and the arguments with their lengths.
    fn write_request(&mut self, row: Row, words: &[&[u8]]) {
        self.request.clear();
        self.request.extend_from_slice(&row.id().0.to_le_bytes());
        for word in words.get(row.words()..).unwrap_or_default() {
            self.request.extend_from_slice(&(word.len() as u32).to_le_bytes());
            self.request.extend_from_slice(word);
        }
    }

    fn life(&self, entry: u32) -> u32 {
        self.store.get(entry).map_or(0, |entry| entry.life)
    }

    /// Lets entries go until there is room for so many more, and so many bytes.
    #[inline(never)]
    fn make_room(&mut self, caching: &Caching, entries: usize, bytes: usize) {
        while self.store.len() + entries > caching.max_keys as usize
            || self.store.bytes + bytes > caching.max_bytes as usize
        {
            let Some(oldest) = self.store.oldest() else { break };
            self.stats.evictions += u64::from(self.store.remove(oldest));
        }
    }

    /// Forgets what a command of the client's own may change, and adds it to `written`.
    #[inline(never)]
    fn note_write(&mut self, row: Row, request: &Request<'_>, written: &mut Written) {
        written.all |= row.key_specs().is_empty() || written.keys.len() > MOST_WRITTEN;
        let words = words(row, request);
        row.each_key(&words, &mut |key| {
            // an external one is elsewhere
            written.all |= key.is_empty();
            written.keys.push(self.hash(key));
        });
        self.forget(written);
    }

    /// Forgets what was `written`.
    pub(crate) fn forget(&mut self, written: &Written) {
        if written.all {
            return self.clear();
        }
        for &hash in &written.keys {
            self.stats.invalidations += self.store.forget(hash);
        }
    }

    /// Forgets everything, what is on its way included.
    #[inline(never)]
    pub(crate) fn clear(&mut self) {
        while let Some(entry) = self.store.oldest() {
            self.stats.invalidations += u64::from(self.store.remove(entry));
        }
    }

    /// The link is over: forgets everything, and what came in of it.
    pub(crate) fn cut(&mut self) {
        self.clear();
        self.due.clear();
        self.coming = None;
        self.push = Push::default();
    }

    /// The reply begins, with the byte `first`, to a command with a registration, or to one of redwire's `own`; tells whether it is to
    /// be kept.
    #[inline(never)]
    pub(crate) fn begin(&mut self, registration: u32, first: u8, own: bool) -> bool {
        if registration == 0 {
            // the server may have refused to track what the next command reads
            if own && first == b'-' {
                self.due.clear();
            }
            return false;
        }
        // replies to those in between never come
        let ahead = |due: &Due| registration.wrapping_sub(due.registration) as i32;
        while self.due.first().is_some_and(|due| ahead(due) > 0) {
            self.due.skip(1);
        }
        if self.due.first().is_some_and(|due| ahead(due) == 0) {
            self.coming = self.due.pop().filter(|_| !matches!(first, b'-' | b'!' | b'|'));
            self.bytes.clear();
        }
        self.coming.is_some()
    }

    /// Tells whether a text of `length` bytes may be part of the reply that is coming in, which otherwise is not kept.
    pub(crate) fn admits(&mut self, caching: &Caching, length: u64) -> bool {
        let most = LARGEST.min(caching.max_bytes as usize) as u64;
        self.coming.take_if(|_| self.bytes.len() as u64 + length > most);
        self.coming.is_some()
    }

    /// Tells whether large texts pass through here: a reply that is to be kept is coming in, or one that is kept is being told.
    pub(crate) fn takes_texts(&self) -> bool {
        self.coming.is_some() || self.telling
    }

    /// Takes a part of the reply that is coming in, its last when `done`.
    #[inline(never)]
    pub(crate) fn record(&mut self, caching: &Caching, now: Instant, part: &[u8], done: bool) {
        let Some(Due { entry, life, .. }) = self.coming.filter(|_| !self.telling) else { return };
        if self.life(entry) != life || !self.admits(caching, part.len() as u64) {
            self.coming = None;
            return;
        }
        self.bytes.extend_from_slice(part);
        if done {
            self.coming = None;
            self.store.fill(entry, self.bytes.as_slice().to_vec(), now.limit(caching.ttl));
            self.make_room(caching, 0, 0);
        }
    }

    /// Takes an event of a push.
    #[inline(never)]
    pub(crate) fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Open(..) => self.push.depth += 1,
            Event::Close { .. } => {
                self.push.depth -= 1;
                if self.push.depth == 0 {
                    self.push.tells = None;
                }
            }
            Event::Text(_, text) => self.hear_text(self.hash(text)),
            Event::Null if self.push.tells == Some(true) => self.clear(),
            Event::BulkOpen(..) => self.push.hash = self.seed,
            Event::BulkPart(part) => self.push.hash = add(self.push.hash, part),
            Event::BulkClose => self.hear_text(finish(self.push.hash)),
            _ => {}
        }
    }

    /// Takes a text of a push by its hash: its kind, or a key.
    fn hear_text(&mut self, hash: u32) {
        if self.push.tells.is_none() {
            self.push.tells = Some(hash == self.hash(b"invalidate"));
        } else if self.push.tells == Some(true) {
            self.stats.invalidations += self.store.forget(hash);
        }
    }

    /// Gives the replies that are there. What was told may point to their bytes: they stay until this is called again.
    pub(crate) fn tell(&mut self) -> usize {
        self.told.clear();
        core::mem::swap(&mut self.told, &mut self.hits);
        self.telling = !self.told.is_empty();
        self.told.len()
    }

    /// Gives one of those replies.
    pub(crate) fn told(&self, at: usize) -> Option<Hit> {
        self.told.get(at).cloned()
    }

    /// They were told.
    pub(crate) fn tell_end(&mut self) {
        self.telling = false;
    }

    fn hash(&self, bytes: &[u8]) -> u32 {
        finish(add(self.seed, bytes))
    }
}

/// Tells whether the server tells of changes of `key`.
fn is_tracked(caching: &Caching, key: &[u8]) -> bool {
    match &caching.tracking {
        Tracking::Broadcast(prefixes) if !prefixes.is_empty() => {
            prefixes.iter().any(|prefix| key.starts_with(prefix))
        }
        _ => true,
    }
}

/// Gives the words of a command, those of its name included; external ones are empty.
#[inline(never)]
fn words<'a>(row: Row, request: &Request<'a>) -> Vec<&'a [u8]> {
    let mut words: Vec<&[u8]> = Vec::with_capacity(8);
    if request.flags & flags::NAMED == 0 {
        let (first, second) = row.name().pair();
        words.extend_from_slice([first, second].get(..row.words()).unwrap_or_default());
    }
    for arg in request.args() {
        words.push(arg.bytes());
    }
    words
}

/// Adds `bytes` to a hash (FNV-1a, from a start that is not known outside).
#[inline(never)]
fn add(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn finish(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}
