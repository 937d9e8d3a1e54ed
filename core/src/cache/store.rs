//! Entries that are found by hashes, in the order of their last use.
//!
//! An entry hangs in several rings: in that of all entries, the one that was used last first, and in one for the hash of its request
//! and of each of its keys. Where two hashes are the same though their keys are not, an entry goes too early, which does no harm.

use crate::time::Instant;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What is kept, or on its way.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) request: Vec<u8>,
    /// As the server sent it; none while it is on its way.
    pub(super) reply: Option<Arc<Vec<u8>>>,
    /// When it is no longer given.
    pub(super) until: Instant,
    /// Tells this entry from earlier ones in the same place.
    pub(super) life: u32,
    /// Its place in the ring of all.
    node: u32,
}

/// What an entry costs beside its request and its reply.
pub(super) const OVERHEAD: usize = 128;

impl Entry {
    pub(super) fn size(&self) -> usize {
        self.request.len() + self.reply.as_ref().map_or(0, |reply| reply.len()) + OVERHEAD
    }
}

/// A place in a ring.
#[derive(Clone, Copy, Debug)]
struct Node {
    before: u32,
    after: u32,
    /// The next place of the same entry.
    next: u32,
    entry: u32,
    hash: u32,
}

/// No place. An entry's chain ends with it.
const NONE: u32 = u32::MAX;
/// The head of the ring of all.
const ALL: u32 = 0;
/// In no ring.
const LOST: Node = Node { before: ALL, after: ALL, next: NONE, entry: NONE, hash: 0 };
/// How many rings for hashes there are at least, and at most.
const RINGS: (u32, u32) = (16, 1 << 13);

#[derive(Debug)]
pub(super) struct Store {
    /// How many rings for hashes there are, a power of two; their heads are the first nodes, behind that of all.
    rings: u32,
    entries: Vec<Entry>,
    /// Entries that can be used again.
    vacant: Vec<u32>,
    nodes: Vec<Node>,
    /// Nodes that can be used again.
    idle: Vec<u32>,
    pub(super) bytes: usize,
    /// How many replies were let go, as far as that fits.
    pub(super) epoch: u32,
}

