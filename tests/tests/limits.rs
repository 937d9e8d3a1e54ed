//! What waits is bounded: while no link is ready, and while one is.

use redwire_core::connection::{Bounds, Config, Protocol};
use redwire_core::machine::{Reason, Slot};
use redwire_core::resp::{Frame, Limits};
use redwire_tests::model::{Peer, plain, words};
use redwire_tests::wire::bulk;

fn bounds(commands: u32, bytes: u32) -> Bounds {
    Bounds { commands, bytes }
}

#[test]
fn what_does_not_fit_the_queue_is_refused_and_the_rest_goes_on() {
    let mut peer = Peer::new(Config { offline: bounds(3, 1_000), ..plain() });
    for slot in 0..5 {
        peer.submit(slot, &format!("ECHO {slot}"));
    }
    assert_eq!(
        (peer.failed(3), peer.failed(4)),
        (Some((Reason::QueueFull, false)), Some((Reason::QueueFull, false)))
    );
    peer.cancel(1);
    peer.submit(5, &format!("ECHO {}", "x".repeat(1_000)));
    assert_eq!(peer.failed(5), Some((Reason::QueueFull, false)), "too large");
    peer.submit_external(6, &words(&format!("ECHO {}", "x".repeat(1_000))), 1);
    assert_eq!(peer.failed(6), Some((Reason::QueueFull, false)), "too large, though it stays outside");
    peer.transaction(7, &[words("ECHO 7")]);
    assert_eq!(
        peer.failed(7),
        Some((Reason::QueueFull, false)),
        "a transaction fits as a whole or not at all"
    );
    peer.submit(8, "ECHO 8");
    peer.open();
    assert_eq!(peer.sent(), ["ECHO 0", "ECHO 2", "ECHO 8"]);
}

#[test]
fn the_oldest_may_make_room() {
    let mut peer = Peer::new(Config { offline: bounds(5, 1_000), drop_oldest: true, ..plain() });
    peer.transaction(0, &[words("ECHO 0")]);
    for slot in 1..=3 {
        peer.submit_external(slot, &words(&format!("ECHO {slot}")), 1);
    }
    assert_eq!((peer.outcome(1), peer.failed(0)), (None, Some((Reason::QueueFull, false))));
    for slot in 4..=6 {
        peer.submit(slot, &format!("ECHO {slot}"));
    }
    assert_eq!(peer.failed(1), Some((Reason::QueueFull, false)));
    peer.open();
    assert_eq!(peer.sent(), ["ECHO 2", "ECHO 3", "ECHO 4", "ECHO 5", "ECHO 6"]);
    for slot in 2..=6 {
        peer.reply(format!("$1\r\n{slot}\r\n"));
        assert_eq!(peer.replied(slot), Some(&bulk(slot.to_string())));
    }
}

#[test]
fn without_a_queue_commands_wait_for_the_first_attempt_only() {
    let mut peer = Peer::new(Config { offline: bounds(0, 0), ..plain() });
    peer.submit(1, "ECHO 1");
    assert_eq!(peer.outcome(1), None, "nobody knows yet");
    peer.close();
    assert_eq!(peer.failed(1), Some((Reason::Refused, false)));
    peer.submit(2, "ECHO 2");
    assert_eq!(peer.failed(2), Some((Reason::Refused, false)), "at once");
    peer.advance(2_000);
    peer.submit(3, "ECHO 3");
    peer.open();
    peer.submit(4, "ECHO 4");
    assert_eq!(peer.sent(), ["ECHO 4"]);
    peer.submit(5, "ECHO 5");
    peer.close();
    assert_eq!(
        (peer.failed(4), peer.failed(5)),
        (Some((Reason::Dropped, true)), Some((Reason::Dropped, false)))
    );
    peer.submit(6, "ECHO 6");
    assert_eq!(peer.failed(6), Some((Reason::Dropped, false)));
    peer.retry();
}

#[test]
fn what_is_on_its_way_is_bounded_by_commands_and_by_bytes() {
    let mut peer = Peer::ready(2, Config { high_water: bounds(2, 100), ..plain() });
    for slot in 1..=3 {
        peer.submit(slot, &format!("ECHO {slot}"));
    }
    assert_eq!(peer.failed(3), Some((Reason::HighWater, false)));
    assert_eq!(peer.sent().len(), 2);
    peer.submit(4, "ECHO 4");
    assert_eq!(peer.failed(4), Some((Reason::HighWater, false)), "two have no reply");
    peer.reply("$1\r\n1\r\n$1\r\n2\r\n");
    peer.submit(5, &format!("ECHO {}", "x".repeat(100)));
    assert_eq!(peer.failed(5), Some((Reason::HighWater, false)), "too many bytes");
    peer.submit(6, &format!("ECHO {}", "x".repeat(50)));
    assert_eq!(peer.outcome(6), None);
    assert_eq!(peer.sent().len(), 1);
}

