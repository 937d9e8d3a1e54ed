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

/// What was checked already.
#[derive(Default)]
pub(crate) struct Seen {
    /// Slots that did not settle.
    pub(crate) open: BTreeSet<u32>,
    /// Slots whose callers know that they were not executed.
    never: BTreeSet<u32>,
    /// How many slots settled.
    told: usize,
    /// Each slot's place among those that were submitted.
    order: BTreeMap<u32, usize>,
    /// How often each slot's command was executed.
    executed: BTreeMap<u32, u32>,
    /// How many links are over.
    over: usize,
    places: BTreeMap<LinkId, Place>,
    /// The link of each lease.
    links: BTreeMap<LeaseId, LinkId>,
}

/// How far a link was followed.
#[derive(Default)]
struct Place {
    logged: usize,
    count: usize,
    /// Whose the last command was, and its place among those that were submitted.
    user: Option<LeaseId>,
    last: usize,
}

impl World {
    /// What is true at any time.
    pub(crate) fn check_now(&mut self, tally: &mut Tally) {
        self.check_links(tally);
        self.check_settled(tally);
        let Self { fleet, .. } = self;
        let lanes: BTreeSet<u8> = fleet.wires.iter().map(|wire| wire.link.lane()).collect();
        assert_eq!(lanes.len(), fleet.wires.len(), "a lane has one link");
        assert!(lanes.iter().all(|&lane| lane <= self.limits.max_connections), "{lanes:?}");
        let places: BTreeSet<u8> = self.places.iter().map(|lease| lease.0 as u8).collect();
        assert_eq!(places.len(), self.places.len(), "a place has one holder");
        assert!(places.is_disjoint(&lanes), "{lanes:?} are open, {places:?} are places alone");
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

    /// What each link executed since the last time.
    fn check_links(&mut self, tally: &mut Tally) {
        let Self { fleet, seen, users, kinds, .. } = self;
        for slot in &fleet.submitted[seen.order.len()..] {
            seen.order.insert(*slot, seen.order.len() + 1);
        }
        let over = fleet.over[seen.over..].iter().map(|(link, session)| (*link, session));
        let live = fleet.wires.iter().filter_map(|wire| Some((wire.link, wire.session.as_ref()?)));
        for (link, session) in over.chain(live) {
            let place = seen.places.entry(link).or_default();
            for one in &session.log[place.logged..] {
                let Some(slot) = sender(&one.words) else { continue };
                let (kind, now) = (kinds[&slot], users.get(&slot).copied());
                tally.unknown += u32::from(one.refused && one.words[0] == b"EVALSHA");
                if !one.refused {
                    let times = seen.executed.entry(slot).or_default();
                    *times += 1;
                    tally.resent += u32::from(*times > 1);
                    let again = match kind {
                        Kind::Echo | Kind::Repeated if now.is_none() => RESENDS,
                        _ => 0,
                    };
                    assert!(*times <= 1 + u32::from(again), "{slot} ({kind:?}) was executed {times} times");
                    assert!(
                        !seen.never.contains(&slot),
                        "{slot} was executed though its caller was told otherwise"
                    );
                }
                // who comes next may have waited for long, and so may what goes on
                let another = place.count == 0 || now != place.user || now.is_none();
                let last = if link.lane() != 0 && another { 0 } else { place.last };
                if one.words[0] != b"EVAL" {
                    assert!(seen.order[&slot] > last, "{slot} was executed too late on {link:?}");
                    place.last = seen.order[&slot];
                } else {
                    place.last = last;
                }
                if let Some(lease) = now {
                    let own = *seen.links.entry(lease).or_insert(link);
                    assert_eq!(own, link, "{lease:?} has one link");
                }
                let blocks = one.words[0] == b"BLPOP";
                assert_eq!(link.lane() == 0, now.is_none() && !blocks, "{slot} is on the right link");
                if another {
                    tally.reused += u32::from(place.count > 0 && link.lane() != 0);
                    let inside = link.lane() == 0 && kind == Kind::Both;
                    assert!(
                        !one.changed || now.is_some() || inside,
                        "{slot} found what another had left on {link:?}"
                    );
                }
                (place.user, place.count) = (now, place.count + 1);
            }
            place.logged = session.log.len();
        }
        seen.over = fleet.over.len();
    }

    /// What settled since the last time.
    fn check_settled(&mut self, tally: &mut Tally) {
        if self.fleet.outcomes.len() == self.seen.told {
            return;
        }
        self.seen.told = self.fleet.outcomes.len();
        let settled = |slot: &&u32| self.fleet.outcomes.contains_key(slot);
        let settled: Vec<u32> = self.seen.open.iter().filter(settled).copied().collect();
        for slot in settled {
            self.seen.open.remove(&slot);
            if self.check_outcome(slot, tally) {
                self.seen.never.insert(slot);
            }
        }
    }

    /// What came of `slot`; gives whether its caller knows that it was not executed.
    fn check_outcome(&self, slot: u32, tally: &mut Tally) -> bool {
        let kind = self.kinds[&slot];
        let times = self.seen.executed.get(&slot).copied().unwrap_or_default();
        let count = self.fleet.server.store.text(&format!("n{slot}"));
        let repeated = kind == Kind::Repeated;
        assert!(repeated || matches!(count, None | Some(b"1")), "{slot} was executed twice");
        let unexecuted = match self.fleet.outcome(slot) {
            Some(Outcome::Reply(Frame::Error(text))) => {
                tally.told += 1;
                assert!(REFUSALS.iter().any(|code| text.starts_with(code)), "{slot}: {text:?}");
                assert!(repeated || count.is_none(), "{slot} was executed");
                false
            }
            Some(Outcome::Reply(frame)) => {
                tally.replies += 1;
                check_reply(slot, kind, frame, times, tally);
                false
            }
            Some(Outcome::Unanswered) => {
                tally.unanswered += 1;
                false
            }
            Some(Outcome::Leased(_)) => {
                match kind {
                    Kind::Place => tally.places += 1,
                    _ => tally.leases += 1,
                }
                assert!(matches!(kind, Kind::Lease | Kind::Place), "{slot} is no lease");
                false
            }
            Some(Outcome::Cancelled(maybe)) => !maybe,
            Some(Outcome::Failed(failure)) => {
                self.count(failure, tally);
                !failure.maybe_executed
            }
            None => unreachable!("{slot} settled"),
        };
        assert!(times == 0 || !unexecuted, "{slot} was executed");
        unexecuted
    }

    /// What came of everything.
    pub(crate) fn check(&self, tally: &mut Tally) {
        assert!(self.seen.open.is_empty(), "{:?} never settled", self.seen.open);
        for slot in self.kinds.keys() {
            self.check_elements(*slot, self.fleet.outcome(*slot).expect("it settled"));
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
