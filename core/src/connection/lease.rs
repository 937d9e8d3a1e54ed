//! What a pool asks of the connections that it leases.

use super::queue::Role;
use super::traces::{Note, Traces};
use super::{Config, Connection, State, handshake};
use crate::machine::{Action, Reason};
use crate::table::Effect;
use crate::time::Instant;

impl Connection {
    /// Begins another lease. Why the last attempt to connect failed stands until another may be made, where commands may wait for that.
    pub(crate) fn renew(&mut self, now: Instant) {
        let waits = self.session.rest > now && self.config.offline.commands > 0;
        if core::mem::take(&mut self.session.spent) || !waits {
            self.session.trouble = None;
        }
        self.session.traces = Traces::NONE;
    }

    /// Tells whether the lease has lost its link.
    pub(crate) fn is_spent(&self) -> bool {
        self.session.spent
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.link.state, State::Ready)
    }

    /// Tells whether there is a link, or one is being opened.
    pub(crate) fn is_linked(&self) -> bool {
        !matches!(self.link.state, State::Idle | State::Waiting)
    }

    /// Settles what was written and is not answered.
    pub(super) fn settle_silent(&mut self) {
        while let Some(entry) = self.queue.written().copied() {
            let traces = &mut self.session.traces;
            if traces.answers(entry.note) {
                break;
            }
            // nobody knows
            traces.pass(entry.note, true);
            self.queue.answer();
            if entry.live && matches!(entry.role, Role::Plain | Role::Exec) {
                self.actions.push(Action::Unanswered(entry.slot));
            }
        }
    }

    /// Looks at the first byte of the reply that is to be read.
    pub(super) fn foresee(&mut self, first: u8) -> Result<(), Reason> {
        let Some(entry) = self.queue.current() else { return Ok(()) };
        let traces = &mut self.session.traces;
        let refused = first == b'-';
        if !traces.answers(entry.note) || (refused && traces.is_doubtful(entry.note)) {
            return Err(Reason::Unsolicited);
        }
        traces.pass(entry.note, refused);
        match (entry.effect(), first) {
            (Effect::Hello, b'%') => self.session.server.protocol = 3,
            (Effect::Hello, b'*') | (Effect::Reset, b'+') => self.session.server.protocol = 2,
            _ => {}
        }
        Ok(())
    }

    /// Tells whether the server will answer what is sent next, and at once.
    pub(super) fn is_answered(&self) -> bool {
        let traces = self.outlook();
        traces.answers(Note::Nothing) && !traces.is_open()
    }

    /// Tells whether the server would answer what is asked now as it would on any other link: nothing was left behind there, and nothing
    /// that is not answered might leave something.
    pub(super) fn is_neutral(&self) -> bool {
        let harmless = |note| note == Note::Nothing;
        !self.session.spent && self.session.traces.is_none() && self.queue.notes().all(harmless)
    }

    /// Gives what the commands will have done to the link when all of them are executed.
    fn outlook(&self) -> Traces {
        let mut traces = self.session.traces;
        self.queue.notes().for_each(|note| traces.pass(note, false));
        traces
    }

    /// Tells the server new credentials, as soon as they become no part of the caller's transaction.
    #[cold]
    #[inline(never)]
    pub(super) fn introduce(&mut self) {
        if self.link.untold
            && !self.outlook().is_open()
            && let Some(credentials) = &self.config.credentials
        {
            self.link.untold = false;
            self.queue.ask(&handshake::auth(credentials));
        }
    }

    /// Tells whether nothing happens that is not asked for anew.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.link.state, State::Idle)
    }

    /// Tells whether the link is as good as a new one.
    pub(crate) fn is_clean(&self) -> bool {
        self.queue.is_empty() && self.link.route.is_none() && self.session.traces.is_none()
    }

    /// Tells whether the server has executed everything that it ever will.
    pub(crate) fn is_executed(&self) -> bool {
        self.queue.is_empty() && (self.session.traces.is_executed() || !self.is_linked())
    }

    /// Tells whether anybody waits for a reply.
    pub(crate) fn is_awaited(&self) -> bool {
        self.queue.is_awaited()
    }

    /// Tells whether somebody waits for a reply that the server may hold back.
    pub(crate) fn may_block(&self) -> bool {
        self.queue.may_block()
    }

    /// Tells whether the link waits for a reply that nobody wants any more and that the server may hold back at will.
    pub(crate) fn is_stuck(&self) -> bool {
        self.queue.blocked().is_some_and(|entry| !entry.live)
    }

    /// Ends the link, if any, and settles everything that waits; the next attempt is made no sooner for it.
    pub(crate) fn hang_up(&mut self) {
        self.close(Reason::Closed);
        (self.session.lasting, self.session.asked) = (false, false);
        self.link.state = State::Idle;
        self.link.deadline = Instant::NEVER;
        self.settle(Reason::Closed);
    }

    /// Ends the link of a lease, which is over with it.
    pub(crate) fn break_off(&mut self) {
        self.session.spent = true;
        self.hang_up();
    }
}
