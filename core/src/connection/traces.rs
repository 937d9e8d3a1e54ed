//! What commands leave behind on a link that is leased.

use super::queue::{Answer, Role};
use crate::batch::Request;
use crate::table::{Effect, Row};

/// Whether the next user of a link would find it as new, and whether the server answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traces {
    /// Something was done that nothing takes back.
    changed: bool,
    /// Keys are watched, as far as nothing was refused.
    watching: bool,
    watched: bool,
    refused: bool,
    replies: Replies,
}

/// What CLIENT REPLY said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replies {
    On,
    /// Nothing was answered last.
    Again,
    Skip,
    Off,
}

impl Traces {
    pub(super) const NONE: Self =
        Self { changed: false, watching: false, watched: false, refused: false, replies: Replies::On };

    /// Takes note of a command; gives whether the server answers it.
    pub(super) fn note(&mut self, row: Row, role: Role, request: &Request<'_>) -> Answer {
        match row.effect() {
            Effect::None | Effect::Writes => self.changed |= row == Row::UNKNOWN || row.is_internal(),
            Effect::Watch => (self.watching, self.watched) = (true, true),
            Effect::Exec | Effect::Discard | Effect::Unwatch => self.watching = false,
            Effect::Multi if role == Role::Multi => {}
            Effect::Reply => return self.reply(request.args().last().map_or(&[], |mode| mode.bytes())),
            _ => self.changed = true,
        }
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        match self.replies {
            Replies::On => Answer::Comes,
            Replies::Off => Answer::Never,
            Replies::Skip => {
                self.replies = Replies::Again;
                Answer::Never
            }
            Replies::Again => {
                self.replies = Replies::On;
                Answer::ComesAgain
            }
        }
    }

    fn reply(&mut self, mode: &[u8]) -> Answer {
        match (mode.to_ascii_uppercase().as_slice(), self.replies) {
            (b"ON", Replies::Off | Replies::Skip) => self.replies = Replies::Again,
            (b"OFF", _) | (b"SKIP", Replies::Off) => {
                self.replies = Replies::Off;
                return Answer::Never;
            }
            (b"SKIP", _) => {
                self.replies = Replies::Skip;
                return Answer::Never;
            }
            _ => {}
        }
        self.answer()
    }

    /// Takes note of an error: what was to end watching may not have been executed.
    pub(super) fn refused(&mut self) {
        self.refused = true;
    }

    /// Tells whether the server does not answer what is sent next.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.replies, Replies::Skip | Replies::Off)
    }

    /// Tells whether nothing is left behind.
    pub(super) fn is_none(&self) -> bool {
        let watched = self.watching || (self.watched && self.refused);
        !self.changed && !watched && self.replies == Replies::On
    }
}
