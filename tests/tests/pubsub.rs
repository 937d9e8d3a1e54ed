//! A connection that listens: what is confirmed, what is told, and what comes of it when the link is lost.

use oorandom::Rand32;
use redwire_core::batch::flags;
use redwire_core::connection::{Config, Protocol};
use redwire_core::machine::{Machine, Reason, Slot};
use redwire_core::pubsub::{LONGEST_NAME, Notice};
use redwire_core::resp::{Frame, Limits};
use redwire_tests::frames::frame;
use redwire_tests::model::{Outcome, Peer, plain, words};
use redwire_tests::wire::{bulk, encoded, encoded_resp2, error};

/// The slot that listens.
const EAR: u32 = 1_000_000;

fn listening(protocol: u8, config: Config) -> Peer {
    let auto = if protocol == 3 { Protocol::Auto } else { Protocol::Resp2 };
    let mut peer = Peer::new(Config { protocol: auto, ..config });
    peer.connection.listen(Slot(EAR));
    peer.connect();
    peer.open();
    if protocol == 3 {
        assert_eq!(peer.sent(), ["HELLO 3", "PING"]);
        peer.reply("%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n+PONG\r\n");
    }
    assert_eq!(peer.ready.len(), 1, "the link is ready");
    peer
}

/// Runs a dialogue on both protocols.
fn on_both(dialogue: impl Fn(&mut Peer, &dyn Fn(&[Frame]) -> Vec<u8>)) {
    dialogue(&mut listening(2, plain()), &|items| encoded_resp2(&Frame::Array(items.to_vec())));
    dialogue(&mut listening(3, plain()), &|items| encoded(&Frame::Push(items.to_vec())));
}

fn int(number: i64) -> Frame {
    Frame::Integer(number)
}

fn notice(what: Notice, rest: &[Frame]) -> Frame {
    Frame::Array([&[int(what as i64)], rest].concat())
}

/// What the server says when `name` is the `count`th.
fn confirmation(word: &str, name: &str, count: i64) -> [Frame; 3] {
    [bulk(word), bulk(name), int(count)]
}

/// Takes what the listener was told.
fn told(peer: &mut Peer) -> Vec<Frame> {
    let outcomes = peer.caller.outcomes.remove(&EAR).unwrap_or_default();
    let frame = |outcome| match outcome {
        Outcome::Reply(frame) => frame,
        other => unreachable!("nothing else comes to a listener: {other:?}"),
    };
    outcomes.into_iter().map(frame).collect()
}

fn ask(peer: &mut Peer, slot: u32, line: &str) {
    peer.submit_with(slot, flags::IDEMPOTENT, None, &words(line));
}

fn subscribe(peer: &mut Peer, wire: &dyn Fn(&[Frame]) -> Vec<u8>, names: &[&str]) {
    ask(peer, 1, &format!("SUBSCRIBE {}", names.join(" ")));
    peer.sent();
    for (place, name) in names.iter().enumerate() {
        peer.reply(wire(&confirmation("subscribe", name, place as i64 + 1)));
    }
    assert_eq!(peer.caller.outcomes.remove(&1), Some(vec![Outcome::Reply(Frame::Boolean(true))]));
    assert_eq!(told(peer).len(), names.len());
}

/// Answers the handshake of a further link on which the names in `again` are to be subscribed to.
fn reopen(peer: &mut Peer, again: &[&str]) {
    peer.retry();
    peer.open();
    let mut sent = peer.sent();
    if sent == ["HELLO 3", "PING"] {
        peer.reply("%2\r\n+server\r\n+redis\r\n+proto\r\n:3\r\n+PONG\r\n");
        sent = peer.sent();
    }
    // one by one
    let each = |line: &&str| {
        let (verb, names) = line.split_once(' ').expect("a verb and names");
        names.split(' ').map(|name| format!("{verb} {name}")).collect::<Vec<_>>()
    };
    assert_eq!(sent, again.iter().flat_map(each).collect::<Vec<_>>());
}

