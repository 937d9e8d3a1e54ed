//! Leases and blocking commands, one dialogue each.

use redwire_core::batch::{BatchBuffer, flags};
use redwire_core::connection::{Bounds, Config, Credentials, Protocol};
use redwire_core::machine::{LeaseId, LinkId, Machine, Reason, Slot};
use redwire_core::pool::Limits;
use redwire_core::resp::Frame;
use redwire_core::table::RowId;
use redwire_tests::model::{Fleet, Options, Outcome, Reaction, Server, plain, requests, words};
use redwire_tests::wire::bulk;

fn fleet(config: Config, limits: Limits) -> Fleet {
    Fleet::new(config, limits, Server::new(Options { setinfo: true, ..Options::default() }))
}

/// Gives a fleet without handshakes.
fn quick(limits: Limits) -> Fleet {
    fleet(Config { protocol: Protocol::Resp2, ..plain() }, limits)
}

fn leased(fleet: &mut Fleet, slot: u32) -> LeaseId {
    fleet.lease(slot);
    match fleet.outcome(slot) {
        Some(Outcome::Leased(lease)) => *lease,
        outcome => unreachable!("{outcome:?} is no lease"),
    }
}

fn placed(fleet: &mut Fleet, slot: u32) -> LeaseId {
    fleet.react(Reaction::Place(slot));
    match fleet.outcome(slot) {
        Some(Outcome::Leased(lease)) => *lease,
        outcome => unreachable!("{outcome:?} is no place"),
    }
}

fn say(fleet: &mut Fleet, lease: Option<LeaseId>, slot: u32, line: &str) {
    fleet.submit(lease, &[(slot, words(line))], None);
}

fn replied(fleet: &Fleet, slot: u32) -> &Frame {
    match fleet.outcome(slot) {
        Some(Outcome::Reply(frame)) => frame,
        outcome => unreachable!("{slot} has {outcome:?}"),
    }
}

fn failed(fleet: &Fleet, slot: u32) -> (Reason, bool) {
    match fleet.outcome(slot) {
        Some(Outcome::Failed(failure)) => (failure.reason, failure.maybe_executed),
        outcome => unreachable!("{slot} has {outcome:?}"),
    }
}

fn links(fleet: &Fleet) -> Vec<LinkId> {
    fleet.wires.iter().map(|wire| wire.link).collect()
}

fn lanes(fleet: &Fleet) -> Vec<u8> {
    fleet.wires.iter().map(|wire| wire.link.lane()).collect()
}

/// What the server executed on `lane`, one line each, over all its links.
fn executed(fleet: &Fleet, lane: u8) -> Vec<String> {
    let over = fleet.over.iter().map(|(link, session)| (*link, session));
    let live = fleet.wires.iter().filter_map(|wire| Some((wire.link, wire.session.as_ref()?)));
    over.chain(live)
        .filter(|(link, _)| link.lane() == lane)
        .flat_map(|(_, session)| &session.log)
        .map(|one| String::from_utf8_lossy(&one.words.join(&b' ')).into_owned())
        .collect()
}

#[test]
fn what_blocks_leaves_a_batch_and_the_rest_of_it_keeps_its_order() {
    let mut fleet = quick(Limits::default());
    let lines = ["SET a 1", "BLPOP q 0", "GET a", "XREAD BLOCK 0 STREAMS s $", "XREAD STREAMS s 0", "INCR a"];
    let batch: Vec<_> = (1..).zip(lines.map(words)).collect();
    fleet.submit(None, &batch, None);
    fleet.settle();
    assert_eq!(executed(&fleet, 0), ["SET a 1", "GET a", "XREAD STREAMS s 0", "INCR a"]);
    assert_eq!(executed(&fleet, 1), ["BLPOP q 0"]);
    assert_eq!(executed(&fleet, 2), ["XREAD BLOCK 0 STREAMS s $"]);
    assert_eq!((replied(&fleet, 3), replied(&fleet, 6)), (&bulk("1"), &Frame::Integer(2)));
    assert_eq!(fleet.outcome(2), None);
    fleet.server.store.execute(&[b"RPUSH", b"q", b"x"]);
    fleet.settle();
    assert_eq!(*replied(&fleet, 2), Frame::Array(vec![bulk("q"), bulk("x")]));
}

