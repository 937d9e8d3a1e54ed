//! Replies that are kept until their keys change: dialogues, and thousands of random schedules.
//!
//! In a schedule every value is a counter's, which never goes back. Checked: what is read is never older than what the link had told
//! of the key, or than a write of the client's own that was settled, when it was asked for (I-8), whatever is cut, flushed or given
//! up. A failure names its seed: `REDWIRE_SEED=n cargo test --test cache`.

use oorandom::Rand32;
use redwire_core::batch::{BatchBuffer, flags};
use redwire_core::cache::{CacheStats, Caching, Tracking};
use redwire_core::connection::{Config, Protocol};
use redwire_core::machine::{Action, Failure, LeaseId, LinkId, Machine, Reason, Segment, Slot};
use redwire_core::pool::Pool;
use redwire_core::resp::{Frame, Limits};
use redwire_core::table::RowId;
use redwire_core::time::Instant;
use redwire_tests::model::{Caller, Options, Outcome, Pair, Peer, Server, words};
use redwire_tests::schedules::run_all;
use redwire_tests::tally;
use redwire_tests::wire::{bulk, simple};
use std::collections::{BTreeMap, VecDeque};

const HELLO: &str = "%1\r\n+proto\r\n:3\r\n";
const TRACKS: &str = "+OK\r\n+PONG\r\n";

fn config(caching: Caching) -> Config {
    Config { library: None, keep_alive: 0, tombstone_limit: 0, cache: Some(caching), ..Config::default() }
}

fn prefixes(prefixes: &[&str]) -> Tracking {
    Tracking::Broadcast(prefixes.iter().map(|prefix| prefix.as_bytes().to_vec()).collect())
}

/// A link that is ready and tracks.
fn ready(caching: Caching) -> Peer {
    let mut peer = Peer::new(config(caching));
    peer.connect();
    peer.open();
    assert_eq!(peer.sent()[0], "HELLO 3");
    peer.reply(HELLO);
    peer.reply(TRACKS);
    assert_eq!(peer.ready.len(), 1);
    peer
}

/// Submits `line` in `slot`; gives whether it was sent.
fn asks(peer: &mut Peer, slot: u32, line: &str) -> bool {
    peer.submit(slot, line);
    !peer.sent().is_empty()
}

/// Has the reply to `line` kept.
fn keep(peer: &mut Peer, slot: u32, line: &str, reply: &str) {
    assert!(asks(peer, slot, line), "{line} is not known yet");
    peer.reply(reply);
    assert!(peer.replied(slot).is_some());
}

fn invalidate(keys: &[&str]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| format!("${}\r\n{key}\r\n", key.len())).collect();
    format!(">2\r\n$10\r\ninvalidate\r\n*{}\r\n{}", keys.len(), keys.concat())
}

const FLUSHED: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

fn stats(peer: &Peer) -> CacheStats {
    CacheStats { keys: 0, bytes: 0, ..peer.connection.cache_stats() }
}

#[test]
fn the_server_is_asked_to_track_in_the_handshake() {
    for (tracking, asked) in [
        (Tracking::Default, "CLIENT TRACKING ON"),
        (Tracking::OptIn, "CLIENT TRACKING ON OPTIN"),
        (prefixes(&[]), "CLIENT TRACKING ON BCAST"),
        (prefixes(&["a:", "b:"]), "CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:"),
    ] {
        let mut peer = Peer::new(config(Caching { tracking, ..Caching::default() }));
        peer.connect();
        peer.open();
        assert_eq!(peer.sent(), ["HELLO 3", asked, "PING"]);
    }
}

#[test]
fn a_server_that_speaks_resp2_only_or_does_not_track_is_refused() {
    for protocol in [Protocol::Auto, Protocol::Resp3] {
        let mut peer = Peer::new(Config { protocol, ..config(Caching::default()) });
        peer.submit(1, "GET k");
        peer.open();
        peer.sent();
        peer.reply("-ERR unknown command 'HELLO'\r\n");
        assert_eq!(peer.failed(1), Some((Reason::Protocol3, false)));
    }
    let mut peer = Peer::new(Config { protocol: Protocol::Resp2, ..config(Caching::default()) });
    peer.submit(1, "GET k");
    peer.open();
    assert_eq!(peer.failed(1), Some((Reason::Protocol3, false)));
    assert!(peer.written.is_empty());

    let mut peer = Peer::new(config(Caching::default()));
    peer.submit(1, "GET k");
    peer.open();
    peer.sent();
    peer.reply([HELLO, "-ERR unknown subcommand 'TRACKING'\r\n"].concat());
    assert_eq!(peer.closed.last().map(|closed| closed.1), Some(Reason::Handshake));
    assert_eq!(peer.connection.detail(), b"ERR unknown subcommand 'TRACKING'");
}

