//! The link is cut at every byte of a dialogue, in both directions, on both protocols.

use redwire_core::connection::{Config, Protocol};
use redwire_core::machine::{Failure, LinkId, Machine, Reason};
use redwire_core::resp::{Frame, Limits, encode};
use redwire_tests::model::{Caller, Hello, Options, Outcome, Pair, Server, Words, words};
use redwire_tests::wire::bulk;
use std::ops::Range;

const SETUP: [&str; 3] = ["RPUSH list a b c", "HSET hash f 1 g 2", "SET text old"];

/// What a slot asks for.
enum Ask {
    Command(Words),
    /// The last argument stays with the caller.
    External(Words),
    Transaction(Vec<Words>),
}

/// Twenty commands; each echoes or reads a value of its own, fails in a way of its own, or is a transaction.
fn dialogue() -> Vec<Ask> {
    let big = "B".repeat(300);
    let command = |line: &str| Ask::Command(words(line));
    vec![
        command("ECHO one"),
        command("SET mine 2"),
        command("GET mine"),
        Ask::External(words(&format!("SET far {}", "F".repeat(200)))),
        command("GET far"),
        command("GET list"),
        command("LRANGE list 0 -1"),
        command(&format!("SET big {big}")),
        command("GET big"),
        command("HGETALL hash"),
        Ask::Transaction(vec![
            words("INCR n"),
            words("ECHO eleven"),
            words("GET list"),
            words("HGETALL hash"),
        ]),
        command("NOSUCH twelve"),
        command("MGET mine nothing text"),
        command("SET text new GET"),
        command("SET text no NX"),
        Ask::Transaction(vec![words("ECHO sixteen"), words("NOSUCH")]),
        command("INCR n"),
        command("INCR text"),
        Ask::External(words("ECHO nineteen")),
        command("ECHO last"),
    ]
}

fn server(protocol: u8, setinfo: bool) -> Server {
    let hello = if protocol == 3 { Hello::Known } else { Hello::Unknown };
    let mut server = Server::new(Options { hello, setinfo, password: Some("secret"), ..Options::default() });
    for line in SETUP {
        let command = words(line);
        let command: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        server.store.execute(&command);
    }
    server
}

fn config() -> Config {
    let credentials = redwire_core::connection::Credentials { username: None, password: b"secret".to_vec() };
    let limits = Limits { whole: 64, ..Limits::default() };
    Config { protocol: Protocol::Auto, credentials: Some(credentials), limits, ..Config::default() }
}

fn submit(pair: &mut Pair) {
    for (slot, ask) in dialogue().into_iter().enumerate() {
        match ask {
            Ask::Command(args) => pair.peer.submit_with(slot as u32, 0, None, &args),
            Ask::External(args) => pair.peer.submit_external(slot as u32, &args, args.len() - 1),
            Ask::Transaction(members) => pair.peer.transaction(slot as u32, &members),
        }
    }
}

/// Gives where the bytes of each command stand, from the end of the handshake on.
fn places() -> Vec<Range<usize>> {
    let mut end = 0;
    let length = |args: &Words| {
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        encode::command(&mut Vec::new(), &args).expect("a growing buffer is never full")
    };
    let places = dialogue().into_iter().map(|ask| {
        let start = end;
        end += match &ask {
            Ask::Command(args) | Ask::External(args) => length(args),
            Ask::Transaction(members) => {
                length(&words("MULTI")) + members.iter().map(length).sum::<usize>() + length(&words("EXEC"))
            }
        };
        start..end
    });
    places.collect()
}

/// A pair that is ready, with the dialogue submitted and nothing of it written.
fn begin(protocol: u8) -> Pair {
    let mut pair = Pair::new(config(), server(protocol, protocol == 3));
    pair.peer.connect();
    pair.settle();
    assert_eq!(pair.peer.ready.len(), 1, "the link is ready");
    assert_eq!(pair.peer.connection.server().protocol, protocol);
    submit(&mut pair);
    pair
}

/// What the dialogue comes to when nothing is cut, and where each reply ends.
fn whole(protocol: u8) -> (Vec<Frame>, Vec<usize>) {
    let mut pair = begin(protocol);
    pair.write(usize::MAX);
    pair.serve(usize::MAX);
    let (mut ends, mut read) = (Vec::new(), 0);
    while pair.read(1) == 1 {
        read += 1;
        while ends.len() < 20 && pair.peer.outcome(ends.len() as u32).is_some() {
            ends.push(read);
        }
    }
    let replies = (0..20).map(|slot| pair.peer.replied(slot).expect("a reply").clone()).collect();
    (replies, ends)
}

