//! Replies to JSON paths.

use crate::error::Error;
use crate::reply::FromReply;
use crate::resp::Frame;
use alloc::vec::Vec;

/// What a path into JSON gives: something for each place when it begins with `$`, else for the one place that it names.
///
/// ```
/// use redwire_core::paths::Paths;
/// use redwire_core::reply::FromReply;
/// use redwire_core::resp::Frame;
///
/// let lengths = Frame::Array(vec![Frame::Integer(3), Frame::Null]);
/// assert_eq!(Paths::<Option<i64>>::from_reply(lengths)?, Paths::Each(vec![Some(3), None]));
/// assert_eq!(Paths::<Option<i64>>::from_reply(Frame::Integer(3))?, Paths::One(Some(3)));
/// # Ok::<(), redwire_core::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Paths<T> {
    /// For each place.
    Each(Vec<T>),
    /// For the one place.
    One(T),
}

impl<T: FromReply> FromReply for Paths<T> {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        if let Frame::Array(items) = &frame
            && let Ok(all) = T::from_elements(items.clone())
        {
            return Ok(Self::Each(all));
        }
        T::from_reply(frame).map(Self::One)
    }
}
