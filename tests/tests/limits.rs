//! What waits is bounded: while no link is ready, and while one is.

use redwire_core::connection::{Bounds, Config};
use redwire_core::machine::Reason;
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
