//! What a server refuses without executing it is sent again on another link: it was made a replica, is loading its data, or does not
//! know the client any more.

use redwire_core::connection::{Bounds, Config, Credentials};
use redwire_core::machine::Reason;
use redwire_core::resp::Frame;
use redwire_tests::model::{Peer, plain, words};
use redwire_tests::wire::{bulk, error};

const DEMOTED: &str = "-READONLY You can't write against a read only replica.\r\n";
const LOADING: &str = "-LOADING Redis is loading the dataset in memory\r\n";
const UNKNOWN: &str = "-NOAUTH Authentication required.\r\n";

const REFUSALS: [(&str, Reason); 3] =
    [(DEMOTED, Reason::Demoted), (LOADING, Reason::Loading), (UNKNOWN, Reason::Unauthenticated)];

fn credentials(password: &str) -> Credentials {
    Credentials { username: None, password: password.as_bytes().to_vec() }
}

/// A link is ready, with what each refusal needs.
fn ready() -> Peer {
    let mut peer = Peer::new(Config { credentials: Some(credentials("secret")), ..plain() });
    peer.connect();
    reopen(&mut peer);
    peer
}

/// Opens the link and shakes hands.
fn reopen(peer: &mut Peer) {
    peer.open();
    assert_eq!(peer.sent(), ["AUTH secret", "PING"]);
    peer.reply("+OK\r\n+PONG\r\n");
    assert_eq!(peer.ready.last(), peer.links.last(), "the link is ready");
}

#[test]
fn what_is_refused_is_sent_again_once_what_is_in_flight_is_answered() {
    for (refusal, reason) in REFUSALS {
        let wire = [refusal, "$1\r\n2\r\n", refusal].concat();
        for at in 0..wire.len() {
            let mut peer = ready();
            peer.submit(1, "INCR 1");
            peer.submit(2, "ECHO 2");
            peer.submit(3, "INCR 3");
            assert_eq!(peer.sent().len(), 3);
            peer.reply(&wire.as_bytes()[..at]);
            peer.submit(4, "INCR 4");
            peer.transmit(if at >= 11 { 1_000 } else { 0 });
            peer.reply(&wire.as_bytes()[at..]);
            assert_eq!(peer.replied(2), Some(&bulk("2")), "at {at}");
            assert_eq!(peer.closed, [(peer.link(), reason)]);
            assert_eq!((peer.outcome(1), peer.outcome(3), peer.outcome(4)), (None, None, None));
            peer.retry();
            reopen(&mut peer);
            assert_eq!(peer.sent(), ["INCR 1", "INCR 3", "INCR 4"]);
            peer.reply(":1\r\n:3\r\n:4\r\n");
            let replies = [1, 3, 4].map(|slot| peer.replied(slot));
            assert_eq!(replies, [1, 3, 4].map(Frame::Integer).each_ref().map(Some));
        }
    }
}

