//! A server that was made a replica: another may have its name now.

use redwire_core::machine::Reason;
use redwire_core::resp::Frame;
use redwire_tests::model::{Peer, plain, words};
use redwire_tests::wire::{bulk, error};

const REFUSAL: &str = "-READONLY You can't write against a read only replica.\r\n";

#[test]
fn the_link_is_opened_anew_once_what_is_in_flight_is_answered() {
    let wire = [REFUSAL, "$1\r\n2\r\n", REFUSAL].concat();
    for at in 0..wire.len() {
        let mut peer = Peer::ready(2, plain());
        peer.submit(1, "INCR 1");
        peer.submit(2, "ECHO 2");
        peer.submit(3, "INCR 3");
        assert_eq!(peer.sent().len(), 3);
        peer.reply(&wire.as_bytes()[..at]);
        peer.submit(4, "INCR 4");
        peer.transmit(if at >= 10 { 1_000 } else { 0 });
        peer.reply(&wire.as_bytes()[at..]);
        let refused = error(REFUSAL[1..].trim_end());
        assert_eq!((peer.replied(1), peer.replied(3)), (Some(&refused), Some(&refused)), "at {at}");
        assert_eq!(peer.replied(2), Some(&bulk("2")));
        assert_eq!(peer.closed, [(peer.link(), Reason::Demoted)]);
        assert_eq!(peer.outcome(4), None, "it was not written");
        peer.retry();
        peer.open();
        assert_eq!(peer.sent(), ["INCR 4"]);
        peer.reply(":1\r\n");
        assert_eq!(peer.replied(4), Some(&Frame::Integer(1)));
    }
}

#[test]
fn a_command_that_is_written_in_part_does_not_hold_it_up() {
    let mut peer = Peer::ready(2, plain());
    peer.submit(1, "INCR 1");
    peer.sent();
    peer.submit_external(2, &words("SET k far-away"), 2);
    peer.transmit(10);
    peer.reply(REFUSAL);
    assert_eq!(peer.closed, [(peer.link(), Reason::Demoted)]);
    assert_eq!(peer.failed(2), Some((Reason::Demoted, true)));
}

#[test]
fn a_server_that_stays_a_replica_is_not_left_at_every_write() {
    let mut peer = Peer::ready(2, plain());
    for slot in 0..100 {
        peer.submit(slot, "INCR n");
        peer.sent();
        peer.reply(REFUSAL);
        peer.advance(50);
        if peer.ready.len() == peer.closed.len() {
            peer.open();
        }
    }
    assert!(peer.links.len() <= 4, "{} links in 5 s", peer.links.len());
}
