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
/// What does not fit is left out and remembered: [`is_whole`](Self::is_whole) is false from then on.
#[derive(Clone, Default)]
pub struct Arguments {
    bytes: Storage,
    overflow: bool,
}

const LENGTH: usize = size_of::<u32>();

impl Arguments {
    /// Adds an argument.
    pub fn push(&mut self, arg: &[u8]) {
        if arg.len() > MAX_ARGUMENT || Buffer::reserve(&mut self.bytes, LENGTH + arg.len()).is_err() {
            self.overflow = true;
            return;
        }
        self.bytes.put(&(arg.len() as u32).to_ne_bytes());
        self.bytes.put(arg);
    }

    /// Puts an argument before the one at `index`, at the end when there is none.
    pub(crate) fn insert(&mut self, index: usize, arg: &[u8]) {
        let place: usize = self.iter().take(index).map(|arg| LENGTH + arg.len()).sum();
        let before = self.bytes.len();
        self.push(arg);
        let added = self.bytes.len() - before;
        if let Some(tail) = self.bytes.get_mut(place..) {
            tail.rotate_right(added);
        }
    }

    /// Gives the arguments in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        core::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk()?;
            let (arg, tail) = tail.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
            rest = tail;
            Some(arg)
        })
    }

    /// Tells whether every argument found room.
    pub fn is_whole(&self) -> bool {
        !self.overflow
    }
}

impl core::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} arguments", self.iter().count())
    }
}

/// Can be an argument of a command.
pub trait ToArg {
    /// Adds itself to `args` as one argument.
    fn write_to(&self, args: &mut Arguments);
}

impl<T: ToArg + ?Sized> ToArg for &T {
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
        assert_eq!(args.iter().collect::<Vec<_>>(), [b"-9223372036854775808"]);
    }

    #[test]
    fn an_argument_can_be_put_between_others() {
        let mut args = Arguments::default();
        for arg in [&b"key"[..], b"", b"member"] {
            args.push(arg);
        }
        args.insert(1, b"NX");
        assert_eq!(args.iter().collect::<Vec<_>>(), [&b"key"[..], b"NX", b"", b"member"]);
    }
}
