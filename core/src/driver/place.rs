//! Where subscriptions stand in the pool.

use crate::machine::{LeaseId, Slot};

/// The slot in which their place is asked for.
pub(super) const PLACE: Slot = Slot(u32::MAX - 3);

/// The place of the link that listens: it is opened, and anything taken over from clients for it, only while there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody wants one: there is no link.
    None,
    /// It is waited for.
    Asked,
    Held(LeaseId),
}