#[test]
fn transactions_around_it_have_their_replies_and_their_errors() {
    let mut peer = ready();
    peer.submit(1, "INCR 1");
    peer.transaction(2, &[words("ECHO a"), words("HGETALL h")]);
    peer.transaction(3, &[words("INCR b")]);
    peer.submit(4, "INCR 4");
    peer.sent();
    peer.reply(
        [DEMOTED, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\na\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"].concat(),
    );
    let map = Frame::Map(vec![(bulk("f"), bulk("v"))]);
    assert_eq!(peer.replied(2), Some(&Frame::Array(vec![bulk("a"), map])));
    let aborted = "EXECABORT Transaction discarded because of previous errors.";
    peer.reply(["+OK\r\n", DEMOTED, "-", aborted, "\r\n", DEMOTED].concat());
    assert_eq!(peer.replied(3), Some(&error(aborted)));
    assert_eq!(peer.closed, [(peer.link(), Reason::Demoted)]);
    peer.retry();
    reopen(&mut peer);
    assert_eq!(peer.sent(), ["INCR 1", "INCR 4"]);
}

#[test]
fn what_a_script_did_before_it_was_refused_nobody_knows() {
    let mut peer = ready();
    peer.submit(1, "EVAL return 0");
    peer.submit(2, "NOSUCH write");
    peer.sent();
    peer.reply([DEMOTED, DEMOTED].concat());
    let refused = error(DEMOTED[1..].trim_end());
    assert_eq!((peer.replied(1), peer.replied(2)), (Some(&refused), Some(&refused)));
    assert_eq!(peer.closed, [(peer.link(), Reason::Demoted)]);
}

#[test]
fn what_was_refused_can_be_given_up_and_was_not_executed() {
    let mut peer = ready();
    for slot in 1..=3 {
        peer.submit_with(slot, 0, Some(100), &words("INCR n"));
    }
    peer.sent();
    peer.reply(LOADING);
    assert_eq!(peer.cancel(1), Some(false), "it was refused");
    peer.reply(LOADING);
    peer.advance(100);
    assert_eq!(peer.failed(2), Some((Reason::Timeout, false)), "it was refused");
    assert_eq!(peer.failed(3), Some((Reason::Timeout, true)), "it was not answered");
    peer.reply(LOADING);
    assert_eq!(peer.closed, [(peer.link(), Reason::Loading)]);
    assert!(peer.connection.is_quiet());
}

#[test]
fn what_was_refused_waits_no_longer_than_anything_else() {
    let mut peer = ready();
    peer.submit_with(1, 0, Some(60_000), &words("INCR n"));
    peer.submit_with(2, 0, Some(0), &words("INCR n"));
    peer.sent();
    peer.reply([LOADING, LOADING].concat());
    peer.advance(4_999);
    assert_eq!((peer.outcome(1), peer.outcome(2)), (None, None));
    peer.advance(1);
    for slot in [1, 2] {
        assert_eq!(peer.failed(slot), Some((Reason::Loading, false)));
    }
}

#[test]
fn a_command_that_is_written_in_part_does_not_hold_it_up() {
    let mut peer = ready();
    peer.submit(1, "INCR 1");
    peer.sent();
    peer.submit_external(2, &words("SET k far-away"), 2);
    peer.transmit(10);
    peer.reply(DEMOTED);
    assert_eq!(peer.closed, [(peer.link(), Reason::Demoted)]);
    assert_eq!(peer.failed(2), Some((Reason::Demoted, true)));
    assert_eq!(peer.outcome(1), None);
}

#[test]
fn a_link_that_is_lost_meanwhile_keeps_what_was_refused() {
    let mut peer = ready();
    peer.submit(1, "INCR 1");
    peer.submit(2, "INCR 2");
    peer.sent();
    peer.reply(LOADING);
    peer.close();
    assert_eq!(peer.failed(2), Some((Reason::Dropped, true)));
    peer.retry();
    reopen(&mut peer);
    assert_eq!(peer.sent(), ["INCR 1"]);
    peer.shutdown();
    assert_eq!(peer.failed(1), Some((Reason::Closed, true)), "it was written again");
}

#[test]
fn a_server_that_goes_on_refusing_is_not_left_at_every_command() {
    for (refusal, _) in REFUSALS {
        let mut peer = ready();
        for slot in 0..100 {
            peer.submit(slot, "INCR n");
            peer.sent();
            peer.reply(refusal);
            peer.advance(50);
            if peer.connection.is_retrying() {
                peer.retry();
            }
            if peer.ready.len() == peer.closed.len() {
                reopen(&mut peer);
                peer.sent();
                peer.reply(refusal);
            }
        }
        assert!(peer.links.len() <= 4, "{} links in 5 s", peer.links.len());
        let refused = error(refusal[1..].trim_end());
        let told = (0..100).filter(|&slot| peer.replied(slot) == Some(&refused)).count();
        assert!(told >= 99, "{told} callers were told");
    }
}

#[test]
fn where_nothing_may_wait_the_error_is_the_callers() {
    let offline = Bounds { commands: 0, bytes: 0 };
    let mut peer = Peer::ready(2, Config { offline, ..plain() });
    peer.submit(1, "INCR 1");
    peer.sent();
    peer.reply(LOADING);
    assert_eq!(peer.replied(1), Some(&error(LOADING[1..].trim_end())));
    assert_eq!(peer.closed, [(peer.link(), Reason::Loading)]);
}

#[test]
fn without_credentials_nobody_can_be_known_better() {
    let mut peer = Peer::ready(2, plain());
    peer.submit(1, "INCR 1");
    peer.sent();
    peer.reply(UNKNOWN);
    assert_eq!(peer.replied(1), Some(&error(UNKNOWN[1..].trim_end())));
    assert!(peer.is_linked());
}

#[test]
fn a_server_that_is_loading_is_asked_before_anything_is_sent() {
    let mut peer = ready();
    peer.submit(1, "INCR 1");
    peer.sent();
    peer.reply(LOADING);
    for _ in 0..3 {
        peer.retry();
        peer.open();
        assert_eq!(peer.sent(), ["AUTH secret", "PING"]);
        peer.reply(["+OK\r\n", LOADING].concat());
        assert_eq!(peer.closed.last(), Some(&(peer.link(), Reason::Loading)));
    }
    peer.retry();
    peer.open();
    assert_eq!(peer.sent(), ["AUTH secret", "PING"]);
    peer.reply("+OK\r\n+PONG\r\n");
    assert_eq!(peer.sent(), ["INCR 1"], "it is not loading any more");
}

#[test]
fn a_link_that_is_ready_tells_new_credentials() {
    let mut peer = ready();
    peer.submit(1, "ECHO 1");
    peer.connection.authenticate(credentials("fresh"));
    peer.submit(2, "ECHO 2");
    assert_eq!(peer.sent(), ["ECHO 1", "AUTH fresh", "ECHO 2"]);
    peer.reply("$1\r\n1\r\n+OK\r\n$1\r\n2\r\n");
    assert_eq!((peer.replied(1), peer.replied(2)), (Some(&bulk("1")), Some(&bulk("2"))));
    peer.close();
    peer.retry();
    peer.open();
    assert_eq!(peer.sent(), ["AUTH fresh", "PING"], "so does the next");
}

#[test]
fn where_they_are_refused_the_link_ends_when_all_is_answered() {
    let mut peer = ready();
    peer.connection.authenticate(credentials("wrong"));
    peer.submit(1, "INCR 1");
    assert_eq!(peer.sent(), ["AUTH wrong", "INCR 1"]);
    peer.reply("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    assert!(peer.is_linked());
    peer.reply(":1\r\n");
    assert_eq!(peer.replied(1), Some(&Frame::Integer(1)));
    assert_eq!(peer.closed, [(peer.link(), Reason::Unauthenticated)]);
    peer.retry();
    peer.submit(2, "INCR 2");
    peer.open();
    assert_eq!(peer.sent(), ["AUTH wrong", "PING"]);
    peer.reply("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    assert_eq!(peer.failed(2), Some((Reason::Authentication, false)), "nobody waits in vain");
}

#[test]
fn an_auth_of_the_callers_own_is_its_own_business() {
    let mut peer = ready();
    peer.submit(1, "AUTH mine");
    peer.sent();
    peer.reply("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    assert!(peer.is_linked());
    assert!(peer.replied(1).is_some());
}

#[test]
fn a_link_that_is_not_trusted_settles_everything_and_is_not_tried_in_a_hurry() {
    let mut peer = Peer::new(plain());
    for attempt in 1..=3 {
        peer.submit(attempt, "INCR n");
        let now = peer.now;
        if !peer.is_linked() {
            peer.retry();
            assert!(peer.now.0 - now.0 >= 1_990, "{} ms", peer.now.0 - now.0);
        }
        peer.distrust();
        assert_eq!(peer.failed(attempt), Some((Reason::Untrusted, false)));
    }
    assert_eq!(peer.links.len(), 3);
}

#[test]
fn a_server_that_answers_before_it_hangs_up_is_asked_again_soon() {
    let mut peer = Peer::new(plain());
    let end = peer.now.0 + 60_000;
    for slot in 1.. {
        if peer.now.0 >= end {
            break;
        }
        peer.submit(slot, "GET k");
        peer.open();
        assert_eq!(peer.sent(), ["GET k"]);
        peer.reply("$1\r\nv\r\n");
        assert_eq!(peer.replied(slot), Some(&bulk("v")));
        peer.close();
        peer.retry();
    }
    let links = peer.links.len();
    assert!(links > 1_000, "{links} links in a minute");
}

#[test]
fn a_server_that_hangs_up_after_each_handshake_is_left_alone_ever_longer() {
    for (life, links) in [(0, 20..90), (1_000, 20..50), (2_000, 28..40)] {
        let mut peer = Peer::new(plain());
        peer.connect();
        let end = peer.now.0 + 60_000;
        while peer.now.0 < end {
            peer.open();
            assert_eq!(peer.ready.last(), peer.links.last());
            peer.advance(life);
            peer.close();
            peer.retry();
        }
        assert!(
            links.contains(&peer.links.len()),
            "{} links that live {life} ms, in a minute",
            peer.links.len()
        );
    }
}