#[test]
fn a_malformed_batch_is_refused_as_a_whole_though_its_start_blocks() {
    let mut fleet = quick(Limits::default());
    let mut buffer = BatchBuffer::default();
    for (slot, line) in [(1, "BLPOP q 0"), (2, "BLPOP q 0")] {
        buffer.push(Slot(slot), RowId::UNKNOWN, 0, None, words(line).iter().map(Vec::as_slice));
    }
    let mut batch = buffer.batch();
    batch.side = &batch.side[..batch.side.len() - 1];
    assert!(fleet.pool.submit(fleet.now, &batch).is_err());
    assert_eq!(fleet.pool.poll_action(), None);
    assert!(fleet.pool.is_quiet());
}

#[test]
fn a_blocking_command_that_is_given_up_closes_its_link_and_no_other() {
    let mut fleet = quick(Limits::default());
    say(&mut fleet, None, 1, "BLPOP q 0");
    say(&mut fleet, None, 2, "ECHO a");
    fleet.settle();
    assert_eq!(lanes(&fleet), [0, 1]);
    assert_eq!(fleet.cancel(1), Some(true));
    assert_eq!(lanes(&fleet), [0]);
    fleet.submit(None, &[(3, words("BLPOP q 0"))], Some(30));
    fleet.settle();
    fleet.advance(30);
    assert_eq!(failed(&fleet, 3), (Reason::Timeout, true));
    assert_eq!(lanes(&fleet), [0]);
    assert!(fleet.pool.is_quiet());
}

#[test]
fn who_waits_for_a_connection_is_served_in_order_or_told_in_time() {
    let mut fleet = quick(Limits { max_connections: 1, pool_timeout: 100, ..Limits::default() });
    let lease = leased(&mut fleet, 1);
    say(&mut fleet, None, 2, "BLPOP q 0");
    fleet.advance(10);
    fleet.lease(3);
    say(&mut fleet, None, 4, "BLPOP q 0");
    assert_eq!(fleet.cancel(4), Some(false));
    fleet.settle();
    fleet.advance(80);
    fleet.release(lease);
    fleet.settle();
    assert_eq!(executed(&fleet, 1), ["BLPOP q 0"]);
    fleet.advance(19);
    assert_eq!(fleet.outcome(3), None, "nobody is late yet");
    fleet.advance(1);
    assert_eq!(failed(&fleet, 3), (Reason::PoolTimeout, false));
}

#[test]
fn no_more_wait_than_may() {
    let config = Config { offline: Bounds { commands: 2, bytes: 1 << 20 }, ..plain() };
    let mut fleet = fleet(config, Limits { max_connections: 1, ..Limits::default() });
    for slot in 1..=4 {
        say(&mut fleet, None, slot, "BLPOP q 0");
    }
    assert_eq!(failed(&fleet, 4), (Reason::QueueFull, false));
    let config = Config { offline: Bounds { commands: 10, bytes: 50 }, ..plain() };
    let mut fleet = self::fleet(config, Limits { max_connections: 1, ..Limits::default() });
    for slot in 1..=3 {
        say(&mut fleet, None, slot, &format!("BLPOP {} 0", "q".repeat(40)));
    }
    assert_eq!((fleet.outcome(2), failed(&fleet, 3)), (None, (Reason::QueueFull, false)));
}

