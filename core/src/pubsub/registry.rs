//! What a server has confirmed: what is subscribed to, and is to be again on the next link.

use super::{KINDS, Kind};
use crate::machine::{ReplySink, Slot};
use crate::resp::{Aggregate, Event, Text, tell};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Names by kind, in order.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    names: [Vec<Box<[u8]>>; KINDS.len()],
}

impl Registry {
    pub(crate) const fn new() -> Self {
        Self { names: [const { Vec::new() }; KINDS.len()] }
    }

    /// Notes that `name` is subscribed to (`present`), or is not any more.
    pub(crate) fn note(&mut self, kind: Kind, name: &[u8], present: bool) {
        let names = &mut self.names[kind as usize];
        match names.binary_search_by(|known| (**known).cmp(name)) {
            Ok(at) if !present => drop(names.remove(at)),
            Err(at) if present => names.insert(at, name.into()),
            _ => {}
        }
    }

    /// Gives the names of `kind`.
    pub(crate) fn names(&self, kind: Kind) -> &[Box<[u8]>] {
        &self.names[kind as usize]
    }

    /// Takes out the name at `at`, counted through all kinds; gives a registry of its own for it.
    pub(crate) fn split(&mut self, mut at: usize) -> Option<Self> {
        let mut taken = Self::new();
        for (names, own) in self.names.iter_mut().zip(&mut taken.names) {
            if at < names.len() {
                own.push(names.remove(at));
                return Some(taken);
            }
            at -= names.len();
        }
        None
    }

    /// Tells whether nothing is subscribed to.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.iter().all(Vec::is_empty)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    /// Tells the slot that messages of all names may be missing which were published between `from` and `to`, a time or an error.
    #[inline(never)]
    pub(crate) fn tell_gap<S: ReplySink>(&self, slot: Slot, from: Instant, to: Event<'_>, sink: &mut S) {
        sink.begin(slot);
        tell(sink, Event::Open(Aggregate::Array, Some(4)));
        for event in [Event::Integer(super::Notice::Gap as i64), Event::Integer(from.0 as i64), to] {
            tell(sink, event);
        }
        tell(sink, Event::Open(Aggregate::Array, Some(KINDS.len() as u32)));
        for names in &self.names {
            tell(sink, Event::Open(Aggregate::Array, Some(names.len() as u32)));
            for name in names {
                tell(sink, Event::Text(Text::Bulk, name));
            }
            tell(sink, Event::Close { streamed: false });
        }
        for _ in 0..2 {
            tell(sink, Event::Close { streamed: false });
        }
        sink.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_once_until_they_are_taken_out() {
        let mut registry = Registry::new();
        for name in [&b"b"[..], b"a", b"b", b""] {
            registry.note(Kind::Channel, name, true);
        }
        registry.note(Kind::Pattern, b"a", true);
        registry.note(Kind::Channel, b"a", false);
        registry.note(Kind::Channel, b"never", false);
        let names: Vec<&[u8]> = registry.names(Kind::Channel).iter().map(|name| &**name).collect();
        assert_eq!(names, [&b""[..], b"b"]);
        assert_eq!(registry.names(Kind::Pattern).len(), 1);
        assert!(registry.names(Kind::Shard).is_empty() && !registry.is_empty());
        registry.clear();
        assert!(registry.is_empty());
    }
}