fn outcomes(caller: &Caller) -> Vec<Outcome> {
    let one = |outcomes: &Vec<Outcome>| match outcomes.as_slice() {
        [outcome] => outcome.clone(),
        _ => unreachable!("a slot settles once: {outcomes:?}"),
    };
    caller.outcomes.values().map(one).collect()
}

/// Those that only read.
fn is_repeatable(ask: &Ask) -> bool {
    matches!(ask, Ask::Command(args) | Ask::External(args)
        if matches!(args[0].as_slice(), b"ECHO" | b"GET" | b"LRANGE" | b"HGETALL" | b"MGET"))
}

/// Checks what came of the dialogue after `written` bytes of it were written and `answered` commands answered: what was not
/// written and what only reads waits for another link.
fn check(pair: &mut Pair, replies: &[Frame], written: usize, answered: usize) {
    for (slot, (ask, place)) in dialogue().iter().zip(places()).enumerate() {
        let expected = if slot < answered {
            Some(Outcome::Reply(replies[slot].clone()))
        } else if place.start < written && !is_repeatable(ask) {
            Some(Outcome::Failed(Failure { reason: Reason::Dropped, maybe_executed: true }))
        } else {
            None
        };
        assert_eq!(pair.peer.outcome(slot as u32).cloned(), expected, "{slot} after {written} bytes");
    }
}

/// Lets another link be opened, and checks that on it exactly those commands are executed that wait, in order.
fn check_resent(pair: &mut Pair) {
    let sent = |ask: &Ask| match ask {
        Ask::Command(args) | Ask::External(args) => vec![args.clone()],
        Ask::Transaction(members) => members.clone(),
    };
    let waiting: Vec<Words> = dialogue()
        .iter()
        .enumerate()
        .filter(|(slot, _)| pair.peer.outcome(*slot as u32).is_none())
        .flat_map(|(_, ask)| sent(ask))
        .collect();
    pair.server.log.clear();
    pair.peer.retry();
    pair.open();
    while pair.write(61) + pair.serve(47) + pair.read(53) > 0 {}
    assert_eq!(pair.server.log, waiting);
    for slot in 0..20 {
        assert!(pair.peer.outcome(slot).is_some(), "{slot} is settled");
    }
    assert_eq!(pair.peer.replied(19), Some(&bulk("last")));
    pair.cut();
}

/// Checks that the connection can be used again, and that nothing of its former link reaches the new one.
fn check_reuse(pair: &mut Pair) {
    let old = pair.peer.link();
    pair.peer.caller.outcomes.clear();
    let stale = |pair: &mut Pair| {
        let Pair { peer, .. } = pair;
        let wire = b"+stale\r\n$5\r\nstale\r\n-ERR stale\r\n";
        peer.connection.handle_bytes(peer.now, old, wire, &mut peer.caller);
        peer.connection.handle_transmitted(old, 5);
        peer.connection.handle_open(peer.now, old);
        peer.connection.handle_closed(peer.now, old);
        assert_eq!(peer.connection.poll_transmit(old), None);
        assert_eq!(peer.connection.handle_read(old, 3), 0);
    };
    stale(pair);
    pair.peer.submit(100, "ECHO fresh");
    pair.peer.submit(101, "GET mine");
    pair.peer.retry();
    assert!(pair.peer.link() > old, "a new link has a new number");
    stale(pair);
    pair.open();
    stale(pair);
    while pair.write(5) + pair.serve(7) + pair.read(3) > 0 {
        stale(pair);
    }
    assert_eq!(pair.peer.replied(100), Some(&bulk("fresh")));
    assert!(pair.peer.replied(101).is_some());
    assert_eq!(pair.peer.link(), LinkId(old.0 + (1 << 8)));
}

#[test]
fn the_whole_dialogue_is_what_it_should_be() {
    let (two, three) = (whole(2).0, whole(3).0);
    assert_eq!(two, three, "both protocols give the same values");
    let member = |frame: &Frame, at: usize| match frame {
        Frame::Array(items) => items[at].clone(),
        _ => unreachable!("not an array: {frame:?}"),
    };
    assert_eq!(three[0], bulk("one"));
    assert_eq!(three[1], Frame::Boolean(true));
    assert_eq!(three[4], bulk("F".repeat(200)));
    assert!(matches!(&three[5], Frame::Error(text) if text.starts_with(b"WRONGTYPE")));
    assert_eq!(three[8], bulk("B".repeat(300)));
    assert!(matches!(three[9], Frame::Map(_)));
    assert_eq!((member(&three[10], 0), member(&three[10], 1)), (Frame::Integer(1), bulk("eleven")));
    assert!(matches!(member(&three[10], 2), Frame::Error(_)));
    assert!(matches!(member(&three[10], 3), Frame::Map(_)), "an element of EXEC has its own shape");
    assert_eq!((member(&three[12], 0), member(&three[12], 1)), (bulk("2"), Frame::Null));
    assert_eq!((&three[13], &three[14]), (&bulk("old"), &Frame::Boolean(false)));
    assert!(matches!(&three[15], Frame::Error(text) if text.starts_with(b"EXECABORT")));
    assert_eq!((&three[16], &three[19]), (&Frame::Integer(2), &bulk("last")));
}

