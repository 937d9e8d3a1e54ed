//! Conversations as dialogues: scripts that a server does not know, and locks.

use redwire_core::batch::BatchBuffer;
use redwire_core::connection::{Bounds, Config, Protocol};
use redwire_core::machine::{Failure, LeaseId, Machine, Reason};
use redwire_core::operation::{Script, kind};
use redwire_core::pool::Limits;
use redwire_core::resp::Frame;
use redwire_tests::model::{
    Fleet, Hello, Options, Outcome, Pair, Peer, Reaction, Server, Store, plain, requests,
};
use redwire_tests::wire::{bulk, error, simple};

const OK: &str = "+OK\r\n";
const NIL: &str = "$-1\r\n";
const NOSCRIPT: &str = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
/// Deletes the key if it holds the token.
const CLEAN: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";

fn peer() -> Peer {
    Peer::ready(2, plain())
}

fn script() -> Script {
    Script::new("return ARGV[1]")
}

fn evalsha(line: &str) -> String {
    format!("EVALSHA {} {line}", script().sha())
}

#[test]
fn a_script_that_the_server_knows_is_called_by_its_digest() {
    let mut peer = peer();
    peer.call(1, &script(), "1 key one");
    assert_eq!(peer.sent(), [evalsha("1 key one")]);
    peer.reply("$3\r\none\r\n");
    assert_eq!(peer.replied(1), Some(&bulk("one")));
    // the slot is free for anything
    peer.caller.outcomes.clear();
    peer.submit(1, "PING");
    assert_eq!(peer.sent(), ["PING"]);
    peer.reply(NOSCRIPT);
    assert_eq!(peer.replied(1), Some(&error("NOSCRIPT No matching script. Please use EVAL.")));
    assert_eq!(peer.sent(), [""; 0]);
}

#[test]
fn promise_51_a_script_that_the_server_does_not_know_is_sent_with_its_text() {
    for split in 1..NOSCRIPT.len() {
        let mut peer = peer();
        peer.submit(0, "ECHO before");
        peer.call(1, &script(), "1 key one");
        peer.submit(2, "ECHO after");
        assert_eq!(peer.sent(), ["ECHO before".into(), evalsha("1 key one"), "ECHO after".into()]);
        peer.reply("$6\r\nbefore\r\n");
        let (start, end) = NOSCRIPT.split_at(split);
        peer.reply(start);
        peer.reply(end);
        assert_eq!(peer.outcome(1), None);
        assert_eq!(peer.sent(), ["EVAL return ARGV[1] 1 key one"]);
        peer.reply("$5\r\nafter\r\n$3\r\none\r\n");
        assert_eq!((peer.replied(1), peer.replied(2)), (Some(&bulk("one")), Some(&bulk("after"))));
    }
}

#[test]
fn other_errors_of_a_script_are_the_callers_and_so_is_the_second() {
    let mut peer = peer();
    peer.call(1, &script(), "0 one");
    peer.call(2, &script(), "0 two");
    peer.sent();
    peer.reply("-NOSCRIPT of its own\r\n");
    peer.reply(NOSCRIPT);
    assert_eq!(peer.replied(1), Some(&error("NOSCRIPT of its own")));
    assert_eq!(peer.sent(), ["EVAL return ARGV[1] 0 two"]);
    peer.reply(NOSCRIPT);
    assert_eq!(peer.replied(2), Some(&error("NOSCRIPT No matching script. Please use EVAL.")));
}

#[test]
fn calls_of_one_batch_are_told_apart_whatever_they_reply() {
    let mut peer = peer();
    for slot in 0..20 {
        peer.call(slot, &script(), &format!("0 {slot}"));
    }
    peer.sent();
    for slot in 0..20 {
        peer.reply(if slot % 3 == 0 { NOSCRIPT.into() } else { format!("*2\r\n:{slot}\r\n*1\r\n:7\r\n") });
    }
    let unknown: Vec<u32> = (0..20).filter(|slot| slot % 3 == 0).collect();
    let again: Vec<String> = unknown.iter().map(|slot| format!("EVAL return ARGV[1] 0 {slot}")).collect();
    assert_eq!(peer.sent(), again);
    for slot in unknown {
        peer.reply(format!("*2\r\n:{slot}\r\n*1\r\n:7\r\n"));
    }
    for slot in 0..20 {
        let inner = Frame::Array(vec![Frame::Integer(7)]);
        assert_eq!(peer.replied(slot), Some(&Frame::Array(vec![Frame::Integer(slot.into()), inner])));
    }
}

#[test]
fn a_script_that_may_have_run_is_not_sent_again() {
    let mut peer = peer();
    peer.call(1, &script(), "0 one");
    peer.sent();
    peer.close();
    assert_eq!(peer.failed(1), Some((Reason::Dropped, true)));
    // nor is its text
    let mut peer = self::peer();
    peer.call(1, &script(), "0 one");
    peer.sent();
    peer.reply(NOSCRIPT);
    peer.sent();
    peer.close();
    assert_eq!(peer.failed(1), Some((Reason::Dropped, true)));
}

#[test]
fn a_call_can_be_cancelled_before_and_after_its_text_is_sent() {
    let mut peer = peer();
    peer.call(1, &script(), "0 one");
    assert_eq!(peer.cancel(1), Some(false));
    assert_eq!(peer.sent(), [""; 0]);
    peer.call(2, &script(), "0 two");
    peer.sent();
    assert_eq!(peer.cancel(2), Some(true));
    peer.reply(NOSCRIPT);
    assert_eq!(peer.sent(), [""; 0]);
    peer.call(3, &script(), "0 three");
    peer.sent();
    peer.reply(NOSCRIPT);
    peer.sent();
    assert_eq!(peer.cancel(3), Some(true));
    peer.reply("$5\r\nthree\r\n");
    assert_eq!(peer.outcome(3), Some(&Outcome::Cancelled(true)));
}

