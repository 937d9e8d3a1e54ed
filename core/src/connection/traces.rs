//! What commands leave behind on a link that is leased.

use super::queue::Role;
use crate::batch::{Request, flags};
use crate::table::{self, Effect, Row};

/// What a command does to its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Nothing,
    /// Something that nothing takes back, or that nobody knows.
    Changes,
    Watches,
    Unwatches,
    /// Has what follows wait for EXEC.
    Begins,
    /// EXEC or DISCARD.
    Ends,
    /// CLIENT REPLY.
    On,
    Off,
    Skip,
    /// CLIENT REPLY SKIP is part of it; whether it does anything else, nobody will know.
    Silent {
        changes: bool,
    },
}

impl Note {
    pub(super) fn of(row: Row, role: Role, request: &Request<'_>) -> Self {
        let note = Self::answered(row, role, request);
        match request.flags & flags::SILENT {
            0 => note,
            _ => Self::Silent { changes: note != Self::Nothing },
        }
    }

    fn answered(row: Row, role: Role, request: &Request<'_>) -> Self {
        match row.effect() {
            Effect::None | Effect::Writes if row.is_obscure() => Self::Changes,
            Effect::None | Effect::Writes => Self::Nothing,
            Effect::Multi if role == Role::Multi => Self::Nothing,
            Effect::Multi => Self::Begins,
            Effect::Watch => Self::Watches,
            Effect::Exec | Effect::Discard => Self::Ends,
            Effect::Unwatch => Self::Unwatches,
            Effect::Reply if role == Role::Plain => {
                let mode = request.args().last().map_or(&[][..], |mode| mode.bytes());
                let modes = [(&b"ON"[..], Self::On), (b"OFF", Self::Off), (b"SKIP", Self::Skip)];
                let known = modes.into_iter().find(|(name, _)| table::is(mode, name));
                known.map_or(Self::Nothing, |(_, note)| note)
            }
            _ => Self::Changes,
        }
    }
}

/// Whether the next user of a link would find it as new, and whether the server answers: as of the next command without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traces {
    changed: bool,
    watching: bool,
    /// In a transaction of the caller's, which takes whatever comes.
    open: bool,
    replies: Replies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replies {
    On,
    /// The command before was not answered.
    Again,
    Skip,
    Off,
}

impl Traces {
    pub(super) const NONE: Self = Self { changed: false, watching: false, open: false, replies: Replies::On };

    /// Tells whether the server answers the next command.
    pub(super) fn answers(self, next: Note) -> bool {
        let silent = matches!(self.replies, Replies::Skip | Replies::Off);
        next == Note::On || !(silent || matches!(next, Note::Off | Note::Skip | Note::Silent { .. }))
    }

    /// Tells whether the next command becomes part of a transaction.
    pub(super) fn is_open(self) -> bool {
        self.open
    }

    /// Tells whether its answer is the first after silence: if that is an error, nobody knows which command it is about.
    pub(super) fn is_doubtful(self, next: Note) -> bool {
        self.replies == Replies::Again || (next == Note::On && self.replies != Replies::On)
    }

    /// Steps over the next command, which was `refused`, or may have been.
    pub(super) fn pass(&mut self, next: Note, refused: bool) {
        match next {
            Note::Changes => self.changed = true,
            Note::Silent { changes } => self.changed |= changes,
            Note::Watches => self.watching = true,
            Note::Unwatches => self.watching &= refused,
            Note::Begins => self.open |= !refused,
            Note::Ends => (self.watching, self.open) = (self.watching & refused, self.open & refused),
            Note::Nothing | Note::On | Note::Off | Note::Skip => {}
        }
        self.replies = match (next, self.replies) {
            (Note::On, _) => Replies::On,
            (Note::Off, _) | (_, Replies::Off) => Replies::Off,
            (Note::Skip, _) => Replies::Skip,
            (Note::Silent { .. }, _) | (_, Replies::Skip) => Replies::Again,
            (_, Replies::On | Replies::Again) => Replies::On,
        };
    }

    /// Tells whether everything before the last answer was executed.
    pub(super) fn is_executed(self) -> bool {
        !self.open && self.replies == Replies::On
    }

    /// Tells whether nothing is left behind.
    pub(super) fn is_none(self) -> bool {
        !self.changed && !self.watching && self.is_executed()
    }
}
