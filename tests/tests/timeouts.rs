//! Time, cancellation, and what comes late or unasked.

use redwire_core::connection::Config;
use redwire_core::machine::{Machine, Reason, Slot};
use redwire_core::resp::{DecodeError, Frame, Limits};
use redwire_tests::model::{Outcome, Peer, words};
use redwire_tests::wire::{bulk, simple};

fn ready(protocol: u8) -> Peer {
    Peer::ready(
        protocol,
        match protocol {
            3 => Config { keep_alive: 0, tombstone_limit: 0, ..Config::default() },
            _ => redwire_tests::model::plain(),
        },
    )
}

#[test]
fn a_command_has_a_deadline_of_its_own() {
    let mut peer = Peer::ready(3, Config { keep_alive: 0, tombstone_limit: 0, ..Config::default() });
    peer.submit(1, "GET a");
    peer.submit_with(2, 0, Some(50), &words("GET b"));
    peer.submit_with(3, 0, Some(0), &words("BLPOP q 0"));
    assert_eq!(peer.sent().len(), 3);
    peer.advance(49);
    assert_eq!(peer.outcome(2), None);
    peer.advance(1);
    assert_eq!(peer.failed(2), Some((Reason::Timeout, true)));
    peer.advance(9_950);
    assert_eq!(peer.failed(1), Some((Reason::Timeout, true)));
    peer.advance(1 << 40);
    assert_eq!(peer.outcome(3), None, "it has all the time in the world");
    assert_eq!(peer.connection.poll_timeout(), None);
}

#[test]
fn a_late_reply_reaches_nobody_and_the_next_command_gets_its_own() {
    for count in 1..6 {
        for late in 0..count {
            let mut peer = ready(3);
            for slot in 0..count {
                let timeout = (slot == late).then_some(50);
                peer.submit_with(slot, 0, timeout, &words(&format!("ECHO {slot}")));
            }
            peer.sent();
            peer.advance(50);
            assert_eq!(peer.failed(late), Some((Reason::Timeout, true)));
            // the same slot is used again while the tombstone stands
            peer.caller.outcomes.clear();
            peer.submit(late, "ECHO again");
            for slot in 0..count {
                peer.reply(format!("$1\r\n{slot}\r\n"));
            }
            assert_eq!(peer.outcome(late), None, "the late reply is not the new command's");
            peer.sent();
            peer.reply("$5\r\nagain\r\n");
            for slot in (0..count).filter(|&slot| slot != late) {
                assert_eq!(peer.replied(slot), Some(&bulk(slot.to_string())));
            }
            assert_eq!(peer.replied(late), Some(&bulk("again")));
            assert!(peer.connection.is_quiet());
        }
    }
}

#[test]
fn an_unsent_command_that_times_out_is_never_written() {
    let config = Config { library: None, connect_timeout: 0, queue_timeout: 50, ..Config::default() };
    let mut peer = Peer::new(config);
    peer.submit_with(1, 0, Some(0), &words("ECHO 1"));
    peer.advance(1);
    peer.submit(2, "ECHO 2");
    peer.advance(49);
    assert_eq!((peer.failed(1), peer.outcome(2)), (Some((Reason::QueueTimeout, false)), None));
    peer.open();
    assert_eq!(peer.sent(), ["HELLO 3", "PING"]);
    peer.reply("%1\r\n+proto\r\n:3\r\n+PONG\r\n");
    assert_eq!(peer.sent(), ["ECHO 2"]);
}

#[test]
fn the_clock_of_a_command_starts_anew_when_the_link_is_ready() {
    let mut peer = Peer::new(Config { library: None, timeout: 100, ..Config::default() });
    peer.submit(1, "ECHO 1");
    peer.advance(90);
    peer.open();
    peer.sent();
    peer.reply("%1\r\n+proto\r\n:3\r\n+PONG\r\n");
    peer.sent();
    peer.advance(99);
    assert_eq!(peer.outcome(1), None);
    peer.advance(1);
    assert_eq!(peer.failed(1), Some((Reason::Timeout, true)));
}