#[test]
fn arguments_that_stay_with_the_caller_are_asked_for_again() {
    let mut peer = peer();
    let script = script();
    peer.connection.learn(&script);
    peer.externals.insert(1, vec![vec![b'x'; 9], vec![b'y'; 3]]);
    let row = u32::from(redwire_core::table::find(b"EVALSHA").0);
    let words =
        [1, row | redwire_core::batch::flags::SCRIPT, 4, 1 << 30 | 40, 1 << 30 | 1, 2 << 30, 9, 2 << 30, 3];
    let side = format!("{}1", script.sha());
    peer.converse(&redwire_core::batch::Batch { words: &words, text: &[], side: side.as_bytes() });
    assert_eq!(peer.sent(), [evalsha("1 xxxxxxxxx yyy")]);
    peer.reply(NOSCRIPT);
    assert_eq!(peer.sent(), ["EVAL return ARGV[1] 1 xxxxxxxxx yyy"]);
}

/// A second's lock, tried every 100 ms for another second.
const ACQUIRE: &str = "lock token 1000 100 1000 7";

/// When a peer's clock starts.
const START: i64 = 1_000;

fn set() -> &'static str {
    "SET lock token NX PX 1000"
}

#[test]
fn promise_128_a_lock_that_is_free_is_taken_at_once() {
    let mut peer = peer();
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    assert_eq!(peer.sent(), [set()]);
    peer.advance(20);
    peer.reply(OK);
    // counted from before it was sent, without what clocks may differ
    assert_eq!(peer.replied(1), Some(&Frame::Integer(START + 1000 - 12)));
    assert_eq!(peer.sent(), [""; 0]);
}

#[test]
fn a_lock_that_is_taken_is_tried_again_until_the_time_is_up() {
    let mut peer = peer();
    let start = peer.now.0;
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    let mut times = Vec::new();
    while peer.outcome(1).is_none() {
        let sent = peer.sent();
        if sent.is_empty() {
            peer.advance(1);
            continue;
        }
        assert_eq!(sent, [set()]);
        times.push(peer.now.0 - start);
        peer.reply(NIL);
    }
    assert_eq!(peer.replied(1), Some(&Frame::Integer(0)));
    assert_eq!(times.last(), Some(&1000), "the last try is made when the time is up");
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[..pauses.len() - 1].iter().all(|pause| (50..=150).contains(pause)), "{pauses:?}");
    assert!(pauses.iter().any(|pause| pause != &pauses[0]), "they differ: {pauses:?}");
}

#[test]
fn a_lock_is_tried_once_where_nobody_waits() {
    let mut peer = peer();
    peer.operate(1, kind::ACQUIRE, "lock token 1000 100 0 7");
    peer.sent();
    peer.reply(NIL);
    assert_eq!(peer.replied(1), Some(&Frame::Integer(0)));
    peer.operate(2, kind::ACQUIRE, "lock token 0 100 0 7");
    assert_eq!(peer.sent(), ["SET lock token NX"]);
    peer.reply(OK);
    assert_eq!(peer.replied(2), Some(&Frame::Integer(-1)), "for ever");
}

/// A lock whose first reply was lost; the link is open again.
fn lost() -> Peer {
    let mut peer = Peer::ready(2, Config { backoff: (1, 1), ..plain() });
    assert_eq!(peer.now.0 as i64, START);
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    peer.sent();
    peer.close();
    peer.advance(200);
    peer.open();
    assert_eq!(peer.sent(), [set()]);
    peer
}

/// A lock whose first try may still get it, while somebody else has it.
fn taken() -> Peer {
    let mut peer = lost();
    peer.reply(NIL);
    peer.sent();
    peer.reply("$5\r\nother\r\n");
    peer
}

#[test]
fn scenario_1_a_lock_whose_reply_was_lost_is_known_by_its_token() {
    let mut peer = lost();
    peer.reply(NIL);
    assert_eq!(peer.sent(), ["GETRANGE lock 0 255"]);
    peer.reply("$5\r\ntoken\r\n");
    // counted from the first try
    assert_eq!(peer.replied(1), Some(&Frame::Integer(START + 1000 - 12)));
    let mut peer = taken();
    assert_eq!(peer.outcome(1), None);
    // the lost one may still be on its way to the server: every further try asks
    peer.advance(150);
    assert_eq!(peer.sent(), [set()]);
    peer.reply(NIL);
    assert_eq!(peer.sent(), ["GETRANGE lock 0 255"]);
}

#[test]
fn scenario_2_a_lock_that_came_too_late_is_given_back() {
    let mut peer = peer();
    peer.operate(1, kind::ACQUIRE, "lock token 1000 100 5000 7");
    peer.sent();
    peer.advance(990);
    peer.reply(OK);
    assert_eq!(peer.outcome(1), None);
    assert_eq!(peer.sent(), [format!("EVAL {CLEAN} 1 lock token")]);
    peer.reply(":1\r\n");
    while peer.outcome(1).is_none() {
        peer.advance(1);
        if peer.sent() == [set()] {
            peer.reply(OK);
        }
    }
    assert_eq!(peer.replied(1), Some(&Frame::Integer(peer.now.0 as i64 + 1000 - 12)));
}

/// Gives what the server of `pair` answers to an operation.
fn ask(pair: &mut Pair, slot: u32, kind: u16, line: &str) -> i64 {
    pair.peer.operate(slot, kind, line);
    pair.settle();
    match pair.peer.replied(slot) {
        Some(&Frame::Integer(answer)) => answer,
        other => unreachable!("{line}: {other:?}"),
    }
}

#[test]
fn scenario_3_a_lock_whose_time_is_up_is_left_to_whoever_holds_it_then() {
    for protocol in [2, 3] {
        let mut pair = pair(protocol);
        assert!(ask(&mut pair, 0, kind::ACQUIRE, "lock mine 1000 100 0 7") > 0);
        pair.server.store.now += 1_000;
        assert!(ask(&mut pair, 1, kind::ACQUIRE, "lock yours 60000 100 0 7") > 0);
        assert_eq!(ask(&mut pair, 2, kind::EXTEND, "lock mine 500"), 0);
        assert_eq!(ask(&mut pair, 3, kind::RELEASE, "lock mine"), 0);
        assert_eq!(pair.server.store.text("lock"), Some(&b"yours"[..]));
        assert_eq!(ask(&mut pair, 4, kind::RELEASE, "lock yours"), 1);
        // its time is up while the release is on its way
        assert!(ask(&mut pair, 5, kind::ACQUIRE, "lock mine 1000 100 0 7") > 0);
        pair.peer.operate(6, kind::RELEASE, "lock mine");
        assert!(pair.write(usize::MAX) > 0);
        pair.server.store.now += 1_000;
        pair.server.store.execute(&[b"SET", b"lock", b"yours"]);
        pair.settle();
        assert_eq!(pair.peer.replied(6), Some(&Frame::Integer(0)));
        assert_eq!(pair.server.store.text("lock"), Some(&b"yours"[..]));
    }
}