#[test]
fn a_cut_at_any_byte_on_the_way_out_settles_everything_once() {
    let total = places().last().expect("there are commands").end;
    for protocol in [2, 3] {
        let (replies, _) = whole(protocol);
        for written in 0..=total {
            for heard in [true, false] {
                let mut pair = begin(protocol);
                assert_eq!(pair.write(written), written);
                let answered = match heard {
                    true => places().iter().filter(|place| place.end <= written).count(),
                    false => 0,
                };
                if heard {
                    pair.serve(usize::MAX);
                    pair.read(usize::MAX);
                }
                pair.cut();
                check(&mut pair, &replies, written, answered);
                if heard {
                    check_resent(&mut pair);
                    check_reuse(&mut pair);
                }
            }
        }
    }
}

#[test]
fn a_cut_at_any_byte_on_the_way_in_settles_everything_once() {
    for protocol in [2, 3] {
        let (replies, ends) = whole(protocol);
        let total = *ends.last().expect("there are replies");
        for read in 0..=total {
            let mut pair = begin(protocol);
            pair.write(usize::MAX);
            pair.serve(usize::MAX);
            assert_eq!(pair.read(read), read);
            pair.cut();
            let answered = ends.iter().filter(|&&end| end <= read).count();
            check(&mut pair, &replies, usize::MAX, answered);
            check_resent(&mut pair);
            check_reuse(&mut pair);
        }
    }
}

#[test]
fn a_cut_at_any_byte_of_the_handshake_executes_nothing() {
    for protocol in [2, 3] {
        for written in 0.. {
            let mut pair = Pair::new(config(), server(protocol, true));
            submit(&mut pair);
            pair.open();
            // what was answered is read, so that RESP2 comes to its second round
            let mut left = written;
            loop {
                let moved = pair.write(if pair.peer.ready.is_empty() { left } else { 0 });
                left -= moved;
                if moved + pair.serve(usize::MAX) + pair.read(usize::MAX) == 0 {
                    break;
                }
            }
            if !pair.peer.ready.is_empty() {
                break;
            }
            assert!(pair.server.log.is_empty());
            pair.cut();
            // hanging up on HELLO is answered with RESP2, everything else is a failure
            if pair.is_opening() {
                pair.cut();
            }
            assert!(pair.peer.caller.outcomes.is_empty(), "everything waits for another link");
            // one in fifty is enough
            if written % 50 == 0 {
                pair.peer.retry();
                pair.settle();
                assert_eq!(pair.server.log.len(), 24);
                pair.cut();
                pair.peer.advance(60_000);
                assert_eq!(outcomes(&pair.peer.caller).len(), 20);
            }
        }
    }
}

#[test]
fn a_transaction_is_executed_as_a_whole_or_not_at_all() {
    let members = [words("SET a 1"), words("INCR n"), words("SET b 2")];
    let mut executed = [0, 0];
    for written in 0..130 {
        let mut pair = Pair::new(config(), server(3, true));
        pair.peer.connect();
        pair.settle();
        pair.peer.transaction(1, &members);
        pair.write(written);
        pair.serve(usize::MAX);
        pair.cut();
        let values = [pair.server.store.text("a"), pair.server.store.text("n"), pair.server.store.text("b")];
        let count = values.iter().flatten().count();
        assert!(count == 0 || count == 3, "{values:?}");
        executed[usize::from(count == 3)] += 1;
        match pair.peer.outcome(1) {
            Some(Outcome::Failed(failure)) => assert!(failure.maybe_executed),
            outcome => assert!(outcome.is_none() && written == 0, "nothing of it was written"),
        }
        pair.peer.retry();
        pair.settle();
        assert_eq!(
            pair.server.store.text("n").is_some(),
            count == 3 || written == 0,
            "it is never sent again"
        );
    }
    assert!(executed[0] > 0 && executed[1] > 0, "{executed:?}");
}