impl Store {
    /// Makes an empty store for about so many entries.
    pub(super) fn new(entries: u32) -> Self {
        let mut store = Self {
            rings: entries.clamp(RINGS.0, RINGS.1).next_power_of_two(),
            entries: Vec::new(),
            vacant: Vec::new(),
            nodes: Vec::new(),
            idle: Vec::new(),
            bytes: 0,
            epoch: 0,
        };
        for at in 0..=store.rings {
            store.nodes.push(Node { before: at, after: at, ..LOST });
        }
        store
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    pub(super) fn get(&self, entry: u32) -> Option<&Entry> {
        self.entries.get(entry as usize)
    }

    /// Gives the entry of `request`, whose hash is `hash`, and makes it the one that was used last.
    pub(super) fn find(&mut self, hash: u32, request: &[u8]) -> Option<u32> {
        let head = self.ring(hash);
        let mut node = self.node(head);
        while node.after != head {
            node = self.node(node.after);
            if node.hash == hash && self.get(node.entry)?.request == request {
                self.touch(node.entry);
                return Some(node.entry);
            }
        }
        None
    }

    /// Adds an entry of `request`, found by `hashes`.
    #[inline(never)]
    pub(super) fn insert(&mut self, request: &[u8], hashes: &[u32]) -> u32 {
        let entry = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() as u32 - 1
        });
        let mut chain = NONE;
        for &hash in hashes {
            let head = self.ring(hash);
            chain = self.add(head, Node { next: chain, entry, hash, ..LOST });
        }
        let node = self.add(ALL, Node { next: chain, entry, ..LOST });
        if let Some(made) = self.entries.get_mut(entry as usize) {
            made.request.extend_from_slice(request);
            made.node = node;
            self.bytes += made.size();
        }
        entry
    }

    /// Gives `entry` its reply.
    pub(super) fn fill(&mut self, entry: u32, reply: Vec<u8>, until: Instant) {
        if let Some(filled) = self.entries.get_mut(entry as usize) {
            self.bytes -= filled.size();
            (filled.reply, filled.until) = (Some(Arc::new(reply)), until);
            self.bytes += filled.size();
            self.touch(entry);
        }
    }

    /// Removes `entry`; tells whether it had its reply.
    #[inline(never)]
    pub(super) fn remove(&mut self, entry: u32) -> bool {
        let Some(removed) = self.entries.get_mut(entry as usize) else { return false };
        self.bytes -= removed.size();
        let life = removed.life.wrapping_add(1);
        let Entry { reply, node, .. } = core::mem::replace(removed, Entry { life, ..Entry::default() });
        let mut at = node;
        while at != NONE {
            self.unlink(at);
            self.idle.push(at);
            at = self.node(at).next;
        }
        self.vacant.push(entry);
        self.epoch = self.epoch.wrapping_add(u32::from(reply.is_some()));
        reply.is_some()
    }

    /// Removes the entries with `hash`; gives how many of them had their reply.
    #[inline(never)]
    pub(super) fn forget(&mut self, hash: u32) -> u64 {
        let head = self.ring(hash);
        let (mut at, mut count) = (self.node(head).after, 0);
        while at != head {
            let node = self.node(at);
            at = node.after;
            if node.hash == hash {
                count += u64::from(self.remove(node.entry));
                // what came next may have gone with it
                at = self.node(head).after;
            }
        }
        count
    }

    /// Gives the entry whose last use was the first.
    pub(super) fn oldest(&self) -> Option<u32> {
        let at = self.node(ALL).before;
        (at != ALL).then(|| self.node(at).entry)
    }

    fn touch(&mut self, entry: u32) {
        let node = self.get(entry).map_or(NONE, |entry| entry.node);
        self.unlink(node);
        self.link(ALL, node);
    }

    /// Gives the head of the ring for `hash`.
    fn ring(&self, hash: u32) -> u32 {
        1 + (hash & (self.rings - 1))
    }

    #[inline(never)]
    fn add(&mut self, head: u32, node: Node) -> u32 {
        let at = self.idle.pop().unwrap_or(self.nodes.len() as u32);
        match self.nodes.get_mut(at as usize) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        self.link(head, at);
        at
    }

    #[inline(never)]
    fn link(&mut self, head: u32, at: u32) {
        let after = self.node(head).after;
        self.join(at, after);
        self.join(head, at);
    }

    #[inline(never)]
    fn unlink(&mut self, at: u32) {
        let Node { before, after, .. } = self.node(at);
        self.join(before, after);
    }

    #[inline(never)]
    fn join(&mut self, before: u32, after: u32) {
        if let Some(node) = self.nodes.get_mut(before as usize) {
            node.after = after;
        }
        if let Some(node) = self.nodes.get_mut(after as usize) {
            node.before = before;
        }
    }

    fn node(&self, at: u32) -> Node {
        self.nodes.get(at as usize).copied().unwrap_or(LOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(store: &mut Store) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(entry) = store.oldest() {
            found.push(store.get(entry).expect("it is there").request.clone());
            store.remove(entry);
        }
        found
    }

    #[test]
    fn the_oldest_is_what_was_not_used_for_longest() {
        let mut store = Store::new(4_000);
        for name in [b"a", b"b", b"c"] {
            store.insert(name, &[u32::from(name[0]), 7]);
        }
        assert!(store.find(u32::from(b'a'), b"a").is_some());
        assert_eq!(requests(&mut store), [b"b", b"c", b"a"]);
        assert_eq!((store.len(), store.bytes), (0, 0));
    }

    #[test]
    fn what_has_a_hash_goes_with_it_and_nothing_else_does() {
        let mut store = Store::new(4_000);
        for number in 0..5_000_u32 {
            let entry =
                store.insert(&number.to_le_bytes(), &[number, (1 << 20) | (number % 10), 1 << 21, 1 << 21]);
            if number % 20 != 3 {
                store.fill(entry, b"reply".to_vec(), Instant::NEVER);
            }
        }
        assert_eq!(store.forget((1 << 20) | 3), 250, "of 500, those that had their reply");
        assert_eq!(store.len(), 4_500);
        for number in 0..5_000_u32 {
            let found = store.find(number, &number.to_le_bytes()).is_some();
            assert_eq!(found, number % 10 != 3, "{number}");
        }
        assert_eq!(store.forget(1 << 21), 4_500);
        assert_eq!((store.len(), store.bytes), (0, 0));
        assert_eq!(store.nodes.len(), store.idle.len() + store.rings as usize + 1, "every node is back");
    }

    #[test]
    fn a_place_that_is_used_again_has_another_life() {
        let mut store = Store::new(4_000);
        let entry = store.insert(b"a", &[1]);
        let life = store.get(entry).map(|entry| entry.life);
        store.remove(entry);
        assert_eq!(store.insert(b"a", &[1]), entry);
        assert_ne!(store.get(entry).map(|entry| entry.life), life);
    }
}