#[test]
fn scenario_7_who_was_held_up_for_longer_than_the_lock_lives_learns_it_by_extending() {
    for protocol in [2, 3] {
        let mut pair = pair(protocol);
        let until = ask(&mut pair, 0, kind::ACQUIRE, "lock mine 1000 100 0 7");
        // the reply to an extension is there, and nobody reads it in time
        pair.peer.operate(1, kind::EXTEND, "lock mine 500");
        assert!(pair.write(usize::MAX) > 0 && pair.serve(usize::MAX) > 0);
        pair.peer.advance(2_000);
        pair.server.store.now += 2_000;
        assert!(until < pair.peer.now.0 as i64);
        pair.settle();
        assert_eq!(pair.peer.replied(1), Some(&Frame::Integer(0)), "it is not believed");
        // the first extension since finds another's token
        pair.server.store.execute(&[b"SET", b"lock", b"yours", b"PX", b"60000"]);
        assert_eq!(ask(&mut pair, 2, kind::EXTEND, "lock mine 500"), 0);
        assert_eq!(ask(&mut pair, 3, kind::EXTEND, "lock yours 500"), pair.peer.now.0 as i64 + 60_500 - 607);
    }
}

#[test]
fn scenario_4_a_lock_that_too_few_replicas_would_follow_is_refused_and_no_others_deleted() {
    const REFUSED: &str = "NOREPLICAS Not enough good replicas to write.";
    let mut peer = peer();
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    peer.sent();
    peer.reply(format!("-{REFUSED}\r\n"));
    assert_eq!(peer.replied(1), Some(&error(REFUSED)));
    assert_eq!(peer.sent(), [""; 0]);
    // one that may have been taken before is deleted where it is its own only
    let mut peer = lost();
    peer.reply(format!("-{REFUSED}\r\n"));
    assert_eq!(peer.replied(1), Some(&error(REFUSED)));
    assert_eq!(peer.sent(), [format!("EVAL {CLEAN} 1 lock token")]);
}

#[test]
fn scenario_5_numbers_are_asked_for_where_the_lock_is() {
    for (key, fence) in [("lock", "{lock}:fence"), ("a{b}c", "a{b}c:fence"), ("{}", "{}:fence")] {
        let mut peer = peer();
        peer.operate(1, kind::FENCE, &format!("{key} token"));
        assert!(peer.sent()[0].ends_with(&format!(" 2 {key} {fence} token")));
        peer.reply(NOSCRIPT);
        assert!(peer.sent()[0].starts_with("EVAL if "));
        peer.reply(":7\r\n");
        assert_eq!(peer.replied(1), Some(&Frame::Integer(7)));
    }
}

#[test]
fn answers_of_locks_come_between_other_replies_wherever_these_are_cut() {
    let wire = "$6\r\nbefore\r\n+OK\r\n*2\r\n$5\r\nafter\r\n:7\r\n";
    let after = Frame::Array(vec![bulk("after"), Frame::Integer(7)]);
    for split in 1..wire.len() {
        let mut peer = peer();
        peer.submit(0, "ECHO before");
        peer.operate(1, kind::ACQUIRE, ACQUIRE);
        peer.submit(2, "EVAL x 0");
        peer.sent();
        let (start, end) = wire.split_at(split);
        peer.reply(start);
        peer.reply(end);
        assert_eq!(peer.replied(0), Some(&bulk("before")));
        assert_eq!(peer.replied(1), Some(&Frame::Integer(START + 1000 - 12)));
        assert_eq!(peer.replied(2), Some(&after), "cut at {split}");
    }
}

#[test]
fn errors_of_locks_are_told_to_sinks_that_only_note_where_texts_are() {
    use redwire_core::machine::Machine;
    use redwire_core::tape::Tape;
    let mut peer = peer();
    for slot in 1..20 {
        peer.operate(slot, kind::EXTEND, "lock token 500");
    }
    peer.sent();
    let (wire, mut tape) = ("-OOM not now\r\n".repeat(19), Tape::new());
    let link = peer.link();
    peer.connection.handle_bytes(peer.now, link, wire.as_bytes(), &mut tape);
    let told = tape.words().chunks_exact(4).map(|words| words[3]).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(told.len(), 19, "each text is still where it was told to be");
}

#[test]
fn scenario_8_a_lock_that_nobody_waits_for_any_more_is_given_back() {
    let clean = [format!("EVAL {CLEAN} 1 lock token")];
    // on its way
    let mut peer = peer();
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    peer.sent();
    assert_eq!(peer.cancel(1), Some(true));
    assert_eq!(peer.sent(), clean);
    peer.reply(OK);
    peer.reply(":1\r\n");
    assert_eq!(peer.outcome(1), Some(&Outcome::Cancelled(true)));
    // not sent, or waiting for the next try
    let mut peer = self::peer();
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    assert_eq!(peer.cancel(1), Some(false));
    peer.operate(2, kind::ACQUIRE, ACQUIRE);
    peer.sent();
    peer.reply(NIL);
    assert_eq!(peer.cancel(2), Some(false));
    peer.advance(5_000);
    assert_eq!(peer.sent(), [""; 0]);
    // nobody knows
    let mut peer = taken();
    peer.cancel(1);
    assert_eq!(peer.sent(), clean);
}

#[test]
fn a_lock_fails_with_the_servers_error_or_when_nothing_was_sent() {
    let mut peer = peer();
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    peer.sent();
    peer.reply("-OOM command not allowed\r\n");
    assert_eq!(peer.replied(1), Some(&error("OOM command not allowed")));
    let mut peer = Peer::new(Config { queue_timeout: 100, ..plain() });
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    peer.advance(100);
    assert_eq!(peer.failed(1), Some((Reason::QueueTimeout, false)));
}

