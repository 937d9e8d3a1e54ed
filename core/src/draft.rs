//! What the builders of [`commands`](crate::commands) are made of: words in slots, each of which can be filled at any time.

use crate::argument::{Arguments, Fault, ToArg};
use crate::command::Call;
use crate::table::{self, Row, RowId};

/// The state of a choice that nothing was chosen from, or of a group of options that was not begun.
#[derive(Clone, Copy, Debug)]
pub enum Open {}

/// The state of a choice that was made, or of a group of options that was begun.
#[derive(Clone, Copy, Debug)]
pub enum Taken {}

/// A command, or a part of one, whose words lie in `N` slots: they are sent in the order of the slots, whichever is filled first.
#[derive(Clone, Debug)]
pub(crate) struct Draft<const N: usize> {
    pub(crate) call: Call,
    /// How many bytes of the arguments belong to each slot.
    lengths: [usize; N],
}

impl<const N: usize> Draft<N> {
    /// Makes a draft without words.
    pub(crate) fn new(row: RowId) -> Self {
        Self { call: Call::of(row), lengths: [0; N] }
    }

    /// Fills a slot with what `write` writes, instead of what is in it.
    pub(crate) fn with(self, slot: usize, write: impl FnOnce(&mut Arguments)) -> Self {
        let old = self.lengths[slot];
        self.filled(slot, old, write)
    }

    /// Adds what `write` writes to a slot.
    pub(crate) fn more(self, slot: usize, write: impl FnOnce(&mut Arguments)) -> Self {
        self.filled(slot, 0, write)
    }

    fn filled(mut self, slot: usize, old: usize, write: impl FnOnce(&mut Arguments)) -> Self {
        let args = &mut self.call.args;
        let end = args.size();
        write(args);
        let place: usize = self.lengths[..=slot].iter().sum::<usize>() - old;
        self.lengths[slot] = self.lengths[slot] - old + args.size() - end;
        args.settle(end, place, old);
        self
    }
}

/// Can be several arguments of a command.
pub(crate) trait ToArgs {
    /// Adds itself to `out`.
    fn write_all(&self, out: &mut Arguments);
}

impl<T: ToArg> ToArgs for T {
    fn write_all(&self, out: &mut Arguments) {
        self.write_to(out);
    }
}

macro_rules! tuples {
    ($($($name:ident)*;)*) => {$(
        impl<$($name: ToArgs),*> ToArgs for ($($name,)*) {
            #[allow(non_snake_case, reason = "the names of the types name the values")]
            fn write_all(&self, out: &mut Arguments) {
                let ($($name,)*) = self;
                $($name.write_all(out);)*
            }
        }
    )*};
}

tuples! {
    A B;
    A B C;
    A B C D;
    A B C D E;
}

/// Writes every item.
pub(crate) fn list(out: &mut Arguments, items: impl IntoIterator<Item = impl ToArgs>) {
    items.into_iter().for_each(|item| item.write_all(out));
}

/// Writes what `write` writes, which must be something: it is what the parameter of this name was given.
pub(crate) fn some(out: &mut Arguments, parameter: &'static str, write: impl FnOnce(&mut Arguments)) {
    let start = out.size();
    write(out);
    if out.size() == start {
        out.fail(Fault::Empty(parameter));
    }
}

/// Writes every item with its second part first.
pub(crate) fn swapped(out: &mut Arguments, pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) {
    list(out, pairs.into_iter().map(|(first, second)| (second, first)));
}

/// Writes the first parts of all items, then their second parts.
pub(crate) fn columns(
    out: &mut Arguments,
    pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg), IntoIter: Clone>,
) {
    let pairs = pairs.into_iter();
    list(out, pairs.clone().map(|(first, _)| first));
    list(out, pairs.map(|(_, second)| second));
}

/// Writes `token` before every item.
pub(crate) fn each(out: &mut Arguments, token: &str, items: impl IntoIterator<Item = impl ToArgs>) {
    list(out, items.into_iter().map(|item| (token, item)));
}

/// Writes what `write` writes behind the number of its words, or of its items where each is made of several.
pub(crate) fn counted(out: &mut Arguments, words: usize, write: impl FnOnce(&mut Arguments)) {
    let start = out.size();
    write(out);
    let end = out.size();
    (out.count_from(start) / words).write_to(out);
    out.settle(end, start, 0);
}

/// Finds a row while compiling; a name that the table does not have does not compile.
pub(crate) const fn id(name: &str) -> RowId {
    let mut row = table::COUNT;
    loop {
        // runs below zero, and so fails to compile, when there is no such row
        row -= 1;
        if Row::at(RowId(row as u16)).name().is(name) {
            return RowId(row as u16);
        }
    }
}