#[test]
fn a_lease_is_cut_at_every_byte_and_exec_never_goes_without_its_watch() {
    let whole = {
        let mut fleet = fleet(Config::default(), Limits::default());
        let lease = leased(&mut fleet, 1);
        say(&mut fleet, Some(lease), 2, "WATCH w");
        fleet.transaction(Some(lease), 3, &[words("INCR n")]);
        fleet.settle();
        assert_eq!(*replied(&fleet, 3), Frame::Array(vec![Frame::Integer(1)]));
        executed(&fleet, 1)
    };
    assert_eq!(
        whole,
        ["CLIENT SETINFO LIB-NAME redwire", whole[1].as_str(), "WATCH w", "MULTI", "INCR n", "EXEC"]
    );
    for (direction, size) in [("out", 400), ("in", 400)] {
        for at in 0..size {
            let mut fleet = fleet(Config { seed: at as u32, ..Config::default() }, Limits::default());
            let lease = leased(&mut fleet, 1);
            say(&mut fleet, Some(lease), 2, "WATCH w");
            fleet.open(0);
            let (mut out, mut back, mut asked) = (0, 0, false);
            loop {
                let room = if direction == "out" { at - out } else { usize::MAX };
                let wrote = fleet.write(0, room);
                out += wrote;
                let served = fleet.serve(0, usize::MAX, false);
                let read = fleet.read(0, if direction == "in" { at - back } else { usize::MAX });
                back += read;
                if fleet.outcome(2).is_some() && !asked {
                    asked = true;
                    fleet.server.store.execute(&[b"INCR", b"w"]);
                    fleet.transaction(Some(lease), 3, &[words("INCR n")]);
                }
                if wrote == 0 && !served && read == 0 {
                    break;
                }
            }
            fleet.cut(0);
            if fleet.outcome(3).is_none() && fleet.outcome(2).is_some() {
                fleet.transaction(Some(lease), 4, &[words("INCR n")]);
            }
            for _ in 0..20 {
                fleet.settle();
                fleet.advance(10);
            }
            fleet.release(lease);
            fleet.settle();
            assert!(fleet.outcome(2).is_some(), "{direction} {at}: the watch settles");
            assert_eq!(fleet.server.store.text("n"), None, "{direction} {at}: the watched key had changed");
            let sessions = fleet.over.iter().map(|(_, session)| session);
            for session in sessions.chain(fleet.wires.iter().filter_map(|wire| wire.session.as_ref())) {
                let place = |name: &[u8]| session.log.iter().position(|one| one.words[0] == name);
                assert!(place(b"EXEC").is_none() || place(b"WATCH") < place(b"EXEC"), "{direction} {at}");
            }
            assert!(fleet.pool.is_quiet(), "{direction} {at}");
        }
    }
}

#[test]
fn a_lease_that_lost_its_link_says_so_until_it_is_given_back() {
    let mut fleet = quick(Limits { max_connections: 1, ..Limits::default() });
    let lease = leased(&mut fleet, 1);
    fleet.settle();
    say(&mut fleet, Some(lease), 2, "GET a");
    fleet.write(0, usize::MAX);
    say(&mut fleet, Some(lease), 3, "GET a");
    fleet.cut(0);
    assert_eq!((failed(&fleet, 2), failed(&fleet, 3)), ((Reason::Dropped, true), (Reason::Dropped, false)));
    say(&mut fleet, Some(lease), 4, "GET a");
    fleet.transaction(Some(lease), 5, &[words("GET a")]);
    assert_eq!(
        (failed(&fleet, 4), failed(&fleet, 5)),
        ((Reason::LeaseLost, false), (Reason::LeaseLost, false))
    );
    assert_eq!(links(&fleet), [], "nobody needs another link");
    fleet.release(lease);
    fleet.release(lease);
    say(&mut fleet, Some(lease), 6, "GET a");
    fleet.transaction(Some(lease), 7, &[words("GET a")]);
    assert_eq!(
        (failed(&fleet, 6), failed(&fleet, 7)),
        ((Reason::LeaseLost, false), (Reason::LeaseLost, false))
    );
    let other = leased(&mut fleet, 8);
    assert_ne!(lease, other);
    say(&mut fleet, Some(other), 9, "ECHO a");
    fleet.advance(100);
    fleet.settle();
    assert_eq!(*replied(&fleet, 9), bulk("a"));
}

