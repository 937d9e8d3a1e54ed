//! What is known about each command: the only place where a command's name stands.

use crate::shape::Shape;

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name as Redis spells it, upper case; empty for a command that the table does not know.
    pub name: &'static str,
    /// How many arguments stand before the optional ones.
    pub required: u8,
    /// What its reply looks like.
    pub shape: Shape,
    /// Option tokens that change the shape.
    pub forms: &'static [(&'static str, Shape)],
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

const fn row(name: &'static str, required: u8, shape: Shape) -> Row {
    Row { name, required, shape, forms: &[], head: head(name) }
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

const fn formed(row: Row, forms: &'static [(&'static str, Shape)]) -> Row {
    Row { forms, ..row }
}

/// Every row; a row's position is its [`RowId`].
pub const ROWS: &[Row] = &[
    row("", 0, Shape::Plain),
    row("MULTI", 0, Shape::Status),
    row("EXEC", 0, Shape::Plain),
    row("GET", 1, Shape::Plain),
    formed(row("SET", 2, Shape::Status), &[("GET", Shape::Plain)]),
    row("DEL", 1, Shape::Plain),
    row("INCR", 1, Shape::Plain),
    row("MGET", 1, Shape::Plain),
    row("MSET", 2, Shape::Status),
    row("LRANGE", 3, Shape::Plain),
    row("RPUSH", 2, Shape::Plain),
    row("HSET", 3, Shape::Plain),
    row("HGETALL", 1, Shape::Map),
    row("SMEMBERS", 1, Shape::Set),
    row("SADD", 2, Shape::Plain),
    formed(row("ZADD", 1, Shape::Plain), &[("INCR", Shape::Double)]),
    formed(row("ZRANGE", 3, Shape::Plain), &[("WITHSCORES", Shape::Scores)]),
    row("PING", 0, Shape::Plain),
    row("ECHO", 1, Shape::Plain),
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

    /// Tells whether the command only reads, and gives the same answer again where nothing changed: it is sent again when its link
    /// is lost before the reply.
    #[inline(never)]
    pub fn is_repeatable(&self) -> bool {
        matches!(self.name, "GET" | "MGET" | "LRANGE" | "HGETALL" | "SMEMBERS" | "ZRANGE" | "PING" | "ECHO")
    }

    /// Gives the name as it is sent, with bytes behind its end; its length; and the number of its words.
    pub(crate) fn head(&self) -> (&[u8], usize, usize) {
        (&self.head.bytes, self.head.length.into(), self.head.words.into())
    }

    /// Gives the shape of the reply to this command with `args`, the first `names` of which are its name.
    pub fn shape_with<'a>(&self, names: usize, args: impl ExactSizeIterator<Item = &'a [u8]>) -> Shape {
        let first = names + usize::from(self.required);
        if self.forms.is_empty() || args.len() <= first { self.shape } else { self.formed(first, args) }
    }

    /// Looks for a token among the arguments from the one at `first` on.
    #[inline]
    fn formed<'a>(&self, first: usize, args: impl Iterator<Item = &'a [u8]>) -> Shape {
        for (position, arg) in args.enumerate() {
            let known = |form: &&(&str, Shape)| form.0.as_bytes().eq_ignore_ascii_case(arg);
            if let Some(form) = self.forms.iter().find(known).filter(|_| position >= first) {
                return form.1;
            }
        }
        self.shape
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

    #[test]
    fn a_token_decides_the_shape_only_behind_the_required_arguments() {
        let set = Row::at(find(b"SET"));
        let shape = |args: &[&'static [u8]]| set.shape_with(0, args.iter().copied());
        assert_eq!(shape(&[b"GET", b"get"]), Shape::Status);
        assert_eq!(shape(&[b"k", b"v", b"NX", b"get"]), Shape::Plain);
    }
}