#[test]
fn a_subscription_settles_when_all_its_names_are_confirmed() {
    on_both(|peer, wire| {
        ask(peer, 1, "SUBSCRIBE a b");
        ask(peer, 2, "PSUBSCRIBE n*");
        assert_eq!(peer.sent(), ["SUBSCRIBE a b", "PSUBSCRIBE n*"]);
        peer.reply(wire(&confirmation("subscribe", "a", 1)));
        peer.reply(wire(&[bulk("message"), bulk("a"), bulk("early")]));
        assert_eq!(peer.outcome(1), None);
        peer.reply(wire(&confirmation("subscribe", "b", 2)));
        assert_eq!((peer.replied(1), peer.outcome(2)), (Some(&Frame::Boolean(true)), None));
        peer.reply(wire(&confirmation("psubscribe", "n*", 3)));
        assert_eq!(peer.replied(2), Some(&Frame::Boolean(true)));
        assert_eq!(
            told(peer),
            [
                notice(Notice::Subscribe, &[bulk("a"), int(1)]),
                notice(Notice::Message, &[bulk("a"), bulk("early")]),
                notice(Notice::Subscribe, &[bulk("b"), int(2)]),
                notice(Notice::Psubscribe, &[bulk("n*"), int(3)]),
            ]
        );
        assert!(peer.connection.is_quiet());
    });
}

#[test]
fn the_channel_of_messages_in_a_row_is_told_once() {
    on_both(|peer, wire| {
        subscribe(peer, wire, &["a", "b"]);
        let message = |channel: &str, data: &str| wire(&[bulk("message"), bulk(channel), bulk(data)]);
        peer.reply([message("a", "1"), message("a", "2"), message("b", "3"), message("a", "4")].concat());
        peer.reply(message("a", "5"));
        // long ones come another way, and so does what is cut
        let long = "x".repeat(12_000);
        peer.reply([message("a", &long), message("a", "6")].concat());
        let cut = message("a", "7");
        peer.reply(&cut[..9]);
        peer.reply([&cut[9..], &message("a", "8")].concat());
        let full = |channel: &str, data: &str| notice(Notice::Message, &[bulk(channel), bulk(data)]);
        assert_eq!(
            told(peer),
            [
                full("a", "1"),
                bulk("2"),
                full("b", "3"),
                full("a", "4"),
                bulk("5"),
                full("a", &long),
                full("a", "6"),
                full("a", "7"),
                full("a", "8"),
            ]
        );
    });
}

#[test]
fn without_names_every_one_is_left() {
    on_both(|peer, wire| {
        subscribe(peer, wire, &["a", "b"]);
        ask(peer, 2, "UNSUBSCRIBE");
        ask(peer, 3, "UNSUBSCRIBE");
        ask(peer, 4, "PUNSUBSCRIBE");
        peer.sent();
        peer.reply(wire(&confirmation("unsubscribe", "b", 1)));
        assert_eq!(peer.outcome(2), None);
        peer.reply(wire(&confirmation("unsubscribe", "a", 0)));
        assert_eq!((peer.replied(2), peer.outcome(3)), (Some(&Frame::Boolean(true)), None));
        peer.reply(wire(&[bulk("unsubscribe"), Frame::Null, int(0)]));
        assert_eq!((peer.replied(3), peer.outcome(4)), (Some(&Frame::Boolean(true)), None));
        peer.reply(wire(&[bulk("punsubscribe"), Frame::Null, int(0)]));
        assert_eq!(peer.replied(4), Some(&Frame::Boolean(true)));
        assert_eq!(told(peer)[2], notice(Notice::Unsubscribe, &[Frame::Null, int(0)]));
    });
}

#[test]
fn a_refusal_is_the_commands_own_and_nothing_is_subscribed_to() {
    on_both(|peer, wire| {
        ask(peer, 1, "SUBSCRIBE a b");
        ask(peer, 2, "SSUBSCRIBE c");
        peer.sent();
        peer.reply("-NOPERM no channels for you\r\n");
        peer.reply(wire(&confirmation("ssubscribe", "c", 1)));
        peer.reply(wire(&[bulk("smessage"), bulk("c"), bulk("x")]));
        assert_eq!(peer.replied(1), Some(&error("NOPERM no channels for you")));
        assert_eq!(peer.replied(2), Some(&Frame::Boolean(true)));
        assert_eq!(told(peer).pop(), Some(notice(Notice::Smessage, &[bulk("c"), bulk("x")])));
        peer.close();
        reopen(peer, &["SSUBSCRIBE c"]);
    });
}

