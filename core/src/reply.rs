//! Replies as Rust values.

use crate::error::{Error, Mismatch, ServerError};
use crate::resp::Frame;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Can be read from a reply, whichever protocol it came over.
pub trait FromReply: Sized {
    /// Reads `frame`.
    ///
    /// # Errors
    /// [`Error::Server`] when it is an error reply, [`Error::Reply`] when it is something else than `Self`.
    fn from_reply(frame: Frame) -> Result<Self, Error>;

    /// Reads the elements of a collection.
    ///
    /// # Errors
    /// Those of [`from_reply`](Self::from_reply).
    fn from_elements(frames: Vec<Frame>) -> Result<Vec<Self>, Error> {
        frames.into_iter().map(Self::from_reply).collect()
    }
}

impl FromReply for Frame {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        Ok(frame)
    }
}

/// Any reply but an error.
impl FromReply for () {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        match frame {
            Frame::Error(text) => Err(ServerError::from(text).into()),
            _ => Ok(()),
        }
    }
}

impl FromReply for bool {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        match frame {
            Frame::Boolean(value) => Ok(value),
            Frame::Integer(value @ (0 | 1)) => Ok(value == 1),
            Frame::Simple(text) if text == "OK" => Ok(true),
            other => Err(unexpected("a boolean", other)),
        }
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl FromReply for $type {
            fn from_reply(frame: Frame) -> Result<Self, Error> {
                let value = match &frame {
                    Frame::Integer(value) => Self::try_from(*value).ok(),
                    Frame::Bulk(text) | Frame::BigNumber(text) | Frame::Simple(text) => parsed(text),
                    _ => None,
                };
                value.ok_or_else(|| unexpected(stringify!($type), frame))
            }
        }
    )*};
}

// a Vec<u8> is bytes, so u8 is no element
integers!(i8 i16 i32 i64 i128 isize u16 u32 u64 u128 usize);

macro_rules! floats {
    ($($type:ty)*) => {$(
        impl FromReply for $type {
            fn from_reply(frame: Frame) -> Result<Self, Error> {
                match &frame {
                    Frame::Double(value) => Some(*value as Self),
                    Frame::Integer(value) => Some(*value as Self),
                    Frame::Bulk(text) | Frame::Simple(text) => parsed(text),
                    _ => None,
                }
                .ok_or_else(|| unexpected("a double", frame))
            }
        }
    )*};
}

floats!(f32 f64);

impl FromReply for Bytes {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        match frame {
            Frame::Bulk(text) | Frame::Simple(text) | Frame::Verbatim(_, text) | Frame::BigNumber(text) => {
                Ok(text)
            }
            other => Err(unexpected("bytes", other)),
        }
    }
}

impl FromReply for Vec<u8> {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        Bytes::from_reply(frame).map(Self::from)
    }
}

impl FromReply for String {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        let bytes = Vec::from_reply(frame)?;
        Self::from_utf8(bytes).map_err(|_| Mismatch { wanted: "UTF-8 text", found: "other bytes" }.into())
    }
}

impl<T: FromReply> FromReply for Option<T> {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        match frame {
            Frame::Null => Ok(None),
            frame => T::from_reply(frame).map(Some),
        }
    }
}

/// Any aggregate; a map gives its pairs.
impl<T: FromReply> FromReply for Vec<T> {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        T::from_elements(match frame {
            Frame::Array(items) | Frame::Set(items) | Frame::Push(items) => items,
            Frame::Map(pairs) => {
                pairs.into_iter().map(|(key, value)| Frame::Array([key, value].into())).collect()
            }
            other => return Err(unexpected("an array", other)),
        })
    }
}

impl<T: FromReply + Ord> FromReply for BTreeSet<T> {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        Vec::from_reply(frame).map(Self::from_iter)
    }
}

impl<K: FromReply + Ord, V: FromReply> FromReply for BTreeMap<K, V> {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        Vec::<(K, V)>::from_reply(frame).map(Self::from_iter)
    }
}

impl<A: FromReply, B: FromReply> FromReply for (A, B) {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        let [a, b] = elements(frame)?;
        Ok((A::from_reply(a)?, B::from_reply(b)?))
    }

    /// Pairs come nested, or one behind the other as in RESP2.
    fn from_elements(frames: Vec<Frame>) -> Result<Vec<Self>, Error> {
        let nested = frames.iter().all(|frame| matches!(frame, Frame::Array(_)));
        if nested || !frames.len().is_multiple_of(2) {
            return frames.into_iter().map(Self::from_reply).collect();
        }
        let mut frames = frames.into_iter();
        core::iter::from_fn(|| Some((frames.next()?, frames.next()?)))
            .map(|(a, b)| Ok((A::from_reply(a)?, B::from_reply(b)?)))
            .collect()
    }
}

macro_rules! tuples {
    ($($count:literal: $($name:ident)*;)*) => {$(
        impl<$($name: FromReply),*> FromReply for ($($name,)*) {
            #[allow(non_snake_case, reason = "the names of the types name the values")]
            fn from_reply(frame: Frame) -> Result<Self, Error> {
                let [$($name),*] = elements::<$count>(frame)?;
                Ok(($($name::from_reply($name)?,)*))
            }
        }
    )*};
}

tuples! {
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E F;
}

/// What is missing at the end is null: older servers give fewer elements.
fn elements<const N: usize>(frame: Frame) -> Result<[Frame; N], Error> {
    match frame {
        Frame::Array(mut items) => {
            items.resize(items.len().max(N), Frame::Null);
            <[Frame; N]>::try_from(items)
                .map_err(|_| Mismatch { wanted: "a tuple", found: "a longer array" }.into())
        }
        other => Err(unexpected("a tuple", other)),
    }
}

fn parsed<T: core::str::FromStr>(text: &[u8]) -> Option<T> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// Makes the error for a frame that is not what was wanted.
fn unexpected(wanted: &'static str, frame: Frame) -> Error {
    let found = match frame {
        Frame::Error(text) => return ServerError::from(text).into(),
        Frame::Null => "null",
        Frame::Simple(_) => "a status",
        Frame::Bulk(_) | Frame::Verbatim(..) => "text",
        Frame::Integer(_) => "an integer",
        Frame::Double(_) => "a double",
        Frame::Boolean(_) => "a boolean",
        Frame::BigNumber(_) => "a big number",
        Frame::Array(_) => "an array",
        Frame::Set(_) => "a set",
        Frame::Map(_) => "a map",
        Frame::Push(_) => "a push",
        Frame::Attribute(..) => "an attribute",
    };
    Mismatch { wanted, found }.into()
}