#[test]
fn a_place_opens_nothing_and_counts_as_a_connection() {
    let mut fleet = quick(Limits { max_connections: 2, pool_timeout: 100, ..Limits::default() });
    let place = placed(&mut fleet, 1);
    fleet.settle();
    assert_eq!(links(&fleet), [], "not even the shared link is opened");
    say(&mut fleet, None, 2, "BLPOP q 0");
    fleet.settle();
    assert_eq!(lanes(&fleet), [0, 2]);
    fleet.react(Reaction::Place(3));
    say(&mut fleet, None, 4, "BLPOP q 0");
    assert_eq!((fleet.outcome(3), fleet.outcome(4)), (None, None));
    fleet.release(place);
    fleet.release(place);
    fleet.advance(99);
    assert!(matches!(fleet.outcome(3), Some(Outcome::Leased(_))), "who came first has it");
    assert_eq!(fleet.outcome(4), None);
    fleet.advance(1);
    assert_eq!(failed(&fleet, 4), (Reason::PoolTimeout, false));
    fleet.lease(5);
    fleet.react(Reaction::Place(6));
    assert_eq!(fleet.cancel(6), Some(false));
    fleet.pool.unblock(fleet.now);
    fleet.shutdown();
    assert_eq!(failed(&fleet, 5), (Reason::Closed, false));
    placed(&mut fleet, 7);
    placed(&mut fleet, 8);
    assert!(fleet.pool.is_quiet());
}

#[test]
fn a_place_takes_no_link_that_others_may_use_unless_there_is_no_other() {
    let mut fleet = quick(Limits { max_connections: 2, ..Limits::default() });
    let lease = leased(&mut fleet, 1);
    fleet.settle();
    fleet.release(lease);
    let first = placed(&mut fleet, 2);
    assert_eq!(lanes(&fleet), [1], "an idle link stays");
    let second = placed(&mut fleet, 3);
    assert_eq!(links(&fleet), [], "no more links are open than may be");
    for place in [first, second] {
        fleet.release(place);
    }
    say(&mut fleet, None, 4, "BLPOP q 0");
    fleet.settle();
    assert_eq!(lanes(&fleet), [0, 1]);
    fleet.pool.place(fleet.now, Slot(5));
    assert_eq!(fleet.cancel(5), Some(false), "it was granted, and nobody was told");
    placed(&mut fleet, 6);
}

#[test]
fn a_lease_that_was_given_up_when_it_was_granted_goes_back() {
    let mut fleet = quick(Limits { max_connections: 1, ..Limits::default() });
    fleet.pool.lease(fleet.now, Slot(1));
    assert_eq!(fleet.cancel(1), Some(false));
    let lease = leased(&mut fleet, 2);
    say(&mut fleet, Some(lease), 3, "ECHO a");
    fleet.settle();
    assert_eq!(*replied(&fleet, 3), bulk("a"));
}

#[test]
fn a_link_goes_back_only_as_good_as_new() {
    let mut fleet = quick(Limits { max_connections: 1, ..Limits::default() });
    let mut slot = 0;
    let mut kept = |lines: &[&str], fleet: &mut Fleet| {
        slot += 10;
        let lease = leased(fleet, slot);
        fleet.advance(100);
        fleet.settle();
        let before = links(fleet);
        for (at, line) in lines.iter().enumerate() {
            say(fleet, Some(lease), slot + 1 + at as u32, line);
            fleet.settle();
        }
        fleet.release(lease);
        links(fleet) == before
    };
    for clean in [
        &["GET a"][..],
        &["WATCH w", "UNWATCH"],
        &["CLIENT REPLY OFF", "ECHO a", "CLIENT REPLY ON"],
        &["WAIT 0 1"],
        &["CLIENT REPLY SKIP", "ECHO a", "ECHO b"],
    ] {
        assert!(kept(clean, &mut fleet), "{clean:?}");
    }
    for changed in [
        &["WATCH w"][..],
        &["SELECT 1"],
        &["UNWATCH", "WATCH w"],
        &["CLIENT REPLY OFF", "WATCH w", "UNWATCH", "CLIENT REPLY ON"],
        &["CLIENT REPLY OFF"],
        &["CLIENT REPLY SKIP"],
        &["CLIENT REPLY SKIP", "ECHO a"],
        &["MULTI"],
        &["NOSUCH"],
        &["PSYNC ? -1"],
    ] {
        assert!(!kept(changed, &mut fleet), "{changed:?}");
    }
}

