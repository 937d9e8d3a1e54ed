//! What the world does to a pool, and what the pool wants of it: each link's business is its connection's.

use super::{Lane, Pool, User, waiting::Want};
use crate::batch::{Batch, Malformed};
use crate::connection::Connection;
use crate::machine::{Action, LeaseId, LinkId, Machine, ReplySink, Segment, Slot};
use crate::time::Instant;
use alloc::vec::Vec;

impl Machine for Pool {
    fn submit(&mut self, now: Instant, batch: &Batch<'_>) -> Result<(), Malformed> {
        let mut aside = Vec::new();
        self.shared.accept(now, batch, Some(&mut aside))?;
        for one in aside {
            self.divert(now, &one);
        }
        Ok(())
    }

    fn submit_on(&mut self, now: Instant, lease: LeaseId, batch: &Batch<'_>) -> Result<(), Malformed> {
        if lease == LeaseId::SHARED { self.submit(now, batch) } else { self.submit_leased(now, lease, batch) }
    }

    fn lease(&mut self, now: Instant, slot: Slot) -> bool {
        self.admit(now, slot, Want::Lease);
        true
    }

    fn is_lost(&self, lease: LeaseId) -> bool {
        let connection = self.holder(lease).map(|at| &self.lanes[at].connection);
        lease != LeaseId::SHARED && connection.is_none_or(Connection::is_spent)
    }

    fn release(&mut self, now: Instant, lease: LeaseId) {
        let Some(at) = self.holder(lease) else { return };
        self.lanes[at].user = User::Passing;
        if self.lanes[at].connection.may_block() {
            self.lanes[at].connection.hang_up();
        }
        self.review(now, at);
    }

    fn cancel(&mut self, now: Instant, slot: Slot) -> Option<bool> {
        self.shared.cancel(now, slot).or_else(|| self.cancel_leased(now, slot))
    }

    fn handle_open(&mut self, now: Instant, link: LinkId) {
        if let Some(connection) = self.connection_mut(link) {
            connection.handle_open(now, link);
            self.follow(now, link);
        }
    }

    fn handle_bytes<S: ReplySink>(
        &mut self,
        now: Instant,
        link: LinkId,
        input: &[u8],
        sink: &mut S,
    ) -> usize {
        let Some(connection) = self.connection_mut(link) else { return input.len() };
        let used = connection.handle_bytes(now, link, input, sink);
        self.follow(now, link);
        used
    }

    fn handle_read(&mut self, link: LinkId, count: usize) -> usize {
        self.connection_mut(link).map_or(0, |connection| connection.handle_read(link, count))
    }

    fn handle_closed(&mut self, now: Instant, link: LinkId) {
        if let Some(connection) = self.connection_mut(link) {
            connection.handle_closed(now, link);
            self.follow(now, link);
        }
    }

    fn handle_untrusted(&mut self, now: Instant, link: LinkId) {
        if let Some(connection) = self.connection_mut(link) {
            connection.handle_untrusted(now, link);
            self.follow(now, link);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.shared.handle_timeout(now);
        if !self.lanes.is_empty() || !self.waiting.is_empty() {
            self.tend(now);
        }
    }

    fn handle_transmitted(&mut self, link: LinkId, count: usize) {
        if let Some(connection) = self.connection_mut(link) {
            connection.handle_transmitted(link, count);
        }
    }

    fn poll_transmit(&self, link: LinkId) -> Option<Segment<'_>> {
        self.connection(link)?.poll_transmit(link)
    }

    fn poll_cached<S: ReplySink>(&mut self, sink: &mut S) {
        self.shared.poll_cached(sink);
    }

    fn poll_action(&mut self) -> Option<Action> {
        let own = self.actions.pop().or_else(|| self.shared.poll_action());
        own.or_else(|| {
            // a leased connection that rests is nobody's news
            let next = |lane: &mut Lane| {
                core::iter::from_fn(|| lane.connection.poll_action()).find(|action| *action != Action::Rest)
            };
            self.lanes.iter_mut().find_map(next)
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let lanes = self.lanes.iter().map(|lane| {
            let idle = match lane.user {
                User::Idle(until) if lane.connection.is_linked() => until,
                // what was not answered settled when it was written
                User::Passing if !lane.connection.is_awaited() => Instant(0),
                _ => Instant::NEVER,
            };
            lane.connection.poll_timeout().unwrap_or(Instant::NEVER).min(idle)
        });
        let shared = self.shared.poll_timeout().unwrap_or(Instant::NEVER);
        let next = lanes.fold(shared.min(self.waiting.deadline()), Instant::min);
        Some(next).filter(|&at| at != Instant::NEVER)
    }
}

impl Pool {
    fn connection_mut(&mut self, link: LinkId) -> Option<&mut Connection> {
        match link.lane() {
            0 => Some(&mut self.shared),
            lane => self.lanes.get_mut(usize::from(lane) - 1).map(|lane| &mut lane.connection),
        }
    }

    /// Looks after the connection of `link` when something happened there.
    #[inline]
    fn follow(&mut self, now: Instant, link: LinkId) {
        match usize::from(link.lane()).checked_sub(1) {
            Some(at) if at < self.lanes.len() => self.review(now, at),
            _ if self.limits.min_idle > 0 => self.supply(now),
            _ => {}
        }
    }
}
