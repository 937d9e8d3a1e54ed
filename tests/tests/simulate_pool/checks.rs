//! What must be true, at any time and in the end.

use crate::Tally;
use crate::world::{BOUNDS, Kind, RESENDS, World, own, sender};
use redwire_core::machine::{Failure, LeaseId, LinkId, Reason};
use redwire_core::resp::Frame;
use redwire_tests::model::Outcome;
use redwire_tests::wire::bulk;
use std::collections::{BTreeMap, BTreeSet};

/// How errors of a server begin that executed nothing.
const REFUSALS: [&[u8]; 4] = [b"LOADING ", b"READONLY ", b"NOAUTH ", b"EXECABORT "];

impl World {
    /// What is true at any time.
    pub(crate) fn check_now(&self) {
        let Self { fleet, .. } = self;
        let lanes: BTreeSet<u8> = fleet.wires.iter().map(|wire| wire.link.lane()).collect();
        assert_eq!(lanes.len(), fleet.wires.len(), "a lane has one link");
        assert!(lanes.iter().all(|&lane| lane <= self.limits.max_connections), "{lanes:?}");
        let shared = fleet.wires.iter().find(|wire| wire.link.lane() == 0);
        let session = shared.and_then(|wire| wire.session.as_ref());
        assert!(session.is_none_or(|session| !session.is_blocked()), "nothing blocks everybody");
        if self.bounded {
            let (waiting, flying) = BOUNDS;
            let count = fleet.pool.pending(fleet.now).count();
            assert!(count <= waiting as usize, "{count} wait for a connection");
            for connection in fleet.pool.connections() {
                let count = connection.pending(fleet.now).count();
                assert!(count <= (flying + waiting) as usize, "{count} wait on {connection:?}");
            }
        }
    }

    /// What each link executed; gives how often each slot's command was.
    fn check_links(&self, tally: &mut Tally) -> BTreeMap<u32, u32> {
        let order: BTreeMap<u32, usize> =
            (1..).zip(&self.fleet.submitted).map(|(at, slot)| (*slot, at)).collect();
        let mut executed: BTreeMap<u32, u32> = BTreeMap::new();
        let mut links_of: BTreeMap<LeaseId, BTreeSet<LinkId>> = BTreeMap::new();
        for (link, session) in self.fleet.sessions() {
            let (mut user, mut last, mut count) = (None, 0, 0);
            for one in &session.log {
                let Some(slot) = sender(&one.words) else { continue };
                tally.unknown += u32::from(one.refused && one.words[0] == b"EVALSHA");
                if !one.refused {
                    *executed.entry(slot).or_default() += 1;
                }
                let now = self.users.get(&slot);
                // who comes next may have waited for long, and so may what goes on
                last = if link.lane() != 0 && (now != user || now.is_none()) { 0 } else { last };
                if one.words[0] != b"EVAL" {
                    assert!(order[&slot] > last, "{slot} was executed too late on {link:?}");
                    last = order[&slot];
                }
                if let Some(lease) = now {
                    links_of.entry(*lease).or_default().insert(link);
                }
                let blocks = one.words[0] == b"BLPOP";
                assert_eq!(link.lane() == 0, now.is_none() && !blocks, "{slot} is on the right link");
                if count == 0 || now != user || now.is_none() {
                    tally.reused += u32::from(count > 0 && link.lane() != 0);
                    let inside = link.lane() == 0 && self.kinds[&slot] == Kind::Both;
                    assert!(
                        !one.changed || now.is_some() || inside,
                        "{slot} found what another had left on {link:?}"
                    );
                }
                (user, count) = (now, count + 1);
            }
        }
        for (lease, links) in links_of {
            assert!(links.len() == 1, "{lease:?} was on {links:?}");
        }
        executed
    }

