//! Commands coming in.

use super::{Entry, Queue, Role};
use crate::batch::{Arguments, Batch, Malformed, Request, flags};
use crate::connection::traces::Note;
use crate::shape::Shape;
use crate::table::{self, Effect, Row, RowId};
use crate::time::Instant;
use alloc::vec::Vec;

/// On which terms commands are accepted.
#[derive(Clone, Copy, Debug)]
pub(in crate::connection) struct Terms {
    pub(in crate::connection) now: Instant,
    /// Milliseconds that a command has, once a link is ready, where it says nothing else.
    pub(in crate::connection) timeout: u32,
    /// How long commands may wait for the link that is not ready, if so.
    pub(in crate::connection) wait: Option<u32>,
}

impl Queue {
    /// Accepts the commands of `whole`, all or none; those that block are put `aside`, where that is given, and not sent.
    pub(in crate::connection) fn accept<'a>(
        &mut self,
        terms: &Terms,
        whole: &Batch<'a>,
        mut aside: Option<&mut Vec<Batch<'a>>>,
    ) -> Result<(), Malformed> {
        let mut batch = *whole;
        let accepted = self.entries.len();
        let (mark, mut at) = self.outbound.begin(&batch);
        loop {
            let step = match batch.head() {
                Ok(Some(request)) => {
                    let known = known_row(&request);
                    match &mut aside {
                        Some(aside) if known.may_block() && blocks(known, &request) => {
                            take_out(whole, &request, &mut batch).map(|one| {
                                aside.push(one);
                                at
                            })
                        }
                        _ => self.push(terms, at, known, &request, &mut batch),
                    }
                }
                Ok(None) => break,
                Err(malformed) => Err(malformed),
            };
            match step {
                Ok(end) => at = end,
                Err(malformed) => {
                    self.entries.truncate(accepted);
                    self.outbound.revert(mark);
                    return Err(malformed);
                }
            }
        }
        self.outbound.finish(at);
        Ok(())
    }

    #[inline]
    fn push(
        &mut self,
        terms: &Terms,
        at: usize,
        known: Row,
        request: &Request<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<usize, Malformed> {
        let named = is_named(request);
        let row = if named { Row::at(RowId::UNKNOWN) } else { known };
        let shape = shape_of(known, request);
        let start = self.outbound.offset(at);
        let mut at = at;
        let role = match request.flags & (flags::MULTI | flags::MEMBER | flags::EXEC | flags::SILENT) {
            0 => Role::Plain,
            flags::MULTI => Role::Multi,
            flags::MEMBER => Role::Member,
            flags::EXEC => Role::Exec,
            flags::SILENT => {
                at = self.outbound.precede(at, SKIP);
                Role::Plain
            }
            _ => return Err(Malformed::Words),
        };
        let continued = matches!(role, Role::Member | Role::Exec);
        let end = self.outbound.write(at, request, row, continued, batch)?;
        let (timeout, wait) = match role {
            // a transaction has the deadline of its EXEC
            Role::Multi | Role::Member => (0, 0),
            Role::Plain | Role::Exec => {
                let timeout = match request.timeout {
                    Some(timeout) => timeout,
                    None if known.may_block() => match own_limit(known, request) {
                        Some(0) => 0,
                        Some(own) if terms.timeout > 0 => own.saturating_add(MARGIN),
                        _ => terms.timeout,
                    },
                    None => terms.timeout,
                };
                (timeout, terms.wait.unwrap_or(timeout))
            }
        };
        let deadline = terms.now.limit(wait);
        let idempotent = request.flags & flags::IDEMPOTENT != 0;
        let args = (request.args().len() - if named { known.words() } else { 0 }) as u32;
        let slot = request.slot;
        self.entries.push(Entry {
            slot,
            role,
            shape,
            live: true,
            attended: request.flags & (flags::SCRIPT | flags::CONVERSATION) != 0,
            registration: 0,
            tries: 0,
            idempotent,
            refused: false,
            note: Note::Nothing,
            row: known,
            args,
            timeout,
            since: terms.now,
            deadline,
            start,
        });
        self.next_deadline = self.next_deadline.min(deadline);
        Ok(end)
    }
}

/// Has the server not answer the next command.
const SKIP: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n";
/// How long what the server does in between may take when it holds its reply back at will.
const MARGIN: u32 = 1000;

/// Gives how many milliseconds the server may hold back its reply, as the command's arguments say.
fn own_limit(known: Row, request: &Request<'_>) -> Option<u32> {
    let names = if is_named(request) { known.words() } else { 0 };
    let (count, Batch { words, text, side }) = (request.args().len(), request.args().rest());
    limit_of(known, names, count, words, text, side)
}

/// The same, of arguments that are behind `names` words. See `Shape::of` for why they come in parts.
#[inline(never)]
fn limit_of(known: Row, names: usize, count: usize, words: &[u32], text: &[u8], side: &[u8]) -> Option<u32> {
    known.time_limit(Arguments::new(count, Batch { words, text, side }).skip(names).map(|arg| arg.bytes()))
}

fn is_named(request: &Request<'_>) -> bool {
    request.flags & flags::NAMED != 0
}

/// Gives the row of a command, also of one that comes by its name.
#[inline]
pub(crate) fn known_row(request: &Request<'_>) -> Row {
    if is_named(request) { named_row(request.args()) } else { Row::at(request.row) }
}

/// Tells whether the server may hold back its reply to a command whose row says so, and anyone's link will do for it.
#[cold]
#[inline(never)]
fn blocks(known: Row, request: &Request<'_>) -> bool {
    request.flags & (flags::MULTI | flags::MEMBER | flags::EXEC) == 0
        && known.effect() == Effect::None
        && own_limit(known, request).is_some()
}

/// Takes the arguments of `request` off `batch`, a rest of `whole`; gives the batch of that one command.
#[cold]
#[inline(never)]
fn take_out<'a>(
    whole: &Batch<'a>,
    request: &Request<'a>,
    batch: &mut Batch<'a>,
) -> Result<Batch<'a>, Malformed> {
    let before = request.args().rest();
    let head = 3 + usize::from(request.timeout.is_some());
    batch.pass(request.args().len())?;
    let words = whole.words.len() - before.words.len() - head..whole.words.len() - batch.words.len();
    Ok(Batch {
        words: whole.words.get(words).unwrap_or_default(),
        text: before.text.get(..before.text.len() - batch.text.len()).unwrap_or_default(),
        side: before.side.get(..before.side.len() - batch.side.len()).unwrap_or_default(),
    })
}

/// Gives the shape of the reply to a command.
#[inline]
pub(in crate::connection) fn shape_of(known: Row, request: &Request<'_>) -> Shape {
    match request.flags & flags::RAW {
        0 if is_named(request) => named_shape(known, request.args()),
        0 => known.shape_with(request.args()),
        _ => Shape::RAW,
    }
}

#[inline(never)]
fn named_row(args: Arguments<'_>) -> Row {
    let mut words = args.map(|word| word.bytes());
    Row::at(table::find_words(words.next().unwrap_or_default(), words.next()))
}

#[inline(never)]
fn named_shape(known: Row, mut args: Arguments<'_>) -> Shape {
    args.by_ref().take(known.words()).for_each(drop);
    known.shape_with(args)
}
