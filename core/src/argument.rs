//! What commands are given: any of Rust's texts and numbers, as bytes.

use crate::resp::encode::Buffer;
use core::fmt::Write;

/// Bytes of arguments that a command can hold without `alloc`, four more for each argument included.
pub const CAPACITY: usize = 256;

/// Bytes of one argument that a server can take at most.
pub const MAX_ARGUMENT: usize = 512 << 20;

#[cfg(feature = "alloc")]
type Storage = alloc::vec::Vec<u8>;
#[cfg(not(feature = "alloc"))]
type Storage = heapless::Vec<u8, CAPACITY>;

/// The arguments of one command, in order; each lies behind its length.
///
/// What does not fit is left out and remembered, and so is what is missing: see [`fault`](Self::fault).
#[derive(Clone, Default)]
pub struct Arguments {
    bytes: Storage,
    fault: Option<Fault>,
}

/// Why arguments cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One is larger than [`MAX_ARGUMENT`], or without `alloc` all of them than [`CAPACITY`].
    TooLarge,
    /// The parameter of this name takes one value at least, and was given none.
    Empty(&'static str),
}

const LENGTH: usize = size_of::<u32>();

impl Arguments {
    /// Adds an argument.
    pub fn push(&mut self, arg: &[u8]) {
        if arg.len() > MAX_ARGUMENT || Buffer::reserve(&mut self.bytes, LENGTH + arg.len()).is_err() {
            return self.fail(Fault::TooLarge);
        }
        self.bytes.put(&(arg.len() as u32).to_ne_bytes());
        self.bytes.put(arg);
    }

    /// Adds all of `other`.
    pub(crate) fn append(&mut self, other: &Self) {
        if let Some(fault) = other.fault {
            return self.fail(fault);
        }
        match Buffer::reserve(&mut self.bytes, other.size()) {
            Ok(()) => self.bytes.put(&other.bytes),
            Err(_) => self.fail(Fault::TooLarge),
        }
    }

    /// Notes why nothing of this can be sent; the first fault is told.
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Gives how many bytes there are.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Gives how many arguments lie behind the first `start` bytes.
    pub(crate) fn count_from(&self, start: usize) -> usize {
        arguments(self.bytes.get(start..).unwrap_or_default()).count()
    }

    /// Moves what lies behind the first `end` bytes to `place`, in place of `old` bytes there.
    pub(crate) fn settle(&mut self, end: usize, place: usize, old: usize) {
        let size = self.size();
        let added = size - end;
        if let Some(moved) = self.bytes.get_mut(place..) {
            moved.rotate_right(added);
            if let Some(behind) = moved.get_mut(added..) {
                behind.rotate_left(old);
            }
        }
        self.bytes.truncate(size - old);
    }

    /// Gives the arguments in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        arguments(&self.bytes)
    }

    /// Tells why nothing of this can be sent, if so.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }
}

fn arguments(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk()?;
        let (arg, tail) = tail.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
        rest = tail;
        Some(arg)
    })
}

impl core::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} arguments", self.iter().count())
    }
}

/// Can be an argument of a command, wherever that is made: `&dyn ToArg` is `Send`.
pub trait ToArg: Sync {
    /// Adds itself to `args` as one argument.
    fn write_to(&self, args: &mut Arguments);
}

impl<T: ToArg + ?Sized> ToArg for &T {
    fn write_to(&self, args: &mut Arguments) {
        (**self).write_to(args);
    }
}

#[cfg(feature = "alloc")]
impl<T: ToArg + alloc::borrow::ToOwned<Owned: Sync> + ?Sized> ToArg for alloc::borrow::Cow<'_, T> {
    fn write_to(&self, args: &mut Arguments) {
        (**self).write_to(args);
    }
}

macro_rules! bytes {
    ($($(#[$when:meta])? $type:ty),*) => {$(
        $(#[$when])?
        impl ToArg for $type {
            fn write_to(&self, args: &mut Arguments) {
                args.push(self.as_ref());
            }
        }
    )*};
}

bytes!(
    str,
    [u8],
    #[cfg(feature = "alloc")]
    alloc::string::String,
    #[cfg(feature = "alloc")]
    alloc::vec::Vec<u8>,
    #[cfg(feature = "alloc")]
    bytes::Bytes
);

impl<const N: usize> ToArg for [u8; N] {
    fn write_to(&self, args: &mut Arguments) {
        args.push(self);
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl ToArg for $type {
            fn write_to(&self, args: &mut Arguments) {
                number(args, format_args!("{self}"));
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl ToArg for f64 {
    /// Writes the shortest text that reads as the same number.
    fn write_to(&self, args: &mut Arguments) {
        let size = self.abs();
        if size == 0.0 || !size.is_finite() || (1e-7..1e21).contains(&size) {
            number(args, format_args!("{self}"));
        } else {
            number(args, format_args!("{self:e}"));
        }
    }
}

fn number(args: &mut Arguments, text: core::fmt::Arguments<'_>) {
    let mut digits = heapless::String::<40>::new();
    let written = digits.write_fmt(text);
    debug_assert!(written.is_ok(), "numbers are shorter than that");
    args.push(digits.as_bytes());
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::{string::String, vec::Vec};

    #[test]
    fn numbers_are_written_shortest_and_read_back_the_same() {
        for value in
            [0.0, -0.5, 0.1, 1e21, 1e-7, 1e300, f64::MAX, f64::MIN_POSITIVE, 5e-324, f64::NEG_INFINITY]
        {
            let mut args = Arguments::default();
            value.write_to(&mut args);
            let text =
                args.iter().next().map(|arg| String::from_utf8_lossy(arg).into_owned()).unwrap_or_default();
            assert_eq!(text.parse::<f64>(), Ok(value), "{text}");
        }
        let mut args = Arguments::default();
        i64::MIN.write_to(&mut args);
        alloc::borrow::Cow::Borrowed("borrowed").write_to(&mut args);
        let sent = [&b"-9223372036854775808"[..], b"borrowed"];
        assert_eq!(args.iter().collect::<Vec<_>>(), sent);
    }

    #[test]
    fn arguments_can_be_put_between_and_in_place_of_others() {
        let mut args = Arguments::default();
        for arg in [&b"key"[..], b"", b"member"] {
            args.push(arg);
        }
        let (end, place) = (args.size(), LENGTH + 3);
        args.push(b"NX");
        args.settle(end, place, 0);
        assert_eq!(args.iter().collect::<Vec<_>>(), [&b"key"[..], b"NX", b"", b"member"]);
        let end = args.size();
        args.push(b"GT");
        args.push(b"CH");
        args.settle(end, place, LENGTH + 2);
        assert_eq!(args.iter().collect::<Vec<_>>(), [&b"key"[..], b"GT", b"CH", b"", b"member"]);
        assert_eq!(args.count_from(place), 4);
    }
}
