//! Commands that wait to be run: a row, arguments, and the type of the reply.

use crate::argument::{Arguments, ToArg};
use crate::owned::{Frame, ToText};
use crate::resp::encode::{self, Buffer, Full};
use crate::table::{Row, RowId};
use core::marker::PhantomData;

/// A command whose reply reads as `R`. It does nothing until something runs it; any number of times, when cloned.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use redwire_core::commands;
/// let mut wire = Vec::new();
/// commands::get("k").encode(&mut wire)?;
/// assert_eq!(wire, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
/// # }
/// # Ok::<(), redwire_core::resp::Full>(())
/// ```
pub struct Command<R> {
    call: Call,
    reply: PhantomData<fn() -> R>,
}

/// A command without the type of its reply.
#[derive(Clone, Debug)]
pub struct Call {
    row: RowId,
    raw: bool,
    idempotent: bool,
    cached: Option<bool>,
    /// The script that it calls by its digest.
    #[cfg(feature = "alloc")]
    pub(crate) script: Option<crate::operation::Script>,
    pub(crate) args: Arguments,
}

/// Makes a command from its name, known to the table or not; arguments are added with [`arg`](Command::arg).
///
/// A command of several words takes its first word here and the others as arguments.
pub fn command(name: &str) -> Command<Frame> {
    Command::of(RowId::UNKNOWN).arg(name)
}

/// Makes a command whose reply keeps the form that the server gave it, whatever the table says.
pub fn raw(name: &str) -> Command<Frame> {
    let mut command = command(name);
    command.call.raw = true;
    command
}

impl<R> Command<R> {
    /// Makes a command of the table without arguments.
    pub(crate) fn of(row: RowId) -> Self {
        Self::from_call(Call::of(row))
    }

    pub(crate) fn from_call(call: Call) -> Self {
        Self { call, reply: PhantomData }
    }

    /// Adds the arguments that `write` writes.
    pub(crate) fn with(mut self, write: impl FnOnce(&mut Arguments)) -> Self {
        write(&mut self.call.args);
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl ToArg) -> Self {
        arg.write_to(&mut self.call.args);
        self
    }

    /// Adds every argument that `args` gives.
    pub fn args(self, args: impl IntoIterator<Item = impl ToArg>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Says that executing the command twice does no harm: it is sent again when its link is lost before the reply, as commands that
    /// only read are anyway. Nothing that is part of a transaction ever is.
    pub fn idempotent(mut self) -> Self {
        self.call.idempotent = true;
        self
    }

    /// Reads the reply as `T` instead.
    pub fn typed<T>(self) -> Command<T> {
        Command { call: self.call, reply: PhantomData }
    }

    /// Reads bytes in the reply as UTF-8 text.
    pub fn text(self) -> Command<R::Text>
    where
        R: ToText,
    {
        self.typed()
    }

    /// Says whether the reply may be kept, and come from what is kept, where the client keeps replies (`Config::cache`). Unless it is
    /// said it may, but for clients that are told so command by command (`Tracking::OptIn`). In transactions it means nothing.
    pub fn cached(mut self, cached: bool) -> Self {
        self.call.cached = Some(cached);
        self
    }

    /// Gives the command without the type of its reply.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Appends the command to `buffer` as it goes over the wire; gives its length in bytes.
    ///
    /// # Errors
    /// [`Full`] when there is a [fault](crate::argument::Arguments::fault) in the arguments; when `buffer`, or without `alloc` the command's own room for arguments
    /// ([`CAPACITY`](crate::argument::CAPACITY)), is too small; nothing was appended then.
    pub fn encode<B: Buffer>(&self, buffer: &mut B) -> Result<usize, Full> {
        self.call.encode(buffer)
    }
}

impl Call {
    pub(crate) fn of(row: RowId) -> Self {
        Self {
            row,
            raw: false,
            idempotent: false,
            cached: None,
            #[cfg(feature = "alloc")]
            script: None,
            args: Arguments::default(),
        }
    }

    /// Gives the script that it calls by its digest, where it is one of [`Script`](crate::operation::Script)'s.
    #[cfg(feature = "alloc")]
    pub fn script(&self) -> Option<&crate::operation::Script> {
        self.script.as_ref()
    }

    /// Gives the row.
    pub fn row(&self) -> RowId {
        self.row
    }

    /// Gives the row, also of a command that was made from its name.
    #[cfg(feature = "alloc")]
    pub(crate) fn known(&self) -> Row {
        let mut words = self.args.iter();
        let mut named = || crate::table::find_words(words.next().unwrap_or_default(), words.next());
        Row::at(if self.row == RowId::UNKNOWN { named() } else { self.row })
    }

    /// Tells whether the reply keeps the form that the server gave it.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Tells whether the caller said that executing it twice does no harm.
    pub fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// Tells whether the reply may be kept, if that was said.
    pub fn is_cached(&self) -> Option<bool> {
        self.cached
    }

    /// Gives the arguments, with the name first where the row is [`RowId::UNKNOWN`].
    pub fn args(&self) -> &Arguments {
        &self.args
    }

    /// Appends the command to `buffer`, like [`Command::encode`].
    ///
    /// # Errors
    /// [`Full`], likewise.
    pub fn encode<B: Buffer>(&self, buffer: &mut B) -> Result<usize, Full> {
        if self.args.fault().is_some() {
            return Err(Full);
        }
        let (head, used, words) = Row::at(self.row).head();
        let head = head.get(..used).unwrap_or_default();
        let count = words + self.args.iter().count();
        let bulks: usize = self.args.iter().map(|arg| encode::bulk_len(arg.len())).sum();
        let length = encode::header_len(count) + head.len() + bulks;
        buffer.reserve(length)?;
        encode::header(buffer, b'*', count);
        buffer.put(head);
        self.args.iter().for_each(|arg| encode::bulk(buffer, arg));
        Ok(length)
    }
}

impl<R> AsRef<Call> for Command<R> {
    fn as_ref(&self) -> &Call {
        &self.call
    }
}

impl<R> Clone for Command<R> {
    fn clone(&self) -> Self {
        Self { call: self.call.clone(), reply: PhantomData }
    }
}

impl<R> core::fmt::Debug for Command<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.call.fmt(f)
    }
}
