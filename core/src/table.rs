//! What is known about each command: the only place where a command's name stands.

#[cfg(feature = "alloc")]
use crate::shape::Shape;

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name as Redis spells it, upper case; empty for a command that the table does not know.
    pub name: &'static str,
    /// The place of its reply's shape.
    #[cfg(feature = "alloc")]
    reply: u16,
    head: Head,
}

/// A name as it is sent: a bulk string per word.
#[derive(Clone, Copy, Debug)]
struct Head {
    bytes: [u8; 32],
    length: u8,
    words: u8,
}

/// The position of a [`Row`] in [`ROWS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId(pub u16);

impl RowId {
    /// A command that the table does not know.
    pub const UNKNOWN: Self = Self(0);
}

const fn row(name: &'static str) -> Row {
    Row {
        name,
        #[cfg(feature = "alloc")]
        reply: crate::shape::place(name),
        head: head(name),
    }
}

const fn head(name: &str) -> Head {
    let name = name.as_bytes();
    let mut head = Head { bytes: [0; 32], length: 0, words: 0 };
    let mut at = 0;
    let mut start = 0;
    while start < name.len() {
        let mut end = start;
        while end < name.len() && name[end] != b' ' {
            end += 1;
        }
        assert!(end - start < 10, "a length of one digit");
        head.bytes[at] = b'$';
        head.bytes[at + 1] = b'0' + (end - start) as u8;
        head.bytes[at + 2] = b'\r';
        head.bytes[at + 3] = b'\n';
        at += 4;
        while start < end {
            head.bytes[at] = name[start];
            at += 1;
            start += 1;
        }
        head.bytes[at] = b'\r';
        head.bytes[at + 1] = b'\n';
        at += 2;
        start += 1;
        head.words += 1;
    }
    head.length = at as u8;
    head
}

/// Every row; a row's position is its [`RowId`].
pub const ROWS: &[Row] = &[
    row(""),
    row("MULTI"),
    row("EXEC"),
    row("GET"),
    row("SET"),
    row("DEL"),
    row("INCR"),
    row("MGET"),
    row("MSET"),
    row("LRANGE"),
    row("RPUSH"),
    row("HSET"),
    row("HGETALL"),
    row("SMEMBERS"),
    row("SADD"),
    row("ZADD"),
    row("ZRANGE"),
    row("PING"),
    row("ECHO"),
];

/// Gives the row of `name`, in any case.
pub fn find(name: &[u8]) -> RowId {
    let known = |row: &Row| row.name.as_bytes().eq_ignore_ascii_case(name);
    RowId(ROWS.iter().position(known).unwrap_or(0) as u16)
}

impl Row {
    /// Gives the row at `id`, the unknown one when there is none.
    pub fn at(id: RowId) -> &'static Self {
        ROWS.get(usize::from(id.0)).unwrap_or(&ROWS[0])
    }

    /// Gives the name as it is sent, with bytes behind its end; its length; and the number of its words.
    pub(crate) fn head(&self) -> (&[u8], usize, usize) {
        (&self.head.bytes, self.head.length.into(), self.head.words.into())
    }

    #[cfg(feature = "alloc")]
    /// Gives the shape of the reply to this command with `args` (without the name).
    pub fn shape_with<'a>(&self, args: impl Iterator<Item = &'a [u8]> + Clone) -> Shape {
        Shape::of(self.reply.into(), args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_once() {
        for (position, row) in ROWS.iter().enumerate() {
            assert_eq!(find(row.name.to_ascii_lowercase().as_bytes()), RowId(position as u16));
        }
        assert_eq!(find(b"NOSUCH"), RowId::UNKNOWN);
    }
}
