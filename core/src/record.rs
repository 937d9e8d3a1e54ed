//! Replies that describe something: fields by name.

use crate::error::{Error, Mismatch};
use crate::reply::FromReply;
use crate::resp::Frame;
use alloc::string::String;
use alloc::vec::Vec;

/// Fields by name, in the server's order; servers of other versions have more or fewer.
///
/// ```
/// use redwire_core::record::Record;
/// use redwire_core::reply::FromReply;
/// use redwire_core::resp::Frame;
///
/// let name = Frame::Simple("name".into());
/// let record = Record::from_reply(Frame::Map(vec![(name, Frame::Bulk("group".into()))]))?;
/// assert_eq!(record.get::<String>("name")?, "group");
/// assert_eq!(record.get::<Option<i64>>("lag")?, None);
/// # Ok::<(), redwire_core::error::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record(pub Vec<(String, Frame)>);

impl Record {
    /// Reads the field `name`, which is null when it is missing.
    ///
    /// # Errors
    /// [`Error::Reply`] when the field is something else than a `T`.
    pub fn get<T: FromReply>(&self, name: &str) -> Result<T, Error> {
        let field = self.0.iter().find(|field| field.0 == name);
        T::from_reply(field.map_or(Frame::Null, |field| field.1.clone()))
    }
}

impl FromReply for Record {
    fn from_reply(frame: Frame) -> Result<Self, Error> {
        match frame {
            Frame::Map(_) => Vec::from_reply(frame).map(Self),
            Frame::Error(_) => <()>::from_reply(frame).map(|()| Self::default()),
            _ => Err(Mismatch { wanted: "fields by name", found: "something else" }.into()),
        }
    }
}