#[test]
fn a_lost_link_is_subscribed_again_before_anything_else_and_the_gap_is_told_once() {
    on_both(|peer, wire| {
        subscribe(peer, wire, &["b", "a"]);
        ask(peer, 2, "PSUBSCRIBE p*");
        peer.sent();
        peer.reply(wire(&confirmation("psubscribe", "p*", 3)));
        let from = peer.now;
        peer.advance(70);
        peer.close();
        // written before it was known that the link is lost, or while there is none: both wait
        ask(peer, 3, "SUBSCRIBE c");
        told(peer);
        // this link does not live long enough
        reopen(peer, &["SUBSCRIBE a b", "PSUBSCRIBE p*"]);
        peer.reply(wire(&confirmation("subscribe", "a", 1)));
        peer.close();
        reopen(peer, &["SUBSCRIBE a b", "PSUBSCRIBE p*"]);
        let ready = peer.ready.len();
        for (word, name, count) in [("subscribe", "a", 1), ("subscribe", "b", 2)] {
            peer.reply(wire(&confirmation(word, name, count)));
        }
        peer.reply(wire(&[bulk("message"), bulk("b"), bulk("soon")]));
        peer.advance(5);
        assert_eq!((peer.ready.len(), peer.outcome(3)), (ready, None));
        assert!(peer.sent().is_empty());
        peer.reply(wire(&confirmation("psubscribe", "p*", 3)));
        assert_eq!((peer.ready.len(), peer.sent()), (ready + 1, vec!["SUBSCRIBE c".to_owned()]));
        let names = |names: &[&str]| Frame::Array(names.iter().map(bulk).collect());
        let missed = Frame::Array(vec![names(&["a", "b"]), names(&["p*"]), names(&[])]);
        let gap = [int(from.0 as i64), int(peer.now.0 as i64), missed];
        assert_eq!(
            told(peer),
            [
                notice(Notice::Subscribe, &[bulk("a"), int(1)]),
                notice(Notice::Subscribe, &[bulk("a"), int(1)]),
                notice(Notice::Subscribe, &[bulk("b"), int(2)]),
                notice(Notice::Message, &[bulk("b"), bulk("soon")]),
                notice(Notice::Psubscribe, &[bulk("p*"), int(3)]),
                notice(Notice::Gap, &gap),
            ]
        );
        peer.reply(wire(&confirmation("subscribe", "c", 4)));
        assert_eq!(peer.replied(3), Some(&Frame::Boolean(true)));
    });
}

#[test]
fn a_subscription_in_flight_outlives_the_link_and_one_that_ended_does_not() {
    on_both(|peer, wire| {
        subscribe(peer, wire, &["a", "b"]);
        ask(peer, 2, "SUBSCRIBE c d");
        ask(peer, 3, "UNSUBSCRIBE a");
        peer.sent();
        peer.reply(wire(&confirmation("subscribe", "c", 3)));
        peer.close();
        reopen(peer, &["SUBSCRIBE a b c"]);
        for (place, name) in ["a", "b", "c"].iter().enumerate() {
            peer.reply(wire(&confirmation("subscribe", name, place as i64 + 1)));
        }
        assert_eq!(peer.sent(), ["SUBSCRIBE c d", "UNSUBSCRIBE a"]);
        peer.reply(wire(&confirmation("subscribe", "c", 3)));
        assert_eq!(peer.outcome(2), None);
        peer.reply(wire(&confirmation("subscribe", "d", 4)));
        peer.reply(wire(&confirmation("unsubscribe", "a", 3)));
        assert_eq!(
            (peer.replied(2), peer.replied(3)),
            (Some(&Frame::Boolean(true)), Some(&Frame::Boolean(true)))
        );
        peer.close();
        reopen(peer, &["SUBSCRIBE b c d"]);
    });
}

