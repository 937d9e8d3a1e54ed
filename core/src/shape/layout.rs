//! Where the elements of tuples and the fields of structs are.

use super::programs::{ITEMS, NAMES, STRUCTS};
use super::{ANY, Content, Id, Item, Range, SKIP, test};

/// The items of a tuple that are there.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) items: Range,
    pub(super) bits: u8,
    /// Elements before those of the item that takes all others.
    pub(super) fixed: u32,
    /// The place of that item's name; none when there is no such item.
    pub(super) rest: Option<u8>,
    /// What its elements are, in groups.
    pub(super) group: Option<Range>,
    /// How many make up a group.
    pub(super) period: u32,
}

impl Layout {
    #[inline(never)]
    pub(super) fn of(items: Range, bits: u8) -> Self {
        let mut layout = Self { items, bits, fixed: 0, rest: None, group: None, period: 1 };
        for item in all(items).iter().filter(|item| test(item.when, bits)) {
            match item.content {
                Content::One(_) => layout.fixed += 1,
                Content::Rest(_) => layout.rest = Some(item.name),
                Content::Group(group) => {
                    layout.rest = Some(item.name);
                    layout.group = Some(group);
                    layout.period = Self::of(group, bits).fixed.max(1);
                }
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
    #[inline(never)]
    pub(super) fn at(&self, place: u32) -> (Id, u8) {
        let (items, place) = match self.group {
            Some(group) if place >= self.fixed => (group, (place - self.fixed) % self.period),
            _ => (self.items, place),
        };
        let mut left = place;
        for item in all(items).iter().filter(|item| test(item.when, self.bits)) {
            match item.content {
                Content::One(id) if left == 0 => return (id, item.name),
                Content::Rest(id) => return (id, item.name),
                _ => left = left.saturating_sub(1),
            }
        }
        (ANY, 0)
    }
}

fn all(range: Range) -> &'static [Item] {
    ITEMS
        .get(usize::from(range.start)..)
        .and_then(|items| items.get(..range.count.into()))
        .unwrap_or_default()
}

/// Gives the name at a place.
pub(super) fn name(place: u8) -> &'static [u8] {
    NAMES.get(usize::from(place)).copied().unwrap_or_default().as_bytes()
}

/// Gives the name of a field that goes by `text`, empty where it stands for itself, and what the field's value is.
#[inline(never)]
pub(super) fn field(place: u8, text: &[u8]) -> Option<(&'static [u8], Id)> {
    let fields = STRUCTS.get(usize::from(place))?;
    let lines = fields.names.split(|&byte| byte == b'\n');
    lines.zip(fields.nodes).find_map(|(line, &node)| Some((spelled(line, text)?, node)))
}

fn spelled(line: &'static [u8], text: &[u8]) -> Option<&'static [u8]> {
    if let [prefix @ .., b'*'] = line {
        return text.starts_with(prefix).then_some(&[]);
    }
    let end = line.iter().position(|&byte| byte == b'|').unwrap_or(line.len());
    let (first, others) = line.split_at_checked(end)?;
    let other = || others.split(|&byte| byte == b'|').any(|name| name == text);
    (first == text || !others.is_empty() && other()).then_some(first)
}