#[test]
fn what_is_redwires_own_is_not_taken_back() {
    use redwire_core::connection::Credentials;
    let credentials = |password: &str| Credentials { username: None, password: password.into() };
    let mut peer = Peer::ready(2, Config { high_water: bounds(2, 100), keep_alive: 1_000, ..plain() });
    peer.submit(1, "ECHO 1");
    peer.submit(2, "ECHO 2");
    peer.sent();
    peer.connection.authenticate(credentials("fresh"));
    peer.advance(1_000);
    peer.submit(3, "ECHO 3");
    assert_eq!(peer.failed(3), Some((Reason::HighWater, false)));
    assert_eq!(peer.sent(), ["AUTH fresh", "PING"]);
}

#[test]
fn what_was_accepted_stays_accepted() {
    let mut peer = Peer::new(Config { high_water: bounds(2, 100), ..plain() });
    for slot in 1..=4 {
        peer.submit(slot, &format!("ECHO {slot}"));
    }
    peer.open();
    peer.submit(5, "ECHO 5");
    assert_eq!(peer.failed(5), Some((Reason::HighWater, false)));
    assert_eq!(peer.sent(), ["ECHO 1", "ECHO 2", "ECHO 3", "ECHO 4"]);
}

#[test]
fn a_command_that_was_given_up_is_on_its_way_until_it_is_answered() {
    let mut peer = Peer::ready(2, Config { high_water: bounds(2, 100), ..plain() });
    for slot in 1..=2 {
        peer.submit_with(slot, 0, Some(50), &words("INCR n"));
    }
    peer.sent();
    peer.advance(50);
    assert_eq!(peer.failed(1), Some((Reason::Timeout, true)));
    peer.submit(3, "INCR n");
    assert_eq!(peer.failed(3), Some((Reason::HighWater, false)), "the server has two to answer");
    peer.reply(":1\r\n");
    peer.submit(4, "INCR n");
    assert_eq!(peer.outcome(4), None);
}

/// Commands on their way and commands that wait, at most.
fn held(commands: u32, waiting: u32) -> Config {
    Config {
        high_water: bounds(commands, 1_000),
        offline: bounds(waiting, 1_000),
        holds_back: true,
        ..plain()
    }
}

fn numbers(slots: impl IntoIterator<Item = u32>) -> String {
    slots.into_iter().map(|slot| format!("$1\r\n{slot}\r\n")).collect()
}

#[test]
fn what_is_beyond_may_wait_in_order_and_within_bounds() {
    let mut peer = Peer::ready(2, held(2, 3));
    for slot in 1..=6 {
        peer.submit(slot, &format!("ECHO {slot}"));
    }
    assert_eq!(peer.failed(6), Some((Reason::HighWater, false)), "two on their way, three wait");
    assert_eq!(peer.sent(), ["ECHO 1", "ECHO 2"]);
    peer.reply(numbers([1]));
    assert_eq!(peer.sent(), ["ECHO 3"]);
    assert_eq!(peer.cancel(4), Some(false));
    peer.reply(numbers([2, 3]));
    assert_eq!(peer.sent(), ["ECHO 5"]);
    peer.submit(7, "ECHO 7");
    assert_eq!(peer.sent(), ["ECHO 7"], "there is room");
    peer.reply(numbers([5, 7]));
    for slot in [1, 2, 3, 5, 7] {
        assert_eq!(peer.replied(slot), Some(&bulk(slot.to_string())));
    }
}

#[test]
fn what_waits_has_a_time_for_that_and_then_its_own() {
    let config = Config { timeout: 1_000, queue_timeout: 300, tombstone_limit: 10_000, ..held(1, 10) };
    let mut peer = Peer::ready(2, config);
    for slot in 1..=3 {
        peer.submit(slot, &format!("ECHO {slot}"));
    }
    assert_eq!(peer.sent(), ["ECHO 1"]);
    peer.advance(299);
    assert_eq!((peer.outcome(2), peer.outcome(3)), (None, None));
    peer.reply(numbers([1]));
    assert_eq!(peer.sent(), ["ECHO 2"]);
    peer.advance(1);
    assert_eq!(peer.failed(3), Some((Reason::HighWater, false)), "it waited for too long");
    peer.advance(998);
    assert_eq!(peer.outcome(2), None, "its clock began when it went");
    peer.advance(1);
    assert_eq!(peer.failed(2), Some((Reason::Timeout, true)));
    peer.submit(4, "ECHO 4");
    assert_eq!(peer.sent(), [""; 0], "what was given up is on its way all the same");
    peer.reply(numbers([2]));
    assert_eq!(peer.sent(), ["ECHO 4"]);
    peer.reply(numbers([4]));
    assert_eq!(peer.replied(4), Some(&bulk("4")));
}

