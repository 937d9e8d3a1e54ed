//! From bytes to replies.

use super::adapter;
use super::handshake::Progress;
use super::inbound::{Route, Router};
use super::refusal::Look;
use super::{Connection, State};
use crate::machine::{Reason, ReplySink};
use crate::time::Instant;

impl Connection {
    /// Decides whose reply begins with `first`.
    #[inline(always)]
    fn route<S: ReplySink>(&mut self, first: u8, sink: &mut S) -> Result<Route, Reason> {
        if first == b'>' || self.is_unasked(first) {
            return Ok(if self.session.listening.is_some() { Route::Notice } else { Route::Push });
        }
        if matches!(self.link.state, State::Shaking(_)) {
            return Ok(Route::Handshake);
        }
        if self.lane != 0 {
            self.foresee(first)?;
        }
        let entry = self.queue.current().ok_or(Reason::Unsolicited)?;
        let mut route = Route::of(entry, self.is_flat());
        if let Some(cache) = &mut self.cache
            && cache.begin(entry.registration, first, !entry.live)
            && let Route::Forward(adapter) = route
        {
            route = Route::Shared(adapter);
        }
        route.begin(entry, sink);
        Ok(route)
    }

    /// Takes the end of a reply.
    fn answered<S: ReplySink>(&mut self, now: Instant, route: &Route, sink: &mut S) -> Result<(), Reason> {
        match (route, &mut self.link.state) {
            (Route::Push | Route::Kept(_), _) => {}
            (Route::Notice, _) => return self.noticed(now, sink),
            (Route::Handshake, State::Shaking(handshake)) => {
                match handshake.end(&self.config, &mut self.session.detail) {
                    Progress::More => {}
                    Progress::Done => {
                        let server = handshake.server();
                        self.agree(now, server);
                    }
                    Progress::Fail(reason) => return Err(reason),
                    Progress::Forbidden(error) => self.forbidden(now, error, sink),
                }
            }
            (Route::Refused, _) => {}
            _ => {
                route.end(sink);
                self.answer();
                if self.lane != 0 {
                    self.settle_silent();
                }
            }
        }
        Ok(())
    }

    /// Takes what comes in; gives how many bytes were used.
    pub(super) fn read<S: ReplySink>(
        &mut self,
        now: Instant,
        input: &[u8],
        sink: &mut S,
    ) -> Result<usize, Reason> {
        let mut consumed = 0;
        while let Some((rest, &first)) = input.get(consumed..).and_then(|rest| Some((rest, rest.first()?))) {
            if self.is_plain() {
                match self.read_short(rest, sink) {
                    0 => {}
                    used => {
                        consumed += used;
                        continue;
                    }
                }
            }
            let mut route = match self.link.route.take() {
                Some(route) => route,
                None if first == b'-' => match self.look(now, rest) {
                    Look::More => break,
                    Look::Refused => Route::Refused,
                    Look::Reply => self.route(first, sink)?,
                },
                None if self.session.listening.is_some() => match self.messages(now, rest, sink) {
                    0 => self.route(first, sink)?,
                    used => {
                        consumed += used;
                        continue;
                    }
                },
                None => self.route(first, sink)?,
            };
            let flat = self.is_flat();
            let mut router = Router {
                route: &mut route,
                queue: &self.queue,
                handshake: match &mut self.link.state {
                    State::Shaking(handshake) => Some(handshake.reply()),
                    _ => None,
                },
                cache: self.cache.as_deref_mut().zip(self.config.cache.as_ref()),
                listener: self
                    .session
                    .listening
                    .as_ref()
                    .map(|listening| (&mut self.link.reading, listening.slot())),
                flat,
                shaper: &mut self.link.shaper,
                sink,
            };
            let decoded = match self.link.decoder.decode(rest, &mut router) {
                Ok(decoded) => decoded,
                Err(error) => {
                    self.quote(rest);
                    return Err(Reason::Protocol(error));
                }
            };
            consumed += decoded.consumed;
            if let (Some(cache), Some(caching)) = (&mut self.cache, &self.config.cache) {
                let part = rest.get(..decoded.consumed).unwrap_or_default();
                cache.record(caching, now, part, decoded.done);
            }
            if !decoded.done {
                self.link.route = Some(route);
                // the decoder paused for a text that is taken here
                if decoded.consumed > 0 && self.takes_texts() {
                    continue;
                }
                break;
            }
            self.answered(now, &route, sink)?;
            if let Some(reason) = self.link.leaving.filter(|_| self.queue.is_drained()) {
                return Err(reason);
            }
        }
        Ok(consumed)
    }

    /// Tells whether what comes next is the reply to a command, and nobody looks on.
    #[inline]
    fn is_plain(&self) -> bool {
        self.link.route.is_none()
            && matches!(self.link.state, State::Ready)
            && self.lane == 0
            && self.cache.is_none()
            && self.session.listening.is_none()
            && self.link.leaving.is_none()
    }

    /// Takes replies of one short value that needs no shaping or says that a command is queued, most of what there is, for as long as
    /// they come; gives the bytes used.
    #[inline]
    fn read_short<S: ReplySink>(&mut self, input: &[u8], sink: &mut S) -> usize {
        let mut used = 0;
        while let Some(entry) = self.queue.plain() {
            let rest = input.get(used..).unwrap_or_default();
            let Some((event, length)) = self.link.decoder.short_reply(rest) else { break };
            let Some(event) = adapter::unshaped(entry.shape.passes(), event) else { break };
            sink.begin(entry.slot);
            sink.event(event);
            sink.end();
            self.queue.pass();
            used += length;
        }
        if used > 0 {
            self.queue.retire();
        }
        used + self.queue.take_queued(input.get(used..).unwrap_or_default())
    }
}