#[test]
fn replies_that_are_lost_again_and_again_end_an_acquisition() {
    let mut peer = Peer::ready(2, Config { backoff: (1, 1), ..plain() });
    peer.operate(1, kind::ACQUIRE, "lock token 1000 100 _ 7");
    for lost in 0.. {
        assert!(lost <= 4);
        if peer.outcome(1).is_some() {
            break;
        }
        assert_eq!(peer.sent(), [set()], "{lost}");
        peer.close();
        peer.advance(200);
        peer.open();
    }
    assert_eq!(peer.failed(1), Some((Reason::Dropped, true)));
    assert_eq!(peer.sent(), [format!("EVAL {CLEAN} 1 lock token")]);
}

#[test]
fn locks_are_released_and_extended_by_scripts() {
    let mut peer = peer();
    peer.operate(1, kind::RELEASE, "lock token");
    let sent = peer.sent();
    assert_eq!(sent, [format!("EVALSHA {} 1 lock token", Script::new(CLEAN).sha())]);
    peer.reply(NOSCRIPT);
    assert_eq!(peer.sent(), [format!("EVAL {CLEAN} 1 lock token")]);
    peer.reply(":1\r\n");
    assert_eq!(peer.replied(1), Some(&Frame::Integer(1)));
    peer.operate(2, kind::EXTEND, "lock token 500");
    assert!(peer.sent()[0].ends_with(" 1 lock token 500"));
    peer.reply(":0\r\n");
    assert_eq!(peer.replied(2), Some(&Frame::Integer(0)));
    peer.operate(3, kind::EXTEND, "lock token 500");
    peer.sent();
    peer.reply(NOSCRIPT);
    assert!(peer.sent()[0].starts_with("EVAL if "));
    peer.reply(":1200\r\n");
    assert_eq!(peer.replied(3), Some(&Frame::Integer(START + 1200 - 14)));
}

#[test]
fn closing_settles_conversations_and_begins_nothing() {
    let mut peer = peer();
    peer.call(0, &script(), "0 one");
    for slot in 1..4 {
        peer.operate(slot, kind::ACQUIRE, ACQUIRE);
    }
    peer.sent();
    peer.reply(NOSCRIPT);
    peer.reply(NIL);
    peer.sent();
    peer.shutdown();
    for slot in 0..4 {
        assert_eq!(peer.failed(slot), Some((Reason::Closed, slot != 1)), "{slot}");
    }
    let links = peer.links.len();
    peer.advance(10_000);
    assert_eq!(peer.links.len(), links, "no link is opened");
}

#[test]
fn whoever_waits_for_a_lock_is_dismissed_and_what_he_may_have_got_is_given_back() {
    let clean = [format!("EVAL {CLEAN} 1 lock token")];
    let mut peer = peer();
    peer.operate(1, kind::ACQUIRE, ACQUIRE);
    peer.sent();
    peer.reply(NIL);
    peer.operate(2, kind::ACQUIRE, ACQUIRE);
    // one try, and what does not wait for others
    peer.operate(3, kind::ACQUIRE, "lock token 1000 100 0 7");
    peer.operate(4, kind::RELEASE, "lock token");
    peer.sent();
    peer.dismiss();
    assert_eq!(peer.failed(1), Some((Reason::Closed, false)));
    assert_eq!(peer.failed(2), Some((Reason::Closed, true)));
    assert_eq!((peer.outcome(3), peer.outcome(4)), (None, None));
    assert_eq!(peer.sent(), clean);
    for reply in [OK, NIL, ":1\r\n", ":1\r\n"] {
        peer.reply(reply);
    }
    assert_eq!(peer.replied(3), Some(&Frame::Integer(0)));
    assert_eq!(peer.replied(4), Some(&Frame::Integer(1)));
    peer.advance(5_000);
    assert_eq!(peer.sent(), [""; 0]);
    // nobody knows
    let mut peer = taken();
    peer.dismiss();
    assert!(matches!(peer.failed(1), Some((Reason::Closed, _))));
    assert_eq!(peer.sent(), clean);
}

const CALLS: u32 = 4;
const LOCK: u32 = CALLS;
const RELEASE: u32 = CALLS + 1;
const SLOTS: u32 = CALLS + 2;

/// Calls of a script, each with a counter of its own, and a lock that is taken and given back.
fn converse(pair: &mut Pair) {
    let count = Script::new(Store::COUNT);
    for slot in 0..CALLS {
        pair.peer.call(slot, &count, &format!("1 calls:{slot} {slot}"));
    }
    pair.peer.operate(LOCK, kind::ACQUIRE, "lock token 60000 10 0 7");
    pair.peer.operate(RELEASE, kind::RELEASE, "lock token");
}

/// Moves everything until every slot is settled, and what was left behind is done with.
fn finish(pair: &mut Pair) {
    for _ in 0..1_000 {
        pair.settle();
        if (0..SLOTS).all(|slot| pair.peer.outcome(slot).is_some()) {
            return;
        }
        pair.peer.advance(10);
    }
    unreachable!("every slot is settled");
}

/// Checks that no script ran twice, that every reply is its caller's, and that whoever did not get one was told the truth.
fn check(pair: &Pair) {
    for slot in 0..CALLS {
        let runs = pair.server.store.text(&format!("calls:{slot}")).map_or(0, |runs| runs[0] - b'0');
        match pair.peer.outcome(slot) {
            Some(Outcome::Reply(reply)) => {
                assert_eq!((reply, runs), (&bulk(slot.to_string().as_bytes()), 1), "{slot}");
            }
            Some(Outcome::Failed(failure)) => assert!(runs <= u8::from(failure.maybe_executed), "{slot}"),
            other => unreachable!("{slot}: {other:?}"),
        }
    }
}

fn pair(protocol: u8) -> Pair {
    let hello = if protocol == 3 { Hello::Known } else { Hello::Unknown };
    let mut pair = Pair::new(
        Config { protocol: Protocol::Auto, backoff: (1, 1), ..Config::default() },
        Server::new(Options { hello, setinfo: true, ..Options::default() }),
    );
    pair.peer.connect();
    pair.settle();
    pair
}