#[test]
fn a_link_that_may_not_be_subscribed_again_is_tried_again() {
    on_both(|peer, wire| {
        subscribe(peer, wire, &["a"]);
        peer.close();
        reopen(peer, &["SUBSCRIBE a"]);
        peer.reply("-ERR not now\r\n");
        assert_eq!(peer.closed.last(), Some(&(peer.link(), Reason::Handshake)));
        assert_eq!(peer.connection.detail(), b"ERR not now");
        reopen(peer, &["SUBSCRIBE a"]);
        peer.reply(wire(&confirmation("subscribe", "a", 1)));
        assert_eq!(told(peer).len(), 2, "a confirmation, and the gap");
    });
}

#[test]
fn a_name_that_is_not_allowed_any_more_keeps_no_other_from_being_subscribed_again() {
    on_both(|peer, wire| {
        subscribe(peer, wire, &["a", "b", "c"]);
        ask(peer, 2, "PSUBSCRIBE p*");
        peer.sent();
        peer.reply(wire(&confirmation("psubscribe", "p*", 4)));
        told(peer);
        let from = peer.now;
        peer.advance(70);
        peer.close();
        reopen(peer, &["SUBSCRIBE a b c", "PSUBSCRIBE p*"]);
        peer.reply("-NOPERM no a\r\n");
        // what was refused stays so, though this link does not live long enough
        peer.close();
        reopen(peer, &["SUBSCRIBE b c", "PSUBSCRIBE p*"]);
        let ready = peer.ready.len();
        peer.reply(wire(&confirmation("subscribe", "b", 1)));
        peer.reply("-NOPERM no c\r\n-NOPERM no p*\r\n");
        let names = |names: &[&str]| Frame::Array(names.iter().map(bulk).collect());
        let gap = |to, channels: &[&str], patterns: &[&str]| {
            let missed = Frame::Array(vec![names(channels), names(patterns), names(&[])]);
            notice(Notice::Gap, &[int(from.0 as i64), to, missed])
        };
        assert_eq!(
            told(peer),
            [
                gap(error("NOPERM no a"), &["a"], &[]),
                notice(Notice::Subscribe, &[bulk("b"), int(1)]),
                gap(error("NOPERM no c"), &["c"], &[]),
                gap(error("NOPERM no p*"), &[], &["p*"]),
                gap(int(peer.now.0 as i64), &["b"], &[]),
            ]
        );
        assert_eq!(peer.ready.len(), ready + 1);
        peer.close();
        reopen(peer, &["SUBSCRIBE b"]);
        peer.reply("-NOPERM no b\r\n");
        assert_eq!(told(peer).len(), 1);
        assert!(peer.connection.is_quiet() && peer.ready.len() == ready + 2, "it is ready for other names");
        subscribe(peer, wire, &["d"]);
        peer.close();
        reopen(peer, &["SUBSCRIBE d"]);
    });
}

#[test]
fn a_subscribed_link_is_kept_alive() {
    for protocol in [2, 3] {
        let mut peer = listening(protocol, Config { keep_alive: 1_000, ..plain() });
        let push = |items: &[Frame]| match protocol {
            2 => encoded_resp2(&Frame::Array(items.to_vec())),
            _ => encoded(&Frame::Push(items.to_vec())),
        };
        subscribe(&mut peer, &push, &["a"]);
        peer.advance(1_000);
        assert_eq!(peer.sent(), ["PING"]);
        ask(&mut peer, 2, "UNSUBSCRIBE a");
        peer.sent();
        peer.reply(push(&[bulk("message"), bulk("a"), bulk("x")]));
        // Redis answers so on RESP2 while something is subscribed to
        peer.reply(if protocol == 2 { "*2\r\n$4\r\npong\r\n$0\r\n\r\n" } else { "+PONG\r\n" });
        peer.reply(push(&confirmation("unsubscribe", "a", 0)));
        assert_eq!(peer.replied(2), Some(&Frame::Boolean(true)));
        peer.advance(1_000);
        assert_eq!(peer.sent(), ["PING"]);
        peer.reply("+PONG\r\n");
        assert!(peer.connection.is_quiet() && peer.closed.is_empty());
    }
}

