//! A server that is gone though nothing closed the link.

use redwire_core::connection::Config;
use redwire_core::machine::Reason;
use redwire_tests::model::{Outcome, Peer, plain, words};
use redwire_tests::wire::bulk;

fn ready() -> Peer {
    Peer::ready(2, Config { keep_alive: 15_000, timeout: 60_000, tombstone_limit: 1_000, ..plain() })
}

#[test]
fn a_silent_link_is_asked_and_lives_when_it_answers() {
    let mut peer = ready();
    peer.advance(14_999);
    assert!(peer.sent().is_empty());
    peer.advance(1);
    assert_eq!(peer.sent(), ["PING"]);
    peer.submit(1, "ECHO 1");
    assert_eq!(peer.sent(), ["ECHO 1"]);
    peer.advance(4_999);
    peer.reply("+PONG\r\n$1\r\n1\r\n");
    assert_eq!(peer.replied(1), Some(&bulk("1")), "the answer to PING is nobody's");
    peer.advance(14_999);
    assert!(peer.sent().is_empty() && peer.connection.is_quiet());
    peer.advance(1);
    assert_eq!(peer.sent(), ["PING"]);
}

#[test]
fn a_link_that_does_not_answer_is_opened_anew() {
    let mut peer = ready();
    peer.submit(1, "ECHO 1");
    peer.submit(2, "INCR 2");
    peer.sent();
    peer.advance(19_999);
    assert_eq!((peer.sent(), peer.closed.len()), (vec!["PING".to_owned()], 0), "not before its time");
    peer.advance(1);
    assert_eq!(peer.closed, [(peer.link(), Reason::Silent)]);
    assert_eq!((peer.outcome(1), peer.failed(2)), (None, Some((Reason::Silent, true))));
    peer.retry();
    peer.open();
    assert_eq!(peer.sent(), ["ECHO 1"], "what the core asked is not asked again");
}

#[test]
fn a_link_on_which_bytes_come_is_not_asked() {
    let mut peer = ready();
    peer.submit(1, &format!("ECHO {}", "x".repeat(100)));
    peer.sent();
    peer.reply("$100\r\n");
    for _ in 0..100 {
        peer.advance(400);
        peer.reply("x");
    }
    peer.reply("\r\n");
    assert!(matches!(peer.outcome(1), Some(Outcome::Reply(_))));
    assert!(peer.sent().is_empty());
}

#[test]
fn a_command_that_was_given_up_long_ago_ends_its_link() {
    for cancelled in [false, true] {
        let mut peer = Peer::ready(2, Config { tombstone_limit: 1_000, ..plain() });
        peer.submit_with(1, 0, Some(500), &words("INCR 1"));
        peer.submit(2, "ECHO 2");
        peer.sent();
        if cancelled {
            assert_eq!(peer.cancel(1), Some(true));
        }
        peer.advance(1_499);
        assert!(peer.closed.is_empty() && peer.outcome(1).is_some());
        peer.advance(1);
        assert_eq!(peer.closed, [(peer.link(), Reason::Silent)]);
        assert_eq!(peer.outcome(2), None);
    }
}

#[test]
fn who_was_held_up_reads_what_came_before_it_gives_up() {
    for answered in [true, false] {
        let mut peer = ready();
        peer.advance(15_000);
        assert_eq!(peer.sent(), ["PING"]);
        peer.stall(60_000);
        assert!(peer.is_linked(), "the answer may be there");
        if answered {
            peer.reply("+PONG\r\n");
        }
        peer.advance(1_000);
        assert_eq!(peer.is_linked(), answered);
    }
    let mut peer = ready();
    peer.stall(60_000);
    peer.advance(1_000);
    assert_eq!(peer.sent(), ["PING"], "a link that was not heard of for long is asked first");
}
