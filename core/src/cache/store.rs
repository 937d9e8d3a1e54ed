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
    pub(super) reply: Option<Arc<[u8]>>,
    /// When it is no longer given.
    pub(super) until: Instant,
    /// Tells this entry from earlier ones in the same place.
    pub(super) life: u32,
    /// Its place in the ring of all.
    node: u32,
}

/// What an entry costs beside its request and its reply.
const OVERHEAD: usize = 128;

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
/// How many rings for hashes there are at first.
const RINGS: u32 = 16;

#[derive(Debug)]
pub(super) struct Store {
    entries: Vec<Entry>,
    /// Entries that can be used again.
    vacant: Vec<u32>,
    nodes: Vec<Node>,
    /// Nodes that can be used again.
    idle: Vec<u32>,
    /// The heads of the rings for hashes, a power of two of them.
    heads: Vec<u32>,
    pub(super) bytes: usize,
}

impl Store {
    pub(super) fn new() -> Self {
        let mut store = Self {
            entries: Vec::new(),
            vacant: Vec::new(),
            nodes: Vec::new(),
            idle: Vec::new(),
            heads: Vec::new(),
            bytes: 0,
        };
        store.head();
        for _ in 0..RINGS {
            let head = store.head();
            store.heads.push(head);
        }
        store
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    pub(super) fn entry(&mut self, entry: u32) -> &mut Entry {
        &mut self.entries[entry as usize]
    }

    /// Gives the entry of `request`, whose hash is `hash`, and makes it the one that was used last.
    pub(super) fn find(&mut self, hash: u32, request: &[u8]) -> Option<u32> {
        let head = self.ring(hash);
        let mut at = self.node(head).after;
        while at != head {
            let node = *self.node(at);
            if node.hash == hash && self.entries[node.entry as usize].request == request {
                self.touch(node.entry);
                return Some(node.entry);
            }
            at = node.after;
        }
        None
    }

    /// Adds an entry of `request`, found by `hashes`.
    pub(super) fn insert(&mut self, request: &[u8], hashes: &[u32]) -> u32 {
        if self.nodes.len() > self.heads.len() * 3 {
            self.grow();
        }
        let entry = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() as u32 - 1
        });
        let mut chain = NONE;
        for &hash in hashes {
            let head = self.ring(hash);
            chain = self.add(head, Node { before: NONE, after: NONE, next: chain, entry, hash });
        }
        let node = self.add(ALL, Node { before: NONE, after: NONE, next: chain, entry, hash: 0 });
        let made = self.entry(entry);
        made.request.extend_from_slice(request);
        made.node = node;
        self.bytes += self.entries[entry as usize].size();
        entry
    }

    /// Gives `entry` its reply.
    pub(super) fn fill(&mut self, entry: u32, reply: &[u8], until: Instant) {
        self.bytes -= self.entries[entry as usize].size();
        let filled = self.entry(entry);
        (filled.reply, filled.until) = (Some(Arc::from(reply)), until);
        self.bytes += self.entries[entry as usize].size();
        self.touch(entry);
    }

    /// Removes `entry`; tells whether it had its reply.
    pub(super) fn remove(&mut self, entry: u32) -> bool {
        self.bytes -= self.entries[entry as usize].size();
        let removed = self.entry(entry);
        let mut at = removed.node;
        let life = removed.life.wrapping_add(1);
        let had = core::mem::replace(removed, Entry { life, ..Entry::default() }).reply.is_some();
        while at != NONE {
            self.unlink(at);
            self.idle.push(at);
            at = self.node(at).next;
        }
        self.vacant.push(entry);
        had
    }

    /// Removes the entries with `hash`; gives how many of them had their reply.
    pub(super) fn forget(&mut self, hash: u32) -> u64 {
        let head = self.ring(hash);
        let (mut at, mut count) = (self.node(head).after, 0);
        while at != head {
            let node = *self.node(at);
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
    pub(super) fn oldest(&mut self) -> Option<u32> {
        let at = self.node(ALL).before;
        (at != ALL).then(|| self.node(at).entry)
    }

    fn touch(&mut self, entry: u32) {
        let node = self.entries[entry as usize].node;
        self.unlink(node);
        self.link(ALL, node);
    }

    /// Makes a ring with nothing in it; gives its head.
    fn head(&mut self) -> u32 {
        let at = self.nodes.len() as u32;
        self.nodes.push(Node { before: at, after: at, next: NONE, entry: NONE, hash: 0 });
        at
    }

    fn ring(&self, hash: u32) -> u32 {
        self.heads[hash as usize & (self.heads.len() - 1)]
    }

    /// Doubles the number of rings for hashes.
    #[inline(never)]
    fn grow(&mut self) {
        for _ in 0..self.heads.len() {
            let head = self.head();
            self.heads.push(head);
        }
        let mut all = self.node(ALL).after;
        while all != ALL {
            let mut at = self.node(all).next;
            while at != NONE {
                self.unlink(at);
                let head = self.ring(self.nodes[at as usize].hash);
                self.link(head, at);
                at = self.node(at).next;
            }
            all = self.node(all).after;
        }
    }

    #[inline(never)]
    fn add(&mut self, head: u32, node: Node) -> u32 {
        let at = match self.idle.pop() {
            Some(at) => at,
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        };
        *self.node(at) = node;
        self.link(head, at);
        at
    }

    #[inline(never)]
    fn link(&mut self, head: u32, at: u32) {
        let after = core::mem::replace(&mut self.node(head).after, at);
        self.node(after).before = at;
        let node = self.node(at);
        (node.before, node.after) = (head, after);
    }

    #[inline(never)]
    fn unlink(&mut self, at: u32) {
        let Node { before, after, .. } = *self.node(at);
        self.node(before).after = after;
        self.node(after).before = before;
    }

    fn node(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(store: &mut Store) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(entry) = store.oldest() {
            found.push(store.entry(entry).request.clone());
            store.remove(entry);
        }
        found
    }

    #[test]
    fn the_oldest_is_what_was_not_used_for_longest() {
        let mut store = Store::new();
        for name in [b"a", b"b", b"c"] {
            store.insert(name, &[u32::from(name[0]), 7]);
        }
        assert!(store.find(u32::from(b'a'), b"a").is_some());
        assert_eq!(requests(&mut store), [b"b", b"c", b"a"]);
        assert_eq!((store.len(), store.bytes), (0, 0));
    }

    #[test]
    fn what_has_a_hash_goes_with_it_and_nothing_else_does() {
        let mut store = Store::new();
        for number in 0..5_000_u32 {
            let entry = store.insert(&number.to_le_bytes(), &[number, 1 << 20 | number % 10, 1 << 21, 1 << 21]);
            if number % 20 != 3 {
                store.fill(entry, b"reply", Instant::NEVER);
            }
        }
        assert_eq!(store.forget(1 << 20 | 3), 250, "of 500, those that had their reply");
        assert_eq!(store.len(), 4_500);
        for number in 0..5_000_u32 {
            let found = store.find(number, &number.to_le_bytes()).is_some();
            assert_eq!(found, number % 10 != 3, "{number}");
        }
        assert_eq!(store.forget(1 << 21), 4_500);
        assert_eq!((store.len(), store.bytes), (0, 0));
        assert_eq!(store.nodes.len(), store.idle.len() + store.heads.len() + 1, "every node is back");
    }

    #[test]
    fn a_place_that_is_used_again_has_another_life() {
        let mut store = Store::new();
        let entry = store.insert(b"a", &[1]);
        let life = store.entry(entry).life;
        store.remove(entry);
        assert_eq!(store.insert(b"a", &[1]), entry);
        assert_ne!(store.entry(entry).life, life);
    }
}