#[test]
fn what_only_reads_its_keys_is_kept_and_nothing_else_is() {
    let mut peer = ready(Caching::default());
    for (slot, line) in
        ["GET a", "hget a f", "MGET a b", "EXISTS a", "LRANGE a 0 -1", "TYPE a"].iter().enumerate()
    {
        let slot = slot as u32 * 2;
        assert!(asks(&mut peer, slot, line));
        peer.reply("$1\r\nv\r\n");
        assert!(!asks(&mut peer, slot + 1, line), "{line}");
        assert_eq!(peer.replied(slot), peer.replied(slot + 1));
    }
    for (slot, line) in [
        "TTL a",
        "RANDOMKEY",
        "SRANDMEMBER a",
        "SCAN 0",
        "OBJECT FREQ a",
        "PING",
        "XREAD STREAMS a 0",
        "TS.GET a LATEST",
        "DBSIZE",
    ]
    .iter()
    .enumerate()
    {
        for slot in [100 + slot as u32 * 2, 101 + slot as u32 * 2] {
            assert!(asks(&mut peer, slot, line), "{line}");
            peer.reply("$1\r\n0\r\n");
        }
    }
    assert_eq!(stats(&peer), CacheStats { hits: 6, misses: 6, ..CacheStats::default() });
}

#[test]
fn errors_are_not_kept_and_neither_is_what_was_asked_to_be_fresh() {
    let mut peer = ready(Caching::default());
    for slot in [1, 2] {
        assert!(asks(&mut peer, slot, "GET a"));
        peer.reply("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    }
    keep(&mut peer, 3, "GET a", "$1\r\n1\r\n");
    peer.submit_with(4, flags::UNCACHED, None, &words("GET a"));
    peer.transaction(5, &[words("GET a")]);
    assert_eq!(peer.sent(), ["GET a", "MULTI", "GET a", "EXEC"]);
    peer.reply("$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n");
    peer.submit_with(6, flags::RAW, None, &words("GET a"));
    assert_eq!(peer.replied(6), Some(&bulk("1")));
}

#[test]
fn a_kept_reply_has_the_shape_of_its_command_and_of_its_caller() {
    let mut peer = ready(Caching::default());
    keep(&mut peer, 1, "ZSCORE a m", ",1.5\r\n");
    keep(&mut peer, 2, "HGETALL a", "%1\r\n+f\r\n$1\r\nv\r\n");
    keep(&mut peer, 3, "SISMEMBER a m", ":1\r\n");
    for (slot, line) in [(4, "ZSCORE a m"), (5, "HGETALL a"), (6, "SISMEMBER a m")] {
        assert!(!asks(&mut peer, slot, line));
        assert_eq!(peer.replied(slot), peer.replied(slot - 3));
    }
    peer.submit_with(7, flags::RAW, None, &words("SISMEMBER a m"));
    assert_eq!((peer.replied(6), peer.replied(7)), (Some(&Frame::Boolean(true)), Some(&Frame::Integer(1))));
}

#[test]
fn an_invalidation_ends_what_is_kept_wherever_it_is_split() {
    let told = [invalidate(&["b", "a-key-that-comes-in-parts"]), FLUSHED.to_string()];
    for told in told {
        for at in 0..told.len() {
            let mut peer = Peer::new(Config {
                limits: Limits { whole: 12, ..Limits::default() },
                ..config(Caching::default())
            });
            peer.connect();
            peer.open();
            peer.sent();
            peer.reply([HELLO, TRACKS].concat());
            keep(&mut peer, 1, "GET a-key-that-comes-in-parts", "$20\r\nvalue-of-20-letters!\r\n");
            peer.reply(&told[..at]);
            assert!(!asks(&mut peer, 2, "GET a-key-that-comes-in-parts"), "before it came");
            assert_eq!(peer.replied(2), Some(&bulk("value-of-20-letters!")));
            peer.reply(&told[at..]);
            assert!(asks(&mut peer, 3, "GET a-key-that-comes-in-parts"), "after it came, split at {at}");
            assert_eq!(
                stats(&peer),
                CacheStats { hits: 1, misses: 2, invalidations: 1, ..CacheStats::default() }
            );
        }
    }
}

#[test]
fn pushes_between_any_replies_disturb_none_of_them() {
    let others = ">2\r\n+tracking-redir-broken\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\nk1\r\n>1\r\n_\r\n";
    let told = invalidate(&["k0", "unknown"]);
    for boundary in 0..=50 {
        let mut peer = ready(Caching::default());
        (0..50).for_each(|slot| peer.submit(slot, &format!("GET k{slot}")));
        assert_eq!(peer.sent().len(), 50);
        for slot in 0..50 {
            if slot == boundary {
                peer.reply([others, &told].concat());
            }
            peer.reply(format!("$2\r\n{slot:02}\r\n"));
        }
        if boundary == 50 {
            peer.reply([&told, others].concat());
        }
        for slot in 0..50 {
            assert_eq!(peer.replied(slot), Some(&bulk(format!("{slot:02}"))));
            assert_eq!(
                asks(&mut peer, 100 + slot, &format!("GET k{slot}")),
                slot == 0,
                "k{slot}, {boundary}"
            );
        }
    }
}

#[test]
fn a_reply_that_a_change_overtook_is_told_and_not_kept() {
    for change in [invalidate(&["k"]), FLUSHED.to_string()] {
        let stream = [change.as_str(), "$3\r\nold\r\n"].concat();
        for at in 0..stream.len() {
            let mut peer = ready(Caching::default());
            assert!(asks(&mut peer, 1, "GET k"));
            peer.reply(&stream[..at]);
            peer.reply(&stream[at..]);
            assert_eq!(peer.replied(1), Some(&bulk("old")));
            assert!(asks(&mut peer, 2, "GET k"), "it may be older than the change");
            peer.reply("$3\r\nnew\r\n");
            assert!(!asks(&mut peer, 3, "GET k"));
            assert_eq!(peer.replied(3), Some(&bulk("new")));
        }
    }
}

#[test]
fn a_write_of_the_clients_own_is_seen_by_every_read_behind_it() {
    for write in [
        "SET k new",
        "INCR k",
        "DEL a k",
        "MSET a 1 k 2",
        "EVAL script 1 k",
        "FLUSHALL",
        "RENAME a k",
        "MODULE.WRITE x",
    ] {
        let mut peer = ready(Caching::default());
        keep(&mut peer, 1, "GET k", "$3\r\nold\r\n");
        assert!(asks(&mut peer, 2, "MGET other k"));
        peer.submit(3, write);
        peer.submit(4, "GET k");
        assert_eq!(peer.sent(), [write, "GET k"]);
        peer.reply("*2\r\n_\r\n$3\r\nold\r\n+OK\r\n$3\r\nnew\r\n");
        assert!(!asks(&mut peer, 5, "GET k"), "{write}");
        assert_eq!(peer.replied(5), Some(&bulk("new")));
        assert!(asks(&mut peer, 6, "MGET other k"), "{write}: its reply was older than the write");
    }
    let mut peer = ready(Caching::default());
    keep(&mut peer, 1, "GET k", "$3\r\nold\r\n");
    peer.transaction(2, &[words("SET k new")]);
    peer.submit(3, "GET k");
    assert_eq!(peer.sent().last().map(String::as_str), Some("GET k"));
}

#[test]
fn a_large_argument_of_a_write_may_be_its_key() {
    let mut peer = ready(Caching::default());
    keep(&mut peer, 1, "GET k", "$1\r\nv\r\n");
    peer.submit_external(2, &words("SET other value"), 2);
    assert!(!asks(&mut peer, 3, "GET k") || peer.outcome(3).is_some(), "a value is no key");
    peer.sent();
    peer.reply("+OK\r\n");
    assert_eq!(peer.replied(3), Some(&bulk("v")));
    peer.submit_external(4, &words("DEL k"), 1);
    peer.submit(5, "GET k");
    assert_eq!(peer.outcome(5), None, "nobody knows that key here");
}

#[test]
fn a_lost_link_ends_what_is_kept_and_what_is_on_its_way() {
    let mut peer = ready(Caching::default());
    keep(&mut peer, 1, "GET a", "$1\r\n1\r\n");
    assert!(asks(&mut peer, 2, "GET b"));
    peer.reply("$1\r");
    peer.close();
    peer.submit(3, "GET a");
    assert_eq!(peer.outcome(3), None, "nothing is known while there is no link");
    peer.retry();
    peer.open();
    peer.sent();
    peer.reply([HELLO, TRACKS].concat());
    assert_eq!(peer.sent(), ["GET b", "GET a"]);
    peer.reply("$1\r\n2\r\n$1\r\n3\r\n");
    assert!(asks(&mut peer, 4, "GET b"), "it was asked for on the link before");
    assert!(!asks(&mut peer, 5, "GET a"), "it was asked for on this one");
}

#[test]
fn a_command_that_was_given_up_leaves_nothing_in_the_way() {
    let mut peer = ready(Caching::default());
    peer.submit(1, "GET k");
    assert_eq!(peer.cancel(1), Some(false));
    keep(&mut peer, 2, "GET k", "$1\r\n1\r\n");
    assert!(!asks(&mut peer, 3, "GET k"));
    assert!(asks(&mut peer, 4, "GET a"));
    assert_eq!(peer.cancel(4), Some(true));
    peer.reply("$1\r\n2\r\n");
    assert!(!asks(&mut peer, 5, "GET a"), "its reply came all the same");
}

#[test]
fn opting_in_is_said_right_before_the_command() {
    let mut peer = ready(Caching { tracking: Tracking::OptIn, ..Caching::default() });
    peer.submit(1, "GET a");
    peer.submit_with(2, flags::CACHED, None, &words("GET b"));
    peer.submit_with(3, flags::CACHED, None, &words("PING"));
    assert_eq!(peer.sent(), ["GET a", "CLIENT CACHING YES", "GET b", "PING"]);
    peer.reply("$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+PONG\r\n");
    assert_eq!(peer.replied(3), Some(&simple("PONG")));
    peer.submit(4, "GET b");
    peer.submit_with(5, flags::CACHED, None, &words("GET a"));
    peer.submit_with(6, flags::CACHED, None, &words("GET b"));
    assert_eq!(peer.sent(), ["GET b", "CLIENT CACHING YES", "GET a"]);
    assert_eq!(peer.replied(6), Some(&bulk("2")));
    // without the server's consent nothing would be told
    peer.reply("$1\r\n2\r\n-NOPERM this user has no permissions\r\n$1\r\n1\r\n");
    peer.submit_with(7, flags::CACHED, None, &words("GET a"));
    assert_eq!(peer.sent(), ["CLIENT CACHING YES", "GET a"]);
}

#[test]
fn only_keys_that_are_broadcast_are_kept() {
    let mut peer = ready(Caching { tracking: prefixes(&["a:", "b:"]), ..Caching::default() });
    keep(&mut peer, 1, "GET a:1", "$1\r\n1\r\n");
    keep(&mut peer, 2, "MGET a:1 b:1", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    keep(&mut peer, 3, "MGET a:1 c:1", "*2\r\n$1\r\n1\r\n$1\r\n3\r\n");
    assert!(!asks(&mut peer, 4, "GET a:1"));
    assert!(!asks(&mut peer, 5, "MGET a:1 b:1"));
    assert!(asks(&mut peer, 6, "MGET a:1 c:1"));
}

#[test]
fn there_are_never_more_replies_bytes_or_milliseconds_than_allowed() {
    let mut peer = ready(Caching { max_keys: 2, ..Caching::default() });
    keep(&mut peer, 1, "GET a", "$1\r\n1\r\n");
    keep(&mut peer, 2, "GET b", "$1\r\n2\r\n");
    assert!(!asks(&mut peer, 3, "GET a"));
    keep(&mut peer, 4, "GET c", "$1\r\n3\r\n");
    assert!(!asks(&mut peer, 5, "GET a"), "it was used after the other");
    assert_eq!(stats(&peer).evictions, 1);
    assert!(asks(&mut peer, 6, "GET b"));

    let mut peer = ready(Caching { max_bytes: 1_000, ..Caching::default() });
    for slot in 0..100 {
        let value = "v".repeat(slot as usize % 70 * 20);
        keep(&mut peer, slot, &format!("GET k{slot}"), &format!("${}\r\n{value}\r\n", value.len()));
        assert!(peer.connection.cache_stats().bytes <= 1_000);
    }
    let kept = peer.connection.cache_stats();
    assert!(kept.keys > 0 && kept.evictions > 50, "{kept:?}");

    let mut peer = ready(Caching { ttl: 50, ..Caching::default() });
    keep(&mut peer, 1, "GET a", "$1\r\n1\r\n");
    peer.advance(49);
    assert!(!asks(&mut peer, 2, "GET a"));
    peer.advance(1);
    assert!(asks(&mut peer, 3, "GET a"));
}

#[test]
fn a_kept_reply_is_told_while_another_is_half_read() {
    let mut peer = ready(Caching::default());
    keep(&mut peer, 1, "LRANGE a 0 -1", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    let half = "*3\r\n$1\r\nx\r\n*2\r\n$5\r\nhello\r\n:1\r\n$1\r\ny\r\n";
    for at in 0..half.len() {
        let (slot, line) = (10 + at as u32 * 2, format!("LRANGE b{at} 0 -1"));
        assert!(asks(&mut peer, slot, &line));
        peer.reply(&half[..at]);
        assert!(!asks(&mut peer, slot + 1, "LRANGE a 0 -1"));
        assert_eq!(peer.replied(slot + 1), Some(&Frame::Array(vec![bulk("1"), bulk("2")])));
        peer.reply(&half[at..]);
        let whole = vec![bulk("x"), Frame::Array(vec![bulk("hello"), Frame::Integer(1)]), bulk("y")];
        assert_eq!(peer.replied(slot), Some(&Frame::Array(whole)));
        assert!(!asks(&mut peer, 1_000 + slot, &line), "and is kept");
    }
}

/// A pool whose shared link tracks, with a lease whose link is open too.
struct Leased {
    pool: Pool,
    caller: Caller,
    shared: LinkId,
    link: LinkId,
    lease: LeaseId,
    /// What was sent last.
    sent: String,
}

impl Leased {
    fn new() -> Self {
        Self::with(Caching::default())
    }

    fn with(caching: Caching) -> Self {
        let mut pool = Pool::new(config(caching), redwire_core::pool::Limits::default());
        let mut caller = Caller::default();
        let now = Instant(1_000);
        pool.connect(now);
        pool.lease(now, Slot(0));
        let (mut links, mut lease) = (Vec::new(), None);
        while let Some(action) = pool.poll_action() {
            match action {
                Action::Open(link) => links.push(link),
                Action::Leased(_, granted) => lease = Some(granted),
                other => unreachable!("{other:?}"),
            }
        }
        links.sort_by_key(|link| link.lane());
        let (Some(lease), &[shared, link]) = (lease, links.as_slice()) else { unreachable!("{links:?}") };
        for (link, hello) in [(shared, [HELLO, TRACKS].concat()), (link, [HELLO, "+PONG\r\n"].concat())] {
            pool.handle_open(now, link);
            let asked = transmit(&mut pool, link);
            assert_eq!(asked.contains("TRACKING"), link == shared, "only the shared link tracks: {asked}");
            pool.handle_bytes(now, link, hello.as_bytes(), &mut caller);
        }
        while pool.poll_action().is_some() {}
        Self { pool, caller, shared, link, lease, sent: String::new() }
    }

    /// Submits `line` on the lease or not; gives whether it was sent.
    fn asks(&mut self, leased: bool, slot: u32, line: &str) -> bool {
        self.asks_with(leased, slot, &[(line, 0)])
    }

    /// Submits lines with their flags at once, in slots from `slot` on.
    fn asks_with(&mut self, leased: bool, slot: u32, lines: &[(&str, u32)]) -> bool {
        let mut buffer = BatchBuffer::default();
        for ((line, flags), slot) in lines.iter().zip(slot..) {
            let args = words(line);
            buffer.push(Slot(slot), RowId::UNKNOWN, *flags, None, args.iter().map(Vec::as_slice));
        }
        let accepted = match leased {
            true => self.pool.submit_leased(Instant(1_000), self.lease, &buffer.batch()),
            false => self.pool.submit(Instant(1_000), &buffer.batch()),
        };
        assert_eq!(accepted, Ok(()));
        self.pool.poll_cached(&mut self.caller);
        let link = if leased { self.link } else { self.shared };
        self.sent = transmit(&mut self.pool, link);
        !self.sent.is_empty()
    }

    /// Has `reply` to `line` kept.
    fn keep(&mut self, slot: u32, line: &str, reply: &str) {
        assert!(self.asks(false, slot, line), "{line} is not known yet");
        self.reply(self.shared, reply);
    }

    /// Asks for `k`, which `write` on the lease has changed, and again behind the next answer there: what it was given is kept then.
    fn sees_a_write(&mut self, slot: u32, write: &str) {
        assert!(self.asks(false, slot, "GET k"), "{write} happened");
        self.reply(self.shared, "$3\r\nnew\r\n");
        assert!(self.asks(true, slot + 1, "PING"));
        self.reply(self.link, "+PONG\r\n");
        assert!(!self.asks(false, slot + 2, "GET k"), "nothing is written any more");
    }

    fn replied(&self, slot: u32) -> Option<&Frame> {
        match self.caller.outcomes.get(&slot)?.as_slice() {
            [Outcome::Reply(reply)] => Some(reply),
            other => unreachable!("slot {slot}: {other:?}"),
        }
    }

    fn reply(&mut self, link: LinkId, wire: &str) {
        self.pool.handle_bytes(Instant(1_000), link, wire.as_bytes(), &mut self.caller);
    }
}

fn transmit(pool: &mut Pool, link: LinkId) -> String {
    let mut sent = String::new();
    while let Some(Segment::Bytes(bytes)) = pool.poll_transmit(link) {
        sent.push_str(&String::from_utf8_lossy(bytes));
        let count = bytes.len();
        pool.handle_transmitted(link, count);
    }
    sent
}

/// Commands that may write `k`, whether their arguments say so or not.
const WRITES: [&str; 10] = [
    "SET k new",
    "FLUSHALL",
    "BLMOVE a k LEFT LEFT 1",
    "EVAL script 0",
    "EVALSHA digest 1 a",
    "FCALL function 0",
    "fcall function 2 a b",
    "SORT a STORE k",
    "DEBUG POPULATE 1",
    "MODULE.WRITE x",
];

#[test]
fn a_write_on_a_lease_is_seen_by_every_read_behind_its_reply() {
    for write in WRITES {
        let mut all = Leased::new();
        let (shared, link) = (all.shared, all.link);
        assert!(all.asks(false, 1, "GET k"));
        all.reply(shared, "$3\r\nold\r\n");
        assert!(!all.asks(false, 2, "GET k"));
        assert!(all.asks(true, 3, write));
        assert!(all.asks(false, 4, "GET k"), "{write} may have happened");
        all.reply(shared, "$3\r\nold\r\n");
        assert!(!all.asks(false, 5, "GET k"), "it did not");
        assert!(all.asks(false, 6, "MGET a k"));
        all.reply(link, "+OK\r\n");
        all.reply(shared, "*2\r\n_\r\n$3\r\nold\r\n");
        assert!(all.asks(false, 7, "GET k"), "{write} happened");
        all.reply(shared, "$3\r\nnew\r\n");
        assert!(all.asks(false, 8, "MGET a k"), "this reply was from before");
        assert!(!all.asks(false, 9, "GET k"), "nothing is written any more");
        // what is lost may have been written
        assert!(all.asks(true, 10, write));
        assert!(all.asks(false, 11, "GET k"));
        all.reply(shared, "*2\r\n_\r\n$3\r\nnew\r\n$3\r\nnew\r\n");
        assert!(!all.asks(false, 12, "GET k"));
        all.pool.handle_closed(Instant(1_000), link);
        assert!(all.asks(false, 13, "GET k"), "{write}");
    }
}

#[test]
fn a_script_ends_nothing_where_the_news_of_what_it_writes_comes_behind_its_reply_or_where_it_may_not_write() {
    for (leased, script) in [
        (false, "EVAL script 0"),
        (false, "FCALL function 1 a"),
        (true, "EVAL_RO script 0"),
        (true, "EVALSHA_RO digest 1 a"),
        (true, "FCALL_RO function 0"),
    ] {
        let mut all = Leased::new();
        all.keep(1, "GET k", "$1\r\nv\r\n");
        assert!(all.asks(leased, 2, script));
        assert!(!all.asks(false, 3, "GET k"), "{script}");
        all.reply(if leased { all.link } else { all.shared }, "+OK\r\n");
        assert!(!all.asks(false, 4, "GET k"), "{script}");
        all.reply(all.shared, &invalidate(&["k"]));
        assert!(all.asks(false, 5, "GET k"), "{script}");
    }
}

#[test]
fn a_write_on_a_lease_that_waits_for_exec_is_seen_by_every_read_behind_that() {
    for write in ["SET k new", "EVAL script 0"] {
        let mut all = Leased::new();
        let link = all.link;
        assert!(all.asks(true, 1, "MULTI"));
        all.reply(link, "+OK\r\n");
        assert!(all.asks(true, 2, write));
        all.reply(link, "+QUEUED\r\n");
        all.keep(3, "GET k", "$3\r\nold\r\n");
        assert!(all.asks(true, 4, "EXEC"));
        all.reply(link, "*1\r\n+OK\r\n");
        all.sees_a_write(5, write);
    }
}

#[test]
fn a_write_on_a_lease_that_is_not_answered_is_seen_by_every_read_behind_the_next_answer() {
    for (before, write, end, ended) in [
        ("PING", ("SET k new", flags::SILENT), "PING", "+PONG\r\n"),
        ("PING", ("EVAL script 0", flags::SILENT), "PING", "+PONG\r\n"),
        ("CLIENT REPLY SKIP", ("SET k new", 0), "PING", "+PONG\r\n"),
        ("CLIENT REPLY OFF", ("SET k new", 0), "CLIENT REPLY ON", "+OK\r\n"),
    ] {
        let mut all = Leased::new();
        let link = all.link;
        assert!(all.asks(true, 1, before));
        if before == "PING" {
            all.reply(link, "+PONG\r\n");
        }
        assert!(all.asks_with(true, 2, &[write]));
        while all.pool.poll_action().is_some() {}
        // the pool looks after the lease, whose commands are settled
        all.pool.unblock(Instant(1_000));
        all.keep(3, "GET k", "$3\r\nold\r\n");
        assert!(!all.asks(false, 4, "GET k"));
        assert!(all.asks(true, 5, end));
        all.reply(link, ended);
        all.sees_a_write(6, &format!("{before}, {write:?}"));
    }
}

#[test]
fn a_lease_is_given_what_is_kept() {
    let mut all = Leased::new();
    all.keep(1, "GET k", "$1\r\nv\r\n");
    assert!(!all.asks(true, 2, "GET k"));
    assert_eq!(all.replied(2), Some(&bulk("v")));
    // what it asks for itself is not kept: nobody would tell of its change
    let link = all.link;
    for slot in [3, 4] {
        assert!(all.asks(true, slot, "GET other"));
        all.reply(link, "$1\r\nw\r\n");
    }
    assert!(all.asks(false, 5, "GET other"));
    // in between others, and in its own place and form
    assert!(all.asks_with(
        true,
        10,
        &[("GET k", 0), ("PING", 0), ("get k", flags::RAW), ("ECHO x", 0), ("GET k", 0)]
    ));
    assert_eq!(all.sent, "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n");
    all.reply(link, "+PONG\r\n$1\r\nx\r\n");
    let told: Vec<_> = (10..15).filter_map(|slot| all.replied(slot).cloned()).collect();
    assert_eq!(told, [bulk("v"), simple("PONG"), bulk("v"), bulk("x"), bulk("v")]);
    let stats = all.pool.shared().cache_stats();
    assert_eq!((stats.hits, stats.misses), (4, 2));
    all.reply(all.shared, &invalidate(&["k"]));
    assert!(all.asks(true, 20, "GET k"), "it is not kept any more");
}

#[test]
fn a_lease_is_given_nothing_where_its_server_might_say_something_else() {
    let transaction = [("MULTI", flags::MULTI), ("INCR n", flags::MEMBER), ("EXEC", flags::EXEC)];
    let unsettled: &[&[(&str, u32)]] = &[
        &[("WATCH other", 0)],
        &[("MULTI", 0)],
        &[("SELECT 1", 0)],
        &[("AUTH someone secret", 0)],
        &[("CLIENT REPLY OFF", 0)],
        &[("CLIENT REPLY SKIP", 0)],
        &[("CLIENT TRACKING ON", 0)],
        &[("HELLO 2", 0)],
        &[("RESET", 0)],
        &[("MODULE.COMMAND x", 0)],
        &[("WATCH other", 0), ("UNWATCH", 0)],
        &transaction,
    ];
    for &before in unsettled {
        // in the same batch, and in a later one
        for apart in [false, true] {
            let mut all = Leased::new();
            all.keep(1, "GET k", "$1\r\nv\r\n");
            let mut lines = before.to_vec();
            if apart {
                assert!(all.asks_with(true, 10, &lines));
                lines.clear();
            }
            lines.push(("GET k", 0));
            assert!(all.asks_with(true, 20, &lines));
            assert!(all.sent.ends_with("$3\r\nGET\r\n$1\r\nk\r\n"), "{before:?}");
        }
    }
    let mut all = Leased::new();
    all.keep(1, "GET k", "$1\r\nv\r\n");
    assert!(all.asks_with(true, 2, &[("GET k", flags::UNCACHED)]));

    let mut all = Leased::with(Caching { tracking: Tracking::OptIn, ..Caching::default() });
    assert!(all.asks_with(false, 1, &[("GET k", flags::CACHED)]));
    all.reply(all.shared, "+OK\r\n$1\r\nv\r\n");
    assert!(all.asks(true, 2, "GET k"));
    assert!(!all.asks_with(true, 3, &[("GET k", flags::CACHED)]));
}

#[test]
fn a_lease_is_given_what_is_kept_again_once_its_link_is_as_any_other() {
    let dialogues = [
        ("WATCH other", "+OK\r\n", "UNWATCH", "+OK\r\n"),
        ("MULTI", "+OK\r\n", "DISCARD", "+OK\r\n"),
        ("MULTI", "+OK\r\n", "EXEC", "*0\r\n"),
        ("WATCH other", "+OK\r\n", "EXEC", "_\r\n"),
        ("CLIENT REPLY OFF", "", "CLIENT REPLY ON", "+OK\r\n"),
    ];
    for (begin, begun, end, ended) in dialogues {
        let mut all = Leased::new();
        let link = all.link;
        all.keep(1, "GET k", "$1\r\nv\r\n");
        assert!(all.asks(true, 2, begin));
        all.reply(link, begun);
        assert!(all.asks_with(true, 3, &[("GET k", flags::UNCACHED), (end, 0)]));
        all.reply(
            link,
            if begin == "MULTI" {
                "+QUEUED\r\n"
            } else if begun.is_empty() {
                ""
            } else {
                "$1\r\nw\r\n"
            },
        );
        assert!(all.asks(true, 5, "GET k"), "{end} may be refused");
        all.reply(link, &[ended, "$1\r\nw\r\n"].concat());
        assert!(!all.asks(true, 6, "GET k"), "{begin}, {end}");
        assert_eq!(all.replied(6), Some(&bulk("v")));
    }
}

#[test]
fn a_lease_whose_link_is_lost_is_given_nothing() {
    let mut all = Leased::new();
    all.keep(1, "GET k", "$1\r\nv\r\n");
    all.pool.handle_closed(Instant(1_000), all.link);
    while all.pool.poll_action().is_some() {}
    assert!(!all.asks(true, 2, "GET k"));
    let lost = Failure { reason: Reason::LeaseLost, maybe_executed: false };
    assert_eq!(all.pool.poll_action(), Some(Action::Settle(Slot(2), lost)));
    assert_eq!(all.replied(2), None);
}

#[test]
fn what_a_lease_writes_is_seen_by_its_own_reads_behind_it() {
    for write in WRITES {
        let mut all = Leased::new();
        let (shared, link) = (all.shared, all.link);
        all.keep(1, "GET k", "$3\r\nold\r\n");
        assert!(all.asks_with(true, 2, &[(write, 0), ("GET k", 0)]));
        assert_eq!(all.replied(3), None, "{write} comes before it");
        // the other link does not know of it yet
        all.keep(4, "GET k", "$3\r\nold\r\n");
        assert!(!all.asks(false, 5, "GET k"));
        assert!(all.asks(true, 6, "GET k"), "{write} is on its way");
        all.reply(link, "+OK\r\n$3\r\nnew\r\n$3\r\nnew\r\n");
        assert!(all.asks(true, 7, "GET k"), "{write} happened");
        assert!(all.asks(false, 8, "GET k"), "{write} happened");
        all.reply(shared, "$3\r\nnew\r\n");
        all.reply(link, "$3\r\nnew\r\n");
        assert_eq!(
            !all.asks(true, 9, "GET k"),
            !write.starts_with("MODULE") && !write.starts_with("DEBUG"),
            "what is unknown may leave anything behind"
        );
    }
}

const STEPS: u32 = 300;
const KEYS: u32 = 5;

tally! {
    reads > 200_000, hits > 20_000, writes > 1_000, evictions > 1_000, invalidations > 1_000, cuts > 1_000, flushes > 1_000,
    cancels > 1_000,
}

struct World {
    random: Rand32,
    pair: Pair,
    cached: u32,
    next: u32,
    /// What was read: the keys, and what each of them had been at least when it was asked for.
    reads: BTreeMap<u32, Vec<(u32, i64)>>,
    /// Counters that the client raises itself, and have not been settled yet.
    raised: BTreeMap<u32, u32>,
    /// What each key is at least, for all that the client was told.
    least: Vec<i64>,
    /// The same, at a place in what the server wrote on this link that the client did not read yet.
    told: VecDeque<(usize, u32, i64)>,
    /// How many bytes of it the client has read.
    heard: usize,
}

fn key(number: u32) -> String {
    format!("key-number:{number}")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rand32::new(seed);
        let tracking = match random.rand_range(0..4) {
            0 => Tracking::OptIn,
            1 => prefixes(&["key-number:0", "key-number:1", "other"]),
            2 => prefixes(&[]),
            _ => Tracking::Default,
        };
        let caching = Caching {
            max_keys: if random.rand_range(0..2) == 0 { 3 } else { 100 },
            ttl: if random.rand_range(0..4) == 0 { 40 } else { 0 },
            tracking,
            ..Caching::default()
        };
        let config = Config {
            limits: Limits { whole: if random.rand_range(0..2) == 0 { 8 } else { 64 }, ..Limits::default() },
            backoff: (1, 4),
            timeout: 400,
            seed: seed as u32,
            ..config(caching)
        };
        let server = Server::new(Options { setinfo: true, ..Options::default() });
        Self {
            random,
            pair: Pair::new(config, server),
            cached: flags::CACHED,
            next: 0,
            reads: BTreeMap::new(),
            raised: BTreeMap::new(),
            least: vec![0; KEYS as usize],
            told: VecDeque::new(),
            heard: 0,
        }
    }

    fn key(&mut self) -> u32 {
        self.random.rand_range(0..KEYS)
    }

    fn ask(&mut self, keys: &[u32], flags: u32) {
        self.next += 1;
        let named: Vec<_> = keys.iter().map(|&number| key(number)).collect();
        let line = format!("{} {}", if keys.len() == 1 { "GET" } else { "MGET" }, named.join(" "));
        self.reads.insert(self.next, keys.iter().map(|&key| (key, self.least[key as usize])).collect());
        self.pair.peer.submit_with(self.next, flags, None, &words(&line));
    }

    /// Notes what the server knows of every key: once the client has read so far, it must not give anything older.
    fn note(&mut self) {
        for number in 0..KEYS {
            self.told.push_back((self.pair.answered, number, self.now(number)));
        }
    }

    fn now(&self, number: u32) -> i64 {
        let store = &self.pair.server.store;
        let text = store.text(&key(number)).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        text.unwrap_or(store.least)
    }

    fn read(&mut self, count: usize) {
        self.heard += self.pair.read(count);
        while let Some(&(_, number, value)) = self.told.front().filter(|(at, ..)| *at <= self.heard) {
            let least = &mut self.least[number as usize];
            *least = value.max(*least);
            self.told.pop_front();
        }
    }

    fn step(&mut self, tally: &mut Tally) {
        match self.random.rand_range(0..40) {
            0..10 => {
                let (first, flags) = (self.key(), self.cached);
                self.ask(&[first], flags);
            }
            10 | 11 => {
                let (keys, flags) = ([self.key(), self.key()], self.cached);
                self.ask(&keys, flags);
            }
            12 => {
                let first = self.key();
                self.ask(&[first], flags::UNCACHED);
            }
            13 => {
                let number = self.key();
                self.next += 1;
                self.raised.insert(self.next, number);
                let raise = words(&format!("INCR {}", key(number)));
                if self.random.rand_range(0..3) == 0 {
                    self.pair.peer.transaction(self.next, &[raise]);
                } else {
                    self.pair.peer.submit_with(self.next, 0, None, &raise);
                }
            }
            14 => {
                tally.writes += 1;
                let number = self.key();
                self.pair.beside(&words(&format!("INCR {}", key(number))));
                self.note();
            }
            15 if self.random.rand_range(0..6) == 0 => {
                tally.flushes += 1;
                if self.random.rand_range(0..2) == 0 {
                    self.pair.beside(&words("FLUSHALL"));
                    self.note();
                } else {
                    self.next += 1;
                    self.pair.peer.submit(self.next, "FLUSHALL");
                }
            }
            16 if self.random.rand_range(0..10) == 0 && self.pair.is_open() => {
                tally.cuts += 1;
                self.pair.cut();
            }
            17 if self.random.rand_range(0..3) == 0 => {
                let slot = self.random.rand_range(0..self.next + 1);
                tally.cancels += u32::from(self.pair.peer.cancel(slot).is_some());
            }
            18 => self.pair.peer.advance(u64::from(self.random.rand_range(0..20))),
            19..26 => drop(self.pair.write(self.random.rand_range(0..300) as usize)),
            26..33 => {
                self.pair.serve(self.random.rand_range(0..300) as usize);
                self.note();
            }
            _ => {
                let count = self.random.rand_range(0..200) as usize;
                self.read(count);
            }
        }
        if self.pair.is_opening() {
            self.pair.open();
            (self.heard, self.told) = (0, VecDeque::new());
        }
        self.check(tally);
    }

    /// Checks what was settled since the last time.
    fn check(&mut self, tally: &mut Tally) {
        let outcomes = core::mem::take(&mut self.pair.peer.caller.outcomes);
        for (slot, outcomes) in outcomes {
            assert_eq!(outcomes.len(), 1, "{slot} settles once");
            let Some(Outcome::Reply(reply)) = outcomes.first() else { continue };
            if let Some(&number) = self.raised.get(&slot) {
                let reply = if let Frame::Array(items) = reply { &items[0] } else { reply };
                let Frame::Integer(value) = reply else { unreachable!("{reply:?}") };
                let least = &mut self.least[number as usize];
                *least = (*value).max(*least);
            }
            let Some(keys) = self.reads.remove(&slot) else { continue };
            let values =
                if let Frame::Array(items) = reply { items.as_slice() } else { core::slice::from_ref(reply) };
            for (value, (number, least)) in values.iter().zip(keys) {
                let value = match value {
                    Frame::Bulk(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
                    _ => Some(self.pair.server.store.least),
                };
                assert!(
                    value >= Some(least),
                    "{slot}: key {number} is {value:?}, and was {least} when it was asked for"
                );
                tally.reads += 1;
            }
        }
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step(tally);
    }
    let stats = world.pair.peer.connection.cache_stats();
    tally.hits += stats.hits as u32;
    tally.evictions += stats.evictions as u32;
    tally.invalidations += stats.invalidations as u32;
}

#[test]
fn no_schedule_gives_what_the_client_could_know_to_be_outdated() {
    run_all(4_000, run);
}
