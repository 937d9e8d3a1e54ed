//! How long to wait before the next attempt to open a link.

use crate::time::Instant;

/// Exponential backoff with full jitter: any time from 0 to a ceiling that doubles with each attempt, so that clients that lost
/// the same server at the same moment do not come back at the same moment.
#[derive(Debug)]
pub(super) struct Backoff {
    /// Attempts since a link proved its worth.
    attempts: u32,
    /// When the one that is ready will have done so.
    proven: Instant,
    random: u32,
}

impl Backoff {
    pub(super) const fn new(seed: u32) -> Self {
        // the generator stands still at 0
        Self { attempts: 0, proven: Instant::NEVER, random: seed | 1 }
    }

    /// Starts anew: a link was of use.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Starts anew when the link that is ready lives as long as the last ceiling: what is lost sooner may be lost again and again.
    pub(super) fn ready(&mut self, now: Instant, most: u32) {
        self.proven = now.limit(most);
    }

    /// Gives the milliseconds until the next attempt; the first ceiling is `least`, the last `most`.
    pub(super) fn next(&mut self, now: Instant, least: u32, most: u32) -> u32 {
        if core::mem::replace(&mut self.proven, Instant::NEVER) <= now {
            self.reset();
        }
        let ceiling = least.saturating_mul(1 << self.attempts.min(31)).min(most);
        self.attempts = self.attempts.saturating_add(1);
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        ((u64::from(self.random) * (u64::from(ceiling) + 1)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_spread_below_a_ceiling_that_doubles() {
        let mut sums = [0; 9];
        for seed in 0..1_000_u32 {
            let mut backoff = Backoff::new(seed.wrapping_mul(0x9e37_79b9));
            for (attempt, sum) in sums.iter_mut().enumerate() {
                let ceiling = (50 << attempt).min(2_000);
                let delay = backoff.next(Instant(0), 50, 2_000);
                assert!(delay <= ceiling, "{delay} at attempt {attempt}");
                *sum += delay;
            }
        }
        for (attempt, sum) in sums.into_iter().enumerate() {
            let middle = (50 << attempt).min(2_000) / 2;
            assert!((sum / 1_000).abs_diff(middle) < middle / 4, "{} at attempt {attempt}", sum / 1_000);
        }
        let mut backoff = Backoff::new(0);
        for _ in 0..100 {
            backoff.next(Instant(0), u32::MAX, u32::MAX);
        }
        backoff.ready(Instant(1_000), 2_000);
        assert!((0..100).any(|_| backoff.next(Instant(2_999), 1, 2_000) > 1), "it did not live long");
        backoff.ready(Instant(3_000), 2_000);
        assert!(backoff.next(Instant(5_000), 1, 2_000) <= 1);
    }
}