#[test]
fn idle_links_are_closed_in_time_but_for_those_that_are_kept() {
    let mut fleet = quick(Limits { min_idle: 1, max_idle_time: 100, ..Limits::default() });
    say(&mut fleet, None, 1, "ECHO a");
    fleet.settle();
    assert_eq!(lanes(&fleet), [0, 1], "one is kept");
    for slot in 2..=4 {
        say(&mut fleet, None, slot, "BLPOP q 0");
        fleet.server.store.execute(&[b"RPUSH", b"q", b"x"]);
    }
    fleet.settle();
    fleet.advance(99);
    assert_eq!(fleet.wires.len(), 5, "all stay that were used, and one more");
    fleet.advance(1);
    assert_eq!(fleet.wires.len(), 2);
    let kept = fleet.wires.iter().position(|wire| wire.link.lane() != 0).expect("one is left");
    fleet.cut(kept);
    fleet.advance(100);
    fleet.settle();
    assert_eq!(fleet.wires.len(), 2, "another is opened");
    assert!(fleet.pool.poll_timeout().is_none_or(|at| at > fleet.now));
}

#[test]
fn nobody_asks_a_link_that_blocks_or_was_told_to_be_silent() {
    let config = Config { keep_alive: 50, timeout: 0, ..plain() };
    let mut fleet = fleet(config, Limits { max_idle_time: 0, ..Limits::default() });
    say(&mut fleet, None, 1, "BLPOP q 0");
    let lease = leased(&mut fleet, 2);
    say(&mut fleet, Some(lease), 3, "CLIENT REPLY OFF");
    for _ in 0..100 {
        fleet.settle();
        fleet.advance(10);
    }
    assert_eq!(fleet.outcome(3), Some(&Outcome::Unanswered));
    assert_eq!(executed(&fleet, 1).last().map(String::as_str), Some("BLPOP q 0"));
    assert_eq!(executed(&fleet, 2).last().map(String::as_str), Some("CLIENT REPLY OFF"));
    fleet.server.store.execute(&[b"RPUSH", b"q", b"x"]);
    say(&mut fleet, Some(lease), 4, "CLIENT REPLY ON");
    fleet.settle();
    fleet.advance(60);
    fleet.settle();
    assert!(fleet.closed.is_empty(), "{:?}", fleet.closed);
    assert!(executed(&fleet, 1).contains(&"PING".to_string()), "idle links are asked");
    assert!(executed(&fleet, 2).contains(&"PING".to_string()));
}

#[test]
fn closing_ends_what_blocks_and_lets_the_rest_finish() {
    let mut fleet = quick(Limits { max_connections: 2, ..Limits::default() });
    let lease = leased(&mut fleet, 1);
    say(&mut fleet, None, 2, "BLPOP q 0");
    say(&mut fleet, None, 3, "BLPOP q 0");
    fleet.lease(4);
    fleet.settle();
    say(&mut fleet, Some(lease), 5, "ECHO a");
    say(&mut fleet, None, 6, "ECHO b");
    fleet.pool.unblock(fleet.now);
    fleet.settle();
    assert_eq!(failed(&fleet, 2), (Reason::Closed, true));
    assert_eq!((failed(&fleet, 3), failed(&fleet, 4)), ((Reason::Closed, false), (Reason::Closed, false)));
    assert_eq!((replied(&fleet, 5), replied(&fleet, 6)), (&bulk("a"), &bulk("b")));
    assert!(fleet.pool.is_quiet());
    say(&mut fleet, Some(lease), 7, "BLPOP q 0");
    fleet.settle();
    fleet.shutdown();
    assert_eq!(failed(&fleet, 7), (Reason::Closed, true));
    say(&mut fleet, Some(lease), 8, "ECHO c");
    assert_eq!(failed(&fleet, 8), (Reason::LeaseLost, false));
    assert!(fleet.wires.is_empty());
}

#[test]
fn nothing_of_redwires_own_gets_into_a_transaction_of_the_callers() {
    for (end, reply) in [("EXEC", Frame::Array(vec![Frame::Integer(1)])), ("DISCARD", Frame::Boolean(true))] {
        let credentials = Credentials { username: None, password: b"secret".to_vec() };
        let config = Config { credentials: Some(credentials.clone()), library: None, ..Config::default() };
        let server = Server::new(Options { password: Some("secret"), ..Options::default() });
        let mut fleet = Fleet::new(config, Limits { max_idle_time: 0, ..Limits::default() }, server);
        let lease = leased(&mut fleet, 1);
        say(&mut fleet, Some(lease), 2, "MULTI");
        say(&mut fleet, Some(lease), 3, "INCR n");
        fleet.settle();
        fleet.pool.authenticate(&credentials);
        for _ in 0..4 {
            fleet.advance(15_000);
            fleet.settle();
        }
        assert_eq!(executed(&fleet, 1), ["MULTI", "INCR n"]);
        say(&mut fleet, Some(lease), 4, end);
        fleet.settle();
        assert_eq!(*replied(&fleet, 4), reply);
        assert_eq!(executed(&fleet, 1)[2..], [end, "AUTH secret"]);
        fleet.advance(15_000);
        fleet.settle();
        assert_eq!(executed(&fleet, 1)[4..], ["PING"]);
        fleet.release(lease);
        fleet.settle();
        assert!(fleet.wires.iter().any(|wire| wire.link.lane() == 1), "the link is as new");
    }
}