#[test]
fn a_gap_begins_where_the_server_last_answered_what_was_asked() {
    on_both(|peer, wire| {
        let pong = if peer.connection.server().protocol == 2 {
            "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
        } else {
            "+PONG\r\n"
        };
        subscribe(peer, wire, &["a"]);
        peer.advance(5_000);
        assert!(peer.sent().is_empty(), "nothing came that could be missed");
        let mut sure = 0;
        for _ in 0..3 {
            peer.reply(wire(&[bulk("message"), bulk("a"), bulk("x")]));
            peer.advance(900);
            peer.reply(wire(&[bulk("message"), bulk("a"), bulk("y")]));
            assert!(peer.sent().is_empty());
            peer.advance(100);
            sure = peer.now.0;
            assert_eq!(peer.sent(), ["PING"]);
            peer.advance(3_000);
            peer.reply(pong);
        }
        peer.reply(wire(&[bulk("message"), bulk("a"), bulk("z")]));
        peer.advance(1_500);
        // asked, and not answered: whatever came since may not be all there was
        assert_eq!(peer.sent(), ["PING"]);
        told(peer);
        peer.close();
        reopen(peer, &["SUBSCRIBE a"]);
        peer.reply(wire(&confirmation("subscribe", "a", 1)));
        let Some(Frame::Array(gap)) = told(peer).pop() else { unreachable!("the gap is told last") };
        assert_eq!(gap[1..3], [int(sure as i64), int(peer.now.0 as i64)]);
        assert_eq!(peer.connection.poll_timeout(), None, "nothing is due");
    });
}

#[test]
fn lines_of_monitor_are_told_among_replies() {
    on_both(|peer, _| {
        peer.submit(1, "MONITOR");
        peer.sent();
        peer.reply("+OK\r\n+1700000000.000001 [0 127.0.0.1:5] \"GET\" \"a\"\r\n");
        assert_eq!(peer.replied(1), Some(&Frame::Boolean(true)));
        peer.submit(2, "PING");
        peer.sent();
        peer.reply("+1700000000.000002 [0 lua] \"PING\"\r");
        peer.reply("\n+P");
        peer.reply("ONG\r\n+1");
        peer.reply(" []\r\n");
        let lines: Vec<_> = told(peer).into_iter().map(|line| format!("{line:?}")).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].contains("[0 lua]"), "{lines:?}");
        assert!(peer.connection.is_quiet() && peer.closed.is_empty());
    });
}

#[test]
fn what_nobody_knows_is_left_out_on_resp3_and_ends_a_link_of_resp2() {
    let mut peer = listening(3, plain());
    peer.reply(">2\r\n+invalidate\r\n*1\r\n$3\r\nkey\r\n>1\r\n%1\r\n+a\r\n+b\r\n>0\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n|1\r\n+x\r\n+y\r\n*1\r\n:1\r\n");
    assert_eq!(told(&mut peer), [notice(Notice::Message, &[bulk("a"), Frame::Null])]);
    // nobody asked: it is told, and nothing is made of it
    peer.reply(">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$12\r\nsunsubscribe\r\n$1\r\nb\r\n:0\r\n");
    assert_eq!(told(&mut peer).len(), 2);
    peer.close();
    reopen(&mut peer, &[]);
    for wire in ["*1\r\n+what\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n", "*-1\r\n", "*?\r\n.\r\n", "+OK\r\n"] {
        let mut peer = listening(2, plain());
        peer.reply(wire);
        assert_eq!(peer.closed, [(peer.link(), Reason::Unsolicited)], "{wire:?}");
    }
}

#[test]
fn a_shard_channel_that_moved_away_is_not_subscribed_again() {
    let mut peer = listening(3, plain());
    for (slot, name) in [(1, "a"), (2, "b")] {
        ask(&mut peer, slot, &format!("SSUBSCRIBE {name}"));
        peer.sent();
        peer.reply(encoded(&Frame::Push(confirmation("ssubscribe", name, slot.into()).to_vec())));
    }
    peer.reply(encoded(&Frame::Push(confirmation("sunsubscribe", "a", 1).to_vec())));
    assert_eq!(told(&mut peer).pop(), Some(notice(Notice::Sunsubscribe, &[bulk("a"), int(1)])));
    peer.close();
    reopen(&mut peer, &["SSUBSCRIBE b"]);
}

