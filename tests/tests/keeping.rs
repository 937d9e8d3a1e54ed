//! A lock that is kept, as a dialogue: extended in time, again where that fails, and never believed to be held when it is not.

use redwire_core::connection::Config;
use redwire_core::machine::{Failure, Reason};
use redwire_core::operation::kind;
use redwire_core::pool::Limits;
use redwire_core::resp::Frame;
use redwire_tests::model::{Fleet, Hello, Options, Outcome, Pair, Peer, Reaction, Server, plain, requests};
use redwire_tests::wire::error;

/// When a peer's clock starts.
const START: u64 = 1_000;
/// Keeps a lock of a second, taken at [`START`].
const KEEP: &str = "lock token 1000 1988";

/// A client that keeps a lock; its clock stands where the lock is to be extended.
fn keeping(line: &str) -> Peer {
    let mut peer = Peer::ready(2, Config { backoff: (1, 1), ..plain() });
    assert_eq!(peer.now.0, START);
    peer.operate(1, kind::KEEP, line);
    peer.advance(321);
    assert_eq!((peer.sent(), peer.outcome(1)), (vec![], None), "it is early");
    peer.advance(1);
    peer
}

/// Sees that the lock gets a second, and nothing else is sent.
fn extended(peer: &mut Peer) {
    let [sent] = &peer.sent()[..] else { unreachable!("one command") };
    assert!(sent.starts_with("EVAL") && sent.ends_with(" 1 lock token 1000 least"), "{sent}");
}

#[test]
fn a_lock_gets_its_time_back_when_a_third_of_it_is_over() {
    let mut peer = keeping(KEEP);
    extended(&mut peer);
    peer.advance(20);
    peer.reply("-NOSCRIPT No matching script. Please use EVAL.\r\n");
    extended(&mut peer);
    peer.advance(20);
    peer.reply(":1000\r\n");
    // counted from before the text was sent
    let until = START + 322 + 20 + 1000 - 12;
    assert_eq!(peer.replied(1), Some(&Frame::Integer(until as i64)));
    // again and again
    peer.caller.outcomes.clear();
    peer.operate(1, kind::KEEP, &format!("lock token 1000 {until}"));
    assert_eq!(peer.sent(), [""; 0]);
    peer.advance(322);
    extended(&mut peer);
    // one that was not kept for a while is extended at once
    let mut late = Peer::ready(2, plain());
    late.operate(1, kind::KEEP, "lock token 1000 900");
    extended(&mut late);
}

#[test]
fn a_lock_that_is_another_s_is_told() {
    let mut peer = keeping(KEEP);
    extended(&mut peer);
    peer.reply(":0\r\n");
    assert_eq!(peer.replied(1), Some(&Frame::Integer(0)));
    peer.advance(5_000);
    assert_eq!(peer.sent(), [""; 0]);
}

#[test]
fn what_fails_is_tried_again_while_the_lock_lives() {
    const FULL: &str = "OOM command not allowed when used memory > 'maxmemory'.";
    let mut peer = keeping(KEEP);
    // refused, lost with its link, and not answered in time
    extended(&mut peer);
    peer.reply(format!("-{FULL}\r\n"));
    assert_eq!(peer.sent(), [""; 0]);
    peer.advance(99);
    assert_eq!(peer.sent(), [""; 0]);
    peer.advance(1);
    extended(&mut peer);
    peer.close();
    peer.advance(100);
    peer.open();
    extended(&mut peer);
    peer.reply(":1000\r\n");
    assert_eq!(peer.replied(1), Some(&Frame::Integer((peer.now.0 + 1000 - 12) as i64)));

    // up to the end of its time, and no further
    let mut peer = keeping(KEEP);
    let mut times = Vec::new();
    while peer.outcome(1).is_none() {
        times.push(peer.now.0 - START);
        extended(&mut peer);
        peer.reply(format!("-{FULL}\r\n"));
        if peer.outcome(1).is_none() {
            peer.advance(100);
        }
    }
    assert_eq!(times, [322, 422, 522, 622, 722, 822, 922]);
    assert_eq!(peer.replied(1), Some(&error(FULL)));
}

