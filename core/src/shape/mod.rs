//! What replies look like to the caller, whatever the protocol.
//!
//! A reply's shape is a small program: a node that says what a value is, made of other nodes. `programs.rs` holds those of all
//! commands, generated from `core/commands/`; a [`Shape`] is the place of one, with what is known of the command that it answers;
//! the shaper carries it out while a reply streams through it. What shapes there are is told in `docs/shapes.md`.

mod layout;
mod number;
#[rustfmt::skip]
mod programs;
mod scan;
mod shaper;
mod texts;

pub(crate) use shaper::{Shaper, pass};

/// The shape of a reply to a command that was sent with certain options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    node: Id,
    /// What holds for the command: a bit for each test that its program makes.
    bits: u8,
}

/// The place of a node.
type Id = u16;

/// The place of a name among the fields.
type Place = u16;

/// What a value is and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    /// As the server sent it.
    Any,
    /// Nothing that anybody is told.
    Skip,
    Int,
    Bool,
    Double,
    /// An integer or a double.
    Number,
    /// User data.
    Bulk,
    /// User data that is no text.
    Blob,
    /// The server's own text.
    Text,
    /// A status whose `OK` is true; null in its place is false.
    Status,
    /// The name of a field.
    Name,
    /// Null, or this.
    Optional(Id),
    Array(Id),
    Set(Id),
    Map(Id, Id),
    /// A list of pairs.
    Pairs(Id, Id),
    /// A list that becomes a map from each element's first field.
    By(Id),
    /// Elements that are something each: so many items from this one on.
    Tuple(u8, u16),
    /// The same, as a struct whose names begin there.
    Record(u8, u16, Place),
    /// A map from a key to a tuple.
    Keyed(Id, Id),
    /// So many fields from that place on, and what others are.
    Struct(u8, Place, Id),
    /// The same, some of which nobody is told of.
    Sparse(u8, Place, Id),
    /// The same, but for names without a value, which RESP2 has among the fields and RESP3 in one of them.
    Bare(u8, Place, Id),
    /// A struct behind the value of its first field as a key.
    Indexed(u8, Place, Id),
    /// On RESP3, the last element of an array.
    Wrapped(Id),
    /// The only element of an array, or the only value of a map.
    Only(Id),
    /// This, and no field where nothing is in it.
    Filled(Id),
    /// Null when it is empty.
    EmptyOr(Id),
    /// A score behind what it is of, as RESP3 has them in a map; RESP2 has the score first.
    Swapped(Id),
    /// This when it is no aggregate, that when it is one.
    Either(Id, Id),
    /// This when it has so many elements, or else that.
    Arity(u8, Id, Id),
    /// This when the test at a place passes, or else that.
    Case(u8, Id, Id),
    /// A text for people, as a value.
    Parsed(Format),
    /// A JSON array of numbers as text, or this.
    Numbers(Id),
}

/// What kind of text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `INFO`: sections of `name:value` lines.
    Info,
    /// `CLIENT LIST`: a line per client.
    ClientList,
    /// A line of it: `name=value` words.
    ClientInfo,
    /// `CLUSTER NODES`: a line per node.
    ClusterNodes,
    /// A line of it.
    ClusterNode,
    /// Words between commas.
    Flags,
    /// The same of a Sentinel's node, and what they say as fields.
    SentinelFlags,
    /// A JSON array of numbers and nulls.
    Numbers,
}

/// An element of a tuple.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// The place of the test that decides whether it is there.
    when: u8,
    takes: Takes,
    /// What it is; of a group, a tuple or record.
    node: Id,
}

/// What an item stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    One,
    /// All that follow.
    Rest,
    /// All that follow, in groups.
    Groups,
}

/// What must hold: one of `any` (unless that is empty), all of `all`, none of `none`.
#[derive(Clone, Copy, Debug)]
struct Test {
    any: u8,
    all: u8,
    none: u8,
}

/// The largest integer that a double holds exactly.
const SAFE: u64 = (1 << 53) - 1;

/// The bit that says that the link speaks RESP2.
const RESP2: u8 = 0x80;

const ANY: Id = 0;
const SKIP: Id = 1;
const NAME: Id = 2;

impl Test {
    const fn holds(self, bits: u8) -> bool {
        (self.any == 0 || self.any & bits != 0) && self.all & bits == self.all && self.none & bits == 0
    }
}

fn node(id: Id) -> Node {
    programs::NODES.get(usize::from(id)).copied().unwrap_or(Node::Any)
}

fn test(place: u8, bits: u8) -> bool {
    programs::TESTS.get(usize::from(place)).is_none_or(|test| test.holds(bits))
}