#[test]
fn scripts_are_flushed_before_any_command() {
    for protocol in [2, 3] {
        let mut commands = usize::MAX;
        let mut flush_in = 1;
        while flush_in <= commands {
            let mut pair = pair(protocol);
            // the server knows the script, until it is told to forget it
            pair.server.store.execute(&[b"EVAL", Store::COUNT, b"1", b"other", b"x"]);
            pair.server.flush_in = Some(flush_in);
            converse(&mut pair);
            finish(&mut pair);
            check(&pair);
            assert!((0..SLOTS).all(|slot| pair.peer.replied(slot).is_some()), "nothing failed");
            assert_eq!(pair.server.store.text("lock"), None);
            (commands, flush_in) = (pair.server.log.len(), flush_in + 1);
        }
        assert!(flush_in > SLOTS as usize, "{flush_in}");
    }
}

#[test]
fn a_conversation_is_cut_at_every_byte() {
    for protocol in [2, 3] {
        let mut whole = pair(protocol);
        converse(&mut whole);
        // once without cuts, counting bytes
        let (mut written, mut read) = (0, 0);
        loop {
            let moved = (whole.write(1), whole.serve(usize::MAX), whole.read(1));
            (written, read) = (written + moved.0, read + moved.2);
            if moved == (0, 0, 0) {
                break;
            }
        }
        check(&whole);
        for cut in 0..written {
            let mut pair = pair(protocol);
            converse(&mut pair);
            let mut left = cut;
            while left > 0 {
                left -= pair.write(1);
                pair.serve(usize::MAX);
                pair.read(usize::MAX);
            }
            pair.cut();
            finish(&mut pair);
            check(&pair);
        }
        for cut in 0..read {
            let mut pair = pair(protocol);
            converse(&mut pair);
            let mut left = cut;
            while left > 0 {
                pair.write(usize::MAX);
                pair.serve(usize::MAX);
                left -= pair.read(1);
            }
            pair.cut();
            finish(&mut pair);
            check(&pair);
            // a lock that was taken and not told of is given back, or known to be ours
            let taken = matches!(pair.peer.replied(LOCK), Some(Frame::Integer(1..)));
            let released = pair.peer.replied(RELEASE) == Some(&Frame::Integer(1));
            pair.settle();
            if !taken && pair.peer.outcome(RELEASE).is_some() {
                assert_eq!(pair.server.store.text("lock"), None, "after {cut} bytes");
            }
            assert!(!released || pair.server.store.text("lock").is_none() || taken);
        }
    }
}

/// Who gives a conversation up when its link is lost, and before that was told, is told once.
#[test]
fn a_conversation_that_failed_is_not_given_up_as_well() {
    let mut peer = peer();
    peer.operate(1, kind::ACQUIRE, "lock token 0 10 1000 1");
    assert_eq!(peer.sent(), ["SET lock token NX"]);
    let (now, link) = (peer.now, peer.link());
    peer.connection.handle_closed(now, link);
    assert_eq!(peer.cancel(1), None);
    assert_eq!(peer.failed(1), Some((Reason::Dropped, true)));
    // and what it may have taken is given back
    peer.retry();
    peer.open();
    assert!(peer.sent()[0].starts_with("EVAL if redis.call('get', KEYS[1]) == ARGV[1]"));
}

/// A pool whose server has the lock, until 10 000 on its clock.
fn keeper(protocol: u8, limits: Limits) -> Fleet {
    let hello = if protocol == 3 { Hello::Known } else { Hello::Unknown };
    let server = Server::new(Options { hello, setinfo: true, ..Options::default() });
    let mut fleet = Fleet::new(Config { backoff: (1, 1), ..Config::default() }, limits, server);
    fleet.server.store.execute(&[b"SET", b"lock", b"token", b"PX", b"10000"]);
    fleet
}

fn ask_for(fleet: &mut Fleet, lease: Option<LeaseId>, slot: u32, kind: u16, line: &str) {
    fleet.react(Reaction::Submit(lease, requests::operation(slot, kind, line)));
}

fn answered(fleet: &Fleet, slot: u32) -> i64 {
    match fleet.outcome(slot) {
        Some(&Outcome::Reply(Frame::Integer(answer))) => answer,
        outcome => unreachable!("{slot} has {outcome:?}"),
    }
}

/// What was executed on leased links, behind their handshakes.
fn apart(fleet: &Fleet) -> Vec<String> {
    let leased = fleet.sessions().filter(|(link, _)| link.lane() != 0).flat_map(|(_, session)| &session.log);
    let lines = leased.map(|one| String::from_utf8_lossy(&one.words.join(&b' ')).into_owned());
    lines.filter(|line| !line.starts_with("CLIENT ")).collect()
}

/// Moves everything, as far as the server has executed `line` on a leased link and nobody knows.
fn serve_until(fleet: &mut Fleet, line: &str) {
    for _ in 0..1_000 {
        for at in 0..fleet.wires.len() {
            fleet.open(at);
            fleet.read(at, usize::MAX);
            fleet.write(at, usize::MAX);
            fleet.serve(at, usize::MAX, false);
        }
        if apart(fleet).iter().any(|executed| executed == line) {
            return;
        }
    }
    unreachable!("{line} was not executed: {:?}", apart(fleet));
}

const RELEASED: [&str; 5] = ["WATCH lock", "GET lock", "MULTI", "DEL lock", "EXEC"];

#[test]
fn locks_are_released_and_extended_by_transactions_on_a_link_of_their_own() {
    for protocol in [2, 3] {
        let mut fleet = keeper(protocol, Limits::default());
        ask_for(&mut fleet, None, 1, kind::WATCH_EXTEND, "lock token 500");
        fleet.settle();
        // counted from before the server was asked
        assert_eq!(answered(&fleet, 1), 1_000 + 10_500 - 107);
        let extended = ["WATCH lock", "GET lock", "PTTL lock", "MULTI", "PEXPIRE lock 10500", "EXEC"];
        assert_eq!(apart(&fleet), extended);
        ask_for(&mut fleet, None, 2, kind::WATCH_RELEASE, "lock token");
        fleet.settle();
        assert_eq!((answered(&fleet, 2), fleet.server.store.text("lock")), (1, None));
        assert_eq!(
            apart(&fleet),
            [&extended[..], &RELEASED].concat(),
            "on the same link, which was given back"
        );
        assert!(fleet.pool.is_quiet());
    }
}

