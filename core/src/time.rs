//! Time as the host tells it.

/// Milliseconds on a monotonic clock of the host's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Gives the moment `milliseconds` later; 0 means no limit.
    pub fn limit(self, milliseconds: u32) -> Self {
        if milliseconds == 0 { Self::NEVER } else { Self(self.0.saturating_add(milliseconds.into())) }
    }
}
