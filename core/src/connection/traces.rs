//! What commands leave behind on a link that is leased.

use super::queue::Role;
use crate::table::{Effect, Row};

/// Whether the next user of a link would find it as new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traces {
    /// Something was done that nothing takes back.
    changed: bool,
    /// Keys are watched, as far as nothing was refused.
    watching: bool,
    watched: bool,
    refused: bool,
}

impl Traces {
    pub(super) const NONE: Self = Self { changed: false, watching: false, watched: false, refused: false };

    /// Takes note of commands that were accepted.
    #[inline(never)]
    pub(super) fn note(&mut self, commands: impl Iterator<Item = (Row, Role)>) {
        for (row, role) in commands {
            match row.effect() {
                Effect::None | Effect::Writes => self.changed |= row == Row::UNKNOWN || row.is_internal(),
                Effect::Watch => (self.watching, self.watched) = (true, true),
                Effect::Exec | Effect::Discard | Effect::Unwatch => self.watching = false,
                Effect::Multi if role == Role::Multi => {}
                _ => self.changed = true,
            }
        }
    }

    /// Takes note of an error: what was to end watching may not have been executed.
    pub(super) fn refused(&mut self) {
        self.refused = true;
    }

    /// Tells whether nothing is left behind.
    pub(super) fn is_none(&self) -> bool {
        !self.changed && !self.watching && !(self.watched && self.refused)
    }
}
