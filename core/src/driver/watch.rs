//! Who watches keys on the connection that everybody shares.

use crate::machine::{LinkId, Slot};

/// The one transaction with watched keys that there may be at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Watch {
    #[default]
    None,
    /// WATCH has no reply.
    Asked(Slot),
    /// The keys are watched on this link.
    Watching(LinkId),
    /// The transaction is on its way, and must not be sent on any other link.
    Ending(Slot, LinkId),
}

impl Watch {
    /// Gives the command whose reply changes it.
    pub(super) fn slot(self) -> Option<Slot> {
        match self {
            Self::Asked(slot) | Self::Ending(slot, _) => Some(slot),
            Self::None | Self::Watching(_) => None,
        }
    }

    /// Gives what it is when that reply came on `link`.
    pub(super) fn answered(self, link: LinkId) -> Self {
        if let Self::Asked(_) = self { Self::Watching(link) } else { Self::None }
    }

    /// The command in `slot` has no reply, or nobody waits for it.
    pub(super) fn forget(&mut self, slot: Slot) {
        if self.slot() == Some(slot) {
            *self = Self::None;
        }
    }

    pub(super) fn is_on(self, link: LinkId) -> bool {
        matches!(self, Self::Watching(this) | Self::Ending(_, this) if this == link)
    }
}