#[test]
fn a_transaction_goes_as_a_whole_and_what_waits_survives_the_link() {
    let mut peer = Peer::ready(2, Config { queue_timeout: 300, ..held(2, 10) });
    peer.submit(1, "ECHO 1");
    peer.transaction(2, &[words("ECHO 2"), words("ECHO 2")]);
    peer.submit_external(3, &words("ECHO 3"), 1);
    peer.submit(4, "ECHO 4");
    assert_eq!(peer.sent(), ["ECHO 1", "MULTI", "ECHO 2", "ECHO 2", "EXEC"]);
    peer.reply(numbers([1]));
    assert_eq!(peer.sent(), [""; 0]);
    peer.reply("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n2\r\n$1\r\n2\r\n");
    assert_eq!(peer.sent(), ["ECHO 3", "ECHO 4"]);
    peer.submit(5, "ECHO 5");
    peer.close();
    peer.retry();
    assert_eq!(peer.failed(5), None);
    peer.open();
    assert_eq!(peer.sent(), ["ECHO 3", "ECHO 4"], "ECHO may be repeated");
    peer.reply(numbers([3, 4]));
    assert_eq!(peer.sent(), ["ECHO 5"]);
}

fn small_replies() -> Config {
    Config { max_reply: 1_000, limits: Limits { whole: 100, ..Limits::new() }, ..plain() }
}

#[test]
fn a_reply_that_is_too_large_fails_its_command_alone() {
    let text = "x".repeat(2_000);
    let nested = format!("{}:1\r\n", "*1\r\n".repeat(100));
    for wire in [
        format!("$2000\r\n{text}\r\n"),
        format!("*2\r\n$4\r\nsome\r\n$2000\r\n{text}\r\n"),
        format!("*200\r\n{}", ":1\r\n".repeat(200)),
        nested,
        format!("%100\r\n{}", "$1\r\na\r\n*0\r\n".repeat(100)),
    ] {
        for size in [1, 100] {
            let mut peer = Peer::ready(2, small_replies());
            for slot in 1..=3 {
                peer.submit(slot, &format!("EVAL {slot} 0"));
            }
            peer.transmit(usize::MAX);
            peer.reply(":1\r\n");
            for part in wire.as_bytes().chunks(size) {
                peer.reply(part);
            }
            peer.reply(":3\r\n");
            assert_eq!(peer.failed(2), Some((Reason::ReplyTooLarge, true)), "{wire:.20}");
            assert_eq!(
                (peer.replied(1), peer.replied(3)),
                (Some(&Frame::Integer(1)), Some(&Frame::Integer(3)))
            );
            assert!(peer.is_linked());
        }
    }
}

#[test]
fn a_transaction_whose_reply_is_too_large_fails_as_a_whole() {
    let mut peer = Peer::ready(2, small_replies());
    peer.transaction(1, &[words("ECHO 1"), words("LRANGE a 0 -1")]);
    peer.submit(2, "ECHO 2");
    peer.transmit(usize::MAX);
    peer.reply("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n1\r\n*100\r\n");
    assert_eq!(peer.failed(1), Some((Reason::ReplyTooLarge, true)));
    peer.reply(":1\r\n".repeat(100));
    peer.reply(numbers([2]));
    assert_eq!(peer.replied(2), Some(&bulk("2")));
}

#[test]
fn a_reply_without_an_end_ends_the_link_in_the_end() {
    let mut peer =
        Peer::ready(2, Config { timeout: 200, tombstone_limit: 300, keep_alive: 0, ..small_replies() });
    peer.submit(1, "LRANGE a 0 -1");
    peer.transmit(usize::MAX);
    peer.reply("*200000000\r\n");
    assert_eq!(peer.failed(1), Some((Reason::ReplyTooLarge, true)));
    for _ in 0..49 {
        peer.reply(":1\r\n".repeat(100));
        peer.advance(10);
    }
    assert!(peer.is_linked());
    peer.reply(":1\r\n");
    peer.advance(10);
    assert_eq!(peer.closed.last().map(|closed| closed.1), Some(Reason::Silent));
}

#[test]
fn what_is_sent_unasked_and_too_large_ends_the_link_and_is_told_as_a_gap() {
    for (protocol, tag) in [(2, '*'), (3, '>')] {
        let mut peer = Peer::new(Config { library: None, protocol: Protocol::Auto, ..small_replies() });
        peer.connection.listen(Slot(99));
        peer.submit(1, "SUBSCRIBE news");
        peer.open();
        peer.sent();
        match protocol {
            2 => {
                peer.reply("-ERR unknown command\r\n+PONG\r\n");
                peer.sent();
                peer.reply("+PONG\r\n");
            }
            _ => peer.reply("%1\r\n$5\r\nproto\r\n:3\r\n+PONG\r\n"),
        }
        assert_eq!(peer.sent(), ["SUBSCRIBE news"]);
        peer.reply(format!("{tag}3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"));
        peer.reply(format!("{tag}3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$100000\r\n"));
        assert_eq!(peer.closed.last().map(|closed| closed.1), Some(Reason::ReplyTooLarge));
        peer.retry();
    }
}
