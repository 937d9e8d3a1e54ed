//! Where the elements of tuples and the fields of structs are.

use super::programs::{FIELDS, ITEMS};
use super::{ANY, Id, Item, Node, Place, SKIP, Takes, node, test};

/// The items of a tuple or record that are there.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    items: &'static [Item],
    /// Where the names of a record begin.
    names: Place,
    bits: u8,
    /// Elements before those of the item that takes all others.
    pub(super) fixed: u32,
    /// The name of that item; none when there is no such item.
    pub(super) rest: Option<&'static [u8]>,
    /// What its elements are, in groups.
    pub(super) group: Option<Id>,
    /// How many make up a group.
    pub(super) period: u32,
}

impl Layout {
    #[inline(never)]
    pub(super) fn of(id: Id, bits: u8) -> Self {
        let (count, start, names) = match node(id) {
            Node::Tuple(count, start) => (count, start, 0),
            Node::Record(count, start, names) => (count, start, names),
            _ => (0, 0, 0),
        };
        let start = usize::from(start);
        let items = ITEMS.get(start..start + usize::from(count)).unwrap_or_default();
        let mut layout = Self { items, names, bits, fixed: 0, rest: None, group: None, period: 1 };
        for item in items.iter().filter(|item| test(item.when, bits)) {
            match item.takes {
                Takes::One => layout.fixed += 1,
                Takes::Rest => {}
                Takes::Groups => {
                    layout.group = Some(item.node);
                    layout.period = Self::of(item.node, bits).fixed.max(1);
                }
            }
            if item.takes != Takes::One {
                layout.rest = Some(layout.item(layout.fixed).1);
            }
        }
        layout
    }

    /// Tells whether there can be `len` elements of a record.
    pub(super) fn fits(&self, len: u32) -> bool {
        match self.rest {
            None => len == self.fixed,
            Some(_) => len >= self.fixed && (len - self.fixed).is_multiple_of(self.period),
        }
    }

    /// Gives how many elements there are when those of a group count as one.
    pub(super) fn grouped(&self, len: u32) -> u32 {
        self.fixed + len.saturating_sub(self.fixed) / self.period
    }

    /// Gives how many of the first `len` elements nobody is told of.
    pub(super) fn dropped(&self, len: u32) -> u32 {
        (0..len.min(self.fixed)).filter(|&at| self.at(at).0 == SKIP).count() as u32
    }

    /// Gives what the element at a place is, and its name.
    pub(super) fn at(&self, place: u32) -> (Id, &'static [u8]) {
        match self.group {
            Some(group) if place >= self.fixed => {
                Self::of(group, self.bits).item((place - self.fixed) % self.period)
            }
            _ => self.item(place),
        }
    }

    /// Gives what the item at a place is, among those that are there and ending with the one that takes all others, and its name.
    #[inline(never)]
    fn item(&self, mut left: u32) -> (Id, &'static [u8]) {
        let mut names = self.names;
        for item in self.items {
            let (name, _, next) = line(names);
            names = next;
            if test(item.when, self.bits) {
                if left == 0 || item.takes != Takes::One {
                    return (item.node, name);
                }
                left -= 1;
            }
        }
        (ANY, &[])
    }
}

/// Gives the name of the field that goes by `text`, among `count` from `place` on, empty where it stands for itself; and what
/// its value is.
#[inline(never)]
pub(super) fn field(count: u8, mut place: Place, text: &[u8]) -> Option<(&'static [u8], Id)> {
    for _ in 0..count {
        let (names, id, next) = line(place);
        if let Some(name) = spelled(names, text) {
            return Some((name, id));
        }
        place = next;
    }
    None
}

/// Gives the names of the field at `place`, its node, and the place behind it.
fn line(place: Place) -> (&'static [u8], Id, Place) {
    let rest = FIELDS.get(usize::from(place)..).unwrap_or_default();
    // the high byte of the node, less than any letter, ends the names
    let length = rest.iter().position(|&byte| byte < b' ').unwrap_or_default();
    match rest.split_at_checked(length) {
        Some((names, [high, low, ..])) => {
            (names, Id::from_be_bytes([*high, *low]), place + length as u16 + 2)
        }
        _ => (&[], ANY, place),
    }
}

/// Gives the name that `text` is a spelling of: the first of `names`, which `|` stands between; empty for one that ends in `*` and
/// stands for all that begin so.
fn spelled(names: &'static [u8], text: &[u8]) -> Option<&'static [u8]> {
    if let [prefix @ .., b'*'] = names {
        return text.starts_with(prefix).then_some(&[]);
    }
    let end = names.iter().position(|&byte| byte == b'|').unwrap_or(names.len());
    let (first, others) = names.split_at_checked(end)?;
    let other = || others.split(|&byte| byte == b'|').any(|name| name == text);
    (first == text || !others.is_empty() && other()).then_some(first)
}