/// Makes the builder of a command with options: its slots, and what of it is [`Open`] or [`Taken`].
macro_rules! builder {
    ($(#[$doc:meta])* $name:ident $slots:literal $($state:ident)*) => {
        $(#[$doc])*
        pub struct $name<R $(, $state = crate::draft::Open)*>(
            crate::draft::Draft<$slots>,
            core::marker::PhantomData<fn() -> (R, $($state,)*)>,
        );

        impl<R $(, $state)*> $name<R $(, $state)*> {
            /// Reads the reply as `T` instead.
            pub fn typed<T>(self) -> $name<T $(, $state)*> {
                $name(self.0, core::marker::PhantomData)
            }

            /// Reads bytes in the reply as UTF-8 text.
            pub fn text(self) -> $name<R::Text $(, $state)*>
            where
                R: crate::owned::ToText,
            {
                self.typed()
            }

            /// Says that executing the command twice does no harm: see
            /// [`Command::idempotent`](crate::command::Command::idempotent).
            pub fn idempotent(self) -> crate::command::Command<R> {
                self.command().idempotent()
            }

            /// Gives the command as it stands.
            pub fn command(self) -> crate::command::Command<R> {
                crate::command::Command::from_call(self.0.call)
            }

            /// Appends the command to `buffer`, like [`Command::encode`](crate::command::Command::encode).
            ///
            /// # Errors
            /// [`Full`](crate::resp::Full), likewise.
            pub fn encode<B: crate::resp::Buffer>(&self, buffer: &mut B) -> Result<usize, crate::resp::Full> {
                self.0.call.encode(buffer)
            }
        }

        impl<R $(, $state)*> AsRef<crate::command::Call> for $name<R $(, $state)*> {
            fn as_ref(&self) -> &crate::command::Call {
                &self.0.call
            }
        }

        impl<R $(, $state)*> Clone for $name<R $(, $state)*> {
            fn clone(&self) -> Self {
                Self(self.0.clone(), core::marker::PhantomData)
            }
        }

        impl<R $(, $state)*> core::fmt::Debug for $name<R $(, $state)*> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.call.fmt(f)
            }
        }

        impl<R $(, $state)*> From<$name<R $(, $state)*>> for crate::command::Command<R> {
            fn from(builder: $name<R $(, $state)*>) -> Self {
                builder.command()
            }
        }

        #[cfg(feature = "alloc")]
        impl<R: crate::reply::FromReply $(, $state)*> crate::request::Request for $name<R $(, $state)*> {
            type Output = R;
            type Tried = Result<R, crate::error::Error>;

            fn calls(&self, each: &mut dyn FnMut(&crate::command::Call)) {
                each(&self.0.call);
            }

            fn read(&self, replies: &mut crate::request::Replies) -> Self::Tried {
                replies.take().and_then(R::from_reply)
            }

            fn try_read(&self, replies: &mut crate::request::Replies) -> Self::Tried {
                self.read(replies)
            }
        }
    };
}

/// Makes a part of a command that has options of its own.
macro_rules! part {
    ($(#[$doc:meta])* $name:ident $slots:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(crate::draft::Draft<$slots>);

        impl crate::draft::ToArgs for $name {
            fn write_all(&self, out: &mut crate::argument::Arguments) {
                out.append(self.0.call.args());
            }
        }
    };
}

/// Makes choices of words.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$word_doc])* $word,)*
        }

        impl crate::argument::ToArg for $name {
            fn write_to(&self, args: &mut crate::argument::Arguments) {
                args.push(match self {
                    $(Self::$word => $text,)*
                });
            }
        }
    )*};
}

pub(crate) use {builder, part, words};

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn slots_are_sent_in_order_and_hold_what_was_said_last() {
        let draft = Draft::<3>::new(RowId::UNKNOWN)
            .with(2, |out| "last".write_to(out))
            .with(0, |out| counted(out, 2, |out| columns(out, [("a", 1), ("b", 2)])))
            .with(1, |out| list(out, ["first", "try"]))
            .with(1, |out| each(out, "GET", ["second"]))
            .more(1, |out| swapped(out, [("one", "other")]));
        let words: Vec<&[u8]> = draft.call.args().iter().collect();
        let expected = ["2", "a", "b", "1", "2", "GET", "second", "other", "one", "last"];
        assert_eq!(words, expected.map(str::as_bytes));
    }
}