#[test]
fn names_and_messages_may_be_split_anywhere_and_come_in_parts() {
    let long = "n".repeat(LONGEST_NAME);
    let wire = [
        confirmation("subscribe", &long, 1).to_vec(),
        vec![bulk("message"), bulk(&long), bulk("data")],
        vec![bulk("pmessage"), bulk("n*"), bulk(&long), bulk("")],
    ];
    let wire: Vec<u8> = wire.iter().flat_map(|items| encoded(&Frame::Push(items.clone()))).collect();
    let expected = [
        notice(Notice::Subscribe, &[bulk(&long), int(1)]),
        notice(Notice::Message, &[bulk(&long), bulk("data")]),
        notice(Notice::Pmessage, &[bulk("n*"), bulk(&long), bulk("")]),
    ];
    for (whole, size) in [(64 << 10, 1_000), (100, 1), (100, 7), (5, 3), (1 << 20, 100_000)] {
        let limits = Limits { whole, ..Limits::default() };
        let mut peer = listening(3, Config { limits, ..plain() });
        ask(&mut peer, 1, &format!("SUBSCRIBE {long}"));
        peer.sent();
        wire.chunks(size).for_each(|piece| peer.reply(piece));
        assert_eq!(told(&mut peer), expected);
        assert_eq!(peer.replied(1), Some(&Frame::Boolean(true)));
        peer.close();
        reopen(&mut peer, &[&format!("SUBSCRIBE {long}")]);
    }
}

#[test]
fn whatever_a_server_pushes_the_listener_gets_whole_values() {
    let mut random = Rand32::new(7);
    let word = |random: &mut Rand32| {
        let words = ["message", "pmessage", "subscribe", "unsubscribe", "pong", "other"];
        bulk(words[random.rand_range(0..words.len() as u32) as usize])
    };
    let mut heard = 0;
    for round in 0..3_000 {
        let limits = Limits { whole: if round % 2 == 0 { 4 } else { 64 }, ..Limits::default() };
        let mut peer = listening(3, Config { limits, ..plain() });
        ask(&mut peer, 1, "SUBSCRIBE a");
        peer.sent();
        for _ in 0..4 {
            let mut items = vec![word(&mut random)];
            items.extend((0..random.rand_range(1..5)).map(|_| frame(&mut random, 2)));
            let size = random.rand_range(1..40) as usize;
            // the caller panics when it is told half a value, or two
            encoded(&Frame::Push(items)).chunks(size).for_each(|piece| peer.reply(piece));
        }
        heard += told(&mut peer).len();
    }
    assert!(heard > 1_000, "{heard}");
}

#[test]
fn a_command_that_was_given_up_keeps_its_place() {
    on_both(|peer, wire| {
        ask(peer, 1, "SUBSCRIBE a");
        ask(peer, 2, "SUBSCRIBE b");
        peer.sent();
        assert_eq!(peer.cancel(1), Some(true));
        peer.reply(wire(&confirmation("subscribe", "a", 1)));
        assert_eq!(peer.outcome(2), None);
        peer.reply(wire(&confirmation("subscribe", "b", 2)));
        assert_eq!(peer.replied(2), Some(&Frame::Boolean(true)));
        // what the server did is what counts
        peer.close();
        reopen(peer, &["SUBSCRIBE a b"]);
    });
}

#[test]
fn after_a_shutdown_nothing_is_left() {
    on_both(|peer, wire| {
        subscribe(peer, wire, &["a"]);
        peer.shutdown();
        peer.connect();
        peer.open();
        let sent = peer.sent();
        assert!(!sent.iter().any(|line| line.contains("SUBSCRIBE")), "{sent:?}");
        assert_eq!(
            peer.connection.poll_timeout().is_some(),
            sent == ["HELLO 3", "PING"],
            "the link is ready where only PING was asked"
        );
    });
}
