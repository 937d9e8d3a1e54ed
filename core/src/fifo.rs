//! First in, first out, and always one slice: the ring of `VecDeque`, two slices at every look, is twice the code.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut, Range};

#[derive(Debug)]
pub(crate) struct Fifo<T> {
    items: Vec<T>,
    /// Items at the start that were taken.
    taken: usize,
}

impl<T: Copy> Fifo<T> {
    pub(crate) const fn new() -> Self {
        Self { items: Vec::new(), taken: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() == self.items.capacity() {
            self.tidy();
        }
        self.items.push(item);
    }

    /// Moves the items over those that were taken, unless these are too few to be worth it.
    #[inline(never)]
    fn tidy(&mut self) {
        if self.taken > self.len() {
            self.items.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Takes the first `count` items, of which there are so many.
    #[inline]
    pub(crate) fn skip(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.items.len() {
            self.clear();
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = *self.first()?;
        self.skip(1);
        Some(item)
    }

    pub(crate) fn remove(&mut self, range: Range<usize>) {
        if range.start == 0 {
            return self.skip(range.end);
        }
        self.items.drain(self.taken + range.start..self.taken + range.end);
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.items.drain(..self.taken);
        self.taken = 0;
        self.items.retain(keep);
    }

    pub(crate) fn insert(&mut self, index: usize, item: T) {
        self.items.insert(self.taken + index, item);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.items.truncate(self.taken + len);
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.taken = 0;
    }
}

impl<T> Deref for Fifo<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.items.get(self.taken..).unwrap_or_default()
    }
}

impl<T> DerefMut for Fifo<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.items.get_mut(self.taken..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_their_memory_is_used_again() {
        let mut fifo = Fifo::new();
        let mut next = 0;
        for item in 0..10_000 {
            fifo.push(item);
            if item % 3 != 0 || item > 100 {
                assert_eq!(fifo.pop(), Some(next));
                next += 1;
            }
        }
        assert_eq!(fifo.len(), 10_000 - next);
        assert!(fifo.items.capacity() <= 256, "{}", fifo.items.capacity());
        assert_eq!(fifo[..3], [next, next + 1, next + 2]);
        fifo.remove(1..fifo.len());
        fifo.insert(0, 7);
        assert_eq!((fifo.pop(), fifo.pop(), fifo.pop()), (Some(7), Some(next), None));
    }
}