#[test]
fn extensions_whose_replies_are_lost_do_not_add_up() {
    let server = Server::new(Options { hello: Hello::Known, setinfo: true, ..Options::default() });
    let mut pair = Pair::new(Config { backoff: (1, 1), ..Config::default() }, server);
    pair.peer.connect();
    pair.settle();
    pair.server.store.execute(&[b"SET", b"lock", b"token", b"PX", b"1000"]);
    let until = pair.peer.now.0 + 1000;
    pair.peer.operate(1, kind::KEEP, &format!("lock token 1000 {until}"));
    for _ in 0..3 {
        while left(&mut pair) < 1000 {
            if pair.is_opening() {
                pair.open();
            }
            pair.peer.advance(10);
            pair.server.store.now += 10;
            pair.read(usize::MAX);
            pair.write(usize::MAX);
            pair.serve(usize::MAX);
        }
        assert_eq!((left(&mut pair), pair.peer.outcome(1)), (1000, None));
        pair.cut();
        pair.peer.advance(10);
        pair.server.store.now += 10;
    }
}

/// Gives how long the lock lives by the server.
fn left(pair: &mut Pair) -> i64 {
    match pair.server.store.execute(&[b"PTTL", b"lock"]) {
        Frame::Integer(left) => left,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn nothing_is_waited_for_once_the_time_of_the_lock_is_up() {
    for silent in [true, false] {
        let mut peer = keeping(KEEP);
        extended(&mut peer);
        if !silent {
            peer.close();
        }
        while peer.outcome(1).is_none() {
            peer.advance(1);
        }
        assert_eq!(peer.failed(1), Some((Reason::Timeout, silent)));
        assert_eq!(peer.now.0, 1988);
    }
}

#[test]
fn nothing_is_kept_for_a_client_that_is_closed() {
    for sent in [false, true] {
        let mut peer = keeping(KEEP);
        if sent {
            extended(&mut peer);
        }
        peer.dismiss();
        assert!(matches!(peer.failed(1), Some((Reason::Closed, _))));
        peer.sent();
        peer.advance(5_000);
        assert_eq!(peer.sent(), [""; 0]);
    }
    let mut peer = Peer::ready(2, plain());
    peer.operate(1, kind::KEEP, KEEP);
    assert_eq!(peer.cancel(1), Some(false), "nothing was executed");
    peer.advance(5_000);
    assert_eq!(peer.sent(), [""; 0]);
}

/// Gives what a server executed to keep a lock of ten seconds, on the shared link and on others.
fn kept(lease: bool) -> [Vec<String>; 2] {
    let server = Server::new(Options { hello: Hello::Known, setinfo: true, ..Options::default() });
    let mut fleet = Fleet::new(Config::default(), Limits::default(), server);
    fleet.server.store.execute(&[b"SET", b"lock", b"token", b"PX", b"10000"]);
    let place = lease.then(|| {
        fleet.lease(1);
        let Some(&Outcome::Leased(lease)) = fleet.outcome(1) else { unreachable!("a lease") };
        lease
    });
    let until = fleet.now.0 + 10_000;
    let ask = requests::operation(2, kind::WATCH_KEEP, &format!("lock token 10000 {until}"));
    fleet.react(Reaction::Submit(place, ask));
    fleet.settle();
    fleet.advance(3_334);
    fleet.settle();
    let Some(Outcome::Reply(Frame::Integer(answer))) = fleet.outcome(2) else { unreachable!("an answer") };
    assert!(*answer as u64 > until + 3_000, "{answer}");
    if let Some(lease) = place {
        fleet.react(Reaction::Submit(place, requests::operation(3, kind::KEEP, "lock token 10000 99999")));
        fleet.release(lease);
        let closed = Failure { reason: Reason::Closed, maybe_executed: false };
        assert_eq!(fleet.outcome(3), Some(&Outcome::Failed(closed)), "it ends with its lease");
    }
    [true, false].map(|shared| {
        let sessions = fleet.sessions().filter(|(link, _)| (link.lane() == 0) == shared);
        let words = sessions.flat_map(|(_, session)| &session.log).map(|one| one.words[0].clone());
        let names = words.map(|name| String::from_utf8_lossy(&name).into_owned());
        names.filter(|name| !["CLIENT", "HELLO", "PING"].contains(&name.as_str())).collect()
    })
}

#[test]
fn a_lock_without_scripts_is_kept_by_transactions_but_not_among_those_of_a_lease() {
    let none: [&str; 0] = [];
    let [shared, others] = kept(false);
    assert_eq!(shared, none);
    assert_eq!(others, ["WATCH", "GET", "PTTL", "MULTI", "PEXPIRE", "EXEC"]);
    let [shared, others] = kept(true);
    assert_eq!(shared, none);
    assert!(others.iter().all(|name| name.starts_with("EVAL")) && !others.is_empty(), "{others:?}");
}
