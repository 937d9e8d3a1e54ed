//! Calling a script by its digest, with its text when the server does not know it.

use super::{Answer, Operation, Outgoing, Reply, Step};
use crate::argument::ToArg;
use crate::batch::{Argument, Kept, Request, flags};
use crate::command::{Call, Command};
use crate::draft;
use crate::sha1::sha1_hex;
use crate::table::RowId;
use crate::time::Instant;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// Gives the command that is given a script's text where `row` is given its digest.
pub(crate) fn by_text(row: RowId) -> RowId {
    if row == EVALSHA_RO { EVAL_RO } else { EVAL }
}

/// Tells whether the command in `row` is given a script's text.
pub(crate) fn has_text(row: RowId) -> bool {
    row == EVAL || row == EVAL_RO
}

pub(super) const EVAL: RowId = const { draft::id("EVAL") };
const EVAL_RO: RowId = const { draft::id("EVAL_RO") };
const EVALSHA: RowId = const { draft::id("EVALSHA") };
const EVALSHA_RO: RowId = const { draft::id("EVALSHA_RO") };

/// How a server says that it does not know a script; one that it ran may say NOSCRIPT of something else.
pub(super) const NOSCRIPT: &[u8] = b"NOSCRIPT No matching script";

/// A Lua script with its digest: cheap to clone, sends nothing by itself.
#[derive(Clone)]
pub struct Script(Arc<Source>);

struct Source {
    sha: [u8; 40],
    text: Vec<u8>,
}

/// Tells the digest.
impl core::fmt::Debug for Script {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Script").field(&self.sha()).finish()
    }
}

impl Script {
    /// Makes one of `lua`; no server is asked.
    pub fn new(lua: impl Into<Vec<u8>>) -> Self {
        Self::of(lua.into())
    }

    #[inline(never)]
    fn of(text: Vec<u8>) -> Self {
        Self(Arc::new(Source { sha: sha1_hex(&text), text }))
    }

    /// Gives the text.
    pub fn text(&self) -> &[u8] {
        &self.0.text
    }

    /// Gives the SHA-1 of the text, 40 hexadecimal digits.
    pub fn sha(&self) -> &str {
        core::str::from_utf8(self.digits()).unwrap_or_default()
    }

    /// Makes a call: EVALSHA with `keys` and `args`, and EVAL where the server does not know the script, so a `SCRIPT FLUSH` is never
    /// noticed. Among other commands, in a tuple or a transaction, the text is sent with the first call, since what follows must not run
    /// before it, and with each call of a script that is not among the first 256 there, with those that EVAL is given behind the first.
    ///
    /// The reply reads as `R`, whatever the script returns.
    ///
    /// ```
    /// use redwire_core::operation::Script;
    /// let multiply = Script::new("return redis.call('get', KEYS[1]) * ARGV[1]");
    /// let call = multiply.call::<i64>(&["foo"], &[&5]);
    /// ```
    pub fn call<R>(&self, keys: &[&str], args: &[&dyn ToArg]) -> Command<R> {
        self.command(EVALSHA, keys, args)
    }

    /// Likewise, with EVALSHA_RO: the server refuses a script that writes. Needs Redis 7.0.
    pub fn call_ro<R>(&self, keys: &[&str], args: &[&dyn ToArg]) -> Command<R> {
        self.command(EVALSHA_RO, keys, args)
    }

    fn command<R>(&self, row: RowId, keys: &[&str], args: &[&dyn ToArg]) -> Command<R> {
        let mut call = Call::of(row);
        call.script = Some(self.clone());
        let command = Command::from_call(call).arg(self.digits()).arg(keys.len()).args(keys);
        command.args(args)
    }

    pub(crate) fn digits(&self) -> &[u8; 40] {
        &self.0.sha
    }
}

/// One call: EVALSHA, and EVAL when the server answers NOSCRIPT. That one loads the script too, and cannot meet another `SCRIPT FLUSH`.
pub(super) struct ScriptCall {
    script: Script,
    row: RowId,
    flags: u32,
    timeout: Option<u32>,
    /// What stands behind the digest.
    rest: Kept,
}

impl ScriptCall {
    /// Makes the call that begins with the EVALSHA in `request`.
    pub(super) fn new(script: Script, request: &Request<'_>) -> Self {
        let mut rest = Kept::default();
        let mut args = request.args();
        args.next();
        for arg in args {
            rest.push(arg);
        }
        let flags = request.flags & (flags::RAW | flags::IDEMPOTENT);
        Self { script, row: request.row, flags, timeout: request.timeout, rest }
    }

    /// Makes a call with these words behind the digest.
    #[inline(never)]
    pub(super) fn with(script: Script, timeout: Option<u32>, words: &[&[u8]]) -> Self {
        let mut rest = Kept::default();
        for word in words {
            rest.push(Argument::Bytes(word));
        }
        Self { script, row: EVALSHA, flags: 0, timeout, rest }
    }

    /// Sends the text where the digest was not known.
    pub(super) fn send_text(&self, out: &mut Outgoing<'_>) {
        self.send(by_text(self.row), self.script.text(), out);
    }

    #[inline(never)]
    fn send(&self, row: RowId, first: &[u8], out: &mut Outgoing<'_>) {
        out.command_with(row, self.flags, self.timeout, &[first], &self.rest);
    }
}

impl Operation for ScriptCall {
    fn next(&mut self, _: Instant, out: &mut Outgoing<'_>) -> Step {
        self.send(self.row, self.script.digits(), out);
        Step::Forward(NOSCRIPT)
    }

    fn reply(&mut self, _: Instant, _: Reply, out: &mut Outgoing<'_>) -> ControlFlow<Answer, Step> {
        self.send_text(out);
        ControlFlow::Continue(Step::Forward(b""))
    }
}