#[test]
fn a_lock_that_is_not_the_owners_or_has_no_limit_is_left_alone_and_so_is_the_link() {
    for protocol in [2, 3] {
        let mut fleet = keeper(protocol, Limits::default());
        let unchanged = |fleet: &mut Fleet, slot, kind, line: &str, asked: &[&str]| {
            ask_for(fleet, None, slot, kind, line);
            fleet.settle();
            assert_eq!(answered(fleet, slot), 0);
            let log = apart(fleet);
            assert_eq!(log[log.len() - asked.len()..], *asked);
        };
        let asked = ["WATCH lock", "GET lock", "UNWATCH"];
        unchanged(&mut fleet, 1, kind::WATCH_RELEASE, "lock other", &asked);
        unchanged(&mut fleet, 2, kind::WATCH_EXTEND, "lock other 500", &asked);
        fleet.server.store.execute(&[b"SET", b"lock", b"token"]);
        let asked = ["WATCH lock", "GET lock", "PTTL lock", "UNWATCH"];
        unchanged(&mut fleet, 3, kind::WATCH_EXTEND, "lock token 500", &asked);
        assert_eq!(fleet.server.store.text("lock"), Some(&b"token"[..]));
        fleet.server.store.execute(&[b"DEL", b"lock"]);
        unchanged(&mut fleet, 4, kind::WATCH_RELEASE, "lock token", &["WATCH lock", "GET lock", "UNWATCH"]);
        // whoever has the link next finds nothing that was watched
        let leased = fleet.sessions().filter(|(link, _)| link.lane() != 0);
        assert!(leased.map(|(_, session)| session).all(|session| !session.is_changed()));
        assert_eq!(fleet.wires.len(), 2, "it is one link, and still open");
        // a reply that says something else is told
        fleet.server.store.execute(&[b"RPUSH", b"lock", b"x"]);
        ask_for(&mut fleet, None, 5, kind::WATCH_RELEASE, "lock token");
        fleet.settle();
        let wrong = error("WRONGTYPE Operation against a key holding the wrong kind of value");
        assert_eq!(fleet.outcome(5), Some(&Outcome::Reply(wrong)));
    }
}

#[test]
fn a_lock_that_is_touched_while_it_is_looked_at_is_looked_at_again() {
    let mut fleet = keeper(3, Limits::default());
    ask_for(&mut fleet, None, 1, kind::WATCH_EXTEND, "lock token 500");
    serve_until(&mut fleet, "PTTL lock");
    fleet.server.store.execute(&[b"PEXPIRE", b"lock", b"20000"]);
    fleet.settle();
    assert_eq!(answered(&fleet, 1), 1_000 + 20_500 - 207);
    ask_for(&mut fleet, None, 2, kind::WATCH_RELEASE, "lock token");
    serve_until(&mut fleet, "GET lock");
    // its time is up, and another takes it
    fleet.server.store.now += 30_000;
    fleet.server.store.execute(&[b"SET", b"lock", b"other"]);
    fleet.settle();
    assert_eq!((answered(&fleet, 2), fleet.server.store.text("lock")), (0, Some(&b"other"[..])));
}

#[test]
fn a_transaction_that_is_not_queued_fails_with_what_the_server_said_of_it() {
    const REFUSED: &str = "NOPERM this user has no permissions to run the 'del' command";
    let mut peer = peer();
    let mut batch = BatchBuffer::default();
    batch.push(
        redwire_core::machine::Slot(1),
        redwire_core::table::RowId(kind::WATCH_RELEASE),
        redwire_core::batch::flags::OPERATION,
        None,
        [&b"lock"[..], b"token"].into_iter(),
    );
    // who is on a lease is on a link of its own already
    peer.connection.converse(peer.now, LeaseId(1), &batch.batch()).expect("it is well-formed");
    assert_eq!(peer.sent(), ["WATCH lock"]);
    peer.reply("+OK\r\n");
    assert_eq!(peer.sent(), ["GET lock"]);
    peer.reply("$5\r\ntoken\r\n");
    assert_eq!(peer.sent(), ["MULTI", "DEL lock", "EXEC"]);
    peer.reply(format!("+OK\r\n-{REFUSED}\r\n-EXECABORT Transaction discarded\r\n"));
    assert_eq!(peer.replied(1), Some(&error(REFUSED)));
    // without leases there is no such link
    peer.operate(2, kind::WATCH_RELEASE, "lock token");
    assert_eq!(peer.sent(), [""; 0]);
    assert_eq!(peer.failed(2), Some((Reason::PoolTimeout, false)));
}

#[test]
fn a_lock_without_scripts_waits_for_a_link_and_can_be_given_up_anywhere() {
    let mut fleet = keeper(3, Limits { max_connections: 1, pool_timeout: 100, ..Limits::default() });
    fleet.lease(1);
    let Some(&Outcome::Leased(lease)) = fleet.outcome(1) else { unreachable!("a lease") };
    fleet.settle();
    for slot in 2..5 {
        ask_for(&mut fleet, None, slot, kind::WATCH_RELEASE, "lock token");
    }
    assert_eq!(fleet.cancel(3), Some(false));
    fleet.advance(50);
    fleet.settle();
    assert_eq!((apart(&fleet).len(), fleet.outcome(2)), (0, None));
    fleet.release(lease);
    serve_until(&mut fleet, "GET lock");
    // the link that watches is not for the next one
    fleet.cancel(2);
    fleet.settle();
    assert_eq!(answered(&fleet, 4), 1);
    let watching = fleet.over.iter().filter(|(link, session)| link.lane() == 1 && session.is_changed());
    assert_eq!(watching.count(), 1);
    // and who gets none in time is told so
    fleet.lease(5);
    ask_for(&mut fleet, None, 6, kind::WATCH_RELEASE, "lock token");
    fleet.advance(100);
    let outcome = fleet.outcome(6);
    assert!(
        matches!(outcome, Some(Outcome::Failed(failure)) if failure.reason == Reason::PoolTimeout),
        "{outcome:?}"
    );
}

