//! Redis commands as functions: each makes an inert [`Command`] typed with its reply.
//!
//! Times are in the unit that Redis gives them. Commands that are not here are made with [`command`].

pub use crate::command::{command, raw};

use crate::argument::ToArg;
use crate::command::Command;
use crate::owned::{Bytes, String, Vec};
use crate::table::{ROWS, Row, RowId};

/// Gives the value of `key`; `None` when there is no such key.
pub fn get(key: impl ToArg) -> Command<Option<Bytes>> {
    known::<{ id("GET") }, _>().arg(key)
}

/// Sets `key` to `value`; false when a condition did not hold.
pub fn set(key: impl ToArg, value: impl ToArg) -> Set<bool> {
    Set(known::<{ id("SET") }, _>().arg(key).arg(value))
}

/// Deletes `keys`; gives how many existed.
pub fn del(keys: impl IntoIterator<Item = impl ToArg>) -> Command<u64> {
    known::<{ id("DEL") }, _>().args(keys)
}

/// Adds 1 to the integer at `key`; gives the sum.
pub fn incr(key: impl ToArg) -> Command<i64> {
    known::<{ id("INCR") }, _>().arg(key)
}

/// Gives the values of `keys`, `None` for each that does not exist.
pub fn mget(keys: impl IntoIterator<Item = impl ToArg>) -> Command<Vec<Option<Bytes>>> {
    known::<{ id("MGET") }, _>().args(keys)
}

