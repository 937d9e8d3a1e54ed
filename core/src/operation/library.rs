//! Loading a library, and asking what is in it.

use super::{Answer, Operation, Outgoing, Reply, Step};
use crate::batch::{Kept, Request, flags};
use crate::draft;
use crate::machine::Failure;
use crate::table::RowId;
use crate::time::Instant;
use core::ops::ControlFlow;

const LOAD: RowId = const { draft::id("FUNCTION LOAD") };
const LIST: RowId = const { draft::id("FUNCTION LIST") };

/// FUNCTION LOAD, and, when that went well, FUNCTION LIST about the library that the server says the code is of. They do not go at once: a
/// server that refused the first would answer the second for another.
pub(super) struct Load {
    code: Kept,
    timeout: Option<u32>,
    loaded: bool,
}

impl Load {
    pub(super) fn new(request: &Request<'_>) -> Self {
        let mut code = Kept::default();
        request.args().for_each(|arg| code.push(arg));
        Self { code, timeout: request.timeout, loaded: false }
    }
}

impl Operation for Load {
    fn next(&mut self, _: Instant, out: &mut Outgoing<'_>) -> Step {
        out.command_with(LOAD, flags::RAW, self.timeout, &[], &core::mem::take(&mut self.code));
        Step::Listen
    }

    fn reply(&mut self, _: Instant, reply: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        self.loaded = true;
        let name = match &reply {
            Reply::Error(text) => return ControlFlow::Break(Answer::Error(text.clone())),
            Reply::Text(name) => name,
            // too long a name to be kept: all are listed
            _ => &b"*"[..],
        };
        out.command(LIST, flags::IDEMPOTENT, self.timeout, &[b"LIBRARYNAME", name]);
        ControlFlow::Continue(Step::Forward(b""))
    }

    fn failed(&mut self, _: Instant, failure: Failure, _: &mut Outgoing<'_>) -> ControlFlow<Failure, Step> {
        let maybe_executed = self.loaded || failure.maybe_executed;
        ControlFlow::Break(Failure { maybe_executed, ..failure })
    }
}