#[test]
fn nothing_waits_for_a_lock_on_a_lease_that_is_over() {
    let mut fleet = keeper(3, Limits::default());
    fleet.lease(1);
    let Some(&Outcome::Leased(lease)) = fleet.outcome(1) else { unreachable!("a lease") };
    for (place, slot) in [(Some(lease), 2), (None, 3)] {
        ask_for(&mut fleet, place, slot, kind::ACQUIRE, "lock other 1000 100 1000 7");
    }
    fleet.settle();
    assert_eq!((fleet.outcome(2), fleet.outcome(3)), (None, None));
    fleet.release(lease);
    let closed = Failure { reason: Reason::Closed, maybe_executed: false };
    assert_eq!(fleet.outcome(2), Some(&Outcome::Failed(closed)));
    assert_eq!(fleet.outcome(3), None, "on the shared connection");
    fleet.server.store.execute(&[b"DEL", b"lock"]);
    fleet.advance(1_000);
    fleet.settle();
    assert!(answered(&fleet, 3) > 0);
    assert!(fleet.pool.is_quiet());
}

/// A lease of a fleet's whose link is there, and the lane of that.
fn leased() -> (Fleet, LeaseId, usize) {
    let mut fleet = keeper(3, Limits::default());
    fleet.lease(1);
    let Some(&Outcome::Leased(lease)) = fleet.outcome(1) else { unreachable!("a lease") };
    ask_for(&mut fleet, Some(lease), 2, kind::EXTEND, "lock token 1000");
    fleet.settle();
    let lane = fleet.wires.iter().position(|wire| wire.link.lane() == 1).expect("it has a link");
    (fleet, lease, lane)
}

/// What is known to be over carries no release, and what is lost under one has it said again.
#[test]
fn locks_of_a_lease_that_is_lost_are_given_back_on_the_shared_connection() {
    for (kind, written) in [(kind::RELEASE, false), (kind::RELEASE, true), (kind::WATCH_RELEASE, false)] {
        let (mut fleet, lease, lane) = leased();
        if written {
            ask_for(&mut fleet, Some(lease), 3, kind, "lock token");
            fleet.write(lane, usize::MAX);
        }
        fleet.cut(lane);
        fleet.settle();
        if !written {
            ask_for(&mut fleet, Some(lease), 3, kind, "lock token");
        }
        fleet.settle();
        let unsure = Failure { reason: Reason::Dropped, maybe_executed: true };
        let told = if written { Outcome::Failed(unsure) } else { Outcome::Reply(Frame::Integer(1)) };
        assert_eq!((fleet.outcome(3), fleet.server.store.text("lock")), (Some(&told), None));
        // what asks for more than that does not go elsewhere
        ask_for(&mut fleet, Some(lease), 4, kind::EXTEND, "lock token 1000");
        let over = Failure { reason: Reason::LeaseLost, maybe_executed: false };
        assert_eq!(fleet.outcome(4), Some(&Outcome::Failed(over)));
    }
}

/// A fleet whose lease has taken a lock, in slot 3, and does not know it yet; and the lane of that.
fn took() -> (Fleet, usize) {
    let (mut fleet, lease, lane) = leased();
    ask_for(&mut fleet, Some(lease), 3, kind::ACQUIRE, "fresh token 0 10 1000 7");
    fleet.write(lane, usize::MAX);
    fleet.serve(lane, usize::MAX, false);
    (fleet, lane)
}

#[test]
fn a_lock_that_was_taken_when_its_lease_was_lost_is_given_back_on_the_shared_connection() {
    let (mut fleet, lane) = took();
    assert_eq!(fleet.server.store.text("fresh"), Some(&b"token"[..]));
    fleet.cut(lane);
    while fleet.outcome(3).is_none() || !fleet.pool.is_quiet() {
        fleet.settle();
        fleet.advance(10);
    }
    let lost = Failure { reason: Reason::LeaseLost, maybe_executed: true };
    assert_eq!((fleet.outcome(3), fleet.server.store.text("fresh")), (Some(&Outcome::Failed(lost)), None));
}

/// Without a time limit it would never be free again, however short the client's patience is.
#[test]
fn a_lock_is_given_back_after_any_outage() {
    let patient = Config { backoff: (1, 100), ..Config::default() };
    let none = Bounds { commands: 0, ..patient.offline };
    for config in [patient.clone(), Config { offline: none, ..patient }] {
        for (kind, line) in [(kind::RELEASE, "lock token"), (kind::ACQUIRE, "fresh token 0 10 1000 7")] {
            let server = Server::new(Options { hello: Hello::Known, setinfo: true, ..Options::default() });
            let mut pair = Pair::new(config.clone(), server);
            pair.peer.connect();
            pair.settle();
            pair.server.store.execute(&[b"SET", b"lock", b"token"]);
            pair.peer.operate(1, kind, line);
            // it is neither executed nor answered, or not answered
            pair.write(usize::MAX);
            if kind == kind::ACQUIRE {
                pair.serve(usize::MAX);
            }
            pair.cut();
            for _ in 0..600 {
                pair.peer.advance(50);
                pair.cut();
            }
            assert!(matches!(pair.peer.failed(1), Some((_, true))), "{:?}", pair.peer.outcome(1));
            for _ in 0..40 {
                pair.settle();
                pair.peer.advance(50);
            }
            assert_eq!((pair.server.store.text("fresh"), pair.peer.is_linked()), (None, true));
            assert_eq!(pair.server.store.text("lock").is_none(), kind == kind::RELEASE);
        }
    }
}

#[test]
fn what_gives_a_lock_back_goes_on_elsewhere_where_its_lease_is_lost() {
    let (mut fleet, lane) = took();
    fleet.cancel(3);
    fleet.write(lane, usize::MAX);
    fleet.cut(lane);
    for _ in 0..40 {
        fleet.settle();
        fleet.advance(50);
    }
    assert_eq!(fleet.server.store.text("fresh"), None);
}