    /// What came of everything.
    pub(crate) fn check(&self, tally: &mut Tally) {
        let executed = self.check_links(tally);
        for (slot, kind) in &self.kinds {
            let times = executed.get(slot).copied().unwrap_or_default();
            let again = match kind {
                Kind::Echo | Kind::Repeated if !self.users.contains_key(slot) => RESENDS,
                _ => 0,
            };
            assert!(times <= 1 + u32::from(again), "{slot} ({kind:?}) was executed {times} times");
            tally.resent += u32::from(times > 1);
            let count = self.fleet.server.store.text(&format!("n{slot}")).map(<[u8]>::to_vec);
            let repeated = *kind == Kind::Repeated;
            assert!(repeated || matches!(count.as_deref(), None | Some(b"1")), "{slot} was executed twice");
            let Some(outcome) = self.fleet.outcome(*slot) else {
                unreachable!("{slot} ({kind:?}) never settled")
            };
            self.check_elements(*slot, outcome);
            match outcome {
                Outcome::Reply(Frame::Error(text)) => {
                    tally.told += 1;
                    assert!(REFUSALS.iter().any(|code| text.starts_with(code)), "{slot}: {text:?}");
                    assert!(repeated || count.is_none(), "{slot} was executed");
                }
                Outcome::Reply(frame) => {
                    tally.replies += 1;
                    check_reply(*slot, *kind, frame, times, tally);
                }
                Outcome::Unanswered => tally.unanswered += 1,
                Outcome::Leased(_) => {
                    tally.leases += 1;
                    assert_eq!(*kind, Kind::Lease);
                }
                Outcome::Cancelled(maybe) => assert!(*maybe || times == 0, "{slot} was executed"),
                Outcome::Failed(failure) => {
                    assert!(failure.maybe_executed || times == 0, "{slot} was executed: {failure:?}");
                    self.count(failure, tally);
                }
            }
        }
        let ended = |reasons: &[Reason]| {
            self.fleet.closed.iter().filter(|(_, reason)| reasons.contains(reason)).count() as u32
        };
        tally.idle += ended(&[Reason::Closed]);
        tally.silent += ended(&[Reason::Silent]);
        tally.wrong_passwords += ended(&[Reason::Authentication]);
        tally.refused += ended(&[Reason::Demoted, Reason::Loading, Reason::Unauthenticated]);
        tally.rests += self.fleet.rests;
    }

    /// What was pushed for a blocking command is still there, or it was told.
    fn check_elements(&self, slot: u32, outcome: &Outcome) {
        let pushed = self.pushed.get(&slot).copied().unwrap_or_default();
        let taken = pushed - self.fleet.server.store.len(&format!("q{slot}"));
        let told = match outcome {
            Outcome::Reply(frame) => {
                return assert_eq!(taken == 1, matches!(frame, Frame::Array(_)) && pushed > 0);
            }
            Outcome::Failed(failure) => failure.maybe_executed,
            Outcome::Cancelled(maybe) => *maybe,
            Outcome::Unanswered | Outcome::Leased(_) => true,
        };
        assert!(taken == 0 || (taken == 1 && told), "{slot} took {taken} elements: {outcome:?}");
    }

    fn count(&self, failure: &Failure, tally: &mut Tally) {
        match failure.maybe_executed {
            true => tally.in_doubt += 1,
            false => tally.never_sent += 1,
        }
        match failure.reason {
            Reason::LeaseLost => tally.lost += 1,
            Reason::PoolTimeout => tally.late += 1,
            Reason::Timeout => tally.timeouts += 1,
            Reason::QueueFull if self.drop_oldest => tally.dropped += 1,
            Reason::QueueFull => tally.full += 1,
            Reason::HighWater => tally.high += 1,
            _ => {}
        }
    }
}

fn check_reply(slot: u32, kind: Kind, frame: &Frame, times: u32, tally: &mut Tally) {
    match (kind, frame) {
        (Kind::Echo, frame) => assert_eq!(*frame, bulk(own(slot))),
        (Kind::Incr, frame) => assert_eq!(*frame, Frame::Integer(1)),
        (Kind::Repeated, frame) => assert_eq!(*frame, Frame::Integer(times.into())),
        (Kind::Both, frame) => {
            assert_eq!(*frame, Frame::Array(vec![bulk(format!("b{slot}")), Frame::Integer(1)]));
        }
        (Kind::Blpop, Frame::Null) => tally.expired += 1,
        (Kind::Blpop, frame) => {
            tally.popped += 1;
            assert_eq!(*frame, Frame::Array(vec![bulk(format!("q{slot}")), bulk(format!("e{slot}"))]));
        }
        (Kind::Exec, Frame::Null) => tally.conflicts += 1,
        (Kind::Exec, frame) => assert_eq!(*frame, Frame::Array(vec![Frame::Integer(1)])),
        (Kind::Change, frame) => assert_eq!(*frame, Frame::Boolean(true)),
        (Kind::Script, frame) => {
            tally.scripts += 1;
            assert_eq!(*frame, bulk(format!("v{slot}")));
        }
        (Kind::Lock, Frame::Integer(0)) => tally.taken += 1,
        (Kind::Lock, Frame::Integer(_)) => tally.locks += 1,
        (Kind::Unlock, frame) => assert_eq!(*frame, Frame::Integer(1), "{slot} gives back what it had"),
        (kind, frame) => unreachable!("{slot} ({kind:?}) has {frame:?}"),
    }
}