/// Sets every key of `pairs` to its value.
pub fn mset(pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Command<bool> {
    in_pairs(known::<{ id("MSET") }, _>(), pairs)
}

/// Gives the elements of the list at `key` from `start` to `stop`, both included; negative ones count from the end.
pub fn lrange(key: impl ToArg, start: i64, stop: i64) -> Command<Vec<Bytes>> {
    known::<{ id("LRANGE") }, _>().arg(key).arg(start).arg(stop)
}

/// Appends `elements` to the list at `key`; gives its length.
pub fn rpush(key: impl ToArg, elements: impl IntoIterator<Item = impl ToArg>) -> Command<u64> {
    known::<{ id("RPUSH") }, _>().arg(key).args(elements)
}

/// Sets fields of the hash at `key`; gives how many are new.
pub fn hset(key: impl ToArg, fields: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Command<u64> {
    in_pairs(known::<{ id("HSET") }, _>().arg(key), fields)
}

/// Gives the fields of the hash at `key` with their values, in the server's order.
pub fn hgetall(key: impl ToArg) -> Command<Vec<(Bytes, Bytes)>> {
    known::<{ id("HGETALL") }, _>().arg(key)
}

/// Gives the members of the set at `key`, in the server's order.
pub fn smembers(key: impl ToArg) -> Command<Vec<Bytes>> {
    known::<{ id("SMEMBERS") }, _>().arg(key)
}

/// Adds `members` to the set at `key`; gives how many are new.
pub fn sadd(key: impl ToArg, members: impl IntoIterator<Item = impl ToArg>) -> Command<u64> {
    known::<{ id("SADD") }, _>().arg(key).args(members)
}

/// Adds members with their scores to the sorted set at `key`; gives how many are new.
pub fn zadd(key: impl ToArg, members: impl IntoIterator<Item = (f64, impl ToArg)>) -> ZAdd<u64> {
    ZAdd(in_pairs(known::<{ id("ZADD") }, _>().arg(key), members))
}

/// Gives the members of the sorted set at `key` from `start` to `stop`, both included: positions, negative ones from the end,
/// unless [`ZRange::byscore`] or [`ZRange::bylex`] say otherwise.
pub fn zrange(key: impl ToArg, start: impl ToArg, stop: impl ToArg) -> ZRange<Vec<Bytes>> {
    ZRange(known::<{ id("ZRANGE") }, _>().arg(key).arg(start).arg(stop))
}

/// Asks the server for `PONG`.
pub fn ping() -> Command<String> {
    known::<{ id("PING") }, _>()
}

/// Asks the server for `message`.
pub fn echo(message: impl ToArg) -> Command<Bytes> {
    known::<{ id("ECHO") }, _>().arg(message)
}

/// SET with its options.
#[derive(Clone, Debug)]
pub struct Set<R>(Command<R>);

impl<R> Set<R> {
    /// Expires in `seconds`.
    pub fn ex(self, seconds: u64) -> Self {
        self.timed("EX", seconds)
    }

    /// Expires in `milliseconds`.
    pub fn px(self, milliseconds: u64) -> Self {
        self.timed("PX", milliseconds)
    }

    /// Expires at the Unix time `seconds`.
    pub fn exat(self, seconds: u64) -> Self {
        self.timed("EXAT", seconds)
    }

    /// Expires at the Unix time `milliseconds`.
    pub fn pxat(self, milliseconds: u64) -> Self {
        self.timed("PXAT", milliseconds)
    }

    /// Keeps the time to live that the key has.
    pub fn keepttl(self) -> Self {
        Self(self.0.arg("KEEPTTL"))
    }

    /// Only when the key does not exist.
    pub fn nx(self) -> Self {
        Self(self.0.arg("NX"))
    }

    /// Only when the key exists.
    pub fn xx(self) -> Self {
        Self(self.0.arg("XX"))
    }

    fn timed(self, token: &str, time: u64) -> Self {
        Self(self.0.arg(token).arg(time))
    }
}

impl Set<bool> {
    /// Gives the value that the key had, instead of whether it was set.
    pub fn get(self) -> Set<Option<Bytes>> {
        Set(self.0.arg("GET").typed())
    }
}

impl Set<Option<Bytes>> {
    /// Reads the old value as UTF-8 text.
    pub fn text(self) -> Set<Option<String>> {
        Set(self.0.text())
    }
}

/// ZADD with its options.
#[derive(Clone, Debug)]
pub struct ZAdd<R>(Command<R>);

impl<R> ZAdd<R> {
    /// Only members that are not there.
    pub fn nx(self) -> Self {
        self.option("NX")
    }

    /// Only members that are there.
    pub fn xx(self) -> Self {
        self.option("XX")
    }

    /// Only to greater scores.
    pub fn gt(self) -> Self {
        self.option("GT")
    }

    /// Only to lesser scores.
    pub fn lt(self) -> Self {
        self.option("LT")
    }

    /// Counts changed members too.
    pub fn ch(self) -> Self {
        self.option("CH")
    }

    fn option(self, token: &str) -> Self {
        Self(self.0.arg_at(1, token))
    }
}

impl ZAdd<u64> {
    /// Adds to the score of the one member; gives the sum, `None` when a condition did not hold.
    pub fn incr(self) -> ZAdd<Option<f64>> {
        ZAdd(self.option("INCR").0.typed())
    }
}

/// ZRANGE with its options.
#[derive(Clone, Debug)]
pub struct ZRange<R>(Command<R>);

impl<R> ZRange<R> {
    /// From score to score.
    pub fn byscore(self) -> Self {
        Self(self.0.arg("BYSCORE"))
    }

    /// From member to member, in the order of their bytes.
    pub fn bylex(self) -> Self {
        Self(self.0.arg("BYLEX"))
    }

    /// From the highest to the lowest.
    pub fn rev(self) -> Self {
        Self(self.0.arg("REV"))
    }

    /// Leaves out the first `offset` members and gives `count` at most; a negative count gives all.
    pub fn limit(self, offset: i64, count: i64) -> Self {
        Self(self.0.arg("LIMIT").arg(offset).arg(count))
    }
}

impl ZRange<Vec<Bytes>> {
    /// Gives each member with its score.
    pub fn withscores(self) -> ZRange<Vec<(Bytes, f64)>> {
        ZRange(self.0.arg("WITHSCORES").typed())
    }
}

macro_rules! builders {
    ($($name:ident)*) => {$(
        impl<R> $name<R> {
            /// Reads the reply as `T` instead.
            pub fn typed<T>(self) -> $name<T> {
                $name(self.0.typed())
            }

            /// Gives the command as it stands.
            pub fn command(self) -> Command<R> {
                self.0
            }
        }

        impl<R> From<$name<R>> for Command<R> {
            fn from(builder: $name<R>) -> Self {
                builder.0
            }
        }

        #[cfg(feature = "alloc")]
        impl<R: crate::reply::FromReply> crate::request::Request for $name<R> {
            type Output = R;
            type Tried = Result<R, crate::error::Error>;

            fn calls(&self, each: &mut dyn FnMut(&crate::command::Call)) {
                self.0.calls(each);
            }

            fn read(&self, replies: &mut crate::request::Replies) -> Result<R, crate::error::Error> {
                self.0.read(replies)
            }

            fn try_read(&self, replies: &mut crate::request::Replies) -> Self::Tried {
                self.0.read(replies)
            }
        }
    )*};
}

builders!(Set ZAdd ZRange);

fn in_pairs<R>(command: Command<R>, pairs: impl IntoIterator<Item = (impl ToArg, impl ToArg)>) -> Command<R> {
    pairs.into_iter().fold(command, |command, (first, second)| command.arg(first).arg(second))
}

fn known<const ROW: u16, R>() -> Command<R> {
    Command::of(RowId(ROW))
}

/// Finds a row while compiling; a name that the table does not have does not compile.
const fn id(name: &str) -> u16 {
    let mut row = ROWS;
    loop {
        // runs below zero, and so fails to compile, when there is no such row
        row -= 1;
        if Row::at(RowId(row as u16)).name().is(name) {
            return row as u16;
        }
    }
}