#[test]
fn what_goes_on_is_never_said_on_another_link_than_it_was_begun_on() {
    let (mut fleet, lease, lane) = leased();
    let [known, unknown] = [Store::COUNT, Store::RAISE].map(Script::new);
    for script in [&known, &unknown] {
        fleet.pool.learn(script);
    }
    fleet.react(Reaction::Submit(Some(lease), requests::call(3, &known, "1 n v")));
    fleet.settle();
    for (slot, script) in [(4, &known), (5, &unknown)] {
        fleet.react(Reaction::Submit(Some(lease), requests::call(slot, script, "1 n v")));
    }
    fleet.write(lane, usize::MAX);
    fleet.serve(lane, usize::MAX, false);
    // one has its reply with the other's, and the lease is over
    fleet.release(lease);
    fleet.settle();
    let shared = fleet.sessions().filter(|(link, _)| link.lane() == 0).flat_map(|(_, session)| &session.log);
    assert_eq!(shared.filter(|one| one.words[0].starts_with(b"EVAL")).count(), 0);
    assert!(matches!(fleet.outcome(4), Some(Outcome::Reply(_))), "{:?}", fleet.outcome(4));
    assert!(fleet.outcome(5).is_some());
}

#[test]
fn a_release_without_scripts_is_cut_at_every_byte() {
    for protocol in [2, 3] {
        // where it is cut: in what is written, and in what is read, until there is nothing more to cut
        for reading in [false, true] {
            for cut in 0.. {
                let mut fleet = keeper(protocol, Limits::default());
                ask_for(&mut fleet, None, 1, kind::WATCH_RELEASE, "lock token");
                let mut left = cut;
                while left > 0 && fleet.outcome(1).is_none() {
                    for at in 0..fleet.wires.len() {
                        if left == 0 {
                            break;
                        }
                        fleet.open(at);
                        let written = fleet.write(at, if reading { usize::MAX } else { 1 });
                        fleet.serve(at, usize::MAX, false);
                        let read = fleet.read(at, if reading { 1 } else { usize::MAX });
                        left -= if reading { read } else { written };
                    }
                }
                if fleet.outcome(1).is_some() {
                    assert_eq!(answered(&fleet, 1), 1);
                    assert!(cut > RELEASED.concat().len(), "{cut}");
                    break;
                }
                let leased = fleet.wires.iter().position(|wire| wire.link.lane() == 1);
                leased.into_iter().for_each(|at| fleet.cut(at));
                fleet.settle();
                while fleet.outcome(1).is_none() || !fleet.pool.is_quiet() {
                    fleet.advance(10);
                    fleet.settle();
                }
                // begun anew unless it was executed, deleted, be it behind the caller's back, and told the truth
                assert_eq!(fleet.server.store.text("lock"), None, "cut at {cut}");
                let said = apart(&fleet);
                assert!(said.iter().filter(|line| *line == "EXEC").count() <= 1, "{said:?}");
                match fleet.outcome(1) {
                    Some(Outcome::Reply(reply)) => assert_eq!(reply, &Frame::Integer(1)),
                    Some(Outcome::Failed(failure)) => {
                        assert!(failure.maybe_executed, "cut at {cut}: {failure:?}");
                        assert!(said.iter().any(|line| line == "GET lock"), "cut at {cut}: {said:?}");
                    }
                    other => unreachable!("cut at {cut}: {other:?}"),
                }
                assert!(fleet.pool.is_quiet());
            }
        }
    }
}

/// The library that its own code names.
const LISTED: &str =
    "*1\r\n*6\r\n$12\r\nlibrary_name\r\n$3\r\nlib\r\n$6\r\nengine\r\n$3\r\nLUA\r\n$9\r\nfunctions\r\n*0\r\n";

fn listed() -> Frame {
    let pairs =
        [("library_name", simple("lib")), ("engine", simple("LUA")), ("functions", Frame::Map(vec![]))];
    let library = Frame::Map(pairs.map(|(name, value)| (simple(name), value)).into());
    Frame::Map(vec![(simple("lib"), library)])
}

#[test]
fn a_library_is_listed_when_it_was_loaded_wherever_the_replies_are_cut() {
    let wire = "$3\r\nlib\r\n";
    for split in 1..wire.len() {
        let mut peer = peer();
        peer.operate(1, kind::LIBRARY, "REPLACE #!lua");
        assert_eq!(peer.sent(), ["FUNCTION LOAD REPLACE #!lua"]);
        let (start, end) = wire.split_at(split);
        peer.reply(start);
        assert_eq!(peer.sent(), [""; 0]);
        peer.reply(end);
        assert_eq!(peer.sent(), ["FUNCTION LIST LIBRARYNAME lib"]);
        let (start, end) = LISTED.split_at(split * 5);
        peer.reply(start);
        peer.reply(end);
        assert_eq!(peer.replied(1), Some(&listed()));
    }
}

#[test]
fn a_library_that_is_refused_is_not_listed() {
    const REFUSED: &str = "ERR Library 'lib' already exists";
    let mut peer = peer();
    peer.operate(1, kind::LIBRARY, "#!lua");
    peer.sent();
    peer.reply(format!("-{REFUSED}\r\n"));
    assert_eq!(peer.replied(1), Some(&error(REFUSED)));
    assert_eq!(peer.sent(), [""; 0]);
}

#[test]
fn whoever_loads_a_library_learns_whether_it_may_be_loaded() {
    let mut peer = peer();
    peer.operate(1, kind::LIBRARY, "#!lua");
    peer.close();
    assert_eq!(peer.failed(1), None, "it was not sent, and waits");
    let mut peer = self::peer();
    peer.operate(1, kind::LIBRARY, "#!lua");
    peer.sent();
    peer.close();
    assert_eq!(peer.failed(1), Some((Reason::Dropped, true)));
    // the list is asked for again, but not for ever
    let mut peer = Peer::ready(2, Config { queue_timeout: 100, backoff: (1, 1), ..plain() });
    peer.operate(1, kind::LIBRARY, "#!lua");
    peer.sent();
    peer.reply("$3\r\nlib\r\n");
    peer.sent();
    peer.close();
    peer.retry();
    peer.open();
    assert_eq!(peer.sent(), ["FUNCTION LIST LIBRARYNAME lib"]);
    peer.close();
    peer.advance(1_000);
    assert!(matches!(peer.failed(1), Some((_, true))), "{:?}", peer.outcome(1));
}
