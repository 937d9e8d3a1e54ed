//! What a server refuses on a link that is ready, and what comes of it.
//!
//! ```text
//!   -READONLY    it was made a replica: another may have its name now   \
//!   -LOADING     it was restarted                                        | the link ends once what is in flight is answered;
//!   -NOAUTH      it forgot who the client is                             | what was refused is sent again on the next one
//!   -WRONGPASS   it knows better than the new credentials               /
//! ```

use super::{Connection, State};
use crate::machine::Reason;
use crate::time::Instant;

/// What an error is.
pub(super) enum Look {
    /// More of it must be known first.
    More,
    /// The command was not executed, and is sent again.
    Refused,
    /// A reply like any other.
    Reply,
}

const REFUSALS: [(&[u8], Reason); 4] = [
    (b"-READONLY ", Reason::Demoted),
    (b"-LOADING ", Reason::Loading),
    (b"-NOAUTH ", Reason::Unauthenticated),
    (b"-WRONGPASS ", Reason::Unauthenticated),
];

/// This much of what breaks the protocol is quoted.
const QUOTED: usize = 32;

impl Connection {
    /// Looks what the error is that begins `input`.
    #[cold]
    #[inline(never)]
    pub(super) fn look(&mut self, now: Instant, input: &[u8]) -> Look {
        let rested = self.link.leaving.is_some() || self.session.refusable <= now;
        if !rested || !matches!(self.link.state, State::Ready) {
            return Look::Reply;
        }
        let Some((_, reason)) = REFUSALS.into_iter().find(|(code, _)| input.starts_with(code)) else {
            let more = REFUSALS.iter().any(|(code, _)| code.starts_with(input));
            return if more { Look::More } else { Look::Reply };
        };
        let own = self.queue.is_own();
        // a caller may send an AUTH of its own, and where there are no credentials the next link would fare no better
        let ours = input.starts_with(b"-W") == own && self.config.credentials.is_some();
        if reason == Reason::Unauthenticated && !ours {
            return Look::Reply;
        }
        self.link.leaving = Some(reason);
        self.session.refusable = now.limit(self.config.backoff.1);
        // where nothing waits for another link, the server's own words tell more
        if self.lane == 0 && self.config.offline.commands > 0 && self.queue.refuse(reason == Reason::Demoted)
        {
            Look::Refused
        } else {
            Look::Reply
        }
    }

    /// Keeps the beginning of what broke the protocol, where it was the first that came: what comes later may be somebody's data.
    #[cold]
    #[inline(never)]
    pub(super) fn quote(&mut self, input: &[u8]) {
        self.session.detail.clear();
        if let State::Shaking(handshake) = &self.link.state
            && handshake.is_unanswered()
        {
            let line = input.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
            self.session.detail.extend_from_slice(line.get(..QUOTED).unwrap_or(line));
        }
    }
}