#[test]
fn a_transaction_has_the_deadline_of_its_exec() {
    use redwire_core::batch::flags;
    for (timeout, expected) in [(Some(0), None), (Some(50), Some((Reason::Timeout, true)))] {
        let mut peer = ready(3);
        peer.submit_with(1, flags::MULTI, None, &words("MULTI"));
        peer.submit_with(1, flags::MEMBER, None, &words("BLPOP q 0"));
        peer.submit_with(1, flags::EXEC, timeout, &words("EXEC"));
        peer.sent();
        peer.advance(60_000);
        assert_eq!(peer.failed(1), expected);
        peer.reply("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
        peer.submit(2, "ECHO 2");
        peer.sent();
        peer.reply("$1\r\n2\r\n");
        assert_eq!(peer.replied(2), Some(&bulk("2")));
    }
}

/// Cancels commands of a queue of which `sent` bytes are written, and checks that the others go out untouched.
fn cancelled_in_the_queue(external: bool, cancelled: &[u32]) {
    let mut peer = ready(3);
    let args = |slot: u32| words(&format!("SET k{slot} {}", "v".repeat(slot as usize * 7)));
    for slot in 1..=5 {
        if external {
            peer.submit_external(slot, &args(slot), 2)
        } else {
            peer.submit_with(slot, 0, None, &args(slot))
        }
    }
    for &slot in cancelled {
        assert_eq!(peer.cancel(slot), Some(false), "none of it was written");
        assert_eq!(peer.cancel(slot), None, "it is gone");
    }
    peer.submit(6, "ECHO 6");
    let left: Vec<u32> = (1..=5).filter(|slot| !cancelled.contains(slot)).collect();
    let mut expected: Vec<String> =
        left.iter().map(|&slot| String::from_utf8_lossy(&args(slot).join(&b' ')).into_owned()).collect();
    expected.push("ECHO 6".into());
    assert_eq!(peer.sent(), expected, "without {cancelled:?}");
    for slot in &left {
        peer.reply(format!("+{slot}\r\n"));
    }
    peer.reply("$1\r\n6\r\n");
    for slot in left {
        assert_eq!(peer.replied(slot), Some(&simple(slot.to_string())));
    }
    assert_eq!(peer.replied(6), Some(&bulk("6")));
    assert!(peer.connection.is_quiet());
}

#[test]
fn an_unsent_command_that_is_cancelled_is_never_written_and_its_neighbours_are() {
    // every set of commands, in both orders
    for set in 0..32u32 {
        let mut slots: Vec<u32> = (1..=5).filter(|slot| set & 1 << (slot - 1) != 0).collect();
        for external in [false, true] {
            cancelled_in_the_queue(external, &slots);
            slots.reverse();
            cancelled_in_the_queue(external, &slots);
            let turns = slots.len().min(1);
            slots.rotate_left(turns);
            cancelled_in_the_queue(external, &slots);
        }
    }
}

#[test]
fn a_command_that_is_cancelled_while_it_is_written_is_written_to_its_end() {
    let args = words("SET k vvvvvvvvvv");
    for external in [false, true] {
        let length = 7 * 4 + 20;
        for room in 1..length {
            let mut peer = ready(3);
            if external {
                peer.submit_external(1, &args, 2)
            } else {
                peer.submit_with(1, 0, None, &args)
            }
            peer.submit(2, "ECHO 2");
            peer.transmit(room);
            assert_eq!(peer.cancel(1), Some(true), "some of it was written");
            assert_eq!(peer.sent().last().map(String::as_str), Some("ECHO 2"));
            peer.reply("+OK\r\n$1\r\n2\r\n");
            assert_eq!(peer.replied(2), Some(&bulk("2")));
        }
    }
}

#[test]
fn a_cancelled_command_drops_the_rest_of_its_reply() {
    let wire = b"*3\r\n$4\r\nabcd\r\n$20\r\n01234567890123456789\r\n:7\r\n";
    for limits in [Limits::default(), Limits { whole: 8, ..Limits::default() }] {
        for at in 0..wire.len() {
            let mut peer = Peer::ready(3, Config { limits, ..Config::default() });
            peer.submit(1, "LRANGE l 0 -1");
            peer.submit(2, "ECHO 2");
            peer.sent();
            peer.reply(&wire[..at]);
            assert_eq!(peer.cancel(1), Some(true));
            peer.reply(&wire[at..]);
            peer.reply("$1\r\n2\r\n");
            assert_eq!(peer.outcome(1), Some(&Outcome::Cancelled(true)), "at {at}");
            assert_eq!(peer.replied(2), Some(&bulk("2")), "at {at}");
        }
    }
}

#[test]
fn a_transaction_is_cancelled_as_one() {
    let members = [words("SET a 1"), words("INCR a")];
    let wire = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n";
    let mut unsent = ready(3);
    unsent.submit(1, "ECHO 1");
    unsent.transaction(2, &members);
    unsent.submit(3, "ECHO 3");
    assert_eq!(unsent.cancel(2), Some(false));
    assert_eq!(unsent.sent(), ["ECHO 1", "ECHO 3"]);

    for at in 0..=wire.len() {
        let mut peer = ready(3);
        peer.transaction(2, &members);
        peer.submit(3, "ECHO 3");
        assert_eq!(peer.sent().len(), 5);
        peer.reply(&wire[..at]);
        let settled = at == wire.len();
        assert_eq!(peer.cancel(2), (!settled).then_some(true), "at {at}");
        peer.reply(&wire[at..]);
        peer.reply("$1\r\n3\r\n");
        assert_eq!(peer.replied(3), Some(&bulk("3")), "at {at}");
    }
}

#[test]
fn pushes_at_every_boundary_never_shift_replies() {
    const PUSHES: [&str; 4] = [
        ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n",
        ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n9\r\n",
        ">1\r\n+unheard-of\r\n",
        ">0\r\n",
    ];
    let mut peer = ready(3);
    for slot in 0..50 {
        peer.submit(slot, &format!("ECHO {slot}"));
    }
    peer.sent();
    let mut wire = String::new();
    for slot in 0..50 {
        wire += PUSHES[slot % 4];
        wire += &format!("${}\r\n{slot}\r\n", slot.to_string().len());
    }
    wire += PUSHES[0];
    for piece in wire.as_bytes().chunks(7) {
        peer.reply(piece);
    }
    for slot in 0..50 {
        assert_eq!(peer.replied(slot), Some(&bulk(slot.to_string())));
    }
    assert!(peer.is_linked());
}

#[test]
fn pushes_between_the_replies_of_a_transaction_change_nothing() {
    let mut peer = ready(3);
    peer.transaction(1, &[words("INCR a"), words("INCR a")]);
    peer.sent();
    peer.reply("+OK\r\n>1\r\n+x\r\n+QUEUED\r\n>1\r\n+x\r\n+QUEUED\r\n>1\r\n+x\r\n*2\r\n:1\r\n:2\r\n");
    assert_eq!(peer.replied(1), Some(&Frame::Array(vec![Frame::Integer(1), Frame::Integer(2)])));
}

#[test]
fn a_refusal_to_queue_names_the_command() {
    let mut peer = ready(3);
    peer.transaction(1, &[words("INCR a"), words("NOSUCH"), words("INCR a")]);
    peer.sent();
    peer.reply("+OK\r\n+QUEUED\r\n-ERR unknown command\r\n+QUEUED\r\n-EXECABORT Transaction discarded\r\n");
    assert_eq!(peer.caller.refused, [(1, 1, "ERR unknown command".to_owned())]);
    assert_eq!(peer.replied(1), Some(&redwire_tests::wire::error("EXECABORT Transaction discarded")));
}

#[test]
fn an_unsolicited_reply_ends_the_link() {
    for protocol in [2, 3] {
        let mut peer = ready(protocol);
        peer.reply("-ERR max number of clients reached\r\n");
        assert_eq!(peer.closed, [(peer.link(), Reason::Unsolicited)]);
        peer.retry();
    }
    let mut peer = ready(3);
    peer.submit(1, "ECHO 1");
    peer.reply("+mine\r\n");
    assert_eq!(peer.closed, [(peer.link(), Reason::Unsolicited)]);
    assert_eq!(peer.outcome(1), None, "it was not even written");
    let mut peer = ready(3);
    peer.submit(1, "ECHO 1");
    peer.sent();
    peer.reply("$1\r\n1\r\n+more\r\n");
    assert_eq!(peer.replied(1), Some(&bulk("1")));
    assert_eq!(peer.closed, [(peer.link(), Reason::Unsolicited)]);
}

#[test]
fn a_broken_protocol_fails_what_waits_and_keeps_what_was_answered() {
    let mut peer = ready(3);
    for slot in 1..=3 {
        peer.submit(slot, &format!("INCR {slot}"));
    }
    peer.transmit(40);
    peer.reply(":1\r\n$1\r\n22");
    assert_eq!(peer.replied(1), Some(&Frame::Integer(1)));
    let reason = Reason::Protocol(DecodeError::Newline);
    assert_eq!((peer.failed(2), peer.failed(3)), (Some((reason, true)), None));
}

#[test]
fn shutting_down_settles_everything_and_the_connection_can_be_used_again() {
    let mut peer = ready(3);
    peer.submit(1, "ECHO 1");
    peer.sent();
    peer.submit(2, "ECHO 2");
    peer.shutdown();
    assert_eq!(peer.failed(1), Some((Reason::Closed, true)));
    assert_eq!(peer.failed(2), Some((Reason::Closed, false)));
    assert_eq!(peer.connection.poll_timeout(), None);
    peer.submit(3, "ECHO 3");
    assert_eq!(peer.links.len(), 2);
    assert_eq!(peer.connection.cancel(peer.now, Slot(1)), None);
}

#[test]
fn an_external_argument_is_asked_for_after_its_command_timed_out_half_written() {
    let mut peer = ready(3);
    peer.submit_external(1, &words("SET k far-away"), 2);
    peer.submit(2, "ECHO 2");
    peer.transmit(12);
    peer.advance(10_000);
    assert_eq!(peer.failed(1), Some((Reason::Timeout, true)));
    assert_eq!(peer.failed(2), Some((Reason::Timeout, false)));
    peer.submit(3, "ECHO 3");
    assert_eq!(peer.sent(), ["SET k far-away", "ECHO 3"], "the link stays in step");
    peer.reply("+OK\r\n$1\r\n3\r\n");
    assert_eq!(peer.replied(3), Some(&bulk("3")));
}

#[test]
fn what_came_while_the_host_was_held_up_is_in_time() {
    for late in [49, 50, 400, 60_000] {
        for answered in [true, false] {
            let mut peer = ready(3);
            peer.submit_with(1, 0, Some(100), &words("ECHO 1"));
            peer.sent();
            peer.stall(100 + late);
            assert_eq!(peer.outcome(1).is_none(), late >= 50);
            if answered {
                peer.reply("$1\r\n1\r\n");
            }
            // once is enough, even for a host that is always late
            peer.stall(2_000);
            match answered && late >= 50 {
                true => assert_eq!(peer.replied(1), Some(&bulk("1"))),
                false => assert_eq!(peer.failed(1), Some((Reason::Timeout, true))),
            }
        }
    }
}

#[test]
fn what_was_not_written_before_it_was_given_up_is_never_written() {
    let mut peer = ready(3);
    peer.submit_with(1, 0, Some(100), &words("ECHO 1"));
    peer.stall(60_000);
    peer.advance(1_000);
    assert_eq!(peer.failed(1), Some((Reason::Timeout, false)));
    assert!(peer.sent().is_empty());
}