#[test]
fn a_silent_command_goes_with_its_skip_or_not_at_all_wherever_it_is_given_up() {
    let silent =
        |slot: u32| requests::commands(&[(slot, words(&format!("INCR n{slot}")))], flags::SILENT, None);
    for at in 0..240 {
        let mut fleet = quick(Limits { max_connections: 1, ..Limits::default() });
        let lease = leased(&mut fleet, 1);
        fleet.settle();
        for slot in 2..=4 {
            fleet.react(Reaction::Submit(Some(lease), silent(slot)));
        }
        fleet.write(0, at);
        let given_up = fleet.cancel(3);
        say(&mut fleet, Some(lease), 5, "ECHO a");
        fleet.settle();
        assert_eq!(
            (fleet.outcome(2), fleet.outcome(4)),
            (Some(&Outcome::Unanswered), Some(&Outcome::Unanswered))
        );
        assert_eq!(*replied(&fleet, 5), bulk("a"), "{at}");
        let log = executed(&fleet, 1);
        let all = [
            "CLIENT REPLY SKIP",
            "INCR n2",
            "CLIENT REPLY SKIP",
            "INCR n3",
            "CLIENT REPLY SKIP",
            "INCR n4",
            "ECHO a",
        ];
        let kept = [&all[..2], &all[4..]].concat();
        assert_eq!(
            log[log.len().saturating_sub(7)..],
            if given_up == Some(false) { kept } else { all.to_vec() },
            "{at}"
        );
        let before = links(&fleet);
        fleet.release(lease);
        assert_eq!(links(&fleet), before, "the link is as new");
    }
}

#[test]
fn a_silent_command_says_what_may_have_come_of_it_when_its_link_is_lost() {
    let (mut in_doubt, mut never) = (0, 0);
    for at in 0..120 {
        let mut fleet = quick(Limits { max_connections: 1, ..Limits::default() });
        let lease = leased(&mut fleet, 1);
        fleet.settle();
        let batch = requests::commands(&[(2, words("INCR n")), (3, words("INCR m"))], flags::SILENT, None);
        fleet.react(Reaction::Submit(Some(lease), batch));
        fleet.write(0, at);
        fleet.serve(0, usize::MAX, false);
        fleet.cut(0);
        for (slot, key) in [(2, "n"), (3, "m")] {
            let was_executed = fleet.server.store.text(key).is_some();
            match fleet.outcome(slot) {
                Some(Outcome::Unanswered) => assert!(was_executed, "{at}"),
                Some(Outcome::Failed(failure)) if failure.maybe_executed => in_doubt += 1,
                Some(Outcome::Failed(_)) => {
                    never += 1;
                    assert!(!was_executed, "{at}");
                }
                outcome => unreachable!("{slot} has {outcome:?}"),
            }
        }
    }
    assert!(in_doubt > 0 && never > 0);
}

#[test]
fn a_link_on_which_a_transaction_is_open_is_not_used_again() {
    for lines in [&["MULTI"][..], &["MULTI", "NOSUCH", "EXEC"], &["MULTI", "UNWATCH"]] {
        let mut fleet = quick(Limits::default());
        let lease = leased(&mut fleet, 1);
        for (slot, line) in (2..).zip(lines) {
            say(&mut fleet, Some(lease), slot, line);
        }
        fleet.settle();
        fleet.release(lease);
        fleet.settle();
        assert!(fleet.wires.iter().all(|wire| wire.link.lane() != 1), "{lines:?}");
    }
}
